//! TCP sockets with the options of a replication link: one connection for each direction. And connections to local daemons.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::sockopt;

/// How long data may stay unconfirmed by the peer's machine before the connection counts as broken. The system's own patience
/// is a quarter of an hour, and meanwhile a peer that lost its power and came back would hear nothing.
const UNCONFIRMED: Duration = Duration::from_secs(10);

/// A socket that waits for the peer's connection. Non-blocking.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
}

/// A connection, or one that is being made. Non-blocking.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
}

impl Listener {
    /// Bound to `local`, also while connections of an earlier process linger. Connections inherit that they are probed when
    /// silent, and the receive buffer: `buffer` bytes beyond the system's limit, `None` for the default.
    pub fn bind(local: SocketAddr, buffer: Option<u32>) -> io::Result<Self> {
        let socket = new(local)?;
        socket.set_reuse_address(true)?;
        socket.set_keepalive(true)?;
        if let Some(bytes) = buffer {
            sockopt::set_receive_buffer(&socket, bytes)?;
        }
        socket.bind(&local.into())?;
        socket.listen(1)?;
        Ok(Self { socket })
    }

    /// The next connection; `WouldBlock` when there is none.
    pub fn accept(&self) -> io::Result<Stream> {
        let (socket, _) = self.socket.accept()?;
        socket.set_nonblocking(true)?;
        Ok(Stream { socket })
    }
}

impl Stream {
    /// Begins to connect to `peer`. It is writable when that has ended; [`connected`](Self::connected) tells how.
    pub fn connect(peer: SocketAddr, buffer: Option<u32>) -> io::Result<Self> {
        let socket = new(peer)?;
        if let Some(bytes) = buffer {
            sockopt::set_send_buffer(&socket, bytes)?;
        }
        // Each write is a whole buffer of messages: nothing is gained by waiting for more.
        socket.set_tcp_nodelay(true)?;
        // Only a faster recovery hangs on it.
        let _ = socket.set_tcp_user_timeout(Some(UNCONFIRMED));
        match socket.connect(&peer.into()) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(e) => return Err(e),
        }
        Ok(Self { socket })
    }

    /// Connects to the UNIX socket at `path`: a local daemon's. Such a connection stands at once or not at all.
    pub fn connect_local(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)?;
        Ok(Self { socket })
    }

    /// Whether the connection stands; `WouldBlock` while it is being made, and the reason when it failed.
    pub fn connected(&self) -> io::Result<()> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(_) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::NotConnected => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(e) => Err(e),
        }
    }

    /// Takes what has come, at most a buffer full; 0 when the peer has closed.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.socket, buffer)
    }

    /// Hands as much of `bytes` to the system as it has room for; how much that was.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        // A connection that is gone is an error of this call, not a signal to the process.
        self.socket.send_with_flags(bytes, libc::MSG_NOSIGNAL)
    }
}

fn new(addr: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        for _ in 0..2000 {
            match operation() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                other => return other,
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    fn free() -> SocketAddr {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        probe.local_addr().unwrap()
    }

    #[test]
    fn bytes_pass_and_the_end_is_seen() {
        let local = free();
        let listener = Listener::bind(local, Some(65536)).unwrap();
        assert_eq!(
            listener.accept().unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        let client = Stream::connect(local, None).unwrap();
        wait(|| client.connected()).unwrap();
        let server = wait(|| listener.accept()).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(
            server.read(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        assert_eq!(client.write(b"hello").unwrap(), 5);
        assert_eq!(wait(|| server.read(&mut buffer)).unwrap(), 5);
        drop(client);
        assert_eq!(wait(|| server.read(&mut buffer)).unwrap(), 0);
    }

    #[test]
    fn a_refusal_has_its_reason() {
        let error = Stream::connect(free(), None)
            .and_then(|client| wait(|| client.connected()))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
