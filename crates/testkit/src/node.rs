//! Nodes: one thread each, living in a network and mount namespace of its own.
//!
//! A process started by a thread inherits the thread's namespaces, so no code of ours runs between fork and exec.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getgid, getuid};

use crate::Result;

type Job = Box<dyn FnOnce() + Send>;

/// Makes this process able to build nodes: a user namespace of its own when it is not root.
///
/// Must be called before the process has a second thread.
///
/// # Errors
/// When the kernel refuses user namespaces: run as root, or allow them.
pub fn enter_lab() -> Result<()> {
    let (uid, gid) = (getuid(), getgid());
    if uid.is_root() {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWUSER).map_err(|e| {
        format!("this needs root or unprivileged user namespaces (unshare: {e}); try it as root")
    })?;
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|e| format!("/proc/self/{file}: {e}"))?;
    }
    Ok(())
}

/// A machine of the laboratory.
#[derive(Debug)]
pub struct Node {
    name: String,
    dir: PathBuf,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    netns: OwnedFd,
}

impl Node {
    /// A new machine with `lo` up, IPv4 forwarding as the kernel's default, and an empty `/run`.
    ///
    /// `dir` is where its files are kept; it is created.
    ///
    /// # Errors
    /// When the kernel refuses a namespace or a mount.
    pub fn new(name: &str, dir: &Path) -> Result<Self> {
        let dir = dir.join(name);
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let (jobs, inbox): (Sender<Job>, Receiver<Job>) = channel();
        let (ready, started) = channel();
        let thread = std::thread::Builder::new()
            .name(format!("node-{name}"))
            .spawn(move || {
                let made = isolate();
                let failed = made.is_err();
                // A receiver that is gone means that the maker gave up: then there is nothing to serve either.
                if ready.send(made).is_err() || failed {
                    return;
                }
                for job in inbox {
                    job();
                }
            })
            .map_err(|e| e.to_string())?;
        let netns = started.recv().map_err(|e| e.to_string())??;
        let node = Self {
            name: name.to_owned(),
            dir,
            jobs: Some(jobs),
            thread: Some(thread),
            netns,
        };
        node.net(|net| net.up("lo"))?;
        Ok(node)
    }

    /// The machine's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the machine's own files lie.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A descriptor of the network namespace.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub(crate) fn netns(&self) -> Result<OwnedFd> {
        self.netns.try_clone().map_err(|e| e.to_string())
    }

    /// Runs `job` inside the machine and waits for its value.
    ///
    /// # Errors
    /// When the job panicked.
    pub fn call<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (tell, told) = channel();
        let jobs = self.jobs.as_ref().ok_or("the node has ended")?;
        jobs.send(Box::new(move || drop(tell.send(job()))))
            .map_err(|_| format!("node {}: a job panicked", self.name))?;
        told.recv()
            .map_err(|_| format!("node {}: a job panicked", self.name))
    }

    /// Configures the machine's links, addresses and routes.
    ///
    /// # Errors
    /// What `job` reports.
    pub fn net<T: Send + 'static>(
        &self,
        job: impl FnOnce(&crate::link::Net) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let name = self.name.clone();
        self.call(move || crate::link::Net::open().and_then(|net| job(&net)))?
            .map_err(|e| format!("node {name}: {e}"))
    }

    /// Writes one sysctl, `net.ipv4.ip_forward` style.
    ///
    /// # Errors
    /// When the kernel has no such name or refuses the value.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let value = value.to_owned();
        self.call(move || fs::write(&path, value).map_err(|e| format!("{path}: {e}")))?
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// When it can not be started.
    pub fn run(&self, argv: &[&str]) -> Result<Output> {
        let argv: Vec<String> = argv.iter().map(|&a| a.to_owned()).collect();
        self.call(move || {
            command(&argv)
                .stdin(Stdio::null())
                .output()
                .map_err(|e| format!("{}: {e}", argv.join(" ")))
        })?
    }

    /// Runs a command that must succeed, and gives its standard output.
    ///
    /// # Errors
    /// When it can not be started or does not exit with 0; the text holds what it wrote.
    pub fn check(&self, argv: &[&str]) -> Result<String> {
        let out = self.run(argv)?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if out.status.success() {
            Ok(text)
        } else {
            let err = String::from_utf8_lossy(&out.stderr);
            Err(format!(
                "node {}: `{}` ended with {}: {text}{err}",
                self.name,
                argv.join(" "),
                out.status
            ))
        }
    }

    /// Starts a command whose output goes to `LOG` in the machine's folder.
    ///
    /// # Errors
    /// When it can not be started.
    pub fn spawn(&self, log: &str, argv: &[&str]) -> Result<Process> {
        let path = self.dir.join(log);
        let argv: Vec<String> = argv.iter().map(|&a| a.to_owned()).collect();
        let log = path.clone();
        let child = self.call(move || -> std::io::Result<Child> {
            let out = File::options().create(true).append(true).open(&log)?;
            command(&argv)
                .stdin(Stdio::null())
                .stdout(out.try_clone()?)
                .stderr(out)
                .spawn()
        })?;
        Ok(Process {
            child: child.map_err(|e| format!("{}: {e}", self.name))?,
            log: path,
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.jobs.take();
        if let Some(thread) = self.thread.take() {
            // A panicked job was already reported to its caller.
            drop(thread.join());
        }
    }
}

/// A process that ends with its owner.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// The process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal to this process alone.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.pid()), signal).map_err(|e| e.to_string())
    }

    /// The exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits at most `limit` for the end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return Some(status);
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it the orderly way, by force after ten seconds.
    pub fn stop(&mut self) -> Option<ExitStatus> {
        drop(self.signal(Signal::SIGTERM));
        self.wait(Duration::from_secs(10))
    }

    /// Ends the process and all its descendants at once, none of them able to notice the others' end.
    pub fn crash(&mut self) {
        let family = descendants(self.pid());
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for &pid in &family {
                let _gone_already = kill(Pid::from_raw(pid), signal);
            }
        }
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.crash();
        }
    }
}

/// `pid` and everything below it, parents first.
fn descendants(pid: i32) -> Vec<i32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"))
            .unwrap_or_default();
        found.extend(
            children
                .split_whitespace()
                .filter_map(|p| p.parse::<i32>().ok()),
        );
    }
    found
}

fn command(argv: &[String]) -> Command {
    let mut command = Command::new(argv.first().map_or("", String::as_str));
    command.args(argv.get(1..).unwrap_or_default());
    command
}

/// Lays an empty file system over `dir` in the calling thread's mount namespace.
pub(crate) fn tmpfs(dir: &Path) -> Result<()> {
    mount(
        Some("tmpfs"),
        dir,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some("mode=755"),
    )
    .map_err(|e| format!("{}: {e}", dir.display()))
}

/// Takes the calling thread into namespaces of its own.
fn isolate() -> Result<OwnedFd> {
    let step = |what: &'static str| move |e: nix::Error| format!("{what}: {e}");
    // The file system context is shared among threads until this call; a mount namespace needs it alone.
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET)
        .map_err(step("unshare"))?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .map_err(step("private mounts"))?;
    // What the daemons leave behind is this machine's own.
    for dir in ["/run", "/var/log"] {
        tmpfs(Path::new(dir))?;
    }
    fs::create_dir_all("/run/lock").map_err(|e| format!("/run/lock: {e}"))?;
    let netns = File::open("/proc/thread-self/ns/net").map_err(|e| format!("netns: {e}"))?;
    Ok(netns.into())
}
