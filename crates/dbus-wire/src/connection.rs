//! A connection to the bus, and the name that is owned on it.
//!
//! ```text
//! connected ─▶ AUTH EXTERNAL ─▶ DATA ─▶ OK, BEGIN, Hello ─▶ answer: Up ─▶ request_name ─▶ Acquired or Lost
//!                                                                └─▶ calls, their answers, signals
//! ```

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::marshal::{Order, Reader, Writer};
use crate::message::{Decoded, Kind, Message, decode};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// A line of the authentication has at most this many octets.
const MAX_LINE: usize = 1024;
/// More than this is not heaped up for a bus that does not read.
const MAX_OUTPUT: usize = 1 << 20;
/// `RequestName`: the name is ours, now or already.
const OURS: [u32; 2] = [1, 4];

/// What the daemon is to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The bus has let us in.
    Up,
    /// The name is ours.
    Acquired,
    /// It is not, or not any more; when whoever has it gives it up, [`Event::Acquired`] follows.
    Lost,
    /// Answer it with [`Connection::reply`] or [`Connection::error`].
    Call(Message),
}

/// The connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The bus does not know us.
    Authentication,
    /// It does not keep to the protocol.
    Protocol,
    /// It does not read.
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Down,
    Authenticating,
    /// The serial of Hello.
    Greeting(u32),
    Up,
}

/// The connection. It has no socket: bytes go in by [`receive`](Self::receive) and out by [`output`](Self::output).
#[derive(Debug)]
pub struct Connection {
    name: Box<str>,
    phase: Phase,
    serial: u32,
    /// The serial of RequestName.
    requested: Option<u32>,
    owned: bool,
    input: Vec<u8>,
    /// Octets of the input to come that nobody wants.
    skip: u64,
    output: Vec<u8>,
    overfull: bool,
    events: VecDeque<Event>,
}

