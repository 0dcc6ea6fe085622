//! The running daemon: one loop that waits, feeds the engine and does what it says.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use conf_parsers::conntrackd::General;
use ctsync_proto::bpf;
use ctsync_proto::{
    Engine, Input, KernelSocket, LinkIndex, Notice, Output, Request, Section, Severity,
};
use daemon_rt::log::Priority;
use linux_io::link_watch::LinkWatch;
use linux_io::nfnl::{self, BATCH};
use linux_io::signal::{Signal, SignalFd};
use linux_io::timer::{TimerFd, monotonic_now};
use net_types::Instant;

use crate::channel::Channel;
use crate::flow_log::FlowLog;
use crate::kernel::{Events, Growth, Kernel};
use crate::lower;
use crate::request;
use crate::server::{News, Server};
use crate::systemd::Systemd;
use crate::text;
use linux_io::watch::Watch;

/// Longest datagram that a peer can send.
const LARGEST_DATAGRAM: usize = 65536;
/// Outputs done in a row before the sockets are looked at again.
const OUTPUTS_AT_ONCE: u32 = 4096;
/// How long the loop leaves the sockets alone in a burst of events. Awake for each event, it would send each in a datagram
/// of its own, and cost this node and its peer a wake-up per flow; so it lets some gather. What was taken has left before.
const GATHER: std::time::Duration = std::time::Duration::from_micros(500);
/// Events in one turn that make a burst. Fewer, and the loop only waits for more.
const BURST: u32 = 4;
/// Parts of a dump taken in a row before the other sockets are looked at again.
const DUMP_PARTS_AT_ONCE: u32 = 8;

/// Replication: the engine with its sockets.
pub struct Replication {
    /// Decides everything.
    pub engine: Engine,
    /// Request sockets.
    pub kernel: Kernel,
    /// Event socket; `None` when polling.
    pub events: Option<Events>,
    /// Dedicated links.
    pub channels: Vec<Channel>,
    /// Tells of link changes; `None` when there are no links.
    pub links: Option<LinkWatch>,
    /// Where finished flows go, when they are logged instead of replicated.
    pub flows: FlowLog,
}

/// Everything that a running daemon owns.
pub struct Daemon {
    /// `None` when the file configures neither replication nor anything else that is built.
    pub replication: Option<Replication>,
    /// The control socket.
    pub server: Server,
    /// TERM, INT and CHLD.
    pub signals: SignalFd,
    /// systemd, if it started us.
    pub systemd: Systemd,
    /// When the daemon was ready.
    pub started: Instant,
    /// Most events or datagrams per wake-up of a socket.
    pub iteration_limit: u32,
    /// Requests that could not be read, while there is no engine to count them.
    pub read_failed: u32,
}

impl Replication {
    /// Does what the engine wants, until it wants nothing more or other sockets should have their turn; `true` then.
    pub fn pump(&mut self, server: &mut Server) -> bool {
        let wall = wall_clock();
        for _ in 0..OUTPUTS_AT_ONCE {
            let now = monotonic_now();
            let Some(output) = self.engine.poll_output(now, wall) else {
                self.kernel.flush(&mut self.engine, now);
                match self.engine.poll_output(now, wall) {
                    Some(output) => self.perform(now, output, server),
                    None => {
                        self.flows.write();
                        return false;
                    }
                }
                continue;
            };
            self.perform(now, output, server);
        }
        self.kernel.flush(&mut self.engine, monotonic_now());
        self.flows.write();
        true
    }

    fn perform(&mut self, now: Instant, output: Output, server: &mut Server) {
        match output {
            Output::Transmit { link, bytes } => {
                let sent = match self.channels.get(link.0) {
                    Some(channel) => channel.send(&bytes),
                    None => return,
                };
                let input = match sent {
                    Ok(bytes) => Input::Sent { link, bytes },
                    Err(_) => Input::SendFailed { link },
                };
                self.engine.handle(now, input);
            }
            Output::Kernel {
                id,
                socket,
                message,
            } => {
                self.kernel
                    .request(&mut self.engine, now, socket, id, &message);
            }
            Output::Reply { client, bytes } => {
                let news = server.reply(client, bytes);
                self.tell(now, news);
            }
            Output::ReplyEnd { client } => server.end(client),
            Output::FlowEnded { flow } => self.flows.ended(&flow),
            Output::Log(notice) => log_notice(&notice),
        }
    }

