//! What a network device itself says about its link: the PHY's registers, ethtool, or the flags.
//!
//! Answers to: keepalived 2.3.3 vrrp/vrrp_if.c; `linux/mii.h`, `linux/ethtool.h`.
#![expect(unsafe_code, reason = "interface ioctls are C interfaces")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::ifname::NAME_MAX;
use crate::syscall::{check, own};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const SIOCGMIIPHY: libc::c_ulong = 0x8947;
const SIOCGMIIREG: libc::c_ulong = 0x8948;
const ETHTOOL_GLINK: u32 = 0x0a;
/// Basic mode control register.
const MII_BMCR: u16 = 0;
/// Basic mode status register.
const MII_BMSR: u16 = 1;
/// In it: there is a link. It keeps a loss until it is read.
const BMSR_LSTATUS: u16 = 4;

/// `struct mii_ioctl_data`
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct MiiData {
    phy: u16,
    register: u16,
    value_in: u16,
    value_out: u16,
}

/// `struct ifreq` with what is exchanged here behind the name; as large as the largest of the kernel's union.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request<T: Copy> {
    name: [u8; 16],
    data: T,
    room: [u64; 3],
}

/// `struct ethtool_value`
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Asks devices.
#[derive(Debug)]
pub struct LinkBeat(OwnedFd);

impl LinkBeat {
    /// Opens the socket that ioctls need.
    pub fn open() -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        // SAFETY: takes no pointer.
        own(unsafe { libc::socket(libc::AF_INET, kind, 0) }).map(Self)
    }

    /// The link by the PHY's status register. `Ok(None)`: the device has registers but no transceiver behind them.
    pub fn mii(&self, name: &str) -> io::Result<Option<bool>> {
        let mut request = request(name, MiiData::default())?;
        self.ioctl(SIOCGMIIPHY, &mut request)?;
        let phy = request.data.phy;
        let mut read = |register| {
            request.data.phy = phy;
            request.data.register = register;
            self.ioctl(SIOCGMIIREG, &mut request)?;
            Ok::<u16, io::Error>(request.data.value_out)
        };
        read(MII_BMSR)?;
        let control = read(MII_BMCR).unwrap_or(u16::MAX);
        let status = read(MII_BMSR).unwrap_or(u16::MAX);
        if control == u16::MAX || status == 0 {
            return Ok(None);
        }
        // The second read has the state of now.
        let now = read(MII_BMSR).unwrap_or(u16::MAX);
        Ok(Some((status | now) & BMSR_LSTATUS != 0))
    }

    /// The link as the driver tells ethtool.
    pub fn ethtool(&self, name: &str) -> io::Result<bool> {
        let mut value = EthtoolValue {
            command: ETHTOOL_GLINK,
            data: 0,
        };
        let pointer: *mut EthtoolValue = &raw mut value;
        let mut request = request(name, pointer)?;
        self.ioctl(SIOCETHTOOL, &mut request)?;
        // SAFETY: the kernel wrote the value through the pointer; nothing else refers to it.
        let data = unsafe { (*pointer).data };
        Ok(data != 0)
    }

    /// `IFF_UP` and `IFF_RUNNING` of an interface. Only that it is not there counts as down when the kernel does not tell.
    pub fn flags(&self, name: &str) -> bool {
        let Ok(mut request) = request(name, 0_i16) else {
            return false;
        };
        match self.ioctl(libc::SIOCGIFFLAGS as libc::c_ulong, &mut request) {
            Ok(()) => {
                let wanted = libc::IFF_UP | libc::IFF_RUNNING;
                libc::c_int::from(request.data) & wanted == wanted
            }
            Err(e) => e.raw_os_error() != Some(libc::ENODEV),
        }
    }

    fn ioctl<T: Copy>(&self, number: libc::c_ulong, request: &mut Request<T>) -> io::Result<()> {
        debug_assert!(mem::size_of::<Request<T>>() >= mem::size_of::<libc::ifreq>());
        // SAFETY: the request is at least as large as the ifreq that the kernel reads and writes, and what it points to (for
        // ethtool) outlives the call.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), number as _, &raw mut *request) }).map(drop)
    }
}

fn request<T: Copy>(name: &str, data: T) -> io::Result<Request<T>> {
    let mut bytes = [0; 16];
    match bytes.get_mut(..name.len()) {
        // The last byte stays 0: the name is a C string.
        Some(place) if name.len() <= NAME_MAX => place.copy_from_slice(name.as_bytes()),
        _ => return Err(io::Error::from_raw_os_error(libc::ENODEV)),
    }
    Ok(Request {
        name: bytes,
        data,
        room: [0; 3],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_answers_by_its_flags_only() {
        let beat = LinkBeat::open().unwrap();
        assert!(beat.mii("lo").is_err());
        assert!(beat.mii("nosuch0").is_err());
        assert!(beat.ethtool("nosuch0").is_err());
        assert!(!beat.flags("nosuch0"));
        assert!(!beat.flags("a-name-that-is-too-long"));
        let up = std::fs::read_to_string("/sys/class/net/lo/flags").unwrap();
        let up = u32::from_str_radix(up.trim().trim_start_matches("0x"), 16).unwrap() & 1 != 0;
        assert_eq!(beat.flags("lo"), up);
        // The dummy driver of ethtool says yes for every interface that is up.
        assert_eq!(beat.ethtool("lo").unwrap_or(up), up);
    }
}
