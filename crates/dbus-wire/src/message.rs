//! Messages to and from bytes.
//!
//! ```text
//!  0               1               2               3
//! +---------------+---------------+---------------+---------------+
//! |   l or B      |     type      |     flags     |  version (1)  |
//! +---------------+---------------+---------------+---------------+
//! | length of the body · serial · a(yv) fields · padding to 8 · body |
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::marshal::{Order, Reader, Writer};

/// Octets that tell how long a message is.
pub const FIXED: usize = 16;
/// A body of more is left aside, as is a message with more fields: what is asked of us is short.
pub const MAX: usize = 64 * 1024;
/// The longest message of the specification, 128 MiB.
const LONGEST: u64 = 1 << 27;

const VERSION: u8 = 1;
/// The caller does not want an answer.
const NO_REPLY_EXPECTED: u8 = 1;

/// Types of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A method call.
    Call,
    /// Its answer.
    Return,
    /// The answer when it failed.
    Error,
    /// An event.
    Signal,
    /// One that a later specification may have: ignored.
    Other(u8),
}

impl Kind {
    const fn new(octet: u8) -> Self {
        match octet {
            1 => Self::Call,
            2 => Self::Return,
            3 => Self::Error,
            4 => Self::Signal,
            other => Self::Other(other),
        }
    }

    const fn octet(self) -> u8 {
        match self {
            Self::Call => 1,
            Self::Return => 2,
            Self::Error => 3,
            Self::Signal => 4,
            Self::Other(octet) => octet,
        }
    }
}

/// A message. Empty text stands for a field that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its byte order.
    pub order: Order,
    /// Which.
    pub kind: Kind,
    /// The sender does not wait for an answer.
    pub no_reply: bool,
    /// Its number, which an answer names; never 0.
    pub serial: u32,
    /// The number of the message that this answers; 0: none.
    pub reply_to: u32,
    /// Object.
    pub path: Box<str>,
    /// Interface of the member.
    pub interface: Box<str>,
    /// Method or signal.
    pub member: Box<str>,
    /// Name of an error.
    pub error: Box<str>,
    /// To whom.
    pub destination: Box<str>,
    /// From whom: the bus fills it in.
    pub sender: Box<str>,
    /// Types of the body.
    pub signature: Box<str>,
    /// Values.
    pub body: Vec<u8>,
    /// The body was longer than [`MAX`] and is not here.
    pub cut: bool,
}

impl Message {
    /// An empty message; number and fields are the caller's to set.
    pub fn new(kind: Kind, order: Order) -> Self {
        Self {
            order,
            kind,
            no_reply: false,
            serial: 0,
            reply_to: 0,
            path: Box::default(),
            interface: Box::default(),
            member: Box::default(),
            error: Box::default(),
            destination: Box::default(),
            sender: Box::default(),
            signature: Box::default(),
            body: Vec::new(),
            cut: false,
        }
    }

    /// Reads the values of the body.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self.order, &self.body)
    }

    /// To bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(self.order);
        w.u8(self.order.octet()).u8(self.kind.octet());
        w.u8(if self.no_reply { NO_REPLY_EXPECTED } else { 0 });
        w.u8(VERSION);
        w.u32(u32::try_from(self.body.len()).unwrap_or(0));
        w.u32(self.serial);
        w.array(8, |w| {
            let mut text = |code: u8, kind: &str, value: &str| {
                if value.is_empty() {
                    return;
                }
                w.align(8).u8(code).signature(kind);
                if kind == "g" {
                    w.signature(value);
                } else {
                    w.string(value);
                }
            };
            text(field::PATH, "o", &self.path);
            text(field::INTERFACE, "s", &self.interface);
            text(field::MEMBER, "s", &self.member);
            text(field::ERROR, "s", &self.error);
            text(field::DESTINATION, "s", &self.destination);
            text(field::SIGNATURE, "g", &self.signature);
            if self.reply_to != 0 {
                w.align(8).u8(field::REPLY_TO).signature("u");
                w.u32(self.reply_to);
            }
        });
        w.align(8);
        let mut bytes = w.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Codes of header fields.
