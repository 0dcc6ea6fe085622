//! What an advert that has passed the checks means to a backup and to a master (RFC 9568 sections 6.4.2 and 6.4.3).

use core::cmp::Ordering;
use core::net::IpAddr;

use net_types::{Centis, Duration, Instant};

use super::Facts;
use crate::config::{Auth, InstanceId, Version};
use crate::instance::Rogue;
use crate::notice::InstanceNotice;
use crate::output::{Notify, Output};
use crate::reasons::MasterReason;
use crate::router::Router;
use crate::status::State;
use crate::timers::Timer;

impl Router {
    /// BACKUP (RFC 9568 section 6.4.2).
    pub(super) fn backup_hears(&mut self, now: Instant, id: InstanceId, facts: &Facts<'_>) {
        let i = id.index();
        let from = facts.source;
        let old_master = self.live[i].master;
        let master_change = old_master != Some(from);
        // With `auth_hmac`, only an advert that is accepted makes a new master to complain about: a forged one would switch
        // the lines on again each time. So does 2.4 for every instance, but 2.3.3 logs at once.
        let trusting = self.config.instances[i].hmac.is_none();
        if master_change {
            if trusting {
                self.live[i].logged = 0;
            }
            match old_master {
                None => self.say_of(id, InstanceNotice::MasterSet(from)),
                Some(old) => self.say_of(id, InstanceNotice::MasterChanged(old, from)),
            }
        }
        let check_addresses = master_change || !self.config.instances[i].skip_check_adv_addr;
        if !self.check(now, id, facts, check_addresses) {
            return;
        }
        if master_change && !trusting {
            self.live[i].logged = 0;
        }
        let config = &self.config.instances[i];
        let theirs = facts.view.header.priority;
        if config.priority == 255
            && self.live[i].effective == 254
            && (master_change || theirs != 255)
        {
            self.live[i].effective = 255;
            self.live[i].total = 255;
            self.say_of(id, InstanceNotice::OwnerRestoredLower);
        }
        let config = &self.config.instances[i];
        let live = &mut self.live[i];
        if theirs == 0 {
            live.reasons.next = MasterReason::Priority;
            live.down_time = live.skew(config);
            self.say_of(id, InstanceNotice::BackupZero);
            self.arm(now, id);
            return;
        }
        let delaying = !config.preempt_delay.is_zero() && live.preempt_at.is_none_or(|at| at > now);
        if !(config.nopreempt || theirs >= live.effective || delaying) {
            // Ours is higher and may preempt: the timer runs on.
            live.master = Some(from);
            live.reasons.next = MasterReason::Preempted;
            self.say_of(id, InstanceNotice::LowerDiscarded(theirs, from));
            return;
        }
        self.adopt_interval(id, facts);
        let config = &self.config.instances[i];
        let live = &mut self.live[i];
        live.down_time = live.master_down(config);
        live.reasons.next = MasterReason::NoResponse;
        live.master = Some(from);
        live.master_priority = theirs;
        live.wanted = State::Backup;
        if !config.preempt_delay.is_zero() {
            if theirs >= live.effective {
                if live.preempt_at.take().is_some() {
                    self.say_of(id, InstanceNotice::PreemptDelayStop);
                }
            } else if live.preempt_at.is_none() {
                let delay = config.preempt_delay;
                live.preempt_at = Some(now + delay);
                self.say_of(id, InstanceNotice::PreemptDelayStart(delay));
            }
        }
        self.arm(now, id);
    }

    /// Version 3: the master's interval decides (RFC 9568 section 6.4.2).
    fn adopt_interval(&mut self, id: InstanceId, facts: &Facts<'_>) {
        if self.config.instances[id.index()].version != Version::V3 {
            return;
        }
        let new = Centis(facts.view.header.centis()).duration();
        let live = &mut self.live[id.index()];
        if live.master_interval != new {
            let old = core::mem::replace(&mut live.master_interval, new);
            self.say_of(id, InstanceNotice::IntervalAdopted(old, new));
        }
    }

