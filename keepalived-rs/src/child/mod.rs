//! What the parent hands to a child, and what every child does first.
//!
//! In: the parent's state at the moment of the fork. Out: a process with its own name, log identity, pid
//! file and death signal, ready for its subsystem's main function.
//! Answers to: keepalived-behaviour.md section 2, keepalived 2.3.3 vrrp/vrrp_daemon.c (start of a child).

pub mod life;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};

use conf_parsers::keepalived::{Lines, model::Global};
use daemon_rt::log;
use daemon_rt::log::{Console, Facility, Layout, LogFile, Priority, Stream, Syslog};
use daemon_rt::pidfile::PidFile;
use linux_io::anon_fd::{EventFd, memfd};
use linux_io::proc_events::ProcEvents;
use linux_io::process::{self, Pid};
use linux_io::signal::{Signal, die_by};

use crate::cli::Options;
use crate::ipc::{BfdReceiver, BfdSender};
use crate::paths;

/// The name of the parent in syslog.
pub const PARENT_IDENT: &str = "Keepalived";

/// Process mask of new files when nobody says otherwise: dumps are for root alone.
pub const DEFAULT_UMASK: u32 = 0o177;

/// A subsystem with a process of its own, in the order of starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Health checkers and IPVS.
    Checker,
    /// VRRP.
    Vrrp,
    /// BFD.
    Bfd,
}

impl Kind {
    /// All, in the order of starting.
    pub const ALL: [Self; 3] = [Self::Checker, Self::Vrrp, Self::Bfd];

    /// Its name in syslog.
    pub const fn ident(self) -> &'static str {
        match self {
            Self::Checker => "Keepalived_healthcheckers",
            Self::Vrrp => "Keepalived_vrrp",
            Self::Bfd => "Keepalived_bfd",
        }
    }

    /// Its name in sentences: `Starting VRRP child process, …`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Checker => "Healthcheck",
            Self::Vrrp => "VRRP",
            Self::Bfd => "BFD",
        }
    }

    /// Its name when it refuses to stop: `vrrp process failed to die …`.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Checker => "checker",
            Self::Vrrp => "vrrp",
            Self::Bfd => "bfd",
        }
    }

    /// Its name inside the names of log and dump files.
    pub const fn file_word(self) -> &'static str {
        match self {
            Self::Checker => "check",
            Self::Vrrp => "vrrp",
            Self::Bfd => "bfd",
        }
    }

    /// Stem of its pid file.
    pub const fn pid_stem(self) -> &'static str {
        match self {
            Self::Checker => "checkers",
            Self::Vrrp => "vrrp",
            Self::Bfd => "bfd",
        }
    }
}

/// The consolidated configuration in a memory file, so that every process parses the same text even if the files
/// change meanwhile. The parent writes it, children read it.
#[derive(Debug)]
pub struct SharedConfig {
    file: File,
}

impl SharedConfig {
    /// An empty one: in `dir` (`tmp_config_directory`), without a name, or else in memory.
    pub fn new(dir: Option<&str>) -> io::Result<Self> {
        let on_disk = dir.and_then(|dir| match unnamed_file(dir) {
            Ok(file) => Some(file),
            Err(e) => {
                daemon_rt::log!(
                    Priority::Info,
                    "Cannot open config directory {dir} for writing, errno {} - {}",
                    e.raw_os_error().unwrap_or(0),
                    crate::text::errno::sentence(&e)
                );
                None
            }
        });
        let file = match on_disk {
            Some(file) => file,
            None => memfd(c"keepalived-config")?,
        };
        Ok(Self { file })
    }

    /// Replaces the text. Children must not be reading: the parent reloads only when all have said that they are
    /// done.
    pub fn publish(&self, lines: &Lines) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.write_all_at(lines.to_text().as_bytes(), 0)
    }

    /// Reads the text. An error or a damaged text means that there is nothing to reload from.
    pub fn read(&self) -> io::Result<Lines> {
        let length = usize::try_from(self.file.metadata()?.len())
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, 0)?;
        std::str::from_utf8(&bytes)
            .ok()
            .and_then(Lines::from_text)
            .ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// A file in `dir` that nobody can open by a name.
fn unnamed_file(dir: &str) -> io::Result<File> {
    use nix::fcntl::OFlag;
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    let unnamed = (OFlag::O_TMPFILE | OFlag::O_EXCL).bits();
    match options.clone().custom_flags(unnamed).open(dir) {
        // The file system can not do that; then it has a name for a moment.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory
            ) =>
        {
            let path = format!("{dir}/keepalived.{}", std::process::id());
            let file = options.create_new(true).open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
        opened => opened,
    }
}

