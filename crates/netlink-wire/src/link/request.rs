//! Requests about interfaces. Attributes and their order are those of keepalived 2.3.3.

use net_types::MacAddr;

use super::devconf::{self, Setting};
use super::{
    IFF_UP, IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_GROUP, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND,
    IFLA_IPVLAN_FLAGS, IFLA_IPVLAN_MODE, IFLA_LINK, IFLA_LINKINFO, IFLA_MACVLAN_MODE, IFLA_MASTER,
    MACVLAN_MODE_PRIVATE, RTM_DELLINK, RTM_NEWLINK,
};
use crate::framing::{Batch, F_ACK, F_CREATE, F_EXCL};
use crate::nla::Writer;

const AF_INET: u8 = 2;
const AF_INET6: u16 = 10;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;

fn header(w: &mut Writer<'_>, family: u8, index: u32, flags: u32, change: u32) {
    w.raw(&[family, 0, 0, 0]);
    w.raw(&index.to_ne_bytes());
    w.raw(&flags.to_ne_bytes());
    w.raw(&change.to_ne_bytes());
}

/// What a macvlan in private mode is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewMacvlan {
    /// Its address.
    pub mac: MacAddr,
    /// Its interface group.
    pub group: u32,
    /// The VRF that it belongs to.
    pub master: Option<u32>,
}

fn macvlan_info(w: &mut Writer<'_>) {
    w.nest(IFLA_LINKINFO, |w| {
        w.bytes(IFLA_INFO_KIND, b"macvlan");
        w.nest(IFLA_INFO_DATA, |w| {
            w.u32(IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
        });
    });
}

/// Asks for a macvlan in private mode over `lower`; it starts down. Refused with `EEXIST` when the name is taken.
pub fn push_new_macvlan(batch: &mut Batch, name: &str, lower: u32, new: &NewMacvlan) {
    batch.push(RTM_NEWLINK, F_ACK | F_CREATE | F_EXCL, |w| {
        header(w, 0, 0, 0, 0);
        macvlan_info(w);
        w.u32(IFLA_LINK, lower);
        w.bytes(IFLA_IFNAME, name.as_bytes());
        w.u32(IFLA_GROUP, new.group);
        w.bytes(IFLA_ADDRESS, &new.mac.0);
        if let Some(master) = new.master {
            w.u32(IFLA_MASTER, master);
        }
    });
}

/// Asks to make the macvlan that is there like `new`.
pub fn push_update_macvlan(batch: &mut Batch, index: u32, new: &NewMacvlan) {
    batch.push(RTM_NEWLINK, F_ACK, |w| {
        header(w, 0, index, 0, 0);
        macvlan_info(w);
        w.u32(IFLA_GROUP, new.group);
        w.bytes(IFLA_ADDRESS, &new.mac.0);
        w.u32(IFLA_MASTER, new.master.unwrap_or(0));
    });
}

/// Asks for an ipvlan in layer 2 mode over `lower`, up at once. `flags`: `IPVLAN_F_…`.
pub fn push_new_ipvlan(
    batch: &mut Batch,
    name: &str,
    lower: u32,
    group: u32,
    flags: u16,
    master: Option<u32>,
) {
    const IPVLAN_MODE_L2: u16 = 0;
    batch.push(RTM_NEWLINK, F_ACK | F_CREATE | F_EXCL, |w| {
        header(w, 0, 0, IFF_UP, IFF_UP);
        w.u32(IFLA_LINK, lower);
        w.bytes(IFLA_IFNAME, name.as_bytes());
        w.u32(IFLA_GROUP, group);
        w.nest(IFLA_LINKINFO, |w| {
            w.bytes(IFLA_INFO_KIND, b"ipvlan");
            w.nest(IFLA_INFO_DATA, |w| {
                w.u16(IFLA_IPVLAN_MODE, IPVLAN_MODE_L2);
                w.u16(IFLA_IPVLAN_FLAGS, flags);
            });
        });
        if let Some(master) = master {
            w.u32(IFLA_MASTER, master);
        }
    });
}

/// Asks for a veth pair (test laboratories).
pub fn push_new_veth(batch: &mut Batch, name: &str, peer: &str) {
    const VETH_INFO_PEER: u16 = 1;
    batch.push(RTM_NEWLINK, F_ACK | F_CREATE | F_EXCL, |w| {
        header(w, 0, 0, 0, 0);
        w.text(IFLA_IFNAME, name);
        w.nest(IFLA_LINKINFO, |w| {
            w.text(IFLA_INFO_KIND, "veth");
            w.nest(IFLA_INFO_DATA, |w| {
                w.nest(VETH_INFO_PEER, |w| {
                    header(w, 0, 0, 0, 0);
                    w.text(IFLA_IFNAME, peer);
                });
            });
        });
    });
}

/// Asks for an interface of a kind that needs no data (`dummy`, `bridge`).
pub fn push_new_simple(batch: &mut Batch, name: &str, kind: &str) {
    batch.push(RTM_NEWLINK, F_ACK | F_CREATE | F_EXCL, |w| {
        header(w, 0, 0, 0, 0);
        w.text(IFLA_IFNAME, name);
        w.nest(IFLA_LINKINFO, |w| w.text(IFLA_INFO_KIND, kind));
    });
}

/// Asks to remove the interface.
pub fn push_delete(batch: &mut Batch, index: u32) {
    batch.push(RTM_DELLINK, F_ACK, |w| header(w, AF_INET, index, 0, 0));
}

/// Asks to set the interface up or down.
pub fn push_set_up(batch: &mut Batch, index: u32, up: bool) {
    let flags = if up { IFF_UP } else { 0 };
    batch.push(RTM_NEWLINK, F_ACK, |w| header(w, 0, index, flags, IFF_UP));
}

/// Asks to put the interface under a bridge or VRF, or (0) under none.
pub fn push_set_master(batch: &mut Batch, index: u32, master: u32) {
    batch.push(RTM_NEWLINK, F_ACK, |w| {
        header(w, AF_INET, index, 0, 0);
        w.u32(IFLA_MASTER, master);
    });
}

/// Asks to put the interface into a group. The kernel tells everybody, even if it was there already.
pub fn push_set_group(batch: &mut Batch, index: u32, group: u32) {
    batch.push(RTM_NEWLINK, F_ACK, |w| {
        header(w, 0, index, 0, 0);
        w.u32(IFLA_GROUP, group);
    });
}

/// Asks the kernel not to give the interface an IPv6 link-local address of its own (`IN6_ADDR_GEN_MODE_NONE`).
pub fn push_no_link_local(batch: &mut Batch, index: u32) {
    const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
    batch.push(RTM_NEWLINK, F_ACK, |w| {
        header(w, 0, index, 0, 0);
        w.nest(IFLA_AF_SPEC, |w| {
            w.nest(AF_INET6, |w| {
                w.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE)
            });
        });
    });
}

/// Asks to change IPv4 settings of the interface.
pub fn push_settings(batch: &mut Batch, index: u32, settings: &[(Setting, u32)]) {
    batch.push(RTM_NEWLINK, F_ACK, |w| {
        header(w, 0, index, 0, 0);
        w.nest(IFLA_AF_SPEC, |w| devconf::write(w, settings));
    });
}
