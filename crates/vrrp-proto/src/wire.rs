//! VRRP bytes: RFC 3768 section 5 (version 2), RFC 9568 section 5 (version 3), and the IPv4 header around them.
//!
//! ```text
//!  0                   1                   2                   3
//! |Version| Type  | Virtual Rtr ID|   Priority    |  Address count|
//! | v2: Auth Type | v2: Adver Int |          Checksum             |
//! | v3: 0 |  Max Advertise Int    |                               |
//! |                     IPv4 or IPv6 addresses                    |
//! |            v2 over IPv4: eight authentication bytes           |
//! ```
//!
//! Decoding is total: nothing here panics, and nothing allocates by a length that the sender chose.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net_types::Family;

/// IP protocol number of VRRP.
pub const PROTO_VRRP: u8 = 112;
/// IP protocol number of the authentication header.
pub const PROTO_AH: u8 = 51;
/// Length of the fixed part of a VRRP packet.
pub const HEADER_LEN: usize = 8;
/// Length of version 2's authentication data.
pub const AUTH_LEN: usize = 8;
/// Length of the authentication header with its 96 bits of digest.
pub const AH_LEN: usize = 24;
/// Length of an IPv4 header without options, as we send it.
pub const IPV4_LEN: usize = 20;
/// The only packet type.
pub const TYPE_ADVERTISEMENT: u8 = 1;
/// TTL and hop limit of every multicast advert.
pub const TTL: u8 = 255;
/// Type of service: internetwork control.
pub const TOS: u8 = 0xc0;

/// Why bytes are no VRRP packet at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Shorter than IPv4 header (and its options) plus VRRP header, or than the VRRP header for IPv6.
    Short,
    /// An authentication header announced, but not all of it (and a VRRP header) there.
    ShortAh,
    /// The packet ends within its addresses or authentication data.
    Body,
}

/// Eight bytes at the start of each VRRP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3, but whatever came.
    pub version: u8,
    /// 1, but whatever came.
    pub kind: u8,
    /// Virtual router identifier.
    pub vrid: u8,
    /// Priority of the sender.
    pub priority: u8,
    /// Number of addresses.
    pub count: u8,
    /// Version 2: authentication type and seconds. Version 3: interval in centiseconds, 12 bits.
    pub word: [u8; 2],
    /// Checksum.
    pub checksum: u16,
}

impl Header {
    /// Reads the first eight bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let &[vt, vrid, priority, count, w0, w1, c0, c1, ..] = bytes else {
            return None;
        };
        Some(Self {
            version: vt >> 4,
            kind: vt & 0x0f,
            vrid,
            priority,
            count,
            word: [w0, w1],
            checksum: u16::from_be_bytes([c0, c1]),
        })
    }

    /// Version 2: the authentication type.
    pub const fn auth_type(&self) -> u8 {
        self.word[0]
    }

    /// Version 2: the interval in seconds.
    pub const fn seconds(&self) -> u8 {
        self.word[1]
    }

    /// Version 3: the interval in centiseconds; the reserved bits are ignored (RFC 9568 section 5.2.6).
    pub const fn centis(&self) -> u16 {
        u16::from_be_bytes(self.word) & 0x0fff
    }

    /// Length of the VRRP packet that this header announces.
    pub const fn packet_len(&self, family: Family) -> usize {
        let count = self.count as usize;
        match family {
            Family::V4 if self.version == 2 => HEADER_LEN + count * 4 + AUTH_LEN,
            Family::V4 => HEADER_LEN + count * 4,
            Family::V6 => HEADER_LEN + count * 16,
        }
    }
}

/// What the IPv4 header in front of a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Header length with options, 0 to 60 as announced.
    pub header_len: usize,
    /// Total length as announced.
    pub total_len: u16,
    /// Identification.
    pub id: u16,
    /// Time to live.
    pub ttl: u8,
    /// 112, or 51 with an authentication header.
    pub protocol: u8,
    /// Sender.
    pub source: Ipv4Addr,
    /// Group or us.
    pub destination: Ipv4Addr,
}

impl Ipv4 {
    /// Reads the fixed part of an IPv4 header.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let h: &[u8; IPV4_LEN] = bytes.first_chunk()?;
        let [
            vi,
            _,
            l0,
            l1,
            i0,
            i1,
            _,
            _,
            ttl,
            protocol,
            _,
            _,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ] = *h;
        Some(Self {
            header_len: usize::from(vi & 0x0f) * 4,
            total_len: u16::from_be_bytes([l0, l1]),
            id: u16::from_be_bytes([i0, i1]),
            ttl,
            protocol,
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
        })
    }

    /// Appends the header as it stands in front of each of our adverts: no options, no fragment bits, checksum left to the kernel.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0x45, TOS]);
        out.extend_from_slice(&self.total_len.to_be_bytes());
        out.extend_from_slice(&self.id.to_be_bytes());
        out.extend_from_slice(&[0, 0, self.ttl, self.protocol, 0, 0]);
        out.extend_from_slice(&self.source.octets());
        out.extend_from_slice(&self.destination.octets());
    }
}

