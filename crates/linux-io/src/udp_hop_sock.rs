//! UDP sockets that tell the hop limit of what they receive and choose that of what they send.
#![expect(unsafe_code, reason = "control messages are a C interface")]

use std::fs;
use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use crate::control::{self, Control};
use crate::sockopt::set_int;
use crate::syscall::check_len;

/// Room for packet info and hop limit, each with a header.
const CONTROL_WORDS: usize = 16;

/// Which call failed, in the words of C.
#[derive(Debug)]
pub struct OpenError {
    /// E.g. `bind()`, `setsockopt(IP_RECVTTL)`.
    pub call: &'static str,
    /// Why.
    pub source: io::Error,
}

fn at<T>(call: &'static str, done: io::Result<T>) -> Result<T, OpenError> {
    done.map_err(|source| OpenError { call, source })
}

/// Receives on a port of all addresses, of both families if the system has both. Non-blocking.
#[derive(Debug)]
pub struct Receiver {
    socket: Socket,
}

/// A datagram that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its octets in the buffer.
    pub len: usize,
    /// Where it came from; IPv4 as IPv4.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to; IPv4 as IPv4.
    pub destination: Option<IpAddr>,
    /// Its hop limit when it arrived.
    pub hop_limit: Option<u8>,
    /// It was longer than the buffer.
    pub cut: bool,
}

impl Receiver {
    /// Opens the port.
    pub fn open(port: u16) -> Result<Self, OpenError> {
        let new = |domain| Socket::new(domain, Type::DGRAM, Some(Protocol::UDP));
        let (socket, v6) = match new(Domain::IPV6) {
            Ok(socket) => (socket, true),
            // A system without IPv6.
            Err(e) if e.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                (at("socket(AF_INET)", new(Domain::IPV4))?, false)
            }
            Err(e) => return at("socket()", Err(e)),
        };
        at("fcntl()", socket.set_nonblocking(true))?;
        let on = |level, option| set_int(&socket, level, option, 1);
        at(
            "setsockopt(IP_RECVTTL)",
            on(libc::IPPROTO_IP, libc::IP_RECVTTL),
        )?;
        let any: IpAddr = if v6 {
            at("setsockopt(IPV6_V6ONLY)", socket.set_only_v6(false))?;
            at(
                "setsockopt(IPV6_RECVHOPLIMIT)",
                on(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT),
            )?;
            at(
                "setsockopt(IPV6_RECVPKTINFO)",
                on(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            )?;
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            at(
                "setsockopt(IP_PKTINFO)",
                on(libc::IPPROTO_IP, libc::IP_PKTINFO),
            )?;
            Ipv4Addr::UNSPECIFIED.into()
        };
        at("bind()", socket.bind(&SocketAddr::new(any, port).into()))?;
        Ok(Self { socket })
    }

    /// The next datagram. `WouldBlock`: there is none now.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let mut from = SockAddrStorage::zeroed();
        let mut control = [0_u64; CONTROL_WORDS];
        let mut part = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: all-zero is a valid msghdr.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_name = (&raw mut from).cast();
        header.msg_namelen = from.size_of();
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = mem::size_of_val(&control) as _;
        // SAFETY: name, part and control are given with their sizes and live across the call.
        let len = check_len(unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut header, 0) })?;
        // SAFETY: the kernel has written an address of that length.
        let source = unsafe { SockAddr::new(from, header.msg_namelen) }.as_socket();
        let source = source.ok_or(io::ErrorKind::InvalidData)?;
        let mut datagram = Datagram {
            len: len.min(buffer.len()),
            source: SocketAddr::new(source.ip().to_canonical(), source.port()),
            destination: None,
            hop_limit: None,
            cut: header.msg_flags & libc::MSG_TRUNC != 0,
        };
        let take = |said| match said {
            Control::Destination(to, _) => datagram.destination = Some(to.to_canonical()),
            Control::HopLimit(hops) => datagram.hop_limit = Some(hops),
        };
        // SAFETY: recvmsg has filled it, and `control` lives.
        unsafe { control::read(&header, take) };
        Ok(datagram)
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

/// Sends to one address with a hop limit. Non-blocking.
#[derive(Debug)]
pub struct Sender {
    socket: Socket,
    to: SockAddr,
}

impl Sender {
    /// Sends from `source`, if given, and then from a free port of `ports`, tried from `first` on.
    pub fn open(
        to: SocketAddr,
        source: Option<IpAddr>,
        ports: RangeInclusive<u16>,
        first: u16,
        hop_limit: u8,
    ) -> Result<Self, OpenError> {
        let socket = at(
            "socket()",
            Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP)),
        )?;
        at("fcntl()", socket.set_nonblocking(true))?;
        if let Some(source) = source {
            at("bind()", bind(&socket, source, ports, first))?;
        }
        let hops = u32::from(hop_limit);
        let done = if to.is_ipv4() {
            socket.set_ttl_v4(hops)
        } else {
            socket.set_unicast_hops_v6(hops)
        };
        at("setsockopt()", done)?;
        Ok(Self {
            socket,
            to: to.into(),
        })
    }

    /// Sends one datagram.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send_to(datagram, &self.to).map(drop)
    }
}

impl AsRawFd for Sender {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn bind(socket: &Socket, source: IpAddr, ports: RangeInclusive<u16>, first: u16) -> io::Result<()> {
    let (start, end) = (*ports.start(), *ports.end());
    let first = first.clamp(start, end);
    for port in (first..=end).chain(start..first) {
        match socket.bind(&SocketAddr::new(source, port).into()) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// The ports that the system gives to clients (`ip_local_port_range`).
pub fn local_ports() -> Option<RangeInclusive<u16>> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut words = text.split_whitespace().map(str::parse);
    Some(words.next()?.ok()?..=words.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free_port() -> u16 {
        let probe = std::net::UdpSocket::bind("[::]:0").unwrap();
        probe.local_addr().unwrap().port()
    }

    #[test]
    fn a_datagram_comes_with_its_hop_limit_and_addresses() {
        let port = free_port();
        let receiver = Receiver::open(port).unwrap();
        let mut buffer = [0; 8];
        let none = receiver.receive(&mut buffer).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        let mut local: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into()];
        if std::net::UdpSocket::bind("[::1]:0").is_ok() {
            local.push(Ipv6Addr::LOCALHOST.into());
        }
        for here in local {
            let to = SocketAddr::new(here, port);
            let sender = Sender::open(to, Some(here), 49152..=65535, 65530, 77).unwrap();
            sender.send(b"123456789").unwrap();
            let got = receiver.receive(&mut buffer).unwrap();
            assert_eq!((got.len, got.cut), (8, true));
            assert_eq!(got.source.ip(), here);
            assert!(got.source.port() >= 49152);
            assert_eq!(got.destination, Some(here));
            assert_eq!(got.hop_limit, Some(77));
            // The next one takes another port.
            let second = Sender::open(to, Some(here), 49152..=65535, got.source.port(), 1).unwrap();
            second.send(b"1").unwrap();
            let other = receiver.receive(&mut buffer).unwrap();
            assert_ne!(other.source.port(), got.source.port());
            assert_eq!((other.len, other.cut), (1, false));
        }
        let taken = Receiver::open(port).unwrap_err();
        assert_eq!(taken.call, "bind()");
        assert!(local_ports().is_some_and(|p| p.start() < p.end()));
    }
}
