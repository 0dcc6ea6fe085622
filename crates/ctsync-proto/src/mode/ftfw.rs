//! FTFW: reliable replication (conntrackd-behaviour.md 5.1).
//!
//! ```text
//!  greeting:  INIT ──first send──▶ SAY (every message carries HELLO) ──HELLO_BACK received──▶ DONE
//!  receiving: window counts down from its size; at 0, at a gap, and each second something is pending, an ACK goes out
//! ```

use alloc::vec::Vec;

use net_types::{Duration, Instant};

use super::{Action, Place, Tracker, Verdict};
use crate::stats::NetworkCounters;
use crate::wire::{F_ACK, F_ALIVE, F_HELLO, F_HELLO_BACK, F_NACK, F_RESYNC, Header, before};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    Init,
    Say,
    Done,
}

/// State of the reliable mode.
#[derive(Debug)]
pub(crate) struct Ftfw {
    greeting: Greeting,
    answer_hello: bool,
    /// First message that is not acknowledged yet.
    ack_from: Option<u32>,
    /// Messages until an acknowledgement is forced.
    window: u32,
    window_size: u32,
    /// Messages that all come too late, one after the other: since when, the first of them, and the last.
    late: Option<(Instant, u32, u32)>,
}

/// How long all of a peer's messages come too late before its numbers are believed. It sends one each second at least, so
/// that is not delay: it restarted while its greetings got lost, or a stranger's message pretended to be far ahead.
const LATE: Duration = Duration::from_secs(3);

impl Ftfw {
    pub(crate) fn new(window_size: u32) -> Self {
        Self {
            greeting: Greeting::Init,
            answer_hello: false,
            ack_from: None,
            window: window_size,
            window_size,
            late: None,
        }
    }

    /// Changes the messages until an acknowledgement is forced.
    pub(crate) fn resize_window(&mut self, size: u32) {
        self.window_size = size;
        self.window = self.window.min(size);
    }

    pub(super) fn greet(&mut self) -> u8 {
        let mut flags = 0;
        if self.greeting != Greeting::Done {
            self.greeting = Greeting::Say;
            flags |= F_HELLO;
        }
        if core::mem::take(&mut self.answer_hello) {
            flags |= F_HELLO_BACK;
        }
        flags
    }

    pub(super) fn alive(&mut self, tracker: &Tracker) -> Action {
        if let (Some(from), Some(to)) = (self.ack_from, tracker.last) {
            self.ack_from = None;
            return ack(from, to);
        }
        Action::Send {
            flags: F_ALIVE,
            from: 0,
            to: 0,
        }
    }

    pub(super) fn receive(
        &mut self,
        now: Instant,
        header: &Header,
        tracker: &mut Tracker,
        counters: &mut NetworkCounters,
        actions: &mut Vec<Action>,
    ) -> Verdict {
        let sequence = header.sequence;
        if header.flags & F_HELLO_BACK != 0 && self.greeting == Greeting::Say {
            self.greeting = Greeting::Done;
        }
        let place = if header.flags & F_HELLO != 0 {
            self.answer_hello = true;
            // The peer has started anew: it knows nothing of the window, nor of what we wait for it to acknowledge.
            if self.ack_from.is_some_and(|from| before(sequence, from)) {
                self.restart_window(sequence);
            }
            actions.push(Action::ClearResend);
            Place::InOrder
        } else {
            tracker.place(sequence, counters)
        };
        if place == Place::Before {
            let Some(first) = self.too_late(now, sequence) else {
                return Verdict::Drop;
            };
            // Follow the peer from here on, and ask for what was dropped meanwhile.
            if before(first, sequence) {
                actions.push(Action::Send {
                    flags: F_NACK,
                    from: first,
                    to: sequence.wrapping_sub(1),
                });
            }
            self.restart_window(sequence);
        }
        self.late = None;
        let Some(verdict) = process(header, actions) else {
            return Verdict::Bad;
        };
        if let Place::After { expected } = place {
            if let Some(from) = self.ack_from {
                actions.push(ack(from, expected.wrapping_sub(1)));
            }
            actions.push(Action::Send {
                flags: F_NACK,
                from: expected,
                to: sequence.wrapping_sub(1),
            });
            self.restart_window(sequence);
        } else {
            let from = *self.ack_from.get_or_insert(sequence);
            self.window = self.window.saturating_sub(1);
            if self.window == 0 {
                actions.push(ack(from, sequence));
                self.window = self.window_size;
                self.ack_from = None;
            }
        }
        tracker.last = Some(sequence);
        verdict
    }

