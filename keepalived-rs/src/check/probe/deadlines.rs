//! When which run is out of time.

use checker_proto::CheckerId;
use net_types::{Instant, SortedSet};

/// At most one deadline for each run, the nearest first.
#[derive(Debug, Default)]
pub(super) struct Deadlines(SortedSet<(u64, CheckerId)>);

impl Deadlines {
    /// The deadline of a run, in place of the one it had.
    pub(super) fn set(&mut self, id: CheckerId, before: Option<Instant>, deadline: Instant) {
        if let Some(before) = before {
            self.clear(id, before);
        }
        self.0.insert((deadline.as_micros(), id));
    }

    /// A run has none any more.
    pub(super) fn clear(&mut self, id: CheckerId, deadline: Instant) {
        self.0.remove(&(deadline.as_micros(), id));
    }

    /// The nearest.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| Instant::from_micros(*at))
    }

    /// Takes a run whose deadline has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<CheckerId> {
        let &(at, id) = self.0.first()?;
        if at > now.as_micros() {
            return None;
        }
        self.0.pop_first();
        Some(id)
    }
}
