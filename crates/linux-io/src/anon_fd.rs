//! Descriptors without a name: event counters, memory files, pipes.
#![expect(unsafe_code, reason = "eventfd and memfd are C interfaces")]

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::syscall::{check, check_len, own};

/// `eventfd(2)`: a counter that becomes readable when it is not zero. Non-blocking; shared across fork, not across exec.
#[derive(Debug)]
pub struct EventFd(OwnedFd);

impl EventFd {
    /// A counter at zero.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        own(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }).map(Self)
    }

    /// Adds one.
    pub fn signal(&self) -> io::Result<()> {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: an eventfd takes eight bytes, which `one` has.
        check_len(unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) })
            .map(drop)
    }

    /// Takes the count and sets it to zero; 0 when nothing was signalled.
    pub fn take(&self) -> io::Result<u64> {
        let mut count = [0; 8];
        // SAFETY: an eventfd writes eight bytes, which the buffer has.
        match check_len(unsafe {
            libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len())
        }) {
            Ok(_) => Ok(u64::from_ne_bytes(count)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(e) => Err(e),
        }
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.0.as_raw_fd()
    }
}

/// `memfd_create(2)`: an anonymous file in memory; `name` shows in /proc/PID/fd only.
pub fn memfd(name: &CStr) -> io::Result<File> {
    // SAFETY: the name is NUL-terminated. The call goes past the C library, which may be older than the call.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_create, name.as_ptr(), libc::MFD_CLOEXEC) };
    Ok(own(crate::syscall::check_long(fd)?)?.into())
}

/// `pipe2(2)`: (read end, write end), both non-blocking and close-on-exec.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the kernel writes two descriptors into the array.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) })?;
    let [read, write] = ends;
    Ok((own(read)?, own(write)?))
}

/// Whether a descriptor is a terminal.
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: the descriptor is open for the borrow.
    unsafe { libc::isatty(fd.as_raw_fd()) == 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn an_eventfd_counts() {
        let fd = EventFd::new().unwrap();
        assert_eq!(fd.take().unwrap(), 0);
        fd.signal().unwrap();
        fd.signal().unwrap();
        assert_eq!(fd.take().unwrap(), 2);
        assert_eq!(fd.take().unwrap(), 0);
    }

    #[test]
    fn a_memfd_is_a_file() {
        let mut file = memfd(c"conf").unwrap();
        file.write_all(b"abc").unwrap();
        file.rewind().unwrap();
        let mut back = String::new();
        file.read_to_string(&mut back).unwrap();
        assert_eq!(back, "abc");
    }

    #[test]
    fn a_pipe_carries_bytes() {
        let (read, write) = pipe().unwrap();
        File::from(write).write_all(b"x").unwrap();
        let mut back = Vec::new();
        File::from(read).read_to_end(&mut back).unwrap();
        assert_eq!(back, b"x");
    }
}