impl Connection {
    /// For a service that wants to own `name`, which must be [valid](crate::name::is_well_known).
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            phase: Phase::Down,
            serial: 0,
            requested: None,
            owned: false,
            input: Vec::new(),
            skip: 0,
            output: Vec::new(),
            overfull: false,
            events: VecDeque::new(),
        }
    }

    /// The name that is wanted.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the bus has let us in.
    pub fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// The socket is connected. Who we are the bus learns from the socket.
    pub fn connected(&mut self) {
        self.disconnected();
        self.phase = Phase::Authenticating;
        self.output.extend_from_slice(b"\0AUTH EXTERNAL\r\n");
    }

    /// The socket is gone.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Down;
        self.requested = None;
        self.owned = false;
        self.input.clear();
        self.skip = 0;
        self.output.clear();
        self.overfull = false;
        self.events.clear();
    }

    /// Bytes have come. After an error the connection is of no use.
    ///
    /// # Errors
    /// When the bus refuses us, breaks the protocol, or has not read for long.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.input.extend_from_slice(bytes);
        while self.phase == Phase::Authenticating {
            if !self.authenticate()? {
                return Ok(());
            }
        }
        loop {
            let skip = usize::try_from(self.skip).unwrap_or(usize::MAX);
            let skip = skip.min(self.input.len());
            self.input.drain(..skip);
            self.skip = self.skip.saturating_sub(skip as u64);
            if self.phase == Phase::Down || self.skip > 0 {
                break;
            }
            match decode(&self.input).map_err(|_| Refused::Protocol)? {
                Decoded::More => break,
                Decoded::Message(message, length) => {
                    self.skip = length;
                    self.take(message)?;
                }
                Decoded::TooLong(length) => self.skip = length,
            }
        }
        if self.overfull {
            return Err(Refused::Full);
        }
        Ok(())
    }

    /// A line of the server's; whether there was one.
    fn authenticate(&mut self) -> Result<bool, Refused> {
        let Some(end) = self.input.windows(2).position(|w| w == b"\r\n") else {
            if self.input.len() > MAX_LINE {
                return Err(Refused::Protocol);
            }
            return Ok(false);
        };
        let line: Vec<u8> = self.input.drain(..end.saturating_add(2)).collect();
        if line.starts_with(b"OK") {
            self.output.extend_from_slice(b"BEGIN\r\n");
            let serial = self.ask("Hello", "", Vec::new());
            self.phase = Phase::Greeting(serial);
        } else if line.starts_with(b"DATA") {
            self.output.extend_from_slice(b"DATA\r\n");
        } else {
            return Err(Refused::Authentication);
        }
        Ok(true)
    }

    fn take(&mut self, message: Message) -> Result<(), Refused> {
        match message.kind {
            Kind::Call => {
                if self.phase == Phase::Up {
                    self.events.push_back(Event::Call(message));
                }
            }
            Kind::Return | Kind::Error => self.answered(&message)?,
            Kind::Signal => self.heard(&message),
            Kind::Other(_) => {}
        }
        Ok(())
    }

    fn answered(&mut self, message: &Message) -> Result<(), Refused> {
        let good = message.kind == Kind::Return;
        if self.phase == Phase::Greeting(message.reply_to) {
            if !good {
                return Err(Refused::Authentication);
            }
            self.phase = Phase::Up;
            self.events.push_back(Event::Up);
        } else if self.requested == Some(message.reply_to) {
            self.requested = None;
            let result = message.reader().u32().filter(|_| good);
            let owned = result.is_some_and(|r| OURS.contains(&r));
            if owned != self.owned || !owned {
                self.own(owned);
            }
        }
        Ok(())
    }

    fn own(&mut self, owned: bool) {
        self.owned = owned;
        self.events
            .push_back(if owned { Event::Acquired } else { Event::Lost });
    }

    /// A signal of the bus about our name. Those that come before the answer to our request are told by that.
    fn heard(&mut self, message: &Message) {
        let about_us = &*message.sender == BUS
            && &*message.interface == BUS
            && message.reader().string() == Some(&*self.name);
        if !about_us || self.requested.is_some() {
            return;
        }
        match &*message.member {
            "NameAcquired" if !self.owned => self.own(true),
            "NameLost" if self.owned => self.own(false),
            _ => {}
        }
    }

    /// Asks the bus for the name.
    pub fn request_name(&mut self) {
        let mut w = Writer::new(Order::NATIVE);
        // No flags: wait in the queue, let nobody take it away.
        w.string(&self.name).u32(0);
        self.requested = Some(self.ask("RequestName", "su", w.into_bytes()));
    }

    /// Gives the name up, if it is ours or may be.
    pub fn release_name(&mut self) {
        if self.phase == Phase::Up {
            let mut w = Writer::new(Order::NATIVE);
            w.string(&self.name);
            self.ask("ReleaseName", "s", w.into_bytes());
            self.owned = false;
        }
    }

    /// A call to the bus itself; its serial.
    fn ask(&mut self, member: &str, signature: &str, body: Vec<u8>) -> u32 {
        self.send(Message {
            path: BUS_PATH.into(),
            interface: BUS.into(),
            member: member.into(),
            destination: BUS.into(),
            signature: signature.into(),
            body,
            ..Message::new(Kind::Call, Order::NATIVE)
        })
    }

    fn send(&mut self, mut message: Message) -> u32 {
        self.serial = self.serial.checked_add(1).unwrap_or(1);
        message.serial = self.serial;
        if self.output.len() >= MAX_OUTPUT {
            self.overfull = true;
        } else {
            self.output.extend_from_slice(&message.encode());
        }
        self.serial
    }

    /// Tells everybody of an event.
    pub fn signal(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        signature: &str,
        write: impl FnOnce(&mut Writer),
    ) {
        if self.phase != Phase::Up {
            return;
        }
        let mut w = Writer::new(Order::NATIVE);
        write(&mut w);
        self.send(Message {
            path: path.into(),
            interface: interface.into(),
            member: member.into(),
            signature: signature.into(),
            body: w.into_bytes(),
            // As the specification has it for signals.
            no_reply: true,
            ..Message::new(Kind::Signal, Order::NATIVE)
        });
    }

    fn answer(&mut self, call: &Message, kind: Kind, error: &str, signature: &str, body: Vec<u8>) {
        if call.no_reply || self.phase != Phase::Up {
            return;
        }
        self.send(Message {
            reply_to: call.serial,
            destination: call.sender.clone(),
            error: error.into(),
            signature: signature.into(),
            body,
            no_reply: true,
            ..Message::new(kind, call.order)
        });
    }

    /// Answers a call with the values that `write` writes.
    pub fn reply(&mut self, call: &Message, signature: &str, write: impl FnOnce(&mut Writer)) {
        let mut w = Writer::new(call.order);
        write(&mut w);
        self.answer(call, Kind::Return, "", signature, w.into_bytes());
    }

    /// Answers a call with an error: its name and a sentence.
    pub fn error(&mut self, call: &Message, name: &str, text: &str) {
        let mut w = Writer::new(call.order);
        w.string(text);
        self.answer(call, Kind::Error, name, "s", w.into_bytes());
    }

    /// What has happened.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Bytes for the bus.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// So many of them are on their way.
    pub fn wrote(&mut self, count: usize) {
        self.output.drain(..count.min(self.output.len()));
    }

    /// Whether so much waits for the bus that it must be taken for dead.
    pub fn is_overfull(&self) -> bool {
        self.overfull
    }
}

