//! A sub-agent's session with its master agent.
//!
//! ```text
//! connected ─▶ Open ─▶ Response ─▶ Register, AddAgentCaps (each region) ─▶ Responses ─▶ up: requests, Notify, Ping
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use net_types::{Duration, Instant};

use crate::pdu::{self, DecodeError, HEADER, Header, Pdu, Range, Writer, kind};
use crate::tree::Objects;
use crate::value::{Oid, Value, VarBind};

/// As the original's library is told to: pings every two minutes.
const PING: Duration = Duration::from_secs(120);
/// An answer that takes longer means that the master is gone.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than this is not written at once; what the master does not read is not heaped up.
const MAX_OUTPUT: usize = 1 << 20;
/// Notifications that wait for the session to be opened, at most: a start with many instances.
const MAX_WAITING: usize = 4096;
/// An answer to a bulk request ends when it has this many octets.
const MAX_ANSWER: usize = 32 * 1024;
/// Priority of a registration (RFC 2741 section 6.2.3).
const PRIORITY: u8 = 127;
/// Reason of a closing: the sub-agent ends (RFC 2741 section 6.2.2).
const SHUTDOWN: u8 = 5;

/// A part of the tree that a sub-agent answers for.
#[derive(Clone, Debug)]
pub struct Region {
    /// Where.
    pub oid: Oid,
    /// `KEEPALIVED-VRRP`; the sysORTable shows it.
    pub name: &'static str,
}

/// What the daemon is to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Everything is registered.
    Up,
    /// The master does not want the region with this number.
    NotRegistered(usize),
    /// Answer it.
    Request(Request),
}

/// A question of the master, to be answered with [`Session::answer`] (reading) or [`Session::respond`] (writing).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    header: Header,
    /// What is asked.
    pub pdu: Pdu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Down,
    Opening {
        packet: u32,
    },
    /// Answers that are missing.
    Registering {
        first: u32,
        left: usize,
    },
    Up,
}

/// The session. It has no socket: bytes go in by [`receive`](Self::receive) and out by [`output`](Self::output).
#[derive(Debug)]
pub struct Session {
    name: &'static str,
    regions: Vec<Region>,
    state: State,
    session: u32,
    packet: u32,
    input: Vec<u8>,
    output: Vec<u8>,
    events: VecDeque<Event>,
    started: Instant,
    ping_at: Option<Instant>,
    overdue_at: Option<Instant>,
    /// Notifications from before everything was registered.
    waiting: Vec<(Instant, Oid, Vec<VarBind>)>,
}

impl Session {
    /// For a sub-agent that calls itself `name` and answers for `regions`. Times of notifications count from `now`.
    pub fn new(name: &'static str, regions: Vec<Region>, now: Instant) -> Self {
        Self {
            name,
            regions,
            state: State::Down,
            session: 0,
            packet: 0,
            input: Vec::new(),
            output: Vec::new(),
            events: VecDeque::new(),
            started: now,
            ping_at: None,
            overdue_at: None,
            waiting: Vec::new(),
        }
    }

    /// The connection stands.
    pub fn connected(&mut self, now: Instant) {
        self.disconnected();
        let (name, packet) = (self.name, self.next_packet());
        let mut w = self.message(kind::OPEN, packet);
        w.bytes([0; 4]);
        w.oid(&Oid::default());
        w.octets(name.as_bytes());
        w.finish();
        self.state = State::Opening { packet };
        self.overdue_at = Some(now + PATIENCE);
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.state = State::Down;
        self.session = 0;
        self.input.clear();
        self.output.clear();
        self.events.clear();
        self.waiting.clear();
        self.ping_at = None;
        self.overdue_at = None;
    }

