//! Start and shutdown of all instances (keepalived-behaviour.md sections 4.3 and 4.6); [`crate::reload`] uses the same steps.

use alloc::vec::Vec;

use net_types::{Duration, Family, Instant};

use crate::config::{InstanceId, TrackSource, TrackerKind, TrackerState, Wanted};
use crate::facts::file_effect;
use crate::notice::{InstanceNotice, Notice};
use crate::output::{ConnectionSync, Notify, NotifyState, Output, SyncRole};
use crate::reasons::MasterReason;
use crate::reload::Before;
use crate::router::Router;
use crate::status::{FaultReason, State};
use crate::timers::Timer;

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
        }
        self.initial_facts(now, None);
        self.open_announcers();
        for id in self.ids() {
            let there = match self.config.instances[id.index()].interface {
                Some(i) => {
                    let interface = &self.config.interfaces[i.index()];
                    interface.link.index.is_some() && !interface.fresh
                }
                None => true,
            };
            if there {
                self.let_go(now, id, false, true);
            }
        }
        self.initial_states(now, None);
        self.started = true;
    }

    pub(crate) fn open_announcers(&mut self) {
        let families = || self.config.instances.iter().map(|i| i.family);
        let arp = families().any(|f| f == Family::V4);
        let na = families().any(|f| f == Family::V6);
        self.queue.push_back(Output::OpenAnnouncers { arp, na });
    }

    /// Sources, priorities and faults by the facts of the configuration; faulty instances (and their groups) go to FAULT.
    pub(crate) fn initial_facts(&mut self, now: Instant, before: Option<&Before>) {
        self.started = false;
        for id in self.ids() {
            self.look_up_faults(id);
            self.say_faults(id);
            self.update_priority(now, id);
            if self.faulty_from_outside(id) {
                self.live[id.index()].state = State::Fault;
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
                if self.faulty_from_outside(*m) && state != State::Fault {
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

    /// Faulty, and not by its configuration alone: of that the original says nothing more than what is wrong, and the group
    /// is no worse for it (observed with 2.3.3).
    fn faulty_from_outside(&self, id: InstanceId) -> bool {
        let mut found = false;
        self.fault_reasons(id, &mut |reason| {
            found |= reason != FaultReason::ConfigError;
        });
        found && self.live[id.index()].faulty
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

    /// RFC 9568 section 6.4.1: where each instance begins.
    pub(crate) fn initial_states(&mut self, now: Instant, before: Option<&Before>) {
        let fifo = before.is_some() && self.config.global.fifo_states_on_reload;
        for g in self.group_ids() {
            let state = self.groups[g.index()].state;
            let same = before.is_some_and(|b| b.group_state(&self.config, g) == Some(state));
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
            let role = SyncRole::of(live.state);
            if !live.reload_master {
                live.reasons.next = MasterReason::Preempted;
                live.state = State::Backup;
                live.down_time = Duration::from_micros(1);
            }
            self.connection_sync(id, ConnectionSync::Begin(role));
            return;
        }
        // `state MASTER` without being owner changes nothing: a whole master-down time passes (observed with 2.3.3).
        live.down_time = live.master_down(config);
        live.reasons.next = MasterReason::NoResponse;
        self.connection_sync(id, ConnectionSync::Begin(SyncRole::Backup));
        self.drop_leftovers(now, id, reload);
        let live = &mut self.live[i];
        let up = !live.faulty && target != State::Fault && !waiting;
        let state = if up { State::Backup } else { State::Fault };
        live.state = state;
        if begin != state {
            live.last_transition = Some(now);
            // Waiting for scripts looks like FAULT, but is none to tell anybody about.
            if up || self.live[i].faulty {
                if up || self.faulty_from_outside(id) {
                    self.say_of(id, InstanceNotice::EnteringInit(state.notify()));
                }
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
        for id in self.ids() {
            let role = SyncRole::of(self.live[id.index()].state);
            self.connection_sync(id, ConnectionSync::End(role));
        }
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
