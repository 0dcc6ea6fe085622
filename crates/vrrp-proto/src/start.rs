//! Start, reload and shutdown of all instances (keepalived-behaviour.md sections 4.3, 4.6 and 10).

use alloc::vec::Vec;

use net_types::{Duration, Family, Instant};

use crate::config::{
    Config, Destination, GroupId, Instance, InstanceId, Object, TrackSource, TrackerKind,
    TrackerState, Wanted,
};
use crate::facts::{file_effect, source_by_facts};
use crate::instance::Live;
use crate::notice::{InstanceNotice, Notice};
use crate::output::{Notify, NotifyState, Output};
use crate::router::{LiveGroup, Router, drop_dangling, flags_of};
use crate::status::{FaultReason, State};
use crate::timers::Timer;

/// What a reload keeps of the configuration before.
struct Before {
    config: Config,
    live: Vec<Live>,
    groups: Vec<LiveGroup>,
    /// For each old instance the new one that is the same.
    successor: Vec<Option<InstanceId>>,
}

impl Before {
    fn predecessor(&self, id: InstanceId) -> Option<usize> {
        self.successor.iter().position(|s| *s == Some(id))
    }
}

impl Router {
    /// The first start: faults, leftovers of an earlier run, initial states.
    pub(crate) fn start(&mut self, now: Instant) {
        if self.started {
            return;
        }
        let delay = self.config.global.startup_delay;
        if !delay.is_zero() {
            self.startup_until = Some(now + delay);
            self.timers.set(Timer::Startup, now + delay);
            self.say(Notice::StartupDelay(delay));
        }
        self.initial_facts(now, None);
        self.open_announcers();
        for id in self.ids() {
            let there = match self.config.instances[id.index()].interface {
                Some(i) => self.config.interfaces[i.index()].link.index.is_some(),
                None => true,
            };
            if there {
                self.let_go(now, id, false, true);
            }
        }
        self.initial_states(now, None);
        self.started = true;
    }

    /// SIGHUP: go on with `config`; instances that are the same keep their state.
    pub(crate) fn reconfigure(&mut self, now: Instant, mut config: Config) {
        drop_dangling(&mut config);
        self.retire_names();
        let old_delay = self.config.global.startup_delay;
        let successor: Vec<_> = self
            .config
            .instances
            .iter()
            .map(|old| same_instance(old, &self.config, &config))
            .collect();

        // Instances that are gone; their ids belong to the old configuration.
        for id in self.ids() {
            if successor[id.index()].is_some() {
                continue;
            }
            if self.live[id.index()].state == State::Master {
                self.let_go(now, id, true, false);
            }
            let deleted = self.config.instances[id.index()].notify_deleted;
            if deleted || self.live[id.index()].state != State::Fault {
                let state = if deleted {
                    NotifyState::Deleted
                } else {
                    NotifyState::Fault
                };
                self.notify(id, state);
            }
        }
        self.queue.push_back(Output::Reconfigured);

        let debounce: Vec<_> = self.links.iter().map(|l| l.seen_up).collect();
        let old_names: Vec<_> = self
            .config
            .interfaces
            .iter()
            .map(|i| i.name.clone())
            .collect();
        let mut before = Before {
            config: core::mem::replace(&mut self.config, config),
            live: core::mem::take(&mut self.live),
            groups: core::mem::take(&mut self.groups),
            successor,
        };
        self.timers.clear_all();
        self.build_live();
        for (interface, link) in self.config.interfaces.iter().zip(&mut self.links) {
            let old = old_names.iter().position(|n| *n == interface.name);
            link.seen_up |= old.and_then(|o| debounce.get(o)).is_some_and(|s| *s);
        }
        self.adjust_startup_delay(now, old_delay);
        self.initial_facts(now, Some(&before));
        self.open_announcers();
        self.take_over(now, &mut before);
        self.initial_states(now, Some(&before));
        self.started = true;
    }

    fn adjust_startup_delay(&mut self, now: Instant, old: Duration) {
        let Some(until) = self.startup_until else {
            return;
        };
        let until = (until - old) + self.config.global.startup_delay;
        if until <= now {
            self.startup_until = None;
            self.say(Notice::StartupDelayReduced);
        } else {
            self.startup_until = Some(until);
            self.timers.set(Timer::Startup, until);
            self.say(Notice::StartupDelayFurther(until.since(now)));
        }
    }

