//! The lines that `conntrackd -i`, `-e` and the flow logs show: plain text and XML, as libnetfilter_conntrack has them.

mod text;
mod xml;

pub use text::{conntrack_text, expect_text};
pub use xml::{conntrack_xml, expect_xml};

use crate::tuple::proto;

const TCP_STATES: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

const SCTP_STATES: [&str; 10] = [
    "NONE",
    "CLOSED",
    "COOKIE_WAIT",
    "COOKIE_ECHOED",
    "ESTABLISHED",
    "SHUTDOWN_SENT",
    "SHUTDOWN_RECD",
    "SHUTDOWN_ACK_SENT",
    "HEARTBEAT_SENT",
    "HEARTBEAT_ACKED",
];

const DCCP_STATES: [&str; 10] = [
    "NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT", "IGNORE",
    "INVALID",
];

/// The word of `state`, or the one of state 0.
fn state_word(words: &[&'static str; 10], state: u8) -> &'static str {
    words.get(usize::from(state)).unwrap_or(&words[0])
}

fn l3_name(l3: u8) -> &'static str {
    match l3 {
        2 => "ipv4",
        10 => "ipv6",
        _ => "unknown",
    }
}

fn l4_name(l4: u8) -> &'static str {
    match l4 {
        proto::TCP => "tcp",
        proto::UDP => "udp",
        proto::UDPLITE => "udplite",
        proto::ICMP => "icmp",
        proto::ICMPV6 => "icmpv6",
        proto::SCTP => "sctp",
        proto::GRE => "gre",
        proto::DCCP => "dccp",
        _ => "unknown",
    }
}

/// Seconds of a flow's life for `delta-time`: until `stop`, or until `now` while it lives.
fn delta_seconds(start: u64, stop: Option<u64>, now: u64) -> u64 {
    const NANOS: u64 = 1_000_000_000;
    let end = match stop {
        None | Some(0) => now,
        Some(stop) => stop / NANOS,
    };
    // The original subtracts without a check; a clock set back shows as a huge number there.
    end.wrapping_sub(start / NANOS)
}
