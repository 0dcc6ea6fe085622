//! Objects in walk order.

use alloc::vec::Vec;

use crate::pdu::Range;
use crate::value::{Oid, Value};

/// Objects as a master asks for them.
pub trait Objects {
    /// The value of an object, or why there is none.
    fn get(&self, name: &Oid) -> Value;

    /// The first object of a range.
    fn next(&self, range: &Range) -> Option<(Oid, Value)>;
}

/// A column: its number, and the value it has in a row, if it has one.
pub type Column<R> = (u32, fn(&R) -> Option<Value>);

/// The objects of one moment.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    rows: Vec<(Oid, Value)>,
    /// Columns and scalars that exist, with or without rows.
    columns: Vec<Oid>,
}

impl Tree {
    /// A scalar: `oid` without the last 0. `None`: it exists, but has no value now.
    pub fn scalar(&mut self, oid: Oid, value: Option<Value>) {
        if let Some(value) = value {
            self.rows.push((oid.with(&[0]), value));
        }
        self.columns.push(oid);
    }

    /// A table: `entry` is the identifier of its row object, `rows` have their index first.
    pub fn table<R>(&mut self, entry: &Oid, rows: &[(Vec<u32>, R)], columns: &[Column<R>]) {
        for (number, value) in columns {
            let column = entry.with(&[*number]);
            for (index, row) in rows {
                if let Some(value) = value(row) {
                    self.rows.push((column.with(index), value));
                }
            }
            self.columns.push(column);
        }
    }

    /// To be called when everything is in.
    pub fn sort(&mut self) {
        self.rows.sort_by(|a, b| a.0.cmp(&b.0));
    }
}

impl Objects for Tree {
    fn get(&self, name: &Oid) -> Value {
        match self.rows.binary_search_by(|(oid, _)| oid.cmp(name)) {
            Ok(at) => self.rows.get(at).map_or(Value::Null, |row| row.1.clone()),
            Err(_) if self.columns.iter().any(|c| name.is_within(c)) => Value::NoSuchInstance,
            Err(_) => Value::NoSuchObject,
        }
    }

    fn next(&self, range: &Range) -> Option<(Oid, Value)> {
        let from = self.rows.partition_point(|(oid, _)| {
            if range.include {
                *oid < range.start
            } else {
                *oid <= range.start
            }
        });
        let (oid, value) = self.rows.get(from)?;
        ends_behind(range, oid).then(|| (oid.clone(), value.clone()))
    }
}

pub(crate) fn ends_behind(range: &Range, oid: &Oid) -> bool {
    range.end.0.is_empty() || *oid < range.end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.scalar(Oid::new(&[1, 1]), Some(Value::Integer(5)));
        tree.scalar(Oid::new(&[1, 2]), None);
        let columns: &[Column<u32>] = &[
            (1, |r| Some(Value::Unsigned(*r))),
            (2, |r| (*r > 7).then_some(Value::Unsigned(*r))),
        ];
        let rows = [(alloc::vec![2], 8), (alloc::vec![1], 7)];
        tree.table(&Oid::new(&[1, 3, 1]), &rows, columns);
        tree.sort();
        tree
    }

    #[test]
    fn a_walk_goes_by_columns_and_leaves_out_what_has_no_value() {
        let tree = tree();
        let mut at = Range {
            start: Oid::new(&[1]),
            include: false,
            end: Oid::new(&[2]),
        };
        let mut seen = Vec::new();
        while let Some((oid, _)) = tree.next(&at) {
            seen.push(oid.0.clone());
            at.start = oid;
        }
        let all: [&[u32]; 4] = [
            &[1, 1, 0],
            &[1, 3, 1, 1, 1],
            &[1, 3, 1, 1, 2],
            &[1, 3, 1, 2, 2],
        ];
        assert_eq!(seen, all);
    }

    #[test]
    fn why_there_is_no_value() {
        let tree = tree();
        assert_eq!(tree.get(&Oid::new(&[1, 1, 0])), Value::Integer(5));
        assert_eq!(tree.get(&Oid::new(&[1, 2, 0])), Value::NoSuchInstance);
        assert_eq!(tree.get(&Oid::new(&[1, 3, 1, 2, 1])), Value::NoSuchInstance);
        assert_eq!(tree.get(&Oid::new(&[1, 4, 0])), Value::NoSuchObject);
    }
}
