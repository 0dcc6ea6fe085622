//! The owner of all instances and groups; the public face of the core.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::{Duration, Instant, sort_by};

use crate::config::{
    Auth, Config, Destination, GroupId, IfId, Instance, InstanceId, Object, SocketId,
};
use crate::garp::Pace;
use crate::input::Input;
use crate::instance::Live;
use crate::notice::{InstanceNotice, Notice};
use crate::output::{Notify, NotifyState, Output};
use crate::stats::Stats;
use crate::status::{GroupStatus, Socket, State, Status};
use crate::table::Table;
use crate::timers::{Timer, Timers};

/// Outputs for which the queue keeps its room.
const USUAL_QUEUE: usize = 256;

/// All virtual routers of a process.
///
/// Ids inside the core are positions in `config` and are valid by construction: [`Self::handle`] refuses those of the
/// shell that are not, and [`Self::new`] drops references of the configuration that point nowhere.
#[derive(Debug)]
pub struct Router {
    pub(crate) config: Config,
    /// Parallel to `config.instances`.
    pub(crate) live: Table<Live>,
    /// Parallel to `config.groups`.
    pub(crate) groups: Vec<LiveGroup>,
    /// Parallel to `config.interfaces`.
    pub(crate) links: Vec<LiveLink>,
    /// Parallel to `config.pacing`: ARP and NA.
    pub(crate) paces: Vec<[Pace; 2]>,
    pub(crate) sockets: Vec<Socket>,
    /// Parallel to `config.instances`.
    socket_of: Vec<SocketId>,
    /// Who listens to a VRID on a socket, in order: a packet is not to look at every instance.
    listeners: Vec<(SocketId, u8, InstanceId)>,
    pub(crate) timers: Timers,
    pub(crate) queue: VecDeque<Output>,
    /// End of `vrrp_startup_delay`, while it runs.
    pub(crate) startup_until: Option<Instant>,
    /// Sockets that can not be bound to their local address.
    pub(crate) unbound: Vec<SocketId>,
    pub(crate) started: bool,
    stopped: bool,
    /// UTC in microseconds minus our time.
    pub(crate) utc_ahead: u64,
    /// An instance signs or verifies adverts with the time.
    wants_clock: bool,
    /// An instance has `timer_expired_backup`.
    pub(crate) minds_lateness: bool,
    /// Names of the configuration before the last reload, while outputs about it are in the queue.
    retired: Option<Box<Names>>,
    /// They are no longer needed at the next [`Self::poll_output`]: whoever does several outputs at a time has done those about
    /// them by then.
    retiring: bool,
}

/// The changing part of a sync group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveGroup {
    pub(crate) state: State,
}

/// The changing part of an interface.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LiveLink {
    /// Up as far as instances are concerned: after the delays.
    pub(crate) up: bool,
    /// The flags in effect.
    pub(crate) flags: u32,
    /// Was up once; the delays apply only from then on.
    pub(crate) seen_up: bool,
}

#[derive(Debug)]
struct Names {
    instances: Vec<Box<str>>,
    groups: Vec<Box<str>>,
    interfaces: Vec<Box<str>>,
    trackers: Vec<Box<str>>,
}

impl Router {
    /// A router in INIT; nothing happens before [`Input::Start`].
    pub fn new(mut config: Config, _now: Instant) -> Self {
        drop_dangling(&mut config);
        let mut router = Self {
            live: Table::default(),
            groups: Vec::new(),
            links: Vec::new(),
            paces: Vec::new(),
            sockets: Vec::new(),
            socket_of: Vec::new(),
            listeners: Vec::new(),
            timers: Timers::default(),
            queue: VecDeque::new(),
            startup_until: None,
            started: false,
            stopped: false,
            unbound: Vec::new(),
            utc_ahead: 0,
            wants_clock: false,
            minds_lateness: false,
            retired: None,
            retiring: false,
            config,
        };
        router.build_live();
        router
    }

