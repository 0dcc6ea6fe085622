//! What the kernel says: events, table dumps, and answers to our requests.

use net_types::{Duration, Instant};
use nfct::codec::{
    ConntrackOp, EventKind, SUBSYS_CONNTRACK, SUBSYS_EXPECT, dump_request, expect_flush, request,
};
use nfct::{Attr, Conntrack, ExpAttr, Expect, Known, Tuple};

use super::purge::Purge;
use super::{Engine, StartState};
use crate::cache::State;
use crate::filter::{Missing, missing};
use crate::input::{ClientId, Origin, RequestId};
use crate::notice::Notice;
use crate::output::{KernelSocket, Output};

/// Error number of "no such entry".
pub(super) const ENOENT: i32 = 2;

/// Who waits for the end of a table dump into the internal cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// The start.
    Start,
    /// An operator.
    Client(ClientId),
    /// Nobody any more.
    Nobody,
}

/// What an answered request was for.
#[derive(Debug)]
pub(super) enum Job {
    /// Table dump into the internal cache without telling the peer; `expect` follows or is this one.
    Populate {
        waiting: Waiting,
        expect: bool,
        then_expect: bool,
    },
    /// Table dump after lost events: the peer is told.
    Resync { expect: bool },
    /// Does the entry of this slot exist?
    Get {
        slot: u32,
        expect: bool,
        found: bool,
        rejected: bool,
    },
    /// Table dump of a flush.
    Flush,
    /// A step of the commit.
    Commit(super::commit::Step),
}

impl Engine {
    pub(super) fn kernel_send(
        &mut self,
        id: RequestId,
        socket: KernelSocket,
        message: alloc::vec::Vec<u8>,
    ) {
        self.outputs.push_back(Output::Kernel {
            id,
            socket,
            message,
        });
    }

    fn dump(&mut self, socket: KernelSocket, expect: bool, job: Job) {
        let id = self.request_id();
        let subsystem = if expect {
            SUBSYS_EXPECT
        } else {
            SUBSYS_CONNTRACK
        };
        self.jobs.insert(id, job);
        self.kernel_send(id, socket, dump_request(subsystem, id.0));
    }

    pub(super) fn read_tables_at_start(&mut self) {
        if self.config.poll.is_some() {
            self.log(Notice::PollingMode);
        }
        let then_expect = self.config.expectation_sync;
        self.populate(Waiting::Start, false, then_expect);
    }

    /// Reads a table into the internal cache; `then_expect` goes on with the expectations.
    pub(super) fn populate(&mut self, waiting: Waiting, expect: bool, then_expect: bool) {
        self.dump(
            KernelSocket::Dump,
            expect,
            Job::Populate {
                waiting,
                expect,
                then_expect,
            },
        );
    }

    /// Reads the tables, tells the peer what changed, then looks for entries that are gone.
    pub(super) fn resync_tables(&mut self) {
        let running = |j: &Job| matches!(j, Job::Resync { .. });
        if self.purge.is_some() || self.jobs.values().any(running) {
            return;
        }
        self.round = self.round.wrapping_add(1);
        self.dump(KernelSocket::Resync, false, Job::Resync { expect: false });
    }

    pub(super) fn overrun(&mut self, now: Instant) {
        self.kernel.catch_failed = self.kernel.catch_failed.wrapping_add(1);
        self.kernel.overrun = self.kernel.overrun.wrapping_add(1);
        if let Some(secs) = self.config.overrun_resync {
            self.timers.overrun = Some(now + Duration::from_secs(u64::from(secs)));
        }
    }

    /// Deletes what passes the filter from the kernel's table. A second flush while one runs is skipped.
    pub(super) fn flush_kernel(&mut self) {
        self.kernel.flushes = self.kernel.flushes.wrapping_add(1);
        if core::mem::replace(&mut self.flushing, true) {
            return;
        }
        self.dump(KernelSocket::FlushDump, false, Job::Flush);
    }

    pub(super) fn flush_kernel_expect(&mut self) {
        self.kernel.flushes = self.kernel.flushes.wrapping_add(1);
        let id = self.request_id();
        self.kernel_send(id, KernelSocket::Flush, expect_flush(id.0));
    }

    pub(super) fn scheduled_flush(&mut self) {
        self.log(Notice::FlushingScheduled);
        self.flush_kernel();
        self.flush_internal();
    }

