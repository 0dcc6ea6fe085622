//! Cache listings for operators, piece by piece.
//!
//! A listing is a walk over the cache's slots: an entry is shown as it is when the walk passes. The next piece is made
//! when the operator has taken the last, so a slow reader costs no memory.

use alloc::string::String;
use core::fmt::Write;

use net_types::Instant;
use nfct::{Attr, ExpAttr, print};

use super::Engine;
use crate::cache::State;
use crate::input::ClientId;
use crate::output::Output;

/// Bytes after which a piece is sent.
const PIECE: usize = 16 * 1024;

/// Slots looked at per piece at most, so that a sparse cache does not hold up the loop.
const SLOTS: u32 = 1024;

/// A cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Internal,
    External,
    InternalExpect,
    ExternalExpect,
}

/// A listing that is under way.
#[derive(Debug)]
pub(super) struct Dump {
    client: ClientId,
    which: Which,
    xml: bool,
    next: u32,
    ready: bool,
}

impl Engine {
    pub(super) fn begin_dump(&mut self, client: ClientId, which: Which, xml: bool) {
        if self.config.disable_internal_cache {
            match which {
                Which::Internal => return self.list_kernel(client, false),
                Which::InternalExpect => return self.list_kernel(client, true),
                Which::External | Which::ExternalExpect => {}
            }
        }
        self.dumps.push(Dump {
            client,
            which,
            xml,
            next: 0,
            ready: true,
        });
    }

    pub(super) fn dump_ready(&mut self, client: ClientId) {
        if let Some(dump) = self.dumps.iter_mut().find(|d| d.client == client) {
            dump.ready = true;
        }
    }

    pub(super) fn client_gone(&mut self, client: ClientId) {
        self.dumps.retain(|d| d.client != client);
        self.nobody_waits(client);
        self.commit_client_gone(client);
    }

    /// Whether an operator can take the next piece.
    pub(super) fn dump_waits(&self) -> bool {
        self.dumps.iter().any(|d| d.ready)
    }

    /// Makes the next piece of every listing whose operator can take it; one per round of the loop, so that a fast reader
    /// does not keep events waiting.
    pub(super) fn step_dumps(&mut self, now: Instant, wall: u64) {
        if self.dump_paused || !self.dump_waits() {
            return;
        }
        self.dump_paused = true;
        let mut dumps = core::mem::take(&mut self.dumps);
        for dump in dumps.iter_mut().filter(|d| d.ready) {
            let (bytes, end) = self.piece(dump, now, wall);
            if !bytes.is_empty() {
                dump.ready = false;
                self.outputs.push_back(Output::Reply {
                    client: dump.client,
                    bytes: bytes.into_bytes(),
                });
            }
            if end {
                dump.next = u32::MAX;
                self.reply_end(dump.client);
            }
        }
        dumps.retain(|d| d.next != u32::MAX);
        self.dumps = dumps;
    }

    /// The next piece and whether it is the last.
    fn piece(&self, dump: &mut Dump, now: Instant, wall: u64) -> (String, bool) {
        let mut out = String::new();
        let slots = match dump.which {
            Which::Internal => self.internal.slots(),
            Which::External => self.external.slots(),
            Which::InternalExpect => self.internal_exp.slots(),
            Which::ExternalExpect => self.external_exp.slots(),
        };
        let seconds = self.seconds(now);
        let stop = dump.next.saturating_add(SLOTS);
        // An empty piece would never be acknowledged by the operator: look on until there is something.
        while dump.next < slots && out.len() < PIECE && (dump.next < stop || out.is_empty()) {
            let slot = dump.next;
            dump.next = dump.next.saturating_add(1);
            let created = match dump.which {
                Which::Internal | Which::External => {
                    self.conntrack_line(&mut out, dump, slot, wall)
                }
                Which::InternalExpect | Which::ExternalExpect => {
                    self.expect_line(&mut out, dump, slot)
                }
            };
            let Some(created) = created else { continue };
            if !dump.xml {
                let expiry = match dump.which {
                    Which::External => self.expiry[0].get(slot),
                    Which::ExternalExpect => self.expiry[1].get(slot),
                    _ => None,
                };
                if let Some(end) = expiry {
                    let _ = write!(out, " [expires in {}s]", end.since(now).as_secs());
                }
                // Writing to a String can not fail.
                let _ = write!(out, " [active since {}s]", seconds.saturating_sub(created));
            }
            out.push('\n');
        }
        (out, dump.next >= slots)
    }

    /// Shows an entry; the cached timeout is hidden, and entries that only wait for an acknowledgement are.
    fn conntrack_line(&self, out: &mut String, dump: &Dump, slot: u32, wall: u64) -> Option<u32> {
        let cache = if dump.which == Which::Internal {
            &self.internal
        } else {
            &self.external
        };
        let entry = cache.get(slot)?;
        if entry.state == State::Dead && self.mode.resends() {
            return None;
        }
        let mut ct = entry.object.clone();
        ct.unset(Attr::TIMEOUT);
        if dump.xml {
            print::conntrack_xml(out, &ct, wall);
        } else {
            print::conntrack_text(out, &ct, wall);
        }
        Some(entry.created)
    }

    fn expect_line(&self, out: &mut String, dump: &Dump, slot: u32) -> Option<u32> {
        let cache = if dump.which == Which::InternalExpect {
            &self.internal_exp
        } else {
            &self.external_exp
        };
        let entry = cache.get(slot)?;
        if entry.state == State::Dead && self.mode.resends() {
            return None;
        }
        let mut exp = entry.object.clone();
        exp.set = exp.set.without(ExpAttr::TIMEOUT);
        if dump.xml {
            print::expect_xml(out, &exp);
        } else {
            print::expect_text(out, &exp);
        }
        Some(entry.created)
    }
}
