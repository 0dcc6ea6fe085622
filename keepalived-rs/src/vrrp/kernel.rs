//! Addresses, routes and rules in the kernel: puts them there, takes them away, notices when someone else does.
//!
//! ```text
//! Output::{Add, Remove} ─▶ add/remove ─▶ batch ─▶ flush ─▶ Requests ─▶ Refused objects
//! Monitor ─▶ receive ─▶ Interfaces, table of what is set ─▶ KernelEvent ─▶ Input::{Link, Removed}
//! ```
//! Answers to: keepalived 2.3.3 core/keepalived_netlink.c (log lines, which refusals are none, whose removals count).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::route_sock::{DATAGRAM_LEN, Group, Monitor, News, ReceiveBuffer, Requests};
use net_types::{Family, IfIndex, Prefix};
use netlink_wire::address::{RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR};
use netlink_wire::link::RTM_GETLINK;
use netlink_wire::route::{RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE};
use netlink_wire::rule::{RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE};
use netlink_wire::{Address, Batch, Event, Route, Rule};
use nix::errno::Errno;
use vrrp_proto::Object;
use vrrp_proto::config::{IfId, LinkFacts};

use super::interfaces::Interfaces;
use super::objects::{AddressObject, Objects, RouteObject};

/// `IP6_RT_PRIO_USER`: the metric that the kernel gives an IPv6 route without one.
const V6_DEFAULT_METRIC: u32 = 1024;

/// News for the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// An interface of the configuration has changed.
    Link(IfId, LinkFacts),
    /// Someone else removed an object that we had added.
    Removed(Object),
}

/// Receive buffers of the two sockets (`vrrp_netlink_cmd_rcv_bufs`, `vrrp_netlink_monitor_rcv_bufs` and their `_force`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// The socket for requests.
    pub command: Option<ReceiveBuffer>,
    /// The socket for news.
    pub monitor: Option<ReceiveBuffer>,
}

/// A request that is in the batch.
#[derive(Clone, Copy, Debug)]
struct Pending {
    object: Object,
    add: bool,
    leftover: bool,
}

/// The kernel's tables as far as they concern us.
#[derive(Debug)]
pub struct Kernel {
    requests: Requests,
    monitor: Monitor,
    /// What the numbers of [`Object`] mean.
    pub objects: Objects,
    /// The interfaces of the namespace.
    pub interfaces: Interfaces,
    batch: Batch,
    /// Parallel to the requests in `batch`.
    pending: Vec<Pending>,
    answers: Vec<i32>,
    /// What we have added and nobody has removed, as far as we know, with the sequence number of its addition.
    set: BTreeMap<Object, u32>,
    /// Removals of our own that the kernel will report without telling whose they are (IPv6 addresses).
    echoes: BTreeMap<u32, u32>,
    /// Static objects, which are put back when they go, with their text for the log.
    statics: BTreeMap<Object, Box<str>>,
    buffer: Box<[u8]>,
}

impl Kernel {
    /// Opens both sockets and reads links and addresses. Intern the configuration's objects first, so that virtual addresses
    /// left over from an earlier run are not taken for the interfaces' own.
    pub fn open(objects: Objects, buffers: Buffers) -> io::Result<Self> {
        log!(Priority::Info, "Registering Kernel netlink reflector");
        let groups = [Group::Link, Group::V4Address, Group::V6Address];
        let monitor = Monitor::open(&groups, buffers.monitor).inspect_err(|_| {
            log!(
                Priority::Info,
                "Error while registering Kernel netlink reflector channel"
            );
        })?;
        log!(Priority::Info, "Registering Kernel netlink command channel");
        let requests = Requests::open(buffers.command).inspect_err(|_| {
            log!(
                Priority::Info,
                "Error while registering Kernel netlink cmd channel"
            );
        })?;
        let mut kernel = Self {
            requests,
            monitor,
            objects,
            interfaces: Interfaces::new(),
            batch: Batch::new(),
            pending: Vec::new(),
            answers: Vec::new(),
            set: BTreeMap::new(),
            echoes: BTreeMap::new(),
            statics: BTreeMap::new(),
            buffer: vec![0; DATAGRAM_LEN].into_boxed_slice(),
        };
        kernel.watch_tables()?;
        kernel.read_interfaces()?;
        Ok(kernel)
    }

