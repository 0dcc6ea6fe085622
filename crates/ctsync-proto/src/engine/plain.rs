//! Commits whose outcome is certain: what the kernel would tell of them is known beforehand.
//!
//! The kernel builds an event for each entry, and hearing our own costs as much as a quarter of a commit. Where an entry has
//! nothing that the kernel could decide otherwise (no translation, no helper, no labels), its event is left out by the event
//! socket's filter, and the internal cache gets what the event would have said.

use alloc::vec::Vec;

use net_types::Instant;
use nfct::codec::{append_create, append_update};
use nfct::{Attr, Conntrack, Known, Synproxy, proto, status};

use super::Engine;
use super::commit::Step;
use crate::input::RequestId;
use crate::output::{KernelSocket, Output};

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

/// Requests whose events do not come: they go to the kernel together. There is one batch at a time.
#[derive(Debug, Default)]
pub(super) struct Batch {
    requests: Vec<Request>,
    messages: Vec<u8>,
}

#[derive(Debug)]
struct Request {
    id: RequestId,
    ct: Conntrack,
    timeout: Option<u32>,
    /// The kernel has the entry: a change, not a creation.
    change: bool,
    refused: bool,
}

impl Engine {
    /// Adds a creation, or a `change`, to the batch; gives it back when no request can be built from its entry.
    pub(super) fn put_in_batch(
        &mut self,
        ct: Conntrack,
        timeout: Option<u32>,
        change: bool,
    ) -> Result<(), Step> {
        let id = self.request_id();
        let liberal = !self.config.tcp_window_tracking;
        let Batch { requests, messages } = self.batch.get_or_insert_default();
        let built = if change {
            append_update(messages, &ct, timeout, liberal, id.0)
        } else {
            append_create(messages, &ct, timeout, liberal, id.0)
        };
        if !built {
            return Err(Step::alone(ct, timeout, change));
        }
        requests.push(Request {
            id,
            ct,
            timeout,
            change,
            refused: false,
        });
        Ok(())
    }

    /// Sends the batch, if there is one.
    pub(super) fn send_batch(&mut self) {
        let Some(batch) = &mut self.batch else {
            return;
        };
        let Some(first) = batch.requests.first() else {
            self.batch = None;
            return;
        };
        self.outputs.push_back(Output::KernelBatch {
            id: first.id,
            socket: KernelSocket::CommitUnheard,
            count: u32::try_from(batch.requests.len()).unwrap_or(u32::MAX),
            messages: core::mem::take(&mut batch.messages),
        });
    }

    /// The kernel refused a request of the batch: it goes on alone, and heard.
    pub(super) fn batch_refused(&mut self, id: RequestId, errno: i32) {
        let mut requests = self.batch.iter_mut().flat_map(|b| &mut b.requests);
        let Some(request) = requests.find(|r| r.id == id && !r.refused) else {
            return;
        };
        request.refused = true;
        let step = Step::alone(request.ct.clone(), request.timeout, request.change);
        self.commit_answer(step, errno);
    }

    /// The kernel is through with the batch.
    pub(super) fn batch_done(&mut self, now: Instant, id: RequestId, errno: i32) {
        let ours = |batch: &mut Batch| batch.requests.first().is_some_and(|r| r.id == id);
        let Some(batch) = self.batch.take_if(ours) else {
            return;
        };
        for request in batch.requests.into_iter().filter(|r| !r.refused) {
            let (ct, timeout) = (request.ct, request.timeout);
            if errno != 0 {
                self.commit_answer(Step::alone(ct, timeout, request.change), errno);
                continue;
            }
            if request.change {
                self.changed_unheard(now, ct, timeout);
            } else {
                self.created_unheard(now, ct, timeout);
            }
            self.commit_counted(true);
        }
    }

    /// Whether an entry that the kernel does not have, or has alike, can be committed without hearing what came of it.
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
    fn created_unheard(&mut self, now: Instant, mut ct: Conntrack, timeout: Option<u32>) {
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
        if !self.would_be_heard(&ct) {
            return;
        }
        let (round, seconds) = (self.round, self.seconds(now));
        let slot = self.internal.replace(&mut self.queues, ct, seconds, round);
        self.unheard.made(slot);
        self.changed(now, slot, false);
    }

    /// The kernel has changed an entry, and the event of that does not come.
    fn changed_unheard(&mut self, now: Instant, mut ct: Conntrack, timeout: Option<u32>) {
        let known = self.internal.find(&ct);
        let Some(known) = known.and_then(|slot| self.internal.get(slot)) else {
            self.created_unheard(now, ct, timeout);
            return;
        };
        let bits = known.object.status().unwrap_or_default();
        ct.set_status(bits | ct.status().unwrap_or_default() & GIVEN | status::CONFIRMED);
        if let Some(seconds) = timeout {
            ct.set_timeout(seconds);
        }
        ct.unset(Attr::SYNPROXY);
        if !self.would_be_heard(&ct) {
            return;
        }
        let (round, seconds) = (self.round, self.seconds(now));
        let slot = self
            .internal
            .update_or_add(&mut self.queues, ct, seconds, round);
        self.unheard.made(slot);
        self.changed(now, slot, false);
    }

    /// Counts the event that does not come; whether it would get past the filter.
    fn would_be_heard(&mut self, ct: &Conntrack) -> bool {
        let filter = &self.config.filter;
        if self.config.filter_in_kernel {
            let passes = filter.passes_in_kernel(ct);
            self.kernel.events = self.kernel.events.wrapping_add(u64::from(passes));
            return passes;
        }
        self.kernel.events = self.kernel.events.wrapping_add(1);
        let passes = filter.passes(ct);
        if !passes {
            self.kernel.filtered = self.kernel.filtered.wrapping_add(1);
        }
        passes
    }
}
