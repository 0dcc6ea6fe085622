//! From the transmit queue to datagrams.

use net_types::Instant;

use super::{ALIVE, BETWEEN_ACKS, Engine};
use crate::cache::State;
use crate::input::LinkIndex;
use crate::notice::Notice;
use crate::output::Output;
use crate::queue::{Element, List, NodeId};
use crate::wire::{
    CT_DEL, CT_NEW, CT_UPD, CTL, EXP_DEL, EXP_NEW, EXP_UPD, F_ACK, F_NACK, F_RESYNC, Header,
    VERSION, before,
};

impl Engine {
    /// Queues everything in the internal caches; without them the kernel's table is sent.
    pub(super) fn send_bulk(&mut self) {
        if self.config.disable_internal_cache {
            self.bulk_from_kernel();
            return;
        }
        self.log(Notice::SendingBulk);
        for slot in 0..self.internal.slots() {
            self.internal.enqueue(&mut self.queues, slot);
        }
        for slot in 0..self.internal_exp.slots() {
            self.internal_exp.enqueue(&mut self.queues, slot);
        }
    }

    /// Takes an element out of its queue for good; a destroyed entry goes with it.
    pub(super) fn release(&mut self, id: NodeId) {
        let Some((element, _)) = self.queues.get(id) else {
            return;
        };
        self.queues.remove(id);
        match element {
            Element::Conntrack(slot) => self.internal.released(slot),
            Element::Expect(slot) => self.internal_exp.released(slot),
            Element::Control { .. } => {}
        }
    }

    /// Calls `each` for the resend queue's elements with a sequence number in `from..=to`. The queue is in sending order,
    /// so the first later element ends the walk.
    fn in_range(&mut self, from: u32, to: u32, each: impl Fn(&mut Self, NodeId)) {
        let mut at = self.queues.first(List::Resend);
        while let Some(id) = at {
            at = self.queues.after(id);
            let Some((_, sequence)) = self.queues.get(id) else {
                return;
            };
            if before(sequence, from) {
                continue;
            }
            if before(to, sequence) {
                return;
            }
            each(self, id);
        }
    }

    /// The peer has the messages `from..=to`.
    pub(super) fn acknowledged(&mut self, from: u32, to: u32) {
        self.in_range(from, to, Self::release);
    }

    /// The peer lacks the messages `from..=to`: send their objects again, with current state and new numbers.
    pub(super) fn missing(&mut self, from: u32, to: u32) {
        self.in_range(from, to, |engine, id| {
            engine.queues.move_to(id, List::Transmit);
        });
    }

    /// Fills one datagram from the transmit queue.
    pub(super) fn next_datagram(&mut self, now: Instant) -> Option<Output> {
        if self.mode.converses() && self.queues.len(List::Transmit) > 0 {
            self.timers.alive = Some(now + ALIVE);
        }
        if self.links.get(self.active_link).is_some_and(|l| l.busy) {
            return None;
        }
        if self.queues.is_lone(F_ACK) {
            let timers = &mut self.timers;
            timers.ack_waits = timers.ack.is_some_and(|at| now < at);
            if timers.ack_waits {
                return None;
            }
            timers.ack = Some(now + BETWEEN_ACKS);
        }
        let limit = self.payload_limit();
        while let Some(id) = self.queues.first(List::Transmit) {
            if !self.build(id) {
                continue;
            }
            if self.message.len() >= limit {
                self.skip_too_long(id);
                continue;
            }
            self.sent(id);
            if let Some(full) = self.append_message(limit) {
                return Some(full);
            }
        }
        if self.datagram.is_empty() {
            return None;
        }
        Some(Output::Transmit {
            link: LinkIndex(self.active_link),
            bytes: core::mem::take(&mut self.datagram),
        })
    }

    /// A datagram of the active link is shorter than this.
    pub(super) fn payload_limit(&self) -> usize {
        let link = self.config.links.get(self.active_link);
        link.map_or(0, |link| usize::from(link.payload_limit))
    }

    /// Puts the built message, which is shorter than `limit`, into the datagram that is being filled; gives back a full one.
    pub(super) fn append_message(&mut self, limit: usize) -> Option<Output> {
        if self.datagram.is_empty() {
            self.datagram.reserve_exact(limit);
        }
        if self.datagram.len().saturating_add(self.message.len()) < limit {
            self.datagram.extend_from_slice(&self.message);
            return None;
        }
        let mut next = alloc::vec::Vec::with_capacity(limit);
        next.extend_from_slice(&self.message);
        Some(Output::Transmit {
            link: LinkIndex(self.active_link),
            bytes: core::mem::replace(&mut self.datagram, next),
        })
    }

    /// Builds the message of an element with the next sequence number; `false` when there is nothing to send for it.
    fn build(&mut self, id: NodeId) -> bool {
        let Some((element, _)) = self.queues.get(id) else {
            return false;
        };
        self.message.clear();
        let mut header = Header {
            version: VERSION,
            sequence: self.next_sequence,
            ..Header::default()
        };
        let built = match element {
            Element::Control { flags, from, to } => {
                header.kind = CTL;
                header.flags = flags | self.mode.greet();
                header.from = from;
                header.to = to;
                header.encode_control(&mut self.message);
                self.queues.set_sent(id, self.next_sequence, header.flags);
                Ok(())
            }
            Element::Conntrack(slot) => match self.internal.get(slot) {
                Some(entry) => {
                    header.flags = self.mode.greet();
                    header.kind = match entry.state {
                        State::New => CT_NEW,
                        State::Alive => CT_UPD,
                        State::Dead => CT_DEL,
                    };
                    self.codec
                        .conntrack(&mut self.message, header, &entry.object)
                }
                None => Err(0),
            },
            Element::Expect(slot) => match self.internal_exp.get(slot) {
                Some(entry) => {
                    header.flags = self.mode.greet();
                    header.kind = match entry.state {
                        State::New => EXP_NEW,
                        State::Alive => EXP_UPD,
                        State::Dead => EXP_DEL,
                    };
                    self.codec.expect(&mut self.message, header, &entry.object)
                }
                None => Err(0),
            },
        };
        match built {
            Ok(()) => true,
            Err(bytes) => {
                if bytes > 0 {
                    self.message.resize(bytes, 0);
                    self.skip_too_long(id);
                } else {
                    self.queues.remove(id);
                }
                false
            }
        }
    }

    /// A message that no datagram of this link can hold. (The original would loop for ever over it.)
    fn skip_too_long(&mut self, id: NodeId) {
        self.network.send_malformed = self.network.send_malformed.wrapping_add(1);
        self.log(Notice::MessageTooLong {
            bytes: self.message.len(),
        });
        self.release(id);
    }

    /// The message of `id` is on its way: number it, and keep it for the case that it gets lost.
    fn sent(&mut self, id: NodeId) {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        let kept = match self.queues.get(id) {
            Some((Element::Control { flags, .. }, _)) => flags & (F_ACK | F_NACK | F_RESYNC) != 0,
            Some(_) => {
                self.queues.set_sent(id, sequence, 0);
                true
            }
            None => return,
        };
        if !kept || !self.mode.resends() {
            self.release(id);
            return;
        }
        if self.queues.len(List::Resend) >= self.queues.resend_max {
            self.queues.resend_full = self.queues.resend_full.wrapping_add(1);
            if let Some(oldest) = self.queues.first(List::Resend) {
                self.release(oldest);
            }
        }
        self.queues.move_to(id, List::Resend);
    }
}
