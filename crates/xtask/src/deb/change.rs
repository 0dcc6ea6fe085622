//! The packages on a Debian system of their own: from the distribution's to ours, and back, with the configuration kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::steps::{output, run as run_command};
use crate::{Result, install};

/// What the administrator has written, by the path below the root.
const WRITTEN: &[(&str, &str)] = &[
    (
        "etc/keepalived/keepalived.conf",
        "global_defs {\n router_id mine\n}\n",
    ),
    ("etc/default/keepalived", "DAEMON_ARGS=\"--log-detail\"\n"),
    (
        "etc/conntrackd/conntrackd.conf",
        "General {\n LockFile /var/lock/mine\n UNIX {\n Path /var/run/mine.sock\n }\n}\nStats {\n LogFile on\n}\n",
    ),
];

/// Plays the changes on a copy of the system in which the originals live; the copy is a layer that is thrown away.
pub(crate) fn play() -> Result<()> {
    let packages = super::build()?;
    let originals = install::originals()?;
    let system = System::over(&originals)?;
    for (path, text) in WRITTEN {
        super::write(&system.root.join(path), text, 0o644)?;
    }
    system.has(
        &["keepalived", "conntrackd"],
        &["keepalived-rs", "conntrackd-rs"],
    )?;
    let theirs = system.files(&["keepalived", "conntrackd"])?;
    let names: Result<Vec<String>> = packages.iter().map(|p| system.bring(p)).collect();
    let names: Vec<String> = names?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    system.apt(&names)?;
    system.has(
        &["keepalived-rs", "conntrackd-rs"],
        &["keepalived", "conntrackd"],
    )?;
    system.is_ours(true)?;
    system.has_what(&theirs)?;
    println!("the distribution's packages were replaced by ours, the configuration is kept");
    let mut again = vec!["--reinstall"];
    again.extend(&names);
    system.apt(&again)?;
    system.has(
        &["keepalived-rs", "conntrackd-rs"],
        &["keepalived", "conntrackd"],
    )?;
    println!("ours were installed over themselves");
    system.apt(&["keepalived", "conntrackd"])?;
    system.has(
        &["keepalived", "conntrackd"],
        &["keepalived-rs", "conntrackd-rs"],
    )?;
    system.is_ours(false)?;
    println!("ours were replaced by the distribution's, the configuration is kept");
    system.fresh(&names)
}

/// A Debian system below a directory; what is written to it is gone with this process.
struct System {
    root: PathBuf,
}

