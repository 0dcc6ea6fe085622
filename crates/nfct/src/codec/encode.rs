//! Objects to requests, attribute by attribute in the order libnetfilter_conntrack sends them.

use alloc::vec::Vec;

use super::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, SUBSYS_CONNTRACK, SUBSYS_EXPECT,
};
use crate::attr::Attr;
use crate::expect::{ExpAttr, Expect};
use crate::nla::{nest, put};
use crate::object::{Conntrack, SeqAdj, Synproxy};
use crate::tuple::{AF_INET, AF_INET6, Known, Tuple, proto, status};

/// `IP_CT_TCP_FLAG_BE_LIBERAL` of nf_conntrack_tcp.h.
const TCP_BE_LIBERAL: u8 = 0x08;

/// What to do with a conntrack entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConntrackOp {
    /// New entry; `EEXIST` when the tuple is taken.
    Create,
    /// Change of an existing entry; `ENOENT` when there is none.
    Update,
    /// Removal.
    Delete,
    /// Question whether it exists; the entry comes back as a message before the ack.
    Get,
}

/// What to do with an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectOp {
    /// New expectation.
    Create,
    /// New expectation, or a longer life for one that is there.
    Ensure,
    /// Removal.
    Delete,
    /// Question whether it exists.
    Get,
}

/// A request about one conntrack entry, ready to send; the answer carries `sequence`.
/// `None` when the entry has no network protocol, which the kernel could not place.
pub fn request(op: ConntrackOp, ct: &Conntrack, sequence: u32) -> Option<Vec<u8>> {
    if !ct.orig.known.has(Known::L3) || !matches!(ct.orig.l3, AF_INET | AF_INET6) {
        return None;
    }
    let (kind, flags) = match op {
        ConntrackOp::Create => (0, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK),
        ConntrackOp::Update => (0, NLM_F_REQUEST | NLM_F_ACK),
        ConntrackOp::Delete => (2, NLM_F_REQUEST | NLM_F_ACK),
        ConntrackOp::Get => (1, NLM_F_REQUEST | NLM_F_ACK),
    };
    let mut out = Vec::with_capacity(256);
    header(
        &mut out,
        SUBSYS_CONNTRACK,
        kind,
        flags,
        sequence,
        ct.orig.l3,
    );
    conntrack(&mut out, ct, ct.reply());
    finish(&mut out);
    Some(out)
}

/// A request that puts a peer's entry into the kernel: [`ConntrackOp::Create`] with the mirrored original tuple as reply
/// (the kernel applies the translation attributes to it itself) and without the status bit EXPECTED, which may not be set
/// from outside. `timeout` replaces the entry's own; `liberal` asks the TCP tracker not to check
/// windows, in both directions (it is ignored for other protocols).
pub fn create_request(
    ct: &Conntrack,
    timeout: Option<u32>,
    liberal: bool,
    sequence: u32,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(320);
    create(&mut out, ct, timeout, liberal, NLM_F_ACK, sequence).then_some(out)
}

/// Appends the message of [`create_request`] to `out`, without the flag that asks for an answer to a success. `false`, with
/// nothing appended, when the entry has no network protocol.
pub fn append_create(
    out: &mut Vec<u8>,
    ct: &Conntrack,
    timeout: Option<u32>,
    liberal: bool,
    sequence: u32,
) -> bool {
    create(out, ct, timeout, liberal, 0, sequence)
}

fn create(
    out: &mut Vec<u8>,
    ct: &Conntrack,
    timeout: Option<u32>,
    liberal: bool,
    ack: u16,
    sequence: u32,
) -> bool {
    let mut entry = ct.clone();
    if let Some(bits) = entry.status() {
        entry.set_status(bits & !status::EXPECTED);
    }
    let flags = NLM_F_CREATE | NLM_F_EXCL | ack;
    let reply = ct.orig.mirrored();
    into_kernel(out, entry, &reply, (timeout, liberal), flags, sequence)
}

/// A request that changes an entry to what a peer says of it: [`ConntrackOp::Update`] without what may not be changed once
/// the entry exists (translation and its status bits, helper, master), and without a reply tuple. `timeout` and `liberal` as in
/// [`create_request`].
pub fn update_request(
    ct: &Conntrack,
    timeout: Option<u32>,
    liberal: bool,
    sequence: u32,
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(256);
    update(&mut out, ct, timeout, liberal, NLM_F_ACK, sequence).then_some(out)
}

/// Appends the message of [`update_request`] to `out`, as [`append_create`] does.
pub fn append_update(
    out: &mut Vec<u8>,
    ct: &Conntrack,
    timeout: Option<u32>,
    liberal: bool,
    sequence: u32,
) -> bool {
    update(out, ct, timeout, liberal, 0, sequence)
}

