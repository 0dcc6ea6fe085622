//! Frames that tell neighbours where an address has moved (pure functions).
//!
//! Answers to: RFC 826 and RFC 5227 (gratuitous ARP), RFC 4861 section 4.4 (neighbour advertisement), RFC 4391
//! (InfiniBand); keepalived-behaviour.md section 4.7. As the original's, the ARP request's target link-layer address is the
//! broadcast address, not zero.

use std::net::{Ipv4Addr, Ipv6Addr};

use netlink_wire::LinkAddr;
use netlink_wire::link::HW_INFINIBAND;

use crate::packet_sock::{ETHERTYPE_ARP, ETHERTYPE_IPV6};

const ETHER_ADDR_LEN: usize = 6;
/// The multicast address of "all nodes" on InfiniBand (RFC 4391 section 4), with the interface's partition key.
fn infiniband_all_nodes(broadcast: &[u8]) -> [u8; 20] {
    let mut group = [
        0x00, 0xff, 0xff, 0xff, 0xff, 0x12, 0x60, 0x1b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
    ];
    if let (Some(place), Some(key)) = (group.get_mut(8..10), broadcast.get(8..10)) {
        place.copy_from_slice(key);
    }
    group
}

/// The interface a frame leaves by.
#[derive(Clone, Copy, Debug)]
pub struct Sender<'a> {
    /// `ARPHRD_…`
    pub hw_type: u16,
    /// Its link-layer address.
    pub own: &'a LinkAddr,
    /// Its broadcast address.
    pub broadcast: &'a LinkAddr,
}

/// Appends a gratuitous ARP request for `address` (42 bytes on Ethernet).
pub fn gratuitous_arp(frame: &mut Vec<u8>, sender: Sender<'_>, address: Ipv4Addr) {
    const REQUEST: u16 = 1;
    const ETHERTYPE_IPV4: u16 = 0x0800;
    let (own, broadcast) = (sender.own.as_bytes(), sender.broadcast.as_bytes());
    link_header(frame, sender, broadcast, ETHERTYPE_ARP);
    frame.extend_from_slice(&sender.hw_type.to_be_bytes());
    frame.extend_from_slice(&ETHERTYPE_IPV4.to_be_bytes());
    frame.extend_from_slice(&[u8::try_from(own.len()).unwrap_or(0), 4]);
    frame.extend_from_slice(&REQUEST.to_be_bytes());
    for half in [own, broadcast] {
        frame.extend_from_slice(half);
        // The target has the same place for its address as the sender.
        frame.resize(frame.len() + own.len().saturating_sub(half.len()), 0xff);
        frame.extend_from_slice(&address.octets());
    }
}

/// Appends an unsolicited neighbour advertisement for `address` to all nodes, with the override flag.
pub fn unsolicited_na(frame: &mut Vec<u8>, sender: Sender<'_>, address: Ipv6Addr, router: bool) {
    const ICMPV6: u8 = 58;
    const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    const FLAG_ROUTER: u8 = 0x80;
    const FLAG_OVERRIDE: u8 = 0x20;
    const TARGET_LINK_ADDRESS: u8 = 2;
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let infiniband = sender.hw_type == HW_INFINIBAND;
    if infiniband {
        link_header(
            frame,
            sender,
            &infiniband_all_nodes(sender.broadcast.as_bytes()),
            ETHERTYPE_IPV6,
        );
    } else {
        link_header(frame, sender, &[0x33, 0x33, 0, 0, 0, 1], ETHERTYPE_IPV6);
    }

    let own = sender.own.as_bytes();
    // In units of eight bytes, with the two bytes of its own header; InfiniBand pads before the address.
    let units: u8 = if infiniband { 3 } else { 1 };
    let length = 24 + u16::from(units) * 8;
    frame.extend_from_slice(&[0x60, 0, 0, 0]);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(&[ICMPV6, 255]);
    frame.extend_from_slice(&address.octets());
    frame.extend_from_slice(&ALL_NODES.octets());

    let start = frame.len();
    let flags = FLAG_OVERRIDE | if router { FLAG_ROUTER } else { 0 };
    frame.extend_from_slice(&[NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0]);
    frame.extend_from_slice(&address.octets());
    frame.extend_from_slice(&[TARGET_LINK_ADDRESS, units]);
    if infiniband {
        frame.extend_from_slice(&[0; 2]);
    }
    frame.extend_from_slice(own);
    frame.resize(start + usize::from(length), 0);

    let sum = checksum(&[
        &address.octets(),
        &ALL_NODES.octets(),
        &u32::from(length).to_be_bytes(),
        &[0, 0, 0, ICMPV6],
        frame.get(start..).unwrap_or_default(),
    ]);
    if let Some(place) = frame.get_mut(start + 2..start + 4) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
}

