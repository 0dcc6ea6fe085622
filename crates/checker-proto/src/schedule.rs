//! The life of one checker: when it looks, how often it looks again, what a failure or a success means, and what is said of it.
//!
//! ```text
//!   start ─(1 s + random part of warmup)─▶ probe ─▶ verdict ─▶ up ──(delay_loop)──▶ probe
//!                                            ▲          └─▶ failed, retries left ──(delay_before_retry)──▶ probe
//!                                            └──(delay_loop)── down ◀─ failed, none left
//! ```
//! The kinds differ in small things that operators see in their logs; each has a function here. One that is down is not tried
//! again between its rounds.
//! Answers to: keepalived 2.3.3 check/check_{tcp,udp,ping,http,smtp,dns,misc}.c.

use net_types::{Duration, Instant};

use crate::config::{Checker as Written, CheckerId, Kind};
use crate::output::Notice;
use crate::verdict::{Failure, ScriptFailure, Success, Verdict, WebProof};

/// The first probe is not before this long after the start.
pub(crate) const BOOTSTRAP: Duration = Duration::from_secs(1);

/// One checker.
#[derive(Clone, Debug)]
pub struct Checker {
    /// What was configured.
    pub written: Written,
    /// It counts as up.
    pub up: bool,
    /// It has found out something.
    pub has_run: bool,
    /// Its address is here (`ha_suspend`).
    pub enabled: bool,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// What it adds to the weight of the real server.
    pub weight: i64,
    /// Exit status of the last script that counted.
    pub last_exit: u8,
    /// The page that is next.
    pub url: u16,
    /// The page that failed.
    pub failed_url: Option<u16>,
    /// A probe is under way.
    pub(crate) probing: bool,
    /// When the last probe began.
    pub(crate) started: Instant,
}

/// What follows from a verdict, in this order: log lines, weight, state; then [`Checker::after`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Log lines.
    pub(crate) say: [Option<Notice>; 2],
    /// What the checker adds to the real server's weight from now on, and whether log and table learn of it at once.
    pub(crate) weight: Option<(i64, bool)>,
    /// It is up, or down; also the first time when it was before.
    pub(crate) turn: Option<bool>,
    /// What is next.
    next: Next,
    /// It has not found out anything by this.
    nothing_known: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Round,
    Retry,
    /// A page is right.
    Page,
    /// A page is wrong.
    PageAgain,
}

impl Checker {
    /// At its start, before anything is known.
    pub(crate) const fn new(written: Written) -> Self {
        Self {
            written,
            up: true,
            has_run: matches!(written.kind, Kind::File { .. }),
            enabled: true,
            attempts: 0,
            weight: 0,
            last_exit: 0,
            url: 0,
            failed_url: None,
            probing: false,
            started: Instant::ZERO,
        }
    }

    /// When the last probe began.
    pub const fn started(&self) -> Option<Instant> {
        if self.started.as_micros() == 0 {
            return None;
        }
        Some(self.started)
    }

    /// A failure is news: it is up, or nothing is known yet.
    const fn may_fail(&self) -> bool {
        self.up || !self.has_run
    }

    /// A success is news.
    const fn may_rise(&self) -> bool {
        !self.up || !self.has_run
    }

    /// A probe begins: the page to ask for.
    pub(crate) fn begin(&mut self, now: Instant) -> u16 {
        self.probing = true;
        self.started = now;
        self.url
    }

    /// What follows from a verdict. `base`: the real server's own weight.
    pub(crate) fn judge(&mut self, id: CheckerId, verdict: Verdict, base: u32) -> Judgement {
        match (self.written.kind, verdict) {
            (_, Verdict::NotRun(obstacle)) => self.not_run(Notice::NotRun(id, obstacle)),
            (Kind::Web { urls, .. }, Verdict::Up(success)) => self.page(id, success, urls),
            (Kind::Web { .. }, Verdict::Down(failure)) => self.no_page(id, failure),
            (Kind::Smtp, Verdict::Down(failure)) => self.no_mail(id, failure),
            (Kind::Dns, Verdict::Up(_)) => Judgement {
                say: [None; 2],
                ..self.answer(id)
            },
            (Kind::Dns, Verdict::Down(failure)) => self.no_name(id, failure),
            (Kind::Misc { .. }, Verdict::Up(success)) => self.script(id, success, base),
            (Kind::Misc { .. }, Verdict::Down(failure)) => self.no_script(id, failure),
            (_, Verdict::Up(_)) => self.answer(id),
            (_, Verdict::Down(failure)) => self.no_answer(id, failure),
        }
    }