    /// Whether everything is registered.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Bytes have come. After an error the connection is of no use.
    pub fn receive(&mut self, now: Instant, bytes: &[u8]) -> Result<(), DecodeError> {
        self.input.extend_from_slice(bytes);
        while let Some(length) = pdu::length(&self.input)? {
            let Some(message) = self.input.get(..length) else {
                break;
            };
            let decoded = pdu::decode(message);
            let header = message.first_chunk::<HEADER>().copied();
            self.input.drain(..length);
            match decoded {
                Ok((header, pdu)) => self.take(now, header, pdu),
                // The frame is whole: the next message can be read. RFC 2741 section 7.1 wants no answer.
                Err(_) if header.is_some() => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn take(&mut self, now: Instant, header: Header, pdu: Pdu) {
        match (self.state, pdu) {
            (State::Opening { packet }, Pdu::Response { error: 0, .. })
                if header.packet == packet =>
            {
                self.session = header.session;
                self.register(now);
            }
            (State::Registering { first, left }, Pdu::Response { error, .. }) => {
                let number = header.packet.wrapping_sub(first);
                // Registrations have even numbers, the words about them odd ones.
                if error != 0 && number % 2 == 0 {
                    let region = usize::try_from(number / 2).unwrap_or(usize::MAX);
                    self.events.push_back(Event::NotRegistered(region));
                }
                let left = left.saturating_sub(1);
                self.state = State::Registering { first, left };
                if left == 0 {
                    self.state = State::Up;
                    self.overdue_at = None;
                    self.ping_at = Some(now + PING);
                    self.events.push_back(Event::Up);
                    for (at, trap, objects) in core::mem::take(&mut self.waiting) {
                        self.notify(at, &trap, &objects);
                    }
                }
            }
            (State::Up, Pdu::Response { error: 0, .. }) => {
                self.overdue_at = None;
                self.ping_at = Some(now + PING);
            }
            // A refusal: the session is unknown, or was not opened. The timeout ends it.
            (_, Pdu::Response { .. }) => {}
            (_, Pdu::Close(_)) => self.overdue_at = Some(now),
            (_, Pdu::Other) => {}
            (State::Down | State::Opening { .. }, _) => {}
            (_, pdu) => self
                .events
                .push_back(Event::Request(Request { header, pdu })),
        }
    }

    fn register(&mut self, now: Instant) {
        let regions = core::mem::take(&mut self.regions);
        let first = self.packet.wrapping_add(1);
        for region in &regions {
            let packet = self.next_packet();
            let mut w = self.message(kind::REGISTER, packet);
            w.bytes([0, PRIORITY, 0, 0]);
            w.oid(&region.oid);
            w.finish();
            let packet = self.next_packet();
            let mut w = self.message(kind::ADD_AGENT_CAPS, packet);
            w.oid(&region.oid);
            let mut text = b"The MIB module for ".to_vec();
            text.extend_from_slice(region.name.as_bytes());
            w.octets(&text);
            w.finish();
        }
        let left = regions.len().saturating_mul(2);
        self.regions = regions;
        self.overdue_at = Some(now + PATIENCE);
        self.state = State::Registering { first, left };
        if left == 0 {
            self.state = State::Up;
            self.overdue_at = None;
        }
    }

    /// What happened, oldest first.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The region with this number, as in [`Event::NotRegistered`].
    pub fn region(&self, number: usize) -> Option<&Region> {
        self.regions.get(number)
    }

    /// Answers a reading request from `objects`.
    pub fn answer(&mut self, request: &Request, objects: &dyn Objects) {
        let mut w = self.response(&request.header, 0, 0);
        match &request.pdu {
            Pdu::Get(ranges) => {
                for range in ranges {
                    w.var_bind(&range.start, &objects.get(&range.start));
                }
            }
            Pdu::GetNext(ranges) => {
                for range in ranges {
                    next(&mut w, objects, range);
                }
            }
            Pdu::GetBulk {
                non_repeaters,
                max_repetitions,
                ranges,
            } => {
                let (once, others) = ranges.split_at(usize::from(*non_repeaters).min(ranges.len()));
                for range in once {
                    next(&mut w, objects, range);
                }
                let mut others = others.to_vec();
                for _ in 0..*max_repetitions {
                    let mut more = false;
                    for range in &mut others {
                        if let Some(found) = next(&mut w, objects, range) {
                            range.start = found;
                            range.include = false;
                            more = true;
                        }
                    }
                    if !more || w.len() > MAX_ANSWER {
                        break;
                    }
                }
            }
            _ => {}
        }
        w.finish();
    }

    /// Answers with an error about the object with this number, from 1 on; 0 and 0: done.
    pub fn respond(&mut self, request: &Request, error: u16, index: u16) {
        self.response(&request.header, error, index).finish();
    }

    /// Sends a notification: `trap` is its identifier, `objects` what it tells. It waits for the session that is being opened.
    /// False when nobody is there to hear it.
    pub fn notify(&mut self, now: Instant, trap: &Oid, objects: &[VarBind]) -> bool {
        let opening = matches!(
            self.state,
            State::Opening { .. } | State::Registering { .. }
        );
        if opening && self.waiting.len() < MAX_WAITING {
            self.waiting.push((now, trap.clone(), objects.to_vec()));
            return true;
        }
        if !self.is_up() || self.output.len() > MAX_OUTPUT {
            return false;
        }
        let ticks = now.since(self.started).as_micros() / 10_000;
        // TimeTicks wrap (RFC 2578 section 7.1.8).
        let ticks = Value::Ticks(u32::try_from(ticks % (1 << 32)).unwrap_or(0));
        let packet = self.next_packet();
        let mut w = self.message(kind::NOTIFY, packet);
        w.var_bind(&Oid::new(&[1, 3, 6, 1, 2, 1, 1, 3, 0]), &ticks);
        let trap_oid = Oid::new(&[1, 3, 6, 1, 6, 3, 1, 1, 4, 1, 0]);
        w.var_bind(&trap_oid, &Value::Oid(trap.clone()));
        for object in objects {
            w.var_bind(&object.name, &object.value);
        }
        w.finish();
        self.overdue_at.get_or_insert(now + PATIENCE);
        true
    }

    /// Says goodbye; the connection may be closed when the output is out.
    pub fn close(&mut self) {
        if self.session != 0 {
            let packet = self.next_packet();
            let mut w = self.message(kind::CLOSE, packet);
            w.bytes([SHUTDOWN, 0, 0, 0]);
            w.finish();
        }
    }

    /// What is to be written.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// So many octets of it are written.
    pub fn wrote(&mut self, count: usize) {
        self.output.drain(..count.min(self.output.len()));
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.ping_at, self.overdue_at].into_iter().flatten().min()
    }

    /// True: the master is gone, the connection is to be closed.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.overdue_at.is_some_and(|at| at <= now) {
            return true;
        }
        if self.ping_at.is_some_and(|at| at <= now) {
            let packet = self.next_packet();
            self.message(kind::PING, packet).finish();
            self.ping_at = None;
            self.overdue_at.get_or_insert(now + PATIENCE);
        }
        false
    }

