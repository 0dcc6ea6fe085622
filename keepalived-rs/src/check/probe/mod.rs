//! All checks of real servers that are under way, behind one descriptor: no thread and no task for each.
//!
//! ```text
//!  start(checker) ─▶ socket, connect ─▶ epoll set ─▶ ready(): bytes ─▶ dialogue ─▶ verdict
//!                                   └─▶ deadlines ─▶ handle_timeout() ───────────▶ verdict
//!  MISC_CHECK     ─▶ process ──────────────────────▶ script_ended() ─────────────▶ verdict
//! ```
//! The loop waits for [`Probes::readable`] and for [`Probes::next_timeout`], and says which scripts have ended. Everything that
//! a run finds comes as a [`Verdict`], also what is clear at once; what is to be logged whatever the verdict comes as a
//! [`Notice`] before it.
//! Answers to: keepalived 2.3.3 check/check_*.c, core/layer4.c.

mod connect;
mod deadlines;
mod dns;
pub(crate) mod fetch;
mod http;
mod patience;
mod ping;
mod ping_range;
#[cfg_attr(not(feature = "regex"), path = "regex_absent.rs")]
mod regex;
mod script;
mod smtp;
mod spec;
mod tcp;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod udp;

use std::io;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};

use checker_proto::CheckerId;
use checker_proto::dialogue::icmp_echo::Wrong;
use checker_proto::verdict::{Failure, Obstacle, Success, Verdict};
use conf_parsers::keepalived::model::check::CheckKind;
use daemon_rt::script::{Overdue, Scripts};
use linux_io::epoll::{ReadSet, Wait};
use linux_io::process::Pid;
use linux_io::signal::Signal;
use net_types::{Duration, Family, Instant, SortedMap};

use connect::{Connected, connected, refused};
use deadlines::Deadlines;
use patience::Patience;
use ping_range::PingRange;
pub use spec::{CheckSpec, Context};
pub use tls::TlsError;

/// How often one call looks whether more has come: the loop has other things to do.
const ROUNDS: usize = 16;

/// Something for the log that does not hang on the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The page of that url has the stated and the received length, which differ; `None` when they do not. Told to the outside
    /// only when they differ in another way than the last time.
    Length(usize, Option<(u64, u64)>),
    /// A regular expression has a problem.
    Regex(String),
    /// TLS with the server of that url has a problem. Told to the outside only when it is another one than the last time.
    Tls(usize, TlsError),
    /// A mail server's line is too long.
    SmtpOverflow,
    /// An echo request or reply has a problem.
    Ping(Family, PingNotice),
    /// Who may ping is changed, or can not be: the line.
    PingRange(String),
    /// A script can not be executed: its path and the system's error number. The server counts as good.
    NotExecuted(String, i32),
    /// The shell could not run the command of a script: the line. The server counts as good.
    NotRun(String),
    /// A script does not end, not even when it is killed.
    Unkillable(Pid),
}

/// What is wrong with echo requests and replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingNotice {
    /// The request can not be sent; the system's error number.
    NotSent(i32),
    /// A reply can not be taken.
    NotReceived,
    /// A reply came after its time.
    Unexpected,
    /// Not the reply to the request of that number.
    Wrong(u16, Wrong),
}

/// What a run waits for, or how it ended.
enum Step {
    /// For that, until then at the latest.
    Wait(Wait, Instant),
    /// It is over.
    End(Verdict),
}

impl Step {
    const fn down(failure: Failure) -> Self {
        Self::End(Verdict::Down(failure))
    }

    const fn up(success: Success) -> Self {
        Self::End(Verdict::Up(success))
    }
}

/// What happened to a run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Its descriptor is ready.
    Ready,
    /// Its time is up.
    Timeout,
}

/// One run of each kind.
enum Run {
    Tcp(tcp::Run),
    Web(Box<http::Run>),
    Smtp(Box<smtp::Run>),
    Dns(dns::Run),
    Udp(udp::Run),
    Ping(ping::Run),
}