fn update(
    out: &mut Vec<u8>,
    ct: &Conntrack,
    timeout: Option<u32>,
    liberal: bool,
    ack: u16,
    sequence: u32,
) -> bool {
    let mut entry = ct.clone();
    entry.unset(Attr::NAT.with(Attr::HELPER));
    entry.set_master(Tuple::default());
    if let Some(bits) = entry.status() {
        entry.set_status(bits & !(status::SRC_NAT | status::DST_NAT));
    }
    let reply = Tuple::default();
    into_kernel(out, entry, &reply, (timeout, liberal), ack, sequence)
}

/// Appends the message that puts `entry` into the kernel, as [`create_request`] and [`update_request`] have in common.
fn into_kernel(
    out: &mut Vec<u8>,
    mut entry: Conntrack,
    reply: &Tuple,
    (timeout, liberal): (Option<u32>, bool),
    flags: u16,
    sequence: u32,
) -> bool {
    let l3 = entry.orig.l3;
    if !entry.orig.known.has(Known::L3) || !matches!(l3, AF_INET | AF_INET6) {
        return false;
    }
    if let Some(seconds) = timeout {
        entry.set_timeout(seconds);
    }
    if liberal {
        be_liberal(&mut entry);
    }
    without_idle_synproxy(&mut entry);
    let begin = out.len();
    let flags = NLM_F_REQUEST | flags;
    header(out, SUBSYS_CONNTRACK, 0, flags, sequence, l3);
    conntrack(out, &entry, reply);
    finish(out.get_mut(begin..).unwrap_or_default());
    true
}

/// Kernels with the SYN proxy tell its numbers of every flow. Zeros change nothing there, but cost the kernel a nest to read.
fn without_idle_synproxy(entry: &mut Conntrack) {
    if entry.synproxy() == Some(Synproxy::default()) {
        entry.unset(Attr::SYNPROXY);
    }
}

/// Asks the TCP tracker not to check windows, in both directions.
fn be_liberal(entry: &mut Conntrack) {
    entry.set_protoinfo(Attr::TCP_FLAGS_ORIG.with(Attr::TCP_FLAGS_REPL), |info| {
        for byte in info.flags_orig.iter_mut().chain(&mut info.flags_repl) {
            *byte |= TCP_BE_LIBERAL;
        }
    });
}

/// A request about one expectation. `None` when no tuple has a network protocol.
pub fn request_expect(op: ExpectOp, exp: &Expect, sequence: u32) -> Option<Vec<u8>> {
    let tuple = [&exp.master, &exp.expected]
        .into_iter()
        .find(|t| t.known.has(Known::L3) && matches!(t.l3, AF_INET | AF_INET6))?;
    let (kind, flags) = match op {
        ExpectOp::Create => (0, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK),
        ExpectOp::Ensure => (0, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK),
        ExpectOp::Delete => (2, NLM_F_REQUEST | NLM_F_ACK),
        ExpectOp::Get => (1, NLM_F_REQUEST | NLM_F_ACK),
    };
    let mut out = Vec::with_capacity(256);
    header(&mut out, SUBSYS_EXPECT, kind, flags, sequence, tuple.l3);
    expect(&mut out, exp);
    if matches!(op, ExpectOp::Create | ExpectOp::Ensure) {
        expect_translation(&mut out, exp);
    }
    finish(&mut out);
    Some(out)
}

/// A dump of all conntrack entries ([`SUBSYS_CONNTRACK`]) or expectations ([`SUBSYS_EXPECT`]) of both families.
pub fn dump_request(subsystem: u8, sequence: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    header(
        &mut out,
        subsystem,
        1,
        NLM_F_REQUEST | NLM_F_DUMP,
        sequence,
        0,
    );
    finish(&mut out);
    out
}

/// Removal of all expectations.
pub fn expect_flush(sequence: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(20);
    header(
        &mut out,
        SUBSYS_EXPECT,
        2,
        NLM_F_REQUEST | NLM_F_ACK,
        sequence,
        0,
    );
    finish(&mut out);
    out
}

/// Appends an entry's attributes, for messages that hold an entry within (`NFQA_CT`).
pub fn entry_attributes(out: &mut Vec<u8>, ct: &Conntrack) {
    conntrack(out, ct, ct.reply());
}

/// Appends an expectation's attributes with its translation, for messages that hold one within (`NFQA_EXP`).
pub fn expect_attributes(out: &mut Vec<u8>, exp: &Expect) {
    expect(out, exp);
    expect_translation(out, exp);
}

