//! Sync groups, instances, what they track: KEEPALIVED-MIB vrrp(2), tables 1 to 5, 9 and 12 to 22.

use agentx_wire::{Tree, Value};
use conf_parsers::keepalived::model::vrrp::{
    ParamMatch, SyncGroup, TrackFile, TrackProcess, Tracked, Trackers, VrrpScript,
};
use conf_parsers::keepalived::model::vrrp_instance::{AuthType, Version, VrrpInstance, WantState};
use vrrp_proto::State;

use super::View;
use crate::mib::{address_type, command, command_path, keepalived, numbered, octets};
use crate::text::dump::snapshot::{GroupNow, InstanceNow, ProcessTrackNow, ScriptInit, ScriptNow};

/// VrrpState: init(0), backup(1), master(2), fault(3), unknown(4).
const fn state(state: State) -> Value {
    Value::Integer(match state {
        State::Init => 0,
        State::Backup => 1,
        State::Master => 2,
        State::Fault => 3,
        State::Stop => 4,
    })
}

fn truth(value: bool) -> Option<Value> {
    Some(Value::truth(value))
}

fn integer(value: impl Into<i32>) -> Option<Value> {
    Some(Value::Integer(value.into()))
}

fn seconds(micros: impl Into<u64>) -> Option<Value> {
    let seconds = micros.into() / 1_000_000;
    Some(Value::Unsigned(u32::try_from(seconds).unwrap_or(u32::MAX)))
}

pub(super) fn groups(tree: &mut Tree, view: &View<'_>) {
    let groups = &view.model.vrrp.sync_groups;
    let rows: Vec<(&SyncGroup, &GroupNow)> = groups.iter().zip(&view.now.groups).collect();
    tree.table(
        &keepalived(&[2, 1, 1]),
        &numbered(rows),
        &[
            (2, |(g, _)| Some(Value::text(&g.name))),
            (3, |(_, n)| Some(state(n.state))),
            (4, |(g, _)| truth(g.smtp_alert == Some(true))),
            (5, |(g, _)| truth(g.notify_exec)),
            (6, |(g, _)| command(g.notify.master.as_ref())),
            (7, |(g, _)| command(g.notify.backup.as_ref())),
            (8, |(g, _)| command(g.notify.fault.as_ref())),
            (9, |(g, _)| command(g.notify.any.as_ref())),
            (10, |(g, _)| truth(g.tracking_weight)),
            (11, |(g, _)| command(g.notify.stop.as_ref())),
        ],
    );
    let members = pairs(groups, |g| g.members.as_deref().unwrap_or_default());
    tree.table(
        &keepalived(&[2, 2, 1]),
        &members,
        &[(2, |name| Some(Value::text(name)))],
    );
}

/// Rows of rows, indexed by both positions.
fn pairs<'a, O, I>(outer: &'a [O], inner: impl Fn(&'a O) -> &'a [I]) -> Vec<(Vec<u32>, &'a I)> {
    let rows = (1..).zip(outer).flat_map(|(o, row)| {
        (1..)
            .zip(inner(row))
            .map(move |(i, item)| (vec![o, i], item))
    });
    rows.collect()
}

struct Row<'a> {
    written: &'a VrrpInstance,
    now: &'a InstanceNow,
    interface: Option<&'a str>,
    priority: u8,
    nopreempt: bool,
    group: Option<&'a SyncGroup>,
    /// The interface of the IPVS synchronisation daemon, if it follows this instance.
    sync_daemon: Option<&'a str>,
}

