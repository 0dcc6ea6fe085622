//! Attributes to objects. Unknown attributes are skipped, short values count as absent.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::attr::Attr;
use crate::expect::{ExpAttr, Expect, NatTuple};
use crate::nla::{Attrs, u8_of, u16_of, u32_of, u64_of};
use crate::object::{Conntrack, Counters, SeqAdj, Synproxy};
use crate::tuple::{AF_INET, AF_INET6, Known, Tuple, v4_bytes};

/// Longest helper name the kernel uses, terminator excluded (`NF_CT_HELPER_NAME_LEN` 16).
const HELPER_NAME_MAX: usize = 15;
/// Longest name of an expectation function kept, terminator excluded.
const FUNCTION_NAME_MAX: usize = 23;

pub(super) fn conntrack(family: u8, attrs: &[u8]) -> Conntrack {
    let mut ct = Conntrack::default();
    for (kind, value) in Attrs(attrs) {
        match kind {
            1 => ct.orig = tuple(family, value),
            2 => ct.set_reply(tuple(family, value)),
            3 => number(value, |n| ct.set_status(n)),
            4 => protoinfo(&mut ct, value),
            7 => number(value, |n| ct.set_timeout(n)),
            8 => number(value, |n| ct.set_mark(n)),
            9 => ct.set_counters_orig(counters(value)),
            10 => ct.set_counters_repl(counters(value)),
            11 => number(value, |n| ct.set_refs(n)),
            12 => number(value, |n| ct.set_id(n)),
            5 => helper(&mut ct, value),
            14 => ct.set_master(tuple(family, value)),
            15 => ct.set_seq_adj_orig(seq_adj(value)),
            16 => ct.set_seq_adj_repl(seq_adj(value)),
            17 => number(value, |n| ct.set_secmark(n)),
            18 => {
                if let Some(zone) = u16_of(value) {
                    ct.set_zone(zone);
                }
            }
            19 => {
                for (_, name) in Attrs(value).filter(|(k, _)| *k == 1) {
                    ct.set_secctx(text(name, usize::MAX));
                }
            }
            20 => {
                for (k, time) in Attrs(value) {
                    match (k, u64_of(time)) {
                        (1, Some(t)) => ct.set_start(t),
                        (2, Some(t)) => ct.set_stop(t),
                        _ => {}
                    }
                }
            }
            22 => labels(&mut ct, value),
            24 => synproxy(&mut ct, value),
            _ => {}
        }
    }
    ct
}

pub(super) fn expect(family: u8, attrs: &[u8]) -> Expect {
    let mut exp = Expect::default();
    for (kind, value) in Attrs(attrs) {
        match kind {
            1 => {
                exp.master = tuple(family, value);
                exp.set = exp.set.with(ExpAttr::MASTER);
            }
            2 => {
                exp.expected = tuple(family, value);
                exp.set = exp.set.with(ExpAttr::EXPECTED);
            }
            3 => {
                exp.mask = tuple(family, value);
                exp.set = exp.set.with(ExpAttr::MASK);
            }
            4 => number(value, |n| {
                exp.timeout = n;
                exp.set = exp.set.with(ExpAttr::TIMEOUT);
            }),
            6 => exp.helper = Some(text(value, HELPER_NAME_MAX)),
            7 => {
                if let Some(zone) = u16_of(value) {
                    exp.zone = zone;
                    exp.set = exp.set.with(ExpAttr::ZONE);
                }
            }
            8 => number(value, |n| {
                exp.flags = n;
                exp.set = exp.set.with(ExpAttr::FLAGS);
            }),
            9 => number(value, |n| {
                exp.class = n;
                exp.set = exp.set.with(ExpAttr::CLASS);
            }),
            10 => {
                let mut nat = NatTuple::default();
                for (k, v) in Attrs(value) {
                    match k {
                        1 => number(v, |n| {
                            nat.dir = n;
                            exp.set = exp.set.with(ExpAttr::NAT_DIR);
                        }),
                        2 => nat.tuple = tuple(family, v),
                        _ => {}
                    }
                }
                exp.nat = Some(Box::new(nat));
            }
            11 => exp.function = Some(text(value, FUNCTION_NAME_MAX)),
            _ => {}
        }
    }
    exp
}

fn number(value: &[u8], set: impl FnOnce(u32)) {
    if let Some(n) = u32_of(value) {
        set(n);
    }
}

fn tuple(family: u8, attrs: &[u8]) -> Tuple {
    let mut t = Tuple {
        l3: family,
        known: Known::L3,
        ..Tuple::default()
    };
    for (kind, value) in Attrs(attrs) {
        match kind {
            1 => addresses(&mut t, value),
            2 => ports(&mut t, value),
            3 => {
                if let Some(zone) = u16_of(value) {
                    t.zone = zone;
                    t.known = t.known.with(Known::ZONE);
                }
            }
            _ => {}
        }
    }
    t
}

fn addresses(t: &mut Tuple, attrs: &[u8]) {
    for (kind, value) in Attrs(attrs) {
        let addr = match (kind, t.l3) {
            (1 | 2, AF_INET) => value.first_chunk().map(|b| v4_bytes(*b)),
            (3 | 4, AF_INET6) => value.first_chunk().copied(),
            _ => None,
        };
        let Some(addr) = addr else { continue };
        if matches!(kind, 1 | 3) {
            t.src = addr;
            t.known = t.known.with(Known::SRC);
        } else {
            t.dst = addr;
            t.known = t.known.with(Known::DST);
        }
    }
}

