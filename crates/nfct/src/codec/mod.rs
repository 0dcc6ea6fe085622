//! Netlink messages of ctnetlink: what a datagram says, and requests to the kernel.
//!
//! ```text
//! nlmsghdr  length u32 | type u16 (subsystem, message) | flags u16 | sequence u32 | port id u32
//! nfgenmsg  family u8 | version u8 | resource u16
//! attributes (nla.rs)
//! ```

mod decode;
mod encode;

pub use encode::{
    ConntrackOp, ExpectOp, append_create, append_update, create_request, dump_request,
    entry_attributes, expect_attributes, expect_flush, request, request_expect, update_request,
};

use crate::{Conntrack, Expect};

/// Subsystem number of conntrack messages.
pub const SUBSYS_CONNTRACK: u8 = 1;
/// Subsystem number of expectation messages.
pub const SUBSYS_EXPECT: u8 = 2;

pub(crate) const NLM_F_REQUEST: u16 = 1;
pub(crate) const NLM_F_ACK: u16 = 4;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_DUMP: u16 = 0x300;

const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;

/// What happened to an object, from message type and flags. Entries of a dump come as [`EventKind::Update`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Created.
    New,
    /// Changed, or an answer to a get or dump.
    Update,
    /// Removed.
    Destroy,
}

/// The fields of a netlink header that matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Message type: subsystem in the high byte, message in the low byte.
    pub kind: u16,
    /// Flags.
    pub flags: u16,
    /// Sequence number of the request that this answers; 0 in events that the kernel started itself.
    pub sequence: u32,
    /// Port id of the socket whose request caused it; 0 for the kernel.
    pub port_id: u32,
}

/// One message of a netlink datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A conntrack entry.
    Conntrack(EventKind, Conntrack),
    /// An expectation.
    Expect(EventKind, Expect),
    /// The answer to a request: 0, or the positive `errno`.
    Ack(i32),
    /// The end of a dump: 0, or the positive `errno`.
    Done(i32),
    /// The kernel lost messages of this dump or socket (`NLMSG_OVERRUN`).
    Overrun,
    /// A message of another subsystem or type.
    Other,
}

/// The messages of one datagram. Total: bytes that do not hold a whole message end the iteration.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// The messages in `datagram` as one `recv` returned it.
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl Iterator for Messages<'_> {
    type Item = (Header, Message);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.0.first_chunk::<16>()?;
        let word = |i: usize| {
            let mut b = [0; 4];
            b.copy_from_slice(&head[i..i + 4]);
            u32::from_ne_bytes(b)
        };
        let len = usize::try_from(word(0)).ok()?;
        let header = Header {
            kind: u16::from_ne_bytes([head[4], head[5]]),
            flags: u16::from_ne_bytes([head[6], head[7]]),
            sequence: word(8),
            port_id: word(12),
        };
        let body = self.0.get(16..len)?;
        let next = len.checked_next_multiple_of(4)?;
        self.0 = self.0.get(next..).unwrap_or(&[]);
        Some((header, message(&header, body)))
    }
}

fn message(header: &Header, body: &[u8]) -> Message {
    let errno = || {
        body.first_chunk().map_or(0, |b| {
            let code = i32::from_ne_bytes(*b);
            if code < 0 { code.saturating_neg() } else { 0 }
        })
    };
    match header.kind {
        NLMSG_NOOP => return Message::Other,
        NLMSG_ERROR => return Message::Ack(errno()),
        NLMSG_DONE => return Message::Done(errno()),
        NLMSG_OVERRUN => return Message::Overrun,
        _ => {}
    }
    let [subsystem, kind] = header.kind.to_be_bytes();
    let event = match kind {
        0 if header.flags & (NLM_F_CREATE | NLM_F_EXCL) != 0 => EventKind::New,
        0 => EventKind::Update,
        2 => EventKind::Destroy,
        _ => return Message::Other,
    };
    let Some((family, attrs)) = body
        .split_first_chunk::<4>()
        .map(|(head, attrs)| (head[0], attrs))
    else {
        return Message::Other;
    };
    match subsystem {
        SUBSYS_CONNTRACK => Message::Conntrack(event, decode::conntrack(family, attrs)),
        SUBSYS_EXPECT => Message::Expect(event, decode::expect(family, attrs)),
        _ => Message::Other,
    }
}

/// The entry that attributes describe, for messages that hold one within (`NFQA_CT`). `family` is 2 or 10.
pub fn entry(family: u8, attributes: &[u8]) -> Conntrack {
    decode::conntrack(family, attributes)
}

/// Fuzz entry: decodes `bytes` as a datagram, encodes what it found and prints it. Must never panic.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    for (_, message) in Messages::new(bytes) {
        let mut text = alloc::string::String::new();
        match message {
            Message::Conntrack(_, ct) => {
                let _ = request(ConntrackOp::Create, &ct, 1);
                let _ = create_request(&ct, Some(1), true, 1);
                let _ = update_request(&ct, None, true, 1);
                crate::print::conntrack_text(&mut text, &ct, 0);
                crate::print::conntrack_xml(&mut text, &ct, 0);
                let mut other = ct.clone();
                other.merge(ct);
            }
            Message::Expect(_, exp) => {
                let _ = request_expect(ExpectOp::Create, &exp, 1);
                crate::print::expect_text(&mut text, &exp);
                crate::print::expect_xml(&mut text, &exp);
            }
            _ => {}
        }
    }
}
