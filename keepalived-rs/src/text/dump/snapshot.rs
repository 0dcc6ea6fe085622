//! Facts of the present that the dumps show beside the configuration. Filled by the run loop; plain data.
//!
//! Lists run parallel to the model's: entry n is about instance, group, script … n. A missing entry counts as the default.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use conf_parsers::keepalived::model::vrrp::Linkbeat;
use net_types::Family;
use vrrp_proto::State;
use vrrp_proto::stats::Stats;

/// A moment of the wall clock: microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// This process.
    pub process: ProcessNow,
    /// Instances.
    pub instances: Vec<InstanceNow>,
    /// Sync groups.
    pub groups: Vec<GroupNow>,
    /// vrrp_scripts.
    pub scripts: Vec<ScriptNow>,
    /// Track files: the number read last.
    pub track_files: Vec<i64>,
    /// Track processes.
    pub track_processes: Vec<ProcessTrackNow>,
    /// Tracked BFD sessions: up.
    pub bfds: Vec<bool>,
    /// Sockets, in order of creation.
    pub sockets: Vec<SocketNow>,
    /// Interfaces, in the kernel's order.
    pub interfaces: Vec<InterfaceNow>,
    /// Static addresses that are set.
    pub static_addresses: Vec<AddressNow>,
    /// The dump is of the configuration alone (`--dump-conf`): lines about the passing state are left out.
    pub configuration_only: bool,
}

/// This process.
#[derive(Clone, Debug, Default)]
pub struct ProcessNow {
    /// Umask in force.
    pub umask: u32,
    /// Own user and group number.
    pub ids: (u32, u32),
    /// Current SCHED_RR priority; 0 = none.
    pub realtime_priority: u32,
    /// Current RLIMIT_RTTIME; 0 = none.
    pub realtime_limit: u32,
    /// When `reload_time_file` wants a reload (`2026-11-22 17:03:31`), and whether it names a day (parent).
    pub reload_at: Option<(String, bool)>,
    /// Path of the reload marker, if there is one.
    pub reload_file: Option<String>,
    /// FIFOs are open here, so that their scripts have the path as last argument (children).
    pub fifos_open: bool,
}

/// Where an address is and what surrounds it.
#[derive(Clone, Debug, Default)]
pub struct AddressNow {
    /// Interface it goes to.
    pub dev: Option<String>,
    /// Interface below, if that is a VMAC or ipvlan.
    pub base_dev: Option<String>,
    /// It is set.
    pub set: bool,
    /// An nftables element is there for it.
    pub nftables_set: bool,
}

/// Why an instance is in FAULT, as far as the dump tells it apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A tracker.
    pub tracker: bool,
    /// The interface is down.
    pub interface_down: bool,
    /// The interface below is down.
    pub base_interface_down: bool,
    /// Another instance has the VRID.
    pub duplicate_vrid: bool,
    /// No address to send from.
    pub no_source: bool,
    /// The configuration.
    pub config: bool,
    /// How many trackers without weight fail now.
    pub trackers: u32,
}

/// One instance.
#[derive(Clone, Debug)]
pub struct InstanceNow {
    /// State.
    pub state: State,
    /// State without its group.
    pub wanted: State,
    /// Last master heard.
    pub master: Option<IpAddr>,
    /// Its priority.
    pub master_priority: u8,
    /// Interval that the master-down timer counts with, µs.
    pub master_interval: u64,
    /// Master-down time, µs.
    pub master_down: u64,
    /// Next advert or end of the master-down time.
    pub deadline: Option<WallTime>,
    /// Last change of state.
    pub last_transition: WallTime,
    /// Last advert sent.
    pub last_advert: WallTime,
    /// Source address.
    pub source: Option<IpAddr>,
    /// Index of the interface (scope of the IPv6 group).
    pub ifindex: u32,
    /// Priority in adverts.
    pub effective_priority: u8,
    /// Before clipping.
    pub total_priority: i32,
    /// Highest priority heard from another router (shown with nopreempt).
    pub highest_other_priority: u8,
    /// Why it is in FAULT.
    pub faults: Faults,
    /// Scripts that did not run yet.
    pub scripts_init: u32,
    /// The VMAC is up.
    pub vmac_up: bool,
    /// Virtual addresses are set.
    pub vip_set: bool,
    /// Receiving and sending descriptor.
    pub sockets: Option<(i32, i32)>,
    /// The old unicast checksum is used because a peer does.
    pub old_checksum_detected: bool,
    /// `virtual_ipaddress`, parallel to the model.
    pub vips: Vec<AddressNow>,
    /// `virtual_ipaddress_excluded`.
    pub evips: Vec<AddressNow>,
    /// Counters.
    pub stats: Stats,
}

