//! All deadlines of a router in one table, so that a test can read them and the shell needs one timer.

use alloc::collections::BTreeSet;

use net_types::{Duration, Instant, SortedMap};

use crate::config::{IfId, InstanceId};

/// What a deadline is for. The order of the kinds decides among deadlines of the same microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// End of `vrrp_startup_delay`.
    Startup,
    /// A link change counts from now on.
    Link(IfId),
    /// MASTER: next advert. BACKUP: the master is down.
    Advert(InstanceId),
    /// Another address owner should have stopped by now.
    Rogue(InstanceId),
    /// Second burst after becoming master.
    SecondBurst(InstanceId),
    /// Second burst after a lower-priority advert.
    LowerBurst(InstanceId),
    /// `garp_master_refresh`.
    Refresh(InstanceId),
    /// `garp_extra_if`.
    Extra(InstanceId),
    /// The next queued message of a pacing group may go; `true` for NA.
    Pace(u16, bool),
}

impl Timer {
    /// Position of its kind.
    const fn kind(self) -> u8 {
        match self {
            Self::Startup => 0,
            Self::Link(_) => 1,
            Self::Advert(_) => 2,
            Self::Rogue(_) => 3,
            Self::SecondBurst(_) => 4,
            Self::LowerBurst(_) => 5,
            Self::Refresh(_) => 6,
            Self::Extra(_) => 7,
            Self::Pace(..) => 8,
        }
    }
}

/// Adverts that may be due in the same microsecond: they leave in one system call.
const TOGETHER: usize = 16;
/// How far groups of as many are kept apart: longer than one takes to leave, or each would be held up by the one before.
const APART: Duration = Duration::from_micros(500);

/// A place in the table: when, kind, number, what.
type Entry = (Instant, u8, u64, Timer);

/// The table. A timer has one deadline ([`Self::set`]) or several ([`Self::add`]).
#[derive(Debug, Default)]
pub(crate) struct Timers {
    order: BTreeSet<Entry>,
    /// By timer, once it was given a deadline; `None` when it has none now.
    single: SortedMap<Timer, Option<(Instant, u64)>>,
    /// Adverts that are due in the same microsecond go in the order in which their deadlines were given: in a group the member that
    /// came back first is the first to become master (as the original's timers, where equal ones are queued).
    given: u64,
}

impl Timers {
    /// Gives `timer` this deadline instead of the one it had.
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        let number = if let Timer::Advert(_) = timer {
            self.given = self.given.saturating_add(1);
            self.given
        } else {
            0
        };
        if let Some((old, number)) = self.single.or_default(timer).replace((at, number)) {
            self.order.remove(&(old, timer.kind(), number, timer));
        }
        self.order.insert((at, timer.kind(), number, timer));
    }

    /// When an advert that is wanted at `at` may go so that not too many are due in the same microsecond: then or a little later, at
    /// most half an `interval`. Instances that became master together would stay together for ever, and the last of each burst
    /// would leave at another time whenever the burst is held up.
    pub(crate) fn with_room(&self, at: Instant, interval: Duration) -> Instant {
        let last = at + Duration::from_micros(interval.as_micros() / 2);
        let crowded = |at: Instant| {
            let adverts = Timer::Advert(InstanceId(0)).kind();
            let first = (at, adverts, 0, Timer::Startup);
            let due = self.order.range(first..).take(TOGETHER);
            due.filter(|entry| entry.0 == at && entry.1 == adverts)
                .count()
                == TOGETHER
        };
        let mut free = at;
        while crowded(free) && free + APART <= last {
            free = free + APART;
        }
        free
    }

    /// Gives `timer` one more deadline.
    pub(crate) fn add(&mut self, timer: Timer, at: Instant) {
        self.order.insert((at, timer.kind(), 0, timer));
    }

    /// Takes the deadline given by [`Self::set`] away.
    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some((old, number)) = self.single.get_mut(&timer).and_then(Option::take) {
            self.order.remove(&(old, timer.kind(), number, timer));
        }
    }

    /// The deadline given by [`Self::set`].
    pub(crate) fn get(&self, timer: Timer) -> Option<Instant> {
        self.single.get(&timer)?.map(|(at, _)| at)
    }

    /// The nearest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|&(at, ..)| at)
    }

    /// All deadlines in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Instant, Timer)> + '_ {
        self.order.iter().map(|&(at, _, _, timer)| (at, timer))
    }

    /// Removes and returns the nearest deadline that is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        let &(at, kind, number, timer) = self.order.first()?;
        if at > now {
            return None;
        }
        self.order.remove(&(at, kind, number, timer));
        if let Some(single) = self.single.get_mut(&timer) {
            single.take_if(|own| *own == (at, number));
        }
        Some((at, timer))
    }

    /// Forgets everything.
    pub(crate) fn clear_all(&mut self) {
        self.order.clear();
        self.single.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use net_types::Duration;

    #[test]
    fn one_table_orders_all_deadlines() {
        let t = |n| Instant::from_micros(n);
        let id = InstanceId(3);
        let mut timers = Timers::default();
        timers.set(Timer::Advert(id), t(50));
        timers.set(Timer::Advert(id), t(20));
        timers.add(Timer::LowerBurst(id), t(20));
        timers.add(Timer::LowerBurst(id), t(30));
        assert_eq!(timers.next(), Some(t(20)));
        assert_eq!(timers.pop_due(t(19)), None);
        assert_eq!(timers.pop_due(t(20)), Some((t(20), Timer::Advert(id))));
        assert_eq!(timers.get(Timer::Advert(id)), None);
        assert_eq!(timers.pop_due(t(20)), Some((t(20), Timer::LowerBurst(id))));
        assert_eq!(timers.pop_due(t(20)), None);
        assert_eq!(timers.next(), Some(t(20) + Duration::from_micros(10)));
    }

    #[test]
    fn adverts_of_the_same_microsecond_are_spread() {
        let at = Instant::from_micros(1_000_000);
        let second = Duration::from_secs(1);
        let mut timers = Timers::default();
        for id in 0..40 {
            let free = timers.with_room(at, second);
            timers.set(Timer::Advert(InstanceId(id)), free);
        }
        let late = |n: u64| {
            timers
                .iter()
                .filter(move |(t, _)| t.since(at).as_micros() == n)
        };
        assert_eq!(
            [late(0).count(), late(500).count(), late(1000).count()],
            [16, 16, 8]
        );
        // A period later each finds its own place free.
        for (due, timer) in timers.iter().collect::<alloc::vec::Vec<_>>() {
            let next = due + second;
            assert_eq!(timers.with_room(next, second), next);
            timers.set(timer, next);
        }
        // There is no room without end.
        let mut timers = Timers::default();
        for id in 0..200 {
            let free = timers.with_room(at, Duration::from_micros(2_000));
            assert!(free.since(at).as_micros() <= 1_000);
            timers.set(Timer::Advert(InstanceId(id)), free);
        }
    }

    #[test]
    fn of_the_same_microsecond_the_first_given_is_the_first() {
        let at = Instant::from_micros(9);
        let mut timers = Timers::default();
        for id in [2, 0, 1, 2] {
            timers.set(Timer::Advert(InstanceId(id)), at);
        }
        timers.set(Timer::Startup, at);
        let order = core::iter::from_fn(|| timers.pop_due(at).map(|(_, t)| t));
        let order: alloc::vec::Vec<_> = order.collect();
        let adverts = [0, 1, 2].map(|id| Timer::Advert(InstanceId(id)));
        assert_eq!(order[0], Timer::Startup);
        assert_eq!(order[1..], adverts);
    }
}
