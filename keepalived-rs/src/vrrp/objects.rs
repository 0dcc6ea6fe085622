//! The table of kernel objects: addresses, routes and rules with the numbers by which the core knows them.
//!
//! In: the configuration's lines. Out: numbers ([`Object`]), and the netlink values behind them. Equal lines have the same
//! number for as long as anything uses them, so that a reload finds what has not changed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use conf_parsers::keepalived::model::{
    address as written, route as written_route, rule as written_rule,
};
use net_types::{Family, Prefix, SortedMap, SortedSet};
use netlink_wire::address::{FOREVER, Lifetimes};
use netlink_wire::route::{
    AddMode, Encap, IpTunnel, Metric, NextHop, PROTOCOL_KEEPALIVED, TABLE_MAIN,
};
use netlink_wire::{Address, Route, Rule};
use vrrp_proto::Object;

/// `RTNH_F_ONLINK`
const ONLINK: u8 = 4;

/// An address and the name of its interface. The interface's number in it is filled in when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressObject {
    /// Where it is added.
    pub interface: Box<str>,
    /// What is added.
    pub address: Address,
}

impl AddressObject {
    /// From a line of the configuration; `interface` is the line's own or the virtual router's.
    pub fn new(line: &written::Address, interface: &str) -> Self {
        let mut address = Address::new(0, line.prefix.addr, line.prefix.len);
        address.scope = line.scope;
        address.flags = line.kernel_flags().bits();
        address.broadcast = line.broadcast;
        address.label = line.label.as_ref().map(|l| l.value.clone());
        address.peer = line.peer;
        address.protocol = Some(PROTOCOL_KEEPALIVED);
        if line.family() == Family::V6 && line.preferred_lft != written::LIFETIME_FOREVER {
            address.lifetimes = Some(Lifetimes {
                preferred: line.preferred_lft,
                valid: FOREVER,
            });
        }
        Self {
            interface: interface.into(),
            address,
        }
    }

    /// Same address, prefix length, interface, scope and label: the original's idea of "the same".
    fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (&self.address, &other.address);
        self.interface == other.interface
            && (a.local, a.prefix_len, a.scope) == (b.local, b.prefix_len, b.scope)
            && a.label == b.label
    }
}

/// A route and the names of its interfaces, whose numbers are filled in when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteObject {
    /// What is added.
    pub route: Route,
    /// Where among routes with the same key.
    pub mode: AddMode,
    /// `dev`
    pub interface: Option<Box<str>>,
    /// `dev` of each next hop.
    pub hop_interfaces: Vec<Option<Box<str>>>,
}

impl RouteObject {
    /// From a line of the configuration.
    pub fn new(line: &written_route::Route) -> Self {
        let mut route = Route::new(line.family);
        route.destination = Some(prefix(line.dst));
        route.source = line.src.map(prefix);
        route.tos = line.tos.unwrap_or(0);
        route.table = line.table;
        route.protocol = line.protocol.unwrap_or(PROTOCOL_KEEPALIVED);
        route.scope = line.scope;
        route.kind = line.kind.map(|k| k.0);
        route.flags = if line.onlink { u32::from(ONLINK) } else { 0 };
        route.preferred_source = line.pref_src;
        route.gateway = line.via;
        route.encap = line.encap.as_ref().map(encap);
        route.metric = line.metric;
        route.realms = line.realms;
        route.expires = line.expires;
        route.preference = line.pref;
        route.ttl_propagate = line.ttl_propagate.map(u8::from);
        route.congestion_control.clone_from(&line.metrics.congctl);
        route.metrics = line.metrics.iter().map(|(m, v)| (metric(m), v)).collect();
        route.locked = line.metrics.lock;
        route.nexthops = line.nexthops.iter().map(nexthop).collect();
        Self {
            route,
            mode: match line.placement {
                written_route::Placement::Prepend => AddMode::Prepend,
                written_route::Placement::Append => AddMode::Append,
                written_route::Placement::Add => AddMode::Exclusive,
            },
            interface: line.dev.as_ref().map(|d| d.value.clone()),
            hop_interfaces: line
                .nexthops
                .iter()
                .map(|n| n.dev.as_ref().map(|d| d.value.clone()))
                .collect(),
        }
    }
}

