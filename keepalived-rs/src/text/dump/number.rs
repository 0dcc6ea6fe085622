//! Numbers as C's printf writes them, and times.

use linux_io::local_time::LocalTime;

use super::snapshot::WallTime;

/// `%g`: six significant digits, no trailing zeros, an exponent for very large and very small values.
pub fn general(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return if value == 0.0 {
            "0".to_owned()
        } else {
            value.to_string()
        };
    }
    let scientific = format!("{value:.5e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let Ok(exponent) = exponent.parse::<i32>() else {
        return scientific;
    };
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
    }
    let places = usize::try_from(5 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.places$}"))
}

/// Microseconds as seconds with `%g`.
pub fn seconds(micros: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "six digits are shown")]
    general(micros as f64 / 1e6)
}

/// Microseconds as seconds with six decimals (`%f`).
pub fn fixed(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// `Sun Nov 22 17:10:29.348822 2026` in local time.
pub fn date(at: WallTime) -> String {
    let (text, micros) = ctime(at);
    match text.rsplit_once(' ') {
        Some((day_and_time, year)) => format!("{day_and_time}.{micros:06} {year}"),
        None => text,
    }
}

/// The same with the fraction behind the year, as one line of the dump has it.
pub fn date_before_fraction(at: WallTime) -> String {
    let (text, micros) = ctime(at);
    format!("{text}.{micros:06}")
}

fn ctime(at: WallTime) -> (String, u32) {
    let micros = u32::try_from(at.0 % 1_000_000).unwrap_or(0);
    let local = LocalTime::from_unix(at.0 / 1_000_000, micros.saturating_mul(1000));
    (local.ctime().to_string(), micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_is_like_printf() {
        for (value, text) in [
            (0.0, "0"),
            (5.0, "5"),
            (0.1, "0.1"),
            (2.5, "2.5"),
            (0.000_123_456_7, "0.000123457"),
            (0.000_012, "1.2e-05"),
            (100_000.0, "100000"),
            (1_234_567.0, "1.23457e+06"),
            (0.999_999_9, "1"),
        ] {
            assert_eq!(general(value), text);
        }
    }
}
