//! Parts of a model that most configurations leave alone.

use core::ops::{Deref, DerefMut};

/// What a part is that nobody wrote.
pub trait Unwritten: Sized + 'static {
    /// It, as [`Default`] would make it.
    const UNWRITTEN: &'static Self;
}

impl<T: 'static> Unwritten for Option<T> {
    const UNWRITTEN: &'static Self = &None;
}

/// A large part of something of which there may be a thousand: as long as nobody changes it, it costs a pointer. To borrow it for
/// a change makes it large; [`Self::compact`] finds out that nothing came of that.
#[derive(Clone, Debug)]
pub struct Rare<T>(Option<Box<T>>);

impl<T: Unwritten + PartialEq> Rare<T> {
    /// Gives back the room of a part that is as nobody wrote it.
    pub fn compact(&mut self) {
        if **self == *T::UNWRITTEN {
            self.0 = None;
        }
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Unwritten> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::UNWRITTEN)
    }
}

impl<T: Unwritten + Default> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Unwritten + PartialEq> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Unwritten + Eq> Eq for Rare<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    struct Part(Vec<u8>);

    impl Part {
        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        fn add(&mut self, one: u8) {
            self.0.push(one);
        }
    }

    impl Unwritten for Part {
        const UNWRITTEN: &'static Self = &Self(Vec::new());
    }

    #[test]
    fn what_is_changed_and_what_was_never_written_compare_by_value() {
        let mut part = Rare::<Part>::default();
        assert!(part.0.is_none() && Part::is_empty(&part));
        assert_eq!(size_of_val(&part), size_of::<usize>());
        Part::add(&mut part, 1);
        assert!(part.0.is_some());
        assert_eq!(*part, Part(vec![1]));
        assert_ne!(part, Rare::default());
        part.compact();
        assert!(part.0.is_some());
        (*part).0.clear();
        assert_eq!(part, Rare::default());
        part.compact();
        assert!(part.0.is_none());
    }
}
