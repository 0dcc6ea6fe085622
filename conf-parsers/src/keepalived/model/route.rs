//! Routes: `virtual_routes` and `static_routes`.

use core::net::IpAddr;

use net_types::{Family, Prefix};

use crate::span::{Span, Spanned};

/// `RTPROT_KEEPALIVED` (linux/rtnetlink.h): the protocol of every tracked route and rule.
pub const PROTO_KEEPALIVED: u8 = 18;
/// `RT_TABLE_MAIN`.
pub const TABLE_MAIN: u32 = 254;

/// A destination or source as routes and rules write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `default`, `any`, `all` or the deprecated `default6`: every address of the family.
    Any(Family),
    /// A prefix.
    Prefix(Prefix),
}

impl Target {
    /// The family, for [`Target::Any`] the one of the route or rule it belongs to.
    pub const fn family(&self) -> Family {
        match self {
            Self::Any(family) => *family,
            Self::Prefix(prefix) => prefix.family(),
        }
    }

    /// Prefix length for the kernel's header; 0 for [`Target::Any`].
    pub const fn prefix_len(&self) -> u8 {
        match self {
            Self::Any(_) => 0,
            Self::Prefix(prefix) => prefix.len,
        }
    }
}

/// `RTN_*` route types by the names of `ip route`; unnamed numbers can be given too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteType(pub u8);

impl RouteType {
    /// `RTN_UNICAST`, the default.
    pub const UNICAST: Self = Self(1);
    /// `RTN_LOCAL`
    pub const LOCAL: Self = Self(2);
    /// `RTN_BROADCAST`
    pub const BROADCAST: Self = Self(3);
    /// `RTN_ANYCAST`
    pub const ANYCAST: Self = Self(4);
    /// `RTN_MULTICAST`
    pub const MULTICAST: Self = Self(5);
    /// `RTN_BLACKHOLE`
    pub const BLACKHOLE: Self = Self(6);
    /// `RTN_UNREACHABLE`
    pub const UNREACHABLE: Self = Self(7);
    /// `RTN_PROHIBIT`
    pub const PROHIBIT: Self = Self(8);
    /// `RTN_THROW`
    pub const THROW: Self = Self(9);
    /// `RTN_NAT`
    pub const NAT: Self = Self(10);
    /// `RTN_XRESOLVE`
    pub const XRESOLVE: Self = Self(11);

    const NAMES: [(&'static str, Self); 12] = [
        ("local", Self::LOCAL),
        ("nat", Self::NAT),
        ("broadcast", Self::BROADCAST),
        ("brd", Self::BROADCAST),
        ("anycast", Self::ANYCAST),
        ("multicast", Self::MULTICAST),
        ("prohibit", Self::PROHIBIT),
        ("unreachable", Self::UNREACHABLE),
        ("blackhole", Self::BLACKHOLE),
        ("xresolve", Self::XRESOLVE),
        ("unicast", Self::UNICAST),
        ("throw", Self::THROW),
    ];

    /// The type called `name`, names only.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
    }

    /// The name, `None` for a number without one.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES
            .iter()
            .find(|(_, kind)| *kind == self)
            .map(|(name, _)| *name)
    }
}

/// Where the new route goes among routes of the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Before them, the kernel's and keepalived's default (`NLM_F_CREATE`).
    #[default]
    Prepend,
    /// After them (`NLM_F_CREATE | NLM_F_APPEND`).
    Append,
    /// Only if there is none (`NLM_F_CREATE | NLM_F_EXCL`).
    Add,
}

/// Path metrics with the kernel's `RTAX_*` numbers. The discriminant is the attribute type and the bit of the lock mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Metric {
    /// `mtu`, bytes.
    Mtu = 2,
    /// `window`, bytes.
    Window = 3,
    /// `rtt` in units of 1/8000 s.
    Rtt = 4,
    /// `rttvar` in units of 1/4000 s.
    RttVar = 5,
    /// `ssthresh`
    SsThresh = 6,
    /// `cwnd`
    Cwnd = 7,
    /// `advmss`, bytes.
    AdvMss = 8,
    /// `reordering`
    Reordering = 9,
    /// `hoplimit`, 0 to 255.
    HopLimit = 10,
    /// `initcwnd`
    InitCwnd = 11,
    /// `features`, a mask; see [`FEATURE_ECN`].
    Features = 12,
    /// `rto_min` in milliseconds.
    RtoMin = 13,
    /// `initrwnd`
    InitRwnd = 14,
    /// `quickack`, 0 or 1.
    QuickAck = 15,
    /// `fastopen_no_cookie`, 0 or 1.
    FastOpenNoCookie = 17,
}

/// `RTAX_CC_ALGO`: attribute type and lock bit of [`Metrics::congctl`].
pub const RTAX_CC_ALGO: u8 = 16;
/// `RTAX_FEATURE_ECN`.
pub const FEATURE_ECN: u32 = 1;

