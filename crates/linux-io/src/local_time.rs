//! The operator's wall clock: `CLOCK_REALTIME` broken down by the C library's time zone rules.
//!
//! Log lines and the dates inside dumps are in local time, as the C programs print them, so the
//! zone has to come from the same place: `TZ` or `/etc/localtime`, read by the C library.
#![allow(
    unsafe_code,
    reason = "localtime_r is the only source of the zone rules"
)]

use std::time::{SystemTime, UNIX_EPOCH};

use crate::syscall::Seconds;

/// A moment as a calendar shows it in the local time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Year with century, e.g. 2026.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Day of the week, 0 (Sunday) to 6.
    pub weekday: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 60.
    pub second: u8,
    /// Nanoseconds within the second.
    pub nanos: u32,
    /// Seconds east of UTC.
    pub offset: i32,
}

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl LocalTime {
    /// The present moment.
    pub fn now() -> Self {
        Self::at(SystemTime::now())
    }

    /// `when` in the local zone. Moments before 1970 are shown as 1970.
    pub fn at(when: SystemTime) -> Self {
        let since = when.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_unix(since.as_secs(), since.subsec_nanos())
    }

    /// `seconds` since 1970 (UTC) plus `nanos` in the local zone.
    pub fn from_unix(seconds: u64, nanos: u32) -> Self {
        let seconds = Seconds::try_from(seconds).unwrap_or(Seconds::MAX);
        let mut tm = std::mem::MaybeUninit::<libc::tm>::zeroed();
        // SAFETY: both pointers are to live locals of the right types, and an all-zero `tm` is a valid
        // value (its zone pointer may be null), so reading it is sound even if the call fails. The
        // environment is never changed by this workspace (`set_var` is unsafe and forbidden), so the
        // C library's read of TZ races with nothing.
        let tm = unsafe {
            libc::localtime_r(&seconds, tm.as_mut_ptr());
            tm.assume_init()
        };
        let small = |n: libc::c_int| u8::try_from(n).unwrap_or(0);
        Self {
            year: tm.tm_year.saturating_add(1900),
            month: small(tm.tm_mon).saturating_add(1),
            day: small(tm.tm_mday),
            weekday: small(tm.tm_wday),
            hour: small(tm.tm_hour),
            minute: small(tm.tm_min),
            second: small(tm.tm_sec),
            nanos,
            // `c_long` has 32 bits on some targets.
            #[allow(clippy::useless_conversion, reason = "c_long differs between targets")]
            offset: i32::try_from(tm.tm_gmtoff).unwrap_or(0),
        }
    }

    /// Seconds since 1970 of a date and time of day in the local zone, after the C library has put it right (a 31st of April, an
    /// hour that the clocks skip): the second value is the moment as it is then. None if the calendar ends before.
    pub fn resolve(date: (i32, u8, u8), time: (u8, u8, u8)) -> Option<(u64, Self)> {
        // SAFETY: an all-zero `tm` is a valid value; its zone pointer may be null.
        let mut tm: libc::tm = unsafe { std::mem::zeroed() };
        tm.tm_year = date.0.saturating_sub(1900);
        tm.tm_mon = libc::c_int::from(date.1).saturating_sub(1);
        tm.tm_mday = date.2.into();
        (tm.tm_hour, tm.tm_min, tm.tm_sec) = (time.0.into(), time.1.into(), time.2.into());
        tm.tm_isdst = -1;
        // SAFETY: `tm` is a live local; as for `localtime_r`, the environment is never changed.
        let seconds = u64::try_from(unsafe { libc::mktime(&mut tm) }).ok()?;
        Some((seconds, Self::from_unix(seconds, 0)))
    }

    /// English three-letter weekday, as the C locale has it.
    pub fn weekday_name(&self) -> &'static str {
        WEEKDAYS
            .get(usize::from(self.weekday))
            .copied()
            .unwrap_or("???")
    }

    /// English three-letter month, as the C locale has it.
    pub fn month_name(&self) -> &'static str {
        MONTHS
            .get(usize::from(self.month).wrapping_sub(1))
            .copied()
            .unwrap_or("???")
    }

    /// `Sun, 22 Nov 2026 15:43:03 +0000`: the date of a mail (RFC 5322 section 3.3).
    pub fn mail_date(&self) -> String {
        let minutes = self.offset.unsigned_abs() / 60;
        format!(
            "{}, {:02} {} {} {:02}:{:02}:{:02} {}{:02}{:02}",
            self.weekday_name(),
            self.day,
            self.month_name(),
            self.year,
            self.hour,
            self.minute,
            self.second,
            if self.offset < 0 { '-' } else { '+' },
            minutes / 60,
            minutes % 60,
        )
    }

    /// `Sun Nov 22 15:43:03 2026`: what `ctime(3)` prints, without its newline.
    pub fn ctime(&self) -> Ctime {
        Ctime(*self)
    }
}

/// A [`LocalTime`] that displays as `ctime(3)` prints it.
#[derive(Clone, Copy, Debug)]
pub struct Ctime(LocalTime);

impl std::fmt::Display for Ctime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let t = &self.0;
        write!(
            f,
            "{} {} {:>2} {:02}:{:02}:{:02} {}",
            t.weekday_name(),
            t.month_name(),
            t.day,
            t.hour,
            t.minute,
            t.second,
            t.year
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendars_are_put_right() {
        let (seconds, t) = LocalTime::resolve((2026, 11, 22), (12, 43, 3)).unwrap();
        assert_eq!(LocalTime::from_unix(seconds, 0), t);
        assert_eq!((t.year, t.month, t.day, t.hour), (2026, 11, 22, 12));
        let (_, t) = LocalTime::resolve((2026, 4, 31), (12, 0, 0)).unwrap();
        assert_eq!((t.month, t.day), (5, 1));
        assert_eq!(LocalTime::resolve((1900, 1, 1), (0, 0, 0)), None);
    }

    #[test]
    fn a_mail_has_a_zone() {
        let mut t = LocalTime::from_unix(1_795_362_183, 0);
        (t.day, t.hour, t.minute, t.offset) = (2, 9, 7, -(9 * 3600 + 30 * 60));
        assert!(
            t.mail_date().contains(", 02 Nov 2026 09:07:03 -0930"),
            "{}",
            t.mail_date()
        );
        t.offset = 3600;
        assert!(t.mail_date().ends_with(" +0100"));
    }

    #[test]
    fn a_known_second_has_its_calendar_shape() {
        // The zone of the machine is not known, so only what holds in every zone is asserted.
        let t = LocalTime::from_unix(1_795_362_183, 845_971_353);
        assert_eq!((t.year, t.month, t.second), (2026, 11, 3));
        assert_eq!(t.nanos, 845_971_353);
        let text = t.ctime().to_string();
        assert_eq!(text.len(), 24);
        assert!(text.ends_with(":03 2026"), "{text}");
        assert!(text.contains(" Nov 2"), "{text}");
    }
}
