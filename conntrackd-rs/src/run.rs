//! The running daemon: one loop that waits, feeds the engine and does what it says.
//!
//! ```text
//!        ┌────────────────────────────────────────────────────────────────────────────────┐
//!        ▼                                                                                │
//!  wait for any ─▶ signals ─▶ clients ─▶ events ─▶ links ─▶ kernel's answers ─▶ timeouts ─▶ pump ─▶ gather
//!                                        └── at most so many each, then the next ──┘
//! ```

use std::io;
use std::os::fd::AsFd as _;

use ctsync_proto::{Input, KernelSocket, Request, Section};
use daemon_rt::systemd::Systemd;
use linux_io::pause;
use linux_io::signal::{Signal, SignalFd};
use linux_io::timer::{TimerFd, monotonic_now};
use linux_io::udp_sock::Room;
use linux_io::watch::{self, Watch};
use net_types::{Duration, Instant};

use crate::channel::Channel;
use crate::events::Taken;
#[cfg(feature = "helper")]
use crate::helper::Queues;
use crate::reload::Reload;
use crate::replication::Replication;
use crate::request;
use crate::server::{News, Server};
use crate::text;

/// How long the loop leaves the event socket alone in a burst. Awake for each event, it would send each in a datagram of its
/// own, and cost this node and its peer a wake-up per flow; so it lets some gather. What was taken has left before, and
/// anything else that happens ends the pause.
const GATHER: Duration = Duration::from_micros(500);

/// Everything that a running daemon owns.
pub struct Daemon {
    /// `None` when the file configures neither replication nor anything else that is built.
    pub replication: Option<Replication>,
    /// Helpers in user space.
    #[cfg(feature = "helper")]
    pub helpers: Option<Queues>,
    /// The control socket.
    pub server: Server,
    /// TERM, INT, CHLD and, unless it is ignored or left to a terminal, HUP.
    pub signals: SignalFd,
    /// systemd, if it started us.
    pub systemd: Systemd,
    /// When the daemon was ready.
    pub started: Instant,
    /// Most events or datagrams per wake-up of a socket.
    pub iteration_limit: u32,
    /// Requests that could not be read, while there is no engine to count them.
    pub read_failed: u32,
    /// What SIGHUP does.
    pub reload: Reload,
}

/// What the loop waits for, the links and the clients aside.
struct Watches {
    timer: Watch,
    signals: Watch,
    events: Option<Watch>,
    answers: Vec<(KernelSocket, Watch)>,
    links: Option<Watch>,
    #[cfg(feature = "helper")]
    packets: Option<Watch>,
}

impl Daemon {
    /// Runs until it is told to stop.
    pub fn run(&mut self) -> io::Result<()> {
        let timer = TimerFd::new()?;
        let watches = self.watches(&timer)?;
        self.server.start()?;
        let mut room = Room::new();
        let mut armed: Option<Instant> = None;
        let mut alive = self.systemd.watchdog.map(|period| monotonic_now() + period);
        if let Some(replication) = &mut self.replication {
            replication.start()?;
        }
        let mut more = self.pump();
        loop {
            let wanted = self.next_timeout(alive);
            // A timer that rings early does no harm, so a later deadline does not need a system call.
            if wanted.is_some_and(|at| armed.is_none_or(|armed| at < armed)) {
                timer.set(wanted)?;
                armed = wanted;
            }
            if more || self.is_ready(&watches) {
                watch::look()?;
            } else {
                watch::wait()?;
            }
            more = false;

            if self.stopped(&watches) || self.serve_clients() {
                return Ok(());
            }
            let taken = self.take_all(&watches, &mut room);
            more |= taken.more;
            // Packets wait for these, so they also end a pause that gathers events.
            #[cfg(feature = "helper")]
            if let (Some(queues), Some(watch)) = (&mut self.helpers, &watches.packets) {
                more |= queues.take(watch);
            }
            if watches
                .timer
                // A timer that has not rung must say so as an error, or its readiness would never end.
                .read(|| match timer.expired() {
                    Ok(false) => Err(io::ErrorKind::WouldBlock.into()),
                    other => other,
                })
                .is_ok()
            {
                armed = None;
            }
            let now = monotonic_now();
            if let Some(replication) = &mut self.replication {
                replication.handle_timeout(now);
            }
            if alive.is_some_and(|at| at <= now) {
                self.systemd.alive();
                alive = self.systemd.watchdog.map(|period| now + period);
            }
            more |= self.pump();
            if taken.burst && !more {
                self.gather(alive)?;
            }
        }
    }

    /// Waits for anything but events, for a moment.
    fn gather(&self, alive: Option<Instant>) -> io::Result<()> {
        let now = monotonic_now();
        let most = match self.next_timeout(alive) {
            Some(at) => at.since(now).min(GATHER),
            None => GATHER,
        };
        let Some(replication) = &self.replication else {
            return Ok(());
        };
        // A client in the middle of a listing waits for room, not for news: it must not be kept waiting.
        if most == Duration::ZERO || self.server.is_serving() {
            return Ok(());
        }
        let mut fds = vec![self.signals.as_fd(), self.server.as_fd()];
        replication.fds(&mut fds);
        #[cfg(feature = "helper")]
        fds.extend(self.helpers.iter().map(|queues| queues.socket().as_fd()));
        pause::readable(&fds, most).map(drop)
    }

