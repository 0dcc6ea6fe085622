//! How soon a child that died is started again.

use net_types::{Duration, Instant};

/// A child that ran this long did not die of starting.
const LONG_ENOUGH: Duration = Duration::from_secs(60);
/// Longest delay, in seconds.
const MAX: u32 = 60;

/// The delay before the next start: none the first time, then 1, 2, 4 … 32, 60, 60 seconds; none again after a child
/// ran for a minute (keepalived 2.3.3 lib/scheduler.c).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    next: u32,
}

impl Backoff {
    /// Seconds to wait before the child that was started at `started` and died at `now` is started again; `None` when
    /// it ran so long that nothing needs to be limited.
    pub(super) fn after_death(&mut self, started: Instant, now: Instant) -> Option<u32> {
        if now.since(started) >= LONG_ENOUGH {
            self.next = 0;
            return None;
        }
        let delay = self.next;
        self.next = match delay {
            0 => 1,
            n if n > MAX / 2 => MAX,
            n => n * 2,
        };
        Some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let t = Instant::ZERO;
        let delays: Vec<u32> = (0..9).filter_map(|_| backoff.after_death(t, t)).collect();
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
        let later = t + Duration::from_secs(60);
        assert_eq!(backoff.after_death(t, later), None);
        assert_eq!(backoff.after_death(t, t), Some(0));
        assert_eq!(backoff.after_death(t, t), Some(1));
    }
}
