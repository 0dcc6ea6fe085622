//! Signals of a daemon: ignored until it is ready, then read from one descriptor.
//!
//! In: which signals are wanted. Out: their numbers, one by one, from a descriptor that a poll loop or a
//! runtime waits for. Nothing runs in a handler.
//!
//! A signal that arrives between a fork and the child's own set-up must not kill the child: the parent's
//! signals are blocked when it forks, and the mask is inherited, so they wait until the child reads its
//! own descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use linux_io::signal::{Disposition, SigSet, Signal, SignalFd, block, set_disposition, unblock};

/// Ignores `signals`: for the time before [`Signals::take`], and for SIGPIPE.
pub fn ignore(signals: &[Signal]) -> io::Result<()> {
    for signal in signals {
        set_disposition(*signal, Disposition::Ignore)?;
    }
    Ok(())
}

/// The signals a process handles.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// From now on `handled` are read here. They are blocked and their dispositions are the defaults, so
    /// that a signal arriving now waits. Any other signal blocked by the parent process is unblocked.
    pub fn take(handled: &[Signal]) -> io::Result<Self> {
        let mut wanted = SigSet::empty();
        let mut others = SigSet::full();
        for signal in handled {
            wanted = wanted.with(*signal);
            others = others.without(*signal);
        }
        block(&wanted)?;
        for signal in handled {
            set_disposition(*signal, Disposition::Default)?;
        }
        let fd = SignalFd::new(&wanted)?;
        unblock(&others)?;
        Ok(Self { fd })
    }

    /// Reads only `handled` from now on. Signals left out stay blocked: they wait unseen.
    pub fn only(&self, handled: &[Signal]) -> io::Result<()> {
        let mut wanted = SigSet::empty();
        for signal in handled {
            wanted = wanted.with(*signal);
        }
        self.fd.set(&wanted)
    }

    /// The next signal, if one waits.
    pub fn next(&self) -> io::Result<Option<Signal>> {
        Ok(self.fd.read()?.map(|info| info.signal))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl std::os::fd::AsRawFd for Signals {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.as_fd().as_raw_fd()
    }
}
