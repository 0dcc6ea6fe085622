//! Raw sockets for VRRP: one that receives and one that sends, per interface (or local unicast address), family and protocol.
//!
//! Nothing here knows the protocol's bytes. IPv4 packets carry their IP header both ways; for IPv6 the kernel fills in the
//! checksum at offset 6. Options and their order are those of the original (strace of keepalived 2.3.3).
#![expect(unsafe_code, reason = "raw sockets are a C interface")]

mod receive;
mod send;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use net_types::{Family, IfIndex};
use socket2::SockAddr;

use crate::sockopt::set_int;
use crate::syscall::{check, own};

pub use receive::{BURST, Burst, Packet, Receiver};
pub use send::{Route, Sender};

/// `linux/in6.h`; libc has it for some targets only.
const IPV6_MULTICAST_ALL: libc::c_int = 29;
/// Where the checksum stands in a VRRP packet.
const CHECKSUM_OFFSET: libc::c_int = 6;
/// Room for the control messages that are asked for: packet info (20 bytes) and hop limit (4), each with a header.
const CONTROL_WORDS: usize = 16;

/// An interface to bind to.
#[derive(Clone, Copy, Debug)]
pub struct Device<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number.
    pub index: IfIndex,
}

/// What a pair of sockets is for.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// IP protocol: 112, or 51 with IPsec authentication.
    pub protocol: u8,
    /// Adverts to a group or to peers.
    pub channel: Channel,
    /// The interface. Needed for a group; for peers, packets of any interface are taken without it.
    pub device: Option<Device<'a>>,
    /// A VRF to bind to first, so that the local unicast address is found (peers only).
    pub vrf: Option<Device<'a>>,
    /// Receive buffer in bytes; 0 leaves the kernel's.
    pub receive_buffer: u32,
}

/// How adverts travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// To this group.
    Multicast(IpAddr),
    /// From this local address to peers.
    Unicast(IpAddr),
}

impl Channel {
    /// The family of its address.
    pub const fn family(&self) -> Family {
        match self {
            Self::Multicast(a) | Self::Unicast(a) => Family::of(a),
        }
    }
}

/// Which step of opening a socket failed; the daemon has a log line for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `socket`
    Open,
    /// An option by its name, without `IP_` or `IPV6_` where both families have it, e.g. `MULTICAST_ALL`.
    Option(&'static str),
    /// `IP_ADD_MEMBERSHIP`, `IPV6_ADD_MEMBERSHIP`
    Join,
    /// `SO_BINDTODEVICE`
    Device,
    /// `SO_BINDTODEVICE` to the VRF.
    Vrf,
    /// `bind` to the group. Not fatal: it only keeps unicast packets away.
    BindGroup,
    /// `bind` to the local unicast address: the address is not there.
    BindSource,
}

/// A step failed.
#[derive(Debug)]
pub struct OpenError {
    /// Which.
    pub step: Step,
    /// Why.
    pub error: io::Error,
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.step, self.error)
    }
}

impl std::error::Error for OpenError {}

fn at<T>(step: Step, result: io::Result<T>) -> Result<T, OpenError> {
    result.map_err(|error| OpenError { step, error })
}

fn soft(done: Result<(), OpenError>, warn: &mut impl FnMut(OpenError)) {
    if let Err(error) = done {
        warn(error);
    }
}

fn socket(family: Family, protocol: u8) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes no pointer.
    own(unsafe {
        libc::socket(
            libc::c_int::from(family.af()),
            kind,
            libc::c_int::from(protocol),
        )
    })
}

/// Only packets of groups that this socket has joined.
fn multicast_all_off(fd: &OwnedFd, family: Family) -> Result<(), OpenError> {
    let done = match family {
        Family::V4 => set_int(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, 0),
        Family::V6 => match set_int(fd, libc::IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0) {
            // Linux before 4.20.
            Err(e) if e.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
            done => done,
        },
    };
    at(Step::Option("MULTICAST_ALL"), done)
}

fn checksum_by_kernel(fd: &OwnedFd) -> io::Result<()> {
    /// `IPV6_CHECKSUM` (`linux/in6.h`): 7 on every architecture.
    const IPV6_CHECKSUM: libc::c_int = 7;
    set_int(fd, libc::IPPROTO_IPV6, IPV6_CHECKSUM, CHECKSUM_OFFSET)
}

fn socket_address(address: IpAddr, scope: u32) -> SocketAddr {
    match address {
        IpAddr::V4(a) => SocketAddrV4::new(a, 0).into(),
        IpAddr::V6(a) => {
            // The kernel wants the scope where it has a meaning and refuses to be contradicted elsewhere.
            let local = a.is_unicast_link_local() || a.is_multicast();
            SocketAddrV6::new(a, 0, 0, if local { scope } else { 0 }).into()
        }
    }
}

fn bind(fd: &OwnedFd, address: IpAddr, scope: u32) -> io::Result<()> {
    let addr = SockAddr::from(socket_address(address, scope));
    // SAFETY: the address is given with its size and lives across the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), addr.as_ptr().cast(), addr.len()) }).map(drop)
}

fn bind_device(fd: &OwnedFd, device: Device<'_>) -> io::Result<()> {
    set_bytes(
        fd,
        libc::SOL_SOCKET,
        libc::SO_BINDTODEVICE,
        device.name.as_bytes(),
    )
}

fn set_bytes(
    fd: &OwnedFd,
    level: libc::c_int,
    option: libc::c_int,
    value: &[u8],
) -> io::Result<()> {
    let len = libc::socklen_t::try_from(value.len()).unwrap_or(0);
    // SAFETY: the value is given with its size and lives across the call.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, value.as_ptr().cast(), len) })
        .map(drop)
}

/// `struct ip_mreqn`: group, local address, interface.
fn mreqn(group: Ipv4Addr, index: u32) -> [u8; 12] {
    let mut request = [0; 12];
    request[..4].copy_from_slice(&group.octets());
    request[8..].copy_from_slice(&index.to_ne_bytes());
    request
}

fn join(fd: &OwnedFd, group: IpAddr, index: u32) -> io::Result<()> {
    match group {
        IpAddr::V4(group) => set_bytes(
            fd,
            libc::IPPROTO_IP,
            libc::IP_ADD_MEMBERSHIP,
            &mreqn(group, index),
        ),
        IpAddr::V6(group) => {
            // struct ipv6_mreq: group, interface.
            let mut request = [0; 20];
            request[..16].copy_from_slice(&group.octets());
            request[16..].copy_from_slice(&index.to_ne_bytes());
            set_bytes(fd, libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP, &request)
        }
    }
}

fn multicast_interface(fd: &OwnedFd, family: Family, index: IfIndex) -> io::Result<()> {
    match family {
        Family::V4 => {
            let request = mreqn(Ipv4Addr::UNSPECIFIED, index.get());
            set_bytes(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
        }
        Family::V6 => {
            let index = index.get().to_ne_bytes();
            set_bytes(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &index)
        }
    }
}
