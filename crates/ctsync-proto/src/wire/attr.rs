//! The attributes of state messages: a checked reader and a writer.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::PayloadError;

/// What the length field of an attribute may say.
#[derive(Clone, Copy, Debug)]
pub(super) enum Size {
    /// Exactly this, header included.
    Is(u16),
    /// At most this, header included.
    AtMost(u16),
}

/// Calls `each` with type and value of every attribute. `sizes` is indexed by type.
///
/// Up to four bytes at the end are ignored; anything else that does not fit refuses the message.
pub(super) fn read(
    mut bytes: &[u8],
    sizes: &[Size],
    mut each: impl FnMut(u16, &[u8]),
) -> Result<(), PayloadError> {
    while bytes.len() > 4 {
        let [l0, l1, t0, t1] = bytes.first_chunk().copied().ok_or(PayloadError::Length)?;
        let len = u16::from_be_bytes([l0, l1]);
        let kind = u16::from_be_bytes([t0, t1]);
        let value = bytes.get(4..usize::from(len)).ok_or(PayloadError::Length)?;
        match sizes.get(usize::from(kind)) {
            None => return Err(PayloadError::Unknown(kind)),
            Some(Size::Is(size)) if *size != len => return Err(PayloadError::Size(kind)),
            Some(Size::AtMost(size)) if *size < len => return Err(PayloadError::Size(kind)),
            Some(_) => {}
        }
        each(kind, value);
        bytes = bytes
            .get(usize::from(len).next_multiple_of(4)..)
            .unwrap_or(&[]);
    }
    Ok(())
}

pub(super) fn u8_of(value: &[u8]) -> u8 {
    value.first().copied().unwrap_or_default()
}

pub(super) fn u16_at(value: &[u8], at: usize) -> u16 {
    let mut b = [0; 2];
    for (to, from) in b.iter_mut().zip(value.iter().skip(at)) {
        *to = *from;
    }
    u16::from_be_bytes(b)
}

pub(super) fn u32_at(value: &[u8], at: usize) -> u32 {
    let mut b = [0; 4];
    for (to, from) in b.iter_mut().zip(value.iter().skip(at)) {
        *to = *from;
    }
    u32::from_be_bytes(b)
}

pub(super) fn bytes_at<const N: usize>(value: &[u8], at: usize) -> [u8; N] {
    let mut b = [0; N];
    for (to, from) in b.iter_mut().zip(value.iter().skip(at)) {
        *to = *from;
    }
    b
}

/// A string up to its terminator, or the whole value when there is none.
pub(super) fn text(value: &[u8]) -> Box<str> {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or(value))
        .into_owned()
        .into_boxed_str()
}

/// Appends an attribute. A value too long for its length field is left out.
pub(super) fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let Ok(len) = u16::try_from(value.len().saturating_add(4)) else {
        return;
    };
    let [l0, l1] = len.to_be_bytes();
    let [t0, t1] = kind.to_be_bytes();
    out.extend_from_slice(&[l0, l1, t0, t1]);
    out.extend_from_slice(value);
    // Attributes start at multiples of 4 counted from the message's start, and so do messages in `out`'s datagram.
    for _ in 0..value.len().wrapping_neg() & 3 {
        out.push(0);
    }
}

pub(super) fn put_u32(out: &mut Vec<u8>, kind: u16, n: u32) {
    put(out, kind, &n.to_be_bytes());
}

/// A string with its terminator. One longer than a receiver accepts (`max` bounds the length field) is left out: the
/// receiver would refuse the whole message for it.
pub(super) fn put_text(out: &mut Vec<u8>, kind: u16, text: &str, max: usize) {
    if text.len().saturating_add(5) > max {
        return;
    }
    let mut value = Vec::with_capacity(text.len().saturating_add(1));
    value.extend_from_slice(text.as_bytes());
    value.push(0);
    put(out, kind, &value);
}

/// Source and destination address, as IPv4 (type `v4`) or IPv6 (type `v4 + 1`).
pub(super) fn put_addresses(out: &mut Vec<u8>, v4: u16, t: &nfct::Tuple) {
    if !t.known.has(nfct::Known::ADDRS) {
        return;
    }
    let mut value = [0; 32];
    if t.l3 == 2 {
        let (src, dst) = value.split_at_mut(4);
        src.copy_from_slice(&t.src4());
        for (to, from) in dst.iter_mut().zip(t.dst4()) {
            *to = from;
        }
        put(out, v4, value.get(..8).unwrap_or_default());
    } else {
        let (src, dst) = value.split_at_mut(16);
        src.copy_from_slice(&t.src);
        dst.copy_from_slice(&t.dst);
        put(out, v4.saturating_add(1), &value);
    }
}

/// Source and destination port.
pub(super) fn put_ports(out: &mut Vec<u8>, kind: u16, t: &nfct::Tuple) {
    let [a, b] = t.sport.to_be_bytes();
    let [c, d] = t.dport.to_be_bytes();
    put(out, kind, &[a, b, c, d]);
}
