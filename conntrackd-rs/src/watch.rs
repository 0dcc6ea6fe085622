//! Waiting for descriptors that others own.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor by number: the socket itself stays with its owner, who must outlive the watch.
struct Fd(RawFd);

impl AsRawFd for Fd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// Readiness of one descriptor. Needs a runtime.
pub struct Watch(AsyncFd<Fd>);

impl Watch {
    /// Waits for something to read.
    pub fn reading(fd: &impl AsRawFd) -> io::Result<Self> {
        AsyncFd::with_interest(Fd(fd.as_raw_fd()), Interest::READABLE).map(Self)
    }

    /// Waits for something to read and for room to write.
    pub fn both(fd: &impl AsRawFd) -> io::Result<Self> {
        AsyncFd::with_interest(Fd(fd.as_raw_fd()), Interest::READABLE | Interest::WRITABLE).map(Self)
    }

    /// Whether there may be something to read; if not, the task is woken when there is.
    pub fn poll_read(&self, cx: &mut Context<'_>) -> bool {
        matches!(self.0.poll_read_ready(cx), Poll::Ready(_))
    }

    /// Whether there may be room to write; if not, the task is woken when there is.
    pub fn poll_write(&self, cx: &mut Context<'_>) -> bool {
        matches!(self.0.poll_write_ready(cx), Poll::Ready(_))
    }

    /// Reads if the descriptor is ready. An operation that says `WouldBlock` ends the readiness.
    pub fn read<R>(&self, mut operation: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::READABLE, |_| operation())
    }

    /// Writes if the descriptor is ready. An operation that says `WouldBlock` ends the readiness.
    pub fn write<R>(&self, mut operation: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::WRITABLE, |_| operation())
    }
}
