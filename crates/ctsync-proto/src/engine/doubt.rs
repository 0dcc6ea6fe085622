//! Entries that were made without their events, and the events that may be of an earlier entry with the same tuple.
//!
//! ```text
//!  event socket:  … end of an earlier flow │ (creation, left out) │ end of the created one …
//!  engine:        creation, entry made ────┴── events in doubt: the kernel is asked ──▶ socket seen empty: no doubt any more
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use net_types::Instant;
use nfct::codec::{ConntrackOp, request};
use nfct::{Attr, Conntrack};

use super::Engine;
use super::kernel::{ENOENT, Job};
use crate::input::RequestId;
use crate::output::KernelSocket;

/// Entries that may be unsettled at a time; commits beyond are heard.
const UNSETTLED: usize = 1024;

/// Entries that were made without their events.
///
/// What the event socket holds at that time can be of an earlier entry with the same tuple. Until it was seen empty, an event
/// with the tuple of such an entry is in doubt, and the kernel is asked what is there: an end that it does not confirm is none.
#[derive(Debug, Default)]
pub(super) struct Unheard {
    /// There is a commit socket whose events do not come.
    pub(super) possible: bool,
    /// Slots of the entries in doubt.
    unsettled: Vec<u32>,
}

impl Unheard {
    /// The event socket was empty: what comes from now on is of the entries that are there.
    pub(super) fn settled(&mut self) {
        self.unsettled.clear();
    }

    pub(super) fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// Whether one more entry may be made without its event.
    pub(super) fn has_room(&self) -> bool {
        self.possible && self.unsettled.len() < UNSETTLED
    }

    pub(super) fn has(&self, slot: Option<u32>) -> bool {
        self.is_unsettled() && slot.is_some_and(|slot| self.unsettled.contains(&slot))
    }

    /// An entry was made without its event.
    pub(super) fn made(&mut self, slot: Option<u32>) {
        self.unsettled.extend(slot);
    }

    /// The entry of this slot is in doubt still: it may have moved.
    pub(super) fn doubt(&mut self, slot: Option<u32>) {
        if let Some(slot) = slot.filter(|slot| !self.unsettled.contains(slot)) {
            self.unsettled.push(slot);
        }
    }
}

/// The question what is there of an entry in doubt.
#[derive(Debug)]
pub(super) struct Doubt {
    flow: Box<Conntrack>,
    /// The event was an end: what is there is another entry.
    ended: bool,
    /// The event that raised it is one to tell the peer of.
    told: bool,
    found: bool,
}

impl Engine {
    /// An event is in doubt, by which the entry has `ended` or changed: the kernel knows what is there.
    pub(super) fn ask_about(&mut self, event: &Conntrack, ended: bool, told: bool) {
        let mut flow = Conntrack::with_orig(event.orig);
        if let Some(zone) = event.zone() {
            flow.set_zone(zone);
        }
        let id = RequestId(self.next_request);
        if let Some(message) = request(ConntrackOp::Get, &flow, id.0) {
            let id = self.request_id();
            let doubt = Doubt {
                flow: Box::new(flow),
                ended,
                told,
                found: false,
            };
            self.jobs.insert(id, Job::Doubt(doubt));
            self.kernel_send(id, KernelSocket::Get, message);
        }
    }

    /// The kernel has an entry in doubt, like this.
    pub(super) fn is_there(&mut self, now: Instant, id: RequestId, mut ct: Conntrack) {
        if !self.wanted(&ct, true) {
            return;
        }
        let Some(Job::Doubt(doubt)) = self.jobs.get_mut(&id) else {
            return;
        };
        doubt.found = true;
        let (ended, told) = (doubt.ended, doubt.told);
        let known = self.internal.find(&ct);
        if known.is_none() {
            return;
        }
        let unsettled = self.unheard.has(known);
        ct.unset(Attr::COUNTERS.with(Attr::USE));
        let (round, seconds) = (self.round, self.seconds(now));
        let queues = &mut self.queues;
        let slot = if ended {
            self.internal.replace(queues, ct, seconds, round)
        } else {
            self.internal.update_or_add(queues, ct, seconds, round)
        };
        if unsettled {
            self.unheard.doubt(slot);
        }
        self.changed(now, slot, told);
    }

    /// The kernel has answered the question about an entry in doubt.
    pub(super) fn doubt_ended(&mut self, doubt: &Doubt, errno: i32) {
        if !doubt.found && matches!(errno, 0 | ENOENT) {
            if let Some(slot) = self.internal.find(&doubt.flow) {
                self.internal.destroyed(&mut self.queues, slot, doubt.told);
            }
        }
    }
}
