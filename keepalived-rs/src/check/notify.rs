//! Telling others of real servers and quorums: scripts, notify FIFOs, mail.
//!
//! In: the model (who has which scripts), the core's outputs, ends of children, the time. Out: processes, FIFO lines, mails.
//! Order: the script, the FIFOs, mail. Scripts are started, not waited for; only at the stop of the daemon are they given a second.
//! Answers to: keepalived 2.3.3 check/ipwrapper.c (`do_vs_notifies`, `do_rs_notifies`), keepalived-behaviour.md section 7.

use std::io;

use checker_proto::Quorum;
use conf_parsers::keepalived::model::lvs::{RealServer, Trio, VirtualServer};
use conf_parsers::keepalived::model::{Global, Script};
use daemon_rt::fifo::Fifo;
use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::script::{Overdue, Scripts};
use linux_io::epoll::ReadSet;
use linux_io::process::{Exit, Pid};
use linux_io::signal::Signal;
use net_types::{Duration, Instant};

use crate::notify_fifo;
use crate::parent::{command, say_not_started};
use crate::smtp::{About, Mailer};

/// How long scripts may take when the daemon stops.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// What a script that is watched was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Stop,
    FifoReader,
}

/// A state as it is written.
const fn word(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

/// Notifies for the checker process.
pub(super) struct Notifier {
    /// `notify_fifo`, then `lvs_notify_fifo`.
    fifos: Vec<(&'static str, Fifo)>,
    watched: Scripts<Purpose>,
    mailer: Mailer,
}

impl Notifier {
    pub(super) fn new(global: &Global, detail: bool) -> Self {
        let mut mailer = Mailer::new(detail);
        mailer.configure(global);
        Self {
            fifos: Vec::new(),
            watched: Scripts::default(),
            mailer,
        }
    }

    pub(super) fn reconfigure(&mut self, global: &Global) {
        self.mailer.configure(global);
    }

    /// Opens the FIFOs and starts their readers; what was open before is closed first, and its readers told to end.
    pub(super) fn open_fifos(&mut self, global: &Global, now: Instant) {
        self.close_fifos(now);
        for (written, kind) in [(&global.notify_fifo, ""), (&global.lvs_notify_fifo, "lvs_")] {
            let watched = &mut self.watched;
            let opened = notify_fifo::open(written, kind, |command, name| {
                let started = watched.start(now, command, &[name], Purpose::FifoReader, None);
                if let Err(e) = started {
                    say_not_started(command, &e);
                }
            });
            self.fifos.extend(opened.map(|fifo| (kind, fifo)));
        }
    }

    pub(super) fn close_fifos(&mut self, now: Instant) {
        if !self.fifos.is_empty() {
            self.fifos.clear();
            self.watched.end_all(Signal::TERM, now + STOP_LIMIT);
        }
    }

    /// Whether anybody learns of a real server from us.
    pub(super) fn tells_real(&self, rs: &RealServer, up: bool) -> bool {
        let script = if up { &rs.notify_up } else { &rs.notify_down };
        script.is_some() || !self.fifos.is_empty()
    }

    /// Whether anybody learns of a quorum from us.
    pub(super) fn tells_quorum(&self, vs: &VirtualServer, up: bool) -> bool {
        let script = if up { &vs.quorum_up } else { &vs.quorum_down };
        let mail = vs.smtp_alert == Some(true) && self.mailer.is_on();
        script.is_some() || mail || !self.fifos.is_empty()
    }

    /// A real server has come or gone.
    pub(super) fn real(
        &mut self,
        now: Instant,
        (vs, rs): (&VirtualServer, &RealServer),
        up: bool,
        stopping: bool,
    ) {
        let script = if up { &rs.notify_up } else { &rs.notify_down };
        self.run(now, script.as_deref(), stopping);
        if !self.fifos.is_empty() {
            let real = Trio(rs.addr, vs.protocol);
            notify_fifo::write(&self.fifos, &format!("RS {real} {vs} {}", word(up)));
        }
    }

    /// A quorum has come or gone.
    pub(super) fn quorum(&mut self, now: Instant, vs: &VirtualServer, quorum: &Quorum) {
        let up = quorum.up;
        let script = if up { &vs.quorum_up } else { &vs.quorum_down };
        self.run(now, script.as_deref(), quorum.stopping);
        if !self.fifos.is_empty() {
            notify_fifo::write(&self.fifos, &format!("VS {vs} {}", word(up)));
        }
        if vs.smtp_alert == Some(true) && self.mailer.is_on() {
            let body = if quorum.stopping {
                "=> Shutting down <=".to_owned()
            } else {
                let what = match (up, quorum.init) {
                    (true, true) => "Starting with quorum up",
                    (true, false) => "Gained quorum",
                    (false, true) => "Starting with quorum down",
                    (false, false) => "Lost quorum",
                };
                format!(
                    "=> {what} {}+{}={} <= {} <=",
                    vs.quorum, vs.hysteresis, quorum.threshold, quorum.weight
                )
            };
            let name = vs.to_string();
            self.mailer
                .send(now, About::VirtualServer(&name), word(up), &body);
        }
    }

    /// Mail about a real server.
    pub(super) fn mail(
        &mut self,
        now: Instant,
        (vs, rs): (&VirtualServer, &RealServer),
        up: bool,
        body: &str,
    ) {
        if self.mailer.is_on() {
            let real = Trio(rs.addr, vs.protocol).to_string();
            let about = About::RealServer(&real, &vs.to_string());
            self.mailer.send(now, about, word(up), body);
        }
    }

    fn run(&mut self, now: Instant, script: Option<&Script>, watch: bool) {
        let Some(command) = script.map(command) else {
            return;
        };
        let started = if watch {
            let limit = Some(STOP_LIMIT);
            let watched = &mut self.watched;
            watched.start(now, &command, &[], Purpose::Stop, limit)
        } else {
            command.start(&[])
        };
        if let Err(e) = started {
            say_not_started(&command, &e);
        }
    }

    /// A child of this process has ended; `true` if it was one that is watched here.
    pub(super) fn exited(&mut self, pid: Pid, exit: Exit) -> bool {
        let Some(ended) = self.watched.exited(pid, exit) else {
            return false;
        };
        if let Some(line) = &ended.not_run {
            log!(Priority::Alert, "{line}");
        }
        if ended.token == Purpose::FifoReader {
            log!(Priority::Info, "lvs notify fifo script terminated");
        }
        true
    }

    /// The daemon stops: readers of FIFOs are told to end.
    pub(super) fn stopping(&mut self, now: Instant) {
        self.watched.end_all(Signal::TERM, now + STOP_LIMIT);
    }

    /// The process ends: nothing outlives it.
    pub(super) fn kill_all(&mut self, now: Instant) {
        self.watched.end_all(Signal::KILL, now);
    }

    /// Whether a script or a mail is to be waited for.
    pub(super) fn busy(&self) -> bool {
        !self.watched.is_empty() || self.mailer.busy()
    }

    /// The connections to the mail server.
    pub(super) const fn mail_readable(&self) -> Option<&ReadSet> {
        self.mailer.readable()
    }

    /// A mail server may have something to say. `WouldBlock` when none has.
    pub(super) fn mail_ready(&mut self, now: Instant) -> io::Result<()> {
        self.mailer.ready(now)
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let mail = self.mailer.next_timeout();
        self.watched.next_timeout().into_iter().chain(mail).min()
    }

    /// Ends scripts and mails that take too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.mailer.handle_timeout(now);
        for overdue in self.watched.handle_timeout(now) {
            if let Overdue::Unkillable { pid, .. } = overdue {
                log!(
                    Priority::Info,
                    "notify script (PID {}) failed to terminate after kill",
                    pid.get()
                );
            }
        }
    }
}
