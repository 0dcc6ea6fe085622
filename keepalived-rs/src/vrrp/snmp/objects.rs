//! Addresses, routes with their next hops, and rules: KEEPALIVED-MIB vrrp(2), tables 6, 7, 8 and 11.
//!
//! The first index is 0 for static objects, else the instance's number; the second counts the objects, addresses and excluded
//! addresses in one row.

use std::net::IpAddr;

use agentx_wire::{Tree, Value};
use conf_parsers::keepalived::model::address::Address;
use conf_parsers::keepalived::model::route::{
    Encap, EncapIp, FEATURE_ECN, Metric, NextHop, Route, RouteType, Target,
};
use conf_parsers::keepalived::model::rule::{Range, Rule, RuleAction};
use net_types::Family;
use vrrp_proto::{InstanceId, Object};

use super::View;
use crate::mib::{address_type, keepalived, octets, scope};

fn truth(value: bool) -> Option<Value> {
    Some(Value::truth(value))
}

fn unsigned(value: impl Into<u32>) -> Option<Value> {
    Some(Value::Unsigned(value.into()))
}

/// Number and name.
type Interface<'a> = Option<(u32, &'a str)>;

fn index_of(interface: Option<(u32, &str)>) -> Option<Value> {
    interface.map(|(index, _)| Value::Integer(index as i32))
}

fn name_of(interface: Option<(u32, &str)>) -> Option<Value> {
    interface.map(|(_, name)| Value::text(name))
}

fn id(instance: usize) -> InstanceId {
    InstanceId(u16::try_from(instance).unwrap_or(u16::MAX))
}

impl View<'_> {
    fn interface<'n>(&self, name: Option<&'n str>) -> Option<(u32, &'n str)> {
        let name = name?;
        Some((self.link(name).map_or(0, |l| l.index), name))
    }

    /// Whether the static objects of a kind are set, in the order of the file.
    fn statics_set(&self, of: impl Fn(Object) -> bool) -> Vec<bool> {
        let own = self.statics.iter().filter(|s| of(s.object));
        own.map(|s| self.sources.kernel.is_set(s.object)).collect()
    }
}

struct AddressRow<'a> {
    written: &'a Address,
    interface: Option<(u32, &'a str)>,
    set: bool,
    advertised: bool,
}

pub(super) fn addresses(tree: &mut Tree, view: &View<'_>) {
    let vrrp = &view.model.vrrp;
    let row = |written, dev: Option<&'_ str>, set, advertised| {
        (written, dev.map(str::to_owned), set, advertised)
    };
    let mut found = Vec::new();
    for (n, (written, now)) in
        (1..).zip(vrrp.static_addresses.iter().zip(&view.now.static_addresses))
    {
        found.push((vec![0, n], row(written, now.dev.as_deref(), now.set, false)));
    }
    for (i, (instance, now)) in (1..).zip(vrrp.instances.iter().zip(&view.now.instances)) {
        let own = instance.vips.iter().zip(&now.vips).map(|a| (a, true));
        let excluded = instance.evips.iter().zip(&now.evips).map(|a| (a, false));
        for (n, ((written, now), advertised)) in (1..).zip(own.chain(excluded)) {
            found.push((
                vec![i, n],
                row(written, now.dev.as_deref(), now.set, advertised),
            ));
        }
    }
    let rows: Vec<(Vec<u32>, AddressRow<'_>)> = found
        .iter()
        .map(|(index, (written, dev, set, advertised))| {
            let row = AddressRow {
                written,
                interface: view.interface(dev.as_deref()),
                set: *set,
                advertised: *advertised,
            };
            (index.clone(), row)
        })
        .collect();
    tree.table(
        &keepalived(&[2, 6, 1]),
        &rows,
        &[
            (2, |r| Some(address_type(r.written.prefix.addr))),
            (3, |r| Some(octets(r.written.prefix.addr))),
            (4, |r| {
                let brd = r.written.broadcast.map_or([0; 4], |b| b.octets());
                (r.written.family() == Family::V4).then(|| Value::Octets(brd.to_vec()))
            }),
            (5, |r| unsigned(r.written.prefix.len)),
            (6, |r| Some(scope(r.written.scope))),
            (7, |r| index_of(r.interface)),
            (8, |r| name_of(r.interface)),
            (9, |r| r.written.label.as_ref().map(|l| Value::text(l))),
            (10, |r| truth(r.set)),
            (11, |r| truth(r.advertised)),
            (12, |r| r.written.peer.map(octets)),
        ],
    );
}

