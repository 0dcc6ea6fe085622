//! The loop of the BFD process. It knows no rule of the protocol: what happened goes into the core, what the core says is done.
//!
//! ```text
//!   timerfd ──┐                        ┌─▶ sockets.open, send ─▶ opened ─┐
//!   sockets ──┼─▶ Input ─▶ Engine ─▶ Output ─▶ pipes to VRRP, checker    │
//!   signals ──┘      ▲                 └─▶ text::bfd                     │
//!                    └──────────────────────────────────────────────────┘
//! ```
//! One task, nothing detached. The deadline is a timerfd of its own, as epoll's own timeout knows milliseconds.

use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bfd_proto::{Engine, Input, Output, Received, SessionId};
use conf_parsers::keepalived::model::Model;
use daemon_rt::dump_file;
use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::signals::Signals;
use linux_io::signal::Signal;
use linux_io::timer::{TimerFd, monotonic_now};
use linux_io::users;
use linux_io::watch::{self, Watch};
use net_types::Instant;

use super::lower::lower;
use super::sockets::Sockets;
use crate::child::life::{self, EXIT_FATAL, seed};
use crate::child::{Context, Kind};
use crate::host::{self, System};
use crate::ipc::{BfdEvent, BfdSender};
use crate::process::{self, Scheduling};
use crate::text::bfd::{self, Detail};
use crate::text::dump::bfd::{Now, SessionNow};
use crate::text::dump::snapshot::{ProcessNow, WallTime};
use crate::text::errno::sentence;
use crate::{dump_name, text};

/// As the original: what does not fit is no packet of ours.
const PACKET_LEN: usize = 32;
/// Packets in one turn.
const PACKETS_AT_ONCE: usize = 64;

/// The process.
struct Child<'a> {
    context: &'a mut Context,
    detail: Detail,
    host: System,
    model: Model,
    engine: Engine,
    sockets: Sockets,
    scheduling: Scheduling,
    done: Option<u8>,
}

/// Starts, lives, stops. The exit status.
pub(super) fn live(context: &mut Context, signals: &Signals) -> io::Result<u8> {
    let host = System::new();
    let model = match life::configuration(Kind::Bfd, context, &host)? {
        Ok(model) => model,
        Err(status) => return Ok(status),
    };
    let seed = seed();
    let mut child = Child {
        detail: Detail::of(context.options.log_detail),
        context,
        host,
        engine: Engine::new(lower(&model.bfd), seed),
        model,
        sockets: Sockets::new(seed),
        scheduling: Scheduling::default(),
        done: None,
    };
    child.context.config_read();
    child.dump_configuration();
    child.scheduling.apply(&child.model.global, Kind::Bfd);
    if !child.sockets.listen(&lower(&child.model.bfd)) {
        return Ok(EXIT_FATAL);
    }
    child.feed(Input::Start);
    linux_io::process::trim_memory();

    let timer = TimerFd::new()?;
    let (timer_watch, signal_watch) = (Watch::reading(&timer)?, Watch::reading(signals)?);
    let mut armed = None;
    let mut buffer = [0; PACKET_LEN];
    loop {
        if let Some(status) = child.done {
            return Ok(status);
        }
        let next = child.engine.next_timeout();
        if next != armed {
            timer.set(next)?;
            armed = next;
        }
        if child.sockets.is_ready() || timer_watch.readable() || signal_watch.readable() {
            watch::look()?;
        } else {
            watch::wait()?;
        }
        if let Ok(fired) = timer_watch.read(|| timer.expired()) {
            timer_watch.emptied();
            if fired {
                // It fires once; the next deadline is set even if it is the same.
                if let Some(due) = armed.take() {
                    child.scheduling.met(due, monotonic_now());
                }
            }
        }
        // Packets first: what has arrived must not count as missing because we look late.
        child.packets(&mut buffer);
        let now = monotonic_now();
        child.engine.handle_timeout(now);
        child.drain(now);
        child.signals(&signal_watch, signals);
    }
}

