//! Quotients as C's `printf` writes those of two doubles, in whole numbers: the standard library's writing of floating-point
//! numbers takes 16 kB of a router's flash.

use core::cmp::Ordering;
use core::fmt::{self, Display, Formatter};

/// `value / per`: microseconds as seconds, or a kernel's eighth of a millisecond as milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotient {
    value: u64,
    per: u64,
}

impl Quotient {
    /// `value / per`, where a `per` of 0 counts as 1. Exact for a `per` of up to 10^6.
    #[must_use]
    pub const fn new(value: u64, per: u64) -> Self {
        let per = if per == 0 { 1 } else { per };
        Self { value, per }
    }

    /// Microseconds as seconds.
    #[must_use]
    pub const fn seconds(micros: u64) -> Self {
        Self::new(micros, 1_000_000)
    }

    /// `%g`: six significant digits, no trailing zeros, an exponent for very large and very small values.
    #[must_use]
    pub const fn general(self) -> General {
        General(self)
    }

    /// `%.2f`, `%.6f`: with that many places, of which up to 9 make sense.
    #[must_use]
    pub const fn fixed(self, places: u32) -> Fixed {
        Fixed(self, places)
    }

    /// `value / per * 10^power`, rounded as the double nearest to `value / per` is.
    fn scaled(self, power: i32) -> u64 {
        let factor = 10u64.saturating_pow(power.unsigned_abs());
        let (value, per) = if power < 0 {
            (self.value, self.per.saturating_mul(factor))
        } else {
            (self.value.saturating_mul(factor), self.per)
        };
        let (whole, rest) = (value / per, value % per);
        let up = match rest.cmp(&(per - rest)) {
            Ordering::Less => false,
            Ordering::Greater => true,
            // A tie, but for the double's own error.
            Ordering::Equal => match self.error() {
                Ordering::Less => false,
                Ordering::Greater => true,
                Ordering::Equal => whole % 2 == 1,
            },
        };
        whole + u64::from(up)
    }

    /// On which side of the quotient the double nearest to it lies.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the error of just this is looked for"
    )]
    fn error(self) -> Ordering {
        let bits = (self.value as f64 / self.per as f64).to_bits();
        // IEEE 754 binary64 of a positive number: mantissa * 2^-shift.
        let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
        let shift = (1075_u64).saturating_sub(bits >> 52);
        let exact = u128::from(self.value)
            .checked_shl(u32::try_from(shift).unwrap_or(u32::MAX))
            .unwrap_or(0);
        (u128::from(mantissa) * u128::from(self.per)).cmp(&exact)
    }
}

/// See [`Quotient::general`].
#[derive(Clone, Copy, Debug)]
pub struct General(Quotient);

impl Display for General {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Quotient { value, per } = self.0;
        if value == 0 {
            return f.write_str("0");
        }
        // The power of ten of the first digit, then six digits from there on.
        let whole = value / per;
        let mut power = whole.checked_ilog10().map_or(0, |power| power as i32);
        while whole == 0 && value.saturating_mul(10_u64.saturating_pow(power.unsigned_abs())) < per
        {
            power -= 1;
        }
        let mut digits = self.0.scaled(5 - power);
        if digits == 1_000_000 {
            digits = 100_000;
            power += 1;
        }
        let mut places = 5;
        while places > 0 && digits % 10 == 0 {
            digits /= 10;
            places -= 1;
        }
        if !(-4..6).contains(&power) {
            decimal(f, digits, places)?;
            let sign = if power < 0 { '-' } else { '+' };
            return write!(f, "e{sign}{:02}", power.unsigned_abs());
        }
        match u32::try_from(places - power) {
            Ok(places) => decimal(f, digits, places as i32),
            Err(_) => write!(
                f,
                "{}",
                digits * 10_u64.pow((power - places).unsigned_abs())
            ),
        }
    }
}

/// See [`Quotient::fixed`].
#[derive(Clone, Copy, Debug)]
pub struct Fixed(Quotient, u32);

impl Display for Fixed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let places = self.1.min(9) as i32;
        decimal(f, self.0.scaled(places), places)
    }
}

/// `digits` with a point before the last `places` of them.
fn decimal(f: &mut Formatter<'_>, digits: u64, places: i32) -> fmt::Result {
    if places <= 0 {
        return write!(f, "{digits}");
    }
    let unit = 10_u64.saturating_pow(places.unsigned_abs());
    let width = places.unsigned_abs() as usize;
    write!(f, "{}.{:0width$}", digits / unit, digits % unit)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::Quotient;
    use std::format;
    use std::string::{String, ToString};

    #[test]
    fn general_is_like_printf() {
        for (micros, text) in [
            (0, "0"),
            (5_000_000, "5"),
            (100_000, "0.1"),
            (2_500_000, "2.5"),
            (12_345_678, "12.3457"),
            (123, "0.000123"),
            (12, "1.2e-05"),
            (1, "1e-06"),
            (100_000_000_000, "100000"),
            (1_234_567_000_000, "1.23457e+06"),
            (999_999_900, "1000"),
            (9_999_999, "10"),
        ] {
            assert_eq!(Quotient::seconds(micros).general().to_string(), text);
        }
        for (value, per, text) in [
            (1001, 8, "125.125"),
            (8001, 8000, "1.00012"),
            (999_875, 1000, "999.875"),
        ] {
            assert_eq!(Quotient::new(value, per).general().to_string(), text);
        }
        assert_eq!(
            Quotient::new(u64::from(u32::MAX), 1000)
                .general()
                .to_string(),
            "4.29497e+06"
        );
    }

    /// `%g` by way of the standard library's floating point.
    fn by_float(value: f64) -> String {
        let text = format!("{value:.5e}");
        let (mantissa, power) = text.split_once('e').unwrap();
        let power: i32 = power.parse().unwrap();
        let cut = |text: &str| match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
            false => text.to_string(),
        };
        if (-4..6).contains(&power) {
            return cut(&format!(
                "{value:.*}",
                usize::try_from(5 - power).unwrap_or(0)
            ));
        }
        let sign = if power < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", cut(mantissa), power.abs())
    }

    #[test]
    fn ties_are_rounded_as_the_doubles_are() {
        // Every tie of six digits up to 1100 s in odd steps, and numbers of all sizes.
        let ties = (10..11_000_u64).map(|n| n * 100_000 + 50);
        let sizes = (1..2_000_u64).map(|n| n * n * n * 7 + 1);
        let small = (0..200_000_u64).map(|n| n * 5);
        for micros in ties.chain(sizes).chain(small).filter(|n| *n > 0) {
            let float = micros as f64 / 1e6;
            assert_eq!(
                Quotient::seconds(micros).general().to_string(),
                by_float(float)
            );
            for places in [2, 6] {
                assert_eq!(
                    Quotient::seconds(micros)
                        .fixed(u32::try_from(places).unwrap())
                        .to_string(),
                    format!("{float:.places$}")
                );
            }
        }
        for per in [1, 4, 8, 1000, 4000, 8000] {
            for value in (1..40_000_u64).chain((u64::from(u32::MAX) - 5_000)..u64::from(u32::MAX)) {
                let float = value as f64 / per as f64;
                assert_eq!(
                    Quotient::new(value, per).general().to_string(),
                    by_float(float)
                );
            }
        }
    }
}
