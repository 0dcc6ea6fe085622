//! Messages to and from bytes.
//!
//! ```text
//!  0               1               2               3
//! +---------------+---------------+---------------+---------------+
//! |    version    |     type      |     flags     |   reserved    |
//! +---------------+---------------+---------------+---------------+
//! | session · transaction · packet · payload length (a multiple of 4) |
//! ```

use alloc::vec::Vec;

use crate::value::{Oid, Value, VarBind};

/// Octets of a header.
pub const HEADER: usize = 20;
/// What a payload may have at most. Masters cut their requests to what an SNMP message holds (64 kB).
pub const MAX_PAYLOAD: usize = 1 << 18;

const VERSION: u8 = 1;
const NON_DEFAULT_CONTEXT: u8 = 0x08;
const NETWORK_BYTE_ORDER: u8 = 0x10;
/// The prefix that [`Oid`]s are shortened by: internet.
const INTERNET: [u32; 4] = [1, 3, 6, 1];

/// Types of messages (RFC 2741 section 6.1).
#[expect(missing_docs, reason = "the RFC's names")]
pub mod kind {
    pub const OPEN: u8 = 1;
    pub const CLOSE: u8 = 2;
    pub const REGISTER: u8 = 3;
    pub const GET: u8 = 5;
    pub const GET_NEXT: u8 = 6;
    pub const GET_BULK: u8 = 7;
    pub const TEST_SET: u8 = 8;
    pub const COMMIT_SET: u8 = 9;
    pub const UNDO_SET: u8 = 10;
    pub const CLEANUP_SET: u8 = 11;
    pub const NOTIFY: u8 = 12;
    pub const PING: u8 = 13;
    pub const ADD_AGENT_CAPS: u8 = 16;
    pub const RESPONSE: u8 = 18;
}

/// What stands before each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which message.
    pub kind: u8,
    /// Flags as they came.
    pub flags: u8,
    /// The session; 0 before it is opened.
    pub session: u32,
    /// The SNMP request that this belongs to.
    pub transaction: u32,
    /// Joins an answer to its question.
    pub packet: u32,
}

/// Objects from `start` on (`include`: it too) up to, without, `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Where to start.
    pub start: Oid,
    /// The start itself is an answer.
    pub include: bool,
    /// Where to stop; empty: nowhere.
    pub end: Oid,
}

/// A message that a sub-agent may get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pdu {
    /// The master closes the session.
    Close(u8),
    /// Values of these objects.
    Get(Vec<Range>),
    /// The first object in each range.
    GetNext(Vec<Range>),
    /// The first object in each of the first `non_repeaters` ranges, `max_repetitions` in the others.
    GetBulk {
        /// Ranges with one answer.
        non_repeaters: u16,
        /// Answers for each other range, at most.
        max_repetitions: u16,
        /// All ranges.
        ranges: Vec<Range>,
    },
    /// Whether these objects could be set.
    TestSet(Vec<VarBind>),
    /// Set them.
    CommitSet,
    /// Take it back.
    UndoSet,
    /// The set is over.
    CleanupSet,
    /// An answer.
    Response {
        /// 0: it was done.
        error: u16,
        /// The object that it is about.
        index: u16,
    },
    /// What a sub-agent need not understand.
    Other,
}

/// Why bytes are no message. The stream can not be followed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Another version of the protocol.
    Version(u8),
    /// A payload longer than [`MAX_PAYLOAD`] or not a multiple of 4.
    Length(u32),
    /// It ends inside a field.
    Short,
    /// An unknown syntax of a value.
    Syntax(u16),
}

/// The length of the message that `bytes` begin with, once that is known.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    let Some(header) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let [version, _, flags, ..] = *header;
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let mut reader = Reader::new(bytes.get(16..).unwrap_or_default(), flags);
    let payload = reader.u32()?;
    match usize::try_from(payload) {
        Ok(n) if n <= MAX_PAYLOAD && n % 4 == 0 => Ok(Some(HEADER.saturating_add(n))),
        _ => Err(DecodeError::Length(payload)),
    }
}

