//! Sync groups: all members MASTER, or none (keepalived-behaviour.md section 4.6).

use net_types::Instant;

use crate::config::{GroupId, InstanceId};
use crate::notice::Notice;
use crate::router::Router;
use crate::status::State;

impl Router {
    pub(crate) fn group_of(&self, id: InstanceId) -> Option<GroupId> {
        self.config.instances[id.index()].group
    }

    /// Members of the group without `id`.
    fn others(&self, group: GroupId, id: InstanceId) -> alloc::vec::Vec<InstanceId> {
        let members = &self.config.groups[group.index()].members;
        members.iter().copied().filter(|m| *m != id).collect()
    }

    /// A group goes to MASTER only when every other member wants to; that avoids flapping.
    pub(crate) fn group_allows_master(&self, id: InstanceId) -> bool {
        let Some(g) = self.group_of(id) else {
            return true;
        };
        self.groups[g.index()].state == State::Master
            || self.config.groups[g.index()]
                .members
                .iter()
                .all(|m| *m == id || self.live[m.index()].wanted == State::Master)
    }

    /// `id` is MASTER: the others follow.
    pub(crate) fn sync_master(&mut self, now: Instant, id: InstanceId) {
        let Some(g) = self.group_of(id) else { return };
        if self.groups[g.index()].state == State::Master {
            return;
        }
        if !self.group_allows_master(id) {
            return;
        }
        self.say(Notice::GroupSync(g, State::Master.notify()));
        // The group allows it for all of them if `id` wants it too: to ask for each would take the square of their number.
        let allowed = self.live[id.index()].wanted == State::Master;
        for other in self.others(g, id) {
            if self.live[other.index()].state != State::Master {
                self.live[other.index()].wanted = State::Master;
                self.live[other.index()].reasons.next = self.live[id.index()].reasons.master;
                if allowed {
                    self.rise(now, other);
                } else {
                    self.goto_master(now, other);
                }
            }
        }
        self.set_group(g, State::Master);
    }

    /// `id` is BACKUP: the others follow.
    pub(crate) fn sync_backup(&mut self, now: Instant, id: InstanceId) {
        let Some(g) = self.group_of(id) else { return };
        if self.groups[g.index()].state == State::Backup {
            return;
        }
        self.say(Notice::GroupSync(g, State::Backup.notify()));
        for other in self.others(g, id) {
            match self.live[other.index()].state {
                State::Backup => {}
                State::Master => {
                    self.live[other.index()].wanted = State::Backup;
                    self.leave_master(now, other, false);
                }
                State::Init | State::Fault | State::Stop => {
                    self.live[other.index()].wanted = State::Backup;
                    self.leave_fault(now, other);
                }
            }
        }
        self.set_group(g, State::Backup);
    }

    /// `id` is in FAULT: the others follow.
    pub(crate) fn sync_fault(&mut self, now: Instant, id: InstanceId) {
        let Some(g) = self.group_of(id) else { return };
        if self.groups[g.index()].state == State::Fault {
            return;
        }
        self.say(Notice::GroupSync(g, State::Fault.notify()));
        for other in self.others(g, id) {
            let live = &mut self.live[other.index()];
            match live.state {
                State::Fault | State::Stop => {}
                State::Master => {
                    live.wanted = State::Fault;
                    self.leave_master(now, other, false);
                }
                State::Backup | State::Init => {
                    // No line of its own: the group's line says it.
                    live.wanted = State::Fault;
                    live.state = State::Fault;
                    self.leave_fault(now, other);
                }
            }
        }
        self.set_group(g, State::Fault);
    }

    fn set_group(&mut self, group: GroupId, state: State) {
        self.groups[group.index()].state = state;
        self.notify_group(group);
    }

    /// Whether a member has a fault of its own, or waits for its first script result.
    pub(crate) fn group_held_down(&self, group: GroupId) -> bool {
        self.config.groups[group.index()].members.iter().any(|m| {
            let live = &self.live[m.index()];
            live.faulty || live.pending
        })
    }
}
