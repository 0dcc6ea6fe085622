//! After a table dump: which cached entries does the kernel not have any more?
//!
//! Entries that the dump showed carry its round. The others are asked for one by one, because a dump is no snapshot: what
//! the kernel answers with "no such entry" is gone, and the peer is told.

use alloc::vec::Vec;

use nfct::Conntrack;
use nfct::codec::{ConntrackOp, ExpectOp, request, request_expect};

use super::Engine;
use super::kernel::Job;
use crate::cache::State;
use crate::input::RequestId;
use crate::output::KernelSocket;

/// Existence questions on their way at a time.
const GETS: u32 = 64;

/// The search for cached entries that the kernel does not have any more.
#[derive(Debug, Default)]
pub(super) struct Purge {
    next: u32,
    expect: bool,
    in_flight: u32,
}

impl Engine {
    /// The kernel answered a question; `gone` when it does not have the entry.
    pub(super) fn answered(&mut self, slot: u32, expect: bool, gone: bool) {
        if let Some(purge) = &mut self.purge {
            purge.in_flight = purge.in_flight.saturating_sub(1);
        }
        if gone {
            self.stale(slot, expect);
        }
    }

    /// The kernel does not have the entry of this slot: unless it was seen since, it is gone.
    fn stale(&mut self, slot: u32, expect: bool) {
        let round = self.round;
        if expect {
            if self
                .internal_exp
                .get(slot)
                .is_some_and(|e| e.round != round)
            {
                self.internal_exp.destroyed(&mut self.queues, slot, true);
            }
        } else if self.internal.get(slot).is_some_and(|e| e.round != round) {
            if self.mode.counts_flows() {
                self.flow_missing(slot);
            } else {
                self.internal.destroyed(&mut self.queues, slot, true);
            }
        }
    }

    /// Goes on asking the kernel about entries that the last dump did not show.
    pub(super) fn step_purge(&mut self) {
        let Some(mut purge) = self.purge.take() else {
            return;
        };
        while purge.in_flight < GETS {
            let slots = if purge.expect {
                self.internal_exp.slots()
            } else {
                self.internal.slots()
            };
            if purge.next >= slots {
                if purge.expect || !self.config.expectation_sync {
                    if purge.in_flight == 0 {
                        return;
                    }
                    break;
                }
                purge.expect = true;
                purge.next = 0;
                continue;
            }
            let slot = purge.next;
            purge.next = purge.next.saturating_add(1);
            let expect = purge.expect;
            let id = RequestId(self.next_request);
            let Some(message) = self.question(slot, expect, id) else {
                continue;
            };
            let id = self.request_id();
            purge.in_flight = purge.in_flight.saturating_add(1);
            self.jobs.insert(
                id,
                Job::Get {
                    slot,
                    expect,
                    found: false,
                    rejected: false,
                },
            );
            self.kernel_send(id, KernelSocket::Get, message);
        }
        self.purge = Some(purge);
    }

    /// The question about a slot that holds a live entry which the last dump did not show.
    fn question(&self, slot: u32, expect: bool, id: RequestId) -> Option<Vec<u8>> {
        if expect {
            let entry = self.internal_exp.get(slot)?;
            if entry.round == self.round || entry.state == State::Dead {
                return None;
            }
            return request_expect(ExpectOp::Get, &entry.object, id.0);
        }
        let entry = self.internal.get(slot)?;
        if entry.round == self.round || entry.state == State::Dead {
            return None;
        }
        let mut ct = Conntrack::with_orig(entry.object.orig);
        // The original leaves the zone out and takes zoned flows for missing (behaviour 15, row 10).
        if let Some(zone) = entry.object.zone() {
            ct.set_zone(zone);
        }
        request(ConntrackOp::Get, &ct, id.0)
    }
}
