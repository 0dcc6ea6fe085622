//! Attributes of expectation messages (conntrackd-behaviour.md 4.5).

use alloc::boxed::Box;
use alloc::vec::Vec;

use nfct::{ExpAttr, Expect, Known, NatTuple, Tuple, proto};

use super::attr::{
    Size, bytes_at, put, put_addresses, put_ports, put_text, put_u32, read, text, u8_of, u16_at,
    u32_at,
};
use super::{Codec, PayloadError};

const TIMEOUT: u16 = 12;
const FLAGS: u16 = 13;
const CLASS: u16 = 14;
const NAT_IPV4: u16 = 15;
const NAT_PORT: u16 = 16;
const NAT_L4PROTO: u16 = 17;
const NAT_DIR: u16 = 18;
const HELPER_NAME: u16 = 19;
const FUNCTION: u16 = 20;

/// First types of the three tuples: addresses v4 and v6, protocol and ports follow each other.
const MASTER: u16 = 0;
const EXPECTED: u16 = 4;
const MASK: u16 = 8;

const SIZES: [Size; 21] = [
    Size::Is(12),
    Size::Is(36),
    Size::Is(5),
    Size::Is(8),
    Size::Is(12),
    Size::Is(36),
    Size::Is(5),
    Size::Is(8),
    Size::Is(12),
    Size::Is(36),
    Size::Is(5),
    Size::Is(8),
    Size::Is(8),
    Size::Is(8),
    Size::Is(8),
    Size::Is(12),
    Size::Is(8),
    Size::Is(5),
    Size::Is(8),
    Size::AtMost(16),
    Size::AtMost(32),
];

/// The expectation that the attributes of an EXP message describe.
pub fn decode(body: &[u8]) -> Result<Expect, PayloadError> {
    let mut exp = Expect {
        set: ExpAttr::MASTER.with(ExpAttr::EXPECTED).with(ExpAttr::MASK),
        ..Expect::default()
    };
    let mut nat = NatTuple::default();
    let mut translated = false;
    read(body, &SIZES, |kind, v| match kind {
        0..4 => part(&mut exp.master, kind, v),
        4..8 => part(&mut exp.expected, kind & 3, v),
        8..12 => part(&mut exp.mask, kind & 3, v),
        TIMEOUT => {
            exp.timeout = u32_at(v, 0);
            exp.set = exp.set.with(ExpAttr::TIMEOUT);
        }
        FLAGS => {
            exp.flags = u32_at(v, 0);
            exp.set = exp.set.with(ExpAttr::FLAGS);
        }
        CLASS => {
            exp.class = u32_at(v, 0);
            exp.set = exp.set.with(ExpAttr::CLASS);
        }
        NAT_IPV4 => {
            nat.tuple.set_v4(bytes_at(v, 0), bytes_at(v, 4));
            translated = true;
        }
        NAT_PORT => {
            nat.tuple.set_ports(u16_at(v, 0), u16_at(v, 2));
            translated = true;
        }
        NAT_L4PROTO => {
            nat.tuple.set_l4(u8_of(v));
            translated = true;
        }
        NAT_DIR => {
            nat.dir = u32_at(v, 0);
            exp.set = exp.set.with(ExpAttr::NAT_DIR);
        }
        HELPER_NAME => exp.helper = Some(text(v)),
        FUNCTION => exp.function = Some(text(v)),
        _ => {}
    })?;
    if translated {
        exp.nat = Some(Box::new(nat));
    }
    Ok(exp)
}

fn part(t: &mut Tuple, kind: u16, v: &[u8]) {
    match kind {
        0 => t.set_v4(bytes_at(v, 0), bytes_at(v, 4)),
        1 => t.set_v6(bytes_at(v, 0), bytes_at(v, 16)),
        2 => t.set_l4(u8_of(v)),
        _ => t.set_ports(u16_at(v, 0), u16_at(v, 2)),
    }
}

pub(super) fn encode(codec: &Codec, out: &mut Vec<u8>, exp: &Expect) {
    // Ports follow the master's protocol, whatever the expected flow's is.
    let ports = matches!(
        exp.master.l4,
        proto::TCP | proto::UDP | proto::SCTP | proto::DCCP
    );
    for (first, t) in [
        (MASTER, &exp.master),
        (EXPECTED, &exp.expected),
        (MASK, &exp.mask),
    ] {
        put_addresses(out, first, t);
        put(out, first.saturating_add(2), &[t.l4]);
        if ports {
            put_ports(out, first.saturating_add(3), t);
        }
    }
    if codec.timeouts && exp.set.has(ExpAttr::TIMEOUT) {
        put_u32(out, TIMEOUT, exp.timeout);
    }
    put_u32(out, FLAGS, exp.flags);
    if exp.set.has(ExpAttr::CLASS) {
        put_u32(out, CLASS, exp.class);
    }
    if let Some(nat) = &exp.nat {
        // There is no attribute for IPv6 translation.
        if nat.tuple.l3 == 2 && nat.tuple.known.has(Known::ADDRS) {
            put_addresses(out, NAT_IPV4, &nat.tuple);
        }
        put(out, NAT_L4PROTO, &[nat.tuple.l4]);
        if ports {
            put_ports(out, NAT_PORT, &nat.tuple);
        }
        put_u32(out, NAT_DIR, nat.dir);
    }
    if let Some(name) = &exp.helper {
        put_text(out, HELPER_NAME, name, 16);
    }
    if let Some(name) = &exp.function {
        put_text(out, FUNCTION, name, 32);
    }
}
