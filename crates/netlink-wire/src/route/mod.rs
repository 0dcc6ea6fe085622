//! Routes (`linux/rtnetlink.h`).
//!
//! ```text
//! +--------+---------+---------+-----+-------+----------+-------+------+-------+------------
//! | family | dst_len | src_len | tos | table | protocol | scope | type | flags | attributes
//! |   u8   |   u8    |   u8    | u8  |  u8   |    u8    |  u8   |  u8  |  u32  |
//! +--------+---------+---------+-----+-------+----------+-------+------+-------+------------
//! ```

mod encap;
mod nexthop;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::{Family, Prefix};

pub use encap::{Encap, IpTunnel};
pub use nexthop::NextHop;

use crate::address::family;
use crate::framing::{Batch, F_ACK, F_APPEND, F_CREATE, F_EXCL, F_REPLACE};
use crate::nla::{Attr, Attrs, Writer};
use crate::read;

/// `RTM_NEWROUTE`
pub const RTM_NEWROUTE: u16 = 24;
/// `RTM_DELROUTE`
pub const RTM_DELROUTE: u16 = 25;
/// `RTM_GETROUTE`
pub const RTM_GETROUTE: u16 = 26;

const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_FLOW: u16 = 11;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTA_PREF: u16 = 20;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_EXPIRES: u16 = 23;
const RTA_TTL_PROPAGATE: u16 = 26;
const RTAX_LOCK: u16 = 1;
const RTAX_CC_ALGO: u16 = 16;
const HEADER_LEN: usize = 12;

/// `RT_TABLE_MAIN`
pub const TABLE_MAIN: u32 = 254;
/// `RTN_UNICAST`: an ordinary route.
pub const TYPE_UNICAST: u8 = 1;
/// `RT_SCOPE_NOWHERE`: any scope, when deleting.
pub const SCOPE_NOWHERE: u8 = 255;
/// `RTPROT_KEEPALIVED`: who added the route, rule or address.
pub const PROTOCOL_KEEPALIVED: u8 = 18;

/// Values of `RTA_METRICS` that are numbers; the discriminant is the kernel's `RTAX_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u16)]
#[expect(
    missing_docs,
    reason = "the names are those of ip-route(8), where they are described"
)]
pub enum Metric {
    Mtu = 2,
    Window = 3,
    Rtt = 4,
    RttVar = 5,
    SsThresh = 6,
    Cwnd = 7,
    AdvMss = 8,
    Reordering = 9,
    HopLimit = 10,
    InitCwnd = 11,
    Features = 12,
    RtoMin = 13,
    InitRwnd = 14,
    QuickAck = 15,
    FastOpenNoCookie = 17,
}

impl Metric {
    const ALL: [Self; 15] = [
        Self::Mtu,
        Self::Window,
        Self::Rtt,
        Self::RttVar,
        Self::SsThresh,
        Self::Cwnd,
        Self::AdvMss,
        Self::Reordering,
        Self::HopLimit,
        Self::InitCwnd,
        Self::Features,
        Self::RtoMin,
        Self::InitRwnd,
        Self::QuickAck,
        Self::FastOpenNoCookie,
    ];

    fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|m| *m as u16 == number)
    }
}

/// What to do when the route is there already, or one with the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddMode {
    /// Before the others with the same key (`ip route prepend`).
    #[default]
    Prepend,
    /// Refuse with `EEXIST` (`ip route add`).
    Exclusive,
    /// Behind the others (`ip route append`).
    Append,
    /// Instead of the first one (`ip route replace`).
    Replace,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Family of destination and table.
    pub family: Family,
    /// Destination; `None`: everything.
    pub destination: Option<Prefix>,
    /// Source network the route is for; `None`: any.
    pub source: Option<Prefix>,
    /// Type of service.
    pub tos: u8,
    /// Table, [`TABLE_MAIN`] unless told otherwise.
    pub table: u32,
    /// Who added it.
    pub protocol: u8,
    /// `RT_SCOPE_…`; `None`: universe when adding, any when deleting.
    pub scope: Option<u8>,
    /// `RTN_…`; `None`: unicast when adding, any when deleting.
    pub kind: Option<u8>,
    /// `RTNH_F_…`
    pub flags: u32,
    /// Source address of packets that this machine sends over it.
    pub preferred_source: Option<IpAddr>,
    /// Next router; may be of the other family.
    pub gateway: Option<IpAddr>,
    /// Tunnel without device.
    pub encap: Option<Encap>,
    /// Outgoing interface.
    pub interface: Option<u32>,
    /// Priority (`metric`).
    pub metric: Option<u32>,
    /// Realms: source in the upper half, destination in the lower; 0 for none.
    pub realms: u32,
    /// Seconds until the kernel drops it.
    pub expires: Option<u32>,
    /// Router preference (RFC 4191), IPv6.
    pub preference: Option<u8>,
    /// Whether the TTL is copied at an MPLS border.
    pub ttl_propagate: Option<u8>,
    /// Congestion control algorithm.
    pub congestion_control: Option<Box<str>>,
    /// Values for the transport.
    pub metrics: Vec<(Metric, u32)>,
    /// Which metrics are fixed: bit `n` for `RTAX_n`.
    pub locked: u32,
    /// Several ways.
    pub nexthops: Vec<NextHop>,
}