    fn origin(&self, port_id: u32) -> Origin {
        let kinds = [Origin::Commit, Origin::Flush, Origin::Inject];
        self.origins
            .iter()
            .zip(kinds)
            .find(|(id, _)| **id == Some(port_id))
            .map_or(Origin::NotMe, |(_, kind)| kind)
    }

    /// Whether an entry from the kernel is complete and replicated.
    fn wanted(&mut self, ct: &Conntrack, filter: bool) -> bool {
        if let Some(what) = missing(ct) {
            self.log_missing(what);
            return false;
        }
        !filter || self.config.filter.passes(ct)
    }

    fn log_missing(&mut self, what: Missing) {
        self.log(match what {
            Missing::Layer3 => Notice::MissingLayer3,
            Missing::Ipv4 => Notice::MissingIpv4,
            Missing::Ipv6 => Notice::MissingIpv6,
        });
    }

    pub(super) fn event(&mut self, now: Instant, kind: EventKind, port_id: u32, mut ct: Conntrack) {
        self.kernel.events = self.kernel.events.wrapping_add(1);
        if !self.wanted(&ct, !self.config.filter_in_kernel) {
            self.kernel.filtered = self.kernel.filtered.wrapping_add(1);
            return;
        }
        let origin = self.origin(port_id);
        if origin == Origin::Inject {
            return;
        }
        let told = origin == Origin::NotMe;
        let seconds = self.seconds(now);
        match kind {
            EventKind::New => {
                ct.unset(Attr::COUNTERS);
                if let Some(slot) = self.internal.find(&ct) {
                    self.forget(slot);
                }
                let round = self.round;
                if let Some(slot) = self.internal.add(ct, seconds, round) {
                    self.arm_refresh(now, false, slot);
                    if told {
                        self.enqueue(slot);
                    }
                }
            }
            EventKind::Update => {
                if let Some(slot) = self.update_or_add(ct, now) {
                    if told {
                        self.enqueue(slot);
                    }
                }
            }
            EventKind::Destroy => {
                let Some(slot) = self.internal.find(&ct) else {
                    return;
                };
                self.destroyed(slot, told);
                self.traffic(&ct);
            }
        }
    }

    /// An update: merged into a live entry, else a new entry.
    fn update_or_add(&mut self, ct: Conntrack, now: Instant) -> Option<u32> {
        let (round, seconds) = (self.round, self.seconds(now));
        if let Some(slot) = self.internal.find(&ct) {
            if let Some(entry) = self
                .internal
                .get_mut(slot)
                .filter(|e| e.state != State::Dead)
            {
                entry.object.merge(ct);
                self.internal.updated(slot, seconds, round);
                self.arm_refresh(now, false, slot);
                return Some(slot);
            }
            self.forget(slot);
        }
        let slot = self.internal.add(ct, seconds, round)?;
        self.arm_refresh(now, false, slot);
        Some(slot)
    }

    pub(super) fn destroyed(&mut self, slot: u32, told: bool) {
        let Some(entry) = self.internal.get(slot) else {
            return;
        };
        if entry.state == State::Dead {
            return;
        }
        let queued = entry.node.is_some();
        self.internal.set_dead(slot);
        if told {
            self.enqueue(slot);
        } else if !queued {
            self.internal.remove(slot);
        }
    }

    /// Takes an entry out of cache and queues; the peer is not told.
    fn forget(&mut self, slot: u32) {
        if let Some(entry) = self.internal.remove(slot) {
            if entry.node.is_some() {
                self.queues.remove(entry.node);
            }
        }
    }

    fn forget_expect(&mut self, slot: u32) {
        if let Some(entry) = self.internal_exp.remove(slot) {
            if entry.node.is_some() {
                self.queues.remove(entry.node);
            }
        }
    }

    pub(super) fn flush_internal(&mut self) {
        for slot in 0..self.internal.slots() {
            self.forget(slot);
        }
    }

    pub(super) fn flush_internal_expect(&mut self) {
        for slot in 0..self.internal_exp.slots() {
            self.forget_expect(slot);
        }
    }

    /// A destroyed flow's traffic: the low 32 bits of each counter, as the original adds them.
    fn traffic(&mut self, ct: &Conntrack) {
        for c in [ct.counters_orig(), ct.counters_repl()]
            .into_iter()
            .flatten()
        {
            self.kernel.bytes = self.kernel.bytes.wrapping_add(c.bytes & 0xffff_ffff);
            self.kernel.packets = self.kernel.packets.wrapping_add(c.packets & 0xffff_ffff);
        }
    }

