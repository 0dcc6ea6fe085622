//! Notice of link changes, and what an interface is like at this moment.
//!
//! For those who only ask "is that device up": any link message wakes them, then they look. The content of the messages is
//! not needed, so losing some does no harm.
#![expect(unsafe_code, reason = "netlink and interface ioctls are C interfaces")]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use net_types::IfIndex;

use crate::ifname;
use crate::syscall::{check, check_len, own};

/// A socket that becomes readable when any interface changes. Non-blocking.
#[derive(Debug)]
pub struct LinkWatch(OwnedFd);

impl LinkWatch {
    /// Subscribes to the kernel's link messages (`RTMGRP_LINK`).
    pub fn open() -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let fd = own(unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                libc::NETLINK_ROUTE,
            )
        })?;
        // SAFETY: all-zero is a valid sockaddr_nl.
        let mut addr: libc::sockaddr_nl = unsafe { mem::zeroed() };
        addr.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        addr.nl_groups = libc::RTMGRP_LINK as u32;
        // SAFETY: `addr` lives across the call and is given with its size.
        check(unsafe {
            libc::bind(
                fd.as_raw_fd(),
                (&raw const addr).cast(),
                mem::size_of_val(&addr) as libc::socklen_t,
            )
        })?;
        Ok(Self(fd))
    }

    /// Takes everything that waits; whether there was anything. An overrun counts as news.
    pub fn drain(&self) -> bool {
        let mut news = false;
        let mut buffer = [0_u8; 512];
        loop {
            // SAFETY: the buffer is given with its size; what does not fit is cut off, which does not matter here.
            let got = check_len(unsafe {
                libc::recv(
                    self.0.as_raw_fd(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                    libc::MSG_DONTWAIT,
                )
            });
            match got {
                Ok(_) => news = true,
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => news = true,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return news,
            }
        }
    }
}

/// Administrative and carrier state of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// `IFF_UP`
    pub up: bool,
    /// `IFF_RUNNING`
    pub running: bool,
}

/// The state of an interface now.
pub fn state(index: IfIndex) -> io::Result<State> {
    let name = ifname::name_of(index)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    let mut request = request(&name)?;
    ioctl(libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS filled the flags.
    let flags = libc::c_int::from(unsafe { request.ifr_ifru.ifru_flags });
    Ok(State {
        up: flags & libc::IFF_UP != 0,
        running: flags & libc::IFF_RUNNING != 0,
    })
}

/// The MTU of an interface in bytes.
pub fn mtu(name: &str) -> io::Result<u32> {
    let mut request = request(name)?;
    ioctl(libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: SIOCGIFMTU filled the MTU.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(u32::try_from(mtu).unwrap_or(0))
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays 0: the name is a C string.
    let room = request.ifr_name.len() - 1;
    if name.len() > room || name.contains('\0') {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    Ok(request)
}

fn ioctl(number: libc::c_ulong, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: takes no pointer.
    let fd = own(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: both requests that come here read and write one ifreq.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), number as _, &raw mut *request) }).map(drop)
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for LinkWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_an_mtu_and_a_missing_interface_has_not() {
        assert!(mtu("lo").unwrap() > 0);
        assert_eq!(
            mtu("nosuch0").unwrap_err().raw_os_error(),
            Some(libc::ENODEV)
        );
        assert!(mtu("a-name-that-is-too-long").is_err());
        let lo = ifname::index_of("lo").unwrap();
        let _ = state(lo).unwrap();
        assert!(!LinkWatch::open().unwrap().drain());
    }
}