/// One whole message, as [`length`] cut it.
pub fn decode(bytes: &[u8]) -> Result<(Header, Pdu), DecodeError> {
    let whole = length(bytes)?.ok_or(DecodeError::Short)?;
    let bytes = bytes.get(..whole).ok_or(DecodeError::Short)?;
    let [_, kind, flags, ..] = *bytes else {
        return Err(DecodeError::Short);
    };
    let mut r = Reader::new(bytes.get(4..).unwrap_or_default(), flags);
    let header = Header {
        kind,
        flags,
        session: r.u32()?,
        transaction: r.u32()?,
        packet: r.u32()?,
    };
    let _length = r.u32()?;
    let with_context = matches!(
        kind,
        kind::GET | kind::GET_NEXT | kind::GET_BULK | kind::TEST_SET
    );
    if with_context && flags & NON_DEFAULT_CONTEXT != 0 {
        r.octets()?;
    }
    let pdu = match kind {
        kind::CLOSE => Pdu::Close(r.u8()?),
        kind::GET => Pdu::Get(r.ranges()?),
        kind::GET_NEXT => Pdu::GetNext(r.ranges()?),
        kind::GET_BULK => Pdu::GetBulk {
            non_repeaters: r.u16()?,
            max_repetitions: r.u16()?,
            ranges: r.ranges()?,
        },
        kind::TEST_SET => Pdu::TestSet(r.var_binds()?),
        kind::COMMIT_SET => Pdu::CommitSet,
        kind::UNDO_SET => Pdu::UndoSet,
        kind::CLEANUP_SET => Pdu::CleanupSet,
        kind::RESPONSE => {
            let _up_time = r.u32()?;
            Pdu::Response {
                error: r.u16()?,
                index: r.u16()?,
            }
        }
        _ => Pdu::Other,
    };
    Ok((header, pdu))
}

struct Reader<'a> {
    bytes: &'a [u8],
    big: bool,
}

