//! Values in messages: each is aligned to its own size, counted from the start of the header or of the body.
//!
//! ```text
//! y 1 octet   u 4 octets, aligned to 4   s, o  u32 length, octets, NUL   g  u8 length, octets, NUL
//! v  g, then the value   a  u32 octets, padding to the element, elements   ( {  aligned to 8
//! ```

use alloc::vec::Vec;

/// Byte order of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `l`
    Little,
    /// `B`
    Big,
}

impl Order {
    /// This machine's.
    pub const NATIVE: Self = if cfg!(target_endian = "big") {
        Self::Big
    } else {
        Self::Little
    };

    /// The octet at the start of a message.
    pub const fn octet(self) -> u8 {
        match self {
            Self::Little => b'l',
            Self::Big => b'B',
        }
    }

    const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }
}

/// Writes values, one after the other.
#[derive(Clone, Debug)]
pub struct Writer {
    order: Order,
    bytes: Vec<u8>,
}

impl Writer {
    /// Empty: offset 0 of a header or of a body.
    pub const fn new(order: Order) -> Self {
        Self {
            order,
            bytes: Vec::new(),
        }
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Zeroes up to the next multiple of `to`.
    pub fn align(&mut self, to: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
        self
    }

    /// `y`
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// `u`
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.align(4);
        self.bytes.extend_from_slice(&match self.order {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        });
        self
    }

    /// `s`, `o`. A NUL inside ends it; the format has no room for one.
    pub fn string(&mut self, text: &str) -> &mut Self {
        let text = text.split('\0').next().unwrap_or_default();
        self.u32(u32::try_from(text.len()).unwrap_or(0));
        self.bytes.extend_from_slice(text.as_bytes());
        self.u8(0)
    }

    /// `g`, at most 255 octets.
    pub fn signature(&mut self, text: &str) -> &mut Self {
        self.u8(u8::try_from(text.len()).unwrap_or(0));
        self.bytes.extend_from_slice(text.as_bytes());
        self.u8(0)
    }

    /// `a`: `write` writes the elements, which are aligned to `element`.
    pub fn array(&mut self, element: usize, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.u32(0);
        let length_at = self.bytes.len().saturating_sub(4);
        self.align(element);
        let start = self.bytes.len();
        write(self);
        let length = u32::try_from(self.bytes.len().saturating_sub(start)).unwrap_or(0);
        let length = match self.order {
            Order::Little => length.to_le_bytes(),
            Order::Big => length.to_be_bytes(),
        };
        for (to, from) in self.bytes.iter_mut().skip(length_at).zip(length) {
            *to = from;
        }
        self
    }
}

/// Reads values, one after the other. `None` when there is not what should be there.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    order: Order,
    bytes: &'a [u8],
    at: usize,
}

/// Containers in containers, at most (the specification allows 32 arrays and 32 structures).
const DEPTH: u8 = 64;

impl<'a> Reader<'a> {
    /// From offset 0 of a header or of a body on.
    pub const fn new(order: Order, bytes: &'a [u8]) -> Self {
        Self {
            order,
            bytes,
            at: 0,
        }
    }

    /// How far it has come.
    pub const fn offset(&self) -> usize {
        self.at
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    /// Skips padding.
    pub fn align(&mut self, to: usize) -> Option<()> {
        let end = self.at.checked_next_multiple_of(to)?;
        self.take(end.saturating_sub(self.at)).map(drop)
    }

    /// `y`
    pub fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// `u`
    pub fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        let bytes = self.take(4)?.try_into().ok()?;
        Some(self.order.u32(bytes))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        let text = core::str::from_utf8(self.take(length)?).ok()?;
        (self.u8()? == 0 && !text.contains('\0')).then_some(text)
    }

    /// `s`, `o`
    pub fn string(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        self.text(length)
    }

