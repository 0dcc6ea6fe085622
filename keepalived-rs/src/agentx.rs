//! A child's connection to the SNMP master agent: the socket around [`agentx_wire::Session`], and its coming back.
//!
//! In: readiness, the time. Out: requests for the child to answer, log lines. Never waits: a master that is away costs one attempt a
//! quarter of a minute. Used by the VRRP child and the checker child, each with a session of its own.
//! Answers to: keepalived 2.3.3 core/snmp.c, net-snmp's snmpd.examples(5) (`agentXSocket`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use agentx_wire::pdu::Pdu;
use agentx_wire::{Event, Objects, Oid, Region, Request, Session, Tree, VarBind};
use conf_parsers::keepalived::model::Global;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::stream_sock::Stream;
use linux_io::watch::Watch;
use net_types::{Duration, Instant};

use crate::cli::Options;
use crate::text::errno::sentence;

/// Between attempts to reach the master agent.
const RETRY: Duration = Duration::from_secs(15);
/// How old an answer may be: a walk asks for one object after the other.
const FRESH: Duration = Duration::from_millis(500);
/// Octets in one read.
const READ: usize = 16 * 1024;
/// Where the master agent listens when nobody says otherwise.
const MASTER: &str = "/var/agentx/master";
/// Its port.
const PORT: u16 = 705;

/// Where a master agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A UNIX socket.
    Local(PathBuf),
    /// TCP.
    Tcp(SocketAddr),
}

impl Address {
    /// As `snmp_socket` and `-A` name it: `unix:PATH`, a path, `tcp:HOST:PORT`, `tcp6:[HOST]:PORT`, `HOST:PORT`, a port.
    /// Names of hosts other than localhost are not looked up: that could block. `None`: not understood, or UDP, which RFC 2741
    /// has no mapping for.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return Some(Self::Local(text.into()));
        }
        let (domain, rest) = match text.split_once(':') {
            Some(("unix" | "local", path)) => return Some(Self::Local(path.into())),
            Some((domain @ ("tcp" | "tcp6" | "tcpv6" | "tcpipv6"), rest)) => (domain, rest),
            Some(("udp" | "udp6" | "udpv6" | "udpipv6" | "dtlsudp" | "tlstcp" | "ssh", _)) => {
                return None;
            }
            _ => ("tcp", text),
        };
        let local = if domain == "tcp" {
            IpAddr::V4(Ipv4Addr::LOCALHOST)
        } else {
            IpAddr::V6(Ipv6Addr::LOCALHOST)
        };
        if let Ok(address) = rest.parse() {
            return Some(Self::Tcp(address));
        }
        if let Ok(port) = rest.parse() {
            return Some(Self::Tcp(SocketAddr::new(local, port)));
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if rest.parse::<IpAddr>().is_err() => (host, port.parse().ok()?),
            _ => (rest, PORT),
        };
        let host = match host {
            "localhost" => local,
            host => host.trim_matches(['[', ']']).parse().ok()?,
        };
        Some(Self::Tcp(SocketAddr::new(host, port)))
    }
}

/// One connection.
#[derive(Debug)]
struct Link {
    stream: Stream,
    watch: Watch,
    /// Made, as far as we know.
    stands: bool,
}

/// The sub-agent of a child.
#[derive(Debug)]
pub struct Agent {
    session: Session,
    address: Address,
    name: Box<str>,
    link: Option<Link>,
    retry_at: Option<Instant>,
    /// It was told that the master is away.
    told: bool,
    tree: Option<(Instant, Tree)>,
}

impl Agent {
    /// Answers for `regions` to the master at `socket`. `None` after telling that the address is not understood.
    pub fn start(regions: Vec<Region>, socket: Option<&str>, now: Instant) -> Option<Self> {
        log!(Priority::Info, "Starting SNMP subagent");
        let name = socket.unwrap_or(MASTER);
        let Some(address) = Address::parse(name) else {
            log!(
                Priority::Err,
                "SNMP master agent address '{name}' cannot be used - SNMP is off"
            );
            return None;
        };
        let mut agent = Self {
            session: Session::new("Keepalived", regions, now),
            address,
            name: name.into(),
            link: None,
            retry_at: None,
            told: false,
            tree: None,
        };
        agent.connect(now);
        Some(agent)
    }

