//! Packets in.
#![expect(unsafe_code, reason = "control messages and recvmmsg are C interfaces")]

use std::io;
use std::mem::{self, MaybeUninit};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use net_types::{Family, IfIndex};

use super::{
    CONTROL_WORDS, Channel, OpenError, Spec, Step, at, bind, bind_device, checksum_by_kernel, join,
    multicast_all_off, socket, soft,
};
use crate::control::{self, Control};
use crate::sockopt::set_int;
use crate::syscall::check;

/// `IP_FREEBIND` for IPv6 (`linux/in6.h`).
const IPV6_FREEBIND: libc::c_int = 78;

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
            let take = |said| match said {
                Control::Destination(to, interface) => {
                    packet.destination = Some(to);
                    packet.interface = IfIndex::new(interface);
                }
                Control::HopLimit(hops) => packet.hop_limit = Some(hops),
            };
            // SAFETY: recvmmsg has filled it, and its buffers live as long as this function.
            unsafe { control::read(&message.msg_hdr, take) };
        }
        burst.len = got.min(most);
        Ok(burst.len)
    }
}

/// Most packets of one [`Receiver::receive`] and of one system call of [`super::Sender::send_burst`].
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
