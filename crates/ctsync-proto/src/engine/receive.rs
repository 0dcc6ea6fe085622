//! Messages from the peer.

use net_types::{Duration, Instant};
use nfct::Known;

use super::Engine;
use crate::cache::{Cache, Object, State};
use crate::config::{LinkKind, Mode};
use crate::input::LinkIndex;
use crate::mode::Verdict;
use crate::notice::Notice;
use crate::wire::{
    CT_DEL, CT_NEW, CT_UPD, EXP_NEW, Frame, FrameError, Frames, VERSION, decode_conntrack,
    decode_expect,
};

impl Engine {
    pub(super) fn datagram_received(&mut self, now: Instant, link: LinkIndex, bytes: &[u8]) {
        let Some(l) = self.links.get_mut(link.0) else {
            return;
        };
        l.counters.received = l.counters.received.wrapping_add(1);
        l.counters.received_bytes = l
            .counters
            .received_bytes
            .wrapping_add(u64::try_from(bytes.len()).unwrap_or_default());
        let stream = self
            .config
            .links
            .get(link.0)
            .is_some_and(|c| c.kind == LinkKind::Tcp);
        if !stream {
            self.messages(now, link, bytes, false);
            return;
        }
        let mut pending = core::mem::take(&mut l.partial);
        if pending.is_empty() {
            pending = self.messages(now, link, bytes, true).to_vec();
        } else {
            pending.extend_from_slice(bytes);
            let left = self.messages(now, link, &pending, true).len();
            let done = pending.len().saturating_sub(left);
            pending.drain(..done);
        }
        if let Some(l) = self.links.get_mut(link.0) {
            l.partial = pending;
        }
    }

    /// Handles the messages in `bytes`; what a stream may still complete is returned.
    fn messages<'a>(
        &mut self,
        now: Instant,
        link: LinkIndex,
        bytes: &'a [u8],
        stream: bool,
    ) -> &'a [u8] {
        let mut frames = Frames::new(bytes);
        while let Some(frame) = frames.next_frame() {
            match frame {
                Ok(frame) => self.message_received(now, link, &frame),
                Err(error) if stream && error.is_incomplete() => return frames.rest(),
                Err(error) => {
                    let n = &mut self.network;
                    n.malformed = n.malformed.wrapping_add(1);
                    match error {
                        FrameError::Truncated => n.truncated = n.truncated.wrapping_add(1),
                        FrameError::Overlong | FrameError::BadSize => {
                            n.bad_size = n.bad_size.wrapping_add(1);
                        }
                    }
                    return &[];
                }
            }
        }
        &[]
    }

    /// conntrackd-behaviour.md 4.6, steps 2 to 7.
    fn message_received(&mut self, now: Instant, link: LinkIndex, frame: &Frame<'_>) {
        let header = &frame.header;
        if header.version != VERSION {
            self.network.malformed = self.network.malformed.wrapping_add(1);
            self.network.bad_version = self.network.bad_version.wrapping_add(1);
            return;
        }
        let mut actions = core::mem::take(&mut self.actions);
        let verdict = self.mode.receive(
            now,
            header,
            &mut self.tracker,
            &mut self.network,
            &mut actions,
        );
        for action in actions.drain(..) {
            self.act(action);
        }
        self.actions = actions;
        match verdict {
            Verdict::Data => self.active_link = link.0,
            Verdict::Control => {
                self.active_link = link.0;
                return;
            }
            Verdict::Drop => return,
            Verdict::Bad => {
                self.network.malformed = self.network.malformed.wrapping_add(1);
                self.network.bad_header = self.network.bad_header.wrapping_add(1);
                return;
            }
            Verdict::UnknownType => {
                self.network.malformed = self.network.malformed.wrapping_add(1);
                self.network.bad_type = self.network.bad_type.wrapping_add(1);
                return;
            }
        }
        let life = match self.config.mode {
            Mode::Alarm { cache_timeout, .. } => {
                Some(now + Duration::from_secs(u64::from(cache_timeout)))
            }
            _ => None,
        };
        if self.config.disable_external_cache {
            self.straight_to_kernel(header.kind, frame.body);
            return;
        }
        let seconds = self.seconds(now);
        let applied = match header.kind {
            CT_NEW | CT_UPD | CT_DEL => decode_conntrack(frame.body, self.codec.order).map(|ct| {
                if !ct.orig.known.has(Known::L3) {
                    self.log(Notice::UnknownLayer3);
                }
                let slot = apply(&mut self.external, header.kind, ct, seconds);
                (slot, 0)
            }),
            _ => decode_expect(frame.body).map(|exp| {
                let kind = header.kind.saturating_sub(EXP_NEW);
                (apply(&mut self.external_exp, kind, exp, seconds), 1)
            }),
        };
        match (applied, life) {
            (Ok((Some(slot), cache)), Some(end)) => {
                if let Some(list) = self.expiry.get_mut(cache) {
                    list.set(slot, end);
                }
            }
            (Ok(_), _) => {}
            (Err(_), _) => self.bad_payload(),
        }
    }

    /// A state that is not cached.
    fn straight_to_kernel(&mut self, kind: u8, body: &[u8]) {
        if matches!(kind, CT_NEW | CT_UPD | CT_DEL) {
            match decode_conntrack(body, self.codec.order) {
                Ok(ct) => self.inject(kind, ct),
                Err(_) => self.bad_payload(),
            }
        } else {
            match decode_expect(body) {
                Ok(exp) => self.inject_expect(kind, exp),
                Err(_) => self.bad_payload(),
            }
        }
    }

    fn bad_payload(&mut self) {
        self.network.malformed = self.network.malformed.wrapping_add(1);
        self.network.bad_payload = self.network.bad_payload.wrapping_add(1);
    }
}

/// What a message does to the external cache; the slot of an entry that was added or updated.
fn apply<T: Object>(cache: &mut Cache<T>, kind: u8, object: T, now: u32) -> Option<u32> {
    let found = cache.find(&object);
    match (kind, found) {
        (CT_DEL, Some(slot)) => {
            cache.remove(slot);
            None
        }
        (CT_DEL, None) => None,
        (CT_UPD, Some(slot)) => {
            if let Some(entry) = cache.get_mut(slot).filter(|e| e.state != State::Dead) {
                entry.object.merge(object);
                cache.updated(slot, now, 0);
            }
            Some(slot)
        }
        (_, found) => {
            if let Some(slot) = found {
                cache.remove(slot);
            }
            cache.add(object, now, 0)
        }
    }
}
