//! Raw sockets for VRRP: one that receives and one that sends, per interface (or local unicast address), family and protocol.
//!
//! Nothing here knows the protocol's bytes. IPv4 packets carry their IP header both ways; for IPv6 the kernel fills in the
//! checksum at offset 6. Options and their order are those of the original (strace of keepalived 2.3.3).
#![expect(
    unsafe_code,
    reason = "raw sockets and control messages are C interfaces"
)]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use net_types::{Family, IfIndex};
use socket2::SockAddr;

use crate::sockopt::set_int;
use crate::syscall::{check, own};

/// Internetwork control: the type of service and traffic class of adverts.
const PRECEDENCE_INTERNETCONTROL: libc::c_int = 0xc0;
/// `IP_FREEBIND` for IPv6 (`linux/in6.h`).
const IPV6_FREEBIND: libc::c_int = 78;
/// `linux/in6.h`; libc has it for some targets only.
const IPV6_MULTICAST_ALL: libc::c_int = 29;
/// Where the checksum stands in a VRRP packet.
const CHECKSUM_OFFSET: libc::c_int = 6;
const HOP_LIMIT: libc::c_int = 255;
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

/// The receiving socket. Non-blocking.
#[derive(Debug)]
pub struct Receiver {
    fd: OwnedFd,
    family: Family,
}

/// A packet, its bytes in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// How many bytes of the buffer it fills.
    pub len: usize,
    /// It was longer than the buffer.
    pub cut: bool,
    /// Sender.
    pub source: IpAddr,
    /// Destination in the IP header; `None` if the kernel did not tell.
    pub destination: Option<IpAddr>,
    /// The interface it came in by; `None` if the kernel did not tell.
    pub interface: Option<IfIndex>,
    /// Hop limit (IPv6; for IPv4 the header in the buffer tells).
    pub hop_limit: Option<u8>,
}

impl Packet {
    /// Whether it was sent to a group.
    pub fn is_multicast(&self) -> bool {
        self.destination.is_some_and(|d| d.is_multicast())
    }
}

fn set_receive_buffer(fd: &OwnedFd, bytes: u32) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    set_int(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, bytes)
}

impl Receiver {
    /// Changes the size of the receive buffer, in bytes.
    pub fn set_receive_buffer(&self, bytes: u32) -> io::Result<()> {
        set_receive_buffer(&self.fd, bytes)
    }

