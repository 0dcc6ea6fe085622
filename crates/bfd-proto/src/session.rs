//! One session: its state variables (RFC 5880 6.8.1) and what follows from them.

use net_types::{Duration, Instant, Random};

use crate::config::SessionConfig;
use crate::notice::Timers;
use crate::wire::{Diagnostic, Packet, State};

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its configuration.
    pub config: SessionConfig,
    /// bfd.SessionState
    pub state: State,
    /// bfd.RemoteSessionState
    pub remote_state: State,
    /// bfd.LocalDiscr
    pub discriminator: u32,
    /// bfd.RemoteDiscr
    pub remote_discriminator: u32,
    /// bfd.LocalDiag
    pub diagnostic: Diagnostic,
    /// The other side's diagnostic.
    pub remote_diagnostic: Diagnostic,
    /// What the other side wants to send at most, in microseconds.
    pub remote_min_tx: u32,
    /// bfd.RemoteMinRxInterval in microseconds
    pub remote_min_rx: u32,
    /// bfd.RemoteDemandMode
    pub remote_demand: bool,
    /// The other side's multiplier.
    pub remote_multiplier: u8,
    /// Our packets carry P until one comes with F.
    pub poll: bool,
    /// The next packet carries F.
    pub answer: bool,
    /// Our interval of sending before jitter, in microseconds.
    pub tx: u32,
    /// Their interval of sending, in microseconds.
    pub remote_tx: u32,
    /// After so many microseconds we miss the other side.
    pub detection: u64,
    /// After so many microseconds they miss us.
    pub remote_detection: u64,
    /// When the last packet came.
    pub last_seen: Option<Instant>,
    /// When the next packet is due.
    pub transmit_at: Option<Instant>,
    /// When the other side is missed.
    pub expire_at: Option<Instant>,
    /// When a session that is Down forgets the other side.
    pub reset_at: Option<Instant>,
    /// When a socket is tried for again.
    pub open_at: Option<Instant>,
}

impl Session {
    /// As at its creation.
    pub(crate) fn new(config: SessionConfig, discriminator: u32) -> Self {
        Self {
            tx: config.idle_tx,
            config,
            state: State::Down,
            remote_state: State::Down,
            discriminator,
            remote_discriminator: 0,
            diagnostic: Diagnostic::None,
            remote_diagnostic: Diagnostic::None,
            remote_min_tx: 0,
            remote_min_rx: 0,
            remote_demand: false,
            remote_multiplier: 0,
            poll: false,
            answer: false,
            remote_tx: 0,
            detection: 0,
            remote_detection: 0,
            last_seen: None,
            transmit_at: None,
            expire_at: None,
            reset_at: None,
            open_at: None,
        }
    }

    /// Forgets the other side; what both have agreed on stays (RFC 5880 6.8.1).
    pub(crate) fn reset(&mut self) {
        self.state = State::Down;
        self.remote_state = State::Down;
        self.remote_discriminator = 0;
        self.remote_diagnostic = Diagnostic::None;
        self.remote_demand = false;
        self.poll = false;
        self.answer = false;
        self.idle();
    }

    /// The interval of a session that is not Up (RFC 5880 6.8.3).
    pub(crate) fn idle(&mut self) {
        self.tx = self.config.idle_tx.max(self.remote_min_rx);
    }

    /// The negotiated interval.
    pub(crate) fn negotiate(&mut self) {
        self.tx = self.config.min_tx.max(self.remote_min_rx);
    }

    /// Their negotiated interval.
    pub(crate) fn negotiate_remote(&mut self) {
        self.remote_tx = self.config.min_rx.max(self.remote_min_tx);
    }

    /// Both detection times (RFC 5880 6.8.4).
    pub(crate) fn update_detection(&mut self) {
        let time = |multiplier: u8, interval: u32| {
            u64::from(multiplier).saturating_mul(u64::from(interval))
        };
        self.detection = time(self.remote_multiplier, self.remote_tx);
        self.remote_detection = time(self.config.multiplier, self.tx);
    }

    /// Takes over what a packet says.
    pub(crate) fn learn(&mut self, packet: &Packet) {
        self.remote_discriminator = packet.my_discriminator;
        self.remote_state = packet.state;
        self.remote_diagnostic = packet.diagnostic;
        self.remote_min_rx = packet.min_rx;
        self.remote_min_tx = packet.min_tx;
        self.remote_demand = packet.demand;
        self.remote_multiplier = packet.multiplier;
    }

    /// The interval that we offer.
    pub(crate) fn offered_tx(&self) -> u32 {
        if self.state == State::Up {
            self.config.min_tx
        } else {
            self.config.idle_tx
        }
    }

    /// The next packet.
    pub(crate) fn packet(&mut self) -> Packet {
        // What a poll would ask for, the answer to theirs says as well.
        if self.poll && self.answer {
            self.poll = false;
        }
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            poll: self.poll,
            is_final: core::mem::take(&mut self.answer),
            control_plane: false,
            authentication: false,
            demand: false,
            multiplier: self.config.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote_discriminator,
            min_tx: self.offered_tx(),
            min_rx: self.config.min_rx,
            min_echo_rx: 0,
        }
    }

    /// The interval less 10 to 25 per cent (RFC 5880 6.8.7; the original never sends later than after 90 per cent).
    pub(crate) fn jittered(&self, random: &mut Random) -> Duration {
        let less = random.between(self.tx / 10, self.tx / 4);
        Duration::from_micros(u64::from(self.tx.saturating_sub(less)))
    }

    /// The timers as they are shown.
    pub fn timers(&self) -> Timers {
        Timers {
            local_min_tx: self.offered_tx(),
            local_min_rx: self.config.min_rx,
            local_tx: self.tx,
            local_multiplier: self.config.multiplier,
            local_detection: self.detection,
            remote_min_tx: self.remote_min_tx,
            remote_min_rx: self.remote_min_rx,
            remote_tx: self.remote_tx,
            remote_multiplier: self.remote_multiplier,
            remote_detection: self.remote_detection,
        }
    }

    /// When the next of its deadlines is.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let all = [
            self.transmit_at,
            self.expire_at,
            self.reset_at,
            self.open_at,
        ];
        all.into_iter().flatten().min()
    }
}
