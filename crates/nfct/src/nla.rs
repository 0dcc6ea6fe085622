//! Netlink attributes: a total reader over bytes and a writer with nesting.
//!
//! ```text
//!  0               2               4
//! +---------------+---------------+----------------+--------------+
//! | length        | type, flags   | value          | pad to 4     |
//! +---------------+---------------+----------------+--------------+
//! ```
//! Length counts header and value. Numbers of netlink itself are in the machine's byte order, those of ctnetlink's
//! values in network order.

use alloc::vec::Vec;

/// Bits of the type that carry flags (nested, network order) rather than the type.
const TYPE_MASK: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

/// The attributes of a message or a nest. Ends at the first one whose length does not fit.
pub(crate) struct Attrs<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.0.first_chunk::<4>()?;
        let len = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & TYPE_MASK;
        let value = self.0.get(4..len)?;
        let next = len.next_multiple_of(4);
        self.0 = self.0.get(next..).unwrap_or(&[]);
        Some((kind, value))
    }
}

/// A value of exactly one byte.
pub(crate) fn u8_of(value: &[u8]) -> Option<u8> {
    value.first().copied()
}

/// A 16-bit value in network order.
pub(crate) fn u16_of(value: &[u8]) -> Option<u16> {
    value.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// A 32-bit value in network order.
pub(crate) fn u32_of(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// A 64-bit value in network order.
pub(crate) fn u64_of(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|b| u64::from_be_bytes(*b))
}

/// Appends an attribute; a value that does not fit a 16-bit length is left out.
pub(crate) fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let Ok(len) = u16::try_from(value.len().saturating_add(4)) else {
        return;
    };
    out.extend_from_slice(&len.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Appends a nest and lets `fill` append its attributes.
pub(crate) fn nest(out: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&(kind | NESTED).to_ne_bytes());
    fill(out);
    let len = u16::try_from(out.len().saturating_sub(at)).unwrap_or(u16::MAX);
    if let Some(slot) = out.get_mut(at..at.saturating_add(2)) {
        slot.copy_from_slice(&len.to_ne_bytes());
    }
}
