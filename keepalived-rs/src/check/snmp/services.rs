//! Virtual server groups, virtual servers, and what belongs to none of them: tables 1, 2 and 3, nodes 6 and 7 of check(3).

use std::net::IpAddr;

use agentx_wire::{Rows, Tree, Value};
use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::lvs::{
    Granularity, GroupEntry, Protocol, Service, ServiceFlags, VirtualServer, VirtualServerGroup,
};
use net_types::Family;

use super::{Places, View, id, seconds, truth, tunnel, unsigned, way};
use crate::mib::{
    address_type, at, command, command_path, keepalived, next_of_one, next_of_two, octets,
};

/// The scheduling algorithms, by their numbers from 1 on.
const SCHEDULERS: [&str; 14] = [
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "twos",
];
/// One that the MIB does not know.
const OTHER_SCHEDULER: i32 = 99;

/// Columns of virtualServerTable.
pub(super) const COLUMNS: &[u32] = &columns::<77>();
const PLACES: Places = Places {
    totals: 27,
    gap: 0,
    rates: 32,
    wide: 38,
    wide_rates: 74,
};

/// From 2 on.
pub(super) const fn columns<const N: usize>() -> [u32; N] {
    let mut all = [0; N];
    let mut next = 0;
    while next < N {
        all[next] = next as u32 + 2;
        next += 1;
    }
    all
}

/// fwmark(1), ip(2), group(3). Mark 0 is none.
pub(super) const fn kind(vs: &VirtualServer) -> Value {
    Value::Integer(match &vs.service {
        Service::Group { .. } => 3,
        Service::Fwmark(0) | Service::Address(_) => 2,
        Service::Fwmark(_) => 1,
    })
}

/// The address that stands for a virtual server; one with mark 0 has zeros.
pub(super) fn address(vs: &VirtualServer) -> Option<(IpAddr, u16)> {
    match &vs.service {
        Service::Address(address) => Some((address.ip(), address.port())),
        Service::Fwmark(0) => Some((IpAddr::from([0; 4]), 0)),
        Service::Fwmark(_) | Service::Group { .. } => None,
    }
}

/// virtualServerGroupTable
pub(super) struct Groups<'v, 'a>(pub(super) &'v View<'a>);

impl Rows for Groups<'_, '_> {
    fn next(&self, index: &[u32], include: bool) -> Option<Vec<u32>> {
        next_of_one(index, include, self.0.model.lvs.groups.len())
    }

    fn value(&self, index: &[u32], _: u32) -> Option<Value> {
        let [n] = *index else { return None };
        Some(Value::text(&at(&self.0.model.lvs.groups, n)?.name.value))
    }
}

/// virtualServerGroupMemberTable
pub(super) struct GroupMembers<'v, 'a>(pub(super) &'v View<'a>);

/// Marks come before addresses.
fn member(group: &VirtualServerGroup, number: u32) -> Option<&GroupEntry> {
    let is_mark = |e: &&GroupEntry| matches!(e, GroupEntry::Fwmark { .. });
    let place = usize::try_from(number).ok()?.checked_sub(1)?;
    let marks = group.entries.iter().filter(is_mark);
    let others = group.entries.iter().filter(|e| !is_mark(e));
    marks.chain(others).nth(place)
}

impl Rows for GroupMembers<'_, '_> {
    fn next(&self, index: &[u32], include: bool) -> Option<Vec<u32>> {
        let groups = &self.0.model.lvs.groups;
        let members = |n: usize| groups.get(n.wrapping_sub(1)).map_or(0, |g| g.entries.len());
        next_of_two(index, include, groups.len(), members)
    }

    fn value(&self, index: &[u32], column: u32) -> Option<Value> {
        let [group, number] = *index else { return None };
        let entry = member(at(&self.0.model.lvs.groups, group)?, number)?;
        let (first, last) = match entry {
            GroupEntry::Fwmark { mark, .. } => {
                return match column {
                    2 => Some(Value::Integer(1)),
                    3 => unsigned(*mark),
                    _ => None,
                };
            }
            GroupEntry::Addresses { first, last } => (first, last),
        };
        let range = first.ip() != last.ip();
        match column {
            2 => Some(Value::Integer(if range { 3 } else { 2 })),
            4 => Some(address_type(first.ip())),
            5 if !range => Some(octets(first.ip())),
            6 if range => Some(octets(first.ip())),
            7 if range => Some(octets(last.ip())),
            8 => unsigned(first.port()),
            _ => None,
        }
    }
}

/// virtualServerTable
pub(super) struct Services<'v, 'a>(pub(super) &'v View<'a>);

impl Rows for Services<'_, '_> {
    fn next(&self, index: &[u32], include: bool) -> Option<Vec<u32>> {
        next_of_one(index, include, self.0.servers().len())
    }

    fn value(&self, index: &[u32], column: u32) -> Option<Value> {
        let [n] = *index else { return None };
        let vs = at(self.0.servers(), n)?;
        match column {
            11 | 21 | 23 => self.state(n, column),
            2..=26 => text(vs, column),
            37 | 51..=73 => option(vs, column),
            _ => PLACES.value(column, || self.0.service_stats(n)),
        }
    }
}

impl Services<'_, '_> {
    fn state(&self, n: u32, column: u32) -> Option<Value> {
        let engine = self.0.engine;
        let service = engine.service(id(n))?;
        match column {
            11 => truth(service.alive),
            21 => {
                let reals = engine.reals_of(id(n)).filter_map(|rs| engine.real(rs));
                unsigned(reals.filter(|r| r.alive).count() as u64)
            }
            _ => truth(service.quorum_up),
        }
    }
}