    /// MASTER (RFC 9568 section 6.4.3); true to leave it.
    pub(super) fn master_hears(&mut self, now: Instant, id: InstanceId, facts: &Facts<'_>) -> bool {
        let i = id.index();
        if !self.check(now, id, facts, true) {
            return false;
        }
        let from = facts.source;
        let theirs = facts.view.header.priority;
        let ours = self.live[i].effective;
        let address = compare(from, self.own_address(id));
        let stronger = theirs > ours || theirs == ours && address == Ordering::Greater;

        if theirs == 0 {
            self.transmit(now, id, None);
            self.arm(now, id);
            self.say_of(id, InstanceNotice::MasterZero);
            return false;
        }
        if stronger && self.config.instances[i].higher_prio_send_advert {
            self.transmit(now, id, None);
        }
        if theirs == ours {
            if address == Ordering::Equal {
                self.say_of(id, InstanceNotice::OwnAddressHeard);
                return false;
            }
            if ours == 255 {
                self.two_owners(id, facts, address);
            }
        }
        // Stepping down from 255 above makes the other one stronger.
        let ours = self.live[i].effective;
        if theirs < ours || theirs == ours && address == Ordering::Less {
            self.lower_heard(now, id, facts);
            return false;
        }
        if theirs > ours && self.config.instances[i].priority != 255 {
            self.say_of(id, InstanceNotice::HigherReceived { from, theirs, ours });
        } else {
            self.say_of(id, InstanceNotice::SameHigherAddress(from, theirs));
        }
        self.live[i].ah.cycled = false;
        self.adopt_interval(id, facts);
        let config = &self.config.instances[i];
        let live = &mut self.live[i];
        live.down_time = live.master_down(config);
        live.master = Some(from);
        live.master_priority = theirs;
        live.wanted = State::Backup;
        live.state = State::Backup;
        true
    }

    /// Two routers say they own the addresses. The lower address steps down; the higher one watches whether it does.
    fn two_owners(&mut self, id: InstanceId, facts: &Facts<'_>, address: Ordering) {
        let i = id.index();
        let from = facts.source;
        if address == Ordering::Greater {
            self.say_of(id, InstanceNotice::TwoOwners(from));
            return;
        }
        match self.live[i].rogue {
            Rogue::Watching => {
                self.timers.clear(Timer::Rogue(id));
                let live = &mut self.live[i];
                live.rogue = Rogue::None;
                live.effective = 254;
                live.total = 254;
                self.say_of(id, InstanceNotice::OwnerStillThere(from));
            }
            state => {
                self.live[i].rogue_interval = match self.config.instances[i].version {
                    Version::V2 => Duration::from_secs(u64::from(facts.view.header.seconds())),
                    Version::V3 => Centis(facts.view.header.centis()).duration(),
                };
                if state == Rogue::None {
                    self.live[i].rogue = Rogue::Counting(2);
                    self.say_of(id, InstanceNotice::TwoOwners(from));
                }
            }
        }
    }

    /// A weaker master shows itself: answer it, and tell the neighbours again where the addresses are.
    fn lower_heard(&mut self, now: Instant, id: InstanceId, facts: &Facts<'_>) {
        let i = id.index();
        let (from, theirs) = (facts.source, facts.view.header.priority);
        let ours = self.live[i].effective;
        let election = !self.config.instances[i].lower_prio_no_advert;
        self.say_of(
            id,
            InstanceNotice::LowerReceived {
                from,
                theirs,
                ours,
                election,
            },
        );
        if matches!(self.config.instances[i].auth, Auth::Ah(_)) {
            self.follow_ah(id, facts);
        }
        if election {
            self.transmit(now, id, None);
            self.arm(now, id);
        }
        self.lower_burst(now, id);
        // The weaker router drops all members of its group on our advert; we shall not hear theirs.
        if let Some(g) = self.group_of(id) {
            for k in 0..self.config.groups[g.index()].members.len() {
                let member = self.config.groups[g.index()].members[k];
                if member != id {
                    self.lower_burst(now, member);
                }
            }
        }
        let priority = self.live[i].effective;
        self.queue
            .push_back(Output::Notify(Notify::LowerPriority { id, priority }));
    }

    fn lower_burst(&mut self, now: Instant, id: InstanceId) {
        /// More bursts than this at once tell the neighbours nothing new.
        const MOST_WAITING: u8 = 16;
        let garp = self.config.instances[id.index()].garp;
        if garp.lower_prio_repeat == 0 {
            return;
        }
        self.burst(now, id, garp.lower_prio_repeat);
        let live = &mut self.live[id.index()];
        if !garp.lower_prio_delay.is_zero() && live.lower_bursts < MOST_WAITING {
            live.lower_bursts = live.lower_bursts.saturating_add(1);
            self.timers
                .add(Timer::LowerBurst(id), now + garp.lower_prio_delay);
        }
    }
}

/// Addresses compared as the numbers on the wire; of different families as equal, like the reference.
fn compare(a: IpAddr, b: IpAddr) -> Ordering {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets().cmp(&b.octets()),
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets().cmp(&b.octets()),
        _ => Ordering::Equal,
    }
}
