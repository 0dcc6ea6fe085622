//! Tracked BFD sessions: down until the BFD process says otherwise.
//!
//! In: the configuration, events from the pipe. Out: sessions whose state changed, log lines.
//! Answers to: keepalived-behaviour.md section 9, keepalived 2.3.3 vrrp/vrrp_scheduler.c.

use std::collections::VecDeque;

use conf_parsers::keepalived::model::bfd::TrackedBfd;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::timer::monotonic_now;

use crate::ipc::{BfdEvent, BfdReceiver};

/// Events in one turn.
const AT_ONCE: usize = 64;

/// All tracked sessions of the process.
#[derive(Debug, Default)]
pub(super) struct Bfds {
    /// Name and state.
    sessions: Vec<(Box<str>, bool)>,
    pipe: Option<BfdReceiver>,
    waiting: VecDeque<BfdEvent>,
    detail: bool,
}

impl Bfds {
    /// Follows these sessions from now on; those that were known keep their state. `pipe` is taken if there is none yet.
    pub(super) fn configure(
        &mut self,
        tracked: &[TrackedBfd],
        pipe: &mut Option<BfdReceiver>,
        detail: bool,
    ) {
        let known = std::mem::take(&mut self.sessions);
        let state = |name: &str| known.iter().any(|(n, up)| **n == *name && *up);
        self.sessions = tracked
            .iter()
            .map(|t| (t.name.value.clone(), state(&t.name)))
            .collect();
        self.pipe = self.pipe.take().or_else(|| pipe.take());
        self.detail = detail;
    }

    /// Readable when there are events.
    pub(super) fn readable(&self) -> Option<&BfdReceiver> {
        self.pipe.as_ref()
    }

    /// Takes events from the pipe. `false` once there is none left.
    pub(super) fn take_news(&mut self) -> bool {
        let Some(pipe) = &self.pipe else {
            return false;
        };
        for _ in 0..AT_ONCE {
            match pipe.receive() {
                Ok(event) => self.waiting.push_back(event),
                // The parent holds the other end as well, so it is never closed.
                Err(_) => return false,
            }
        }
        true
    }

    /// The next session whose state has changed; the event is said before.
    pub(super) fn poll(&mut self) -> Option<(usize, bool)> {
        loop {
            let event = self.waiting.pop_front()?;
            if self.detail {
                let state = if event.up { "Up" } else { "Down" };
                let late = monotonic_now().since(event.sent).as_micros();
                log!(
                    Priority::Info,
                    "Received BFD event: instance {} is in state {state} (delivered in {late} usec)",
                    event.name
                );
            }
            let mut sessions = self.sessions.iter_mut().enumerate();
            let found = sessions.find(|(_, (name, _))| *name == event.name);
            if let Some((n, (_, up))) = found.filter(|(_, (_, up))| *up != event.up) {
                *up = event.up;
                return Some((n, event.up));
            }
        }
    }

    /// The process stops: what is said from now on has no effect.
    pub(super) fn stop(&mut self) {
        self.waiting.clear();
        self.sessions.clear();
    }

    /// Which sessions are up, in the order of the configuration.
    pub(super) fn states(&self) -> impl Iterator<Item = bool> + '_ {
        self.sessions.iter().map(|(_, up)| *up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::bfd_pipe;
    use conf_parsers::span::{Span, Spanned};
    use net_types::Instant;

    #[test]
    fn states_follow_events_and_outlive_a_reload() {
        let tracked = |names: &[&str]| -> Vec<TrackedBfd> {
            let one = |name: &&str| TrackedBfd {
                name: Spanned {
                    value: (*name).into(),
                    span: Span::default(),
                },
                weight: 0,
                reverse: false,
            };
            names.iter().map(one).collect()
        };
        let (sender, receiver) = bfd_pipe().unwrap();
        let mut bfds = Bfds::default();
        bfds.configure(&tracked(&["A", "B"]), &mut Some(receiver), true);
        assert_eq!(bfds.states().collect::<Vec<_>>(), [false, false]);
        for (name, up) in [
            ("A", false),
            ("B", true),
            ("C", true),
            ("B", true),
            ("A", true),
        ] {
            let sent = Instant::ZERO;
            let name = name.into();
            sender.send(&BfdEvent { name, up, sent }).unwrap();
        }
        assert!(!bfds.take_news());
        assert_eq!(bfds.poll(), Some((1, true)));
        bfds.configure(&tracked(&["B", "A"]), &mut None, true);
        assert_eq!(bfds.states().collect::<Vec<_>>(), [true, false]);
        assert_eq!(bfds.poll(), Some((1, true)));
        assert_eq!(bfds.poll(), None);
    }
}
