//! What can happen.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::config::{SessionConfig, SessionId};

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The sockets that receive are open: sessions begin. Once.
    Start,
    /// A datagram.
    Packet(Received<'a>),
    /// The answer to [`crate::Output::Open`]: whether the session can send.
    Opened(SessionId, bool),
    /// A new configuration. Sessions of the same name go on.
    Reconfigure(Box<Vec<SessionConfig>>),
    /// Somebody who follows the sessions has come anew: every state is told once more.
    Repeat,
}

/// A datagram with what the kernel says of it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its octets.
    pub bytes: &'a [u8],
    /// Where it came from; IPv4 as IPv4.
    pub source: SocketAddr,
    /// Where it went to, if the kernel says so.
    pub destination: Option<IpAddr>,
    /// Its hop limit, if the kernel says so.
    pub hop_limit: Option<u8>,
    /// It came to the port for several hops.
    pub multihop: bool,
}
