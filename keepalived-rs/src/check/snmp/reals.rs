//! Real servers: realServerTable. A sorry server is the first one of its virtual server.

use std::net::SocketAddr;

use agentx_wire::{Rows, Value};
use checker_proto::service::{Real, real_weight};
use conf_parsers::keepalived::model::lvs::{Forwarding, RealServer, VirtualServer};

use super::services::columns;
use super::{Places, View, id, seconds, truth, tunnel, unsigned, way};
use crate::mib::{address_type, at, command, command_path, next_of_two, octets};

/// Columns of realServerTable; 2.4 has one more.
pub(super) const COLUMNS: &[u32] = &columns::<61>();
const PLACES: Places = Places {
    totals: 14,
    gap: 3,
    rates: 22,
    wide: 27,
    wide_rates: 58,
};

/// How many rows a virtual server has.
pub(super) fn rows(vs: &VirtualServer) -> usize {
    vs.real_servers
        .len()
        .saturating_add(usize::from(vs.sorry_server.is_some()))
}

/// The place among the real servers that a row is about; none: the sorry server.
pub(super) fn place(vs: &VirtualServer, row: u32) -> Option<u32> {
    let before = 1 + u32::from(vs.sorry_server.is_some());
    row.checked_sub(before)
}

/// realServerTable
pub(super) struct Reals<'v, 'a>(pub(super) &'v View<'a>);

impl Rows for Reals<'_, '_> {
    fn next(&self, index: &[u32], include: bool) -> Option<Vec<u32>> {
        let servers = self.0.servers();
        let inner = |n: usize| servers.get(n.wrapping_sub(1)).map_or(0, rows);
        next_of_two(index, include, servers.len(), inner)
    }

    fn value(&self, index: &[u32], column: u32) -> Option<Value> {
        let [n, row] = *index else { return None };
        let vs = at(self.0.servers(), n)?;
        if row == 0 || usize::try_from(row).is_ok_and(|row| row > rows(vs)) {
            return None;
        }
        let place = place(vs, row);
        match (column, place) {
            (15..=17, _) => {
                let traffic = self.0.real_traffic(n, place)?;
                unsigned(match column {
                    15 => traffic.active,
                    16 => traffic.inactive,
                    _ => traffic.persistent,
                })
            }
            (14 | 18..=39 | 58..=62, _) => PLACES.value(column, || {
                self.0.real_traffic(n, place).map(|traffic| traffic.stats)
            }),
            (_, None) => sorry(vs, column),
            (_, Some(place)) => {
                let rs = vs.real_servers.get(usize::try_from(place).ok()?)?;
                let mut reals = self.0.engine.reals_of(id(n));
                let real = reals.nth(usize::try_from(place).ok()?);
                let real = real.and_then(|rs| self.0.engine.real(rs))?;
                regular(vs, rs, real, column)
            }
        }
    }
}

/// What both have.
fn any(address: SocketAddr, forwarding: &Forwarding, column: u32) -> Option<Value> {
    match column {
        3 => Some(address_type(address.ip())),
        4 => Some(octets(address.ip())),
        5 => unsigned(address.port()),
        40 => way(forwarding),
        52..=54 => tunnel(forwarding, column.saturating_sub(52)),
        _ => None,
    }
}

fn sorry(vs: &VirtualServer, column: u32) -> Option<Value> {
    let server = vs.sorry_server.as_ref()?;
    match column {
        2 => Some(Value::Integer(2)),
        // It is never checked.
        42 | 47 => truth(false),
        43..=46 | 48..=51 => unsigned(0_u32),
        _ => any(server.addr, &server.forwarding, column),
    }
}

fn regular(vs: &VirtualServer, rs: &RealServer, real: &Real, column: u32) -> Option<Value> {
    let times = &rs.times;
    let of = &vs.times;
    let warmup = times.warmup.or(of.warmup);
    let pause = times.delay_before_retry.or(of.delay_before_retry);
    let delay = times.delay_loop.or(of.delay_loop);
    match column {
        2 => Some(Value::Integer(1)),
        6 => truth(real.alive),
        7 => Some(Value::Integer(real_weight(real.effective) as i32)),
        8 => (rs.upper_threshold > 0).then_some(Value::Unsigned(rs.upper_threshold)),
        9 => (rs.lower_threshold > 0).then_some(Value::Unsigned(rs.lower_threshold)),
        10 => truth(!rs.inhibit.unwrap_or(vs.inhibit)),
        11 => command(rs.notify_up.as_deref()),
        12 => command(rs.notify_down.as_deref()),
        13 => unsigned(real.failed),
        41 => rs.virtualhost.as_ref().map(|h| Value::text(&h.value)),
        42 => truth(rs.alpha.unwrap_or(vs.alpha)),
        43 => unsigned(times.retry.or(of.retry).unwrap_or(0)),
        44 => seconds(pause),
        45 => seconds(warmup),
        46 => seconds(delay),
        47 => truth(rs.smtp_alert.or(vs.smtp_alert) == Some(true)),
        48 => unsigned(pause.unwrap_or(0)),
        49 => unsigned(warmup.unwrap_or(0)),
        50 => unsigned(delay.unwrap_or(0)),
        51 => unsigned(rs.connect_timeout.unwrap_or(vs.connect_timeout)),
        55 => rs.snmp_name.as_deref().map(Value::text),
        56 => command_path(rs.notify_up.as_deref()),
        57 => command_path(rs.notify_down.as_deref()),
        _ => any(rs.addr, &rs.forwarding, column),
    }
}
