//! Memory back to the system after a full table has emptied.
//!
//! The engine frees all of a cache when its last entry goes; the C library keeps what it was given back until it is asked.

use linux_io::process;
use net_types::{Duration, Instant};

/// Entries below which there is nothing worth the work.
const MANY: u32 = 4096;
/// Entries that are gone stay until the peer has confirmed that, which takes it a second or so.
const CONFIRMED: Duration = Duration::from_secs(3);

/// Watches the number of entries.
#[derive(Debug, Default)]
pub struct Trim {
    most: u32,
    at: Option<Instant>,
}

impl Trim {
    /// When [`look`](Self::look) has something to do.
    pub const fn next_timeout(&self) -> Option<Instant> {
        self.at
    }

    /// Takes note of the number of entries in all caches, and gives memory back when its time has come.
    pub fn look(&mut self, now: Instant, entries: u32) {
        if self.due(now, entries) {
            process::trim_memory();
        }
    }

    fn due(&mut self, now: Instant, entries: u32) -> bool {
        self.most = self.most.max(entries);
        if self.most < MANY || entries > 0 {
            self.at = None;
            return false;
        }
        let at = *self.at.get_or_insert(now + CONFIRMED);
        if now < at {
            return false;
        }
        *self = Self::default();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_emptied_full_table_is_worth_it() {
        let mut trim = Trim::default();
        let at = |secs: u64| Instant::from_micros(secs * 1_000_000);
        assert!(!trim.due(at(1), 10) && !trim.due(at(2), 0) && !trim.due(at(9), 0));
        assert!(!trim.due(at(10), MANY) && trim.next_timeout().is_none());
        assert!(!trim.due(at(11), 0));
        assert_eq!(trim.next_timeout(), Some(at(14)));
        assert!(!trim.due(at(12), 1), "it fills again");
        assert_eq!(trim.next_timeout(), None);
        assert!(!trim.due(at(13), 0) && trim.due(at(16), 0));
        assert!(!trim.due(at(30), 0), "once");
    }
}
