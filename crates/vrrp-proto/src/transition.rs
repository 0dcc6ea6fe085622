//! Becoming and leaving MASTER, with everything it takes in the order the reference does it
//! (keepalived-behaviour.md section 4.4: advert, log, firewall, addresses, routes, rules, ARP/NA, notify).
//!
//! ```text
//!            facts fine, nobody heard                 timer
//!   INIT ────────────────▶ BACKUP ───────────────────────────▶ MASTER
//!     │                     │  ▲  ◀── higher advert, VIP lost ── │
//!     │ fault         fault │  │ last fault gone           fault │
//!     └────────▶ FAULT ◀────┘──┘ ◀──────────────────────────────┘
//! ```

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

use net_types::{Family, Instant};

use crate::config::{Auth, Destination, InstanceId, Object, OldChecksum, Version};
use crate::instance::Rogue;
use crate::notice::{InstanceNotice, Notice, Part};
use crate::output::{Output, Transmit};
use crate::router::{Router, next_period};
use crate::status::State;
use crate::timers::Timer;
use crate::wire::{self, Header, Ipv4, Seal};

impl Router {
    /// Sends an advert to the group or to every peer; `zero` gives up.
    pub(crate) fn transmit(&mut self, now: Instant, id: InstanceId, zero: Option<()>) {
        let i = id.index();
        let config = &self.config.instances[i];
        if config
            .transmit_interface
            .is_some_and(|x| self.config.interfaces[x.index()].link.index.is_none())
        {
            return;
        }
        let live = &mut self.live[i];
        let Some(source) = live.source else { return };
        let priority = if zero.is_some() { 0 } else { live.effective };
        let word = match config.version {
            Version::V2 => [
                config.auth.number(),
                u8::try_from(config.advert_interval.as_secs()).unwrap_or(u8::MAX),
            ],
            Version::V3 => {
                let centis = config.advert_interval.as_micros() / 10_000;
                u16::try_from(centis.min(0x0fff))
                    .unwrap_or(0x0fff)
                    .to_be_bytes()
            }
        };
        let header = Header {
            version: config.version.number(),
            kind: wire::TYPE_ADVERTISEMENT,
            vrid: config.vrid.get(),
            priority,
            count: 0,
            word,
            checksum: 0,
        };
        let auth = match (config.version, config.family, &config.auth) {
            (Version::V2, Family::V4, Auth::Pass(data)) => Some(*data),
            (Version::V2, Family::V4, Auth::None) => Some([0; wire::AUTH_LEN]),
            (Version::V2, Family::V6, _) | (Version::V3, _, _) => None,
        };
        let ip_id = live.next_ip_id();
        live.last_advert = Some(now);
        live.stats.advert_sent = live.stats.advert_sent.wrapping_add(1);
        let old_checksum = live.old_checksum && config.old_checksum != OldChecksum::Never;

        let (one, peers) = match &config.destination {
            Destination::Multicast(group) => (Some(*group), &[][..]),
            Destination::Unicast(peers) => (None, &peers[..]),
        };
        let multicast = one.is_some();
        for destination in one.into_iter().chain(peers.iter().map(|p| p.address)) {
            let mut bytes = Vec::new();
            let seal = match (source, destination) {
                (IpAddr::V4(source), IpAddr::V4(destination)) => {
                    let addresses = config.addresses.len().min(255);
                    let length = wire::IPV4_LEN
                        + wire::HEADER_LEN
                        + addresses * 4
                        + auth.map_or(0, |a| a.len());
                    bytes.reserve_exact(length);
                    Ipv4 {
                        header_len: wire::IPV4_LEN,
                        total_len: u16::try_from(length).unwrap_or(u16::MAX),
                        id: ip_id,
                        ttl: config.ttl,
                        protocol: wire::PROTO_VRRP,
                        source,
                        destination,
                    }
                    .encode(&mut bytes);
                    let destination = if old_checksum {
                        self.config.global.mcast_group4
                    } else {
                        destination
                    };
                    match config.version {
                        Version::V3 if !config.checksum_v3_as_v2 => Seal::Pseudo {
                            source,
                            destination,
                        },
                        Version::V2 | Version::V3 => Seal::Plain,
                    }
                }
                _ => {
                    bytes.reserve_exact(wire::HEADER_LEN + config.addresses.len().min(255) * 16);
                    Seal::Kernel
                }
            };
            wire::encode(
                &header,
                config.addresses.iter().map(|a| a.address),
                auth,
                seal,
                &mut bytes,
            );
            self.queue.push_back(Output::Transmit(Transmit {
                instance: id,
                bytes,
                source: source.is_ipv6().then_some(source),
                destination,
                hop_limit: config.ttl,
                multicast,
                priority,
            }));
        }
    }

