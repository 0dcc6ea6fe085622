//! What a conntrackd.conf says, with defaults filled in.

use std::net::IpAddr;
use std::ops::Deref;

use net_types::Family;

/// Where something stands in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From 1
    pub line: u32,
    /// Byte offset in the file
    pub start: u32,
    /// Bytes
    pub len: u32,
}

/// A setting: its value and where it was written; `None` when the value is the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set<T> {
    /// The value that holds.
    pub value: T,
    /// The token it came from.
    pub span: Option<Span>,
}

impl<T> Set<T> {
    pub(super) const fn default_to(value: T) -> Self {
        Self { value, span: None }
    }

    pub(super) const fn at(value: T, span: Span) -> Self {
        Self {
            value,
            span: Some(span),
        }
    }
}

impl<T> Deref for Set<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A whole file.
#[derive(Clone, Debug)]
pub struct Config {
    /// The `General` blocks; present even when the file has none.
    pub general: General,
    /// The `Sync` blocks together: replication.
    pub sync: Option<Sync>,
    /// The `Stats` blocks together: flow logging.
    pub stats: Option<Stats>,
    /// The `Helper` blocks together: connection tracking helpers in user space.
    pub helper: Option<Helper>,
}

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct General {
    /// Buckets of every cache's hash table, at least 1.
    pub hash_size: Set<u32>,
    /// Most objects that a cache takes, at least 1.
    pub hash_limit: Set<u32>,
    /// Log file; `None`: no log file.
    pub log_file: Option<Set<String>>,
    /// Syslog facility; `None`: no syslog.
    pub syslog: Set<Option<Facility>>,
    /// Created exclusively at start, removed at the end.
    pub lock_file: Set<String>,
    /// Path of the control socket, at most 107 bytes; empty when the file has no `UNIX` block with a path.
    pub unix_path: Set<String>,
    /// Receive buffer of the event socket in bytes; 0: the system's default.
    pub netlink_buffer_size: Set<u32>,
    /// Largest size of that buffer in bytes when it is doubled after an overrun.
    pub netlink_buffer_size_max_growth: Set<u32>,
    /// Seconds from an overrun to the re-reading of the kernel's table; `None`: never.
    pub netlink_overrun_resync: Set<Option<u32>>,
    /// Ask the kernel to retry events that did not fit.
    pub netlink_events_reliable: Set<bool>,
    /// Most events taken per wake-up of a socket, at least 1.
    pub event_iteration_limit: Set<u32>,
    /// Re-read the kernel's table with this period in seconds instead of listening to events; at least 1.
    pub poll_secs: Option<Set<u32>>,
    /// Real-time scheduling of the daemon.
    pub scheduler: Scheduler,
    /// Report readiness and liveness to systemd.
    pub systemd: Set<bool>,
    /// Which flows count; `None` when no clause was given.
    pub filter: Option<Filter>,
}

/// Real-time scheduling: the original uses `SCHED_RR` with the highest priority unless told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// `None`: the default, and then the priority is ignored.
    pub policy: Option<Set<SchedPolicy>>,
    /// 0 to 99.
    pub priority: Set<u8>,
}

/// A Linux scheduling policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedPolicy {
    /// `SCHED_RR`
    Rr,
    /// `SCHED_FIFO`
    Fifo,
}

/// A syslog facility.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facility {
    /// `LOG_DAEMON`
    Daemon,
    /// `LOG_LOCAL0` to `LOG_LOCAL7`
    Local(u8),
}

impl Facility {
    /// The number of RFC 3164: 3 for daemon, 16 to 23 for local0 to local7.
    pub const fn number(self) -> u8 {
        match self {
            Self::Daemon => 3,
            Self::Local(n) => 16 + (n & 7),
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        match name.strip_prefix("local") {
            Some(digit) => match digit.as_bytes() {
                [d @ b'0'..=b'7'] => Some(Self::Local(d - b'0')),
                _ => None,
            },
            None => (name == "daemon").then_some(Self::Daemon),
        }
    }
}

/// Which flows are cached, sent, dumped and flushed. Every clause that is given must pass.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Filter events in the kernel too (`From Kernelspace`).
    pub kernelspace: Set<bool>,
    /// Layer-4 protocol numbers.
    pub protocol: FilterList<u8>,
    /// Hosts and networks, compared with the source of both directions.
    pub address: FilterList<FilterAddress>,
    /// TCP states; flows of other protocols always pass.
    pub state: FilterList<TcpState>,
}

/// The list of one filter clause; entries of repeated clauses accumulate, the last word decides.
#[derive(Clone, Debug)]
pub struct FilterList<T> {
    /// `None` when the clause was not given.
    pub policy: Option<FilterPolicy>,
    /// Without repetitions, in the order of the file.
    pub entries: Vec<T>,
}

impl<T> Default for FilterList<T> {
    fn default() -> Self {
        Self {
            policy: None,
            entries: Vec::new(),
        }
    }
}

/// What being on a filter's list means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterPolicy {
    /// Only what is listed passes.
    Accept,
    /// What is listed does not pass.
    Ignore,
}

/// An entry of an address filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterAddress {
    /// As written; host bits may be set.
    pub addr: IpAddr,
    /// Bits, 0 to 32 or 128; a host has all of them.
    pub len: u8,
}

