//! UDP sockets with the options of a replication link.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

use crate::sockopt;

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

    /// One datagram; its length. What does not fit is cut off.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.socket, buffer)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_arrives() {
        let probe = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = probe.local_addr().unwrap();
        drop(probe);
        let receiver = Receiver::bind(local, None).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(
            receiver.receive(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let sender = Sender::new(local, None, false).unwrap();
        assert_eq!(sender.send(b"hello").unwrap(), 5);
        assert_eq!(receiver.receive(&mut buffer).unwrap(), 5);
        assert_eq!(buffer.get(..5), Some(&b"hello"[..]));
    }
}