/// RFC 4302 header with a 96-bit digest, in front of a version 2 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ah {
    /// Protocol behind it.
    pub next: u8,
    /// Security parameters index: the reference puts the source address here.
    pub spi: u32,
    /// Counts adverts.
    pub sequence: u32,
    /// Truncated HMAC-MD5.
    pub digest: [u8; 12],
}

impl Ah {
    /// Reads the header.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let h: &[u8; AH_LEN] = bytes.first_chunk()?;
        let [next, _, _, _, p0, p1, p2, p3, q0, q1, q2, q3, digest @ ..] = *h;
        Some(Self {
            next,
            spi: u32::from_be_bytes([p0, p1, p2, p3]),
            sequence: u32::from_be_bytes([q0, q1, q2, q3]),
            digest,
        })
    }

    /// Appends the header.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.next, 4, 0, 0]);
        out.extend_from_slice(&self.spi.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.digest);
    }
}

/// Bytes from a VRRP socket, taken apart without copying.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// IPv4 only: the header in front.
    pub ip: Option<Ipv4>,
    /// IPv4 only: the authentication header, if the IP header announces one.
    pub ah: Option<Ah>,
    /// The fixed part.
    pub header: Header,
    /// From the VRRP header to the end of what was received, padding included.
    pub vrrp: &'a [u8],
    /// Length of all that was received.
    pub received: usize,
}

impl<'a> View<'a> {
    /// Finds the headers; says nothing about their content.
    pub fn decode(family: Family, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (ip, ah, vrrp) = match family {
            Family::V4 => {
                let ip = Ipv4::decode(bytes).ok_or(DecodeError::Short)?;
                let body = bytes.get(ip.header_len..).ok_or(DecodeError::Short)?;
                if body.len() < HEADER_LEN {
                    return Err(DecodeError::Short);
                }
                if ip.protocol == PROTO_AH {
                    let ah = Ah::decode(body).ok_or(DecodeError::ShortAh)?;
                    let rest = body.get(AH_LEN..).ok_or(DecodeError::ShortAh)?;
                    (Some(ip), Some(ah), rest)
                } else {
                    (Some(ip), None, body)
                }
            }
            Family::V6 => (None, None, bytes),
        };
        let short = if ah.is_some() {
            DecodeError::ShortAh
        } else {
            DecodeError::Short
        };
        let header = Header::decode(vrrp).ok_or(short)?;
        Ok(Self {
            ip,
            ah,
            header,
            vrrp,
            received: bytes.len(),
        })
    }

    /// The VRRP packet without padding; `None` when it is cut short.
    pub fn packet(&self, family: Family) -> Option<&'a [u8]> {
        self.vrrp.get(..self.header.packet_len(family))
    }

    /// Whether `address` is in the advert.
    pub fn contains(&self, address: &IpAddr) -> bool {
        let body = self.vrrp.get(HEADER_LEN..).unwrap_or_default();
        let count = usize::from(self.header.count);
        match address {
            IpAddr::V4(a) => body.chunks_exact(4).take(count).any(|c| c == a.octets()),
            IpAddr::V6(a) => body.chunks_exact(16).take(count).any(|c| c == a.octets()),
        }
    }

    /// Version 2 over IPv4: the authentication data behind the addresses.
    pub fn auth_data(&self) -> Option<[u8; AUTH_LEN]> {
        let start = HEADER_LEN.saturating_add(usize::from(self.header.count) * 4);
        self.vrrp.get(start..)?.first_chunk().copied()
    }
}

/// A whole VRRP packet as a value; for tests, tools and sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The fixed part; `count` and `checksum` are recomputed by [`Self::encode`].
    pub header: Header,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// Version 2 over IPv4: authentication data.
    pub auth: Option<[u8; AUTH_LEN]>,
}