    /// Subscribes to news of routes and rules if there are any to watch. Call it after interning a new configuration.
    pub fn watch_tables(&self) -> io::Result<()> {
        let (routes, rules) = self.objects.kinds();
        let wanted = [
            (Group::V4Route, routes[0]),
            (Group::V6Route, routes[1]),
            (Group::V4Rule, rules[0]),
            (Group::V6Rule, rules[1]),
        ];
        wanted
            .into_iter()
            .try_for_each(|(group, on)| self.monitor.subscribe(group, on))
    }

    /// Reads links and addresses anew: after a reload, which changes what counts as our own address.
    pub fn read_interfaces(&mut self) -> io::Result<()> {
        self.interfaces.clear();
        for kind in [RTM_GETLINK, RTM_GETADDR] {
            self.requests.dump(kind, 0, |event| {
                self.interfaces.apply(&event, &self.objects);
            })?;
        }
        Ok(())
    }

    /// Whether the object is in the kernel because of us.
    pub fn is_set(&self, object: Object) -> bool {
        self.set.contains_key(&object)
    }

    /// Queues an addition; [`Kernel::flush`] carries it out. `false`: impossible, the log says why; tell the core
    /// ([`vrrp_proto::Input::Refused`]).
    pub fn add(&mut self, object: Object) -> bool {
        let done = self.push(object, true);
        if done {
            self.pending.push(Pending {
                object,
                add: true,
                leftover: false,
            });
        }
        done
    }

    /// Queues a removal. `leftover`: of an earlier run; it may not be there.
    pub fn remove(&mut self, object: Object, leftover: bool) {
        self.set.remove(&object);
        if self.push(object, false) {
            self.pending.push(Pending {
                object,
                add: false,
                leftover,
            });
        }
    }

    fn push(&mut self, object: Object, add: bool) -> bool {
        match object {
            Object::Address(n) => {
                let object = self.objects.address(n).cloned();
                object.is_some_and(|o| self.push_address(o, add))
            }
            Object::Route(n) => {
                let object = self.objects.route(n).cloned();
                object.is_some_and(|o| self.push_route(o, add))
            }
            Object::Rule(n) => {
                let Some(rule) = self.objects.rule(n) else {
                    return false;
                };
                if add {
                    rule.push_add(&mut self.batch);
                } else {
                    rule.push_delete(&mut self.batch);
                }
                true
            }
        }
    }

    /// Number of objects that are queued.
    pub fn queued(&self) -> usize {
        self.pending.len()
    }