    fn not_run(&mut self, notice: Notice) -> Judgement {
        if self.written.kind == Kind::Smtp {
            self.attempts = 0;
        }
        Judgement {
            say: [Some(notice), None],
            nothing_known: true,
            ..Judgement::default()
        }
    }

    /// All kinds but web and scripts.
    fn answer(&mut self, id: CheckerId) -> Judgement {
        self.attempts = 0;
        if !self.may_rise() {
            return Judgement::default();
        }
        Judgement {
            say: [Some(Notice::Succeeded(id)), None],
            turn: Some(true),
            ..Judgement::default()
        }
    }

    const fn attempt(&self, checker: CheckerId, failure: Failure) -> Notice {
        Notice::Attempt {
            checker,
            failure,
            retries: None,
        }
    }

    fn failed(&self, checker: CheckerId, retries: u32) -> Notice {
        Notice::Failed {
            checker,
            retries: Some(retries).filter(|_| self.has_run && self.written.retry > 0),
        }
    }

    /// TCP, UDP, ping.
    fn no_answer(&mut self, id: CheckerId, failure: Failure) -> Judgement {
        let every = self.up && self.written.log_all_failures;
        let mut judgement = Judgement {
            say: [every.then(|| self.attempt(id, failure)), None],
            ..Judgement::default()
        };
        if self.may_fail() && self.attempts >= self.written.retry {
            self.attempts = 0;
            judgement.say[1] = Some(self.failed(id, self.written.retry));
            judgement.turn = Some(false);
        } else if self.up {
            self.attempts = self.attempts.saturating_add(1);
            judgement.next = Next::Retry;
        }
        judgement
    }

    fn no_mail(&mut self, id: CheckerId, failure: Failure) -> Judgement {
        let last = self.attempts >= self.written.retry;
        let said = self.may_fail() && (last || self.written.log_all_failures);
        let mut judgement = Judgement {
            say: [said.then(|| self.attempt(id, failure)), None],
            ..Judgement::default()
        };
        if last {
            self.attempts = 0;
            judgement.turn = Some(false).filter(|_| self.may_fail());
        } else {
            // Unlike the others this one tries again also while it is down, and has found out nothing yet.
            self.attempts = self.attempts.saturating_add(1);
            judgement.next = Next::Retry;
            judgement.nothing_known = true;
        }
        judgement
    }

    fn no_name(&mut self, id: CheckerId, failure: Failure) -> Judgement {
        let mut judgement = Judgement::default();
        if self.may_fail() {
            let last = self.attempts >= self.written.retry;
            if last || self.written.log_all_failures {
                judgement.say[0] = Some(Notice::Attempt {
                    checker: id,
                    failure,
                    retries: Some(self.written.retry).filter(|_| last && self.has_run),
                });
            }
            if !last {
                self.attempts = self.attempts.saturating_add(1);
                judgement.next = Next::Retry;
                return judgement;
            }
            judgement.turn = Some(false);
        }
        self.attempts = 0;
        judgement
    }

    /// One page is right.
    fn page(&mut self, id: CheckerId, success: Success, urls: u16) -> Judgement {
        let mut judgement = Judgement {
            next: Next::Page,
            nothing_known: true,
            ..Judgement::default()
        };
        let proof = match success {
            Success::Web(proof) => proof,
            Success::Answer | Success::Script(_) => WebProof::Status,
        };
        if !self.up {
            judgement.say[0] = Some(Notice::Page {
                checker: id,
                url: self.url,
                proof,
            });
        }
        self.attempts = 0;
        let next = self.url.saturating_add(1);
        if self.failed_url.is_some() {
            // The page that failed is right: now all of them, from the first one.
            self.failed_url = None;
            self.url = 0;
        } else if next < urls {
            self.url = next;
        } else {
            self.url = 0;
            if self.may_rise() {
                judgement.say[1] = Some(Notice::Succeeded(id));
                judgement.turn = Some(true);
                judgement.nothing_known = false;
            }
        }
        judgement
    }

