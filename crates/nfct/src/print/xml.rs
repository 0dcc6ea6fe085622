//! One XML element per object, without line end.

use alloc::string::String;
use core::fmt::Write;

use super::{TCP_STATES, delta_seconds, l3_name, l4_name, state_word};
use crate::attr::Attr;
use crate::expect::{ExpAttr, Expect};
use crate::object::{Conntrack, Counters};
use crate::tuple::{Known, Tuple, ip, proto, status};

/// Appends the `<flow>` element of a conntrack entry. `now` is the wall clock in seconds since 1970.
pub fn conntrack_xml(out: &mut String, ct: &Conntrack, now: u64) {
    // Writing to a String can not fail.
    let _ = write_conntrack(out, ct, now);
}

/// Appends the `<flow>` element of an expectation.
pub fn expect_xml(out: &mut String, exp: &Expect) {
    let _ = write_expect(out, exp);
}

fn write_conntrack(out: &mut String, ct: &Conntrack, now: u64) -> core::fmt::Result {
    out.push_str("<flow>");
    // The original asks for the original direction's counters before it shows either direction's.
    let counted = ct.has(Attr::COUNTERS_ORIG);
    let zero = Counters::default();
    direction(
        out,
        "original",
        &ct.orig,
        counted.then(|| ct.counters_orig().unwrap_or(zero)),
    )?;
    direction(
        out,
        "reply",
        ct.reply(),
        counted.then(|| ct.counters_repl().unwrap_or(zero)),
    )?;
    independent(out, ct, now)?;
    if let Some(name) = ct.helper() {
        write!(out, "<helper>{name}</helper>")?;
    }
    out.push_str("</flow>");
    Ok(())
}

fn direction(
    out: &mut String,
    name: &str,
    t: &Tuple,
    counters: Option<Counters>,
) -> core::fmt::Result {
    write!(
        out,
        "<meta direction=\"{name}\"><layer3 protonum=\"{}\" protoname=\"{}\">",
        t.l3,
        l3_name(t.l3)
    )?;
    addresses(out, t)?;
    write!(
        out,
        "</layer3><layer4 protonum=\"{}\" protoname=\"{}\">",
        t.l4,
        l4_name(t.l4)
    )?;
    ports(out, t)?;
    out.push_str("</layer4>");
    if t.known.has(Known::ZONE) {
        write!(out, "<zone>{}</zone>", t.zone)?;
    }
    if let Some(c) = counters {
        write!(
            out,
            "<counters><packets>{}</packets><bytes>{}</bytes></counters>",
            c.packets, c.bytes
        )?;
    }
    out.push_str("</meta>");
    Ok(())
}

fn addresses(out: &mut String, t: &Tuple) -> core::fmt::Result {
    for (tag, addr) in [("src", &t.src), ("dst", &t.dst)] {
        write!(out, "<{tag}>")?;
        if let Some(addr) = ip(t.l3, addr) {
            write!(out, "{addr}")?;
        }
        write!(out, "</{tag}>")?;
    }
    Ok(())
}

/// ICMP's words are not shown in XML.
fn ports(out: &mut String, t: &Tuple) -> core::fmt::Result {
    match t.l4 {
        proto::TCP | proto::UDP | proto::UDPLITE | proto::SCTP | proto::DCCP => {
            write!(out, "<sport>{}</sport><dport>{}</dport>", t.sport, t.dport)
        }
        proto::GRE => write!(
            out,
            "<srckey>0x{:x}</srckey><dstkey>0x{:x}</dstkey>",
            t.sport, t.dport
        ),
        _ => Ok(()),
    }
}

