//! Log lines: where they go and those that the daemon itself has to say.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use conf_parsers::conntrackd::{Facility, General};
use daemon_rt::log::{self, Console, Layout, LogFile, Priority, Stream};

/// Name in syslog lines.
pub(crate) const IDENT: &str = "conntrack-tools";

/// From the first moment lines go to the console.
pub fn to_console() {
    log::set_console(Some(Console {
        stream: Stream::BySeverity,
        layout: Layout::CtimePidSeverity,
    }));
}

/// Opens log file and syslog. In the background the console gets nothing from then on.
pub fn open(general: &General, background: bool) -> Result<(), String> {
    open_file(general)?;
    if let Some(facility) = *general.syslog {
        log::set_syslog(Some(log::Syslog::new(IDENT, syslog_facility(facility))));
    }
    if background {
        log::set_console(None);
    }
    Ok(())
}

/// Opens the log file, in the place of one that is open.
pub fn open_file(general: &General) -> Result<(), String> {
    if let Some(path) = &general.log_file {
        // Not followed by a change of mode: an administrator's choice for an existing file stays.
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path.value)
            .map_err(|e| {
                format!(
                    "ERROR: can't open logfile `{}'.Reason: {}",
                    path.value,
                    reason(&e)
                )
            })?;
        log::set_file(Some((LogFile::from(file), Layout::CtimePidSeverity)));
    }
    Ok(())
}

fn syslog_facility(facility: Facility) -> log::Facility {
    log::Facility::from_number(facility.number()).unwrap_or(log::Facility::DAEMON)
}

/// A flow that an error concerns: a dated line of its own in the log file, and syslog at error level.
pub fn flow(line: &str) {
    let dated = format!(
        "{}\t{line}\n",
        linux_io::local_time::LocalTime::now().ctime()
    );
    log::with_file(|file| file.write_all(dated.as_bytes()));
    log::to_syslog_only(Priority::Err, None, line);
}

/// The system's words for an error, without Rust's number behind them.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_c_librarys() {
        assert_eq!(
            reason(&io::Error::from_raw_os_error(2)),
            "No such file or directory"
        );
        assert_eq!(reason(&io::Error::from_raw_os_error(19)), "No such device");
    }
}
