//! Network interfaces (`linux/if_link.h`, `linux/if.h`).
//!
//! ```text
//! +--------+-----+---------+-------+-------+--------+------------
//! | family | pad | hw type | index | flags | change | attributes
//! |   u8   | u8  |   u16   |  i32  |  u32  |  u32   |
//! +--------+-----+---------+-------+-------+--------+------------
//! ```

use alloc::boxed::Box;
use core::fmt;

use net_types::MacAddr;

use crate::nla::Attrs;
use crate::read;

mod devconf;
mod request;

pub use devconf::{DevConf, Setting};
pub use request::{
    NewMacvlan, push_delete, push_new_ipvlan, push_new_macvlan, push_new_simple, push_new_veth,
    push_no_link_local, push_set_group, push_set_master, push_set_up, push_settings,
    push_update_macvlan,
};

/// `RTM_NEWLINK`
pub const RTM_NEWLINK: u16 = 16;
/// `RTM_DELLINK`
pub const RTM_DELLINK: u16 = 17;
/// `RTM_GETLINK`
pub const RTM_GETLINK: u16 = 18;

const IFLA_ADDRESS: u16 = 1;
const IFLA_BROADCAST: u16 = 2;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_WIRELESS: u16 = 11;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_CARRIER: u16 = 33;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_VRF_TABLE: u16 = 1;
const HEADER_LEN: usize = 16;

/// `IFF_UP`: the operator wants it up.
pub const IFF_UP: u32 = 0x1;
/// `IFF_BROADCAST`
pub const IFF_BROADCAST: u32 = 0x2;
/// `IFF_LOOPBACK`
pub const IFF_LOOPBACK: u32 = 0x8;
/// `IFF_POINTOPOINT`
pub const IFF_POINTOPOINT: u32 = 0x10;
/// `IFF_RUNNING`: it can carry packets.
pub const IFF_RUNNING: u32 = 0x40;
/// `IFF_NOARP`: neither ARP nor neighbour discovery.
pub const IFF_NOARP: u32 = 0x80;
/// `IFF_MULTICAST`
pub const IFF_MULTICAST: u32 = 0x1000;

/// `ARPHRD_ETHER`
pub const HW_ETHER: u16 = 1;
/// `ARPHRD_INFINIBAND`
pub const HW_INFINIBAND: u16 = 32;

/// A link-layer address of up to 32 bytes (InfiniBand has 20).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LinkAddr {
    len: u8,
    bytes: [u8; 32],
}

impl LinkAddr {
    /// `None` when longer than the kernel allows (32 bytes).
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut addr = Self {
            len: u8::try_from(bytes.len()).ok()?,
            bytes: [0; 32],
        };
        addr.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(addr)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// As an Ethernet address; `None` for other lengths.
    pub fn mac(&self) -> Option<MacAddr> {
        self.as_bytes().try_into().ok().map(MacAddr)
    }
}

impl fmt::Display for LinkAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.as_bytes().iter().enumerate() {
            write!(f, "{}{byte:02x}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl fmt::Debug for LinkAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an interface is made of, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A device without `IFLA_INFO_KIND`.
    Physical,
    /// `macvlan`
    Macvlan {
        /// `MACVLAN_MODE_…`
        mode: u32,
    },
    /// `macvtap`: a macvlan that programs read from.
    Macvtap {
        /// `MACVLAN_MODE_…`
        mode: u32,
    },
    /// `ipvlan`, `ipvtap`
    Ipvlan {
        /// `IPVLAN_MODE_…`
        mode: u16,
        /// `IPVLAN_F_…`
        flags: u16,
    },
    /// `vlan` with its tag.
    Vlan {
        /// VLAN identifier.
        id: u16,
    },
    /// `vrf` with its routing table.
    Vrf {
        /// The table.
        table: u32,
    },
    /// Any other kind, by the kernel's name.
    Other(Box<str>),
}

/// `MACVLAN_MODE_PRIVATE`: macvlans of one interface do not hear each other.
pub const MACVLAN_MODE_PRIVATE: u32 = 1;
/// `IPVLAN_F_PRIVATE`
pub const IPVLAN_F_PRIVATE: u16 = 1;
/// `IPVLAN_F_VEPA`
pub const IPVLAN_F_VEPA: u16 = 2;

impl Kind {
    /// A macvlan, macvtap or ipvlan: traffic goes through the interface below.
    pub const fn is_mac_or_ip_vlan(&self) -> bool {
        matches!(
            self,
            Self::Macvlan { .. } | Self::Macvtap { .. } | Self::Ipvlan { .. }
        )
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: Box<str>,
    /// `IFF_…`
    pub flags: u32,
    /// Which flags this message is about; 0 with [`Link::wireless`] is an event of no interest.
    pub change: u32,
    /// `ARPHRD_…`
    pub hw_type: u16,
    /// Link-layer address; empty when the device has none.
    pub address: LinkAddr,
    /// Link-layer broadcast address.
    pub broadcast: LinkAddr,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// The interface under it (VLAN, macvlan), or the other end (veth).
    pub lower: Option<u32>,
    /// The namespace in which `lower` counts, if it is another one: its number here.
    pub lower_netns: Option<i32>,
    /// The bridge, bond or VRF it belongs to.
    pub master: Option<u32>,
    /// What it is.
    pub kind: Kind,
    /// RFC 2863 state: 6 up, 2 down, 7 dormant, 0 unknown.
    pub operstate: u8,
    /// Whether it has a carrier, if the kernel says.
    pub carrier: Option<bool>,
    /// Interface group.
    pub group: u32,
    /// The message carries a wireless event.
    pub wireless: bool,
    /// IPv4 settings, as far as they matter here.
    pub settings: DevConf,
}

impl Link {
    /// Decodes the body of `RTM_NEWLINK` or `RTM_DELLINK`; `None` without a name.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut name = None;
        let mut found = Self {
            index: read::u32(body, 4)?,
            name: "".into(),
            flags: read::u32(body, 8)?,
            change: read::u32(body, 12)?,
            hw_type: read::u16(body, 2)?,
            address: LinkAddr::default(),
            broadcast: LinkAddr::default(),
            mtu: 0,
            lower: None,
            lower_netns: None,
            settings: DevConf::default(),
            master: None,
            kind: Kind::Physical,
            operstate: 0,
            carrier: None,
            group: 0,
            wireless: false,
        };
        for attr in Attrs::after(body, HEADER_LEN) {
            match attr.kind {
                IFLA_IFNAME => name = attr.text(),
                IFLA_ADDRESS => found.address = LinkAddr::new(attr.data).unwrap_or_default(),
                IFLA_BROADCAST => found.broadcast = LinkAddr::new(attr.data).unwrap_or_default(),
                IFLA_MTU => found.mtu = attr.u32().unwrap_or(0),
                // A macvlan that has lost its lower interface names itself.
                IFLA_LINK => found.lower = attr.u32().filter(|l| *l != 0 && *l != found.index),
                IFLA_MASTER => found.master = attr.u32().filter(|m| *m != 0),
                IFLA_OPERSTATE => found.operstate = attr.u8().unwrap_or(0),
                IFLA_CARRIER => found.carrier = attr.u8().map(|c| c != 0),
                IFLA_GROUP => found.group = attr.u32().unwrap_or(0),
                IFLA_LINK_NETNSID => {
                    found.lower_netns = attr.u32().map(|n| i32::from_ne_bytes(n.to_ne_bytes()));
                }
                IFLA_AF_SPEC => {
                    if let Some(settings) = DevConf::parse(attr.nested()) {
                        found.settings = settings;
                    }
                }
                IFLA_WIRELESS => found.wireless = true,
                IFLA_LINKINFO => found.kind = kind(attr.nested()),
                _ => {}
            }
        }
        found.name = name?;
        Some(found)
    }