mod field {
    pub(super) const PATH: u8 = 1;
    pub(super) const INTERFACE: u8 = 2;
    pub(super) const MEMBER: u8 = 3;
    pub(super) const ERROR: u8 = 4;
    pub(super) const REPLY_TO: u8 = 5;
    pub(super) const DESTINATION: u8 = 6;
    pub(super) const SENDER: u8 = 7;
    pub(super) const SIGNATURE: u8 = 8;
}

/// Bytes that are no message; where the next one starts is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// What the start of the input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Not a whole message yet.
    More,
    /// A message, and how many octets of the input and behind it belong to it.
    Message(Message, u64),
    /// One that is too long to look at, with that number.
    TooLong(u64),
}

/// The first message of `bytes`.
///
/// # Errors
/// When there is none, and nothing more can be read.
pub fn decode(bytes: &[u8]) -> Result<Decoded, Damaged> {
    let Some(fixed) = bytes.get(..FIXED) else {
        return Ok(Decoded::More);
    };
    let order = match fixed.first() {
        Some(b'l') => Order::Little,
        Some(b'B') => Order::Big,
        _ => return Err(Damaged),
    };
    let mut r = Reader::new(order, fixed);
    let mut start = || {
        Some((
            r.u8()?,
            r.u8()?,
            r.u8()?,
            r.u8()?,
            r.u32()?,
            r.u32()?,
            r.u32()?,
        ))
    };
    let (_, kind, flags, version, body, serial, fields) = start().ok_or(Damaged)?;
    let header = (FIXED as u64)
        .saturating_add(fields.into())
        .next_multiple_of(8);
    let whole = header.saturating_add(body.into());
    if version != VERSION || serial == 0 || whole > LONGEST {
        return Err(Damaged);
    }
    if header > MAX as u64 {
        return Ok(Decoded::TooLong(whole));
    }
    let cut = body as usize > MAX;
    // It is at most MAX.
    let header_end = header as usize;
    let body_end = if cut {
        header_end
    } else {
        header_end.saturating_add(body as usize)
    };
    let (Some(header), Some(body)) = (bytes.get(..header_end), bytes.get(header_end..body_end))
    else {
        return Ok(Decoded::More);
    };
    let mut message = Message::new(Kind::new(kind), order);
    message.no_reply = flags & NO_REPLY_EXPECTED != 0;
    message.serial = serial;
    message.cut = cut;
    message.body.extend_from_slice(body);
    let end = FIXED.saturating_add(fields as usize);
    read_fields(&mut message, header.get(..end).unwrap_or_default()).ok_or(Damaged)?;
    Ok(Decoded::Message(message, whole))
}

