//! The syslog client: datagrams to /dev/log in the form the C library writes them.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use linux_io::local_time::LocalTime;

use super::Priority;

/// Longest time one line may wait for a syslog daemon that does not read. Paid once per stall.
pub const PATIENCE: Duration = Duration::from_millis(20);

const DEV_LOG: &str = "/dev/log";

/// Where there is no syslog daemon, how long before it is looked for again: a line must not cost a connection.
const ABSENCE: Duration = Duration::from_millis(100);

/// A syslog facility, as the number syslog(3) has before it is shifted (LOG_DAEMON is 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    /// LOG_USER.
    pub const USER: Self = Self(1);
    /// LOG_DAEMON.
    pub const DAEMON: Self = Self(3);
    /// LOG_LOCAL0.
    pub const LOCAL0: Self = Self(16);

    /// LOG_LOCAL0 … LOG_LOCAL7; `None` for any other number.
    pub const fn local(n: u8) -> Option<Self> {
        if n < 8 { Some(Self(16 + n)) } else { None }
    }

    /// The facility of this number (0 kern … 23 local7).
    pub const fn from_number(n: u8) -> Option<Self> {
        if n < 24 { Some(Self(n)) } else { None }
    }

    /// The number, not shifted.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A connection to the local syslog daemon, made on the first line and again whenever it breaks.
#[derive(Debug)]
pub struct Syslog {
    ident: String,
    facility: Facility,
    path: PathBuf,
    socket: Option<UnixDatagram>,
    /// When it was last looked for in vain.
    absent: Option<Instant>,
    /// The last line found none.
    missed: bool,
    lost: u32,
}

impl Syslog {
    /// Lines will read `ident[pid]: text` under `facility`.
    pub fn new(ident: impl Into<String>, facility: Facility) -> Self {
        Self {
            ident: ident.into(),
            facility,
            path: PathBuf::from(DEV_LOG),
            socket: None,
            absent: None,
            missed: false,
            lost: 0,
        }
    }

    /// The same, talking to another socket than /dev/log.
    pub fn at(mut self, path: &Path) -> Self {
        self.path = path.to_path_buf();
        self
    }

    /// Lines dropped because the syslog daemon runs but does not read, since it last accepted one.
    /// Lines dropped for want of any syslog daemon are not counted: there is nobody to tell.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Sends one line, or drops and counts it.
    pub fn send(&mut self, priority: Priority, facility: Option<Facility>, text: &str) {
        if self.absent.is_some_and(|since| since.elapsed() < ABSENCE) {
            return;
        }
        self.absent = None;
        let facility = facility.unwrap_or(self.facility);
        if self.lost > 0 {
            // Nobody should have to guess why a log has a hole.
            let note = format!("{} log lines lost: syslog did not accept them", self.lost);
            let note = self.line(Priority::Warning, facility, &note);
            if self.deliver(&note) != Sent::Stalled {
                self.lost = 0;
            }
        }
        let line = self.line(priority, facility, text);
        if self.lost > 0 || self.deliver(&line) == Sent::Stalled {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// RFC 3164 without host name: `<30>Nov  2 07:10:05 ident[pid]: text`, as glibc's vsyslog.
    fn line(&self, priority: Priority, facility: Facility, text: &str) -> String {
        let now = LocalTime::now();
        let mut line = String::with_capacity(text.len().saturating_add(64));
        let _ = write!(
            line,
            "<{}>{} {:>2} {:02}:{:02}:{:02} {}[{}]: {}",
            u16::from(facility.0) * 8 + u16::from(priority.number()),
            now.month_name(),
            now.day,
            now.hour,
            now.minute,
            now.second,
            self.ident,
            std::process::id(),
            text
        );
        line
    }

    fn deliver(&mut self, line: &str) -> Sent {
        // A restarted syslog daemon leaves a dead peer: one new connection, one more attempt.
        for _ in 0..2 {
            if self.socket.is_none() {
                self.socket = connect(&self.path);
            }
            let Some(socket) = &self.socket else {
                // Once may be a restart.
                if std::mem::replace(&mut self.missed, true) {
                    self.absent = Some(Instant::now());
                }
                return Sent::Nowhere;
            };
            match socket.send(line.as_bytes()) {
                Ok(_) => {
                    self.missed = false;
                    return Sent::Yes;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return if self.lost == 0 && patient(socket, line) {
                        Sent::Yes
                    } else {
                        Sent::Stalled
                    };
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // Too long for one datagram: no new connection will change that.
                Err(e) if e.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32) => {
                    return Sent::Nowhere;
                }
                Err(_) => self.socket = None,
            }
        }
        Sent::Nowhere
    }
}

/// What became of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Yes,
    /// There is a syslog daemon, but its socket is full.
    Stalled,
    /// There is no syslog daemon, or the line cannot be sent at all.
    Nowhere,
}

fn connect(path: &Path) -> Option<UnixDatagram> {
    let socket = UnixDatagram::unbound().ok()?;
    socket.connect(path).ok()?;
    socket.set_nonblocking(true).ok()?;
    Some(socket)
}

/// One attempt that may wait: bursts are common, and a reader that is alive drains them in no time.
fn patient(socket: &UnixDatagram, line: &str) -> bool {
    if socket.set_nonblocking(false).is_err() || socket.set_write_timeout(Some(PATIENCE)).is_err() {
        return false;
    }
    let sent = socket.send(line.as_bytes()).is_ok();
    socket.set_nonblocking(true).is_ok() && sent
}
