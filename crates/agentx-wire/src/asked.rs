//! Tables whose values are made when they are asked for: tens of thousands of rows are not written out for one answer.

use alloc::vec::Vec;

use crate::pdu::Range;
use crate::tree::{Objects, ends_behind};
use crate::value::{Oid, Value};

/// The rows of a table.
pub trait Rows {
    /// The index of the first row behind `index`; with `include` one that is equal, too. Nothing is before everything.
    fn next(&self, index: &[u32], include: bool) -> Option<Vec<u32>>;

    /// What the row has in a column; none: there is no such row, or it has no value there.
    fn value(&self, index: &[u32], column: u32) -> Option<Value>;
}

/// A table, or the scalars below a node: those are columns of one row with the index 0.
#[derive(Clone, Debug)]
pub struct Table<'a, R> {
    /// Identifier of the row object, or of the node.
    pub entry: Oid,
    /// Numbers of the columns that exist, ascending.
    pub columns: &'a [u32],
    /// Its rows.
    pub rows: R,
}

impl<R: Rows> Objects for Table<'_, R> {
    fn get(&self, name: &Oid) -> Value {
        let rest = name.0.strip_prefix(&*self.entry.0);
        match rest.and_then(<[u32]>::split_first) {
            Some((column, index)) if self.columns.contains(column) => self
                .rows
                .value(index, *column)
                .unwrap_or(Value::NoSuchInstance),
            _ => Value::NoSuchObject,
        }
    }

    fn next(&self, range: &Range) -> Option<(Oid, Value)> {
        for column in self.columns {
            let name = self.entry.with(&[*column]);
            let (mut index, mut include) = match range.start.0.strip_prefix(&*name.0) {
                Some(index) => (index.to_vec(), range.include),
                None if name < range.start => continue,
                None => (Vec::new(), true),
            };
            if !ends_behind(range, &name) {
                return None;
            }
            while let Some(next) = self.rows.next(&index, include) {
                if let Some(value) = self.rows.value(&next, *column) {
                    let name = name.with(&next);
                    return ends_behind(range, &name).then_some((name, value));
                }
                (index, include) = (next, false);
            }
        }
        None
    }
}

/// Several together.
pub struct All<'a>(pub Vec<&'a dyn Objects>);

impl Objects for All<'_> {
    fn get(&self, name: &Oid) -> Value {
        let mut values = self.0.iter().map(|o| o.get(name));
        let found = values.find(|v| *v != Value::NoSuchObject);
        found.unwrap_or(Value::NoSuchObject)
    }

    fn next(&self, range: &Range) -> Option<(Oid, Value)> {
        let found = self.0.iter().filter_map(|o| o.next(range));
        found.min_by(|a, b| a.0.cmp(&b.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;
    use alloc::vec;

    /// Rows 1.1, 1.2, 3.1; the second column has a value in the last one only.
    struct Three;

    impl Rows for Three {
        fn next(&self, index: &[u32], include: bool) -> Option<Vec<u32>> {
            let all: [&[u32]; 3] = [&[1, 1], &[1, 2], &[3, 1]];
            let behind = |row: &&[u32]| *row > index || include && *row == index;
            all.into_iter().find(behind).map(<[u32]>::to_vec)
        }

        fn value(&self, index: &[u32], column: u32) -> Option<Value> {
            let row = self.next(index, true).filter(|i| i == index)?;
            let sum = row.iter().sum::<u32>();
            (column == 2 || sum == 4).then_some(Value::Unsigned(sum))
        }
    }

    fn table() -> Table<'static, Three> {
        Table {
            entry: Oid::new(&[1, 3, 1]),
            columns: &[2, 5],
            rows: Three,
        }
    }

    #[test]
    fn a_walk_is_that_of_a_tree_with_the_same_objects() {
        let mut tree = Tree::default();
        tree.scalar(Oid::new(&[1, 2]), Some(Value::Null));
        tree.scalar(Oid::new(&[1, 4]), Some(Value::Null));
        tree.sort();
        let table = table();
        let all = All(vec![&table, &tree]);
        let mut at = Range {
            start: Oid::new(&[1]),
            include: false,
            end: Oid::new(&[2]),
        };
        let mut seen = Vec::new();
        while let Some((oid, value)) = all.next(&at) {
            assert_eq!(all.get(&oid), value);
            seen.push(oid.0.clone());
            at.start = oid;
        }
        let expected: [&[u32]; 6] = [
            &[1, 2, 0],
            &[1, 3, 1, 2, 1, 1],
            &[1, 3, 1, 2, 1, 2],
            &[1, 3, 1, 2, 3, 1],
            &[1, 3, 1, 5, 3, 1],
            &[1, 4, 0],
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn ranges_begin_and_end_anywhere() {
        let next = |start: &[u32], include, end: &[u32]| {
            let range = Range {
                start: Oid::new(start),
                include,
                end: Oid::new(end),
            };
            table().next(&range).map(|found| found.0.0)
        };
        assert_eq!(
            next(&[1, 3, 1, 2, 1, 2], true, &[]),
            Some(vec![1, 3, 1, 2, 1, 2])
        );
        assert_eq!(
            next(&[1, 3, 1, 2, 1], false, &[]),
            Some(vec![1, 3, 1, 2, 1, 1])
        );
        assert_eq!(
            next(&[1, 3, 1, 3, 9], false, &[]),
            Some(vec![1, 3, 1, 5, 3, 1])
        );
        assert_eq!(next(&[1, 3, 1, 2, 9], false, &[1, 3, 1, 5]), None);
        assert_eq!(next(&[1, 3, 1, 2, 3, 1], false, &[1, 3, 1, 5, 3, 1]), None);
        assert_eq!(next(&[1, 3, 2], false, &[]), None);
        assert_eq!(
            table().get(&Oid::new(&[1, 3, 1, 5, 1, 1])),
            Value::NoSuchInstance
        );
        assert_eq!(
            table().get(&Oid::new(&[1, 3, 1, 4, 1, 1])),
            Value::NoSuchObject
        );
    }
}