    fn connect(&mut self, now: Instant) {
        let connected = match &self.address {
            Address::Local(path) => Stream::connect_local(path),
            Address::Tcp(address) => Stream::connect(*address, None),
        };
        let link = connected.and_then(|stream| {
            let watch = Watch::both(&stream)?;
            Ok(Link {
                stream,
                watch,
                stands: false,
            })
        });
        match link {
            Ok(link) => {
                self.link = Some(link);
                self.retry_at = None;
                // What is said before the connection stands waits for it.
                self.session.connected(now);
            }
            Err(e) => self.lost(now, &e),
        }
    }

    fn lost(&mut self, now: Instant, why: &io::Error) {
        let was_up = self.session.is_up();
        self.link = None;
        self.session.disconnected();
        self.retry_at = Some(now + RETRY);
        if was_up {
            self.told = true;
            log!(
                Priority::Info,
                "AgentX master disconnected us, reconnecting in 15"
            );
        } else if !std::mem::replace(&mut self.told, true) {
            log!(
                Priority::Warning,
                "Warning: Failed to connect to the agentx master agent ({}): {}",
                self.name,
                sentence(why)
            );
        }
    }

    /// Whether there may be something to do.
    pub fn is_ready(&self) -> bool {
        self.link.as_ref().is_some_and(|link| {
            let wants_room = !link.stands || !self.session.output().is_empty();
            (wants_room && link.watch.writable()) || link.watch.readable()
        })
    }

    /// Takes what has come and writes what is to be written.
    pub fn turn(&mut self, now: Instant) {
        if let Err(e) = self.exchange(now) {
            self.lost(now, &e);
        }
    }

