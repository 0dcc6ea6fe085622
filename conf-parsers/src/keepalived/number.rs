//! Numbers as the original reads them (C's strtol family), with its messages.

use std::ops::RangeInclusive;

use super::engine::Ctx;
use crate::diag::Class;

/// Result of a C-style number scan: value (saturated), whether it overflowed, and what followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scan<'a> {
    /// Sign was `-`.
    pub negative: bool,
    /// Magnitude, saturated at `u64::MAX`.
    pub magnitude: u64,
    /// True when the magnitude did not fit in 64 bits.
    pub overflow: bool,
    /// Text after the number; the whole input when there was no digit.
    pub rest: &'a str,
}

/// White space of the configuration language: space, tab, form feed, line feed, carriage return, vertical tab.
pub const WHITE_SPACE: &[char] = &[' ', '\t', '\x0c', '\n', '\r', '\x0b'];

/// Reads leading blanks, a sign and digits. `base` is 8, 10 or 16, or 0 for "by prefix" (`0x`, `0`).
pub fn scan(text: &str, base: u32) -> Scan<'_> {
    let trimmed = text.trim_start_matches(WHITE_SPACE);
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, trimmed.get(1..).unwrap_or("")),
        Some(b'+') => (false, trimmed.get(1..).unwrap_or("")),
        _ => (false, trimmed),
    };
    let hex = digits
        .get(..2)
        .is_some_and(|p| p.eq_ignore_ascii_case("0x"))
        && digits.as_bytes().get(2).is_some_and(u8::is_ascii_hexdigit);
    let (radix, body) = match base {
        0 | 16 if hex => (16, digits.get(2..).unwrap_or("")),
        0 if digits.starts_with('0') => (8, digits),
        0 => (10, digits),
        b => (b, digits),
    };
    let mut magnitude: u64 = 0;
    let mut overflow = false;
    let mut used = 0;
    for (at, c) in body.char_indices() {
        let Some(d) = c.to_digit(radix) else { break };
        used = at + c.len_utf8();
        match magnitude
            .checked_mul(u64::from(radix))
            .and_then(|m| m.checked_add(u64::from(d)))
        {
            Some(m) => magnitude = m,
            None => {
                overflow = true;
                magnitude = u64::MAX;
            }
        }
    }
    let rest = if used == 0 {
        text
    } else {
        body.get(used..).unwrap_or("")
    };
    Scan {
        negative,
        magnitude,
        overflow,
        rest,
    }
}

impl Scan<'_> {
    /// True when anything but the number was there. An empty text counts as a complete number 0, as in C.
    pub const fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }
    /// Value as a signed number, saturated at the bounds of 64 bits; the flag tells of saturation.
    pub fn signed(&self) -> (i64, bool) {
        let wide = if self.negative {
            -i128::from(self.magnitude)
        } else {
            i128::from(self.magnitude)
        };
        match i64::try_from(wide) {
            Ok(v) => (v, self.overflow),
            Err(_) if self.negative => (i64::MIN, true),
            Err(_) => (i64::MAX, true),
        }
    }
}

/// `true` for on/true/yes, `false` for off/false/no, else none. Case matters.
pub fn check_true_false(word: &str) -> Option<bool> {
    match word {
        "true" | "on" | "yes" => Some(true),
        "false" | "off" | "no" => Some(false),
        _ => None,
    }
}

/// Largest value of a time without a limit of its own, in microseconds.
pub const TIMER_MAXIMUM: u64 = u64::MAX - 1;

/// How the original's readers of unsigned numbers differ.
struct Width {
    /// The largest number of the type.
    max: u64,
    /// How messages name the type.
    words: &'static str,
    /// Whether a number outside the range may be only warned of.
    range_is_lenient: bool,
}

