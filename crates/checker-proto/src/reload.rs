//! A new configuration: what is the same goes on as it was, what is gone is taken out, what is new begins.
//!
//! Outputs about what is gone come first, with the old numbers; then [`Output::Reconfigured`]; then the rest, with the new ones.
//! Answers to: keepalived 2.3.3 check/ipwrapper.c (`clear_diff_services`, `migrate_checkers`).

use alloc::vec;
use core::mem;

use crate::config::{CheckerId, Config, Flush, Kind, RsId, VsId};
use crate::engine::Engine;
use crate::output::{Ipvs, Notice, Output};
use crate::schedule::Checker;
use crate::service::{Pool, at};

impl Engine {
    pub(crate) fn reconfigure(&mut self, config: &Config) {
        self.take_out(config);
        self.pool.outputs.push_back(Output::Reconfigured);
        let mut before = mem::take(&mut self.pool);
        self.pool.outputs = mem::take(&mut before.outputs);
        self.take(config);
        let mut number = (0, 0);
        for (n, written) in config.virtual_servers.iter().enumerate() {
            let vs = VsId(u32::try_from(n).unwrap_or(u32::MAX));
            let kept = self.adopt_service(&before, vs, written.before, written.sorry);
            for real in &written.real_servers {
                let rs = RsId(number.0);
                number.0 = number.0.saturating_add(1);
                let first = CheckerId(number.1);
                let count = u32::try_from(real.checkers.len()).unwrap_or(u32::MAX);
                number.1 = number.1.saturating_add(count);
                match real.before.filter(|_| kept) {
                    Some(old) => self.adopt_real(&before, rs, old),
                    None => self.new_real(rs, first, count),
                }
            }
        }
        self.follow_files();
        self.weigh_all();
        self.set_up();
        // A virtual server whose sorry server is gone for good has its own servers again.
        for (n, written) in config.virtual_servers.iter().enumerate() {
            let vs = VsId(u32::try_from(n).unwrap_or(u32::MAX));
            let old = written.before.and_then(|old| before.sorry_of(old));
            if old.is_some_and(|old| old.alive) && written.sorry.is_none() {
                self.pool.pool(vs, true);
            }
        }
    }

    /// What is not in the new configuration.
    fn take_out(&mut self, config: &Config) {
        let mut services = vec![None; self.pool.services.len()];
        let mut reals = vec![false; self.pool.reals.len()];
        for (n, vs) in config.virtual_servers.iter().enumerate() {
            if let Some(slot) = vs.before.and_then(|b| services.get_mut(at(b.0))) {
                *slot = Some(n);
            }
            for rs in vs.real_servers.iter().filter_map(|r| r.before) {
                if let Some(slot) = reals.get_mut(at(rs.0)) {
                    *slot = true;
                }
            }
        }
        let whole = self.flush != Flush::No;
        for (n, kept) in services.into_iter().enumerate() {
            let vs = VsId(u32::try_from(n).unwrap_or(u32::MAX));
            let Some(new) = kept.and_then(|n| config.virtual_servers.get(n)) else {
                self.pool.say(Notice::RemovingVirtualServer(vs));
                self.pool.clear_service(vs, false, whole);
                continue;
            };
            let mut any = false;
            for rs in self.pool.reals_of(vs) {
                any = true;
                if !reals.get(at(rs.0)).is_some_and(|kept| *kept) {
                    self.pool.say(Notice::NoLonger(rs));
                    self.pool.clear_real(rs, false);
                }
            }
            if any {
                self.pool.quorum_gone(vs, false);
            }
            self.take_out_sorry(vs, new.sorry);
        }
    }

    fn take_out_sorry(&mut self, vs: VsId, new: Option<crate::config::Sorry>) {
        let Some(old) = self.pool.sorry_of(vs) else {
            return;
        };
        if new.is_some_and(|new| new.same && (new.inhibit == old.inhibit || old.alive)) {
            return;
        }
        if old.alive || old.inhibit && old.set {
            self.pool.say(Notice::SorryGone(vs));
            self.pool.remove_sorry(vs, true);
        }
    }

    /// Whether there was one.
    fn adopt_service(
        &mut self,
        before: &Pool,
        vs: VsId,
        old: Option<VsId>,
        sorry: Option<crate::config::Sorry>,
    ) -> bool {
        let was = old.and_then(|old| before.services.get(at(old.0)));
        let (Some(was), Some(service)) = (was, self.pool.services.get_mut(at(vs.0))) else {
            return false;
        };
        service.alive = was.alive;
        // What was lost by taking real servers away is judged again, with those that the new configuration has.
        service.quorum_up = was.quorum_up || was.told_lost;
        service.told_lost = was.told_lost;
        service.reloaded = true;
        if let (Some(addresses), Some(count)) = (&mut service.addresses, was.addresses) {
            *addresses = count;
        }
        if let (Some(now), Some(was)) = (&mut service.sorry, was.sorry) {
            if sorry.is_some_and(|s| s.same) {
                now.alive = was.alive;
                // It was taken out if it is to be otherwise.
                now.set = was.set && (was.alive || was.inhibit == now.inhibit);
            }
        }
        true
    }

