//! Sockets of the `NETLINK_NETFILTER` family: connection tracking events, dumps and requests.
//!
//! An overrun is not hidden: the call that meets it returns `ENOBUFS`, and the caller decides what was lost.
#![expect(
    unsafe_code,
    reason = "netlink options, recvmmsg and BPF programs are C interfaces"
)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::sockopt;
use crate::syscall::{check, check_len, own};

/// Datagrams that [`Socket::receive_batch`] takes with one system call.
pub const BATCH: usize = 32;

/// Longest datagram of a batch. Event messages stay far below; a longer one is reported as truncated.
const SLOT: usize = 2048;

/// Room for the datagrams of one [`Socket::receive_batch`]; made once and used again.
pub struct Batch {
    room: Box<[u8]>,
    /// Length and flags of each datagram that was received.
    filled: [(usize, bool); BATCH],
    count: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// Empty room: 64 KiB, of which the system backs only what is used.
    pub fn new() -> Self {
        Self {
            room: vec![0; SLOT * BATCH].into_boxed_slice(),
            filled: [(0, false); BATCH],
            count: 0,
        }
    }

    /// The datagrams of the last receive. `None` stands for one that was too long and was cut by the kernel.
    pub fn datagrams(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.room
            .chunks_exact(SLOT)
            .zip(self.filled)
            .take(self.count)
            .map(|(slot, (len, cut))| if cut { None } else { slot.get(..len) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The whole room as one buffer, for [`Socket::receive`]; what the batch held is gone.
    pub fn as_buffer(&mut self) -> &mut [u8] {
        self.count = 0;
        &mut self.room
    }
}

/// One instruction of a classic BPF program, as `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BpfInstruction {
    /// Operation
    pub code: u16,
    /// Jump offset when true
    pub jt: u8,
    /// Jump offset when false
    pub jf: u8,
    /// Operand
    pub k: u32,
}

/// A netfilter netlink socket. Non-blocking and close-on-exec.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    port: u32,
}

impl Socket {
    /// A socket that gets the events of `groups`, the legacy bit mask: bit 0 new, bit 1 update, bit 2 destroy of
    /// connections, bits 3 to 5 the same of expectations. 0: none.
    pub fn open(groups: u32) -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let fd = own(unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                libc::NETLINK_NETFILTER,
            )
        })?;
        let mut addr = netlink_address();
        addr.nl_groups = groups;
        let mut len = mem::size_of_val(&addr) as libc::socklen_t;
        // SAFETY: `addr` is a whole sockaddr_nl that lives across both calls, `len` its size.
        unsafe {
            check(libc::bind(fd.as_raw_fd(), (&raw const addr).cast(), len))?;
            check(libc::getsockname(
                fd.as_raw_fd(),
                (&raw mut addr).cast(),
                &raw mut len,
            ))?;
        }
        Ok(Self {
            fd,
            port: addr.nl_pid,
        })
    }

    /// The port id that the kernel gave it; events carry the one of the socket whose request caused them.
    pub const fn port_id(&self) -> u32 {
        self.port
    }

    /// Sends one message to the kernel.
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        let addr = netlink_address();
        // SAFETY: message and address live across the call and are given with their sizes.
        check_len(unsafe {
            libc::sendto(
                self.fd.as_raw_fd(),
                message.as_ptr().cast(),
                message.len(),
                0,
                (&raw const addr).cast(),
                mem::size_of_val(&addr) as libc::socklen_t,
            )
        })
        .map(drop)
    }

    /// One datagram into `buffer`; its length. `WouldBlock` when there is none, `ENOBUFS` after an overrun,
    /// `EMSGSIZE` when `buffer` was too small. Datagrams that do not come from the kernel are skipped.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut addr = netlink_address();
            let mut iov = libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            };
            let mut header = message_header(&mut addr, &mut iov);
            // SAFETY: the header points to one address and one buffer, which both live across the call.
            let len = check_len(unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut header, 0) })?;
            if addr.nl_pid != 0 {
                continue;
            }
            if header.msg_flags & libc::MSG_TRUNC != 0 {
                return Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
            }
            return Ok(len);
        }
    }

    /// Up to `limit` (at most [`BATCH`]) datagrams at once; how many came. Errors as [`receive`](Self::receive).
    pub fn receive_batch(&self, batch: &mut Batch, limit: usize) -> io::Result<usize> {
        batch.count = 0;
        let wanted = limit.clamp(1, BATCH);
        let mut addrs = [netlink_address(); BATCH];
        let mut iovs = [const {
            libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            }
        }; BATCH];
        let mut headers: [MaybeUninit<libc::mmsghdr>; BATCH] =
            [const { MaybeUninit::zeroed() }; BATCH];
        for (((slot, addr), iov), header) in batch
            .room
            .chunks_exact_mut(SLOT)
            .zip(&mut addrs)
            .zip(&mut iovs)
            .zip(&mut headers)
        {
            iov.iov_base = slot.as_mut_ptr().cast();
            iov.iov_len = slot.len();
            header.write(libc::mmsghdr {
                msg_hdr: message_header(addr, iov),
                msg_len: 0,
            });
        }
        // SAFETY: every header points to its own address and slot, all of which live across the call; `wanted` is at most
        // the number of headers.
        let received = check(unsafe {
            libc::recvmmsg(
                self.fd.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                wanted as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        })?;
        let received = usize::try_from(received).unwrap_or(0);
        for ((filled, header), addr) in batch
            .filled
            .iter_mut()
            .zip(&headers)
            .zip(&addrs)
            .take(received)
        {
            // SAFETY: all headers were written above.
            let header = unsafe { header.assume_init_ref() };
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            // A datagram of another process counts as empty.
            let len = if addr.nl_pid == 0 {
                header.msg_len as usize
            } else {
                0
            };
            *filled = (len, cut);
        }
        batch.count = received;
        Ok(received)
    }

    /// Sets the receive buffer to `bytes`, beyond the system's limit if the process may; the kernel doubles it.
    /// Returns what holds then.
    pub fn set_receive_buffer(&self, bytes: u32) -> io::Result<u32> {
        sockopt::set_receive_buffer(&self.fd, bytes)?;
        self.receive_buffer()
    }

    /// Size of the receive buffer as the kernel counts it.
    pub fn receive_buffer(&self) -> io::Result<u32> {
        sockopt::receive_buffer(&self.fd)
    }

    /// `NETLINK_BROADCAST_SEND_ERROR`: the kernel learns that an event did not fit and tries again.
    pub fn set_broadcast_error(&self, on: bool) -> io::Result<()> {
        self.set(libc::SOL_NETLINK, libc::NETLINK_BROADCAST_ERROR, on.into())
    }

    /// `NETLINK_NO_ENOBUFS`: overruns are not reported.
    pub fn set_no_enobufs(&self, on: bool) -> io::Result<()> {
        self.set(libc::SOL_NETLINK, libc::NETLINK_NO_ENOBUFS, on.into())
    }

    /// `NETLINK_CAP_ACK`: answers to failed requests do not repeat the request.
    pub fn set_short_answers(&self, on: bool) -> io::Result<()> {
        self.set(libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, on.into())
    }

    /// Lets the kernel drop what `program` returns 0 for.
    pub fn attach_filter(&self, program: &[BpfInstruction]) -> io::Result<()> {
        let mut code: Vec<libc::sock_filter> = program
            .iter()
            .map(|i| libc::sock_filter {
                code: i.code,
                jt: i.jt,
                jf: i.jf,
                k: i.k,
            })
            .collect();
        let program = libc::sock_fprog {
            len: u16::try_from(code.len())
                .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?,
            filter: code.as_mut_ptr(),
        };
        // SAFETY: the program points to `len` instructions, which live across the call; the kernel copies them.
        check(unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_FILTER,
                (&raw const program).cast(),
                mem::size_of_val(&program) as libc::socklen_t,
            )
        })
        .map(drop)
    }

    fn set(&self, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
        sockopt::set_int(&self.fd, level, name, value)
    }
}

