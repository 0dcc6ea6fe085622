//! Interface addresses (`linux/if_addr.h`).
//!
//! ```text
//! +--------+-----------+-------+-------+-------+------------
//! | family | prefixlen | flags | scope | index | attributes
//! |   u8   |    u8     |  u8   |  u8   |  u32  |
//! +--------+-----------+-------+-------+-------+------------
//! ```

use alloc::boxed::Box;
use core::net::{IpAddr, Ipv4Addr};

use net_types::Family;

use crate::framing::{Batch, F_ACK};
use crate::nla::{Attrs, Writer};
use crate::read;

/// `RTM_NEWADDR`
pub const RTM_NEWADDR: u16 = 20;
/// `RTM_DELADDR`
pub const RTM_DELADDR: u16 = 21;
/// `RTM_GETADDR`
pub const RTM_GETADDR: u16 = 22;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_BROADCAST: u16 = 4;
const IFA_CACHEINFO: u16 = 6;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
const HEADER_LEN: usize = 8;

/// `IFA_F_SECONDARY`: another address of the same network came first.
pub const F_SECONDARY: u32 = 0x01;
/// `IFA_F_NODAD`: no duplicate address detection.
pub const F_NODAD: u32 = 0x02;
/// `IFA_F_HOMEADDRESS`
pub const F_HOMEADDRESS: u32 = 0x10;
/// `IFA_F_DEPRECATED`: its preferred lifetime is over.
pub const F_DEPRECATED: u32 = 0x20;
/// `IFA_F_TENTATIVE`: duplicate address detection is not over.
pub const F_TENTATIVE: u32 = 0x40;
/// `IFA_F_PERMANENT`
pub const F_PERMANENT: u32 = 0x80;
/// `IFA_F_MANAGETEMPADDR`
pub const F_MANAGETEMPADDR: u32 = 0x100;
/// `IFA_F_NOPREFIXROUTE`: no route for the prefix.
pub const F_NOPREFIXROUTE: u32 = 0x200;
/// `IFA_F_MCAUTOJOIN`: join the group in the kernel.
pub const F_MCAUTOJOIN: u32 = 0x400;

/// A lifetime that never ends.
pub const FOREVER: u32 = u32::MAX;

/// Lifetimes in seconds; [`FOREVER`] never ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long it is chosen as a source; 0: deprecated at once.
    pub preferred: u32,
    /// How long it exists.
    pub valid: u32,
}

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface.
    pub index: u32,
    /// The machine's own address.
    pub local: IpAddr,
    /// Bits of the network.
    pub prefix_len: u8,
    /// `RT_SCOPE_…`: 0 global, 253 link, 254 host.
    pub scope: u8,
    /// `F_…`
    pub flags: u32,
    /// The other end of a point-to-point link, when it differs from `local`.
    pub peer: Option<IpAddr>,
    /// IPv4 broadcast address.
    pub broadcast: Option<Ipv4Addr>,
    /// IPv4 label; the kernel gives the interface's name when there is none.
    pub label: Option<Box<str>>,
    /// `None`: for ever.
    pub lifetimes: Option<Lifetimes>,
    /// Who added it (`IFA_PROTO`, Linux 5.18): 18 is keepalived.
    pub protocol: Option<u8>,
}

impl Address {
    /// An address with global scope and nothing special.
    pub const fn new(index: u32, local: IpAddr, prefix_len: u8) -> Self {
        Self {
            index,
            local,
            prefix_len,
            scope: 0,
            flags: 0,
            peer: None,
            broadcast: None,
            label: None,
            lifetimes: None,
            protocol: None,
        }
    }