impl RouteObject {
    /// Whether the kernel lets one take the place of the other: same key, and the same way, scope and type, as the original compares them.
    pub fn has_same_key(&self, other: &Self) -> bool {
        let (a, b) = (&self.route, &other.route);
        (a.family, a.destination, a.tos, a.metric, a.table)
            == (b.family, b.destination, b.tos, b.metric, b.table)
            && (a.scope, a.kind, a.gateway) == (b.scope, b.kind, b.gateway)
            && self.interface == other.interface
            && (&a.nexthops, &self.hop_interfaces) == (&b.nexthops, &other.hop_interfaces)
    }
}

/// A rule from a line of the configuration.
pub fn rule(line: &written_rule::Rule) -> Rule {
    let mut rule = Rule::new(line.family);
    rule.action = line.action.number();
    rule.table = 0;
    match line.action {
        written_rule::RuleAction::Lookup(0) => rule.table = TABLE_MAIN,
        written_rule::RuleAction::Lookup(table) => rule.table = table,
        written_rule::RuleAction::L3mdev => rule.l3mdev = true,
        written_rule::RuleAction::Goto(priority) => rule.goto = Some(priority),
        _ => {}
    }
    rule.invert = line.invert;
    rule.tos = line.tos;
    rule.from = line.from.map(prefix);
    rule.to = line.to.map(prefix);
    rule.priority = Some(line.priority);
    rule.mark = line.fwmark.map(|(mark, _)| mark);
    rule.mask = line.fwmark.and_then(|(_, mask)| mask);
    rule.realms = line.realms;
    rule.suppress_prefix_len = line
        .suppress_prefix_len
        .map(|len| u32::from_ne_bytes(len.to_ne_bytes()));
    rule.suppress_group = line.suppress_ifgroup;
    rule.incoming = line.iif.as_ref().map(|i| i.value.clone());
    rule.outgoing = line.oif.as_ref().map(|i| i.value.clone());
    rule.tunnel_id = line.tunnel_id;
    rule.users = line.uid_range.map(|r| (r.start, r.end));
    rule.protocol = line.protocol;
    rule.ip_protocol = line.ip_proto;
    rule.source_ports = line.sport.map(|r| (r.start, r.end));
    rule.destination_ports = line.dport.map(|r| (r.start, r.end));
    rule
}

fn prefix(target: written_route::Target) -> Prefix {
    match target {
        written_route::Target::Prefix(prefix) => prefix,
        written_route::Target::Any(Family::V4) => Prefix {
            addr: Ipv4Addr::UNSPECIFIED.into(),
            len: 0,
        },
        written_route::Target::Any(Family::V6) => Prefix {
            addr: Ipv6Addr::UNSPECIFIED.into(),
            len: 0,
        },
    }
}

fn nexthop(hop: &written_route::NextHop) -> NextHop {
    NextHop {
        gateway: hop.via,
        interface: 0,
        hops: hop
            .weight
            .map_or(0, |w| u8::try_from(w.saturating_sub(1)).unwrap_or(u8::MAX)),
        flags: if hop.onlink { ONLINK } else { 0 },
        realms: hop.realms,
        encap: hop.encap.as_ref().map(encap),
    }
}

fn encap(encap: &written_route::Encap) -> Encap {
    match encap {
        written_route::Encap::Mpls(labels) => Encap::Mpls(labels.clone()),
        written_route::Encap::Ip(t) => Encap::Ip(tunnel(t, |ip| match ip {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })),
        written_route::Encap::Ila(locator) => Encap::Ila(u64::from_be_bytes(*locator)),
        written_route::Encap::Ip6(t) => Encap::Ip6(tunnel(t, |ip| match ip {
            IpAddr::V4(_) => None,
            IpAddr::V6(ip) => Some(ip),
        })),
    }
}

fn tunnel<A>(
    line: &written_route::EncapIp,
    of_family: impl Fn(IpAddr) -> Option<A>,
) -> IpTunnel<A> {
    IpTunnel {
        id: line.id,
        destination: line.dst.and_then(&of_family),
        source: line.src.and_then(&of_family),
        tos: line.tos,
        ttl: line.ttl,
        flags: line.flags,
    }
}

