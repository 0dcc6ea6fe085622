//! Sockets of health checks: TCP, UDP and ping, with the options an operator may give them. Non-blocking.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use socket2::{Domain, Protocol, Socket, Type};

use crate::sockopt;

/// Receive buffer of a ping socket: replies of one machine may come in bursts.
const PING_BUFFER: usize = 128 * 1024;

/// Where to connect, and how.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The server.
    pub to: SocketAddr,
    /// Own address and port (0: any).
    pub from: Option<SocketAddr>,
    /// Interface that packets must take.
    pub device: Option<&'a str>,
    /// Firewall mark; 0 for none.
    pub mark: u32,
}

/// What went wrong before a packet was sent.
#[derive(Debug)]
pub enum Refused {
    /// No socket.
    Socket(io::Error),
    /// The mark can not be set.
    Mark(io::Error),
    /// The interface can not be used.
    Device(io::Error),
    /// The own address or port can not be used.
    Bind(io::Error),
    /// The system refused to connect.
    Connect(io::Error),
}

impl Refused {
    /// Whether this says something about the way to the server, not about us.
    pub fn is_unreachable(&self) -> bool {
        let Self::Connect(error) = self else {
            return false;
        };
        matches!(
            error.raw_os_error(),
            Some(
                libc::ENETUNREACH
                    | libc::EHOSTUNREACH
                    | libc::ECONNREFUSED
                    | libc::EHOSTDOWN
                    | libc::ENETDOWN
                    | libc::ECONNRESET
                    | libc::ECONNABORTED
                    | libc::ETIMEDOUT
            )
        )
    }
}

impl Target<'_> {
    fn open(&self, kind: Type, protocol: Protocol) -> Result<Socket, Refused> {
        let domain = Domain::for_address(self.to);
        Socket::new(domain, kind.nonblocking(), Some(protocol)).map_err(Refused::Socket)
    }

    fn prepare(&self, socket: &Socket, device: bool) -> Result<(), Refused> {
        if self.mark != 0 {
            socket.set_mark(self.mark).map_err(Refused::Mark)?;
        }
        if let (true, Some(device)) = (device, self.device) {
            socket
                .bind_device(Some(device.as_bytes()))
                .map_err(Refused::Device)?;
        }
        if let Some(from) = self.from {
            socket.bind(&from.into()).map_err(Refused::Bind)?;
        }
        Ok(())
    }

    /// Begins to connect. When there is room to write it has ended; [`TcpStream::take_error`] says how.
    ///
    /// # Errors
    /// What is clear at once.
    pub fn tcp(&self) -> Result<TcpStream, Refused> {
        let socket = self.open(Type::STREAM, Protocol::TCP)?;
        self.prepare(&socket, true)?;
        match socket.connect(&self.to.into()) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => {}
            Err(e) => return Err(Refused::Connect(e)),
        }
        Ok(socket.into())
    }

    /// A UDP socket that hears the server only.
    ///
    /// # Errors
    /// What is clear at once.
    pub fn udp(&self) -> Result<UdpSocket, Refused> {
        let socket = self.open(Type::DGRAM, Protocol::UDP)?;
        self.prepare(&socket, true)?;
        socket.connect(&self.to.into()).map_err(Refused::Connect)?;
        Ok(socket.into())
    }

    /// The same, with a queue for what routers and the server's machine report ([`reported`]), and whatever interface the
    /// routes name.
    ///
    /// # Errors
    /// What is clear at once.
    pub fn udp_with_reports(&self) -> Result<UdpSocket, Refused> {
        let socket = self.open(Type::DGRAM, Protocol::UDP)?;
        let (level, option) = match self.to {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        };
        sockopt::set_int(&socket, level, option, 1).map_err(Refused::Socket)?;
        self.prepare(&socket, false)?;
        socket.connect(&self.to.into()).map_err(Refused::Connect)?;
        Ok(socket.into())
    }
}

/// Takes one report from a socket of [`Target::udp_with_reports`]: whether it says that the destination is unreachable.
///
/// # Errors
/// `WouldBlock` when there is none.
pub fn reported(socket: &UdpSocket) -> io::Result<bool> {
    let mut byte = [0_u8; 64];
    let mut iov = [IoSliceMut::new(&mut byte)];
    let mut control = cmsg_space!([u8; 512]);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut iov, Some(&mut control), flags)?;
    Ok(message.cmsgs()?.any(|control| match control {
        // ICMP type 3 and ICMPv6 type 1: destination unreachable.
        ControlMessageOwned::Ipv4RecvErr(error, _) => {
            error.ee_origin == libc::SO_EE_ORIGIN_ICMP && error.ee_type == 3
        }
        ControlMessageOwned::Ipv6RecvErr(error, _) => {
            error.ee_origin == libc::SO_EE_ORIGIN_ICMP6 && error.ee_type == 1
        }
        _ => false,
    }))
}

/// A socket for echo requests: the kernel chooses the identifier and hands over the replies to it.
#[derive(Debug)]
pub struct PingSocket {
    socket: Socket,
    to: SocketAddr,
}

impl PingSocket {
    /// For requests to `to`. The process's group must be in `net.ipv4.ping_group_range`.
    ///
    /// # Errors
    /// `EACCES` when it is not.
    pub fn open(to: IpAddr) -> io::Result<Self> {
        let to = SocketAddr::new(to, 0);
        let protocol = match to {
            SocketAddr::V4(_) => Protocol::ICMPV4,
            SocketAddr::V6(_) => Protocol::ICMPV6,
        };
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(protocol))?;
        socket.set_nonblocking(true)?;
        // Only bursts are lost without it.
        let _ = socket.set_recv_buffer_size(PING_BUFFER);
        Ok(Self { socket, to })
    }

    /// Sends a request; the kernel fills in identifier and checksum.
    ///
    /// # Errors
    /// Those of `sendto(2)`.
    pub fn send(&self, packet: &[u8]) -> io::Result<usize> {
        self.socket.send_to(packet, &self.to.into())
    }

    /// Takes a reply, from the ICMP header on.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub fn receive(&self, packet: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut &self.socket, packet)
    }
}

impl AsFd for PingSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