impl Ctx<'_> {
    /// `WARNING - ` where the original would go on with the parsed prefix of a bad number.
    fn lenient(&self, ignore_error: bool) -> bool {
        ignore_error && !self.options.config_test
    }

    fn bad_number(&mut self, warn: bool, text: String) {
        let prefix = if warn { "WARNING - " } else { "" };
        self.report(Class::InvalidNumber, format!("{prefix}{text}"));
    }

    /// A signed decimal number in `min..=max`; reports and gives none otherwise. With `ignore_error` (and not in a configuration
    /// test) trailing text is only warned of.
    pub fn read_int(&mut self, word: &str, min: i32, max: i32, ignore_error: bool) -> Option<i32> {
        let warn = self.lenient(ignore_error);
        let scan = scan(word, 10);
        let (value, overflow) = scan.signed();
        let narrow = i32::try_from(value)
            .ok()
            .filter(|v| (min..=max).contains(v));
        if scan.has_rest() {
            self.bad_number(warn, format!("invalid number '{word}'"));
        } else if overflow || i32::try_from(value).is_err() {
            self.bad_number(warn, format!("number '{word}' outside integer range"));
        } else if narrow.is_none() {
            self.bad_number(
                false,
                format!("number '{word}' outside range [{min}, {max}]"),
            );
        } else {
            return narrow;
        }
        narrow.filter(|_| warn)
    }

    /// An unsigned decimal number in `min..=max`.
    pub fn read_unsigned(
        &mut self,
        word: &str,
        min: u32,
        max: u32,
        ignore_error: bool,
    ) -> Option<u32> {
        self.read_unsigned_base(word, 10, min, max, ignore_error)
    }

    /// An unsigned number of the given base (0 = by prefix) in `min..=max`.
    pub fn read_unsigned_base(
        &mut self,
        word: &str,
        base: u32,
        min: u32,
        max: u32,
        ignore_error: bool,
    ) -> Option<u32> {
        let width = Width {
            max: u64::from(u32::MAX),
            words: "unsigned integer",
            range_is_lenient: true,
        };
        let range = u64::from(min)..=u64::from(max);
        let value = self.read_magnitude(word, base, &range, &width, ignore_error)?;
        u32::try_from(value).ok()
    }

    /// An unsigned 64-bit decimal number in `min..=max`.
    pub fn read_unsigned64(
        &mut self,
        word: &str,
        min: u64,
        max: u64,
        ignore_error: bool,
    ) -> Option<u64> {
        let width = Width {
            max: u64::MAX,
            words: "unsigned 64 bit",
            range_is_lenient: false,
        };
        self.read_magnitude(word, 10, &(min..=max), &width, ignore_error)
    }

    fn read_magnitude(
        &mut self,
        word: &str,
        base: u32,
        range: &RangeInclusive<u64>,
        width: &Width,
        ignore_error: bool,
    ) -> Option<u64> {
        let warn = self.lenient(ignore_error);
        let scan = scan(word, base);
        let too_wide = scan.overflow || scan.magnitude > width.max;
        let value = Some(scan.magnitude)
            .filter(|value| !scan.negative && !too_wide && range.contains(value));
        if word.trim_start_matches(WHITE_SPACE).starts_with('-') {
            self.bad_number(warn, format!("negative number '{word}'"));
        } else if scan.has_rest() {
            self.bad_number(warn, format!("invalid number '{word}'"));
        } else if too_wide {
            let text = format!("number '{word}' outside {} range", width.words);
            self.bad_number(warn, text);
        } else if value.is_none() {
            let (min, max) = (range.start(), range.end());
            let text = format!("number '{word}' outside range [{min}, {max}]");
            self.bad_number(warn && width.range_is_lenient, text);
        } else {
            return value;
        }
        value.filter(|_| warn)
    }

    /// An unsigned decimal fraction, multiplied by `10^places`; more decimals than `places` are reported and rounded.
    /// `min` and `max` are in the multiplied unit.
    pub fn read_decimal(
        &mut self,
        word: &str,
        min: u64,
        max: u64,
        places: u32,
        ignore_error: bool,
    ) -> Option<u64> {
        let warn = self.lenient(ignore_error);
        if word.starts_with('-') {
            self.bad_number(warn, format!("negative number '{word}'"));
            return None;
        }
        let places = usize::try_from(places).unwrap_or(0);
        let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
        let mut round_up = false;
        let mut kept = fraction;
        if fraction.len() > places {
            self.bad_number(warn, format!("number '{word}' has too many decimal places"));
            round_up = fraction.as_bytes().get(places).is_some_and(|c| *c >= b'5');
            kept = fraction.get(..places).unwrap_or("");
        }
        let mut digits = String::with_capacity(whole.len() + places);
        digits.push_str(whole);
        digits.push_str(kept);
        digits.extend(std::iter::repeat_n('0', places.saturating_sub(kept.len())));
        let scan = scan(&digits, 10);
        let value = scan.magnitude.saturating_add(u64::from(round_up));
        let in_range = (min..=max).contains(&value);
        if scan.has_rest() {
            self.bad_number(warn, format!("invalid number '{word}'"));
        } else if scan.overflow {
            self.bad_number(
                warn,
                format!("number '{word}' outside unsigned decimal range"),
            );
            return None;
        } else if !in_range {
            let unit = 10u64.saturating_pow(u32::try_from(places).unwrap_or(0));
            let text = format!(
                "number '{word}' outside range [{}.{:0places$}, {}.{:0places$}]",
                min / unit,
                min % unit,
                max / unit,
                max % unit
            );
            self.bad_number(warn, text);
        } else {
            return Some(value);
        }
        // Unlike the other readers the original does not look at the test mode here.
        (ignore_error && in_range).then_some(value)
    }

    /// A time in seconds with up to six decimals, in microseconds. `max` 0 means no limit.
    pub fn read_timer(
        &mut self,
        word: &str,
        min: u64,
        max: u64,
        ignore_error: bool,
    ) -> Option<u64> {
        let max = if max == 0 { TIMER_MAXIMUM } else { max };
        self.read_decimal(word, min, max, 6, ignore_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_like_strtol() {
        assert_eq!(scan("12x", 10).rest, "x");
        assert_eq!(scan(" -7", 10).signed(), (-7, false));
        assert_eq!(scan("0x1f", 0).magnitude, 31);
        assert_eq!(scan("010", 0).magnitude, 8);
        assert_eq!(scan("abc", 10).rest, "abc");
        assert!(!scan("", 10).has_rest());
        assert!(scan("99999999999999999999", 10).overflow);
        assert_eq!(scan("0x", 16).rest, "x");
    }
}
