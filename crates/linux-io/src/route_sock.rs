//! The two `NETLINK_ROUTE` sockets of a daemon: one for requests with their answers, one for news.
//!
//! Answers to: `netlink(7)`; the original's use of them (strace of keepalived 2.3.3).
#![expect(unsafe_code, reason = "netlink sockets are C interfaces")]

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use netlink_wire::framing::{F_DUMP_INTR, push_dump};
use netlink_wire::{Batch, Event, Message, Messages, Reply};

use crate::sockopt::{receive_buffer, set_int, set_receive_buffer_force};
use crate::syscall::{Seconds, check, check_len, own};

/// Room for the largest datagram that Linux sends in a dump (`NLMSG_GOODSIZE` is at most 32 KiB).
pub const DATAGRAM_LEN: usize = 32 * 1024;

/// Requests sent before their answers are read, at most: so many acknowledgements surely fit into the default receive buffer.
const REQUESTS_AT_ONCE: u32 = 64;
/// Bytes of a receive buffer that an acknowledgement may take, the kernel's own structures with it.
const ACKNOWLEDGEMENT_LEN: u32 = 1024;
/// How long the kernel may take for its answer to a request. It answers before `sendmsg` returns, so this is a last resort.
const ANSWER_SECONDS: Seconds = 5;
/// How often a dump that changed under the hand is asked for again.
const DUMP_TRIES: u32 = 5;

/// A receive buffer in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveBuffer {
    /// Its size; the kernel doubles it for its own needs.
    pub bytes: u32,
    /// Go beyond `net.core.rmem_max`; needs CAP_NET_ADMIN.
    pub force: bool,
}

/// What the news can be about (`RTNLGRP_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Interfaces.
    Link = 1,
    /// IPv4 addresses.
    V4Address = 5,
    /// IPv4 routes.
    V4Route = 7,
    /// IPv4 rules.
    V4Rule = 8,
    /// IPv6 addresses.
    V6Address = 9,
    /// IPv6 routes.
    V6Route = 11,
    /// IPv6 rules.
    V6Rule = 19,
}

/// Sends requests and waits for their answers. The kernel carries a request out before the call returns, so this does not
/// block longer than the work takes.
#[derive(Debug)]
pub struct Requests {
    fd: OwnedFd,
    port: u32,
    seq: u32,
    /// Requests sent before their answers are read: each may be refused, and all refusals must find room.
    at_once: u32,
}

impl Requests {
    /// Opens the socket.
    pub fn open(buffer: Option<ReceiveBuffer>) -> io::Result<Self> {
        Self::of(libc::NETLINK_ROUTE, buffer)
    }

    /// Opens a socket of another netlink protocol.
    pub(crate) fn of(protocol: libc::c_int, buffer: Option<ReceiveBuffer>) -> io::Result<Self> {
        let (fd, port) = open(protocol, 0, buffer)?;
        // SAFETY: all-zero is a valid timeval.
        let mut timeout: libc::timeval = unsafe { mem::zeroed() };
        timeout.tv_sec = ANSWER_SECONDS;
        let len = mem::size_of_val(&timeout) as libc::socklen_t;
        // SAFETY: the value is a timeval and given with its size.
        check(unsafe {
            let value = (&raw const timeout).cast();
            libc::setsockopt(
                fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVTIMEO,
                value,
                len,
            )
        })?;
        // Answers without a copy of the request, so that many fit. Linux 4.3; without it they are only longer.
        let _ = set_int(&fd, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1);
        // As the original: numbers of different runs differ.
        let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        let seq = (since_1970.as_secs() & u64::from(u32::MAX)) as u32;
        let room = receive_buffer(&fd)? / ACKNOWLEDGEMENT_LEN;
        let at_once = room.clamp(1, REQUESTS_AT_ONCE);
        Ok(Self {
            fd,
            port,
            seq,
            at_once,
        })
    }

    /// The socket's port: news with this number are echoes of our own requests.
    pub const fn port(&self) -> u32 {
        self.port
    }

