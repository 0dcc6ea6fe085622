//! From facts to consequences: links, addresses and trackers decide on FAULT and on the priority.
//!
//! A fault is never counted: after each change the named reasons are looked up again in the facts, so that no order of
//! events can leave one behind.

use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::{Family, Instant};

use crate::config::{
    Config, Destination, IfId, Instance, InstanceId, LinkFacts, SocketId, TrackSource, TrackerId,
    TrackerKind, TrackerState,
};
use crate::notice::{InstanceNotice, Notice};
use crate::output::{Notify, Output};
use crate::router::Router;
use crate::status::{FaultReason, State};
use crate::timers::Timer;

/// A tracked file's contribution at or below this means FAULT.
const FILE_FAULT: i32 = -254;
/// The most a tracked file adds.
const FILE_MOST: i32 = 253;

impl Router {
    /// Calls `found` for every reason that keeps the instance in FAULT.
    pub(crate) fn fault_reasons(&self, id: InstanceId, found: &mut dyn FnMut(FaultReason)) {
        let config = &self.config.instances[id.index()];
        if config.config_error {
            found(FaultReason::ConfigError);
        }
        if config.duplicate_vrid {
            found(FaultReason::DuplicateVrid);
        }
        if !config.dont_track_primary {
            if let Some(own) = config.interface.filter(|i| !self.links[i.index()].up) {
                found(FaultReason::Interface(own));
            }
            let base = config
                .configured_interface
                .filter(|b| Some(*b) != config.interface);
            if let Some(base) = base.filter(|i| !self.links[i.index()].up) {
                found(FaultReason::BaseInterface(base));
            }
        }
        if self.source_by_facts(id).is_none() || self.is_unbound(id) {
            found(FaultReason::NoSource(config.family));
        }
        for track in &config.tracks {
            match track.source {
                TrackSource::Interface(interface) => {
                    if track.weight == 0 && self.links[interface.index()].up == track.reverse {
                        found(FaultReason::Interface(interface));
                    }
                }
                TrackSource::Tracker(tracker) => {
                    let failed = match self.config.trackers[tracker.index()].state {
                        TrackerState::Pending | TrackerState::Unknown => false,
                        TrackerState::Up => track.weight == 0 && track.reverse,
                        TrackerState::Down => track.weight == 0 && !track.reverse,
                        TrackerState::Value(v) => {
                            file_effect(v, track.weight, track.reverse) <= FILE_FAULT
                        }
                    };
                    if failed {
                        found(FaultReason::Tracker(tracker));
                    }
                }
            }
        }
    }

    fn is_unbound(&self, id: InstanceId) -> bool {
        let socket = self.socket_of(id);
        socket.is_some_and(|s| self.unbound.contains(&s))
    }

    /// Sockets that can not be bound: their instances have no source.
    pub(crate) fn sockets_unbound(&mut self, now: Instant, unbound: &[SocketId]) {
        if self.unbound == unbound {
            return;
        }
        let before: Vec<bool> = self.ids().map(|id| self.is_unbound(id)).collect();
        self.unbound = unbound.to_vec();
        for (id, before) in self.ids().zip(before) {
            let is = self.is_unbound(id);
            if is && !before && self.started && self.live[id.index()].state != State::Fault {
                self.say_of(id, InstanceNotice::FaultUnbound);
            }
            if is != before {
                self.refresh(now, id);
            }
        }
    }

    fn is_faulty(&self, id: InstanceId) -> bool {
        let mut any = false;
        self.fault_reasons(id, &mut |_| any = true);
        any
    }

    fn is_pending(&self, id: InstanceId) -> bool {
        self.config.instances[id.index()].tracks.iter().any(|t| {
            t.weight == 0
                && matches!(t.source, TrackSource::Tracker(s)
                    if self.config.trackers[s.index()].state == TrackerState::Pending)
        })
    }

