//! One direction of a flow: addresses, protocol and the protocol's two 16-bit words.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol numbers with a meaning here.
pub mod proto {
    /// Internet Control Message Protocol
    pub const ICMP: u8 = 1;
    /// Transmission Control Protocol
    pub const TCP: u8 = 6;
    /// User Datagram Protocol
    pub const UDP: u8 = 17;
    /// Datagram Congestion Control Protocol
    pub const DCCP: u8 = 33;
    /// Generic Routing Encapsulation
    pub const GRE: u8 = 47;
    /// ICMP for IPv6
    pub const ICMPV6: u8 = 58;
    /// Stream Control Transmission Protocol
    pub const SCTP: u8 = 132;
    /// Lightweight UDP
    pub const UDPLITE: u8 = 136;
}

/// Bits of the status word (`IPS_*` of nf_conntrack_common.h).
pub mod status {
    /// The flow was expected by a helper.
    pub const EXPECTED: u32 = 1;
    /// Packets were seen in both directions.
    pub const SEEN_REPLY: u32 = 1 << 1;
    /// Must not be dropped early.
    pub const ASSURED: u32 = 1 << 2;
    /// The entry stands in the kernel's table.
    pub const CONFIRMED: u32 = 1 << 3;
    /// Source address is translated.
    pub const SRC_NAT: u32 = 1 << 4;
    /// Destination address is translated.
    pub const DST_NAT: u32 = 1 << 5;
    /// Source translation is decided.
    pub const SRC_NAT_DONE: u32 = 1 << 7;
    /// Destination translation is decided.
    pub const DST_NAT_DONE: u32 = 1 << 8;
    /// Being removed.
    pub const DYING: u32 = 1 << 9;
    /// Handled by a flow table.
    pub const OFFLOAD: u32 = 1 << 14;
    /// Handled by hardware.
    pub const HW_OFFLOAD: u32 = 1 << 15;
}

/// Which parts of a [`Tuple`] are known: a message may carry any subset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known(u8);

impl Known {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The network layer protocol.
    pub const L3: Self = Self(1);
    /// The transport protocol.
    pub const L4: Self = Self(1 << 1);
    /// The source address.
    pub const SRC: Self = Self(1 << 2);
    /// The destination address.
    pub const DST: Self = Self(1 << 3);
    /// The source port (or GRE key).
    pub const SPORT: Self = Self(1 << 4);
    /// The destination port (or GRE key).
    pub const DPORT: Self = Self(1 << 5);
    /// ICMP type, code and id.
    pub const ICMP: Self = Self(1 << 6);
    /// A conntrack zone of this direction alone.
    pub const ZONE: Self = Self(1 << 7);
    /// Both addresses.
    pub const ADDRS: Self = Self(Self::SRC.0 | Self::DST.0);
    /// Both ports.
    pub const PORTS: Self = Self(Self::SPORT.0 | Self::DPORT.0);

    /// Whether every part of `other` is known.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without the parts of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is known.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// One direction of a flow (`CTA_TUPLE_*`).
///
/// The two 16-bit words hold source and destination port; for GRE the keys; for ICMP the id in `sport` and
/// type and code (high and low byte) in `dport`, as the kernel lays them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tuple {
    /// Source address, IPv4 in the first four bytes.
    pub src: [u8; 16],
    /// Destination address, IPv4 in the first four bytes.
    pub dst: [u8; 16],
    /// Source port, GRE source key, or ICMP id.
    pub sport: u16,
    /// Destination port, GRE destination key, or ICMP type and code.
    pub dport: u16,
    /// Zone of this direction, valid with [`Known::ZONE`].
    pub zone: u16,
    /// `AF_INET` (2) or `AF_INET6` (10).
    pub l3: u8,
    /// IP protocol number.
    pub l4: u8,
    /// Which of the fields above carry a value; unknown ones are zero.
    pub known: Known,
}

/// Linux's `AF_INET`.
pub(crate) const AF_INET: u8 = 2;
/// Linux's `AF_INET6`.
pub(crate) const AF_INET6: u8 = 10;

impl Tuple {
    /// A tuple with addresses of one family and a transport protocol; ports follow with [`Tuple::set_ports`].
    /// `None` when the families differ.
    pub fn new(src: IpAddr, dst: IpAddr, l4: u8) -> Option<Self> {
        let mut t = Self::default();
        match (src, dst) {
            (IpAddr::V4(s), IpAddr::V4(d)) => t.set_v4(s.octets(), d.octets()),
            (IpAddr::V6(s), IpAddr::V6(d)) => t.set_v6(s.octets(), d.octets()),
            _ => return None,
        }
        t.set_l4(l4);
        Some(t)
    }

    /// Both IPv4 addresses.
    pub fn set_v4(&mut self, src: [u8; 4], dst: [u8; 4]) {
        self.l3 = AF_INET;
        self.src = v4_bytes(src);
        self.dst = v4_bytes(dst);
        self.known = self.known.with(Known::L3).with(Known::ADDRS);
    }

    /// Both IPv6 addresses.
    pub fn set_v6(&mut self, src: [u8; 16], dst: [u8; 16]) {
        self.l3 = AF_INET6;
        self.src = src;
        self.dst = dst;
        self.known = self.known.with(Known::L3).with(Known::ADDRS);
    }