    fn exchange(&mut self, now: Instant) -> io::Result<()> {
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        if !link.stands {
            match link.watch.write(|| link.stream.connected()) {
                Ok(()) => link.stands = true,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        let mut buffer = vec![0; READ];
        loop {
            match link.watch.read(|| link.stream.read(&mut buffer)) {
                Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
                Ok(n) => {
                    let bytes = buffer.get(..n).unwrap_or_default();
                    if self.session.receive(now, bytes).is_err() {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.flush()
    }

    /// Writes as much as there is room for.
    fn flush(&mut self) -> io::Result<()> {
        let Some(link) = self.link.as_ref().filter(|link| link.stands) else {
            return Ok(());
        };
        while !self.session.output().is_empty() {
            match link
                .watch
                .write(|| link.stream.write(self.session.output()))
            {
                Ok(n) => self.session.wrote(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Writes answers that were given since the last turn.
    pub fn settle(&mut self, now: Instant) {
        if let Err(e) = self.flush() {
            self.lost(now, &e);
        }
    }

    /// The next request to answer.
    pub fn poll(&mut self) -> Option<Request> {
        loop {
            match self.session.poll()? {
                Event::Request(request) => return Some(request),
                Event::Up => {
                    self.told = false;
                    log!(Priority::Info, "AgentX subagent connected");
                }
                Event::NotRegistered(number) => {
                    let name = self.session.region(number).map_or("", |r| r.name);
                    log!(Priority::Warning, "Unable to register {name} MIB");
                }
            }
        }
    }

    /// Whether a request only reads, which is answered by [`Self::answer`].
    pub fn reads(request: &Request) -> bool {
        matches!(
            request.pdu,
            Pdu::Get(_) | Pdu::GetNext(_) | Pdu::GetBulk { .. }
        )
    }

    /// Answers a request that reads; `build` makes the objects of now, when those at hand are too old.
    pub fn answer(&mut self, now: Instant, request: &Request, build: impl FnOnce() -> Tree) {
        let fresh = self
            .tree
            .take()
            .filter(|(made, _)| now.since(*made) < FRESH);
        let (made, tree) = fresh.unwrap_or_else(|| {
            let mut tree = build();
            tree.sort();
            (now, tree)
        });
        self.session.answer(request, &tree);
        self.tree = Some((made, tree));
    }

    /// Answers a request that reads from what makes its values when it is asked.
    pub fn answer_from(&mut self, request: &Request, objects: &dyn Objects) {
        self.session.answer(request, objects);
    }

    /// Answers a request that writes: error and index of RFC 2741 section 6.2.16.
    pub fn respond(&mut self, request: &Request, error: u16, index: u16) {
        self.tree = None;
        self.session.respond(request, error, index);
    }

    /// Sends a notification, if the master is there.
    pub fn notify(&mut self, now: Instant, trap: &Oid, objects: &[VarBind]) {
        self.tree = None;
        if self.session.notify(now, trap, objects) {
            self.settle(now);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        // Answers that nobody asks for any more are not kept.
        let stale = self.tree.as_ref().map(|(made, _)| *made + FRESH);
        [self.retry_at, self.session.next_timeout(), stale]
            .into_iter()
            .flatten()
            .min()
    }

    /// Pings, gives up, tries again.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self
            .tree
            .as_ref()
            .is_some_and(|(made, _)| *made + FRESH <= now)
        {
            self.tree = None;
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.connect(now);
        }
        if self.session.handle_timeout(now) {
            self.lost(now, &io::ErrorKind::TimedOut.into());
        }
        self.settle(now);
    }

    /// Whether something is to be written.
    fn busy(&self) -> bool {
        self.link.as_ref().is_some_and(|l| l.stands) && !self.session.output().is_empty()
    }

    /// Says goodbye to the master.
    pub fn close(&mut self) {
        self.session.close();
        // It is the end: what can not be written now is not.
        let _ = self.flush();
        self.link = None;
    }
}

/// `-x` and `-A` of the command line, as if they stood in the configuration.
pub fn apply_options(g: &mut Global, options: &Options) {
    if options.snmp {
        g.enable_snmp_vrrp = true;
        g.enable_snmp_checker = true;
        g.enable_snmp_rfcv2 = true;
        g.enable_snmp_rfcv3 = true;
    }
    if options.snmp_socket.is_some() {
        g.snmp_socket.clone_from(&options.snmp_socket);
    }
}

/// The sub-agent of a child as its configuration wants it, or none.
#[derive(Debug, Default)]
pub struct Presence {
    agent: Option<Agent>,
    /// What it was started with: another configuration needs another session.
    started_as: Option<(Vec<&'static str>, Option<String>)>,
}

impl Presence {
    /// Starts, goes on or ends: it is to answer for `regions`, if there are any, to the master at `socket`.
    pub fn configure(&mut self, regions: Vec<Region>, socket: Option<&str>, now: Instant) {
        let names: Vec<&'static str> = regions.iter().map(|r| r.name).collect();
        let new = (!names.is_empty()).then(|| (names, socket.map(str::to_owned)));
        if new == self.started_as {
            return;
        }
        self.close();
        if new.is_some() {
            self.agent = Agent::start(regions, socket, now);
        }
        self.started_as = new;
    }

    /// Whether there is one.
    pub const fn is_there(&self) -> bool {
        self.agent.is_some()
    }

    /// The sub-agent.
    pub const fn agent(&mut self) -> Option<&mut Agent> {
        self.agent.as_mut()
    }

    /// Takes the sub-agent out, to answer requests about what it lies in. [`Self::put_back`] is to follow.
    pub const fn take(&mut self) -> Option<Agent> {
        self.agent.take()
    }

    /// Back in its place.
    pub fn put_back(&mut self, agent: Agent) {
        self.agent = Some(agent);
    }

    /// Whether there may be something to do.
    pub fn is_ready(&self) -> bool {
        self.agent.as_ref().is_some_and(Agent::is_ready)
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.agent.as_ref().and_then(Agent::next_timeout)
    }

    /// It is `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(agent) = &mut self.agent {
            agent.handle_timeout(now);
        }
    }

    /// Whether something is to be written to a master that reads.
    pub fn busy(&self) -> bool {
        self.agent.as_ref().is_some_and(Agent::busy)
    }

    /// Says goodbye to the master.
    pub fn close(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.close();
        }
        self.started_as = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_net_snmp_writes_them() {
        let tcp = |text: &str| Some(Address::Tcp(text.parse().unwrap()));
        assert_eq!(
            Address::parse("/run/a"),
            Some(Address::Local("/run/a".into()))
        );
        assert_eq!(
            Address::parse("unix:/run/a"),
            Some(Address::Local("/run/a".into()))
        );
        assert_eq!(Address::parse("tcp:localhost:705"), tcp("127.0.0.1:705"));
        assert_eq!(Address::parse("tcp:10.0.0.1"), tcp("10.0.0.1:705"));
        assert_eq!(Address::parse("localhost:706"), tcp("127.0.0.1:706"));
        assert_eq!(Address::parse("tcp6:[::1]:705"), tcp("[::1]:705"));
        assert_eq!(Address::parse("tcp:7050"), tcp("127.0.0.1:7050"));
        assert_eq!(Address::parse("udp:localhost:705"), None);
        assert_eq!(Address::parse("tcp:example.net:705"), None);
    }
}
