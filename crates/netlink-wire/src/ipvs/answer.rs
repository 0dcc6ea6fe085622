//! What the kernel answers: services, real servers, daemons, timeouts. The original's requests have the same shape.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use net_types::Family;

use super::{
    ATTR_DAEMON, ATTR_DESTINATION, ATTR_SERVICE, ATTR_TIMEOUT_TCP, ATTR_TIMEOUT_TCP_FIN,
    ATTR_TIMEOUT_UDP, Checksum, Daemon, Destination, DestinationNow, F_HASHED, Forwarding, Service,
    ServiceKey, ServiceNow, SyncState, Timeouts, Tunnel, stats,
};
use crate::framing::Message;
use crate::genl;
use crate::nla::{Attr, Attrs};

/// The attributes that a message has under `kind`.
fn within<'a>(message: &Message<'a>, kind: u16) -> Option<Attrs<'a>> {
    genl::attributes(message)
        .find(|a| a.kind == kind)
        .map(|a| a.nested())
}

fn find<'a>(attributes: Attrs<'a>, kind: u16) -> Option<Attr<'a>> {
    let mut attributes = attributes;
    attributes.find(|a| a.kind == kind)
}

/// An address of `family` from the room of the longest.
fn address(data: &[u8], family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => data.first_chunk::<4>().map(|b| Ipv4Addr::from(*b).into()),
        Family::V6 => data.first_chunk::<16>().map(|b| Ipv6Addr::from(*b).into()),
    }
}

fn port(attr: &Attr<'_>) -> Option<u16> {
    attr.data.first_chunk().map(|b| u16::from_be_bytes(*b))
}

fn family(attr: &Attr<'_>) -> Option<Family> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    match attr.u16()? {
        AF_INET => Some(Family::V4),
        AF_INET6 => Some(Family::V6),
        _ => None,
    }
}

impl ServiceNow {
    /// Reads an answer; `None`: it is not about a service, or cut.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let all = within(message, ATTR_SERVICE)?;
        let family = family(&find(all, 1)?)?;
        let mark = find(all, 5).and_then(|a| a.u32()).filter(|m| *m > 0);
        let key = match mark {
            Some(mark) => ServiceKey::Mark { family, mark },
            None => ServiceKey::Address {
                protocol: u8::try_from(find(all, 2)?.u16()?).ok()?,
                address: SocketAddr::new(
                    address(find(all, 3)?.data, family)?,
                    port(&find(all, 4)?)?,
                ),
            },
        };
        let stats = stats::of(find(all, 12), find(all, 10));
        Some(Self {
            service: Service {
                key,
                scheduler: find(all, 6)?.text()?,
                // Flags and mask; what the kernel adds for itself is not configured.
                flags: find(all, 7)?.u32()? & !F_HASHED,
                timeout: find(all, 8)?.u32()?,
                netmask: find(all, 9)?.u32()?,
                engine: find(all, 11).and_then(|a| a.text()),
            },
            stats,
        })
    }
}

impl DestinationNow {
    /// Reads an answer about a real server of a service of `default` family (old kernels do not tell the server's).
    pub fn parse(message: &Message<'_>, default: Family) -> Option<Self> {
        let all = within(message, ATTR_DESTINATION)?;
        let family = match find(all, 11) {
            Some(attr) => family(&attr)?,
            None => default,
        };
        let number = |kind| find(all, kind).and_then(|a| a.u32()).unwrap_or(0);
        let checksum = match find(all, 15).and_then(|a| a.u16()) {
            Some(1) => Checksum::Checksum,
            Some(2) => Checksum::Remote,
            _ => Checksum::None,
        };
        let forwarding = match number(3) & 7 {
            0 => Forwarding::Masquerading,
            1 => Forwarding::Local,
            2 => Forwarding::Tunnel(match find(all, 13).and_then(|a| a.u8()) {
                Some(1) => Tunnel::Gue {
                    port: find(all, 14).as_ref().and_then(port).unwrap_or(0),
                    checksum,
                },
                Some(2) => Tunnel::Gre { checksum },
                _ => Tunnel::Ipip,
            }),
            3 => Forwarding::DirectRouting,
            _ => Forwarding::Bypass,
        };
        Some(Self {
            destination: Destination {
                address: SocketAddr::new(
                    address(find(all, 1)?.data, family)?,
                    port(&find(all, 2)?)?,
                ),
                forwarding,
                weight: number(4),
                upper_threshold: number(5),
                lower_threshold: number(6),
            },
            active: number(7),
            inactive: number(8),
            persistent: number(9),
            stats: stats::of(find(all, 12), find(all, 10)),
        })
    }
}

impl Daemon {
    /// Reads an answer about a daemon.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let all = within(message, ATTR_DAEMON)?;
        let short = |kind| find(all, kind).and_then(|a| a.u16()).unwrap_or(0);
        let v4 = find(all, 5).and_then(|a| address(a.data, Family::V4));
        let v6 = find(all, 6).and_then(|a| address(a.data, Family::V6));
        Some(Self {
            state: match find(all, 1)?.u32()? {
                1 => SyncState::Master,
                2 => SyncState::Backup,
                _ => return None,
            },
            interface: find(all, 2)?.text()?,
            id: find(all, 3)?.u32()?,
            max_len: short(4),
            port: short(7),
            ttl: find(all, 8).and_then(|a| a.u8()).unwrap_or(0),
            group: v4.or(v6),
        })
    }
}

impl Timeouts {
    /// Reads the answer to [`super::Ipvs::push_get_timeouts`].
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let all = genl::attributes(message);
        Some(Self {
            tcp: find(all, ATTR_TIMEOUT_TCP)?.u32()?,
            tcp_fin: find(all, ATTR_TIMEOUT_TCP_FIN)?.u32()?,
            udp: find(all, ATTR_TIMEOUT_UDP)?.u32()?,
        })
    }
}
