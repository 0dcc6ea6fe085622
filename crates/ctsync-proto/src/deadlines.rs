//! Moments at which something is to happen to slots of a cache: one per slot.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use net_types::Instant;

/// Deadlines by slot. A slot that was emptied keeps its deadline until it passes or is set anew: look whether the slot
/// is in use.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    by_time: BTreeSet<(Instant, u32)>,
    by_slot: Vec<Option<Instant>>,
}

impl Deadlines {
    /// Sets a slot's only deadline.
    pub(crate) fn set(&mut self, slot: u32, at: Instant) {
        let Ok(index) = usize::try_from(slot) else {
            return;
        };
        if self.by_slot.len() <= index {
            self.by_slot.resize(index.saturating_add(1), None);
        }
        if let Some(place) = self.by_slot.get_mut(index) {
            if let Some(old) = place.replace(at) {
                self.by_time.remove(&(old, slot));
            }
            self.by_time.insert((at, slot));
        }
    }

    /// A slot's deadline.
    pub(crate) fn get(&self, slot: u32) -> Option<Instant> {
        *self.by_slot.get(usize::try_from(slot).ok()?)?
    }

    /// The nearest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes a slot whose deadline has passed.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u32> {
        if self.next()? > now {
            return None;
        }
        let (_, slot) = self.by_time.pop_first()?;
        if let Some(place) = usize::try_from(slot)
            .ok()
            .and_then(|i| self.by_slot.get_mut(i))
        {
            *place = None;
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_one_deadline() {
        let t = Instant::from_micros;
        let mut d = Deadlines::default();
        d.set(3, t(10));
        d.set(1, t(20));
        d.set(3, t(30));
        assert_eq!((d.next(), d.get(3)), (Some(t(20)), Some(t(30))));
        assert_eq!(d.due(t(19)), None);
        assert_eq!(
            (d.due(t(40)), d.due(t(40)), d.due(t(40))),
            (Some(1), Some(3), None)
        );
        assert_eq!(d.get(3), None);
    }
}