    fn watches(&self, timer: &TimerFd) -> io::Result<Watches> {
        let mut watches = Watches {
            timer: Watch::reading(timer)?,
            signals: Watch::reading(&self.signals)?,
            events: None,
            answers: Vec::new(),
            links: None,
            #[cfg(feature = "helper")]
            packets: None,
        };
        #[cfg(feature = "helper")]
        if let Some(queues) = &self.helpers {
            watches.packets = Some(Watch::reading(queues.socket())?);
        }
        if let Some(replication) = &self.replication {
            watches.links = replication.links.as_ref().map(Watch::reading).transpose()?;
            if let Some(events) = &replication.events {
                watches.events = Some(Watch::reading(events.socket())?);
            }
            for (name, socket) in replication.kernel.sockets() {
                watches.answers.push((name, Watch::reading(socket)?));
            }
        }
        Ok(watches)
    }

    fn next_timeout(&self, alive: Option<Instant>) -> Option<Instant> {
        let replication = self
            .replication
            .as_ref()
            .and_then(Replication::next_timeout);
        [replication, alive, self.server.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether something that the loop waits for may be there.
    fn is_ready(&self, watches: &Watches) -> bool {
        #[cfg(feature = "helper")]
        if watches.packets.as_ref().is_some_and(Watch::readable) {
            return true;
        }
        let some = [&watches.events, &watches.links].into_iter().flatten();
        let always = [&watches.timer, &watches.signals].into_iter();
        let answers = watches.answers.iter().map(|(_, watch)| watch);
        let mut channels = self.replication.iter().flat_map(|r| &r.channels);
        always.chain(some).chain(answers).any(Watch::readable)
            || self.server.is_ready()
            || channels.any(Channel::is_ready)
    }

    /// Whether TERM or INT came. HUP is done with here.
    fn stopped(&mut self, watches: &Watches) -> bool {
        let mut reload = false;
        let next = || match self.signals.read() {
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            other => other,
        };
        while let Ok(Some(info)) = watches.signals.read(next) {
            if info.signal == Signal::TERM || info.signal == Signal::INT {
                return true;
            }
            reload |= info.signal == Signal::HUP;
        }
        if reload {
            self.iteration_limit = self.reload.run(self.replication.as_mut());
        }
        false
    }

    /// Serves the control socket; `true` after a kill request.
    fn serve_clients(&mut self) -> bool {
        let now = monotonic_now();
        for news in self.server.serve(now) {
            match news {
                News::Asked(_, request::KILL) => return true,
                News::Asked(client, number) => {
                    let request = u32::try_from(number).ok().and_then(Request::from_number);
                    match (&mut self.replication, request) {
                        (Some(replication), Some(request)) => {
                            replication
                                .engine
                                .handle(now, Input::Request { client, request });
                        }
                        (None, Some(Request::StatsRuntime)) => {
                            let counters = text::stats::Loop {
                                local_read_failed: self.read_failed,
                            };
                            let reply = text::stats::runtime(now.since(self.started), counters);
                            self.server.reply(client, reply.into_bytes());
                            self.server.end(client);
                        }
                        (None, Some(Request::Json(section))) => {
                            let read_failed =
                                (section == Section::Runtime).then_some(self.read_failed);
                            let reply = text::stats::json(now.since(self.started), read_failed);
                            self.server.reply(client, reply.into_bytes());
                            self.server.end(client);
                        }
                        // An empty reply, as the original gives to what it does not know.
                        _ => self.server.end(client),
                    }
                }
                News::NotRead => match &mut self.replication {
                    Some(replication) => {
                        let count = &mut replication.engine.shell_counters().local_read_failed;
                        *count = count.saturating_add(1);
                    }
                    None => self.read_failed = self.read_failed.saturating_add(1),
                },
                News::Ready(_) | News::Gone(_) => {
                    if let Some(replication) = &mut self.replication {
                        replication.tell(now, news);
                    }
                }
            }
        }
        false
    }

    /// Takes what the kernel and the peer have to say.
    fn take_all(&mut self, watches: &Watches, room: &mut Room) -> Taken {
        let Some(replication) = &mut self.replication else {
            return Taken::default();
        };
        let limit = self.iteration_limit;
        // The events of our own changes come on top.
        let changes = replication.kernel.take_changes();
        let events_limit = limit.saturating_add(changes.saturating_mul(2));
        let mut taken = match (&mut replication.events, &watches.events) {
            (Some(events), Some(watch)) => events.take(
                &mut replication.engine,
                monotonic_now(),
                watch,
                events_limit,
            ),
            _ => Taken::default(),
        };
        taken.more |= replication.serve_channels(room, limit);
        for (which, watch) in &watches.answers {
            taken.more |= replication.take_answers(*which, watch);
        }
        if let Some(watch) = &watches.links {
            taken.more |= replication.take_link_news(watch);
        }
        taken
    }

    fn pump(&mut self) -> bool {
        match &mut self.replication {
            Some(replication) => replication.pump(&mut self.server),
            None => false,
        }
    }
}
