//! A sort of few bytes. The standard library's takes 4 to 6 kB of code for each type and order, this one 300 bytes.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Puts items in order; equal ones keep theirs. Takes n·log n comparisons, and about n where the items are in order already or are
/// two ordered runs. Of more than 4,294,967,295 items only these first are sorted.
pub fn sort_by<T>(items: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    let mut places: Vec<u32> = (0..u32::try_from(items.len()).unwrap_or(u32::MAX)).collect();
    let at = |place: u32| usize::try_from(place).ok().and_then(|at| items.get(at));
    let after = |a: u32, b: u32| {
        at(a)
            .zip(at(b))
            .is_some_and(|(a, b)| order(a, b) == Ordering::Greater)
    };
    merge_sort(&mut places, &mut Vec::new(), &after);
    move_to(items, &mut places);
}

/// Sorts places in the list by what lies there, so that the code is there once for all types.
fn merge_sort(places: &mut [u32], spare: &mut Vec<u32>, after: &dyn Fn(u32, u32) -> bool) {
    let middle = places.len() / 2;
    let Some((left, right)) = places.split_at_mut_checked(middle) else {
        return;
    };
    if left.is_empty() {
        return;
    }
    merge_sort(left, spare, after);
    merge_sort(right, spare, after);
    let in_order = match (left.last(), right.first()) {
        (Some(&last), Some(&first)) => !after(last, first),
        _ => true,
    };
    if in_order {
        return;
    }
    spare.clear();
    spare.extend_from_slice(left);
    let mut left = spare.iter().copied().peekable();
    let mut read = middle;
    for write in 0..places.len() {
        // What is left of the right half is where it belongs.
        let Some(&first) = left.peek() else { return };
        let next = match places.get(read) {
            Some(&other) if after(first, other) => {
                read += 1;
                other
            }
            _ => {
                left.next();
                first
            }
        };
        if let Some(place) = places.get_mut(write) {
            *place = next;
        }
    }
}

/// Moves each item to where its place is in `places`, round by round.
fn move_to<T>(items: &mut [T], places: &mut [u32]) {
    for start in 0..places.len() {
        let mut here = start;
        while let Some(slot) = places.get_mut(here) {
            let from = core::mem::replace(slot, u32::try_from(here).unwrap_or(u32::MAX));
            let Ok(from) = usize::try_from(from) else {
                break;
            };
            if from == start || from >= items.len() || here >= items.len() {
                break;
            }
            items.swap(here, from);
            here = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sort_by;
    use alloc::vec::Vec;

    #[test]
    fn it_does_what_the_standard_librarys_does() {
        for length in (0_u32..70).chain([255, 256, 1000, 4096]) {
            for shift in [31, 29, 20] {
                // Numbers in no order, with few or many equal ones.
                let number = |n: u32| n.wrapping_mul(2_654_435_761) >> shift;
                let items: Vec<(u32, u32)> = (0..length).map(|n| (number(n), n)).collect();
                let (mut ours, mut theirs) = (items.clone(), items);
                sort_by(&mut ours, |a, b| a.0.cmp(&b.0));
                theirs.sort_by_key(|a| a.0);
                assert_eq!(ours, theirs);
            }
        }
    }

    #[test]
    fn ordered_runs_take_few_comparisons() {
        let count = core::cell::Cell::new(0_u32);
        let counted = |a: &u32, b: &u32| {
            count.set(count.get() + 1);
            a.cmp(b)
        };
        let mut items: Vec<u32> = (0..3000).chain(500..600).collect();
        sort_by(&mut items, counted);
        assert!(items.is_sorted());
        assert!(count.get() < 3 * 3100, "{}", count.get());
    }
}
