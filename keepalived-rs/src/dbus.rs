//! The VRRP child's connection to the system bus: the socket around [`dbus_wire::Connection`], and its coming back.
//!
//! In: readiness, the time. Out: events for the child, log lines. Never waits: a bus that is away costs one attempt every five
//! seconds.
//! Answers to: the D-Bus Specification, keepalived 2.3.3 vrrp/vrrp_dbus.c.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use daemon_rt::log;
use daemon_rt::log::Priority;
use dbus_wire::{Connection, Event, Refused, address};
use linux_io::stream_sock::Stream;
use linux_io::watch::Watch;
use net_types::{Duration, Instant};

use crate::text::errno::sentence;

/// Between attempts to reach the bus.
const RETRY: Duration = Duration::from_secs(5);
/// Octets in one read.
const READ: usize = 16 * 1024;
/// Reads in one turn: adverts do not wait for somebody who asks and asks.
const READS: usize = 4;
/// Where the bus listens when nobody says otherwise.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";
/// The variable that says otherwise.
const ADDRESS: &str = "DBUS_SYSTEM_BUS_ADDRESS";

#[derive(Debug)]
struct Link {
    stream: Stream,
    watch: Watch,
}

/// The connection.
#[derive(Debug)]
pub struct Bus {
    /// Answers and signals are given to it.
    pub connection: Connection,
    address: String,
    link: Option<Link>,
    retry_at: Option<Instant>,
    /// It was told that the bus is away.
    told: bool,
    /// The child does not know yet that the connection is gone.
    gone: bool,
}

impl Bus {
    /// Connects, to own `name`.
    pub fn start(name: &str, now: Instant) -> Self {
        let mut bus = Self {
            connection: Connection::new(name),
            address: std::env::var(ADDRESS).unwrap_or_else(|_| SYSTEM_BUS.to_owned()),
            link: None,
            retry_at: None,
            told: false,
            gone: false,
        };
        bus.connect(now);
        bus
    }

    fn connect(&mut self, now: Instant) {
        match connected(&self.address) {
            Ok(link) => {
                self.link = Some(link);
                self.retry_at = None;
                self.connection.connected();
            }
            Err(e) => self.lost(now, &sentence(&e)),
        }
    }

    fn lost(&mut self, now: Instant, why: &str) {
        self.link = None;
        self.connection.disconnected();
        self.retry_at = Some(now + RETRY);
        if !std::mem::replace(&mut self.told, true) {
            self.gone = true;
            log!(
                Priority::Info,
                "No connection to the DBus bus at {}: {why}; trying again every {} seconds",
                self.address,
                RETRY.as_secs()
            );
        }
    }

    /// Whether there may be something to do.
    pub fn is_ready(&self) -> bool {
        self.gone
            || self.link.as_ref().is_some_and(|link| {
                let wants_room = !self.connection.output().is_empty();
                (wants_room && link.watch.writable()) || link.watch.readable()
            })
    }

    /// Takes what has come and writes what is to be written.
    pub fn turn(&mut self, now: Instant) {
        if let Err(why) = self.exchange() {
            self.lost(now, &why);
        }
    }

    fn exchange(&mut self) -> Result<(), String> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        let mut buffer = vec![0; READ];
        for _ in 0..READS {
            match link.watch.read(|| link.stream.read(&mut buffer)) {
                Ok(0) => return Err("closed by the bus".to_owned()),
                Ok(n) => {
                    let bytes = buffer.get(..n).unwrap_or_default();
                    self.connection.receive(bytes).map_err(reason)?;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(sentence(&e)),
            }
        }
        self.flush()
    }

    /// Writes as much as there is room for.
    fn flush(&mut self) -> Result<(), String> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        if self.connection.is_overfull() {
            return Err(reason(Refused::Full));
        }
        while !self.connection.output().is_empty() {
            let room = || link.stream.write(self.connection.output());
            match link.watch.write(room) {
                Ok(n) => self.connection.wrote(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(sentence(&e)),
            }
        }
        Ok(())
    }

    /// Writes what was given to the connection since the last turn.
    pub fn settle(&mut self, now: Instant) {
        if let Err(why) = self.flush() {
            self.lost(now, &why);
        }
    }

    /// What has happened. A connection that is gone is [`Event::Lost`], too.
    pub fn poll(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.gone) {
            return Some(Event::Lost);
        }
        let event = self.connection.poll();
        if event == Some(Event::Up) {
            self.told = false;
        }
        event
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Tries again.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.connect(now);
        }
    }

    /// Gives the name up and says what is still to be said. What can not be written now is not.
    pub fn close(mut self) {
        self.connection.release_name();
        let _ = self.flush();
    }
}

/// A connection to the first of the addresses where somebody listens.
fn connected(addresses: &str) -> io::Result<Link> {
    let mut failed = io::Error::from(io::ErrorKind::Unsupported);
    for socket in address::unix_sockets(addresses) {
        let stream = Stream::connect_local(Path::new(OsStr::from_bytes(&socket)));
        match stream.and_then(|stream| {
            let watch = Watch::both(&stream)?;
            Ok(Link { stream, watch })
        }) {
            Ok(link) => return Ok(link),
            Err(e) => failed = e,
        }
    }
    Err(failed)
}

fn reason(refused: Refused) -> String {
    match refused {
        Refused::Authentication => "we are not let in",
        Refused::Protocol => "it does not speak D-Bus",
        Refused::Full => "it does not read",
    }
    .to_owned()
}