fn protocol(protocol: Option<Protocol>) -> Value {
    Value::Integer(match protocol {
        Some(Protocol::Tcp) => 1,
        Some(Protocol::Udp) => 2,
        Some(Protocol::Sctp) => 3,
        None => 4,
    })
}

/// What the configuration says that the service is.
fn text(vs: &VirtualServer, column: u32) -> Option<Value> {
    match column {
        2 => Some(kind(vs)),
        3 => vs.group_name().map(Value::text),
        4 => match vs.service {
            Service::Fwmark(mark) if mark != 0 => unsigned(mark),
            _ => None,
        },
        // As the original: one without a family, or with both, counts as IPv6.
        5 => Some(Value::Integer(if vs.family == Some(Family::V4) {
            1
        } else {
            2
        })),
        6 => address(vs).map(|a| octets(a.0)),
        7 => unsigned(address(vs)?.1),
        8 => match vs.service {
            Service::Fwmark(mark) if mark != 0 => None,
            _ => Some(protocol(vs.protocol)),
        },
        9 => {
            let number = SCHEDULERS.iter().position(|s| Some(*s) == vs.scheduler);
            let number = number.and_then(|n| i32::try_from(n.saturating_add(1)).ok());
            Some(Value::Integer(number.unwrap_or(OTHER_SCHEDULER)))
        }
        10 => way(&vs.forwarding),
        12 => vs.virtualhost.as_ref().map(|h| Value::text(&h.value)),
        13 => truth(vs.persistence_timeout > 0),
        14 => (vs.persistence_timeout > 0).then_some(Value::Unsigned(vs.persistence_timeout)),
        15 if !is_address_of(vs, Family::V6) => {
            Some(Value::Octets(granularity(vs).to_ne_bytes().to_vec()))
        }
        16 => seconds(vs.times.delay_loop),
        17 => truth(vs.ha_suspend),
        18 => truth(vs.alpha),
        19 => truth(vs.omega),
        20 => unsigned(vs.real_servers.len() as u64),
        22 => unsigned(vs.quorum),
        24 => command(vs.quorum_up.as_deref()),
        25 => command(vs.quorum_down.as_deref()),
        26 => unsigned(vs.hysteresis),
        _ => None,
    }
}

fn is_address_of(vs: &VirtualServer, family: Family) -> bool {
    vs.address().is_some_and(|a| Family::of(&a.ip()) == family)
}

/// As the kernel gets it: a mask as it lies in memory, or the length of a prefix.
fn granularity(vs: &VirtualServer) -> u32 {
    match vs.persistence_granularity {
        Some(Granularity::V4(mask)) => u32::from_ne_bytes(mask.octets()),
        Some(Granularity::V6(length)) => length.into(),
        None => u32::MAX,
    }
}

/// The rest of what the configuration says.
fn option(vs: &VirtualServer, column: u32) -> Option<Value> {
    let flag = |flag| truth(vs.flags.contains(flag));
    let times = &vs.times;
    match column {
        37 => flag(ServiceFlags::ONE_PACKET),
        51 if !is_address_of(vs, Family::V4) => unsigned(granularity(vs)),
        // The kernel's own flag is never set by us.
        52 => truth(false),
        53 | 62 => flag(ServiceFlags::SCHED_1),
        54 | 63 => flag(ServiceFlags::SCHED_2),
        55 => flag(ServiceFlags::SCHED_3),
        56 => truth(!vs.inhibit),
        57 => unsigned(times.retry.unwrap_or(0)),
        58 => seconds(times.delay_before_retry),
        59 => seconds(times.warmup),
        60 => Some(Value::Integer(vs.weight as i32)),
        61 => truth(vs.smtp_alert == Some(true)),
        64 => unsigned(times.delay_loop.unwrap_or(0)),
        65 => unsigned(times.delay_before_retry.unwrap_or(0)),
        66 => unsigned(times.warmup.unwrap_or(0)),
        67 => unsigned(vs.connect_timeout),
        68..=70 => tunnel(&vs.forwarding, column.saturating_sub(68)),
        71 => vs.snmp_name.as_deref().map(Value::text),
        72 => command_path(vs.quorum_up.as_deref()),
        73 => command_path(vs.quorum_down.as_deref()),
        _ => None,
    }
}

/// lvsSyncDaemon and lvsTimeouts.
pub(super) fn daemon(tree: &mut Tree, g: &Global) {
    let integer = |value: u32| Some(Value::Integer(value as i32));
    let sync = &g.lvs_sync_daemon;
    let runs = sync.interface.as_deref();
    let group = runs.and(sync.group);
    // Without a number: 0, or that of the instance, which only the VRRP process knows.
    let unset = if sync.instance.is_some() { u32::MAX } else { 0 };
    let rows = [
        (1, truth(runs.is_some())),
        (2, runs.map(Value::text)),
        (3, runs.and(sync.instance.as_deref()).map(Value::text)),
        (4, runs.and(integer(sync.sync_id.unwrap_or(unset)))),
        (5, runs.and(integer(sync.max_length.unwrap_or(0).into()))),
        (6, runs.and(integer(sync.port.unwrap_or(0).into()))),
        (7, runs.and(integer(sync.ttl.unwrap_or(0).into()))),
        (8, group.map(address_type)),
        (9, group.map(octets)),
    ];
    for (number, value) in rows {
        tree.scalar(keepalived(&[3, 6, number]), value);
    }
    let timeouts = &g.lvs_timeouts;
    for (number, value) in (1..).zip([timeouts.tcp, timeouts.tcp_fin, timeouts.udp]) {
        let value = integer(value).filter(|_| value > 0);
        tree.scalar(keepalived(&[3, 7, number]), value);
    }
}
