//! From what the operator wrote to what the core runs on. The only place that knows both.
//!
//! In: the checked [`Model`]. Out: the core's [`Config`] and the numbers of the static objects.
//! Positions agree: instance and group n of the model are instance and group n of the core.

mod instance;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::address::Address;
use conf_parsers::keepalived::model::print_address::{AddressState, print_address};
use conf_parsers::keepalived::model::print_route::{InstalledOn, print_route};
use conf_parsers::keepalived::model::print_rule::print_rule;
use conf_parsers::keepalived::model::vrrp::{SyncGroup, Tracked, Trackers};
use conf_parsers::keepalived::model::vrrp_instance::VrrpInstance;
use net_types::Duration;
use vrrp_proto::Table;
use vrrp_proto::config::{
    Config, Global, Group, IfId, InstanceId, Interface, LinkFacts, Object, Pacing, Track,
    TrackSource, Tracker, TrackerId, TrackerKind, TrackerState, VirtualAddress,
};

use super::objects::{AddressObject, Objects, RouteObject, rule};

/// What the command line says about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Switches {
    /// `--release-vips`
    pub release_vips: bool,
    /// `--dont-release-vrrp`
    pub dont_release: bool,
}

/// The core's configuration, and what the shell sees to itself.
#[derive(Debug)]
pub struct Lowered {
    /// For the core.
    pub config: Config,
    /// `static_ipaddress`, `static_routes`, `static_rules`, in this order and that of the file.
    pub statics: Vec<Static>,
    /// Lines to log: what was asked for and is not there yet.
    pub warnings: Vec<String>,
}

/// A static object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Static {
    /// Which.
    pub object: Object,
    /// `no_track`: it is not put back when somebody removes it.
    pub no_track: bool,
    /// How it is called in the log.
    pub text: Box<str>,
}

/// Lowers `model`. What the kernel says about the interfaces is to be filled in afterwards: only now is it known which
/// addresses are not theirs but ours.
pub fn lower(model: &Model, objects: &mut Objects, switches: Switches) -> Lowered {
    objects.begin_configuration();
    let mut to = Lowering {
        model,
        objects,
        interfaces: Vec::new(),
        warnings: Vec::new(),
    };
    let instances: Table<_> = model
        .vrrp
        .instances
        .iter()
        .filter_map(|i| to.instance(i))
        .collect();
    let groups = model.vrrp.sync_groups.iter().map(|g| to.group(g)).collect();
    let statics = to.statics();
    let (names, warnings) = (to.interfaces, to.warnings);
    let mut pacing = groups_of_pacing(model);
    let interfaces = names
        .into_iter()
        .map(|name| {
            let written = model.vrrp.interfaces.get(&name);
            let group = written
                .and_then(|w| w.garp_group)
                .and_then(|g| u16::try_from(g).ok());
            Interface {
                link: LinkFacts::default(),
                up_delay: micros(written.map_or(0, |w| w.up_delay)),
                down_delay: micros(written.map_or(0, |w| w.down_delay)),
                pacing: group.or_else(|| own_pacing(model, &mut pacing)),
                ours: is_made(model, &name),
                fresh: false,
                polled: false,
                name,
            }
        })
        .collect();
    let global = &model.global;
    Lowered {
        config: Config {
            global: Global {
                startup_delay: micros(global.vrrp_startup_delay),
                startup_delay_after_boot: global.vrrp_startup_delay_after_boot,
                mcast_group4: global.vrrp_mcast_group4,
                allow_if_changes: global.allow_if_changes,
                log_unknown_vrids: global.log_unknown_vrids,
                fifo_states_on_reload: global.fifo_write_vrrp_states_on_reload,
                release_vips: switches.release_vips,
                keep_on_exit: switches.dont_release,
                tell_refusals: cfg!(feature = "snmp") && global.enable_traps,
            },
            interfaces,
            instances,
            groups,
            trackers: trackers(model),
            pacing,
        },
        statics,
        warnings,
    }
}

struct Lowering<'a> {
    model: &'a Model,
    objects: &'a mut Objects,
    /// Names by [`IfId`].
    interfaces: Vec<Box<str>>,
    warnings: Vec<String>,
}

