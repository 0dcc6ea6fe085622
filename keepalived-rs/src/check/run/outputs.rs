//! What the core wants done: checks begin, tables change, scripts and mails go out, lines are logged.

use checker_proto::config::VsId;
use checker_proto::{CheckerId, Output};
use daemon_rt::log;
use linux_io::timer::monotonic_now;
use net_types::{Duration, Instant};

use super::Child;
use super::places::{about, real_of, virtual_of};
use crate::check::lower::firsts;
use crate::check::probe::CheckSpec;
use crate::text::check::{self as text, About};

impl Child<'_> {
    pub(super) fn output(&mut self, now: Instant, output: Output) {
        match output {
            Output::Probe { checker, url } => self.probe(now, checker, url),
            Output::Ipvs(wish) => self.tables.want(wish),
            Output::RealServer {
                rs,
                up,
                stopping,
                quiet,
                in_service,
            } => {
                let Some((vs, real)) = real_of(&self.model, &self.firsts, rs) else {
                    return;
                };
                if !quiet && self.notifier.tells_real(real, up) {
                    self.tables.flush(&self.model.global, &self.model.lvs);
                    self.notifier.real(now, (vs, real), up, stopping);
                }
                self.snmp_real(now, rs, up, in_service);
            }
            Output::Quorum(quorum) => {
                self.snmp_quorum(now, &quorum);
                if quorum.quiet {
                    return;
                }
                let Some(vs) = virtual_of(&self.model, quorum.vs) else {
                    return;
                };
                if self.notifier.tells_quorum(vs, quorum.up) {
                    self.tables.flush(&self.model.global, &self.model.lvs);
                    self.notifier.quorum(now, vs, &quorum);
                }
            }
            Output::CheckerMail {
                checker,
                verdict,
                up,
            } => {
                let alive = self.engine.owner(checker);
                let alive = alive.and_then(|rs| self.engine.real(rs));
                let alive = alive.is_some_and(|r| r.alive);
                let about = about(&self.model, self.place_of(checker));
                if let (Some(vs), Some(rs), Some(written)) = (about.vs, about.rs, about.checker) {
                    let body = text::mail(vs, rs, written, verdict, up);
                    self.notifier.mail(now, (vs, rs), alive, &body);
                }
            }
            Output::GoneMail { rs, stopping } => {
                let Some(both) = real_of(&self.model, &self.firsts, rs) else {
                    return;
                };
                let body = if stopping {
                    "=> Shutting down <="
                } else {
                    "=> Removing <="
                };
                self.notifier.mail(now, both, false, body);
            }
            Output::Notice(notice) => self.say(&notice),
            Output::Reconfigured => self.switch(),
            Output::Done => {
                self.tables.flush(&self.model.global, &self.model.lvs);
                self.done = Some(0);
            }
        }
    }

    /// The core's numbers mean the new configuration from here on.
    fn switch(&mut self) {
        self.tables.flush(&self.model.global, &self.model.lvs);
        let Some(next) = self.next.take() else {
            return;
        };
        let (model, config) = *next;
        self.firsts = firsts(&model.lvs);
        let old = std::mem::replace(&mut self.model, model);
        self.snmp.configure(&self.model, monotonic_now());
        self.tables.reconfigure(old.lvs, &self.model.lvs, &config);
    }

    fn probe(&mut self, now: Instant, id: CheckerId, url: u16) {
        let place = self.place_of(id);
        let Some((vs, rs, at)) = place.and_then(|(vs, rs, at)| {
            let server = self.model.lvs.virtual_servers.get(vs)?;
            Some((server, server.real_servers.get(rs)?, at))
        }) else {
            return;
        };
        let Some(checker) = rs.checkers.get(at) else {
            return;
        };
        let spec = CheckSpec {
            checker,
            real_server: rs.addr,
            url: url.into(),
            real_server_host: rs.virtualhost.as_ref().map(|h| &*h.value),
            virtual_server_host: vs.virtualhost.as_ref().map(|h| &*h.value),
            delay_loop: Duration::from_micros(vs.times.delay_loop.unwrap_or(0)),
        };
        self.probes.start(now, id, &spec);
    }

    /// Positions of the virtual server, the real server in it and the checker in that.
    pub(super) fn place_of(&self, id: CheckerId) -> Option<(usize, usize, usize)> {
        let rs = self.engine.owner(id)?;
        let real = self.engine.real(rs)?;
        let vs = usize::try_from(real.vs.0).ok()?;
        let first = self.firsts.get(vs)?;
        let place = rs.0.checked_sub(first.real)?;
        let at = id.0.checked_sub(real.checkers.0)?;
        Some((vs, usize::try_from(place).ok()?, usize::try_from(at).ok()?))
    }

    pub(super) fn say(&self, notice: &checker_proto::Notice) {
        use checker_proto::Notice as N;
        let about = match *notice {
            N::Activating { checker, .. }
            | N::Suspending { checker, .. }
            | N::Succeeded(checker)
            | N::Failed { checker, .. }
            | N::Attempt { checker, .. }
            | N::Page { checker, .. }
            | N::Script { checker, .. }
            | N::NotRun(checker, _)
            | N::Bfd { checker, .. }
            | N::FileFault { checker, .. } => about(&self.model, self.place_of(checker)),
            N::Service { rs, .. }
            | N::Removing { rs, .. }
            | N::NoLonger(rs)
            | N::Weight { rs, .. } => {
                let found = real_of(&self.model, &self.firsts, rs);
                About {
                    vs: found.map(|(vs, _)| vs),
                    rs: found.map(|(_, rs)| rs),
                    ..About::default()
                }
            }
            N::RemovingVirtualServer(vs) | N::Sorry(vs, _) | N::SorryGone(vs) | N::Pool(vs, _) => {
                self.about_virtual(vs)
            }
            N::Gained(q) | N::Lost(q) => self.about_virtual(q.vs),
        };
        for (priority, line) in text::lines(notice, &about, self.detail) {
            log!(priority, "{line}");
        }
    }

    pub(super) fn about_virtual(&self, vs: VsId) -> About<'_> {
        About {
            vs: virtual_of(&self.model, vs),
            ..About::default()
        }
    }
}
