//! A short wait for some descriptors only, past the loop's own.
//!
//! The loop's own wait ([`crate::watch`]) ends whenever anything happens at any registered descriptor. Who wants to leave one of them alone
//! for a moment, so that more gathers there, waits here for all the others.

use std::io;
use std::os::fd::BorrowedFd;

use net_types::Duration;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

/// Waits until one of `fds` has something to read (or is broken), at most `most`; `false` when the time was over.
pub fn readable(fds: &[BorrowedFd<'_>], most: Duration) -> io::Result<bool> {
    let mut fds: Vec<PollFd<'_>> = fds
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
        .collect();
    let most = TimeSpec::from_duration(std::time::Duration::from_micros(most.as_micros()));
    match ppoll(&mut fds, Some(most), None) {
        Ok(ready) => Ok(ready > 0),
        // A signal that has no descriptor: the caller looks around.
        Err(Errno::EINTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn it_ends_with_the_time_or_with_news() {
        let (mut here, there) = UnixStream::pair().unwrap();
        let short = Duration::from_micros(100);
        assert!(!readable(&[there.as_fd()], short).unwrap());
        assert!(!readable(&[], short).unwrap());
        here.write_all(b"x").unwrap();
        assert!(readable(&[there.as_fd()], Duration::from_secs(60)).unwrap());
    }
}
