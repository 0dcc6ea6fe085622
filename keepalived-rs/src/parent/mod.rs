//! The parent: starts the children, watches them, passes signals on, reloads, stops.
//!
//! In: a command line, the configuration, signals, ends of children and scripts. Out: child processes, pid files,
//! log lines, an exit status. It has one thread, ever, so that forking is sound.
//! Answers to: keepalived-behaviour.md section 2, keepalived 2.3.3 core/main.c, core/config_notify.c.
//!
//! ```text
//!  start ─▶ Starting (start-up script) ─▶ Running ─▶ Stopping (children) ─▶ Ending (shutdown script) ─▶ exit
//!                                          ▲   │
//!                                          └───┘ reload, respawn, dumps
//! ```

mod dump;
pub(crate) mod places;
mod reload;
mod reload_time;
mod respawn;
mod scripts;
mod spawn;
mod start;
mod stop;

use std::os::fd::AsFd;

use conf_parsers::keepalived::model;
use daemon_rt::pidfile::PidFile;
use daemon_rt::script::Scripts;
use daemon_rt::signals::Signals;
use daemon_rt::systemd::Systemd;
use linux_io::anon_fd::EventFd;
use linux_io::proc_events::ProcEvents;
use linux_io::process::{self, Pid};
use linux_io::signal::{Signal, kill};
use linux_io::timer::monotonic_now;
use net_types::Instant;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::child::{self, BfdOut, Context, Kind, SharedConfig, Surnames};
use crate::cli::Options;
use crate::ipc::{BfdReceiver, BfdSender};
use reload_time::ReloadTime;
use respawn::Backoff;
use scripts::Purpose;
pub(crate) use scripts::{command, say_not_started};
pub(crate) use start::run;

/// One line to the log at LOG_INFO, which nearly everything is.
macro_rules! info {
    ($($text:tt)+) => { daemon_rt::log!(daemon_rt::log::Priority::Info, $($text)+) };
}
use info;

/// This process is now a child of the kind.
#[derive(Debug)]
struct Became(Kind);

/// What the main loop is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The start-up script runs; no child yet.
    Starting,
    /// Children run.
    Running,
    /// Children were told to stop; this is how long they have.
    Stopping(Instant),
    /// The shutdown script runs.
    Ending,
    /// Nothing is left to do.
    Done(u8),
}

/// A child as the parent knows it.
#[derive(Debug)]
struct Slot {
    kind: Kind,
    /// The command line lets it run.
    allowed: bool,
    pid: Option<Pid>,
    started: Instant,
    backoff: Backoff,
    restart_at: Option<Instant>,
    pidfile: Option<PidFile>,
    pid_path: String,
    /// It has not said yet that it read the configuration.
    loading: bool,
}

struct Parent {
    options: Options,
    /// Program name and words, in quotes, for crash reports.
    command_line: Vec<String>,
    /// How to run this program again.
    words: Vec<String>,
    pid: Pid,
    surnames: Surnames,
    global: model::Global,
    shared: SharedConfig,
    ready: EventFd,
    signals: Signals,
    systemd: Systemd,
    scripts: Scripts<Purpose>,
    slots: Vec<Slot>,
    phase: Phase,
    main_pidfile: PidFile,
    /// What to say when all children have read the configuration: `Startup`, `Reload`.
    announce: Option<&'static str>,
    reload_queued: bool,
    /// `reload_time_file`, while children run.
    reload_time: Option<ReloadTime>,
    /// Configurations in `config_save_dir` so far.
    saved: u32,
    umask: u32,
    /// Opened before the first network namespace was left, for the VRRP child.
    proc_events: Option<ProcEvents>,
    /// From the BFD child to the VRRP and the checker child.
    bfd_pipes: Option<BfdPipes>,
}

/// Both ends of both pipes, so that a child that is started again finds them.
#[derive(Debug)]
struct BfdPipes {
    vrrp: (BfdSender, BfdReceiver),
    checker: (BfdSender, BfdReceiver),
}

impl Parent {
    fn detail(&self) -> bool {
        self.options.log_detail > 0
    }

    /// The main loop.
    fn run(&mut self) -> Result<u8, Became> {
        match self.global.startup_script.clone() {
            Some(script) => {
                if self.detail() {
                    info!(
                        "Running startup script {}",
                        script.args.first().map_or("", String::as_str)
                    );
                }
                let limit = self.global.startup_script_timeout;
                if !self.run_script(&script, Purpose::Startup, limit) {
                    self.start_children()?;
                }
            }
            None => self.start_children()?,
        }
        loop {
            if let Phase::Done(status) = self.phase {
                return Ok(status);
            }
            self.wait();
            while let Ok(Some(signal)) = self.signals.next() {
                self.signal(signal)?;
            }
            self.children_ready()?;
            self.watch_reload_time()?;
            self.time_passed()?;
        }
    }