impl Default for InstanceNow {
    fn default() -> Self {
        Self {
            state: State::Init,
            wanted: State::Init,
            master: None,
            master_priority: 0,
            master_interval: 0,
            master_down: 0,
            deadline: None,
            last_transition: WallTime(0),
            last_advert: WallTime(0),
            source: None,
            ifindex: 0,
            effective_priority: 0,
            total_priority: 0,
            highest_other_priority: 0,
            faults: Faults::default(),
            scripts_init: 0,
            vmac_up: false,
            vip_set: false,
            sockets: None,
            old_checksum_detected: false,
            vips: Vec::new(),
            evips: Vec::new(),
            stats: Stats::default(),
        }
    }
}

/// One sync group.
#[derive(Clone, Copy, Debug)]
pub struct GroupNow {
    /// State.
    pub state: State,
    /// Members in FAULT.
    pub members_fault: u32,
    /// Members in INIT.
    pub members_init: u32,
}

/// How far a script is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScriptInit {
    /// Ran at least once.
    #[default]
    Done,
    /// Never ran.
    Init,
    /// Never ran since a reload.
    InitReload,
    /// Never ran, counts as failed.
    Failed,
}

/// What a script does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScriptActivity {
    /// Waits.
    #[default]
    Idle,
    /// Runs.
    Running,
    /// Was asked to end.
    Terminating,
    /// Was killed.
    Killing,
}

/// One vrrp_script.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScriptNow {
    /// Counter, 0 to rise + fall − 1; at least rise is good.
    pub result: i32,
    /// Someone else than root could change it.
    pub insecure: bool,
    /// Whether it ran.
    pub init: ScriptInit,
    /// Activity.
    pub activity: ScriptActivity,
}

/// One vrrp_track_process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessTrackNow {
    /// Processes found.
    pub current: u32,
    /// As many as wanted.
    pub have_quorum: bool,
    /// The fork delay runs.
    pub fork_timer: bool,
    /// The terminate delay runs.
    pub terminate_timer: bool,
}

/// One pair of sockets.
#[derive(Clone, Debug)]
pub struct SocketNow {
    /// To receive.
    pub fd_in: i32,
    /// To send.
    pub fd_out: i32,
    /// Interface.
    pub interface: String,
    /// VRF.
    pub vrf: Option<String>,
    /// Family.
    pub family: Family,
    /// Authentication header instead of plain VRRP.
    pub ah: bool,
    /// Own address of a unicast socket.
    pub unicast_source: Option<IpAddr>,
    /// Receive buffer, octets.
    pub rx_buffer: i32,
    /// Instances with their VRID, by VRID.
    pub instances: Vec<(String, u8)>,
}

/// One interface.
#[derive(Clone, Debug, Default)]
pub struct InterfaceNow {
    /// Name.
    pub name: String,
    /// Index; 0 = deleted.
    pub index: u32,
    /// First IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Further ones.
    pub more_ipv4: Vec<Ipv4Addr>,
    /// Link-local (first) IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// Further ones.
    pub more_ipv6: Vec<Ipv6Addr>,
    /// Link-layer address.
    pub mac: Vec<u8>,
    /// Link-layer broadcast address.
    pub mac_broadcast: Vec<u8>,
    /// `IFF_*`.
    pub flags: u32,
    /// It was up since we know it.
    pub seen_up: bool,
    /// A debounce timer runs.
    pub debouncing: bool,
    /// Group number.
    pub group: u32,
    /// macvlan or ipvlan: kind and mode (`VMAC type private`), interface below, its flags.
    pub above: Option<Above>,
    /// We made it.
    pub ours: bool,
    /// How its link is polled, if it is.
    pub polling: Option<Linkbeat>,
    /// Its VRIDs were checked.
    pub seen_interface: bool,
    /// It is of a kind that programs make.
    pub changeable: bool,
    /// Octets.
    pub mtu: u32,
    /// `ARPHRD_*`.
    pub hardware_type: u16,
    /// VRF that it is the master of: routing table.
    pub vrf_table: Option<u32>,
    /// VRF that it belongs to.
    pub vrf: Option<String>,
    /// Users of changed ARP settings, and the settings before.
    pub arp: ArpSettings,
    /// promote_secondaries before our change, and its users.
    pub promote_secondaries: (u32, u32),
    /// Last look at IPv6 forwarding.
    pub forwarding: Option<(bool, WallTime)>,
}

/// What a macvlan or ipvlan stands on.
#[derive(Clone, Debug, Default)]
pub struct Above {
    /// `VMAC` or `IPVLAN`.
    pub kind: &'static str,
    /// `private`, `L2 bridge`, …
    pub mode: String,
    /// Interface below, if it is in this namespace.
    pub base: Option<String>,
    /// Its index in another namespace, and that namespace's number.
    pub elsewhere: Option<(u32, i32)>,
    /// Its `IFF_*`.
    pub base_flags: u32,
}

/// Settings of ARP that VMACs change on their base.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArpSettings {
    /// How many VMACs need it.
    pub users: u32,
    /// arp_ignore before.
    pub ignore: u32,
    /// arp_filter before.
    pub filter: u32,
    /// rp_filter before, if it was changed.
    pub rp_filter: Option<u32>,
}
