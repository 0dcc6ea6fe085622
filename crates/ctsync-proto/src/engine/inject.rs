//! `DisableExternalCache`: what the peer says goes into the kernel at once (conntrackd-behaviour.md section 7).
//!
//! ```text
//!  NEW:  create ──EEXIST──▶ delete ──done or ENOENT──▶ create
//!  UPD:  update ──ENOENT──▶ create
//!            └──other──▶ delete ──done or ENOENT──▶ create
//!  DEL:  delete (ENOENT is no failure)
//! ```
//! Requests are on their way in numbers, but what concerns one flow (or its master) waits for its turn: the kernel must see
//! the peer's messages about it in order, second attempts included.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use core::fmt::{self, Write as _};

use foldhash::fast::FixedState;
use nfct::codec::{ConntrackOp, ExpectOp, create_request, request, request_expect, update_request};
use nfct::{Conntrack, ExpAttr, Expect, Known, print};

use super::Engine;
use super::commit::{EEXIST, EINVAL};
use super::kernel::{ENOENT, Job};
use crate::cache::Object;
use crate::input::RequestId;
use crate::notice::{InjectFailure, Notice};
use crate::output::KernelSocket;
use crate::wire::{CT_DEL, CT_UPD, EXP_DEL};

/// What the kernel took and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct InjectCounters {
    add_ok: u32,
    add_fail: u32,
    upd_ok: u32,
    upd_fail: u32,
    del_ok: u32,
    del_fail: u32,
}

impl InjectCounters {
    /// The block of `-s`.
    pub(super) fn report(&self, out: &mut String) -> fmt::Result {
        write!(
            out,
            "external inject:\n\
             connections created:\t\t{:12}\tfailed:\t{:12}\n\
             connections updated:\t\t{:12}\tfailed:\t{:12}\n\
             connections destroyed:\t\t{:12}\tfailed:\t{:12}\n\n",
            self.add_ok, self.add_fail, self.upd_ok, self.upd_fail, self.del_ok, self.del_fail
        )
    }

    /// The same numbers by name.
    pub(super) const fn values(&self) -> [(&'static str, u32); 6] {
        [
            ("created", self.add_ok),
            ("created_failed", self.add_fail),
            ("updated", self.upd_ok),
            ("updated_failed", self.upd_fail),
            ("destroyed", self.del_ok),
            ("destroyed_failed", self.del_fail),
        ]
    }
}

#[derive(Debug)]
enum Subject {
    Conntrack(Box<Conntrack>),
    Expect(Box<Expect>),
}

/// Where a message's request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Create,
    /// The tuple was taken.
    DeleteTaken,
    CreateAgain,
    Update,
    /// There was nothing to update.
    CreateMissing,
    /// The kernel did not take the update.
    DeleteStubborn,
    CreateAnew,
    Delete,
}

/// A message on its way into the kernel.
#[derive(Debug)]
pub(super) struct Step {
    subject: Subject,
    stage: Stage,
    /// Hashes of the flow and of its master (or of the flow again).
    keys: [u64; 2],
    /// It is the flow's next: later ones wait behind it even while it waits for the master.
    first: bool,
}

impl Step {
    /// Takes an expectation's function and translation away; `false` when it has none.
    fn without_function(&mut self) -> bool {
        match &mut self.subject {
            Subject::Expect(exp) => {
                exp.nat = None;
                exp.function.take().is_some()
            }
            Subject::Conntrack(_) => false,
        }
    }
}

/// Direct injection's state.
#[derive(Debug, Default)]
pub(super) struct Injector {
    pub(super) conntracks: InjectCounters,
    pub(super) expectations: InjectCounters,
    /// Flows with a request on its way, and the messages that wait for its end.
    busy: BTreeMap<u64, VecDeque<Step>>,
}

impl Engine {
    /// A state of a flow from the peer.
    pub(super) fn inject(&mut self, kind: u8, ct: Conntrack) {
        let stage = match kind {
            CT_UPD => Stage::Update,
            CT_DEL => Stage::Delete,
            _ => Stage::Create,
        };
        let hasher = FixedState::with_seed(self.config.hash_seed);
        let own = ct.hash(&hasher);
        let master = if ct.is_related() {
            key_of_master(*ct.master(), ct.zone(), &hasher)
        } else {
            own
        };
        self.inject_in_turn(Step {
            subject: Subject::Conntrack(Box::new(ct)),
            stage,
            keys: [own, master],
            first: false,
        });
    }

    /// A state of an expectation from the peer; there is no update of one.
    pub(super) fn inject_expect(&mut self, kind: u8, exp: Expect) {
        let stage = if kind == EXP_DEL {
            Stage::Delete
        } else {
            Stage::Create
        };
        let hasher = FixedState::with_seed(self.config.hash_seed);
        let zone = exp.set.has(ExpAttr::ZONE).then_some(exp.zone);
        let master = key_of_master(exp.master, zone, &hasher);
        let own = exp.hash(&hasher);
        self.inject_in_turn(Step {
            subject: Subject::Expect(Box::new(exp)),
            stage,
            keys: [own, master],
            first: false,
        });
    }

    /// Sends a step's request, or lets it wait for the flow's (or its master's) earlier one.
    fn inject_in_turn(&mut self, mut step: Step) {
        let busy = &mut self.injector.busy;
        let [own, master] = step.keys;
        if !step.first {
            if let Some(waiting) = busy.get_mut(&own) {
                waiting.push_back(step);
                return;
            }
            busy.insert(own, VecDeque::new());
            step.first = true;
        }
        if own != master {
            if let Some(waiting) = busy.get_mut(&master) {
                waiting.push_back(step);
                return;
            }
            busy.insert(master, VecDeque::new());
        }
        self.inject_send(step);
    }