    /// Opens the socket, joins the group or binds to the local address. Steps that only lose comfort are told to `warn`.
    pub fn open(spec: &Spec<'_>, mut warn: impl FnMut(OpenError)) -> Result<Self, OpenError> {
        let family = spec.channel.family();
        let fd = at(Step::Open, socket(family, spec.protocol))?;
        if spec.receive_buffer != 0 {
            let done = set_receive_buffer(&fd, spec.receive_buffer);
            soft(at(Step::Option("RCVBUF"), done), &mut warn);
        }
        multicast_all_off(&fd, family)?;
        match spec.channel {
            Channel::Multicast(group) => {
                let index = spec.device.map_or(0, |d| d.index.get());
                at(Step::Join, join(&fd, group, index))?;
                soft(at(Step::BindGroup, bind(&fd, group, index)), &mut warn);
            }
            Channel::Unicast(source) => {
                if let Some(vrf) = spec.vrf {
                    at(Step::Vrf, bind_device(&fd, vrf))?;
                }
                // The address may come later than the daemon.
                let done = match family {
                    Family::V4 => set_int(&fd, libc::IPPROTO_IP, libc::IP_FREEBIND, 1),
                    Family::V6 => set_int(&fd, libc::IPPROTO_IPV6, IPV6_FREEBIND, 1),
                };
                soft(at(Step::Option("FREEBIND"), done), &mut warn);
                let index = spec.device.map_or(0, |d| d.index.get());
                at(Step::BindSource, bind(&fd, source, index))?;
            }
        }
        match family {
            Family::V4 => {
                let done = set_int(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1);
                soft(at(Step::Option("PKTINFO"), done), &mut warn);
            }
            Family::V6 => {
                let done = set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1);
                soft(at(Step::Option("RECVHOPLIMIT"), done), &mut warn);
                let done = set_int(&fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1);
                soft(at(Step::Option("RECVPKTINFO"), done), &mut warn);
            }
        }
        if let Some(device) = spec.device.or(spec.vrf) {
            at(Step::Device, bind_device(&fd, device))?;
        }
        if family == Family::V6 {
            at(Step::Option("CHECKSUM"), checksum_by_kernel(&fd))?;
        }
        Ok(Self { fd, family })
    }

    /// Takes packets that wait, as many as fit into `burst`, and tells how many those are. Fewer than [`Burst::most`]: no more waits.
    pub fn receive(&self, burst: &mut Burst) -> io::Result<usize> {
        if burst.most <= FEW {
            self.receive_most::<FEW>(burst)
        } else {
            self.receive_most::<BURST>(burst)
        }
    }

    /// With room on the stack for `N` packets: nothing is to be cleared for packets that cannot come.
    fn receive_most<const N: usize>(&self, burst: &mut Burst) -> io::Result<usize> {
        burst.len = 0;
        let most = burst.most.min(N);
        let mut names = [const { MaybeUninit::<libc::sockaddr_storage>::zeroed() }; N];
        let mut controls = [[0_u64; CONTROL_WORDS]; N];
        // SAFETY: all-zero is valid for both structs: null pointers with zero lengths.
        let (mut parts, mut messages): ([libc::iovec; N], [libc::mmsghdr; N]) =
            unsafe { mem::zeroed() };
        let rooms = burst.bytes.chunks_exact_mut(burst.slot).zip(&mut parts);
        let slots = names.iter_mut().zip(&mut controls).zip(&mut messages);
        for ((room, part), ((name, control), message)) in rooms.zip(slots) {
            part.iov_base = room.as_mut_ptr().cast();
            part.iov_len = room.len();
            let header = &mut message.msg_hdr;
            header.msg_name = name.as_mut_ptr().cast();
            header.msg_namelen = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = mem::size_of_val(control) as _;
        }
        let got = loop {
            // SAFETY: the first `most` headers point at names, parts, rooms and control buffers that are given with their sizes
            // and live across the call.
            let got = unsafe {
                libc::recvmmsg(
                    self.fd.as_raw_fd(),
                    messages.as_mut_ptr(),
                    most as libc::c_uint,
                    0,
                    std::ptr::null_mut(),
                )
            };
            match check(got) {
                Ok(got) => break usize::try_from(got).unwrap_or(0),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(e) => return Err(e),
            }
        };
        let filled = messages.iter().zip(&names).zip(&mut burst.packets);
        for ((message, name), packet) in filled.take(got) {
            // SAFETY: the storage was zeroed and then filled by the kernel.
            let source = source_of(unsafe { name.assume_init_ref() });
            *packet = Packet {
                len: usize::try_from(message.msg_len)
                    .unwrap_or(0)
                    .min(burst.slot),
                cut: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                source: source.unwrap_or(match self.family {
                    Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                    Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
                }),
                destination: None,
                interface: None,
                hop_limit: None,
            };
            read_control(&message.msg_hdr, packet);
        }
        burst.len = got.min(most);
        Ok(burst.len)
    }
}

/// Most packets of one [`Receiver::receive`] and of one system call of [`Sender::send_burst`].
pub const BURST: usize = 16;
/// Places for a burst where hardly ever more than one packet waits.
const FEW: usize = 2;

/// Room for packets, used over and over.
#[derive(Debug)]
pub struct Burst {
    bytes: Vec<u8>,
    slot: usize,
    most: usize,
    packets: [Packet; BURST],
    len: usize,
}

impl Burst {
    /// Room for `most` packets (at least 1, at most [`BURST`]) of `longest` bytes each; longer ones are cut.
    pub fn new(longest: usize, most: usize) -> Self {
        let none = Packet {
            len: 0,
            cut: false,
            source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            destination: None,
            interface: None,
            hop_limit: None,
        };
        let slot = longest.max(1);
        let most = most.clamp(1, BURST);
        Self {
            bytes: vec![0; slot.saturating_mul(most)],
            slot,
            most,
            packets: [none; BURST],
            len: 0,
        }
    }

    /// Length of the longest packet that fits.
    pub const fn longest(&self) -> usize {
        self.slot
    }

