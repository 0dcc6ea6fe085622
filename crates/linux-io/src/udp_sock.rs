//! UDP sockets with the options of a replication link.
#![expect(unsafe_code, reason = "recvmmsg is a C interface")]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::sockopt;
use crate::syscall::check;

/// Datagrams that [`Receiver::receive`] takes with one system call.
pub const BATCH: usize = 32;

/// Longest datagram that a peer can send.
const SLOT: usize = 65536;

/// Room for the datagrams of one [`Receiver::receive`]; made once and used again.
///
/// Two megabytes of addresses, of which the system backs with memory only what datagrams have filled: a page for each place
/// on usual links.
pub struct Room {
    room: Box<[u8]>,
    lengths: [usize; BATCH],
    count: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

impl Room {
    /// Empty room.
    pub fn new() -> Self {
        Self {
            room: vec![0; SLOT * BATCH].into_boxed_slice(),
            lengths: [0; BATCH],
            count: 0,
        }
    }

    /// The datagrams of the last receive.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.room
            .chunks_exact(SLOT)
            .zip(self.lengths)
            .take(self.count)
            .map(|(slot, len)| slot.get(..len).unwrap_or_default())
    }

    /// The room as one buffer, for what comes as a stream; what it held is gone.
    pub fn as_buffer(&mut self) -> &mut [u8] {
        self.count = 0;
        self.room.get_mut(..SLOT).unwrap_or_default()
    }
}

/// A socket that receives. Non-blocking.
#[derive(Debug)]
pub struct Receiver {
    pub(crate) socket: Socket,
}

/// A socket that sends to one destination. Non-blocking.
#[derive(Debug)]
pub struct Sender {
    pub(crate) socket: Socket,
    pub(crate) destination: SocketAddr,
}

impl Receiver {
    /// Bound to `local`, shared with others that also set `SO_REUSEADDR`; `buffer` is its receive buffer in bytes beyond the
    /// system's limit, `None` for the default.
    pub fn bind(local: SocketAddr, buffer: Option<u32>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        if let Some(bytes) = buffer {
            sockopt::set_receive_buffer(&socket, bytes)?;
        }
        socket.bind(&local.into())?;
        Ok(Self { socket })
    }

    /// Up to `limit` (at most [`BATCH`]) datagrams at once; how many came. `WouldBlock` when there is none.
    pub fn receive(&self, room: &mut Room, limit: usize) -> io::Result<usize> {
        room.count = 0;
        let wanted = limit.clamp(1, BATCH);
        let mut iovs = [const {
            libc::iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            }
        }; BATCH];
        let mut headers: [MaybeUninit<libc::mmsghdr>; BATCH] =
            [const { MaybeUninit::zeroed() }; BATCH];
        for ((slot, iov), header) in room
            .room
            .chunks_exact_mut(SLOT)
            .zip(&mut iovs)
            .zip(&mut headers)
        {
            iov.iov_base = slot.as_mut_ptr().cast();
            iov.iov_len = slot.len();
            // SAFETY: all-zero is a valid msghdr without name, buffers or control data.
            let mut message: libc::msghdr = unsafe { mem::zeroed() };
            message.msg_iov = iov;
            message.msg_iovlen = 1;
            header.write(libc::mmsghdr {
                msg_hdr: message,
                msg_len: 0,
            });
        }
        // SAFETY: every header points to its own slot, all of which live across the call; `wanted` is at most the number of
        // headers.
        let received = check(unsafe {
            libc::recvmmsg(
                self.socket.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                wanted as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        })?;
        let received = usize::try_from(received).unwrap_or(0).min(BATCH);
        for (len, header) in room.lengths.iter_mut().zip(&headers).take(received) {
            // SAFETY: all headers were written above.
            *len = unsafe { header.assume_init_ref() }.msg_len as usize;
        }
        room.count = received;
        Ok(received)
    }
}

impl Sender {
    /// Sends to `destination` from a port of the system's choice. Without `checksum`, datagrams over IPv4 carry none.
    pub fn new(destination: SocketAddr, buffer: Option<u32>, checksum: bool) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(destination),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        socket.set_nonblocking(true)?;
        sockopt::set_no_check(&socket, !checksum)?;
        if let Some(bytes) = buffer {
            sockopt::set_send_buffer(&socket, bytes)?;
        }
        Ok(Self {
            socket,
            destination,
        })
    }

    /// One datagram; its length.
    pub fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.socket.send_to(datagram, &self.destination.into())
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_arrive_in_batches() {
        let probe = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = probe.local_addr().unwrap();
        drop(probe);
        let receiver = Receiver::bind(local, None).unwrap();
        let mut room = Room::new();
        assert_eq!(
            receiver.receive(&mut room, BATCH).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let sender = Sender::new(local, None, false).unwrap();
        assert_eq!(sender.send(b"hello").unwrap(), 5);
        assert_eq!(sender.send(b"").unwrap(), 0);
        assert_eq!(sender.send(&[7; 9000]).unwrap(), 9000);
        assert_eq!(receiver.receive(&mut room, 2).unwrap(), 2);
        assert_eq!(room.datagrams().collect::<Vec<_>>(), [&b"hello"[..], b""]);
        assert_eq!(receiver.receive(&mut room, BATCH).unwrap(), 1);
        assert_eq!(room.datagrams().collect::<Vec<_>>(), [&[7_u8; 9000][..]]);
    }
}