    /// Gives the instance the deadline that fits its state.
    pub(crate) fn arm(&mut self, now: Instant, id: InstanceId) {
        let live = &self.live[id.index()];
        let timer = Timer::Advert(id);
        match live.state {
            State::Master if live.reload_master => self.timers.set(timer, now),
            State::Master => {
                let interval = self.config.instances[id.index()].advert_interval;
                self.timers.set(timer, now + interval);
            }
            State::Backup => {
                let from = self.startup_until.unwrap_or(now);
                self.timers.set(timer, from + live.down_time);
            }
            State::Init | State::Fault | State::Stop => self.timers.clear(timer),
        }
    }

    /// The advert timer of an instance ran out at `at`.
    pub(crate) fn advert_due(&mut self, now: Instant, at: Instant, id: InstanceId) {
        match self.live[id.index()].state {
            State::Backup => {
                self.say_of(id, InstanceNotice::AdvertTimeout);
                self.live[id.index()].wanted = State::Master;
                self.goto_master(now, id);
                if self.live[id.index()].state == State::Master {
                    self.sync_master(now, id);
                }
            }
            State::Master => {
                // Armed before anything else, and from the last deadline: adverts keep their rhythm however late we are.
                let interval = self.config.instances[id.index()].advert_interval;
                self.timers
                    .set(Timer::Advert(id), next_period(at, interval, now));
                self.master_advert(now, id);
                self.sync_master(now, id);
            }
            State::Init | State::Fault | State::Stop => {}
        }
    }

    /// Becomes MASTER if the group allows; else waits another master-down time.
    pub(crate) fn goto_master(&mut self, now: Instant, id: InstanceId) {
        if !self.group_allows_master(id) {
            let down = self.live[id.index()].master_down(&self.config.instances[id.index()]);
            let live = &mut self.live[id.index()];
            live.wanted = State::Master;
            live.down_time = down;
            self.arm(now, id);
            return;
        }
        let live = &mut self.live[id.index()];
        live.logged = 0;
        live.state = State::Master;
        self.arm(now, id);
        self.master_advert(now, id);
    }

    /// The advert of a master; the first one comes before everything else, so that the old master lets go.
    fn master_advert(&mut self, now: Instant, id: InstanceId) {
        self.transmit(now, id, None);
        if !self.live[id.index()].holding {
            self.say_of(id, InstanceNotice::Entering(State::Master.notify()));
            self.become_master(now, id);
            return;
        }
        let config = &self.config.instances[id.index()];
        let live = &mut self.live[id.index()];
        if let Rogue::Counting(n) = live.rogue {
            if n > 1 {
                live.rogue = Rogue::Counting(n - 1);
            } else {
                // "A bit more than" the longer of both intervals: 1.2 of it.
                let longer = live.rogue_interval.max(config.advert_interval).as_micros();
                let wait = net_types::Duration::from_micros(longer.saturating_mul(12) / 10);
                live.rogue = Rogue::Watching;
                self.timers.set(Timer::Rogue(id), now + wait);
            }
        }
    }

    fn become_master(&mut self, now: Instant, id: InstanceId) {
        let i = id.index();
        let live = &mut self.live[i];
        live.stats.become_master = live.stats.become_master.wrapping_add(1);
        if self.config.instances[i].priority == 255 && live.effective != 255 {
            live.effective = 255;
            live.total = 255;
            self.say_of(id, InstanceNotice::OwnerRestoredGone);
        }
        let own = self.config.instances[i].advert_interval;
        let theirs = self.live[i].master_interval;
        if theirs != own {
            if self.config.instances[i].version == Version::V3 {
                self.say_of(id, InstanceNotice::IntervalRestored(theirs, own));
            }
            // The reference forgets this without -D; then its next master-down time is the old master's.
            self.live[i].master_interval = own;
        }
        self.set_objects(id, false);

        let garp = self.config.instances[i].garp;
        self.burst(now, id, garp.repeat);
        if !garp.delay.is_zero() {
            self.timers.add(Timer::SecondBurst(id), now + garp.delay);
        }
        if !garp.refresh.is_zero() {
            self.timers
                .set(Timer::Refresh(id), now + garp.delay + garp.refresh);
        }
        if !garp.extra_interval.is_zero() {
            self.timers
                .set(Timer::Extra(id), now + garp.delay + garp.extra_interval);
        }
        self.notify(id, State::Master.notify());
        self.live[i].last_transition = Some(now);
    }

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

