//! All of it together: inputs to checkers and services, deadlines, start and end.

use alloc::collections::{BinaryHeap, VecDeque};
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::mem;

use net_types::{Instant, Random};

use crate::config::{CheckerId, Config, Flush, Kind, RsId, VsId};
use crate::input::Input;
use crate::output::{Ipvs, Notice, Output};
use crate::schedule::{BOOTSTRAP, Checker};
use crate::service::{Pool, Real, Service, SorryServer, at};
use crate::verdict::Verdict;

/// The core of the checker process.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) pool: Pool,
    pub(crate) files: Vec<i64>,
    pub(crate) flush: Flush,
    pub(crate) rs_init_notifies: bool,
    /// When which checker begins its next probe: one deadline each.
    pub(crate) due: BinaryHeap<Reverse<(Instant, CheckerId)>>,
    random: Random,
    ended: bool,
}

impl Engine {
    /// Nothing happens before [`Input::Start`].
    pub fn new(config: &Config, seed: u64) -> Self {
        let mut engine = Self {
            pool: Pool::default(),
            files: Vec::new(),
            flush: Flush::No,
            rs_init_notifies: false,
            due: BinaryHeap::new(),
            random: Random::new(seed),
            ended: false,
        };
        engine.take(config);
        engine
    }

    /// Everything as it is written, nothing known, nothing in the table.
    pub(crate) fn take(&mut self, config: &Config) {
        let count = |f: fn(&crate::config::RealServer) -> usize| {
            let servers = config.virtual_servers.iter();
            servers.flat_map(|v| v.real_servers.iter().map(f)).sum()
        };
        let mut pool = Pool {
            services: Vec::with_capacity(config.virtual_servers.len()),
            reals: Vec::with_capacity(count(|_| 1)),
            checkers: Vec::with_capacity(count(|r| r.checkers.len())),
            owners: Vec::with_capacity(count(|r| r.checkers.len())),
            outputs: mem::take(&mut self.pool.outputs),
            no_checker_emails: config.no_checker_emails,
            count_in_service: config.count_in_service,
        };
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        for (n, written) in config.virtual_servers.iter().enumerate() {
            let vs = VsId(number(n));
            pool.services.push(Service {
                reals: (number(pool.reals.len()), number(written.real_servers.len())),
                quorum: written.quorum,
                hysteresis: written.hysteresis,
                omega: written.omega,
                addresses: written.ha_suspend,
                alive: false,
                live_weight: 0,
                // Only a quorum of 0 is there from the start.
                quorum_up: written.quorum.saturating_add(written.hysteresis) == 0,
                told_lost: false,
                sorry: written.sorry.map(|s| SorryServer {
                    inhibit: s.inhibit,
                    duplicates: s.duplicates,
                    ..SorryServer::default()
                }),
                reloaded: false,
            });
            for real in &written.real_servers {
                let rs = RsId(number(pool.reals.len()));
                pool.reals.push(Real {
                    vs,
                    checkers: (number(pool.checkers.len()), number(real.checkers.len())),
                    base: real.weight,
                    inhibit: real.inhibit,
                    smtp_alert: real.smtp_alert,
                    effective: real.weight.into(),
                    previous: real.weight.into(),
                    alive: false,
                    set: false,
                    failed: 0,
                    reloaded: false,
                });
                for checker in &real.checkers {
                    pool.checkers.push(Checker::new(*checker));
                    pool.owners.push(rs);
                }
            }
        }
        self.pool = pool;
        self.files.clone_from(&config.files);
        self.flush = config.flush_on_stop;
        self.rs_init_notifies = config.rs_init_notifies;
    }