    pub(super) fn expect_event(
        &mut self,
        now: Instant,
        kind: EventKind,
        port_id: u32,
        exp: Expect,
    ) {
        self.kernel.events = self.kernel.events.wrapping_add(1);
        if !self.config.expectation_sync || !self.helper_wanted(&exp) {
            self.kernel.filtered = self.kernel.filtered.wrapping_add(1);
            return;
        }
        if !self.master_known(&exp) {
            return;
        }
        let origin = self.origin(port_id);
        if origin == Origin::Inject {
            return;
        }
        let told = origin == Origin::NotMe;
        let seconds = self.seconds(now);
        let slot = match kind {
            EventKind::New => {
                if let Some(slot) = self.internal_exp.find(&exp) {
                    self.forget_expect(slot);
                }
                let round = self.round;
                let slot = self.internal_exp.add(exp, seconds, round);
                if let Some(slot) = slot {
                    self.arm_refresh(now, true, slot);
                }
                slot
            }
            EventKind::Update => self.update_or_add_expect(exp, now),
            EventKind::Destroy => {
                if let Some(slot) = self.internal_exp.find(&exp) {
                    self.destroyed_expect(slot, told);
                }
                return;
            }
        };
        if let (Some(slot), true) = (slot, told) {
            self.enqueue_expect(slot);
        }
    }

    fn update_or_add_expect(&mut self, exp: Expect, now: Instant) -> Option<u32> {
        let (round, seconds) = (self.round, self.seconds(now));
        if let Some(slot) = self.internal_exp.find(&exp) {
            if let Some(entry) = self
                .internal_exp
                .get_mut(slot)
                .filter(|e| e.state != State::Dead)
            {
                entry.object = exp;
                self.internal_exp.updated(slot, seconds, round);
                self.arm_refresh(now, true, slot);
                return Some(slot);
            }
            self.forget_expect(slot);
        }
        let slot = self.internal_exp.add(exp, seconds, round)?;
        self.arm_refresh(now, true, slot);
        Some(slot)
    }

    pub(super) fn destroyed_expect(&mut self, slot: u32, told: bool) {
        let Some(entry) = self.internal_exp.get(slot) else {
            return;
        };
        if entry.state == State::Dead {
            return;
        }
        let queued = entry.node.is_some();
        self.internal_exp.set_dead(slot);
        if told {
            self.enqueue_expect(slot);
        } else if !queued {
            self.internal_exp.remove(slot);
        }
    }

    /// Whether the expectation's helper is on the list: an entry "sip" matches "sip-5060", in any case.
    fn helper_wanted(&self, exp: &Expect) -> bool {
        let list = &self.config.expectation_helpers;
        list.is_empty()
            || exp.helper.as_deref().is_some_and(|name| {
                list.iter().any(|want| {
                    name.as_bytes()
                        .get(..want.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(want.as_bytes()))
                })
            })
    }

    /// Whether the flow that the expectation belongs to is replicated.
    fn master_known(&mut self, exp: &Expect) -> bool {
        let problem = if !exp.set.has(ExpAttr::MASTER) {
            Some(Notice::NoMasterTuple)
        } else if !exp.master.known.has(Known::L3) {
            Some(Notice::MissingLayer3)
        } else if exp.master.known.has(Known::ADDRS) {
            None
        } else if exp.master.l3 == 10 {
            Some(Notice::MissingIpv6)
        } else {
            Some(Notice::MissingIpv4)
        };
        if let Some(notice) = problem {
            self.log(notice);
            return false;
        }
        let mut master = Conntrack::with_orig(Tuple { ..exp.master });
        if exp.set.has(ExpAttr::ZONE) {
            master.set_zone(exp.zone);
        }
        self.internal.find(&master).is_some()
    }

