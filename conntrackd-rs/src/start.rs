//! From the command line to the running daemon, and its end.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use conf_parsers::conntrackd::{self as conf, Config, General, SchedPolicy, Severity, Stats, Sync};
use ctsync_proto::{ConfigError, Engine, Input, KernelSocket, StartState};
use daemon_rt::log::Priority;
use daemon_rt::systemd::Systemd;
use linux_io::ifname;
use linux_io::link_watch::LinkWatch;
use linux_io::process::{self, Fork};
use linux_io::sched::{self, Class};
use linux_io::signal::{self, SigSet, Signal, SignalFd};
use linux_io::timer::monotonic_now;

use crate::channel::Channel;
use crate::check;
use crate::cli::{self, Said, Task};
use crate::client;
use crate::events::{Events, FilterPlace};
use crate::flow_log::FlowLog;
#[cfg(feature = "helper")]
use crate::helper::Queues;
use crate::kernel::Kernel;
use crate::lower;
use crate::memory::Trim;
use crate::reload::Reload;
use crate::replication::Replication;
use crate::run::Daemon;
use crate::server::Server;
use crate::text::log::reason;
use crate::text::{self, usage};

/// Said when the start failed for a reason that was given before.
const REVIEW: &str = "conntrackd cannot start, please review your configuration";

/// The start failed and the reason was logged.
struct Failed;

fn error(text: impl std::fmt::Display) -> Failed {
    daemon_rt::log!(Priority::Err, "{text}");
    Failed
}

/// The program.
pub fn main() -> ExitCode {
    text::log::to_console();
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let words: Vec<_> = words.collect();
    let line = cli::read(&words);
    for said in &line.said {
        match said {
            Said::Usage => print(&usage::usage(&program.to_string_lossy())),
            Said::Version => print(&usage::version()),
            Said::Line(priority, text) => daemon_rt::log!(*priority, "{text}"),
        }
    }
    let done = match line.task {
        Task::Exit(status) => return ExitCode::from(status),
        Task::Client { config, request } => ask(&config, request),
        Task::Test { config } => return check::report(&config),
        Task::Daemon { config, background } => daemon(&config, background),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed) => ExitCode::FAILURE,
    }
}