struct RouteRow<'a> {
    written: &'a Route,
    interface: Option<(u32, &'a str)>,
    set: bool,
}

impl RouteRow<'_> {
    fn metric(&self, metric: Metric) -> Option<Value> {
        self.divided(metric, 1)
    }

    fn divided(&self, metric: Metric, by: u32) -> Option<Value> {
        let value = self.written.metrics.get(metric)?;
        unsigned(value.checked_div(by).unwrap_or(value))
    }

    fn lock(&self, metric: Metric) -> Option<Value> {
        self.written.metrics.get(metric)?;
        truth(self.written.metrics.is_locked(metric))
    }
}

/// The address of a destination or source; of one that means all, zeros.
fn target(target: &Target) -> Value {
    match target {
        Target::Prefix(prefix) => octets(prefix.addr),
        Target::Any(Family::V4) => Value::Octets(vec![0; 4]),
        Target::Any(Family::V6) => Value::Octets(vec![0; 16]),
    }
}

const fn family(family: Family) -> Value {
    Value::Integer(match family {
        Family::V4 => 1,
        Family::V6 => 2,
    })
}

fn kind(route: &Route) -> i32 {
    if !route.nexthops.is_empty() {
        return 2;
    }
    let Some(kind) = route.kind else { return 1 };
    match kind {
        RouteType::BLACKHOLE => 3,
        RouteType::ANYCAST => 4,
        RouteType::MULTICAST => 5,
        RouteType::BROADCAST => 6,
        RouteType::UNREACHABLE => 7,
        RouteType::PROHIBIT => 8,
        RouteType::THROW => 9,
        RouteType::NAT => 10,
        RouteType::XRESOLVE => 11,
        _ => 1,
    }
}

/// Parts of `encap`, by their distance from its first column.
fn encap(encap: Option<&Encap>, part: u32) -> Option<Value> {
    let encap = encap?;
    let ip: Option<&EncapIp> = match encap {
        Encap::Ip(ip) | Encap::Ip6(ip) => Some(ip),
        Encap::Mpls(_) | Encap::Ila(_) => None,
    };
    match part {
        // LWTUNNEL_ENCAP_* and one.
        0 => Some(Value::Integer(match encap {
            Encap::Mpls(_) => 2,
            Encap::Ip(_) => 3,
            Encap::Ila(_) => 4,
            Encap::Ip6(_) => 5,
        })),
        1 => match encap {
            Encap::Mpls(labels) => {
                // The words of the kernel's structure as they lie in memory, in decimal.
                let words = labels
                    .iter()
                    .map(|l| u32::from_ne_bytes(l.to_be_bytes()).to_string());
                Some(Value::text(&words.collect::<Vec<_>>().join("/")))
            }
            _ => None,
        },
        2 => ip?.id.map(Value::Counter64),
        3 => ip?.dst.map(octets),
        4 => ip?.src.map(octets),
        5 => unsigned(ip?.tos?),
        6 => unsigned(ip?.ttl?),
        7 => unsigned(ip?.flags?),
        _ => match encap {
            Encap::Ila(locator) => Some(Value::Counter64(u64::from_ne_bytes(*locator))),
            _ => None,
        },
    }
}

