//! The load balancer: virtual servers, their groups, real servers, sorry servers, SSL files.
//!
//! Times are in microseconds. `Option` fields of a real server are what the text says; after validation they are
//! filled from the virtual server.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};

use net_types::Family;

use super::check::Checker;
use super::script::Script;
use crate::span::{Span, Spanned};

/// Largest weight of a real server (`IPVS_WEIGHT_MAX`).
pub const WEIGHT_MAX: u32 = 0x7fff_ffff;
/// `persistence_timeout` in seconds when none is written but persistence is asked for.
pub const PERSISTENCE_TIMEOUT_DEFAULT: u32 = 360;
/// Longest `persistence_timeout` in seconds (31 days).
pub const PERSISTENCE_TIMEOUT_MAX: u32 = 86_400 * 31;
/// Period of the checks, 60 s.
pub const DELAY_LOOP_DEFAULT: u64 = 60_000_000;
/// Time a connection may take, 5 s.
pub const CONNECT_TIMEOUT_DEFAULT: u64 = 5_000_000;

/// Protocol of a virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

impl Protocol {
    /// The IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    /// The word in `[ADDR]:proto:PORT`; `none` when no protocol is set.
    pub const fn word(protocol: Option<Self>) -> &'static str {
        match protocol {
            Some(Self::Tcp) => "tcp",
            Some(Self::Udp) => "udp",
            Some(Self::Sctp) => "sctp",
            None => "none",
        }
    }
}

/// What a virtual server stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// `virtual_server ADDR [PORT]`; port 0 when none is given.
    Address(SocketAddr),
    /// `virtual_server fwmark N`. 0 is accepted, as the original does.
    Fwmark(u32),
    /// `virtual_server group NAME`, with the position among the servers of the same group (0 first), which the
    /// original shows as a port.
    Group {
        /// The group's name.
        name: Spanned<Box<str>>,
        /// Position among the virtual servers of this group.
        member: u16,
    },
}

/// How packets reach a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardingMethod {
    /// `NAT`, masquerading.
    Nat,
    /// `DR`, direct routing.
    DirectRouting,
    /// `TUN`, tunnelling.
    Tunnel,
}

/// Kind of tunnel (`type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TunnelKind {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue,
    /// Generic routing encapsulation.
    Gre,
}

/// Checksum of the tunnel header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TunnelChecksum {
    /// `nocsum`
    #[default]
    None,
    /// `csum`
    Checksum,
    /// `remcsum`, remote checksum offload.
    Remote,
}

/// `lb_kind`, `lvs_method`, `sorry_server_lvs_method` with the tunnel words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarding {
    /// `None` until the text or validation says something.
    pub method: Option<ForwardingMethod>,
    /// `type`
    pub tunnel: TunnelKind,
    /// `port`, GUE only; 0 otherwise.
    pub port: u16,
    /// `csum`, `nocsum`, `remcsum`
    pub checksum: TunnelChecksum,
}

/// Scheduler flags (`IP_VS_SVC_F_*` of linux/ip_vs.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceFlags(u32);

impl ServiceFlags {
    /// `ops`: one-packet scheduling.
    pub const ONE_PACKET: Self = Self(0x04);
    /// `flag-1`, `sh-fallback`, `mh-fallback`
    pub const SCHED_1: Self = Self(0x08);
    /// `flag-2`, `sh-port`, `mh-port`
    pub const SCHED_2: Self = Self(0x10);
    /// `flag-3`
    pub const SCHED_3: Self = Self(0x20);

    /// The kernel's number.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the bits of `other`.
    pub const fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Clears the bits of `other`.
    pub const fn remove(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

/// `persistence_granularity`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// A netmask, not necessarily contiguous.
    V4(Ipv4Addr),
    /// A prefix length, 1 to 128.
    V6(u8),
}

/// Options that checkers inherit from the real server and that from the virtual server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckTimes {
    /// `delay_loop` in microseconds.
    pub delay_loop: Option<u64>,
    /// `delay_before_retry` in microseconds.
    pub delay_before_retry: Option<u64>,
    /// `warmup` in microseconds.
    pub warmup: Option<u64>,
    /// `retry`
    pub retry: Option<u32>,
}