fn print(text: &str) {
    let mut out = io::stdout().lock();
    // Nobody listening is no reason to fail.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Reads the configuration and tells what there is to tell about it.
fn read(path: &Path) -> Result<Config, Failed> {
    let text = std::fs::read(path)
        .map_err(|_| error(format_args!("can't open config file `{}'", path.display())))?;
    let outcome = conf::parse(&text, &|name| ifname::index_of(name).is_some());
    for diagnostic in &outcome.diagnostics {
        let priority = match diagnostic.severity {
            Severity::Warning => Priority::Warning,
            Severity::Error => Priority::Err,
        };
        daemon_rt::log!(priority, "{}", diagnostic.kind);
    }
    outcome.config.ok_or(Failed)
}

fn ask(path: &Path, request: i32) -> Result<(), Failed> {
    let config = read(path)?;
    client::ask(Path::new(&*config.general.unix_path), request)
        .map_err(|_| error("can't connect: is conntrackd running? appropriate permissions?"))
}

fn daemon(path: &Path, background: bool) -> Result<(), Failed> {
    process::umask(0o177);
    let config = read(path)?;
    #[cfg(not(feature = "helper"))]
    if config.helper.is_some() {
        return Err(error("Helper support is disabled, recompile conntrackd"));
    }
    text::log::open(&config.general, background).map_err(|text| {
        // Before the log is there: a bare line, as in the original.
        eprintln!("{text}");
        Failed
    })?;
    let flow_file = FlowLog::open_file(config.stats.as_ref()).map_err(|text| {
        eprintln!("{text}");
        Failed
    })?;
    let lock = LockFile::create(&config.general.lock_file)?;
    let hup = background || !io::stdin().is_terminal();
    let mut daemon = prepare(&config, path, hup, flow_file).map_err(|Failed| error(REVIEW))?;

    if let Err(e) = process::chdir_root() {
        daemon_rt::log!(
            Priority::Warning,
            "Cannot change current directory to /: {}",
            reason(&e)
        );
    }
    if background {
        match process::fork() {
            Ok(Fork::Parent(child)) => {
                daemon.systemd.main_pid(child.get());
                // The child has lock file and control socket now.
                std::process::exit(0);
            }
            Ok(Fork::Child) => {}
            Err(e) => return Err(error(format_args!("fork has failed: {}", reason(&e)))),
        }
        let _ = process::setsid();
        let _ = process::stdio_to_null();
        daemon_rt::log!(Priority::Notice, "-- starting in daemon mode --");
    } else {
        daemon_rt::log!(Priority::Notice, "-- starting in console mode --");
    }
    daemon.systemd.ready();
    let ended = daemon.run();
    let systemd = Systemd::new(*config.general.systemd);
    // The socket first, then the lock: who sees no lock may start.
    drop(daemon);
    drop(lock);
    let result = ended.map_err(|e| {
        error(format_args!(
            "the daemon can not wait for events: {}",
            reason(&e)
        ))
    });
    daemon_rt::log!(Priority::Notice, "---- shutdown received ----");
    systemd.stopping();
    result
}

/// Everything up to "initialization completed".
fn prepare(
    config: &Config,
    path: &Path,
    hup: bool,
    flow_file: Option<File>,
) -> Result<Daemon, Failed> {
    set_scheduler(config);
    let mut server = Server::bind(Path::new(&*config.general.unix_path))
        .map_err(|_| error("can't open unix socket!"))?;
    let mut signals = SigSet::empty()
        .with(Signal::TERM)
        .with(Signal::INT)
        .with(Signal::CHLD);
    // In the foreground of a terminal it means that the terminal is gone.
    if hup && !signal::is_ignored(Signal::HUP) {
        signals = signals.with(Signal::HUP);
    }
    let signals = signal::block(&signals)
        .and_then(|_| SignalFd::new(&signals))
        .map_err(|e| error(format_args!("can't receive signals: {}", reason(&e))))?;
    let replication = match (&config.sync, &config.stats) {
        (Some(sync), _) => Some(replicate(config, sync, &mut server)?),
        (None, Some(stats)) => Some(log_flows(config, stats, flow_file, &mut server)?),
        (None, None) => None,
    };
    #[cfg(feature = "helper")]
    let helpers = match &config.helper {
        Some(helper) => {
            let limit = *config.general.event_iteration_limit;
            // What is wrong was told.
            Some(Queues::open(helper, limit).ok_or(Failed)?)
        }
        None => None,
    };
    daemon_rt::log!(Priority::Notice, "initialization completed");
    Ok(Daemon {
        replication,
        #[cfg(feature = "helper")]
        helpers,
        server,
        signals,
        systemd: Systemd::new(*config.general.systemd),
        started: monotonic_now(),
        iteration_limit: *config.general.event_iteration_limit,
        read_failed: 0,
        reload: Reload::new(path, config.clone()),
    })
}

fn replicate(config: &Config, sync: &Sync, server: &mut Server) -> Result<Replication, Failed> {
    let general = &config.general;
    if sync.mode.is_none() {
        daemon_rt::log!(
            Priority::Warning,
            "No synchronization mode specified. Defaulting to FT-FW mode."
        );
    }
    let init_failed = |Failed| error("initialization failed");
    let channels = open_channels(sync).map_err(init_failed)?;
    let links = LinkWatch::open()
        .map_err(|_| error("can't open interface watcher"))
        .map_err(init_failed)?;
    let mtus: Vec<u32> = channels.iter().map(|channel| channel.mtu).collect();
    let (events, place) = subscribe(general, *sync.expectation_sync)?;
    let engine_config = lower::config(general, sync, &mtus, place == FilterPlace::Kernel);
    let sockets = Sockets {
        events,
        channels,
        links: Some(links),
    };
    let flows = FlowLog::default();
    let replication = begin(engine_config, sockets, flows, server, &init_failed)?;
    announce(general, &replication, place);
    Ok(replication)
}

/// What an engine is given to speak through.
struct Sockets {
    events: Option<Events>,
    channels: Vec<Channel>,
    links: Option<LinkWatch>,
}

/// An engine with its request sockets, once it has read the kernel's tables.
fn begin(
    config: ctsync_proto::Config,
    sockets: Sockets,
    flows: FlowLog,
    server: &mut Server,
    init_failed: &dyn Fn(Failed) -> Failed,
) -> Result<Replication, Failed> {
    let engine = Engine::new(config, monotonic_now())
        .map_err(|e: ConfigError| error(e))
        .map_err(init_failed)?;
    let kernel = Kernel::open().map_err(|e| no_netlink(&e))?;
    let mut replication = Replication {
        engine,
        kernel,
        events: sockets.events,
        channels: sockets.channels,
        links: sockets.links,
        flows,
        trim: Trim::default(),
    };
    if let Some(events) = &replication.events {
        replication.engine.shell_counters().netlink_buffer = events.buffer;
    }
    name_origins(&mut replication);
    replication.report_links();
    replication
        .populate(server)
        .map_err(|_| error("can't get kernel conntrack table"))?;
    match replication.engine.start_state() {
        StartState::Ready => Ok(replication),
        StartState::Failed { expect: true, .. } => Err(error("can't get kernel expect table")),
        StartState::Failed { expect: false, .. } | StartState::Reading => {
            Err(error("can't get kernel conntrack table"))
        }
    }
}

/// Tells the engine by which sockets it changes the table, so that it knows their events from others'.
fn name_origins(replication: &mut Replication) {
    let now = monotonic_now();
    for (socket, port_id) in replication
        .kernel
        .sockets()
        .map(|(name, socket)| (name, socket.port_id()))
        .collect::<Vec<_>>()
    {
        let tell = match socket {
            KernelSocket::Commit | KernelSocket::Flush | KernelSocket::Inject => true,
            KernelSocket::CommitUnheard => replication
                .events
                .as_mut()
                .is_some_and(|events| events.leave_out(port_id)),
            KernelSocket::Dump
            | KernelSocket::Resync
            | KernelSocket::Get
            | KernelSocket::FlushDump => false,
        };
        if tell {
            replication
                .engine
                .handle(now, Input::SocketOpened { socket, port_id });
        }
    }
}

fn announce(general: &General, replication: &Replication, place: FilterPlace) {
    if let Some(events) = &replication.events {
        events.announce(general, place);
    }
}

/// Subscribed before the table is read, so that nothing is missed in between: the original loses those events.
fn subscribe(
    general: &General,
    expectations: bool,
) -> Result<(Option<Events>, FilterPlace), Failed> {
    if general.poll_secs.is_some() {
        return Ok((None, FilterPlace::None));
    }
    let (events, place) = Events::open(general, expectations).map_err(|e| no_netlink(&e))?;
    Ok((Some(events), place))
}

/// Statistics mode: no peer, a line per flow that ends.
fn log_flows(
    config: &Config,
    stats: &Stats,
    file: Option<File>,
    server: &mut Server,
) -> Result<Replication, Failed> {
    let general = &config.general;
    let (events, place) = subscribe(general, false)?;
    let engine_config = lower::flow_log(general, place == FilterPlace::Kernel);
    let sockets = Sockets {
        events,
        channels: Vec::new(),
        links: None,
    };
    let flows = FlowLog::new(general, stats, file);
    let replication = begin(engine_config, sockets, flows, server, &|failed| failed)?;
    announce(general, &replication, place);
    Ok(replication)
}

fn no_netlink(e: &io::Error) -> Failed {
    error(format_args!("can't open netlink handler: {}", reason(e)));
    error("no ctnetlink kernel support?")
}

fn open_channels(sync: &Sync) -> Result<Vec<Channel>, Failed> {
    let failed = |e: io::Error| error(format_args!("can't open channel socket: {}", reason(&e)));
    if sync.links.is_empty() {
        return Err(failed(io::Error::from_raw_os_error(0)));
    }
    sync.links
        .iter()
        .map(|link| Channel::open(link, *sync.error_queue_length).map_err(failed))
        .collect()
}

/// Real-time scheduling, unless the system refuses.
fn set_scheduler(config: &Config) {
    let scheduler = &config.general.scheduler;
    let priority = i32::from(*scheduler.priority);
    let class = match scheduler.policy.map(|policy| policy.value) {
        None => Class::RoundRobin(sched::realtime_priorities().1),
        Some(SchedPolicy::Rr) => Class::RoundRobin(priority),
        Some(SchedPolicy::Fifo) => Class::Fifo(priority),
    };
    if let Err(e) = sched::set_class(class, false) {
        daemon_rt::log!(
            Priority::Warning,
            "scheduler configuration failed: {}. Likely a bug in conntrackd, please report it. Continuing with system \
             default scheduler.",
            reason(&e)
        );
    }
}

/// The lock file: empty, made by whoever comes first, removed at the end. One that a crash left behind stays until the
/// administrator removes it, as with the original.
struct LockFile(PathBuf);

impl LockFile {
    fn create(path: &str) -> Result<Self, Failed> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map(|_| Self(path.into()))
            .map_err(|_| {
                error(format_args!(
                    "lockfile `{path}' exists, perhaps conntrackd already running?"
                ))
            })
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