    /// The interface below it, if it is in this network namespace: the one that a macvlan, ipvlan or VLAN stands on.
    pub fn base(&self) -> Option<u32> {
        self.lower.filter(|_| self.lower_netns.is_none())
    }

    /// `IFF_UP` and `IFF_RUNNING` are both set.
    pub const fn is_up(&self) -> bool {
        flags_up(self.flags)
    }
}

/// `IFF_UP` and `IFF_RUNNING` are both set.
pub const fn flags_up(flags: u32) -> bool {
    flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING
}

fn kind(info: Attrs<'_>) -> Kind {
    let mut name = None;
    let mut data = Attrs::new(&[]);
    for attr in info {
        match attr.kind {
            IFLA_INFO_KIND => name = attr.text(),
            IFLA_INFO_DATA => data = attr.nested(),
            _ => {}
        }
    }
    let mut value = |kind| data.find(|a| a.kind == kind);
    match name.as_deref() {
        None => Kind::Physical,
        Some("macvlan") => Kind::Macvlan {
            mode: value(IFLA_MACVLAN_MODE).and_then(|a| a.u32()).unwrap_or(0),
        },
        Some("macvtap") => Kind::Macvtap {
            mode: value(IFLA_MACVLAN_MODE).and_then(|a| a.u32()).unwrap_or(0),
        },
        Some("ipvlan" | "ipvtap") => Kind::Ipvlan {
            mode: value(IFLA_IPVLAN_MODE).and_then(|a| a.u16()).unwrap_or(0),
            // The walk goes on behind the mode.
            flags: value(IFLA_IPVLAN_FLAGS).and_then(|a| a.u16()).unwrap_or(0),
        },
        Some("vlan") => Kind::Vlan {
            id: value(IFLA_VLAN_ID).and_then(|a| a.u16()).unwrap_or(0),
        },
        Some("vrf") => Kind::Vrf {
            table: value(IFLA_VRF_TABLE).and_then(|a| a.u32()).unwrap_or(0),
        },
        Some(other) => Kind::Other(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Batch, Messages};
    use alloc::string::ToString;

    #[test]
    fn a_macvlan_reads_back() {
        let mut batch = Batch::new();
        let mac = MacAddr([0, 0, 0x5e, 0, 1, 51]);
        let new = NewMacvlan {
            mac,
            group: 7,
            master: None,
        };
        push_new_macvlan(&mut batch, "vrrp.51", 4, &new);
        let message = Messages::new(batch.bytes()).next().unwrap();
        let link = Link::parse(message.body).unwrap();
        assert_eq!(&*link.name, "vrrp.51");
        assert_eq!((link.lower, link.address.mac()), (Some(4), Some(mac)));
        assert_eq!(link.kind, Kind::Macvlan { mode: 1 });
        assert_eq!(link.group, 7);
        assert_eq!(link.address.to_string(), "00:00:5e:00:01:33");
        for cut in 0..message.body.len() {
            let _ = Link::parse(&message.body[..cut]);
        }
    }

    #[test]
    fn an_address_longer_than_the_kernels_is_refused() {
        assert_eq!(LinkAddr::new(&[1; 33]), None);
        assert_eq!(LinkAddr::new(&[1; 20]).unwrap().as_bytes(), [1; 20]);
        assert_eq!(LinkAddr::new(&[1; 20]).unwrap().mac(), None);
    }
}
