//! `UDP_CHECK`: a datagram and what may come back.
//!
//! Answers to: keepalived 2.3.3 check/check_udp.c.

use alloc::vec::Vec;

use super::filling;

/// Length of the datagram when none is configured.
const DATA: usize = 32;

/// The datagram when none is configured.
pub fn default_payload() -> Vec<u8> {
    filling(DATA).collect()
}

/// Whether a reply is the one that is wanted. Only as many octets as both have are compared; bits of the mask do not matter.
/// Without wanted octets every reply is right, whatever its length.
pub fn reply(wanted: &[(u8, u8)], min: u16, max: u16, datagram: &[u8]) -> bool {
    wanted.is_empty()
        || ((usize::from(min)..=usize::from(max)).contains(&datagram.len())
            && wanted
                .iter()
                .zip(datagram)
                .all(|((octet, ignored), came)| (octet ^ came) & !ignored == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload() {
        assert_eq!(default_payload(), b"keepalived check - keepalived ch");
    }

    #[test]
    fn replies() {
        let wanted = [(0x12, 0), (0x34, 0x0f)];
        assert!(reply(&wanted, 0, 255, &[0x12, 0x3f]));
        assert!(reply(&wanted, 0, 255, &[0x12]));
        assert!(reply(&wanted, 0, 255, &[0x12, 0x34, 0xff]));
        assert!(reply(&wanted, 0, 255, &[]));
        assert!(!reply(&wanted, 0, 255, &[0x12, 0x44]));
        assert!(!reply(&wanted, 1, 255, &[]));
        assert!(!reply(&wanted, 0, 1, &[0x12, 0x34]));
        assert!(reply(&[], 5, 5, &[]));
    }
}
