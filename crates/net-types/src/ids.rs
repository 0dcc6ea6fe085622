//! Identifiers and protocol numbers with their valid ranges.

use core::num::NonZeroU32;

use crate::Duration;

/// Virtual router identifier, 1 to 255 (RFC 9568 section 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(u8);

impl Vrid {
    /// `None` for 0, which no virtual router may have.
    pub const fn new(id: u8) -> Option<Self> {
        if id == 0 { None } else { Some(Self(id)) }
    }

    /// The number as it stands in the packet.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// VRRP priority, 0 to 255: 0 says that the master gives up, 255 that it owns the addresses (RFC 9568 section 5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(pub u8);

impl Priority {
    /// Sent by a master that gives up.
    pub const STOP: Self = Self(0);
    /// The router owns the addresses.
    pub const OWNER: Self = Self(255);

    /// Whether this is the address owner's priority.
    pub const fn is_owner(self) -> bool {
        self.0 == 255
    }
}

/// A span in hundredths of a second, the unit of VRRPv3's advertisement interval (12 bits on the wire).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Centis(pub u16);

impl Centis {
    /// The span in microseconds.
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0 as u64 * 10_000)
    }
}

/// Index of a network interface, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(NonZeroU32);

impl IfIndex {
    /// `None` for 0, the kernel's "no interface".
    pub const fn new(index: u32) -> Option<Self> {
        match NonZeroU32::new(index) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    /// The kernel's number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}