    /// One thing happened at `now`. Drain [`Self::poll_output`] afterwards.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        if self.stopped {
            return;
        }
        match input {
            Input::Start => self.start(now),
            Input::Clock(utc) => self.utc_ahead = utc.as_micros().wrapping_sub(now.as_micros()),
            Input::Advert(packet) => self.receive(now, &packet),
            Input::Link(id, facts) => self.link_facts(now, id, facts),
            Input::Tracker(id, state) => self.tracker_state(now, id, state),
            Input::Removed(object) => self.object_removed(now, object),
            Input::Refused(object) => self.object_refused(object),
            Input::Unbound(sockets) => self.sockets_unbound(now, sockets),
            Input::PrepareReload => {
                for id in self.ids() {
                    if self.live[id.index()].state == State::Master {
                        self.transmit(now, id, None);
                    }
                }
            }
            Input::Reconfigure(config) => self.reconfigure(now, *config),
            Input::ClearStats => {
                for live in &mut self.live {
                    live.stats = Stats::default();
                }
            }
            Input::SendGarp(id) => {
                if id.index() < self.live.len() {
                    self.burst(now, id, 1);
                }
            }
            Input::SetPriority(id, priority) => {
                if let Some(config) = self.config.instances.get_mut(id.index()) {
                    config.priority = priority;
                    self.update_priority(now, id);
                }
            }
            Input::SetPreempt(id, preempt) => {
                if let Some(config) = self.config.instances.get_mut(id.index()) {
                    config.nopreempt = !preempt;
                }
            }
            Input::Shutdown => self.shutdown(now),
        }
    }

    /// Whether [`Input::Clock`] is needed: an instance has `auth_hmac`.
    pub const fn wants_clock(&self) -> bool {
        self.wants_clock
    }

    /// When [`Self::handle_timeout`] must be called next, if ever. May change with every other call.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.stopped {
            None
        } else {
            self.timers.next()
        }
    }

    /// Does what is due at `now`; early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.stopped {
            return;
        }
        self.check_lateness(now);
        while let Some((at, timer)) = self.timers.pop_due(now) {
            match timer {
                Timer::Startup => {
                    self.startup_until = None;
                    self.say(Notice::StartupDelayCompleted);
                }
                Timer::Link(id) => self.link_delay_over(now, id),
                Timer::Advert(id) => self.advert_due(now, at, id),
                Timer::Rogue(id) => {
                    self.live[id.index()].rogue = crate::instance::Rogue::None;
                    self.say_of(id, InstanceNotice::OwnerStopped);
                }
                Timer::SecondBurst(id) => {
                    let rounds = self.config.instances[id.index()].garp.repeat;
                    self.burst(now, id, rounds);
                }
                Timer::LowerBurst(id) => {
                    let live = &mut self.live[id.index()];
                    live.lower_bursts = live.lower_bursts.saturating_sub(1);
                    let rounds = self.config.instances[id.index()].garp.lower_prio_repeat;
                    self.burst(now, id, rounds);
                }
                Timer::Refresh(id) => {
                    let garp = self.config.instances[id.index()].garp;
                    self.burst(now, id, garp.refresh_repeat);
                    self.timers.set(timer, next_period(at, garp.refresh, now));
                }
                Timer::Extra(id) => {
                    let interval = self.config.instances[id.index()].garp.extra_interval;
                    self.extra_round(now, id);
                    self.timers.set(timer, next_period(at, interval, now));
                }
                Timer::Pace(group, na) => self.pace_due(now, group, na),
            }
        }
    }

    /// The next thing to do; `None` when there is nothing left.
    pub fn poll_output(&mut self) -> Option<Output> {
        if core::mem::take(&mut self.retiring) {
            self.retired = None;
        }
        let output = self.queue.pop_front();
        // A thousand instances that become master at once say much; adverts alone need not ask for their room again and again.
        if output.is_none() && self.queue.capacity() > USUAL_QUEUE {
            self.queue.shrink_to(USUAL_QUEUE);
        }
        self.retiring = output == Some(Output::Reconfigured);
        output
    }

    /// The sockets to keep open, [`SocketId`] by position. The list changes only with [`Output::Reconfigured`]; the source of a
    /// unicast socket may also change with [`Input::Link`].
    pub fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    /// The socket of an instance; `None` for an id that does not exist.
    pub fn socket_of(&self, instance: InstanceId) -> Option<SocketId> {
        self.socket_of.get(instance.index()).copied()
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// One instance now; `None` for an id that does not exist.
    pub fn status(&self, instance: InstanceId) -> Option<Status<'_>> {
        let config = self.config.instances.get(instance.index())?;
        let live = self.live.get(instance.index())?;
        let mut faults = Vec::new();
        self.fault_reasons(instance, &mut |reason| faults.push(reason));
        Some(Status {
            config,
            state: live.state,
            wanted: live.wanted,
            effective_priority: live.effective,
            total_priority: live.total,
            stats: &live.stats,
            reasons: live.reasons,
            source: live.source,
            master: live.master,
            master_priority: live.master_priority,
            master_interval: live.master_interval,
            master_down: live.down_time,
            deadline: self.timers.get(Timer::Advert(instance)),
            last_transition: live.last_transition,
            last_advert: live.last_advert,
            preempt_at: live.preempt_at,
            holding: live.holding,
            old_checksum_detected: live.old_checksum,
            faults,
        })
    }

    /// One group now; `None` for an id that does not exist.
    pub fn group_status(&self, group: GroupId) -> Option<GroupStatus<'_>> {
        Some(GroupStatus {
            config: self.config.groups.get(group.index())?,
            state: self.groups.get(group.index())?.state,
        })
    }

    /// Whether an interface counts as up (after its delays).
    pub fn link_up(&self, interface: IfId) -> bool {
        self.links.get(interface.index()).is_some_and(|l| l.up)
    }

    /// Whether the instance has this address, route or rule set.
    pub fn is_set(&self, instance: InstanceId, object: Object) -> bool {
        let i = instance.index();
        let (Some(config), Some(live)) = (self.config.instances.get(i), self.live.get(i)) else {
            return false;
        };
        flags_of(config, live).any(|(o, set)| o == object && set)
    }

    /// Name of an instance, by the id of an output just polled (across a reload, too).
    pub fn instance_name(&self, instance: InstanceId) -> &str {
        match &self.retired {
            Some(names) => names.instances.get(instance.index()).map_or("", |n| n),
            None => self
                .config
                .instances
                .get(instance.index())
                .map_or("", |i| &i.name),
        }
    }

    /// Name of a group, by the id of an output just polled.
    pub fn group_name(&self, group: GroupId) -> &str {
        match &self.retired {
            Some(names) => names.groups.get(group.index()).map_or("", |n| n),
            None => self
                .config
                .groups
                .get(group.index())
                .map_or("", |g| &g.name),
        }
    }

    /// Name of an interface, by the id of an output just polled.
    pub fn interface_name(&self, interface: IfId) -> &str {
        match &self.retired {
            Some(names) => names.interfaces.get(interface.index()).map_or("", |n| n),
            None => self
                .config
                .interfaces
                .get(interface.index())
                .map_or("", |i| &i.name),
        }
    }

    /// Name of a tracker, by the id of an output just polled.
    pub fn tracker_name(&self, tracker: crate::TrackerId) -> &str {
        match &self.retired {
            Some(names) => names.trackers.get(tracker.index()).map_or("", |n| n),
            None => self
                .config
                .trackers
                .get(tracker.index())
                .map_or("", |t| &t.name),
        }
    }

    /// Remembers the present names until the outputs about them are polled.
    pub(crate) fn retire_names(&mut self) {
        if self.retired.is_some() {
            return;
        }
        self.retired = Some(Box::new(Names {
            instances: self
                .config
                .instances
                .iter()
                .map(|i| i.name.clone())
                .collect(),
            groups: self.config.groups.iter().map(|g| g.name.clone()).collect(),
            interfaces: self
                .config
                .interfaces
                .iter()
                .map(|i| i.name.clone())
                .collect(),
            trackers: self
                .config
                .trackers
                .iter()
                .map(|t| t.name.clone())
                .collect(),
        }));
    }

    /// Fresh runtime state for `config`.
    pub(crate) fn build_live(&mut self) {
        self.live = self.config.instances.iter().map(Live::new).collect();
        let instances = &self.config.instances;
        self.wants_clock = instances.iter().any(|i| i.hmac.is_some());
        self.minds_lateness = instances.iter().any(|i| i.timer_expired_backup.is_some());
        self.groups = self
            .config
            .groups
            .iter()
            .map(|_| LiveGroup { state: State::Init })
            .collect();
        self.links = self
            .config
            .interfaces
            .iter()
            .map(|i| {
                let up = i.link.up && i.link.index.is_some();
                LiveLink {
                    up,
                    flags: i.link.flags,
                    seen_up: up,
                }
            })
            .collect();
        self.paces = self
            .config
            .pacing
            .iter()
            .map(|_| Default::default())
            .collect();
        self.sockets.clear();
        self.socket_of.clear();
        for config in &self.config.instances {
            let socket = socket_for(config, &self.config);
            let position = self
                .sockets
                .iter()
                .position(|s| *s == socket)
                .unwrap_or_else(|| {
                    self.sockets.push(socket);
                    self.sockets.len().saturating_sub(1)
                });
            self.socket_of
                .push(SocketId(u16::try_from(position).unwrap_or(u16::MAX)));
        }
        let instances = self.ids().zip(&self.config.instances).zip(&self.socket_of);
        self.listeners = instances
            .map(|((id, config), socket)| (*socket, config.vrid.get(), id))
            .collect();
        sort_by(&mut self.listeners, Ord::cmp);
    }

    /// The instances with this VRID on this socket, in their order.
    pub(crate) fn listeners(
        &self,
        socket: SocketId,
        vrid: u8,
    ) -> impl Iterator<Item = InstanceId> + Clone + '_ {
        let from = self
            .listeners
            .partition_point(|(s, v, _)| (*s, *v) < (socket, vrid));
        let rest = self.listeners.get(from..).unwrap_or_default();
        rest.iter()
            .take_while(move |(s, v, _)| (*s, *v) == (socket, vrid))
            .map(|(_, _, id)| *id)
    }

    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.timers.clear_all();
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = InstanceId> + use<> {
        (0..self.config.instances.len())
            .filter_map(|i| u16::try_from(i).ok())
            .map(InstanceId)
    }

    pub(crate) fn group_ids(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..self.config.groups.len())
            .filter_map(|i| u16::try_from(i).ok())
            .map(GroupId)
    }

    pub(crate) fn say(&mut self, notice: Notice) {
        self.queue.push_back(Output::Notice(notice));
    }

    pub(crate) fn say_of(&mut self, id: InstanceId, notice: InstanceNotice) {
        self.say(Notice::Instance(id, notice));
    }

    /// Tells the world about the state of an instance, unless its group did.
    pub(crate) fn notify(&mut self, id: InstanceId, state: NotifyState) {
        let group_state = self.config.instances[id.index()]
            .group
            .map(|g| self.groups[g.index()].state);
        let live = &mut self.live[id.index()];
        let same = group_state.is_some_and(|g| g.notify() == state && g == live.state);
        // After a reload the group does not speak for its members at first; but nobody is told the same twice.
        if same && (live.notified || live.told == Some(state)) {
            return;
        }
        live.notified = true;
        live.told = Some(state);
        let priority = live.effective;
        self.queue.push_back(Output::Notify(Notify::Instance {
            id,
            state,
            priority,
        }));
    }

    pub(crate) fn notify_group(&mut self, id: GroupId) {
        let state = self.groups[id.index()].state.notify();
        self.queue
            .push_back(Output::Notify(Notify::Group { id, state }));
    }
}

