//! The sockets of the sessions: one to receive for each port, one to send for each session.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::fd::AsRawFd;

use bfd_proto::SessionConfig;
use conf_parsers::keepalived::model::bfd::{PORT, PORT_MULTIHOP};
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::udp_hop_sock::{Datagram, OpenError, Receiver, Sender, local_ports};
use linux_io::watch::Watch;

use crate::text::errno::sentence;

/// Source ports of control packets (RFC 5881 4).
const PORTS: RangeInclusive<u16> = 49152..=65535;
/// Fewer ports of the system's own range than this are no choice.
const CHOICE: u16 = 1024;

/// A port with whoever waits for it.
#[derive(Debug)]
struct Port {
    socket: Receiver,
    watch: Watch,
}

/// What a session sends from.
#[derive(Debug)]
struct Out {
    config: SessionConfig,
    socket: Option<Sender>,
    /// The last packet could not be sent.
    failing: bool,
}

/// All sockets of the process.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    single: Option<Port>,
    multi: Option<Port>,
    out: Vec<Out>,
    /// Where the search for a free port begins.
    turn: u16,
}

impl Sockets {
    /// No socket. `seed` decides where the search for source ports begins.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            turn: u16::try_from(seed & 0xffff).unwrap_or(0),
            ..Self::default()
        }
    }

    /// Opens the ports that these sessions need and closes the others. `false`: none is open though one is needed.
    pub(super) fn listen(&mut self, sessions: &[SessionConfig]) -> bool {
        let mut heard = false;
        let mut deaf = false;
        for (slot, multihop, what, port) in [
            (&mut self.single, false, "listening", PORT),
            (&mut self.multi, true, "multihop listening", PORT_MULTIHOP),
        ] {
            if !sessions.iter().any(|s| s.multihop == multihop) {
                *slot = None;
                continue;
            }
            if slot.is_none() {
                *slot = open_port(port);
            }
            if slot.is_none() {
                log!(Priority::Err, "Unable to open {what} socket");
                deaf = true;
            } else {
                heard = true;
            }
        }
        heard || !deaf
    }

    /// Opens what a session sends from, unless nothing has changed. Says why not.
    pub(super) fn open(&mut self, config: &SessionConfig) -> bool {
        let same = |o: &Out| o.config.name == config.name;
        let sends = |c: &SessionConfig| (c.neighbor, c.source, c.ttl, c.multihop);
        if let Some(at) = self.out.iter().position(same) {
            let known = self.out.swap_remove(at);
            if known.socket.is_some() && sends(&known.config) == sends(config) {
                self.out.push(known);
                return true;
            }
        }
        let port = if config.multihop { PORT_MULTIHOP } else { PORT };
        self.turn = self.turn.wrapping_mul(0x6255).wrapping_add(0x3619);
        let ports = ports();
        let span = ports.end().saturating_sub(*ports.start()).max(1);
        let first = ports.start().saturating_add(self.turn % span);
        let to = SocketAddr::new(config.neighbor, port);
        let socket = match Sender::open(to, config.source, ports, first, config.ttl) {
            Ok(socket) => Some(socket),
            Err(OpenError { call, source }) => {
                let text = sentence(&source);
                log!(Priority::Err, "({}) {call} error ({text})", config.name);
                None
            }
        };
        let open = socket.is_some();
        self.out.push(Out {
            config: config.clone(),
            socket,
            failing: false,
        });
        open
    }

    /// Closes what a session sent from.
    pub(super) fn close(&mut self, name: &str) {
        self.out.retain(|o| *o.config.name != *name);
    }

    /// Sends a packet; failures are said once until one succeeds.
    pub(super) fn send(&mut self, name: &str, packet: &[u8]) {
        let Some(out) = self.out.iter_mut().find(|o| *o.config.name == *name) else {
            return;
        };
        let Some(socket) = &out.socket else { return };
        match socket.send(packet) {
            Ok(()) => out.failing = false,
            Err(e) => {
                if !std::mem::replace(&mut out.failing, true) {
                    log!(Priority::Err, "sendto() error ({})", sentence(&e));
                    log!(Priority::Err, "({name}) Error sending packet");
                }
            }
        }
    }

    /// Whether there may be packets.
    pub(super) fn is_ready(&self) -> bool {
        let mut ports = self.single.iter().chain(&self.multi);
        ports.any(|port| port.watch.readable())
    }

    /// The next packet, and whether it came to the port for several hops.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> Option<(Datagram, bool)> {
        for (port, multihop) in [(&self.single, false), (&self.multi, true)] {
            let Some(port) = port else { continue };
            match port.watch.read(|| port.socket.receive(buffer)) {
                Ok(datagram) => return Some((datagram, multihop)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) => {
                    log!(Priority::Err, "recvmsg() error ({})", sentence(&e));
                }
            }
        }
        None
    }

    /// Descriptors of the two ports, for the dump.
    pub(super) fn ports(&self) -> (Option<i32>, Option<i32>) {
        let fd = |port: &Option<Port>| port.as_ref().map(|p| p.socket.as_raw_fd());
        (fd(&self.single), fd(&self.multi))
    }

    /// Descriptor of a session's socket, -1 without one, and whether sending fails: for the dump.
    pub(super) fn sending(&self, name: &str) -> (i32, bool) {
        let out = self.out.iter().find(|o| *o.config.name == *name);
        out.map_or((-1, false), |o| {
            (o.socket.as_ref().map_or(-1, Sender::as_raw_fd), o.failing)
        })
    }
}

fn open_port(port: u16) -> Option<Port> {
    let socket = match Receiver::open(port) {
        Ok(socket) => socket,
        Err(OpenError { call, source }) => {
            let (number, text) = (source.raw_os_error().unwrap_or(0), sentence(&source));
            log!(Priority::Err, "{call} error {number} ({text})");
            return None;
        }
    };
    let watch = Watch::reading(&socket).ok()?;
    Some(Port { socket, watch })
}

/// The ports of the system's own range that BFD may use; all of BFD's if those are few.
fn ports() -> RangeInclusive<u16> {
    let Some(own) = local_ports() else {
        return PORTS;
    };
    let start = *own.start().max(PORTS.start());
    let end = *own.end().min(PORTS.end());
    if end.checked_sub(start).is_some_and(|n| n >= CHOICE - 1) {
        start..=end
    } else {
        PORTS
    }
}
