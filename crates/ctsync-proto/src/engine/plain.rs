//! Commits whose outcome is certain: what the kernel would tell of them is known beforehand.
//!
//! The kernel builds an event for each entry, and hearing our own costs as much as a quarter of a commit. Where an entry has
//! nothing that the kernel could decide otherwise (no translation, no helper, no labels), its event is left out by the event
//! socket's filter, and the internal cache gets what the event would have said.

use alloc::vec::Vec;

use net_types::Instant;
use nfct::codec::append_create;
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

/// Creations whose events do not come: they go to the kernel together. There is one batch at a time.
#[derive(Debug, Default)]
pub(super) struct Batch {
    creations: Vec<Creation>,
    messages: Vec<u8>,
}

#[derive(Debug)]
struct Creation {
    id: RequestId,
    ct: Conntrack,
    timeout: Option<u32>,
    refused: bool,
}

impl Engine {
    /// Adds a creation to the batch; gives it back when no request can be built from its entry.
    pub(super) fn put_in_batch(&mut self, ct: Conntrack, timeout: Option<u32>) -> Result<(), Step> {
        let id = self.request_id();
        let liberal = !self.config.tcp_window_tracking;
        let batch = self.batch.get_or_insert_default();
        if !append_create(&mut batch.messages, &ct, timeout, liberal, id.0) {
            return Err(Step::creation(ct, timeout));
        }
        batch.creations.push(Creation {
            id,
            ct,
            timeout,
            refused: false,
        });
        Ok(())
    }

    /// Sends the batch, if there is one.
    pub(super) fn send_batch(&mut self) {
        let Some(batch) = &mut self.batch else {
            return;
        };
        let Some(first) = batch.creations.first() else {
            self.batch = None;
            return;
        };
        self.outputs.push_back(Output::KernelBatch {
            id: first.id,
            socket: KernelSocket::CommitUnheard,
            count: u32::try_from(batch.creations.len()).unwrap_or(u32::MAX),
            messages: core::mem::take(&mut batch.messages),
        });
    }

    /// The kernel refused a request of the batch: it goes on alone, and heard.
    pub(super) fn batch_refused(&mut self, id: RequestId, errno: i32) {
        let creations = self.batch.iter_mut().flat_map(|b| &mut b.creations);
        let Some(creation) = creations.into_iter().find(|c| c.id == id && !c.refused) else {
            return;
        };
        creation.refused = true;
        let step = Step::creation(creation.ct.clone(), creation.timeout);
        self.commit_answer(step, errno);
    }

    /// The kernel is through with the batch.
    pub(super) fn batch_done(&mut self, now: Instant, id: RequestId, errno: i32) {
        let ours = |batch: &mut Batch| batch.creations.first().is_some_and(|c| c.id == id);
        let Some(batch) = self.batch.take_if(ours) else {
            return;
        };
        for creation in batch.creations {
            if creation.refused {
                continue;
            }
            if errno == 0 {
                self.created_unheard(now, creation.ct, creation.timeout);
                self.commit_counted(true);
            } else {
                self.commit_answer(Step::creation(creation.ct, creation.timeout), errno);
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
        self.unheard.made(slot);
        self.changed(now, slot, false);
    }
}
