//! What the core must know about the operator's wishes. `vrrp::lower` of the daemon makes it; all defaults are already filled in.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net_types::{Duration, Family, IfIndex, MacAddr, Vrid};

use crate::table::Table;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);

        impl $name {
            /// Position in the list of the configuration.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

id!(
    /// Position in [`Config::instances`].
    InstanceId
);
id!(
    /// Position in [`Config::groups`].
    GroupId
);
id!(
    /// Position in [`Config::interfaces`].
    IfId
);
id!(
    /// Position in [`Config::trackers`].
    TrackerId
);
id!(
    /// Position in [`crate::Router::sockets`].
    SocketId
);

/// An address, route or rule in the shell's table of kernel objects.
///
/// The number is the shell's: it gives equal objects (same address, prefix length, interface, scope, label; same
/// route; same rule) the same number for as long as the process lives, so that a reload can find the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// A virtual address.
    Address(u32),
    /// A virtual route.
    Route(u32),
    /// A virtual rule.
    Rule(u32),
}

/// Everything the core runs on. Immutable until the next [`crate::Input::Reconfigure`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Process-wide settings.
    pub global: Global,
    /// Interfaces that any instance lives on, sends through, holds addresses on or tracks.
    pub interfaces: Vec<Interface>,
    /// Virtual routers in file order.
    pub instances: Table<Instance>,
    /// Sync groups in file order.
    pub groups: Vec<Group>,
    /// Scripts, files, processes and BFD sessions that instances track.
    pub trackers: Vec<Tracker>,
    /// Pacing groups for gratuitous ARP and NA, one per group of interfaces (`garp_group`, `vrrp_garp_interval`).
    pub pacing: Vec<Pacing>,
}

/// Process-wide settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Global {
    /// `vrrp_startup_delay`; zero for none.
    pub startup_delay: Duration,
    /// At a reload `startup_delay` counts from then, as it is the rest of `vrrp_delay_after_boot`; else from the start.
    pub startup_delay_after_boot: bool,
    /// `vrrp_mcast_group4`, 224.0.0.18 unless configured; also the pseudo-header destination of the old unicast checksum.
    pub mcast_group4: Ipv4Addr,
    /// `dynamic_interfaces allow_if_changes`: what is known of VRIDs on a link is forgotten when an interface goes.
    pub allow_if_changes: bool,
    /// `log_unknown_vrids`.
    pub log_unknown_vrids: bool,
    /// `fifo_write_vrrp_states_on_reload`.
    pub fifo_states_on_reload: bool,
    /// `--release-vips`: remove addresses on leaving MASTER even when this run did not set them.
    pub release_vips: bool,
    /// `--dont-release-vrrp`: leave addresses in place at shutdown.
    pub keep_on_exit: bool,
    /// Packets that are refused are told as [`crate::Output::Refused`] (`enable_traps`).
    pub tell_refusals: bool,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            startup_delay: Duration::ZERO,
            startup_delay_after_boot: false,
            mcast_group4: Ipv4Addr::new(224, 0, 0, 18),
            allow_if_changes: false,
            log_unknown_vrids: false,
            fifo_states_on_reload: false,
            release_vips: false,
            keep_on_exit: false,
            tell_refusals: false,
        }
    }
}

/// An interface by name, with what the kernel says about it when the configuration is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The operator's name, for example `br-lan`.
    pub name: Box<str>,
    /// The facts at the time of the hand-over; later changes come as [`crate::Input::Link`].
    pub link: LinkFacts,
    /// `interface_up_down_delays`: how long the link must be up before it counts as up.
    pub up_delay: Duration,
    /// `interface_up_down_delays`: how long the link must be down before it counts as down.
    pub down_delay: Duration,
    /// Pacing of ARP and NA on this interface: position in [`Config::pacing`].
    pub pacing: Option<u16>,
    /// We make it (VMAC, ipvlan): that it came is said by whoever made it.
    pub ours: bool,
    /// We have made it just now: nothing of an earlier run is on it.
    pub fresh: bool,
    /// Its state is polled (linkbeat) and counts at once.
    pub polled: bool,
}