pub(super) fn routes(tree: &mut Tree, view: &View<'_>) {
    let vrrp = &view.model.vrrp;
    let mut rows: Vec<(Vec<u32>, RouteRow<'_>)> = Vec::new();
    let set = view.statics_set(|o| matches!(o, Object::Route(_)));
    for (n, (written, set)) in (1..).zip(vrrp.static_routes.iter().zip(set)) {
        rows.push((vec![0, n], route_row(view, written, set)));
    }
    let cores = &view.sources.router.config().instances;
    for (at, (instance, core)) in vrrp.instances.iter().zip(cores).enumerate() {
        let i = u32::try_from(at.saturating_add(1)).unwrap_or(u32::MAX);
        for (n, (written, core)) in (1..).zip(instance.routes.iter().zip(&core.routes)) {
            let set = view
                .sources
                .router
                .is_set(id(at), Object::Route(core.object));
            rows.push((vec![i, n], route_row(view, written, set)));
        }
    }
    tree.table(
        &keepalived(&[2, 7, 1]),
        &rows,
        &[
            (2, |r| Some(family(r.written.dst.family()))),
            (3, |r| Some(target(&r.written.dst))),
            (4, |r| unsigned(r.written.dst.prefix_len())),
            (5, |r| r.written.via.map(octets)),
            (6, |r| match r.written.nexthops.as_slice() {
                [only] if only.encap.is_none() => only.via.map(octets),
                _ => None,
            }),
            (7, |r| r.written.pref_src.map(octets)),
            (8, |r| unsigned(r.written.metric.unwrap_or(0))),
            (9, |r| Some(scope(r.written.scope.unwrap_or(0)))),
            (10, |r| Some(Value::Integer(kind(r.written)))),
            (11, |r| index_of(r.interface)),
            (12, |r| name_of(r.interface)),
            (13, |r| unsigned(r.written.table)),
            (14, |r| truth(r.set)),
            (15, |r| r.written.src.as_ref().map(target)),
            (16, |r| unsigned(r.written.src.as_ref()?.prefix_len())),
            (17, |r| unsigned(r.written.tos?)),
            (18, |r| {
                Some(Value::Integer(
                    i32::from(r.written.protocol?).saturating_add(1),
                ))
            }),
            (19, |r| {
                let features = r.written.metrics.get(Metric::Features).unwrap_or(0);
                truth(features & FEATURE_ECN != 0)
            }),
            (20, |r| {
                truth(r.written.metrics.get(Metric::QuickAck).is_some())
            }),
            (21, |r| Some(Value::Integer(r.written.expires? as i32))),
            (22, |r| r.metric(Metric::Mtu)),
            (23, |r| r.lock(Metric::Mtu)),
            (24, |r| r.metric(Metric::HopLimit)),
            // As the original: shown with the hop limit, whatever it is.
            (25, |r| {
                r.written.metrics.get(Metric::HopLimit)?;
                unsigned(r.written.metrics.get(Metric::AdvMss).unwrap_or(0))
            }),
            (26, |r| r.lock(Metric::AdvMss)),
            (27, |r| r.divided(Metric::Rtt, 8)),
            (28, |r| r.lock(Metric::Rtt)),
            (29, |r| r.divided(Metric::RttVar, 4)),
            (30, |r| r.lock(Metric::RttVar)),
            (31, |r| r.metric(Metric::Reordering)),
            (32, |r| r.lock(Metric::Reordering)),
            (33, |r| r.metric(Metric::Window)),
            (34, |r| r.metric(Metric::Cwnd)),
            (35, |r| r.lock(Metric::Cwnd)),
            (36, |r| r.metric(Metric::SsThresh)),
            (37, |r| r.lock(Metric::SsThresh)),
            (38, |r| r.metric(Metric::RtoMin)),
            (39, |r| r.lock(Metric::RtoMin)),
            (40, |r| r.metric(Metric::InitCwnd)),
            (41, |r| r.metric(Metric::InitRwnd)),
            (42, |r| {
                r.written.metrics.congctl.as_deref().map(Value::text)
            }),
            (43, |r| {
                Some(Value::Integer(match r.written.pref? {
                    3 => 1,
                    0 => 2,
                    1 => 3,
                    _ => 0,
                }))
            }),
            (44, |r| realm_to(r.written.realms)),
            (45, |r| realm_from(r.written.realms)),
            (46, |r| encap(r.written.encap.as_ref(), 0)),
            (47, |r| encap(r.written.encap.as_ref(), 1)),
            (48, |r| encap(r.written.encap.as_ref(), 2)),
            (49, |r| encap(r.written.encap.as_ref(), 3)),
            (50, |r| encap(r.written.encap.as_ref(), 4)),
            (51, |r| encap(r.written.encap.as_ref(), 5)),
            (52, |r| encap(r.written.encap.as_ref(), 6)),
            (53, |r| encap(r.written.encap.as_ref(), 7)),
            (54, |r| encap(r.written.encap.as_ref(), 8)),
            (55, |r| {
                truth(r.written.metrics.get(Metric::FastOpenNoCookie)? != 0)
            }),
        ],
    );
    next_hops(tree, view, &rows);
}

fn route_row<'a>(view: &View<'a>, written: &'a Route, set: bool) -> RouteRow<'a> {
    RouteRow {
        written,
        interface: view.interface(written.dev.as_ref().map(|d| &*d.value)),
        set,
    }
}

fn realm_to(realms: u32) -> Option<Value> {
    (realms != 0).then_some(Value::Unsigned(realms & 0xffff))
}

fn realm_from(realms: u32) -> Option<Value> {
    (realms >> 16 != 0).then_some(Value::Unsigned(realms >> 16))
}

fn next_hops(tree: &mut Tree, view: &View<'_>, routes: &[(Vec<u32>, RouteRow<'_>)]) {
    let mut rows: Vec<(Vec<u32>, (&NextHop, Interface<'_>))> = Vec::new();
    for (index, route) in routes {
        for (n, hop) in (1..).zip(&route.written.nexthops) {
            let interface = view.interface(hop.dev.as_ref().map(|d| &*d.value));
            rows.push(([&**index, &[n]].concat(), (hop, interface)));
        }
    }
    tree.table(
        &keepalived(&[2, 11, 1]),
        &rows,
        &[
            (2, |(h, _)| h.via.map(address_type)),
            (3, |(h, _)| h.via.map(octets)),
            (4, |(_, i)| index_of(*i)),
            (5, |(_, i)| name_of(*i)),
            (6, |(h, _)| unsigned(h.weight?)),
            (7, |(h, _)| truth(h.onlink)),
            (8, |(h, _)| realm_to(h.realms)),
            (9, |(h, _)| realm_from(h.realms)),
            (10, |(h, _)| encap(h.encap.as_ref(), 0)),
            (11, |(h, _)| encap(h.encap.as_ref(), 1)),
            (12, |(h, _)| encap(h.encap.as_ref(), 2)),
            (13, |(h, _)| encap(h.encap.as_ref(), 3)),
            (14, |(h, _)| encap(h.encap.as_ref(), 4)),
            (15, |(h, _)| encap(h.encap.as_ref(), 5)),
            (16, |(h, _)| encap(h.encap.as_ref(), 6)),
            (17, |(h, _)| encap(h.encap.as_ref(), 7)),
            (18, |(h, _)| encap(h.encap.as_ref(), 8)),
        ],
    );
}

/// The obsolete columns show the destination, else the source.
fn either(rule: &Rule) -> Option<&Target> {
    rule.to.as_ref().or(rule.from.as_ref())
}

fn start<T: Copy + Into<u32>>(range: Option<Range<T>>) -> Option<Value> {
    unsigned(range?.start)
}

fn end<T: Copy + Into<u32>>(range: Option<Range<T>>) -> Option<Value> {
    unsigned(range?.end)
}

fn table(rule: &Rule) -> Option<Value> {
    match rule.action {
        RuleAction::Lookup(table) => unsigned(table),
        // RT_TABLE_UNSPEC
        RuleAction::L3mdev => unsigned(0_u32),
        _ => None,
    }
}

pub(super) fn rules(tree: &mut Tree, view: &View<'_>) {
    let vrrp = &view.model.vrrp;
    let mut rows: Vec<(Vec<u32>, (&Rule, bool))> = Vec::new();
    let set = view.statics_set(|o| matches!(o, Object::Rule(_)));
    for (n, (written, set)) in (1..).zip(vrrp.static_rules.iter().zip(set)) {
        rows.push((vec![0, n], (written, set)));
    }
    let cores = &view.sources.router.config().instances;
    for (at, (instance, core)) in vrrp.instances.iter().zip(cores).enumerate() {
        let i = u32::try_from(at.saturating_add(1)).unwrap_or(u32::MAX);
        for (n, (written, core)) in (1..).zip(instance.rules.iter().zip(&core.rules)) {
            let set = view
                .sources
                .router
                .is_set(id(at), Object::Rule(core.object));
            rows.push((vec![i, n], (written, set)));
        }
    }
    tree.table(
        &keepalived(&[2, 8, 1]),
        &rows,
        &[
            (2, |(r, _)| {
                Some(Value::text(match (&r.to, &r.from) {
                    (Some(_), Some(_)) => "both",
                    (Some(_), None) => "to",
                    (None, Some(_)) => "from",
                    (None, None) => "",
                }))
            }),
            (3, |(r, _)| either(r).map(|t| family(t.family()))),
            (4, |(r, _)| either(r).map(target)),
            (5, |(r, _)| unsigned(either(r)?.prefix_len())),
            (6, |(r, _)| table(r)),
            (7, |(_, set)| truth(*set)),
            (8, |(r, _)| truth(r.invert)),
            (9, |(r, _)| r.to.as_ref().map(|t| family(t.family()))),
            (10, |(r, _)| r.to.as_ref().map(target)),
            (11, |(r, _)| unsigned(r.to.as_ref()?.prefix_len())),
            (12, |(r, _)| r.from.as_ref().map(|t| family(t.family()))),
            (13, |(r, _)| r.from.as_ref().map(target)),
            (14, |(r, _)| unsigned(r.from.as_ref()?.prefix_len())),
            (15, |(r, _)| unsigned(r.tos)),
            (16, |(r, _)| unsigned(r.fwmark?.0)),
            (17, |(r, _)| unsigned(r.fwmark?.1?)),
            (18, |(r, _)| realm_to(r.realms)),
            (19, |(r, _)| realm_from(r.realms)),
            (20, |(r, _)| r.iif.as_ref().map(|i| Value::text(i))),
            (21, |(r, _)| r.oif.as_ref().map(|i| Value::text(i))),
            (22, |(r, _)| match r.action {
                RuleAction::Goto(target) => unsigned(target),
                _ => None,
            }),
            (23, |(r, _)| Some(Value::Integer(r.action.number().into()))),
            (24, |(r, _)| table(r)),
            (25, |(r, _)| {
                (r.priority != 0).then_some(Value::Unsigned(r.priority))
            }),
            (26, |(r, _)| {
                unsigned(r.suppress_prefix_len.filter(|l| *l != -1)? as u32)
            }),
            (27, |(r, _)| {
                r.suppress_ifgroup.map(|g| Value::text(&g.to_string()))
            }),
            (28, |(r, _)| tunnel(r, 32)),
            (29, |(r, _)| tunnel(r, 0)),
            (30, |(r, _)| start(r.uid_range)),
            (31, |(r, _)| end(r.uid_range)),
            (32, |(r, _)| {
                (r.action == RuleAction::L3mdev).then_some(Value::Integer(1))
            }),
        ],
    );
}

fn tunnel(rule: &Rule, shift: u32) -> Option<Value> {
    let part = u32::try_from((rule.tunnel_id >> shift) & 0xffff_ffff).ok()?;
    (rule.tunnel_id != 0).then_some(Value::Unsigned(part))
}

/// The index of an address in the MIBs of the RFCs.
pub(super) fn parts(address: IpAddr) -> Vec<u32> {
    match address {
        IpAddr::V4(a) => a.octets().map(u32::from).to_vec(),
        IpAddr::V6(a) => a.octets().map(u32::from).to_vec(),
    }
}