/// The kernel's address: port 0, no groups.
fn netlink_address() -> libc::sockaddr_nl {
    // SAFETY: all-zero is a valid sockaddr_nl.
    let mut addr: libc::sockaddr_nl = unsafe { mem::zeroed() };
    addr.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    addr
}

/// A header for one buffer and the sender's address; both must outlive its use.
fn message_header(addr: &mut libc::sockaddr_nl, iov: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: all-zero is a valid msghdr without name, buffers or control data.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_name = (&raw mut *addr).cast();
    header.msg_namelen = mem::size_of::<libc::sockaddr_nl>() as libc::socklen_t;
    header.msg_iov = iov;
    header.msg_iovlen = 1;
    header
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sockets_have_different_ports_and_nothing_to_read() {
        let (Ok(a), Ok(b)) = (Socket::open(0), Socket::open(0)) else {
            eprintln!("SKIPPED: no NETLINK_NETFILTER here");
            return;
        };
        assert_ne!(a.port_id(), b.port_id());
        let mut batch = Batch::new();
        let error = a.receive_batch(&mut batch, BATCH).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(batch.is_empty() && batch.datagrams().next().is_none());
        assert_eq!(
            a.receive(batch.as_buffer()).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        assert!(a.set_receive_buffer(65536).unwrap() >= 65536);
    }

    #[test]
    fn the_kernel_answers_an_unknown_request() {
        let Ok(socket) = Socket::open(0) else {
            eprintln!("SKIPPED: no NETLINK_NETFILTER here");
            return;
        };
        // nlmsghdr: 20 bytes, subsystem 0 message 0xff, REQUEST|ACK, sequence 7; nfgenmsg: unspecific.
        let mut message = [0_u8; 20];
        message[0..4].copy_from_slice(&20_u32.to_ne_bytes());
        message[4..6].copy_from_slice(&0x00ff_u16.to_ne_bytes());
        message[6..8].copy_from_slice(&5_u16.to_ne_bytes());
        message[8..12].copy_from_slice(&7_u32.to_ne_bytes());
        if socket.send(&message).is_err() {
            eprintln!("SKIPPED: netlink requests need CAP_NET_ADMIN");
            return;
        }
        let mut batch = Batch::new();
        assert_eq!(socket.receive_batch(&mut batch, BATCH).unwrap(), 1);
        let answer = batch.datagrams().next().unwrap().unwrap();
        // NLMSG_ERROR is 2.
        assert_eq!(answer.get(4..6), Some(&2_u16.to_ne_bytes()[..]));
    }
}
