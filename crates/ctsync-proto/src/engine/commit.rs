//! The external caches into the kernel (conntrackd-behaviour.md section 7).
//!
//! ```text
//!  flows without a master ─▶ related flows ─▶ (report) ─▶ expectations ─▶ (report) ─▶ reply ends
//!  one entry:  create ──EEXIST──▶ delete ──done or ENOENT──▶ create once more
//!  one that the kernel has:  change ──ENOENT──▶ create, as above
//!                               └──other──▶ delete, as above
//!  one that can come out in one way only:  created or changed unheard (plain.rs), and as above when the kernel refuses
//! ```
//! A pass ends only when all its answers are in: the kernel needs a master before its related flow.

use alloc::boxed::Box;
use alloc::string::String;

use net_types::Instant;
use nfct::codec::{ConntrackOp, ExpectOp, create_request, request, request_expect, update_request};
use nfct::{Conntrack, ExpAttr, Expect, print};

use super::Engine;
use super::kernel::{ENOENT, Job};
use super::known::InKernel;
use crate::input::{ClientId, RequestId};
use crate::notice::Notice;
use crate::output::KernelSocket;

/// Error number of "the tuple is taken".
pub(super) const EEXIST: i32 = 17;
/// Error number of "invalid", for entries that no request can be built from.
pub(super) const EINVAL: i32 = 22;

/// Requests on their way at a time.
const WINDOW: u32 = 128;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Masters,
    Related,
    Expectations,
}

/// A commit that runs.
#[derive(Debug)]
pub(super) struct Commit {
    client: Option<ClientId>,
    pass: Pass,
    then_expectations: bool,
    next: u32,
    in_flight: u32,
    done: u32,
    failed: u32,
    began: Instant,
}

/// What is committed, with the timeout it gets.
#[derive(Clone, Debug)]
enum Subject {
    Conntrack(Box<Conntrack>),
    Expect(Box<Expect>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Change,
    Create,
    Delete,
    CreateAgain,
}

/// A request of the commit that is on its way.
#[derive(Debug)]
pub(super) struct Step {
    subject: Subject,
    timeout: Option<u32>,
    stage: Stage,
}

/// How an entry's commit begins.
enum First {
    Step(Step),
    /// It can be committed without hearing what came of it.
    Unheard {
        ct: Conntrack,
        timeout: Option<u32>,
        change: bool,
    },
}

impl Step {
    /// The creation or change of an entry, alone.
    pub(super) fn alone(ct: Conntrack, timeout: Option<u32>, change: bool) -> Self {
        Self {
            subject: Subject::Conntrack(Box::new(ct)),
            timeout,
            stage: if change { Stage::Change } else { Stage::Create },
        }
    }
}

/// Which caches to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Conntracks,
    Expectations,
    All,
}

impl Engine {
    /// Begins a commit for `client`, whose connection stays open until the end.
    pub(super) fn begin_commit(&mut self, now: Instant, client: ClientId, scope: Scope) {
        self.timers.purge = None;
        if self.config.disable_external_cache {
            // There is nothing to commit.
            self.reply_end(client);
            return;
        }
        if self.commit.is_some() {
            self.log(Notice::CommitInProgress);
            self.reply_end(client);
            return;
        }
        if self.unheard.possible && scope != Scope::Expectations {
            let more = self.external.total().saturating_sub(self.internal.total());
            self.internal.expect_more(more);
        }
        self.commit = Some(Commit {
            client: Some(client),
            pass: if scope == Scope::Expectations {
                Pass::Expectations
            } else {
                Pass::Masters
            },
            then_expectations: scope == Scope::All && self.config.expectation_sync,
            next: 0,
            in_flight: 0,
            done: 0,
            failed: 0,
            began: now,
        });
    }

    /// Fills the window with requests, and moves on to the next pass when one is through.
    pub(super) fn step_commit(&mut self, now: Instant, wall: u64) {
        if self.batch.is_some() {
            return;
        }
        let Some(mut commit) = self.commit.take() else {
            return;
        };
        while commit.in_flight < WINDOW {
            let slots = if commit.pass == Pass::Expectations {
                self.external_exp.slots()
            } else {
                self.external.slots()
            };
            if commit.next >= slots {
                if commit.in_flight > 0 {
                    break;
                }
                if !self.end_pass(now, &mut commit) {
                    return;
                }
                continue;
            }
            let slot = commit.next;
            commit.next = commit.next.saturating_add(1);
            let sent = match self.first_step(slot, commit.pass, now) {
                None => continue,
                Some(First::Unheard {
                    ct,
                    timeout,
                    change,
                }) => self.put_in_batch(ct, timeout, change),
                Some(First::Step(step)) => self.send_step(step),
            };
            if let Err(step) = sent {
                commit.failed = commit.failed.saturating_add(1);
                self.commit_failed(&step, EINVAL, wall);
            } else {
                commit.in_flight = commit.in_flight.saturating_add(1);
            }
        }
        self.commit = Some(commit);
        self.send_batch();
    }

    /// Reports a finished pass and prepares the next; `false` when there is none.
    fn end_pass(&mut self, now: Instant, commit: &mut Commit) -> bool {
        commit.next = 0;
        if commit.pass == Pass::Masters {
            commit.pass = Pass::Related;
            return true;
        }
        let expectations = commit.pass == Pass::Expectations;
        self.log(Notice::Committed {
            entries: commit.done,
            expectations,
        });
        if commit.failed > 0 {
            self.log(Notice::CommitFailures {
                entries: commit.failed,
                expectations,
            });
        }
        self.log(Notice::CommitTime {
            micros: now.since(commit.began).as_micros(),
        });
        if commit.then_expectations {
            commit.then_expectations = false;
            commit.pass = Pass::Expectations;
            commit.done = 0;
            commit.failed = 0;
            commit.began = now;
            return true;
        }
        if let Some(client) = commit.client {
            self.reply_end(client);
        }
        false
    }

