//! What is said to a server and what of its answers counts, byte for byte, without a socket.
//!
//! A server can cost no more memory than the dialogue names, whatever it sends.

pub mod dns;
pub mod fuzz;
pub mod http;
pub mod icmp_echo;
pub mod smtp;
pub mod udp;

/// What fills datagrams that carry nothing.
const FILLING: &[u8] = b"keepalived check - ";

/// `length` bytes of filling.
fn filling(length: usize) -> impl Iterator<Item = u8> {
    FILLING.iter().copied().cycle().take(length)
}

/// An unsigned number as the C library's `strtoul` reads it in base 10: its value and how many bytes it takes, 0 when there is
/// none. A value that is too large is the largest.
fn decimal(text: &[u8]) -> (u64, usize) {
    let blank = |c: &u8| matches!(c, b' ' | b'\t'..=b'\r');
    let blanks = text.iter().take_while(|c| blank(c)).count();
    let rest = text.get(blanks..).unwrap_or_default();
    let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
    let digits = rest.get(sign..).unwrap_or_default();
    let count = digits.iter().take_while(|c| c.is_ascii_digit()).count();
    if count == 0 {
        return (0, 0);
    }
    let value = digits.iter().take(count).try_fold(0_u64, |value, digit| {
        value
            .checked_mul(10)?
            .checked_add(u64::from(digit.wrapping_sub(b'0')))
    });
    let value = match (value, rest.first()) {
        (None, _) => u64::MAX,
        (Some(value), Some(b'-')) => value.wrapping_neg(),
        (Some(value), _) => value,
    };
    (value, blanks.saturating_add(sign).saturating_add(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_the_c_library_reads_them() {
        for (text, value, length) in [
            ("220 hello", 220, 3),
            ("  42\r\n", 42, 4),
            ("+7", 7, 2),
            ("-1", u64::MAX, 2),
            ("", 0, 0),
            ("-", 0, 0),
            ("x1", 0, 0),
            ("0x10", 0, 1),
            ("99999999999999999999999", u64::MAX, 23),
        ] {
            assert_eq!(decimal(text.as_bytes()), (value, length), "{text}");
        }
    }
}