    fn tell(&mut self, now: Instant, news: News) {
        match news {
            News::Ready(client) => self.engine.handle(now, Input::ClientReady { client }),
            News::Gone(client) => self.engine.handle(now, Input::ClientGone { client }),
            News::Asked(..) | News::NotRead => {}
        }
    }

    /// Tells the engine what the links' interfaces are like.
    pub fn report_links(&mut self) {
        let now = monotonic_now();
        for (index, channel) in self.channels.iter().enumerate() {
            let state = channel.state();
            self.engine.handle(
                now,
                Input::LinkState {
                    link: LinkIndex(index),
                    up: state.up,
                    running: state.running,
                },
            );
        }
    }

    /// Reads the kernel's tables into the internal cache, as the engine asked for at its birth, and waits for their end.
    pub fn populate(&mut self, server: &mut Server) -> io::Result<()> {
        self.pump(server);
        while self.kernel.dumping() {
            match self
                .kernel
                .receive(&mut self.engine, monotonic_now(), KernelSocket::Dump)
            {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            self.pump(server);
        }
        Ok(())
    }

    /// Takes what the event socket has, at most `limit` datagrams.
    fn take_events(&mut self, watch: &Watch, limit: u32) -> Taken {
        let Some(events) = &mut self.events else {
            return Taken::default();
        };
        let now = monotonic_now();
        let mut left = limit;
        let taken = |left: u32, more| Taken {
            burst: limit.saturating_sub(left) >= BURST,
            more,
        };
        while left > 0 {
            match watch.read(|| events.receive(&mut self.engine, now, left)) {
                Ok(count) => {
                    left = left.saturating_sub(count);
                    // A batch that was not full emptied the socket: no need to hear that from the system.
                    if usize::try_from(count).is_ok_and(|n| n < BATCH) && left > 0 {
                        watch.emptied();
                        return taken(left, false);
                    }
                }
                Err(e) => match e.raw_os_error() {
                    Some(nix::libc::ENOBUFS) => {
                        grow(events);
                        self.engine.shell_counters().netlink_buffer = events.buffer;
                        self.engine.handle(now, Input::Overrun);
                        return taken(left, true);
                    }
                    _ if e.kind() == io::ErrorKind::WouldBlock => return taken(left, false),
                    _ if e.kind() == io::ErrorKind::Interrupted => {}
                    _ => {
                        self.engine.handle(now, Input::EventReadFailed);
                        return taken(left, false);
                    }
                },
            }
        }
        taken(left, true)
    }

    fn take_datagrams(
        &mut self,
        index: usize,
        watch: &Watch,
        limit: u32,
        buffer: &mut [u8],
    ) -> bool {
        let Some(receiver) = self.channels.get(index).and_then(Channel::receiver) else {
            return false;
        };
        let now = monotonic_now();
        let link = LinkIndex(index);
        for _ in 0..limit {
            match watch.read(|| receiver.receive(buffer)) {
                Ok(len) => {
                    let bytes = buffer.get(..len).unwrap_or_default();
                    self.engine.handle(now, Input::Datagram { link, bytes });
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.engine.handle(now, Input::ReceiveFailed { link });
                    return false;
                }
            }
        }
        true
    }

    fn take_answers(&mut self, which: KernelSocket, watch: &Watch) -> bool {
        for _ in 0..DUMP_PARTS_AT_ONCE {
            match watch.read(|| {
                self.kernel
                    .receive(&mut self.engine, monotonic_now(), which)
            }) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// What one turn took.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// There may be more.
    more: bool,
    /// There were many kernel events.
    burst: bool,
}

/// Doubles the event socket's buffer and says so.
fn grow(events: &mut Events) {
    match events.grow() {
        Growth::Doubled(bytes) => daemon_rt::log!(
            Priority::Notice,
            "netlink event socket buffer size has been doubled to {bytes} bytes"
        ),
        Growth::Limit => daemon_rt::log!(
            Priority::Warning,
            "netlink event socket buffer size cannot be doubled further since it will exceed \
             NetlinkBufferSizeMaxGrowth. We are likely to be losing events, this may lead to unsynchronized replicas. \
             Please, consider increasing netlink socket buffer size via NetlinkBufferSize and NetlinkBufferSizeMaxGrowth \
             clauses in conntrackd.conf"
        ),
        Growth::Quiet => {}
    }
}

fn wall_clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_secs())
}

fn log_notice(notice: &Notice) {
    let priority = match notice.severity() {
        Severity::Info => Priority::Info,
        Severity::Notice => Priority::Notice,
        Severity::Warning => Priority::Warning,
        Severity::Error => Priority::Err,
    };
    daemon_rt::log!(priority, "{notice}");
    if let Some(flow) = notice.flow() {
        text::log::flow(flow);
    }
}

/// Says how the event socket was set up.
pub fn announce_events(general: &General, events: &Events, filter: FilterPlace) {
    if *general.netlink_events_reliable {
        daemon_rt::log!(
            Priority::Notice,
            "reliable ctnetlink event delivery is ENABLED."
        );
    }
    match filter {
        FilterPlace::None => {}
        FilterPlace::User => daemon_rt::log!(Priority::Notice, "using user-space event filtering"),
        FilterPlace::Kernel => {
            daemon_rt::log!(Priority::Notice, "using kernel-space event filtering")
        }
    }
    if !wants_buffer(general) {
        daemon_rt::log!(
            Priority::Notice,
            "NetlinkBufferSize is either not set or is greater than NetlinkBufferSizeMaxGrowth. Using current system \
             buffer size"
        );
    }
    daemon_rt::log!(
        Priority::Notice,
        "netlink event socket buffer size has been set to {} bytes",
        events.buffer
    );
}

/// Where events are filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterPlace {
    /// There is no filter.
    None,
    /// By the engine.
    User,
    /// By the socket; dumps still by the engine.
    Kernel,
}

