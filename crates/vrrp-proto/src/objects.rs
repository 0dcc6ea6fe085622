//! Addresses, routes, rules and firewall entries of an instance: set, let go of, lost, refused.

use net_types::Instant;

use crate::config::{InstanceId, Object};
use crate::notice::{InstanceNotice, Notice, Part};
use crate::output::Output;
use crate::router::Router;
use crate::status::State;
use crate::timers::Timer;

impl Router {
    /// Sets firewall entries, addresses, routes and rules that are not set; `routes_again` also sets routes that should be.
    /// Tells whether an address was added.
    pub(crate) fn set_objects(&mut self, id: InstanceId, routes_again: bool) -> bool {
        let i = id.index();
        if self.needs_firewall(id) {
            self.setting(id, true, Part::Firewall);
            self.queue.push_back(Output::FirewallAdd(id));
        }
        let vips = self.config.instances[i].addresses.len();
        let mut added = false;
        for (part, from, to) in [
            (Part::Addresses, 0, vips),
            (Part::Excluded, vips, self.address_count(id)),
        ] {
            if from == to {
                continue;
            }
            self.setting(id, true, part);
            for position in from..to {
                let Some(a) = self.address(id, position) else {
                    continue;
                };
                if !self.live[i].addresses_set[position] {
                    self.live[i].addresses_set[position] = true;
                    added = true;
                    self.queue.push_back(Output::Add(Object::Address(a.object)));
                }
            }
        }
        self.live[i].holding = true;
        if !self.config.instances[i].routes.is_empty() {
            self.setting(id, true, Part::Routes);
            for (route, set) in self.config.instances[i]
                .routes
                .iter()
                .zip(&mut self.live[i].routes_set)
            {
                if !*set || routes_again {
                    *set = true;
                    self.queue
                        .push_back(Output::Add(Object::Route(route.object)));
                }
            }
        }
        if !self.config.instances[i].rules.is_empty() {
            self.setting(id, true, Part::Rules);
            for (rule, set) in self.config.instances[i]
                .rules
                .iter()
                .zip(&mut self.live[i].rules_set)
            {
                if !*set {
                    *set = true;
                    self.queue.push_back(Output::Add(Object::Rule(rule.object)));
                }
            }
        }
        added
    }

    /// Lets go of rules, routes, queued ARP/NA, addresses and firewall entries. `advert`: with a priority 0 advert before.
    /// `leftover`: also what this run did not set.
    pub(crate) fn let_go(&mut self, now: Instant, id: InstanceId, advert: bool, leftover: bool) {
        let i = id.index();
        if advert {
            self.transmit(now, id, Some(()));
            let stats = &mut self.live[i].stats;
            stats.pri_zero_sent = stats.pri_zero_sent.wrapping_add(1);
            self.say_of(id, InstanceNotice::SentZero);
        }
        if !self.config.instances[i].rules.is_empty() {
            self.setting(id, false, Part::Rules);
            for (rule, set) in self.config.instances[i]
                .rules
                .iter()
                .zip(&mut self.live[i].rules_set)
            {
                if core::mem::take(set) || leftover {
                    self.queue.push_back(Output::Remove {
                        object: Object::Rule(rule.object),
                        leftover,
                    });
                }
            }
        }
        if !self.config.instances[i].routes.is_empty() {
            self.setting(id, false, Part::Routes);
            for (route, set) in self.config.instances[i]
                .routes
                .iter()
                .zip(&mut self.live[i].routes_set)
            {
                if core::mem::take(set) || leftover {
                    self.queue.push_back(Output::Remove {
                        object: Object::Route(route.object),
                        leftover,
                    });
                }
            }
        }
        self.forget_announcements(id);
        self.timers.clear(Timer::Refresh(id));
        self.timers.clear(Timer::Extra(id));

        let global = &self.config.global;
        let all = leftover || global.keep_on_exit;
        if !(leftover || self.live[i].holding || global.release_vips || global.keep_on_exit) {
            return;
        }
        let vips = self.config.instances[i].addresses.len();
        for (part, from, to) in [
            (Part::Addresses, 0, vips),
            (Part::Excluded, vips, self.address_count(id)),
        ] {
            if from == to {
                continue;
            }
            self.setting(id, false, part);
            for position in from..to {
                let Some(a) = self.address(id, position) else {
                    continue;
                };
                if core::mem::take(&mut self.live[i].addresses_set[position]) || all {
                    self.queue.push_back(Output::Remove {
                        object: Object::Address(a.object),
                        leftover,
                    });
                }
            }
        }
        if self.needs_firewall(id) {
            self.setting(id, false, Part::Firewall);
            self.queue.push_back(Output::FirewallRemove(id));
        }
        self.live[i].holding = false;
    }

