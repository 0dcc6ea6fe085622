//! Log lines to syslog, console and file, with all eight syslog severities.
//!
//! One call, [`log`] (or the [`log!`](crate::log!) macro), makes the text once and hands it to each sink. There is no event
//! library between: the usual one has five levels, which cannot tell LOG_NOTICE from LOG_INFO as operators' syslog rules do,
//! made the text once a sink, and took 20 kB of a router's flash.
//!
//! ```text
//! log(Priority, format_args!) ─▶ text ─┬▶ syslog   /dev/log datagram, <pri>date ident[pid]: text
//!                                      ├▶ console  stderr/stdout, one of `Layout`
//!                                      └▶ file     O_APPEND, one of `Layout`
//! ```
//!
//! The sinks are process-wide and can be exchanged at any time: a forked child sets its own ident
//! and file. Logging never fails and never blocks for long: a full syslog socket costs at most
//! [`syslog::PATIENCE`] once, then lines are dropped and counted until it accepts again. Who has something more
//! urgent to do than to write holds lines back with [`hold_back`].

mod console;
mod file;
mod line;
pub mod syslog;

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use console::{Console, Stream};
pub use file::LogFile;
pub use line::Layout;
pub use syslog::{Facility, Syslog};

/// Syslog severity, most urgent first; the numbers are those of syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// LOG_EMERG: the system is unusable.
    Emerg = 0,
    /// LOG_ALERT: action must be taken at once.
    Alert = 1,
    /// LOG_CRIT: critical conditions.
    Crit = 2,
    /// LOG_ERR: error conditions.
    Err = 3,
    /// LOG_WARNING: warning conditions.
    Warning = 4,
    /// LOG_NOTICE: normal but significant.
    Notice = 5,
    /// LOG_INFO: informational.
    Info = 6,
    /// LOG_DEBUG: debug messages.
    Debug = 7,
}

