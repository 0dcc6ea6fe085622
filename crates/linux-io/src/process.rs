//! Life of processes: fork, sessions and groups, waiting, `prctl`, the steps of becoming a daemon.
#![expect(unsafe_code, reason = "fork, wait and prctl are C interfaces")]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::signal::Signal;
use crate::syscall::{check, check_long, own};

/// Number of a process, always positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(i32);

impl Pid {
    /// `None` for 0 and negative numbers, which mean groups or everyone to the kernel.
    pub const fn new(pid: i32) -> Option<Self> {
        if pid > 0 { Some(Self(pid)) } else { None }
    }

    /// The kernel's number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl std::fmt::Display for Pid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The calling process.
pub fn getpid() -> Pid {
    // SAFETY: takes nothing, can not fail.
    Pid(unsafe { libc::getpid() })
}

/// The parent; `None` when it lies outside this process's pid namespace.
pub fn getppid() -> Option<Pid> {
    // SAFETY: takes nothing, can not fail.
    Pid::new(unsafe { libc::getppid() })
}

/// Which side of a [`fork`] this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The process that called, with the number of the new one.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Duplicates the process.
///
/// Precondition: this process has one thread (keepalived's parent and a daemon before its runtime starts). In a process
/// with threads the child could only wait for ever on locks that nobody holds any more, so that is refused with `EBUSY`,
/// as far as /proc tells; without /proc the caller's word is taken.
pub fn fork() -> io::Result<Fork> {
    if threads().is_some_and(|n| n > 1) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: with a single thread the child holds a consistent copy of everything, locks included.
    let pid = check(unsafe { libc::fork() })?;
    Ok(Pid::new(pid).map_or(Fork::Child, Fork::Parent))
}

/// How many threads this process has, as /proc tells; `None` without /proc.
pub fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// Becomes leader of a new session without terminal. Fails with `EPERM` for a group leader.
pub fn setsid() -> io::Result<()> {
    // SAFETY: takes nothing.
    check(unsafe { libc::setsid() }).map(drop)
}

/// Makes the calling process leader of its own process group.
pub fn own_process_group() -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::setpgid(0, 0) }).map(drop)
}

/// Gives memory that was freed back to the system, as far as the C library has a call for it: worth it after something large
/// and passing, such as reading a configuration.
pub fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer; the allocator locks itself.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Sets the mask of permission bits that new files do not get; returns the one before.
pub fn umask(mask: u32) -> u32 {
    // SAFETY: can not fail. mode_t is at least 16 bits everywhere and umask looks at nine.
    (unsafe { libc::umask((mask & 0o777) as libc::mode_t) }) as u32
}

/// `chdir("/")`, so that the daemon keeps no file system busy.
pub fn chdir_root() -> io::Result<()> {
    std::env::set_current_dir("/")
}

/// Lets standard input, output and error be /dev/null.
pub fn stdio_to_null() -> io::Result<()> {
    stdio_to(
        &File::options().read(true).write(true).open("/dev/null")?,
        &[0, 1, 2],
    )
}

/// Lets standard output and error be the file at `path` (created with mode 0644, appended to; a symbolic link is refused).
pub fn output_to_file(path: &std::path::Path) -> io::Result<()> {
    stdio_to(
        &OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o644)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?,
        &[1, 2],
    )
}

fn stdio_to(file: &File, targets: &[i32]) -> io::Result<()> {
    for target in targets {
        // SAFETY: replaces one of the three standard descriptors, which no OwnedFd of this process owns.
        check(unsafe { libc::dup2(file.as_raw_fd(), *target) })?;
    }
    Ok(())
}

/// Sees to it that descriptors 0, 1 and 2 are open, with /dev/null where they were not, so that no later file gets their
/// numbers and receives what was meant for the terminal.
pub fn ensure_stdio() -> io::Result<()> {
    loop {
        let file = File::options().read(true).write(true).open("/dev/null")?;
        if file.as_raw_fd() > 2 {
            return Ok(());
        }
        // Stays open for the life of the process, and across exec.
        // SAFETY: changes a flag of a descriptor that `file` owns.
        check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) })?;
        std::mem::forget(file);
    }
}

/// The signal that this process gets when its parent ends. Not inherited by children; cleared by a change of user.
///
/// The parent may already be gone when this is set: compare [`getppid`] afterwards.
pub fn set_parent_death_signal(signal: Option<Signal>) -> io::Result<()> {
    let number = libc::c_ulong::try_from(signal.map_or(0, Signal::number)).unwrap_or(0);
    prctl(libc::PR_SET_PDEATHSIG, number)
}

