//! Messages in a datagram (`linux/netlink.h`).
//!
//! ```text
//! +--------+------+-------+-----+------+------------------+-----
//! | length | type | flags | seq | port | body, padded to 4 | next header …
//! |  u32   | u16  |  u16  | u32 | u32  |                   |
//! +--------+------+-------+-----+------+------------------+-----
//! ```

use alloc::vec::Vec;

use crate::nla::Writer;
use crate::read;

/// Length of a message header.
pub const HEADER_LEN: usize = 16;

/// `NLM_F_REQUEST`
pub const F_REQUEST: u16 = 0x1;
/// `NLM_F_MULTI`: part of a dump.
pub const F_MULTI: u16 = 0x2;
/// `NLM_F_ACK`: answer even when all went well.
pub const F_ACK: u16 = 0x4;
/// `NLM_F_DUMP_INTR`: the table changed while it was dumped; ask again.
pub const F_DUMP_INTR: u16 = 0x10;
/// `NLM_F_DUMP`: all entries of the table.
pub const F_DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`: change an entry that exists.
pub const F_REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`: refuse when the entry exists.
pub const F_EXCL: u16 = 0x200;
/// `NLM_F_CREATE`: make the entry when it does not exist.
pub const F_CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: add behind entries with the same key.
pub const F_APPEND: u16 = 0x800;

const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;

/// What stands before every message; its length is implied by the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// `RTM_…` or a control message below 16.
    pub kind: u16,
    /// `F_…`
    pub flags: u16,
    /// Number that an answer repeats.
    pub seq: u32,
    /// Port of the socket that caused the message; 0: the kernel itself.
    pub port: u32,
}

/// A message within a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    /// Its body without padding.
    pub body: &'a [u8],
}

/// What a message means in a conversation of request and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The request numbered `seq` is done (`errno` 0) or refused.
    Ack {
        /// The request's number.
        seq: u32,
        /// The request's message type.
        kind: u16,
        /// 0 or the positive error number.
        errno: i32,
    },
    /// The end of a dump; the error number is 0 unless it was cut short.
    Done {
        /// 0 or the positive error number.
        errno: i32,
    },
    /// Part of the answer.
    Data(Message<'a>),
    /// Nothing to do (`NLMSG_NOOP`, or data lost as `NLMSG_OVERRUN`, which Linux never sends).
    Nothing,
}

impl<'a> Message<'a> {
    /// Tells acknowledgements and ends from data. A cut acknowledgement counts as `EPROTO` (71).
    pub fn reply(&self) -> Reply<'a> {
        const EPROTO: i32 = 71;
        let error =
            |at| read::i32(self.body, at).map_or(EPROTO, |e| e.checked_neg().unwrap_or(EPROTO));
        match self.header.kind {
            NLMSG_ERROR => Reply::Ack {
                seq: read::u32(self.body, 12).unwrap_or(self.header.seq),
                kind: read::u16(self.body, 8).unwrap_or(0),
                errno: error(0),
            },
            // Old kernels end a dump without a number.
            NLMSG_DONE if self.body.len() < 4 => Reply::Done { errno: 0 },
            NLMSG_DONE => Reply::Done {
                errno: error(0).max(0),
            },
            NLMSG_NOOP | NLMSG_OVERRUN => Reply::Nothing,
            _ => Reply::Data(*self),
        }
    }
}

/// The messages of a datagram. Ends early at a header that does not fit; [`Messages::rest`] is then not empty.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    /// Walks over one datagram.
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }

    /// Bytes that have not been walked over.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let len = usize::try_from(read::u32(self.0, 0)?).ok()?;
        let message = Message {
            header: Header {
                kind: read::u16(self.0, 4)?,
                flags: read::u16(self.0, 6)?,
                seq: read::u32(self.0, 8)?,
                port: read::u32(self.0, 12)?,
            },
            body: self.0.get(HEADER_LEN..len)?,
        };
        // The last message may lack its padding.
        let step = len.checked_next_multiple_of(4)?.min(self.0.len());
        self.0 = self.0.get(step..).unwrap_or_default();
        Some(message)
    }
}

/// Requests to send in one datagram. The kernel carries them out in order and answers each one.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// No request yet.
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            count: 0,
        }
    }

    /// Adds a request; `body` writes what follows the header. [`F_REQUEST`] is added to the flags. Sequence numbers count
    /// from 0 in the batch: [`Batch::renumber`] moves them.
    pub fn push(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Writer<'_>)) {
        let start = self.open(kind, flags);
        body(&mut Writer::new(&mut self.bytes));
        self.close(start);
    }

    /// Writes a header; where it begins.
    fn open(&mut self, kind: u16, flags: u16) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes
            .extend_from_slice(&(flags | F_REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&self.count.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        start
    }

    /// Ends the request that began at `start`.
    fn close(&mut self, start: usize) {
        let len = u32::try_from(self.bytes.len().saturating_sub(start)).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(start..start.saturating_add(4)) {
            place.copy_from_slice(&len.to_ne_bytes());
        }
        // Attributes keep the padding, so this matters for bodies that have none.
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.count = self.count.saturating_add(1);
    }

    /// How many requests there are.
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The datagram.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The datagram in parts of at most `most` requests, each with their number.
    pub fn parts(&self, most: u32) -> Parts<'_> {
        Parts {
            rest: &self.bytes,
            most: most.max(1),
        }
    }

    /// Forgets the requests, keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Leaves the demand for an answer to the last of each `most` requests: refusals are told anyway, and what was not refused
    /// before that one's answer is done.
    pub fn acknowledge_every(&mut self, most: u32) {
        let mut at = 0_usize;
        let mut number = 0_u32;
        while let Some(len) = read::u32(&self.bytes, at).and_then(|l| usize::try_from(l).ok()) {
            number = number.saturating_add(1);
            let last = number == self.count || number % most.max(1) == 0;
            let place = at.saturating_add(6);
            let flags = read::u16(&self.bytes, place).unwrap_or(0);
            let flags = if last { flags | F_ACK } else { flags & !F_ACK };
            if let Some(place) = self.bytes.get_mut(place..place.saturating_add(2)) {
                place.copy_from_slice(&flags.to_ne_bytes());
            }
            at = at.saturating_add(len.max(HEADER_LEN)).next_multiple_of(4);
        }
    }

    /// Numbers the requests `first`, `first + 1` … (wrapping).
    pub fn renumber(&mut self, first: u32) {
        let mut at = 0_usize;
        let mut seq = first;
        while let Some(len) = read::u32(&self.bytes, at).and_then(|l| usize::try_from(l).ok()) {
            let place = at.saturating_add(8);
            if let Some(place) = self.bytes.get_mut(place..place.saturating_add(4)) {
                place.copy_from_slice(&seq.to_ne_bytes());
            }
            seq = seq.wrapping_add(1);
            at = at.saturating_add(len.max(HEADER_LEN)).next_multiple_of(4);
        }
    }
}