    const fn next_packet(&mut self) -> u32 {
        self.packet = self.packet.wrapping_add(1);
        self.packet
    }

    fn message(&mut self, kind: u8, packet: u32) -> Writer<'_> {
        let header = Header {
            kind,
            flags: 0,
            session: self.session,
            transaction: 0,
            packet,
        };
        Writer::new(&mut self.output, &header)
    }

    fn response(&mut self, to: &Header, error: u16, index: u16) -> Writer<'_> {
        let header = Header {
            kind: kind::RESPONSE,
            ..*to
        };
        let mut w = Writer::new(&mut self.output, &header);
        w.u32(0);
        w.u16s(error, index);
        w
    }
}

/// Writes the first object of the range, or that there is none; its name.
fn next(w: &mut Writer<'_>, objects: &dyn Objects, range: &Range) -> Option<Oid> {
    match objects.next(range) {
        Some((name, value)) => {
            w.var_bind(&name, &value);
            Some(name)
        }
        None => {
            w.var_bind(&range.start, &Value::EndOfMibView);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;
    use alloc::vec;

    const NOW: Instant = Instant::ZERO;

    fn session() -> Session {
        let region = |n, name| Region {
            oid: Oid::new(&[1, 3, n]),
            name,
        };
        Session::new("Test", vec![region(1, "ONE"), region(2, "TWO")], NOW)
    }

    /// What the session has written.
    fn written(session: &mut Session) -> Vec<(Header, Pdu)> {
        let mut out = Vec::new();
        while let Some(length) = pdu::length(session.output()).unwrap() {
            out.push(pdu::decode(session.output()).unwrap());
            session.wrote(length);
        }
        out
    }

    fn say(session: &mut Session, kind: u8, packet: u32, body: &[u8]) {
        let mut bytes = Vec::new();
        let header = Header {
            kind,
            flags: 0,
            session: 77,
            transaction: 5,
            packet,
        };
        let mut w = Writer::new(&mut bytes, &header);
        for word in body.chunks_exact(4) {
            w.bytes(*word.first_chunk().unwrap());
        }
        w.finish();
        // In pieces, as a stream may come.
        for piece in bytes.chunks(7) {
            session.receive(NOW, piece).unwrap();
        }
    }

    fn up(session: &mut Session, errors: &[u16]) {
        session.connected(NOW);
        let open = written(session);
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].0.kind, kind::OPEN);
        say(session, kind::RESPONSE, open[0].0.packet, &[0; 8]);
        let kinds = |all: &[(Header, Pdu)]| all.iter().map(|m| m.0.kind).collect::<Vec<_>>();
        let told = written(session);
        let (reg, caps) = (kind::REGISTER, kind::ADD_AGENT_CAPS);
        assert_eq!(kinds(&told), [reg, caps, reg, caps]);
        for (n, (header, _)) in told.iter().enumerate() {
            assert_eq!(header.session, 77);
            let error = errors.get(n).copied().unwrap_or(0).to_be_bytes();
            let body = [0, 0, 0, 0, error[0], error[1], 0, 0];
            say(session, kind::RESPONSE, header.packet, &body);
        }
    }

    #[test]
    fn opens_registers_and_sends_what_waited() {
        let mut s = session();
        assert!(!s.notify(NOW, &Oid::new(&[1]), &[]));
        s.connected(NOW);
        let _ = written(&mut s);
        s.connected(NOW);
        assert!(s.notify(NOW, &Oid::new(&[1]), &[]));
        s.waiting.clear();
        up(&mut s, &[]);
        assert_eq!(s.poll(), Some(Event::Up));
        assert!(s.notify(NOW, &Oid::new(&[1]), &[]));
        assert_eq!(written(&mut s)[0].0.kind, kind::NOTIFY);
    }

    #[test]
    fn a_refused_region_is_told() {
        let mut s = session();
        up(&mut s, &[0, 0, 263]);
        assert_eq!(s.poll(), Some(Event::NotRegistered(1)));
        assert_eq!(s.region(1).map(|r| r.name), Some("TWO"));
        assert_eq!(s.poll(), Some(Event::Up));
    }

    #[test]
    fn answers_in_bulk() {
        let mut s = session();
        up(&mut s, &[]);
        let _ = s.poll();
        let mut tree = Tree::default();
        for n in 1..4 {
            tree.scalar(Oid::new(&[1, 3, n]), Some(Value::Unsigned(n)));
        }
        tree.sort();
        let start: [u8; 12] = [2, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 3];
        let mut body = vec![0, 0, 0, 9];
        body.extend_from_slice(&start);
        body.extend_from_slice(&[0; 4]);
        say(&mut s, kind::GET_BULK, 9, &body);
        let Some(Event::Request(request)) = s.poll() else {
            panic!("no request");
        };
        s.answer(&request, &tree);
        // Header, response, three values, the end.
        assert_eq!(s.output().len(), 20 + 8 + 3 * (4 + 4 + 16 + 4) + 4 + 4 + 16);
        let answer = written(&mut s);
        assert_eq!((answer[0].0.packet, answer[0].0.transaction), (9, 5));
    }

    #[test]
    fn a_silent_master_is_given_up() {
        let mut s = session();
        up(&mut s, &[]);
        let ping = s.next_timeout().unwrap();
        assert_eq!(ping, NOW + PING);
        assert!(!s.handle_timeout(ping));
        assert_eq!(written(&mut s)[0].0.kind, kind::PING);
        let end = s.next_timeout().unwrap();
        assert!(s.handle_timeout(end));
    }
}