    /// Decodes the body of `RTM_NEWADDR` or `RTM_DELADDR`; `None` for families other than IP and for bodies without address.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let family = family(read::u8(body, 0)?)?;
        let (mut local, mut remote) = (None, None);
        let mut found = Self::new(
            read::u32(body, 4)?,
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            read::u8(body, 1)?,
        );
        found.flags = u32::from(read::u8(body, 2)?);
        found.scope = read::u8(body, 3)?;
        for attr in Attrs::after(body, HEADER_LEN) {
            match attr.kind {
                IFA_LOCAL => local = attr.ip_of(family),
                IFA_ADDRESS => remote = attr.ip_of(family),
                IFA_LABEL => found.label = attr.text(),
                IFA_BROADCAST => {
                    if let Some(IpAddr::V4(broadcast)) = attr.ip() {
                        found.broadcast = Some(broadcast);
                    }
                }
                IFA_FLAGS => found.flags = attr.u32().unwrap_or(found.flags),
                IFA_CACHEINFO => {
                    let times = Lifetimes {
                        preferred: read::u32(attr.data, 0)?,
                        valid: read::u32(attr.data, 4)?,
                    };
                    let endless = times.preferred == FOREVER && times.valid == FOREVER;
                    found.lifetimes = (!endless).then_some(times);
                }
                IFA_PROTO => found.protocol = attr.u8(),
                _ => {}
            }
        }
        // IPv6 without a peer has IFA_ADDRESS only.
        found.local = local.or(remote)?;
        found.peer = remote.filter(|r| *r != found.local);
        Some(found)
    }

    /// Asks the kernel to add the address. An address that is there already gives `EEXIST` (IPv4; the flags neither create
    /// nor replace) or changes its lifetimes.
    pub fn push_add(&self, batch: &mut Batch) {
        batch.push(RTM_NEWADDR, F_ACK, |w| {
            self.header(w);
            let v6 = self.local.is_ipv6();
            if let (true, Some(times)) = (v6, self.lifetimes) {
                let mut info = [0; 16];
                info[..4].copy_from_slice(&times.preferred.to_ne_bytes());
                info[4..8].copy_from_slice(&times.valid.to_ne_bytes());
                w.bytes(IFA_CACHEINFO, &info);
            }
            w.ip(IFA_LOCAL, self.local);
            if let Some(broadcast) = self.broadcast {
                w.bytes(IFA_BROADCAST, &broadcast.octets());
            }
            if self.flags != 0 {
                w.u32(IFA_FLAGS, self.flags);
            }
            if let Some(label) = &self.label {
                w.text(IFA_LABEL, label);
            }
            if let Some(peer) = self.peer {
                w.ip(IFA_ADDRESS, peer);
            }
            if let Some(protocol) = self.protocol {
                w.u8(IFA_PROTO, protocol);
            }
        });
    }

    /// Asks the kernel to remove the address.
    ///
    /// An IPv4 address with a peer is only found with it (`IFA_ADDRESS` must match the network the address was added for).
    pub fn push_delete(&self, batch: &mut Batch) {
        batch.push(RTM_DELADDR, F_ACK, |w| {
            self.header(w);
            w.ip(IFA_LOCAL, self.local);
            if self.local.is_ipv4() {
                w.ip(IFA_ADDRESS, self.peer.unwrap_or(self.local));
            }
        });
    }

    fn header(&self, w: &mut Writer<'_>) {
        w.raw(&[Family::of(&self.local).af(), self.prefix_len, 0, self.scope]);
        w.raw(&self.index.to_ne_bytes());
    }
}

/// IPv4 or IPv6, from Linux's number.
pub(crate) const fn family(af: u8) -> Option<Family> {
    match af {
        2 => Some(Family::V4),
        10 => Some(Family::V6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Messages;

    fn round(address: &Address) -> Address {
        let mut batch = Batch::new();
        address.push_add(&mut batch);
        let message = Messages::new(batch.bytes()).next().unwrap();
        Address::parse(message.body).unwrap()
    }

    #[test]
    fn what_is_added_reads_back() {
        let mut v4 = Address::new(7, "10.0.0.1".parse().unwrap(), 24);
        v4.broadcast = Some("10.0.0.255".parse().unwrap());
        v4.label = Some("eth0:1".into());
        v4.peer = Some("10.0.0.9".parse().unwrap());
        v4.flags = F_NOPREFIXROUTE;
        v4.scope = 253;
        v4.protocol = Some(18);
        assert_eq!(round(&v4), v4);
        let mut v6 = Address::new(7, "2001:db8::1".parse().unwrap(), 64);
        v6.flags = F_NODAD;
        v6.lifetimes = Some(Lifetimes {
            preferred: 0,
            valid: FOREVER,
        });
        assert_eq!(round(&v6), v6);
    }

    #[test]
    fn other_families_and_cuts_are_refused() {
        assert_eq!(Address::parse(&[5, 0, 0, 0, 1, 0, 0, 0]), None);
        let mut batch = Batch::new();
        Address::new(7, "10.0.0.1".parse().unwrap(), 24).push_add(&mut batch);
        let body = Messages::new(batch.bytes()).next().unwrap().body;
        for cut in 0..body.len() {
            assert_eq!(Address::parse(&body[..cut]), None);
        }
    }
}
