//! How long a server may take.

use net_types::{Duration, Instant};

/// A whole conversation may take as long as so many answers that come at the last moment,
const ANSWERS: u64 = 20;
/// or this, if that is longer.
const LEAST: Duration = Duration::from_secs(60);

/// Each piece of an answer has its own time, as in the original; all of them together have an end, so that a server that lets
/// one byte drip at a time can not put off the verdict for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    timeout: Duration,
    end: Instant,
}

impl Patience {
    pub(crate) fn new(now: Instant, timeout: Duration) -> Self {
        let whole = timeout.saturating_mul(ANSWERS).max(LEAST);
        Self {
            timeout,
            end: now + whole,
        }
    }

    /// Until when the next piece has to come.
    pub(crate) fn until(&self, now: Instant) -> Instant {
        (now + self.timeout).min(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_come_to_an_end() {
        let at = |secs: u64| Instant::from_micros(secs * 1_000_000);
        let patience = Patience::new(at(0), Duration::from_secs(5));
        assert_eq!(patience.until(at(0)), at(5));
        assert_eq!(patience.until(at(90)), at(95));
        assert_eq!(patience.until(at(97)), at(100));
        let short = Patience::new(at(0), Duration::from_secs(1));
        assert_eq!(short.until(at(59)), at(60));
    }
}
