//! Model of one `vrrp_instance`.
//!
//! Fields of type `Option` that say "set after validation" are none only while the configuration is read.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net_types::{Family, MacAddr, Prefix};

use super::rare::Rare;
use super::script::Script;
use super::vrrp::{Name, Notifies, Trackers};
use super::{address::Address, route::Route, rule::Rule};
use crate::span::Spanned;

/// Protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 5798, RFC 9568.
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

/// The state an instance wants at start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantState {
    /// BACKUP
    Backup,
    /// MASTER
    Master,
}

/// VRRPv2 authentication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthType {
    /// None.
    #[default]
    None,
    /// Password in clear.
    Pass,
    /// IPsec authentication header.
    Ah,
}

/// What happens to VRRPv3 unicast checksums in the form of keepalived before 1.3.7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OldUnicastChecksum {
    /// Switched to when a peer uses them.
    #[default]
    Automatic,
    /// `old_unicast_checksum never`
    Never,
    /// `old_unicast_checksum`: used from the start.
    Always,
}

/// `use_vmac`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vmac {
    /// Interface name as written; after validation always set.
    pub name: Option<Name>,
    /// The MAC address, if not the one of RFC 9568. With [`Self::mac_ends_with_vrid`] its last octet is the VRID after validation.
    pub mac: Option<MacAddr>,
    /// Five octets were written.
    pub mac_ends_with_vrid: bool,
    /// `netlink_notify_msg`
    pub netlink_notify: bool,
    /// `group` of the interface.
    pub group: Option<u32>,
    /// A fitting interface exists already; set by validation.
    pub exists: bool,
}

/// Kinds of ipvlan port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpvlanKind {
    /// `bridge`
    #[default]
    Bridge,
    /// `private`
    Private,
    /// `vepa`
    Vepa,
}

/// `use_ipvlan`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipvlan {
    /// Interface name as written; after validation always set.
    pub name: Option<Name>,
    /// Address of the interface.
    pub address: Option<Prefix>,
    /// Kind.
    pub kind: IpvlanKind,
    /// `group` of the interface.
    pub group: Option<u32>,
    /// A fitting interface exists already; set by validation.
    pub exists: bool,
}

/// A line of `unicast_peer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnicastPeer {
    /// Address.
    pub address: Spanned<IpAddr>,
    /// Least TTL accepted.
    pub min_ttl: u8,
    /// Greatest TTL accepted.
    pub max_ttl: u8,
}

/// How an instance treats adverts without the HMAC trailer, and whether it sends one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HmacMode {
    /// Refuse without, send with.
    #[default]
    Enforce,
    /// Accept without, send with.
    Permissive,
    /// Accept without, send without.
    ReceiveOnly,
}

/// A key of `auth_hmac`.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    /// 1 to 255.
    pub id: u8,
    /// 32 to 64 octets.
    pub secret: Box<[u8]>,
}

impl core::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "HmacKey {{ id: {}, .. }}", self.id)
    }
}

/// `auth_hmac` (keepalived 2.4.0 and later).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthHmac {
    /// Keys in file order, ids unique.
    pub keys: Vec<HmacKey>,
    /// `active_key`; names one of the keys after validation.
    pub active_key: u8,
    /// `time_window` in seconds, 1 to 300; with time-based replay protection set after validation.
    pub time_window: Option<u16>,
    /// `anti_replay monotonic`
    pub monotonic: bool,
    /// `mode`
    pub mode: HmacMode,
}