impl Child<'_> {
    /// One thing happened: into the core with it, and everything that follows from it is done.
    fn feed(&mut self, input: Input<'_>) {
        let now = monotonic_now();
        self.engine.handle(now, input);
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Open(id) => self.open(now, id),
                Output::Transmit(id, packet) => {
                    if let Some(session) = self.engine.session(id) {
                        self.sockets.send(&session.config.name, &packet);
                    }
                }
                Output::Tell(id, up) => self.tell(now, id, up),
                // The reload closes by name what is gone, while it knows the old names.
                Output::Close(_) | Output::Reconfigured => {}
                Output::Notice(notice) => bfd::notice(&self.engine, &notice, self.detail),
            }
        }
    }

    fn open(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.engine.session(id) else {
            return;
        };
        let open = self.sockets.open(&session.config);
        // Said once; then it is tried in silence but for the reason.
        if !open && session.state != bfd_proto::State::AdminDown {
            log!(
                Priority::Err,
                "({}) Unable to open output socket, disabling instance",
                session.config.name
            );
        }
        self.engine.handle(now, Input::Opened(id, open));
    }

    /// Tells those who follow the session.
    fn tell(&self, now: Instant, id: SessionId, up: bool) {
        let Some(session) = self.engine.session(id) else {
            return;
        };
        let name = &session.config.name;
        let written = self.model.bfd.instances.iter().find(|b| **b.name == **name);
        let event = BfdEvent {
            name: name.clone(),
            up,
            sent: now,
        };
        let write = |to: &Option<BfdSender>, what: &str| {
            let Some(to) = to else { return };
            match to.send(&event) {
                Ok(()) => {}
                // Nobody reads: there is no such process, or it is being started again and asks then.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if self.detail.on() => {
                    log!(
                        Priority::Err,
                        "({name}) {what} pipe write() error {}",
                        sentence(&e)
                    );
                }
                Err(_) => {}
            }
        };
        if written.is_some_and(|b| b.vrrp) {
            write(&self.context.bfd_out.vrrp, "vrrp");
        }
        if written.is_some_and(|b| b.checker) {
            write(&self.context.bfd_out.checker, "checker");
        }
    }

    fn packets(&mut self, buffer: &mut [u8]) {
        for _ in 0..PACKETS_AT_ONCE {
            let Some((datagram, multihop)) = self.sockets.receive(buffer) else {
                return;
            };
            if datagram.cut {
                log!(Priority::Warning, "recvmsg() message truncated");
                continue;
            }
            if datagram.hop_limit.is_none() {
                log!(
                    Priority::Warning,
                    "recvmsg() returned no TTL control message"
                );
            }
            self.feed(Input::Packet(Received {
                bytes: buffer.get(..datagram.len).unwrap_or_default(),
                source: datagram.source,
                destination: datagram.destination,
                hop_limit: datagram.hop_limit,
                multihop,
            }));
        }
    }

    fn signals(&mut self, watch: &Watch, signals: &Signals) {
        loop {
            let next = watch.read(|| {
                let next = signals.next()?;
                next.ok_or_else(|| io::ErrorKind::WouldBlock.into())
            });
            let Ok(signal) = next else { return };
            match signal {
                Signal::TERM | Signal::INT => {
                    log!(Priority::Info, "Stopping");
                    self.done = Some(0);
                }
                Signal::HUP => self.reload(),
                Signal::USR1 => {
                    let pid = std::process::id();
                    log!(
                        Priority::Info,
                        "Printing BFD data for process({pid}) on signal"
                    );
                    host::ask_default_account(&mut self.model.global, &self.host);
                    self.dump();
                }
                Signal::XCPU => process::say_too_much_time(Kind::Bfd),
                // Of the parent: a process that follows the sessions was started again.
                Signal::USR2 => self.feed(Input::Repeat),
                _ => {}
            }
        }
    }

    /// SIGHUP: the parent has put a new configuration where we read it.
    fn reload(&mut self) {
        let begin = monotonic_now();
        log!(Priority::Info, "Reloading");
        self.scheduling.reset();
        let Some(lines) = life::new_lines(self.context) else {
            return;
        };
        let model = match life::parse(Kind::Bfd, lines, self.context, &self.host, true) {
            Ok(model) => model,
            Err(status) => {
                self.done = Some(status);
                return;
            }
        };
        let sessions = lower(&model.bfd);
        let now = monotonic_now();
        self.engine
            .handle(now, Input::Reconfigure(Box::new(sessions.clone())));
        let before = std::mem::replace(&mut self.model, model);
        let gone = |name: &str| sessions.iter().all(|s| *s.name != *name);
        for old in before.bfd.instances.iter().filter(|b| gone(&b.name)) {
            self.sockets.close(&old.name);
        }
        self.drain(now);
        process::adopt(self.context, Kind::Bfd, &before.global, &self.model.global);
        self.context.config_read();
        self.dump_configuration();
        if !self.sockets.listen(&sessions) {
            self.done = Some(EXIT_FATAL);
            return;
        }
        self.scheduling.apply(&self.model.global, Kind::Bfd);
        linux_io::process::trim_memory();
        let took = monotonic_now().since(begin).as_micros();
        log!(Priority::Info, "Reload finished in {took} usec");
    }

    /// SIGUSR1.
    fn dump(&self) {
        let path = dump_name::data(&self.model.global, "_bfd");
        let content = text::dump::bfd::data(&self.model, &self.now(false));
        if let Err(e) = dump_file::write(Path::new(&path), self.context.umask, content.as_bytes()) {
            let errno = e.raw_os_error().unwrap_or(0);
            log!(
                Priority::Info,
                "Can't open {path} ({errno}: {})",
                sentence(&e)
            );
        }
    }

    /// `--dump-conf`: to the log, at start and after each reload.
    fn dump_configuration(&self) {
        if self.context.options.dump_conf {
            for line in text::dump::bfd::data(&self.model, &self.now(true)).lines() {
                log!(Priority::Info, "{line}");
            }
        }
    }

    fn now(&self, configuration_only: bool) -> Now<'_> {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let wall = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
        let monotonic = monotonic_now();
        let (realtime_priority, realtime_limit) = self.scheduling.present();
        let session = |session| {
            let session: &bfd_proto::Session = session;
            let (fd, failing) = self.sockets.sending(&session.config.name);
            let seen = |at| WallTime(wall.saturating_sub(monotonic.since(at).as_micros()));
            SessionNow {
                session,
                fd,
                failing,
                last_seen: session.last_seen.map(seen),
            }
        };
        Now {
            process: ProcessNow {
                umask: self.context.umask,
                ids: (users::uid(), users::gid()),
                realtime_priority,
                realtime_limit,
                reload_file: None,
                reload_at: None,
                fifos_open: true,
            },
            ports: self.sockets.ports(),
            sessions: self.engine.sessions().map(session).collect(),
            configuration_only,
        }
    }
}