impl System {
    /// A layer over `lower`, visible to this process and its children only.
    fn over(lower: &Path) -> Result<Self> {
        let fail = |what: &str, e: &dyn std::fmt::Display| format!("{what}: {e}");
        unshare(CloneFlags::CLONE_NEWNS).map_err(|e| fail("unshare", &e))?;
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
            .map_err(|e| fail("mount", &e))?;
        let work = crate::target_dir().join("debian/system");
        fs::create_dir_all(&work).map_err(|e| fail("system", &e))?;
        mount(Some("layer"), &work, Some("tmpfs"), MsFlags::empty(), none)
            .map_err(|e| fail("tmpfs", &e))?;
        for dir in ["upper", "work", "root"] {
            fs::create_dir(work.join(dir)).map_err(|e| fail(dir, &e))?;
        }
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            work.join("upper").display(),
            work.join("work").display()
        );
        let root = work.join("root");
        mount(
            Some("system"),
            &root,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .map_err(|e| fail("overlay", &e))?;
        for (kind, dir) in [("proc", "proc"), ("devtmpfs", "dev"), ("tmpfs", "run")] {
            mount(
                Some(kind),
                &root.join(dir),
                Some(kind),
                MsFlags::empty(),
                none,
            )
            .map_err(|e| fail(dir, &e))?;
        }
        // Nothing is started while packages are changed.
        super::write(
            &root.join("usr/sbin/policy-rc.d"),
            "#!/bin/sh\nexit 101\n",
            0o755,
        )?;
        Ok(Self { root })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command
            .arg(&self.root)
            .arg(program)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Copies a file into the system; its name there.
    fn bring(&self, file: &Path) -> Result<String> {
        let name = file
            .file_name()
            .ok_or_else(|| format!("{}: no name", file.display()))?
            .to_string_lossy();
        super::install(file, &self.root.join(name.as_ref()), 0o644)?;
        Ok(format!("/{name}"))
    }

    /// Installs; the distribution's packages are still there from when the system was made.
    fn apt(&self, words: &[&str]) -> Result<()> {
        run_command(
            self.command("apt-get")
                .args(["install", "-y", "-qq", "--no-install-recommends"])
                .arg("--allow-downgrades")
                // A question about a configuration file would be a mistake of ours.
                .args(["-o", "Dpkg::Options::=--force-confdef"])
                .args(words),
        )
    }

    /// Fails unless the first are installed, the others are not, and what the administrator wrote is as it was.
    fn has(&self, there: &[&str], gone: &[&str]) -> Result<()> {
        let status = |name: &str| {
            let mut query = self.command("dpkg-query");
            let out = query
                .args(["-W", "-f", "${db:Status-Status}", name])
                .output();
            out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
                .unwrap_or_default()
        };
        for name in there {
            if status(name) != "installed" {
                return Err(format!("{name} is not installed: {}", status(name)));
            }
        }
        for name in gone {
            if status(name) == "installed" {
                return Err(format!("{name} is still installed"));
            }
        }
        for (path, text) in WRITTEN {
            if super::read(&self.root.join(path))? != *text {
                return Err(format!("/{path} was changed"));
            }
        }
        Ok(())
    }

    /// Files of these packages.
    fn files(&self, names: &[&str]) -> Result<Vec<String>> {
        let list = output(self.command("dpkg").arg("-L").args(names))?;
        let is_file = |path: &&str| {
            let meta = fs::symlink_metadata(self.root.join(path.trim_start_matches('/')));
            meta.is_ok_and(|meta| !meta.is_dir())
        };
        Ok(list.lines().filter(is_file).map(str::to_owned).collect())
    }

    /// Fails unless ours bring what the originals brought, but for what has no meaning any more.
    fn has_what(&self, theirs: &[String]) -> Result<()> {
        // Texts for people; helpers, which are part of the daemon; what is for other supervisors than systemd; what nobody reads.
        let left_out = |path: &str| {
            [
                "/usr/share/doc/",
                "/usr/share/conntrackd/",
                "/etc/init.d/",
                "/etc/default/conntrackd",
                "/etc/keepalived/keepalived.conf.sample",
                "/etc/keepalived/keepalived.config-opts",
            ]
            .iter()
            .any(|start| path.starts_with(start))
                || path.contains("/conntrack-tools/ct_helper_")
        };
        let ours = self.files(&["keepalived-rs", "conntrackd-rs"])?;
        // Where they lie before they are the administrator's.
        let initial = ours.iter().filter_map(|path| path.split_once("/initial"));
        let initial: Vec<&str> = initial.map(|(_, path)| path).collect();
        let wanted: Vec<&str> = theirs
            .iter()
            .map(String::as_str)
            .filter(|path| !left_out(path))
            .collect();
        let missing: Vec<&&str> = wanted
            .iter()
            .filter(|path| !ours.iter().any(|own| own == **path) && !initial.contains(path))
            .collect();
        if missing.is_empty() {
            println!(
                "ours bring {} files that the distribution's do",
                wanted.len()
            );
            Ok(())
        } else {
            Err(format!("the original has, ours not: {missing:?}"))
        }
    }

    /// Ours where neither has been before, and gone without a trace.
    fn fresh(&self, names: &[&str]) -> Result<()> {
        let purge = |words: &[&str]| run_command(self.command("dpkg").arg("--purge").args(words));
        purge(&["keepalived", "conntrackd"])?;
        let made = [
            "etc/conntrackd/conntrackd.conf",
            "etc/logrotate.d/conntrackd",
            "etc/default/keepalived",
        ];
        // The administrator's files are the distribution's to purge.
        for path in made {
            let _absent = fs::remove_file(self.root.join(path));
        }
        self.apt(names)?;
        for path in made {
            if !self.root.join(path).exists() {
                return Err(format!("a new installation has no /{path}"));
            }
        }
        // What a newcomer copies, and what the service begins with.
        let sample = "/usr/share/doc/keepalived-rs/keepalived.conf.sample";
        run_command(
            self.command("/usr/sbin/keepalived")
                .args(["-t", "-f", sample]),
        )?;
        let initial = ["-C", "/etc/conntrackd/conntrackd.conf", "--test"];
        run_command(self.command("/usr/sbin/conntrackd").args(initial))?;
        purge(&["keepalived-rs", "conntrackd-rs"])?;
        let left: Vec<&str> = made
            .into_iter()
            .filter(|path| self.root.join(path).exists())
            .collect();
        if !left.is_empty() {
            return Err(format!("after purging, {left:?} are left"));
        }
        println!("ours were installed on a system without either, and purged");
        Ok(())
    }

    /// Fails unless both daemons are ours, or the originals, and read the configuration.
    fn is_ours(&self, ours: bool) -> Result<()> {
        let version = self
            .command("/usr/sbin/keepalived")
            .arg("--version")
            .output()
            .map_err(|e| e.to_string())?;
        let version = String::from_utf8_lossy(&version.stderr).into_owned();
        if version.contains("keepalived-rs") != ours {
            return Err(format!("not the daemon that was to be there:\n{version}"));
        }
        run_command(self.command("/usr/sbin/keepalived").args([
            "-t",
            "-f",
            "/etc/keepalived/keepalived.conf",
        ]))?;
        let version = output(self.command("/usr/sbin/conntrackd").arg("-v"))?;
        println!("{}", version.lines().next().unwrap_or_default());
        Ok(())
    }
}