    /// Carries the requests out, in order. `answers` gets one entry for each: 0 or the error number of its refusal. A refused
    /// request does not stop the others. Returns the sequence number of the first request. The error is one of the socket
    /// itself; then `answers` covers what was answered.
    ///
    /// The kernel tells refusals, and of each 64 (fewer with a small receive buffer) that the last is done: an answer for each
    /// would be a system call for each, which is dearer than the address that it is about.
    pub fn execute(&mut self, batch: &mut Batch, answers: &mut Vec<i32>) -> io::Result<u32> {
        answers.clear();
        let start = self.seq;
        batch.acknowledge_every(self.at_once);
        batch.renumber(self.seq);
        self.seq = self.seq.wrapping_add(batch.len());
        let mut first = start;
        let mut buffer = [0; 4096];
        for (bytes, count) in batch.parts(self.at_once) {
            let known = answers.len();
            let part = usize::try_from(count).unwrap_or(0);
            answers.resize(known.saturating_add(part), 0);
            let place = answers.get_mut(known..).unwrap_or_default();
            if let Err(e) = self.part(bytes, first, place, &mut buffer) {
                self.discard(&mut buffer);
                answers.truncate(known);
                return Err(e);
            }
            first = first.wrapping_add(count);
        }
        Ok(start)
    }

    /// Sends requests that are numbered from `first` on, of which the last demands an answer, and writes down the refusals.
    fn part(
        &self,
        bytes: &[u8],
        first: u32,
        answers: &mut [i32],
        buffer: &mut [u8],
    ) -> io::Result<()> {
        send(&self.fd, bytes)?;
        loop {
            let got = self.receive(buffer)?;
            for message in Messages::new(buffer.get(..got).unwrap_or_default()) {
                let Reply::Ack { seq, errno, .. } = message.reply() else {
                    continue;
                };
                // Late answers to earlier requests, whose caller has given up, have no place.
                let Ok(at) = usize::try_from(seq.wrapping_sub(first)) else {
                    continue;
                };
                let last = at.saturating_add(1) == answers.len();
                if let Some(answer) = answers.get_mut(at) {
                    *answer = errno;
                }
                if last {
                    return Ok(());
                }
            }
        }
    }

