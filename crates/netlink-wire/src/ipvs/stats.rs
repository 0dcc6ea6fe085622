//! Traffic of services and real servers.

use crate::nla::Attr;

/// Counters since the start, and rates of the last seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Connections.
    pub connections: u64,
    /// Packets in.
    pub in_packets: u64,
    /// Packets out; 0 but for masquerading.
    pub out_packets: u64,
    /// Bytes in.
    pub in_bytes: u64,
    /// Bytes out.
    pub out_bytes: u64,
    /// Connections per second.
    pub connection_rate: u64,
    /// Packets in per second.
    pub in_packet_rate: u64,
    /// Packets out per second.
    pub out_packet_rate: u64,
    /// Bytes in per second.
    pub in_byte_rate: u64,
    /// Bytes out per second.
    pub out_byte_rate: u64,
}

/// The 64-bit attribute if there is one (Linux 4.1), else the older one, whose numbers are 32 bits long but for bytes.
pub(super) fn of(wide: Option<Attr<'_>>, narrow: Option<Attr<'_>>) -> Stats {
    let mut stats = Stats::default();
    let Some(attr) = wide.or(narrow) else {
        return stats;
    };
    for attr in attr.nested() {
        let Some(value) = attr.u64().or_else(|| attr.u32().map(u64::from)) else {
            continue;
        };
        let place = match attr.kind {
            1 => &mut stats.connections,
            2 => &mut stats.in_packets,
            3 => &mut stats.out_packets,
            4 => &mut stats.in_bytes,
            5 => &mut stats.out_bytes,
            6 => &mut stats.connection_rate,
            7 => &mut stats.in_packet_rate,
            8 => &mut stats.out_packet_rate,
            9 => &mut stats.in_byte_rate,
            10 => &mut stats.out_byte_rate,
            _ => continue,
        };
        *place = value;
    }
    stats
}
