//! Running scripts: a child in its own process group, with the environment and the standard descriptors it should have and
//! nothing of the daemon's signal mask, scheduling class or limits.
#![expect(
    unsafe_code,
    reason = "the steps between fork and exec are system calls"
)]

use std::env;
use std::ffi::{CString, OsString, c_char};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::process::{Exit, Pid, wait_for};
use crate::sched::{Limit, Resource};
use crate::signal::{SigSet, Signal, set_mask};
use crate::syscall::{check, own};

/// What to run and as whom.
#[derive(Clone, Debug)]
pub struct Program {
    /// File to execute, without a shell. A name without a slash is looked for in PATH.
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
        self.start([None; 3])
    }

    /// Runs it to its end with `input` to read, and gives what it wrote to `captured`. Blocks.
    pub fn run(&self, input: &[u8], captured: Option<Captured>) -> io::Result<Finished> {
        let mut given = [None; 3];
        let fed = (!input.is_empty()).then(pipe).transpose()?;
        let heard = captured.map(|_| pipe()).transpose()?;
        let [stdin, stdout, stderr] = &mut given;
        *stdin = fed.as_ref().map(|(read, _)| read.as_fd());
        let write = heard.as_ref().map(|(_, write)| write.as_fd());
        match captured {
            Some(Captured::Output) => *stdout = write,
            Some(Captured::Errors) => *stderr = write,
            None => {}
        }
        let pid = self.start(given)?;
        // Our copies of the child's ends would keep the pipes open.
        let input = fed.map(|(_, write)| (File::from(write), input));
        let output = heard.map(|(read, _)| File::from(read));
        let text = converse(input, output)?;
        let exit = wait_for(pid)?;
        Ok(Finished { exit, text })
    }

    fn start(&self, given: [Option<BorrowedFd<'_>>; 3]) -> io::Result<Pid> {
        // All memory is taken before the fork: the child may not allocate.
        let path = CString::new(self.found()?.into_os_string().into_vec())?;
        let argv = self.argv.iter().map(|word| CString::new(word.as_bytes()));
        let mut argv = argv.collect::<Result<Vec<_>, _>>()?;
        if argv.is_empty() {
            argv.push(path.clone());
        }
        let env = self.environment()?;
        let (argv, env) = (pointers(&argv), pointers(&env));
        let null = above_stdio(File::options().read(true).write(true).open("/dev/null")?)?;
        let mut stdio = given.map(|fd| Some(fd.map_or(null.as_raw_fd(), |fd| fd.as_raw_fd())));
        if self.inherit_output {
            for (fd, _) in stdio
                .iter_mut()
                .zip(given)
                .skip(1)
                .filter(|(_, g)| g.is_none())
            {
                *fd = None;
            }
        }
        let (told, tell) = pipe()?;
        let steps = Steps {
            stdio,
            groups: self
                .user
                .as_ref()
                .map(|u| u.groups.iter().map(|g| *g as libc::gid_t).collect()),
            ids: self.user.as_ref().map(|u| (u.uid, u.gid)),
            parent_death: self.parent_death,
            reset_priority: self.reset_priority,
            limits: &self.limits,
        };
        // SAFETY: the child makes system calls only, allocates nothing and takes no lock, as a copy of a process that may have
        // threads must; then it executes or ends.
        let pid = check(unsafe { libc::fork() })?;
        let Some(pid) = Pid::new(pid) else {
            let error = steps.run().err().unwrap_or_else(|| {
                // SAFETY: the strings end in NUL, the lists in a null pointer, and all live across the call, which returns
                // only when it fails.
                unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
                io::Error::last_os_error()
            });
            let number = error.raw_os_error().unwrap_or(libc::EINVAL).to_ne_bytes();
            // SAFETY: the four bytes live across the call; `_exit` runs nothing of this process.
            unsafe {
                libc::write(tell.as_raw_fd(), number.as_ptr().cast(), number.len());
                libc::_exit(1)
            }
        };
        drop(tell);
        let mut number = [0; 4];
        // Nothing comes from a child that executes: its end of the pipe is closed.
        match File::from(told).read_exact(&mut number) {
            Ok(()) => {
                wait_for(pid)?;
                Err(io::Error::from_raw_os_error(i32::from_ne_bytes(number)))
            }
            Err(_) => Ok(pid),
        }
    }

    /// The file; of a name without a slash the first in PATH that may be executed.
    fn found(&self) -> io::Result<PathBuf> {
        if self.path.as_os_str().as_bytes().contains(&b'/') {
            return Ok(self.path.clone());
        }
        let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
        env::split_paths(&path)
            .map(|dir| dir.join(&self.path))
            .find(|file| may_execute(file))
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    /// `NAME=VALUE` of each variable.
    fn environment(&self) -> io::Result<Vec<CString>> {
        let own = env::vars_os().filter(|(name, _)| {
            let is = |other: &str| name.as_bytes() == other.as_bytes();
            let replaced = self.env.iter().any(|(more, _)| more == name);
            !replaced && !self.without.iter().any(|without| is(without))
        });
        own.chain(self.env.iter().cloned())
            .map(|(name, value)| {
                let mut text = name.into_vec();
                text.push(b'=');
                text.extend_from_slice(value.as_bytes());
                Ok(CString::new(text)?)
            })
            .collect()
    }
}

/// Writes all of the input and reads the output to its end, whichever goes on first: a program that speaks before it has read
/// everything is not waited for by who waits for it. All that was read.
fn converse(mut input: Option<(File, &[u8])>, mut output: Option<File>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if let Some((file, _)) = &input {
        set_nonblocking(file)?;
    }
    while input.is_some() || output.is_some() {
        let wait = |fd: Option<RawFd>, events| libc::pollfd {
            // The kernel looks at none below 0.
            fd: fd.unwrap_or(-1),
            events,
            revents: 0,
        };
        let write = input.as_ref().map(|(file, _)| file.as_raw_fd());
        let read = output.as_ref().map(AsRawFd::as_raw_fd);
        let mut both = [wait(write, libc::POLLOUT), wait(read, libc::POLLIN)];
        // SAFETY: the kernel reads and writes as many entries as stated, which live across the call.
        match check(unsafe { libc::poll(both.as_mut_ptr(), 2, -1) }) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => drop(other?),
        }
        let [writable, readable] = both.map(|entry| entry.revents != 0);
        if let Some((file, rest)) = input.as_mut().filter(|_| writable) {
            match file.write(rest) {
                Ok(written) => *rest = rest.get(written..).unwrap_or_default(),
                Err(e) if would_go_on(&e) => {}
                // A program that ends early says why by itself.
                Err(_) => *rest = &[],
            }
            if rest.is_empty() {
                input = None;
            }
        }
        if let Some(file) = output.as_mut().filter(|_| readable) {
            let mut piece = [0; 4096];
            match file.read(&mut piece) {
                Ok(0) => output = None,
                Ok(length) => text.extend_from_slice(piece.get(..length).unwrap_or_default()),
                Err(e) if would_go_on(&e) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(text)
}

/// Calls on the file do not wait.
fn set_nonblocking(file: &File) -> io::Result<()> {
    // SAFETY: both calls take numbers.
    let flags = check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })?;
    Ok(())
}

/// Whether a call only has to be made again.
fn would_go_on(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

/// Which of its outputs [`Program::run`] gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captured {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
}

/// What [`Program::run`] leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// What it wrote to the output that was captured.
    pub text: Vec<u8>,
}

