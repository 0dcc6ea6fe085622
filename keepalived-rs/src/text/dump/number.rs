//! Numbers as C's printf writes them, and times.

use linux_io::local_time::LocalTime;
use net_types::Quotient;

use super::snapshot::WallTime;

/// Microseconds as seconds with `%g`.
pub fn seconds(micros: u64) -> String {
    Quotient::seconds(micros).general().to_string()
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