    /// How many packets it has room for.
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// The packets that the last call brought, in their order, each with its bytes.
    pub fn packets(&self) -> impl Iterator<Item = (&Packet, &[u8])> {
        let rooms = self.bytes.chunks_exact(self.slot);
        let filled = self.packets.iter().zip(rooms).take(self.len);
        filled.map(|(packet, room)| (packet, room.get(..packet.len).unwrap_or_default()))
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Receiver {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// The sending socket. Non-blocking; it receives nothing.
#[derive(Debug)]
pub struct Sender {
    fd: OwnedFd,
}

/// Where a packet goes and what the kernel cannot see in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Group or peer.
    pub destination: IpAddr,
    /// IPv6: source address. For IPv4 it stands in the packet's header.
    pub source: Option<Ipv6Addr>,
    /// IPv6: the interface to leave by (also scope of a link-local destination); `None`: as the routes tell.
    pub interface: Option<IfIndex>,
    /// IPv6 to a peer: the hop limit. To a group it is 255 by the socket's option.
    pub hop_limit: Option<u8>,
    /// `MSG_DONTROUTE`: only to directly connected networks.
    pub direct: bool,
}

impl Sender {
    /// Opens the socket. Steps that only lose comfort are told to `warn`.
    pub fn open(spec: &Spec<'_>, mut warn: impl FnMut(OpenError)) -> Result<Self, OpenError> {
        let family = spec.channel.family();
        let multicast = matches!(spec.channel, Channel::Multicast(_));
        let fd = at(Step::Open, socket(family, spec.protocol))?;
        // It is never read: no memory for packets.
        soft(
            at(
                Step::Option("RCVBUF"),
                set_int(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, 0),
            ),
            &mut warn,
        );
        multicast_all_off(&fd, family)?;
        let option = |name, v4, v6, value| {
            let (level, number) = match family {
                Family::V4 => (libc::IPPROTO_IP, v4),
                Family::V6 => (libc::IPPROTO_IPV6, v6),
            };
            at(Step::Option(name), set_int(&fd, level, number, value))
        };
        match family {
            Family::V4 => option("HDRINCL", libc::IP_HDRINCL, 0, 1)?,
            Family::V6 => {
                at(Step::Option("CHECKSUM"), checksum_by_kernel(&fd))?;
                if multicast {
                    option("MULTICAST_HOPS", 0, libc::IPV6_MULTICAST_HOPS, HOP_LIMIT)?;
                }
            }
        }
        if let Some(device) = spec.device.or(spec.vrf) {
            at(Step::Device, bind_device(&fd, device))?;
        }
        if let (true, Some(device)) = (multicast, spec.device) {
            at(
                Step::Option("MULTICAST_IF"),
                multicast_interface(&fd, family, device.index),
            )?;
            option(
                "MULTICAST_LOOP",
                libc::IP_MULTICAST_LOOP,
                libc::IPV6_MULTICAST_LOOP,
                0,
            )?;
        }
        let name = if family == Family::V4 {
            "TOS"
        } else {
            "TCLASS"
        };
        option(
            name,
            libc::IP_TOS,
            libc::IPV6_TCLASS,
            PRECEDENCE_INTERNETCONTROL,
        )?;
        soft(
            at(Step::Option("ATTACH_FILTER"), receive_nothing(&fd)),
            &mut warn,
        );
        Ok(Self { fd })
    }

    /// Sends one packet.
    pub fn send(&self, packet: &[u8], route: &Route) -> io::Result<()> {
        let mut result = Ok(());
        self.send_burst(&[(packet, *route)], |_, error| result = Err(error));
        result
    }

    /// Sends packets in their order with few system calls. One that is refused is told to `failed` with its place, and the others
    /// go on.
    pub fn send_burst(&self, packets: &[(&[u8], Route)], mut failed: impl FnMut(usize, io::Error)) {
        let mut done = 0_usize;
        while let Some(rest) = packets.get(done..).filter(|r| !r.is_empty()) {
            match self.send_some(rest) {
                Ok(sent) => done = done.saturating_add(sent.max(1)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    failed(done, e);
                    done = done.saturating_add(1);
                }
            }
        }
    }

    /// How many of the packets went. An error is that of the first one; if a later one fails, the count ends before it.
    fn send_some(&self, packets: &[(&[u8], Route)]) -> io::Result<usize> {
        if packets.len() == 1 {
            self.send_most::<1>(packets)
        } else {
            self.send_most::<BURST>(packets)
        }
    }

    /// With room on the stack for `N` packets.
    fn send_most<const N: usize>(&self, packets: &[(&[u8], Route)]) -> io::Result<usize> {
        let direct = packets.first().is_some_and(|(_, route)| route.direct);
        let mut controls = [[0_u64; CONTROL_WORDS]; N];
        let mut names: [Option<SockAddr>; N] = [const { None }; N];
        // SAFETY: all-zero is valid for both structs: null pointers with zero lengths.
        let (mut parts, mut messages): ([libc::iovec; N], [libc::mmsghdr; N]) =
            unsafe { mem::zeroed() };
        let mut count: libc::c_uint = 0;
        let slots = names.iter_mut().zip(&mut controls).zip(&mut parts);
        let alike = packets.iter().take_while(|(_, r)| r.direct == direct);
        for ((packet, route), (((name, control), part), message)) in
            alike.zip(slots.zip(&mut messages))
        {
            let scope = route.interface.map_or(0, IfIndex::get);
            let to = name.insert(SockAddr::from(socket_address(route.destination, scope)));
            part.iov_base = packet.as_ptr().cast_mut().cast();
            part.iov_len = packet.len();
            let header = &mut message.msg_hdr;
            header.msg_name = to.as_ptr().cast_mut().cast();
            header.msg_namelen = to.len();
            header.msg_iov = part;
            header.msg_iovlen = 1;
            if let Some(source) = route.source {
                header.msg_control = control.as_mut_ptr().cast();
                header.msg_controllen = mem::size_of_val(control) as _;
                let used = write_control(header, source, scope, route.hop_limit);
                header.msg_controllen = used as _;
            }
            count = count.saturating_add(1);
        }
        let flags = if direct { libc::MSG_DONTROUTE } else { 0 };
        // SAFETY: `count` headers point at names, parts, packets and control buffers that are given with their sizes and live
        // across the call; the kernel only reads them.
        let sent = check(unsafe {
            libc::sendmmsg(
                self.fd.as_raw_fd(),
                messages.as_mut_ptr(),
                count,
                flags as _,
            )
        })?;
        Ok(usize::try_from(sent).unwrap_or(0))
    }
}

impl AsFd for Sender {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Sender {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
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

/// A packet filter that takes nothing.
fn receive_nothing(fd: &OwnedFd) -> io::Result<()> {
    // BPF_RET | BPF_K with 0 bytes.
    let mut refuse = libc::sock_filter {
        code: 0x06,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let program = libc::sock_fprog {
        len: 1,
        filter: &raw mut refuse,
    };
    let len = mem::size_of_val(&program) as libc::socklen_t;
    // SAFETY: the program points at one instruction; both live across the call.
    check(unsafe {
        let value = (&raw const program).cast();
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            value,
            len,
        )
    })
    .map(drop)
}

fn source_of(storage: &libc::sockaddr_storage) -> Option<IpAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the kernel filled a sockaddr_in, and the storage is large and aligned enough for it.
            let addr = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            Some(Ipv4Addr::from(u32::from_be(addr.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, with a sockaddr_in6.
            let addr = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            Some(Ipv6Addr::from(addr.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[allow(
    clippy::unnecessary_cast,
    reason = "the type of cmsg_len differs between C libraries"
)]
fn read_control(header: &libc::msghdr, packet: &mut Packet) {
    // SAFETY: the header was filled by recvmsg and its control buffer still lives; the macros stay within it. Values are
    // copied byte-wise, as they need not be aligned.
    unsafe {
        let mut item = libc::CMSG_FIRSTHDR(header);
        while let Some(found) = item.as_ref() {
            let data = libc::CMSG_DATA(found);
            let room = (found.cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            match (found.cmsg_level, found.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO)
                    if room >= mem::size_of::<libc::in_pktinfo>() =>
                {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    let to = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                    packet.destination = Some(to.into());
                    packet.interface = u32::try_from(info.ipi_ifindex).ok().and_then(IfIndex::new);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
                    if room >= mem::size_of::<libc::in6_pktinfo>() =>
                {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    packet.destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                    // Signed in some C libraries' headers.
                    packet.interface = IfIndex::new(info.ipi6_ifindex as u32);
                }
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
                    if room >= mem::size_of::<libc::c_int>() =>
                {
                    let hops = data.cast::<libc::c_int>().read_unaligned();
                    packet.hop_limit = u8::try_from(hops).ok();
                }
                _ => {}
            }
            item = libc::CMSG_NXTHDR(header, item);
        }
    }
}

/// Writes packet info and hop limit into the header's control buffer; how many bytes they take.
fn write_control(
    header: &libc::msghdr,
    source: Ipv6Addr,
    index: u32,
    hop_limit: Option<u8>,
) -> usize {
    // SAFETY: all-zero is a valid in6_pktinfo.
    let mut info: libc::in6_pktinfo = unsafe { mem::zeroed() };
    info.ipi6_addr.s6_addr = source.octets();
    info.ipi6_ifindex = index as _;
    let info_len = mem::size_of_val(&info) as libc::c_uint;
    let hops_len = mem::size_of::<libc::c_int>() as libc::c_uint;
    // SAFETY: the control buffer is zeroed, aligned for headers and larger than both messages; the macros stay within it.
    unsafe {
        let mut used = libc::CMSG_SPACE(info_len) as usize;
        let Some(first) = libc::CMSG_FIRSTHDR(header).as_mut() else {
            return 0;
        };
        first.cmsg_level = libc::IPPROTO_IPV6;
        first.cmsg_type = libc::IPV6_PKTINFO;
        first.cmsg_len = libc::CMSG_LEN(info_len) as _;
        libc::CMSG_DATA(first)
            .cast::<libc::in6_pktinfo>()
            .write_unaligned(info);
        if let (Some(hops), Some(second)) = (hop_limit, libc::CMSG_NXTHDR(header, first).as_mut()) {
            second.cmsg_level = libc::IPPROTO_IPV6;
            second.cmsg_type = libc::IPV6_HOPLIMIT;
            second.cmsg_len = libc::CMSG_LEN(hops_len) as _;
            libc::CMSG_DATA(second)
                .cast::<libc::c_int>()
                .write_unaligned(libc::c_int::from(hops));
            used = used.saturating_add(libc::CMSG_SPACE(hops_len) as usize);
        }
        used
    }
}