    /// Looks the flags up without acting on them: for start and reload.
    pub(crate) fn look_up_faults(&mut self, id: InstanceId) {
        let (faulty, pending) = (self.is_faulty(id), self.is_pending(id));
        let source = self.source_by_facts(id);
        let live = &mut self.live[id.index()];
        live.faulty = faulty;
        live.pending = pending;
        live.source = source;
    }

    fn source_by_facts(&self, id: InstanceId) -> Option<IpAddr> {
        source_by_facts(&self.config.instances[id.index()], &self.config)
    }

    /// The sum of base priority and weights.
    fn total_by_facts(&self, id: InstanceId) -> i32 {
        let config = &self.config.instances[id.index()];
        let mut total = i32::from(config.priority);
        for track in config.tracks.iter().filter(|t| t.weight != 0) {
            let sign = if track.reverse { -1 } else { 1 };
            let up = match track.source {
                TrackSource::Interface(interface) => self.links[interface.index()].up,
                TrackSource::Tracker(tracker) => {
                    match self.config.trackers[tracker.index()].state {
                        TrackerState::Pending | TrackerState::Unknown => continue,
                        TrackerState::Up => true,
                        TrackerState::Down => false,
                        TrackerState::Value(v) => {
                            let effect = file_effect(v, track.weight, track.reverse);
                            if effect > FILE_FAULT {
                                total = total.saturating_add(effect.min(FILE_MOST));
                            }
                            continue;
                        }
                    }
                }
            };
            if up == (track.weight > 0) {
                total = total.saturating_add(track.weight.saturating_mul(sign));
            }
        }
        total
    }

    /// Recomputes the effective priority; a running master-down time shifts with the skew.
    pub(crate) fn update_priority(&mut self, now: Instant, id: InstanceId) {
        let i = id.index();
        let config = &self.config.instances[i];
        if config.priority == 255 {
            return;
        }
        let total = self.total_by_facts(id);
        let new = u8::try_from(total.clamp(1, 254)).unwrap_or(1);
        let live = &mut self.live[i];
        live.total = total;
        let old = live.effective;
        if old == new {
            return;
        }
        live.effective = new;
        let (later, earlier) = live.skew_shift(config, old);
        live.down_time = live.down_time.saturating_add(later).saturating_sub(earlier);
        let (state, priority_notify) = (live.state, config.notify_priority_changes);
        self.say_of(id, InstanceNotice::Priority(old, new));
        if state == State::Backup {
            if let Some(at) = self.timers.get(Timer::Advert(id)) {
                self.timers.set(Timer::Advert(id), (at + later) - earlier);
            }
        }
        if priority_notify {
            self.queue.push_back(Output::Notify(Notify::Priority {
                id,
                master: state == State::Master,
                priority: new,
            }));
        }
        let _ = now;
    }

    /// Acts on whatever changed for the instance.
    pub(crate) fn refresh(&mut self, now: Instant, id: InstanceId) {
        if !self.started {
            return;
        }
        self.update_priority(now, id);
        self.refresh_faults(now, id);
    }

    /// Acts on what changed but the priority.
    fn refresh_faults(&mut self, now: Instant, id: InstanceId) {
        let i = id.index();
        let (faulty, pending) = (self.is_faulty(id), self.is_pending(id));
        let (was_faulty, was_pending) = (self.live[i].faulty, self.live[i].pending);
        let source = self.source_by_facts(id);
        // Without an IPv6 address the farewell can not be sent; an IPv4 one still can, with the old address.
        if source.is_some() || self.config.instances[i].family == Family::V6 {
            self.live[i].source = source;
        }
        self.live[i].faulty = faulty;
        self.live[i].pending = pending;
        if faulty && !was_faulty {
            self.go_down(now, id);
        } else if !faulty && (was_faulty || was_pending && !pending) {
            self.try_up(now, id);
        }
        self.live[i].source = source;
        // A unicast socket is bound to the source; without one it stays as it is.
        if let (Destination::Unicast(_), Some(_), Some(socket)) = (
            &self.config.instances[i].destination,
            source,
            self.socket_of(id),
        ) {
            self.sockets[socket.index()].unicast_source = source;
        }
    }