/// The strings of a body that consists of strings alone, as many as are asked for.
pub fn strings<'a, const N: usize>(mut reader: Reader<'a>) -> Option<[&'a str; N]> {
    let mut out = [""; N];
    for text in &mut out {
        *text = reader.string()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;

    const NAME: &str = "org.keepalived.Vrrp1";

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn sent(connection: &mut Connection) -> Vec<Message> {
        let mut out = Vec::new();
        while let Ok(Decoded::Message(message, length)) = decode(connection.output()) {
            out.push(message);
            connection.wrote(length as usize);
        }
        out
    }

    fn from_bus(kind: Kind, reply_to: u32, member: &str) -> Message {
        Message {
            serial: 7,
            reply_to,
            interface: if kind == Kind::Signal { BUS } else { "" }.into(),
            member: member.into(),
            ..Message::new(kind, Order::Big)
        }
    }

    fn with_name(mut message: Message, name: &str) -> Message {
        let mut w = Writer::new(message.order);
        w.string(name);
        message.signature = "s".into();
        message.body = w.into_bytes();
        message
    }

    /// The sender, which only the bus can write.
    fn as_sent_by(message: &Message, sender: &str) -> Vec<u8> {
        let mut bytes = message.encode();
        let mut w = Writer::new(message.order);
        // In front of the fields that are there; all start at a multiple of 8.
        w.align(8).u8(7).signature("s").string(sender).align(8);
        let field = w.into_bytes();
        let length = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        let length = length + field.len() as u32;
        bytes[12..16].copy_from_slice(&length.to_be_bytes());
        bytes.splice(16..16, field);
        bytes
    }

    fn up() -> Connection {
        let mut connection = Connection::new(NAME);
        connection.connected();
        assert_eq!(text(connection.output()), "\0AUTH EXTERNAL\r\n");
        connection.wrote(usize::MAX);
        connection.receive(b"DATA\r").unwrap();
        assert_eq!(text(connection.output()), "");
        connection.receive(b"\nOK 0123\r\n").unwrap();
        assert!(text(connection.output()).starts_with("DATA\r\nBEGIN\r\n"));
        connection.wrote("DATA\r\nBEGIN\r\n".len());
        let hello = sent(&mut connection);
        assert_eq!(&*hello[0].member, "Hello");
        let answer = from_bus(Kind::Return, hello[0].serial, "");
        connection.receive(&answer.encode()).unwrap();
        assert_eq!(connection.poll(), Some(Event::Up));
        connection
    }

    fn owner() -> Connection {
        let mut connection = up();
        connection.request_name();
        let request = sent(&mut connection);
        assert_eq!(request[0].reader().string(), Some(NAME));
        let signal = with_name(from_bus(Kind::Signal, 0, "NameAcquired"), NAME);
        connection.receive(&as_sent_by(&signal, BUS)).unwrap();
        let mut answer = from_bus(Kind::Return, request[0].serial, "");
        answer.signature = "u".into();
        answer.body = vec![0, 0, 0, 1];
        connection.receive(&answer.encode()).unwrap();
        assert_eq!(connection.poll(), Some(Event::Acquired));
        assert_eq!(connection.poll(), None);
        connection
    }

    #[test]
    fn the_name_comes_and_goes() {
        let mut connection = owner();
        let lost = with_name(from_bus(Kind::Signal, 0, "NameLost"), NAME);
        // Only the bus is believed.
        connection.receive(&as_sent_by(&lost, ":1.9")).unwrap();
        assert_eq!(connection.poll(), None);
        connection.receive(&as_sent_by(&lost, BUS)).unwrap();
        assert_eq!(connection.poll(), Some(Event::Lost));
        let back = with_name(from_bus(Kind::Signal, 0, "NameAcquired"), NAME);
        connection.receive(&as_sent_by(&back, BUS)).unwrap();
        assert_eq!(connection.poll(), Some(Event::Acquired));
    }

    #[test]
    fn a_name_that_is_taken_or_forbidden() {
        for kind in [Kind::Return, Kind::Error] {
            let mut connection = up();
            connection.request_name();
            let request = sent(&mut connection);
            let mut answer = from_bus(kind, request[0].serial, "");
            answer.body = vec![0, 0, 0, 2];
            connection.receive(&answer.encode()).unwrap();
            assert_eq!(connection.poll(), Some(Event::Lost));
        }
    }

    #[test]
    fn a_call_and_its_answers() {
        let mut connection = owner();
        let call = Message {
            path: "/org".into(),
            member: "Ping".into(),
            ..from_bus(Kind::Call, 0, "")
        };
        connection.receive(&as_sent_by(&call, ":1.5")).unwrap();
        let Some(Event::Call(call)) = connection.poll() else {
            panic!("no call");
        };
        connection.reply(&call, "u", |w| {
            w.u32(5);
        });
        connection.error(&call, "org.x.Error", "no");
        let answers = sent(&mut connection);
        assert_eq!(answers[0].reader().u32(), Some(5));
        assert_eq!((answers[0].reply_to, answers[0].order), (7, Order::Big));
        assert_eq!(&*answers[0].destination, ":1.5");
        assert_eq!(&*answers[1].error, "org.x.Error");
        assert_eq!(answers[1].reader().string(), Some("no"));
        connection.reply(
            &Message {
                no_reply: true,
                ..call
            },
            "",
            |_| {},
        );
        assert!(connection.output().is_empty());
    }

    #[test]
    fn a_long_call_is_passed_over() {
        let mut connection = owner();
        let call = Message {
            path: "/org".into(),
            body: vec![0; 3 << 16],
            ..from_bus(Kind::Call, 0, "Long")
        };
        let next = from_bus(Kind::Call, 0, "Next");
        let bytes = [call.encode(), next.encode()].concat();
        for piece in bytes.chunks(1000) {
            connection.receive(piece).unwrap();
            assert!(connection.input.len() < 70_000);
        }
        for (member, cut) in [("Long", true), ("Next", false)] {
            let Some(Event::Call(call)) = connection.poll() else {
                panic!("{member}");
            };
            assert_eq!((&*call.member, call.cut), (member, cut));
        }
    }

    #[test]
    fn whoever_is_not_wanted_or_does_not_read() {
        let mut connection = Connection::new(NAME);
        connection.connected();
        let refused = connection.receive(b"REJECTED EXTERNAL\r\n");
        assert_eq!(refused, Err(Refused::Authentication));
        connection.connected();
        let endless = connection.receive(&[b'x'; 2 * MAX_LINE]);
        assert_eq!(endless, Err(Refused::Protocol));
        let mut connection = owner();
        for _ in 0..20_000 {
            connection.signal("/org", "org.x", "Event", "u", |w| {
                w.u32(1);
            });
        }
        assert!(connection.is_overfull());
        assert!(connection.output().len() < MAX_OUTPUT + 1000);
        assert_eq!(connection.receive(b""), Err(Refused::Full));
    }
}
