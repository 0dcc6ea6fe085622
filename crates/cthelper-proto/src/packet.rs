//! IP packets with TCP or UDP: where the payload is, and the same packet with another payload.

use alloc::vec::Vec;
use core::fmt;

use nfct::{Conntrack, Tuple, proto};

use crate::rewrite::{be16, be32};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// Why a packet is let through unread; shown as 1.4.8's log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Cut within the IPv4 header, or a header length below 20.
    NoIpv4Header,
    /// Another version than the link layer says.
    NotIpv4,
    /// Cut within the IPv6 header.
    NoIpv6Header,
    /// Another version than the link layer says.
    NotIpv6,
    /// Neither IPv4 nor IPv6: the link layer's number.
    Layer3(u16),
    /// Cut within the TCP header.
    NoTcpHeader,
    /// Cut within the UDP header.
    NoUdpHeader,
    /// Another protocol; for IPv6 also an extension header.
    Layer4,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIpv4Header => f.write_str("no room for IPv4 header"),
            Self::NotIpv4 => f.write_str("not IPv4, skipping"),
            Self::NoIpv6Header => f.write_str("no room for IPv6 header"),
            Self::NotIpv6 => f.write_str("not IPv6, skipping"),
            Self::Layer3(n) => write!(f, "unknown layer 3 protocol ({n}), skipping"),
            Self::NoTcpHeader => f.write_str("no room for IPv4 + TCP header, skip"),
            Self::NoUdpHeader => f.write_str("no room for IPv4 + UDP header, skip"),
            Self::Layer4 => f.write_str("not TCP/UDP, skipping"),
        }
    }
}

/// A packet from its IP header on.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    ip: &'a [u8],
    transport: &'a [u8],
    payload: &'a [u8],
    v6: bool,
    protocol: u8,
}

impl<'a> Packet<'a> {
    /// Finds the headers; `hardware` is the link layer's protocol number.
    pub fn parse(bytes: &'a [u8], hardware: u16) -> Result<Self, Unusable> {
        let first = bytes.first().copied().unwrap_or(0);
        let (v6, at, protocol) = match hardware {
            ETHERTYPE_IPV4 => {
                let header = bytes
                    .first_chunk::<IPV4_HEADER>()
                    .ok_or(Unusable::NoIpv4Header)?;
                if first >> 4 != 4 {
                    return Err(Unusable::NotIpv4);
                }
                let len = usize::from(first & 0xf) * 4;
                if len < IPV4_HEADER {
                    return Err(Unusable::NoIpv4Header);
                }
                (false, len, header[9])
            }
            ETHERTYPE_IPV6 => {
                let header = bytes
                    .first_chunk::<IPV6_HEADER>()
                    .ok_or(Unusable::NoIpv6Header)?;
                if first >> 4 != 6 {
                    return Err(Unusable::NotIpv6);
                }
                (true, IPV6_HEADER, header[6])
            }
            other => return Err(Unusable::Layer3(other)),
        };
        let cut = match protocol {
            proto::TCP => Unusable::NoTcpHeader,
            proto::UDP => Unusable::NoUdpHeader,
            _ => return Err(Unusable::Layer4),
        };
        let (ip, rest) = bytes.split_at_checked(at).ok_or(cut)?;
        let len = match protocol {
            proto::TCP => {
                let header = rest.first_chunk::<TCP_HEADER>().ok_or(cut)?;
                usize::from(header[12] >> 4) * 4
            }
            _ => UDP_HEADER,
        };
        if protocol == proto::TCP && len < TCP_HEADER {
            return Err(cut);
        }
        let (transport, payload) = rest.split_at_checked(len).ok_or(cut)?;
        Ok(Self {
            ip,
            transport,
            payload,
            v6,
            protocol,
        })
    }

    /// What follows the TCP or UDP header.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Sequence number of the payload's first byte; 0 for UDP.
    pub(crate) fn sequence(&self) -> u32 {
        match self.protocol {
            proto::TCP => be32(self.transport, 4).unwrap_or(0),
            _ => 0,
        }
    }

    pub(crate) const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Destination address of an IPv6 packet.
    pub(crate) fn destination_v6(&self) -> Option<[u8; 16]> {
        if !self.v6 {
            return None;
        }
        self.ip.get(24..40)?.first_chunk().copied()
    }

    /// A flow that begins with this packet and that nothing translates.
    pub fn flow(&self) -> Conntrack {
        let mut tuple = Tuple::default();
        let v4 = |at: usize| self.ip.get(at..).and_then(|b| b.first_chunk::<4>());
        let v6 = |at: usize| self.ip.get(at..).and_then(|b| b.first_chunk::<16>());
        match (self.v6, v4(12), v4(16), v6(8), v6(24)) {
            (false, Some(src), Some(dst), ..) => tuple.set_v4(*src, *dst),
            (true, _, _, Some(src), Some(dst)) => tuple.set_v6(*src, *dst),
            _ => {}
        }
        tuple.set_l4(self.protocol);
        tuple.set_ports(
            be16(self.transport, 0).unwrap_or(0),
            be16(self.transport, 2).unwrap_or(0),
        );
        let mut ct = Conntrack::with_orig(tuple);
        ct.set_reply(tuple.mirrored());
        ct
    }