/// One `real_server` block. There may be tens of thousands: what few of them have is boxed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealServer {
    /// Where the block starts.
    pub span: Span,
    /// Address and port; port 0 is "the virtual server's" until validation.
    pub addr: SocketAddr,
    /// `weight`
    pub weight: Option<u32>,
    /// `lvs_method`, the virtual server's at the moment the block began when absent.
    pub forwarding: Forwarding,
    /// `uthreshold`
    pub upper_threshold: u32,
    /// `lthreshold`
    pub lower_threshold: u32,
    /// `inhibit_on_failure`
    pub inhibit: Option<bool>,
    /// `alpha`
    pub alpha: Option<bool>,
    /// `smtp_alert`
    pub smtp_alert: Option<bool>,
    /// `connect_timeout` in microseconds.
    pub connect_timeout: Option<u64>,
    /// Defaults for the checkers.
    pub times: CheckTimes,
    /// `virtualhost`
    pub virtualhost: Option<Box<Spanned<Box<str>>>>,
    /// `snmp_name`
    pub snmp_name: Option<Box<str>>,
    /// `notify_up`
    pub notify_up: Option<Box<Script>>,
    /// `notify_down`
    pub notify_down: Option<Box<Script>>,
    /// Checkers in the order of the text. `FILE_CHECK` is in [`Self::track_files`].
    pub checkers: Vec<Checker>,
    /// `FILE_CHECK` blocks.
    pub track_files: Vec<FileCheck>,
}

/// `FILE_CHECK`: the content of a tracked file changes the weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCheck {
    /// Name of the `track_file` block.
    pub file: Spanned<Box<str>>,
    /// Multiplier; the file's own weight when absent.
    pub weight: i32,
    /// `reverse`
    pub reverse: bool,
}

/// `sorry_server`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SorryServer {
    /// Where the line stands.
    pub span: Span,
    /// Address and port; port 0 is "the virtual server's" until validation.
    pub addr: SocketAddr,
    /// `sorry_server_lvs_method`
    pub forwarding: Forwarding,
    /// `sorry_server_inhibit`
    pub inhibit: bool,
    /// Set by validation: a real server has the same address and port.
    pub duplicates_real_server: bool,
}

/// One `virtual_server` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServer {
    /// Where the block starts.
    pub span: Span,
    /// Address, firewall mark or group.
    pub service: Service,
    /// Family. `None`: not known (yet), or both (group).
    pub family: Option<Family>,
    /// `protocol`. Always set after validation unless only firewall marks are used.
    pub protocol: Option<Protocol>,
    /// `lb_algo`/`lvs_sched`; `wlc` after validation when the text has none.
    pub scheduler: Option<&'static str>,
    /// `ops`, `flag-1` … `mh-fallback`
    pub flags: ServiceFlags,
    /// `lb_kind`/`lvs_method`
    pub forwarding: Forwarding,
    /// `persistence_timeout` in seconds, 0 for no persistence.
    pub persistence_timeout: u32,
    /// `persistence_engine`, at most 16 bytes.
    pub persistence_engine: Option<Box<str>>,
    /// `persistence_granularity`
    pub persistence_granularity: Option<Granularity>,
    /// `weight`: default of the real servers.
    pub weight: u32,
    /// `alpha`
    pub alpha: bool,
    /// `omega`
    pub omega: bool,
    /// `inhibit_on_failure`
    pub inhibit: bool,
    /// `ha_suspend`
    pub ha_suspend: bool,
    /// `quorum`, at least 1 in the text; validation lowers it to the weight of all real servers.
    pub quorum: u32,
    /// `hysteresis`
    pub hysteresis: u32,
    /// `quorum_up`
    pub quorum_up: Option<Box<Script>>,
    /// `quorum_down`
    pub quorum_down: Option<Box<Script>>,
    /// `smtp_alert`, filled by validation.
    pub smtp_alert: Option<bool>,
    /// `virtualhost`
    pub virtualhost: Option<Box<Spanned<Box<str>>>>,
    /// `snmp_name`
    pub snmp_name: Option<Box<str>>,
    /// `connect_timeout` in microseconds.
    pub connect_timeout: u64,
    /// Defaults for the checkers; `delay_loop` is always set.
    pub times: CheckTimes,
    /// `sorry_server`
    pub sorry_server: Option<SorryServer>,
    /// Real servers in the order of the text.
    pub real_servers: Vec<RealServer>,
}

impl VirtualServer {
    /// A server without options.
    pub fn new(service: Service, span: Span) -> Self {
        Self {
            span,
            family: match &service {
                Service::Address(addr) => Some(Family::of(&addr.ip())),
                Service::Fwmark(_) | Service::Group { .. } => None,
            },
            service,
            protocol: None,
            scheduler: None,
            flags: ServiceFlags::default(),
            forwarding: Forwarding::default(),
            persistence_timeout: 0,
            persistence_engine: None,
            persistence_granularity: None,
            weight: 1,
            alpha: false,
            omega: false,
            inhibit: false,
            ha_suspend: false,
            quorum: 1,
            hysteresis: 0,
            quorum_up: None,
            quorum_down: None,
            smtp_alert: None,
            virtualhost: None,
            snmp_name: None,
            connect_timeout: CONNECT_TIMEOUT_DEFAULT,
            times: CheckTimes {
                delay_loop: Some(DELAY_LOOP_DEFAULT),
                ..CheckTimes::default()
            },
            sorry_server: None,
            real_servers: Vec::new(),
        }
    }