/// The next of a series of deadlines, without drift; a missed one is not made up for.
pub(crate) fn next_period(at: Instant, interval: Duration, now: Instant) -> Instant {
    let next = at + interval;
    if next > now { next } else { now + interval }
}

/// Every object of an instance with whether it is set.
pub(crate) fn flags_of<'a>(
    config: &'a Instance,
    live: &'a Live,
) -> impl Iterator<Item = (Object, bool)> + 'a {
    let addresses = config
        .addresses
        .iter()
        .chain(&config.excluded)
        .map(|a| Object::Address(a.object));
    let routes = config.routes.iter().map(|r| Object::Route(r.object));
    let rules = config.rules.iter().map(|r| Object::Rule(r.object));
    addresses
        .zip(live.addresses_set.iter().copied())
        .chain(routes.zip(live.routes_set.iter().copied()))
        .chain(rules.zip(live.rules_set.iter().copied()))
}

fn socket_for(config: &Instance, all: &Config) -> Socket {
    let (group, unicast_source): (Option<IpAddr>, Option<IpAddr>) = match &config.destination {
        Destination::Multicast(group) => (Some(*group), None),
        Destination::Unicast(_) => (None, crate::facts::source_by_facts(config, all)),
    };
    Socket {
        family: config.family,
        interface: config.transmit_interface,
        vrf: config.vrf,
        group,
        ah: matches!(config.auth, Auth::Ah(_)),
        unicast_source,
    }
}