/// A VMAC that only carries addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressVmac {
    /// Its interface name.
    pub name: Box<str>,
    /// The interface below.
    pub base: Box<str>,
    /// Family, which decides about the MAC address.
    pub family: Family,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpInstance {
    /// Its name.
    pub name: Name,
    /// Family; set after validation.
    pub family: Option<Family>,
    /// `version`; set after validation.
    pub version: Option<Version>,
    /// `state`; set after validation.
    pub state: Option<WantState>,
    /// `interface`, as configured.
    pub interface: Option<Name>,
    /// `vrf`
    pub vrf: Option<Name>,
    /// `virtual_router_id`, 1 to 255; set after validation.
    pub vrid: Option<u8>,
    /// `priority`, 1 to 255; set after validation.
    pub priority: Option<u8>,
    /// `advert_int` in microseconds; set after validation and then a multiple of the version's unit.
    pub advert_int: Option<u32>,
    /// `strict_mode`; set after validation.
    pub strict: Option<bool>,
    /// `accept`/`no_accept`; set after validation.
    pub accept: Option<bool>,
    /// `nopreempt`
    pub nopreempt: bool,
    /// `preempt_delay` in microseconds.
    pub preempt_delay: u32,
    /// `debug`
    pub debug: u8,

    /// `use_vmac`
    pub vmac: Option<Box<Vmac>>,
    /// `use_vmac_addr`
    pub vmac_addr: bool,
    /// `vmac_xmit_base`
    pub vmac_xmit_base: bool,
    /// `use_ipvlan`
    pub ipvlan: Option<Box<Ipvlan>>,

    /// A keyword of unicast was used.
    pub unicast_configured: bool,
    /// Adverts go to the peers; set by validation.
    pub unicast: bool,
    /// `unicast_peer`
    pub unicast_peers: Vec<UnicastPeer>,
    /// `unicast_fault_no_peer`
    pub unicast_fault_no_peer: bool,
    /// `check_unicast_src`, or a TTL limit of a peer.
    pub check_unicast_src: bool,
    /// `old_unicast_checksum`
    pub old_unicast_checksum: OldUnicastChecksum,
    /// `unicast_ttl`; set to 255 for IPv4 by validation, none for IPv6: the kernel's default.
    pub ttl: Option<u8>,
    /// `dynamic_interfaces allow_if_changes`: another instance has the VRID now, but the interface may change; set by validation.
    pub duplicate_vrid: bool,
    /// Another unicast instance has the same VRID, interface and local address; set by validation.
    pub unicast_duplicate_vrid: bool,

    /// `mcast_src_ip`/`unicast_src_ip`, or the address of `use_ipvlan`.
    pub source: Option<Spanned<IpAddr>>,
    /// The source address was configured (also set by `use_ipvlan`).
    pub source_configured: bool,
    /// `track_src_ip`
    pub track_source: bool,
    /// `mcast_dst_ip`; set after validation unless unicast.
    pub group_address: Option<IpAddr>,

    /// `dont_track_primary`
    pub dont_track_primary: bool,
    /// Tracked objects.
    pub track: Rare<Trackers>,

    /// `virtual_ipaddress`, at most what fits in a packet after validation.
    pub vips: Vec<Address>,
    /// `virtual_ipaddress_excluded`
    pub evips: Vec<Address>,
    /// `no_virtual_ipaddress`
    pub allow_no_vips: bool,
    /// `promote_secondaries`
    pub promote_secondaries: bool,
    /// `virtual_routes`
    pub routes: Vec<Route>,
    /// `virtual_rules`
    pub rules: Vec<Rule>,

    /// `linkbeat_use_polling` (deprecated here)
    pub linkbeat: bool,
    /// `v3_checksum_as_v2`
    pub v3_checksum_as_v2: bool,
    /// `skip_check_adv_addr`
    pub skip_check_adv_addr: bool,

    /// Scripts.
    pub notify: Rare<Notifies>,
    /// `notify_deleted SCRIPT`
    pub notify_deleted_script: Rare<Option<Script>>,
    /// `notify_deleted`, with or without a script.
    pub notify_deleted: bool,
    /// `notify_master_rx_lower_pri`
    pub notify_master_rx_lower_pri: Rare<Option<Script>>,
    /// Some `notify…` keyword was given.
    pub notify_exec: bool,
    /// `smtp_alert`; set after validation.
    pub smtp_alert: Option<bool>,
    /// `notify_priority_changes`; set after validation.
    pub notify_priority_changes: Option<bool>,

    /// `garp_master_delay` in microseconds.
    pub garp_delay: u32,
    /// `garp_master_refresh` in seconds.
    pub garp_refresh: u32,
    /// `garp_master_repeat`, 1 and more.
    pub garp_repeat: u32,
    /// `garp_master_refresh_repeat`, 1 and more.
    pub garp_refresh_repeat: u32,
    /// `garp_lower_prio_delay` in microseconds; set after validation.
    pub garp_lower_prio_delay: Option<u32>,
    /// `garp_lower_prio_repeat`; set after validation.
    pub garp_lower_prio_repeat: Option<u32>,
    /// `garp_extra_if` in seconds; set after validation, 0: off.
    pub garp_extra_if: Option<u32>,
    /// `garp_extra_if all`
    pub garp_extra_all: bool,
    /// `down_timer_adverts`, 1 to 100.
    pub down_timer_adverts: u8,
    /// `timer_expired_backup`: highest priority of the other routers.
    pub highest_other_priority: Option<u8>,
    /// `lower_prio_no_advert`; set after validation.
    pub lower_prio_no_advert: Option<bool>,
    /// `higher_prio_send_advert`; set after validation.
    pub higher_prio_send_advert: Option<bool>,
    /// `owner_ignore_adverts`; set after validation.
    pub owner_ignore_adverts: Option<bool>,
    /// `kernel_rx_buf_size` in octets; 0: by policy.
    pub kernel_rx_buf_size: u32,

    /// `auth_type`
    pub auth_type: AuthType,
    /// `auth_pass`, filled with zeros.
    pub auth_pass: [u8; 8],
    /// `auth_hmac`
    pub auth_hmac: Option<Box<AuthHmac>>,

    /// The group the instance belongs to: index in [`super::VrrpModel::sync_groups`]; set by validation.
    pub sync_group: Option<usize>,
    /// Excluded addresses of the other family exist; set by validation for VMAC and ipvlan.
    pub evip_other_family: bool,
    /// What the instance tracks in the end: [`Self::track`] without what had to be dropped, what its sync group tracks, and
    /// (with weight 0) interfaces that an address, a route or a rule needs. Set by validation.
    pub tracked: Rare<Trackers>,
    /// VMACs for single addresses (`use_vmac` of an address, `use_vmac_addr`); set by validation.
    pub address_vmacs: Vec<AddressVmac>,
    /// Problems that keep the instance in FAULT for good; set by validation.
    pub config_faults: u32,
}