    /// Address and port, `None` for marks and groups.
    pub const fn address(&self) -> Option<SocketAddr> {
        match &self.service {
            Service::Address(addr) => Some(*addr),
            Service::Fwmark(_) | Service::Group { .. } => None,
        }
    }

    /// The name of the group, if the server uses one.
    pub fn group_name(&self) -> Option<&str> {
        match &self.service {
            Service::Group { name, .. } => Some(name),
            Service::Address(_) | Service::Fwmark(_) => None,
        }
    }
}

/// The original's name of a virtual server in messages: `[ADDR]:tcp:80`, `FWM 5`, `[group]:0`.
impl fmt::Display for VirtualServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.service {
            // The original treats mark 0 as "no mark" and prints the empty address.
            Service::Fwmark(0) => write!(f, "[(none)]:{}:0", Protocol::word(self.protocol)),
            Service::Fwmark(mark) => write!(f, "FWM {mark}"),
            Service::Group { name, member } => write!(f, "[{}]:{member}", **name),
            Service::Address(addr) => Trio(*addr, self.protocol).fmt(f),
        }
    }
}

/// `[ADDR]:proto:PORT`, the original's name of a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trio(pub SocketAddr, pub Option<Protocol>);

impl fmt::Display for Trio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}]:{}:{}",
            self.0.ip(),
            Protocol::word(self.1),
            self.0.port()
        )
    }
}

/// One line of a `virtual_server_group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEntry {
    /// Addresses from `first` to `last`, both inclusive and with the same port.
    Addresses {
        /// First address and the port.
        first: SocketAddr,
        /// Last address.
        last: SocketAddr,
    },
    /// `fwmark N [inet|inet6]`
    Fwmark {
        /// The mark.
        mark: u32,
        /// Family, if given.
        family: Option<Family>,
    },
}

/// A range as the original names it in messages: `ADDR,PORT`, `ADDR-ADDR,PORT` or `FWM N`.
impl fmt::Display for GroupEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fwmark { mark, .. } => write!(f, "FWM {mark}"),
            Self::Addresses { first, last } if first.ip() == last.ip() => {
                write!(f, "{},{}", first.ip(), first.port())
            }
            Self::Addresses { first, last } => {
                write!(f, "{}-{},{}", first.ip(), last.ip(), first.port())
            }
        }
    }
}

/// `virtual_server_group NAME`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualServerGroup {
    /// Its name.
    pub name: Spanned<Box<str>>,
    /// Its lines.
    pub entries: Vec<GroupEntry>,
}

impl VirtualServerGroup {
    /// Whether an address or a mark is of `family`.
    pub fn has_family(&self, family: Family) -> bool {
        self.entries.iter().any(|entry| match entry {
            GroupEntry::Addresses { first, .. } => Family::of(&first.ip()) == family,
            GroupEntry::Fwmark { family: f, .. } => *f == Some(family),
        })
    }

    /// Whether a mark has no family.
    pub fn has_mark_without_family(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry, GroupEntry::Fwmark { family: None, .. }))
    }

    /// Whether there is any firewall mark.
    pub fn has_marks(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| matches!(entry, GroupEntry::Fwmark { .. }))
    }

    /// The address entries.
    pub fn addresses(&self) -> impl Iterator<Item = (SocketAddr, SocketAddr)> + '_ {
        self.entries.iter().filter_map(|entry| match entry {
            GroupEntry::Addresses { first, last } => Some((*first, *last)),
            GroupEntry::Fwmark { .. } => None,
        })
    }
}

/// The top-level `SSL` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ssl {
    /// `password`
    pub password: Option<Box<str>>,
    /// `ca`
    pub ca: Option<Box<str>>,
    /// `certificate`
    pub certificate: Option<Box<str>>,
    /// `key`
    pub key: Option<Box<str>>,
}

/// Virtual servers, their groups and what they share.
#[derive(Clone, Debug, Default)]
pub struct LvsModel {
    /// `SSL`
    pub ssl: Option<Ssl>,
    /// `virtual_server_group` blocks.
    pub groups: Vec<VirtualServerGroup>,
    /// `virtual_server` blocks.
    pub virtual_servers: Vec<VirtualServer>,
    /// Names of the `bfd_instance` blocks that send events to the checkers.
    pub bfd_sessions: Vec<Spanned<Box<str>>>,
    /// Set when a virtual server uses `ha_suspend`: addresses must be watched.
    pub uses_ha_suspend: bool,
    /// Set when an `SSL_GET` was read: an SSL context is needed.
    pub uses_ssl: bool,
    /// Lines `smtp_alert` of virtual and real servers, whatever they say: each may have a mail under way.
    pub smtp_alert_lines: u32,
}