    fn go_down(&mut self, now: Instant, id: InstanceId) {
        self.live[id.index()].wanted = State::Fault;
        if self.live[id.index()].state == State::Master {
            self.leave_master(now, id, true);
        } else {
            self.leave_fault(now, id);
        }
        self.sync_fault(now, id);
    }

    fn try_up(&mut self, now: Instant, id: InstanceId) {
        let i = id.index();
        let config = &self.config.instances[i];
        if self.live[i].pending {
            self.live[i].wanted = State::Backup;
            if let Some(g) = self.group_of(id) {
                self.groups[g.index()].state = State::Init;
            }
            return;
        }
        let live = &mut self.live[i];
        if !(live.wanted == State::Master && config.priority == 255) {
            live.wanted = State::Backup;
        }
        live.master_interval = config.advert_interval;
        live.down_time = live.master_down(config);
        if let Some(g) = self.group_of(id) {
            if self.group_held_down(g) {
                return;
            }
        }
        let wanted = self.live[i].wanted;
        if wanted == State::Master && !self.group_allows_master(id) {
            self.live[i].wanted = State::Backup;
        }
        self.leave_fault(now, id);

        // The master's ARP entry for us may be gone; without it its next adverts would be late.
        let config = &self.config.instances[i];
        if let (Destination::Unicast(_), Some(interface), Some(source)) = (
            &config.destination,
            config.configured_interface.or(config.interface),
            self.live[i].source,
        ) {
            self.say_of(id, InstanceNotice::AnnouncingSource(source));
            self.queue.push_back(Output::Announce {
                interface,
                address: source,
            });
        }
        self.live[i].wanted = wanted;
        if self.live[i].state == State::Master {
            self.sync_master(now, id);
        } else {
            self.sync_backup(now, id);
        }
    }

    /// New facts about an interface.
    pub(crate) fn link_facts(&mut self, now: Instant, id: IfId, new: LinkFacts) {
        let Some(interface) = self.config.interfaces.get_mut(id.index()) else {
            return;
        };
        let old = core::mem::replace(&mut interface.link, new);
        if !self.started {
            let up = new.up && new.index.is_some();
            self.links[id.index()] = crate::router::LiveLink {
                up,
                flags: new.flags,
                seen_up: up,
            };
            return;
        }
        if old == new {
            return;
        }
        let gone = old.index.is_some() && old.index != new.index;
        if gone {
            self.say(Notice::InterfaceDeleted(id));
            self.timers.clear(Timer::Link(id));
            if self.links[id.index()].up {
                self.set_link(now, id, false, false);
            }
            self.links[id.index()].seen_up = false;
            if self.config.global.allow_if_changes && old.changeable {
                // It may come back on another link.
                let on_it = |i: &&mut Instance| lives_on(i) == Some(id);
                for instance in self.config.instances.iter_mut().filter(on_it) {
                    instance.duplicate_vrid = false;
                }
            }
        }
        if new.index.is_some() && old.index != new.index {
            self.link_came(id, new);
        }
        let ours = self.config.interfaces[id.index()].ours;
        for (before, after) in [
            (old.v4.map(IpAddr::V4), new.v4.map(IpAddr::V4)),
            (old.v6.map(IpAddr::V6), new.v6.map(IpAddr::V6)),
        ] {
            match (before, after) {
                (Some(a), None) => self.say(Notice::AddressDeassigned(id, a)),
                // Who makes an interface gives it its address, and has told of both.
                (None, Some(_)) if ours && old.index.is_none() => {}
                (None, Some(a)) => self.say(Notice::AddressAssigned(id, a)),
                _ => {}
            }
        }
        self.link_flags(now, id, new.up && new.index.is_some());
        self.refresh_users(now, id);
    }