/// Values that a new instance takes from global_defs at the moment its block starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceDefaults {
    /// `vrrp_garp_master_delay`, microseconds.
    pub garp_delay: u32,
    /// `vrrp_garp_master_refresh`, seconds.
    pub garp_refresh: u32,
    /// `vrrp_garp_master_repeat`
    pub garp_repeat: u32,
    /// `vrrp_garp_master_refresh_repeat`
    pub garp_refresh_repeat: u32,
    /// `vrrp_down_timer_adverts`
    pub down_timer_adverts: u8,
    /// `v3_checksum_as_v2`
    pub v3_checksum_as_v2: bool,
    /// `vrrp_skip_check_adv_addr`
    pub skip_check_adv_addr: bool,
}

impl VrrpInstance {
    /// An empty instance.
    pub fn new(name: Name, defaults: &InstanceDefaults) -> Self {
        Self {
            name,
            family: None,
            version: None,
            state: None,
            interface: None,
            vrf: None,
            vrid: None,
            priority: None,
            advert_int: None,
            strict: None,
            accept: None,
            nopreempt: false,
            preempt_delay: 0,
            debug: 0,
            vmac: None,
            vmac_addr: false,
            vmac_xmit_base: false,
            ipvlan: None,
            unicast_configured: false,
            unicast: false,
            unicast_peers: Vec::new(),
            unicast_fault_no_peer: false,
            check_unicast_src: false,
            old_unicast_checksum: OldUnicastChecksum::Automatic,
            ttl: None,
            duplicate_vrid: false,
            unicast_duplicate_vrid: false,
            source: None,
            source_configured: false,
            track_source: false,
            group_address: None,
            dont_track_primary: false,
            track: Rare::default(),
            vips: Vec::new(),
            evips: Vec::new(),
            allow_no_vips: false,
            promote_secondaries: false,
            routes: Vec::new(),
            rules: Vec::new(),
            linkbeat: false,
            v3_checksum_as_v2: defaults.v3_checksum_as_v2,
            skip_check_adv_addr: defaults.skip_check_adv_addr,
            notify: Rare::default(),
            notify_deleted_script: Rare::default(),
            notify_deleted: false,
            notify_master_rx_lower_pri: Rare::default(),
            notify_exec: false,
            smtp_alert: None,
            notify_priority_changes: None,
            garp_delay: defaults.garp_delay,
            garp_refresh: defaults.garp_refresh,
            garp_repeat: defaults.garp_repeat,
            garp_refresh_repeat: defaults.garp_refresh_repeat,
            garp_lower_prio_delay: None,
            garp_lower_prio_repeat: None,
            garp_extra_if: None,
            garp_extra_all: false,
            down_timer_adverts: defaults.down_timer_adverts,
            highest_other_priority: None,
            lower_prio_no_advert: None,
            higher_prio_send_advert: None,
            owner_ignore_adverts: None,
            kernel_rx_buf_size: 0,
            auth_type: AuthType::None,
            auth_pass: [0; 8],
            auth_hmac: None,
            sync_group: None,
            evip_other_family: false,
            tracked: Rare::default(),
            address_vmacs: Vec::new(),
            config_faults: 0,
        }
    }

