//! What a cache needs to know of the things in it.

use core::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use nfct::{Conntrack, ExpAttr, Expect, Tuple};

use crate::queue::Element;

/// A cacheable thing.
pub(crate) trait Object: Clone {
    /// Hash of what makes two objects the same flow.
    fn hash(&self, state: &FixedState) -> u64;
    /// Whether both are the same flow.
    fn same(&self, other: &Self) -> bool;
    /// Takes over what a newer message says.
    fn merge(&mut self, newer: Self);
    /// What stands in a queue for the entry of `slot`.
    fn element(slot: u32) -> Element;
}

fn tuple(hasher: &mut impl Hasher, t: &Tuple) {
    if t.l3 == 2 {
        hasher.write_u32(u32::from_ne_bytes(t.src4()));
        hasher.write_u32(u32::from_ne_bytes(t.dst4()));
    } else {
        hasher.write_u128(u128::from_ne_bytes(t.src));
        hasher.write_u128(u128::from_ne_bytes(t.dst));
    }
    let [a, b] = t.sport.to_ne_bytes();
    let [c, d] = t.dport.to_ne_bytes();
    hasher.write_u32(u32::from_ne_bytes([a, b, c, d]));
}

/// A flow is its original tuple and its zone. (The original leaves the zone out of the comparison: behaviour 15.)
impl Object for Conntrack {
    fn hash(&self, state: &FixedState) -> u64 {
        let mut hasher = state.build_hasher();
        tuple(&mut hasher, &self.orig);
        let [a, b] = self.zone().unwrap_or_default().to_ne_bytes();
        hasher.write_u32(u32::from_ne_bytes([self.orig.l3, self.orig.l4, a, b]));
        hasher.finish()
    }

    fn same(&self, other: &Self) -> bool {
        self.orig.l4 == other.orig.l4
            && self.zone().unwrap_or_default() == other.zone().unwrap_or_default()
            && self.orig.same_flow(&other.orig)
    }

    fn merge(&mut self, newer: Self) {
        Self::merge(self, newer);
    }

    fn element(slot: u32) -> Element {
        Element::Conntrack(slot)
    }
}

/// An expectation is everything both sides know of it but its timeout; the hash covers only what every message carries.
impl Object for Expect {
    fn hash(&self, state: &FixedState) -> u64 {
        let mut hasher = state.build_hasher();
        if self.set.has(ExpAttr::MASTER) {
            tuple(&mut hasher, &self.master);
        }
        if self.set.has(ExpAttr::EXPECTED) {
            tuple(&mut hasher, &self.expected);
        }
        hasher.finish()
    }

    fn same(&self, other: &Self) -> bool {
        Self::same(self, other)
    }

    /// A newer message about an expectation is complete: it replaces the older.
    fn merge(&mut self, newer: Self) {
        *self = newer;
    }

    fn element(slot: u32) -> Element {
        Element::Expect(slot)
    }
}
