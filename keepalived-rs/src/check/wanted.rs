//! A virtual server of the configuration, and who of its real servers is in service: the entries that follow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use conf_parsers::keepalived::model::lvs::{
    Forwarding, ForwardingMethod, Granularity, GroupEntry, RealServer, Service as Written,
    TunnelChecksum, TunnelKind, VirtualServer, VirtualServerGroup,
};
use net_types::Family;
use netlink_wire::ipvs::{
    Checksum, Destination, F_PERSISTENT, Forwarding as Way, Service, ServiceKey, Tunnel,
};

use crate::ipvs::Entry;

#[cfg(test)]
pub(crate) mod tests;

/// The scheduler when the configuration names none.
const SCHEDULER: &str = "wlc";

/// Who of a virtual server's real servers is in the table, with which weight (0: no new connections).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// For each real server of the configuration; `None`: not in the table.
    pub real_servers: Vec<Option<u32>>,
    /// The sorry server; `None`: not in the table.
    pub sorry_server: Option<u32>,
}

/// The entries of a virtual server. `group`: the one that it names. `mark`: the mark that stands for the whole group
/// (`nftables_ipvs`), with the families that the group has.
pub fn entries(
    server: &VirtualServer,
    group: Option<&VirtualServerGroup>,
    live: &Live,
    mark: Option<(u32, &[Family])>,
) -> Vec<Entry> {
    let keys = keys(server, group, mark).into_iter();
    keys.map(|key| entry(server, key, live)).collect()
}

/// The services that a virtual server stands for; the arguments as for [`entries`].
pub fn keys(
    server: &VirtualServer,
    group: Option<&VirtualServerGroup>,
    mark: Option<(u32, &[Family])>,
) -> Vec<ServiceKey> {
    let mut found = Vec::new();
    let mut add = |key| found.push(key);
    match (&server.service, mark) {
        (Written::Address(address), _) => {
            if let Some(protocol) = server.protocol {
                add(ServiceKey::Address {
                    protocol: protocol.number(),
                    address: *address,
                });
            }
        }
        (Written::Group { .. }, Some((mark, families))) => {
            for family in families {
                add(ServiceKey::Mark {
                    family: *family,
                    mark,
                });
            }
        }
        (Written::Group { .. }, None) => {
            for line in group.iter().flat_map(|g| &g.entries) {
                keys_of(server, line, &mut add);
            }
        }
        // Mark 0 is "no mark" for the kernel: such a service can not be.
        (Written::Fwmark(0), _) => {}
        (Written::Fwmark(mark), _) => add(ServiceKey::Mark {
            family: server.family.unwrap_or(Family::V4),
            mark: *mark,
        }),
    }
    found
}

fn keys_of(server: &VirtualServer, line: &GroupEntry, add: &mut impl FnMut(ServiceKey)) {
    match line {
        GroupEntry::Fwmark { mark: 0, .. } => {}
        GroupEntry::Fwmark { mark, family } => add(ServiceKey::Mark {
            family: family.or(server.family).unwrap_or(Family::V4),
            mark: *mark,
        }),
        GroupEntry::Addresses { first, last } => {
            let Some(protocol) = server.protocol else {
                return;
            };
            for ip in range(first.ip(), last.ip()) {
                add(ServiceKey::Address {
                    protocol: protocol.number(),
                    address: SocketAddr::new(ip, first.port()),
                });
            }
        }
    }
}

/// From `first` to `last`, both inclusive; only `first` when they do not fit together.
fn range(first: IpAddr, last: IpAddr) -> Box<dyn Iterator<Item = IpAddr>> {
    match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            Box::new((first.to_bits()..=last.to_bits()).map(|b| Ipv4Addr::from_bits(b).into()))
        }
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
            Box::new((first.to_bits()..=last.to_bits()).map(|b| Ipv6Addr::from_bits(b).into()))
        }
        _ => Box::new(std::iter::once(first)),
    }
}