    /// An interface is there, or another one of its name.
    fn link_came(&mut self, id: IfId, new: LinkFacts) {
        if self.config.interfaces[id.index()].ours {
            return;
        }
        self.say(Notice::InterfaceAdded(id));
        self.look_for_conflicts(id);
        if new.up {
            return;
        }
        for instance in self.ids() {
            let config = &self.config.instances[instance.index()];
            let below = config.configured_interface == Some(id) && config.interface != Some(id);
            if below && !config.dont_track_primary {
                self.say_of(instance, InstanceNotice::BaseDown(id));
            }
        }
    }

    /// Whether who lives on the interface that has come meets a VRID of its own on the link below.
    fn look_for_conflicts(&mut self, id: IfId) {
        for instance in self.ids() {
            if lives_on(&self.config.instances[instance.index()]) != Some(id) {
                continue;
            }
            let other = self.ids().find(|o| self.conflict(instance, *o));
            if let Some(other) = other {
                self.config.instances[instance.index()].duplicate_vrid = true;
                self.say(Notice::VridConflict(instance, other));
            }
        }
    }

    fn conflict(&self, a: InstanceId, b: InstanceId) -> bool {
        let (x, y) = (
            &self.config.instances[a.index()],
            &self.config.instances[b.index()],
        );
        let link = |i: &Instance| {
            let facts = self.config.interfaces[lives_on(i)?.index()].link;
            facts.base.or(facts.index).filter(|_| facts.index.is_some())
        };
        let multicast = |i: &Instance| matches!(i.destination, Destination::Multicast(_));
        a != b
            && (x.family, x.vrid) == (y.family, y.vrid)
            && multicast(x)
            && x.destination == y.destination
            && link(x).is_some()
            && link(x) == link(y)
    }

    /// The kernel's up or down, before the delays.
    fn link_flags(&mut self, now: Instant, id: IfId, up: bool) {
        let link = self.links[id.index()];
        let waiting = self.timers.get(Timer::Link(id)).is_some();
        if link.up == up {
            if waiting {
                self.timers.clear(Timer::Link(id));
                self.say(Notice::LinkDelayCancelled(id));
            }
            return;
        }
        if waiting {
            return;
        }
        let interface = &self.config.interfaces[id.index()];
        let interface_flags = interface.link.flags;
        let delay = if up {
            interface.up_delay
        } else {
            interface.down_delay
        };
        if link.seen_up && !delay.is_zero() && !interface.polled {
            self.timers.set(Timer::Link(id), now + delay);
            self.say(Notice::LinkDelayed {
                interface: id,
                from: link.flags,
                to: interface_flags,
                delay,
            });
            return;
        }
        self.set_link(now, id, up, true);
    }

    /// A delayed link change counts now.
    pub(crate) fn link_delay_over(&mut self, now: Instant, id: IfId) {
        let link = self.config.interfaces[id.index()].link;
        self.set_link(now, id, link.up && link.index.is_some(), true);
        self.refresh_users(now, id);
    }

    fn set_link(&mut self, now: Instant, id: IfId, up: bool, say: bool) {
        let link = &mut self.links[id.index()];
        if link.up == up {
            return;
        }
        link.up = up;
        link.flags = self.config.interfaces[id.index()].link.flags;
        link.seen_up |= up;
        if say {
            let polled = self.config.interfaces[id.index()].polled;
            self.say(if polled {
                Notice::Linkbeat(id, up)
            } else {
                Notice::Link(id, up)
            });
        }
        if up {
            self.refresh_users(now, id);
            return;
        }
        self.refresh_users(now, id);
        // The kernel drops routes through a downed interface without a word.
        for instance in self.ids() {
            let config = &self.config.instances[instance.index()];
            let live = &mut self.live[instance.index()];
            for (route, set) in config.routes.iter().zip(&mut live.routes_set) {
                if route.interface == Some(id) {
                    *set = false;
                }
            }
        }
    }

