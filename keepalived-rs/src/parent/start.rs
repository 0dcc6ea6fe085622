//! The start of the parent, up to its main loop: what the process is to the machine, the first reading of the configuration, pid
//! files, the fork into the background, signals.

use std::io;

use conf_parsers::keepalived::{Lines, model};
use daemon_rt::log::Priority;
use daemon_rt::pidfile::PidFile;
use daemon_rt::script::Scripts;
use daemon_rt::signals::Signals;
use daemon_rt::systemd::Systemd;
use linux_io::anon_fd::EventFd;
use linux_io::process;
use linux_io::signal::Signal;

use super::places::{self, CorePattern, PidDir, Places};
use super::{Became, Parent, Phase, Slot, info};
use crate::child::{self, SharedConfig, Surnames};
use crate::cli::{self, Options};
use crate::config;
use crate::host::System;
use crate::not_built;
use crate::text;
use crate::text::version::{KERNEL, Kernel, VERSION};

/// Exit status of a program error.
const EXIT_PROGRAM_ERROR: u8 = 70;

/// The signals that the parent handles, or ignores until it does.
fn operator_signals() -> Vec<Signal> {
    let mut signals = vec![Signal::HUP, Signal::USR1, Signal::USR2];
    signals.extend(cli::json_signal());
    signals.extend(cli::stats_clear_signal());
    signals
}

/// Runs keepalived. Returns the exit status: of the parent, or of a child that was forked on the way.
pub(crate) fn run(program: &str, words: &[String], options: Options) -> u8 {
    let (core, command_line) = begin(program, words, &options);
    let loaded = match config::load(&System::new(), &options, false) {
        Ok(loaded) => loaded,
        Err(unusable) => {
            say_stopped(&options);
            core.restore();
            return unusable.status;
        }
    };
    let mut global = loaded.outcome.model.global.clone();
    let (surnames, umask) = take_names(&options, &mut global);
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
    for warning in not_built::warnings(&options, &loaded) {
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

/// Makes the process safe from stray signals, opens the logs and says who starts, with which words. Returns the settings of core
/// files, to be put back at the end, and the lines that repeat the command line, for crash reports.
fn begin(program: &str, words: &[String], options: &Options) -> (CorePattern, Vec<String>) {
    // Until they are handled these signals must not end the process.
    let _ = daemon_rt::signals::ignore(&operator_signals());
    let _ = daemon_rt::signals::ignore(&[Signal::PIPE]);
    let umask = options.umask.unwrap_or(child::DEFAULT_UMASK);
    process::umask(umask);
    child::open_logs(options, None, &Surnames::default(), umask);
    install_panic_hook();
    info!("Starting {VERSION}");
    let core = CorePattern::set(options);
    say_kernel(&Kernel::running());
    let command_line = text::life::command_line(program, words);
    for line in &command_line {
        info!("{line}");
    }
    (core, command_line)
}

/// What the configuration says of the process itself: its name, umask, network namespace (the command line's wins) and the words
/// that its log lines and files are told apart by. Returns those and the umask in force.
fn take_names(options: &Options, global: &mut model::Global) -> (Surnames, u32) {
    let umask = options
        .umask
        .or(global.umask)
        .unwrap_or(child::DEFAULT_UMASK);
    process::umask(umask);
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
        child::open_logs(options, None, &surnames, umask);
    }
    (surnames, umask)
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

pub(super) fn set_process_name(name: Option<&str>) {
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
    pub(super) fn new(
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
            systemd: Systemd::new(true),
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
}