    /// The packet with another payload: lengths and checksums are made anew. `None` when IP could not carry it.
    pub(crate) fn with_payload(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let segment = self.transport.len().checked_add(payload.len())?;
        let total = self.ip.len().checked_add(segment)?;
        let total_16 = u16::try_from(total).ok()?;
        let segment_16 = u16::try_from(segment).ok()?;
        let mut out = Vec::with_capacity(total);
        out.extend_from_slice(self.ip);
        out.extend_from_slice(self.transport);
        out.extend_from_slice(payload);
        let (ip, upper) = out.split_at_mut_checked(self.ip.len())?;
        let addresses = if self.v6 {
            set16(ip, 4, segment_16);
            ip.get(8..40)?
        } else {
            set16(ip, 2, total_16);
            set16(ip, 10, 0);
            let sum = checksum(&[ip]);
            set16(ip, 10, sum);
            ip.get(12..20)?
        };
        // Both families' pseudo headers sum up to the same with these words.
        let tail = [
            segment_16.to_be_bytes(),
            u16::from(self.protocol).to_be_bytes(),
        ];
        if self.protocol == proto::TCP {
            set16(upper, 16, 0);
            let sum = checksum(&[addresses, tail.as_flattened(), upper]);
            set16(upper, 16, sum);
        } else {
            set16(upper, 4, segment_16);
            set16(upper, 6, 0);
            let sum = checksum(&[addresses, tail.as_flattened(), upper]);
            // 0 would mean that there is none (RFC 768).
            set16(upper, 6, if sum == 0 { 0xffff } else { sum });
        }
        Some(out)
    }
}

fn set16(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..).and_then(|b| b.first_chunk_mut()) {
        *place = value.to_be_bytes();
    }
}

/// The Internet checksum (RFC 1071) of parts, all but the last of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            let word = u16::from_be_bytes([
                pair.first().copied().unwrap_or(0),
                pair.get(1).copied().unwrap_or(0),
            ]);
            // A packet has fewer than 2^16 words: no carry is lost.
            sum = sum.wrapping_add(u32::from(word));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec;

    /// A packet of 10.0.0.1:1000 to 10.9.0.2:21, or of fd00::1 to fd00::2; checksums are right.
    pub(crate) fn packet(v6: bool, protocol: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = if v6 {
            let mut ip = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
            let mut addr = [0_u8; 16];
            addr[..2].copy_from_slice(&[0xfd, 0]);
            for last in [1, 2] {
                addr[15] = last;
                ip.extend_from_slice(&addr);
            }
            ip
        } else {
            let mut ip = vec![0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, protocol, 0, 0];
            ip.extend_from_slice(&[10, 0, 0, 1, 10, 9, 0, 2]);
            ip
        };
        bytes.extend_from_slice(&[1000_u16.to_be_bytes(), 21_u16.to_be_bytes()].concat());
        if protocol == proto::TCP {
            bytes.extend_from_slice(&sequence.to_be_bytes());
            bytes.extend_from_slice(&[0, 0, 0, 0, 0x50, 0x18, 1, 0, 0, 0, 0, 0]);
        } else {
            bytes.extend_from_slice(&[0; 4]);
        }
        let hardware = if v6 { 0x86dd } else { 0x0800 };
        let bare = Packet::parse(&bytes, hardware).unwrap();
        bare.with_payload(payload).unwrap()
    }

    #[test]
    fn a_packet_is_taken_apart_and_put_together() {
        for (v6, protocol) in [(false, 6), (false, 17), (true, 6), (true, 17)] {
            let bytes = packet(v6, protocol, 7, b"hello");
            let hardware = if v6 { 0x86dd } else { 0x0800 };
            let parsed = Packet::parse(&bytes, hardware).unwrap();
            assert_eq!(parsed.payload(), b"hello");
            assert_eq!(parsed.with_payload(b"hello").unwrap(), bytes);
            let longer = parsed.with_payload(b"hello, you").unwrap();
            let ip_len = if v6 {
                be16(&longer, 4).unwrap() + 40
            } else {
                be16(&longer, 2).unwrap()
            };
            assert_eq!(usize::from(ip_len), longer.len());
            assert_eq!(parsed.with_payload(&vec![0; 65_536]), None);
        }
    }

    #[test]
    fn checksums_are_rfc_1071s() {
        // RFC 1071, section 3: the sum of these is ddf2.
        assert_eq!(
            checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]),
            !0xddf2
        );
        // Recorded: a DNS query's IPv4 header, RFC 791's example checked by the receiver as zero.
        let bytes = packet(false, 6, 1, b"odd");
        assert_eq!(checksum(&[bytes.get(..20).unwrap()]), 0);
        let pseudo = [10, 0, 0, 1, 10, 9, 0, 2, 0, 6, 0, 23];
        assert_eq!(checksum(&[&pseudo, bytes.get(20..).unwrap()]), 0);
    }

    #[test]
    fn every_cut_is_named() {
        let bytes = packet(false, 6, 1, b"");
        for cut in 0..bytes.len() {
            assert!(Packet::parse(&bytes[..cut], 0x0800).is_err(), "{cut}");
        }
        assert_eq!(
            Packet::parse(&bytes, 0x86dd).unwrap_err().to_string(),
            "not IPv6, skipping"
        );
        assert_eq!(
            Packet::parse(&bytes, 0x0806).unwrap_err().to_string(),
            "unknown layer 3 protocol (2054), skipping"
        );
    }
    use alloc::string::ToString;
}