fn metric(metric: written_route::Metric) -> Metric {
    use written_route::Metric as Line;
    match metric {
        Line::Mtu => Metric::Mtu,
        Line::Window => Metric::Window,
        Line::Rtt => Metric::Rtt,
        Line::RttVar => Metric::RttVar,
        Line::SsThresh => Metric::SsThresh,
        Line::Cwnd => Metric::Cwnd,
        Line::AdvMss => Metric::AdvMss,
        Line::Reordering => Metric::Reordering,
        Line::HopLimit => Metric::HopLimit,
        Line::InitCwnd => Metric::InitCwnd,
        Line::Features => Metric::Features,
        Line::RtoMin => Metric::RtoMin,
        Line::InitRwnd => Metric::InitRwnd,
        Line::QuickAck => Metric::QuickAck,
        Line::FastOpenNoCookie => Metric::FastOpenNoCookie,
    }
}

/// A route with the number of its key.
#[derive(Debug)]
struct KeyedRoute {
    object: RouteObject,
    key: u32,
}

/// All objects that the configuration names, that are in the kernel, or that are on their way there.
#[derive(Debug, Default)]
pub struct Objects {
    addresses: Slots<AddressObject>,
    routes: Slots<KeyedRoute>,
    rules: Slots<Rule>,
    /// Numbers of the addresses by their address.
    by_address: SortedMap<IpAddr, Vec<u32>>,
    /// Addresses of the present configuration.
    current: SortedSet<u32>,
    /// The next key of a route.
    next_key: u32,
}

impl Objects {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new configuration is about to name its objects: until then no address counts as ours.
    pub fn begin_configuration(&mut self) {
        self.current.clear();
    }

    /// The number of an address. What does not belong to its identity (lifetimes, flags, peer) is that of the latest call.
    pub fn intern_address(&mut self, object: AddressObject) -> Object {
        let numbers = self.by_address.or_default(object.address.local);
        for number in numbers.iter() {
            let slot = self.addresses.get_mut(*number);
            if let Some(known) = slot.filter(|known| known.is_same(&object)) {
                *known = object;
                self.current.insert(*number);
                return Object::Address(*number);
            }
        }
        let number = self.addresses.insert(object);
        numbers.push(number);
        self.current.insert(number);
        Object::Address(number)
    }

    /// The number of a route; every part of it belongs to its identity.
    pub fn intern_route(&mut self, object: RouteObject) -> Object {
        if let Some(known) = self.routes.find(|r| r.object == object) {
            return Object::Route(known);
        }
        let like = self.routes.find(|r| r.object.has_same_key(&object));
        let key = match like.and_then(|n| self.routes.get(n)) {
            Some(known) => known.key,
            None => {
                self.next_key = self.next_key.wrapping_add(1);
                self.next_key
            }
        };
        Object::Route(self.routes.insert(KeyedRoute { object, key }))
    }

    /// The number of a rule; every part of it belongs to its identity.
    pub fn intern_rule(&mut self, rule: Rule) -> Object {
        let known = self.rules.find(|r| *r == rule);
        Object::Rule(known.unwrap_or_else(|| self.rules.insert(rule)))
    }

    /// Forgets what `used` does not want; its numbers will be given to others.
    pub fn forget(&mut self, used: impl Fn(Object) -> bool) {
        self.addresses.retain(|n| used(Object::Address(n)));
        self.routes.retain(|n| used(Object::Route(n)));
        self.rules.retain(|n| used(Object::Rule(n)));
        let addresses = &self.addresses;
        self.current.retain(|n| addresses.get(*n).is_some());
        self.by_address.retain(|_, numbers| {
            numbers.retain(|n| addresses.get(*n).is_some());
            !numbers.is_empty()
        });
    }

    /// The address behind a number.
    pub fn address(&self, number: u32) -> Option<&AddressObject> {
        self.addresses.get(number)
    }

    /// The route behind a number.
    pub fn route(&self, number: u32) -> Option<&RouteObject> {
        self.routes.get(number).map(|r| &r.object)
    }

    /// Equal for routes of which one can replace the other ([`RouteObject::has_same_key`]).
    pub fn route_key(&self, number: u32) -> Option<u32> {
        self.routes.get(number).map(|r| r.key)
    }

    /// The rule behind a number.
    pub fn rule(&self, number: u32) -> Option<&Rule> {
        self.rules.get(number)
    }

    /// Objects with this address, on whatever interface, that the present configuration names.
    pub fn addresses_like(&self, address: IpAddr) -> impl Iterator<Item = (u32, &AddressObject)> {
        let numbers = self.by_address.get(&address).map_or(&[][..], |n| n);
        let current = numbers.iter().filter(|n| self.current.contains(*n));
        current.filter_map(|n| Some((*n, self.addresses.get(*n)?)))
    }

