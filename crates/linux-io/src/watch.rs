//! The thread's one wait, for everything that its loop watches (`epoll(7)`, edge-triggered).
//!
//! A [`Watch`] remembers that its descriptor may have something until an operation finds nothing; [`wait`] sleeps until the kernel
//! has news of any watch of this thread. The set is made with the first watch, so a process may fork before that.
#![expect(unsafe_code, reason = "epoll is a C interface")]

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use crate::syscall::{check, own};

/// How many watches one look of the kernel tells of; the others are told with the next.
const AT_ONCE: usize = 16;

const READ: u8 = 1;
const WRITE: u8 = 2;

thread_local! {
    static SET: RefCell<Option<Rc<Set>>> = const { RefCell::new(None) };
}

/// The epoll instance and what each of its numbers stands for.
#[derive(Debug)]
struct Set {
    epoll: OwnedFd,
    /// `None`: the number is free.
    members: RefCell<Vec<Option<Rc<Cell<u8>>>>>,
}

impl Set {
    /// The set of this thread.
    fn own() -> io::Result<Rc<Self>> {
        SET.with_borrow_mut(|set| {
            if let Some(set) = set {
                return Ok(Rc::clone(set));
            }
            // SAFETY: takes no pointer.
            let epoll = own(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
            let members = RefCell::new(Vec::new());
            Ok(Rc::clone(set.insert(Rc::new(Self { epoll, members }))))
        })
    }

    /// A number for one more member.
    fn enter(&self, state: &Rc<Cell<u8>>) -> usize {
        let mut members = self.members.borrow_mut();
        let free = members.iter().position(Option::is_none);
        let place = free.unwrap_or(members.len());
        let state = Some(Rc::clone(state));
        match members.get_mut(place) {
            Some(member) => *member = state,
            None => members.push(state),
        }
        place
    }

    fn leave(&self, place: usize) {
        if let Some(member) = self.members.borrow_mut().get_mut(place) {
            *member = None;
        }
    }

    /// Takes the kernel's news; with `patient` it sleeps until there is some, or a signal comes.
    fn look(&self, patient: bool) -> io::Result<()> {
        let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; AT_ONCE];
        let patience = if patient { -1 } else { 0 };
        // SAFETY: the kernel writes at most AT_ONCE events.
        let count = unsafe {
            let first = events.as_mut_ptr().cast();
            let epoll = self.epoll.as_raw_fd();
            libc::epoll_wait(epoll, first, AT_ONCE as libc::c_int, patience)
        };
        let count = match check(count) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => 0,
            count => usize::try_from(count?).unwrap_or(0),
        };
        let members = self.members.borrow();
        for event in events.iter().take(count) {
            // SAFETY: the kernel has filled the first `count` events.
            let event = unsafe { event.assume_init() };
            let place = usize::try_from(event.u64).unwrap_or(usize::MAX);
            if let Some(Some(member)) = members.get(place) {
                member.set(member.get() | news(event.events));
            }
        }
        Ok(())
    }
}

/// What may be done now. An error or the end of a connection is found out by trying.
fn news(events: u32) -> u8 {
    let any = |of: libc::c_int| events & of as u32 != 0;
    let mut news = 0;
    if any(libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) {
        news |= READ;
    }
    if any(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) {
        news |= WRITE;
    }
    news
}

/// Sleeps until the kernel has news of a watch of this thread, or a signal comes. Watches that have something already do not end it:
/// ask them before.
///
/// # Errors
/// The kernel's, if the set can not be made or asked.
pub fn wait() -> io::Result<()> {
    Set::own()?.look(true)
}

/// The same without sleeping: for a loop that has something to do, and must hear of the rest all the same.
///
/// # Errors
/// As [`wait`].
pub fn look() -> io::Result<()> {
    Set::own()?.look(false)
}

/// Readiness of one descriptor. The operations themselves are the caller's, on its own socket.
///
/// It holds a duplicate, so the description that is watched lives as long as the watch; the connection is closed when both
/// the socket and its watch are gone.
#[derive(Debug)]
pub struct Watch {
    set: Rc<Set>,
    fd: OwnedFd,
    place: usize,
    state: Rc<Cell<u8>>,
}

impl Watch {
    /// Waits for something to read.
    ///
    /// # Errors
    /// The kernel's: no descriptor left, or one that can not be waited for (a plain file).
    pub fn reading(fd: &impl AsFd) -> io::Result<Self> {
        Self::new(fd, libc::EPOLLIN | libc::EPOLLRDHUP)
    }

