//! Commits whose outcome is certain: what the kernel would tell of them is known beforehand.
//!
//! The kernel builds an event for each entry, and hearing our own costs as much as a quarter of a commit. Where an entry has
//! nothing that the kernel could decide otherwise (no translation, no helper, no labels), its event is left out by the event
//! socket's filter, and the internal cache gets what the event would have said.

use alloc::boxed::Box;
use alloc::vec::Vec;

use net_types::Instant;
use nfct::codec::{ConntrackOp, request};
use nfct::{Attr, Conntrack, Known, Synproxy, proto, status};

use super::Engine;
use super::kernel::{ENOENT, Job};
use crate::input::RequestId;
use crate::output::KernelSocket;

/// Attributes that a kernel takes as they are, or never tells.
const PLAIN: Attr = Attr::STATUS
    .with(Attr::TIMEOUT)
    .with(Attr::MARK)
    .with(Attr::SYNPROXY)
    .with(TCP);

/// What the kernel tells of every TCP flow.
const TCP: Attr = Attr::TCP_STATE
    .with(Attr::TCP_FLAGS_ORIG)
    .with(Attr::TCP_FLAGS_REPL)
    .with(Attr::TCP_WSCALE_ORIG)
    .with(Attr::TCP_WSCALE_REPL);

/// Status bits that can be given to a new entry.
const GIVEN: u32 = status::SEEN_REPLY | status::ASSURED;

/// Status bits without a meaning for an entry that is not translated.
const FORGOTTEN: u32 = status::CONFIRMED | status::SRC_NAT_DONE | status::DST_NAT_DONE;

/// Entries that may be unsettled at a time; commits beyond are heard.
const UNSETTLED: usize = 1024;

/// Entries that were made without their events.
///
/// What the event socket holds at that time can be of an earlier entry with the same tuple. Until it was seen empty, an event
/// with the tuple of such an entry is in doubt: its end is believed only if the kernel confirms it.
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

    pub(super) const fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    fn has_room(&self) -> bool {
        self.possible && self.unsettled.len() < UNSETTLED
    }

    pub(super) fn has(&self, slot: Option<u32>) -> bool {
        self.is_unsettled() && slot.is_some_and(|slot| self.unsettled.contains(&slot))
    }

    /// The entry of this slot is in doubt (still: it may have moved).
    pub(super) fn doubt(&mut self, slot: Option<u32>) {
        if let Some(slot) = slot.filter(|slot| !self.unsettled.contains(slot)) {
            self.unsettled.push(slot);
        }
    }
}

/// The question whether an entry in doubt is there.
#[derive(Debug)]
pub(super) struct Doubt {
    flow: Box<Conntrack>,
    /// The event that raised it is one to tell the peer of.
    told: bool,
    found: bool,
}

impl Engine {
    /// An event says that an entry in doubt is gone: the kernel knows whether it means this one.
    pub(super) fn ask_about(&mut self, ended: &Conntrack, told: bool) {
        let mut flow = Conntrack::with_orig(ended.orig);
        if let Some(zone) = ended.zone() {
            flow.set_zone(zone);
        }
        let id = RequestId(self.next_request);
        if let Some(message) = request(ConntrackOp::Get, &flow, id.0) {
            let id = self.request_id();
            let flow = Box::new(flow);
            let found = false;
            self.jobs
                .insert(id, Job::Doubt(Doubt { flow, told, found }));
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
        let told = doubt.told;
        let known = self.internal.find(&ct);
        if known.is_none() {
            return;
        }
        let unsettled = self.unheard.has(known);
        ct.unset(Attr::COUNTERS.with(Attr::USE));
        let (round, seconds) = (self.round, self.seconds(now));
        let slot = self.internal.replace(&mut self.queues, ct, seconds, round);
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

    /// Whether an entry that the kernel does not have can be created without hearing what came of it.
    pub(super) fn may_go_unheard(&self, ct: &Conntrack) -> bool {
        let protocol = match ct.orig.l4 {
            // Of a flow that is in the middle the tracker may find other windows than the peer's.
            proto::TCP => ct.has(Attr::TCP_STATE) && !self.config.tcp_window_tracking,
            proto::UDP => true,
            _ => false,
        };
        self.unheard.has_room()
            && !self.config.disable_internal_cache
            && protocol
            && !ct.is_related()
            && !ct.orig.known.has(Known::ZONE)
            && ct.attrs().without(PLAIN) == Attr::NONE
            && ct.synproxy().unwrap_or_default() == Synproxy::default()
            && ct
                .status()
                .is_some_and(|bits| bits & !(GIVEN | FORGOTTEN) == 0)
    }

    /// The kernel has an entry now whose event does not come. `timeout` is the one that it was given.
    pub(super) fn created_unheard(
        &mut self,
        now: Instant,
        mut ct: Conntrack,
        timeout: Option<u32>,
    ) {
        if let Some(seconds) = timeout {
            ct.set_timeout(seconds);
        }
        ct.set_reply(ct.orig.mirrored());
        ct.set_status(ct.status().unwrap_or_default() & GIVEN | status::CONFIRMED);
        // The kernel tells a mark of 0, too.
        ct.set_mark(ct.mark().unwrap_or_default());
        if ct.orig.l4 == proto::TCP {
            ct.set_protoinfo(TCP, |_| {});
        }
        let filter = &self.config.filter;
        if self.config.filter_in_kernel {
            if !filter.passes_in_kernel(&ct) {
                return;
            }
            self.kernel.events = self.kernel.events.wrapping_add(1);
        } else {
            self.kernel.events = self.kernel.events.wrapping_add(1);
            if !filter.passes(&ct) {
                self.kernel.filtered = self.kernel.filtered.wrapping_add(1);
                return;
            }
        }
        let (round, seconds) = (self.round, self.seconds(now));
        let slot = self.internal.replace(&mut self.queues, ct, seconds, round);
        self.unheard.doubt(slot);
        self.changed(now, slot, false);
    }
}