    /// Whether there are routes and rules, IPv4 then IPv6: only then their news matter.
    pub(super) fn kinds(&self) -> ([bool; 2], [bool; 2]) {
        let has_route = |f| self.routes.iter().any(|r| r.object.route.family == f);
        let has_rule = |f| self.rules.iter().any(|r| r.family == f);
        (
            [has_route(Family::V4), has_route(Family::V6)],
            [has_rule(Family::V4), has_rule(Family::V6)],
        )
    }
}

/// Values by number; numbers of forgotten ones are used again.
#[derive(Debug)]
struct Slots<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slots<T> {
    fn get(&self, number: u32) -> Option<&T> {
        self.slots.get(usize::try_from(number).ok()?)?.as_ref()
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slots.get_mut(usize::try_from(number).ok()?)?.as_mut()
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }

    fn find(&self, wanted: impl Fn(&T) -> bool) -> Option<u32> {
        let matches = |slot: &Option<T>| slot.as_ref().is_some_and(&wanted);
        let at = self.slots.iter().position(matches)?;
        u32::try_from(at).ok()
    }

    fn insert(&mut self, value: T) -> u32 {
        let reused = self.free.pop();
        let slot = reused.and_then(|n| self.slots.get_mut(usize::try_from(n).ok()?));
        if let (Some(number), Some(slot)) = (reused, slot) {
            *slot = Some(value);
            return number;
        }
        self.slots.push(Some(value));
        u32::try_from(self.slots.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        for (number, slot) in (0..).zip(&mut self.slots) {
            if slot.is_some() && !keep(number) {
                *slot = None;
                self.free.push(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vip(interface: &str, text: &str) -> AddressObject {
        AddressObject {
            interface: interface.into(),
            address: Address::new(0, text.parse().unwrap(), 24),
        }
    }

    #[test]
    fn equal_lines_have_one_number_and_a_reload_keeps_it() {
        let mut objects = Objects::new();
        let a = objects.intern_address(vip("eth0", "10.0.0.1"));
        let b = objects.intern_address(vip("eth1", "10.0.0.1"));
        assert_ne!(a, b);
        let mut again = vip("eth0", "10.0.0.1");
        again.address.flags = 2;
        objects.begin_configuration();
        assert_eq!(
            objects.addresses_like("10.0.0.1".parse().unwrap()).count(),
            0
        );
        assert_eq!(objects.intern_address(again), a);
        let ours: Vec<_> = objects
            .addresses_like("10.0.0.1".parse().unwrap())
            .collect();
        assert_eq!(ours.len(), 1);
        assert_eq!((ours[0].0, ours[0].1.address.flags), (0, 2));
    }

    #[test]
    fn routes_are_told_apart_by_every_part() {
        let mut objects = Objects::new();
        let object = |metric| {
            let mut route = Route::new(Family::V4);
            route.metric = Some(metric);
            RouteObject {
                route,
                mode: AddMode::Prepend,
                interface: None,
                hop_interfaces: Vec::new(),
            }
        };
        assert_eq!(objects.intern_route(object(5)), Object::Route(0));
        assert_eq!(objects.intern_route(object(6)), Object::Route(1));
        assert_eq!(objects.intern_route(object(5)), Object::Route(0));
        assert_eq!(objects.kinds(), ([true, false], [false, false]));
        // Another metric of the same key could take its place; another preference among equals cannot.
        assert_ne!(objects.route_key(0), objects.route_key(1));
        let mut like = object(5);
        like.route.realms = 7;
        assert_eq!(objects.intern_route(like), Object::Route(2));
        assert_eq!(objects.route_key(0), objects.route_key(2));
    }

    #[test]
    fn what_is_no_longer_used_makes_room() {
        let mut objects = Objects::new();
        for n in 0..100 {
            objects.begin_configuration();
            let own = objects.intern_address(vip("eth0", &format!("10.0.0.{n}")));
            let rule = objects.intern_rule(Rule::new(Family::V4));
            objects.forget(|o| o == own || o == rule);
            assert_eq!(
                objects.addresses_like("10.0.0.1".parse().unwrap()).count(),
                usize::from(n == 1)
            );
        }
        assert!(objects.addresses.slots.len() <= 2);
        assert_eq!(
            (objects.by_address.len(), objects.rules.slots.len()),
            (1, 1)
        );
    }
}