    /// The transport protocol.
    pub fn set_l4(&mut self, l4: u8) {
        self.l4 = l4;
        self.known = self.known.with(Known::L4);
    }

    /// Both ports or keys.
    pub fn set_ports(&mut self, sport: u16, dport: u16) {
        self.sport = sport;
        self.dport = dport;
        self.known = self.known.with(Known::PORTS);
    }

    /// Type, code and id of an ICMP or ICMPv6 query.
    pub fn set_icmp(&mut self, icmp_type: u8, code: u8, id: u16) {
        self.sport = id;
        self.dport = u16::from_be_bytes([icmp_type, code]);
        self.known = self.known.with(Known::ICMP);
    }

    /// ICMP type.
    pub const fn icmp_type(&self) -> u8 {
        self.dport.to_be_bytes()[0]
    }

    /// ICMP code.
    pub const fn icmp_code(&self) -> u8 {
        self.dport.to_be_bytes()[1]
    }

    /// The source address as a value, when the family is known.
    pub fn src_ip(&self) -> Option<IpAddr> {
        ip(self.l3, &self.src)
    }

    /// The destination address as a value, when the family is known.
    pub fn dst_ip(&self) -> Option<IpAddr> {
        ip(self.l3, &self.dst)
    }

    /// The first four bytes of the source address.
    pub const fn src4(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.src;
        [a, b, c, d]
    }

    /// The first four bytes of the destination address.
    pub const fn dst4(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.dst;
        [a, b, c, d]
    }

    /// The same flow seen from the other end: addresses and ports exchanged, an ICMP query turned into its reply
    /// (type 255, which the kernel refuses, when the type has no reply).
    pub fn mirrored(&self) -> Self {
        let mut t = Self {
            src: self.dst,
            dst: self.src,
            sport: 0,
            dport: 0,
            zone: 0,
            l3: self.l3,
            l4: self.l4,
            known: self.known.without(Known::ZONE),
        };
        match self.l4 {
            proto::TCP | proto::UDP | proto::UDPLITE | proto::SCTP | proto::DCCP | proto::GRE => {
                t.sport = self.dport;
                t.dport = self.sport;
            }
            proto::ICMP | proto::ICMPV6 => {
                t.sport = self.sport;
                let reply = icmp_reply(self.l3, self.icmp_type()).unwrap_or(255);
                t.dport = u16::from_be_bytes([reply, self.icmp_code()]);
            }
            _ => {}
        }
        t
    }

    /// Whether both name the same flow: every part known to both is equal (a part only one side knows does not count).
    pub fn same_flow(&self, other: &Self) -> bool {
        let both = |part| self.known.has(part) && other.known.has(part);
        (!both(Known::L3) || self.l3 == other.l3)
            && (!both(Known::L4) || self.l4 == other.l4)
            && self.src == other.src
            && self.dst == other.dst
            && self.sport == other.sport
            && self.dport == other.dport
            && (!both(Known::ZONE) || self.zone == other.zone)
    }
}

/// An IPv4 address in the first four bytes of sixteen.
pub(crate) const fn v4_bytes(a: [u8; 4]) -> [u8; 16] {
    [a[0], a[1], a[2], a[3], 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// The address in `bytes` as a value of family `l3`.
pub(crate) fn ip(l3: u8, bytes: &[u8; 16]) -> Option<IpAddr> {
    match l3 {
        AF_INET => {
            let [a, b, c, d, ..] = *bytes;
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
        }
        AF_INET6 => Some(IpAddr::V6(Ipv6Addr::from(*bytes))),
        _ => None,
    }
}

/// The type that answers an ICMP query (RFC 792, RFC 950, RFC 4443, RFC 4620).
fn icmp_reply(l3: u8, query: u8) -> Option<u8> {
    match (l3, query) {
        (AF_INET, 8) => Some(0),
        (AF_INET, 0) => Some(8),
        (AF_INET, 13) => Some(14),
        (AF_INET, 14) => Some(13),
        (AF_INET, 15) => Some(16),
        (AF_INET, 16) => Some(15),
        (AF_INET, 17) => Some(18),
        (AF_INET, 18) => Some(17),
        (AF_INET6, 128) => Some(129),
        (AF_INET6, 129) => Some(128),
        (AF_INET6, 139) => Some(140),
        (AF_INET6, 140) => Some(139),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_turns_ports_and_queries_around() {
        let ip = |s: &str| -> IpAddr { s.parse().unwrap() };
        let mut t = Tuple::new(ip("10.1.0.2"), ip("10.2.0.2"), proto::TCP).unwrap();
        t.set_ports(20001, 9001);
        let r = t.mirrored();
        assert_eq!(r.src_ip(), Some(ip("10.2.0.2")));
        assert_eq!((r.sport, r.dport), (9001, 20001));
        assert_eq!(r.mirrored(), t);

        let mut t = Tuple::new(ip("fd01::2"), ip("fd02::2"), proto::ICMPV6).unwrap();
        t.set_icmp(128, 0, 7);
        let r = t.mirrored();
        assert_eq!((r.icmp_type(), r.sport), (129, 7));
        t.set_icmp(1, 0, 7);
        assert_eq!(t.mirrored().icmp_type(), 255);
        assert_eq!(Tuple::new(ip("fd01::2"), ip("1.2.3.4"), 6), None);
    }
}
