//! Messages between the nodes (conntrackd-behaviour.md section 4).
//!
//! ```text
//!  0        1        2                 4                                   8
//! +----+----+--------+-----------------+-----------------------------------+----------------+----------------+
//! |ver |type| flags  | length          | sequence                          | from           | to             |
//! +----+----+--------+-----------------+-----------------------------------+----------------+----------------+
//!  4+4 bits            with this header   modulo 2^32                        only ACK, NACK and RESYNC
//! ```
//! All big endian. A datagram holds messages back to back; a state message goes on with attributes:
//! length u16 (4 + value), type u16, value, zeros up to a multiple of 4.

mod attr;
mod conntrack;
mod expect;

use alloc::vec::Vec;

pub use conntrack::decode as decode_conntrack;
pub use expect::decode as decode_expect;

use nfct::{Conntrack, Expect};

/// The protocol's version.
pub const VERSION: u8 = 1;
/// Bytes of a header.
pub const HEADER: usize = 8;
/// Bytes of an ACK, NACK or RESYNC.
pub const HEADER_RANGE: usize = 16;

/// New conntrack entry.
pub const CT_NEW: u8 = 0;
/// Changed conntrack entry.
pub const CT_UPD: u8 = 1;
/// Removed conntrack entry.
pub const CT_DEL: u8 = 2;
/// New expectation.
pub const EXP_NEW: u8 = 3;
/// Changed expectation.
pub const EXP_UPD: u8 = 4;
/// Removed expectation.
pub const EXP_DEL: u8 = 5;
/// Control message.
pub const CTL: u8 = 10;

/// Asks for everything.
pub const F_RESYNC: u8 = 0x02;
/// Reports missing messages.
pub const F_NACK: u8 = 0x04;
/// Confirms messages.
pub const F_ACK: u8 = 0x08;
/// Says that the node lives.
pub const F_ALIVE: u8 = 0x10;
/// The sender has just started.
pub const F_HELLO: u8 = 0x20;
/// Answer to a hello.
pub const F_HELLO_BACK: u8 = 0x40;

/// Byte order of the three attributes that the original swaps twice (14, 15, 24): the machine's own.
/// Two nodes of different byte order therefore disagree about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordOrder {
    /// As a little-endian machine sends them.
    Little,
    /// As a big-endian machine sends them.
    Big,
}

impl WordOrder {
    /// This machine's.
    pub const HOST: Self = if cfg!(target_endian = "big") {
        Self::Big
    } else {
        Self::Little
    };

    fn put(self, word: u16) -> [u8; 2] {
        match self {
            Self::Little => word.to_le_bytes(),
            Self::Big => word.to_be_bytes(),
        }
    }

    fn get(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }
}

/// A message's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Protocol version, 0 to 15.
    pub version: u8,
    /// Message type, 0 to 15.
    pub kind: u8,
    /// Flags.
    pub flags: u8,
    /// Sequence number.
    pub sequence: u32,
    /// First sequence number of an ACK or NACK.
    pub from: u32,
    /// Last sequence number of an ACK or NACK.
    pub to: u32,
}

impl Header {
    /// Whether `from` and `to` are part of the message.
    pub const fn has_range(kind: u8, flags: u8) -> bool {
        kind == CTL && flags & (F_ACK | F_NACK | F_RESYNC) != 0
    }

    /// Whether the message carries state: a known type without flags other than the greetings.
    pub const fn is_data(&self) -> bool {
        self.kind <= EXP_DEL && self.flags & !(F_HELLO | F_HELLO_BACK) == 0
    }

    /// Whether it is a control message with one of `flags`.
    pub const fn is_control(&self, flags: u8) -> bool {
        self.kind == CTL && self.flags & flags != 0
    }

    /// Appends a control message.
    pub fn encode_control(&self, out: &mut Vec<u8>) {
        let range = Self::has_range(self.kind, self.flags);
        let len: u16 = if range { 16 } else { 8 };
        self.put(out, len);
        if range {
            out.extend_from_slice(&self.from.to_be_bytes());
            out.extend_from_slice(&self.to.to_be_bytes());
        }
    }

    fn put(&self, out: &mut Vec<u8>, len: u16) {
        out.push((self.version << 4) | (self.kind & 0x0f));
        out.push(self.flags);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
    }
}

/// A message cut out of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// What follows the first eight bytes.
    pub body: &'a [u8],
}

/// Why the rest of a datagram is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// It ends inside a header ("truncated").
    Truncated,
    /// The length field is longer than what is left ("bad size").
    Overlong,
    /// The length field is shorter than the header ("bad size").
    BadSize,
}

impl FrameError {
    /// Whether more bytes of a stream could complete the message.
    pub const fn is_incomplete(self) -> bool {
        matches!(self, Self::Truncated | Self::Overlong)
    }
}

/// The messages of a datagram. After an error the iteration ends; [`Frames::rest`] tells what was not read.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a>(&'a [u8]);

