//! SNMP of the checker process: what of it KEEPALIVED-MIB shows, check(3), what it may change, and its notifications.
//!
//! In: the model, the core's state, what the kernel tells of traffic, requests of the master agent. Out: objects, changes for the core.
//! Answers to: keepalived 2.3.3 check/check_snmp.c, check/ipvswrapper.c (`ipvs_vs_update_stats`), keepalived-snmp-oids.tsv.
//!
//! [`services`] virtual servers and their groups; [`reals`] real servers; [`traffic`] what the kernel counts, asked for no more often than
//! the configuration says; [`mod@write`] changes; [`traps`] notifications. Values are made when they are asked for.

mod reals;
mod services;
mod traffic;
pub(super) mod traps;
pub(super) mod write;

use std::cell::RefCell;

use agentx_wire::{All, Region, Rows, Table, Tree, Value};
use checker_proto::Engine;
use checker_proto::config::VsId;
use conf_parsers::keepalived::model::lvs::{
    Forwarding, ForwardingMethod, TunnelChecksum, TunnelKind, VirtualServer,
};
use conf_parsers::keepalived::model::{Global, Model};
use net_types::{Duration, Instant};
use netlink_wire::ipvs::Stats;

use self::reals::Reals;
use self::services::{GroupMembers, Groups, Services};
pub(super) use self::traffic::Traffic;
use super::tables::Tables;
use crate::mib::{self, keepalived};

/// What this process answers for; nothing: it shows nothing.
pub(super) fn regions(g: &Global) -> Vec<Region> {
    if !g.enable_snmp_checker {
        return Vec::new();
    }
    vec![
        Region {
            oid: keepalived(&[1]),
            name: "Keepalived",
        },
        Region {
            oid: keepalived(&[3]),
            name: "Healthchecker",
        },
    ]
}

/// The kernel's tables, and what they have told.
pub(super) struct Counters<'a> {
    pub(super) tables: &'a mut Tables,
    pub(super) traffic: &'a mut Traffic,
}

/// Everything that the objects are made from.
pub(super) struct View<'a> {
    model: &'a Model,
    engine: &'a Engine,
    counters: RefCell<Counters<'a>>,
    now: Instant,
}

impl<'a> View<'a> {
    /// The present.
    pub(super) const fn new(
        model: &'a Model,
        engine: &'a Engine,
        counters: Counters<'a>,
        now: Instant,
    ) -> Self {
        Self {
            model,
            engine,
            counters: RefCell::new(counters),
            now,
        }
    }

    /// Has `answer` done with all objects of this process.
    pub(super) fn objects(&self, answer: impl FnOnce(&All<'_>)) {
        let mut tree = Tree::default();
        mib::global(&mut tree, &self.model.global);
        services::daemon(&mut tree, &self.model.global);
        tree.sort();
        let groups = table(&[3, 1, 1], &[2], Groups(self));
        let members = table(&[3, 2, 1], &[2, 3, 4, 5, 6, 7, 8], GroupMembers(self));
        let virtual_servers = table(&[3, 3, 1], services::COLUMNS, Services(self));
        let real_servers = table(&[3, 4, 1], reals::COLUMNS, Reals(self));
        answer(&All(vec![
            &tree,
            &groups,
            &members,
            &virtual_servers,
            &real_servers,
        ]));
    }

    fn servers(&self) -> &'a [VirtualServer] {
        &self.model.lvs.virtual_servers
    }

    fn interval(&self, real_servers: bool) -> Duration {
        let g = &self.model.global;
        Duration::from_micros(match g.snmp_rs_stats_update_interval {
            own if real_servers && own > 0 => own,
            _ => g.snmp_vs_stats_update_interval,
        })
    }
}

fn table<'c, R: Rows>(entry: &[u32], columns: &'c [u32], rows: R) -> Table<'c, R> {
    Table {
        entry: keepalived(entry),
        columns,
        rows,
    }
}

/// The core's number of a virtual server that SNMP numbers from 1 on.
fn id(number: u32) -> VsId {
    VsId(number.saturating_sub(1))
}

fn truth(value: bool) -> Option<Value> {
    Some(Value::truth(value))
}

fn unsigned(value: impl Into<u64>) -> Option<Value> {
    Some(Value::Unsigned(low(value.into())))
}

/// A time in microseconds as whole seconds; 0 without one.
fn seconds(micros: Option<u64>) -> Option<Value> {
    unsigned(micros.unwrap_or(0) / 1_000_000)
}

/// The lower half, which is what 32 bits can hold.
fn low(value: u64) -> u32 {
    u32::try_from(value % (1 << 32)).unwrap_or(0)
}

fn high(value: u64) -> u32 {
    u32::try_from(value >> 32).unwrap_or(0)
}

