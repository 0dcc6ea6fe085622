//! Connection tracking helpers of user space (layer L2): they read the packets of a control connection and announce the
//! connections that it will cause, so that a firewall lets them pass and translates them likewise.
//!
//! In: a packet that the kernel queued, the entry of its flow, the helper's private data. Out: expectations for the kernel, the
//! packet rewritten where addresses are translated, private data, a verdict. No operating system call is made here; the caller
//! does what [`Inspection::next_request`] asks for and tells how it went.
//!
//! ```text
//!   queue ─▶ Packet::parse ─▶ Inspection::begin ─▶ next_request ⇄ answer ─▶ finish ─▶ Ruling ─▶ verdict
//! ```
//!
//! Everything is total: a packet that makes no sense is let through, as connection tracking does not filter.
//! Who may use it: the conntrackd daemon, tests.
//! Answers to: conntrackd-behaviour.md section 11, the RFCs named in each module, the kernel's helpers of the same names.
#![no_std]
#![deny(missing_docs)]
extern crate alloc;

mod amanda;
mod datagram;
mod flow;
mod ftp;
mod inspection;
mod packet;
mod rewrite;
mod rpc;
mod sane;
mod scan;
mod ssdp;
mod tns;

#[cfg(test)]
mod tests;

pub use flow::Direction;
pub use inspection::{Inspection, Request, Ruling, Verdict};
pub use packet::{Packet, Unusable};

use nfct::proto;

/// Which protocol a helper reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Amanda,
    Dhcpv6,
    Ftp,
    /// mDNS and SLP: whoever was asked by multicast answers from its own address.
    Multicast,
    Rpc,
    Sane,
    Ssdp,
    Tftp,
    Tns,
}

/// How many expectations the kernel keeps for a flow, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name, which is the helper's.
    pub name: &'static str,
    /// Most expectations at a time.
    pub expect_max: u32,
    /// Their life in seconds.
    pub expect_timeout: u32,
}

/// A helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Helper {
    kind: Kind,
    /// Bytes that the kernel keeps per flow for it. Their layout is that of conntrackd 1.4.8, in the machine's byte order, so
    /// that one may take over from the other.
    pub data_len: u32,
    /// Its only policy, with the numbers that a configuration may replace.
    pub policy: Policy,
}

/// (name, protocols, what it reads, private data, most expectations, their timeout)
type Row = (&'static str, &'static [u8], Kind, u32, u32, u32);
const HELPERS: [Row; 10] = [
    ("amanda", &[proto::UDP], Kind::Amanda, 0, 3, 180),
    ("dhcpv6", &[proto::UDP], Kind::Dhcpv6, 0, 1, 300),
    ("ftp", &[proto::TCP], Kind::Ftp, 24, 1, 300),
    ("mdns", &[proto::UDP], Kind::Multicast, 0, 8, 30),
    ("rpc", &[proto::TCP, proto::UDP], Kind::Rpc, 16, 1, 300),
    ("sane", &[proto::TCP], Kind::Sane, 4, 1, 300),
    // One second more than CONFIG_MC_MAX of RFC 2608.
    ("slp", &[proto::UDP], Kind::Multicast, 0, 8, 16),
    ("ssdp", &[proto::UDP, proto::TCP], Kind::Ssdp, 0, 8, 300),
    ("tftp", &[proto::UDP], Kind::Tftp, 0, 1, 300),
    ("tns", &[proto::TCP], Kind::Tns, 1, 1, 300),
];

impl Helper {
    /// The helper `name` for TCP (6) or UDP (17).
    pub fn find(name: &str, protocol: u8) -> Option<Self> {
        let (name, _, kind, data_len, expect_max, expect_timeout) = HELPERS
            .into_iter()
            .find(|(known, protocols, ..)| *known == name && protocols.contains(&protocol))?;
        Some(Self {
            kind,
            data_len,
            policy: Policy {
                name,
                expect_max,
                expect_timeout,
            },
        })
    }
}

/// Fuzz entry: `bytes` are a helper's number, a tracking state, private data and a packet. Must never panic.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Some(([which, info, refusal, status], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let Some((data, packet)) = rest.split_first_chunk::<24>() else {
        return;
    };
    let version = packet.first().map_or(0, |b| b >> 4);
    let hardware = if version == 6 { 0x86dd } else { 0x0800 };
    let Ok(packet) = Packet::parse(packet, hardware) else {
        return;
    };
    for protocol in [proto::TCP, proto::UDP] {
        let row = HELPERS.get(usize::from(*which) % HELPERS.len());
        let Some(helper) = row.and_then(|row| Helper::find(row.0, protocol)) else {
            continue;
        };
        let mut ct = packet.flow();
        ct.set_status(u32::from(*status));
        ct.set_helper(helper.policy.name.into());
        ct.set_helper_info(data.as_slice().into());
        let mut inspection = Inspection::begin(helper, packet, ct, u32::from(*info) % 5);
        while inspection.next_request().is_some() {
            inspection.answer(i32::from(*refusal) % 17);
        }
        let _ = inspection.finish();
    }
}