    /// Gives back the room that was taken while the configuration was read; there may be a thousand instances.
    pub(crate) fn compact(&mut self) {
        self.track.compact();
        self.tracked.compact();
        self.notify.compact();
        self.notify_deleted_script.compact();
        self.notify_master_rx_lower_pri.compact();
        self.unicast_peers.shrink_to_fit();
        self.vips.shrink_to_fit();
        self.evips.shrink_to_fit();
        self.routes.shrink_to_fit();
        self.rules.shrink_to_fit();
        self.address_vmacs.shrink_to_fit();
    }

    /// Whether the instance owns the addresses (priority 255).
    pub fn is_owner(&self) -> bool {
        self.priority == Some(255)
    }

    /// Whether the strict rules hold (after validation).
    pub fn is_strict(&self) -> bool {
        self.strict == Some(true)
    }

    /// Name of the VMAC or ipvlan interface, if the instance has one.
    pub fn vmac_name(&self) -> Option<&str> {
        let vmac = self.vmac.as_ref().and_then(|v| v.name.as_deref());
        vmac.or_else(|| self.ipvlan.as_ref().and_then(|v| v.name.as_deref()))
            .map(|n| &**n)
    }

    /// The interface that an address of this instance goes to (after validation): its VMAC, the interface of the line, or the
    /// instance's own. None only for an instance without an interface.
    pub fn address_interface<'a>(&'a self, address: &'a Address) -> Option<&'a str> {
        let own = self.interface.as_ref().map(|n| &*n.value);
        let written = address.dev.as_ref().map(|n| &*n.value);
        let on_own = written.is_none() || written == own;
        let same_family = self.family == Some(address.family());
        if on_own && self.vmac.is_some() && same_family {
            return self.vmac_name();
        }
        let base = if on_own { own } else { written };
        let wants_vmac = address.use_vmac || (self.vmac_addr && !(on_own && same_family));
        let mut vmacs = self.address_vmacs.iter();
        let vmac = vmacs.find(|v| Some(&*v.base) == base && v.family == address.family());
        vmac.filter(|_| wants_vmac).map_or(base, |v| Some(&*v.name))
    }

    /// The multicast group without `mcast_dst_ip` and without a global one.
    pub const fn default_group(family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        }
    }
}