fn independent(out: &mut String, ct: &Conntrack, now: u64) -> core::fmt::Result {
    const SHOWN: Attr = Attr::TCP_STATE
        .with(Attr::SCTP_STATE)
        .with(Attr::DCCP_STATE)
        .with(Attr::TIMEOUT)
        .with(Attr::MARK)
        .with(Attr::SECMARK)
        .with(Attr::ZONE)
        .with(Attr::USE)
        .with(Attr::STATUS)
        .with(Attr::ID)
        .with(Attr::LABELS)
        .with(Attr::START)
        .with(Attr::STOP);
    let framed = ct.attrs().any(SHOWN);
    if framed {
        out.push_str("<meta direction=\"independent\">");
    }
    // All three protocols' states are shown with TCP's words, as in the original (SCTP ESTABLISHED reads FIN_WAIT).
    for state in [ct.tcp_state(), ct.sctp_state(), ct.dccp_state()]
        .into_iter()
        .flatten()
    {
        write!(out, "<state>{}</state>", state_word(&TCP_STATES, state))?;
    }
    for (tag, n) in [
        ("timeout", ct.timeout()),
        ("mark", ct.mark()),
        ("secmark", ct.secmark()),
    ] {
        if let Some(n) = n {
            write!(out, "<{tag}>{n}</{tag}>")?;
        }
    }
    if let Some(context) = ct.secctx() {
        write!(out, "<secctx>{context}</secctx>")?;
    }
    for (tag, n) in [
        ("zone", ct.zone().map(u32::from)),
        ("use", ct.refs()),
        ("id", ct.id()),
    ] {
        if let Some(n) = n {
            write!(out, "<{tag}>{n}</{tag}>")?;
        }
    }
    if let Some(bits) = ct.status() {
        if bits & status::ASSURED != 0 {
            out.push_str("<assured/>");
        }
        if bits & status::SEEN_REPLY == 0 {
            out.push_str("<unreplied/>");
        }
    }
    match (ct.start(), ct.stop()) {
        (Some(start), Some(stop)) => {
            let seconds = stop.wrapping_sub(start) / 1_000_000_000;
            write!(out, "<deltatime>{seconds}</deltatime>")?;
        }
        (Some(start), None) => {
            let seconds = delta_seconds(start, None, now);
            write!(out, "<deltatime>{seconds}</deltatime>")?;
        }
        (None, _) => {}
    }
    if framed {
        out.push_str("</meta>");
    }
    Ok(())
}

fn write_expect(out: &mut String, exp: &Expect) -> core::fmt::Result {
    let parts = [
        ("expected", &exp.expected),
        ("mask", &exp.mask),
        ("master", &exp.master),
    ];
    write!(
        out,
        "<flow><layer3 protonum=\"{}\" protoname=\"{}\">",
        exp.expected.l3,
        l3_name(exp.expected.l3)
    )?;
    for (tag, t) in parts {
        write!(out, "<{tag}>")?;
        addresses(out, t)?;
        write!(out, "</{tag}>")?;
    }
    write!(
        out,
        "</layer3><layer4 protonum=\"{}\" protoname=\"{}\">",
        exp.expected.l4,
        l4_name(exp.expected.l4)
    )?;
    for (tag, t) in parts {
        write!(out, "<{tag}>")?;
        ports(out, t)?;
        write!(out, "</{tag}>")?;
    }
    out.push_str("</layer4><meta>");
    if let Some(name) = &exp.helper {
        write!(out, "<helper-name>{name}</helper-name>")?;
    }
    if exp.set.has(ExpAttr::TIMEOUT) {
        write!(out, "<timeout>{}</timeout>", exp.timeout)?;
    }
    if exp.set.has(ExpAttr::CLASS) {
        write!(out, "<class>{}</class>", exp.class)?;
    }
    if exp.set.has(ExpAttr::ZONE) {
        write!(out, "<zone>{}</zone>", exp.zone)?;
    }
    for (bit, word) in [(1, "permanent"), (2, "inactive"), (4, "userspace")] {
        if exp.flags & bit != 0 {
            write!(out, "<{word}/>")?;
        }
    }
    out.push_str("</meta></flow>");
    Ok(())
}
