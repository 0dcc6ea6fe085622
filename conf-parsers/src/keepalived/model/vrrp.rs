//! Model of the VRRP blocks: groups, trackers, static objects and interface settings. Instances are in [`super::vrrp_instance`].
//!
//! Parsing fills it with what the operator wrote; [`crate::keepalived::validate`] completes it (defaults that depend on other
//! keywords, cleared contradictions, dropped references), so that the daemon can lower it without further rules.

use net_types::SortedMap;

use super::rare::Unwritten;
use super::script::Script;
use super::vrrp_instance::VrrpInstance;
use super::{address::Address, route::Route, rule::Rule};
use crate::span::{Span, Spanned};

/// A name with its place.
pub type Name = Spanned<Box<str>>;

/// All VRRP blocks of the configuration.
#[derive(Clone, Debug, Default)]
pub struct VrrpModel {
    /// `vrrp_instance`, in file order.
    pub instances: Vec<VrrpInstance>,
    /// `vrrp_sync_group`, in file order.
    pub sync_groups: Vec<SyncGroup>,
    /// `vrrp_script`
    pub scripts: Vec<VrrpScript>,
    /// `track_file`/`vrrp_track_file`
    pub track_files: Vec<TrackFile>,
    /// `vrrp_track_process`
    pub track_processes: Vec<TrackProcess>,
    /// `track_group`
    pub track_groups: Vec<TrackGroup>,
    /// `static_ipaddress`
    pub static_addresses: Vec<Address>,
    /// `static_routes`
    pub static_routes: Vec<Route>,
    /// `static_rules`
    pub static_rules: Vec<Rule>,
    /// `garp_group`
    pub garp_groups: Vec<GarpGroup>,
    /// What the configuration says about interfaces, by name.
    pub interfaces: SortedMap<Box<str>, InterfaceSettings>,
}

impl VrrpModel {
    /// The instance of that name.
    pub fn instance(&self, name: &str) -> Option<&VrrpInstance> {
        self.instances.iter().find(|i| &**i.name == name)
    }
    /// The script of that name.
    pub fn script(&self, name: &str) -> Option<&VrrpScript> {
        self.scripts.iter().find(|s| &**s.name == name)
    }
}

/// Settings of one interface that do not belong to an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceSettings {
    /// `linkbeat_interfaces`, `linkbeat_use_polling`: ask the device about its link instead of relying on netlink.
    pub linkbeat: Option<Linkbeat>,
    /// `interface_up_down_delays`: microseconds that a loss of link must last before it counts.
    pub down_delay: u32,
    /// `interface_up_down_delays`: microseconds that a link must be up before it counts.
    pub up_delay: u32,
    /// Index in [`VrrpModel::garp_groups`].
    pub garp_group: Option<usize>,
    /// It did not exist when the configuration was read (`dynamic_interfaces`).
    pub awaited: bool,
}

/// How the link state of an interface is polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Linkbeat {
    /// The first of the methods that works.
    #[default]
    Automatic,
    /// MII registers.
    Mii,
    /// ethtool.
    Ethtool,
    /// Interface flags.
    Ioctl,
}

/// `garp_group`: a gap between gratuitous ARP (and NA) packets shared by interfaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GarpGroup {
    /// `garp_interval` in microseconds.
    pub garp_interval: Option<u32>,
    /// `gna_interval` in microseconds.
    pub gna_interval: Option<u32>,
    /// Place.
    pub span: Span,
}

/// The scripts that tell of state changes, of an instance or a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notifies {
    /// `notify_backup`
    pub backup: Option<Script>,
    /// `notify_master`
    pub master: Option<Script>,
    /// `notify_fault`
    pub fault: Option<Script>,
    /// `notify_stop`
    pub stop: Option<Script>,
    /// `notify`, which gets four more arguments.
    pub any: Option<Script>,
}

impl Unwritten for Notifies {
    const UNWRITTEN: &'static Self = &Self {
        backup: None,
        master: None,
        fault: None,
        stop: None,
        any: None,
    };
}

/// `vrrp_sync_group`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup {
    /// Its name.
    pub name: Name,
    /// `group`: the names as written; after validation only those of existing instances that are in no other group.
    pub members: Option<Vec<Name>>,
    /// Tracked objects.
    pub track: Trackers,
    /// Scripts.
    pub notify: Notifies,
    /// Some `notify…` keyword was given.
    pub notify_exec: bool,
    /// `smtp_alert`; set after validation.
    pub smtp_alert: Option<bool>,
    /// `sync_group_tracking_weight` (or `global_tracking`): members may have weights.
    pub tracking_weight: bool,
    /// `notify_priority_changes`: default for the members.
    pub notify_priority_changes: Option<bool>,
    /// The group can only start as master because every member is address owner; set by validation.
    pub all_owners: bool,
}

