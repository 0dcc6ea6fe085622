//! Messages to systemd: one datagram each to the socket that `NOTIFY_SOCKET` names. Without it nothing is sent.

use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use net_types::Duration;

/// The variable that names the socket. Scripts must not have it: they are not the daemon.
pub const SOCKET: &str = "NOTIFY_SOCKET";

/// A connection to systemd.
#[derive(Debug)]
pub struct Systemd {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How often [`alive`](Self::alive) has to be called; half of what systemd demands.
    pub watchdog: Option<Duration>,
}

impl Systemd {
    /// Reads the environment; inactive when `wanted` is false or nobody asked for messages.
    pub fn new(wanted: bool) -> Self {
        let to = if wanted { env::var(SOCKET).ok() } else { None }
            .and_then(|path| address(&path))
            .and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        let watchdog = to
            .as_ref()
            .and_then(|_| env::var("WATCHDOG_USEC").ok()?.parse().ok())
            .filter(|usec: &u64| *usec > 0)
            .map(|usec| Duration::from_micros(usec / 2));
        Self { to, watchdog }
    }

    /// The daemon works.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// The daemon works, as this process: after its start, and after a reload.
    pub fn ready_as(&self, pid: u32) {
        self.send(&format!("READY=1\nMAINPID={pid}"));
    }

    /// The daemon takes on another configuration.
    pub fn reloading(&self) {
        self.send("RELOADING=1");
    }

    /// The daemon is another process than the one that was started.
    pub fn main_pid(&self, pid: i32) {
        self.send(&format!("MAINPID={pid}"));
    }

    /// The daemon is still there.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// The daemon ends.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    fn send(&self, text: &str) {
        if let Some((socket, to)) = &self.to {
            // systemd not listening is no reason to fail.
            let _ = socket.send_to_addr(text.as_bytes(), to);
        }
    }
}

fn address(path: &str) -> Option<SocketAddr> {
    match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name.as_bytes()).ok(),
        None => SocketAddr::from_pathname(path).ok(),
    }
}