    fn needs_firewall(&self, id: InstanceId) -> bool {
        let config = &self.config.instances[id.index()];
        config.priority != 255 && !config.accept
    }

    fn setting(&mut self, id: InstanceId, add: bool, part: Part) {
        self.say_of(id, InstanceNotice::Setting { add, part });
    }

    /// From MASTER to what is wanted (BACKUP or FAULT). `advert`: with priority 0.
    pub(crate) fn leave_master(&mut self, now: Instant, id: InstanceId, advert: bool) {
        let i = id.index();
        self.live[i].logged = 0;
        let target = if self.live[i].wanted == State::Fault {
            State::Fault
        } else {
            State::Backup
        };
        self.say_of(id, InstanceNotice::Entering(target.notify()));
        if target == State::Backup {
            self.live[i].preempt_at = None;
        } else {
            self.transmit(now, id, Some(()));
        }
        self.let_go(now, id, advert, false);
        self.live[i].state = target;
        self.notify(id, target.notify());
        let down = self.live[i].master_down(&self.config.instances[i]);
        let live = &mut self.live[i];
        live.down_time = down;
        live.stats.release_master = live.stats.release_master.wrapping_add(1);
        live.last_transition = Some(now);
        live.rogue = Rogue::None;
        self.timers.clear(Timer::Rogue(id));
        self.arm(now, id);
    }

    /// From INIT, BACKUP or FAULT to what is wanted.
    pub(crate) fn leave_fault(&mut self, now: Instant, id: InstanceId) {
        let i = id.index();
        let wanted = self.live[i].wanted;
        if wanted == State::Master {
            self.goto_master(now, id);
        } else {
            if self.live[i].state != wanted {
                self.say_of(id, InstanceNotice::Entering(wanted.notify()));
            }
            self.live[i].state = wanted;
            self.notify(id, wanted.notify());
            if wanted == State::Backup {
                self.live[i].preempt_at = None;
            }
        }
        self.live[i].master_interval = self.config.instances[i].advert_interval;
        let down = self.live[i].master_down(&self.config.instances[i]);
        self.live[i].down_time = down;
        self.live[i].last_transition = Some(now);
        self.arm(now, id);
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
    fn back_off(&mut self, now: Instant, id: InstanceId) {
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

    /// `timer_expired_backup`: a master that slept so long that another router may have taken over steps back first.
    pub(crate) fn check_lateness(&mut self, now: Instant) {
        let Some(due) = self.timers.next() else {
            return;
        };
        let late = now.since(due);
        if late.is_zero() {
            return;
        }
        let mut said = false;
        for id in self.ids() {
            let config = &self.config.instances[id.index()];
            let live = &self.live[id.index()];
            let (Some(other), Some(sent), State::Master) =
                (config.timer_expired_backup, live.last_advert, live.state)
            else {
                continue;
            };
            let base = match config.version {
                Version::V2 => 1_000_000,
                Version::V3 => config.advert_interval.as_micros(),
            };
            let skew = (256 - u64::from(other)).saturating_mul(base) / 256;
            let limit =
                config.advert_interval.saturating_mul(3) + net_types::Duration::from_micros(skew);
            if sent + limit > now {
                continue;
            }
            if !said {
                said = true;
                self.say(Notice::TimerLate(late));
            }
            self.live[id.index()].wanted = State::Backup;
            self.leave_master(now, id, false);
        }
    }

    /// Our own address as the election compares it; an instance without one compares as 0.0.0.0.
    pub(crate) fn own_address(&self, id: InstanceId) -> IpAddr {
        self.live[id.index()]
            .source
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}