impl Priority {
    /// The number syslog(3) gives this severity.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

static SYSLOG: Mutex<Option<Syslog>> = Mutex::new(None);
static CONSOLE: Mutex<Option<Console>> = Mutex::new(None);
static FILE: Mutex<Option<(LogFile, Layout)>> = Mutex::new(None);
/// Lines that are held back.
static HELD: Mutex<Option<Vec<(Priority, String)>>> = Mutex::new(None);
/// With more lines than this nothing is held back any longer.
const MOST_HELD: usize = 4096;

/// A sink is plain data between two lines, so a panic while it was held leaves nothing half done.
fn hold<T>(sink: &'static Mutex<T>) -> MutexGuard<'static, T> {
    sink.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where syslog lines go from now on; `None` stops them.
pub fn set_syslog(to: Option<Syslog>) {
    *hold(&SYSLOG) = to;
}

/// Where console lines go from now on; `None` stops them.
pub fn set_console(to: Option<Console>) {
    *hold(&CONSOLE) = to;
}

/// The log file from now on and the layout of its lines; `None` closes it.
pub fn set_file(to: Option<(LogFile, Layout)>) {
    *hold(&FILE) = to;
}

/// Applies `with` to the open log file, if there is one: a changed mode, or a line without the usual
/// layout (conntrackd writes bare flow lines into its log file).
pub fn with_file<R>(with: impl FnOnce(&LogFile) -> R) -> Option<R> {
    hold(&FILE).as_ref().map(|(file, _)| with(file))
}

/// Sends one line to syslog alone, at `priority`, with another facility if one is given.
pub fn to_syslog_only(priority: Priority, facility: Option<Facility>, text: &str) {
    if let Some(syslog) = hold(&SYSLOG).as_mut() {
        syslog.send(priority, facility, text);
    }
}

/// From now on lines of [`log`] wait for [`let_go`], in their order, unless they are [`Priority::Crit`] or worse: those, and whatever
/// waits before them, are delivered at once. Lines have the time of their delivery. Do not fork before they are let go.
pub fn hold_back() {
    hold(&HELD).get_or_insert_with(Vec::new);
}

/// Delivers the lines that wait; later ones do not wait.
pub fn let_go() {
    let held = hold(&HELD).take();
    for (priority, text) in held.into_iter().flatten() {
        deliver(priority, &text);
    }
}

/// Logs one line. A trailing newline is not wanted; newlines inside are delivered as they are. Without any sink set it goes
/// nowhere.
pub fn log(priority: Priority, text: fmt::Arguments<'_>) {
    let text = fmt::format(text);
    if let Some(held) = hold(&HELD).as_mut() {
        if priority > Priority::Crit && held.len() < MOST_HELD {
            held.push((priority, text));
            return;
        }
    }
    let_go();
    deliver(priority, &text);
}

fn deliver(priority: Priority, text: &str) {
    to_syslog_only(priority, None, text);
    if let Some(console) = hold(&CONSOLE).as_ref() {
        console.write(priority, text);
    }
    if let Some((file, layout)) = hold(&FILE).as_ref() {
        file.write_all(layout.line(priority, text).as_bytes());
    }
}

/// Logs one formatted line: `log!(Priority::Info, "Stopped {name}")`.
#[macro_export]
macro_rules! log {
    ($priority:expr, $($text:tt)+) => {
        $crate::log::log($priority, ::core::format_args!($($text)+))
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    // The sinks belong to the process, so everything about them is one test.
    #[test]
    fn a_line_reaches_every_sink_with_its_priority() {
        let dir = std::env::temp_dir().join(format!("daemon-rt-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let socket = dir.join("log");
        let syslogd = UnixDatagram::bind(&socket).unwrap();
        set_syslog(Some(
            Syslog::new("Keepalived_vrrp", Facility::DAEMON).at(&socket),
        ));
        let path = dir.join("k.log");
        set_file(Some((LogFile::append(&path, 0o177).unwrap(), Layout::Bare)));

        let mut buf = [0u8; 256];
        let mut next = || {
            let n = syslogd.recv(&mut buf).unwrap();
            String::from_utf8_lossy(buf.get(..n).unwrap()).into_owned()
        };

        crate::log!(Priority::Notice, "one {}", 1);
        let line = next();
        // LOG_DAEMON is 3 << 3, LOG_NOTICE 5.
        assert!(line.starts_with("<29>"), "{line}");
        let tail = format!(" Keepalived_vrrp[{}]: one 1", std::process::id());
        assert!(line.ends_with(&tail), "{line}");
        // <29>Mon DD HH:MM:SS
        assert_eq!(line.len(), 4 + 15 + tail.len(), "{line}");

        crate::log!(Priority::Info, "two");
        assert!(next().starts_with("<30>"));
        crate::log!(Priority::Debug, "three");
        assert!(next().starts_with("<31>"));
        crate::log!(Priority::Warning, "four");
        assert!(next().starts_with("<28>"));

        // syslogd restarts: the old socket dies, a new one appears under the same name.
        drop(syslogd);
        std::fs::remove_file(&socket).unwrap();
        crate::log!(Priority::Info, "nobody listens");
        let syslogd = UnixDatagram::bind(&socket).unwrap();
        crate::log!(Priority::Info, "five");
        let n = syslogd.recv(&mut buf).unwrap();
        assert!(String::from_utf8_lossy(buf.get(..n).unwrap()).ends_with("]: five"));

        // What is held back keeps its place; what is grave takes everything before it along.
        hold_back();
        crate::log!(Priority::Info, "held");
        crate::log!(Priority::Notice, "and held");
        let file = || std::fs::read_to_string(&path).unwrap();
        assert!(file().ends_with("five\n"));
        let_go();
        assert!(file().ends_with("five\nheld\nand held\n"));
        hold_back();
        crate::log!(Priority::Info, "before");
        crate::log!(Priority::Crit, "panic");
        assert!(file().ends_with("before\npanic\n"));
        for line in ["held", "and held", "before", "panic"] {
            let n = syslogd.recv(&mut buf).unwrap();
            assert!(String::from_utf8_lossy(buf.get(..n).unwrap()).ends_with(line));
        }

        to_syslog_only(Priority::Info, Some(Facility::LOCAL0), "six");
        let n = syslogd.recv(&mut buf).unwrap();
        assert!(buf.get(..n).unwrap().starts_with(b"<134>"));

        set_syslog(None);
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "one 1\ntwo\nthree\nfour\nnobody listens\nfive\nheld\nand held\nbefore\npanic\n"
        );
        set_file(None);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_full_syslog_socket_does_not_hold_the_daemon() {
        let dir = std::env::temp_dir().join(format!("daemon-rt-full-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let socket = dir.join("log");
        let syslogd = UnixDatagram::bind(&socket).unwrap();
        let mut log = Syslog::new("x", Facility::USER).at(&socket);
        // Far more than any receive queue holds, with nobody reading.
        for n in 0..2000 {
            log.send(Priority::Info, None, &format!("line {n}"));
        }
        assert!(log.lost() > 0);
        syslogd.set_nonblocking(true).unwrap();
        let mut buf = [0u8; 256];
        let mut got = 0;
        while syslogd.recv(&mut buf).is_ok() {
            got += 1;
        }
        assert!(got > 0);
        log.send(Priority::Info, None, "after");
        let n = syslogd.recv(&mut buf).unwrap();
        let first = String::from_utf8_lossy(buf.get(..n).unwrap()).into_owned();
        assert!(first.contains("log lines lost"), "{first}");
        let n = syslogd.recv(&mut buf).unwrap();
        assert!(String::from_utf8_lossy(buf.get(..n).unwrap()).ends_with("after"));
        assert_eq!(log.lost(), 0);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