    /// One thing happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.ended {
            return;
        }
        match input {
            Input::Start => self.start(now),
            Input::ProbeDone { checker, verdict } => self.probe_done(now, checker, verdict),
            Input::File { file, value } => self.file(file, value),
            Input::Bfd { checker, up } => self.bfd(checker, up),
            Input::Address { vs, present } => self.address(vs, present),
            Input::Weight { rs, weight } => self.pool.weigh(rs, weight.into(), true),
            Input::Reconfigure(config) => {
                self.reconfigure(&config);
                self.schedule_all(now);
            }
            Input::Shutdown { keep } => self.shut_down(keep),
        }
    }

    /// The next thing to do; none: wait for an input or for [`Self::next_timeout`].
    pub fn poll_output(&mut self) -> Option<Output> {
        let next = self.pool.outputs.pop_front();
        if next.is_none() && self.pool.outputs.capacity() > 1024 {
            self.pool.outputs = VecDeque::new();
        }
        next
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// Begins the probes that are due. Idempotent; early calls do nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.next_timeout().is_some_and(|due| due <= now) {
            let Some(Reverse((_, id))) = self.due.pop() else {
                break;
            };
            let Some(checker) = self.pool.checkers.get_mut(at(id.0)) else {
                continue;
            };
            if checker.enabled {
                let url = checker.begin(now);
                let probe = Output::Probe { checker: id, url };
                self.pool.outputs.push_back(probe);
            } else {
                let next = now + checker.written.delay_loop;
                self.due.push(Reverse((next, id)));
            }
        }
    }

    fn start(&mut self, now: Instant) {
        for n in 0..self.pool.checkers.len() {
            let id = CheckerId(u32::try_from(n).unwrap_or(u32::MAX));
            let Some(checker) = self.pool.checkers.get_mut(n) else {
                continue;
            };
            let written = checker.written;
            // One failure is enough at first.
            checker.attempts = match written.kind {
                Kind::Smtp => 0,
                _ => written.retry,
            };
            if written.alpha && !matches!(written.kind, Kind::File { .. }) {
                self.pool.mark(id, false);
            }
            self.first_file_state(id);
        }
        self.weigh_all();
        self.set_up();
        self.schedule_all(now);
    }

    /// A tracked file may count as a failure from the start.
    fn first_file_state(&mut self, id: CheckerId) {
        let checker = self.pool.checkers.get(at(id.0));
        let Some(Kind::File {
            file,
            weight,
            reverse,
        }) = checker.map(|c| c.written.kind)
        else {
            return;
        };
        let value = self.files.get(at(file)).copied().unwrap_or(0);
        // A file without a number says nothing yet, even to `reverse`.
        if value == 0 {
            return;
        }
        if weight == 0 || file_weight(value, weight, reverse) == FAULT {
            self.pool.mark(id, false);
        } else if let Some(checker) = self.pool.checkers.get_mut(at(id.0)) {
            checker.weight = file_weight(value, weight, reverse);
        }
    }

    /// Weights as configured, and what the checkers add.
    pub(crate) fn weigh_all(&mut self) {
        for n in 0..self.pool.reals.len() {
            let rs = RsId(u32::try_from(n).unwrap_or(u32::MAX));
            let checkers = self.pool.checkers_of(rs);
            let added = checkers.filter_map(|id| self.pool.checkers.get(at(id.0)));
            let added = added.fold(0_i64, |sum, checker| sum.saturating_add(checker.weight));
            self.pool.change_real(rs, |real| {
                real.effective = i64::from(real.base).saturating_add(added);
            });
        }
    }

    /// Virtual servers and real servers into the table, as far as they are not there.
    pub(crate) fn set_up(&mut self) {
        for n in 0..self.pool.services.len() {
            let vs = VsId(u32::try_from(n).unwrap_or(u32::MAX));
            if let Some(service) = self.pool.services.get_mut(n).filter(|s| !s.alive) {
                service.alive = true;
                self.pool.ipvs(Ipvs::Service(vs, true));
            }
            for rs in self.pool.reals_of(vs) {
                self.set_up_real(rs);
            }
            self.pool.quorum(vs, true);
            if let Some(sorry) = self.pool.sorry_of(vs).filter(|s| s.inhibit && !s.set) {
                if sorry.duplicates {
                    if let Some(Some(sorry)) = self.pool.services.get_mut(n).map(|s| &mut s.sorry) {
                        sorry.set = true;
                    }
                } else {
                    self.pool.add_sorry(vs, 0);
                }
            }
        }
    }

    fn set_up_real(&mut self, rs: RsId) {
        let Some(real) = self.pool.reals.get(at(rs.0)) else {
            return;
        };
        if real.reloaded {
            let (weight, previous) = (real.effective, real.previous);
            if weight != previous {
                self.pool.change_real(rs, |real| real.effective = previous);
                self.pool.weigh(rs, weight, false);
            }
            return;
        }
        let good = real.failed == 0;
        if (good && !real.alive) || (real.inhibit && !real.set) {
            self.pool.add_real(rs);
            if good {
                self.pool.change_real(rs, |real| real.alive = true);
                if self.rs_init_notifies {
                    self.pool.tell_real(rs, false, false);
                }
            }
        }
    }

    /// All checkers begin at a random moment of their warmup.
    fn schedule_all(&mut self, now: Instant) {
        self.due = BinaryHeap::with_capacity(self.pool.checkers.len());
        for n in 0..self.pool.checkers.len() {
            let id = CheckerId(u32::try_from(n).unwrap_or(u32::MAX));
            let suspended = self.is_suspended(id);
            let Some(checker) = self.pool.checkers.get_mut(n) else {
                continue;
            };
            checker.probing = false;
            if !checker.written.kind.is_active() {
                continue;
            }
            checker.enabled = !suspended;
            let (enabled, has_run) = (checker.enabled, checker.has_run);
            let first = now + BOOTSTRAP + self.random.part_of(checker.written.warmup);
            self.due.push(Reverse((first, id)));
            if !enabled || !has_run {
                self.pool.say(Notice::Activating {
                    checker: id,
                    enabled,
                });
            }
        }
    }

    fn is_suspended(&self, id: CheckerId) -> bool {
        let service = self.service_of(id).and_then(|vs| self.service(vs));
        service.is_some_and(|s| s.addresses == Some(0))
    }

    fn service_of(&self, id: CheckerId) -> Option<VsId> {
        let rs = self.pool.owners.get(at(id.0))?;
        self.pool.reals.get(at(rs.0)).map(|r| r.vs)
    }

    fn probe_done(&mut self, now: Instant, id: CheckerId, verdict: Verdict) {
        let rs = self.pool.owners.get(at(id.0)).copied();
        let base = rs.and_then(|rs| self.real(rs)).map_or(0, |r| r.base);
        // One that was given up at a reload may still be told of.
        let known = self.pool.checkers.get_mut(at(id.0));
        let Some(checker) = known.filter(|c| c.probing) else {
            return;
        };
        let was_up = checker.up;
        let script = matches!(checker.written.kind, Kind::Misc { .. });
        let judgement = checker.judge(id, verdict, base);
        if let Some((weight, told)) = judgement.weight {
            self.pool.weigh_checker(id, weight, told);
        }
        for notice in judgement.say.into_iter().flatten() {
            self.pool.say(notice);
        }
        if let Some(up) = judgement.turn {
            let moved = self.pool.turn(id, up);
            if was_up != up || script {
                self.pool.mail(id, Some(verdict), up, moved);
            }
        }
        if let Some(checker) = self.pool.checkers.get_mut(at(id.0)) {
            let next = checker.after(now, &judgement);
            self.due.push(Reverse((next, id)));
        }
    }

    fn bfd(&mut self, id: CheckerId, up: bool) {
        let Some(checker) = self.pool.checkers.get(at(id.0)) else {
            return;
        };
        let was_up = checker.up;
        if was_up == up && checker.has_run {
            return;
        }
        self.pool.say(Notice::Bfd { checker: id, up });
        let moved = self.pool.turn(id, up);
        if was_up != up {
            self.pool.mail(id, None, up, moved);
        }
    }

    fn file(&mut self, file: u32, value: i64) {
        let Some(slot) = self.files.get_mut(at(file)) else {
            return;
        };
        if mem::replace(slot, value) == value {
            return;
        }
        for n in 0..self.pool.checkers.len() {
            let id = CheckerId(u32::try_from(n).unwrap_or(u32::MAX));
            let kind = self.pool.checkers.get(n).map(|c| c.written.kind);
            if matches!(kind, Some(Kind::File { file: f, .. }) if f == file) {
                self.file_checker(id, value, true);
            }
        }
    }

    /// The number in the file of a checker has changed. `at_once`: not at a reload, which weighs everything in the end.
    pub(crate) fn file_checker(&mut self, id: CheckerId, value: i64, at_once: bool) {
        let Some(checker) = self.pool.checkers.get(at(id.0)) else {
            return;
        };
        let Kind::File {
            weight, reverse, ..
        } = checker.written.kind
        else {
            return;
        };
        let before = if checker.up { checker.weight } else { FAULT };
        let now = file_weight(value, weight, reverse);
        if before == now {
            return;
        }
        if now == FAULT {
            self.pool.say(Notice::FileFault {
                checker: id,
                fault: true,
            });
            self.pool.turn(id, false);
            self.pool.weigh_checker(id, 0, false);
        } else if before == FAULT {
            self.pool.say(Notice::FileFault {
                checker: id,
                fault: false,
            });
            self.pool.weigh_checker(id, now, false);
            self.pool.turn(id, true);
        } else {
            self.pool.weigh_checker(id, now, at_once);
        }
    }

    fn address(&mut self, vs: VsId, present: bool) {
        let service = self.pool.services.get_mut(at(vs.0));
        let Some(count) = service.and_then(|s| s.addresses.as_mut()) else {
            return;
        };
        *count = if present {
            count.saturating_add(1)
        } else {
            count.saturating_sub(1)
        };
        if !present && *count > 0 {
            return;
        }
        for rs in self.pool.reals_of(vs) {
            for id in self.pool.checkers_of(rs) {
                let Some(checker) = self.pool.checkers.get_mut(at(id.0)) else {
                    continue;
                };
                if checker.enabled != present {
                    checker.enabled = present;
                    self.pool.say(Notice::Suspending {
                        checker: id,
                        enabled: present,
                    });
                }
            }
        }
    }

    fn shut_down(&mut self, keep: bool) {
        self.due.clear();
        self.ended = true;
        if !keep {
            let full = self.flush == Flush::Full;
            if full {
                self.pool.ipvs(Ipvs::Flush);
            }
            let whole = self.flush == Flush::VirtualServers;
            for n in 0..self.pool.services.len() {
                let vs = VsId(u32::try_from(n).unwrap_or(u32::MAX));
                if full {
                    self.pool.quorum_gone(vs, true);
                } else {
                    self.pool.clear_service(vs, true, whole);
                }
            }
        }
        self.pool.outputs.push_back(Output::Done);
    }

    /// A virtual server, for dumps and SNMP.
    pub fn service(&self, vs: VsId) -> Option<&Service> {
        self.pool.services.get(at(vs.0))
    }

    /// A real server, likewise.
    pub fn real(&self, rs: RsId) -> Option<&Real> {
        self.pool.reals.get(at(rs.0))
    }

    /// A checker, likewise.
    pub fn checker(&self, id: CheckerId) -> Option<&Checker> {
        self.pool.checkers.get(at(id.0))
    }

    /// The real server of a checker.
    pub fn owner(&self, id: CheckerId) -> Option<RsId> {
        self.pool.owners.get(at(id.0)).copied()
    }

    /// The real servers of a virtual server.
    pub fn reals_of(&self, vs: VsId) -> impl Iterator<Item = RsId> + use<> {
        self.pool.reals_of(vs)
    }

    /// The checkers of a real server.
    pub fn checkers_of(&self, rs: RsId) -> impl Iterator<Item = CheckerId> + use<> {
        self.pool.checkers_of(rs)
    }

    /// The numbers in the tracked files.
    pub fn files(&self) -> &[i64] {
        &self.files
    }

    /// How many checkers there are.
    pub fn checkers(&self) -> usize {
        self.pool.checkers.len()
    }
}

/// The weight that means failure.
const FAULT: i64 = i32::MIN as i64;

/// What a number in a file adds to a weight; [`FAULT`]: it is a failure.
fn file_weight(value: i64, weight: i32, reverse: bool) -> i64 {
    if weight == 0 {
        return if (value != 0) != reverse { FAULT } else { 0 };
    }
    let sign = if reverse { -1 } else { 1 };
    let product = value.saturating_mul(weight.into()).saturating_mul(sign);
    product.clamp(FAULT, i32::MAX.into())
}