impl<'a> Frames<'a> {
    /// Of the bytes of one datagram.
    pub const fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }

    /// What is not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next message. Check order as the original's, so that its counters can be matched.
    pub fn next_frame(&mut self) -> Option<Result<Frame<'a>, FrameError>> {
        if self.0.is_empty() {
            return None;
        }
        Some(self.cut())
    }

    fn cut(&mut self) -> Result<Frame<'a>, FrameError> {
        let (head, after) = self
            .0
            .split_first_chunk::<HEADER>()
            .ok_or(FrameError::Truncated)?;
        let [first, flags, l0, l1, s0, s1, s2, s3] = *head;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if len == 0 {
            return Err(FrameError::BadSize);
        }
        if len > self.0.len() {
            return Err(FrameError::Overlong);
        }
        let mut header = Header {
            version: first >> 4,
            kind: first & 0x0f,
            flags,
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            from: 0,
            to: 0,
        };
        if Header::has_range(header.kind, flags) {
            let range = after.first_chunk::<8>().ok_or(FrameError::Truncated)?;
            if len < HEADER_RANGE {
                return Err(FrameError::BadSize);
            }
            let [f0, f1, f2, f3, t0, t1, t2, t3] = *range;
            header.from = u32::from_be_bytes([f0, f1, f2, f3]);
            header.to = u32::from_be_bytes([t0, t1, t2, t3]);
        } else if len < HEADER {
            return Err(FrameError::BadSize);
        }
        let body = self.0.get(HEADER..len).ok_or(FrameError::BadSize)?;
        self.0 = self.0.get(len..).unwrap_or(&[]);
        Ok(Frame { header, body })
    }
}

/// What a sender leaves out or swaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec {
    /// Send timeouts (off when this node's CommitTimeout is set).
    pub timeouts: bool,
    /// Send TCP window scales.
    pub window_scales: bool,
    /// Order of attributes 14, 15 and 24.
    pub order: WordOrder,
}

impl Codec {
    /// Appends the message of a conntrack entry. `header.kind` is CT_NEW, CT_UPD or CT_DEL.
    /// `Err` holds the length of a message too long for its length field; nothing is appended then.
    pub fn conntrack(
        &self,
        out: &mut Vec<u8>,
        header: Header,
        ct: &Conntrack,
    ) -> Result<(), usize> {
        self.message(out, header, |out| conntrack::encode(self, out, ct))
    }

    /// Appends the message of an expectation. `header.kind` is EXP_NEW, EXP_UPD or EXP_DEL.
    pub fn expect(&self, out: &mut Vec<u8>, header: Header, exp: &Expect) -> Result<(), usize> {
        self.message(out, header, |out| expect::encode(self, out, exp))
    }

    fn message(
        &self,
        out: &mut Vec<u8>,
        header: Header,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), usize> {
        let start = out.len();
        header.put(out, 0);
        fill(out);
        let len = out.len().saturating_sub(start);
        let Ok(short) = u16::try_from(len) else {
            out.truncate(start);
            return Err(len);
        };
        if let Some(slot) = out.get_mut(start.saturating_add(2)..start.saturating_add(4)) {
            slot.copy_from_slice(&short.to_be_bytes());
        }
        Ok(())
    }
}

/// Attributes that make the original refuse the whole message ("malformed payload").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// The length field is below 4 or beyond the message.
    Length,
    /// A type that the protocol does not have.
    Unknown(u16),
    /// A value of the wrong size.
    Size(u16),
}

/// `a` lies before `b` in the sequence space (signed difference modulo 2^32).
pub const fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) >= 0x8000_0000
}

/// Fuzz entry: decodes `bytes` as a datagram and encodes what it found. Must never panic.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let mut frames = Frames::new(bytes);
    let codec = Codec {
        timeouts: true,
        window_scales: true,
        order: WordOrder::Little,
    };
    while let Some(Ok(frame)) = frames.next_frame() {
        let mut out = Vec::new();
        if frame.header.kind <= CT_DEL {
            if let Ok(ct) = decode_conntrack(frame.body, WordOrder::Little) {
                let _ = codec.conntrack(&mut out, frame.header, &ct);
            }
        } else if let Ok(exp) = decode_expect(frame.body) {
            let _ = codec.expect(&mut out, frame.header, &exp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_comparison_wraps() {
        assert!(before(1, 2) && !before(2, 1) && !before(5, 5));
        assert!(before(u32::MAX, 3) && !before(3, u32::MAX));
    }

    /// conntrackd-behaviour.md 4.6, rows that concern framing.
    #[test]
    fn frames_are_refused_like_the_original_does() {
        fn first(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
            Frames::new(bytes).next_frame().unwrap()
        }
        assert_eq!(first(&[0x1a, 0x10, 0, 8, 0, 0]), Err(FrameError::Truncated));
        assert_eq!(
            first(&[0x1a, 0x10, 0, 0, 0, 0, 0, 1]),
            Err(FrameError::BadSize)
        );
        assert_eq!(
            first(&[0x1a, 0x10, 0, 4, 0, 0, 0, 1]),
            Err(FrameError::BadSize)
        );
        assert_eq!(
            first(&[0x1a, 0x10, 0, 9, 0, 0, 0, 1]),
            Err(FrameError::Overlong)
        );
        assert_eq!(
            first(&[0x1a, 0x08, 0, 8, 0, 0, 0, 1]),
            Err(FrameError::Truncated)
        );
        let mut short_ack = [0; 16];
        short_ack[..8].copy_from_slice(&[0x1a, 0x08, 0, 8, 0, 0, 0, 1]);
        assert_eq!(first(&short_ack), Err(FrameError::BadSize));
    }
}