/// The `RTA_METRICS` of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Values in ascending order of [`Metric`], each at most once.
    values: Vec<(Metric, u32)>,
    /// `RTAX_LOCK`: bit `1 << Metric` for metrics marked `lock`.
    pub lock: u32,
    /// `congctl`: name of the congestion control algorithm.
    pub congctl: Option<Box<str>>,
}

impl Metrics {
    /// The value of `metric`, if configured.
    pub fn get(&self, metric: Metric) -> Option<u32> {
        self.values
            .iter()
            .find(|(m, _)| *m == metric)
            .map(|(_, value)| *value)
    }

    /// Sets or replaces `metric`.
    pub fn set(&mut self, metric: Metric, value: u32) {
        match self.values.binary_search_by_key(&metric, |(m, _)| *m) {
            Ok(at) => {
                if let Some(slot) = self.values.get_mut(at) {
                    slot.1 = value;
                }
            }
            Err(at) => self.values.insert(at, (metric, value)),
        }
    }

    /// Marks `metric` as locked, whether or not it has a value.
    pub fn lock(&mut self, metric: Metric) {
        self.lock |= 1 << (metric as u8);
    }

    /// Whether `metric` is locked.
    pub const fn is_locked(&self, metric: Metric) -> bool {
        self.lock & (1 << (metric as u8)) != 0
    }

    /// All values, ascending by attribute type.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, u32)> + '_ {
        self.values.iter().copied()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.lock == 0 && self.congctl.is_none()
    }
}

/// Light-weight tunnel encapsulation (`RTA_ENCAP`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encap {
    /// `encap mpls LABEL[/LABEL]`: label stack entries in host order (label in the upper 20 bits, the last with the
    /// bottom-of-stack bit 0x100).
    Mpls(Vec<u32>),
    /// `encap ip`
    Ip(EncapIp),
    /// `encap ila LOCATOR`: 64 bits in network order.
    Ila([u8; 8]),
    /// `encap ip6`
    Ip6(EncapIp),
}

/// `encap ip` and `encap ip6`: tunnel metadata. The words differ (`tos`/`tc`, `ttl`/`hoplimit`), the meaning does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncapIp {
    /// `id`, the tunnel key.
    pub id: Option<u64>,
    /// `dst`
    pub dst: Option<IpAddr>,
    /// `src`
    pub src: Option<IpAddr>,
    /// `tos` or `tc`
    pub tos: Option<u8>,
    /// `ttl` or `hoplimit`
    pub ttl: Option<u8>,
    /// `flags`
    pub flags: Option<u16>,
}

/// One path of a multipath route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// `via`
    pub via: Option<IpAddr>,
    /// `dev`
    pub dev: Option<Spanned<Box<str>>>,
    /// `weight`, 1 to 256; the kernel takes it less one.
    pub weight: Option<u16>,
    /// `onlink` (`RTNH_F_ONLINK`)
    pub onlink: bool,
    /// `realms`, from in the upper, to in the lower 16 bits.
    pub realms: u32,
    /// `encap`
    pub encap: Option<Encap>,
}

/// One line of a route block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where the line starts.
    pub span: Span,
    /// The family of the route (`rtm_family`).
    pub family: Family,
    /// Destination.
    pub dst: Target,
    /// `from`: source prefix, IPv6 only.
    pub src: Option<Target>,
    /// `src`: preferred source address.
    pub pref_src: Option<IpAddr>,
    /// Route type; `None` is unicast. When the text has none, a deletion leaves the type open.
    pub kind: Option<RouteType>,
    /// `tos`/`dsfield`
    pub tos: Option<u8>,
    /// `table` or the table of `vrf`; [`TABLE_MAIN`] by default.
    pub table: u32,
    /// `protocol`. [`PROTO_KEEPALIVED`] for every tracked route, `None` for an untracked one without the word.
    pub protocol: Option<u8>,
    /// `scope`, the kernel's number; `None` is universe, for the kernel the same as 0.
    pub scope: Option<u8>,
    /// `metric`/`priority`/`preference`
    pub metric: Option<u32>,
    /// `via`/`gw`
    pub via: Option<IpAddr>,
    /// `dev`/`oif`
    pub dev: Option<Spanned<Box<str>>>,
    /// `onlink`
    pub onlink: bool,
    /// `encap`
    pub encap: Option<Encap>,
    /// `expires` in seconds, IPv6 only.
    pub expires: Option<u32>,
    /// `realms`, from in the upper, to in the lower 16 bits; 0 when unset.
    pub realms: u32,
    /// `mtu` … `fastopen_no_cookie`
    pub metrics: Metrics,
    /// `pref`, `ICMPV6_ROUTER_PREF_*` (0 medium, 1 high, 3 low) or any number.
    pub pref: Option<u8>,
    /// `ttl-propagate`
    pub ttl_propagate: Option<bool>,
    /// `nexthop` blocks, or the two gateways of the deprecated `or`.
    pub nexthops: Vec<NextHop>,
    /// `add`, `append`, `prepend`
    pub placement: Placement,
    /// `no_track`
    pub no_track: bool,
    /// `track_group`, static routes only.
    pub track_group: Option<Spanned<Box<str>>>,
}