    pub(crate) fn needs_firewall(&self, id: InstanceId) -> bool {
        let config = &self.config.instances[id.index()];
        config.priority != 255 && !config.accept
    }

    pub(crate) fn setting(&mut self, id: InstanceId, add: bool, part: Part) {
        self.say_of(id, InstanceNotice::Setting { add, part });
    }

    /// Somebody removed an address, route or rule of ours: let everything go, and take it again after the skew time.
    pub(crate) fn object_removed(&mut self, now: Instant, object: Object) {
        for id in self.ids() {
            let i = id.index();
            let config = &self.config.instances[i];
            let live = &mut self.live[i];
            if live.state != State::Master {
                continue;
            }
            let mut tracked = false;
            let mut place = None;
            match object {
                Object::Address(n) => {
                    let all = config.addresses.iter().chain(&config.excluded);
                    for (a, set) in all
                        .zip(&mut live.addresses_set)
                        .filter(|(a, _)| a.object == n)
                    {
                        tracked |= *set && !a.no_track;
                        *set = false;
                        place = Some((a.interface, a.address));
                    }
                }
                Object::Route(n) => {
                    for (r, set) in config
                        .routes
                        .iter()
                        .zip(&mut live.routes_set)
                        .filter(|(r, _)| r.object == n)
                    {
                        tracked |= *set && !r.no_track;
                        *set = false;
                    }
                }
                Object::Rule(n) => {
                    for (r, set) in config
                        .rules
                        .iter()
                        .zip(&mut live.rules_set)
                        .filter(|(r, _)| r.object == n)
                    {
                        tracked |= *set && !r.no_track;
                        *set = false;
                    }
                }
            }
            if !tracked {
                continue;
            }
            if let Some((interface, address)) = place {
                self.say(Notice::AddressRemoved(interface, address));
            }
            self.back_off(now, id);
        }
    }

    /// MASTER to BACKUP with priority 0, the group's members too, and back after the skew time.
    pub(crate) fn back_off(&mut self, now: Instant, id: InstanceId) {
        let mut left = alloc::vec![id];
        if let Some(g) = self.config.instances[id.index()].group {
            left.extend(
                self.config.groups[g.index()]
                    .members
                    .iter()
                    .copied()
                    .filter(|m| *m != id),
            );
        }
        for id in left {
            let i = id.index();
            if self.live[i].state != State::Master {
                continue;
            }
            self.live[i].wanted = State::Backup;
            self.leave_master(now, id, true);
            self.live[i].down_time = self.live[i].skew(&self.config.instances[i]);
            self.arm(now, id);
        }
        if let Some(g) = self.config.instances[id.index()].group {
            self.groups[g.index()].state = State::Backup;
        }
    }

    /// The kernel would not take an object: it is not set.
    pub(crate) fn object_refused(&mut self, object: Object) {
        for (config, live) in self.config.instances.iter().zip(&mut self.live) {
            match object {
                Object::Address(n) => {
                    let all = config.addresses.iter().chain(&config.excluded);
                    for (_, set) in all
                        .zip(&mut live.addresses_set)
                        .filter(|(a, _)| a.object == n)
                    {
                        *set = false;
                    }
                }
                Object::Route(n) => {
                    for (_, set) in config
                        .routes
                        .iter()
                        .zip(&mut live.routes_set)
                        .filter(|(r, _)| r.object == n)
                    {
                        *set = false;
                    }
                }
                Object::Rule(n) => {
                    for (_, set) in config
                        .rules
                        .iter()
                        .zip(&mut live.rules_set)
                        .filter(|(r, _)| r.object == n)
                    {
                        *set = false;
                    }
                }
            }
        }
    }
}
