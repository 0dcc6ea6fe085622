//! The ways of a multipath route (`struct rtnexthop`): a header of eight bytes, then attributes.

use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::Family;

use super::{Encap, RTA_ENCAP, RTA_ENCAP_TYPE, RTA_FLOW, RTA_GATEWAY, RTA_VIA, put_gateway, via};
use crate::nla::{Attrs, Writer};
use crate::read;

const HEADER_LEN: usize = 8;

/// One way of a multipath route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// Next router; may be of the other family.
    pub gateway: Option<IpAddr>,
    /// Outgoing interface; 0: found by the gateway.
    pub interface: u32,
    /// Weight less one.
    pub hops: u8,
    /// `RTNH_F_…`
    pub flags: u8,
    /// Realms; 0 for none.
    pub realms: u32,
    /// Tunnel without device.
    pub encap: Option<Encap>,
}

impl NextHop {
    pub(super) fn parse_all(mut bytes: &[u8], family: Family) -> Vec<Self> {
        let mut found = Vec::new();
        while let Some(hop) = Self::parse(bytes, family) {
            found.push(hop);
            let len = read::u16(bytes, 0).map_or(usize::MAX, usize::from);
            bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        found
    }

    fn parse(bytes: &[u8], family: Family) -> Option<Self> {
        let len = usize::from(read::u16(bytes, 0)?);
        let attrs = Attrs::new(bytes.get(HEADER_LEN..len)?);
        let mut found = Self {
            gateway: None,
            interface: read::u32(bytes, 4)?,
            hops: read::u8(bytes, 3)?,
            flags: read::u8(bytes, 2)?,
            realms: 0,
            encap: None,
        };
        let (mut encap, mut encap_kind) = (None, 0);
        for attr in attrs {
            match attr.kind {
                RTA_GATEWAY => found.gateway = attr.ip_of(family),
                RTA_VIA => found.gateway = via(attr),
                RTA_FLOW => found.realms = attr.u32().unwrap_or(0),
                RTA_ENCAP => encap = Some(attr.nested()),
                RTA_ENCAP_TYPE => encap_kind = attr.u16().unwrap_or(0),
                _ => {}
            }
        }
        found.encap = encap.and_then(|e| Encap::parse(encap_kind, e));
        Some(found)
    }

    pub(super) fn put(&self, w: &mut Writer<'_>, family: Family) {
        let start = w.mark();
        w.raw(&[0, 0, self.flags, self.hops]);
        w.raw(&self.interface.to_ne_bytes());
        put_gateway(w, family, self.gateway);
        if self.realms != 0 {
            w.u32(RTA_FLOW, self.realms);
        }
        if let Some(encap) = &self.encap {
            encap.put(w);
        }
        w.close(start);
    }
}
