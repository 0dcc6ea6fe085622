//! `PING_CHECK`: echo requests and their replies. The kernel fills in identifier and checksum.
//!
//! Answers to: keepalived 2.3.3 check/check_ping.c, RFC 792, RFC 4443 section 4.

use alloc::vec::Vec;

use net_types::Family;

use super::filling;

/// Bytes behind the header.
const DATA: usize = 128;
const HEADER: usize = 8;
/// Longest reply that is taken.
pub const REPLY_MAX: usize = HEADER + DATA;

const fn types(family: Family) -> (u8, u8) {
    match family {
        Family::V4 => (8, 0),
        Family::V6 => (128, 129),
    }
}

/// The echo request of that number.
pub fn request(family: Family, sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    let mut out = Vec::with_capacity(REPLY_MAX);
    out.extend_from_slice(&[types(family).0, 0, 0, 0, 0, 0, high, low]);
    out.extend(filling(DATA));
    out
}

/// What came instead of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// So few bytes.
    Short(usize),
    /// A packet of that type.
    Type(u8),
    /// The reply to another request.
    Sequence(u16),
}

/// Whether a packet is the reply to that request.
///
/// # Errors
/// What else it is.
pub fn reply(family: Family, sequence: u16, packet: &[u8]) -> Result<(), Wrong> {
    let &[kind, _, _, _, _, _, high, low, ..] = packet else {
        return Err(Wrong::Short(packet.len()));
    };
    if kind != types(family).1 {
        return Err(Wrong::Type(kind));
    }
    match u16::from_be_bytes([high, low]) {
        number if number == sequence => Ok(()),
        other => Err(Wrong::Sequence(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let packet = request(Family::V4, 0x0102);
        assert_eq!(packet.len(), 136);
        assert_eq!(packet[..8], [8, 0, 0, 0, 0, 0, 1, 2]);
        assert!(packet[8..].starts_with(b"keepalived check - keepalived check - "));
        assert_eq!(request(Family::V6, 1)[0], 128);
    }

    #[test]
    fn replies() {
        let good = [0, 0, 9, 9, 9, 9, 0, 1];
        assert_eq!(reply(Family::V4, 1, &good), Ok(()));
        assert_eq!(reply(Family::V4, 2, &good), Err(Wrong::Sequence(1)));
        assert_eq!(reply(Family::V6, 1, &good), Err(Wrong::Type(0)));
        assert_eq!(reply(Family::V4, 1, &good[..7]), Err(Wrong::Short(7)));
    }
}