fn wants_buffer(general: &General) -> bool {
    let wanted = *general.netlink_buffer_size;
    wanted > 0 && wanted <= *general.netlink_buffer_size_max_growth
}

/// The event socket with its options.
pub fn open_events(general: &General, expectations: bool) -> io::Result<(Events, FilterPlace)> {
    let mut events = Events::open(expectations, *general.netlink_buffer_size_max_growth)?;
    if *general.netlink_events_reliable {
        // As in the original, a kernel without them is no reason to stop.
        let _ = events.socket().set_broadcast_error(true);
        let _ = events.socket().set_no_enobufs(true);
    }
    if wants_buffer(general) {
        events.resize(*general.netlink_buffer_size);
    }
    let place = match &general.filter {
        None => FilterPlace::None,
        Some(filter) if *filter.kernelspace => {
            let attached = match bpf::compile(&lower::filter(filter)) {
                Some(program) => attach(&events, &program),
                None => Err(io::Error::from_raw_os_error(nix::libc::EINVAL)),
            };
            match attached {
                Ok(()) => FilterPlace::Kernel,
                Err(e) => {
                    // The original goes on without any filter.
                    daemon_rt::log!(
                        Priority::Err,
                        "cannot set event filtering: {}",
                        text::log::reason(&e)
                    );
                    FilterPlace::User
                }
            }
        }
        Some(_) => FilterPlace::User,
    };
    Ok((events, place))
}

fn attach(events: &Events, program: &[bpf::BpfInstruction]) -> io::Result<()> {
    let program: Vec<_> = program
        .iter()
        .map(|i| nfnl::BpfInstruction {
            code: i.code,
            jt: i.jt,
            jf: i.jf,
            k: i.k,
        })
        .collect();
    events.socket().attach_filter(&program)
}

/// What the loop waits for.
struct Watches {
    timer: Watch,
    signals: Watch,
    events: Option<Watch>,
    answers: Vec<(KernelSocket, Watch)>,
    links: Option<Watch>,
    channels: Vec<Option<Watch>>,
}

