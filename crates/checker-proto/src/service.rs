//! Virtual servers: who of the real servers is in service, whether there is a quorum, and when the sorry server stands in.
//!
//! ```text
//!   no failed checker ─▶ alive ─▶ in the table with its weight      failed ─▶ out of it, or weight 0 (inhibit_on_failure)
//!   weight of all alive ≥ quorum + hysteresis ─▶ quorum up          < quorum − hysteresis, or 0 ─▶ down: the sorry server alone
//! ```
//! Answers to: keepalived 2.3.3 check/ipwrapper.c, check/ipvswrapper.c.

use alloc::collections::VecDeque;

use crate::config::{CheckerId, RsId, VsId};
use crate::output::{Ipvs, Notice, Output, Quorum};
use crate::schedule::Checker;
use crate::verdict::Verdict;

/// The largest weight.
const WEIGHT_MAX: i64 = 0x7fff_ffff;

/// What the kernel gets of a weight that several have worked on.
pub fn real_weight(weight: i64) -> u32 {
    u32::try_from(weight.clamp(0, WEIGHT_MAX)).unwrap_or(0)
}

/// One real server.
#[derive(Clone, Debug)]
pub struct Real {
    /// Its virtual server.
    pub vs: VsId,
    /// Its first checker, and how many it has.
    pub checkers: (u32, u32),
    /// `weight`
    pub base: u32,
    /// `inhibit_on_failure`
    pub inhibit: bool,
    /// `smtp_alert`
    pub smtp_alert: bool,
    /// The weight that all have worked on.
    pub effective: i64,
    /// The same before the last reload.
    pub previous: i64,
    /// In service, as far as it is up to itself.
    pub alive: bool,
    /// In the table, maybe with weight 0.
    pub set: bool,
    /// How many of its checkers are down.
    pub failed: u32,
    /// It was there before the last reload.
    pub reloaded: bool,
}

impl Real {
    /// What it adds to the quorum.
    fn live_weight(&self) -> i64 {
        if self.alive {
            real_weight(self.effective).into()
        } else {
            0
        }
    }
}

/// A sorry server.
#[derive(Clone, Copy, Debug, Default)]
pub struct SorryServer {
    /// `sorry_server_inhibit`
    pub inhibit: bool,
    /// A real server has the same address.
    pub duplicates: bool,
    /// It stands in.
    pub alive: bool,
    /// In the table, maybe with weight 0.
    pub set: bool,
}

/// One virtual server.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its first real server, and how many it has.
    pub reals: (u32, u32),
    /// `quorum`
    pub quorum: u32,
    /// `hysteresis`
    pub hysteresis: u32,
    /// `omega`
    pub omega: bool,
    /// `ha_suspend`: how often its address is here.
    pub addresses: Option<u32>,
    /// In the table.
    pub alive: bool,
    /// Weight of all real servers that are alive. Kept, not summed: there may be tens of thousands, and each asks when it turns.
    pub live_weight: i64,
    /// There is a quorum.
    pub quorum_up: bool,
    /// A reload has taken real servers away, and it was told that there is no quorum without them.
    pub(crate) told_lost: bool,
    /// The sorry server.
    pub sorry: Option<SorryServer>,
    /// It was there before the last reload.
    pub reloaded: bool,
}

impl Service {
    /// The real servers are not to be touched: the sorry server stands in for all of them.
    pub(crate) fn is_sorry(&self) -> bool {
        !self.quorum_up && self.sorry.is_some_and(|s| s.alive)
    }
}

/// All of them, and what is to be done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    pub(crate) services: alloc::vec::Vec<Service>,
    pub(crate) reals: alloc::vec::Vec<Real>,
    pub(crate) checkers: alloc::vec::Vec<Checker>,
    /// Real server of each checker.
    pub(crate) owners: alloc::vec::Vec<RsId>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) no_checker_emails: bool,
    pub(crate) count_in_service: bool,
}

/// An index into one of the tables; ids come from them.
pub(crate) const fn at(id: u32) -> usize {
    id as usize
}

