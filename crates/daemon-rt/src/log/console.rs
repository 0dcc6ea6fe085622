//! Lines for the person at the terminal, or for the supervisor that holds our stderr.

use std::io::Write as _;

use super::{Layout, Priority};

/// Which stream a console line goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Everything to stderr (keepalived).
    Stderr,
    /// LOG_INFO and LOG_NOTICE to stdout, the rest to stderr (conntrackd).
    BySeverity,
}

/// A console: a stream and a layout.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// Where lines go.
    pub stream: Stream,
    /// What they look like.
    pub layout: Layout,
}

impl Console {
    /// Writes one line; a closed or full terminal is not an error of the daemon.
    pub(super) fn write(self, priority: Priority, text: &str) {
        let line = self.layout.line(priority, text);
        let quiet = matches!(priority, Priority::Info | Priority::Notice);
        let _ = match self.stream {
            Stream::BySeverity if quiet => {
                let mut out = std::io::stdout().lock();
                out.write_all(line.as_bytes()).and_then(|()| out.flush())
            }
            Stream::BySeverity | Stream::Stderr => {
                std::io::stderr().lock().write_all(line.as_bytes())
            }
        };
    }
}
