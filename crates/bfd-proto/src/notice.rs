//! What an operator may want to read.

use core::net::SocketAddr;

use crate::config::SessionId;
use crate::wire::{DecodeError, Diagnostic, State};

/// One line for the log, or a few.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A datagram that is no packet (detail).
    Bogus(SocketAddr, DecodeError),
    /// A packet for no session, with its Your Discriminator (detail).
    NoSession(SocketAddr, u32),
    /// A packet that came over too many hops: its hop limit, and the least that is accepted (detail).
    TooManyHops(SocketAddr, u8, i16),
    /// A packet with an authentication section (detail).
    Authentication(SocketAddr),
    /// A packet for a session without a socket (detail).
    AdminDown(SocketAddr),
    /// The session's timers; whether one has changed (detail; extra detail if none has).
    Timers(SessionId, Timers, bool),
    /// The detection time in microseconds, now and before.
    DetectionTime(SessionId, u64, u64),
    /// The session is Init or Up. Init is for extra detail.
    Rising(SessionId, State),
    /// The session is Down: our diagnostic, theirs, and whether it was Up; if not, for extra detail.
    Falling(SessionId, Diagnostic, Diagnostic, bool),
    /// The session has no socket.
    EnteringAdminDown(SessionId),
    /// A poll sequence begins (detail).
    Polling(SessionId),
    /// Nothing was heard for so many microseconds, and how many that is too late; whether the session was Up; if not, for extra detail.
    Expired(SessionId, u64, i64, bool),
}

/// A session's timers, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// What we say: least interval of sending.
    pub local_min_tx: u32,
    /// What we say: least interval of receiving.
    pub local_min_rx: u32,
    /// Our interval of sending.
    pub local_tx: u32,
    /// Our multiplier.
    pub local_multiplier: u8,
    /// After so long we miss the other side.
    pub local_detection: u64,
    /// What they say.
    pub remote_min_tx: u32,
    /// What they say.
    pub remote_min_rx: u32,
    /// Their interval of sending.
    pub remote_tx: u32,
    /// Their multiplier.
    pub remote_multiplier: u8,
    /// After so long they miss us.
    pub remote_detection: u64,
}
