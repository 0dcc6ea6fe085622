//! The present, for the dumps: what the core, the sockets and the interface table know, as plain data for [`crate::text::dump`].

use std::net::IpAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use conf_parsers::keepalived::model::Model;
use daemon_rt::dump_file;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::timer::monotonic_now;
use linux_io::users;
use net_types::{Family, Instant, SortedMap};
use netlink_wire::Link;
use netlink_wire::link::{IPVLAN_F_PRIVATE, IPVLAN_F_VEPA, Kind};
use vrrp_proto::config::{Track, TrackSource, TrackerState, VirtualAddress};
use vrrp_proto::status::{FaultReason, Status};
use vrrp_proto::{GroupId, IfId, InstanceId, Object, Router, SocketId, State};

use super::firewall::Firewall;
use super::garp::Announcer;
use super::interfaces::Interfaces;
use super::kernel::Kernel;
use super::linkbeat::Polling;
use super::sockets::Sockets;
use super::track::Tracking;
use super::vmac::Vmacs;
use crate::child::Context;
use crate::text;
use crate::text::dump::snapshot::{
    Above, AddressNow, ArpSettings, Faults, GroupNow, InstanceNow, InterfaceNow, ProcessNow,
    Snapshot, SocketNow, WallTime,
};
use crate::text::dump::{json, stats, vrrp_data};
use crate::{dump_name, paths};

/// Where the facts are.
pub(super) struct Sources<'a> {
    pub(super) context: &'a Context,
    pub(super) model: &'a Model,
    pub(super) router: &'a Router,
    pub(super) sockets: &'a Sockets,
    pub(super) kernel: &'a Kernel,
    pub(super) tracking: &'a Tracking,
    pub(super) vmacs: &'a Vmacs,
    pub(super) firewall: &'a Firewall,
    pub(super) polling: &'a Polling,
    /// Interfaces whose `promote_secondaries` we have set.
    pub(super) promoted: &'a [Box<str>],
    /// SCHED_RR priority and RLIMIT_RTTIME in force.
    pub(super) scheduling: (u32, u32),
    pub(super) announcer: Option<&'a Announcer>,
    /// The socket's configured receive buffer.
    pub(super) receive_buffer: &'a dyn Fn(SocketId) -> u32,
}

