//! One descriptor that stands for many (`epoll(7)`), level-triggered: hundreds of sockets cost the event loop one wait.
#![expect(unsafe_code, reason = "epoll is a C interface")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::syscall::{check, own};

/// How many ready descriptors one call reports.
const AT_ONCE: usize = 32;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Something to read, the end, or an error.
    Read,
    /// Room to write, the end of connecting, or an error.
    Write,
}

impl Wait {
    const fn events(self) -> u32 {
        match self {
            Self::Read => libc::EPOLLIN as u32,
            Self::Write => libc::EPOLLOUT as u32,
        }
    }
}

/// A set of descriptors to read from (or, said so, to write to). The set itself is readable while one of them is ready.
#[derive(Debug)]
pub struct ReadSet(OwnedFd);

impl ReadSet {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        own(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }).map(Self)
    }

    /// Adds a descriptor under a number of the caller's choice. Closing its last copy takes it out again.
    pub fn add(&self, fd: &impl AsFd, token: u32) -> io::Result<()> {
        self.add_for(fd, token, Wait::Read)
    }

    /// The same, for what is to be waited for.
    pub fn add_for(&self, fd: &impl AsFd, token: u32, wait: Wait) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, wait)
    }

    /// From now on something else is waited for.
    pub fn change(&self, fd: &impl AsFd, token: u32, wait: Wait) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, wait)
    }

    fn control(&self, what: i32, fd: &impl AsFd, token: u32, wait: Wait) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: wait.events(),
            u64: u64::from(token),
        };
        let number = fd.as_fd().as_raw_fd();
        // SAFETY: the event lives across the call, which copies it.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), what, number, &mut event) }).map(drop)
    }

    /// Takes a descriptor out.
    pub fn remove(&self, fd: &impl AsFd) -> io::Result<()> {
        let number = fd.as_fd().as_raw_fd();
        let none = std::ptr::null_mut();
        // SAFETY: removing needs no event.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, number, none) })
            .map(drop)
    }

    /// The numbers of descriptors that are readable now, without waiting. Empty: none is. Whether there may be more than these.
    pub fn ready(&self, tokens: &mut Vec<u32>) -> io::Result<bool> {
        tokens.clear();
        let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; AT_ONCE];
        // SAFETY: the kernel writes at most AT_ONCE events.
        let count = unsafe {
            let first = events.as_mut_ptr().cast();
            libc::epoll_wait(self.0.as_raw_fd(), first, AT_ONCE as libc::c_int, 0)
        };
        let count = match check(count) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            count => usize::try_from(count?).unwrap_or(0),
        };
        for event in events.iter().take(count) {
            // SAFETY: the kernel has filled the first `count` events.
            let event = unsafe { event.assume_init() };
            tokens.push(u32::try_from(event.u64).unwrap_or(u32::MAX));
        }
        Ok(count == AT_ONCE)
    }
}

impl AsFd for ReadSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for ReadSet {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anon_fd::EventFd;

    #[test]
    fn readable_members_are_told_by_their_numbers() {
        let set = ReadSet::new().unwrap();
        let (a, b) = (EventFd::new().unwrap(), EventFd::new().unwrap());
        set.add(&a, 7).unwrap();
        set.add(&b, 9).unwrap();
        let mut tokens = vec![1];
        set.ready(&mut tokens).unwrap();
        assert_eq!(tokens, []);
        b.signal().unwrap();
        set.ready(&mut tokens).unwrap();
        assert_eq!(tokens, [9]);
        a.signal().unwrap();
        set.remove(&b).unwrap();
        set.ready(&mut tokens).unwrap();
        assert_eq!(tokens, [7]);
        drop(a);
        set.ready(&mut tokens).unwrap();
        assert_eq!(tokens, []);
        // There is always room in an eventfd.
        let c = EventFd::new().unwrap();
        set.add_for(&c, 3, Wait::Write).unwrap();
        set.ready(&mut tokens).unwrap();
        assert_eq!(tokens, [3]);
        set.change(&c, 3, Wait::Read).unwrap();
        set.ready(&mut tokens).unwrap();
        assert_eq!(tokens, []);
    }
}
