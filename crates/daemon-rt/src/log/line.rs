//! What a line looks like.

use std::fmt::Write as _;

use linux_io::local_time::LocalTime;

use super::Priority;

/// Most bytes of text in a [`Layout::Ctime`] or [`Layout::CtimeNanos`] line: the C program formats
/// these through a buffer of 2 × 255 + 1 bytes (keepalived 2.3.3 lib/logger.c).
const KEEPALIVED_MAX: usize = 510;

/// How a console or file line is laid out. Every line ends with a newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The text alone.
    Bare,
    /// `Sun Nov 22 15:43:03 2026: text` — keepalived's console (`-n -l`).
    Ctime,
    /// `Sun Nov 22 15:43:03.845971353 2026: text` — keepalived's log file (`-g`).
    CtimeNanos,
    /// `[Sun Nov 22 15:43:03 2026] (pid=1) [notice] text` — conntrackd's console and log file.
    CtimePidSeverity,
}

impl Layout {
    /// The whole line for `text` at this moment.
    pub fn line(self, priority: Priority, text: &str) -> String {
        self.line_at(&LocalTime::now(), priority, text)
    }

    fn line_at(self, now: &LocalTime, priority: Priority, text: &str) -> String {
        let mut out = String::with_capacity(text.len().saturating_add(48));
        // Writing to a String cannot fail.
        let _ = match self {
            Self::Bare => writeln!(out, "{text}"),
            Self::Ctime => writeln!(out, "{}: {}", now.ctime(), cut(text, KEEPALIVED_MAX)),
            Self::CtimeNanos => writeln!(
                out,
                "{} {} {:02} {:02}:{:02}:{:02}.{:09} {}: {}",
                now.weekday_name(),
                now.month_name(),
                now.day,
                now.hour,
                now.minute,
                now.second,
                now.nanos,
                now.year,
                cut(text, KEEPALIVED_MAX)
            ),
            Self::CtimePidSeverity => writeln!(
                out,
                "[{}] (pid={}) [{}] {text}",
                now.ctime(),
                std::process::id(),
                severity_word(priority)
            ),
        };
        out
    }
}

/// conntrackd's words (src/log.c): only four severities have one, and one of them is in capitals.
const fn severity_word(priority: Priority) -> &'static str {
    match priority {
        Priority::Info => "info",
        Priority::Notice => "notice",
        Priority::Warning => "warning",
        Priority::Err => "ERROR",
        Priority::Emerg | Priority::Alert | Priority::Crit | Priority::Debug => "?",
    }
}

/// At most `max` bytes of `text`, never half a character.
fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let mut end = max;
    while end > 0 && !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: LocalTime = LocalTime {
        year: 2026,
        month: 11,
        day: 2,
        weekday: 1,
        hour: 7,
        minute: 10,
        second: 5,
        nanos: 45_971_353,
        offset: 0,
    };

    #[test]
    fn layouts_are_those_of_the_c_programs() {
        for (layout, expected) in [
            (Layout::Bare, "text\n".to_owned()),
            (Layout::Ctime, "Mon Nov  2 07:10:05 2026: text\n".to_owned()),
            (
                Layout::CtimeNanos,
                "Mon Nov 02 07:10:05.045971353 2026: text\n".to_owned(),
            ),
            (
                Layout::CtimePidSeverity,
                format!(
                    "[Mon Nov  2 07:10:05 2026] (pid={}) [ERROR] text\n",
                    std::process::id()
                ),
            ),
        ] {
            assert_eq!(layout.line_at(&AT, Priority::Err, "text"), expected);
        }
    }

    #[test]
    fn long_text_is_cut_where_the_original_cuts_it() {
        let line = Layout::Ctime.line_at(&AT, Priority::Info, &"x".repeat(600));
        assert_eq!(line.len(), "Mon Nov  2 07:10:05 2026: ".len() + 510 + 1);
        assert_eq!(cut("aé", 2), "a");
    }
}
