//! Going on with another configuration: what is the same keeps its state, its deadlines and its objects; the rest is the
//! difference (keepalived-behaviour.md section 10).
//!
//! ```text
//! in both, new    ─▶ another priority
//! old only        ─▶ let go with priority 0, notify DELETED or FAULT
//!                 ─▶ Reconfigured: from here on ids are those of the new configuration
//! in both         ─▶ remove what is gone, replace routes of the same key, add what is new, announce
//! new only        ─▶ begins as at the start
//! ```

use alloc::vec::Vec;

use net_types::{Duration, Instant, SortedSet};

use crate::config::{
    Config, Destination, GroupId, IfId, Instance, InstanceId, Object, VirtualRoute,
};
use crate::facts::source_by_facts;
use crate::instance::Live;
use crate::notice::{InstanceNotice, Notice, Part};
use crate::output::{Notify, NotifyState, Output, Repriced};
use crate::router::{LiveGroup, LiveLink, Router, drop_dangling, flags_of};
use crate::status::State;
use crate::table::Table;
use crate::timers::{Timer, Timers};

/// What a reload keeps of the configuration before.
pub(crate) struct Before {
    pub(crate) config: Config,
    pub(crate) live: Table<Live>,
    groups: Vec<LiveGroup>,
    links: Vec<LiveLink>,
    timers: Timers,
    /// For each old instance the new one that is the same.
    successor: Vec<Option<InstanceId>>,
}

impl Before {
    /// The old instance that is the same as `id`.
    pub(crate) fn predecessor(&self, id: InstanceId) -> Option<usize> {
        self.successor.iter().position(|s| *s == Some(id))
    }

    /// The state of the group of the same name.
    pub(crate) fn group_state(&self, config: &Config, id: GroupId) -> Option<State> {
        let name = &config.groups[id.index()].name;
        let old = self.config.groups.iter().position(|g| g.name == *name)?;
        self.groups.get(old).map(|g| g.state)
    }
}

impl Router {
    /// SIGHUP: go on with `config`; instances that are the same keep their state.
    pub(crate) fn reconfigure(&mut self, now: Instant, mut config: Config) {
        drop_dangling(&mut config);
        self.retire_names();
        let successor = successors(&self.config, &config);
        let beginning = self.queue.len();

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

        let mut before = Before {
            config: core::mem::replace(&mut self.config, config),
            live: core::mem::take(&mut self.live),
            groups: core::mem::take(&mut self.groups),
            links: core::mem::take(&mut self.links),
            timers: core::mem::take(&mut self.timers),
            successor,
        };
        self.unbound.clear();
        self.build_live();
        self.take_over_links(&before);
        self.adjust_startup_delay(now, before.config.global.startup_delay);
        self.initial_facts(now, Some(&before));
        self.priorities_first(beginning);
        self.open_announcers();
        self.take_over(now, &mut before);
        self.initial_states(now, Some(&before));
        self.take_over_deadlines(&before);
        self.started = true;
    }

    /// The original looks at the trackers of the new configuration before it lets go what is not in it: readers of the FIFO see
    /// that order.
    fn priorities_first(&mut self, beginning: usize) {
        let mut rest = self.queue.split_off(beginning).into_iter().peekable();
        let (mut others, mut reconfigured) = (Vec::new(), false);
        while let Some(output) = rest.next() {
            reconfigured |= output == Output::Reconfigured;
            let changed = match output {
                Output::Notice(Notice::Instance(id, InstanceNotice::Priority(old, new))) => {
                    Some((id, old, new)).filter(|_| reconfigured)
                }
                _ => None,
            };
            let Some((id, old, new)) = changed else {
                others.push(output);
                continue;
            };
            let notified = |o: &Output| match o {
                Output::Notify(Notify::Priority { id: i, master, .. }) if *i == id => Some(*master),
                _ => None,
            };
            let master = rest.peek().and_then(notified);
            if master.is_some() {
                rest.next();
            }
            self.queue.push_back(Output::Repriced(Repriced {
                name: self.config.instances[id.index()].name.clone(),
                old,
                new,
                master: master.unwrap_or(false),
                tell: master.is_some(),
            }));
        }
        self.queue.extend(others);
    }

