//! Packets out.
#![expect(unsafe_code, reason = "control messages and sendmmsg are C interfaces")]

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use net_types::{Family, IfIndex};
use socket2::SockAddr;

use super::{
    BURST, CONTROL_WORDS, Channel, OpenError, Spec, Step, at, bind_device, checksum_by_kernel,
    multicast_all_off, multicast_interface, socket, socket_address, soft,
};
use crate::burst;
use crate::sockopt::set_int;
use crate::syscall::check;

/// Internetwork control: the type of service and traffic class of adverts.
const PRECEDENCE_INTERNETCONTROL: libc::c_int = 0xc0;
const HOP_LIMIT: libc::c_int = 255;

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
    pub fn send_burst(&self, packets: &[(&[u8], Route)], failed: impl FnMut(usize, io::Error)) {
        burst::in_order(packets, |rest| self.send_some(rest), failed);
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