    /// `g`
    pub fn signature(&mut self) -> Option<&'a str> {
        let length = self.u8()?;
        self.text(length.into())
    }

    /// Leaves a value of the first type of `signature` aside; the types behind it.
    pub fn skip<'s>(&mut self, signature: &'s [u8]) -> Option<&'s [u8]> {
        self.skip_one(signature, DEPTH)
    }

    fn skip_one<'s>(&mut self, signature: &'s [u8], depth: u8) -> Option<&'s [u8]> {
        let depth = depth.checked_sub(1)?;
        let (&first, mut rest) = signature.split_first()?;
        match first {
            b'y' => self.take(1).map(drop)?,
            b'n' | b'q' => {
                self.align(2)?;
                self.take(2)?;
            }
            b'b' | b'i' | b'u' | b'h' => self.u32().map(drop)?,
            b'x' | b't' | b'd' => {
                self.align(8)?;
                self.take(8)?;
            }
            b's' | b'o' => self.string().map(drop)?,
            b'g' => self.signature().map(drop)?,
            b'v' => {
                let inner = self.signature()?.as_bytes();
                self.skip_one(inner, depth)?;
            }
            b'a' => {
                let length = self.length()?;
                self.align(alignment(*rest.first()?))?;
                self.take(length)?;
                rest = type_end(rest, depth)?;
            }
            b'(' | b'{' => {
                self.align(8)?;
                while !matches!(rest.first()?, b')' | b'}') {
                    rest = self.skip_one(rest, depth)?;
                }
                rest = rest.get(1..)?;
            }
            _ => return None,
        }
        Some(rest)
    }
}

/// Where values of a type may start.
const fn alignment(kind: u8) -> usize {
    match kind {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 4,
    }
}

/// What is behind the first type of a signature.
fn type_end(signature: &[u8], depth: u8) -> Option<&[u8]> {
    let depth = depth.checked_sub(1)?;
    let (&first, mut rest) = signature.split_first()?;
    match first {
        b'a' => type_end(rest, depth),
        b'(' | b'{' => {
            while !matches!(rest.first()?, b')' | b'}') {
                rest = type_end(rest, depth)?;
            }
            rest.get(1..)
        }
        _ => Some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn values_are_aligned() {
        let mut w = Writer::new(Order::Little);
        w.u8(1).u32(2).string("ab").signature("(us)").array(8, |w| {
            w.align(8).u32(7);
        });
        let bytes = w.into_bytes();
        assert_eq!(
            bytes,
            vec![
                1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, b'a', b'b', 0, 4, b'(', b'u', b's', b')', 0, 0,
                0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0
            ]
        );
        let mut r = Reader::new(Order::Little, &bytes);
        assert_eq!((r.u8(), r.u32()), (Some(1), Some(2)));
        assert_eq!((r.string(), r.signature()), (Some("ab"), Some("(us)")));
        assert_eq!(r.u32(), Some(4));
        assert_eq!(r.align(8).and_then(|()| r.u32()), Some(7));
        assert_eq!(r.u8(), None);
    }

    #[test]
    fn every_type_can_be_left_aside() {
        let mut w = Writer::new(Order::Big);
        w.u8(9).array(8, |w| {
            for n in 0..3 {
                w.align(8).string("key").signature("(yv)").align(8).u8(n);
                w.signature("as").array(4, |w| {
                    w.string("deep");
                });
            }
        });
        w.u32(77);
        let bytes = w.into_bytes();
        let mut r = Reader::new(Order::Big, &bytes);
        let rest = r.skip(b"ya{sv}u").and_then(|rest| r.skip(rest));
        assert_eq!(rest, Some(&b"u"[..]));
        assert_eq!(r.u32(), Some(77));
        // Element by element.
        let mut r = Reader::new(Order::Big, &bytes);
        assert_eq!(r.skip(b"y").map(<[u8]>::len), Some(0));
        let end = r.u32().map(|n| n as usize + 8);
        for _ in 0..3 {
            assert_eq!(r.skip(b"{sv}"), Some(&b""[..]));
        }
        assert_eq!(Some(r.offset()), end);
    }

    #[test]
    fn damage_is_nothing() {
        let read = |bytes: &[u8], signature: &[u8]| {
            Reader::new(Order::Little, bytes)
                .skip(signature)
                .map(<[u8]>::len)
        };
        assert_eq!(read(&[255; 8], b"s"), None);
        assert_eq!(read(&[2, 0, 0, 0, 0xff, 0xfe, 0], b"s"), None);
        assert_eq!(read(&[1, 0, 0, 0, b'a', 1], b"s"), None);
        assert_eq!(read(&[0; 64], b"(u"), None);
        assert_eq!(read(&[0; 64], b"Z"), None);
        assert_eq!(read(&[0; 64], &[b'('; 200]), None);
        // A variant in a variant in a variant …
        let deep: Vec<u8> = b"\x01v\0".iter().copied().cycle().take(600).collect();
        assert_eq!(read(&deep, b"v"), None);
        let arrays = [b'a'; 100];
        assert_eq!(read(&[0; 64], &arrays), None);
    }
}