fn header(out: &mut Vec<u8>, subsystem: u8, kind: u8, flags: u16, sequence: u32, family: u8) {
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&u16::from_be_bytes([subsystem, kind]).to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&sequence.to_ne_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[family, 0, 0, 0]);
}

fn finish(out: &mut [u8]) {
    let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
    if let Some(slot) = out.first_chunk_mut() {
        *slot = len.to_ne_bytes();
    }
}

fn put_u32(out: &mut Vec<u8>, kind: u16, n: u32) {
    put(out, kind, &n.to_be_bytes());
}

fn put_u16(out: &mut Vec<u8>, kind: u16, n: u16) {
    put(out, kind, &n.to_be_bytes());
}

fn conntrack(out: &mut Vec<u8>, ct: &Conntrack, reply: &Tuple) {
    tuple(out, 1, &ct.orig, true);
    if !reply.known.is_empty() {
        tuple(out, 2, reply, true);
    }
    if !ct.master().known.is_empty() {
        tuple(out, 14, ct.master(), false);
    }
    if let Some(bits) = ct.status() {
        put_u32(out, 3, bits | status::CONFIRMED);
    }
    if let Some(n) = ct.timeout() {
        put_u32(out, 7, n);
    }
    if let Some(n) = ct.mark() {
        put_u32(out, 8, n);
    }
    if let Some(n) = ct.secmark() {
        put_u32(out, 17, n);
    }
    protoinfo(out, ct);
    nat(out, ct, 6, ct.snat_addr(), ct.snat_port());
    nat(out, ct, 13, ct.dnat_addr(), ct.dnat_port());
    for (kind, adj) in [(15, ct.seq_adj_orig()), (16, ct.seq_adj_repl())] {
        if let Some(adj) = adj {
            seq_adj(out, kind, adj);
        }
    }
    if let Some(name) = ct.helper() {
        nest(out, 5, |out| {
            put_text(out, 1, name);
            if let Some(info) = ct.helper_info() {
                put(out, 2, info);
            }
        });
    }
    if let Some(zone) = ct.zone() {
        put_u16(out, 18, zone);
    }
    if let Some(words) = ct.labels() {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
        put(out, 22, &bytes);
    }
    if let Some(s) = ct.synproxy() {
        nest(out, 24, |out| {
            put_u32(out, 1, s.isn);
            put_u32(out, 2, s.its);
            put_u32(out, 3, s.tsoff);
        });
    }
}

fn put_text(out: &mut Vec<u8>, kind: u16, text: &str) {
    let mut bytes = Vec::with_capacity(text.len().saturating_add(1));
    bytes.extend_from_slice(text.as_bytes());
    bytes.push(0);
    put(out, kind, &bytes);
}

fn seq_adj(out: &mut Vec<u8>, kind: u16, adj: SeqAdj) {
    nest(out, kind, |out| {
        put_u32(out, 1, adj.correction_pos);
        put_u32(out, 2, adj.offset_before);
        put_u32(out, 3, adj.offset_after);
    });
}

fn tuple(out: &mut Vec<u8>, kind: u16, t: &Tuple, with_zone: bool) {
    if !matches!(t.l3, AF_INET | AF_INET6) {
        return;
    }
    nest(out, kind, |out| {
        nest(out, 1, |out| {
            if t.l3 == AF_INET {
                put(out, 1, &t.src4());
                put(out, 2, &t.dst4());
            } else {
                put(out, 3, &t.src);
                put(out, 4, &t.dst);
            }
        });
        nest(out, 2, |out| {
            put(out, 1, &[t.l4]);
            match t.l4 {
                proto::UDP
                | proto::TCP
                | proto::SCTP
                | proto::DCCP
                | proto::GRE
                | proto::UDPLITE => {
                    put_u16(out, 2, t.sport);
                    put_u16(out, 3, t.dport);
                }
                proto::ICMP => {
                    put(out, 6, &[t.icmp_code()]);
                    put(out, 5, &[t.icmp_type()]);
                    put_u16(out, 4, t.sport);
                }
                proto::ICMPV6 => {
                    put(out, 9, &[t.icmp_code()]);
                    put(out, 8, &[t.icmp_type()]);
                    put_u16(out, 7, t.sport);
                }
                _ => {}
            }
        });
        if with_zone && t.known.has(Known::ZONE) {
            put_u16(out, 3, t.zone);
        }
    });
}

