//! News of processes from the kernel: the proc connector (`NETLINK_CONNECTOR`, `linux/cn_proc.h`).
//!
//! The connector lives in the first network namespace only: elsewhere a socket can be opened but nobody answers, so a program
//! that is about to change its namespace opens the socket before. An overrun is not hidden: the receive that meets it returns `ENOBUFS`.
#![expect(unsafe_code, reason = "netlink sockets are C interfaces")]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::route_sock::{ReceiveBuffer, set_buffer};
use crate::sockopt;
use crate::syscall::{check, check_len, own};

/// `CN_IDX_PROC`, `CN_VAL_PROC`; also the multicast group.
const CONNECTOR: u32 = 1;
/// `NLMSG_DONE`
const MESSAGE: u16 = 3;
/// `PROC_CN_MCAST_LISTEN`, `PROC_CN_MCAST_IGNORE`
const LISTEN: u32 = 1;
const IGNORE: u32 = 2;

/// netlink header, connector header, and the part of an event that all kinds share.
const NLMSG_LEN: usize = 16;
const EVENT_AT: usize = NLMSG_LEN + 20;
const DATA_AT: usize = EVENT_AT + 16;
/// Longer than any event.
const ROOM: usize = 256;

/// What happened to a process. Threads are left out but for [`Event::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The kernel's answer to [`ProcEvents::listen`].
    Listening,
    /// A process has a child.
    Fork {
        /// Number of the process.
        parent: u32,
        /// Number of its child.
        child: u32,
    },
    /// A process runs another program.
    Exec(u32),
    /// A process has a new short name, up to the first zero octet.
    Comm(u32, [u8; 16]),
    /// A process has ended.
    Exit(u32),
    /// Anything else; it has a place in the sequence.
    Other,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcEvent {
    /// The processor it happened on.
    pub cpu: u32,
    /// Number of the message among those of the processor.
    pub seq: u32,
    /// What happened.
    pub event: Event,
}

/// A socket that hears of processes. Non-blocking.
#[derive(Debug)]
pub struct ProcEvents(OwnedFd);

impl ProcEvents {
    /// Opens the socket; [`Self::listen`] makes it hear something. `Err` of the first kind is of the socket, of the second of its binding.
    pub fn open() -> Result<Self, OpenError> {
        // SAFETY: no memory is involved.
        let fd = own(unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                libc::NETLINK_CONNECTOR,
            )
        })
        .map_err(OpenError::Socket)?;
        // SAFETY: all-zero is a valid sockaddr_nl; the kernel chooses the port.
        let mut address: libc::sockaddr_nl = unsafe { mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = CONNECTOR;
        // SAFETY: the address is a sockaddr_nl and given with its size.
        check(unsafe {
            libc::bind(
                fd.as_raw_fd(),
                (&raw const address).cast(),
                mem::size_of_val(&address) as libc::socklen_t,
            )
        })
        .map_err(OpenError::Bind)?;
        Ok(Self(fd))
    }

    /// Asks for events, or for their end.
    pub fn listen(&self, on: bool) -> io::Result<()> {
        let mut message = Vec::with_capacity(EVENT_AT + 4);
        message.extend(((EVENT_AT + 4) as u32).to_ne_bytes());
        message.extend(MESSAGE.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(CONNECTOR.to_ne_bytes());
        message.extend(CONNECTOR.to_ne_bytes());
        message.extend([0; 8]);
        message.extend(4_u16.to_ne_bytes());
        message.extend([0; 2]);
        message.extend(if on { LISTEN } else { IGNORE }.to_ne_bytes());
        // SAFETY: the buffer is valid for its length.
        check_len(unsafe {
            libc::send(
                self.0.as_raw_fd(),
                message.as_ptr().cast(),
                message.len(),
                0,
            )
        })
        .map(drop)
    }

    /// Sets the receive buffer. The kernel doubles the number.
    pub fn set_receive_buffer(&self, buffer: ReceiveBuffer) -> io::Result<()> {
        set_buffer(&self.0, buffer)
    }

    /// The receive buffer as the kernel counts it.
    pub fn receive_buffer(&self) -> io::Result<u32> {
        sockopt::receive_buffer(&self.0)
    }

    /// The next event. Messages of others than the kernel, and what is no event, are passed over. `WouldBlock`: there is none now.
    pub fn receive(&self) -> io::Result<ProcEvent> {
        loop {
            let mut buffer = [0_u8; ROOM];
            // SAFETY: all-zero is a valid sockaddr_nl.
            let mut from: libc::sockaddr_nl = unsafe { mem::zeroed() };
            let mut from_len = mem::size_of_val(&from) as libc::socklen_t;
            // SAFETY: buffer and address are valid for the lengths given.
            let got = check_len(unsafe {
                libc::recvfrom(
                    self.0.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut from_len,
                )
            });
            let got = match got {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if from.nl_pid == 0 {
                if let Some(event) = buffer.get(..got).and_then(decode) {
                    return Ok(event);
                }
            }
        }
    }
}

/// Why [`ProcEvents::open`] failed.
#[derive(Debug)]
pub enum OpenError {
    /// `socket`: with `EPROTONOSUPPORT` the kernel has no connector.
    Socket(io::Error),
    /// `bind`
    Bind(io::Error),
}

impl AsFd for ProcEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?))
}

