//! The kernel's tables as the core wants them: changes are collected, and carried out before anybody else may see their effect.
//!
//! In: the core's [`Ipvs`] outputs, the model. Out: the difference to what was there, as requests. What is the same makes none.
//!
//! ```text
//!   Ipvs ─▶ wanted ─┐
//!                   ├─▶ entries before, after ─▶ ipvs::Table ─▶ changes ─▶ kernel
//!          applied ─┘
//! ```

use std::collections::BTreeSet;
use std::io;

use checker_proto::Ipvs as Wish;
use checker_proto::config::{Config, VsId};
use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::FlushOnStop;
use conf_parsers::keepalived::model::lvs::{LvsModel, Service, VirtualServer, VirtualServerGroup};
use linux_io::route_sock::ReceiveBuffer;
use net_types::Family;
use netlink_wire::ipvs::{SyncState, Timeouts};

use super::group_marks::GroupMarks;
use super::ipvs::wanted::{Live, entries};
use super::ipvs::{Change, Entry, Ipvs, Table, sync_daemon, sync_id};
use super::lower::{First, firsts};

/// Changes that are carried out together, at most about this many.
const CHANGES_AT_ONCE: usize = 1024;

/// One virtual server in the table, or not.
#[derive(Clone, Debug, Default)]
struct State {
    present: bool,
    live: Live,
}

impl State {
    fn of(vs: &VirtualServer) -> Self {
        Self {
            present: false,
            live: Live {
                real_servers: vec![None; vs.real_servers.len()],
                sorry_server: None,
            },
        }
    }
}

/// What was there before a reload, until the difference is made.
#[derive(Debug)]
struct Before {
    lvs: LvsModel,
    applied: Vec<State>,
    /// For each virtual server of now, the one of then.
    origin: Vec<Option<VsId>>,
}

/// The way to the kernel's tables.
pub(super) struct Tables {
    ipvs: Option<Ipvs>,
    table: Table,
    applied: Vec<State>,
    wanted: Vec<State>,
    dirty: BTreeSet<u32>,
    firsts: Vec<First>,
    before: Option<Box<Before>>,
    marks: Option<GroupMarks>,
    flushed: bool,
    /// The daemons that tell other directors were started by us.
    daemons: bool,
}

impl Tables {
    /// Nothing is opened yet.
    pub(super) fn new(lvs: &LvsModel) -> Self {
        let states = || lvs.virtual_servers.iter().map(State::of).collect();
        Self {
            ipvs: None,
            table: Table::new(),
            applied: states(),
            wanted: states(),
            dirty: BTreeSet::new(),
            firsts: firsts(lvs),
            before: None,
            marks: None,
            flushed: false,
            daemons: false,
        }
    }

    /// Opens the way and sets what belongs to no virtual server. Nothing is done without virtual servers.
    ///
    /// # Errors
    /// Without the kernel's module there is no load balancing; it is logged.
    pub(super) fn open(&mut self, global: &Global, lvs: &LvsModel, reload: bool) -> io::Result<()> {
        if self.ipvs.is_none() && !lvs.virtual_servers.is_empty() {
            let buffer = global.lvs_netlink_cmd;
            let buffer = (buffer.size > 0).then_some(ReceiveBuffer {
                bytes: buffer.size,
                force: buffer.force,
            });
            let namespace = global.net_namespace_ipvs.as_deref();
            self.ipvs = Some(Ipvs::open(namespace, buffer)?);
        }
        let Some(ipvs) = &mut self.ipvs else {
            return Ok(());
        };
        if reload {
            ipvs.restore_timeouts();
        }
        let wanted = global.lvs_timeouts;
        ipvs.set_timeouts(Timeouts {
            tcp: wanted.tcp,
            tcp_fin: wanted.tcp_fin,
            udp: wanted.udp,
        });
        if !reload && global.lvs_flush {
            ipvs.flush();
        }
        Ok(())
    }

