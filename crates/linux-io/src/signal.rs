//! Signals: numbers that include the real-time ones, sets, blocking, `signalfd`, sending.
//!
//! Real-time numbers are asked from the C library at run time (glibc starts at 34, musl at 35; keepalived's `--signum` and
//! OpenWrt's rpcd script rely on the difference).
#![expect(
    unsafe_code,
    reason = "sigset_t, sigaction and signalfd are C interfaces"
)]

use std::fmt;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::process::Pid;
use crate::syscall::{check, check_len, own};

/// A signal number, 1 to [`sigrtmax`]; constants exist for the ones that the daemons use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

impl Signal {
    /// `SIGHUP`
    pub const HUP: Self = Self(libc::SIGHUP);
    /// `SIGINT`
    pub const INT: Self = Self(libc::SIGINT);
    /// `SIGQUIT`
    pub const QUIT: Self = Self(libc::SIGQUIT);
    /// `SIGABRT`
    pub const ABRT: Self = Self(libc::SIGABRT);
    /// `SIGKILL`
    pub const KILL: Self = Self(libc::SIGKILL);
    /// `SIGUSR1`
    pub const USR1: Self = Self(libc::SIGUSR1);
    /// `SIGUSR2`
    pub const USR2: Self = Self(libc::SIGUSR2);
    /// `SIGPIPE`
    pub const PIPE: Self = Self(libc::SIGPIPE);
    /// `SIGALRM`
    pub const ALRM: Self = Self(libc::SIGALRM);
    /// `SIGTERM`
    pub const TERM: Self = Self(libc::SIGTERM);
    /// `SIGCHLD`
    pub const CHLD: Self = Self(libc::SIGCHLD);
    /// `SIGCONT`
    pub const CONT: Self = Self(libc::SIGCONT);
    /// `SIGXCPU`
    pub const XCPU: Self = Self(libc::SIGXCPU);

    /// `None` unless `number` lies in 1 to `SIGRTMAX`.
    pub fn new(number: i32) -> Option<Self> {
        (1..=sigrtmax()).contains(&number).then_some(Self(number))
    }

    /// The real-time signal `SIGRTMIN + offset`; `None` when the C library has not that many.
    pub fn realtime(offset: u8) -> Option<Self> {
        let number = sigrtmin().saturating_add(i32::from(offset));
        (number <= sigrtmax()).then_some(Self(number))
    }

    /// The number, as `kill -l` and `--signum` print it.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The first real-time signal that the C library leaves to programs.
pub fn sigrtmin() -> i32 {
    libc::SIGRTMIN()
}

/// The last real-time signal.
pub fn sigrtmax() -> i32 {
    libc::SIGRTMAX()
}

/// A set of signals.
#[derive(Clone, Copy)]
pub struct SigSet(libc::sigset_t);

impl SigSet {
    /// No signal.
    pub fn empty() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset initialises the whole set it is given.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }

    /// Every signal.
    pub fn full() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the whole set it is given.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }

    /// The set with `signal` in it.
    #[must_use]
    pub fn with(mut self, signal: Signal) -> Self {
        // SAFETY: the set is initialised. A number the C library reserves leaves it unchanged.
        unsafe { libc::sigaddset(&mut self.0, signal.0) };
        self
    }

    /// The set with `signal` taken out.
    #[must_use]
    pub fn without(mut self, signal: Signal) -> Self {
        // SAFETY: as in `with`.
        unsafe { libc::sigdelset(&mut self.0, signal.0) };
        self
    }

    /// Whether `signal` is in the set.
    pub fn contains(&self, signal: Signal) -> bool {
        // SAFETY: the set is initialised and only read.
        unsafe { libc::sigismember(&self.0, signal.0) == 1 }
    }
}

impl FromIterator<Signal> for SigSet {
    fn from_iter<T: IntoIterator<Item = Signal>>(iter: T) -> Self {
        iter.into_iter().fold(Self::empty(), Self::with)
    }
}

impl fmt::Debug for SigSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = (1..=sigrtmax()).map(Signal).filter(|s| self.contains(*s));
        f.debug_set().entries(members.map(|s| s.0)).finish()
    }
}

fn change_mask(how: libc::c_int, set: &SigSet) -> io::Result<SigSet> {
    let mut old = SigSet::empty();
    // SAFETY: both sets are initialised and live across the call.
    let err = unsafe { libc::pthread_sigmask(how, &set.0, &mut old.0) };
    if err == 0 {
        Ok(old)
    } else {
        Err(io::Error::from_raw_os_error(err))
    }
}

/// Blocks `set` in the calling thread in addition to what is blocked; returns the mask before.
pub fn block(set: &SigSet) -> io::Result<SigSet> {
    change_mask(libc::SIG_BLOCK, set)
}

/// Unblocks `set` in the calling thread; returns the mask before.
pub fn unblock(set: &SigSet) -> io::Result<SigSet> {
    change_mask(libc::SIG_UNBLOCK, set)
}

/// Makes `set` the calling thread's mask; returns the mask before.
pub fn set_mask(set: &SigSet) -> io::Result<SigSet> {
    change_mask(libc::SIG_SETMASK, set)
}

/// What happens when a signal arrives unblocked. Handlers are not offered: the daemons read a [`SignalFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// `SIG_DFL`
    Default,
    /// `SIG_IGN`
    Ignore,
}