/// What a child starts with.
#[derive(Debug)]
pub struct Context {
    /// The command line.
    pub options: Options,
    /// global_defs as the parent read them. On a reload the child reads them itself.
    pub global: Global,
    /// Where to read the configuration, at start and after SIGHUP. Nobody keeps the lines in memory.
    pub shared: SharedConfig,
    /// To be signalled once each time the configuration has been read, at start and after every reload; the parent
    /// then says `Startup complete` or `Reload complete`.
    pub ready: EventFd,
    /// The child's pid file, held. Removed by the code that called the child's main function.
    pub pidfile: Option<PidFile>,
    /// Mask of new files: dumps get mode 0666 without these bits.
    pub umask: u32,
    /// VRRP: hears of processes. Opened by the parent if it has left the first network namespace since.
    pub proc_events: Option<ProcEvents>,
    /// VRRP, checker: events of BFD sessions.
    pub bfd_events: Option<BfdReceiver>,
    /// BFD: where its events go.
    pub bfd_out: BfdOut,
}

/// Where the BFD process tells of its sessions: to those that run.
#[derive(Debug, Default)]
pub struct BfdOut {
    /// The VRRP process.
    pub vrrp: Option<BfdSender>,
    /// The checker process.
    pub checker: Option<BfdSender>,
}

impl Context {
    /// Says that the configuration has been read.
    pub fn config_read(&self) {
        if let Err(e) = self.ready.signal() {
            daemon_rt::log!(Priority::Info, "Write child_reloaded_event - {e}");
        }
    }
}

/// The names that are put behind a process's own in syslog and log file names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surnames {
    /// Network namespace.
    pub namespace: Option<String>,
    /// `instance` of the configuration.
    pub instance: Option<String>,
}

impl Surnames {
    /// `Keepalived_vrrp_NS_INSTANCE`.
    pub fn ident(&self, name: &str) -> String {
        let mut out = name.to_owned();
        for surname in [&self.namespace, &self.instance].into_iter().flatten() {
            out.push('_');
            out.push_str(surname);
        }
        out
    }

    /// Whether there are any.
    pub fn any(&self) -> bool {
        self.namespace.is_some() || self.instance.is_some()
    }
}

/// Directs log lines as the command line says. `child` is none in the parent.
pub fn open_logs(options: &Options, child: Option<Kind>, surnames: &Surnames, umask: u32) {
    let ident = surnames.ident(child.map_or(PARENT_IDENT, Kind::ident));
    log::set_syslog((!options.no_syslog).then(|| Syslog::new(ident, facility(options))));
    log::set_console(
        (options.log_console && options.dont_fork).then_some(Console {
            stream: Stream::Stderr,
            layout: Layout::Ctime,
        }),
    );
    let Some(name) = &options.log_file else {
        return;
    };
    let path = paths::with_words(
        name,
        &[
            child.map(Kind::file_word),
            surnames.namespace.as_deref(),
            surnames.instance.as_deref(),
        ],
    );
    log::set_file(None);
    match LogFile::append(path.as_ref(), umask) {
        Ok(file) => log::set_file(Some((file, Layout::CtimeNanos))),
        Err(e) => daemon_rt::log!(
            Priority::Info,
            "Unable to open '{path}' - errno {} ({})",
            e.raw_os_error().unwrap_or(0),
            crate::text::errno::sentence(&e)
        ),
    }
}

fn facility(options: &Options) -> Facility {
    options.facility
}

/// The first steps of every child. Signals that the parent handles are still blocked and stay so: they wait until
/// the child takes them with [`daemon_rt::signals::Signals::take`].
pub fn begin(kind: Kind, parent: Pid, context: &mut Context, surnames: &Surnames) {
    // Without the parent nobody would stop or reload this process.
    if process::set_parent_death_signal(Some(Signal::TERM)).is_err()
        || process::getppid() != Some(parent)
    {
        die_by(Signal::TERM);
    }
    open_logs(&context.options, Some(kind), surnames, context.umask);
    let options = match kind {
        Kind::Checker => &context.global.checker,
        Kind::Vrrp => &context.global.vrrp,
        Kind::Bfd => &context.global.bfd,
    };
    if let Some(name) = &options.name {
        let _ = process::set_name(name);
    }
    if let Some(pidfile) = &mut context.pidfile {
        if pidfile.refresh_own().is_err() {
            daemon_rt::log!(
                Priority::Info,
                "{} child process: cannot write pidfile",
                kind.word()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shared_text_comes_back() {
        let dir = std::env::temp_dir();
        for dir in [None, dir.to_str(), Some("/no/such/dir")] {
            goes_there_and_back(&SharedConfig::new(dir).unwrap());
        }
    }

    fn goes_there_and_back(shared: &SharedConfig) {
        assert!(shared.read().is_err());
        let lines = Lines {
            missing_end: 3,
            opened: true,
            ..Lines::default()
        };
        shared.publish(&lines).unwrap();
        assert_eq!(shared.read().unwrap(), lines);
        // A shorter text leaves nothing of a longer one.
        shared.publish(&Lines::default()).unwrap();
        assert_eq!(shared.read().unwrap(), Lines::default());
    }

    #[test]
    fn surnames_follow_the_name() {
        let surnames = Surnames {
            namespace: Some("blue".into()),
            instance: Some("one".into()),
        };
        assert_eq!(surnames.ident("Keepalived"), "Keepalived_blue_one");
        assert!(surnames.any() && !Surnames::default().any());
    }
}
