//! What the kernel is asked and answers: table dumps, flushes, and the answers to single requests.

use alloc::vec::Vec;

use net_types::Instant;
use nfct::codec::{
    ConntrackOp, EventKind, SUBSYS_CONNTRACK, SUBSYS_EXPECT, dump_request, expect_flush, request,
};
use nfct::{Attr, Conntrack, Expect};

use super::bypass::Listing;
use super::purge::Purge;
use super::{Engine, StartState};
use crate::input::{ClientId, RequestId};
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
    /// Table dump to the peer, past the caches.
    Bulk,
    /// Table dump to an operator.
    List(Listing),
    /// Does the entry of this slot exist?
    Get {
        slot: u32,
        expect: bool,
        found: bool,
        rejected: bool,
    },
    /// The sequence adjustment of a flow whose helper has announced another.
    Master,
    /// Is the entry that an event says is gone another one?
    Doubt(super::doubt::Doubt),
    /// Table dump of a flush.
    Flush,
    /// A step of the commit.
    Commit(super::commit::Step),
    /// A step of direct injection.
    Inject(super::inject::Step),
}

impl Job {
    /// The socket that a dump occupies until its end; `None` for what is no dump.
    const fn dumps_on(&self) -> Option<KernelSocket> {
        match self {
            Self::Populate { .. } | Self::Bulk | Self::List(_) => Some(KernelSocket::Dump),
            Self::Resync { .. } => Some(KernelSocket::Resync),
            Self::Flush => Some(KernelSocket::FlushDump),
            Self::Get { .. }
            | Self::Master
            | Self::Doubt(_)
            | Self::Commit(_)
            | Self::Inject(_) => None,
        }
    }
}

/// Table dumps: a socket has one at a time, the kernel refuses a second.
#[derive(Debug, Default)]
pub(super) struct Dumps {
    running: Vec<KernelSocket>,
    waiting: Vec<(KernelSocket, bool, Job)>,
}

impl Engine {
    pub(super) fn kernel_send(&mut self, id: RequestId, socket: KernelSocket, message: Vec<u8>) {
        self.outputs.push_back(Output::Kernel {
            id,
            socket,
            message,
        });
    }

    /// Asks for a table, when the socket is free.
    pub(super) fn dump(&mut self, socket: KernelSocket, expect: bool, job: Job) {
        if self.table_dumps.running.contains(&socket) {
            self.table_dumps.waiting.push((socket, expect, job));
            return;
        }
        self.table_dumps.running.push(socket);
        let id = self.request_id();
        let subsystem = if expect {
            SUBSYS_EXPECT
        } else {
            SUBSYS_CONNTRACK
        };
        self.jobs.insert(id, job);
        self.kernel_send(id, socket, dump_request(subsystem, id.0));
    }

    /// A dump has ended.
    fn dump_ended(&mut self, socket: KernelSocket) {
        self.table_dumps.running.retain(|s| *s != socket);
    }

    /// Sends the dump that waited for the socket, unless it is taken again.
    fn next_dump(&mut self, socket: KernelSocket) {
        let dumps = &mut self.table_dumps;
        if dumps.running.contains(&socket) {
            return;
        }
        if let Some(at) = dumps.waiting.iter().position(|(s, ..)| *s == socket) {
            let (socket, expect, job) = dumps.waiting.remove(at);
            self.dump(socket, expect, job);
        }
    }