impl Sources<'_> {
    /// SIGUSR1.
    pub(super) fn data(&self) {
        let path = dump_name::data(&self.model.global, "");
        self.write(&path, &vrrp_data(self.model, &self.snapshot()));
    }

    /// To a file of `config_save_dir`.
    pub(super) fn save(&self, path: &str) {
        let content = vrrp_data(self.model, &self.snapshot());
        let written = dump_file::write(Path::new(path), self.context.umask, content.as_bytes());
        if written.is_err() {
            log!(Priority::Info, "Failed to open config_save file {path}");
        }
    }

    /// `--dump-conf`: the data dump, each line of it as a line of the log.
    pub(super) fn log(&self) {
        for line in vrrp_data(self.model, &self.before_start()).lines() {
            log!(Priority::Info, "{line}");
        }
    }

    /// SIGUSR2 and the signal that also clears.
    pub(super) fn stats(&self) {
        let path = format!("{}/keepalived.stats", paths::tmp_dir());
        self.write(&path, &stats::stats(self.model, &self.snapshot()));
    }

    /// The JSON signal. Without instances there is no file.
    pub(super) fn json(&self) {
        if let Some(content) = json::json(self.model, &self.snapshot()) {
            self.write(&format!("{}/keepalived.json", paths::tmp_dir()), &content);
        }
    }

    fn write(&self, path: &str, content: &str) {
        if let Err(e) = dump_file::write(Path::new(path), self.context.umask, content.as_bytes()) {
            let errno = e.raw_os_error().unwrap_or(0);
            log!(
                Priority::Info,
                "Can't open {path} ({errno}: {})",
                text::errno::sentence(&e)
            );
        }
    }

    /// The present as the original shows it in the log: it writes that before it opens sockets and takes up states.
    fn before_start(&self) -> Snapshot {
        let mut now = self.snapshot();
        now.configuration_only = true;
        now.sockets.clear();
        for (n, instance) in now.instances.iter_mut().enumerate() {
            instance.sockets = None;
            let core = self.router.config().instances.get(n);
            let facts = core
                .and_then(|c| c.interface)
                .and_then(|i| self.kernel.interfaces.facts(i));
            if let (None, Some(core), Some(facts)) = (instance.source, core, facts) {
                instance.source = match core.family {
                    Family::V4 => facts.v4.map(IpAddr::V4),
                    Family::V6 => facts.v6.map(IpAddr::V6),
                };
            }
        }
        for (group, written) in now.groups.iter_mut().zip(&self.model.vrrp.sync_groups) {
            group.state = if written.all_owners {
                State::Master
            } else {
                State::Backup
            };
        }
        now
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let clock = Clock::now();
        let ids = |n: usize| (0..n).filter_map(|i| u16::try_from(i).ok());
        let config = self.router.config();
        let instance = |n: u16| {
            self.router
                .status(InstanceId(n))
                .map(|s| self.instance(InstanceId(n), &s, &clock))
        };
        Snapshot {
            process: ProcessNow {
                umask: self.context.umask,
                ids: (users::uid(), users::gid()),
                realtime_priority: self.scheduling.0,
                realtime_limit: self.scheduling.1,
                reload_at: None,
                reload_file: None,
                fifos_open: true,
            },
            instances: ids(config.instances.len()).filter_map(instance).collect(),
            groups: ids(config.groups.len())
                .filter_map(|n| self.group(GroupId(n)))
                .collect(),
            sockets: ids(self.router.sockets().len())
                .map(|n| self.socket(SocketId(n)))
                .collect(),
            interfaces: self.interfaces(&clock),
            static_addresses: self.statics(),
            scripts: self.tracking.scripts_now(),
            track_files: self.tracking.files_now(),
            track_processes: self.tracking.processes_now(),
            bfds: self.tracking.bfds_now(),
            ..Snapshot::default()
        }
    }

    fn instance(&self, id: InstanceId, s: &Status<'_>, clock: &Clock) -> InstanceNow {
        let list = |addresses: &[VirtualAddress]| {
            addresses
                .iter()
                .map(|a| AddressNow {
                    dev: self.name(a.interface),
                    base_dev: self.base_name(a.interface),
                    set: self.router.is_set(id, Object::Address(a.object)),
                    nftables_set: self.firewall.holds(&s.config.name, a.address),
                })
                .collect()
        };
        let below = s.config.transmit_interface != s.config.interface;
        let scope = if below {
            s.config.transmit_interface
        } else {
            s.config.interface
        };
        let index = scope
            .and_then(|i| self.kernel.interfaces.facts(i))
            .and_then(|f| f.index);
        let mut faults = Faults::default();
        for reason in &s.faults {
            match reason {
                FaultReason::Interface(i) => {
                    let tracked = s
                        .config
                        .tracks
                        .iter()
                        .any(|t| t.source == TrackSource::Interface(*i));
                    faults.interface_down |= s.config.interface == Some(*i) || tracked;
                }
                FaultReason::BaseInterface(_) => faults.base_interface_down = true,
                FaultReason::Tracker(_) => {
                    faults.tracker = true;
                    faults.trackers = faults.trackers.saturating_add(1);
                }
                FaultReason::NoSource(_) => faults.no_source = true,
                FaultReason::DuplicateVrid => faults.duplicate_vrid = true,
                FaultReason::ConfigError => faults.config = true,
            }
        }
        InstanceNow {
            state: s.state,
            wanted: s.wanted,
            master: s.master,
            master_priority: s.master_priority,
            master_interval: s.master_interval.as_micros(),
            master_down: s.master_down.as_micros(),
            deadline: s.deadline.map(|d| clock.wall(d)),
            last_transition: s.last_transition.map_or(WallTime(0), |t| clock.wall(t)),
            last_advert: s.last_advert.map_or(WallTime(0), |t| clock.wall(t)),
            source: s.source,
            ifindex: index.map_or(0, net_types::IfIndex::get),
            effective_priority: s.effective_priority,
            total_priority: s.total_priority,
            highest_other_priority: s.config.timer_expired_backup.unwrap_or(0),
            faults,
            scripts_init: self.waits_for(&s.config.tracks),
            vmac_up: self.is_made(s.config.interface),
            vip_set: s.holding,
            sockets: self
                .router
                .socket_of(id)
                .map(|socket| self.sockets.descriptors(socket)),
            old_checksum_detected: s.old_checksum_detected,
            vips: list(&s.config.addresses),
            evips: list(&s.config.excluded),
            stats: *s.stats,
        }
    }

    /// Scripts without weight that have not run yet.
    fn waits_for(&self, tracks: &[Track]) -> u32 {
        let trackers = &self.router.config().trackers;
        let pending = |t: &&Track| {
            t.weight == 0
                && matches!(t.source, TrackSource::Tracker(id)
                    if trackers.get(id.index()).is_some_and(|t| t.state == TrackerState::Pending))
        };
        u32::try_from(tracks.iter().filter(pending).count()).unwrap_or(u32::MAX)
    }

    fn group(&self, id: GroupId) -> Option<GroupNow> {
        let status = self.router.group_status(id)?;
        let faulty = |m: &InstanceId| self.router.status(*m).is_some_and(|s| !s.faults.is_empty());
        let faults = status.config.members.iter().filter(|m| faulty(m)).count();
        let waiting = status.config.members.iter().filter(|m| {
            self.router
                .status(**m)
                .is_some_and(|s| self.waits_for(&s.config.tracks) > 0)
        });
        let waiting = waiting.count();
        Some(GroupNow {
            state: status.state,
            members_fault: u32::try_from(faults).unwrap_or(u32::MAX),
            members_init: u32::try_from(waiting).unwrap_or(u32::MAX),
        })
    }

    fn socket(&self, id: SocketId) -> SocketNow {
        let (fd_in, fd_out) = self.sockets.descriptors(id);
        let socket = self.router.sockets().get(id.index());
        let instances = self.router.config().instances.iter().enumerate();
        let on_it: SortedMap<_, _> = instances
            .filter(|(n, _)| {
                u16::try_from(*n)
                    .ok()
                    .and_then(|n| self.router.socket_of(InstanceId(n)))
                    == Some(id)
            })
            .map(|(n, i)| ((i.vrid.get(), n), i.name.to_string()))
            .collect();
        SocketNow {
            fd_in,
            fd_out,
            interface: socket
                .and_then(|s| s.interface)
                .and_then(|i| self.name(i))
                .unwrap_or_default(),
            vrf: socket.and_then(|s| s.vrf).and_then(|v| self.name(v)),
            family: socket.map_or(Family::V4, |s| s.family),
            ah: socket.is_some_and(|s| s.ah),
            unicast_source: socket.and_then(|s| s.unicast_source),
            rx_buffer: i32::try_from((self.receive_buffer)(id)).unwrap_or(i32::MAX),
            instances: on_it
                .into_iter()
                .map(|((vrid, _), name)| (name, vrid))
                .collect(),
        }
    }

    /// Those that exist, in the kernel's order, then those that are waited for: ours last.
    fn interfaces(&self, clock: &Clock) -> Vec<InterfaceNow> {
        let here = self.kernel.interfaces.iter();
        let mut all: Vec<_> = here.map(|l| self.interface(l, clock)).collect();
        let config = &self.router.config().interfaces;
        for ours in [false, true] {
            let missing = config
                .iter()
                .filter(|i| i.ours == ours && self.kernel.interfaces.by_name(&i.name).is_none());
            all.extend(missing.map(|i| InterfaceNow {
                name: i.name.to_string(),
                ..InterfaceNow::default()
            }));
        }
        all
    }

    fn interface(&self, link: &Link, clock: &Clock) -> InterfaceNow {
        let interfaces: &Interfaces = &self.kernel.interfaces;
        let (v4, v6) = interfaces.addresses(link.index);
        let above = above(interfaces, link);
        let ours = self.vmacs.is_ours(&link.name);
        let carries = |l: &Link| l.base() == Some(link.index) && self.vmacs.is_ours(&l.name);
        // As the original shows them: what the kernel told last, after the change too.
        let arp = ArpSettings {
            users: self.vmacs.before(link.index).map_or(0, |b| b.users),
            ignore: link.settings.arp_ignore,
            filter: link.settings.arp_filter,
            rp_filter: (ours || interfaces.iter().any(carries)).then(|| {
                let raised = self.vmacs.rp_filter(link.index);
                raised.unwrap_or(link.settings.rp_filter)
            }),
        };
        InterfaceNow {
            name: link.name.to_string(),
            index: link.index,
            ipv4: v4.first().copied(),
            more_ipv4: v4.iter().skip(1).copied().collect(),
            ipv6: v6.first().copied(),
            more_ipv6: v6.iter().skip(1).copied().collect(),
            // The loopback interface has one of zeros, which is none.
            mac: Some(link.address.as_bytes())
                .filter(|mac| mac.iter().any(|b| *b != 0))
                .unwrap_or_default()
                .to_vec(),
            mac_broadcast: link.broadcast.as_bytes().to_vec(),
            flags: link.flags,
            seen_up: link.is_up(),
            group: link.group,
            above,
            ours,
            polling: self.polling.method(&link.name),
            arp,
            promote_secondaries: (
                // As the kernel would tell it after our change.
                u32::from(self.promoters(&link.name) > 0).max(link.settings.promote_secondaries),
                self.promoters(&link.name),
            ),
            seen_interface: !ours && interfaces.has_come(link.index),
            changeable: link.kind != Kind::Physical,
            mtu: link.mtu,
            hardware_type: link.hw_type,
            vrf_table: match link.kind {
                Kind::Vrf { table } => Some(table),
                _ => None,
            },
            vrf: link
                .master
                .and_then(|m| interfaces.by_index(m))
                .and_then(|m| match m.kind {
                    Kind::Vrf { .. } => Some(m.name.to_string()),
                    _ => None,
                }),
            forwarding: self
                .announcer
                .and_then(|a| a.forwarding(link.index))
                .map(|(read, forwards)| (forwards, clock.wall(read))),
            ..InterfaceNow::default()
        }
    }

    /// How many instances want the setting that we have changed.
    fn promoters(&self, name: &str) -> u32 {
        if !self.promoted.iter().any(|p| **p == *name) {
            return 0;
        }
        let instances = self.model.vrrp.instances.iter();
        let on_it = instances.filter(|i| {
            let own = i.interface.as_ref().is_some_and(|n| *n.value == *name);
            own && i.promote_secondaries
        });
        u32::try_from(on_it.count()).unwrap_or(u32::MAX)
    }

    fn statics(&self) -> Vec<AddressNow> {
        let lines = self.model.vrrp.static_addresses.iter();
        lines
            .map(|line| {
                let dev = line.dev.as_ref().map(|d| d.value.to_string());
                let here = |name: &str| {
                    let mut found = self.kernel.objects.addresses_like(line.prefix.addr);
                    found.any(|(n, o)| {
                        *o.interface == *name && self.kernel.is_set(Object::Address(n))
                    })
                };
                AddressNow {
                    set: dev.as_deref().is_some_and(here),
                    dev,
                    ..AddressNow::default()
                }
            })
            .collect()
    }

    /// The interface below one that we made.
    fn base_name(&self, id: IfId) -> Option<String> {
        let interfaces = &self.kernel.interfaces;
        let Some(link) = interfaces.link(id) else {
            return self.vmacs.base_of(interfaces.name(id)?).map(str::to_owned);
        };
        let below = link.base().filter(|_| link.kind.is_mac_or_ip_vlan())?;
        Some(interfaces.by_index(below)?.name.to_string())
    }

    fn is_made(&self, id: Option<IfId>) -> bool {
        let name = id.and_then(|i| self.kernel.interfaces.name(i));
        name.is_some_and(|n| self.vmacs.is_ours(n))
    }

    fn name(&self, id: IfId) -> Option<String> {
        self.kernel.interfaces.name(id).map(str::to_owned)
    }
}

