//! A packet socket that only sends whole frames: gratuitous ARP and unsolicited neighbour advertisements.
#![expect(unsafe_code, reason = "packet sockets are C interfaces")]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use net_types::IfIndex;

use crate::burst;
use crate::syscall::{check, check_len, own};

/// `ETH_P_ARP`
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// `ETH_P_IPV6`
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// How many frames go with one system call.
const BURST: usize = 64;

/// A frame with its link-layer header, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The interface.
    pub interface: IfIndex,
    /// Ethernet type of what the frame carries.
    pub ethertype: u16,
    /// All of it, from the destination address on.
    pub bytes: &'a [u8],
}

/// The socket. Non-blocking; it receives nothing, as it is bound to no protocol.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

impl PacketSocket {
    /// Opens it; needs CAP_NET_RAW.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: takes no pointer.
        own(unsafe { libc::socket(libc::AF_PACKET, kind, 0) }).map(Self)
    }

    /// Sends one frame.
    pub fn send(&self, frame: Frame<'_>) -> io::Result<()> {
        let addr = address(frame);
        let len = mem::size_of_val(&addr) as libc::socklen_t;
        // SAFETY: bytes and address are given with their sizes and live across the call.
        check_len(unsafe {
            let bytes = frame.bytes.as_ptr().cast();
            libc::sendto(
                self.0.as_raw_fd(),
                bytes,
                frame.bytes.len(),
                0,
                (&raw const addr).cast(),
                len,
            )
        })
        .map(drop)
    }

    /// Sends the frames in order with few system calls. A frame that is refused is told to `failed` with its place, and the
    /// others go on.
    pub fn send_burst(&self, frames: &[Frame<'_>], failed: impl FnMut(usize, io::Error)) {
        burst::in_order(frames, |rest| self.send_some(rest), failed);
    }

    /// How many of the frames went. An error is that of the first one; if a later one fails, the count ends before it.
    fn send_some(&self, frames: &[Frame<'_>]) -> io::Result<usize> {
        let count = frames.len().min(BURST);
        // SAFETY: all-zero is valid for the three structs: null pointers with zero lengths.
        let (mut addrs, mut parts, mut messages): (
            [libc::sockaddr_ll; BURST],
            [libc::iovec; BURST],
            [libc::mmsghdr; BURST],
        ) = unsafe { mem::zeroed() };
        let slots = addrs.iter_mut().zip(&mut parts).zip(&mut messages);
        for (frame, ((addr, part), message)) in frames.iter().zip(slots) {
            *addr = address(*frame);
            part.iov_base = frame.bytes.as_ptr().cast_mut().cast();
            part.iov_len = frame.bytes.len();
            message.msg_hdr.msg_name = (&raw mut *addr).cast();
            message.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            message.msg_hdr.msg_iov = part;
            message.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: `count` headers point at addresses, parts and frames that live across the call; nothing is written to the
        // frames.
        let sent = check(unsafe {
            libc::sendmmsg(
                self.0.as_raw_fd(),
                messages.as_mut_ptr(),
                count as libc::c_uint,
                0,
            )
        })?;
        Ok(usize::try_from(sent).unwrap_or(0))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn address(frame: Frame<'_>) -> libc::sockaddr_ll {
    // SAFETY: all-zero is a valid sockaddr_ll. Link-layer address and type are not looked at: the frame has its own header.
    let mut addr: libc::sockaddr_ll = unsafe { mem::zeroed() };
    addr.sll_family = libc::AF_PACKET as libc::c_ushort;
    addr.sll_protocol = frame.ethertype.to_be();
    addr.sll_ifindex = libc::c_int::try_from(frame.interface.get()).unwrap_or(0);
    addr
}