impl SyncGroup {
    /// An empty group.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            members: None,
            track: Trackers::default(),
            notify: Notifies::default(),
            notify_exec: false,
            smtp_alert: None,
            tracking_weight: false,
            notify_priority_changes: None,
            all_owners: false,
        }
    }
}

/// `track_group`: instances that static objects follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackGroup {
    /// Its name.
    pub name: Name,
    /// `group`; after validation only existing instances.
    pub members: Option<Vec<Name>>,
}

/// What an instance or a group tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trackers {
    /// `track_interface`
    pub interfaces: Vec<Tracked>,
    /// `track_script`
    pub scripts: Vec<Tracked>,
    /// `track_file`
    pub files: Vec<Tracked>,
    /// `track_process`
    pub processes: Vec<Tracked>,
    /// `track_bfd`
    pub bfds: Vec<Tracked>,
}

impl Unwritten for Trackers {
    const UNWRITTEN: &'static Self = &Self {
        interfaces: Vec::new(),
        scripts: Vec::new(),
        files: Vec::new(),
        processes: Vec::new(),
        bfds: Vec::new(),
    };
}

/// A reference to a tracked object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Its name: interface, script, file, process or BFD session.
    pub name: Name,
    /// -254 to 254. 0: the loss of the object is a fault. For a file the factor of its value.
    pub weight: i16,
    /// The weight (or the meaning of up and down) is inverted.
    pub reverse: bool,
}

/// `vrrp_script`: a command that is run periodically.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpScript {
    /// Its name.
    pub name: Name,
    /// `script`; always set after the block. Its account comes from `user` or the default.
    pub script: Option<Script>,
    /// `interval` in microseconds, 1000 and more.
    pub interval: u64,
    /// `timeout` in microseconds; 0: the interval.
    pub timeout: u64,
    /// `weight`, -253 to 253.
    pub weight: i16,
    /// `weight N reverse`
    pub reverse: bool,
    /// `rise`, 1 and more.
    pub rise: u32,
    /// `fall`, 1 and more.
    pub fall: u32,
    /// `init_fail`: taken as failed until it ran. A later `track_script` line clears it, as in the original.
    pub init_fail: bool,
}

impl VrrpScript {
    /// A script with the original's defaults.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            script: None,
            interval: 1_000_000,
            timeout: 0,
            weight: 0,
            reverse: false,
            rise: 1,
            fall: 1,
            init_fail: false,
        }
    }
}

/// `track_file`: a file whose number is tracked. Read by the VRRP and by the checker process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackFile {
    /// Its name.
    pub name: Name,
    /// `file`; always set after the block.
    pub path: Option<Name>,
    /// `weight`, -254 to 254; 1 without the keyword.
    pub weight: i16,
    /// `weight N reverse`
    pub reverse: bool,
    /// `init_file`: write this at start.
    pub init: Option<TrackFileInit>,
}

/// `init_file`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackFileInit {
    /// The number to write.
    pub value: i32,
    /// Also if the file exists.
    pub overwrite: bool,
}

/// How the arguments of a process are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ParamMatch {
    /// Not at all.
    #[default]
    None,
    /// All the same.
    Exact,
    /// The configured ones are the first ones, and the last of them may be a prefix.
    Initial,
    /// The configured ones are the first ones.
    Partial,
}

/// `vrrp_track_process`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackProcess {
    /// Its name.
    pub name: Name,
    /// `process`: the program; always set after the block.
    pub path: Option<Name>,
    /// `process`: further words.
    pub params: Vec<Box<str>>,
    /// `param_match`
    pub param_match: ParamMatch,
    /// `weight`, -254 to 254.
    pub weight: i16,
    /// `weight N reverse`
    pub reverse: bool,
    /// `quorum`: least number of processes; 0 only with `quorum_max` 0.
    pub quorum: u32,
    /// `quorum_max`; `u32::MAX` without a limit.
    pub quorum_max: u32,
    /// `terminate_delay` in microseconds.
    pub terminate_delay: u32,
    /// `fork_delay` in microseconds.
    pub fork_delay: u32,
    /// `full_command`: compare the command line, not the kernel's short name.
    pub full_command: bool,
}

impl TrackProcess {
    /// A process with the original's defaults.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            path: None,
            params: Vec::new(),
            param_match: ParamMatch::None,
            weight: 0,
            reverse: false,
            quorum: 1,
            quorum_max: u32::MAX,
            terminate_delay: 0,
            fork_delay: 0,
            full_command: false,
        }
    }
}