impl Route {
    /// A route with nothing but its family, in the main table.
    pub const fn new(family: Family) -> Self {
        Self {
            family,
            destination: None,
            source: None,
            tos: 0,
            table: TABLE_MAIN,
            protocol: PROTOCOL_KEEPALIVED,
            scope: None,
            kind: None,
            flags: 0,
            preferred_source: None,
            gateway: None,
            encap: None,
            interface: None,
            metric: None,
            realms: 0,
            expires: None,
            preference: None,
            ttl_propagate: None,
            congestion_control: None,
            metrics: Vec::new(),
            locked: 0,
            nexthops: Vec::new(),
        }
    }

    /// Decodes the body of `RTM_NEWROUTE` or `RTM_DELROUTE`; `None` for families other than IP.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let family = family(read::u8(body, 0)?)?;
        let mut found = Self::new(family);
        let (dst_len, src_len) = (read::u8(body, 1)?, read::u8(body, 2)?);
        found.tos = read::u8(body, 3)?;
        found.table = u32::from(read::u8(body, 4)?);
        found.protocol = read::u8(body, 5)?;
        found.scope = Some(read::u8(body, 6)?);
        found.kind = Some(read::u8(body, 7)?);
        found.flags = read::u32(body, 8)?;
        let prefix = |attr: Attr<'_>, len| Prefix::new(attr.ip_of(family)?, len);
        let mut encap = None;
        let mut encap_kind = 0;
        for attr in Attrs::after(body, HEADER_LEN) {
            match attr.kind {
                RTA_DST => found.destination = prefix(attr, dst_len),
                RTA_SRC => found.source = prefix(attr, src_len),
                RTA_OIF => found.interface = attr.u32(),
                RTA_GATEWAY => found.gateway = attr.ip_of(family),
                RTA_VIA => found.gateway = via(attr),
                RTA_PRIORITY => found.metric = attr.u32(),
                RTA_PREFSRC => found.preferred_source = attr.ip_of(family),
                RTA_METRICS => found.read_metrics(attr.nested()),
                RTA_MULTIPATH => found.nexthops = NextHop::parse_all(attr.data, family),
                RTA_FLOW => found.realms = attr.u32().unwrap_or(0),
                RTA_TABLE => found.table = attr.u32().unwrap_or(found.table),
                RTA_PREF => found.preference = attr.u8(),
                RTA_ENCAP => encap = Some(attr.nested()),
                RTA_ENCAP_TYPE => encap_kind = attr.u16().unwrap_or(0),
                RTA_EXPIRES => found.expires = attr.u32(),
                RTA_TTL_PROPAGATE => found.ttl_propagate = attr.u8(),
                _ => {}
            }
        }
        found.encap = encap.and_then(|e| Encap::parse(encap_kind, e));
        Some(found)
    }

    fn read_metrics(&mut self, attrs: Attrs<'_>) {
        for attr in attrs {
            match (attr.kind, attr.u32()) {
                (RTAX_CC_ALGO, _) => self.congestion_control = attr.text(),
                (RTAX_LOCK, Some(bits)) => self.locked = bits,
                (number, Some(value)) => self
                    .metrics
                    .extend(Metric::from_number(number).map(|m| (m, value))),
                (_, None) => {}
            }
        }
    }

    /// Asks the kernel to add the route.
    pub fn push_add(&self, batch: &mut Batch, mode: AddMode) {
        let flags = match mode {
            AddMode::Prepend => F_CREATE,
            AddMode::Exclusive => F_CREATE | F_EXCL,
            AddMode::Append => F_CREATE | F_APPEND,
            AddMode::Replace => F_CREATE | F_REPLACE,
        };
        batch.push(RTM_NEWROUTE, F_ACK | flags, |w| {
            self.body(
                w,
                self.scope.unwrap_or(0),
                self.kind.unwrap_or(TYPE_UNICAST),
            );
        });
    }

    /// Asks the kernel to remove the route; what is `None` matches anything.
    pub fn push_delete(&self, batch: &mut Batch) {
        batch.push(RTM_DELROUTE, F_ACK, |w| {
            self.body(
                w,
                self.scope.unwrap_or(SCOPE_NOWHERE),
                self.kind.unwrap_or(0),
            );
        });
    }

    fn body(&self, w: &mut Writer<'_>, scope: u8, kind: u8) {
        let len = |p: Option<Prefix>| p.map_or(0, |p| p.len);
        let short = u8::try_from(self.table).ok();
        w.raw(&[
            self.family.af(),
            len(self.destination),
            len(self.source),
            self.tos,
        ]);
        w.raw(&[short.unwrap_or(0), self.protocol, scope, kind]);
        w.raw(&self.flags.to_ne_bytes());
        if short.is_none() {
            w.u32(RTA_TABLE, self.table);
        }
        for (attr, prefix) in [(RTA_DST, self.destination), (RTA_SRC, self.source)] {
            if let Some(prefix) = prefix {
                w.ip(attr, prefix.addr);
            }
        }
        if let Some(source) = self.preferred_source {
            w.ip(RTA_PREFSRC, source);
        }
        put_gateway(w, self.family, self.gateway);
        if let Some(encap) = &self.encap {
            encap.put(w);
        }
        let numbers = [
            (RTA_OIF, self.interface),
            (RTA_PRIORITY, self.metric),
            (RTA_FLOW, (self.realms != 0).then_some(self.realms)),
            (RTA_EXPIRES, self.expires),
        ];
        for (attr, value) in numbers {
            if let Some(value) = value {
                w.u32(attr, value);
            }
        }
        for (attr, value) in [
            (RTA_PREF, self.preference),
            (RTA_TTL_PROPAGATE, self.ttl_propagate),
        ] {
            if let Some(value) = value {
                w.u8(attr, value);
            }
        }
        if !self.metrics.is_empty() || self.congestion_control.is_some() {
            w.nest(RTA_METRICS, |w| self.put_metrics(w));
        }
        if !self.nexthops.is_empty() {
            w.nest(RTA_MULTIPATH, |w| {
                self.nexthops.iter().for_each(|n| n.put(w, self.family))
            });
        }
    }

    fn put_metrics(&self, w: &mut Writer<'_>) {
        if let Some(name) = &self.congestion_control {
            w.bytes(RTAX_CC_ALGO, name.as_bytes());
        }
        for (metric, value) in &self.metrics {
            w.u32(*metric as u16, *value);
        }
        if self.locked != 0 {
            w.u32(RTAX_LOCK, self.locked);
        }
    }
}

/// `RTA_GATEWAY` for the route's own family, else `RTA_VIA`, which carries the family.
fn put_gateway(w: &mut Writer<'_>, family: Family, gateway: Option<IpAddr>) {
    match gateway {
        Some(gateway) if Family::of(&gateway) == family => w.ip(RTA_GATEWAY, gateway),
        Some(gateway) => {
            let mut bytes = Vec::with_capacity(18);
            bytes.extend_from_slice(&u16::from(Family::of(&gateway).af()).to_ne_bytes());
            match gateway {
                IpAddr::V4(a) => bytes.extend_from_slice(&a.octets()),
                IpAddr::V6(a) => bytes.extend_from_slice(&a.octets()),
            }
            w.bytes(RTA_VIA, &bytes);
        }
        None => {}
    }
}

/// A gateway with its family before it.
fn via(attr: Attr<'_>) -> Option<IpAddr> {
    let family = family(u8::try_from(attr.u16()?).ok()?)?;
    crate::nla::ip(attr.data, 2, family)
}

#[cfg(test)]
mod tests;
