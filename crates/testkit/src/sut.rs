//! The daemons under test: ours as built, or the originals in a directory tree of their own.

use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};

use crate::Result;
use crate::node::{Node, tmpfs};

/// Which implementation a router runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// The binaries of this workspace.
    Ours,
    /// keepalived 2.3.3 and conntrackd 1.4.8.
    Original,
}

/// Where both are found.
#[derive(Clone, Debug)]
pub struct Programs {
    ours: PathBuf,
    original: Option<PathBuf>,
}

/// The environment variable that names the directory tree with the originals.
pub const ORIGINAL_ROOT: &str = "HA_REFERENCE_ROOT";

/// The environment variable that names a folder with `keepalived` and `conntrackd`, which the tests run in place of what cargo
/// built beside them: another C library's, another profile's. `cargo xtask lab` sets it.
pub const OURS: &str = "HA_PROGRAMS";

/// Our program under test: `built`, which is `env!("CARGO_BIN_EXE_…")` of the calling test, or the one of that name in the folder
/// that [`OURS`] names.
#[must_use]
pub fn ours(built: &str) -> String {
    match (std::env::var_os(OURS), Path::new(built).file_name()) {
        (Some(folder), Some(name)) => Path::new(&folder).join(name).display().to_string(),
        _ => built.to_owned(),
    }
}

impl Programs {
    /// For a test, whose `env!("CARGO_BIN_EXE_…")` is `built`; see [`ours`].
    #[must_use]
    pub fn of(built: &str) -> Self {
        let program = ours(built);
        Self::new(Path::new(&program).parent().unwrap_or(Path::new(".")))
    }

    /// `ours` is the folder with our two binaries. The originals are looked for where [`ORIGINAL_ROOT`] says.
    #[must_use]
    pub fn new(ours: &Path) -> Self {
        let root = std::env::var_os(ORIGINAL_ROOT).map(PathBuf::from);
        Self {
            ours: ours.to_owned(),
            original: root.filter(|r| r.join("usr/sbin/conntrackd").exists()),
        }
    }

    /// The same, with the originals at `root`.
    #[must_use]
    pub fn with_originals(mut self, root: &Path) -> Self {
        self.original = Some(root.to_owned());
        self
    }

    /// The root of the originals, if they are here.
    #[must_use]
    pub fn original_root(&self) -> Option<&Path> {
        self.original.as_deref()
    }

    /// Whether `make` can be run here.
    #[must_use]
    pub fn has(&self, make: Make) -> bool {
        make == Make::Ours || self.original.is_some()
    }

    /// Makes `/proc`, `/dev`, `/run` and `shared` of `node` visible inside the tree of the originals.
    ///
    /// # Errors
    /// When a mount is refused.
    pub fn enter_original(&self, node: &Node, shared: &Path) -> Result<()> {
        let root = self.original.clone().ok_or("no originals here")?;
        let shared = shared.to_owned();
        node.call(move || -> Result<()> {
            let none: Option<&str> = None;
            for from in [
                Path::new("/proc"),
                Path::new("/dev"),
                Path::new("/run"),
                &shared,
            ] {
                let to = root.join(from.strip_prefix("/").unwrap_or(from));
                std::fs::create_dir_all(&to).map_err(|e| format!("{}: {e}", to.display()))?;
                mount(
                    Some(from),
                    &to,
                    none,
                    MsFlags::MS_BIND | MsFlags::MS_REC,
                    none,
                )
                .map_err(|e| format!("{}: {e}", to.display()))?;
            }
            tmpfs(&root.join("var/log"))
        })?
    }

    /// The words that start `program` (`keepalived` or `conntrackd`) of the given make.
    #[must_use]
    pub fn argv(&self, make: Make, program: &str, args: &[&str]) -> Vec<String> {
        let mut argv = match (make, &self.original) {
            (Make::Original, Some(root)) => {
                vec![
                    "chroot".to_owned(),
                    root.display().to_string(),
                    format!("/usr/sbin/{program}"),
                ]
            }
            _ => vec![self.ours.join(program).display().to_string()],
        };
        argv.extend(args.iter().map(|&a| a.to_owned()));
        argv
    }
}