    fn adjust_startup_delay(&mut self, now: Instant, old: Duration) {
        let Some(until) = self.startup_until else {
            return;
        };
        let global = &self.config.global;
        let until = if global.startup_delay_after_boot {
            now + global.startup_delay
        } else {
            (until - old) + global.startup_delay
        };
        if until <= now {
            self.startup_until = None;
            self.say(Notice::StartupDelayReduced);
        } else {
            self.startup_until = Some(until);
            self.timers.set(Timer::Startup, until);
            self.say(Notice::StartupDelayFurther(until.since(now)));
        }
    }

    /// A link whose change does not count yet goes on waiting.
    fn take_over_links(&mut self, before: &Before) {
        for (n, interface) in self.config.interfaces.iter().enumerate() {
            let same = |i: &crate::config::Interface| i.name == interface.name;
            let Some(o) = before.config.interfaces.iter().position(same) else {
                continue;
            };
            let ids = u16::try_from(n).ok().zip(u16::try_from(o).ok());
            let (Some((id, old_id)), Some(old)) = (ids, before.links.get(o)) else {
                continue;
            };
            let link = &mut self.links[n];
            link.seen_up |= old.seen_up;
            let delay = if link.up {
                interface.up_delay
            } else {
                interface.down_delay
            };
            let waiting = before.timers.get(Timer::Link(IfId(old_id)));
            if let Some(at) = waiting.filter(|_| link.up != old.up && !delay.is_zero()) {
                link.up = old.up;
                link.flags = old.flags;
                self.timers.set(Timer::Link(IfId(id)), at);
            }
        }
    }

