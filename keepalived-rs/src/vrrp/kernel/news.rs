//! What the kernel tells: links, addresses, and whose object somebody removed.

use std::io;

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::route_sock::News;
use net_types::{Family, SortedSet};
use netlink_wire::address::RTM_GETADDR;
use netlink_wire::route::RTM_GETROUTE;
use netlink_wire::rule::RTM_GETRULE;
use netlink_wire::{Address, Event, Link, Route, Rule};
use nix::errno::Errno;
use vrrp_proto::Object;

use super::text::{network, text_of};
use super::{Kernel, KernelEvent};

/// `IP6_RT_PRIO_USER`: the metric that the kernel gives an IPv6 route without one.
const V6_DEFAULT_METRIC: u32 = 1024;

/// News were lost.
pub(super) fn say_overrun() {
    let error = text_of(Errno::ENOBUFS as i32);
    log!(
        Priority::Info,
        "Netlink: Receive buffer overrun on monitor socket - ({error})"
    );
    let advice = "increase the relevant netlink_rcv_bufs global parameter and/or set force";
    log!(Priority::Info, "  - {advice}");
}

impl Kernel {
    /// Takes the news that wait. `false`: nothing (more) waits. Each call takes one datagram, so that other work can be done
    /// between.
    pub fn receive(&mut self, events: &mut Vec<KernelEvent>) -> io::Result<bool> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let news = self.monitor.receive(&mut buffer);
        let result = match news {
            Ok(News::None) => Ok(false),
            Ok(News::Messages(messages)) => {
                for message in messages {
                    if let Some(event) = Event::parse(&message) {
                        let header = message.header;
                        let cause = (header.port == self.requests.port()).then_some(header.seq);
                        self.take(&event, cause, events);
                    }
                }
                Ok(true)
            }
            Ok(News::Overrun) => {
                say_overrun();
                self.compare(events).map(|()| true)
            }
            Err(e) => Err(e),
        };
        self.buffer = buffer;
        result
    }

    /// `cause`: the sequence number of the request of ours that the news follow from.
    pub(super) fn take(
        &mut self,
        event: &Event,
        cause: Option<u32>,
        events: &mut Vec<KernelEvent>,
    ) {
        let told = events.len();
        let came_up = self.came_up(event);
        self.interfaces.note_arrival(event);
        if self.interfaces.apply(event, &self.objects) {
            self.interfaces
                .take_changes(|id, facts| events.push(KernelEvent::Link(id, facts)));
        }
        if let (Some(detail), None, true) = (self.address_news, cause, told == events.len()) {
            self.say_address_news(event, detail);
        }
        self.take_objects(event, cause, events);
        events.extend(came_up.map(KernelEvent::CameUp));
    }

    /// The number of the interface that the news say is up and was not. Only static objects mind.
    fn came_up(&self, event: &Event) -> Option<u32> {
        let Event::Link(link) = event else {
            return None;
        };
        let was = self.interfaces.by_index(link.index);
        let now = link.is_up() && !was.is_some_and(Link::is_up);
        (now && !self.statics.is_empty()).then_some(link.index)
    }

    /// Puts the static addresses and routes of an interface back that has come up. As the original, it tells of all of them.
    pub fn restore_statics(&mut self, index: u32) {
        let Some(name) = self.interfaces.by_index(index).map(|l| l.name.clone()) else {
            return;
        };
        let is_on = |object: &Object| match *object {
            Object::Address(n) => self.objects.address(n).is_some_and(|o| o.interface == name),
            Object::Route(n) => {
                let route = self.objects.route(n);
                route.is_some_and(|r| r.interface.as_deref() == Some(&*name))
            }
            Object::Rule(_) => false,
        };
        let statics: Vec<Object> = self.statics.keys().copied().filter(is_on).collect();
        for object in statics {
            // Routes have gone without a word; an address that is there stays.
            if matches!(object, Object::Route(_)) || !self.is_set(object) {
                self.add(object);
                self.flush(&mut Vec::new());
            }
            self.say_restored(object);
        }
    }

    fn say_restored(&self, object: Object) {
        let Some(text) = self.statics.get(&object) else {
            return;
        };
        let word = match object {
            Object::Address(_) => "address",
            Object::Route(_) => "route",
            Object::Rule(_) => "rule",
        };
        log!(Priority::Info, "Restoring deleted static {word} {text}");
    }

    /// What the news mean for the objects that are set.
    pub(super) fn take_objects(
        &mut self,
        event: &Event,
        cause: Option<u32>,
        events: &mut Vec<KernelEvent>,
    ) {
        match event {
            Event::AddressGone(address) => self.address_gone(address, cause, events),
            _ if cause.is_some() => {}
            Event::RouteGone(route) => {
                let gone =
                    self.find_set(|k, o| matches!(o, Object::Route(n) if k.is_route(n, route)));
                self.gone(gone, events);
            }
            Event::RuleGone(rule) => {
                let gone = self.find_set(|k, o| matches!(o, Object::Rule(n) if k.is_rule(n, rule)));
                self.gone(gone, events);
            }
            _ => {}
        }
    }

    pub(super) fn address_gone(
        &mut self,
        address: &Address,
        cause: Option<u32>,
        events: &mut Vec<KernelEvent>,
    ) {
        let objects = self.objects.addresses_like(address.local);
        let here = objects.filter(|(_, o)| {
            let link = self.interfaces.by_name(&o.interface);
            o.address.prefix_len == address.prefix_len
                && link.is_none_or(|l| l.index == address.index)
        });
        let numbers: Vec<u32> = here.map(|(n, _)| n).collect();
        for number in numbers {
            if let Some(echoes) = self.echoes.get_mut(&number) {
                *echoes = echoes.saturating_sub(1);
                if *echoes == 0 {
                    self.echoes.remove(&number);
                }
                continue;
            }
            let object = Object::Address(number);
            let gone = self.set.get(&object).is_some_and(|added| {
                // Removing one IPv4 address of a network can take others with it. What we have added since is there.
                cause.is_none_or(|cause| is_later(cause, *added))
            });
            self.gone(gone.then_some(object), events);
        }
    }

    pub(super) fn find_set(&self, matches: impl Fn(&Self, Object) -> bool) -> Option<Object> {
        self.set.keys().copied().find(|o| matches(self, *o))
    }

    pub(super) fn gone(&mut self, object: Option<Object>, events: &mut Vec<KernelEvent>) {
        let Some(object) = object else {
            return;
        };
        self.set.remove(&object);
        if !self.statics.contains_key(&object) {
            events.push(KernelEvent::Removed(object));
            return;
        }
        self.add(object);
        self.flush(&mut Vec::new());
        self.say_restored(object);
    }

    /// Whether a route that went is the object. Prefixes of length 0 come without an address from the kernel.
    pub(super) fn is_route(&self, number: u32, gone: &Route) -> bool {
        let Some(object) = self.objects.route(number) else {
            return false;
        };
        let ours = &object.route;
        let metric = match (ours.metric, ours.family) {
            (Some(metric), _) => gone.metric.unwrap_or(0) == metric,
            (None, Family::V4) => gone.metric.unwrap_or(0) == 0,
            (None, Family::V6) => matches!(gone.metric, None | Some(0 | V6_DEFAULT_METRIC)),
        };
        let interface = object
            .interface
            .as_ref()
            .and_then(|name| self.interfaces.by_name(name));
        (ours.family, ours.table, ours.tos, ours.protocol)
            == (gone.family, gone.table, gone.tos, gone.protocol)
            && metric
            && network(ours.destination) == network(gone.destination)
            && interface.is_none_or(|l| gone.interface == Some(l.index))
            && (ours.gateway.is_none() || gone.gateway.is_none() || ours.gateway == gone.gateway)
    }

    pub(super) fn is_rule(&self, number: u32, gone: &Rule) -> bool {
        let Some(ours) = self.objects.rule(number) else {
            return false;
        };
        // What the kernel fills in or leaves out is made alike; the rest must be equal.
        let mut gone = gone.clone();
        let mut ours = ours.clone();
        for rule in [&mut gone, &mut ours] {
            rule.from = network(rule.from);
            rule.to = network(rule.to);
            rule.mask = rule.mask.filter(|m| *m != u32::MAX);
            rule.protocol = None;
            if rule.action != netlink_wire::rule::ACTION_TABLE || rule.l3mdev {
                rule.table = 0;
            }
        }
        gone == ours
    }

    /// After lost news: reads all tables again and tells what differs from what we thought.
    pub(super) fn compare(&mut self, events: &mut Vec<KernelEvent>) -> io::Result<()> {
        self.echoes.clear();
        self.read_interfaces()?;
        self.interfaces
            .take_changes(|id, facts| events.push(KernelEvent::Link(id, facts)));
        let mut seen = Vec::new();
        let (routes, rules) = self.objects.kinds();
        let tables = [
            (RTM_GETADDR, true),
            (RTM_GETROUTE, routes.contains(&true)),
            (RTM_GETRULE, rules.contains(&true)),
        ];
        for (kind, _) in tables.into_iter().filter(|(_, wanted)| *wanted) {
            let mut found = Vec::new();
            self.requests.dump(kind, 0, |event| found.push(event))?;
            for event in &found {
                let same = |k: &Self, object: Object| match (event, object) {
                    (Event::Address(a), Object::Address(n)) => {
                        k.objects.address(n).is_some_and(|o| {
                            let link = k.interfaces.by_name(&o.interface);
                            (o.address.local, o.address.prefix_len) == (a.local, a.prefix_len)
                                && link.is_some_and(|l| l.index == a.index)
                        })
                    }
                    (Event::Route(r), Object::Route(n)) => k.is_route(n, r),
                    (Event::Rule(r), Object::Rule(n)) => k.is_rule(n, r),
                    _ => false,
                };
                seen.extend(self.find_set(same));
            }
        }
        let seen: SortedSet<Object> = seen.into_iter().collect();
        let lost: Vec<Object> = self
            .set
            .keys()
            .filter(|o| !seen.contains(o))
            .copied()
            .collect();
        for object in lost {
            self.gone(Some(object), events);
        }
        Ok(())
    }
}

/// Whether `seq` was given out after `other`; the numbers wrap.
pub(super) const fn is_later(seq: u32, other: u32) -> bool {
    let ahead = seq.wrapping_sub(other);
    ahead != 0 && ahead < u32::MAX / 2
}