    /// Starts the daemons of `lvs_sync_daemon`, unless a VRRP instance decides which one is to run. Those that an earlier process
    /// has left are stopped.
    pub(super) fn start_daemons(&mut self, global: &Global, before: Option<&Global>) {
        let written = &global.lvs_sync_daemon;
        let needed = |w: &conf_parsers::keepalived::model::global::LvsSyncDaemon| {
            w.instance.is_none() && w.interface.is_some()
        };
        let same = before.is_some_and(|b| b.lvs_sync_daemon == *written);
        if same && needed(written) == self.daemons {
            return;
        }
        let Some(ipvs) = &mut self.ipvs else {
            return;
        };
        if needed(written) || self.daemons {
            ipvs.stop_daemon(SyncState::Master, 0, true);
            ipvs.stop_daemon(SyncState::Backup, 0, true);
        }
        self.daemons = needed(written);
        if !self.daemons {
            return;
        }
        let id = sync_id(written, None);
        for state in [SyncState::Master, SyncState::Backup] {
            if let Some(daemon) = sync_daemon(written, id, state) {
                ipvs.start_daemon(&daemon, false);
            }
        }
    }

    /// The core wants something; it is done at the next [`Self::flush`].
    pub(super) fn want(&mut self, wish: Wish) {
        let (vs, change): (u32, &dyn Fn(&mut State)) = match wish {
            Wish::Service(vs, present) => (vs.0, &move |s| s.present = present),
            Wish::Sorry(vs, weight) => (vs.0, &move |s| s.live.sorry_server = weight),
            Wish::Real(rs, weight) => {
                let after = self.firsts.partition_point(|f| f.real <= rs.0);
                let vs = after.saturating_sub(1);
                let first = self.firsts.get(vs).map_or(0, |f| f.real);
                let place = usize::try_from(rs.0.saturating_sub(first)).unwrap_or(usize::MAX);
                let slot = self
                    .wanted
                    .get_mut(vs)
                    .and_then(|s| s.live.real_servers.get_mut(place));
                if let Some(slot) = slot {
                    *slot = weight;
                    self.dirty.insert(super::lower::number(vs));
                }
                return;
            }
            Wish::Flush => {
                self.flushed = true;
                return;
            }
        };
        let at = usize::try_from(vs).unwrap_or(usize::MAX);
        if let Some(state) = self.wanted.get_mut(at) {
            change(state);
            self.dirty.insert(vs);
        }
    }

