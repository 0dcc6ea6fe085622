//! The kernel's tables as the core wants them: changes are collected, and carried out before anybody else may see their effect.
//!
//! In: the core's [`Ipvs`] outputs, the model. Out: the difference to what was there, as requests. What is the same makes none.
//!
//! ```text
//!   Ipvs ─▶ wanted ─┐
//!                   ├─▶ entries before, after ─▶ ipvs::Table ─▶ changes ─▶ kernel
//!          applied ─┘
//! ```

use std::io;

use checker_proto::Ipvs as Wish;
use checker_proto::config::{Config, RsId, VsId};
use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::FlushOnStop;
use conf_parsers::keepalived::model::lvs::{LvsModel, VirtualServer, VirtualServerGroup};
use linux_io::route_sock::ReceiveBuffer;
use net_types::{Family, SortedMap, sort_by};
#[cfg(feature = "snmp")]
use netlink_wire::ipvs::ServiceKey;
use netlink_wire::ipvs::{SyncState, Timeouts};

use super::facts::{Facts, facts};
use super::group_marks::GroupMarks;
use super::lower::number;
use super::wanted::{Live, entries, keys, real_destination};
use crate::ipvs::{Change, Entry, Ipvs, Table, sync_daemon, sync_id};

/// Changes that are carried out together, at most about this many.
const CHANGES_AT_ONCE: usize = 1024;
/// When more than one in so many real servers of a virtual server changes at once, all of them are looked at.
const MANY: usize = 8;

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

/// What waits to be done for a virtual server.
#[derive(Debug)]
enum Dirty {
    /// Some of its real servers, by their positions in it.
    Some(Vec<u32>),
    /// Anything.
    All,
}

