//! Maps and sets in order, as a sorted list. The standard library's trees take 3 to 7 kB of code for each pair of types, these a
//! tenth of it; what is kept here is small, or comes in order.

use alloc::vec::{self, Vec};
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt::{self, Debug, Formatter};
use core::slice;

use crate::sort::sort_by;

/// A map whose entries lie in the order of their keys. To find one takes a logarithm of steps; to insert or remove one moves
/// those behind it. For thousands of entries that come and go in any order take a tree.
#[derive(Clone, PartialEq, Eq)]
pub struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Debug, V: Debug> Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K, V> SortedMap<K, V> {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
        }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// The entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.entries.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values in the order of their keys, to change.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    /// Keeps the entries for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        self.entries.retain_mut(|(key, value)| keep(key, value));
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Where a key is, or where it belongs.
    #[inline(never)]
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        // What comes in order goes to the end.
        match self.entries.last() {
            Some((last, _)) if last.borrow().cmp(key) == Ordering::Less => Err(self.entries.len()),
            _ => self.entries.binary_search_by(|(k, _)| k.borrow().cmp(key)),
        }
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let at = self.place(key).ok()?;
        self.entries.get(at).map(|(_, value)| value)
    }

    /// The value of a key, to change.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let at = self.place(key).ok()?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Whether the key is there.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Sets the value of a key; the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(at) => self
                .entries
                .get_mut(at)
                .map(|(_, old)| core::mem::replace(old, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// The value of a key, which is made first if there is none.
    pub fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let at = match self.place(&key) {
            Ok(at) => at,
            Err(at) => {
                self.entries.insert(at, (key, make()));
                at
            }
        };
        &mut self.entries[at].1
    }

    /// The value of a key, the default one if there was none.
    pub fn or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.or_insert_with(key, V::default)
    }

    /// Takes out a key; the value that it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let at = self.place(key).ok()?;
        Some(self.entries.remove(at).1)
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, all: I) {
        for (key, value) in all {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(all: I) -> Self {
        let mut entries: Vec<(K, V)> = all.into_iter().collect();
        if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            sort_by(&mut entries, |(a, _), (b, _)| a.cmp(b));
            // Of equal ones the last stays, as where one is inserted behind the other.
            entries.reverse();
            entries.dedup_by(|(a, _), (b, _)| a == b);
            entries.reverse();
        }
        Self { entries }
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

/// A set whose members lie in order; see [`SortedMap`].
#[derive(Clone, PartialEq, Eq)]
pub struct SortedSet<T> {
    members: Vec<T>,
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Debug> Debug for SortedSet<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<T> SortedSet<T> {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            members: Vec::new(),
        }
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.members.clear();
    }

    /// The members in order.
    pub fn iter(&self) -> slice::Iter<'_, T> {
        self.members.iter()
    }

    /// Keeps the members for which `keep` says so.
    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        self.members.retain(keep);
    }
}

impl<T: Ord> SortedSet<T> {
    /// Where a member is, or where it belongs.
    #[inline(never)]
    fn place<Q: Ord + ?Sized>(&self, member: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        match self.members.last() {
            Some(last) if last.borrow().cmp(member) == Ordering::Less => Err(self.members.len()),
            _ => self.members.binary_search_by(|m| m.borrow().cmp(member)),
        }
    }

    /// Whether it is a member.
    pub fn contains<Q: Ord + ?Sized>(&self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.place(member).is_ok()
    }

    /// Makes it a member; whether it was none.
    pub fn insert(&mut self, member: T) -> bool {
        match self.place(&member) {
            Ok(_) => false,
            Err(at) => {
                self.members.insert(at, member);
                true
            }
        }
    }

    /// The least member.
    #[must_use]
    pub fn first(&self) -> Option<&T> {
        self.members.first()
    }

    /// Takes out the least member.
    pub fn pop_first(&mut self) -> Option<T> {
        (!self.members.is_empty()).then(|| self.members.remove(0))
    }

    /// Takes it out; whether it was a member.
    pub fn remove<Q: Ord + ?Sized>(&mut self, member: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        let at = self.place(member);
        if let Ok(at) = at {
            self.members.remove(at);
        }
        at.is_ok()
    }

    /// The members that `other` has not, in order.
    pub fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a T> {
        self.iter().filter(|member| !other.contains(*member))
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, all: I) {
        for member in all {
            self.insert(member);
        }
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut members: Vec<T> = all.into_iter().collect();
        if !members.is_sorted_by(|a, b| a < b) {
            sort_by(&mut members, T::cmp);
            members.dedup();
        }
        Self { members }
    }
}

impl<T> IntoIterator for SortedSet<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.members.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a SortedSet<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{SortedMap, SortedSet};
    use alloc::vec::Vec;
    use std::collections::{BTreeMap, BTreeSet};

    /// Numbers in no order, the same each time.
    fn numbers(count: u32) -> impl Iterator<Item = u32> {
        (0..count).map(|n| n.wrapping_mul(2_654_435_761) >> 22)
    }

    #[test]
    fn a_map_does_what_a_tree_does() {
        let mut ours = SortedMap::new();
        let mut tree = BTreeMap::new();
        for (n, key) in numbers(5000).enumerate() {
            match n % 4 {
                0 | 1 => assert_eq!(ours.insert(key, n), tree.insert(key, n)),
                2 => assert_eq!(ours.remove(&key), tree.remove(&key)),
                _ => {
                    *ours.or_default(key) += 1;
                    *tree.entry(key).or_default() += 1;
                }
            }
            assert_eq!(ours.get(&n_of(n)), tree.get(&n_of(n)));
            assert_eq!(ours.contains_key(&key), tree.contains_key(&key));
        }
        assert!(ours.iter().eq(tree.iter()));
        assert!(ours.keys().eq(tree.keys()));
        ours.retain(|key, value| {
            *value += 1;
            key % 3 != 0
        });
        tree.retain(|key, value| {
            *value += 1;
            key % 3 != 0
        });
        assert!(ours.values().eq(tree.values()));
        assert_eq!(ours.len(), tree.len());
        assert!(ours.into_iter().eq(tree));
    }

    fn n_of(n: usize) -> u32 {
        u32::try_from(n).unwrap()
    }

    #[test]
    fn many_at_once_are_as_one_by_one() {
        for count in [0, 1, 2, 50, 3000] {
            let entries = || numbers(count).zip(0_u32..);
            let ours: SortedMap<u32, u32> = entries().collect();
            let tree: BTreeMap<u32, u32> = entries().collect();
            assert!(ours.iter().eq(tree.iter()));
        }
    }

    #[test]
    fn a_set_does_what_a_tree_does() {
        let mut ours: SortedSet<u32> = numbers(100).collect();
        let mut tree: BTreeSet<u32> = numbers(100).collect();
        let (before, tree_before) = (ours.clone(), tree.clone());
        for (n, member) in numbers(3000).enumerate() {
            if n % 3 == 0 {
                assert_eq!(ours.remove(&member), tree.remove(&member));
            } else {
                assert_eq!(ours.insert(member), tree.insert(member));
            }
        }
        assert!(ours.iter().eq(tree.iter()));
        let gone: Vec<_> = before.difference(&ours).collect();
        assert_eq!(gone, tree_before.difference(&tree).collect::<Vec<_>>());
        assert_eq!(ours.len(), tree.len());
    }
}