    pub(super) fn kernel_entry(
        &mut self,
        now: Instant,
        id: RequestId,
        kind: EventKind,
        mut ct: Conntrack,
    ) {
        let update = kind == EventKind::Update;
        match self.jobs.get(&id) {
            Some(Job::Populate { .. }) => {
                if !self.wanted(&ct, true) {
                } else if update {
                    ct.unset(Attr::COUNTERS.with(Attr::USE));
                    self.update_or_add(ct, now);
                } else {
                    self.dump_unknown();
                }
            }
            Some(Job::Resync { .. }) => {
                if self.wanted(&ct, true) {
                    ct.unset(Attr::COUNTERS.with(Attr::USE));
                    if let Some(slot) = self.update_or_add(ct, now) {
                        self.enqueue(slot);
                    }
                }
            }
            Some(Job::Flush) => {
                if !self.wanted(&ct, true) {
                } else if update {
                    let delete = self.request_id();
                    if let Some(message) = request(ConntrackOp::Delete, &ct, delete.0) {
                        self.kernel_send(delete, KernelSocket::Flush, message);
                    }
                } else {
                    self.dump_unknown();
                }
            }
            Some(Job::Get { .. }) => {
                let wanted = self.wanted(&ct, true);
                if let Some(Job::Get {
                    found, rejected, ..
                }) = self.jobs.get_mut(&id)
                {
                    *found |= wanted;
                    *rejected |= !wanted;
                }
            }
            Some(Job::Commit(_)) | None => {}
        }
    }

    fn dump_unknown(&mut self) {
        self.kernel.dump_unknown_type = self.kernel.dump_unknown_type.wrapping_add(1);
    }

    pub(super) fn kernel_expect(
        &mut self,
        now: Instant,
        id: RequestId,
        kind: EventKind,
        exp: Expect,
    ) {
        match self.jobs.get(&id) {
            Some(Job::Populate { .. }) => {
                if !self.helper_wanted(&exp) || !self.master_known(&exp) {
                } else if kind == EventKind::Update {
                    self.update_or_add_expect(exp, now);
                } else {
                    self.dump_unknown();
                }
            }
            Some(Job::Resync { .. }) => {
                let wanted = self.helper_wanted(&exp) && self.master_known(&exp);
                let slot = wanted
                    .then(|| self.update_or_add_expect(exp, now))
                    .flatten();
                if let Some(slot) = slot {
                    self.enqueue_expect(slot);
                }
            }
            Some(Job::Get { .. }) => {
                if let Some(Job::Get { found, .. }) = self.jobs.get_mut(&id) {
                    *found = true;
                }
            }
            _ => {}
        }
    }

    pub(super) fn kernel_done(&mut self, now: Instant, id: RequestId, errno: i32) {
        let Some(job) = self.jobs.remove(&id) else {
            return;
        };
        match job {
            Job::Populate {
                waiting,
                expect,
                then_expect,
            } => self.populated(waiting, expect, then_expect, errno),
            Job::Resync { expect } => {
                if errno != 0 {
                    self.log(Notice::KernelDumpFailed { errno });
                } else if !expect && self.config.expectation_sync {
                    self.dump(KernelSocket::Resync, true, Job::Resync { expect: true });
                } else {
                    self.purge = Some(Purge::default());
                }
            }
            Job::Flush => {
                self.flushing = false;
                if errno != 0 {
                    self.log(Notice::KernelDumpFailed { errno });
                }
            }
            Job::Get {
                slot,
                expect,
                found,
                rejected,
            } => {
                let gone = errno == ENOENT || (errno == 0 && rejected);
                self.answered(slot, expect, gone && !found);
            }
            Job::Commit(step) => self.commit_answer(now, step, errno),
        }
    }

    fn populated(&mut self, waiting: Waiting, expect: bool, then_expect: bool, errno: i32) {
        if errno == 0 && then_expect {
            self.populate(waiting, true, false);
            return;
        }
        match waiting {
            Waiting::Start => {
                self.start_state = if errno == 0 {
                    StartState::Ready
                } else {
                    StartState::Failed { expect, errno }
                };
            }
            Waiting::Client(client) => {
                if errno != 0 {
                    self.log(Notice::KernelDumpFailed { errno });
                }
                self.reply_end(client);
            }
            Waiting::Nobody => {}
        }
    }

    /// An operator hung up: nobody waits for the dump or commit any more.
    pub(super) fn nobody_waits(&mut self, client: ClientId) {
        for job in self.jobs.values_mut() {
            if let Job::Populate { waiting, .. } = job {
                if *waiting == Waiting::Client(client) {
                    *waiting = Waiting::Nobody;
                }
            }
        }
    }
}