    /// What unchanged instances keep over a reload: state, counters, objects; the difference is set or removed.
    fn take_over(&mut self, now: Instant, before: &mut Before) {
        let pairs: Vec<(usize, InstanceId)> = (0..before.live.len())
            .filter_map(|o| Some((o, before.successor[o]?)))
            .collect();
        for &(o, id) in &pairs {
            let old = &mut before.live[o];
            let config = &self.config.instances[id.index()];
            let live = &mut self.live[id.index()];
            live.stats = old.stats;
            live.reasons = old.reasons;
            live.ah = old.ah;
            if live.marks.is_some() && old.marks.is_some() {
                live.marks = old.marks.take();
                let destination = &self.config.instances[id.index()].destination;
                if let Some(marks) = &mut live.marks {
                    marks.keep_senders(destination);
                }
            }
            live.told = old.told;
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
            // The master's interval is the master's, whatever we would like ours to be.
            if live.state == State::Backup && config.version == before.config.instances[o].version {
                live.master_interval = match config.version {
                    crate::config::Version::V2 => config.advert_interval,
                    crate::config::Version::V3 => old.master_interval,
                };
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
        // What moves from one instance to another stays where it is.
        let mut kept = SortedSet::new();
        for &(o, id) in &pairs {
            if before.live[o].holding {
                let new = flags_of(&self.config.instances[id.index()], &self.live[id.index()]);
                kept.extend(new.map(|(object, _)| object));
            }
        }
        for &(o, id) in &pairs {
            self.take_over_objects(now, id, &before.config.instances[o], &before.live[o], &kept);
        }
    }

    fn take_over_objects(
        &mut self,
        now: Instant,
        id: InstanceId,
        old_config: &Instance,
        old: &Live,
        kept: &SortedSet<Object>,
    ) {
        let i = id.index();
        let had: SortedSet<Object> = flags_of(old_config, old)
            .filter(|(_, set)| *set)
            .map(|(o, _)| o)
            .collect();
        if !had.is_empty() {
            self.remove_difference(id, old_config, &had, kept);
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

    /// Removes what the instance had and no longer wants: rules, routes, addresses, the reverse of the order in which they are set.
    fn remove_difference(
        &mut self,
        id: InstanceId,
        old: &Instance,
        had: &SortedSet<Object>,
        kept: &SortedSet<Object>,
    ) {
        let new = &self.config.instances[id.index()];
        let has: SortedSet<Object> = flags_of(new, &self.live[id.index()])
            .map(|(o, _)| o)
            .collect();
        let queue = &mut self.queue;
        let mut say = |notice| queue.push_back(Output::Notice(Notice::Instance(id, notice)));
        let mut outputs = Vec::new();

        let blocks = [
            (old.rules.is_empty(), new.rules.is_empty(), Part::Rules),
            (old.routes.is_empty(), new.routes.is_empty(), Part::Routes),
        ];
        let emptied = |part: Part| {
            blocks
                .iter()
                .any(|(before, after, p)| *p == part && !before && *after)
        };
        let rules = old.rules.iter().map(|r| Object::Rule(r.object));
        if emptied(Part::Rules) {
            say(InstanceNotice::BlockGone(Part::Rules));
        }
        for object in rules.filter(|o| had.contains(o) && !has.contains(o)) {
            if !emptied(Part::Rules) {
                say(InstanceNotice::Gone(object));
            }
            outputs.push(Output::Remove {
                object,
                leftover: false,
            });
        }
        if emptied(Part::Routes) {
            say(InstanceNotice::BlockGone(Part::Routes));
        }
        let fresh = |r: &&VirtualRoute| !had.contains(&Object::Route(r.object));
        for route in &old.routes {
            let object = Object::Route(route.object);
            if !had.contains(&object) || has.contains(&object) {
                continue;
            }
            let same_key = |r: &&VirtualRoute| r.key == route.key;
            if let Some(heir) = new.routes.iter().filter(fresh).find(same_key) {
                outputs.push(Output::Replace {
                    old: object,
                    new: Object::Route(heir.object),
                });
                continue;
            }
            if !emptied(Part::Routes) {
                say(InstanceNotice::Gone(object));
            }
            outputs.push(Output::Remove {
                object,
                leftover: false,
            });
        }
        let addresses = old.addresses.iter().chain(&old.excluded);
        for object in addresses.map(|a| Object::Address(a.object)) {
            if had.contains(&object) && !has.contains(&object) {
                say(InstanceNotice::Gone(object));
                outputs.push(Output::Remove {
                    object,
                    leftover: false,
                });
            }
        }
        outputs.retain(|o| !matches!(o, Output::Remove { object, .. } if kept.contains(object)));
        self.queue.extend(outputs);
    }

    /// A backup that is as it was goes on waiting for the master from the master's last advert on; announcements that were
    /// due later still are.
    fn take_over_deadlines(&mut self, before: &Before) {
        for (o, successor) in before.successor.iter().enumerate() {
            let (Some(id), Some(old_id)) = (*successor, u16::try_from(o).ok().map(InstanceId))
            else {
                continue;
            };
            let (was, is) = (
                &before.config.instances[o],
                &self.config.instances[id.index()],
            );
            let (old, live) = (&before.live[o], &mut self.live[id.index()]);
            if old.state != live.state {
                continue;
            }
            match live.state {
                State::Backup => {
                    let times = |c: &Instance| (c.version, c.advert_interval, c.down_timer_adverts);
                    let same = times(was) == times(is)
                        && old.effective == live.effective
                        && before.config.global.startup_delay == self.config.global.startup_delay;
                    let deadline = before.timers.get(Timer::Advert(old_id));
                    if let Some(at) = deadline.filter(|_| same) {
                        live.down_time = old.down_time;
                        self.timers.set(Timer::Advert(id), at);
                    }
                    if was.preempt_delay == is.preempt_delay {
                        live.preempt_at = old.preempt_at;
                    }
                }
                State::Master => live.lower_bursts = old.lower_bursts,
                State::Init | State::Fault | State::Stop => {}
            }
        }
        for (at, timer) in before.timers.iter() {
            let still_master = |old: InstanceId| {
                let id = before.successor.get(old.index()).copied().flatten()?;
                (self.live[id.index()].state == State::Master).then_some(id)
            };
            match timer {
                Timer::SecondBurst(old) => {
                    if let Some(id) = still_master(old) {
                        self.timers.add(Timer::SecondBurst(id), at);
                    }
                }
                Timer::LowerBurst(old) => {
                    if let Some(id) = still_master(old) {
                        self.timers.add(Timer::LowerBurst(id), at);
                    }
                }
                _ => {}
            }
        }
    }
}

/// For each old instance the new one that is the same: VRID, family, interface and way of sending agree; the name may differ.
fn successors(old: &Config, new: &Config) -> Vec<Option<InstanceId>> {
    let mut found: Vec<Option<InstanceId>> = Vec::with_capacity(old.instances.len());
    for instance in &old.instances {
        let same = same_instance(instance, old, new, &found);
        found.push(same);
    }
    found
}

fn same_instance(
    old: &Instance,
    old_config: &Config,
    new_config: &Config,
    taken: &[Option<InstanceId>],
) -> Option<InstanceId> {
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
        let id = u16::try_from(n).ok().map(InstanceId);
        // Two instances cannot become one.
        if same && !taken.contains(&id) {
            return id;
        }
    }
    None
}
