//! BFD sessions: `bfd_instance`.

use core::net::IpAddr;

use crate::span::{Span, Spanned};

/// Longest name in bytes.
pub const NAME_MAX: usize = 31;
/// Control packets over one hop (RFC 5881).
pub const PORT: u16 = 3784;
/// Control packets over several hops (RFC 5883).
pub const PORT_MULTIHOP: u16 = 4784;

/// One `bfd_instance` as the BFD process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdInstance {
    /// Its name.
    pub name: Spanned<Box<str>>,
    /// Where the block starts.
    pub span: Span,
    /// `neighbor_ip`; always set after the block.
    pub neighbor: Option<IpAddr>,
    /// `source_ip`
    pub source: Option<IpAddr>,
    /// `min_rx` in microseconds.
    pub min_rx: u32,
    /// `min_tx` in microseconds.
    pub min_tx: u32,
    /// `idle_tx` in microseconds.
    pub idle_tx: u32,
    /// `multiplier`
    pub multiplier: u8,
    /// `passive`
    pub passive: bool,
    /// `ttl`/`hoplimit`; 0 until the block ends, then 255 for IPv4 and 64 for IPv6.
    pub ttl: u8,
    /// `max_hops`; 255 (in the text also -1) for no check. Never above the TTL.
    pub max_hops: u8,
    /// `multihop`
    pub multihop: bool,
    /// Events go to the VRRP process.
    pub vrrp: bool,
    /// Events go to the checker process.
    pub checker: bool,
}

impl BfdInstance {
    /// An instance with the original's defaults.
    pub fn new(name: Spanned<Box<str>>, span: Span) -> Self {
        Self {
            name,
            span,
            neighbor: None,
            source: None,
            min_rx: 10_000,
            min_tx: 10_000,
            idle_tx: 1_000_000,
            multiplier: 5,
            passive: false,
            ttl: 0,
            max_hops: 0,
            multihop: false,
            vrrp: false,
            checker: false,
        }
    }

    /// Port of the neighbour's control packets.
    pub const fn port(&self) -> u16 {
        if self.multihop { PORT_MULTIHOP } else { PORT }
    }
}

/// A `bfd_instance` as the VRRP process sees it: something to track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedBfd {
    /// Its name.
    pub name: Spanned<Box<str>>,
    /// `weight`, -253 to 253.
    pub weight: i16,
    /// `weight N reverse`
    pub reverse: bool,
}

/// The BFD sessions: in the BFD process with all options, in the VRRP process as something to track.
#[derive(Clone, Debug, Default)]
pub struct BfdModel {
    /// Sessions (BFD process).
    pub instances: Vec<BfdInstance>,
    /// Sessions that send events to VRRP (VRRP process).
    pub tracked: Vec<TrackedBfd>,
}