/// nat(1), dr(2), tun(3).
fn way(forwarding: &Forwarding) -> Option<Value> {
    Some(Value::Integer(match forwarding.method? {
        ForwardingMethod::Nat => 1,
        ForwardingMethod::DirectRouting => 2,
        ForwardingMethod::Tunnel => 3,
    }))
}

/// Kind, port and checksum of a tunnel, by their distance from the first of these columns.
fn tunnel(forwarding: &Forwarding, part: u32) -> Option<Value> {
    if forwarding.method != Some(ForwardingMethod::Tunnel) {
        return None;
    }
    let kind = forwarding.tunnel;
    match part {
        0 => Some(Value::Integer(match kind {
            TunnelKind::Ipip => 1,
            TunnelKind::Gue => 2,
            TunnelKind::Gre => 3,
        })),
        1 if kind == TunnelKind::Gue => unsigned(forwarding.port),
        2 if kind != TunnelKind::Ipip => Some(Value::Integer(match forwarding.checksum {
            TunnelChecksum::None => 1,
            TunnelChecksum::Checksum => 2,
            TunnelChecksum::Remote => 3,
        })),
        _ => None,
    }
}

/// Traffic as both tables show it, each at columns of its own.
#[derive(Clone, Copy, Debug)]
enum Counter {
    Connections,
    InPackets,
    OutPackets,
    InBytes,
    OutBytes,
    ConnectionRate,
    InPacketRate,
    OutPacketRate,
    InByteRate,
    OutByteRate,
}

impl Counter {
    /// In the order of the rates' columns.
    const RATES: [Self; 5] = [
        Self::ConnectionRate,
        Self::InPacketRate,
        Self::OutPacketRate,
        Self::InByteRate,
        Self::OutByteRate,
    ];

    const fn of(self, stats: &Stats) -> u64 {
        match self {
            Self::Connections => stats.connections,
            Self::InPackets => stats.in_packets,
            Self::OutPackets => stats.out_packets,
            Self::InBytes => stats.in_bytes,
            Self::OutBytes => stats.out_bytes,
            Self::ConnectionRate => stats.connection_rate,
            Self::InPacketRate => stats.in_packet_rate,
            Self::OutPacketRate => stats.out_packet_rate,
            Self::InByteRate => stats.in_byte_rate,
            Self::OutByteRate => stats.out_byte_rate,
        }
    }
}

/// How a column shows a counter.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Gauge,
    Counter32,
    Counter64,
    Low,
    High,
}

/// Where a table has its counters.
struct Places {
    /// Connections; packets in and out, bytes in and out follow after `gap` columns.
    totals: u32,
    gap: u32,
    /// The five rates.
    rates: u32,
    /// Connections and packets with 64 bits, then lower and upper halves of the rates.
    wide: u32,
    /// Rates with 64 bits.
    wide_rates: u32,
}

impl Places {
    /// Which counter a column shows, and how.
    fn find(&self, column: u32) -> Option<(Counter, Shape)> {
        use {Counter as C, Shape as S};
        let from = |first: u32| column.checked_sub(first);
        let rate = |place: Option<u32>, shape| {
            let place = usize::try_from(place?).ok()?;
            Some((*Counter::RATES.get(place)?, shape))
        };
        if column == self.totals {
            return Some((C::Connections, S::Gauge));
        }
        let total = match from(self.totals.saturating_add(self.gap).saturating_add(1)) {
            Some(0) => Some((C::InPackets, S::Counter32)),
            Some(1) => Some((C::OutPackets, S::Counter32)),
            Some(2) => Some((C::InBytes, S::Counter64)),
            Some(3) => Some((C::OutBytes, S::Counter64)),
            _ => None,
        };
        let wide = || match from(self.wide)? {
            0 => Some((C::Connections, S::Counter64)),
            1 => Some((C::InPackets, S::Counter64)),
            2 => Some((C::OutPackets, S::Counter64)),
            half => {
                let half = half.checked_sub(3)?;
                let shape = if half % 2 == 0 { S::Low } else { S::High };
                rate(Some(half / 2), shape)
            }
        };
        total
            .or_else(|| rate(from(self.rates), S::Gauge))
            .or_else(wide)
            .or_else(|| rate(from(self.wide_rates), S::Counter64))
    }

    /// What a column shows of `stats`, which are asked for only if it shows a counter.
    fn value(&self, column: u32, stats: impl FnOnce() -> Option<Stats>) -> Option<Value> {
        let (counter, shape) = self.find(column)?;
        let value = counter.of(&stats()?);
        Some(match shape {
            Shape::Gauge | Shape::Low => Value::Unsigned(low(value)),
            Shape::High => Value::Unsigned(high(value)),
            Shape::Counter32 => Value::Counter32(low(value)),
            Shape::Counter64 => Value::Counter64(value),
        })
    }
}