/// The parts of a batch, see [`Batch::parts`].
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    rest: &'a [u8],
    most: u32,
}

impl<'a> Iterator for Parts<'a> {
    type Item = (&'a [u8], u32);

    fn next(&mut self) -> Option<(&'a [u8], u32)> {
        let mut walk = Messages::new(self.rest);
        let mut count = 0;
        while count < self.most && walk.next().is_some() {
            count += 1;
        }
        let len = self.rest.len().saturating_sub(walk.rest().len());
        let (part, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        (count > 0).then_some((part, count))
    }
}

/// `NLM_F_DUMP` request of a table; `family` is 0 for all, [`net_types::Family::af`] or `AF_PACKET` (17) for links.
pub fn push_dump(batch: &mut Batch, kind: u16, family: u8) {
    // Strict kernels want the whole fixed header of the table's messages: 16 bytes for links, 12 for routes and rules, 8 for addresses.
    let body: &[u8] = match kind {
        crate::link::RTM_GETLINK => &[0; 16],
        crate::address::RTM_GETADDR => &[0; 8],
        _ => &[0; 12],
    };
    batch.push(kind, F_DUMP, |w| {
        w.raw(&[family]);
        w.raw(body.get(1..).unwrap_or_default());
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn sample() -> Batch {
        let mut batch = Batch::new();
        batch.push(20, F_ACK, |w| w.raw(&[1, 2, 3]));
        batch.push(21, 0, |w| w.u32(5, 7));
        batch.renumber(u32::MAX);
        batch
    }

    #[test]
    fn a_batch_is_walked_in_order_with_its_numbers() {
        let batch = sample();
        let mut walk = Messages::new(batch.bytes());
        let first = walk.next().unwrap();
        assert_eq!(
            (first.header.kind, first.header.flags, first.header.seq),
            (20, F_ACK | F_REQUEST, u32::MAX)
        );
        assert_eq!(first.body, [1, 2, 3]);
        assert_eq!(walk.next().unwrap().header.seq, 0);
        assert_eq!(walk.next(), None);
        assert!(walk.rest().is_empty());
    }

    #[test]
    fn a_batch_is_taken_in_parts() {
        let mut batch = Batch::new();
        for kind in 20..25 {
            batch.push(kind, 0, |w| w.raw(&[1]));
        }
        let parts: Vec<_> = batch.parts(2).map(|(bytes, n)| (bytes.len(), n)).collect();
        assert_eq!(parts, [(40, 2), (40, 2), (20, 1)]);
        assert_eq!(Batch::new().parts(2).next(), None);
    }

    #[test]
    fn a_cut_datagram_ends_the_walk_and_leaves_a_rest() {
        let batch = sample();
        for cut in 1..batch.bytes().len() {
            let mut walk = Messages::new(&batch.bytes()[..cut]);
            let whole = walk.by_ref().count();
            assert!(whole < 2, "{cut}");
            assert!(!walk.rest().is_empty() || cut == 19 || cut == 20, "{cut}");
        }
        // A length shorter than a header.
        let mut walk = Messages::new(&[4, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(walk.next(), None);
    }

    #[test]
    fn acknowledgements_are_told_from_data() {
        let mut body = vec![];
        body.extend((-17_i32).to_ne_bytes());
        body.extend(36_u32.to_ne_bytes());
        body.extend(20_u16.to_ne_bytes());
        body.extend(5_u16.to_ne_bytes());
        body.extend(99_u32.to_ne_bytes());
        body.extend(0_u32.to_ne_bytes());
        let header = Header {
            kind: 2,
            flags: 0,
            seq: 99,
            port: 4,
        };
        let message = Message {
            header,
            body: &body,
        };
        assert_eq!(
            message.reply(),
            Reply::Ack {
                seq: 99,
                kind: 20,
                errno: 17
            }
        );
        let cut = Message { header, body: &[] };
        assert_eq!(
            cut.reply(),
            Reply::Ack {
                seq: 99,
                kind: 0,
                errno: 71
            }
        );
        let least = Message {
            header,
            body: &i32::MIN.to_ne_bytes(),
        };
        assert!(matches!(least.reply(), Reply::Ack { errno: 71, .. }));
        let done = Message {
            header: Header { kind: 3, ..header },
            body: &[],
        };
        assert_eq!(done.reply(), Reply::Done { errno: 0 });
    }
}
