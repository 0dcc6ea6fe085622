//! Counters. Their layouts for the operator are in engine/report.rs.

/// Counters of one cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Live entries.
    pub active: u32,
    /// Entries added.
    pub add_ok: u32,
    /// Entries that could not be added.
    pub add_fail: u32,
    /// Of these, because the cache is full.
    pub add_fail_full: u32,
    /// Entries updated.
    pub upd_ok: u32,
    /// Entries destroyed.
    pub del_ok: u32,
}

/// Counters of one dedicated link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Send errors.
    pub send_errors: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// Datagrams received.
    pub received: u64,
    /// Receive errors.
    pub receive_errors: u64,
}

/// Counters of the replication protocol (`-s network`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkCounters {
    /// All refused messages.
    pub malformed: u64,
    /// Wrong protocol version.
    pub bad_version: u32,
    /// Refused by the mode: unknown type, flags that make no sense.
    pub bad_header: u32,
    /// Attributes that could not be read.
    pub bad_payload: u32,
    /// Type beyond the known ones.
    pub bad_type: u32,
    /// End of datagram inside a header.
    pub truncated: u32,
    /// Length field that can not be.
    pub bad_size: u32,
    /// Messages too long to send.
    pub send_malformed: u32,
    /// Messages missing by sequence number. Two more per gap than really lost, as in the original.
    pub lost: u64,
    /// Messages that came too late.
    pub before: u64,
}

/// Counters of the daemon's loop that `-s runtime` shows; the loop keeps them through
/// [`crate::Engine::shell_counters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShellCounters {
    /// Receive buffer of the event socket, bytes.
    pub netlink_buffer: u32,
    /// Child processes that failed.
    pub child_failed: u32,
    /// Of these by a crash.
    pub child_segfault: u32,
    /// Of these by a termination signal.
    pub child_term: u32,
    /// Failures of the wait for events.
    pub select_failed: u32,
    /// Failures of the wait for children.
    pub wait_failed: u32,
    /// Requests that could not be read.
    pub local_read_failed: u32,
    /// Requests that are unknown.
    pub local_unknown: u32,
    /// Buffers that wait for a TCP connection (`-s queue`).
    pub error_queue: u32,
    /// Of these, how many were dropped because there were too many.
    pub error_queue_full: u32,
}

/// Counters of the kernel interface (`-s runtime`) and of destroyed flows' traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct KernelCounters {
    pub(crate) events: u64,
    pub(crate) filtered: u64,
    pub(crate) unknown_type: u32,
    pub(crate) catch_failed: u32,
    pub(crate) dump_unknown_type: u32,
    pub(crate) overrun: u32,
    pub(crate) flushes: u32,
    pub(crate) resyncs: u32,
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
}