fn protoinfo(out: &mut Vec<u8>, ct: &Conntrack) {
    const TCP: Attr = Attr::TCP_STATE
        .with(Attr::TCP_FLAGS_ORIG)
        .with(Attr::TCP_FLAGS_REPL)
        .with(Attr::TCP_WSCALE_ORIG)
        .with(Attr::TCP_WSCALE_REPL);
    const SCTP: Attr = Attr::SCTP_STATE
        .with(Attr::SCTP_VTAG_ORIG)
        .with(Attr::SCTP_VTAG_REPL);
    const DCCP: Attr = Attr::DCCP_STATE.with(Attr::DCCP_ROLE).with(Attr::DCCP_SEQ);
    let info = ct.protoinfo();
    match ct.orig.l4 {
        proto::TCP if ct.attrs().any(TCP) => nest(out, 4, |out| {
            nest(out, 1, |out| {
                if ct.has(Attr::TCP_STATE) {
                    put(out, 1, &[info.state]);
                }
                if ct.has(Attr::TCP_FLAGS_ORIG) {
                    put(out, 4, &info.flags_orig);
                }
                if ct.has(Attr::TCP_FLAGS_REPL) {
                    put(out, 5, &info.flags_repl);
                }
                if ct.has(Attr::TCP_WSCALE_ORIG) {
                    put(out, 2, &[info.wscale[0]]);
                }
                if ct.has(Attr::TCP_WSCALE_REPL) {
                    put(out, 3, &[info.wscale[1]]);
                }
            });
        }),
        proto::SCTP if ct.attrs().any(SCTP) => nest(out, 4, |out| {
            nest(out, 3, |out| {
                if ct.has(Attr::SCTP_STATE) {
                    put(out, 1, &[info.state]);
                }
                if let Some(tag) = ct.vtag_orig() {
                    put_u32(out, 2, tag);
                }
                if let Some(tag) = ct.vtag_repl() {
                    put_u32(out, 3, tag);
                }
            });
        }),
        proto::DCCP if ct.attrs().any(DCCP) => nest(out, 4, |out| {
            nest(out, 2, |out| {
                if ct.has(Attr::DCCP_STATE) {
                    put(out, 1, &[info.state]);
                }
                if ct.has(Attr::DCCP_ROLE) {
                    put(out, 2, &[info.role]);
                }
                if let Some(n) = ct.dccp_seq() {
                    put(out, 3, &n.to_be_bytes());
                }
            });
        }),
        _ => {}
    }
}

/// A translation nest. With a port known there is a port nest, which stays empty for other protocols than TCP and UDP.
fn nat(out: &mut Vec<u8>, ct: &Conntrack, kind: u16, addr: Option<[u8; 16]>, port: Option<u16>) {
    if addr.is_none() && port.is_none() {
        return;
    }
    nest(out, kind, |out| {
        if let Some(addr) = addr {
            if ct.nat_l3() == AF_INET6 {
                put(out, 4, &addr);
            } else {
                let [a, b, c, d, ..] = addr;
                put(out, 1, &[a, b, c, d]);
            }
        }
        if let Some(port) = port {
            nest(out, 3, |out| {
                if matches!(ct.orig.l4, proto::TCP | proto::UDP) {
                    put_u16(out, 1, port);
                    put_u16(out, 2, port);
                }
            });
        }
    });
}

fn expect(out: &mut Vec<u8>, exp: &Expect) {
    for (kind, t, attr) in [
        (2, &exp.expected, ExpAttr::EXPECTED),
        (1, &exp.master, ExpAttr::MASTER),
        (3, &exp.mask, ExpAttr::MASK),
    ] {
        if exp.set.has(attr) {
            tuple(out, kind, t, false);
        }
    }
    if exp.set.has(ExpAttr::TIMEOUT) {
        put_u32(out, 4, exp.timeout);
    }
    if exp.set.has(ExpAttr::FLAGS) {
        put_u32(out, 8, exp.flags);
    }
    if exp.set.has(ExpAttr::ZONE) {
        put_u16(out, 7, exp.zone);
    }
    if let Some(name) = &exp.helper {
        put_text(out, 6, name);
    }
}

/// What makes the kernel translate the announced flow as the master's is: class, function and translation. Without a
/// function the kernel does nothing with a translation, so none is sent then.
fn expect_translation(out: &mut Vec<u8>, exp: &Expect) {
    if exp.set.has(ExpAttr::CLASS) {
        put_u32(out, 9, exp.class);
    }
    let (Some(function), Some(nat)) = (&exp.function, &exp.nat) else {
        return;
    };
    // A peer's message has no IPv6 address of the translation; the kernel takes it from the master.
    let mut to = nat.tuple;
    if to.l3 != exp.expected.l3 {
        to.l3 = exp.expected.l3;
        (to.src, to.dst) = ([0; 16], [0; 16]);
    }
    if to.l4 == 0 {
        to.l4 = exp.expected.l4;
    }
    nest(out, 10, |out| {
        put_u32(out, 1, nat.dir);
        tuple(out, 2, &to, false);
    });
    put_text(out, 11, function);
}