/// What the kernel says about an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFacts {
    /// `None` while the interface does not exist.
    pub index: Option<IfIndex>,
    /// `IFF_UP` and `IFF_RUNNING` are both set (and, for a VLAN or VMAC, on its lower interface too).
    pub up: bool,
    /// All flags (`IFF_…`), for the log.
    pub flags: u32,
    /// Link-layer address.
    pub mac: MacAddr,
    /// First IPv4 address that is none of our virtual addresses: the source of adverts and the side of the election.
    pub v4: Option<Ipv4Addr>,
    /// First IPv6 link-local address that is none of our virtual addresses.
    pub v6: Option<Ipv6Addr>,
    /// The interface below, if this is a macvlan or ipvlan.
    pub base: Option<IfIndex>,
    /// It is of a kind that programs make: it may go and come back as something else.
    pub changeable: bool,
}

/// Least distance between two gratuitous messages on a set of interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// `vrrp_garp_interval` or `garp_interval`; zero sends at once.
    pub arp: Duration,
    /// `vrrp_gna_interval` or `gna_interval`; zero sends at once.
    pub na: Duration,
}

/// Protocol version of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 3768: interval in seconds, IPv4 authentication data.
    V2,
    /// RFC 5798 and 9568: interval in centiseconds.
    V3,
}

impl Version {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// Authentication of a VRRPv2 IPv4 instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// Type 0.
    #[default]
    None,
    /// Type 1: eight bytes in clear, filled up with zeroes.
    Pass([u8; 8]),
    /// Type 2: an authentication header ([`crate::auth::ah`]) with this key.
    Ah([u8; 8]),
}

impl Auth {
    /// The authentication type on the wire.
    pub const fn number(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Pass(_) => 1,
            Self::Ah(_) => 2,
        }
    }
}

/// `auth_hmac`: the signed trailer of keepalived 2.4 ([`crate::auth::trailer`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hmac {
    /// Keys, ids unique.
    pub keys: Vec<HmacKey>,
    /// Key that we sign with: one of `keys`.
    pub active_key: u8,
    /// Who must sign.
    pub mode: HmacMode,
    /// What makes an advert too old.
    pub anti_replay: AntiReplay,
}

/// A key of [`Hmac`].
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    /// 1 to 255, as in the trailer.
    pub id: u8,
    /// 32 to 64 octets.
    pub secret: Box<[u8]>,
}

impl core::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "HmacKey {{ id: {}, .. }}", self.id)
    }
}

/// `mode` of `auth_hmac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HmacMode {
    /// Sign; refuse adverts without a trailer.
    Enforce,
    /// Sign; accept adverts without a trailer.
    Permissive,
    /// Do not sign; accept adverts without a trailer. One that is there is verified all the same.
    ReceiveOnly,
}

/// `anti_replay` of `auth_hmac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AntiReplay {
    /// `time`: an advert must be new, and its time may differ from ours by `window` seconds (1 to 300).
    Time {
        /// `time_window`
        window: u16,
    },
    /// `monotonic`: an advert must be new.
    Monotonic,
}

/// Where adverts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the group.
    Multicast(IpAddr),
    /// To every peer, in file order.
    Unicast(Vec<Peer>),
}

/// A unicast peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// `min_ttl`, 0 when not set.
    pub min_ttl: u8,
    /// `max_ttl`, 255 when not set.
    pub max_ttl: u8,
}

/// `old_unicast_checksum` of a VRRPv3 IPv4 unicast instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldChecksum {
    /// Not set: the old form is used after an advert came in that form.
    #[default]
    Detect,
    /// `never`.
    Never,
    /// Set: use the old form.
    Always,
}