/// What a macvlan or ipvlan stands on.
fn above(interfaces: &Interfaces, link: &Link) -> Option<Above> {
    let (kind, mode) = match &link.kind {
        Kind::Macvlan { mode } | Kind::Macvtap { mode } => {
            let mode = match mode {
                1 => "private",
                2 => "vepa",
                4 => "bridge",
                8 => "passthru",
                16 => "source",
                _ => "unknown",
            };
            ("VMAC", mode.to_owned())
        }
        Kind::Ipvlan { mode, flags } => {
            let layer = match mode {
                0 => "L2",
                1 => "L3",
                2 => "L3S",
                _ => "unknown mode",
            };
            let port = if flags & IPVLAN_F_PRIVATE != 0 {
                "private"
            } else if flags & IPVLAN_F_VEPA != 0 {
                "vepa"
            } else {
                "bridge"
            };
            ("IPVLAN", format!("{layer} {port}"))
        }
        _ => return None,
    };
    let base = link.base().and_then(|l| interfaces.by_index(l));
    Some(Above {
        kind,
        mode,
        elsewhere: match (base, link.lower, link.lower_netns) {
            (None, Some(index), Some(netns)) => Some((index, netns)),
            _ => None,
        },
        base: base.map(|b| b.name.to_string()),
        base_flags: base.map_or(0, |b| b.flags),
    })
}

/// One moment on both clocks.
struct Clock {
    wall: u64,
    monotonic: Instant,
}

impl Clock {
    fn now() -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            wall: u64::try_from(wall.as_micros()).unwrap_or(u64::MAX),
            monotonic: monotonic_now(),
        }
    }

    fn wall(&self, at: Instant) -> WallTime {
        let later = at.since(self.monotonic).as_micros();
        let earlier = self.monotonic.since(at).as_micros();
        WallTime(self.wall.saturating_add(later).saturating_sub(earlier))
    }
}