impl Packet {
    /// Reads a VRRP packet (from the VRRP header on).
    pub fn decode(family: Family, bytes: &[u8]) -> Result<Self, DecodeError> {
        let header = Header::decode(bytes).ok_or(DecodeError::Short)?;
        let packet = bytes
            .get(..header.packet_len(family))
            .ok_or(DecodeError::Body)?;
        let body = packet.get(HEADER_LEN..).ok_or(DecodeError::Body)?;
        let count = usize::from(header.count);
        let (addresses, rest) = match family {
            Family::V4 => {
                let (a, rest) = body.split_at_checked(count * 4).ok_or(DecodeError::Body)?;
                let list = a
                    .chunks_exact(4)
                    .filter_map(|c| <[u8; 4]>::try_from(c).ok())
                    .map(|c| IpAddr::V4(Ipv4Addr::from(c)))
                    .collect();
                (list, rest)
            }
            Family::V6 => {
                let (a, rest) = body.split_at_checked(count * 16).ok_or(DecodeError::Body)?;
                let list = a
                    .chunks_exact(16)
                    .filter_map(|c| <[u8; 16]>::try_from(c).ok())
                    .map(|c| IpAddr::V6(Ipv6Addr::from(c)))
                    .collect();
                (list, rest)
            }
        };
        Ok(Self {
            header,
            addresses,
            auth: rest.first_chunk().copied(),
        })
    }

    /// Appends the packet; the checksum is computed over it and `seal`.
    pub fn encode(&self, seal: Seal, out: &mut Vec<u8>) {
        encode(
            &self.header,
            self.addresses.iter().copied(),
            self.auth,
            seal,
            out,
        );
    }
}

/// How the checksum of a packet is formed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// Over the packet alone: version 2, and version 3 with `v3_checksum_as_v2`.
    Plain,
    /// Over a pseudo-header and the packet: version 3 over IPv4 (RFC 9568 section 5.2.8).
    Pseudo {
        /// Sender.
        source: Ipv4Addr,
        /// Group or peer.
        destination: Ipv4Addr,
    },
    /// Left zero: the kernel fills it in (IPv6).
    Kernel,
}

impl Seal {
    fn start(self, len: usize) -> u32 {
        match self {
            Self::Plain | Self::Kernel => 0,
            Self::Pseudo {
                source,
                destination,
            } => {
                let len = u16::try_from(len).unwrap_or(u16::MAX);
                let sum = sum(0, &source.octets());
                let sum = self::sum(sum, &destination.octets());
                sum.wrapping_add(u32::from(PROTO_VRRP))
                    .wrapping_add(u32::from(len))
            }
        }
    }
}

/// Appends a VRRP packet. At most 255 addresses are taken.
pub fn encode(
    header: &Header,
    addresses: impl Iterator<Item = IpAddr>,
    auth: Option<[u8; AUTH_LEN]>,
    seal: Seal,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(&[
        header.version << 4 | header.kind & 0x0f,
        header.vrid,
        header.priority,
        0,
        header.word[0],
        header.word[1],
        0,
        0,
    ]);
    let mut count: u8 = 0;
    for address in addresses.take(255) {
        match address {
            IpAddr::V4(a) => out.extend_from_slice(&a.octets()),
            IpAddr::V6(a) => out.extend_from_slice(&a.octets()),
        }
        count = count.saturating_add(1);
    }
    if let Some(auth) = auth {
        out.extend_from_slice(&auth);
    }
    if let Some(c) = out.get_mut(start.saturating_add(3)) {
        *c = count;
    }
    if seal != Seal::Kernel {
        let packet = out.get(start..).unwrap_or_default();
        let value = checksum(seal, packet).to_be_bytes();
        if let Some(place) = out.get_mut(start.saturating_add(6)..start.saturating_add(8)) {
            place.copy_from_slice(&value);
        }
    }
}

/// The one's complement checksum over `seal` and `packet`: what to put in (with a zero in place), or 0 for a packet that is right.
pub fn checksum(seal: Seal, packet: &[u8]) -> u16 {
    let mut total = sum(seal.start(packet.len()), packet);
    while total > 0xffff {
        total = (total & 0xffff).wrapping_add(total >> 16);
    }
    !(total as u16)
}

/// Adds 16-bit words; at most 2 kB, so 32 bits can not overflow.
fn sum(start: u32, bytes: &[u8]) -> u32 {
    bytes.chunks(2).fold(start, |acc, pair| {
        let hi = pair.first().copied().unwrap_or(0);
        let lo = pair.get(1).copied().unwrap_or(0);
        let total = acc.wrapping_add(u32::from(u16::from_be_bytes([hi, lo])));
        (total & 0xffff).wrapping_add(total >> 16)
    })
}

/// Feeds arbitrary bytes to every decoder; must return. Used by fuzzing and by the replay of its corpus.
pub fn fuzz_decode(data: &[u8]) {
    for family in [Family::V4, Family::V6] {
        if let Ok(view) = View::decode(family, data) {
            let _ = view.packet(family).map(|p| checksum(Seal::Plain, p));
            let _ = view.auth_data();
            let _ = view.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST));
            let _ = view.contains(&IpAddr::V6(Ipv6Addr::LOCALHOST));
        }
        if let Ok(packet) = Packet::decode(family, data) {
            let mut out = Vec::new();
            packet.encode(Seal::Plain, &mut out);
        }
    }
}