    /// A message that is too late by its number; the first of those in a row when it is time to believe them.
    fn too_late(&mut self, now: Instant, sequence: u32) -> Option<u32> {
        let (since, first) = match self.late {
            Some((since, first, last)) if before(last, sequence) => (since, first),
            _ => (now, sequence),
        };
        self.late = Some((since, first, sequence));
        (now.since(since) >= LATE).then_some(first)
    }

    /// A new window of which `sequence` is the first message.
    fn restart_window(&mut self, sequence: u32) {
        self.window = self.window_size.saturating_sub(1);
        self.ack_from = Some(sequence);
    }
}

fn ack(from: u32, to: u32) -> Action {
    Action::Send {
        flags: F_ACK,
        from,
        to,
    }
}

/// What an accepted message says; `None` when it makes no sense.
fn process(header: &Header, actions: &mut Vec<Action>) -> Option<Verdict> {
    if header.is_data() {
        return Some(Verdict::Data);
    }
    let (from, to) = (header.from, header.to);
    if header.is_control(F_ACK) {
        if before(to, from) {
            return None;
        }
        actions.push(Action::Acknowledged { from, to });
    } else if header.is_control(F_NACK) {
        if before(to, from) {
            return None;
        }
        actions.push(Action::Missing { from, to });
    } else if header.is_control(F_RESYNC) {
        actions.push(Action::SendAll);
    } else if !header.is_control(F_ALIVE) {
        return None;
    }
    Some(Verdict::Control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{CT_NEW, CTL};
    use alloc::vec;

    struct Node {
        mode: Ftfw,
        tracker: Tracker,
        counters: NetworkCounters,
        now: Instant,
    }

    impl Node {
        fn new(window: u32) -> Self {
            Self {
                mode: Ftfw::new(window),
                tracker: Tracker::default(),
                counters: NetworkCounters::default(),
                now: Instant::from_micros(0),
            }
        }

        fn get(&mut self, kind: u8, flags: u8, sequence: u32) -> (Verdict, Vec<Action>) {
            self.range(kind, flags, sequence, 0, 0)
        }

        fn range(
            &mut self,
            kind: u8,
            flags: u8,
            sequence: u32,
            from: u32,
            to: u32,
        ) -> (Verdict, Vec<Action>) {
            let header = Header {
                version: 1,
                kind,
                flags,
                sequence,
                from,
                to,
            };
            let mut actions = Vec::new();
            let verdict = self.mode.receive(
                self.now,
                &header,
                &mut self.tracker,
                &mut self.counters,
                &mut actions,
            );
            (verdict, actions)
        }
    }

    fn send(flags: u8, from: u32, to: u32) -> Action {
        Action::Send { flags, from, to }
    }

    #[test]
    fn what_makes_no_sense_is_bad_and_not_remembered() {
        let mut n = Node::new(300);
        for (kind, flags) in [
            (7, 0),
            (15, 0),
            (CTL, 0),
            (CT_NEW, 0x01),
            (CT_NEW, 0x80),
            (CT_NEW, F_ACK),
        ] {
            assert_eq!(
                n.get(kind, flags, 5),
                (Verdict::Bad, vec![]),
                "type {kind} flags {flags:#x}"
            );
        }
        assert_eq!(n.range(CTL, F_ACK, 5, 9, 8), (Verdict::Bad, vec![]));
        assert_eq!(n.tracker.last, None);
    }

    #[test]
    fn order_gap_and_delay() {
        let mut n = Node::new(300);
        assert_eq!(n.get(CT_NEW, 0, 100), (Verdict::Data, vec![]));
        assert_eq!(n.get(CT_NEW, 0, 101), (Verdict::Data, vec![]));
        // 102 to 107 are missing: six, counted as eight.
        assert_eq!(
            n.get(CT_NEW, 0, 108),
            (
                Verdict::Data,
                vec![send(F_ACK, 100, 101), send(F_NACK, 102, 107)]
            )
        );
        assert_eq!(n.counters.lost, 8);
        assert_eq!(n.get(CT_NEW, 0, 103), (Verdict::Drop, vec![]));
        assert_eq!(n.counters.before, 1);
        assert_eq!(n.mode.alive(&n.tracker), send(F_ACK, 108, 108));
        assert_eq!(n.mode.alive(&n.tracker), send(F_ALIVE, 0, 0));
        // A gap with nothing to acknowledge only asks.
        assert_eq!(
            n.get(CTL, F_ALIVE, 110),
            (Verdict::Control, vec![send(F_NACK, 109, 109)])
        );
    }

    #[test]
    fn a_full_window_is_acknowledged() {
        let mut n = Node::new(3);
        assert_eq!(n.get(CT_NEW, 0, u32::MAX - 1).1, vec![]);
        assert_eq!(n.get(CT_NEW, 0, u32::MAX).1, vec![]);
        assert_eq!(n.get(CT_NEW, 0, 0).1, vec![send(F_ACK, u32::MAX - 1, 0)]);
        assert_eq!(n.get(CT_NEW, 0, 1).1, vec![]);
        assert_eq!(n.mode.alive(&n.tracker), send(F_ACK, 1, 1));
    }

    #[test]
    fn control_messages_do_what_they_say() {
        let mut n = Node::new(300);
        assert_eq!(
            n.range(CTL, F_ACK, 1, 5, 9),
            (
                Verdict::Control,
                vec![Action::Acknowledged { from: 5, to: 9 }]
            )
        );
        assert_eq!(
            n.range(CTL, F_NACK, 2, 5, 9).1,
            vec![Action::Missing { from: 5, to: 9 }]
        );
        assert_eq!(n.range(CTL, F_RESYNC, 3, 0, 0).1, vec![Action::SendAll]);
    }

    #[test]
    fn greeting() {
        let mut a = Node::new(300);
        assert_eq!(a.mode.greet(), F_HELLO);
        assert_eq!(a.mode.greet(), F_HELLO);
        // The peer greets, too: answer once, and go on greeting until answered.
        assert_eq!(
            a.get(CTL, F_ALIVE | F_HELLO, 50),
            (Verdict::Control, vec![Action::ClearResend])
        );
        assert_eq!(a.mode.greet(), F_HELLO | F_HELLO_BACK);
        a.range(CTL, F_ACK | F_HELLO_BACK, 51, 1, 1);
        assert_eq!(a.mode.greet(), 0);
        // A peer that restarted with lower numbers is followed at once.
        a.get(CT_NEW, 0, 52);
        assert_eq!(
            a.get(CT_NEW, F_HELLO, 7),
            (Verdict::Data, vec![Action::ClearResend])
        );
        assert_eq!(a.tracker.last, Some(7));
        assert_eq!(a.mode.alive(&a.tracker), send(F_ACK, 7, 7));
    }

    #[test]
    fn numbers_that_stay_behind_are_believed_in_the_end() {
        let mut n = Node::new(300);
        n.get(CT_NEW, 0, 5000);
        // Late ones among those in order are only late.
        for second in 0..10 {
            n.now = Instant::from_micros(second * 1_000_000);
            assert_eq!(n.get(CT_NEW, 0, 100).0, Verdict::Drop);
            let next = 5001 + u32::try_from(second).unwrap();
            assert_eq!(n.get(CT_NEW, 0, next).0, Verdict::Data);
        }
        // A peer that has nothing else to say.
        for (millis, sequence) in [(0, 100), (1000, 101), (2000, 103), (2999, 104)] {
            n.now = Instant::from_micros((20_000 + millis) * 1000);
            assert_eq!(n.get(CTL, F_ALIVE, sequence), (Verdict::Drop, vec![]));
        }
        n.now = Instant::from_micros(23_000_000);
        assert_eq!(
            n.get(CT_NEW, 0, 105),
            (Verdict::Data, vec![send(F_NACK, 100, 104)])
        );
        assert_eq!(n.get(CT_NEW, 0, 106), (Verdict::Data, vec![]));
        assert_eq!(n.mode.alive(&n.tracker), send(F_ACK, 105, 106));
    }
}
