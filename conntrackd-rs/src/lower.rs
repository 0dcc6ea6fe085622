//! From what the file says to what the engine needs; the only place that knows both.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use conf_parsers::conntrackd::{self as conf, FilterPolicy, General, Sync};
use ctsync_proto::{
    AddressFilter, Config, Filter, LinkConfig, LinkKind, Mode, Policy, ProtocolSet,
};
use net_types::Prefix;

/// IPv4 and UDP header.
const UDP_OVERHEAD: u32 = 28;
/// IPv4 and TCP header.
const TCP_OVERHEAD: u32 = 40;
/// Largest UDP payload over IPv4.
const LARGEST_PAYLOAD: u32 = 65507;

/// The engine's configuration. `mtus` has one value per link, in order.
pub fn config(general: &General, sync: &Sync, mtus: &[u32], filter_in_kernel: bool) -> Config {
    let mode = match sync.mode.map_or(conf::Mode::Ftfw, |mode| mode.value) {
        conf::Mode::Ftfw => Mode::Ftfw {
            resend_queue_size: *sync.resend_queue_size,
            ack_window_size: *sync.ack_window_size,
        },
        conf::Mode::Notrack => Mode::Notrack,
        conf::Mode::Alarm => Mode::Alarm {
            refresh: *sync.refresh_time,
            cache_timeout: *sync.cache_timeout,
        },
    };
    Config {
        mode,
        hash_limit: *general.hash_limit,
        hash_seed: random(),
        first_sequence: seconds_since_1970(),
        commit_timeout: *sync.commit_timeout,
        purge_timeout: *sync.purge_timeout,
        tcp_window_tracking: *sync.tcp_window_tracking,
        expectation_sync: *sync.expectation_sync,
        expectation_helpers: sync
            .expectation_helpers
            .iter()
            .map(|name| name.value.clone().into_boxed_str())
            .collect(),
        disable_internal_cache: *sync.disable_internal_cache,
        disable_external_cache: *sync.disable_external_cache,
        startup_resync: *sync.startup_resync,
        overrun_resync: *general.netlink_overrun_resync,
        poll: general.poll_secs.map(|secs| secs.value),
        filter: general.filter.as_ref().map(filter).unwrap_or_default(),
        filter_in_kernel,
        links: sync
            .links
            .iter()
            .zip(mtus)
            .map(|(link, mtu)| link_config(link, *mtu))
            .collect(),
        default_link: sync.default_link,
        error_queue_length: *sync.error_queue_length,
    }
}

/// The engine's configuration for logging flows instead of replicating them.
pub fn flow_log(general: &General, filter_in_kernel: bool) -> Config {
    Config {
        mode: Mode::Stats,
        hash_limit: *general.hash_limit,
        hash_seed: random(),
        first_sequence: 0,
        commit_timeout: 0,
        purge_timeout: 0,
        tcp_window_tracking: false,
        expectation_sync: false,
        expectation_helpers: Vec::new(),
        disable_internal_cache: false,
        disable_external_cache: false,
        startup_resync: false,
        overrun_resync: *general.netlink_overrun_resync,
        poll: general.poll_secs.map(|secs| secs.value),
        filter: general.filter.as_ref().map(filter).unwrap_or_default(),
        filter_in_kernel,
        links: Vec::new(),
        default_link: 0,
        error_queue_length: 0,
    }
}

fn random() -> u64 {
    std::hash::RandomState::new().hash_one(0_u8)
}

/// The low 32 bits of the wall clock: sequence numbers start above those of an earlier life.
fn seconds_since_1970() -> u32 {
    let secs = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    u32::try_from(secs & u64::from(u32::MAX)).unwrap_or(0)
}

fn link_config(link: &conf::Link, mtu: u32) -> LinkConfig {
    let (kind, overhead) = match link.kind {
        conf::LinkKind::Multicast => (LinkKind::Multicast, UDP_OVERHEAD),
        conf::LinkKind::Udp => (LinkKind::Udp, UDP_OVERHEAD),
        conf::LinkKind::Tcp => (LinkKind::Tcp, TCP_OVERHEAD),
    };
    let room = mtu.saturating_sub(overhead).min(LARGEST_PAYLOAD);
    LinkConfig {
        kind,
        device: link
            .interface
            .as_ref()
            .map_or("", |name| &name.value)
            .into(),
        payload_limit: u16::try_from(room).unwrap_or(u16::MAX),
    }
}

/// The filter of flows.
pub fn filter(filter: &conf::Filter) -> Filter {
    let policy = |policy| match policy {
        FilterPolicy::Accept => Policy::Accept,
        FilterPolicy::Ignore => Policy::Ignore,
    };
    Filter {
        protocols: filter.protocol.policy.map(|p| {
            let mut set = ProtocolSet::default();
            for protocol in &filter.protocol.entries {
                set.insert(*protocol);
            }
            (policy(p), set)
        }),
        addresses: filter.address.policy.map(|p| {
            let mut set = AddressFilter::default();
            for entry in &filter.address.entries {
                if let Some(prefix) = Prefix::new(entry.addr, entry.len) {
                    set.insert(prefix);
                }
            }
            (policy(p), set)
        }),
        tcp_states: filter.state.policy.map(|p| {
            let states = filter
                .state
                .entries
                .iter()
                .fold(0, |bits, state| bits | 1_u16 << (*state as u8));
            (policy(p), states)
        }),
    }
}

/// The family's wildcard when a link names no local address.
pub fn unspecified(family: net_types::Family) -> IpAddr {
    match family {
        net_types::Family::V4 => std::net::Ipv4Addr::UNSPECIFIED.into(),
        net_types::Family::V6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> conf::Config {
        conf::parse(text.as_bytes(), &|_| true)
            .config
            .expect("a valid file")
    }

    #[test]
    fn a_link_has_room_for_its_mtu_less_the_headers() {
        let c = read("Sync { UDP { Interface eth0 } UDP Default { Interface eth1 } }");
        let sync = c.sync.as_ref().expect("Sync");
        let lowered = config(&c.general, sync, &[1500, 65536], false);
        let limits: Vec<u16> = lowered.links.iter().map(|l| l.payload_limit).collect();
        assert_eq!(limits, [1472, 65507]);
        assert_eq!(
            (&*lowered.links[1].device, lowered.default_link),
            ("eth1", 1)
        );
        assert!(matches!(
            lowered.mode,
            Mode::Ftfw {
                ack_window_size: 300,
                ..
            }
        ));
    }

    #[test]
    fn filters_become_sets() {
        let c = read(
            "General { Filter { Protocol Accept { TCP } Address Ignore { IPv4_address 127.0.0.1 IPv4_address 10.0.0.0/8 }
             State Accept { ESTABLISHED CLOSED for TCP } } } Sync { }",
        );
        let lowered = config(&c.general, c.sync.as_ref().expect("Sync"), &[], false).filter;
        let (policy, set) = lowered.protocols.expect("protocols");
        assert!(policy == Policy::Accept && set.has(6) && !set.has(17));
        let (policy, set) = lowered.addresses.expect("addresses");
        assert!(
            policy == Policy::Ignore
                && set.has([10, 1, 2, 3].into())
                && set.has([127, 0, 0, 1].into())
        );
        assert!(!set.has([11, 1, 2, 3].into()));
        assert_eq!(lowered.tcp_states, Some((Policy::Accept, 1 << 3 | 1 << 8)));
    }
}
