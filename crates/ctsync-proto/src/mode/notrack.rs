//! NOTRACK: best effort (conntrackd-behaviour.md 5.2). Messages are accepted in any order.

use alloc::vec::Vec;

use super::{Action, Tracker, Verdict};
use crate::stats::NetworkCounters;
use crate::wire::{F_ALIVE, F_RESYNC, Header};

#[derive(Debug)]
pub(crate) struct Notrack;

impl Notrack {
    pub(super) fn receive(
        &mut self,
        header: &Header,
        tracker: &mut Tracker,
        counters: &mut NetworkCounters,
        actions: &mut Vec<Action>,
    ) -> Verdict {
        tracker.place(header.sequence, counters);
        let verdict = if header.is_data() {
            Verdict::Data
        } else if header.is_control(F_RESYNC) {
            actions.push(Action::SendAll);
            Verdict::Control
        } else if header.is_control(F_ALIVE) {
            Verdict::Control
        } else {
            return Verdict::Bad;
        };
        tracker.last = Some(header.sequence);
        verdict
    }

    pub(super) fn alive(&mut self) -> Action {
        Action::Send {
            flags: F_ALIVE,
            from: 0,
            to: 0,
        }
    }
}
