//! The rules of the replication modes: which messages are accepted, and what they make a node do.

mod alarm;
mod ftfw;
mod notrack;

use alloc::vec::Vec;

use net_types::Instant;

pub(crate) use alarm::Alarm;
pub(crate) use ftfw::Ftfw;
pub(crate) use notrack::Notrack;

use crate::stats::NetworkCounters;
use crate::wire::{Header, before};

/// What becomes of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It carries state for the external cache.
    Data,
    /// It is done with.
    Control,
    /// It came too late.
    Drop,
    /// It makes no sense ("malformed header").
    Bad,
    /// Its type is unknown ("bad message type").
    UnknownType,
}

/// What a received message makes the node do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Forget everything in the resend queue.
    ClearResend,
    /// The peer has the messages of this range.
    Acknowledged { from: u32, to: u32 },
    /// The peer lacks the messages of this range.
    Missing { from: u32, to: u32 },
    /// The peer wants everything.
    SendAll,
    /// Queue a control message.
    Send { flags: u8, from: u32, to: u32 },
}

/// Follows the peer's sequence numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tracker {
    /// The last accepted number; nothing was accepted yet while `None`.
    pub(crate) last: Option<u32>,
}

/// Where a sequence number lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// First or next.
    InOrder,
    /// Beyond the next, which is `expected`.
    After { expected: u32 },
    /// Before the next.
    Before,
}

impl Tracker {
    /// Places `sequence` and counts what is missing or late.
    pub(crate) fn place(&self, sequence: u32, counters: &mut NetworkCounters) -> Place {
        let Some(last) = self.last else {
            return Place::InOrder;
        };
        let expected = last.wrapping_add(1);
        if sequence == expected {
            Place::InOrder
        } else if before(expected, sequence) {
            // Two more than are missing, as the original counts (behaviour 5.1).
            let lost = sequence.wrapping_sub(last).wrapping_add(1);
            counters.lost = counters.lost.wrapping_add(u64::from(lost));
            Place::After { expected }
        } else {
            counters.before = counters.before.wrapping_add(1);
            Place::Before
        }
    }
}

/// The mode's state.
#[derive(Debug)]
pub(crate) enum ModeState {
    Ftfw(Ftfw),
    Notrack(Notrack),
    Alarm(Alarm),
    /// No replication: flows are logged when they end.
    Stats,
}

impl ModeState {
    /// Judges a message. `actions` gets what it makes the node do.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        header: &Header,
        tracker: &mut Tracker,
        counters: &mut NetworkCounters,
        actions: &mut Vec<Action>,
    ) -> Verdict {
        match self {
            Self::Ftfw(mode) => mode.receive(now, header, tracker, counters, actions),
            Self::Notrack(mode) => mode.receive(header, tracker, counters, actions),
            Self::Alarm(mode) => mode.receive(header, tracker, counters),
            Self::Stats => Verdict::Drop,
        }
    }

    /// Flags that the next message carries besides its own.
    pub(crate) fn greet(&mut self) -> u8 {
        match self {
            Self::Ftfw(mode) => mode.greet(),
            Self::Notrack(_) | Self::Alarm(_) | Self::Stats => 0,
        }
    }

    /// The control message of the one-second timer.
    pub(crate) fn alive(&mut self, tracker: &Tracker) -> Option<Action> {
        match self {
            Self::Ftfw(mode) => Some(mode.alive(tracker)),
            Self::Notrack(mode) => Some(mode.alive()),
            Self::Alarm(_) | Self::Stats => None,
        }
    }

    /// Whether the node speaks when there is nothing to tell, and answers requests for everything.
    pub(crate) const fn converses(&self) -> bool {
        !matches!(self, Self::Alarm(_) | Self::Stats)
    }

    /// Whether there is no peer, and flows are logged when they end.
    pub(crate) const fn counts_flows(&self) -> bool {
        matches!(self, Self::Stats)
    }

    /// Whether sent messages are kept until acknowledged.
    pub(crate) const fn resends(&self) -> bool {
        matches!(self, Self::Ftfw(_))
    }
}
