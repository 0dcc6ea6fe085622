//! nf_tables: all is in network order but what is compared with the kernel's own numbers, in sets of marks and interfaces, and what `nft`
//! keeps for itself.

use std::collections::BTreeMap;

use super::{each, find, flagged, u16_at};

/// `NFNL_SUBSYS_NFTABLES`
pub(super) const SUBSYSTEM: u16 = 10;

const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;
// Types of `nft` (its datatype.h): those of 16 bytes, and those that are the kernel's own numbers.
const IPV6: u32 = 8;
const INTERFACE_NAME: u32 = 41;
const MARK: u32 = 19;
const INTERFACE_INDEX: u32 = 20;

/// Types of key and data of the sets that were made, by family, table and name.
#[derive(Debug, Default)]
pub(super) struct Sets(BTreeMap<(u8, Vec<u8>, Vec<u8>), [u32; 2]>);

impl Sets {
    pub(super) fn message(&mut self, kind: u16, body: &mut [u8]) {
        let family = body[0];
        let attributes = &mut body[4..];
        let before = attributes.to_vec();
        flagged(attributes);
        let name = |number| find(&before, number).unwrap_or_default().to_vec();
        let number = |number| {
            find(&before, number).map_or(0, |v| u32::from_be_bytes(std::array::from_fn(|n| v[n])))
        };
        match kind {
            NEW_SET => {
                let set = (family, name(1), name(2));
                self.0.insert(set, [number(4), number(6)]);
                // NFTA_SET_USERDATA: type, length, number.
                within(&before, attributes, 13, &mut |value| {
                    for item in value.chunks_exact_mut(6) {
                        each(&mut item[2..], 4);
                    }
                });
            }
            NEW_ELEMENTS | DELETE_ELEMENTS => {
                let set = (family, name(1), name(2));
                let Some(types) = self.0.get(&set).copied() else {
                    panic!("no set {set:?}");
                };
                // NFTA_SET_ELEM_LIST_ELEMENTS
                let at = place(&before, 3);
                if let Some((from, to)) = at {
                    elements(&before[from..to], &mut attributes[from..to], types);
                }
            }
            _ => {}
        }
    }
}

/// Each element of a list: its key, the end of its range, its data.
fn elements(before: &[u8], bytes: &mut [u8], [key, data]: [u32; 2]) {
    let mut at = 0;
    while at < before.len() {
        let length = usize::from(u16_at(before, at));
        let (old, new) = (
            &before[at + 4..at + length],
            &mut bytes[at + 4..at + length],
        );
        for (number, of) in [(1, key), (10, key), (2, data)] {
            if let Some((from, to)) = place(old, number) {
                // NFTA_DATA_VALUE
                within(&old[from..to], &mut new[from..to], 1, &mut |value| {
                    numbers(value, of);
                });
            }
        }
        at += length.next_multiple_of(4);
    }
}

/// Turns those parts of a value that are the kernel's own numbers; a type has six bits for each part, the first part highest.
fn numbers(value: &mut [u8], of: u32) {
    let mut parts: Vec<u32> = (0..5).map(|n| of >> (6 * n) & 63).collect();
    parts.retain(|part| *part != 0);
    let mut at = 0;
    for part in parts.into_iter().rev() {
        let length = match part {
            IPV6 | INTERFACE_NAME => 16,
            _ => 4,
        };
        if matches!(part, MARK | INTERFACE_INDEX) {
            each(&mut value[at..at + length], length);
        }
        at += length;
    }
}

/// Where the value of the first attribute of that number is.
fn place(bytes: &[u8], number: u16) -> Option<(usize, usize)> {
    let value = find(bytes, number)?;
    let from = value.as_ptr() as usize - bytes.as_ptr() as usize;
    Some((from, from + value.len()))
}

/// Hands the value of the first attribute of that number to `turn`; attributes are looked for as they were `before`.
fn within(before: &[u8], bytes: &mut [u8], number: u16, turn: &mut dyn FnMut(&mut [u8])) {
    if let Some((from, to)) = place(before, number) {
        turn(&mut bytes[from..to]);
    }
}
