//! What the kernel says of a datagram, in the control messages beside it (cmsg(3), ip(7), ipv6(7)).
#![expect(
    unsafe_code,
    reason = "control messages are a chain in memory of the caller"
)]

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libc::{c_int, in_pktinfo, in6_pktinfo};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// The address that it was sent to, and the number of the interface that it came by.
    Destination(IpAddr, u32),
    /// Its TTL or hop limit.
    HopLimit(u8),
}

/// Hands on those that are known.
///
/// # Safety
/// The header was filled by recvmsg(2), and its buffer for control messages still lives.
#[allow(
    clippy::unnecessary_cast,
    reason = "the type of cmsg_len differs between C libraries"
)]
pub(crate) unsafe fn read(header: &libc::msghdr, mut take: impl FnMut(Control)) {
    // SAFETY: the macros stay within the buffer. Values are copied byte-wise, as they need not be aligned, and only where there is
    // room for them.
    unsafe {
        let mut item = libc::CMSG_FIRSTHDR(header);
        while let Some(found) = item.as_ref() {
            let data = libc::CMSG_DATA(item);
            let room = (found.cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize);
            match (found.cmsg_level, found.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
                    if room >= size_of::<c_int>() =>
                {
                    let hops = data.cast::<c_int>().read_unaligned();
                    if let Ok(hops) = u8::try_from(hops) {
                        take(Control::HopLimit(hops));
                    }
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) if room >= size_of::<in_pktinfo>() => {
                    let info = data.cast::<in_pktinfo>().read_unaligned();
                    let to = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
                    let interface = u32::try_from(info.ipi_ifindex).unwrap_or(0);
                    take(Control::Destination(to.into(), interface));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if room >= size_of::<in6_pktinfo>() => {
                    let info = data.cast::<in6_pktinfo>().read_unaligned();
                    let to = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    // Signed in some C libraries' headers.
                    take(Control::Destination(to.into(), info.ipi6_ifindex as u32));
                }
                _ => {}
            }
            item = libc::CMSG_NXTHDR(header, item);
        }
    }
}
