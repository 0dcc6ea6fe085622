//! Recorded netlink of a little-endian machine as a big-endian one has it: lengths, types and the kernel's own numbers are in the
//! machine's order, addresses, ports and all of nfnetlink are not.
//!
//! What each attribute holds stands in `tables`, written from the kernel's headers and independent of the codecs that are tested with
//! it. An attribute of route and generic netlink that no table knows is a panic. Those of nfnetlink say themselves what is in them, and
//! what few of them are not in network order is known for sets of nf_tables only: rules that compare marks or interfaces, and labels of
//! connections, are in no recording.

mod nft;
mod tables;

use tables::{Kind, Table};

/// What a recording is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `NETLINK_ROUTE`
    Route,
    /// `NETLINK_GENERIC`: its controller, and IPVS.
    Ipvs,
    /// `NETLINK_NETFILTER`: nf_tables, ctnetlink.
    Netfilter,
}

/// Turns the datagrams of one recording, in their order.
#[derive(Debug)]
pub struct Turner {
    family: Family,
    sets: nft::Sets,
}

impl Turner {
    /// For a recording.
    pub fn new(family: Family) -> Self {
        Self {
            family,
            sets: nft::Sets::default(),
        }
    }

    /// One datagram.
    ///
    /// # Panics
    /// When there is something in it that no table knows.
    pub fn turn(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut out = datagram.to_vec();
        let mut at = 0;
        while at < datagram.len() {
            let length = u32_at(datagram, at) as usize;
            let kind = u16_at(datagram, at + 4);
            let request = u16_at(datagram, at + 6) & 1 != 0;
            let message = &mut out[at..at + length];
            each(&mut message[..4], 4);
            each(&mut message[4..8], 2);
            each(&mut message[8..16], 4);
            let body = &mut message[16..];
            match self.family {
                Family::Route => route(kind, request, body),
                Family::Ipvs => generic(kind, body),
                Family::Netfilter => {
                    if kind >> 8 == nft::SUBSYSTEM {
                        self.sets.message(kind & 0xff, body);
                    } else {
                        flagged(&mut body[4..]);
                    }
                }
            }
            at += length.next_multiple_of(4);
        }
        out
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|n| bytes[at + n]))
}

/// Turns each number of `width` bytes.
fn each(bytes: &mut [u8], width: usize) {
    assert_eq!(
        bytes.len() % width,
        0,
        "{bytes:02x?} is no row of {width}-byte numbers"
    );
    bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
}

fn route(kind: u16, request: bool, body: &mut [u8]) {
    let (numbers, table): (&[(usize, usize)], Table) = match kind {
        // The original asks for all tables with the header of links.
        16..=19 | 22 | 26 | 34 => {
            let table = match request {
                true => tables::LINK_REQUEST,
                false => tables::LINK_NEWS,
            };
            (&[(2, 2), (4, 4), (8, 4), (12, 4)], table)
        }
        20..=21 => (&[(4, 4)], tables::ADDRESS),
        24..=25 => (&[(8, 4)], tables::ROUTE),
        32..=33 => (&[(8, 4)], tables::RULE),
        other => panic!("message {other}"),
    };
    for (at, width) in numbers {
        each(&mut body[*at..at + width], *width);
    }
    let end = numbers.iter().map(|(at, width)| at + width).max();
    attributes(&mut body[end.unwrap_or(0)..], table);
}

fn generic(kind: u16, body: &mut [u8]) {
    let table = match kind {
        0x10 => tables::CONTROLLER,
        _ => tables::IPVS,
    };
    attributes(&mut body[4..], table);
}

/// Turns attributes by their table.
fn attributes(bytes: &mut [u8], table: Table) {
    let before = bytes.to_vec();
    let mut at = 0;
    while at < before.len() {
        let length = usize::from(u16_at(&before, at));
        let number = u16_at(&before, at + 2) & 0x3fff;
        let (header, value) = bytes[at..at + length].split_at_mut(4);
        each(header, 2);
        let found = table.iter().find(|(n, _)| *n == number);
        let (_, kind) = found.unwrap_or_else(|| panic!("attribute {number} of {value:02x?}"));
        turn(value, kind, &before);
        at += length.next_multiple_of(4);
    }
}

/// Turns a value; `beside` are the attributes among which it stands.
fn turn(value: &mut [u8], kind: &Kind, beside: &[u8]) {
    match kind {
        Kind::Bytes => {}
        Kind::Number => each(value, value.len()),
        Kind::Numbers(width) => each(value, *width),
        Kind::Row(widths) => {
            let mut at = 0;
            for width in *widths {
                each(&mut value[at..at + width], *width);
                at += width;
            }
        }
        Kind::NumberIf(number, wanted) => {
            if find(beside, *number).map(|v| u16_at(v, 0)) == Some(*wanted) {
                each(value, 4);
            }
        }
        Kind::Nest(table) => attributes(value, table),
        Kind::Via => each(&mut value[..2], 2),
        Kind::NextHops => {
            let mut at = 0;
            while at < value.len() {
                let length = usize::from(u16_at(value, at));
                let hop = &mut value[at..at + length];
                each(&mut hop[..2], 2);
                each(&mut hop[4..8], 4);
                attributes(&mut hop[8..], tables::ROUTE);
                at += length.next_multiple_of(4);
            }
        }
        Kind::ByNumber(number, tables) => {
            let kind = find(beside, *number).map_or(0, |v| u16_at(v, 0));
            let found = tables.iter().find(|(k, _)| *k == kind);
            let (_, table) = found.unwrap_or_else(|| panic!("kind {kind} of {value:02x?}"));
            attributes(value, table);
        }
        Kind::ByText(number, tables) => {
            let text = find(beside, *number).unwrap_or_default();
            let text = text.strip_suffix(&[0]).unwrap_or(text);
            let found = tables.iter().find(|(k, _)| k.as_bytes() == text);
            let (_, table) = found.unwrap_or_else(|| panic!("kind {text:02x?} of {value:02x?}"));
            attributes(value, table);
        }
    }
}

/// The value of the first attribute of that number.
fn find(bytes: &[u8], number: u16) -> Option<&[u8]> {
    let mut at = 0;
    while at < bytes.len() {
        let length = usize::from(u16_at(bytes, at));
        if u16_at(bytes, at + 2) & 0x3fff == number {
            return bytes.get(at + 4..at + length);
        }
        at += length.next_multiple_of(4);
    }
    None
}

/// Turns the headers of attributes that say themselves whether others are in them (`NLA_F_NESTED`), as those of nfnetlink do; what is
/// in the others is in network order.
fn flagged(bytes: &mut [u8]) {
    let before = bytes.to_vec();
    let mut at = 0;
    while at < before.len() {
        let length = usize::from(u16_at(&before, at));
        let number = u16_at(&before, at + 2);
        let (header, value) = bytes[at..at + length].split_at_mut(4);
        each(header, 2);
        if number & 0x8000 != 0 {
            flagged(value);
        }
        at += length.next_multiple_of(4);
    }
}
