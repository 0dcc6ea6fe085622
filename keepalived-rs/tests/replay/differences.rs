//! What differs from the recordings on purpose, or can not be played.

/// In what a part differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Differs {
    /// Adverts: which, or when.
    Sent,
    /// Gratuitous ARP and unsolicited NA.
    Announced,
    /// Log lines of the instances.
    Log,
    /// Lines of the notify FIFO.
    Fifo,
    /// Statistics.
    Stats,
    /// BFD packets and the lines about them.
    Bfd,
    /// What the BFD process shows of its sessions.
    Dump,
    /// Something besides adverts happened to the node that the recording does not tell.
    NotPlayed,
}

pub(crate) struct Row {
    /// `RECORDING NODE`
    pub(crate) part: &'static str,
    pub(crate) differs: &'static [Differs],
}

/// Seeds of the jitter with which the BFD process sends in the recorded order, where few do.
const SEEDS: &[(&str, u64)] = &[("410-bfd-reload-timers-and-removal b", 154)];

/// The seed for a part.
pub(crate) fn seed(part: &str) -> u64 {
    let found = SEEDS.iter().find(|(p, _)| *p == part);
    found.map_or(1, |(_, seed)| *seed)
}

pub(crate) const NOTHING: &[Differs] = &[];

/// The original restarts a master's advert timer with each packet that it refuses; ours keeps its rhythm.
const REFUSES: &[Differs] = &[Differs::Sent];
/// The same, and the number of adverts sent when the statistics were written.
const REFUSES_COUNTED: &[Differs] = &[Differs::Sent, Differs::Stats];

const fn row(part: &'static str, differs: &'static [Differs]) -> Row {
    Row { part, differs }
}

#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("111-hmac-none-to-enforce a", REFUSES),
    row("111-hmac-none-to-enforce b", REFUSES_COUNTED),
    row("114-hmac-receive-only-to-enforce a", REFUSES),
    row("114-hmac-receive-only-to-enforce b", REFUSES),
    row("118-hmac-wrong-key-enforce a", REFUSES),
    row("118-hmac-wrong-key-enforce b", REFUSES_COUNTED),
    row("119-hmac-wrong-key-permissive a", REFUSES_COUNTED),
    row("119-hmac-wrong-key-permissive b", REFUSES),
    row("120-hmac-wrong-key-receive-only a", REFUSES),
    row("120-hmac-wrong-key-receive-only b", REFUSES),
    row("121-hmac-signed-to-unconfigured-2.4.3 a", REFUSES),
    row("121-hmac-signed-to-unconfigured-2.4.3 b", REFUSES_COUNTED),
    row("122-hmac-signed-to-unconfigured-2.3.3 a", REFUSES),
    row("122-hmac-signed-to-unconfigured-2.3.3 b", REFUSES),
    row("123-hmac-v2-signed-to-unconfigured a", REFUSES_COUNTED),
    row("123-hmac-v2-signed-to-unconfigured b", REFUSES),
    row("126-hmac-rotation-and-unknown-key b", REFUSES),
    row("131-hmac-replay-time b", REFUSES),
    row("133-hmac-replay-v2-unicast b", REFUSES),
    row("134-hmac-replay-v3-ip6 b", REFUSES),
    row("135-hmac-crafted b", REFUSES_COUNTED),
    row("304-v2-pass-mismatch a", REFUSES),
    row("304-v2-pass-mismatch b", REFUSES_COUNTED),
    row("305-v2-ah-mismatch a", REFUSES),
    row("305-v2-ah-mismatch b", REFUSES_COUNTED),
    row("306-v2-pass-to-noauth a", REFUSES),
    row("306-v2-pass-to-noauth b", REFUSES_COUNTED),
    row("316-v3-unicast-old-checksum-a-b-never a", REFUSES),
    row("316-v3-unicast-old-checksum-a-b-never b", REFUSES),
    row("332-advert-int-differs a", REFUSES),
    row("332-advert-int-differs b", REFUSES),
    // Marks survive the reload: what 2.4.3 accepts again is refused.
    row("132-hmac-replay-monotonic b", &[Differs::Sent, Differs::Log, Differs::Stats]),
    // The original's adverts drift: in two seconds of 20 ms one falls behind the stop.
    row("140-hmac-advert-int-20ms a", &[Differs::Sent]),
    row("140-hmac-advert-int-20ms b", &[Differs::Sent]),
    // 2.3.3 says that it uses the old checksum from now on, but sends the new one, which its peer refuses.
    row("315-v3-unicast-old-checksum-a-only b", &[Differs::Sent]),
    // Announcements that are due later survive a reload.
    row("355-reload-changes a", &[Differs::Announced, Differs::Log]),
    row("126-hmac-rotation-and-unknown-key a", &[Differs::Log]),
    row("410-bfd-reload-timers-and-removal b", &[Differs::Announced, Differs::Log]),
    // Adverts are not in the recording, which is of IPv6.
    row("408-bfd-ipv6 a", &[Differs::Sent, Differs::Log, Differs::Fifo, Differs::Stats]),
    row("408-bfd-ipv6 b", &[Differs::Sent, Differs::Log, Differs::Stats]),
    row("408-bfd-ipv6 b 2", &[Differs::Sent, Differs::Log]),
    // Nobody has the address of its neighbour, so that the packets stayed in the machine.
    row("409-bfd-vrrp-track-bfd-start-peer-absent b", &[Differs::Bfd]),
    // What a sent on eth1 before it failed was not recorded.
    row("351-sync-group-takeover b", &[Differs::NotPlayed]),
    // What b and c sent each other was not recorded at a.
    row("137-hmac-unicast-two-peers-and-non-peer b", &[Differs::NotPlayed]),
    row("137-hmac-unicast-two-peers-and-non-peer c", &[Differs::NotPlayed]),
];