/// The fields, from the start of the header.
fn read_fields(message: &mut Message, header: &[u8]) -> Option<()> {
    let mut r = Reader::new(message.order, header);
    for _ in 0..FIXED {
        r.u8()?;
    }
    while r.offset() < header.len() {
        r.align(8)?;
        let code = r.u8()?;
        let kind = r.signature()?;
        let text = match (code, kind) {
            (field::PATH, "o") => &mut message.path,
            (field::INTERFACE, "s") => &mut message.interface,
            (field::MEMBER, "s") => &mut message.member,
            (field::ERROR, "s") => &mut message.error,
            (field::DESTINATION, "s") => &mut message.destination,
            (field::SENDER, "s") => &mut message.sender,
            (field::SIGNATURE, "g") => {
                message.signature = r.signature()?.into();
                continue;
            }
            (field::REPLY_TO, "u") => {
                message.reply_to = r.u32()?;
                continue;
            }
            // One that a later specification may have.
            _ => {
                if !r.skip(kind.as_bytes())?.is_empty() {
                    return None;
                }
                continue;
            }
        };
        *text = r.string()?.into();
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    /// The answer to `Properties.Get(State)`.
    fn example(order: Order) -> Message {
        let mut w = Writer::new(order);
        w.signature("(us)").align(8).u32(2).string("Master");
        Message {
            serial: 12,
            reply_to: 13,
            destination: ":1.2".into(),
            signature: "v".into(),
            body: w.into_bytes(),
            ..Message::new(Kind::Return, order)
        }
    }

    #[test]
    fn both_orders_there_and_back() {
        for order in [Order::Little, Order::Big] {
            let message = example(order);
            let bytes = message.encode();
            assert_eq!(
                decode(&bytes),
                Ok(Decoded::Message(message, bytes.len() as u64))
            );
            for n in 0..bytes.len() {
                assert_eq!(decode(&bytes[..n]), Ok(Decoded::More), "{n}");
            }
        }
    }

    #[test]
    fn a_message_as_dbus_send_writes_it() {
        // Recorded: dbus-send 1.14, without --print-reply.
        let bytes = b"l\x04\x01\x01\0\0\0\0\x02\0\0\0u\0\0\0\
            \x01\x01o\0\x04\0\0\0/org\0\0\0\0\
            \x02\x01s\0#\0\0\0org.freedesktop.DBus.Introspectable\0\0\0\0\0\
            \x03\x01s\0\n\0\0\0Introspect\0\0\0\0\0\0\
            \x06\x01s\0\x14\0\0\0org.keepalived.Vrrp1\0\0\0\0";
        let Ok(Decoded::Message(message, length)) = decode(bytes) else {
            panic!("{:?}", decode(bytes));
        };
        assert_eq!(length, bytes.len() as u64);
        assert_eq!((message.kind, message.serial), (Kind::Signal, 2));
        assert_eq!((&*message.path, &*message.member), ("/org", "Introspect"));
        assert_eq!(&*message.interface, "org.freedesktop.DBus.Introspectable");
        assert_eq!(&*message.destination, "org.keepalived.Vrrp1");
        // Our order of fields is the same.
        assert_eq!(message.encode(), bytes);
    }

    #[test]
    fn unknown_fields_are_left_aside() {
        let mut w = Writer::new(Order::Big);
        w.u8(b'B').u8(4).u8(0).u8(1).u32(0).u32(1).array(8, |w| {
            w.align(8).u8(200).signature("a(yv)").array(8, |w| {
                w.align(8).u8(1).signature("u").u32(1);
            });
            w.align(8).u8(3).signature("s").string("Event");
        });
        w.align(8);
        let bytes = w.into_bytes();
        let Ok(Decoded::Message(message, _)) = decode(&bytes) else {
            panic!("{:?}", decode(&bytes));
        };
        assert_eq!(&*message.member, "Event");
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let mut message = example(Order::NATIVE);
        message.body = vec![0; MAX + 1];
        let bytes = message.encode();
        let Ok(Decoded::Message(cut, length)) = decode(&bytes[..200]) else {
            panic!("{:?}", decode(&bytes[..200]));
        };
        assert!(cut.cut && cut.body.is_empty());
        assert_eq!(length, bytes.len() as u64);
        let long = b"l\x01\0\x01\0\0\0\0\x01\0\0\0\0\0\x02\0";
        assert_eq!(decode(long), Ok(Decoded::TooLong(FIXED as u64 + 0x2_0000)));
    }

    #[test]
    fn damage_ends_the_connection() {
        for bytes in [
            &b"x\x01\0\x01\0\0\0\0\x01\0\0\0\0\0\0\0"[..],
            b"l\x01\0\x02\0\0\0\0\x01\0\0\0\0\0\0\0",
            b"l\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0",
            b"l\x01\0\x01\xff\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff",
            b"l\x01\0\x01\0\0\0\0\x01\0\0\0\x08\0\0\0\x03\x01s\0\xff\0\0\0",
        ] {
            assert_eq!(decode(bytes), Err(Damaged));
        }
    }

    #[test]
    fn bytes_of_any_kind_are_survived() {
        // A small linear generator: the same bytes each time.
        let mut seed = 1_u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let good = example(Order::Little).encode();
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..3 {
                let at = usize::from(next()) % bytes.len();
                bytes[at] = next();
            }
            crate::fuzz_message(&bytes);
        }
    }
}