/// Whether orphaned descendants become children of this process instead of init's.
pub fn set_child_subreaper(on: bool) -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, libc::c_ulong::from(on))
}

/// Whether the process leaves core files and may be traced by its user.
pub fn set_dumpable(on: bool) -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(on))
}

/// Keeps this process and all it starts from ever gaining privileges.
pub fn set_no_new_privs() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

fn prctl(option: libc::c_int, arg: libc::c_ulong) -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: only called with options whose argument is a number.
    check(unsafe { libc::prctl(option, arg, zero, zero, zero) }).map(drop)
}

/// Sets the name that `ps -C` and /proc/PID/comm show; the kernel keeps 15 bytes. A NUL byte ends it.
pub fn set_name(name: &str) -> io::Result<()> {
    let name = name.split('\0').next().unwrap_or_default();
    let name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: the string is NUL-terminated and lives across the call; the kernel copies at most 16 bytes.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }).map(drop)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It called `exit` with this status, 0 to 255.
    Code(u8),
    /// A signal ended it.
    Signal {
        /// Which one.
        signal: i32,
        /// Whether a core file was written.
        core_dumped: bool,
    },
}

/// Collects one ended child, any child, without waiting. `None` when none has ended or there are no children.
///
/// Call it until `None` after each SIGCHLD, as several deaths may share one signal.
pub fn reap_any() -> io::Result<Option<(Pid, Exit)>> {
    wait(-1, libc::WNOHANG)
}

/// Collects this child if it has ended, without waiting.
pub fn reap(pid: Pid) -> io::Result<Option<Exit>> {
    Ok(wait(pid.get(), libc::WNOHANG)?.map(|(_, exit)| exit))
}

/// Waits for this child to end. Blocks.
pub fn wait_for(pid: Pid) -> io::Result<Exit> {
    match wait(pid.get(), 0)? {
        Some((_, exit)) => Ok(exit),
        None => Err(io::Error::from_raw_os_error(libc::ECHILD)),
    }
}

fn wait(which: libc::pid_t, flags: libc::c_int) -> io::Result<Option<(Pid, Exit)>> {
    loop {
        let mut status = 0;
        // SAFETY: `status` lives across the call.
        match check(unsafe { libc::waitpid(which, &mut status, flags) }) {
            Ok(pid) => return Ok(Pid::new(pid).zip(exit_of(status))),
            Err(e) => match e.raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::ECHILD) => return Ok(None),
                _ => return Err(e),
            },
        }
    }
}

fn exit_of(status: libc::c_int) -> Option<Exit> {
    if libc::WIFEXITED(status) {
        Some(Exit::Code(
            u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX),
        ))
    } else if libc::WIFSIGNALED(status) {
        Some(Exit::Signal {
            signal: libc::WTERMSIG(status),
            core_dumped: libc::WCOREDUMP(status),
        })
    } else {
        None
    }
}

/// A descriptor that becomes readable when a process ends (Linux 5.3; `ENOSYS` before).
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// For a child that has not been collected yet, so that the number is surely its.
    pub fn open(pid: Pid) -> io::Result<Self> {
        // SAFETY: pidfd_open takes two numbers and returns a descriptor.
        own(check_long(unsafe {
            libc::syscall(libc::SYS_pidfd_open, pid.get(), 0)
        })?)
        .map(Self)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for PidFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spawn::Program;

    fn run(script: &str) -> Pid {
        let mut program = Program::new("/bin/sh");
        program.argv = ["sh", "-c", script].map(Into::into).to_vec();
        program.spawn().unwrap()
    }

    #[test]
    fn fork_is_refused_with_threads() {
        // The test harness runs each test in a thread of its own beside the main one.
        assert_eq!(fork().unwrap_err().raw_os_error(), Some(libc::EBUSY));
    }

    #[test]
    fn an_ended_child_is_collected_once() {
        let pid = run("exit 7");
        assert_eq!(wait_for(pid).unwrap(), Exit::Code(7));
        assert_eq!(reap(pid).unwrap(), None);
    }

    #[test]
    fn death_by_signal_is_told() {
        let exit = wait_for(run("kill -TERM $$")).unwrap();
        assert!(matches!(
            exit,
            Exit::Signal {
                signal: libc::SIGTERM,
                ..
            }
        ));
    }
}