/// ```text
///   0 nlmsghdr   16 idx val seq ack len flags   36 what cpu timestamp(8)   52 data by kind
/// ```
fn decode(bytes: &[u8]) -> Option<ProcEvent> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let bytes = bytes.get(..length)?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    // NLMSG_NOOP, NLMSG_ERROR
    if matches!(kind, 1 | 2) || u32_at(bytes, 16)? != CONNECTOR || u32_at(bytes, 20)? != CONNECTOR {
        return None;
    }
    let (seq, ack) = (u32_at(bytes, 24)?, u32_at(bytes, 28)?);
    let (what, cpu) = (u32_at(bytes, EVENT_AT)?, u32_at(bytes, EVENT_AT + 4)?);
    // Only the answer to a request is an acknowledgement, and its number is ours plus one.
    if (what == 0) != (ack != 0) {
        return None;
    }
    let number = |n: usize| u32_at(bytes, DATA_AT + 4 * n);
    let event = match what {
        0 => Event::Listening,
        0x1 if number(2)? == number(3)? => Event::Fork {
            parent: number(1)?,
            child: number(3)?,
        },
        0x2 if number(0)? == number(1)? => Event::Exec(number(1)?),
        0x200 if number(0)? == number(1)? => {
            let name = bytes.get(DATA_AT + 8..DATA_AT + 24)?;
            Event::Comm(number(1)?, name.try_into().ok()?)
        }
        0x8000_0000 if number(0)? == number(1)? => Event::Exit(number(1)?),
        _ => Event::Other,
    };
    Some(ProcEvent { cpu, seq, event })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Linux 6.18 on x86-64 sent them.
    const ANSWER: &str = "4c000000030000000000000000000000010000000100000000000000010000002800000000000000000000006206048ec70a0000000000000000000000000000000000000000000000000000";
    const FORK: &str = "4c000000030000000100000000000000010000000100000001000000000000002800000001000000000000009099058ec70a0000d4610000d46100000a6200000a6200000000000000000000";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex
            .bytes()
            .filter_map(|b| char::from(b).to_digit(16))
            .map(|d| d as u8)
            .collect();
        let mut bytes: Vec<u8> = digits.chunks(2).map(|c| c[0] << 4 | c[1]).collect();
        if cfg!(target_endian = "big") {
            // Headers of netlink (5) and connector (6), then what has happened: all are the machine's own numbers.
            let mut rest = &mut bytes[..];
            for width in [4, 2, 2, 4, 4, 4, 4, 4, 4, 2, 2, 4, 4, 8, 4, 4, 4, 4, 4, 4] {
                let (number, more) = rest.split_at_mut(width);
                number.reverse();
                rest = more;
            }
        }
        bytes
    }

    #[test]
    fn recorded_messages() {
        assert_eq!(
            decode(&bytes(ANSWER)),
            Some(ProcEvent {
                cpu: 0,
                seq: 0,
                event: Event::Listening
            })
        );
        let fork = bytes(FORK);
        assert_eq!(
            decode(&fork),
            Some(ProcEvent {
                cpu: 0,
                seq: 1,
                event: Event::Fork {
                    parent: 0x61d4,
                    child: 0x620a
                }
            })
        );
        // Cut anywhere it is no event, and it never panics.
        for len in 0..fork.len() {
            assert_eq!(decode(&fork[..len]), None, "{len}");
        }
        // A thread has another number than its process.
        let mut thread = fork.clone();
        thread[DATA_AT + 8] ^= 1;
        assert_eq!(decode(&thread).map(|e| e.event), Some(Event::Other));
        // Not from the connector of processes.
        let mut other = fork;
        other[16] = 9;
        assert_eq!(decode(&other), None);
    }

    /// Outside of the first namespaces, or without rights, the kernel does not answer.
    #[test]
    fn a_child_is_told_of() {
        let Ok(events) = ProcEvents::open() else {
            eprintln!("SKIPPED: no connector");
            return;
        };
        if events.listen(true).is_err() {
            eprintln!("SKIPPED: the connector is in another network namespace");
            return;
        }
        let mut heard = Vec::new();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        while let Ok(event) = events.receive() {
            heard.push(event.event);
        }
        if heard.is_empty() {
            eprintln!("SKIPPED: the kernel tells us nothing");
            return;
        }
        assert!(heard.contains(&Event::Exec(pid)), "{heard:?}");
        assert!(heard.contains(&Event::Exit(pid)), "{heard:?}");
    }
}
