//! One line of plain text per object, without line end.

use alloc::string::String;
use core::fmt::Write;

use super::{DCCP_STATES, SCTP_STATES, TCP_STATES, delta_seconds, l4_name, state_word};
use crate::expect::{ExpAttr, Expect};
use crate::object::Conntrack;
use crate::tuple::{Known, Tuple, ip, proto, status};

/// Appends the line of a conntrack entry. `now` is the wall clock in seconds since 1970, for `delta-time` of a living
/// flow.
pub fn conntrack_text(out: &mut String, ct: &Conntrack, now: u64) {
    // Writing to a String can not fail.
    let _ = write_conntrack(out, ct, now);
    trim(out);
}

/// Appends the line of an expectation.
pub fn expect_text(out: &mut String, exp: &Expect) {
    let _ = write_expect(out, exp);
    trim(out);
}

fn trim(out: &mut String) {
    if out.ends_with(' ') {
        out.pop();
    }
}

fn write_conntrack(out: &mut String, ct: &Conntrack, now: u64) -> core::fmt::Result {
    if ct.orig.known.has(Known::L4) {
        write!(out, "{:<8} {} ", l4_name(ct.orig.l4), ct.orig.l4)?;
    }
    if let Some(seconds) = ct.timeout() {
        write!(out, "{seconds} ")?;
    }
    for (state, words) in [
        (ct.tcp_state(), &TCP_STATES),
        (ct.sctp_state(), &SCTP_STATES),
        (ct.dccp_state(), &DCCP_STATES),
    ] {
        if let Some(state) = state {
            write!(out, "{} ", state_word(words, state))?;
        }
    }
    tuple(out, &ct.orig, "src", "dst")?;
    if ct.orig.known.has(Known::ZONE) {
        write!(out, "zone-orig={} ", ct.orig.zone)?;
    }
    if let Some(c) = ct.counters_orig() {
        write!(out, "packets={} bytes={} ", c.packets, c.bytes)?;
    }
    let bits = ct.status();
    if bits.is_some_and(|b| b & status::SEEN_REPLY == 0) {
        out.push_str("[UNREPLIED] ");
    }
    tuple(out, ct.reply(), "src", "dst")?;
    if ct.reply().known.has(Known::ZONE) {
        write!(out, "zone-reply={} ", ct.reply().zone)?;
    }
    if let Some(c) = ct.counters_repl() {
        write!(out, "packets={} bytes={} ", c.packets, c.bytes)?;
    }
    if let Some(bits) = bits {
        if bits & status::HW_OFFLOAD != 0 {
            out.push_str("[HW_OFFLOAD] ");
        } else if bits & status::OFFLOAD != 0 {
            out.push_str("[OFFLOAD] ");
        } else if bits & status::ASSURED != 0 {
            out.push_str("[ASSURED] ");
        }
    }
    if let Some(n) = ct.mark() {
        write!(out, "mark={n} ")?;
    }
    if let Some(n) = ct.secmark() {
        write!(out, "secmark={n} ")?;
    }
    if let Some(context) = ct.secctx() {
        write!(out, "secctx={context} ")?;
    }
    if let Some(zone) = ct.zone() {
        write!(out, "zone={zone} ")?;
    }
    if let Some(start) = ct.start() {
        write!(out, "delta-time={} ", delta_seconds(start, ct.stop(), now))?;
    }
    if let Some(name) = ct.helper() {
        write!(out, "helper={name} ")?;
    }
    if let Some(n) = ct.refs() {
        write!(out, "use={n} ")?;
    }
    Ok(())
}

fn write_expect(out: &mut String, exp: &Expect) -> core::fmt::Result {
    if exp.set.has(ExpAttr::TIMEOUT) {
        write!(out, "{} ", exp.timeout)?;
    }
    write!(out, "proto={} ", exp.expected.l4)?;
    tuple(out, &exp.expected, "src", "dst")?;
    tuple(out, &exp.mask, "mask-src", "mask-dst")?;
    tuple(out, &exp.master, "master-src", "master-dst")?;
    if exp.set.has(ExpAttr::ZONE) {
        write!(out, "zone={} ", exp.zone)?;
    }
    let mut comma = "";
    for (bit, word) in [(1, "PERMANENT"), (2, "INACTIVE"), (4, "USERSPACE")] {
        if exp.flags & bit != 0 {
            write!(out, "{comma}{word}")?;
            comma = ",";
        }
    }
    if exp.flags != 0 {
        out.push(' ');
    }
    if exp.set.has(ExpAttr::CLASS) {
        write!(out, "class={} ", exp.class)?;
    }
    if let Some(name) = &exp.helper {
        write!(out, "helper={name}")?;
    }
    Ok(())
}

/// Addresses and the protocol's words; nothing for a tuple that is not known.
fn tuple(out: &mut String, t: &Tuple, src: &str, dst: &str) -> core::fmt::Result {
    if let (Some(s), Some(d)) = (ip(t.l3, &t.src), ip(t.l3, &t.dst)) {
        write!(out, "{src}={s} {dst}={d} ")?;
    }
    match t.l4 {
        proto::TCP | proto::UDP | proto::UDPLITE | proto::SCTP | proto::DCCP => {
            write!(out, "sport={} dport={} ", t.sport, t.dport)
        }
        proto::GRE => write!(out, "srckey=0x{:x} dstkey=0x{:x} ", t.sport, t.dport),
        proto::ICMP | proto::ICMPV6 => write!(
            out,
            "type={} code={} id={} ",
            t.icmp_type(),
            t.icmp_code(),
            t.sport
        ),
        _ => Ok(()),
    }
}
