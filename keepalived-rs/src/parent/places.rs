//! Files and settings of the machine that the parent holds while it runs: pid files and their directory, the network
//! namespace, the name of core files.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use conf_parsers::keepalived::Lines;
use conf_parsers::keepalived::model::Global;
use daemon_rt::dump_file;
use daemon_rt::log::Priority;
use daemon_rt::pidfile::{PidFile, Refused};
use linux_io::netns;
use linux_io::sched::{Limit, Resource, set_limit};
use net_types::Instant;

use super::respawn::Backoff;
use super::{Slot, info};
use crate::child::Kind;
use crate::cli::Options;
use crate::paths::RUNSTATEDIR;
use crate::text::errno::sentence;

/// Names of the pid files.
#[derive(Debug)]
pub(super) struct Places {
    /// The directory, if it is one of our own.
    dir: Option<PathBuf>,
    main: String,
    children: [(Kind, String); 3],
}

impl Places {
    /// From the command line, `use_pid_dir`, `instance` and the namespace.
    ///
    /// In a namespace the C program mounts RUNSTATEDIR/keepalived/NAME over RUNSTATEDIR/keepalived for itself alone. Seen
    /// from outside, the files are in the former; there we put them without a mount.
    pub(super) fn new(options: &Options, global: &Global) -> Self {
        let own_dir =
            global.use_pid_dir || global.instance.is_some() || global.net_namespace.is_some();
        let dir = own_dir.then(|| {
            let mut dir = PathBuf::from(RUNSTATEDIR).join("keepalived");
            dir.extend(&global.net_namespace);
            dir
        });
        let name = |stem: &str| {
            let base = dir.as_deref().unwrap_or(Path::new(RUNSTATEDIR));
            let file = match &global.instance {
                Some(instance) => format!("{stem}_{instance}.pid"),
                None => format!("{stem}.pid"),
            };
            base.join(file).to_string_lossy().into_owned()
        };
        let child = |kind: Kind, given: &Option<String>| {
            let path = given.clone().unwrap_or_else(|| name(kind.pid_stem()));
            (kind, path)
        };
        Self {
            main: options.pid.clone().unwrap_or_else(|| name("keepalived")),
            children: [
                child(Kind::Checker, &options.checkers_pid),
                child(Kind::Vrrp, &options.vrrp_pid),
                child(Kind::Bfd, &options.bfd_pid),
            ],
            dir,
        }
    }

    /// Takes all pid files. `None` if one cannot be had: somebody else runs.
    pub(super) fn take(&self, options: &Options) -> Option<(PidFile, Vec<Slot>)> {
        let main = take(&self.main)?;
        let mut slots = Vec::with_capacity(self.children.len());
        for (kind, path) in &self.children {
            let allowed = match kind {
                Kind::Checker => options.daemons.checker,
                Kind::Vrrp => options.daemons.vrrp,
                Kind::Bfd => options.daemons.bfd,
            };
            slots.push(Slot {
                kind: *kind,
                allowed,
                pid: None,
                started: Instant::ZERO,
                backoff: Backoff::default(),
                restart_at: None,
                pidfile: if allowed { Some(take(path)?) } else { None },
                pid_path: path.clone(),
                loading: false,
            });
        }
        Some((main, slots))
    }
}

/// Takes one pid file, or says why not.
pub(super) fn take(path: &str) -> Option<PidFile> {
    match PidFile::take(path) {
        Ok(pidfile) => Some(pidfile),
        Err(Refused::Locked) => {
            info!("Another process has pid file {path} locked");
            None
        }
        Err(Refused::Io(e)) => {
            // The C program says nothing here, and leaves the operator with "already running".
            info!("Unable to use pid file {path} - {}", sentence(&e));
            None
        }
    }
}

/// The directory of pid files, if we have one of our own.
#[derive(Debug)]
pub(super) struct PidDir(Vec<PathBuf>);