/// Takes out references that point nowhere, so that the rest may rely on them.
pub(crate) fn drop_dangling(config: &mut Config) {
    let (instances, groups) = (config.instances.len(), config.groups.len());
    let (interfaces, trackers, pacing) = (
        config.interfaces.len(),
        config.trackers.len(),
        config.pacing.len(),
    );
    for interface in &mut config.interfaces {
        interface.pacing = interface.pacing.filter(|p| usize::from(*p) < pacing);
    }
    let there = |id: &IfId| id.index() < interfaces;
    for instance in &mut config.instances {
        instance.interface = instance.interface.filter(there);
        instance.configured_interface = instance.configured_interface.filter(there);
        instance.transmit_interface = instance.transmit_interface.filter(there);
        instance.vrf = instance.vrf.filter(there);
        instance.addresses.retain(|a| there(&a.interface));
        instance.excluded.retain(|a| there(&a.interface));
        for route in &mut instance.routes {
            route.interface = route.interface.filter(there);
        }
        instance.group = instance.group.filter(|g| g.index() < groups);
        instance.tracks.retain(|t| match t.source {
            crate::config::TrackSource::Interface(id) => there(&id),
            crate::config::TrackSource::Tracker(id) => id.index() < trackers,
        });
        instance.priority = instance.priority.max(1);
        instance.down_timer_adverts = instance.down_timer_adverts.max(1);
        instance.advert_interval = instance.advert_interval.max(Duration::from_millis(10));
    }
    for group in &mut config.groups {
        group.members.retain(|m| m.index() < instances);
    }
    // Membership is written down twice; the group's list decides.
    for instance in &mut config.instances {
        instance.group = None;
    }
    for (g, group) in config.groups.iter_mut().enumerate() {
        let Ok(g) = u16::try_from(g) else { break };
        group
            .members
            .retain(|m| match config.instances.get_mut(m.index()) {
                Some(i) if i.group.is_none() => {
                    i.group = Some(GroupId(g));
                    true
                }
                _ => false,
            });
    }
}