    /// Whether something waits to be done.
    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty() && !self.flushed
    }

    /// Carries out what the core wants.
    pub(super) fn flush(&mut self, global: &Global, lvs: &LvsModel) {
        if self.flushed {
            self.flushed = false;
            if let Some(ipvs) = &mut self.ipvs {
                ipvs.flush();
            }
            self.table.forget();
            self.dirty.clear();
            return;
        }
        let whole = global.lvs_flush_on_stop == FlushOnStop::VirtualServers;
        let mut changes = Vec::new();
        for vs in std::mem::take(&mut self.dirty) {
            let at = usize::try_from(vs).unwrap_or(usize::MAX);
            let before = self.entries_before(at, lvs);
            let after = match (self.wanted.get(at), lvs.virtual_servers.get(at)) {
                (Some(state), Some(server)) if state.present => {
                    let state = state.clone();
                    self.entries_of(global, lvs, server, &state.live)
                }
                _ => Vec::new(),
            };
            let from = changes.len();
            changes.extend(self.table.change(&before, &after));
            if whole && after.is_empty() {
                // The kernel takes them away with their virtual server.
                let mut rest = changes.split_off(from);
                rest.retain(|c| !matches!(c, Change::DeleteDestination(..)));
                changes.append(&mut rest);
            }
            if let (Some(applied), Some(wanted)) = (self.applied.get_mut(at), self.wanted.get(at)) {
                applied.clone_from(wanted);
            }
            if changes.len() >= CHANGES_AT_ONCE {
                self.apply(&mut changes);
            }
        }
        self.apply(&mut changes);
        self.before = None;
    }

    fn apply(&mut self, changes: &mut Vec<Change>) {
        if let Some(ipvs) = self.ipvs.as_mut().filter(|_| !changes.is_empty()) {
            ipvs.apply(changes);
        }
        changes.clear();
    }

    /// What is in the table of a virtual server.
    fn entries_before(&self, at: usize, lvs: &LvsModel) -> Vec<Entry> {
        let (model, state, place) = match &self.before {
            Some(before) => {
                let Some(origin) = before.origin.get(at).copied().flatten() else {
                    return Vec::new();
                };
                let place = usize::try_from(origin.0).unwrap_or(usize::MAX);
                (&before.lvs, before.applied.get(place), place)
            }
            None => (lvs, self.applied.get(at), at),
        };
        let (Some(state), Some(server)) = (state, model.virtual_servers.get(place)) else {
            return Vec::new();
        };
        if !state.present {
            return Vec::new();
        }
        let group = group_of(model, server);
        let mark = self.mark_of(server, group);
        let families = group.map(families);
        let mark = mark.zip(families.as_deref());
        entries(server, group, &state.live, mark)
    }

    fn mark_of(&self, server: &VirtualServer, group: Option<&VirtualServerGroup>) -> Option<u32> {
        let name = server.group_name().filter(|_| group.is_some())?;
        self.marks.as_ref()?.mark(name, server.protocol?)
    }

    fn entries_of(
        &mut self,
        global: &Global,
        lvs: &LvsModel,
        server: &VirtualServer,
        live: &Live,
    ) -> Vec<Entry> {
        let group = group_of(lvs, server);
        let mut mark = None;
        if let (Some(table), Some(group), Some(protocol)) =
            (&global.nftables_ipvs, group, server.protocol)
        {
            if !group.has_marks() {
                let start = global.nftables_ipvs_start_fwmark;
                let counters = global.nftables_counters;
                let marks = self
                    .marks
                    .get_or_insert_with(|| GroupMarks::new(table, start, counters));
                let ranges: Vec<_> = group.addresses().collect();
                mark = Some(marks.set(&group.name.value, protocol, &ranges));
            }
        }
        let families = group.map(families);
        entries(server, group, live, mark.zip(families.as_deref()))
    }

    /// From now on numbers mean those of the new configuration. `old`: the model before. What was to be done with the old ones has
    /// to be flushed before.
    pub(super) fn reconfigure(&mut self, old: LvsModel, new: &LvsModel, config: &Config) {
        let mut wanted: Vec<State> = new.virtual_servers.iter().map(State::of).collect();
        let mut origin = Vec::with_capacity(wanted.len());
        for (state, vs) in wanted.iter_mut().zip(&config.virtual_servers) {
            origin.push(vs.before);
            let Some(was) = vs.before.and_then(|b| {
                let at = usize::try_from(b.0).ok()?;
                Some((self.applied.get(at)?, self.firsts.get(at)?))
            }) else {
                continue;
            };
            state.present = was.0.present;
            let reals = vs.real_servers.iter().zip(&mut state.live.real_servers);
            for (real, slot) in reals {
                let place = real.before.and_then(|b| {
                    let place = b.0.checked_sub(was.1.real)?;
                    usize::try_from(place).ok()
                });
                *slot = place
                    .and_then(|p| was.0.live.real_servers.get(p).copied())
                    .flatten();
            }
            if vs.sorry.is_some_and(|s| s.same) {
                state.live.sorry_server = was.0.live.sorry_server;
            }
        }
        self.before = Some(Box::new(Before {
            lvs: old,
            applied: std::mem::take(&mut self.applied),
            origin,
        }));
        self.firsts = firsts(new);
        self.applied.clone_from(&wanted);
        self.dirty = (0..super::lower::number(wanted.len())).collect();
        self.wanted = wanted;
    }

    /// The end: what belongs to no virtual server is put back.
    pub(super) fn close(&mut self) {
        if let Some(ipvs) = &mut self.ipvs {
            if self.daemons {
                ipvs.stop_daemon(SyncState::Master, 0, true);
                ipvs.stop_daemon(SyncState::Backup, 0, true);
            }
            ipvs.restore_timeouts();
        }
        if let Some(mut marks) = self.marks.take() {
            marks.close();
        }
        self.ipvs = None;
    }
}

fn group_of<'a>(lvs: &'a LvsModel, server: &VirtualServer) -> Option<&'a VirtualServerGroup> {
    match &server.service {
        Service::Group { name, .. } => lvs.groups.iter().find(|g| g.name == *name),
        Service::Address(_) | Service::Fwmark(_) => None,
    }
}

fn families(group: &VirtualServerGroup) -> Vec<Family> {
    let all = [Family::V4, Family::V6].into_iter();
    all.filter(|f| group.has_family(*f)).collect()
}
