//! All deadlines of a router in one table, so that a test can read them and the shell needs one timer.

use alloc::collections::{BTreeMap, BTreeSet};

use net_types::Instant;

use crate::config::{IfId, InstanceId};

/// What a deadline is for. The order decides among deadlines of the same microsecond.
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

/// The table. A timer has one deadline ([`Self::set`]) or several ([`Self::add`]).
#[derive(Debug, Default)]
pub(crate) struct Timers {
    order: BTreeSet<(Instant, Timer)>,
    single: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Gives `timer` this deadline instead of the one it had.
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        if let Some(old) = self.single.insert(timer, at) {
            self.order.remove(&(old, timer));
        }
        self.order.insert((at, timer));
    }

    /// Gives `timer` one more deadline.
    pub(crate) fn add(&mut self, timer: Timer, at: Instant) {
        self.order.insert((at, timer));
    }

    /// Takes the deadline given by [`Self::set`] away.
    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(old) = self.single.remove(&timer) {
            self.order.remove(&(old, timer));
        }
    }

    /// The deadline given by [`Self::set`].
    pub(crate) fn get(&self, timer: Timer) -> Option<Instant> {
        self.single.get(&timer).copied()
    }

    /// The nearest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.first().map(|&(at, _)| at)
    }

    /// All deadlines in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Instant, Timer)> + '_ {
        self.order.iter().copied()
    }

    /// Removes and returns the nearest deadline that is not after `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        let &(at, timer) = self.order.first()?;
        if at > now {
            return None;
        }
        self.order.remove(&(at, timer));
        if self.single.get(&timer) == Some(&at) {
            self.single.remove(&timer);
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
}