/// The state an instance would like to start in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `state BACKUP`.
    Backup,
    /// `state MASTER`.
    Master,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// `vrrp_instance NAME`.
    pub name: Box<str>,
    /// Virtual router identifier.
    pub vrid: Vrid,
    /// Family of the adverts.
    pub family: Family,
    /// Version of the adverts.
    pub version: Version,
    /// The interface the instance lives on: the VMAC if it has one, else the configured one. `None` for unicast without interface.
    pub interface: Option<IfId>,
    /// The interface the operator wrote; differs from `interface` only with a VMAC.
    pub configured_interface: Option<IfId>,
    /// The interface whose socket adverts use: `interface`, or the configured one with `vmac_xmit_base`.
    pub transmit_interface: Option<IfId>,
    /// `vrf`: the VRF that unicast without an interface belongs to.
    pub vrf: Option<IfId>,
    /// Do not go to FAULT when the own interface goes down (`dont_track_primary`).
    pub dont_track_primary: bool,
    /// `state`.
    pub wanted: Wanted,
    /// `priority`, 1 to 255 (255: address owner).
    pub priority: u8,
    /// `advert_int`: whole seconds for version 2, whole centiseconds up to 40.95 s for version 3.
    pub advert_interval: Duration,
    /// `down_timer_adverts`, 1 to 100; 3 unless configured.
    pub down_timer_adverts: u32,
    /// `nopreempt`.
    pub nopreempt: bool,
    /// `preempt_delay`; zero for none.
    pub preempt_delay: Duration,
    /// `timer_expired_backup`: the highest priority another router may have, 1 to 254.
    pub timer_expired_backup: Option<u8>,
    /// `lower_prio_no_advert`.
    pub lower_prio_no_advert: bool,
    /// `higher_prio_send_advert`.
    pub higher_prio_send_advert: bool,
    /// `owner_ignore_adverts`.
    pub owner_ignore_adverts: bool,
    /// `accept`: whether packets to the virtual addresses are accepted without a firewall entry.
    pub accept: bool,
    /// Authentication (version 2, IPv4).
    pub auth: Auth,
    /// `auth_hmac`; then `auth` is none.
    pub hmac: Option<Box<Hmac>>,
    /// Where adverts go.
    pub destination: Destination,
    /// `mcast_src_ip` or `unicast_src_ip`.
    pub source: Option<IpAddr>,
    /// TTL or hop limit of adverts: 255, or `unicast_ttl`.
    pub ttl: u8,
    /// `check_unicast_src`, own or global, or any peer has TTL bounds.
    pub check_unicast_source: bool,
    /// `skip_check_adv_addr`.
    pub skip_check_adv_addr: bool,
    /// `v3_checksum_as_v2`.
    pub checksum_v3_as_v2: bool,
    /// `old_unicast_checksum`.
    pub old_checksum: OldChecksum,
    /// `virtual_ipaddress`, at most 255, in file order: all of the instance's family.
    pub addresses: Vec<VirtualAddress>,
    /// `virtual_ipaddress_excluded` and what did not fit.
    pub excluded: Vec<VirtualAddress>,
    /// `virtual_routes`.
    pub routes: Vec<VirtualRoute>,
    /// `virtual_rules`: numbers of [`Object::Rule`] with whether their loss matters.
    pub rules: Vec<VirtualRule>,
    /// The gratuitous ARP and NA schedule.
    pub garp: Garp,
    /// The sync group, if any.
    pub group: Option<GroupId>,
    /// Objects the instance and its group track.
    pub tracks: Vec<Track>,
    /// `notify_deleted` is set: a removed instance notifies DELETED instead of FAULT.
    pub notify_deleted: bool,
    /// `notify_priority_changes`.
    pub notify_priority_changes: bool,
    /// The load balancer's synchronisation daemon follows this instance (`lvs_sync_daemon`): its turns are told as
    /// [`crate::Output::ConnectionSync`].
    pub leads_connection_sync: bool,
    /// The configuration cannot work (reason already logged): the instance stays in FAULT.
    pub config_error: bool,
    /// Another instance has the same VRID and family on the same lower interface, as was seen when ours came: the instance
    /// stays in FAULT.
    pub duplicate_vrid: bool,
}