    fn adopt_real(&mut self, before: &Pool, rs: RsId, old: RsId) {
        let Some(was) = before.reals.get(at(old.0)) else {
            return;
        };
        self.pool.change_real(rs, |real| {
            real.alive = was.alive;
            real.set = was.set;
            real.effective = was.effective;
            real.previous = was.effective;
            real.reloaded = true;
        });
        let Some(real) = self.pool.reals.get(at(rs.0)) else {
            return;
        };
        let (alive, set, inhibit, base) = (was.alive, was.set, real.inhibit, real.base);
        for id in self.pool.checkers_of(rs) {
            if let Some(checker) = self.pool.checkers.get_mut(at(id.0)) {
                let old = checker.written.before;
                if let Some(old) = old.and_then(|old| before.checkers.get(at(old.0))) {
                    adopt_checker(checker, old, base);
                }
            }
        }
        let checkers = || self.pool.checkers_of(rs);
        let of = |id: CheckerId| self.pool.checkers.get(at(id.0));
        let known = checkers().filter_map(of).filter(|c| c.has_run);
        let (any_ran, down) = known.fold((false, 0_u32), |(_, n), c| (true, n + u32::from(!c.up)));
        if let Some(real) = self.pool.reals.get_mut(at(rs.0)) {
            real.failed = down;
        }
        // Until they have run, new alpha checkers do not bring up what is down.
        if down > 0 || (!alive && !any_ran) {
            for id in self.pool.checkers_of(rs) {
                let Some(checker) = self.pool.checkers.get_mut(at(id.0)) else {
                    continue;
                };
                if !checker.has_run {
                    checker.attempts = checker.written.retry;
                    if checker.written.alpha {
                        self.pool.mark(id, false);
                    }
                }
            }
        }
        let failed = self.pool.reals.get(at(rs.0)).map_or(0, |r| r.failed);
        if failed == 0 && !alive {
            self.pool.turn_real(rs, true);
        } else if failed > 0 && set != inhibit {
            self.pool.change_real(rs, |real| {
                real.set = inhibit;
                real.alive = false;
            });
            let weight = Some(0).filter(|_| inhibit);
            self.pool.ipvs(Ipvs::Real(rs, weight));
        }
    }

    /// A real server that was not there: one failure is enough, and alpha means down.
    fn new_real(&mut self, _: RsId, first: CheckerId, count: u32) {
        for id in (first.0..first.0.saturating_add(count)).map(CheckerId) {
            let alpha =
                self.pool.checkers.get(at(id.0)).is_some_and(|c| {
                    c.written.alpha && !matches!(c.written.kind, Kind::File { .. })
                });
            if alpha {
                self.pool.mark(id, false);
            }
        }
    }

    /// Numbers of files that have changed, or that are new for a checker.
    fn follow_files(&mut self) {
        for n in 0..self.pool.checkers.len() {
            let Some(checker) = self.pool.checkers.get(n) else {
                continue;
            };
            let Kind::File { file, .. } = checker.written.kind else {
                continue;
            };
            let id = CheckerId(u32::try_from(n).unwrap_or(u32::MAX));
            let value = self.files.get(at(file)).copied().unwrap_or(0);
            // As at the start, a new checker learns nothing from a file without a number.
            if value != 0 || checker.written.before.is_some() {
                self.file_checker(id, value, false);
            }
        }
    }
}

fn adopt_checker(checker: &mut Checker, old: &Checker, base: u32) {
    if old.has_run {
        checker.up = old.up;
    }
    checker.has_run = old.has_run;
    checker.attempts = if !checker.up {
        checker.written.retry.saturating_add(1)
    } else {
        old.attempts.min(checker.written.retry)
    };
    match checker.written.kind {
        Kind::Misc { dynamic } => {
            checker.last_exit = old.last_exit;
            checker.started = old.started;
            if dynamic && old.last_exit > 1 {
                checker.weight = i64::from(old.last_exit) - 2 - i64::from(base);
            }
        }
        Kind::Web { .. } if !checker.up => {
            checker.failed_url = old.failed_url;
            checker.url = old.failed_url.unwrap_or(0);
        }
        Kind::File { .. } => checker.weight = old.weight,
        _ => {}
    }
}
