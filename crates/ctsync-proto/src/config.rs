//! What the engine needs to know; lowered from conntrackd.conf by the daemon.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::filter::Filter;

/// Kind of a dedicated link; only the statistics' wording depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// UDP to a group.
    Multicast,
    /// UDP to one peer.
    Udp,
    /// A TCP connection per direction.
    Tcp,
}

/// A dedicated link between the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkConfig {
    /// Kind.
    pub kind: LinkKind,
    /// Interface name, as statistics and log lines show it.
    pub device: Box<str>,
    /// Bytes that a datagram may hold: the interface's MTU at start minus 28 (UDP, multicast) or 40 (TCP).
    /// A datagram is always shorter than this, never equal.
    pub payload_limit: u16,
}

/// How replicas are kept (conntrackd-behaviour.md section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reliable: sequence numbers, acknowledgements, retransmission.
    Ftfw {
        /// Most messages kept for retransmission.
        resend_queue_size: u32,
        /// Messages received before an acknowledgement is forced.
        ack_window_size: u32,
    },
    /// Best effort.
    Notrack,
    /// Periodic refresh.
    Alarm {
        /// Upper bound of the re-send period, seconds.
        refresh: u32,
        /// Life of an external entry without refresh, seconds.
        cache_timeout: u32,
    },
    /// No replication at all: every flow that ends is told with [`crate::Output::FlowEnded`] (conntrackd-behaviour.md
    /// section 10). Needs no link.
    Stats,
}

/// Settings of the engine. Seconds where a time is meant.
#[derive(Clone, Debug)]
pub struct Config {
    /// Replication mode.
    pub mode: Mode,
    /// Most objects per cache.
    pub hash_limit: u32,
    /// Seed of the cache hashes: random in a daemon, fixed in a test.
    pub hash_seed: u64,
    /// First sequence number: the wall clock's seconds since 1970 (conntrackd-behaviour.md 4.1).
    pub first_sequence: u32,
    /// Timeout given to committed entries; 0 means that each keeps what is left of its own.
    pub commit_timeout: u32,
    /// Delay of the purge request (`-t`).
    pub purge_timeout: u32,
    /// Replicate TCP window scales instead of asking the kernel to be liberal.
    pub tcp_window_tracking: bool,
    /// Replicate expectations.
    pub expectation_sync: bool,
    /// Helpers whose expectations are replicated; empty means all.
    pub expectation_helpers: Vec<Box<str>>,
    /// Send events straight to the peer without a cache.
    pub disable_internal_cache: bool,
    /// Put the peer's entries straight into the kernel.
    pub disable_external_cache: bool,
    /// Ask the peer for everything at start.
    pub startup_resync: bool,
    /// Delay of the table dump after lost kernel events; `None` means never.
    pub overrun_resync: Option<u32>,
    /// Read the kernel's table periodically instead of listening to events.
    pub poll: Option<u32>,
    /// Which flows are replicated.
    pub filter: Filter,
    /// The filter is attached to the event socket: events are not filtered again, dumps are.
    pub filter_in_kernel: bool,
    /// Dedicated links; at least one for replication.
    pub links: Vec<LinkConfig>,
    /// Index of the link used first.
    pub default_link: usize,
    /// Length limit of the TCP error queue; only `-s queue` shows it here.
    pub error_queue_length: u32,
}

/// Why an engine can not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// There is no dedicated link.
    NoLink,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLink => f.write_str("no dedicated link"),
        }
    }
}

impl core::error::Error for ConfigError {}