pub(super) fn instances(tree: &mut Tree, view: &View<'_>) {
    let daemon = &view.model.global.lvs_sync_daemon;
    let config = view.sources.router.config();
    let written = view.model.vrrp.instances.iter().zip(&view.now.instances);
    let rows = written.enumerate().map(|(n, (written, now))| Row {
        written,
        now,
        interface: view.own_link(n).map(|l| &*l.name),
        // What was set since then stands in the core.
        priority: config.instances.get(n).map_or(0, |i| i.priority),
        nopreempt: config.instances.get(n).is_some_and(|i| i.nopreempt),
        group: written
            .sync_group
            .and_then(|g| view.model.vrrp.sync_groups.get(g)),
        sync_daemon: daemon
            .interface
            .as_deref()
            .filter(|_| daemon.leader() == Some(&**written.name)),
    });
    tree.table(
        &keepalived(&[2, 3, 1]),
        &numbered(rows),
        &[
            (2, |r| Some(Value::text(&r.written.name))),
            (3, |r| {
                Some(Value::Unsigned(r.written.vrid.map_or(0, u32::from)))
            }),
            (4, |r| Some(state(r.now.state))),
            (5, |r| {
                integer(if r.written.state == Some(WantState::Master) {
                    2
                } else {
                    1
                })
            }),
            (6, |r| Some(state(r.now.wanted))),
            (7, |r| integer(r.priority)),
            (8, |r| integer(r.now.effective_priority)),
            (9, |r| truth(r.now.vip_set)),
            (10, |r| r.interface.map(Value::text)),
            (11, |r| {
                truth(!own_lines(r.written, |t| &t.interfaces).is_empty())
            }),
            (12, |r| {
                let unit = if r.written.version == Some(Version::V2) {
                    1_000_000
                } else {
                    10_000
                };
                Some(Value::Unsigned(r.written.advert_int.unwrap_or(0) / unit))
            }),
            (13, |r| truth(!r.nopreempt)),
            (14, |r| seconds(r.written.preempt_delay)),
            (15, |r| {
                integer(match r.written.auth_type {
                    _ if r.written.version != Some(Version::V2) => 0,
                    AuthType::None => 0,
                    AuthType::Pass => 1,
                    AuthType::Ah => 2,
                })
            }),
            (16, |r| truth(r.sync_daemon.is_some())),
            (17, |r| r.sync_daemon.map(Value::text)),
            (18, |r| r.group.map(|g| Value::text(&g.name))),
            (19, |r| seconds(r.written.garp_delay)),
            (20, |r| truth(r.written.smtp_alert == Some(true))),
            (21, |r| truth(r.written.notify_exec)),
            (22, |r| command(r.written.notify.master.as_ref())),
            (23, |r| command(r.written.notify.backup.as_ref())),
            (24, |r| command(r.written.notify.fault.as_ref())),
            (25, |r| command(r.written.notify.stop.as_ref())),
            (26, |r| command(r.written.notify.any.as_ref())),
            (27, |r| {
                if r.written.version == Some(Version::V3) {
                    truth(r.written.accept == Some(true))
                } else {
                    integer(0)
                }
            }),
            (28, |r| truth(r.written.promote_secondaries)),
            (29, |r| truth(r.written.linkbeat)),
            (30, |r| {
                integer(r.written.version.map_or(0, Version::number))
            }),
            (31, |r| {
                command(r.written.notify_master_rx_lower_pri.as_ref())
            }),
            (32, |r| command(r.written.notify_deleted_script.as_ref())),
            (33, |r| truth(r.written.notify_deleted)),
            (34, |r| group_address(r.written).map(address_type)),
            (35, |r| group_address(r.written).map(octets)),
            (36, |r| truth(r.written.v3_checksum_as_v2)),
        ],
    );
}

fn group_address(written: &VrrpInstance) -> Option<std::net::IpAddr> {
    written.group_address.filter(|_| !written.unicast)
}

/// A list of what is tracked.
type List = fn(&Trackers) -> &[Tracked];

/// What an instance tracks by its own lines, not by its group's.
fn own_lines(written: &VrrpInstance, list: List) -> Vec<&Tracked> {
    let mine = list(&written.track);
    let kept = list(&written.tracked).iter();
    kept.filter(|t| mine.iter().any(|m| m.name.value == t.name.value))
        .collect()
}

/// What instances and groups track. Interfaces and scripts show the weight of the line, the others that of the tracked thing.
pub(super) fn tracked(tree: &mut Tree, view: &View<'_>) {
    let vrrp = &view.model.vrrp;
    let lists: [(u32, u32, u32, List); 5] = [
        (4, 14, 1, |t| &t.interfaces),
        (5, 15, 2, |t| &t.scripts),
        (12, 16, 2, |t| &t.files),
        (17, 19, 2, |t| &t.bfds),
        (20, 22, 2, |t| &t.processes),
    ];
    for (of_instance, of_group, first, list) in lists {
        let instances = (1..).zip(&vrrp.instances).flat_map(|(i, written)| {
            let lines = (1..).zip(own_lines(written, list));
            lines.map(move |(n, line)| (vec![i, n], line))
        });
        let instances: Vec<_> = instances.collect();
        let groups = pairs(&vrrp.sync_groups, |g| list(&g.track));
        for (table, rows) in [(of_instance, instances), (of_group, groups)] {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(index, line)| {
                    let own = match of_instance {
                        12 => vrrp
                            .track_files
                            .iter()
                            .find(|f| f.name.value == line.name.value)
                            .map(|f| (f.weight, f.reverse)),
                        20 => vrrp
                            .track_processes
                            .iter()
                            .find(|p| p.name.value == line.name.value)
                            .map(|p| (p.weight, p.reverse)),
                        _ => None,
                    };
                    (
                        index,
                        (
                            &*line.name.value,
                            own.unwrap_or((line.weight, line.reverse)),
                        ),
                    )
                })
                .collect();
            tree.table(
                &keepalived(&[2, table, 1]),
                &rows,
                &[
                    (first, |(name, _)| Some(Value::text(name))),
                    (first + 1, |(_, (weight, _))| integer(*weight)),
                    (first + 2, |(_, (_, reverse))| truth(*reverse)),
                ],
            );
        }
    }
}

