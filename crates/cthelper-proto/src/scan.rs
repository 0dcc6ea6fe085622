//! Reading text of control connections.

use core::net::{IpAddr, Ipv4Addr};

/// Where `needle` begins in `text`.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len().max(1))
        .position(|window| window == needle)
}

/// The decimal number at the start of `text`, as much as fits 32 bits; with the number of its digits, at least one.
pub(crate) fn number(text: &[u8]) -> Option<(u32, usize)> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit());
    let (value, len) = digits.fold((0_u32, 0_usize), |(value, len), digit| {
        let digit = u32::from(digit.wrapping_sub(b'0'));
        (
            value.saturating_mul(10).saturating_add(digit),
            len.saturating_add(1),
        )
    });
    (len > 0).then_some((value, len))
}

/// A port other than 0 at the start of `text`, with the number of its digits.
pub(crate) fn port(text: &[u8]) -> Option<(u16, usize)> {
    let (value, len) = number(text)?;
    let port = u16::try_from(value).ok().filter(|port| *port != 0)?;
    Some((port, len))
}

/// `N` numbers below 256 with `separator` between them and `end` behind the last, which is not counted.
pub(crate) fn bytes<const N: usize>(
    text: &[u8],
    separator: u8,
    end: u8,
) -> Option<([u8; N], usize)> {
    let mut values = [0; N];
    let mut at = 0_usize;
    for (i, place) in values.iter_mut().enumerate() {
        let (value, len) = number(text.get(at..)?)?;
        *place = u8::try_from(value).ok()?;
        at = at.saturating_add(len);
        let wanted = if i.saturating_add(1) == N {
            end
        } else {
            separator
        };
        if text.get(at) != Some(&wanted) {
            return None;
        }
        at = at.saturating_add(1);
    }
    Some((values, at.saturating_sub(1)))
}

/// An address that `text` is nothing but.
pub(crate) fn address(text: &[u8]) -> Option<IpAddr> {
    // The longest is a mapped IPv4 address.
    if text.len() > 45 {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}

/// An IPv4 address with `end` behind it, which is not counted.
pub(crate) fn ipv4_until(text: &[u8], end: u8) -> Option<(IpAddr, usize)> {
    let (octets, len) = bytes::<4>(text, b'.', end)?;
    Some((Ipv4Addr::from(octets).into(), len))
}

/// An address as the kernel's tuples have it: IPv4 in the first four bytes.
pub(crate) fn sixteen(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(a) => {
            let [a, b, c, d] = a.octets();
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        }
        IpAddr::V6(a) => a.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_their_ends() {
        assert_eq!(
            bytes::<6>(b"10,0,0,1,4,210\r\n", b',', b'\r'),
            Some(([10, 0, 0, 1, 4, 210], 14))
        );
        for wrong in ["10,0,0,1,4\r", "10,0,0,1,4,256\r", "10,,0,1,4,1\r", "", "1"] {
            assert_eq!(bytes::<6>(wrong.as_bytes(), b',', b'\r'), None, "{wrong}");
        }
        assert_eq!(port(b"65535|"), Some((65535, 5)));
        assert_eq!(port(b"65536|"), None);
        assert_eq!(port(b"0|"), None);
        assert_eq!(
            number(b"99999999999999999999x").map(|n| n.0),
            Some(u32::MAX)
        );
        assert_eq!(find(b"a HOST=b", b"HOST="), Some(2));
        assert_eq!(find(b"ab", b"abc"), None);
    }
}
