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

use core::net::{IpAddr, Ipv4Addr};

use net_types::Instant;

use crate::config::{InstanceId, Version};
use crate::instance::Rogue;
use crate::notice::{InstanceNotice, Notice};
use crate::output::{ConnectionSync, Output, SyncRole};
use crate::reasons::MasterReason;
use crate::router::{Router, next_period};
use crate::status::State;
use crate::timers::Timer;

impl Router {
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
                let next = next_period(at, interval, now);
                let next = self.timers.with_room(next, interval);
                self.timers.set(Timer::Advert(id), next);
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
        self.rise(now, id);
    }

    /// Becomes MASTER; the group has been asked.
    pub(crate) fn rise(&mut self, now: Instant, id: InstanceId) {
        let live = &mut self.live[id.index()];
        live.logged = 0;
        live.ah.become_master();
        live.reasons.master = live.reasons.next;
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
        self.connection_sync(id, ConnectionSync::Become(SyncRole::Master));
        self.live[i].last_transition = Some(now);
    }

    /// From MASTER to what is wanted (BACKUP or FAULT). `advert`: with priority 0.
    pub(crate) fn leave_master(&mut self, now: Instant, id: InstanceId, advert: bool) {
        let i = id.index();
        if self.live[i].holding {
            self.connection_sync(id, ConnectionSync::Become(SyncRole::Backup));
        }
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

    /// Tells what the synchronisation daemon has to do, if it follows this instance.
    pub(crate) fn connection_sync(&mut self, id: InstanceId, what: ConnectionSync) {
        if self.config.instances[id.index()].leads_connection_sync {
            self.queue.push_back(Output::ConnectionSync(what));
        }
    }

    /// From INIT, BACKUP or FAULT to what is wanted.
    pub(crate) fn leave_fault(&mut self, now: Instant, id: InstanceId) {
        let i = id.index();
        let wanted = self.live[i].wanted;
        self.live[i].reasons.next = if wanted == State::Master {
            MasterReason::Preempted
        } else {
            MasterReason::NoResponse
        };
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

    /// `timer_expired_backup`: a master that slept so long that another router may have taken over steps back first.
    pub(crate) fn check_lateness(&mut self, now: Instant) {
        if !self.minds_lateness {
            return;
        }
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