/// Sets the disposition of one signal for the process.
pub fn set_disposition(signal: Signal, disposition: Disposition) -> io::Result<()> {
    let handler = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignore => libc::SIG_IGN,
    };
    // SAFETY: all-zero is a valid sigaction (no flags, empty mask on Linux).
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    // SAFETY: SIG_DFL and SIG_IGN run no code of this process; the old action is not asked for.
    check(unsafe { libc::sigaction(signal.0, &action, std::ptr::null_mut()) }).map(drop)
}

/// Whether the process ignores `signal` (inherited from who started it, usually `nohup`).
pub fn is_ignored(signal: Signal) -> bool {
    // SAFETY: as in `set_disposition`; the call fills `action` and changes nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal.0, std::ptr::null(), &mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Sends `signal` to one process.
pub fn kill(pid: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: kill takes no pointer; Pid is positive, so this can not address a group or everyone.
    check(unsafe { libc::kill(pid.get(), signal.0) }).map(drop)
}

/// Sends `signal` to every process of the group that `leader` leads.
pub fn killpg(leader: Pid, signal: Signal) -> io::Result<()> {
    // SAFETY: killpg takes no pointer; Pid is positive, so this can not mean the caller's own group.
    check(unsafe { libc::killpg(leader.get(), signal.0) }).map(drop)
}

/// Whether a process of this number exists (it may be a zombie, and may belong to someone else).
pub fn exists(pid: Pid) -> bool {
    // SAFETY: signal 0 only asks.
    let sent = check(unsafe { libc::kill(pid.get(), 0) });
    match sent {
        Ok(_) => true,
        Err(e) => e.raw_os_error() == Some(libc::EPERM),
    }
}

/// Ends the calling process by `signal` with its default action, so that the parent sees the signal; for panic hooks and
/// for dying as one was told to. Falls back to `abort` when the signal's default action does not end processes.
pub fn die_by(signal: Signal) -> ! {
    let _ = set_disposition(signal, Disposition::Default);
    let _ = unblock(&SigSet::empty().with(signal));
    // SAFETY: raise takes no pointer.
    unsafe { libc::raise(signal.0) };
    std::process::abort()
}

/// One signal read from a [`SignalFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalInfo {
    /// Which one.
    pub signal: Signal,
    /// Sender; `None` when the kernel sent it.
    pub pid: Option<Pid>,
    /// Real user of the sender.
    pub uid: u32,
}

/// `signalfd(2)`, non-blocking. The signals must be blocked ([`block`]) for it to see them.
#[derive(Debug)]
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// A descriptor that becomes readable when one of `set` is pending.
    pub fn new(set: &SigSet) -> io::Result<Self> {
        // SAFETY: the set is initialised and only read.
        own(unsafe { libc::signalfd(-1, &set.0, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) }).map(Self)
    }

    /// Replaces the set.
    pub fn set(&self, set: &SigSet) -> io::Result<()> {
        // SAFETY: the descriptor is a signalfd; the set is initialised and only read.
        check(unsafe {
            libc::signalfd(
                self.0.as_raw_fd(),
                &set.0,
                libc::SFD_NONBLOCK | libc::SFD_CLOEXEC,
            )
        })
        .map(drop)
    }

    /// The next pending signal, `None` when there is none.
    pub fn read(&self) -> io::Result<Option<SignalInfo>> {
        let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        loop {
            // SAFETY: the buffer is `size` bytes long; the kernel writes whole records only.
            let got = check_len(unsafe {
                libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size)
            });
            return match got {
                Ok(n) if n == size => {
                    // SAFETY: the record was zeroed and then filled; every bit pattern is valid.
                    let info = unsafe { info.assume_init() };
                    Ok(Some(SignalInfo {
                        signal: Signal(i32::try_from(info.ssi_signo).unwrap_or(0)),
                        pid: i32::try_from(info.ssi_pid).ok().and_then(Pid::new),
                        uid: info.ssi_uid,
                    }))
                }
                Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => Err(e),
            };
        }
    }
}

impl AsFd for SignalFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_real_time_signals() {
        let stats = Signal::realtime(2).unwrap();
        let set: SigSet = [Signal::TERM, stats].into_iter().collect();
        assert!(set.contains(stats) && set.contains(Signal::TERM));
        assert!(!set.contains(Signal::HUP) && !set.without(stats).contains(stats));
        assert_eq!(Signal::new(0), None);
        assert_eq!(Signal::new(sigrtmax() + 1), None);
        assert_eq!(Signal::realtime(200), None);
    }

    #[test]
    fn a_blocked_signal_is_read_from_the_descriptor() {
        let json = Signal::realtime(5).unwrap();
        let set = SigSet::empty().with(json);
        let before = block(&set).unwrap();
        let fd = SignalFd::new(&set).unwrap();
        assert_eq!(fd.read().unwrap(), None);
        // SAFETY: pthread_kill on the calling thread, with a signal that is blocked in it.
        unsafe { libc::pthread_kill(libc::pthread_self(), json.number()) };
        let got = fd.read().unwrap().unwrap();
        assert_eq!(got.signal, json);
        assert_eq!(got.pid, Some(crate::process::getpid()));
        assert_eq!(fd.read().unwrap(), None);
        set_mask(&before).unwrap();
    }
}