/// What was there before a reload, until the difference is made.
#[derive(Debug)]
struct Before {
    lvs: LvsModel,
    facts: Vec<Facts>,
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
    dirty: SortedMap<u32, Dirty>,
    facts: Vec<Facts>,
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
            dirty: SortedMap::new(),
            facts: facts(lvs),
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
        if !lvs.virtual_servers.is_empty() || !self.applied.is_empty() {
            Ipvs::say_opening(reload);
        }
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
        match wish {
            Wish::Service(vs, present) => self.want_all(vs, |s| s.present = present),
            Wish::Sorry(vs, weight) => self.want_all(vs, |s| s.live.sorry_server = weight),
            Wish::Real(rs, weight) => self.want_real(rs, weight),
            Wish::Flush => self.flushed = true,
        }
    }

    fn want_all(&mut self, vs: VsId, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.wanted.get_mut(place(vs.0)) {
            change(state);
            self.dirty.insert(vs.0, Dirty::All);
        }
    }

    fn want_real(&mut self, rs: RsId, weight: Option<u32>) {
        let after = self.facts.partition_point(|f| f.first.real <= rs.0);
        let vs = after.saturating_sub(1);
        let Some((facts, state)) = self.facts.get(vs).zip(self.wanted.get_mut(vs)) else {
            return;
        };
        let at = rs.0.saturating_sub(facts.first.real);
        let Some(slot) = state.live.real_servers.get_mut(place(at)) else {
            return;
        };
        *slot = weight;
        let dirty = self
            .dirty
            .or_insert_with(number(vs), || Dirty::Some(Vec::new()));
        if let Dirty::Some(places) = dirty {
            places.push(at);
            let few = state.live.real_servers.len() / MANY;
            if !facts.distinct || places.len() > few {
                *dirty = Dirty::All;
            }
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
        let mut changes = Vec::new();
        for (vs, dirty) in std::mem::take(&mut self.dirty) {
            match dirty {
                Dirty::Some(places) => self.flush_some(place(vs), places, lvs, &mut changes),
                Dirty::All => self.flush_all(place(vs), global, lvs, &mut changes),
            }
            if changes.len() >= CHANGES_AT_ONCE {
                self.apply(&mut changes);
            }
        }
        self.apply(&mut changes);
        self.before = None;
    }

    fn flush_all(&mut self, at: usize, global: &Global, lvs: &LvsModel, changes: &mut Vec<Change>) {
        let before = self.entries_before(at, lvs);
        let after = match (self.wanted.get(at), lvs.virtual_servers.get(at)) {
            (Some(state), Some(server)) if state.present => {
                let state = state.clone();
                self.entries_of(at, global, lvs, server, &state.live)
            }
            _ => Vec::new(),
        };
        let mut more = self.table.change(&before, &after);
        let whole = global.lvs_flush_on_stop == FlushOnStop::VirtualServers;
        if whole && after.is_empty() {
            // The kernel takes them away with their virtual server.
            more.retain(|c| !matches!(c, Change::DeleteDestination(..)));
        }
        changes.append(&mut more);
        if let (Some(applied), Some(wanted)) = (self.applied.get_mut(at), self.wanted.get(at)) {
            applied.clone_from(wanted);
        }
    }

    /// Only these real servers of a virtual server have changed; the others, maybe tens of thousands, are not looked at.
    fn flush_some(
        &mut self,
        at: usize,
        mut places: Vec<u32>,
        lvs: &LvsModel,
        changes: &mut Vec<Change>,
    ) {
        let Some(server) = lvs.virtual_servers.get(at) else {
            return;
        };
        let group = self.facts.get(at).and_then(|f| f.group_in(lvs));
        let families = group.map(families);
        let mark = self.mark_of(server, group).zip(families.as_deref());
        let (Some(applied), Some(wanted)) = (self.applied.get_mut(at), self.wanted.get(at)) else {
            return;
        };
        sort_by(&mut places, u32::cmp);
        places.dedup();
        // Without the service its real servers are not there, whatever they are wanted to be.
        let keys = Some(keys(server, group, mark)).filter(|_| applied.present);
        for key in keys.into_iter().flatten() {
            let some = places.iter().filter_map(|real| {
                let real = place(*real);
                let written = server.real_servers.get(real)?;
                let of = |state: &State| {
                    let weight = state.live.real_servers.get(real).copied().flatten()?;
                    Some(real_destination(server, key, written, weight))
                };
                Some((of(applied), of(wanted)))
            });
            changes.append(&mut self.table.change_some(&key, &some.collect::<Vec<_>>()));
        }
        for real in places.into_iter().map(place) {
            let slot = applied.live.real_servers.get_mut(real);
            if let (Some(slot), Some(now)) = (slot, wanted.live.real_servers.get(real)) {
                *slot = *now;
            }
        }
    }

    fn apply(&mut self, changes: &mut Vec<Change>) {
        if let Some(ipvs) = self.ipvs.as_mut().filter(|_| !changes.is_empty()) {
            ipvs.apply(changes);
        }
        changes.clear();
    }

    /// What is in the table of a virtual server.
    fn entries_before(&self, at: usize, lvs: &LvsModel) -> Vec<Entry> {
        let (model, facts, state, at) = match &self.before {
            Some(before) => {
                let Some(origin) = before.origin.get(at).copied().flatten() else {
                    return Vec::new();
                };
                let at = place(origin.0);
                (&before.lvs, &before.facts, before.applied.get(at), at)
            }
            None => (lvs, &self.facts, self.applied.get(at), at),
        };
        let (Some(state), Some(server)) = (state, model.virtual_servers.get(at)) else {
            return Vec::new();
        };
        if !state.present {
            return Vec::new();
        }
        let group = facts.get(at).and_then(|f| f.group_in(model));
        let mark = self.mark_of(server, group);
        let families = group.map(families);
        let mark = mark.zip(families.as_deref());
        entries(server, group, &state.live, mark)
    }

    /// The services in the kernel's tables that stand for the virtual server at a position.
    #[cfg(feature = "snmp")]
    pub(super) fn services_of(&self, lvs: &LvsModel, at: usize) -> Vec<ServiceKey> {
        let Some(server) = lvs.virtual_servers.get(at) else {
            return Vec::new();
        };
        let group = self.facts.get(at).and_then(|f| f.group_in(lvs));
        let families = group.map(families);
        let mark = self.mark_of(server, group).zip(families.as_deref());
        keys(server, group, mark)
    }

    /// The way to the kernel's tables, if there are virtual servers.
    #[cfg(feature = "snmp")]
    pub(super) const fn kernel(&mut self) -> Option<&mut Ipvs> {
        self.ipvs.as_mut()
    }

    fn mark_of(&self, server: &VirtualServer, group: Option<&VirtualServerGroup>) -> Option<u32> {
        let name = server.group_name().filter(|_| group.is_some())?;
        self.marks.as_ref()?.mark(name, server.protocol?)
    }

    fn entries_of(
        &mut self,
        at: usize,
        global: &Global,
        lvs: &LvsModel,
        server: &VirtualServer,
        live: &Live,
    ) -> Vec<Entry> {
        let group = self.facts.get(at).and_then(|f| f.group_in(lvs));
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
            let Some(was) = vs
                .before
                .and_then(|b| Some((self.applied.get(place(b.0))?, self.facts.get(place(b.0))?)))
            else {
                continue;
            };
            state.present = was.0.present;
            let reals = vs.real_servers.iter().zip(&mut state.live.real_servers);
            for (real, slot) in reals {
                let place = real
                    .before
                    .and_then(|b| b.0.checked_sub(was.1.first.real).map(place));
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
            facts: std::mem::replace(&mut self.facts, facts(new)),
            applied: std::mem::take(&mut self.applied),
            origin,
        }));
        self.applied.clone_from(&wanted);
        self.dirty = (0..number(wanted.len()))
            .map(|vs| (vs, Dirty::All))
            .collect();
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

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn families(group: &VirtualServerGroup) -> Vec<Family> {
    let all = [Family::V4, Family::V6].into_iter();
    all.filter(|f| group.has_family(*f)).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use conf_parsers::keepalived::model::Model;

    use super::*;
    use crate::check::lower::lower;
    use crate::check::wanted::MADE;
    use crate::check::wanted::tests::model;

    /// One virtual server with many real ones.
    fn many(count: u32, weight: u32) -> Model {
        let mut text = String::from(
            "virtual_server 10.0.0.1 80 {\n protocol TCP\n lb_algo rr\n lb_kind NAT\n",
        );
        for n in 0..count {
            let (high, low) = (n / 250, n % 250);
            let _ = writeln!(
                text,
                "real_server 10.1.{high}.{low} 80 {{\n weight {weight}\n }}"
            );
        }
        text.push_str("}\n");
        model(&text)
    }

    fn started(model: &Model) -> Tables {
        let mut tables = Tables::new(&model.lvs);
        tables.want(Wish::Service(VsId(0), true));
        for n in 0..model.lvs.virtual_servers[0].real_servers.len() {
            tables.want(Wish::Real(RsId(number(n)), Some(1)));
        }
        tables.flush(&model.global, &model.lvs);
        MADE.set(0);
        tables
    }

    /// All real servers go and come back, one after the other; the steps.
    fn turns(count: u32) -> usize {
        let model = many(count, 1);
        let mut tables = started(&model);
        for weight in [None, Some(1)] {
            for n in 0..count {
                tables.want(Wish::Real(RsId(n), weight));
                tables.flush(&model.global, &model.lvs);
            }
        }
        MADE.get()
    }

    #[test]
    fn a_real_server_costs_the_same_among_many() {
        assert_eq!([turns(100), turns(2_000)], [200, 4_000]);
    }

    #[test]
    fn many_at_once_cost_one_look_at_all() {
        let model = many(2_000, 1);
        let mut tables = started(&model);
        for n in 0..1_000 {
            tables.want(Wish::Real(RsId(n), None));
        }
        tables.flush(&model.global, &model.lvs);
        assert_eq!(MADE.get(), 2_000 + 1_000);
    }

    #[test]
    fn some_that_change_are_known_afterwards() {
        let model = many(20, 1);
        let mut tables = started(&model);
        tables.want(Wish::Real(RsId(3), Some(7)));
        tables.want(Wish::Real(RsId(9), None));
        tables.flush(&model.global, &model.lvs);
        let entries = tables.entries_before(0, &model.lvs);
        let weights: Vec<u32> = entries[0].destinations.iter().map(|d| d.weight).collect();
        assert_eq!(weights.len(), 19);
        assert_eq!((weights[3], weights[2]), (7, 1));
        // A virtual server that is not there has none, and gets those of the moment when it comes.
        tables.want(Wish::Service(VsId(0), false));
        tables.flush(&model.global, &model.lvs);
        tables.want(Wish::Real(RsId(3), None));
        tables.flush(&model.global, &model.lvs);
        assert!(tables.table.is_empty());
        tables.want(Wish::Service(VsId(0), true));
        tables.flush(&model.global, &model.lvs);
        let entries = tables.entries_before(0, &model.lvs);
        assert_eq!(entries[0].destinations.len(), 18);
    }

    #[test]
    fn a_reload_looks_at_each_twice() {
        let model = many(2_000, 1);
        let mut tables = started(&model);
        let config = lower(&model, Vec::new(), Some(&model.lvs), |_| 1);
        tables.reconfigure(model.lvs.clone(), &model.lvs, &config);
        tables.flush(&model.global, &model.lvs);
        assert_eq!(MADE.get(), 2 * 2_000);
    }
}
