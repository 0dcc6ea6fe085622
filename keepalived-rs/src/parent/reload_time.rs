//! A reload at a time that a file tells (`reload_time_file`).
//!
//! In: the file, watched through its directory; the clocks. Out: the moment to reload at, log lines.
//! The file's first line is `HH:MM:SS` (the next time the clock shows that), or `YY-MM-DD HH:MM:SS` or `YYYY-MM-DD HH:MM:SS`; a `Z`
//! behind it makes it UTC.
//! Answers to: keepalived 2.3.3 core/reload_monitor.c.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use linux_io::inotify::{Change, FileWatch, Watch};
use linux_io::local_time::LocalTime;
use net_types::{Duration, Instant};

use super::info;

/// Characters of the line that are read, as the original does.
const LINE_MAX: u64 = 20;
const DAY: u64 = 86_400;

/// When to reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    /// Seconds since 1970.
    pub(super) wall: u64,
    /// The file named a day: it is over once that has come.
    pub(super) dated: bool,
}

/// Why a line is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// Not the length of one.
    Format,
    /// Not digits in their places, or out of their ranges.
    Invalid,
    /// No such day or hour in the calendar.
    NotValid,
    /// A day that is over.
    Past,
}

/// The file and what it says.
#[derive(Debug)]
pub(super) struct ReloadTime {
    path: PathBuf,
    repeat: bool,
    watch: FileWatch,
    directory: Watch,
    due: Option<(Due, Instant)>,
}

/// `2026-11-22 17:03:31`, local time.
pub(super) fn shown(wall: u64) -> String {
    let t = LocalTime::from_unix(wall, 0);
    format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02}",
        t.year, t.month, t.day, t.hour, t.minute, t.second
    )
}

impl ReloadTime {
    /// Watches the file; none after a log line if its directory cannot be watched.
    pub(super) fn start(path: &str, repeat: bool, now: Instant) -> Option<Self> {
        let path = PathBuf::from(path);
        let dir = path.parent().filter(|p| !p.as_os_str().is_empty());
        // The daemon's own directory is the root.
        let dir = dir.unwrap_or(Path::new("/"));
        let watched = FileWatch::new().and_then(|watch| {
            let directory = watch.add(dir)?;
            Ok((watch, directory))
        });
        let Ok((watch, directory)) = watched else {
            info!(
                "Unable to monitor reload timer file directory {}- ignoring",
                dir.display()
            );
            return None;
        };
        let mut this = Self {
            path,
            repeat,
            watch,
            directory,
            due: None,
        };
        this.read(now);
        Some(this)
    }

    /// When the reload is due.
    pub(super) fn due(&self) -> Option<Due> {
        self.due.map(|(due, _)| due)
    }