    pub(super) fn read_tables_at_start(&mut self) {
        if self.config.disable_internal_cache {
            self.log(Notice::DisablingInternalCache);
        }
        if self.config.disable_external_cache {
            self.log(Notice::DisablingExternalCache);
        }
        if self.config.poll.is_some() {
            self.log(Notice::PollingMode);
        }
        if self.config.disable_internal_cache {
            self.start_state = StartState::Ready;
            return;
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
        let busy = self.table_dumps.running.contains(&KernelSocket::Resync);
        if self.config.disable_internal_cache || self.purge.is_some() || busy {
            return;
        }
        self.round = self.round.wrapping_add(1);
        self.dump(KernelSocket::Resync, false, Job::Resync { expect: false });
    }

    /// Deletes what passes the filter from the kernel's table. A second flush while one runs is skipped.
    pub(super) fn flush_kernel(&mut self) {
        if core::mem::replace(&mut self.flushing, true) {
            return;
        }
        self.dump(KernelSocket::FlushDump, false, Job::Flush);
    }

    pub(super) fn flush_kernel_expect(&mut self) {
        let id = self.request_id();
        self.kernel_send(id, KernelSocket::Flush, expect_flush(id.0));
    }

    pub(super) fn scheduled_flush(&mut self) {
        self.kernel.flushes = self.kernel.flushes.wrapping_add(1);
        self.log(Notice::FlushingScheduled);
        self.flush_kernel();
        self.flush_internal();
    }

    /// Empties the internal cache; without one, the kernel's table.
    pub(super) fn flush_internal(&mut self) {
        if self.config.disable_internal_cache {
            self.flush_kernel();
        } else {
            self.internal.flush(&mut self.queues);
        }
    }

    /// The same for expectations.
    pub(super) fn flush_internal_expect(&mut self) {
        if self.config.disable_internal_cache {
            self.flush_kernel_expect();
        } else {
            self.internal_exp.flush(&mut self.queues);
        }
    }

    pub(super) fn kernel_entry(
        &mut self,
        now: Instant,
        id: RequestId,
        kind: EventKind,
        mut ct: Conntrack,
    ) {
        let update = kind == EventKind::Update;
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        // What the answers of a dump have in common.
        let is_dump = job.dumps_on().is_some();
        if is_dump {
            if !self.wanted(&ct, true) {
                return;
            }
            if !update {
                self.kernel.dump_unknown_type = self.kernel.dump_unknown_type.wrapping_add(1);
                return;
            }
        }
        let (round, seconds) = (self.round, self.seconds(now));
        match self.jobs.get_mut(&id) {
            Some(Job::Populate { .. } | Job::Resync { .. }) => {
                let told = matches!(self.jobs.get(&id), Some(Job::Resync { .. }));
                ct.unset(Attr::COUNTERS.with(Attr::USE));
                if self.mode.counts_flows() {
                    ct.unset(Attr::TIMEOUT);
                }
                let slot = self
                    .internal
                    .update_or_add(&mut self.queues, ct, seconds, round);
                self.changed(now, slot, told && !self.mode.counts_flows());
            }
            Some(Job::Bulk) => self.tell_conntrack(EventKind::New, &ct),
            Some(Job::List(listing)) => {
                let mut listing = core::mem::take(listing);
                self.list_conntrack(&mut listing, &ct);
                if let Some(Job::List(place)) = self.jobs.get_mut(&id) {
                    *place = listing;
                }
            }
            Some(Job::Flush) => {
                let delete = self.request_id();
                if let Some(message) = request(ConntrackOp::Delete, &ct, delete.0) {
                    self.kernel_send(delete, KernelSocket::Flush, message);
                }
            }
            Some(Job::Master) => {
                let adjusted = ct.has(Attr::SEQ_ADJ_ORIG) && self.internal.find(&ct).is_some();
                if adjusted && self.wanted(&ct, true) {
                    ct.unset(Attr::COUNTERS.with(Attr::USE));
                    let slot = self
                        .internal
                        .update_or_add(&mut self.queues, ct, seconds, round);
                    self.changed(now, slot, true);
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
            Some(Job::Doubt(_)) => self.is_there(now, id, ct),
            Some(Job::Commit(_) | Job::Inject(_)) | None => {}
        }
    }

    pub(super) fn kernel_expect(
        &mut self,
        now: Instant,
        id: RequestId,
        kind: EventKind,
        exp: Expect,
    ) {
        let Some(job) = self.jobs.get(&id) else {
            return;
        };
        if let Job::Get { .. } = job {
            if let Some(Job::Get { found, .. }) = self.jobs.get_mut(&id) {
                *found = true;
            }
            return;
        }
        if !self.helper_wanted(&exp) || !self.master_known(&exp) {
            return;
        }
        if kind != EventKind::Update {
            self.kernel.dump_unknown_type = self.kernel.dump_unknown_type.wrapping_add(1);
            return;
        }
        let (round, seconds) = (self.round, self.seconds(now));
        match self.jobs.get_mut(&id) {
            Some(Job::Populate { .. } | Job::Resync { .. }) => {
                let told = matches!(self.jobs.get(&id), Some(Job::Resync { .. }));
                let slot = self
                    .internal_exp
                    .update_or_add(&mut self.queues, exp, seconds, round);
                self.changed_expect(now, slot, told);
            }
            Some(Job::List(listing)) => {
                let mut listing = core::mem::take(listing);
                self.list_expect(&mut listing, &exp);
                if let Some(Job::List(place)) = self.jobs.get_mut(&id) {
                    *place = listing;
                }
            }
            _ => {}
        }
    }

    pub(super) fn kernel_done(&mut self, id: RequestId, errno: i32) {
        let Some(job) = self.jobs.remove(&id) else {
            self.batch_refused(id, errno);
            return;
        };
        let socket = job.dumps_on();
        if let Some(socket) = socket {
            self.dump_ended(socket);
        }
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
                self.dump_failed(errno);
            }
            Job::Bulk => self.dump_failed(errno),
            Job::Master => {}
            Job::Doubt(doubt) => self.doubt_ended(&doubt, errno),
            Job::List(listing) => {
                self.dump_failed(errno);
                self.list_ended(listing);
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
            Job::Commit(step) => self.commit_answer(step, errno),
            Job::Inject(step) => self.inject_answer(step, errno),
        }
        if let Some(socket) = socket {
            self.next_dump(socket);
        }
    }

    fn dump_failed(&mut self, errno: i32) {
        if errno != 0 {
            self.log(Notice::KernelDumpFailed { errno });
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
                self.dump_failed(errno);
                self.reply_end(client);
            }
            Waiting::Nobody => {}
        }
    }

    /// An operator hung up: nobody waits for the dump or commit any more.
    pub(super) fn nobody_waits(&mut self, gone: ClientId) {
        let waiting = self.table_dumps.waiting.iter_mut().map(|(_, _, job)| job);
        for job in self.jobs.values_mut().chain(waiting) {
            match job {
                Job::Populate { waiting, .. } if *waiting == Waiting::Client(gone) => {
                    *waiting = Waiting::Nobody;
                }
                Job::List(Listing { client, .. }) => {
                    *client = client.filter(|c| *c != gone);
                }
                _ => {}
            }
        }
    }
}
