//! ALARM: every entry is sent again from time to time (conntrackd-behaviour.md 5.3). No control messages, no order.

use net_types::{Duration, Instant, Random};

use super::{Tracker, Verdict};
use crate::stats::NetworkCounters;
use crate::wire::{EXP_DEL, Header};

/// State of the refreshing mode.
#[derive(Debug)]
pub(crate) struct Alarm {
    refresh: u32,
    dice: Random,
}

impl Alarm {
    pub(crate) fn new(refresh: u32, seed: u64) -> Self {
        Self {
            refresh: refresh.max(1),
            dice: Random::new(seed),
        }
    }

    /// Changes the refresh time, from the next refreshes on.
    pub(crate) fn set_refresh(&mut self, seconds: u32) {
        self.refresh = seconds.max(1);
    }

    /// Less than `sides`.
    fn roll(&mut self, sides: u32) -> u32 {
        self.dice.between(0, sides.saturating_sub(1))
    }

    /// When an entry that was added, updated or refreshed at `now` is sent again: up to the refresh time in seconds,
    /// plus one of five fractions.
    pub(crate) fn next_refresh(&mut self, now: Instant) -> Instant {
        let seconds = u64::from(self.roll(self.refresh)).saturating_add(1);
        let fraction = u64::from(self.roll(5))
            .saturating_add(1)
            .saturating_mul(200_000)
            .saturating_sub(1);
        now + Duration::from_secs(seconds) + Duration::from_micros(fraction)
    }

    /// Messages with any flag are other modes' and ignored, data with a greeting included.
    pub(super) fn receive(
        &self,
        header: &Header,
        tracker: &Tracker,
        counters: &mut NetworkCounters,
    ) -> Verdict {
        if header.flags != 0 {
            return Verdict::Control;
        }
        tracker.place(header.sequence, counters);
        if header.kind <= EXP_DEL {
            Verdict::Data
        } else {
            Verdict::UnknownType
        }
    }
}