impl PidDir {
    /// Creates it, readable for all.
    pub(super) fn create(places: &Places) -> Self {
        let mut made = Vec::new();
        let base = PathBuf::from(RUNSTATEDIR).join("keepalived");
        let Some(dir) = &places.dir else {
            return Self(made);
        };
        for step in [&base, dir] {
            let mask = linux_io::process::umask(0o022);
            let created = fs::DirBuilder::new().mode(0o755).create(step);
            linux_io::process::umask(mask);
            match created {
                Ok(()) => made.push(step.clone()),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    if made.last() != Some(step) {
                        made.push(step.clone());
                    }
                }
                Err(_) => {
                    info!("Unable to create directory {}", step.display());
                }
            }
        }
        Self(made)
    }

    /// Removes it if nobody else has files there.
    pub(super) fn remove(&self) {
        for dir in self.0.iter().rev() {
            // Others' files stay, and so does the directory then.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Moves this process, and so all children, into a namespace; `false` if that failed, which is logged.
pub(crate) fn enter_namespace(name: &str) -> bool {
    let path = PathBuf::from(RUNSTATEDIR).join("netns").join(name);
    // `ip netns` uses /var/run, which usually is the same directory.
    let opened = netns::open(&path).or_else(|_| netns::open(&netns::path_of(name)));
    match opened {
        Err(_) => {
            info!("Failed to open {}", path.display());
            false
        }
        Ok(namespace) => match netns::enter(&namespace) {
            Ok(()) => true,
            Err(e) => {
                info!(
                    "setns() failed with error {}",
                    e.raw_os_error().unwrap_or(0)
                );
                false
            }
        },
    }
}

/// Keeps a copy of what was read (`config_save_dir`): `keepalived.conf.PID.N`.
pub(super) fn save_configuration(global: &Global, lines: &Lines, saved: &mut u32, umask: u32) {
    let Some(dir) = &global.config_save_dir else {
        return;
    };
    let path = format!("{dir}/keepalived.conf.{}.{saved}", std::process::id());
    *saved = saved.saturating_add(1);
    let text = lines.to_text();
    if let Err(e) = dump_file::write(Path::new(&path), umask, text.as_bytes()) {
        // The original says nothing.
        info!("Unable to save configuration {path} - {}", sentence(&e));
    }
}

/// Where the kernel writes core files (`-M`), put back at the end.
#[derive(Debug)]
pub(super) struct CorePattern(Option<Vec<u8>>);

const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";

impl CorePattern {
    /// Applies `-m` and `-M`.
    pub(super) fn set(options: &Options) -> Self {
        let mut before = None;
        if let Some(pattern) = &options.core_pattern {
            let read = fs::read(CORE_PATTERN);
            match read.and_then(|old| fs::write(CORE_PATTERN, pattern).map(|()| old)) {
                Ok(old) => before = Some(old),
                Err(_) => info!("Unable to read/write core_pattern"),
            }
        }
        if options.core_dump {
            let unlimited = Limit {
                soft: None,
                hard: None,
            };
            if set_limit(Resource::Core, unlimited).is_err() {
                info!("Failed to set core file size");
            }
        }
        Self(before)
    }

    /// Puts the old pattern back.
    pub(super) fn restore(&self) {
        if let Some(before) = &self.0 {
            if fs::write(CORE_PATTERN, before).is_err() {
                daemon_rt::log!(Priority::Info, "Unable to read/write core_pattern");
            }
        }
    }
}

/// The marker that tells other programs that a reload is under way (`reload_file`). It is there from the beginning of
/// reading until the files have been read.
pub(super) fn reload_marker(global: &Global, main_pidfile: &Path) -> Option<PathBuf> {
    let named = global.reload_file.as_ref()?;
    Some(match named {
        Some(path) => PathBuf::from(path),
        None => main_pidfile.with_extension("reload"),
    })
}

/// Creates the marker, readable for all.
pub(super) fn create_marker(path: &Path) {
    let created = fs::File::create(path)
        .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o644)));
    if let Err(e) = created {
        info!(
            "Failed to create reload file ({}) {} - {}",
            path.display(),
            e.raw_os_error().unwrap_or(0),
            sentence(&e)
        );
    }
}
