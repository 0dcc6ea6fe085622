//! From what the operator wrote to what the core runs on. The only place that knows both.
//!
//! In: the checked [`Model`]. Out: the core's [`Config`] and the numbers of the static objects.
//! Positions agree: instance and group n of the model are instance and group n of the core.

use std::net::IpAddr;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::address::Address;
use conf_parsers::keepalived::model::print_address::{AddressState, print_address};
use conf_parsers::keepalived::model::print_route::{InstalledOn, print_route};
use conf_parsers::keepalived::model::print_rule::print_rule;
use conf_parsers::keepalived::model::vrrp::{SyncGroup, Tracked, Trackers};
use conf_parsers::keepalived::model::vrrp_instance::{
    AuthHmac, AuthType, HmacMode as WrittenMode, OldUnicastChecksum, Version as WrittenVersion,
    VrrpInstance, WantState,
};
use net_types::{Duration, Family, Vrid};
use vrrp_proto::config::{
    AntiReplay, Auth, Config, Destination, Garp, Global, Group, GroupId, Hmac, HmacKey, HmacMode,
    IfId, Instance, InstanceId, Interface, LinkFacts, Object, OldChecksum, Pacing, Peer, Track,
    TrackSource, Tracker, TrackerId, TrackerKind, TrackerState, Version, VirtualAddress,
    VirtualRoute, VirtualRule, Wanted,
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
    let instances: Vec<_> = model
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

    /// `None` for an instance without VRID, which validation does not let pass.
    fn instance(&mut self, i: &VrrpInstance) -> Option<Instance> {
        let global = &self.model.global;
        let family = i.family.unwrap_or(Family::V4);
        let version = match i.version {
            Some(WrittenVersion::V3) => Version::V3,
            Some(WrittenVersion::V2) | None => Version::V2,
        };
        let configured = i.interface.as_ref().and_then(|name| self.interface(name));
        let made = i.vmac_name().and_then(|name| self.interface(name));
        let interface = made.or(configured);
        let vrf = i.vrf.as_ref().and_then(|name| self.interface(name));
        let destination = if i.unicast {
            let peer = |p: &conf_parsers::keepalived::model::vrrp_instance::UnicastPeer| Peer {
                address: p.address.value,
                min_ttl: p.min_ttl,
                max_ttl: p.max_ttl,
            };
            Destination::Unicast(i.unicast_peers.iter().map(peer).collect())
        } else {
            Destination::Multicast(i.group_address.unwrap_or(match family {
                Family::V4 => IpAddr::V4(global.vrrp_mcast_group4),
                Family::V6 => IpAddr::V6(global.vrrp_mcast_group6),
            }))
        };
        let auth = match i.auth_type {
            AuthType::None => Auth::None,
            AuthType::Pass => Auth::Pass(i.auth_pass),
            AuthType::Ah => Auth::Ah(i.auth_pass),
        };
        let owner = i.priority == Some(255);
        let routes = i.routes.iter().filter_map(|line| {
            let object = RouteObject::new(line);
            let device = object.interface.clone();
            let interface = device.and_then(|name| self.interface(&name));
            match self.objects.intern_route(object) {
                Object::Route(object) => Some(VirtualRoute {
                    object,
                    key: self.objects.route_key(object).unwrap_or(object),
                    interface,
                    no_track: line.no_track,
                }),
                Object::Address(_) | Object::Rule(_) => None,
            }
        });
        let routes = routes.collect();
        let rules = i
            .rules
            .iter()
            .filter_map(|line| match self.objects.intern_rule(rule(line)) {
                Object::Rule(object) => Some(VirtualRule {
                    object,
                    no_track: line.no_track,
                }),
                Object::Address(_) | Object::Route(_) => None,
            });
        let rules = rules.collect();
        let addresses = self.addresses(i, &i.vips);
        let excluded = self.addresses(i, &i.evips);
        let tracks = self.tracks(&i.tracked);
        Some(Instance {
            name: i.name.value.clone(),
            vrid: Vrid::new(i.vrid?)?,
            family,
            version,
            interface,
            configured_interface: configured,
            transmit_interface: if i.vmac_xmit_base {
                configured
            } else {
                interface
            },
            vrf,
            dont_track_primary: i.dont_track_primary,
            wanted: match i.state {
                Some(WantState::Master) => Wanted::Master,
                Some(WantState::Backup) | None => Wanted::Backup,
            },
            priority: i.priority.unwrap_or(100),
            advert_interval: micros(i.advert_int.unwrap_or(1_000_000)),
            down_timer_adverts: u32::from(i.down_timer_adverts),
            nopreempt: i.nopreempt,
            preempt_delay: micros(i.preempt_delay),
            timer_expired_backup: i.highest_other_priority,
            lower_prio_no_advert: i.lower_prio_no_advert == Some(true),
            higher_prio_send_advert: i.higher_prio_send_advert == Some(true),
            owner_ignore_adverts: owner && i.owner_ignore_adverts == Some(true),
            accept: i.accept != Some(false),
            auth,
            hmac: i.auth_hmac.as_ref().map(|h| Box::new(hmac(h))),
            destination,
            source: i.source.as_ref().map(|s| s.value),
            // Linux sends unicast IPv6 with hop limit 64 when nobody says otherwise.
            ttl: i.ttl.unwrap_or(if i.unicast && family == Family::V6 {
                64
            } else {
                255
            }),
            check_unicast_source: i.check_unicast_src || global.vrrp_check_unicast_src,
            skip_check_adv_addr: i.skip_check_adv_addr,
            checksum_v3_as_v2: i.v3_checksum_as_v2,
            old_checksum: match i.old_unicast_checksum {
                OldUnicastChecksum::Automatic => OldChecksum::Detect,
                OldUnicastChecksum::Never => OldChecksum::Never,
                OldUnicastChecksum::Always => OldChecksum::Always,
            },
            addresses,
            excluded,
            routes,
            rules,
            garp: Garp {
                repeat: i.garp_repeat,
                delay: micros(i.garp_delay),
                refresh: Duration::from_secs(u64::from(i.garp_refresh)),
                refresh_repeat: i.garp_refresh_repeat,
                lower_prio_repeat: i.garp_lower_prio_repeat.unwrap_or(i.garp_repeat),
                lower_prio_delay: micros(i.garp_lower_prio_delay.unwrap_or(i.garp_delay)),
                extra_interval: Duration::from_secs(u64::from(i.garp_extra_if.unwrap_or(0))),
                extra_all: i.garp_extra_all,
            },
            group: i
                .sync_group
                .and_then(|g| u16::try_from(g).ok())
                .map(GroupId),
            tracks,
            notify_deleted: i.notify_deleted,
            notify_priority_changes: i.notify_priority_changes == Some(true),
            leads_connection_sync: global.lvs_sync_daemon.leader() == Some(&*i.name.value),
            config_error: i.config_faults > 0,
            duplicate_vrid: false,
        })
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

fn hmac(written: &AuthHmac) -> Hmac {
    let keys = written.keys.iter().map(|k| HmacKey {
        id: k.id,
        secret: k.secret.clone(),
    });
    Hmac {
        keys: keys.collect(),
        active_key: written.active_key,
        mode: match written.mode {
            WrittenMode::Enforce => HmacMode::Enforce,
            WrittenMode::Permissive => HmacMode::Permissive,
            WrittenMode::ReceiveOnly => HmacMode::ReceiveOnly,
        },
        anti_replay: if written.monotonic {
            AntiReplay::Monotonic
        } else {
            // Validation has set it; this is its least.
            AntiReplay::Time {
                window: written.time_window.unwrap_or(5),
            }
        },
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
mod tests {
    use super::*;
    use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
    use conf_parsers::source::{FakeHost, MemorySource};
    use vrrp_proto::config::TrackSource;

    fn lowered(text: &str) -> (Lowered, Objects) {
        let mut host = FakeHost::with_interfaces(&["br-lan", "eth0.2"]);
        host.source = MemorySource::one("/k.conf", text);
        let lines = read(&host, "/k.conf", &ReadOptions::default());
        // As at a reload, where the child reads global_defs itself.
        let options = ParseOptions {
            reload: true,
            ..ParseOptions::default()
        };
        let outcome = parse(&lines, Part::Vrrp, &host, &options, None);
        assert_eq!(outcome.exit, None, "{:?}", outcome.diagnostics);
        let mut objects = Objects::new();
        let lowered = lower(&outcome.model, &mut objects, Switches::default());
        (lowered, objects)
    }

    const PAIR: &str = "vrrp_instance LAN {\n state MASTER\n interface br-lan\n virtual_router_id 51\n priority 101\n advert_int 2\n\
        authentication {\n auth_type PASS\n auth_pass s3cret\n }\n virtual_ipaddress {\n 192.0.2.1/24\n 192.0.2.2\n }\n\
        track_interface {\n eth0.2 weight -20\n }\n}\n\
        vrrp_instance WAN {\n interface eth0.2\n virtual_router_id 51\n version 3\n advert_int 0.25\n\
        virtual_ipaddress {\n 198.51.100.5/24\n }\n\
        virtual_routes {\n src 198.51.100.5 to 0.0.0.0/0 via 198.51.100.1 dev eth0.2 metric 5\n }\n}\n\
        vrrp_sync_group G1 {\n group {\n LAN\n WAN\n }\n sync_group_tracking_weight\n}\n";

    #[test]
    fn the_usual_pair() {
        let (
            Lowered {
                config, warnings, ..
            },
            objects,
        ) = lowered(PAIR);
        assert_eq!(warnings, Vec::<String>::new());
        let [lan, wan] = &config.instances[..] else {
            panic!("{:?}", config.instances)
        };
        let name = |id: Option<IfId>| id.map(|i| &*config.interfaces[i.index()].name);
        assert_eq!(
            (name(lan.interface), name(wan.interface)),
            (Some("br-lan"), Some("eth0.2"))
        );
        assert_eq!(lan.auth, Auth::Pass(*b"s3cret\0\0"));
        assert_eq!(
            (lan.priority, wan.priority, lan.wanted),
            (101, 100, Wanted::Master)
        );
        assert_eq!(
            (lan.version, lan.advert_interval),
            (Version::V2, Duration::from_secs(2))
        );
        assert_eq!(
            (wan.version, wan.advert_interval),
            (Version::V3, Duration::from_millis(250))
        );
        assert_eq!(lan.addresses.len(), 2);
        assert_eq!(
            objects
                .address(lan.addresses[1].object)
                .unwrap()
                .address
                .prefix_len,
            32
        );
        assert_eq!(name(wan.routes[0].interface), Some("eth0.2"));
        assert_eq!(config.groups[0].members, [InstanceId(0), InstanceId(1)]);
        assert_eq!((lan.group, wan.group), (Some(GroupId(0)), Some(GroupId(0))));
        let track = lan.tracks.iter().find(|t| t.weight != 0).unwrap();
        assert_eq!(track.weight, -20);
        assert!(
            matches!(track.source, TrackSource::Interface(i) if name(Some(i)) == Some("eth0.2"))
        );
    }

    #[test]
    fn gaps_between_announcements_are_per_interface() {
        let text = format!("global_defs {{\n vrrp_garp_interval 0.1\n}}\n{PAIR}");
        let (first, _) = lowered(&text);
        assert_eq!(first.config.pacing.len(), first.config.interfaces.len());
        let of = |c: &Config| c.interfaces.iter().map(|i| i.pacing).collect::<Vec<_>>();
        assert_eq!(of(&first.config), [Some(0), Some(1)]);
    }

    #[test]
    fn authentication() {
        let text = PAIR
            .replace("auth_type PASS", "auth_type AH")
            .replace("state MASTER", "state BACKUP");
        let (header, _) = lowered(&text);
        let instance = &header.config.instances[0];
        assert!(matches!(instance.auth, Auth::Ah(key) if key[0] != 0));
        assert!(!instance.config_error);

        let text = text.replacen(
            "authentication {",
            "auth_hmac {\n key 7 0123456789abcdefghijklmnopqrstuv\n active_key 7\n mode permissive\n}\nauthentication {",
            1,
        );
        let (trailer, _) = lowered(&text);
        let instance = &trailer.config.instances[0];
        assert_eq!(instance.auth, Auth::None);
        let hmac = instance.hmac.as_deref().unwrap();
        assert_eq!((hmac.active_key, hmac.mode), (7, HmacMode::Permissive));
        assert_eq!(hmac.anti_replay, AntiReplay::Time { window: 6 });
        assert_eq!(hmac.keys[0].secret.len(), 32);
    }
}
