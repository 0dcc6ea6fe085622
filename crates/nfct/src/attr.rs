//! Which attributes of a conntrack entry carry a value.

/// A set of attributes other than the tuples' parts (those are in [`crate::Known`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attr(u64);

impl Attr {
    /// No attribute.
    pub const NONE: Self = Self(0);
    /// TCP state of nf_conntrack_tcp.h, 0 to 9.
    pub const TCP_STATE: Self = Self(1);
    /// TCP flags and mask, original direction.
    pub const TCP_FLAGS_ORIG: Self = Self(1 << 1);
    /// TCP flags and mask, reply direction.
    pub const TCP_FLAGS_REPL: Self = Self(1 << 2);
    /// TCP window scale, original direction.
    pub const TCP_WSCALE_ORIG: Self = Self(1 << 3);
    /// TCP window scale, reply direction.
    pub const TCP_WSCALE_REPL: Self = Self(1 << 4);
    /// SCTP state, 0 to 9.
    pub const SCTP_STATE: Self = Self(1 << 5);
    /// SCTP verification tag, original direction.
    pub const SCTP_VTAG_ORIG: Self = Self(1 << 6);
    /// SCTP verification tag, reply direction.
    pub const SCTP_VTAG_REPL: Self = Self(1 << 7);
    /// DCCP state, 0 to 9.
    pub const DCCP_STATE: Self = Self(1 << 8);
    /// DCCP role.
    pub const DCCP_ROLE: Self = Self(1 << 9);
    /// DCCP handshake sequence.
    pub const DCCP_SEQ: Self = Self(1 << 10);
    /// Status word.
    pub const STATUS: Self = Self(1 << 11);
    /// Remaining seconds.
    pub const TIMEOUT: Self = Self(1 << 12);
    /// Mark.
    pub const MARK: Self = Self(1 << 13);
    /// Security mark.
    pub const SECMARK: Self = Self(1 << 14);
    /// Reference count.
    pub const USE: Self = Self(1 << 15);
    /// Kernel's id.
    pub const ID: Self = Self(1 << 16);
    /// Zone of both directions.
    pub const ZONE: Self = Self(1 << 17);
    /// Helper name.
    pub const HELPER: Self = Self(1 << 18);
    /// Helper's private data.
    pub const HELPER_INFO: Self = Self(1 << 19);
    /// Security context.
    pub const SECCTX: Self = Self(1 << 20);
    /// Packets and bytes, original direction.
    pub const COUNTERS_ORIG: Self = Self(1 << 21);
    /// Packets and bytes, reply direction.
    pub const COUNTERS_REPL: Self = Self(1 << 22);
    /// Sequence adjustment, original direction.
    pub const SEQ_ADJ_ORIG: Self = Self(1 << 23);
    /// Sequence adjustment, reply direction.
    pub const SEQ_ADJ_REPL: Self = Self(1 << 24);
    /// SYN proxy numbers.
    pub const SYNPROXY: Self = Self(1 << 25);
    /// Labels.
    pub const LABELS: Self = Self(1 << 26);
    /// Start time.
    pub const START: Self = Self(1 << 27);
    /// Stop time.
    pub const STOP: Self = Self(1 << 28);
    /// Translated source address (only in objects without reply tuple).
    pub const SNAT_ADDR: Self = Self(1 << 29);
    /// Translated destination address (only in objects without reply tuple).
    pub const DNAT_ADDR: Self = Self(1 << 30);
    /// Translated source port (only in objects without reply tuple).
    pub const SNAT_PORT: Self = Self(1 << 31);
    /// Translated destination port (only in objects without reply tuple).
    pub const DNAT_PORT: Self = Self(1 << 32);
    /// The four translation attributes.
    pub const NAT: Self =
        Self(Self::SNAT_ADDR.0 | Self::DNAT_ADDR.0 | Self::SNAT_PORT.0 | Self::DNAT_PORT.0);
    /// Both directions' counters.
    pub const COUNTERS: Self = Self(Self::COUNTERS_ORIG.0 | Self::COUNTERS_REPL.0);

    /// Whether all of `other` are in the set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether one of `other` is in the set.
    pub const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without those of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}