/// A virtual address as far as the protocol is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualAddress {
    /// The address.
    pub address: IpAddr,
    /// Number of the [`Object::Address`].
    pub object: u32,
    /// Where it is added, and where ARP or NA for it goes.
    pub interface: IfId,
    /// `no_track`: nobody minds when someone else removes it.
    pub no_track: bool,
}

/// A virtual route as far as the protocol is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualRoute {
    /// Number of the [`Object::Route`].
    pub object: u32,
    /// Routes with the same number have the same key (destination, table, metric, next hops …): at a reload one can take the
    /// place of the other without a gap.
    pub key: u32,
    /// The output interface, if it names one: the kernel drops the route silently when that goes down.
    pub interface: Option<IfId>,
    /// `no_track`.
    pub no_track: bool,
}

/// A virtual rule as far as the protocol is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualRule {
    /// Number of the [`Object::Rule`].
    pub object: u32,
    /// `no_track`.
    pub no_track: bool,
}

/// When gratuitous ARP and unsolicited NA are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garp {
    /// `garp_master_repeat`: rounds on becoming master; 5 unless configured.
    pub repeat: u32,
    /// `garp_master_delay`: second burst after becoming master; 5 s unless configured, zero for none.
    pub delay: Duration,
    /// `garp_master_refresh`; zero for none.
    pub refresh: Duration,
    /// `garp_master_refresh_repeat`; 1 unless configured.
    pub refresh_repeat: u32,
    /// `garp_lower_prio_repeat`: rounds after an advert with lower priority.
    pub lower_prio_repeat: u32,
    /// `garp_lower_prio_delay`: second burst after an advert with lower priority; zero for none.
    pub lower_prio_delay: Duration,
    /// `garp_extra_if` (2.3.3 `vmac_garp_intvl`): one message per VMAC interface; zero for none.
    pub extra_interval: Duration,
    /// `garp_extra_if all`: also on interfaces that are no VMAC.
    pub extra_all: bool,
}

impl Default for Garp {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            lower_prio_repeat: 5,
            lower_prio_delay: Duration::from_secs(5),
            extra_interval: Duration::ZERO,
            extra_all: false,
        }
    }
}

/// Something tracked, with its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// What is tracked.
    pub source: TrackSource,
    /// 0: failure means FAULT. Else the priority changes by it, −253 to 253.
    pub weight: i32,
    /// `reverse`.
    pub reverse: bool,
}

/// What can be tracked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackSource {
    /// An interface being up.
    Interface(IfId),
    /// A script, file, process or BFD session.
    Tracker(TrackerId),
}

/// A tracked script, file, process or BFD session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// Its name in the configuration.
    pub name: Box<str>,
    /// What it is, for the log.
    pub kind: TrackerKind,
    /// What is known when the configuration is handed over.
    pub state: TrackerState,
}

/// Kinds of [`Tracker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackerKind {
    /// `vrrp_script`
    Script,
    /// `track_file`
    File,
    /// `track_process`
    Process,
    /// `track_bfd`
    Bfd,
}

/// What is known of a [`Tracker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackerState {
    /// A script that has not run yet: an instance with weight 0 on it waits.
    Pending,
    /// A script that is new since a reload and has not run yet: it counts for nothing.
    Unknown,
    /// Succeeds.
    Up,
    /// Fails.
    Down,
    /// The value in a tracked file; times the weight it changes the priority.
    Value(i32),
}

/// A sync group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `vrrp_sync_group NAME`.
    pub name: Box<str>,
    /// Members in file order.
    pub members: Vec<InstanceId>,
}