fn ports(t: &mut Tuple, attrs: &[u8]) {
    for (kind, value) in Attrs(attrs) {
        match kind {
            1 => {
                if let Some(l4) = u8_of(value) {
                    t.set_l4(l4);
                }
            }
            2 => {
                if let Some(port) = u16_of(value) {
                    t.sport = port;
                    t.known = t.known.with(Known::SPORT);
                }
            }
            3 => {
                if let Some(port) = u16_of(value) {
                    t.dport = port;
                    t.known = t.known.with(Known::DPORT);
                }
            }
            4 | 7 => {
                if let Some(id) = u16_of(value) {
                    t.sport = id;
                    t.known = t.known.with(Known::ICMP);
                }
            }
            5 | 8 => {
                if let Some(icmp_type) = u8_of(value) {
                    t.dport = u16::from_be_bytes([icmp_type, t.icmp_code()]);
                    t.known = t.known.with(Known::ICMP);
                }
            }
            6 | 9 => {
                if let Some(code) = u8_of(value) {
                    t.dport = u16::from_be_bytes([t.icmp_type(), code]);
                    t.known = t.known.with(Known::ICMP);
                }
            }
            _ => {}
        }
    }
}

fn protoinfo(ct: &mut Conntrack, attrs: &[u8]) {
    for (protocol, nest) in Attrs(attrs) {
        for (kind, value) in Attrs(nest) {
            match (protocol, kind) {
                (1, 1) => byte(value, |b| {
                    ct.set_protoinfo(Attr::TCP_STATE, |p| p.state = b)
                }),
                (1, 2) => byte(value, |b| {
                    ct.set_protoinfo(Attr::TCP_WSCALE_ORIG, |p| p.wscale[0] = b);
                }),
                (1, 3) => byte(value, |b| {
                    ct.set_protoinfo(Attr::TCP_WSCALE_REPL, |p| p.wscale[1] = b);
                }),
                (1, 4) => {
                    if let Some(flags) = value.first_chunk() {
                        ct.set_protoinfo(Attr::TCP_FLAGS_ORIG, |p| p.flags_orig = *flags);
                    }
                }
                (1, 5) => {
                    if let Some(flags) = value.first_chunk() {
                        ct.set_protoinfo(Attr::TCP_FLAGS_REPL, |p| p.flags_repl = *flags);
                    }
                }
                (2, 1) => byte(value, |b| {
                    ct.set_protoinfo(Attr::DCCP_STATE, |p| p.state = b);
                }),
                (2, 2) => byte(value, |b| ct.set_protoinfo(Attr::DCCP_ROLE, |p| p.role = b)),
                (2, 3) => {
                    if let Some(n) = u64_of(value) {
                        ct.set_dccp_seq(n);
                    }
                }
                (3, 1) => byte(value, |b| {
                    ct.set_protoinfo(Attr::SCTP_STATE, |p| p.state = b);
                }),
                (3, 2) => number(value, |n| ct.set_vtag_orig(n)),
                (3, 3) => number(value, |n| ct.set_vtag_repl(n)),
                _ => {}
            }
        }
    }
}

fn byte(value: &[u8], set: impl FnOnce(u8)) {
    if let Some(b) = u8_of(value) {
        set(b);
    }
}

fn counters(attrs: &[u8]) -> Counters {
    let mut c = Counters::default();
    for (kind, value) in Attrs(attrs) {
        match kind {
            1 => c.packets = u64_of(value).unwrap_or(c.packets),
            2 => c.bytes = u64_of(value).unwrap_or(c.bytes),
            3 => c.packets = u32_of(value).map_or(c.packets, u64::from),
            4 => c.bytes = u32_of(value).map_or(c.bytes, u64::from),
            _ => {}
        }
    }
    c
}

fn seq_adj(attrs: &[u8]) -> SeqAdj {
    let mut s = SeqAdj::default();
    for (kind, value) in Attrs(attrs) {
        match kind {
            1 => s.correction_pos = u32_of(value).unwrap_or_default(),
            2 => s.offset_before = u32_of(value).unwrap_or_default(),
            3 => s.offset_after = u32_of(value).unwrap_or_default(),
            _ => {}
        }
    }
    s
}

fn synproxy(ct: &mut Conntrack, attrs: &[u8]) {
    let mut s = Synproxy::default();
    let mut seen = 0u8;
    for (kind, value) in Attrs(attrs) {
        let Some(n) = u32_of(value) else { continue };
        match kind {
            1 => s.isn = n,
            2 => s.its = n,
            3 => s.tsoff = n,
            _ => continue,
        }
        seen |= 1 << kind;
    }
    if seen == 0b1110 {
        ct.set_synproxy(s);
    }
}

fn helper(ct: &mut Conntrack, attrs: &[u8]) {
    let mut info = None;
    for (kind, value) in Attrs(attrs) {
        match kind {
            1 => ct.set_helper(text(value, HELPER_NAME_MAX)),
            2 => info = Some(Box::from(value)),
            _ => {}
        }
    }
    if let Some(info) = info.filter(|_| ct.helper().is_some()) {
        ct.set_helper_info(info);
    }
}

/// Label words arrive in the machine's order (an array of longs' bytes seen as 32-bit words).
fn labels(ct: &mut Conntrack, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    let words: Vec<u32> = value
        .chunks(4)
        .map(|c| {
            let mut b = [0; 4];
            for (to, from) in b.iter_mut().zip(c) {
                *to = *from;
            }
            u32::from_ne_bytes(b)
        })
        .collect();
    ct.set_labels(words.into_boxed_slice());
}

/// A NUL-terminated string of at most `max` bytes; bytes outside UTF-8 become the replacement character.
fn text(value: &[u8], max: usize) -> Box<str> {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    let bytes = value.get(..end.min(max)).unwrap_or(value);
    String::from_utf8_lossy(bytes).into_owned().into_boxed_str()
}
