//! Light-weight tunnels of routes (`linux/lwtunnel.h`, `linux/mpls_iptunnel.h`, `linux/ila.h`).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{RTA_ENCAP, RTA_ENCAP_TYPE};
use crate::nla::{Attrs, Writer};

const MPLS: u16 = 1;
const IP: u16 = 2;
const ILA: u16 = 3;
const IP6: u16 = 4;
const MPLS_DST: u16 = 1;
const ILA_LOCATOR: u16 = 1;
const TUNNEL_ID: u16 = 1;
const TUNNEL_DST: u16 = 2;
const TUNNEL_SRC: u16 = 3;
const TUNNEL_TTL: u16 = 4;
const TUNNEL_TOS: u16 = 5;
const TUNNEL_FLAGS: u16 = 6;

/// How packets of a route are wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encap {
    /// Label stack entries as they stand in the packet, the last with the bottom bit.
    Mpls(Vec<u32>),
    /// IPv4 tunnel.
    Ip(IpTunnel<Ipv4Addr>),
    /// Identifier locator addressing: the locator.
    Ila(u64),
    /// IPv6 tunnel.
    Ip6(IpTunnel<Ipv6Addr>),
}

/// Outer header of a tunnel; what is `None` is left to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpTunnel<A> {
    /// Tunnel identifier.
    pub id: Option<u64>,
    /// Outer destination.
    pub destination: Option<A>,
    /// Outer source.
    pub source: Option<A>,
    /// Type of service or traffic class.
    pub tos: Option<u8>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// `TUNNEL_…` flags.
    pub flags: Option<u16>,
}

impl<A> Default for IpTunnel<A> {
    fn default() -> Self {
        Self {
            id: None,
            destination: None,
            source: None,
            tos: None,
            ttl: None,
            flags: None,
        }
    }
}

impl Encap {
    /// `None` for kinds that are not known here.
    pub(super) fn parse(kind: u16, mut attrs: Attrs<'_>) -> Option<Self> {
        match kind {
            MPLS => {
                let labels = attrs.find(|a| a.kind == MPLS_DST)?.data;
                let entry = |c: &[u8]| c.try_into().ok().map(u32::from_be_bytes);
                Some(Self::Mpls(
                    labels.chunks_exact(4).filter_map(entry).collect(),
                ))
            }
            IP => Some(Self::Ip(IpTunnel::parse(attrs, |ip| match ip {
                IpAddr::V4(a) => Some(a),
                IpAddr::V6(_) => None,
            }))),
            ILA => attrs
                .find(|a| a.kind == ILA_LOCATOR)?
                .u64_be()
                .map(Self::Ila),
            IP6 => Some(Self::Ip6(IpTunnel::parse(attrs, |ip| match ip {
                IpAddr::V4(_) => None,
                IpAddr::V6(a) => Some(a),
            }))),
            _ => None,
        }
    }

    pub(super) fn put(&self, w: &mut Writer<'_>) {
        let kind = match self {
            Self::Mpls(_) => MPLS,
            Self::Ip(_) => IP,
            Self::Ila(_) => ILA,
            Self::Ip6(_) => IP6,
        };
        w.nest(RTA_ENCAP, |w| match self {
            Self::Mpls(labels) => {
                let bytes: Vec<u8> = labels.iter().flat_map(|l| l.to_be_bytes()).collect();
                w.bytes(MPLS_DST, &bytes);
            }
            Self::Ip(tunnel) => tunnel.put(w),
            Self::Ila(locator) => w.u64_be(ILA_LOCATOR, *locator),
            Self::Ip6(tunnel) => tunnel.put(w),
        });
        w.u16(RTA_ENCAP_TYPE, kind);
    }
}

impl<A: Copy + Into<IpAddr>> IpTunnel<A> {
    fn parse(attrs: Attrs<'_>, address: impl Fn(IpAddr) -> Option<A>) -> Self {
        let mut found = Self::default();
        for attr in attrs {
            match attr.kind {
                TUNNEL_ID => found.id = attr.u64_be(),
                TUNNEL_DST => found.destination = attr.ip().and_then(&address),
                TUNNEL_SRC => found.source = attr.ip().and_then(&address),
                TUNNEL_TTL => found.ttl = attr.u8(),
                TUNNEL_TOS => found.tos = attr.u8(),
                TUNNEL_FLAGS => found.flags = attr.u16(),
                _ => {}
            }
        }
        found
    }

    fn put(&self, w: &mut Writer<'_>) {
        if let Some(id) = self.id {
            w.u64_be(TUNNEL_ID, id);
        }
        for (attr, address) in [(TUNNEL_DST, self.destination), (TUNNEL_SRC, self.source)] {
            if let Some(address) = address {
                w.ip(attr, address.into());
            }
        }
        for (attr, value) in [(TUNNEL_TOS, self.tos), (TUNNEL_TTL, self.ttl)] {
            if let Some(value) = value {
                w.u8(attr, value);
            }
        }
        if let Some(flags) = self.flags {
            w.u16(TUNNEL_FLAGS, flags);
        }
    }
}
