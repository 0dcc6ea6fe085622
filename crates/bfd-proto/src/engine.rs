//! All sessions of a system.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use net_types::{Duration, Instant, Random};

use crate::config::{ANY_HOPS, SessionConfig, SessionId};
use crate::input::{Input, Received};
use crate::notice::Notice;
use crate::output::Output;
use crate::session::Session;
use crate::transition;
use crate::wire::{Diagnostic, Packet, State};

/// How long until a socket that could not be opened is tried for again.
const OPEN_AGAIN: Duration = Duration::from_secs(60);

/// A session with what only the engine knows of it.
#[derive(Debug)]
struct Entry {
    session: Session,
    /// Its socket is open.
    open: bool,
    /// It has no state to go on with.
    fresh: bool,
    /// A packet that waits for the socket.
    held: Option<(SocketAddr, Packet)>,
}

/// The engine. See the crate's documentation for its contract.
#[derive(Debug)]
pub struct Engine {
    entries: Vec<Entry>,
    random: Random,
    started: bool,
    queue: VecDeque<Output>,
}

impl Engine {
    /// Sessions that have not begun; `seed` is for jitter and discriminators.
    pub fn new(config: Vec<SessionConfig>, seed: u64) -> Self {
        let mut engine = Self {
            entries: Vec::new(),
            random: Random::new(seed),
            started: false,
            queue: VecDeque::new(),
        };
        for session in config {
            engine.add(session);
        }
        engine
    }