    /// Sleeps until a signal, a child's word or a deadline.
    fn wait(&self) {
        let now = monotonic_now();
        let stopping = match self.phase {
            Phase::Stopping(deadline) => Some(deadline),
            _ => None,
        };
        let next = self
            .slots
            .iter()
            .filter_map(|slot| slot.restart_at)
            .chain(self.scripts.next_timeout())
            .chain(stopping)
            .chain(self.reload_time.as_ref().and_then(ReloadTime::deadline))
            .min();
        let timeout = match next {
            None => PollTimeout::NONE,
            Some(at) => {
                // Rounded up, or the loop would spin through the last millisecond.
                let millis = at.since(now).as_micros().div_ceil(1000);
                PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX))
                    .unwrap_or(PollTimeout::MAX)
            }
        };
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.ready.as_fd(), PollFlags::POLLIN),
        ];
        let file = self.reload_time.as_ref();
        fds.extend(file.map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
        // Interrupted or not: everything is looked at afterwards.
        let _ = poll(&mut fds, timeout);
    }

    fn signal(&mut self, signal: Signal) -> Result<(), Became> {
        if signal == Signal::CHLD {
            return self.reap();
        }
        if matches!(
            self.phase,
            Phase::Stopping(_) | Phase::Ending | Phase::Done(_)
        ) {
            return Ok(());
        }
        match signal {
            Signal::TERM | Signal::INT => self.stop(),
            Signal::HUP => return self.reload_requested(),
            Signal::USR1 => {
                self.tell_children(signal);
                self.dump();
            }
            // Statistics and JSON: of the VRRP child only.
            other => self.tell(Kind::Vrrp, other),
        }
        Ok(())
    }

    fn tell(&self, kind: Kind, signal: Signal) {
        let slot = self.slots.iter().find(|slot| slot.kind == kind);
        if let Some(pid) = slot.and_then(|slot| slot.pid) {
            let _ = kill(pid, signal);
        }
    }

    fn tell_children(&self, signal: Signal) {
        for slot in &self.slots {
            self.tell(slot.kind, signal);
        }
    }

    /// Collects everybody who ended.
    fn reap(&mut self) -> Result<(), Became> {
        while let Ok(Some((pid, exit))) = process::reap_any() {
            if let Some(ended) = self.scripts.exited(pid, exit) {
                self.script_ended(&ended)?;
            } else if let Some(at) = self.slots.iter().position(|s| s.pid == Some(pid)) {
                self.child_ended(at, pid, exit)?;
            }
            // Anybody else was an orphan that came to us.
        }
        Ok(())
    }

    /// Children that have read the configuration.
    fn children_ready(&mut self) -> Result<(), Became> {
        let Ok(mut count) = self.ready.take() else {
            return Ok(());
        };
        for slot in &mut self.slots {
            if count > 0 && slot.loading {
                slot.loading = false;
                count -= 1;
            }
        }
        if self.loading() || self.phase != Phase::Running {
            return Ok(());
        }
        if let Some(what) = self.announce.take() {
            info!("{what} complete");
            self.systemd.ready_as(std::process::id());
        }
        if self.reload_queued {
            self.reload_queued = false;
            if self.detail() {
                info!("Processing queued reload");
            }
            return self.reload();
        }
        Ok(())
    }

    fn loading(&self) -> bool {
        self.slots.iter().any(|slot| slot.loading)
    }

    fn time_passed(&mut self) -> Result<(), Became> {
        let now = monotonic_now();
        for overdue in self.scripts.handle_timeout(now) {
            self.script_overdue(&overdue)?;
        }
        match self.phase {
            Phase::Stopping(deadline) if deadline <= now => self.force_children(),
            Phase::Running => return self.restart_due(now),
            _ => {}
        }
        Ok(())
    }

    /// The child side of a fork: lets go of what is the parent's and lives as the child. Returns its exit status.
    fn live_as(mut self, kind: Kind) -> u8 {
        let pidfile = self
            .slots
            .iter_mut()
            .find(|slot| slot.kind == kind)
            .and_then(|slot| slot.pidfile.take());
        let parent = self.pid;
        let surnames = self.surnames;
        let mut context = Context {
            options: self.options,
            global: self.global,
            shared: self.shared,
            ready: self.ready,
            pidfile,
            umask: self.umask,
            proc_events: self.proc_events.filter(|_| kind == Kind::Vrrp),
            bfd_events: None,
            bfd_out: BfdOut::default(),
        };
        if let Some(BfdPipes { vrrp, checker }) = self.bfd_pipes {
            match kind {
                Kind::Vrrp => context.bfd_events = Some(vrrp.1),
                Kind::Checker => context.bfd_events = Some(checker.1),
                Kind::Bfd => {
                    context.bfd_out.vrrp = Some(vrrp.0);
                    context.bfd_out.checker = Some(checker.0);
                }
            }
        }
        // Every lock and descriptor that belongs to the parent or to another child goes now.
        drop((self.slots, self.main_pidfile, self.signals, self.scripts));
        drop(self.reload_time);
        child::begin(kind, parent, &mut context, &surnames);
        let status = match kind {
            Kind::Vrrp => crate::vrrp::child_main(&mut context),
            #[cfg(feature = "bfd")]
            Kind::Bfd => crate::bfd::child_main(&mut context),
            #[cfg(not(feature = "bfd"))]
            Kind::Bfd => 0,
            #[cfg(feature = "lvs")]
            Kind::Checker => crate::check::child_main(&mut context),
            #[cfg(not(feature = "lvs"))]
            Kind::Checker => 0,
        };
        if let Some(pidfile) = context.pidfile.take() {
            pidfile.remove();
        }
        status
    }
}
