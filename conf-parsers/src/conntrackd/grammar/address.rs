//! Address literals as the C library of the original reads them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Four numbers, each decimal or, with a leading zero, octal.
pub(super) fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let radix = if part.len() > 1 && part.starts_with('0') {
            8
        } else {
            10
        };
        *octet = u8::from_str_radix(part, radix).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

pub(super) fn ipv6(text: &str) -> Option<Ipv6Addr> {
    text.parse().ok()
}

/// Splits `ADDRESS/LENGTH`. The length saturates.
pub(super) fn split_prefix(text: &str) -> (&str, Option<i32>) {
    match text.split_once('/') {
        Some((addr, len)) => (addr, Some(len.parse().unwrap_or(i32::MAX))),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_are_octal() {
        assert_eq!(ipv4("10.0.0.010"), Some(Ipv4Addr::new(10, 0, 0, 8)));
        assert_eq!(ipv4("10.0.0.08"), None);
        assert_eq!(ipv4("10.0.0.256"), None);
        assert_eq!(ipv4("10.0.0.1/24"), None);
        assert_eq!(split_prefix("::/0"), ("::", Some(0)));
        assert_eq!(
            split_prefix("1.2.3.4/99999999999"),
            ("1.2.3.4", Some(i32::MAX))
        );
    }
}