    /// Looks at each instance that the interface concerns.
    fn refresh_users(&mut self, now: Instant, id: IfId) {
        for instance in self.ids() {
            let config = &self.config.instances[instance.index()];
            let uses = [
                config.interface,
                config.configured_interface,
                config.transmit_interface,
            ]
            .contains(&Some(id))
                || config
                    .tracks
                    .iter()
                    .any(|t| t.source == TrackSource::Interface(id));
            if uses {
                self.refresh(now, instance);
            }
        }
    }

    /// A tracker has a new state.
    pub(crate) fn tracker_state(&mut self, now: Instant, id: TrackerId, state: TrackerState) {
        let Some(tracker) = self.config.trackers.get_mut(id.index()) else {
            return;
        };
        let before = core::mem::replace(&mut tracker.state, state);
        if before == state {
            return;
        }
        let bfd = tracker.kind == TrackerKind::Bfd;
        for instance in self.ids() {
            let tracks = &self.config.instances[instance.index()].tracks;
            if tracks.iter().any(|t| t.source == TrackSource::Tracker(id)) {
                if bfd && self.started {
                    self.say_of(
                        instance,
                        InstanceNotice::TrackedBfd(id, state == TrackerState::Up),
                    );
                }
                let file = match (before, state) {
                    (TrackerState::Value(old), TrackerState::Value(new)) if self.started => {
                        self.file_fault(instance, id, old, new)
                    }
                    _ => false,
                };
                if file {
                    self.refresh_faults(now, instance);
                } else {
                    self.refresh(now, instance);
                }
            }
        }
    }

    /// A tracked file becomes a fault or stops being one: said, and its share of the priority changes in silence. Going down
    /// the priority stays what it is until something else changes it. `false` if it is neither.
    fn file_fault(&mut self, id: InstanceId, tracker: TrackerId, old: i32, new: i32) -> bool {
        let config = &self.config.instances[id.index()];
        let source = TrackSource::Tracker(tracker);
        let Some(track) = config.tracks.iter().find(|t| t.source == source) else {
            return false;
        };
        let effect = |v| file_effect(v, track.weight, track.reverse);
        let (was, is) = (effect(old) <= FILE_FAULT, effect(new) <= FILE_FAULT);
        if was == is {
            // Another fault, or none before and after.
            return was;
        }
        let owner = config.priority == 255;
        let counts = track.weight != 0 && effect(new) != 0;
        self.say_of(id, InstanceNotice::TrackedFile(tracker, is));
        if !owner {
            let total = self.total_by_facts(id);
            let live = &mut self.live[id.index()];
            live.total = total;
            if !is {
                live.effective = u8::try_from(total.clamp(1, 254)).unwrap_or(1);
                if counts {
                    let effective = live.effective;
                    self.say_of(id, InstanceNotice::PrioritySet(effective));
                }
            }
        }
        true
    }
}

/// The interface that the configuration names.
fn lives_on(instance: &Instance) -> Option<IfId> {
    instance.configured_interface.or(instance.interface)
}

/// Where adverts come from: the configured source, else the interface's address.
pub(crate) fn source_by_facts(instance: &Instance, config: &Config) -> Option<IpAddr> {
    if instance.source.is_some() {
        return instance.source;
    }
    match instance.family {
        Family::V4 => {
            let link = instance.configured_interface.or(instance.interface)?;
            config.interfaces[link.index()].link.v4.map(IpAddr::V4)
        }
        Family::V6 => {
            let link = instance.transmit_interface.or(instance.interface)?;
            config.interfaces[link.index()].link.v6.map(IpAddr::V6)
        }
    }
}

/// What a tracked file's value does to the priority; [`FILE_FAULT`] or less means FAULT.
pub(crate) fn file_effect(value: i32, weight: i32, reverse: bool) -> i32 {
    if weight == 0 {
        let failed = (value != 0) != reverse;
        return if failed { FILE_FAULT } else { 0 };
    }
    let sign = if reverse { -1 } else { 1 };
    value.saturating_mul(weight).saturating_mul(sign)
}