impl Run {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(run) => run.as_fd(),
            Self::Web(run) => run.as_fd(),
            Self::Smtp(run) => run.as_fd(),
            Self::Dns(run) => run.as_fd(),
            Self::Udp(run) => run.as_fd(),
            Self::Ping(run) => run.as_fd(),
        }
    }

    fn step(
        &mut self,
        now: Instant,
        deadline: Instant,
        event: Event,
        notices: &mut Vec<Notice>,
    ) -> Step {
        match self {
            Self::Tcp(run) => run.step(event),
            Self::Web(run) => run.step(now, event, notices),
            Self::Smtp(run) => run.step(now, event, notices),
            Self::Dns(run) => run.step(deadline, event),
            Self::Udp(run) => run.step(deadline, event),
            Self::Ping(run) => run.step(event, notices),
        }
    }
}

struct Running {
    run: Run,
    waits: Wait,
    deadline: Instant,
}

/// What a checker remembers from run to run.
#[derive(Default)]
struct Kept {
    /// `PING_CHECK`: the socket of a server that answers.
    ping: Option<ping::Run>,
    /// By url: how the lengths of its page differed, and what TLS last reported.
    urls: SortedMap<usize, (Option<i64>, u64)>,
}

/// All checks that are under way.
pub struct Probes {
    set: ReadSet,
    /// Empty when no check wants it.
    tls: Option<Result<tls::Tls, tls::NoTls>>,
    patterns: regex::Patterns,
    ping_range: PingRange,
    running: SortedMap<CheckerId, Box<Running>>,
    scripts: Scripts<CheckerId>,
    deadlines: Deadlines,
    kept: SortedMap<CheckerId, Box<Kept>>,
    /// Ended, not yet told.
    ended: Vec<(CheckerId, Verdict)>,
    /// When the first of them did.
    ended_at: Instant,
    notices: Vec<(CheckerId, Notice)>,
    tokens: Vec<u32>,
    /// State of the generator of the numbers of DNS questions.
    random: u64,
}