/// TCP states of the kernel's connection tracking, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TcpState {
    /// A SYN was seen.
    SynSent = 1,
    /// SYN and its SYN/ACK were seen.
    SynRecv = 2,
    /// The handshake is complete.
    Established = 3,
    /// A FIN was seen.
    FinWait = 4,
    /// The FIN was acknowledged.
    CloseWait = 5,
    /// A FIN in the other direction too.
    LastAck = 6,
    /// Both are acknowledged.
    TimeWait = 7,
    /// A RST was seen.
    Close = 8,
    /// The kernel's former LISTEN, now a SYN in both directions.
    Listen = 9,
}

/// How replication works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reliable: sequence numbers, acknowledgements, resending
    Ftfw,
    /// Every state again and again at random intervals
    Alarm,
    /// Best effort
    Notrack,
}

/// Replication.
#[derive(Clone, Debug)]
pub struct Sync {
    /// The mode that rules: FTFW before ALARM before NOTRACK when several blocks are given; `None` when there is none.
    pub mode: Option<Set<Mode>>,
    /// ALARM: longest time in seconds until a state is sent again.
    pub refresh_time: Set<u32>,
    /// ALARM: seconds that an external entry lives without news.
    pub cache_timeout: Set<u32>,
    /// Kernel timeout in seconds of committed entries; 0: what the peer said, less its age.
    pub commit_timeout: Set<u32>,
    /// Seconds from the purge request to the flush.
    pub purge_timeout: Set<u32>,
    /// FTFW: most unacknowledged messages.
    pub resend_queue_size: Set<u32>,
    /// FTFW: messages until an acknowledgement is forced.
    pub ack_window_size: Set<u32>,
    /// Put received states straight into the kernel.
    pub disable_external_cache: Set<bool>,
    /// NOTRACK: send events straight to the peer.
    pub disable_internal_cache: Set<bool>,
    /// Ask the peer for everything at start.
    pub startup_resync: Set<bool>,
    /// At most four, all of one kind.
    pub links: Vec<Link>,
    /// Index of the link that sends at first: the last one marked `Default`, else the first.
    pub default_link: usize,
    /// TCP: buffers kept for a peer that is not connected.
    pub error_queue_length: Set<u32>,
    /// Replicate window scales and do not make injected TCP flows liberal.
    pub tcp_window_tracking: Set<bool>,
    /// Replicate expectations.
    pub expectation_sync: Set<bool>,
    /// Only expectations of helpers whose name starts with one of these, in any case; empty: all.
    pub expectation_helpers: Vec<Set<String>>,
}

/// Kind of a dedicated link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// UDP to a multicast group
    Multicast,
    /// UDP to one peer
    Udp,
    /// One TCP connection per direction
    Tcp,
}

impl LinkKind {
    /// The keyword of its block.
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Multicast => "Multicast",
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }
}

/// A dedicated link.
#[derive(Clone, Debug)]
pub struct Link {
    /// Multicast, UDP or TCP.
    pub kind: LinkKind,
    /// The keyword of the block.
    pub span: Span,
    /// The family that the last address option gave; `None` when there was none.
    pub family: Option<Family>,
    /// Multicast: the group. UDP and TCP: the local address to bind.
    pub address: Option<Set<IpAddr>>,
    /// UDP and TCP: the peer.
    pub destination: Option<Set<IpAddr>>,
    /// Multicast over IPv4: local address that selects the interface.
    pub interface_address: Option<Set<IpAddr>>,
    /// The device: its MTU and link state count.
    pub interface: Option<Set<String>>,
    /// UDP or TCP port (`Port`, `Group`); above 65535 the low 16 bits, as the socket call takes them.
    pub port: Set<u32>,
    /// Send buffer in bytes; 0: the system's default.
    pub send_buffer: Set<u32>,
    /// Receive buffer in bytes; 0: the system's default.
    pub receive_buffer: Set<u32>,
    /// UDP checksum of what is sent.
    pub checksum: Set<bool>,
}

/// Flow logging.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// File that gets a line per finished flow.
    pub log_file: Option<Set<String>>,
    /// Syslog for the same; the facility that counts is General's.
    pub syslog: Set<Option<Facility>>,
}

/// Helpers in user space.
#[derive(Clone, Debug, Default)]
pub struct Helper {
    /// Create the kernel's helper objects too.
    pub setup: Set<bool>,
    /// In the order of the file.
    pub instances: Vec<HelperInstance>,
}

/// One `Type` block.
#[derive(Clone, Debug)]
pub struct HelperInstance {
    /// ftp, rpc, …
    pub name: Set<String>,
    /// inet or inet6
    pub family: Family,
    /// 6 or 17
    pub protocol: u8,
    /// Number of its packet queue.
    pub queue_num: u32,
    /// Longest queue; 0: the kernel's default.
    pub queue_len: u32,
    /// Policies that replace built-in ones of the same name.
    pub policies: Vec<HelperPolicy>,
}

/// A `Policy` block; what it leaves out is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HelperPolicy {
    /// At most 16 characters.
    pub name: String,
    /// Most pending expectations.
    pub expect_max: u32,
    /// Their life in seconds.
    pub expect_timeout: u32,
}
