//! The parent: starts the children, watches them, passes signals on, reloads, stops.
//!
//! In: a command line, the configuration, signals, ends of children and scripts. Out: child processes, pid files,
//! log lines, an exit status. It has one thread and no runtime, ever, so that forking is sound.
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
mod stop;

use std::io;
use std::os::fd::AsFd;

use conf_parsers::keepalived::{Lines, model};
use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::pidfile::PidFile;
use daemon_rt::script::Scripts;
use daemon_rt::signals::Signals;
use linux_io::anon_fd::EventFd;
use linux_io::proc_events::ProcEvents;
use linux_io::process::{self, Pid};
use linux_io::signal::{Signal, kill};
use linux_io::timer::monotonic_now;
use net_types::Instant;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::child::{self, BfdOut, Context, Kind, SharedConfig, Surnames};
use crate::cli::{self, Options};
use crate::config;
use crate::host::System;
use crate::ipc::{BfdReceiver, BfdSender};
use crate::not_implemented;
use crate::text;
use crate::text::version::{KERNEL, Kernel, VERSION};
use places::{PidDir, Places};
use reload_time::ReloadTime;
use respawn::Backoff;
use scripts::Purpose;
pub(crate) use scripts::{command, say_not_started};

/// Exit status of a program error.
const EXIT_PROGRAM_ERROR: u8 = 70;

/// The signals that the parent handles, or ignores until it does.
fn operator_signals() -> Vec<Signal> {
    let mut signals = vec![Signal::HUP, Signal::USR1, Signal::USR2];
    signals.extend(cli::json_signal());
    signals.extend(cli::stats_clear_signal());
    signals
}

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

/// Runs keepalived. Returns the exit status: of the parent, or of a child that was forked on the way.
pub(crate) fn run(program: &str, words: &[String], options: Options) -> u8 {
    // Until they are handled these signals must not end the process.
    let _ = daemon_rt::signals::ignore(&operator_signals());
    let _ = daemon_rt::signals::ignore(&[Signal::PIPE]);
    let mut umask = options.umask.unwrap_or(child::DEFAULT_UMASK);
    process::umask(umask);
    log::init();
    child::open_logs(&options, None, &Surnames::default(), umask);
    install_panic_hook();

    info!("Starting {VERSION}");
    let core = places::CorePattern::set(&options);
    let kernel = Kernel::running();
    say_kernel(&kernel);
    let command_line = text::life::command_line(program, words);
    for line in &command_line {
        info!("{line}");
    }

    let host = System::new();
    let loaded = match config::load(&host, &options, false) {
        Ok(loaded) => loaded,
        Err(unusable) => {
            say_stopped(&options);
            core.restore();
            return unusable.status;
        }
    };
    let mut global = loaded.outcome.model.global.clone();
    if let (None, Some(mask)) = (options.umask, global.umask) {
        umask = mask;
        process::umask(umask);
    }
    set_process_name(global.process_name.as_deref());
    if let Some(name) = &options.namespace {
        if let Some(configured) = &global.net_namespace {
            info!(
                "Overriding config net_namespace '{configured}' with command line namespace '{name}'"
            );
        }
        global.net_namespace = Some(name.clone());
    }
    let surnames = Surnames {
        namespace: global.net_namespace.clone(),
        instance: global.instance.clone(),
    };
    if surnames.any() {
        info!(
            "Changing syslog ident to {}",
            surnames.ident(child::PARENT_IDENT)
        );
        child::open_logs(&options, None, &surnames, umask);
    }
    let places = Places::new(&options, &global);
    let pid_dir = PidDir::create(&places);
    let finish = |report: bool, status: u8| {
        if report {
            say_stopped(&options);
        }
        pid_dir.remove();
        core.restore();
        status
    };
    let mut proc_events = None;
    if let Some(name) = &global.net_namespace {
        // Processes are told of in the first namespace only.
        proc_events = crate::vrrp::open_proc_events(options.log_detail > 0);
        if !places::enter_namespace(name) {
            daemon_rt::log!(
                Priority::Err,
                "Unable to set network namespace {name} - exiting"
            );
            return finish(true, 0);
        }
    }
    let Some((main_pidfile, slots)) = places.take(&options) else {
        info!("daemon is already running");
        return finish(false, 0);
    };
    if !options.dont_fork {
        match daemonise() {
            Ok(process::Fork::Parent(_)) => return 0,
            Ok(process::Fork::Child) => {}
            Err(e) => {
                info!("xdaemon: fork error");
                daemon_rt::log!(Priority::Debug, "{e}");
                return finish(true, EXIT_PROGRAM_ERROR);
            }
        }
    }
    for warning in not_implemented::warnings(&options, &loaded) {
        daemon_rt::log!(Priority::Warning, "{warning}");
    }
    if let Err(e) = main_pidfile.write_own() {
        info!("Unable to write pid file - {e}");
    }
    if global.max_auto_priority == 0 {
        info!(
            "NOTICE: setting config option max_auto_priority should result in better keepalived performance"
        );
    }
    let mut again = vec![program.to_owned()];
    again.extend_from_slice(words);
    let parent = Parent::new(
        options.clone(),
        command_line,
        again,
        surnames,
        &loaded.lines,
        global,
        slots,
        main_pidfile,
        umask,
    );
    // Children read the configuration from the shared file; nobody needs ours any more.
    drop(loaded);
    process::trim_memory();
    let mut parent = match parent {
        Ok(parent) => Parent {
            proc_events,
            ..parent
        },
        Err(e) => {
            info!("Unable to start: {e}");
            return finish(true, EXIT_PROGRAM_ERROR);
        }
    };
    match parent.run() {
        Ok(status) => {
            parent.main_pidfile.remove();
            finish(true, status)
        }
        Err(Became(kind)) => parent.live_as(kind),
    }
}

