//! The engine: one value that owns caches, queues, mode and timers.
//!
//! ```text
//!  handle(Input) ─┬─ events.rs    kernel events ── bypass.rs (past the caches)
//!                 ├─ kernel.rs    table dumps, flush, answers ── purge.rs (stale entries)
//!                 ├─ receive.rs   datagrams from the peer ── inject.rs (past the caches)
//!                 ├─ requests.rs  operators' requests ── report.rs (statistics), dump.rs (cache listings)
//!                 └─ commit.rs    external cache into the kernel ── known.rs, plain.rs, doubt.rs (what is there, what comes of it)
//!  poll_output() ── outputs already made, then the next piece of long work, then datagrams (transmit.rs)
//! ```

mod bypass;
mod commit;
mod doubt;
mod dump;
mod events;
mod inject;
mod kernel;
mod known;
mod plain;
mod purge;
mod receive;
mod reconfigure;
mod report;
mod report_json;
mod requests;
mod transmit;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use net_types::{Duration, Instant};
use nfct::{Conntrack, Expect};

use crate::cache::Cache;
use crate::config::{Config, ConfigError, Mode};
use crate::deadlines::Deadlines;
use crate::input::{ClientId, Input, LinkIndex, RequestId};
use crate::mode::{Action, Alarm, Ftfw, ModeState, Notrack, Tracker};
use crate::notice::Notice;
use crate::output::{KernelSocket, Output};
use crate::queue::{Element, List, Queues};
use crate::stats::{KernelCounters, LinkCounters, NetworkCounters, ShellCounters};
use crate::wire::{Codec, F_ACK, F_RESYNC, WordOrder};

use bypass::Bypass;
use commit::Commit;
use doubt::Unheard;
use dump::Dump;
use inject::Injector;
use kernel::{Dumps, Job};
use plain::Batch;
use purge::Purge;

/// Silence after which a node says that it lives, or acknowledges.
const ALIVE: Duration = Duration::from_secs(1);
/// Least time between two datagrams that say nothing but what was received: in a burst, the acknowledgements of several
/// windows leave as one.
const BETWEEN_ACKS: Duration = Duration::from_millis(5);

/// How far the start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartState {
    /// The kernel's tables are being read.
    Reading,
    /// The caches hold the kernel's tables.
    Ready,
    /// The conntrack (or expectation) table could not be read.
    Failed {
        /// The expectation table.
        expect: bool,
        /// Positive `errno`.
        errno: i32,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Timers {
    alive: Option<Instant>,
    purge: Option<Instant>,
    overrun: Option<Instant>,
    poll: Option<Instant>,
    /// When an acknowledgement may follow the one before.
    ack: Option<Instant>,
    /// An acknowledgement waits for that.
    ack_waits: bool,
}

#[derive(Debug, Default)]
struct Link {
    counters: LinkCounters,
    up: bool,
    running: bool,
    /// A stream's incomplete message.
    partial: Vec<u8>,
    accepted: bool,
    connected: bool,
    /// The system has no room for more.
    busy: bool,
}

/// conntrackd's replication state.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    codec: Codec,
    started: Instant,
    start_state: StartState,
    /// The loop runs: messages may be sent.
    running: bool,
    internal: Cache<Conntrack>,
    internal_exp: Cache<Expect>,
    external: Cache<Conntrack>,
    external_exp: Cache<Expect>,
    queues: Queues,
    mode: ModeState,
    tracker: Tracker,
    actions: Vec<Action>,
    next_sequence: u32,
    /// The datagram being filled.
    datagram: Vec<u8>,
    /// The message being built.
    message: Vec<u8>,
    links: Vec<Link>,
    active_link: usize,
    timers: Timers,
    /// ALARM: when internal entries are sent again, and when external ones expire.
    refresh: [Deadlines; 2],
    expiry: [Deadlines; 2],
    /// Port ids of the commit, flush and inject sockets.
    origins: [Option<u32>; 3],
    unheard: Unheard,
    /// Creations whose events do not come, on their way.
    batch: Option<Batch>,
    jobs: BTreeMap<RequestId, Job>,
    table_dumps: Dumps,
    bypass: Bypass,
    injector: Injector,
    next_request: u32,
    /// Number (modulo 256) of the dump whose entries count as seen.
    round: u8,
    purge: Option<Purge>,
    flushing: bool,
    commit: Option<Commit>,
    dumps: Vec<Dump>,
    /// A piece of a listing was made since the last timeout: the next waits for the other sockets' turn.
    dump_paused: bool,
    outputs: VecDeque<Output>,
    network: NetworkCounters,
    kernel: KernelCounters,
    shell: ShellCounters,
}

