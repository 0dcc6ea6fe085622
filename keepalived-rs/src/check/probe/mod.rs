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

mod deadlines;
mod dns;
pub(crate) mod fetch;
mod http;
mod patience;
mod ping;
mod ping_range;
#[cfg_attr(not(feature = "regex"), path = "regex_absent.rs")]
mod regex;
mod smtp;
mod tcp;
#[cfg(test)]
mod tests;
#[cfg_attr(not(feature = "tls"), path = "tls_absent.rs")]
pub(crate) mod tls;
mod udp;

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use checker_proto::CheckerId;
use checker_proto::dialogue::icmp_echo::Wrong;
use checker_proto::verdict::{Failure, Obstacle, ScriptFailure, Success, Verdict};
use conf_parsers::keepalived::model::check::{CheckKind, Checker, Connection};
use conf_parsers::keepalived::model::lvs::{CONNECT_TIMEOUT_DEFAULT, Ssl};
use conf_parsers::keepalived::model::script::Script;
use daemon_rt::script::{Command, Overdue, Scripts};
use linux_io::check_sock::{Refused, Target};
use linux_io::epoll::{ReadSet, Wait};
use linux_io::process::{Exit, Pid};
use linux_io::signal::Signal;
use net_types::{Duration, Family, Instant};

use deadlines::Deadlines;
use patience::Patience;
use ping_range::PingRange;
pub use tls::TlsError;

/// How often one call looks whether more has come: the loop has other things to do.
const ROUNDS: usize = 16;
/// No process can be had now.
const EAGAIN: i32 = 11;

/// What all checks share.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Whether there is an `SSL_GET`; without one its files are not read.
    pub uses_ssl: bool,
    /// The `SSL` block.
    pub ssl: Option<Ssl>,
    /// Where the numbers of DNS questions begin: random.
    pub seed: u64,
}

/// What to check: a checker of the configuration and what it takes from the servers it stands in.
#[derive(Clone, Copy, Debug)]
pub struct CheckSpec<'a> {
    /// The checker.
    pub checker: &'a Checker,
    /// The real server's address and port.
    pub real_server: SocketAddr,
    /// `HTTP_GET`, `SSL_GET`: the position of the url that is next; one run fetches one.
    pub url: usize,
    /// `virtualhost` of the real server.
    pub real_server_host: Option<&'a str>,
    /// `virtualhost` of the virtual server.
    pub virtual_server_host: Option<&'a str>,
    /// `delay_loop` of the virtual server: how long a `MISC_CHECK` without `misc_timeout` may take.
    pub delay_loop: Duration,
}

impl CheckSpec<'_> {
    /// The server to talk to.
    fn to(&self) -> SocketAddr {
        match &self.checker.connection {
            Some(connection) => connection.target(self.real_server),
            None => self.real_server,
        }
    }

    fn target(&self) -> Target<'_> {
        const NONE: &Connection = &Connection {
            ip: None,
            port: None,
            bind_ip: None,
            bind_port: None,
            bind_if: None,
            timeout: None,
            fwmark: 0,
        };
        let connection = self.checker.connection.as_ref().unwrap_or(NONE);
        Target {
            to: self.to(),
            // A port alone is not bound to, as in the original.
            from: connection
                .bind_ip
                .map(|ip| SocketAddr::new(ip, connection.bind_port.unwrap_or(0))),
            device: connection.bind_if.as_ref().map(|device| &*device.value),
            mark: connection.fwmark,
        }
    }

    fn timeout(&self) -> Duration {
        let timeout = self.checker.connection.as_ref().and_then(|c| c.timeout);
        Duration::from_micros(timeout.unwrap_or(CONNECT_TIMEOUT_DEFAULT))
    }
}

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
    urls: BTreeMap<usize, (Option<i64>, u64)>,
}

