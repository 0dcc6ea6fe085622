//! Statistics mode's output: a line per finished flow, to a file, to syslog or to both.
//!
//! Lines gather during one turn of the loop and are written together. A file that does not take them (a full disk) costs
//! lines, never the daemon: the first loss is told, and when the file takes lines again, how many are missing.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use conf_parsers::conntrackd::{Facility, General, Stats};
use daemon_rt::log::{self, Priority, Syslog};
use linux_io::local_time::LocalTime;
use nfct::{Conntrack, print};

use crate::text::log::{IDENT, reason};

/// Bytes after which lines are written within a turn.
const FULL: usize = 64 * 1024;

/// Where finished flows go.
#[derive(Default)]
pub struct FlowLog {
    file: Option<Output>,
    syslog: Option<Syslog>,
}

struct Output {
    path: PathBuf,
    file: File,
    lines: Vec<u8>,
    /// Lines that the file did not take since it last took some.
    lost: u64,
    /// The last byte that the file took was not a line's end.
    torn: bool,
}

impl FlowLog {
    /// Opens the configured file; the error is the line to print.
    pub fn open_file(stats: Option<&Stats>) -> Result<Option<File>, String> {
        let Some(path) = stats.and_then(|stats| stats.log_file.as_ref()) else {
            return Ok(None);
        };
        open(&path.value).map(Some).map_err(|e| {
            format!(
                "ERROR: can't open logfile `{}'.Reason: {}",
                path.value,
                reason(&e)
            )
        })
    }

    /// The log with its file, opened before.
    pub fn new(general: &General, stats: &Stats, file: Option<File>) -> Self {
        // The original opens syslog once, with General's facility, which without one is "user".
        let facility = general.syslog.map_or(log::Facility::USER, syslog_facility);
        let syslog = stats.syslog.map(|_| Syslog::new(IDENT, facility));
        let path = stats
            .log_file
            .as_ref()
            .map(|path| PathBuf::from(&path.value));
        Self {
            file: file.zip(path).map(|(file, path)| Output {
                path,
                file,
                lines: Vec::new(),
                lost: 0,
                torn: false,
            }),
            syslog,
        }
    }

    /// A flow has ended.
    pub fn ended(&mut self, flow: &Conntrack) {
        if self.file.is_none() && self.syslog.is_none() {
            return;
        }
        let now = SystemTime::now();
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let mut line = String::with_capacity(256);
        print::conntrack_text(&mut line, flow, seconds);
        if let Some(output) = &mut self.file {
            // Writing to a vector can not fail.
            let _ = writeln!(output.lines, "{}\t{line}", LocalTime::at(now).ctime());
            if output.lines.len() >= FULL {
                output.write();
            }
        }
        if let Some(syslog) = &mut self.syslog {
            syslog.send(Priority::Info, None, &line);
        }
    }

    /// Writes what has gathered.
    pub fn write(&mut self) {
        if let Some(output) = &mut self.file {
            output.write();
        }
    }

    /// Opens the file anew, after the old one was moved away. One that can not be opened leaves the old one in use.
    pub fn reopen(&mut self) {
        if let Some(output) = &mut self.file {
            output.write();
            match open(&output.path) {
                Ok(file) => output.file = file,
                Err(e) => daemon_rt::log!(
                    Priority::Err,
                    "can't open logfile `{}': {}",
                    output.path.display(),
                    reason(&e)
                ),
            }
        }
    }
}

impl Output {
    fn write(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        if self.torn {
            self.torn = self.file.write_all(b"\n").is_err();
        }
        let mut written = 0;
        let mut failure = None;
        while let Some(rest) = self.lines.get(written..).filter(|rest| !rest.is_empty()) {
            match self.file.write(rest) {
                Ok(0) => break,
                Ok(len) => written = written.saturating_add(len),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => {
                    failure = Some(e);
                    break;
                }
            }
        }
        let (taken, rest) = self.lines.split_at(written.min(self.lines.len()));
        let missing = rest.iter().filter(|byte| **byte == b'\n').count();
        if let Some(last) = taken.last() {
            self.torn = *last != b'\n';
        }
        let path = self.path.display();
        if missing == 0 {
            if self.lost > 0 {
                daemon_rt::log!(
                    Priority::Warning,
                    "logfile `{path}' takes lines again, {} flows are missing",
                    self.lost
                );
            }
            self.lost = 0;
        } else {
            if self.lost == 0 {
                let why = failure.as_ref().map_or_else(String::new, reason);
                daemon_rt::log!(Priority::Err, "can't write logfile `{path}': {why}");
            }
            self.lost = self
                .lost
                .saturating_add(u64::try_from(missing).unwrap_or(u64::MAX));
        }
        self.lines.clear();
    }
}

impl Drop for FlowLog {
    fn drop(&mut self) {
        self.write();
    }
}

fn open(path: impl AsRef<std::path::Path>) -> std::io::Result<File> {
    // Not followed by a change of mode: an administrator's choice for an existing file stays.
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

fn syslog_facility(facility: Facility) -> log::Facility {
    log::Facility::from_number(facility.number()).unwrap_or(log::Facility::DAEMON)
}