impl Engine {
    /// An engine at `now`. Its first outputs read the kernel's tables; answer them, then, when
    /// [`Engine::start_state`] is `Ready`, open the event socket and hand in [`Input::Started`].
    pub fn new(config: Config, now: Instant) -> Result<Self, ConfigError> {
        if config.links.is_empty() && config.mode != Mode::Stats {
            return Err(ConfigError::NoLink);
        }
        let mode = match config.mode {
            Mode::Ftfw {
                ack_window_size, ..
            } => ModeState::Ftfw(Ftfw::new(ack_window_size)),
            Mode::Notrack => ModeState::Notrack(Notrack),
            Mode::Alarm { refresh, .. } => ModeState::Alarm(Alarm::new(refresh, config.hash_seed)),
            Mode::Stats => ModeState::Stats,
        };
        let resend_max = match config.mode {
            Mode::Ftfw {
                resend_queue_size, ..
            } => resend_queue_size,
            _ => 0,
        };
        let (limit, seed) = (config.hash_limit, config.hash_seed);
        let mut engine = Self {
            codec: Codec {
                timeouts: config.commit_timeout == 0,
                window_scales: config.tcp_window_tracking,
                order: WordOrder::HOST,
            },
            started: now,
            start_state: StartState::Reading,
            running: false,
            internal: Cache::new(limit, seed),
            internal_exp: Cache::new(limit, seed),
            external: Cache::new(limit, seed),
            external_exp: Cache::new(limit, seed),
            queues: Queues::new(resend_max),
            mode,
            tracker: Tracker::default(),
            actions: Vec::new(),
            next_sequence: config.first_sequence,
            datagram: Vec::new(),
            message: Vec::new(),
            links: config.links.iter().map(|_| Link::default()).collect(),
            active_link: config
                .default_link
                .min(config.links.len().saturating_sub(1)),
            timers: Timers::default(),
            refresh: Default::default(),
            expiry: Default::default(),
            origins: [None; 3],
            unheard: Unheard::default(),
            batch: None,
            jobs: BTreeMap::new(),
            table_dumps: Dumps::default(),
            bypass: Bypass::default(),
            injector: Injector::default(),
            next_request: 1,
            round: 0,
            purge: None,
            flushing: false,
            commit: None,
            dumps: Vec::new(),
            dump_paused: false,
            outputs: VecDeque::new(),
            network: NetworkCounters::default(),
            kernel: KernelCounters::default(),
            shell: ShellCounters::default(),
            config,
        };
        engine.read_tables_at_start();
        Ok(engine)
    }

    /// How far the start has come.
    pub const fn start_state(&self) -> StartState {
        self.start_state
    }