impl Lowering<'_> {
    /// The id of an interface; a new one for a new name. `None` only beyond 65 536 names.
    fn interface(&mut self, name: &str) -> Option<IfId> {
        let position = self
            .interfaces
            .iter()
            .position(|n| **n == *name)
            .unwrap_or_else(|| {
                self.interfaces.push(name.into());
                self.interfaces.len().saturating_sub(1)
            });
        u16::try_from(position).ok().map(IfId)
    }

    fn addresses(&mut self, i: &VrrpInstance, lines: &[Address]) -> Vec<VirtualAddress> {
        let mut found = Vec::with_capacity(lines.len());
        for line in lines {
            let Some(name) = i.address_interface(line).map(Box::<str>::from) else {
                let (name, address) = (&i.name.value, line.prefix.addr);
                self.warnings
                    .push(format!("({name}) no interface for address {address}"));
                continue;
            };
            let object = self.objects.intern_address(AddressObject::new(line, &name));
            if let (Object::Address(object), Some(interface)) = (object, self.interface(&name)) {
                found.push(VirtualAddress {
                    address: line.prefix.addr,
                    object,
                    interface,
                    no_track: line.no_track,
                });
            }
        }
        found
    }

    /// Everything, in the order of the original's log lines.
    fn tracks(&mut self, tracked: &Trackers) -> Vec<Track> {
        let vrrp = &self.model.vrrp;
        let script = |name: &str| vrrp.scripts.iter().position(|s| **s.name == *name);
        let file = |name: &str| {
            let n = vrrp.track_files.iter().position(|f| **f.name == *name)?;
            n.checked_add(vrrp.scripts.len())
        };
        let first_process = vrrp.scripts.len().saturating_add(vrrp.track_files.len());
        let process = |name: &str| {
            let n = vrrp
                .track_processes
                .iter()
                .position(|p| **p.name == *name)?;
            n.checked_add(first_process)
        };
        let bfd = |name: &str| {
            let n = self
                .model
                .bfd
                .tracked
                .iter()
                .position(|b| **b.name == *name)?;
            n.checked_add(first_process)?
                .checked_add(vrrp.track_processes.len())
        };
        let tracker = |n: Option<usize>| {
            let id = n.and_then(|n| u16::try_from(n).ok());
            id.map(|id| TrackSource::Tracker(TrackerId(id)))
        };
        let track = |t: &Tracked, source: Option<TrackSource>| {
            source.map(|source| Track {
                source,
                weight: i32::from(t.weight),
                reverse: t.reverse,
            })
        };
        let mut found = Vec::new();
        for t in &tracked.interfaces {
            let id = self.interface(&t.name);
            found.extend(track(t, id.map(TrackSource::Interface)));
        }
        for t in &tracked.files {
            found.extend(track(t, tracker(file(&t.name))));
        }
        for t in &tracked.processes {
            found.extend(track(t, tracker(process(&t.name))));
        }
        for t in &tracked.scripts {
            found.extend(track(t, tracker(script(&t.name))));
        }
        for t in &tracked.bfds {
            found.extend(track(t, tracker(bfd(&t.name))));
        }
        found
    }

    fn group(&mut self, group: &SyncGroup) -> Group {
        let position = |name: &str| {
            self.model
                .vrrp
                .instances
                .iter()
                .position(|i| *i.name.value == *name)
        };
        let members = group
            .members
            .iter()
            .flatten()
            .filter_map(|name| position(name));
        Group {
            name: group.name.value.clone(),
            members: members
                .filter_map(|i| u16::try_from(i).ok())
                .map(InstanceId)
                .collect(),
        }
    }

    fn statics(&mut self) -> Vec<Static> {
        let vrrp = &self.model.vrrp;
        let mut found = Vec::new();
        for line in &vrrp.static_addresses {
            if let Some(device) = &line.dev {
                let object = self
                    .objects
                    .intern_address(AddressObject::new(line, device));
                self.interface(device);
                found.push(Static {
                    object,
                    no_track: line.no_track,
                    text: address_text(line, device),
                });
            }
        }
        for line in &vrrp.static_routes {
            found.push(Static {
                object: self.objects.intern_route(RouteObject::new(line)),
                no_track: line.no_track,
                text: print_route(line, InstalledOn::Configured).into(),
            });
        }
        for line in &vrrp.static_rules {
            found.push(Static {
                object: self.objects.intern_rule(rule(line)),
                no_track: line.no_track,
                text: print_rule(line).into(),
            });
        }
        found
    }
}

/// Scripts, files, processes, BFD sessions, in the order of the model. What is known of them is filled in by [`super::track`].
fn trackers(model: &Model) -> Vec<Tracker> {
    let vrrp = &model.vrrp;
    let scripts = vrrp.scripts.iter().map(|s| Tracker {
        name: s.name.value.clone(),
        kind: TrackerKind::Script,
        state: TrackerState::Pending,
    });
    let files = vrrp.track_files.iter().map(|f| Tracker {
        name: f.name.value.clone(),
        kind: TrackerKind::File,
        state: TrackerState::Value(0),
    });
    let processes = vrrp.track_processes.iter().map(|p| Tracker {
        name: p.name.value.clone(),
        kind: TrackerKind::Process,
        state: TrackerState::Down,
    });
    let bfds = model.bfd.tracked.iter().map(|b| Tracker {
        name: b.name.value.clone(),
        kind: TrackerKind::Bfd,
        state: TrackerState::Down,
    });
    let all = scripts.chain(files).chain(processes).chain(bfds);
    all.collect()
}

/// The groups of interfaces that share a queue.
fn groups_of_pacing(model: &Model) -> Vec<Pacing> {
    let groups = model.vrrp.garp_groups.iter();
    groups
        .map(|g| Pacing {
            arp: micros(g.garp_interval.unwrap_or(0)),
            na: micros(g.gna_interval.unwrap_or(0)),
        })
        .collect()
}

/// `vrrp_garp_interval`, `vrrp_gna_interval`: an interface in no group has a queue of its own with the global gaps.
fn own_pacing(model: &Model, pacing: &mut Vec<Pacing>) -> Option<u16> {
    let global = &model.global;
    if global.vrrp_garp_interval == 0 && global.vrrp_gna_interval == 0 {
        return None;
    }
    pacing.push(Pacing {
        arp: micros(global.vrrp_garp_interval),
        na: micros(global.vrrp_gna_interval),
    });
    u16::try_from(pacing.len().saturating_sub(1)).ok()
}

fn address_text(line: &Address, device: &str) -> Box<str> {
    let state = AddressState {
        dev: Some(device),
        base_dev: None,
        scope: None,
        set: false,
        iptables_set: false,
        nftables_set: false,
    };
    print_address(line, &state).into()
}

/// Whether the interface is one that we make.
fn is_made(model: &Model, name: &str) -> bool {
    model
        .vrrp
        .instances
        .iter()
        .any(|i| i.vmac_name() == Some(name) || i.address_vmacs.iter().any(|v| *v.name == *name))
}

fn micros(n: u32) -> Duration {
    Duration::from_micros(u64::from(n))
}

#[cfg(test)]
mod tests;
