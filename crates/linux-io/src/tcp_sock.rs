//! TCP connections that nobody waits for.

use std::io;
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

/// Begins to connect. `true`: it is connected already; else it is once there is room to write and
/// [`TcpStream::take_error`] says nothing. Non-blocking, not inherited by programs.
///
/// # Errors
/// When it is clear at once that there is no way, or no socket is to be had.
pub fn connect(to: SocketAddr) -> io::Result<(TcpStream, bool)> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    let connected = match socket.connect(&to.into()) {
        Ok(()) => true,
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => false,
        Err(e) => return Err(e),
    };
    Ok((socket.into(), connected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_hears_and_a_closed_port_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let (stream, _) = connect(to).unwrap();
        let (_, from) = listener.accept().unwrap();
        assert_eq!(stream.local_addr().unwrap(), from);
        assert!(stream.take_error().unwrap().is_none());
        drop(listener);
        match connect(to) {
            Ok((refused, false)) => assert!(refused.take_error().unwrap().is_some()),
            Ok((_, true)) => panic!("nobody listens"),
            Err(e) => assert_eq!(e.kind(), io::ErrorKind::ConnectionRefused),
        }
    }
}