    /// Something happened. Messages to the peer are collected until [`Engine::poll_output`]: hand over everything one
    /// wake-up brought, then drain, so that a burst shares datagrams.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Started => self.start(now),
            Input::SocketOpened { socket, port_id } => {
                let place = match socket {
                    KernelSocket::Commit => 0,
                    KernelSocket::Flush => 1,
                    KernelSocket::Inject => 2,
                    KernelSocket::CommitUnheard => {
                        self.unheard.possible = true;
                        return;
                    }
                    _ => return,
                };
                if let Some(slot) = self.origins.get_mut(place) {
                    *slot = Some(port_id);
                }
            }
            Input::Event { kind, port_id, ct } => self.event(now, kind, port_id, ct),
            Input::ExpectEvent { kind, port_id, exp } => {
                self.expect_event(now, kind, port_id, exp);
            }
            Input::EventsTaken => self.unheard.settled(),
            Input::UnknownEvent => {
                self.kernel.unknown_type = self.kernel.unknown_type.wrapping_add(1);
            }
            Input::Overrun => self.overrun(now),
            Input::EventReadFailed => {
                self.kernel.catch_failed = self.kernel.catch_failed.wrapping_add(1);
            }
            Input::KernelEntry { id, kind, ct } => self.kernel_entry(now, id, kind, ct),
            Input::KernelExpect { id, kind, exp } => self.kernel_expect(now, id, kind, exp),
            Input::KernelDone { id, errno } => self.kernel_done(id, errno),
            Input::KernelBatchDone { id, errno } => self.batch_done(now, id, errno),
            Input::Datagram { link, bytes } => self.datagram_received(now, link, bytes),
            Input::Request { client, request } => self.request(now, client, request),
            Input::ClientReady { client } => self.dump_ready(client),
            Input::ClientGone { client } => self.client_gone(client),
            Input::ReceiveFailed { link } => self.count(link, |c| {
                c.receive_errors = c.receive_errors.wrapping_add(1);
            }),
            Input::Sent { link, bytes } => self.count(link, |c| {
                c.sent = c.sent.wrapping_add(1);
                c.sent_bytes = c
                    .sent_bytes
                    .wrapping_add(u64::try_from(bytes).unwrap_or_default());
            }),
            Input::SendFailed { link } => self.count(link, |c| {
                c.send_errors = c.send_errors.wrapping_add(1);
            }),
            Input::LinkBusy { link, busy } => {
                if let Some(l) = self.links.get_mut(link.0) {
                    l.busy = busy;
                }
            }
            Input::LinkState { link, up, running } => self.link_state(link, up, running),
            Input::StreamState {
                link,
                accepted,
                connected,
            } => {
                if let Some(l) = self.links.get_mut(link.0) {
                    if !accepted {
                        l.partial = Vec::new();
                    }
                    l.accepted = accepted;
                    l.connected = connected;
                }
            }
        }
    }

    /// Whether [`Input::EventsTaken`] is waited for: look at the event socket in each turn, even if nothing says that it has
    /// something.
    pub fn awaits_events(&self) -> bool {
        self.unheard.is_unsettled()
    }

    /// When [`Engine::handle_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        let t = &self.timers;
        if self.dump_paused && self.dump_waits() {
            // Long ago: as soon as the loop has looked at its other sockets.
            return Some(self.started);
        }
        let slots = self.refresh.iter().chain(&self.expiry);
        [
            t.alive,
            t.purge,
            t.overrun,
            t.poll,
            t.ack.filter(|_| t.ack_waits),
        ]
        .into_iter()
        .chain(slots.map(Deadlines::next))
        .flatten()
        .min()
    }

    /// Time has passed. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.dump_paused = false;
        let due = |t: &mut Option<Instant>| t.take_if(|at| *at <= now).is_some();
        if due(&mut self.timers.ack) {
            self.timers.ack_waits = false;
        }
        if due(&mut self.timers.alive) {
            // Nothing new to say while what was said before has not left.
            let busy = self.links.get(self.active_link).is_some_and(|l| l.busy);
            if let (false, Some(action)) = (busy, self.mode.alive(&self.tracker)) {
                self.act(action);
            }
            self.timers.alive = Some(now + ALIVE);
        }
        if due(&mut self.timers.purge) {
            self.scheduled_flush();
        }
        if due(&mut self.timers.overrun) {
            self.kernel.resyncs = self.kernel.resyncs.wrapping_add(1);
            self.resync_tables();
        }
        if due(&mut self.timers.poll) {
            self.resync_tables();
            self.arm_poll(now);
        }
        self.slot_deadlines(now);
    }

    /// The next thing to do; drain until `None` after every batch of inputs and every timeout. `wall` is the wall clock
    /// in seconds since 1970, which only lines of flows with a start time show.
    pub fn poll_output(&mut self, now: Instant, wall: u64) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        self.step_commit(now, wall);
        self.step_purge();
        self.step_dumps(now, wall);
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if !self.running {
            return None;
        }
        self.next_datagram(now)
    }

    /// The loop's own counters, which `-s runtime` shows: keep them up to date here.
    pub fn shell_counters(&mut self) -> &mut ShellCounters {
        &mut self.shell
    }

    /// Entries of the internal and of the external conntrack cache, the dead ones aside.
    pub const fn cached(&self) -> (u32, u32) {
        (self.internal.counters.active, self.external.counters.active)
    }

    /// Counters of the replication protocol.
    pub const fn network_counters(&self) -> &NetworkCounters {
        &self.network
    }

    fn start(&mut self, now: Instant) {
        self.running = true;
        if self.mode.converses() {
            self.timers.alive = Some(now + ALIVE);
        }
        self.arm_poll(now);
        if self.config.startup_resync {
            self.request_resync();
        }
    }

    fn arm_poll(&mut self, now: Instant) {
        self.timers.poll = self
            .config
            .poll
            .map(|secs| now + Duration::from_secs(u64::from(secs)));
    }

    /// ALARM: an internal entry was added or changed, so its refresh starts anew.
    fn arm_refresh(&mut self, now: Instant, expect: bool, slot: u32) {
        if let ModeState::Alarm(mode) = &mut self.mode {
            let at = mode.next_refresh(now);
            let [conntracks, expectations] = &mut self.refresh;
            let list = if expect { expectations } else { conntracks };
            list.set(slot, at);
        }
    }

    /// ALARM: refreshes and expirations that are due.
    fn slot_deadlines(&mut self, now: Instant) {
        while let Some(slot) = self.refresh[0].due(now) {
            if self.internal.get(slot).is_some() {
                self.internal.enqueue(&mut self.queues, slot);
                self.arm_refresh(now, false, slot);
            }
        }
        while let Some(slot) = self.refresh[1].due(now) {
            if self.internal_exp.get(slot).is_some() {
                self.internal_exp.enqueue(&mut self.queues, slot);
                self.arm_refresh(now, true, slot);
            }
        }
        while let Some(slot) = self.expiry[0].due(now) {
            self.external.remove(slot);
        }
        while let Some(slot) = self.expiry[1].due(now) {
            self.external_exp.remove(slot);
        }
    }

    /// Asks the peer for everything.
    fn request_resync(&mut self) {
        self.log(Notice::ResyncRequested);
        self.act(Action::Send {
            flags: F_RESYNC,
            from: 0,
            to: 0,
        });
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ClearResend => {
                while let Some(id) = self.queues.first(List::Resend) {
                    self.release(id);
                }
            }
            Action::Acknowledged { from, to } => self.acknowledged(from, to),
            Action::Missing { from, to } => self.missing(from, to),
            Action::SendAll => {
                self.log(Notice::ResyncRequestedByPeer);
                self.send_bulk();
            }
            Action::Send { flags, from, to } => {
                if flags == F_ACK && self.queues.extend_last(F_ACK, from, to) {
                    return;
                }
                self.queues
                    .push(List::Transmit, Element::Control { flags, from, to });
            }
        }
    }

    fn log(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Log(notice));
    }

    fn reply_end(&mut self, client: ClientId) {
        self.outputs.push_back(Output::ReplyEnd { client });
    }

    fn count(&mut self, link: LinkIndex, change: impl FnOnce(&mut LinkCounters)) {
        if let Some(l) = self.links.get_mut(link.0) {
            change(&mut l.counters);
        }
    }

    fn link_state(&mut self, link: LinkIndex, up: bool, running: bool) {
        if let Some(l) = self.links.get_mut(link.0) {
            l.up = up;
            l.running = running;
        }
        if link.0 != self.active_link || (up && running) || !self.running {
            return;
        }
        // The first other link that is up or has a carrier; there is no way back by itself (behaviour 6).
        let other = self
            .links
            .iter()
            .enumerate()
            .find(|(i, l)| *i != self.active_link && (l.up || l.running))
            .map(|(i, _)| i);
        match other {
            Some(i) => {
                self.active_link = i;
                let device = self.config.links.get(i).map(|l| l.device.clone());
                self.log(Notice::LinkActive {
                    device: device.unwrap_or_default(),
                });
            }
            None => self.log(Notice::NoLinkAvailable),
        }
    }

    /// Seconds of the engine's clock.
    fn seconds(&self, now: Instant) -> u32 {
        u32::try_from(now.since(self.started).as_secs()).unwrap_or(u32::MAX)
    }

    fn request_id(&mut self) -> RequestId {
        let id = RequestId(self.next_request);
        // 0 is the sequence number of messages nobody asked for.
        self.next_request = self.next_request.wrapping_add(1).max(1);
        id
    }
}