    /// The same on the monotonic clock.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.map(|(_, at)| at)
    }

    /// The time has come: the caller reloads, and starts to watch anew. A file that has served is removed.
    pub(super) fn expire(self) {
        if !self.repeat || self.due.is_some_and(|(due, _)| due.dated) {
            // Somebody may have removed it this instant.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// The directory has news. `false`: it is gone, and the watch with it.
    pub(super) fn changed(&mut self, now: Instant) -> bool {
        let events = match self.watch.read() {
            Ok(events) => events,
            Err(e) => {
                info!(
                    "inotify read() returned error {} - {}",
                    e.raw_os_error().unwrap_or(0),
                    crate::text::errno::sentence(&e)
                );
                return false;
            }
        };
        for event in events {
            let ours = event.name.as_deref() == self.path.file_name();
            match event.change {
                Change::Ended if event.watch == Some(self.directory) => {
                    self.cancel();
                    info!("Directory of reload timer file has disappeared. Monitoring stopped.");
                    return false;
                }
                Change::Overrun => self.read(now),
                Change::Written | Change::Appeared if ours => self.read(now),
                Change::Gone if ours => self.cancel(),
                Change::Ended | Change::Written | Change::Appeared | Change::Gone => {}
            }
        }
        true
    }

    fn cancel(&mut self) {
        if let Some((due, _)) = self.due.take() {
            info!("Cancelling reload scheduled for {}", shown(due.wall));
        }
    }

    fn read(&mut self, now: Instant) {
        let line = match first_line(&self.path) {
            Ok(Some(line)) => line,
            Ok(None) | Err(_) => return self.cancel(),
        };
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let due = match parse(&line, since.as_secs()) {
            Ok(due) => due,
            Err(wrong) => {
                match wrong {
                    Wrong::Format => {
                        info!("Reload time {line} format is incorrect - ignoring");
                    }
                    Wrong::Invalid => info!("Reload date/time {line} invalid - ignoring"),
                    Wrong::NotValid => info!("Reload time {line} is not valid - ignoring"),
                    Wrong::Past => info!("Reload time {line} is in the past - ignoring"),
                }
                match wrong {
                    Wrong::Past => info!("Reload date/time is in the past - ignoring"),
                    _ => info!("Invalid reload time '{line}' specified - ignoring"),
                }
                return self.cancel();
            }
        };
        match self.due() {
            Some(before) if before.wall == due.wall => return,
            Some(before) => info!(
                "Reload time updated from {} to {}",
                shown(before.wall),
                shown(due.wall)
            ),
            None => info!("Scheduling reload for {}", shown(due.wall)),
        }
        let left = Duration::from_secs(due.wall.saturating_sub(since.as_secs()));
        let begun = Duration::from_micros(u64::from(since.subsec_micros()));
        self.due = Some((due, now + left.saturating_sub(begun)));
    }
}

impl AsFd for ReloadTime {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// The first line without its end; none if the file is empty.
fn first_line(path: &Path) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    BufReader::new(File::open(path)?.take(LINE_MAX)).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

/// Numbers between the separators of `pattern`, in which a letter stands for one: `y-m-d H:M:S`. Each has at most two digits (a `Y`
/// four), and blanks in front of it do not matter, as strptime(3) has it.
fn numbers(text: &str, pattern: &str) -> Option<Vec<u32>> {
    let mut rest = text;
    let mut out = Vec::new();
    for c in pattern.chars() {
        if !c.is_ascii_alphabetic() {
            // A blank stands for any number of them.
            rest = match c {
                ' ' => rest.trim_start(),
                c => rest.strip_prefix(c)?,
            };
            continue;
        }
        rest = rest.trim_start();
        let most = if c == 'Y' { 4 } else { 2 };
        let digits = rest
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        let (number, after) = rest.split_at_checked(digits)?;
        let number: u32 = number.parse().ok()?;
        let range = match c {
            'm' => 1..=12,
            'd' => 1..=31,
            'H' => 0..=23,
            'M' => 0..=59,
            'S' => 0..=61,
            _ => 0..=9999,
        };
        out.push(range.contains(&number).then_some(number)?);
        rest = after;
    }
    rest.is_empty().then_some(out)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The year, month and day of a number of days since 1970-01-01.
fn civil(day: u64) -> (i32, u8, u8) {
    let day = i64::try_from(day).unwrap_or(0);
    // At most one year off, and then one month.
    let mut year = 1970 + day / 366;
    while days(year + 1, 1, 1) <= day {
        year += 1;
    }
    let month = (1..=12)
        .rev()
        .find(|m| days(year, *m, 1) <= day)
        .unwrap_or(1);
    let of_month = day - days(year, month, 1) + 1;
    let small = |n: i64| u8::try_from(n).unwrap_or(1);
    (
        i32::try_from(year).unwrap_or(1970),
        small(month),
        small(of_month),
    )
}

fn parse(text: &str, now: u64) -> Result<Due, Wrong> {
    let (local, utc) = match text.strip_suffix('Z') {
        Some(local) => (local, true),
        None => (text, false),
    };
    let pattern = match local.len() {
        8 => "H:M:S",
        17 => "y-m-d H:M:S",
        19 => "Y-m-d H:M:S",
        _ => return Err(Wrong::Format),
    };
    let numbers = numbers(local, pattern).ok_or(Wrong::Invalid)?;
    let small = |n: u32| u8::try_from(n).unwrap_or(u8::MAX);
    let (date, time) = match *numbers.as_slice() {
        [h, m, s] => {
            let today = if utc {
                civil(now / DAY)
            } else {
                let t = LocalTime::from_unix(now, 0);
                (t.year, t.month, t.day)
            };
            (today, (small(h), small(m), small(s)))
        }
        [y, mo, d, h, m, s] => {
            let year = match y {
                0..=68 if local.len() == 17 => 2000 + y,
                69..=99 if local.len() == 17 => 1900 + y,
                y => y,
            };
            let year = i32::try_from(year).unwrap_or(i32::MAX);
            ((year, small(mo), small(d)), (small(h), small(m), small(s)))
        }
        _ => return Err(Wrong::Invalid),
    };
    // Whether the calendar has it is asked in the local zone, for UTC too.
    let before_all = if date.0 < 1970 {
        Wrong::Past
    } else {
        Wrong::NotValid
    };
    let (mut wall, moment) = LocalTime::resolve(date, time).ok_or(before_all)?;
    if (moment.year, moment.month, moment.day) != date
        || (moment.hour, moment.minute, moment.second) != time
    {
        return Err(Wrong::NotValid);
    }
    if utc {
        let day = days(i64::from(date.0), i64::from(date.1), i64::from(date.2));
        let (h, m, s) = (u64::from(time.0), u64::from(time.1), u64::from(time.2));
        wall = u64::try_from(day).unwrap_or(0) * DAY + h * 3600 + m * 60 + s;
    }
    let dated = local.len() >= 17;
    if wall <= now {
        if dated {
            return Err(Wrong::Past);
        }
        wall = if utc {
            wall + DAY
        } else {
            // The same time of tomorrow, which is 23 or 25 hours off when the clocks change.
            let tomorrow = (date.0, date.1, date.2.saturating_add(1));
            LocalTime::resolve(tomorrow, time).map_or(wall + DAY, |(wall, _)| wall)
        };
    }
    Ok(Due { wall, dated })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 12:00:00 UTC.
    const NOON: u64 = 1_795_348_800;

    #[test]
    fn times_in_utc() {
        let at = |text: &str| parse(text, NOON).map(|due| (due.wall, due.dated));
        assert_eq!(at("12:00:01Z"), Ok((NOON + 1, false)));
        assert_eq!(at("12:00:00Z"), Ok((NOON + DAY, false)));
        assert_eq!(at("26-11-22 13:00:00Z"), Ok((NOON + 3600, true)));
        assert_eq!(at("2026-12-01 12:00:00Z"), Ok((NOON + 9 * DAY, true)));
        assert_eq!(at("2028-02-29 12:00:00Z"), Ok((NOON + 464 * DAY, true)));
        assert_eq!(at("2026-11-22 12:00:00Z"), Err(Wrong::Past));
        assert_eq!(at("2027-02-29 12:00:00Z"), Err(Wrong::NotValid));
        assert_eq!(at("69-01-01 00:00:00"), Err(Wrong::Past));
    }

    #[test]
    fn local_time_is_tomorrow_when_it_is_over() {
        let t = LocalTime::from_unix(NOON, 0);
        let text = format!("{:02}:{:02}:{:02}", t.hour, t.minute, t.second);
        let due = parse(&text, NOON).unwrap();
        assert!(due.wall > NOON + DAY / 2 && !due.dated);
        assert_eq!(parse(&shown(due.wall), NOON).unwrap().wall, due.wall);
    }

    #[test]
    fn what_is_no_time() {
        for (text, wrong) in [
            ("", Wrong::Format),
            ("12:00", Wrong::Format),
            ("12:00:00 Z", Wrong::Format),
            ("24:00:00", Wrong::Invalid),
            ("12:60:00", Wrong::Invalid),
            ("12.00.00", Wrong::Invalid),
            ("ab:cd:ef", Wrong::Invalid),
            ("12:00:0x", Wrong::Invalid),
            ("2026-13-01 00:00:00", Wrong::Invalid),
            ("12:00:60", Wrong::NotValid),
        ] {
            assert_eq!(parse(text, NOON), Err(wrong), "{text}");
        }
    }

    #[test]
    fn the_calendar_and_back() {
        for day in [0, 58, 59, 60, 364, 365, 19_782, 20_779, 47_540] {
            let (y, m, d) = civil(day);
            let back = days(i64::from(y), i64::from(m), i64::from(d));
            assert_eq!(u64::try_from(back), Ok(day));
        }
        assert_eq!(civil(NOON / DAY), (2026, 11, 22));
    }

    #[test]
    fn the_file_comes_changes_and_goes() {
        let dir = std::env::temp_dir().join(format!("keepalived-reload-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("at");
        let t0 = Instant::from_micros(1_000_000);
        let mut at = ReloadTime::start(&path.to_string_lossy(), false, t0).unwrap();
        // A program that another test starts just now holds a copy of the file open for a moment.
        let until = |at: &mut ReloadTime, wanted: fn(Option<Due>) -> bool| {
            (0..500).any(|_| {
                let there = at.changed(t0) && wanted(at.due());
                if !there {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                there
            })
        };
        assert_eq!(at.due(), None);
        // Times of 32-bit systems end in 2038.
        std::fs::write(&path, "2037-01-01 00:00:00Z\n").unwrap();
        assert!(until(&mut at, |due| due
            .is_some_and(|due| due.wall == 2_114_380_800)));
        assert!(at.deadline().unwrap() > t0);
        std::fs::write(&path, "nonsense").unwrap();
        assert!(until(&mut at, |due| due.is_none()));
        std::fs::write(&path, "23:59:59").unwrap();
        assert!(until(&mut at, |due| due.is_some()));
        std::fs::remove_file(&path).unwrap();
        assert!(until(&mut at, |due| due.is_none()));
        std::fs::write(&path, "23:59:59").unwrap();
        assert!(until(&mut at, |due| due.is_some()));
        at.expire();
        assert!(!path.exists());
        let mut at = ReloadTime::start(&path.to_string_lossy(), false, t0).unwrap();
        std::fs::remove_dir(&dir).unwrap();
        assert!(!at.changed(t0));
        assert!(ReloadTime::start(&path.to_string_lossy(), false, t0).is_none());
    }
}