    fn open_announcers(&mut self) {
        let families = || self.config.instances.iter().map(|i| i.family);
        let arp = families().any(|f| f == Family::V4);
        let na = families().any(|f| f == Family::V6);
        self.queue.push_back(Output::OpenAnnouncers { arp, na });
    }

    /// Sources, priorities and faults by the facts of the configuration; faulty instances (and their groups) go to FAULT.
    fn initial_facts(&mut self, now: Instant, before: Option<&Before>) {
        self.started = false;
        for id in self.ids() {
            self.look_up_faults(id);
            self.say_faults(id);
            self.update_priority(now, id);
            let live = &mut self.live[id.index()];
            if live.faulty {
                live.state = State::Fault;
            }
        }
        for g in self.group_ids() {
            let members = self.config.groups[g.index()].members.clone();
            let owner = |m: &InstanceId| {
                let c = &self.config.instances[m.index()];
                c.wanted == Wanted::Master && c.priority == 255
            };
            let all_owners = !members.is_empty() && members.iter().all(owner);
            let mut state = if all_owners {
                State::Master
            } else {
                State::Backup
            };
            for m in &members {
                if self.live[m.index()].faulty && state != State::Fault {
                    state = State::Fault;
                    self.say(Notice::GroupMemberFault(g, *m));
                }
                if self.live[m.index()].pending && state != State::Fault {
                    state = State::Init;
                }
            }
            self.groups[g.index()].state = state;
            if !all_owners {
                for m in &members {
                    self.live[m.index()].wanted = State::Backup;
                }
            }
        }
        for id in self.ids() {
            let by_group = self
                .group_of(id)
                .is_some_and(|g| self.groups[g.index()].state == State::Fault);
            if self.live[id.index()].state != State::Fault && !by_group {
                continue;
            }
            self.live[id.index()].state = State::Fault;
            let already = before.is_some_and(|b| {
                b.predecessor(id)
                    .is_some_and(|o| b.live[o].state == State::Fault)
            });
            if !already {
                self.say_of(id, InstanceNotice::FaultAtStart);
                self.notify(id, NotifyState::Fault);
            }
        }
    }

    /// One line per reason.
    fn say_faults(&mut self, id: InstanceId) {
        let mut lines = Vec::new();
        let config = &self.config.instances[id.index()];
        self.fault_reasons(id, &mut |reason| match reason {
            FaultReason::Interface(i) | FaultReason::BaseInterface(i) => {
                lines.push(InstanceNotice::FaultInterface(i))
            }
            FaultReason::NoSource(family) => lines.push(InstanceNotice::FaultNoAddress {
                v6: family == Family::V6,
            }),
            FaultReason::Tracker(t) => {
                let tracker = &self.config.trackers[t.index()];
                match (tracker.kind, tracker.state) {
                    (TrackerKind::Script, _) => lines.push(InstanceNotice::FaultScript(t)),
                    (TrackerKind::File, TrackerState::Value(v)) => {
                        let track = config
                            .tracks
                            .iter()
                            .find(|x| x.source == TrackSource::Tracker(t));
                        let status = track.map_or(v, |x| file_effect(v, x.weight, x.reverse));
                        lines.push(InstanceNotice::FaultFile(t, status));
                    }
                    (TrackerKind::Process, _) => lines.push(InstanceNotice::FaultProcess(t)),
                    (TrackerKind::File | TrackerKind::Bfd, _) => {}
                }
            }
            FaultReason::DuplicateVrid | FaultReason::ConfigError => {}
        });
        for line in lines {
            self.say_of(id, line);
        }
    }

