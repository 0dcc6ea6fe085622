//! The internal caches: what the kernel says changes an entry, and a change that the peer is to hear of queues the entry.
//!
//! ```text
//!  event, dump ─▶ added / updated / destroyed ─▶ enqueue ─▶ transmit queue ─▶ release
//!                                                              ▲  (mode) resend queue ─┘
//! ```
//! The same for flows and expectations: a cache, and the queues that both share.

use super::{Cache, Object, State};
use crate::queue::{List, NodeId, Queues};

impl<T: Object> Cache<T> {
    /// Queues an entry for the peer; one that waits for its acknowledgement goes out again with its new state.
    pub(crate) fn enqueue(&mut self, queues: &mut Queues, slot: u32) {
        let Some(entry) = self.get_mut(slot) else {
            return;
        };
        if entry.node.is_some() {
            if queues.list_of(entry.node) == Some(List::Resend) {
                queues.move_to(entry.node, List::Transmit);
            }
        } else {
            entry.node = queues.push(List::Transmit, T::element(slot));
        }
    }

    /// Its element has left the queues; a destroyed entry goes with it.
    pub(crate) fn released(&mut self, slot: u32) {
        if let Some(entry) = self.get_mut(slot) {
            entry.node = NodeId::NONE;
            if entry.state == State::Dead {
                self.remove(slot);
            }
        }
    }

    /// Takes an entry out of cache and queues; the peer is not told.
    pub(crate) fn forget(&mut self, queues: &mut Queues, slot: u32) {
        if let Some(entry) = self.remove(slot) {
            if entry.node.is_some() {
                queues.remove(entry.node);
            }
        }
    }

    /// A new object: it replaces what is cached of the same flow. `None` when the cache is full.
    pub(crate) fn replace(
        &mut self,
        queues: &mut Queues,
        object: T,
        now: u32,
        round: u8,
    ) -> Option<u32> {
        let hash = self.hash(&object);
        if let Some(slot) = self.find_hashed(&object, hash) {
            self.forget(queues, slot);
        }
        self.add_hashed(object, hash, now, round)
    }

    /// An update: merged into a live entry, else a new entry. `None` when the cache is full.
    pub(crate) fn update_or_add(
        &mut self,
        queues: &mut Queues,
        object: T,
        now: u32,
        round: u8,
    ) -> Option<u32> {
        let hash = self.hash(&object);
        if let Some(slot) = self.find_hashed(&object, hash) {
            if let Some(entry) = self.get_mut(slot).filter(|e| e.state != State::Dead) {
                entry.object.merge(object);
                self.updated(slot, now, round);
                return Some(slot);
            }
            self.forget(queues, slot);
        }
        self.add_hashed(object, hash, now, round)
    }

    /// The kernel has destroyed a live entry; `told` says whether the peer hears of it.
    pub(crate) fn destroyed(&mut self, queues: &mut Queues, slot: u32, told: bool) {
        let Some(entry) = self.get(slot).filter(|e| e.state != State::Dead) else {
            return;
        };
        let queued = entry.node.is_some();
        self.set_dead(slot);
        if told {
            self.enqueue(queues, slot);
        } else if !queued {
            self.remove(slot);
        }
    }

    /// Forgets everything; the peer is not told.
    pub(crate) fn flush(&mut self, queues: &mut Queues) {
        for slot in 0..self.slots() {
            self.forget(queues, slot);
        }
    }
}