    fn inject_send(&mut self, mut step: Step) {
        loop {
            let id = RequestId(self.next_request);
            let Some(message) = self.inject_request(&step, id) else {
                // No request can be made of it: as if the kernel had refused.
                match self.inject_next(step, EINVAL) {
                    Some(next) => {
                        step = next;
                        continue;
                    }
                    None => return,
                }
            };
            let id = self.request_id();
            self.jobs.insert(id, Job::Inject(step));
            self.kernel_send(id, KernelSocket::Inject, message);
            return;
        }
    }

    fn inject_request(&self, step: &Step, id: RequestId) -> Option<alloc::vec::Vec<u8>> {
        let liberal = !self.config.tcp_window_tracking;
        match (&step.subject, step.stage) {
            (Subject::Conntrack(ct), Stage::Update) => update_request(ct, None, liberal, id.0),
            (
                Subject::Conntrack(ct),
                Stage::Delete | Stage::DeleteTaken | Stage::DeleteStubborn,
            ) => request(ConntrackOp::Delete, ct, id.0),
            (Subject::Conntrack(ct), _) => create_request(ct, None, liberal, id.0),
            (Subject::Expect(exp), Stage::Delete | Stage::DeleteTaken | Stage::DeleteStubborn) => {
                request_expect(ExpectOp::Delete, exp, id.0)
            }
            (Subject::Expect(exp), _) => request_expect(ExpectOp::Create, exp, id.0),
        }
    }

    /// The kernel answered a request of direct injection.
    pub(super) fn inject_answer(&mut self, step: Step, errno: i32) {
        if let Some(step) = self.inject_next(step, errno) {
            self.inject_send(step);
        }
    }

    /// The next attempt, or `None` after counting how it ended.
    fn inject_next(&mut self, mut step: Step, errno: i32) -> Option<Step> {
        let next = match (step.stage, errno) {
            // This kernel has no such function: without translation, as the original.
            (Stage::Create | Stage::CreateAgain, EINVAL) if step.without_function() => {
                Some(step.stage)
            }
            (Stage::Create, EEXIST) => Some(Stage::DeleteTaken),
            (Stage::DeleteTaken, 0 | ENOENT) => Some(Stage::CreateAgain),
            (Stage::Update, ENOENT) => Some(Stage::CreateMissing),
            (Stage::Update, e) if e != 0 => Some(Stage::DeleteStubborn),
            (Stage::DeleteStubborn, 0 | ENOENT) => Some(Stage::CreateAnew),
            _ => None,
        };
        if let Some(stage) = next {
            step.stage = stage;
            return Some(step);
        }
        self.inject_ended(step, errno);
        None
    }

    fn inject_ended(&mut self, step: Step, errno: i32) {
        let expect = matches!(step.subject, Subject::Expect(_));
        let counters = if expect {
            &mut self.injector.expectations
        } else {
            &mut self.injector.conntracks
        };
        let InjectCounters {
            add_ok,
            add_fail,
            upd_ok,
            upd_fail,
            del_ok,
            del_fail,
        } = counters;
        let (ok, fail, failure) = match step.stage {
            Stage::Create | Stage::CreateAgain => (add_ok, add_fail, InjectFailure::Add),
            Stage::DeleteTaken => (add_ok, add_fail, InjectFailure::AddAfterDelete),
            Stage::Update | Stage::DeleteStubborn => (upd_ok, upd_fail, InjectFailure::Update),
            Stage::CreateMissing => (upd_ok, upd_fail, InjectFailure::UpdateByCreate),
            Stage::CreateAnew => (upd_ok, upd_fail, InjectFailure::UpdateAfterDelete),
            Stage::Delete => (del_ok, del_fail, InjectFailure::Destroy),
        };
        let missing = step.stage == Stage::Delete && errno == ENOENT;
        if errno == 0 {
            *ok = ok.wrapping_add(1);
        } else if !missing {
            *fail = fail.wrapping_add(1);
            let mut line = String::new();
            match &step.subject {
                Subject::Conntrack(ct) => print::conntrack_text(&mut line, ct, 0),
                Subject::Expect(exp) => print::expect_text(&mut line, exp),
            }
            self.log(Notice::NotInjected {
                failure,
                expect,
                errno,
                flow: line.into_boxed_str(),
            });
        }
        self.inject_release(step.keys);
    }

    /// A flow's request is through: the next that waits for it goes on its way.
    fn inject_release(&mut self, keys: [u64; 2]) {
        let queues = keys.map(|key| self.injector.busy.remove(&key));
        for (key, queue) in keys.into_iter().zip(queues) {
            let Some(mut queue) = queue else { continue };
            loop {
                if let Some(waiting) = self.injector.busy.get_mut(&key) {
                    // Taken again: what waited stays in front of what came meanwhile.
                    queue.append(waiting);
                    *waiting = queue;
                    break;
                }
                let Some(step) = queue.pop_front() else { break };
                self.inject_in_turn(step);
            }
        }
    }
}

fn key_of_master(master: nfct::Tuple, zone: Option<u16>, hasher: &FixedState) -> u64 {
    let mut ct = Conntrack::with_orig(master);
    if let Some(zone) = zone.filter(|_| master.known.has(Known::L3)) {
        ct.set_zone(zone);
    }
    ct.hash(hasher)
}