/// Scripts, files, BFD sessions and processes themselves.
pub(super) fn trackers(tree: &mut Tree, view: &View<'_>) {
    let vrrp = &view.model.vrrp;
    let scripts: Vec<(&VrrpScript, &ScriptNow)> =
        vrrp.scripts.iter().zip(&view.now.scripts).collect();
    tree.table(
        &keepalived(&[2, 9, 1]),
        &numbered(scripts),
        &[
            (2, |(s, _)| Some(Value::text(&s.name))),
            (3, |(s, _)| command(s.script.as_ref())),
            (4, |(s, _)| {
                integer(i32::try_from(s.interval / 1_000_000).unwrap_or(i32::MAX))
            }),
            (5, |(s, _)| integer(s.weight)),
            (6, |(s, n)| {
                integer(match n.init {
                    ScriptInit::Init | ScriptInit::InitReload => 1,
                    ScriptInit::Failed => 5,
                    ScriptInit::Done if u32::try_from(n.result).is_ok_and(|r| r >= s.rise) => 3,
                    ScriptInit::Done => 2,
                })
            }),
            (7, |(s, _)| Some(Value::Unsigned(s.rise))),
            (8, |(s, _)| Some(Value::Unsigned(s.fall))),
            (9, |(s, _)| truth(s.reverse)),
            (10, |(s, _)| command_path(s.script.as_ref())),
            (11, |(s, _)| {
                Some(Value::Unsigned(
                    u32::try_from(s.interval).unwrap_or(u32::MAX),
                ))
            }),
            (12, |(s, _)| {
                Some(Value::Unsigned(
                    u32::try_from(s.timeout).unwrap_or(u32::MAX),
                ))
            }),
        ],
    );
    let files: Vec<(&TrackFile, &i64)> =
        vrrp.track_files.iter().zip(&view.now.track_files).collect();
    tree.table(
        &keepalived(&[2, 13, 1]),
        &numbered(files),
        &[
            (2, |(f, _)| Some(Value::text(&f.name))),
            (3, |(f, _)| f.path.as_ref().map(|p| Value::text(p))),
            (4, |(_, n)| integer(i32::try_from(**n).unwrap_or(i32::MAX))),
            (5, |(f, _)| integer(f.weight)),
            (6, |(f, _)| truth(f.reverse)),
        ],
    );
    let bfds = view.model.bfd.tracked.iter().zip(&view.now.bfds);
    tree.table(
        &keepalived(&[2, 18, 1]),
        &numbered(bfds),
        &[
            (2, |(b, _)| Some(Value::text(&b.name))),
            (3, |(_, up)| integer(**up)),
            (4, |(b, _)| integer(b.weight)),
            (5, |(b, _)| truth(b.reverse)),
        ],
    );
    let processes: Vec<(&TrackProcess, &ProcessTrackNow)> = vrrp
        .track_processes
        .iter()
        .zip(&view.now.track_processes)
        .collect();
    tree.table(
        &keepalived(&[2, 21, 1]),
        &numbered(processes),
        &[
            (2, |(p, _)| Some(Value::text(&p.name))),
            (3, |(p, _)| p.path.as_ref().map(|p| Value::text(p))),
            (4, |(p, _)| Some(Value::text(&p.params.join(" ")))),
            (5, |(p, _)| {
                integer(match p.param_match {
                    ParamMatch::None => 0,
                    ParamMatch::Exact => 1,
                    ParamMatch::Initial => 2,
                    ParamMatch::Partial => 3,
                })
            }),
            (6, |(p, _)| integer(p.weight)),
            (7, |(p, _)| truth(p.reverse)),
            (8, |(p, _)| Some(Value::Unsigned(p.quorum))),
            (9, |(p, _)| integer(p.quorum_max as i32)),
            (10, |(p, _)| Some(Value::Unsigned(p.fork_delay))),
            (11, |(p, _)| Some(Value::Unsigned(p.terminate_delay))),
            (12, |(p, _)| truth(p.full_command)),
            (13, |(_, n)| {
                integer(i32::try_from(n.current).unwrap_or(i32::MAX))
            }),
            (14, |(_, n)| truth(n.have_quorum)),
        ],
    );
}