    /// One thing happened.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Start => {
                self.started = true;
                self.open_all();
            }
            Input::Packet(received) => self.receive(now, &received),
            Input::Opened(id, open) => self.opened(now, id, open),
            Input::Reconfigure(config) => self.reconfigure(*config),
            Input::Repeat => {
                for id in self.ids() {
                    self.tell(id);
                }
            }
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        let all = self.entries.iter().map(|e| e.session.next_timeout());
        all.flatten().min()
    }

    /// Does what is due. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |slot: &mut Option<Instant>| slot.take_if(|at| *at <= now).is_some();
        for id in self.ids() {
            // What has arrived is heard before this, so that a late look at the clock is no loss.
            if let Some(expired) = self.session_mut(id).map(|s| due(&mut s.expire_at)) {
                if expired {
                    self.expired(now, id);
                }
            }
            let Some(session) = self.session_mut(id) else {
                continue;
            };
            if due(&mut session.reset_at) {
                session.reset();
            }
            if due(&mut session.transmit_at) {
                self.transmit(id);
                self.schedule(now, id);
            }
            if self.session_mut(id).is_some_and(|s| due(&mut s.open_at)) {
                self.queue.push_back(Output::Open(id));
            }
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// A session.
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.entries.get(id.index()).map(|e| &e.session)
    }

    /// All sessions, in the order of the configuration.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.entries.iter().map(|e| &e.session)
    }

    fn ids(&self) -> impl Iterator<Item = SessionId> + use<> {
        let count = u16::try_from(self.entries.len()).unwrap_or(u16::MAX);
        (0..count).map(SessionId)
    }

    fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.entries.get_mut(id.index()).map(|e| &mut e.session)
    }

    fn say(&mut self, notice: Notice) {
        self.queue.push_back(Output::Notice(notice));
    }

    fn add(&mut self, config: SessionConfig) {
        let discriminator = self.new_discriminator();
        self.entries.push(Entry {
            session: Session::new(config, discriminator),
            open: false,
            fresh: true,
            held: None,
        });
    }

    /// Not 0, and no other session's.
    fn new_discriminator(&mut self) -> u32 {
        loop {
            let new = self.random.draw();
            if new != 0 && self.sessions().all(|s| s.discriminator != new) {
                return new;
            }
        }
    }

    fn open_all(&mut self) {
        for id in self.ids() {
            self.queue.push_back(Output::Open(id));
        }
    }

    /// Sessions of the same name go on with their state and their deadlines.
    fn reconfigure(&mut self, config: Vec<SessionConfig>) {
        for id in self.ids() {
            let name = self.session(id).map(|s| &s.config.name);
            if !config.iter().any(|c| Some(&c.name) == name) {
                self.queue.push_back(Output::Close(id));
            }
        }
        let mut old = core::mem::take(&mut self.entries);
        let mut polling = Vec::new();
        for config in config {
            let known = old
                .iter()
                .position(|e| e.session.config.name == config.name);
            let Some(known) = known else {
                self.add(config);
                continue;
            };
            let mut entry = old.swap_remove(known);
            let was = core::mem::replace(&mut entry.session.config, config);
            let now = &entry.session.config;
            if (was.min_rx, was.min_tx) != (now.min_rx, now.min_tx) {
                polling.push(self.entries.len());
            }
            entry.held = None;
            self.entries.push(entry);
        }
        self.queue.push_back(Output::Reconfigured);
        for n in polling {
            if let Ok(n) = u16::try_from(n) {
                self.start_poll(SessionId(n));
            }
        }
        if self.started {
            self.open_all();
        }
    }

    /// The session can send, or can not.
    fn opened(&mut self, now: Instant, id: SessionId, open: bool) {
        let Some(entry) = self.entries.get_mut(id.index()) else {
            return;
        };
        let first = core::mem::take(&mut entry.fresh);
        entry.open = open;
        let held = entry.held.take();
        let session = &mut entry.session;
        if !open {
            session.open_at = Some(now + OPEN_AGAIN);
            if let Some((source, _)) = held {
                self.say(Notice::AdminDown(source));
            } else if session.state != State::AdminDown {
                self.fall_to_admin_down(id);
                self.tell(id);
            }
            return;
        }
        session.open_at = None;
        if session.state == State::AdminDown {
            session.state = State::Down;
            if let Some((_, packet)) = held {
                self.process(now, id, &packet);
            } else if !session.config.passive {
                self.schedule(now, id);
            }
            return;
        }
        let quiet = session.config.passive && session.state != State::Up;
        if quiet {
            session.transmit_at = None;
        } else if session.transmit_at.is_none() && !session.config.passive {
            self.schedule(now, id);
        }
        self.tell(id);
        if first && !quiet {
            self.transmit(id);
        }
    }

    fn tell(&mut self, id: SessionId) {
        let up = self.session(id).is_some_and(|s| s.state == State::Up);
        self.queue.push_back(Output::Tell(id, up));
    }

    fn receive(&mut self, now: Instant, received: &Received<'_>) {
        let source = received.source;
        let packet = match Packet::decode(received.bytes) {
            Ok(packet) => packet,
            Err(why) => return self.say(Notice::Bogus(source, why)),
        };
        let Some(id) = self.find(received, packet.your_discriminator) else {
            return self.say(Notice::NoSession(source, packet.your_discriminator));
        };
        let Some(entry) = self.entries.get_mut(id.index()) else {
            return;
        };
        // RFC 5881 5, with a number of hops that are allowed.
        let config = &entry.session.config;
        let least = i16::from(config.ttl).saturating_sub(i16::from(config.max_hops));
        let too_far = |hops: &u8| *hops != 0 && i16::from(*hops) < least;
        if config.max_hops != ANY_HOPS {
            if let Some(hops) = received.hop_limit.filter(too_far) {
                return self.say(Notice::TooManyHops(source, hops, least));
            }
        }
        if packet.authentication {
            return self.say(Notice::Authentication(source));
        }
        if entry.session.state == State::AdminDown {
            // Somebody is there now: perhaps there is a way to answer.
            entry.held = Some((source, packet));
            self.queue.push_back(Output::Open(id));
            return;
        }
        self.process(now, id, &packet);
    }

    fn find(&self, received: &Received<'_>, discriminator: u32) -> Option<SessionId> {
        let fits = |s: &Session| {
            if discriminator != 0 {
                return s.discriminator == discriminator;
            }
            let to: Option<IpAddr> = received.destination;
            s.config.neighbor == received.source.ip()
                && s.config.multihop == received.multihop
                && (s.config.source.is_none() || to.is_none() || s.config.source == to)
        };
        let at = self.sessions().position(fits)?;
        u16::try_from(at).ok().map(SessionId)
    }

    /// A packet of the session's neighbour (RFC 5880 6.8.6).
    fn process(&mut self, now: Instant, id: SessionId, packet: &Packet) {
        let Self {
            entries, random, ..
        } = self;
        let Some(session) = entries.get_mut(id.index()).map(|e| &mut e.session) else {
            return;
        };
        let before = session.timers();
        session.learn(packet);
        if packet.is_final {
            session.poll = false;
        }
        if session.state != State::Up || packet.poll || packet.is_final {
            if packet.state == State::Up && matches!(session.state, State::Init | State::Up) {
                session.negotiate();
            } else {
                session.idle();
            }
            session.negotiate_remote();
        }
        session.update_detection();
        let timers = session.timers();
        let changed = timers.remote_min_rx != before.remote_min_rx
            || timers.remote_min_tx != before.remote_min_tx
            || timers.remote_multiplier != before.remote_multiplier
            || timers.local_tx != before.local_tx;
        if timers.local_tx < before.local_tx && session.transmit_at.is_some() {
            session.transmit_at = Some(now + session.jittered(random));
        }
        let local = session.state;
        self.say(Notice::Timers(id, timers, changed));
        if timers.local_detection != before.local_detection {
            let (is, was) = (timers.local_detection, before.local_detection);
            self.say(Notice::DetectionTime(id, is, was));
        }
        match transition::next(local, packet.state) {
            None => {}
            Some(State::Down | State::AdminDown) => {
                self.fall(now, id, Diagnostic::NeighborDown);
            }
            Some(state @ (State::Init | State::Up)) => self.rise(now, id, state),
        }
        let Some(session) = self.session_mut(id) else {
            return;
        };
        // In demand mode only the change of state is told (RFC 5880 6.6).
        let silent =
            packet.demand && session.state == State::Up && session.remote_state == State::Up;
        let scheduled = session.transmit_at.is_some();
        if silent {
            session.transmit_at = None;
        } else if !scheduled {
            self.schedule(now, id);
        }
        if packet.poll {
            if let Some(session) = self.session_mut(id) {
                session.answer = true;
            }
            self.transmit(id);
        }
        if let Some(session) = self.session_mut(id) {
            session.last_seen = Some(now);
            if session.state == State::Up && session.expire_at.is_some() {
                session.expire_at = Some(now + Duration::from_micros(session.detection));
            }
        }
    }

    fn expired(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let seen = session.last_seen.unwrap_or(now);
        let silence = now.since(seen).as_micros();
        let late = i64::try_from(silence).unwrap_or(i64::MAX);
        let late = late.saturating_sub(i64::try_from(session.detection).unwrap_or(i64::MAX));
        let up = session.state == State::Up;
        // RFC 5880 6.8.1
        session.remote_discriminator = 0;
        self.say(Notice::Expired(id, silence, late, up));
        self.fall(now, id, Diagnostic::Expired);
    }

    /// Init or Up.
    fn rise(&mut self, now: Instant, id: SessionId, state: State) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        session.state = state;
        session.diagnostic = Diagnostic::None;
        session.reset_at = None;
        let detection = Duration::from_micros(session.detection);
        session.expire_at.get_or_insert(now + detection);
        let slower = session.config.idle_tx != session.config.min_tx;
        let silent = session.config.passive && session.transmit_at.is_none();
        self.say(Notice::Rising(id, state));
        if state == State::Up {
            if slower {
                self.start_poll(id);
            }
            self.tell(id);
        } else if silent {
            self.schedule(now, id);
        }
    }

    /// Down.
    fn fall(&mut self, now: Instant, id: SessionId, diagnostic: Diagnostic) {
        let fresh = self.new_discriminator();
        let Some(session) = self.session_mut(id) else {
            return;
        };
        let was_up = session.state == State::Up;
        if was_up {
            session.discriminator = fresh;
        }
        session.state = State::Down;
        session.diagnostic = diagnostic;
        session.reset_at = Some(now + Duration::from_micros(session.detection));
        session.expire_at = None;
        if session.config.passive {
            session.transmit_at = None;
        }
        session.idle();
        let (theirs, admin) = (
            session.remote_diagnostic,
            session.remote_state == State::AdminDown,
        );
        self.say(Notice::Falling(id, diagnostic, theirs, was_up));
        // That somebody switched BFD off is no failure of the path (RFC 5882 4.2).
        if was_up && !admin {
            self.tell(id);
        }
    }

    fn fall_to_admin_down(&mut self, id: SessionId) {
        let Some(session) = self.session_mut(id) else {
            return;
        };
        session.state = State::AdminDown;
        session.diagnostic = Diagnostic::AdminDown;
        session.transmit_at = None;
        session.expire_at = None;
        session.reset_at = None;
        session.idle();
        self.say(Notice::EnteringAdminDown(id));
    }

    fn start_poll(&mut self, id: SessionId) {
        self.say(Notice::Polling(id));
        if let Some(session) = self.session_mut(id) {
            session.poll |= !session.answer;
        }
    }

    fn schedule(&mut self, now: Instant, id: SessionId) {
        let Self {
            entries, random, ..
        } = self;
        if let Some(entry) = entries.get_mut(id.index()) {
            let after = entry.session.jittered(random);
            entry.session.transmit_at = Some(now + after);
        }
    }

    fn transmit(&mut self, id: SessionId) {
        if let Some(entry) = self.entries.get_mut(id.index()).filter(|e| e.open) {
            let bytes = entry.session.packet().encode();
            self.queue.push_back(Output::Transmit(id, bytes));
        }
    }
}
