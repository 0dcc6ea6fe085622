//! Debian packages unpacked into a folder of our own, and small scripts that run what is in them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::steps::{output, run};

/// The folder.
#[derive(Debug)]
pub(super) struct Place {
    /// All of it.
    pub(super) top: PathBuf,
    /// What the packages brought, as if it were a root directory.
    pub(super) system: PathBuf,
    /// Scripts.
    pub(super) bin: PathBuf,
    /// One empty file for each thing that is done.
    done: PathBuf,
}

impl Place {
    /// `cross` below the repository's cache folder in the user's home.
    pub(super) fn open() -> Result<Self> {
        let top = crate::install::cache()?.join("cross");
        let place = Self {
            system: top.join("system"),
            bin: top.join("bin"),
            done: top.join("done"),
            top,
        };
        for dir in [&place.system, &place.bin, &place.done] {
            fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        Ok(place)
    }

    pub(super) fn is_done(&self, what: &str) -> bool {
        self.done.join(what).exists()
    }

    pub(super) fn set_done(&self, what: &str) -> Result<()> {
        write(&self.done.join(what), "")
    }

    /// Writes an executable script; its path.
    pub(super) fn script(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.bin.join(name);
        write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    /// A script that runs an unpacked program with the unpacked libraries.
    pub(super) fn wrap(&self, name: &str, program: &Path) -> Result<PathBuf> {
        if !program.exists() {
            return Err(format!("{} was not unpacked", program.display()));
        }
        let libraries = self.system.join("usr/lib/x86_64-linux-gnu");
        self.script(
            name,
            &format!(
                "#!/bin/sh\nexport LD_LIBRARY_PATH={}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\nexec {} \"$@\"\n",
                libraries.display(),
                program.display()
            ),
        )
    }
}

pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

pub(super) fn on_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.exists())
}

/// Downloads and unpacks the named packages and those they need that this machine has not. Named ones that the machine has are
/// used where they are.
pub(super) fn unpack(place: &Place, wanted: &[&str]) -> Result<()> {
    let stamp = format!("packages-{}", wanted.join("-"));
    if place.is_done(&stamp) {
        return Ok(());
    }
    let known = |name: &&&str| {
        let show = Command::new("apt-cache").arg("show").arg(**name).output();
        show.is_ok_and(|o| o.status.success())
    };
    if wanted.iter().filter(known).count() < wanted.len() {
        run(Command::new("apt-get").args(["update", "-qq"]))?;
    }
    let plan = output(
        Command::new("apt-get")
            .args(["install", "-s", "--no-install-recommends"])
            .args(wanted),
    )?;
    let names = plan
        .lines()
        .filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    for name in names {
        let one = format!("package-{name}");
        if place.is_done(&one) {
            continue;
        }
        let downloads = place.top.join("downloads");
        // Of an interrupted earlier attempt.
        let _none = fs::remove_dir_all(&downloads);
        fs::create_dir_all(&downloads).map_err(|e| format!("{}: {e}", downloads.display()))?;
        run(Command::new("apt-get")
            .args(["download", "-qq", name])
            .current_dir(&downloads))?;
        for file in fs::read_dir(&downloads).map_err(|e| e.to_string())? {
            let file = file.map_err(|e| e.to_string())?.path();
            run(Command::new("dpkg-deb")
                .arg("-x")
                .arg(file)
                .arg(&place.system))?;
        }
        fs::remove_dir_all(&downloads).map_err(|e| e.to_string())?;
        place.set_done(&one)?;
    }
    place.set_done(&stamp)
}
