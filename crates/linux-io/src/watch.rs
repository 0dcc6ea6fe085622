//! Waiting for descriptors in tokio's loop, without giving them away.
#![expect(
    unsafe_code,
    reason = "tokio's AsyncFd demands a promise about the descriptor"
)]

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Readiness of one descriptor. The operations themselves are the caller's, on its own socket.
///
/// It holds a duplicate, so the description that is watched lives as long as the watch; the connection is closed when both
/// the socket and its watch are gone.
#[derive(Debug)]
pub struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// Waits for something to read. Needs a runtime with IO.
    pub fn reading(fd: &impl AsFd) -> io::Result<Self> {
        Self::new(fd, Interest::READABLE)
    }

    /// Waits for something to read and for room to write. Needs a runtime with IO.
    pub fn both(fd: &impl AsFd) -> io::Result<Self> {
        Self::new(fd, Interest::READABLE | Interest::WRITABLE)
    }

    fn new(fd: &impl AsFd, interest: Interest) -> io::Result<Self> {
        let own = fd.as_fd().try_clone_to_owned()?;
        // SAFETY: the AsyncFd owns the descriptor, nobody else closes or replaces that number, and OwnedFd always returns it.
        let watched = unsafe { AsyncFd::register_with_interest(own, interest) };
        watched.map(Self).map_err(Into::into)
    }

    /// Whether there may be something to read; if not, the task is woken when there is.
    pub fn poll_read(&self, cx: &mut Context<'_>) -> bool {
        matches!(self.0.poll_read_ready(cx), Poll::Ready(_))
    }

    /// Whether there may be room to write; if not, the task is woken when there is.
    pub fn poll_write(&self, cx: &mut Context<'_>) -> bool {
        matches!(self.0.poll_write_ready(cx), Poll::Ready(_))
    }

    /// Runs `operation` if there may be something to read. When it says `WouldBlock`, the readiness ends.
    pub fn read<R>(&self, mut operation: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::READABLE, |_| operation())
    }

    /// The caller knows that there is nothing more to read: the readiness ends. What comes from now on is news.
    pub fn emptied(&self) {
        let _ = self.read(|| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }

    /// Runs `operation` if there may be room to write. When it says `WouldBlock`, the readiness ends.
    pub fn write<R>(&self, mut operation: impl FnMut() -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::WRITABLE, |_| operation())
    }
}
