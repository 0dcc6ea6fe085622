//! What the engine is told of each session.

use alloc::boxed::Box;
use core::net::IpAddr;

/// Position of a session in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u16);

impl SessionId {
    /// As an index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// `max_hops` that switches the check of the hop limit off.
pub const ANY_HOPS: u8 = 255;

/// One session. All intervals in microseconds, as on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Its name: sessions are the same over a reload if their names are.
    pub name: Box<str>,
    /// The other side.
    pub neighbor: IpAddr,
    /// Our address; without it any address is ours.
    pub source: Option<IpAddr>,
    /// bfd.RequiredMinRxInterval
    pub min_rx: u32,
    /// bfd.DesiredMinTxInterval while Up.
    pub min_tx: u32,
    /// bfd.DesiredMinTxInterval while not Up, one second and more (RFC 5880 6.8.3).
    pub idle_tx: u32,
    /// bfd.DetectMult, 1 and more.
    pub multiplier: u8,
    /// Says nothing before the other side does (RFC 5880 6.1).
    pub passive: bool,
    /// Hop limit that the other side sends with.
    pub ttl: u8,
    /// So many hops fewer are accepted; [`ANY_HOPS`] for no check (RFC 5881 5).
    pub max_hops: u8,
    /// Over several hops: packets come to another port (RFC 5883).
    pub multihop: bool,
}