    /// Carries out what is queued, in order, and appends to `refused` the objects that could not be added. Call it before
    /// anything that others may observe after it: an advert, an announcement, a script.
    pub fn flush(&mut self, refused: &mut Vec<Object>) {
        if self.batch.is_empty() {
            return;
        }
        let result = self.requests.execute(&mut self.batch, &mut self.answers);
        let (first, failure) = match result {
            Ok(first) => (first, 0),
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(libc_eio());
                let kind = self.pending.first().map_or(0, |p| kind_of(p.object, p.add));
                log!(
                    Priority::Info,
                    "Netlink: sendmsg(cmd) cmd {kind} error: {}",
                    text_of(errno)
                );
                (0, errno)
            }
        };
        let pending = std::mem::take(&mut self.pending);
        for (at, request) in pending.iter().enumerate() {
            let errno = self.answers.get(at).copied().unwrap_or(failure);
            let seq = first.wrapping_add(u32::try_from(at).unwrap_or(0));
            self.conclude(*request, errno, seq, refused);
        }
        self.pending = pending;
        self.pending.clear();
        self.batch.clear();
    }

    fn conclude(&mut self, request: Pending, errno: i32, seq: u32, refused: &mut Vec<Object>) {
        let Pending { object, add, .. } = request;
        if errno == 0 && !add {
            if let Object::Address(n) = object {
                if self
                    .objects
                    .address(n)
                    .is_some_and(|o| o.address.local.is_ipv6())
                {
                    let echoes = self.echoes.entry(n).or_default();
                    *echoes = echoes.saturating_add(1);
                }
            }
        }
        if errno == 0 || self.is_no_failure(request, errno) {
            if add {
                self.set.insert(object, seq);
            }
            return;
        }
        if !self.is_silent_failure(request, errno) {
            let kind = kind_of(object, add);
            log!(
                Priority::Info,
                "Netlink: error: {}({errno}), type={}({kind}), seq={seq}, pid=0",
                text_of(errno),
                name_of(kind)
            );
            // The original does not say which object it was.
            if !request.leftover {
                log!(
                    Priority::Info,
                    "  - {} {}",
                    if add { "adding" } else { "removing" },
                    self.describe(object)
                );
            }
        }
        if add {
            refused.push(object);
        }
    }

    /// Refusals that leave the kernel as it was wanted.
    fn is_no_failure(&self, request: Pending, errno: i32) -> bool {
        match (request.object, Errno::from_raw(errno)) {
            (Object::Address(_) | Object::Route(_), Errno::EEXIST) => request.add,
            // Secondary addresses go with their primary.
            (Object::Address(_), Errno::EADDRNOTAVAIL) => !request.add,
            _ => false,
        }
    }

    /// Refusals that are not worth a line.
    fn is_silent_failure(&self, request: Pending, errno: i32) -> bool {
        if request.add {
            return false;
        }
        match (request.object, Errno::from_raw(errno)) {
            (Object::Address(n), Errno::ENODEV) => {
                // A link that is down may be about to vanish.
                let name = self.objects.address(n).map(|o| &*o.interface);
                request.leftover || !name.is_some_and(|n| self.interfaces.facts_by_name(n).up)
            }
            (Object::Rule(_), Errno::ENOENT) => request.leftover,
            _ => false,
        }
    }

    fn push_address(&mut self, object: AddressObject, add: bool) -> bool {
        let mut address = object.address;
        match self.interfaces.by_name(&object.interface) {
            Some(link) => address.index = link.index,
            None => {
                if add {
                    let text = prefix_text(address.local, address.prefix_len);
                    let name = &object.interface;
                    log!(
                        Priority::Info,
                        "Not adding address {text} to {name} since interface doesn't exist"
                    );
                }
                return false;
            }
        }
        if add {
            address.push_add(&mut self.batch);
        } else {
            address.push_delete(&mut self.batch);
        }
        true
    }

    fn push_route(&mut self, object: RouteObject, add: bool) -> bool {
        let RouteObject {
            mut route,
            mode,
            interface,
            hop_interfaces,
        } = object;
        let index = |name: &Option<Box<str>>| match name {
            None => Ok(None),
            Some(name) => self
                .interfaces
                .by_name(name)
                .map(|l| Some(l.index))
                .ok_or_else(|| name.clone()),
        };
        let missing = |name: Box<str>| {
            if add {
                let text = route_text(&route);
                log!(
                    Priority::Info,
                    "Not adding route {text} since interface {name} doesn't exist"
                );
            }
            false
        };
        let mut hops = Vec::with_capacity(hop_interfaces.len());
        for name in &hop_interfaces {
            match index(name) {
                Ok(found) => hops.push(found.unwrap_or(0)),
                Err(name) => return missing(name),
            }
        }
        let own = match index(&interface) {
            Ok(found) => found,
            Err(name) => return missing(name),
        };
        route.interface = own;
        for (hop, index) in route.nexthops.iter_mut().zip(hops) {
            hop.interface = index;
        }
        if add {
            route.push_add(&mut self.batch, mode);
        } else {
            route.push_delete(&mut self.batch);
        }
        true
    }

    /// Adds a static object and puts it back whenever it goes. `text` describes it in `Restoring deleted static …`.
    pub fn add_static(&mut self, object: Object, text: Box<str>) {
        self.statics.insert(object, text);
        self.add(object);
    }

    /// Removes a static object and no longer minds its absence.
    pub fn remove_static(&mut self, object: Object) {
        self.statics.remove(&object);
        self.remove(object, false);
    }

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
                let error = text_of(Errno::ENOBUFS as i32);
                log!(
                    Priority::Info,
                    "Netlink: Receive buffer overrun on monitor socket - ({error})"
                );
                let advice =
                    "increase the relevant netlink_rcv_bufs global parameter and/or set force";
                log!(Priority::Info, "  - {advice}");
                self.compare(events).map(|()| true)
            }
            Err(e) => Err(e),
        };
        self.buffer = buffer;
        result
    }

    /// `cause`: the sequence number of the request of ours that the news follow from.
    fn take(&mut self, event: &Event, cause: Option<u32>, events: &mut Vec<KernelEvent>) {
        if self.interfaces.apply(event, &self.objects) {
            self.interfaces
                .take_changes(|id, facts| events.push(KernelEvent::Link(id, facts)));
        }
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

    fn address_gone(
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

    fn find_set(&self, matches: impl Fn(&Self, Object) -> bool) -> Option<Object> {
        self.set.keys().copied().find(|o| matches(self, *o))
    }

    fn gone(&mut self, object: Option<Object>, events: &mut Vec<KernelEvent>) {
        let Some(object) = object else {
            return;
        };
        self.set.remove(&object);
        let Some(text) = self.statics.get(&object).cloned() else {
            events.push(KernelEvent::Removed(object));
            return;
        };
        let word = match object {
            Object::Address(_) => "address",
            Object::Route(_) => "route",
            Object::Rule(_) => "rule",
        };
        self.add(object);
        self.flush(&mut Vec::new());
        log!(Priority::Info, "Restoring deleted static {word} {text}");
    }

    /// Whether a route that went is the object. Prefixes of length 0 come without an address from the kernel.
    fn is_route(&self, number: u32, gone: &Route) -> bool {
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

    fn is_rule(&self, number: u32, gone: &Rule) -> bool {
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
    fn compare(&mut self, events: &mut Vec<KernelEvent>) -> io::Result<()> {
        self.echoes.clear();
        self.read_interfaces()?;
        self.interfaces
            .take_changes(|id, facts| events.push(KernelEvent::Link(id, facts)));
        let mut seen = BTreeSet::new();
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

    fn describe(&self, object: Object) -> String {
        match object {
            Object::Address(n) => self.objects.address(n).map_or_else(String::new, |o| {
                let text = prefix_text(o.address.local, o.address.prefix_len);
                format!("address {text} dev {}", o.interface)
            }),
            Object::Route(n) => {
                let route = self.objects.route(n);
                route.map_or_else(String::new, |o| format!("route {}", route_text(&o.route)))
            }
            Object::Rule(n) => self.objects.rule(n).map_or_else(String::new, |r| {
                let any = || "all".to_owned();
                let from = r.from.map_or_else(any, |p| p.to_string());
                let to = r.to.map_or_else(any, |p| p.to_string());
                format!(
                    "rule from {from} to {to} priority {}",
                    r.priority.unwrap_or(0)
                )
            }),
        }
    }
}

impl AsFd for Kernel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.monitor.as_fd()
    }
}

/// The descriptor to wait for: readable when [`Kernel::receive`] has something.
impl AsRawFd for Kernel {
    fn as_raw_fd(&self) -> RawFd {
        self.monitor.as_raw_fd()
    }
}

/// Whether `seq` was given out after `other`; the numbers wrap.
const fn is_later(seq: u32, other: u32) -> bool {
    let ahead = seq.wrapping_sub(other);
    ahead != 0 && ahead < u32::MAX / 2
}

const fn libc_eio() -> i32 {
    Errno::EIO as i32
}

/// The text of `strerror`.
fn text_of(errno: i32) -> &'static str {
    Errno::from_raw(errno).desc()
}

const fn kind_of(object: Object, add: bool) -> u16 {
    match (object, add) {
        (Object::Address(_), true) => RTM_NEWADDR,
        (Object::Address(_), false) => RTM_DELADDR,
        (Object::Route(_), true) => RTM_NEWROUTE,
        (Object::Route(_), false) => RTM_DELROUTE,
        (Object::Rule(_), true) => RTM_NEWRULE,
        (Object::Rule(_), false) => RTM_DELRULE,
    }
}

const fn name_of(kind: u16) -> &'static str {
    match kind {
        RTM_NEWADDR => "RTM_NEWADDR",
        RTM_DELADDR => "RTM_DELADDR",
        RTM_NEWROUTE => "RTM_NEWROUTE",
        RTM_DELROUTE => "RTM_DELROUTE",
        RTM_NEWRULE => "RTM_NEWRULE",
        RTM_DELRULE => "RTM_DELRULE",
        _ => "",
    }
}

/// The original leaves out the prefix length of a host.
fn prefix_text(address: std::net::IpAddr, len: u8) -> String {
    if len == Family::of(&address).bits() {
        address.to_string()
    } else {
        format!("{address}/{len}")
    }
}

fn route_text(route: &Route) -> String {
    let to = network(route.destination).map_or_else(|| "default".to_owned(), |p| p.to_string());
    let via = route
        .gateway
        .map_or_else(String::new, |g| format!(" via {g}"));
    format!("{to}{via} table {}", route.table)
}

fn network(prefix: Option<Prefix>) -> Option<Prefix> {
    prefix.filter(|p| p.len > 0)
}

/// The number of an interface as netlink has it.
pub fn index_of(facts: LinkFacts) -> u32 {
    facts.index.map_or(0, IfIndex::get)
}

#[cfg(test)]
mod tests;
