//! Running scripts: a child in its own process group, with the environment and the standard descriptors it should have and
//! nothing of the daemon's signal mask, scheduling class or limits.
#![expect(
    unsafe_code,
    reason = "the steps between fork and exec are system calls"
)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::process::Pid;
use crate::sched::{Limit, Resource};
use crate::signal::Signal;

/// What to run and as whom.
#[derive(Clone, Debug)]
pub struct Program {
    /// File to execute; no shell, no search in PATH.
    pub path: PathBuf,
    /// Arguments, the first being the program's own name. Empty: the path is the name.
    pub argv: Vec<OsString>,
    /// User, group and further groups to become. `None`: stays who the daemon is.
    pub user: Option<Credentials>,
    /// Environment in addition to the daemon's.
    pub env: Vec<(OsString, OsString)>,
    /// Names of the daemon's own environment that it must not have.
    pub without: &'static [&'static str],
    /// Signal that the script gets when the daemon dies.
    pub parent_death: Option<Signal>,
    /// Back to the ordinary scheduling class and nice 0, if the daemon runs in another.
    pub reset_priority: bool,
    /// Limits to restore that the daemon has changed for itself.
    pub limits: Vec<(Resource, Limit)>,
    /// Whether the script writes to the daemon's standard output and error; otherwise to /dev/null.
    pub inherit_output: bool,
}

/// Who a child becomes before it executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

impl Program {
    /// A program that runs as the daemon's user with its environment, its standard descriptors being /dev/null.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            argv: Vec::new(),
            user: None,
            env: Vec::new(),
            without: &[],
            parent_death: None,
            reset_priority: false,
            limits: Vec::new(),
            inherit_output: false,
        }
    }

    /// Starts it and returns at once. The error is that of `execve` when that is what failed (`ENOENT`, `EACCES`, `ENOEXEC`).
    ///
    /// The child leads its own process group (so that `killpg` reaches what it starts), has no signal blocked and SIGPIPE at
    /// its default. Collect it with [`crate::process::reap`]: the number is all that is kept.
    pub fn spawn(&self) -> io::Result<Pid> {
        let mut command = Command::new(&self.path);
        let mut argv = self.argv.iter();
        command
            .arg0(argv.next().map_or(self.path.as_os_str(), |a| a as &OsStr))
            .args(argv);
        for name in self.without {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).process_group(0);
        if !self.inherit_output {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        let steps = Steps {
            // Collected here: the child may not allocate.
            groups: self
                .user
                .as_ref()
                .map(|u| u.groups.iter().map(|g| *g as libc::gid_t).collect()),
            ids: self.user.as_ref().map(|u| (u.uid, u.gid)),
            parent_death: self.parent_death,
            reset_priority: self.reset_priority,
            limits: self.limits.clone(),
        };
        // SAFETY: `Steps::run` makes system calls only: no allocation, no lock, as the time between fork and exec demands.
        unsafe { command.pre_exec(move || steps.run()) };
        let child = command.spawn()?;
        // A dropped `Child` is neither killed nor waited for.
        Pid::of(&child).ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
    }
}

struct Steps {
    groups: Option<Vec<libc::gid_t>>,
    ids: Option<(u32, u32)>,
    parent_death: Option<Signal>,
    reset_priority: bool,
    limits: Vec<(Resource, Limit)>,
}

impl Steps {
    fn run(&self) -> io::Result<()> {
        // The standard library has emptied the signal mask and set SIGPIPE by now; ignored signals would pass exec.
        for number in 1..=crate::signal::sigrtmax() {
            if let Some(signal) = Signal::new(number) {
                // Fails for KILL, STOP and the C library's own, which can not be ignored either.
                let _ = crate::signal::set_disposition(signal, crate::signal::Disposition::Default);
            }
        }
        if self.reset_priority {
            crate::sched::set_class(crate::sched::Class::Other, false)?;
            crate::sched::set_nice(0)?;
        }
        for (resource, limit) in &self.limits {
            crate::sched::set_limit(*resource, *limit)?;
        }
        if let Some(groups) = &self.groups {
            // SAFETY: the list is as long as stated and lives across the call.
            let set = crate::syscall::check(unsafe {
                libc::setgroups(groups.len() as _, groups.as_ptr())
            });
            // SAFETY: both only read the process's numbers.
            let own = unsafe { (libc::geteuid(), libc::getegid()) };
            match set {
                // An unprivileged user namespace allows no change of groups; who stays the same user loses nothing.
                Err(e) if e.raw_os_error() == Some(libc::EPERM) && self.ids == Some(own) => {}
                other => drop(other?),
            }
        }
        if let Some((uid, gid)) = self.ids {
            // Group first: afterwards the right to change it is gone.
            // SAFETY: both take a number.
            crate::syscall::check(unsafe { libc::setgid(gid) })?;
            // SAFETY: as above.
            crate::syscall::check(unsafe { libc::setuid(uid) })?;
        }
        // After the change of user, which clears it.
        crate::process::set_parent_death_signal(self.parent_death)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Exit, wait_for};

    fn shell(script: &str) -> Program {
        let mut program = Program::new("/bin/sh");
        program.argv = ["sh", "-c", script].map(OsString::from).to_vec();
        program
    }

    #[test]
    fn the_child_leads_its_group_and_has_no_signal_blocked() {
        let before = crate::signal::block(&crate::signal::SigSet::full()).unwrap();
        // Signals 32 and 33 belong to the C library: posix_spawn, which may have started this test, leaves them ignored.
        let script = "grep -q '^SigBlk:[[:space:]]*0*$' /proc/self/status || exit 3; \
                      grep -q '^SigIgn:[[:space:]]*0000000[01][08]0000000$' /proc/self/status || exit 4; \
                      set -- $(cat /proc/$$/stat); [ $5 = $$ ] || exit 5; \
                      [ $(readlink /proc/$$/fd/1) = /dev/null ] || exit 6; exit 9";
        let pid = shell(script).spawn().unwrap();
        assert_eq!(wait_for(pid).unwrap(), Exit::Code(9));
        crate::signal::set_mask(&before).unwrap();
    }

    #[test]
    fn a_missing_program_is_told_to_the_caller() {
        let error = Program::new("/no/such/program").spawn().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn the_environment_and_the_name_arrive() {
        let mut program = shell("[ \"$HA\" = yes ]");
        program.env.push(("HA".into(), "yes".into()));
        assert_eq!(wait_for(program.spawn().unwrap()).unwrap(), Exit::Code(0));
    }

    #[test]
    fn lab_another_user_is_become() {
        if crate::users::euid() != 0 {
            eprintln!("SKIPPED lab_another_user_is_become: needs root");
            return;
        }
        let mut program =
            shell("[ $(id -u):$(id -g):$(id -G) = '65534:65534:65534' ] && exit 8; exit 1");
        program.user = Some(Credentials {
            uid: 65534,
            gid: 65534,
            groups: vec![65534],
        });
        match program.spawn() {
            // Root of a user namespace that has no other users.
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
                eprintln!("SKIPPED lab_another_user_is_become: no other users here");
            }
            pid => assert_eq!(wait_for(pid.unwrap()).unwrap(), Exit::Code(8)),
        }
    }
}