fn link_header(frame: &mut Vec<u8>, sender: Sender<'_>, destination: &[u8], ethertype: u16) {
    if sender.hw_type == HW_INFINIBAND {
        frame.extend_from_slice(destination);
        frame.extend_from_slice(&ethertype.to_be_bytes());
        frame.extend_from_slice(&[0; 2]);
        return;
    }
    for address in [destination, sender.own.as_bytes()] {
        let end = frame.len() + ETHER_ADDR_LEN;
        frame.extend_from_slice(address.get(..ETHER_ADDR_LEN).unwrap_or(address));
        frame.resize(end, 0);
    }
    frame.extend_from_slice(&ethertype.to_be_bytes());
}

/// The Internet checksum over parts of even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|p| p.chunks(2));
    let sum = words.fold(0_u32, |sum, word| {
        let high = word.first().copied().unwrap_or(0);
        let low = word.get(1).copied().unwrap_or(0);
        sum.wrapping_add(u32::from(u16::from_be_bytes([high, low])))
    });
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) as u16).wrapping_add((folded >> 16) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        let digit = |d: u8| (d as char).to_digit(16).unwrap() as u8;
        digits
            .chunks_exact(2)
            .map(|p| digit(p[0]) << 4 | digit(p[1]))
            .collect()
    }

    fn ethernet(own: &[u8], build: impl FnOnce(&mut Vec<u8>, Sender<'_>)) -> Vec<u8> {
        let mut frame = Vec::new();
        let sender = Sender {
            hw_type: 1,
            own: &LinkAddr::new(own).unwrap(),
            broadcast: &LinkAddr::new(&[0xff; 6]).unwrap(),
        };
        build(&mut frame, sender);
        frame
    }

    /// First frames of reference capture 341-garp-timing.pcap (keepalived 2.3.3).
    #[test]
    fn the_originals_gratuitous_arp() {
        let frame = ethernet(&[2, 0, 0, 0, 0, 0xa], |f, s| {
            gratuitous_arp(f, s, Ipv4Addr::new(192, 0, 2, 100))
        });
        let original = "ffffffffffff 02000000000a 0806 0001 0800 06 04 0001 02000000000a c0000264 ffffffffffff c0000264";
        assert_eq!(frame, hex(original));
    }

    /// First frames of reference capture 342-gna-timing.pcap (keepalived 2.3.3).
    #[test]
    fn the_originals_neighbour_advertisements() {
        for (address, sum) in [("fe80::100", "5594"), ("2001:db8::101", "f721")] {
            let address: Ipv6Addr = address.parse().unwrap();
            let frame = ethernet(&[2, 0, 0, 0, 0, 0xa], |f, s| {
                unsolicited_na(f, s, address, false)
            });
            let mut original = hex("333300000001 02000000000a 86dd 60000000 0020 3a ff");
            original.extend(address.octets());
            original.extend(hex("ff020000000000000000000000000001 8800"));
            original.extend(hex(sum));
            original.extend(hex("20000000"));
            original.extend(address.octets());
            original.extend(hex("0201 02000000000a"));
            assert_eq!(frame, original);
        }
    }

    /// keepalived-behaviour.md section 4.7: flags 0xa0 when the interface forwards.
    #[test]
    fn a_router_says_so() {
        let frame = ethernet(&[2, 0, 0, 0, 0, 0xa], |f, s| {
            unsolicited_na(f, s, Ipv6Addr::LOCALHOST, true)
        });
        assert_eq!(frame[58], 0xa0);
    }

    #[test]
    fn infiniband_frames_have_their_own_header() {
        let own = LinkAddr::new(&[7; 20]).unwrap();
        let broadcast = LinkAddr::new(&[9; 20]).unwrap();
        let sender = Sender {
            hw_type: HW_INFINIBAND,
            own: &own,
            broadcast: &broadcast,
        };
        let mut arp = Vec::new();
        gratuitous_arp(&mut arp, sender, Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(arp.len(), 24 + 8 + 2 * 24);
        assert_eq!(arp[20..28], [8, 6, 0, 0, 0, 32, 8, 0]);
        let mut na = Vec::new();
        unsolicited_na(&mut na, sender, Ipv6Addr::LOCALHOST, true);
        assert_eq!(na.len(), 24 + 40 + 48);
        let sum = checksum(&[
            &na[32..64],
            &48_u32.to_be_bytes(),
            &[0, 0, 0, 58],
            &na[64..],
        ]);
        assert_eq!(sum, 0);
    }
}
