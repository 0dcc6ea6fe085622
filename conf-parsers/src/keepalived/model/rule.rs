//! Policy routing rules: `virtual_rules` and `static_rules`.

use net_types::Family;

use super::route::Target;
use crate::span::{Span, Spanned};

/// What a matching rule does (`FR_ACT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleAction {
    /// `table`/`lookup`: look the route up in this table.
    Lookup(u32),
    /// `l3mdev`: look the route up in the table of the VRF.
    L3mdev,
    /// `goto`: continue at the rule of this preference.
    Goto(u32),
    /// `nop`: go on with the next rule.
    Nop,
    /// `blackhole`
    Blackhole,
    /// `unreachable`
    Unreachable,
    /// `prohibit`
    Prohibit,
}

impl RuleAction {
    /// The kernel's `FR_ACT_*` number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Lookup(_) | Self::L3mdev => 1,
            Self::Goto(_) => 2,
            Self::Nop => 3,
            Self::Blackhole => 6,
            Self::Unreachable => 7,
            Self::Prohibit => 8,
        }
    }
}

/// An inclusive range of numbers as written; the second may be smaller, which the kernel refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range<T> {
    /// First.
    pub start: T,
    /// Last.
    pub end: T,
}

/// One line of a rule block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where the line starts.
    pub span: Span,
    /// Family of the rule.
    pub family: Family,
    /// `not`
    pub invert: bool,
    /// `from`
    pub from: Option<Target>,
    /// `to`
    pub to: Option<Target>,
    /// `preference`/`order`/`priority`; counted down from 16384 per family when the text has none.
    pub priority: u32,
    /// `tos`/`dsfield`
    pub tos: u8,
    /// `fwmark`, with its mask if one was written.
    pub fwmark: Option<(u32, Option<u32>)>,
    /// `dev`/`iif`
    pub iif: Option<Spanned<Box<str>>>,
    /// `oif`
    pub oif: Option<Spanned<Box<str>>>,
    /// `realms`, from in the upper, to in the lower 16 bits; 0 when unset. IPv4 only.
    pub realms: u32,
    /// `suppress_prefixlength`
    pub suppress_prefix_len: Option<i32>,
    /// `suppress_ifgroup`
    pub suppress_ifgroup: Option<u32>,
    /// `tunnel-id`, 0 when unset.
    pub tunnel_id: u64,
    /// `uidrange`
    pub uid_range: Option<Range<u32>>,
    /// `protocol` (`RTPROT_*`); [`super::route::PROTO_KEEPALIVED`] for every tracked rule.
    pub protocol: Option<u8>,
    /// `ipproto`
    pub ip_proto: Option<u8>,
    /// `sport`
    pub sport: Option<Range<u16>>,
    /// `dport`
    pub dport: Option<Range<u16>>,
    /// What to do.
    pub action: RuleAction,
    /// `no_track`
    pub no_track: bool,
    /// `track_group`, static rules only.
    pub track_group: Option<Spanned<Box<str>>>,
}