    /// Waits for something to read and for room to write.
    ///
    /// # Errors
    /// As [`Self::reading`].
    pub fn both(fd: &impl AsFd) -> io::Result<Self> {
        Self::new(fd, libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLOUT)
    }

    fn new(fd: &impl AsFd, events: libc::c_int) -> io::Result<Self> {
        let fd = fd.as_fd().try_clone_to_owned()?;
        let set = Set::own()?;
        let state = Rc::new(Cell::new(0));
        let place = set.enter(&state);
        let watch = Self {
            set,
            fd,
            place,
            state,
        };
        let mut event = libc::epoll_event {
            events: (events | libc::EPOLLET) as u32,
            u64: u64::try_from(place).unwrap_or(u64::MAX),
        };
        let (epoll, number) = (watch.set.epoll.as_raw_fd(), watch.fd.as_raw_fd());
        // SAFETY: the event lives across the call, which copies it.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, number, &mut event) })?;
        Ok(watch)
    }

    /// Whether there may be something to read.
    pub fn readable(&self) -> bool {
        self.state.get() & READ != 0
    }

    /// Whether there may be room to write.
    pub fn writable(&self) -> bool {
        self.state.get() & WRITE != 0
    }

    /// Runs `operation` if there may be something to read. When it says `WouldBlock`, the readiness ends.
    ///
    /// # Errors
    /// The operation's, and `WouldBlock` when it was not run.
    pub fn read<R>(&self, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.attempt(READ, operation)
    }

    /// The caller knows that there is nothing more to read: the readiness ends. What comes from now on is news.
    pub fn emptied(&self) {
        self.state.set(self.state.get() & !READ);
    }

    /// Runs `operation` if there may be room to write. When it says `WouldBlock`, the readiness ends.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn write<R>(&self, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.attempt(WRITE, operation)
    }

    fn attempt<R>(&self, what: u8, operation: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        if self.state.get() & what == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let done = operation();
        if matches!(&done, Err(e) if e.kind() == io::ErrorKind::WouldBlock) {
            self.state.set(self.state.get() & !what);
        }
        done
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let (epoll, number) = (self.set.epoll.as_raw_fd(), self.fd.as_raw_fd());
        let none = std::ptr::null_mut();
        // The caller's descriptor may live on, and would go on waking the loop.
        // SAFETY: removing needs no event.
        let _ = check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, number, none) });
        self.set.leave(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anon_fd::EventFd;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    #[test]
    fn readiness_lasts_until_nothing_is_found() {
        let (a, b) = (EventFd::new().unwrap(), EventFd::new().unwrap());
        let (of_a, of_b) = (Watch::reading(&a).unwrap(), Watch::reading(&b).unwrap());
        look().unwrap();
        assert!(!of_a.readable() && !of_b.readable());
        let nothing = of_a.read(|| -> io::Result<()> { unreachable!() });
        assert_eq!(nothing.unwrap_err().kind(), io::ErrorKind::WouldBlock);
        a.signal().unwrap();
        wait().unwrap();
        assert!(of_a.readable() && !of_b.readable());
        of_a.read(|| Ok(())).unwrap();
        look().unwrap();
        assert!(of_a.readable());
        of_a.emptied();
        // Told once, though it was not read.
        look().unwrap();
        assert!(!of_a.readable());
        a.signal().unwrap();
        look().unwrap();
        assert!(of_a.readable());
        let _ = of_a.read(|| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        assert!(!of_a.readable());
    }

    #[test]
    fn a_watch_that_is_gone_does_not_wake() {
        let (a, b) = (EventFd::new().unwrap(), EventFd::new().unwrap());
        drop(Watch::reading(&a).unwrap());
        // It gets the number of the first.
        let of_b = Watch::reading(&b).unwrap();
        a.signal().unwrap();
        look().unwrap();
        assert!(!of_b.readable());
        b.signal().unwrap();
        wait().unwrap();
        assert!(of_b.readable());
    }

    #[test]
    fn room_and_the_end_are_told() {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let watch = Watch::both(&one).unwrap();
        wait().unwrap();
        assert!(watch.writable() && !watch.readable());
        let full = loop {
            if let Err(e) = watch.write(|| one.write(&[0; 4096])) {
                break e;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        look().unwrap();
        assert!(!watch.writable());
        let mut some = vec![0; 1 << 20];
        while !watch.writable() {
            assert_ne!(other.read(&mut some).unwrap(), 0);
            look().unwrap();
        }
        drop(other);
        look().unwrap();
        assert!(watch.readable());
    }
}
