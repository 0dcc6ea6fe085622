//! Attributes: type, length, value, padded to four bytes (`struct nlattr`, `struct rtattr`).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net_types::Family;

use crate::read;

const HEADER_LEN: usize = 4;
/// `NLA_TYPE_MASK`: without the flags for "nested" and "network order".
const TYPE_MASK: u16 = 0x3fff;

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Its type without flag bits.
    pub kind: u16,
    /// Its value.
    pub data: &'a [u8],
}

impl<'a> Attr<'a> {
    /// A number of one byte.
    pub fn u8(&self) -> Option<u8> {
        read::u8(self.data, 0)
    }

    /// A number of two bytes.
    pub fn u16(&self) -> Option<u16> {
        read::u16(self.data, 0)
    }

    /// A number of four bytes.
    pub fn u32(&self) -> Option<u32> {
        read::u32(self.data, 0)
    }

    /// A number of eight bytes, wherever it is aligned.
    pub fn u64(&self) -> Option<u64> {
        read::array(self.data, 0).map(u64::from_ne_bytes)
    }

    /// A number of eight bytes in network order.
    pub fn u64_be(&self) -> Option<u64> {
        read::array(self.data, 0).map(u64::from_be_bytes)
    }

    /// Text up to a NUL byte or the end; `None` when it is not UTF-8.
    pub fn text(&self) -> Option<Box<str>> {
        let bytes = self.data.split(|b| *b == 0).next().unwrap_or_default();
        core::str::from_utf8(bytes).ok().map(Box::from)
    }

    /// An address of the family that its length shows.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.data.len() {
            4 => self.ip_of(Family::V4),
            16 => self.ip_of(Family::V6),
            _ => None,
        }
    }

    /// An address of this family at the start of the value.
    pub fn ip_of(&self, family: Family) -> Option<IpAddr> {
        ip(self.data, 0, family)
    }

    /// The attributes within.
    pub const fn nested(&self) -> Attrs<'a> {
        Attrs(self.data)
    }
}

/// An address of `family` at an offset.
pub(crate) fn ip(bytes: &[u8], at: usize, family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => read::array::<4>(bytes, at).map(|b| Ipv4Addr::from(b).into()),
        Family::V6 => read::array::<16>(bytes, at).map(|b| Ipv6Addr::from(b).into()),
    }
}

/// Walks over attributes; ends at the first that does not fit.
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a>(&'a [u8]);

impl<'a> Attrs<'a> {
    /// The attributes in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The attributes behind a fixed header of `len` bytes; none when the body is shorter.
    pub(crate) fn after(body: &'a [u8], len: usize) -> Self {
        Self(body.get(len..).unwrap_or_default())
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let len = usize::from(read::u16(self.0, 0)?);
        let kind = read::u16(self.0, 2)? & TYPE_MASK;
        let data = self.0.get(HEADER_LEN..len)?;
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Attr { kind, data })
    }
}

/// Writes a message body.
#[derive(Debug)]
pub struct Writer<'a>(&'a mut Vec<u8>);

impl<'a> Writer<'a> {
    /// Appends to `bytes`.
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Bytes as they are: fixed headers.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// An attribute. A value longer than 65 531 bytes is cut.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        let room = usize::from(u16::MAX).saturating_sub(HEADER_LEN);
        let value = value.get(..room).unwrap_or(value);
        let len = u16::try_from(value.len().saturating_add(HEADER_LEN)).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&len.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.pad();
    }

    /// A number of one byte.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// A number of two bytes.
    pub fn u16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A number of four bytes.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// A number of eight bytes in network order.
    pub fn u64_be(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Text with a NUL byte behind it.
    pub fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len().saturating_add(1));
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// An address.
    pub fn ip(&mut self, kind: u16, value: IpAddr) {
        match value {
            IpAddr::V4(a) => self.bytes(kind, &a.octets()),
            IpAddr::V6(a) => self.bytes(kind, &a.octets()),
        }
    }

    /// An attribute that holds attributes.
    pub fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Writer<'_>)) {
        let start = self.open(kind);
        inner(&mut Writer::new(self.0));
        self.close(start);
    }

    /// Writes an attribute's header; where it begins.
    fn open(&mut self, kind: u16) -> usize {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 2]);
        self.0.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    /// Bytes written so far, for [`Writer::close`].
    pub(crate) fn mark(&self) -> usize {
        self.0.len()
    }

    /// Writes the length of what began at `start` with a two-byte length.
    pub(crate) fn close(&mut self, start: usize) {
        let len = u16::try_from(self.0.len().saturating_sub(start)).unwrap_or(u16::MAX);
        if let Some(place) = self.0.get_mut(start..start.saturating_add(2)) {
            place.copy_from_slice(&len.to_ne_bytes());
        }
    }

    fn pad(&mut self) {
        let len = self.0.len().next_multiple_of(4);
        self.0.resize(len, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back() {
        let mut bytes = Vec::new();
        let mut w = Writer::new(&mut bytes);
        w.u8(1, 9);
        w.text(2, "eth0");
        w.nest(3, |w| w.u32(4, 0x0102_0304));
        let mut walk = Attrs::new(&bytes);
        assert_eq!(walk.next().and_then(|a| a.u8()), Some(9));
        assert_eq!(walk.next().and_then(|a| a.text()).as_deref(), Some("eth0"));
        let inner = walk.next().unwrap().nested().next().unwrap();
        assert_eq!((inner.kind, inner.u32()), (4, Some(0x0102_0304)));
        assert_eq!(walk.next(), None);
    }

    #[test]
    fn every_cut_is_survived() {
        let mut bytes = Vec::new();
        let mut w = Writer::new(&mut bytes);
        w.text(2, "eth0");
        w.u32(4, 5);
        for cut in 0..bytes.len() {
            assert!(Attrs::new(&bytes[..cut]).count() < 2);
        }
        // Length 0 would loop for ever in a careless walk.
        assert_eq!(Attrs::new(&[0, 0, 1, 0]).next(), None);
    }

    #[test]
    fn flag_bits_are_not_part_of_the_type() {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).u8(0x8000 | 7, 1);
        assert_eq!(Attrs::new(&bytes).next().map(|a| a.kind), Some(7));
    }
}
