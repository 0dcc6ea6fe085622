//! What the kernel counts for virtual and real servers, asked for when an object is asked for that shows it, and kept as long as
//! `snmp_vs_stats_update_interval` and `snmp_rs_stats_update_interval` say.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use conf_parsers::keepalived::model::lvs::{RealServer, VirtualServer};
use net_types::{Duration, Instant};
use netlink_wire::ipvs::{DestinationNow, Stats};

use super::View;
use crate::mib::at;

/// Of one real server, over all services that stand for its virtual server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RealTraffic {
    pub(super) stats: Stats,
    pub(super) active: u32,
    pub(super) inactive: u32,
    pub(super) persistent: u32,
}

/// What was told last of one virtual server.
#[derive(Debug, Default)]
struct Known {
    service: Option<(Instant, Stats)>,
    /// Real servers in their order, then the sorry server.
    reals: Option<(Instant, Vec<RealTraffic>)>,
}

/// What was told last, by number of the virtual server.
#[derive(Debug, Default)]
pub(in crate::check) struct Traffic(BTreeMap<u32, Known>);

impl Traffic {
    /// Numbers mean other servers from now on.
    pub(in crate::check) fn forget(&mut self) {
        self.0.clear();
    }
}

/// Where the virtual server with this number stands.
fn position(number: u32) -> usize {
    usize::try_from(number).map_or(usize::MAX, |n| n.saturating_sub(1))
}

/// Whether what was told at `then` is to be asked for again.
fn is_old(now: Instant, then: Instant, interval: Duration) -> bool {
    now.since(then) >= interval
}

fn add(sum: &mut Stats, more: &Stats) {
    let pairs = [
        (&mut sum.connections, more.connections),
        (&mut sum.in_packets, more.in_packets),
        (&mut sum.out_packets, more.out_packets),
        (&mut sum.in_bytes, more.in_bytes),
        (&mut sum.out_bytes, more.out_bytes),
        (&mut sum.connection_rate, more.connection_rate),
        (&mut sum.in_packet_rate, more.in_packet_rate),
        (&mut sum.out_packet_rate, more.out_packet_rate),
        (&mut sum.in_byte_rate, more.in_byte_rate),
        (&mut sum.out_byte_rate, more.out_byte_rate),
    ];
    for (sum, more) in pairs {
        *sum = sum.wrapping_add(more);
    }
}

/// Whether the kernel's entry is for a server that is configured so.
fn is(configured: SocketAddr, entry: SocketAddr) -> bool {
    configured.ip() == entry.ip() && (configured.port() == 0 || configured.port() == entry.port())
}

/// The place of an entry: the sorry server first, as the original has it, else the real server.
fn place(vs: &VirtualServer, entry: SocketAddr) -> Option<usize> {
    let sorry = vs.sorry_server.as_ref();
    if sorry.is_some_and(|s| is(s.addr, entry)) {
        return Some(vs.real_servers.len());
    }
    let mine = |rs: &RealServer| is(rs.addr, entry);
    vs.real_servers.iter().position(mine)
}

fn sum(vs: &VirtualServer, entries: &[DestinationNow]) -> Vec<RealTraffic> {
    let mut all = vec![RealTraffic::default(); vs.real_servers.len().saturating_add(1)];
    // Places by address: a search for each of thousands would be their square.
    let mut places: BTreeMap<SocketAddr, Option<usize>> = BTreeMap::new();
    if entries.len() > 64 && vs.sorry_server.is_none() {
        for (n, rs) in vs.real_servers.iter().enumerate() {
            if rs.addr.port() != 0 {
                places.entry(rs.addr).or_insert(Some(n));
            }
        }
    }
    for entry in entries {
        let address = entry.destination.address;
        let at = *places.entry(address).or_insert_with(|| place(vs, address));
        let Some(traffic) = at.and_then(|at| all.get_mut(at)) else {
            continue;
        };
        add(&mut traffic.stats, &entry.stats);
        traffic.active = traffic.active.wrapping_add(entry.active);
        traffic.inactive = traffic.inactive.wrapping_add(entry.inactive);
        traffic.persistent = traffic.persistent.wrapping_add(entry.persistent);
    }
    all
}

impl View<'_> {
    /// Traffic of the virtual server with this number.
    pub(super) fn service_stats(&self, number: u32) -> Option<Stats> {
        at(self.servers(), number)?;
        let counters = &mut *self.counters.borrow_mut();
        let known = counters.traffic.0.entry(number).or_default();
        if let Some((then, stats)) = known.service {
            if !is_old(self.now, then, self.interval(false)) {
                return Some(stats);
            }
        }
        let mut stats = Stats::default();
        for key in counters
            .tables
            .services_of(&self.model.lvs, position(number))
        {
            let found = counters.tables.kernel().and_then(|k| k.service(&key));
            if let Some(now) = found {
                add(&mut stats, &now.stats);
            }
        }
        known.service = Some((self.now, stats));
        Some(stats)
    }

    /// Traffic of a real server; `place`: none for the sorry server.
    pub(super) fn real_traffic(&self, number: u32, place: Option<u32>) -> Option<RealTraffic> {
        let vs = at(self.servers(), number)?;
        let place = match place {
            Some(place) => usize::try_from(place).ok()?,
            None => vs.real_servers.len(),
        };
        let counters = &mut *self.counters.borrow_mut();
        let known = counters.traffic.0.entry(number).or_default();
        if let Some((then, reals)) = &known.reals {
            if !is_old(self.now, *then, self.interval(true)) {
                return reals.get(place).copied();
            }
        }
        let mut entries = Vec::new();
        for key in counters
            .tables
            .services_of(&self.model.lvs, position(number))
        {
            // A service that somebody has removed has none.
            let found = counters.tables.kernel().map(|k| k.destinations(&key));
            entries.extend(found.and_then(Result::ok).into_iter().flatten());
        }
        let reals = sum(vs, &entries);
        let found = reals.get(place).copied();
        known.reals = Some((self.now, reals));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_belong_to_whom() {
        let text = "virtual_server 10.0.0.1 80 {\n lb_kind NAT\n protocol TCP\n sorry_server 10.0.0.4 80\n real_server 10.0.0.2 80 {\n }\n real_server 10.0.0.2 81 {\n }\n real_server 10.0.0.4 80 {\n }\n}\n";
        let mut host = conf_parsers::source::FakeHost::with_interfaces(&[]);
        host.source = conf_parsers::source::MemorySource::one("/k.conf", text);
        use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
        let lines = read(&host, "/k.conf", &ReadOptions::default());
        let outcome = parse(&lines, Part::Checker, &host, &ParseOptions::default(), None);
        let vs = outcome.model.lvs.virtual_servers.first().unwrap();
        let of = |address: &str| place(vs, address.parse().unwrap());
        assert_eq!(of("10.0.0.2:80"), Some(0));
        assert_eq!(of("10.0.0.2:81"), Some(1));
        // One that is both counts as the sorry server.
        assert_eq!(of("10.0.0.4:80"), Some(3));
        assert_eq!(of("10.0.0.2:82"), None);
    }

    #[test]
    fn what_was_told_gets_old() {
        let at = |ms| Instant::ZERO + Duration::from_millis(ms);
        assert!(!is_old(at(4999), at(0), Duration::from_secs(5)));
        assert!(is_old(at(5000), at(0), Duration::from_secs(5)));
    }
}
