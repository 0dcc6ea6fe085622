//! Addresses and prefixes.

use core::fmt;
use core::net::IpAddr;

/// Address family of a virtual router, an address or a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4
    V4,
    /// IPv6
    V6,
}

impl Family {
    /// The family that `addr` belongs to.
    pub const fn of(addr: &IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Bits of an address: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// Linux's `AF_INET` (2) or `AF_INET6` (10).
    pub const fn af(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// A 48-bit link-layer address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An address with a prefix length; host bits may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address as written, host bits included.
    pub addr: IpAddr,
    /// 0 to 32 for IPv4, 0 to 128 for IPv6.
    pub len: u8,
}

impl Prefix {
    /// `None` when `len` is longer than the family's addresses.
    pub const fn new(addr: IpAddr, len: u8) -> Option<Self> {
        if len > Family::of(&addr).bits() {
            None
        } else {
            Some(Self { addr, len })
        }
    }

    /// A single host.
    pub const fn host(addr: IpAddr) -> Self {
        Self {
            addr,
            len: Family::of(&addr).bits(),
        }
    }

    /// The family of the address.
    pub const fn family(&self) -> Family {
        Family::of(&self.addr)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::string::ToString;

    #[test]
    fn prefix_checks_its_length() {
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(Prefix::new(v4, 33), None);
        assert_eq!(Prefix::host(v4).to_string(), "127.0.0.1/32");
        assert_eq!(Prefix::host(IpAddr::V6(Ipv6Addr::LOCALHOST)).len, 128);
    }

    #[test]
    fn mac_address_is_shown_in_hex() {
        assert_eq!(
            MacAddr([0, 0, 0x5e, 0, 1, 51]).to_string(),
            "00:00:5e:00:01:33"
        );
    }
}