    /// What unchanged instances keep over a reload: state, counters, objects; the difference is set or removed.
    fn take_over(&mut self, now: Instant, before: &mut Before) {
        for o in 0..before.live.len() {
            let Some(id) = before.successor[o] else {
                continue;
            };
            let old = &mut before.live[o];
            let live = &mut self.live[id.index()];
            live.stats = old.stats;
            live.ip_id = old.ip_id;
            live.notified = old.notified;
            live.last_transition = old.last_transition;
            live.last_advert = old.last_advert;
            live.master = old.master;
            live.master_priority = old.master_priority;
            live.holding = old.holding;
            live.old_checksum |= old.old_checksum;
            if old.state != State::Fault && live.state != State::Fault && !live.pending {
                live.state = old.state;
                live.wanted = old.state;
            }
        }
        // A group whose members all are MASTER is MASTER.
        for g in self.group_ids() {
            let members = &self.config.groups[g.index()].members;
            let all = members
                .iter()
                .all(|m| self.live[m.index()].state == State::Master);
            if all && !members.is_empty() && !self.group_held_down(g) {
                self.groups[g.index()].state = State::Master;
            }
        }
        for o in 0..before.live.len() {
            let Some(id) = before.successor[o] else {
                continue;
            };
            self.take_over_objects(now, id, &before.config.instances[o], &before.live[o]);
        }
    }

    fn take_over_objects(
        &mut self,
        now: Instant,
        id: InstanceId,
        old_config: &Instance,
        old: &Live,
    ) {
        let i = id.index();
        // Rules, routes, addresses: the reverse of the order in which they are set.
        let had: Vec<Object> = flags_of(old_config, old)
            .filter(|(_, set)| *set)
            .map(|(o, _)| o)
            .collect();
        let has: Vec<Object> = flags_of(&self.config.instances[i], &self.live[i])
            .map(|(o, _)| o)
            .collect();
        let kind = |o: &Object| match o {
            Object::Rule(_) => 0,
            Object::Route(_) => 1,
            Object::Address(_) => 2,
        };
        let mut gone: Vec<Object> = had.iter().copied().filter(|o| !has.contains(o)).collect();
        gone.sort_by_key(kind);
        for object in gone {
            self.queue.push_back(Output::Remove {
                object,
                leftover: false,
            });
        }
        let config = &self.config.instances[i];
        let live = &mut self.live[i];
        let addresses = config
            .addresses
            .iter()
            .chain(&config.excluded)
            .map(|a| Object::Address(a.object));
        for (o, set) in addresses.zip(&mut live.addresses_set) {
            *set = had.contains(&o);
        }
        for (r, set) in config.routes.iter().zip(&mut live.routes_set) {
            *set = had.contains(&Object::Route(r.object));
        }
        for (r, set) in config.rules.iter().zip(&mut live.rules_set) {
            *set = had.contains(&Object::Rule(r.object));
        }
        let firewall = |c: &Instance| c.priority != 255 && !c.accept;
        if old.holding && firewall(old_config) && !firewall(config) {
            self.queue.push_back(Output::FirewallRemove(id));
        }
        if !old.holding {
            return;
        }
        let added = self.set_objects(id, true);
        if self.live[i].state != State::Master {
            return;
        }
        self.live[i].reload_master = true;
        let garp = self.config.instances[i].garp;
        let extra = if added { garp.delay } else { Duration::ZERO };
        if added || !garp.refresh.is_zero() {
            self.burst(now, id, garp.repeat);
            if added && !garp.delay.is_zero() {
                self.timers.add(Timer::SecondBurst(id), now + garp.delay);
            }
        }
        if !garp.refresh.is_zero() {
            self.timers
                .set(Timer::Refresh(id), now + extra + garp.refresh);
        }
        if !garp.extra_interval.is_zero() {
            self.timers
                .set(Timer::Extra(id), now + extra + garp.extra_interval);
        }
    }

    /// RFC 9568 section 6.4.1: where each instance begins.
    fn initial_states(&mut self, now: Instant, before: Option<&Before>) {
        let fifo = before.is_some() && self.config.global.fifo_states_on_reload;
        for g in self.group_ids() {
            let state = self.groups[g.index()].state;
            let same = before.is_some_and(|b| group_state(b, &self.config, g) == Some(state));
            if matches!(state, State::Fault | State::Backup) && !same {
                self.notify_group(g);
            } else if fifo {
                let state = state.notify();
                self.queue
                    .push_back(Output::Notify(Notify::GroupFifo { id: g, state }));
            }
        }
        for id in self.ids() {
            self.initial_state(now, id, before.is_some(), fifo);
        }
        for id in self.ids() {
            self.arm(now, id);
            self.live[id.index()].reload_master = false;
        }
    }

