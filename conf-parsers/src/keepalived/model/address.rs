//! Addresses to be put on interfaces: `virtual_ipaddress`, `virtual_ipaddress_excluded`, `static_ipaddress`.

use core::net::{IpAddr, Ipv4Addr};

use net_types::{Family, Prefix};

use crate::span::{Span, Spanned};

/// `IFA_F_*` bits of linux/if_addr.h that the configuration can set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressFlags(u32);

impl AddressFlags {
    /// `IFA_F_NODAD`: no duplicate address detection.
    pub const NODAD: Self = Self(0x02);
    /// `IFA_F_HOMEADDRESS` (`home`): the Mobile IPv6 home address.
    pub const HOME_ADDRESS: Self = Self(0x10);
    /// `IFA_F_MANAGETEMPADDR` (`mngtmpaddr`): the kernel makes temporary addresses from this one.
    pub const MANAGE_TEMP_ADDR: Self = Self(0x100);
    /// `IFA_F_NOPREFIXROUTE` (`noprefixroute`): no route for the prefix.
    pub const NO_PREFIX_ROUTE: Self = Self(0x200);
    /// `IFA_F_MCAUTOJOIN` (`autojoin`): join the multicast group of the address.
    pub const MC_AUTO_JOIN: Self = Self(0x400);

    /// The number the kernel takes in `IFA_FLAGS`.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the bits of `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Preferred lifetime without an end (`preferred_lft forever`), the kernel's `INFINITY_LIFE_TIME`.
pub const LIFETIME_FOREVER: u32 = u32::MAX;

/// One line of an address block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where the address stands in the text.
    pub span: Span,
    /// The address and its prefix length (host bits kept). With a peer the length is the family's full length.
    pub prefix: Prefix,
    /// `dev`. `None` in a virtual router: the router's own interface. A static address without `dev` has the
    /// default interface filled in.
    pub dev: Option<Spanned<Box<str>>>,
    /// `scope` as the kernel's number; 0 is global. Always 0 for IPv6.
    pub scope: u8,
    /// `brd`/`broadcast`, with `+` and `-` already worked out. IPv4 only.
    pub broadcast: Option<Ipv4Addr>,
    /// `label`, at most 15 bytes. IPv4 only.
    pub label: Option<Spanned<Box<str>>>,
    /// `peer`, of the same family.
    pub peer: Option<IpAddr>,
    /// Flags set by `home`, `mngtmpaddr`, `noprefixroute` and `autojoin`.
    pub flags: AddressFlags,
    /// `-nodad`: leave duplicate address detection on. Without it an IPv6 address is added with `IFA_F_NODAD`.
    pub dad: bool,
    /// `no_track`: the loss of the address is not watched.
    pub no_track: bool,
    /// `track_group`, static addresses only.
    pub track_group: Option<Spanned<Box<str>>>,
    /// `preferred_lft` in seconds, [`LIFETIME_FOREVER`] without an end. IPv6 only; the default is 0 (deprecated, so
    /// that the address is not chosen as a source) for /128 and forever otherwise.
    pub preferred_lft: u32,
    /// `use_vmac`: put the address on a VMAC made for `dev`. Virtual routers only.
    pub use_vmac: bool,
}

impl Address {
    /// A bare address with the defaults of its family.
    pub const fn new(prefix: Prefix, span: Span) -> Self {
        Self {
            span,
            prefix,
            dev: None,
            scope: 0,
            broadcast: None,
            label: None,
            peer: None,
            flags: AddressFlags(0),
            dad: false,
            no_track: false,
            track_group: None,
            preferred_lft: match prefix.family() {
                Family::V6 if prefix.len != 128 => LIFETIME_FOREVER,
                Family::V4 | Family::V6 => 0,
            },
            use_vmac: false,
        }
    }

    /// The family of the address.
    pub const fn family(&self) -> Family {
        self.prefix.family()
    }

    /// `IFA_FLAGS` for the kernel when the address is added.
    pub const fn kernel_flags(&self) -> AddressFlags {
        let mut flags = self.flags;
        if matches!(self.family(), Family::V6) && !self.dad {
            flags.insert(AddressFlags::NODAD);
        }
        flags
    }
}