fn entry(server: &VirtualServer, key: ServiceKey, live: &Live) -> Entry {
    let servers = server.real_servers.iter().zip(&live.real_servers);
    let mut destinations: Vec<Destination> = Vec::with_capacity(server.real_servers.len());
    for (real, weight) in servers {
        let Some(weight) = *weight else { continue };
        destinations.push(real_destination(server, key, real, weight));
    }
    if let (Some(sorry), Some(weight)) = (&server.sorry_server, live.sorry_server) {
        let to = destination(server, key, sorry.addr, &sorry.forwarding, weight);
        // A sorry server that is a real server too: there is one place for both.
        match destinations.iter_mut().find(|d| d.address == to.address) {
            Some(same) => *same = to,
            None => destinations.push(to),
        }
    }
    Entry {
        service: Rc::new(service(server, key)),
        destinations,
    }
}

/// A real server in a service.
pub fn real_destination(
    server: &VirtualServer,
    key: ServiceKey,
    real: &RealServer,
    weight: u32,
) -> Destination {
    Destination {
        upper_threshold: real.upper_threshold,
        lower_threshold: real.lower_threshold,
        ..destination(server, key, real.addr, &real.forwarding, weight)
    }
}

fn service(server: &VirtualServer, key: ServiceKey) -> Service {
    let family = key.family();
    let persistent = server.persistence_timeout > 0;
    let netmask = match (server.persistence_granularity, family) {
        (Some(Granularity::V4(mask)), Family::V4) if persistent => {
            u32::from_ne_bytes(mask.octets())
        }
        (Some(Granularity::V6(len)), Family::V6) if persistent => len.into(),
        _ => Service::whole(family),
    };
    Service {
        key,
        scheduler: server.scheduler.unwrap_or(SCHEDULER).into(),
        flags: server.flags.bits() | if persistent { F_PERSISTENT } else { 0 },
        timeout: server.persistence_timeout,
        netmask,
        engine: server.persistence_engine.clone().filter(|_| persistent),
    }
}

#[cfg(test)]
std::thread_local! {
    /// How many destinations this thread has made: the steps that a change costs.
    pub(in crate::check) static MADE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Only masquerading can change a port; a mark has none.
fn destination(
    server: &VirtualServer,
    key: ServiceKey,
    address: SocketAddr,
    forwarding: &Forwarding,
    weight: u32,
) -> Destination {
    #[cfg(test)]
    MADE.set(MADE.get() + 1);
    let way = way(forwarding, &server.forwarding);
    let port = match (way, key) {
        (Way::Masquerading, _) => address.port(),
        (_, ServiceKey::Address { address, .. }) => address.port(),
        (_, ServiceKey::Mark { .. }) => 0,
    };
    Destination {
        address: SocketAddr::new(address.ip(), port),
        forwarding: way,
        weight,
        upper_threshold: 0,
        lower_threshold: 0,
    }
}

fn way(own: &Forwarding, inherited: &Forwarding) -> Way {
    let (method, from) = match own.method {
        Some(method) => (Some(method), own),
        None => (inherited.method, inherited),
    };
    let checksum = match from.checksum {
        TunnelChecksum::None => Checksum::None,
        TunnelChecksum::Checksum => Checksum::Checksum,
        TunnelChecksum::Remote => Checksum::Remote,
    };
    match method {
        Some(ForwardingMethod::DirectRouting) => Way::DirectRouting,
        Some(ForwardingMethod::Tunnel) => Way::Tunnel(match from.tunnel {
            TunnelKind::Ipip => Tunnel::Ipip,
            TunnelKind::Gue => Tunnel::Gue {
                port: from.port,
                checksum,
            },
            TunnelKind::Gre => Tunnel::Gre { checksum },
        }),
        Some(ForwardingMethod::Nat) | None => Way::Masquerading,
    }
}