impl Probes {
    /// None yet.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new(context: Context) -> io::Result<Self> {
        let tls = context.tls();
        Ok(Self {
            set: ReadSet::new()?,
            tls,
            patterns: regex::Patterns::default(),
            ping_range: PingRange::default(),
            running: SortedMap::new(),
            scripts: Scripts::default(),
            deadlines: Deadlines::default(),
            kept: SortedMap::new(),
            ended: Vec::new(),
            ended_at: Instant::from_micros(0),
            notices: Vec::new(),
            tokens: Vec::new(),
            random: context.seed,
        })
    }

    /// Reads the files of the `SSL` block anew, and looks again for libraries that were missing, before the first run of another
    /// configuration. What was read before, if anything was, stays where the files are no good now: lines to log.
    pub fn renew(&mut self, context: &Context) -> Vec<String> {
        self.patterns = regex::Patterns::default();
        match context.tls() {
            Some(Err(tls::NoTls::Files(lines))) => {
                self.tls = self.tls.take().filter(Result::is_ok);
                lines
            }
            tls => {
                self.tls = tls;
                Vec::new()
            }
        }
    }

    /// Whether `SSL_GET` can be run.
    pub fn has_tls(&self) -> bool {
        matches!(self.tls, Some(Ok(_)))
    }

    /// What is wrong with the files of the `SSL` block: lines to log before the checker process ends, as the original's does.
    pub fn tls_problem(&self) -> &[String] {
        match &self.tls {
            Some(Err(tls::NoTls::Files(lines))) => lines,
            _ => &[],
        }
    }

    /// Why OpenSSL can not be loaded, if a check wants it.
    pub fn without_tls(&self) -> Option<&str> {
        match &self.tls {
            Some(Err(tls::NoTls::Library(reason))) => Some(reason),
            _ => None,
        }
    }

    /// Begins a run of a checker that has none under way. Its verdict comes later, if only at the next
    /// [`Self::handle_timeout`].
    pub fn start(&mut self, now: Instant, id: CheckerId, spec: &CheckSpec<'_>) {
        if self.ended.is_empty() {
            self.ended_at = now;
        }
        let mut notices = Vec::new();
        let begun = self.begin(now, id, spec, &mut notices);
        self.tell(id, notices);
        match begun {
            Err(verdict) | Ok(Some((_, Step::End(verdict)))) => self.ended.push((id, verdict)),
            Ok(Some((run, Step::Wait(waits, deadline)))) => {
                let running = Running {
                    run,
                    waits,
                    deadline,
                };
                if let Err(e) = self.set.add_for(&running.run.fd(), id.0, waits) {
                    let obstacle = Obstacle::Socket(number(&e));
                    self.ended.push((id, Verdict::NotRun(obstacle)));
                    return;
                }
                self.deadlines.set(id, None, deadline);
                self.running.insert(id, Box::new(running));
            }
            Ok(None) => {}
        }
    }

    /// `None`: a script was started.
    fn begin(
        &mut self,
        now: Instant,
        id: CheckerId,
        spec: &CheckSpec<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<Option<(Run, Step)>, Verdict> {
        let timeout = spec.timeout();
        let until = now + timeout;
        let (run, step) = match &spec.checker.kind {
            CheckKind::Tcp => {
                let (run, step) = tcp::Run::begin(spec, until)?;
                (Run::Tcp(run), step)
            }
            CheckKind::Http(check) => {
                let tls = self.tls.as_ref().and_then(|tls| tls.as_ref().ok());
                let shared = (tls, &mut self.patterns);
                let (run, step) = http::Run::begin(spec, check, shared, now, notices)?;
                (Run::Web(Box::new(run)), step)
            }
            CheckKind::Smtp { helo } => {
                let (run, step) = smtp::Run::begin(spec, helo, now, timeout)?;
                (Run::Smtp(Box::new(run)), step)
            }
            CheckKind::Dns { record, name } => {
                let number = self.number();
                let (run, step) = dns::Run::begin(spec, name, *record, number, until)?;
                (Run::Dns(run), step)
            }
            CheckKind::Udp(check) => {
                let (run, step) = udp::Run::begin(spec, check, until)?;
                (Run::Udp(run), step)
            }
            CheckKind::Ping => {
                let kept = self.kept.get_mut(&id).and_then(|kept| kept.ping.take());
                let to = spec.to().ip();
                let (run, step) = ping::Run::begin(kept, to, &mut self.ping_range, until, notices)?;
                (Run::Ping(run), step)
            }
            CheckKind::Misc {
                script, timeout, ..
            } => {
                let limit = match *timeout {
                    0 => spec.delay_loop,
                    timeout => Duration::from_micros(timeout),
                };
                return self
                    .start_script(now, id, script, limit, notices)
                    .map(|()| None);
            }
            CheckKind::Bfd { .. } => return Err(Verdict::NotRun(Obstacle::Connect(0))),
        };
        Ok(Some((run, step)))
    }

    /// The number of the next DNS question: not to be guessed from the one before, as `random(3)` of the original.
    fn number(&mut self) -> u16 {
        // splitmix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z >> 40) as u16
    }

    /// Ends all runs without a verdict, and forgets what is kept between the runs of all checkers. Scripts are told to end;
    /// their end is told to nobody.
    pub fn cancel_all(&mut self) {
        self.ended.clear();
        self.running.clear();
        self.deadlines = Deadlines::default();
        self.kept.clear();
        self.scripts.forget(|_| true, Signal::TERM);
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.running
            .len()
            .saturating_add(self.scripts.tokens().count())
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty() && self.scripts.is_empty()
    }

    /// A descriptor that is readable when [`Self::ready`] has something to do.
    pub fn readable(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }

    /// Goes on with all runs that can. Whether there may be more to do at once: if not, the caller waits for
    /// [`Self::readable`] again.
    pub fn ready(&mut self, now: Instant, verdicts: &mut Vec<(CheckerId, Verdict)>) -> bool {
        let mut tokens = mem::take(&mut self.tokens);
        let mut more = true;
        for _ in 0..ROUNDS {
            let asked = self.set.ready(&mut tokens);
            more = asked.is_ok() && !tokens.is_empty();
            if !more {
                break;
            }
            let mut left = matches!(asked, Ok(true));
            for token in &tokens {
                left |= self.advance(now, CheckerId(*token), Event::Ready);
            }
            // All that were ready have ended, as most of many do: what comes from now on is news to whoever waits.
            if !left {
                more = false;
                break;
            }
        }
        self.tokens = tokens;
        verdicts.append(&mut self.ended);
        more
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        if !self.ended.is_empty() {
            return Some(self.ended_at);
        }
        [self.deadlines.next(), self.scripts.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Ends the runs whose time is up. Idempotent; early calls find nothing.
    pub fn handle_timeout(&mut self, now: Instant, verdicts: &mut Vec<(CheckerId, Verdict)>) {
        while let Some(id) = self.deadlines.due(now) {
            self.advance(now, id, Event::Timeout);
        }
        for overdue in self.scripts.handle_timeout(now) {
            if let Overdue::Unkillable { token, pid } = overdue {
                self.notices.push((token, Notice::Unkillable(pid)));
            }
        }
        verdicts.append(&mut self.ended);
    }

    /// What is to be logged, before the verdicts that were told at the same time.
    pub fn notices(&mut self) -> Vec<(CheckerId, Notice)> {
        mem::take(&mut self.notices)
    }

    /// Keeps the notices that are news.
    fn tell(&mut self, id: CheckerId, notices: Vec<Notice>) {
        for notice in notices {
            let news = match &notice {
                Notice::Length(url, lengths) => {
                    let differ = lengths.map(|(stated, came)| stated.wrapping_sub(came) as i64);
                    // Nothing is kept of the many whose lengths never differ.
                    if differ.is_none() && !self.kept.contains_key(&id) {
                        continue;
                    }
                    let kept = self.kept.or_default(id);
                    let before = mem::replace(&mut kept.urls.or_default(*url).0, differ);
                    differ.is_some() && before != differ
                }
                Notice::Tls(url, error) => {
                    let kept = self.kept.or_default(id);
                    let last = &mut kept.urls.or_default(*url).1;
                    mem::replace(last, error.code) != error.code
                }
                _ => true,
            };
            if news {
                self.notices.push((id, notice));
            }
        }
    }

    /// Whether it goes on.
    fn advance(&mut self, now: Instant, id: CheckerId, event: Event) -> bool {
        let Some(running) = self.running.get_mut(&id) else {
            return true;
        };
        let mut notices = Vec::new();
        let deadline = running.deadline;
        let goes_on = match running.run.step(now, deadline, event, &mut notices) {
            Step::Wait(waits, next) => {
                if waits != running.waits && self.set.change(&running.run.fd(), id.0, waits).is_ok()
                {
                    running.waits = waits;
                }
                if next != deadline {
                    self.deadlines.set(id, Some(deadline), next);
                    running.deadline = next;
                }
                true
            }
            Step::End(verdict) => {
                self.deadlines.clear(id, deadline);
                let _ = self.set.remove(&running.run.fd());
                if let (Some(ended), Verdict::Up(_)) = (self.running.remove(&id), verdict) {
                    if let Run::Ping(ping) = ended.run {
                        self.kept.or_default(id).ping = Some(ping);
                    }
                }
                self.ended.push((id, verdict));
                false
            }
        };
        self.tell(id, notices);
        goes_on
    }
}

/// The system's error number, 0 when there is none.
fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}