/// The list of strings as C wants it: it ends with a null pointer. Of use as long as `strings` lives.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let all = strings.iter().map(|s| s.as_ptr());
    all.chain([std::ptr::null()]).collect()
}

/// A pipe that waits: (read end, write end), close-on-exec and above the standard descriptors.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the kernel writes two descriptors into the array.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    let [read, write] = ends;
    let (read, write) = (own(read)?, own(write)?);
    Ok((above_stdio(read)?, above_stdio(write)?))
}

/// The same file under a number that no standard descriptor has: those are exchanged in the child.
fn above_stdio(fd: impl Into<OwnedFd>) -> io::Result<OwnedFd> {
    let fd = fd.into();
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    // SAFETY: takes numbers and gives a new descriptor.
    own(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) })
}

fn may_execute(file: &Path) -> bool {
    let Ok(path) = CString::new(file.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: the string ends in NUL and lives across the call.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

/// What the child does before it executes.
struct Steps<'a> {
    stdio: [Option<RawFd>; 3],
    groups: Option<Vec<libc::gid_t>>,
    ids: Option<(u32, u32)>,
    parent_death: Option<Signal>,
    reset_priority: bool,
    limits: &'a [(Resource, Limit)],
}

impl Steps<'_> {
    fn run(&self) -> io::Result<()> {
        for (target, fd) in (0..).zip(self.stdio) {
            if let Some(fd) = fd {
                // SAFETY: takes numbers; the copy is not closed by exec.
                check(unsafe { libc::dup2(fd, target) })?;
            }
        }
        crate::process::own_process_group()?;
        set_mask(&SigSet::empty())?;
        // Ignored signals would pass exec.
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
        for (resource, limit) in self.limits {
            crate::sched::set_limit(*resource, *limit)?;
        }
        if let Some(groups) = &self.groups {
            // SAFETY: the list is as long as stated and lives across the call.
            let set = check(unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) });
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
            check(unsafe { libc::setgid(gid) })?;
            // SAFETY: as above.
            check(unsafe { libc::setuid(uid) })?;
        }
        // After the change of user, which clears it.
        crate::process::set_parent_death_signal(self.parent_death)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_program_is_run_to_its_end() {
        let mut cat = Program::new("cat");
        let done = cat.run(b"a\nb\n", Some(Captured::Output)).unwrap();
        assert_eq!((done.exit, &*done.text), (Exit::Code(0), &b"a\nb\n"[..]));
        cat.argv = ["cat", "/no/such/file"].map(OsString::from).to_vec();
        let done = cat.run(b"", Some(Captured::Errors)).unwrap();
        assert_eq!(done.exit, Exit::Code(1));
        assert!(
            String::from_utf8(done.text)
                .unwrap()
                .contains("No such file")
        );
        assert_eq!(cat.run(b"", None).unwrap().text, b"");
        let error = Program::new("no-such-program").run(b"", None).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }

    /// More than a pipe holds in both directions, in the order that a waiting writer would never get over.
    #[test]
    fn a_program_may_speak_before_it_has_read_everything() {
        let input = vec![b'x'; 1 << 20];
        let script = "head -c 300000 /dev/zero; exec wc -c";
        let done = shell(script).run(&input, Some(Captured::Output)).unwrap();
        assert_eq!(done.exit, Exit::Code(0));
        let (zeros, count) = done.text.split_at(300_000);
        assert!(zeros.iter().all(|b| *b == 0));
        assert_eq!(String::from_utf8_lossy(count).trim(), "1048576");
        // Who ends without reading is not waited for, and neither is who closes what it would say.
        let early = shell("exec 0<&-; echo no; exit 3").run(&input, Some(Captured::Output));
        let early = early.unwrap();
        assert_eq!((early.exit, &*early.text), (Exit::Code(3), &b"no\n"[..]));
        let mute = shell("exec 1>&-; cat >/dev/null; exit 4");
        let mute = mute.run(&input, Some(Captured::Output)).unwrap();
        assert_eq!((mute.exit, &*mute.text), (Exit::Code(4), &b""[..]));
    }

    #[test]
    fn a_variable_is_taken_away_or_replaced() {
        let mut program = shell("[ -n \"$HOME\" ] && exit 1; [ \"$PATH\" = /x ] && exit 9");
        program.without = &["HOME"];
        program.env.push(("PATH".into(), "/x".into()));
        assert_eq!(wait_for(program.spawn().unwrap()).unwrap(), Exit::Code(9));
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