    fn first_step(&self, slot: u32, pass: Pass, now: Instant) -> Option<First> {
        let seconds = self.seconds(now);
        let fixed = self.config.commit_timeout;
        // What is left of the peer's timeout; a minute when it is over (or was never known), its own when exactly 0.
        let timeout = |own: Option<u32>, updated: u32| {
            if fixed > 0 {
                return Some(fixed);
            }
            let age = i64::from(seconds).saturating_sub(i64::from(updated));
            let left = i64::from(own.unwrap_or_default()).saturating_sub(age);
            match u32::try_from(left) {
                Ok(0) if own.is_none() => Some(60),
                Ok(0) => None,
                Ok(left) => Some(left),
                Err(_) => Some(60),
            }
        };
        if pass == Pass::Expectations {
            let entry = self.external_exp.get(slot)?;
            let has_own = entry.object.set.has(ExpAttr::TIMEOUT);
            return Some(First::Step(Step {
                timeout: timeout(has_own.then_some(entry.object.timeout), entry.updated),
                subject: Subject::Expect(Box::new(entry.object.clone())),
                stage: Stage::Create,
            }));
        }
        let entry = self.external.get(slot)?;
        let ct = &entry.object;
        if ct.is_related() != (pass == Pass::Related) {
            return None;
        }
        let timeout = timeout(ct.timeout(), entry.updated);
        let known = self.in_kernel(ct);
        if known != InKernel::Different && self.may_go_unheard(ct) {
            return Some(First::Unheard {
                ct: ct.clone(),
                timeout,
                change: known == InKernel::Alike,
            });
        }
        let stage = match known {
            InKernel::Alike => Stage::Change,
            InKernel::No | InKernel::Different => Stage::Create,
        };
        Some(First::Step(Step {
            subject: Subject::Conntrack(Box::new(ct.clone())),
            timeout,
            stage,
        }))
    }

    /// Sends a step's request; gives the step back when no request can be built from its entry.
    fn send_step(&mut self, step: Step) -> Result<(), Step> {
        let id = RequestId(self.next_request);
        let message = match (&step.subject, step.stage) {
            (Subject::Conntrack(ct), Stage::Delete) => request(ConntrackOp::Delete, ct, id.0),
            (Subject::Conntrack(ct), Stage::Change) => {
                update_request(ct, step.timeout, !self.config.tcp_window_tracking, id.0)
            }
            (Subject::Conntrack(ct), _) => {
                create_request(ct, step.timeout, !self.config.tcp_window_tracking, id.0)
            }
            (Subject::Expect(exp), Stage::Delete) => request_expect(ExpectOp::Delete, exp, id.0),
            (Subject::Expect(exp), _) => {
                let mut exp = exp.clone();
                if let Some(seconds) = step.timeout {
                    exp.timeout = seconds;
                    exp.set = exp.set.with(ExpAttr::TIMEOUT);
                }
                request_expect(ExpectOp::Create, &exp, id.0)
            }
        };
        let Some(message) = message else {
            return Err(step);
        };
        let id = self.request_id();
        self.jobs.insert(id, Job::Commit(step));
        self.kernel_send(id, KernelSocket::Commit, message);
        Ok(())
    }

    /// The kernel answered a request of the commit.
    pub(super) fn commit_answer(&mut self, mut step: Step, errno: i32) {
        let next = match (step.stage, errno) {
            // This kernel has no such function: without translation, as the original.
            (stage, EINVAL) if without_function(&mut step.subject) => Some(stage),
            (Stage::Change, ENOENT) => Some(Stage::Create),
            (Stage::Change, 1..) | (Stage::Create, EEXIST) => Some(Stage::Delete),
            (Stage::Delete, 0 | ENOENT) => Some(Stage::CreateAgain),
            _ => None,
        };
        if let Some(stage) = next {
            step.stage = stage;
            if self.send_step(step).is_ok() {
                return;
            }
            self.commit_counted(false);
            return;
        }
        let success = errno == 0;
        if !success {
            self.commit_failed(&step, errno, 0);
        }
        self.commit_counted(success);
    }

    pub(super) fn commit_counted(&mut self, success: bool) {
        if let Some(commit) = &mut self.commit {
            commit.in_flight = commit.in_flight.saturating_sub(1);
            if success {
                commit.done = commit.done.saturating_add(1);
            } else {
                commit.failed = commit.failed.saturating_add(1);
            }
        }
    }

    fn commit_failed(&mut self, step: &Step, errno: i32, wall: u64) {
        let mut line = String::new();
        match &step.subject {
            Subject::Conntrack(ct) => print::conntrack_text(&mut line, ct, wall),
            Subject::Expect(exp) => print::expect_text(&mut line, exp),
        }
        let flow = line.into_boxed_str();
        self.log(if step.stage == Stage::Delete {
            Notice::CommitDestroy { errno, flow }
        } else {
            Notice::CommitCreate { errno, flow }
        });
    }

    /// The operator who waits hung up; the commit goes on.
    pub(super) fn commit_client_gone(&mut self, client: ClientId) {
        if let Some(commit) = &mut self.commit {
            commit.client = commit.client.filter(|c| *c != client);
        }
    }
}

/// Takes an expectation's function and translation away, for a kernel that does not know it; `false` when it has none.
fn without_function(subject: &mut Subject) -> bool {
    match subject {
        Subject::Expect(exp) => {
            exp.nat = None;
            exp.function.take().is_some()
        }
        Subject::Conntrack(_) => false,
    }
}