    fn no_page(&mut self, id: CheckerId, failure: Failure) -> Judgement {
        let mut judgement = Judgement {
            next: Next::PageAgain,
            ..Judgement::default()
        };
        if !self.may_fail() {
            return judgement;
        }
        if self.written.log_all_failures {
            judgement.say[0] = Some(self.attempt(id, failure));
        }
        // Known from here on: a first failure of an alpha checker is not told as its failure.
        self.has_run = true;
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts > self.written.retry {
            if self.up {
                judgement.say[1] = Some(self.failed(id, self.attempts.saturating_sub(1)));
                judgement.turn = Some(false);
            }
            self.failed_url = Some(self.url);
        }
        judgement
    }

    fn script(&mut self, id: CheckerId, success: Success, base: u32) -> Judgement {
        let mut judgement = Judgement::default();
        let status = match success {
            Success::Script(status) => status,
            Success::Answer | Success::Web(_) => 0,
        };
        if status != self.last_exit {
            self.last_exit = status;
            // 2 is weight 0; 0 is the weight that was configured.
            let weight = match status {
                0 => 0,
                status => i64::from(status) - 2 - i64::from(base),
            };
            judgement.weight = Some((weight, true));
        }
        if self.may_rise() {
            judgement.say[0] = Some(Notice::Script {
                checker: id,
                failure: None,
                attempt: 0,
            });
            judgement.turn = Some(true);
        }
        self.attempts = 0;
        judgement
    }

    fn no_script(&mut self, id: CheckerId, failure: Failure) -> Judgement {
        let mut judgement = Judgement::default();
        let failure = match failure {
            Failure::Script(failure) => failure,
            _ => ScriptFailure::Lost,
        };
        if failure == ScriptFailure::Lost {
            return judgement;
        }
        let last = self.attempts >= self.written.retry;
        if self.may_fail() {
            self.attempts = if last {
                0
            } else {
                self.attempts.saturating_add(1)
            };
            if last || self.written.log_all_failures {
                judgement.say[0] = Some(Notice::Script {
                    checker: id,
                    failure: Some(failure),
                    attempt: self.attempts,
                });
            }
            if last {
                judgement.weight = Some((0, false));
                judgement.turn = Some(false);
            } else {
                judgement.next = Next::Retry;
                return judgement;
            }
        }
        if let ScriptFailure::Exited(status) = failure {
            self.last_exit = status;
        }
        judgement
    }

    /// Everything that a verdict led to is done: when the next probe begins.
    pub(crate) fn after(&mut self, now: Instant, judgement: &Judgement) -> Instant {
        self.probing = false;
        self.has_run |= !judgement.nothing_known;
        let (round, retry) = (self.written.delay_loop, self.written.delay_before_retry);
        if judgement.next == Next::Page && !self.has_run {
            // One failure is enough.
            self.attempts = self.written.retry;
        }
        match judgement.next {
            _ if matches!(self.written.kind, Kind::Misc { .. }) => {
                let delay = if self.attempts > 0 { retry } else { round };
                (self.started + delay).max(now + Duration::from_micros(1))
            }
            Next::Page | Next::PageAgain if self.hurries() => now,
            Next::Round | Next::Page => now + round,
            Next::Retry => now + retry,
            Next::PageAgain if self.failed_url.is_some() => now + retry.max(round),
            Next::PageAgain => now + retry,
        }
    }

    const fn hurries(&self) -> bool {
        let Kind::Web { fast_recovery, .. } = self.written.kind else {
            return false;
        };
        fast_recovery && (!self.has_run || (!self.up && self.failed_url.is_none()))
    }
}
