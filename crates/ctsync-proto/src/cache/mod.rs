//! A cache: entries in numbered slots with a hash over their flow.
//!
//! Slots live in pieces of fixed size, so that growing never copies and never doubles the memory. The index keeps the hash of each
//! entry beside its slot: when it grows with some hundred thousand entries, looking each of them up would take so long that the
//! kernel's events overrun their buffer meanwhile.

mod object;
mod told;

use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

pub(crate) use object::Object;

use crate::queue::NodeId;
use crate::stats::CacheCounters;

/// Entries per piece.
const PIECE: usize = 128;

/// State of an entry; it decides the type of the message that tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Added.
    New,
    /// Updated at least once.
    Alive,
    /// Destroyed, kept until the peer knows.
    Dead,
}

/// A cached object.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) object: T,
    /// Second of the engine's clock when it was added.
    pub(crate) created: u32,
    /// Second of the last addition or update.
    pub(crate) updated: u32,
    /// Its place in a queue.
    pub(crate) node: NodeId,
    pub(crate) state: State,
    /// Number (modulo 256) of the kernel dump that saw it last.
    pub(crate) round: u8,
}

#[derive(Debug)]
enum Slot<T> {
    Free(u32),
    Used(Entry<T>),
}

/// A cache of conntrack entries or expectations.
#[derive(Debug)]
pub(crate) struct Cache<T> {
    pieces: Vec<Vec<Slot<T>>>,
    free: u32,
    index: HashTable<Place>,
    hasher: FixedState,
    limit: u32,
    pub(crate) counters: CacheCounters,
}

const NIL: u32 = u32::MAX;

/// An entry of the index.
#[derive(Clone, Copy, Debug)]
struct Place {
    hash: u32,
    slot: u32,
}

impl Place {
    /// What the table wants: it looks at bits of both ends.
    fn wide(&self) -> u64 {
        wide(self.hash)
    }
}