    /// Forgets the answers that wait: after a failure nobody reads them, and they would take the room of the next.
    fn discard(&self, buffer: &mut [u8]) {
        for _ in 0..REQUESTS_AT_ONCE.saturating_mul(2) {
            let more = receive(&self.fd, buffer, libc::MSG_DONTWAIT);
            if more.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
                return;
            }
        }
    }

    /// Carries many requests out, in order, with one answer for each [`REQUESTS_AT_ONCE`] of them. `refused` gets place and
    /// error number of each refusal.
    pub(crate) fn execute_many(
        &mut self,
        batch: &mut Batch,
        refused: &mut Vec<(u32, i32)>,
    ) -> io::Result<()> {
        refused.clear();
        let mut answers = Vec::new();
        let start = self.execute(batch, &mut answers);
        let refusals = (0_u32..).zip(&answers).filter(|(_, errno)| **errno != 0);
        refused.extend(refusals.map(|(at, errno)| (at, *errno)));
        start.map(drop)
    }

    /// Sends one request that is answered with data. The refusal is returned as an error.
    pub(crate) fn query(
        &mut self,
        batch: &mut Batch,
        mut each: impl FnMut(&Message<'_>),
    ) -> io::Result<()> {
        let wanted = self.seq;
        batch.renumber(wanted);
        self.seq = self.seq.wrapping_add(batch.len());
        send(&self.fd, batch.bytes())?;
        let mut buffer = vec![0; DATAGRAM_LEN];
        loop {
            let got = self.receive(&mut buffer)?;
            for message in Messages::new(buffer.get(..got).unwrap_or_default()) {
                if message.header.seq != wanted {
                    continue;
                }
                match message.reply() {
                    Reply::Data(message) => each(&message),
                    Reply::Done { errno: 0 } | Reply::Ack { errno: 0, .. } => return Ok(()),
                    Reply::Done { errno } | Reply::Ack { errno, .. } => {
                        return Err(io::Error::from_raw_os_error(errno));
                    }
                    Reply::Nothing => {}
                }
            }
        }
    }

    /// Reads a whole table: `kind` is `RTM_GET…`, `family` 0 for all or Linux's number. A table that changes meanwhile is
    /// read again; `each` then sees entries twice, which is why entries must replace earlier ones of the same key.
    pub fn dump(&mut self, kind: u16, family: u8, mut each: impl FnMut(Event)) -> io::Result<()> {
        let mut buffer = vec![0; DATAGRAM_LEN];
        let mut batch = Batch::new();
        for attempt in 1.. {
            batch.clear();
            push_dump(&mut batch, kind, family);
            let seq = self.seq;
            batch.renumber(seq);
            self.seq = self.seq.wrapping_add(1);
            send(&self.fd, batch.bytes())?;
            if !self.read_dump(seq, &mut buffer, &mut each)? || attempt == DUMP_TRIES {
                break;
            }
        }
        Ok(())
    }

    /// `true`: the table changed meanwhile.
    fn read_dump(
        &self,
        wanted: u32,
        buffer: &mut [u8],
        each: &mut impl FnMut(Event),
    ) -> io::Result<bool> {
        let mut changed = false;
        loop {
            let got = self.receive(buffer)?;
            for message in Messages::new(buffer.get(..got).unwrap_or_default()) {
                if message.header.seq != wanted {
                    continue;
                }
                changed |= message.header.flags & F_DUMP_INTR != 0;
                match message.reply() {
                    Reply::Data(message) => {
                        if let Some(event) = Event::parse(&message) {
                            each(event);
                        }
                    }
                    Reply::Done { errno: 0 } | Reply::Ack { errno: 0, .. } => return Ok(changed),
                    Reply::Done { errno } | Reply::Ack { errno, .. } => {
                        return Err(io::Error::from_raw_os_error(errno));
                    }
                    Reply::Nothing => {}
                }
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match receive(&self.fd, buffer, 0) {
                Ok(Datagram::From {
                    port: 0,
                    len,
                    cut: false,
                }) => return Ok(len),
                Ok(Datagram::From {
                    port: 0, cut: true, ..
                }) => return Err(io::Error::from_raw_os_error(libc::EMSGSIZE)),
                // Other processes can write to this socket; they do not speak for the kernel.
                Ok(Datagram::From { .. }) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(e) => return Err(e),
            }
        }
    }
}

/// Receives news. Non-blocking.
#[derive(Debug)]
pub struct Monitor {
    fd: OwnedFd,
}

/// What [`Monitor::receive`] found.
#[derive(Debug)]
pub enum News<'a> {
    /// Nothing waits.
    None,
    /// Messages; decode each with [`Event::parse`].
    Messages(Messages<'a>),
    /// The receive buffer was too small and news are lost: read the tables again ([`Requests::dump`]).
    Overrun,
}

impl Monitor {
    /// Opens the socket and subscribes to the groups.
    pub fn open(groups: &[Group], buffer: Option<ReceiveBuffer>) -> io::Result<Self> {
        let (fd, _) = open(libc::NETLINK_ROUTE, libc::SOCK_NONBLOCK, buffer)?;
        let monitor = Self { fd };
        groups
            .iter()
            .try_for_each(|g| monitor.subscribe(*g, true))?;
        Ok(monitor)
    }

    /// Begins or ends the subscription to a group.
    pub fn subscribe(&self, group: Group, on: bool) -> io::Result<()> {
        let option = if on {
            libc::NETLINK_ADD_MEMBERSHIP
        } else {
            libc::NETLINK_DROP_MEMBERSHIP
        };
        set_int(&self.fd, libc::SOL_NETLINK, option, group as libc::c_int)
    }

    /// Changes the receive buffer.
    pub fn set_buffer(&self, buffer: ReceiveBuffer) -> io::Result<()> {
        set_buffer(&self.fd, buffer)
    }

    /// Takes one datagram into `buffer`, which should have [`DATAGRAM_LEN`] bytes. Call it until [`News::None`].
    pub fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<News<'b>> {
        loop {
            match receive(&self.fd, buffer, libc::MSG_DONTWAIT) {
                // What does not fit into the buffer is lost just the same.
                Ok(Datagram::From {
                    port: 0, cut: true, ..
                }) => return Ok(News::Overrun),
                Ok(Datagram::From { port: 0, len, .. }) => {
                    return Ok(News::Messages(Messages::new(
                        buffer.get(..len).unwrap_or_default(),
                    )));
                }
                Ok(Datagram::From { .. }) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => return Ok(News::Overrun),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(News::None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

enum Datagram {
    From { port: u32, len: usize, cut: bool },
}

fn open(
    protocol: libc::c_int,
    flags: libc::c_int,
    buffer: Option<ReceiveBuffer>,
) -> io::Result<(OwnedFd, u32)> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | flags;
    // SAFETY: takes no pointer.
    let fd = own(unsafe { libc::socket(libc::AF_NETLINK, kind, protocol) })?;
    let mut addr = kernel_address();
    let mut len = mem::size_of_val(&addr) as libc::socklen_t;
    // SAFETY: `addr` lives across the calls and is given with its size; the second fills it.
    unsafe {
        check(libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), len))?;
        check(libc::getsockname(
            fd.as_raw_fd(),
            (&raw mut addr).cast(),
            &mut len,
        ))?;
    }
    if let Some(buffer) = buffer {
        set_buffer(&fd, buffer)?;
    }
    Ok((fd, addr.nl_pid))
}

/// Sizes a socket's receive buffer as configured.
pub(crate) fn set_buffer(fd: &OwnedFd, buffer: ReceiveBuffer) -> io::Result<()> {
    if buffer.force {
        set_receive_buffer_force(fd, buffer.bytes)
    } else {
        let bytes = libc::c_int::try_from(buffer.bytes).unwrap_or(libc::c_int::MAX);
        set_int(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)
    }
}

fn kernel_address() -> libc::sockaddr_nl {
    // SAFETY: all-zero is a valid sockaddr_nl; port 0 is the kernel (or "choose one" when binding).
    let mut addr: libc::sockaddr_nl = unsafe { mem::zeroed() };
    addr.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    addr
}

fn send(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let addr = kernel_address();
    let len = mem::size_of_val(&addr) as libc::socklen_t;
    // SAFETY: bytes and address are given with their sizes and live across the call.
    check_len(unsafe {
        let to = (&raw const addr).cast();
        libc::sendto(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            0,
            to,
            len,
        )
    })
    .map(drop)
}

fn receive(fd: &OwnedFd, buffer: &mut [u8], flags: libc::c_int) -> io::Result<Datagram> {
    let mut addr = MaybeUninit::<libc::sockaddr_nl>::zeroed();
    let mut len = mem::size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    // MSG_TRUNC lets the call return the datagram's true length.
    let flags = flags | libc::MSG_TRUNC;
    // SAFETY: buffer and address are given with their sizes and live across the call.
    let got = check_len(unsafe {
        let from = addr.as_mut_ptr().cast();
        libc::recvfrom(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            flags,
            from,
            &mut len,
        )
    })?;
    // SAFETY: it was zeroed and then filled; every bit pattern is valid.
    let port = unsafe { addr.assume_init() }.nl_pid;
    Ok(Datagram::From {
        port,
        len: got.min(buffer.len()),
        cut: got > buffer.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_wire::{address, link};

    #[test]
    fn the_loopback_interface_is_dumped() {
        let mut requests = Requests::open(None).unwrap();
        let mut names = Vec::new();
        requests
            .dump(link::RTM_GETLINK, 0, |event| {
                if let Event::Link(link) = event {
                    names.push(link.name.to_string());
                }
            })
            .unwrap();
        assert!(names.iter().any(|n| n == "lo"), "{names:?}");
        // The socket is still in step afterwards.
        requests.dump(address::RTM_GETADDR, 2, |_| {}).unwrap();
    }

    #[test]
    fn a_refused_request_is_told_by_its_place() {
        let mut requests = Requests::open(None).unwrap();
        let mut batch = Batch::new();
        for _ in 0..130 {
            link::push_delete(&mut batch, 0x7fff_fff0);
        }
        let mut answers = Vec::new();
        requests.execute(&mut batch, &mut answers).unwrap();
        assert_eq!(answers.len(), 130);
        // ENODEV as root; EPERM before the kernel looks, otherwise.
        assert!(
            answers
                .iter()
                .all(|e| matches!(*e, libc::ENODEV | libc::EPERM)),
            "{answers:?}"
        );
    }

    #[test]
    fn nothing_is_news_in_silence() {
        let monitor = Monitor::open(&[Group::V6Rule], None).unwrap();
        assert!(matches!(
            monitor.receive(&mut [0; 4096]).unwrap(),
            News::None
        ));
    }
}