impl Daemon {
    /// Runs until it is told to stop.
    pub fn run(&mut self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(&mut self) -> io::Result<()> {
        let timer = TimerFd::new()?;
        let watches = self.watches(&timer)?;
        self.server.start()?;
        let mut buffer = vec![0; LARGEST_DATAGRAM];
        let mut armed: Option<Instant> = None;
        let mut alive = self.systemd.watchdog.map(|period| monotonic_now() + period);
        if let Some(replication) = &mut self.replication {
            replication.engine.handle(monotonic_now(), Input::Started);
        }
        let mut more = self.pump();
        loop {
            let wanted = self.next_timeout(alive);
            // A timer that rings early does no harm, so a later deadline does not need a system call.
            if wanted.is_some_and(|at| armed.is_none_or(|armed| at < armed)) {
                timer.set(wanted)?;
                armed = wanted;
            }
            if more {
                // Let the runtime look at the sockets, without waiting.
                tokio::task::yield_now().await;
            }
            self.wait(&watches, more).await;
            more = false;

            if self.stopped(&watches) || self.serve_clients() {
                return Ok(());
            }
            let taken = self.take_all(&watches, &mut buffer);
            more |= taken.more;
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
                if replication
                    .engine
                    .next_timeout()
                    .is_some_and(|at| at <= now)
                {
                    replication.engine.handle_timeout(now);
                }
            }
            if alive.is_some_and(|at| at <= now) {
                self.systemd.alive();
                alive = self.systemd.watchdog.map(|period| now + period);
            }
            more |= self.pump();
            if taken.burst && !more {
                // The process has nothing else to run meanwhile, and an armed timer would cost more than this.
                std::thread::sleep(GATHER);
            }
        }
    }

    fn watches(&self, timer: &TimerFd) -> io::Result<Watches> {
        let mut watches = Watches {
            timer: Watch::reading(timer)?,
            signals: Watch::reading(&self.signals)?,
            events: None,
            answers: Vec::new(),
            links: None,
            channels: Vec::new(),
        };
        if let Some(replication) = &self.replication {
            watches.links = replication.links.as_ref().map(Watch::reading).transpose()?;
            if let Some(events) = &replication.events {
                watches.events = Some(Watch::reading(events.socket())?);
            }
            for (name, socket) in replication.kernel.sockets() {
                watches.answers.push((name, Watch::reading(socket)?));
            }
            for channel in &replication.channels {
                watches
                    .channels
                    .push(channel.receiver().map(Watch::reading).transpose()?);
            }
        }
        Ok(watches)
    }

    fn next_timeout(&self, alive: Option<Instant>) -> Option<Instant> {
        let engine = self
            .replication
            .as_ref()
            .and_then(|r| r.engine.next_timeout());
        [engine, alive, self.server.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Waits until something is ready; with `more` it only registers what the loop waits for.
    async fn wait(&self, watches: &Watches, more: bool) {
        poll_fn(|cx| {
            // All of them, every time: each registers itself.
            let mut ready = more;
            ready |= watches.signals.poll_read(cx);
            ready |= self.server.poll(cx);
            ready |= watches.events.as_ref().is_some_and(|w| w.poll_read(cx));
            for watch in watches.channels.iter().flatten() {
                ready |= watch.poll_read(cx);
            }
            for (_, watch) in &watches.answers {
                ready |= watch.poll_read(cx);
            }
            ready |= watches.links.as_ref().is_some_and(|w| w.poll_read(cx));
            ready |= watches.timer.poll_read(cx);
            if ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Whether TERM or INT came.
    fn stopped(&self, watches: &Watches) -> bool {
        let next = || match self.signals.read() {
            Ok(None) => Err(io::ErrorKind::WouldBlock.into()),
            other => other,
        };
        while let Ok(Some(info)) = watches.signals.read(next) {
            if info.signal == Signal::TERM || info.signal == Signal::INT {
                return true;
            }
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
    fn take_all(&mut self, watches: &Watches, buffer: &mut [u8]) -> Taken {
        let Some(replication) = &mut self.replication else {
            return Taken::default();
        };
        let limit = self.iteration_limit;
        let mut taken = match &watches.events {
            Some(watch) => replication.take_events(watch, limit),
            None => Taken::default(),
        };
        let more = &mut taken.more;
        for (index, watch) in watches.channels.iter().enumerate() {
            if let Some(watch) = watch {
                *more |= replication.take_datagrams(index, watch, limit, buffer);
            }
        }
        for (which, watch) in &watches.answers {
            *more |= replication.take_answers(*which, watch);
        }
        if let Some(watch) = &watches.links {
            let news = || {
                if replication.links.as_ref().is_some_and(LinkWatch::drain) {
                    Ok(())
                } else {
                    Err(io::ErrorKind::WouldBlock.into())
                }
            };
            if watch.read(news).is_ok() {
                replication.report_links();
                *more = true;
            }
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