/// All checks that are under way.
pub struct Probes {
    set: ReadSet,
    tls: Option<tls::Tls>,
    tls_problem: Vec<String>,
    patterns: regex::Patterns,
    ping_range: PingRange,
    running: BTreeMap<CheckerId, Running>,
    scripts: Scripts<CheckerId>,
    deadlines: Deadlines,
    kept: BTreeMap<CheckerId, Kept>,
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
        let tls = if context.uses_ssl {
            tls::Tls::new(context.ssl.as_ref())
        } else {
            Ok(None)
        };
        let (tls, tls_problem) = tls.map_or_else(|lines| (None, lines), |tls| (tls, Vec::new()));
        Ok(Self {
            set: ReadSet::new()?,
            tls,
            tls_problem,
            patterns: regex::Patterns::default(),
            ping_range: PingRange::default(),
            running: BTreeMap::new(),
            scripts: Scripts::default(),
            deadlines: Deadlines::default(),
            kept: BTreeMap::new(),
            ended: Vec::new(),
            ended_at: Instant::from_micros(0),
            notices: Vec::new(),
            tokens: Vec::new(),
            random: context.seed,
        })
    }

    /// What is wrong with the files of the `SSL` block: lines to log before the checker process ends, as the original's does.
    pub fn tls_problem(&self) -> &[String] {
        &self.tls_problem
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
                self.running.insert(id, running);
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
                let shared = (self.tls.as_ref(), &mut self.patterns);
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
                let command = command(script);
                return match self.scripts.start(now, &command, &[], id, Some(limit)) {
                    Ok(_) => Ok(None),
                    Err(e) if number(&e) == EAGAIN => {
                        Err(Verdict::NotRun(Obstacle::Script(number(&e))))
                    }
                    // What can not be executed is not the server's fault.
                    Err(e) => {
                        let path = script.path.as_ref().or(script.args.first());
                        let path = path.cloned().unwrap_or_default();
                        notices.push(Notice::NotExecuted(path, number(&e)));
                        Err(Verdict::Up(Success::Script(0)))
                    }
                };
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

    /// The process's reaper collected `pid`. `false` when that was no script of a checker.
    pub fn script_ended(
        &mut self,
        pid: Pid,
        exit: Exit,
        verdicts: &mut Vec<(CheckerId, Verdict)>,
        is_dynamic: impl FnOnce(CheckerId) -> bool,
    ) -> bool {
        let Some(ended) = self.scripts.exited(pid, exit) else {
            return false;
        };
        if let Some(line) = ended.not_run {
            self.notices.push((ended.token, Notice::NotRun(line)));
        }
        let failed = |why| Verdict::Down(Failure::Script(why));
        let verdict = match ended.exit {
            Exit::Code(0) => Verdict::Up(Success::Script(0)),
            Exit::Code(status @ 2..) if is_dynamic(ended.token) => {
                Verdict::Up(Success::Script(status))
            }
            Exit::Code(status) => failed(ScriptFailure::Exited(status)),
            Exit::Signal { signal, .. } if ended.timed_out && ends(signal) => {
                failed(ScriptFailure::TimedOut)
            }
            Exit::Signal { signal, .. } => failed(ScriptFailure::Signal(signal)),
        };
        verdicts.push((ended.token, verdict));
        true
    }

    /// Tells every script to end, and sets what is left of their time: for a process that stops.
    pub fn end_scripts(&mut self, signal: Signal, until: Instant) {
        self.scripts.end_all(signal, until);
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
                    let kept = self.kept.entry(id).or_default();
                    let before = mem::replace(&mut kept.urls.entry(*url).or_default().0, differ);
                    differ.is_some() && before != differ
                }
                Notice::Tls(url, error) => {
                    let kept = self.kept.entry(id).or_default();
                    let last = &mut kept.urls.entry(*url).or_default().1;
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
                        self.kept.entry(id).or_default().ping = Some(ping);
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

/// Whether a signal is one that ends scripts that take too long.
fn ends(signal: i32) -> bool {
    [Signal::TERM, Signal::KILL]
        .iter()
        .any(|ends| ends.number() == signal)
}

fn command(script: &Script) -> Command {
    let shell = script
        .args
        .first()
        .is_some_and(|word| word.starts_with(['<', '>']));
    Command {
        path: script.path.clone().map(Into::into),
        args: script.args.clone(),
        uid: script.uid,
        gid: script.gid,
        shell,
    }
}

/// The system's error number, 0 when there is none.
fn number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(0)
}

/// A check that could not begin; `unreachable` is the failure when that is the server's fault.
fn refused(refused: &Refused, mark: u32, unreachable: Failure) -> Verdict {
    if refused.is_unreachable() {
        return Verdict::Down(unreachable);
    }
    Verdict::NotRun(match refused {
        Refused::Socket(e) => Obstacle::Socket(number(e)),
        Refused::Mark(e) => Obstacle::Mark(mark, number(e)),
        Refused::Device(e) => Obstacle::Device(number(e)),
        Refused::Bind(e) => Obstacle::Bind(number(e)),
        Refused::Connect(e) => Obstacle::Connect(number(e)),
    })
}

/// How an attempt to connect ended, once its socket is writable.
enum Connected {
    /// It stands.
    Yes,
    /// Nobody answered.
    Timeout,
    /// It was refused, reset or found no way.
    Failed,
    /// It can not be found out.
    Unknown,
}

fn connected(stream: &std::net::TcpStream) -> Connected {
    match stream.take_error() {
        Ok(None) => Connected::Yes,
        Ok(Some(e)) if e.kind() == io::ErrorKind::TimedOut => Connected::Timeout,
        Ok(Some(_)) => Connected::Failed,
        Err(_) => Connected::Unknown,
    }
}