/// Forks; the new process leads its own session, sits in `/` and has /dev/null for a terminal.
fn daemonise() -> io::Result<process::Fork> {
    let side = process::fork()?;
    if side == process::Fork::Child {
        process::setsid()?;
        if process::chdir_root().is_err() {
            info!("xdaemon: chdir error");
        }
        process::stdio_to_null()?;
    }
    Ok(side)
}

/// Ignores every signal that is neither handled nor a sign of a crash, as the C program does: a stray SIGQUIT or SIGALRM must not
/// take the addresses away. Children inherit it, scripts do not.
fn ignore_the_rest(handled: &[Signal]) {
    use nix::sys::signal::Signal as Named;
    // By name: the numbers differ between architectures.
    let kept = [
        Named::SIGILL,
        Named::SIGABRT,
        Named::SIGBUS,
        Named::SIGFPE,
        Named::SIGKILL,
        Named::SIGSEGV,
        Named::SIGCHLD,
        Named::SIGSTOP,
        Named::SIGXCPU,
    ]
    .map(|signal| signal as i32);
    for number in 1..=linux_io::signal::sigrtmax() {
        if let Some(signal) = Signal::new(number) {
            if !handled.contains(&signal) && !kept.contains(&number) {
                // The C library keeps some for itself.
                let _ = daemon_rt::signals::ignore(&[signal]);
            }
        }
    }
}

/// A panic is a bug; nobody may be left running half a daemon. One line says where it was, and the abort tells the
/// parent, which starts the child again.
fn install_panic_hook() {
    std::panic::set_hook(Box::new(|panic| {
        daemon_rt::log!(Priority::Crit, "BUG - {panic}");
        std::process::abort();
    }));
}

fn set_process_name(name: Option<&str>) {
    if let Some(name) = name {
        let _ = process::set_name(name);
    }
}

fn say_kernel(kernel: &Kernel) {
    let (a, b, c) = KERNEL;
    match kernel.numbers() {
        Some(running) if running < KERNEL => info!(
            "WARNING - keepalived was built for newer Linux {a}.{b}.{c}, running on {}",
            kernel.line()
        ),
        Some(_) => info!("Running on {} (built for Linux {a}.{b}.{c})", kernel.line()),
        None => info!("Unable to parse kernel version {}", kernel.release),
    }
}

fn say_stopped(options: &Options) {
    if options.log_detail > 0 {
        if let Some(line) = text::life::cpu_usage() {
            info!("{line}");
        }
    }
    info!("Stopped {VERSION}");
}

impl Parent {
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a start, each used once"
    )]
    fn new(
        options: Options,
        command_line: Vec<String>,
        words: Vec<String>,
        surnames: Surnames,
        lines: &Lines,
        global: model::Global,
        slots: Vec<Slot>,
        main_pidfile: PidFile,
        umask: u32,
    ) -> io::Result<Self> {
        let mut handled = operator_signals();
        handled.extend([Signal::TERM, Signal::CHLD]);
        if options.ignore_sigint {
            daemon_rt::signals::ignore(&[Signal::INT])?;
        } else {
            handled.push(Signal::INT);
        }
        ignore_the_rest(&handled);
        let signals = Signals::take(&handled)?;
        // Whoever outlives its own parent comes to us, so that no script escapes.
        process::set_child_subreaper(true)?;
        let shared = SharedConfig::new(global.tmp_config_directory.as_deref())?;
        shared.publish(lines)?;
        let mut saved = 0;
        places::save_configuration(&global, lines, &mut saved, umask);
        Ok(Self {
            options,
            command_line,
            words,
            pid: process::getpid(),
            surnames,
            global,
            shared,
            ready: EventFd::new()?,
            signals,
            scripts: Scripts::default(),
            slots,
            phase: Phase::Starting,
            main_pidfile,
            announce: None,
            reload_queued: false,
            reload_time: None,
            saved,
            umask,
            proc_events: None,
            bfd_pipes: None,
        })
    }

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