    fn initial_state(&mut self, now: Instant, id: InstanceId, reload: bool, fifo: bool) {
        let i = id.index();
        let config = &self.config.instances[i];
        let live = &mut self.live[i];
        let begin = live.state;
        if begin == State::Fault {
            live.wanted = State::Fault;
        }
        let group = config.group.map(|g| self.groups[g.index()].state);
        let target = group.unwrap_or(live.wanted);
        let waiting = live.pending
            || config.group.is_some_and(|g| {
                self.config.groups[g.index()]
                    .members
                    .iter()
                    .any(|m| *m != id && self.live[m.index()].pending)
            });
        let live = &mut self.live[i];
        let may_master = config.priority == 255 || live.reload_master;
        if !live.faulty
            && target == State::Master
            && live.wanted == State::Master
            && may_master
            && !waiting
        {
            if !live.reload_master {
                live.state = State::Backup;
                live.down_time = Duration::from_micros(1);
            }
            return;
        }
        // `state MASTER` without being owner changes nothing: a whole master-down time passes (observed with 2.3.3).
        live.down_time = live.master_down(config);
        self.drop_leftovers(now, id, reload);
        let live = &mut self.live[i];
        let up = !live.faulty && target != State::Fault && !waiting;
        let state = if up { State::Backup } else { State::Fault };
        live.state = state;
        if begin != state {
            live.last_transition = Some(now);
            // Waiting for scripts looks like FAULT, but is none to tell anybody about.
            if up || self.live[i].faulty {
                self.say_of(id, InstanceNotice::EnteringInit(state.notify()));
                self.notify(id, state.notify());
            }
        } else if fifo {
            let priority = self.live[i].effective;
            let state = state.notify();
            self.queue.push_back(Output::Notify(Notify::InstanceFifo {
                id,
                state,
                priority,
            }));
        }
    }

    /// The reference removes leftovers a second time here. At the first start the kernel has just been asked; only the log repeats.
    fn drop_leftovers(&mut self, now: Instant, id: InstanceId, ask_kernel: bool) {
        let start = self.queue.len();
        self.let_go(now, id, false, true);
        if !ask_kernel {
            let mut index = 0;
            self.queue.retain(|o| {
                index += 1;
                index <= start || matches!(o, Output::Notice(_))
            });
        }
    }

    /// SIGTERM: masters say good-bye and let go, everybody is told, and that was it.
    pub(crate) fn shutdown(&mut self, now: Instant) {
        if !self.config.global.keep_on_exit {
            for id in self.ids() {
                if self.live[id.index()].state == State::Master {
                    self.let_go(now, id, true, false);
                }
            }
        }
        for id in self.ids() {
            self.live[id.index()].state = State::Stop;
            self.notify(id, NotifyState::Stop);
        }
        for g in self.group_ids() {
            self.groups[g.index()].state = State::Stop;
            self.notify_group(g);
        }
        self.queue.push_back(Output::Done);
        self.stop();
    }
}

/// The state of the group of the same name before the reload.
fn group_state(before: &Before, config: &Config, id: GroupId) -> Option<State> {
    let name = &config.groups[id.index()].name;
    let old = before.config.groups.iter().position(|g| g.name == *name)?;
    before.groups.get(old).map(|g| g.state)
}

/// The instance of the new configuration that is `old`: VRID, family, interface and way of sending agree; the name may differ.
fn same_instance(old: &Instance, old_config: &Config, new_config: &Config) -> Option<InstanceId> {
    let name = |config: &'_ Config, i: &Instance| {
        i.configured_interface
            .map(|x| config.interfaces[x.index()].name.clone())
    };
    let old_name = name(old_config, old);
    for (n, new) in new_config.instances.iter().enumerate() {
        if new.vrid != old.vrid || new.family != old.family || name(new_config, new) != old_name {
            continue;
        }
        let same = match (&old.destination, &new.destination) {
            (Destination::Multicast(a), Destination::Multicast(b)) => {
                let vmac = |i: &Instance| i.interface != i.configured_interface;
                a == b && vmac(old) == vmac(new)
            }
            (Destination::Unicast(_), Destination::Unicast(_)) => {
                source_by_facts(old, old_config) == source_by_facts(new, new_config)
            }
            _ => false,
        };
        if same {
            return u16::try_from(n).ok().map(InstanceId);
        }
    }
    None
}