impl<'a> Reader<'a> {
    const fn new(bytes: &'a [u8], flags: u8) -> Self {
        Self {
            bytes,
            big: flags & NETWORK_BYTE_ORDER != 0,
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.bytes.split_first_chunk().ok_or(DecodeError::Short)?;
        self.bytes = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        let [byte] = self.take()?;
        Ok(byte)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        let bytes = self.take()?;
        Ok(if self.big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        })
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        let bytes = self.take()?;
        Ok(if self.big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn octets(&mut self) -> Result<Vec<u8>, DecodeError> {
        let length = usize::try_from(self.u32()?).map_err(|_| DecodeError::Short)?;
        let padded = length
            .checked_next_multiple_of(4)
            .ok_or(DecodeError::Short)?;
        if self.bytes.len() < padded {
            return Err(DecodeError::Short);
        }
        let (own, rest) = self.bytes.split_at(padded);
        self.bytes = rest;
        Ok(own.get(..length).unwrap_or_default().to_vec())
    }

    /// An identifier and its `include` field.
    fn oid(&mut self) -> Result<(Oid, bool), DecodeError> {
        let [count, prefix, include, _] = self.take()?;
        let mut parts = Vec::with_capacity(usize::from(count).saturating_add(5));
        if prefix != 0 {
            parts.extend_from_slice(&INTERNET);
            parts.push(u32::from(prefix));
        }
        for _ in 0..count {
            parts.push(self.u32()?);
        }
        Ok((Oid(parts), include != 0))
    }

    fn ranges(&mut self) -> Result<Vec<Range>, DecodeError> {
        let mut out = Vec::new();
        while !self.bytes.is_empty() {
            let (start, include) = self.oid()?;
            let (end, _) = self.oid()?;
            out.push(Range {
                start,
                include,
                end,
            });
        }
        Ok(out)
    }

    fn var_binds(&mut self) -> Result<Vec<VarBind>, DecodeError> {
        let mut out = Vec::new();
        while !self.bytes.is_empty() {
            let syntax = self.u16()?;
            let _reserved = self.u16()?;
            let (name, _) = self.oid()?;
            let value = match syntax {
                2 => Value::Integer(self.u32()? as i32),
                4 => Value::Octets(self.octets()?),
                5 => Value::Null,
                6 => Value::Oid(self.oid()?.0),
                64 => match self.octets()?.first_chunk() {
                    Some(address) => Value::Address(*address),
                    None => return Err(DecodeError::Short),
                },
                65 => Value::Counter32(self.u32()?),
                66 => Value::Unsigned(self.u32()?),
                67 => Value::Ticks(self.u32()?),
                68 => Value::Opaque(self.octets()?),
                70 => {
                    let (first, second) = (u64::from(self.u32()?), u64::from(self.u32()?));
                    // RFC 2741 section 5.4: the whole of it in the message's order.
                    Value::Counter64(if self.big {
                        first << 32 | second
                    } else {
                        second << 32 | first
                    })
                }
                128 => Value::NoSuchObject,
                129 => Value::NoSuchInstance,
                130 => Value::EndOfMibView,
                other => return Err(DecodeError::Syntax(other)),
            };
            out.push(VarBind { name, value });
        }
        Ok(out)
    }
}

/// A message being written, in network order. [`finish`](Self::finish) puts its length in.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    /// A message behind those that stand in `out`.
    pub fn new(out: &'a mut Vec<u8>, header: &Header) -> Self {
        let start = out.len();
        out.extend_from_slice(&[VERSION, header.kind, NETWORK_BYTE_ORDER, 0]);
        let mut writer = Self { out, start };
        writer.u32(header.session);
        writer.u32(header.transaction);
        writer.u32(header.packet);
        writer.u32(0);
        writer
    }

    /// Its length so far.
    pub fn len(&self) -> usize {
        self.out.len().saturating_sub(self.start)
    }

    /// Whether nothing was written; there is always a header.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Four octets.
    pub fn bytes(&mut self, bytes: [u8; 4]) {
        self.out.extend_from_slice(&bytes);
    }

    /// A number.
    pub fn u32(&mut self, value: u32) {
        self.bytes(value.to_be_bytes());
    }

    /// Two numbers.
    pub fn u16s(&mut self, first: u16, second: u16) {
        self.out.extend_from_slice(&first.to_be_bytes());
        self.out.extend_from_slice(&second.to_be_bytes());
    }

    /// A string, filled up.
    pub fn octets(&mut self, octets: &[u8]) {
        self.u32(u32::try_from(octets.len()).unwrap_or(u32::MAX));
        self.out.extend_from_slice(octets);
        while self.out.len() % 4 != 0 {
            self.out.push(0);
        }
    }

    /// An identifier, not shortened. What is too long for the protocol (255 parts) is cut; SNMP allows 128.
    pub fn oid(&mut self, oid: &Oid) {
        let count = u8::try_from(oid.0.len()).unwrap_or(u8::MAX);
        self.bytes([count, 0, 0, 0]);
        for part in oid.0.iter().take(usize::from(count)) {
            self.u32(*part);
        }
    }

    /// A named value.
    pub fn var_bind(&mut self, name: &Oid, value: &Value) {
        let syntax = match value {
            Value::Integer(_) => 2,
            Value::Octets(_) => 4,
            Value::Null => 5,
            Value::Oid(_) => 6,
            Value::Address(_) => 64,
            Value::Counter32(_) => 65,
            Value::Unsigned(_) => 66,
            Value::Ticks(_) => 67,
            Value::Opaque(_) => 68,
            Value::Counter64(_) => 70,
            Value::NoSuchObject => 128,
            Value::NoSuchInstance => 129,
            Value::EndOfMibView => 130,
        };
        self.u16s(syntax, 0);
        self.oid(name);
        match value {
            Value::Integer(v) => self.u32(*v as u32),
            Value::Octets(v) | Value::Opaque(v) => self.octets(v),
            Value::Oid(v) => self.oid(v),
            Value::Address(v) => self.octets(v),
            Value::Counter32(v) | Value::Unsigned(v) | Value::Ticks(v) => self.u32(*v),
            Value::Counter64(v) => self.out.extend_from_slice(&v.to_be_bytes()),
            Value::Null | Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => {}
        }
    }

    /// The message is complete.
    pub fn finish(self) {
        let payload = self.len().saturating_sub(HEADER);
        let payload = u32::try_from(payload).unwrap_or(u32::MAX);
        let at = self.start.saturating_add(16);
        let place = self.out.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
        if let Some(place) = place {
            *place = payload.to_be_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// A GetNext as net-snmp 5.9 sends it on a little-endian machine: .1.3.6.1.4.1.9586 up to .1.3.6.1.4.1.9587.
    fn little() -> Vec<u8> {
        let mut m = vec![1, kind::GET_NEXT, 0, 0];
        for word in [7_u32, 8, 9, 32] {
            m.extend_from_slice(&word.to_le_bytes());
        }
        for last in [9586_u32, 9587] {
            m.extend_from_slice(&[2, 4, 0, 0]);
            m.extend_from_slice(&1_u32.to_le_bytes());
            m.extend_from_slice(&last.to_le_bytes());
        }
        let length = u32::try_from(m.len() - HEADER).unwrap();
        m[16..20].copy_from_slice(&length.to_le_bytes());
        m
    }

    #[test]
    fn little_endian_and_shortened_identifiers() {
        let message = little();
        assert_eq!(length(&message), Ok(Some(message.len())));
        let (header, pdu) = decode(&message).unwrap();
        assert_eq!(
            (header.session, header.transaction, header.packet),
            (7, 8, 9)
        );
        let range = Range {
            start: Oid::new(&[1, 3, 6, 1, 4, 1, 9586]),
            include: false,
            end: Oid::new(&[1, 3, 6, 1, 4, 1, 9587]),
        };
        assert_eq!(pdu, Pdu::GetNext(vec![range]));
    }

    #[test]
    fn all_values_come_back() {
        let name = Oid::new(&[1, 3, 6]);
        let values = [
            Value::Integer(-5),
            Value::Octets(b"abcde".to_vec()),
            Value::Null,
            Value::Oid(Oid::new(&[1, 2])),
            Value::Address([10, 0, 0, 1]),
            Value::Counter32(u32::MAX),
            Value::Unsigned(3),
            Value::Ticks(4),
            Value::Opaque(vec![1]),
            Value::Counter64(1 << 40),
            Value::NoSuchObject,
            Value::NoSuchInstance,
            Value::EndOfMibView,
        ];
        let header = Header {
            kind: kind::TEST_SET,
            flags: 0,
            session: 1,
            transaction: 2,
            packet: 3,
        };
        let mut out = Vec::new();
        let mut w = Writer::new(&mut out, &header);
        for value in &values {
            w.var_bind(&name, value);
        }
        w.finish();
        let (back, pdu) = decode(&out).unwrap();
        assert_eq!((back.session, back.transaction, back.packet), (1, 2, 3));
        let Pdu::TestSet(binds) = pdu else {
            panic!("{pdu:?}");
        };
        assert!(binds.iter().all(|b| b.name == name));
        let found: Vec<Value> = binds.into_iter().map(|b| b.value).collect();
        assert_eq!(found, values);
    }

    /// Each message with each octet changed, and cut at each place: an answer or a reason, never a panic.
    #[test]
    fn damaged_messages_are_refused_or_read() {
        let mut set = Vec::new();
        let header = Header {
            kind: kind::TEST_SET,
            flags: 0,
            session: 0,
            transaction: 0,
            packet: 0,
        };
        let mut w = Writer::new(&mut set, &header);
        w.var_bind(&Oid::new(&[1]), &Value::Octets(vec![7; 5]));
        w.var_bind(&Oid::new(&[1]), &Value::Address([1; 4]));
        w.finish();
        for message in [little(), set] {
            for at in 0..message.len() {
                crate::fuzz_pdu(&message[..at]);
                for octet in [0, 1, 4, 18, 0x7f, 0x80, 0xff] {
                    let mut damaged = message.clone();
                    damaged[at] = octet;
                    crate::fuzz_pdu(&damaged);
                }
            }
        }
        assert_eq!(decode(&[2; 30]), Err(DecodeError::Version(2)));
        let mut long = little();
        long[18] = 0xff;
        assert!(matches!(decode(&long), Err(DecodeError::Length(_))));
    }
}