fn wide(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

fn place(slot: u32) -> (usize, usize) {
    let slot = usize::try_from(slot).unwrap_or(usize::MAX);
    (slot / PIECE, slot % PIECE)
}

impl<T: Object> Cache<T> {
    pub(crate) fn new(limit: u32, seed: u64) -> Self {
        Self {
            pieces: Vec::new(),
            free: NIL,
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            limit,
            counters: CacheCounters::default(),
        }
    }

    /// Entries, the dead ones that wait for their acknowledgement included.
    pub(crate) fn total(&self) -> u32 {
        u32::try_from(self.index.len()).unwrap_or(u32::MAX)
    }

    /// Most entries.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Changes how many entries there may be; those that are there stay.
    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Slots ever used: the bound of a cursor over the cache.
    pub(crate) fn slots(&self) -> u32 {
        let full = self.pieces.len().saturating_sub(1).saturating_mul(PIECE);
        let last = self.pieces.last().map_or(0, Vec::len);
        u32::try_from(full.saturating_add(last)).unwrap_or(NIL)
    }

    fn slot(&self, slot: u32) -> Option<&Slot<T>> {
        let (piece, at) = place(slot);
        self.pieces.get(piece)?.get(at)
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut Slot<T>> {
        let (piece, at) = place(slot);
        self.pieces.get_mut(piece)?.get_mut(at)
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Entry<T>> {
        match self.slot(slot) {
            Some(Slot::Used(entry)) => Some(entry),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry<T>> {
        match self.slot_mut(slot) {
            Some(Slot::Used(entry)) => Some(entry),
            _ => None,
        }
    }

    /// The slot of the entry of the same flow.
    pub(crate) fn find(&self, object: &T) -> Option<u32> {
        self.find_hashed(object, self.hash(object))
    }

    fn find_hashed(&self, object: &T, hash: u32) -> Option<u32> {
        let same = |place: &Place| {
            place.hash == hash && self.get(place.slot).is_some_and(|e| e.object.same(object))
        };
        Some(self.index.find(wide(hash), same)?.slot)
    }

    fn hash(&self, object: &T) -> u32 {
        let hash = object.hash(&self.hasher);
        u32::try_from(hash >> 32).unwrap_or_default()
    }

    /// Adds an object whose flow is not cached. `None`, counted, when the cache is full.
    pub(crate) fn add(&mut self, object: T, now: u32, round: u8) -> Option<u32> {
        let hash = self.hash(&object);
        self.add_hashed(object, hash, now, round)
    }

    fn add_hashed(&mut self, object: T, hash: u32, now: u32, round: u8) -> Option<u32> {
        if self.total() >= self.limit {
            self.counters.add_fail = self.counters.add_fail.wrapping_add(1);
            self.counters.add_fail_full = self.counters.add_fail_full.wrapping_add(1);
            return None;
        }
        let entry = Slot::Used(Entry {
            object,
            created: now,
            updated: now,
            node: NodeId::NONE,
            state: State::New,
            round,
        });
        let slot = self.take_slot(entry);
        self.index
            .insert_unique(wide(hash), Place { hash, slot }, Place::wide);
        self.counters.add_ok = self.counters.add_ok.wrapping_add(1);
        self.counters.active = self.counters.active.saturating_add(1);
        Some(slot)
    }

    /// Makes room in the index for this many entries more, within the limit, so that it grows once and not step by step.
    pub(crate) fn expect_more(&mut self, entries: u32) {
        let room = entries.min(self.limit.saturating_sub(self.total()));
        self.index
            .reserve(usize::try_from(room).unwrap_or(0), Place::wide);
    }

    fn take_slot(&mut self, value: Slot<T>) -> u32 {
        if let Some(Slot::Free(next)) = self.slot(self.free) {
            let (slot, next) = (self.free, *next);
            self.free = next;
            if let Some(place) = self.slot_mut(slot) {
                *place = value;
            }
            return slot;
        }
        let slot = self.slots();
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(value),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(value);
                self.pieces.push(piece);
            }
        }
        slot
    }

    /// Counts a live entry as updated and marks it.
    pub(crate) fn updated(&mut self, slot: u32, now: u32, round: u8) {
        if let Some(entry) = self.get_mut(slot) {
            entry.updated = now;
            entry.state = State::Alive;
            entry.round = round;
            self.counters.upd_ok = self.counters.upd_ok.wrapping_add(1);
        }
    }

    /// Marks a live entry as destroyed; it stays until it is removed.
    pub(crate) fn set_dead(&mut self, slot: u32) {
        if let Some(entry) = self.get_mut(slot).filter(|e| e.state != State::Dead) {
            entry.state = State::Dead;
            self.count_destroyed();
        }
    }

    fn count_destroyed(&mut self) {
        self.counters.del_ok = self.counters.del_ok.wrapping_add(1);
        self.counters.active = self.counters.active.saturating_sub(1);
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Entry<T>> {
        let hash = self.hash(&self.get(slot)?.object);
        let found = self.index.find_entry(wide(hash), |p| p.slot == slot);
        if let Ok(found) = found {
            found.remove();
        }
        let free = Slot::Free(self.free);
        let Some(Slot::Used(entry)) = self
            .slot_mut(slot)
            .map(|place| core::mem::replace(place, free))
        else {
            return None;
        };
        self.free = slot;
        if entry.state != State::Dead {
            self.count_destroyed();
        }
        if self.index.is_empty() {
            // Give the memory back after a flush or a quiet night.
            self.pieces = Vec::new();
            self.free = NIL;
            self.index = HashTable::new();
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nfct::{Conntrack, Tuple, proto};

    fn flow(n: u16) -> Conntrack {
        let mut t = Tuple::new(
            "10.0.0.1".parse().unwrap(),
            "10.0.0.2".parse().unwrap(),
            proto::UDP,
        )
        .unwrap();
        t.set_ports(n, 53);
        Conntrack::with_orig(t)
    }

    #[test]
    fn slots_are_found_removed_and_used_again() {
        let mut cache = Cache::new(1000, 1);
        let slots: Vec<u32> = (0..300)
            .map(|n| cache.add(flow(n), 5, 0).unwrap())
            .collect();
        assert_eq!(cache.find(&flow(299)), Some(slots[299]));
        cache.remove(slots[7]).unwrap();
        assert_eq!(cache.find(&flow(7)), None);
        assert_eq!(cache.add(flow(1000), 6, 0), Some(slots[7]));
        assert_eq!((cache.total(), cache.counters.active), (300, 300));
        assert_eq!(cache.slots(), 300);
        for slot in slots {
            cache.remove(slot);
        }
        assert_eq!((cache.total(), cache.slots()), (0, 0));
    }

    #[test]
    fn a_full_cache_refuses_and_counts() {
        let mut cache = Cache::new(2, 1);
        for n in 0..3 {
            cache.add(flow(n), 0, 0);
        }
        assert_eq!((cache.total(), cache.counters.add_fail_full), (2, 1));
    }

    #[test]
    fn zones_keep_equal_tuples_apart() {
        let mut cache = Cache::new(10, 1);
        let mut zoned = flow(1);
        zoned.set_zone(7);
        cache.add(flow(1), 0, 0);
        assert_eq!(cache.find(&zoned), None);
    }

    #[test]
    fn an_entry_is_small() {
        assert!(
            size_of::<Slot<Conntrack>>() <= 152,
            "{}",
            size_of::<Slot<Conntrack>>()
        );
    }
}