impl Pool {
    pub(crate) fn say(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    pub(crate) fn ipvs(&mut self, change: Ipvs) {
        self.outputs.push_back(Output::Ipvs(change));
    }

    /// The real servers of a virtual server.
    pub(crate) fn reals_of(&self, vs: VsId) -> impl Iterator<Item = RsId> + use<> {
        let (first, count) = self.services.get(at(vs.0)).map_or((0, 0), |s| s.reals);
        (first..first.saturating_add(count)).map(RsId)
    }

    /// The checkers of a real server.
    pub(crate) fn checkers_of(&self, rs: RsId) -> impl Iterator<Item = CheckerId> + use<> {
        let (first, count) = self.reals.get(at(rs.0)).map_or((0, 0), |r| r.checkers);
        (first..first.saturating_add(count)).map(CheckerId)
    }

    fn is_sorry(&self, vs: VsId) -> bool {
        self.services.get(at(vs.0)).is_some_and(Service::is_sorry)
    }

    /// Weight of the real servers that are alive.
    fn live_weight(&self, vs: VsId) -> i64 {
        self.services.get(at(vs.0)).map_or(0, |s| s.live_weight)
    }

    /// Changes state or weight of a real server, and with it what its virtual server has.
    pub(crate) fn change_real(&mut self, rs: RsId, change: impl FnOnce(&mut Real)) {
        let Some(real) = self.reals.get_mut(at(rs.0)) else {
            return;
        };
        let before = real.live_weight();
        change(real);
        let more = real.live_weight() - before;
        if let Some(service) = self.services.get_mut(at(real.vs.0)) {
            service.live_weight = service.live_weight.saturating_add(more);
        }
    }

    /// How many are in service, if anybody wants to know.
    fn in_service(&self, vs: VsId) -> u32 {
        if !self.count_in_service {
            return 0;
        }
        let alive = self.reals_of(vs).filter_map(|rs| self.reals.get(at(rs.0)));
        let count = alive.filter(|r| r.alive).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Into the table, or back to its weight.
    pub(crate) fn add_real(&mut self, rs: RsId) {
        let Some(real) = self.reals.get_mut(at(rs.0)) else {
            return;
        };
        let weight = if !real.set && real.inhibit && real.failed > 0 {
            0
        } else {
            real_weight(real.effective)
        };
        real.set = true;
        self.ipvs(Ipvs::Real(rs, Some(weight)));
    }

    /// Out of the table, or to weight 0.
    fn remove_real(&mut self, rs: RsId) {
        let Some(real) = self.reals.get_mut(at(rs.0)) else {
            return;
        };
        real.set = real.inhibit;
        let weight = Some(0).filter(|_| real.inhibit);
        self.ipvs(Ipvs::Real(rs, weight));
    }

    pub(crate) fn add_sorry(&mut self, vs: VsId, weight: u32) {
        let sorry = self.services.get_mut(at(vs.0)).map(|s| &mut s.sorry);
        if let Some(Some(sorry)) = sorry {
            sorry.set = true;
            self.ipvs(Ipvs::Sorry(vs, Some(weight)));
        }
    }

    /// `force`: also one that would stay with weight 0.
    pub(crate) fn remove_sorry(&mut self, vs: VsId, force: bool) {
        let sorry = self.services.get_mut(at(vs.0)).map(|s| &mut s.sorry);
        if let Some(Some(sorry)) = sorry {
            let stays = sorry.inhibit && !force;
            sorry.set = stays;
            let weight = Some(0).filter(|_| stays);
            self.ipvs(Ipvs::Sorry(vs, weight));
        }
    }

    pub(crate) fn tell_real(&mut self, rs: RsId, stopping: bool, quiet: bool) {
        let Some(real) = self.reals.get(at(rs.0)) else {
            return;
        };
        let (up, in_service) = (real.alive, self.in_service(real.vs));
        self.outputs.push_back(Output::RealServer {
            rs,
            up,
            stopping,
            quiet,
            in_service,
        });
    }

    /// All that are alive into the table or out of it.
    pub(crate) fn pool(&mut self, vs: VsId, add: bool) {
        self.say(Notice::Pool(vs, add));
        for rs in self.reals_of(vs) {
            if !self.reals.get(at(rs.0)).is_some_and(|r| r.alive) {
                continue;
            }
            if add {
                self.add_real(rs);
            } else {
                self.remove_real(rs);
            }
        }
    }

    /// The quorum may have come or gone. `init`: the virtual server was just set up.
    pub(crate) fn quorum(&mut self, vs: VsId, init: bool) {
        let (weight, in_service) = (self.live_weight(vs), self.in_service(vs));
        let Some(service) = self.services.get_mut(at(vs.0)) else {
            return;
        };
        let (quorum, hysteresis) = (i64::from(service.quorum), i64::from(service.hysteresis));
        let was_up = service.quorum_up;
        let threshold = if was_up {
            quorum - hysteresis
        } else {
            quorum + hysteresis
        };
        let state = |up| Quorum {
            vs,
            up,
            init,
            threshold,
            weight,
            stopping: false,
            quiet: false,
            in_service,
        };
        let told_lost = core::mem::take(&mut service.told_lost);
        let sorry = service.sorry;
        let waits = sorry.is_some_and(|s| !s.alive);
        if !was_up && weight >= threshold {
            service.quorum_up = true;
            self.say(Notice::Gained(state(true)));
            if sorry.is_some_and(|s| s.alive) {
                self.say(Notice::Sorry(vs, false));
                self.remove_sorry(vs, false);
                self.set_sorry_alive(vs, false);
                self.pool(vs, true);
            }
            self.outputs.push_back(Output::Quorum(state(true)));
        } else if was_up && (weight == 0 || weight < threshold) || init && !was_up && waits {
            service.quorum_up = false;
            self.say(Notice::Lost(state(false)));
            if waits {
                self.say(Notice::Sorry(vs, true));
                self.pool(vs, false);
                self.add_sorry(vs, 1);
                self.set_sorry_alive(vs, true);
            }
            self.outputs.push_back(Output::Quorum(state(false)));
        } else if told_lost {
            // New real servers, or a smaller quorum: the original leaves everybody in the belief that it is lost.
            self.outputs.push_back(Output::Quorum(state(true)));
        }
    }

    pub(crate) fn set_sorry_alive(&mut self, vs: VsId, alive: bool) {
        let sorry = self.services.get_mut(at(vs.0)).map(|s| &mut s.sorry);
        if let Some(Some(sorry)) = sorry {
            sorry.alive = alive;
        }
    }

    /// A real server goes into service or out of it.
    pub(crate) fn turn_real(&mut self, rs: RsId, up: bool) {
        let Some(real) = self.reals.get(at(rs.0)) else {
            return;
        };
        let vs = real.vs;
        if real.alive == up {
            return;
        }
        self.say(Notice::Service { rs, up });
        // While the sorry server stands in, only the state changes.
        if !self.is_sorry(vs) {
            if up {
                self.add_real(rs);
            } else {
                self.remove_real(rs);
            }
        }
        self.change_real(rs, |real| real.alive = up);
        self.tell_real(rs, false, false);
        self.quorum(vs, false);
    }

    /// Another weight of a real server.
    pub(crate) fn weigh(&mut self, rs: RsId, weight: i64, update_quorum: bool) {
        let Some(real) = self.reals.get(at(rs.0)) else {
            return;
        };
        let (from, to) = (real_weight(real.effective), real_weight(weight));
        let (vs, active, set) = (real.vs, real.alive, real.set);
        self.change_real(rs, |real| real.effective = weight);
        if from == to {
            return;
        }
        self.say(Notice::Weight {
            rs,
            from,
            to,
            active,
        });
        if set && active && !self.is_sorry(vs) {
            self.ipvs(Ipvs::Real(rs, Some(to)));
        }
        if update_quorum {
            self.quorum(vs, false);
        }
    }

    /// What a checker adds to the weight of its real server is another.
    pub(crate) fn weigh_checker(&mut self, id: CheckerId, weight: i64, told: bool) {
        let (Some(checker), Some(rs)) = (
            self.checkers.get_mut(at(id.0)),
            self.owners.get(at(id.0)).copied(),
        ) else {
            return;
        };
        let before = core::mem::replace(&mut checker.weight, weight);
        let Some(real) = self.reals.get(at(rs.0)) else {
            return;
        };
        let effective = real.effective.saturating_sub(before).saturating_add(weight);
        if told {
            self.weigh(rs, effective, true);
        } else {
            self.change_real(rs, |real| real.effective = effective);
        }
    }

    /// The state of a checker, and the count of those that are down; nothing follows.
    pub(crate) fn mark(&mut self, id: CheckerId, up: bool) {
        let (Some(checker), Some(rs)) = (
            self.checkers.get_mut(at(id.0)),
            self.owners.get(at(id.0)).copied(),
        ) else {
            return;
        };
        if checker.up == up {
            return;
        }
        checker.up = up;
        if let Some(real) = self.reals.get_mut(at(rs.0)) {
            real.failed = if up {
                real.failed.saturating_sub(1)
            } else {
                real.failed.saturating_add(1)
            };
        }
    }

    /// A checker is up, or down, and everything that follows. Whether its real server came or went.
    pub(crate) fn turn(&mut self, id: CheckerId, up: bool) -> bool {
        let (Some(checker), Some(rs)) = (
            self.checkers.get_mut(at(id.0)),
            self.owners.get(at(id.0)).copied(),
        ) else {
            return false;
        };
        let first = !core::mem::replace(&mut checker.has_run, true);
        if checker.up == up {
            if first && (checker.written.alpha || !up) {
                self.tell_real(rs, false, false);
            }
            return false;
        }
        let Some(real) = self.reals.get(at(rs.0)) else {
            return false;
        };
        let (was_alive, failed) = (real.alive, real.failed);
        if (up && failed <= 1) || (!up && failed == 0) {
            self.turn_real(rs, up);
        }
        self.mark(id, up);
        self.reals
            .get(at(rs.0))
            .is_some_and(|r| r.alive != was_alive)
    }

    /// Mail about a checker, if anybody wants it.
    pub(crate) fn mail(&mut self, id: CheckerId, verdict: Option<Verdict>, up: bool, moved: bool) {
        let owner = self.owners.get(at(id.0));
        let real = owner.and_then(|rs| self.reals.get(at(rs.0)));
        if real.is_some_and(|r| r.smtp_alert) && (moved || !self.no_checker_emails) {
            self.outputs.push_back(Output::CheckerMail {
                checker: id,
                verdict,
                up,
            });
        }
    }

    /// Out of the table for good: it is not configured any more, or the daemon stops.
    pub(crate) fn clear_real(&mut self, rs: RsId, stopping: bool) {
        let Some(real) = self.reals.get(at(rs.0)) else {
            return;
        };
        let (vs, set, alive, smtp_alert) = (real.vs, real.set, real.alive, real.smtp_alert);
        let inhibited = real.inhibit && !alive;
        if set {
            self.change_real(rs, |real| {
                real.set = false;
                real.alive = false;
            });
        }
        if set || stopping {
            self.say(Notice::Removing {
                rs,
                stopping,
                inhibited,
            });
        }
        if !set {
            return;
        }
        self.ipvs(Ipvs::Real(rs, None));
        if !alive {
            return;
        }
        let omega = self.services.get(at(vs.0)).is_some_and(|s| s.omega);
        let quiet = stopping && !omega;
        self.tell_real(rs, stopping, quiet);
        if smtp_alert && !quiet {
            self.outputs.push_back(Output::GoneMail { rs, stopping });
        }
    }

    /// After real servers have gone for good: the quorum may be lost, without a sorry server now.
    pub(crate) fn quorum_gone(&mut self, vs: VsId, stopping: bool) {
        let (weight, in_service) = (self.live_weight(vs), self.in_service(vs));
        let Some(service) = self.services.get_mut(at(vs.0)) else {
            return;
        };
        let threshold = i64::from(service.quorum) - i64::from(service.hysteresis);
        if stopping || service.quorum_up && (weight == 0 || weight < threshold) {
            service.told_lost = service.quorum_up;
            service.quorum_up = false;
            let quiet = stopping && !service.omega;
            self.outputs.push_back(Output::Quorum(Quorum {
                vs,
                up: false,
                init: false,
                threshold,
                weight,
                stopping,
                quiet,
                in_service,
            }));
        }
    }

    /// Out of the table for good, with all real servers. `whole`: they go with it.
    pub(crate) fn clear_service(&mut self, vs: VsId, stopping: bool, whole: bool) {
        if whole {
            self.quorum_gone(vs, stopping);
            self.set_sorry_alive(vs, false);
        } else {
            if self.sorry_of(vs).is_some_and(|s| s.set) {
                self.remove_sorry(vs, true);
                self.set_sorry_alive(vs, false);
            }
            for rs in self.reals_of(vs) {
                self.clear_real(rs, stopping);
            }
            self.quorum_gone(vs, stopping);
        }
        self.ipvs(Ipvs::Service(vs, false));
        if let Some(service) = self.services.get_mut(at(vs.0)) {
            service.alive = false;
        }
    }

    pub(crate) fn sorry_of(&self, vs: VsId) -> Option<SorryServer> {
        self.services.get(at(vs.0)).and_then(|s| s.sorry)
    }
}
