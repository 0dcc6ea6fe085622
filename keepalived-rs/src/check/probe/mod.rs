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
mod tcp;

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use checker_proto::CheckerId;
use checker_proto::verdict::{Failure, Obstacle, Success, Verdict};
use conf_parsers::keepalived::model::check::{CheckKind, Checker, Connection};
use conf_parsers::keepalived::model::lvs::{CONNECT_TIMEOUT_DEFAULT, Ssl};
use linux_io::check_sock::{Refused, Target};
use linux_io::epoll::{ReadSet, Wait};
use net_types::{Duration, Instant};

use deadlines::Deadlines;

/// How often one call looks whether more has come: the loop has other things to do.
const ROUNDS: usize = 16;

/// What all checks share.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The `SSL` block.
    pub ssl: Option<Ssl>,
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
pub enum Notice {}

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
enum Event {
    /// Its descriptor is ready.
    Ready,
    /// Its time is up.
    Timeout,
}

/// One run of each kind.
enum Run {
    Tcp(tcp::Run),
}

impl Run {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(run) => run.as_fd(),
        }
    }

    fn step(&mut self, _now: Instant, event: Event) -> Step {
        match self {
            Self::Tcp(run) => run.step(event),
        }
    }
}

struct Running {
    run: Run,
    waits: Wait,
    deadline: Instant,
}

/// All checks that are under way.
pub struct Probes {
    set: ReadSet,
    running: BTreeMap<CheckerId, Running>,
    deadlines: Deadlines,
    /// Ended, not yet told.
    ended: Vec<(CheckerId, Verdict)>,
    notices: Vec<(CheckerId, Notice)>,
    tokens: Vec<u32>,
}

impl Probes {
    /// None yet.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new(_context: Context) -> io::Result<Self> {
        Ok(Self {
            set: ReadSet::new()?,
            running: BTreeMap::new(),
            deadlines: Deadlines::default(),
            ended: Vec::new(),
            notices: Vec::new(),
            tokens: Vec::new(),
        })
    }

    /// Begins a run of a checker; one that is under way is forgotten. Its verdict comes later, if only at the next
    /// [`Self::handle_timeout`].
    pub fn start(&mut self, now: Instant, id: CheckerId, spec: &CheckSpec<'_>) {
        self.cancel(id);
        let until = now + spec.timeout();
        let begun = match &spec.checker.kind {
            CheckKind::Tcp => tcp::Run::begin(spec, until).map(|(run, step)| (Run::Tcp(run), step)),
            _ => Err(Verdict::NotRun(Obstacle::Connect(0))),
        };
        match begun {
            Err(verdict) => self.ended.push((id, verdict)),
            Ok((_, Step::End(verdict))) => self.ended.push((id, verdict)),
            Ok((run, Step::Wait(waits, deadline))) => {
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
        }
    }

    /// Ends a run without a verdict, and forgets what is kept between the runs of that checker.
    pub fn cancel(&mut self, id: CheckerId) {
        self.ended.retain(|(ended, _)| *ended != id);
        if let Some(running) = self.running.remove(&id) {
            self.deadlines.clear(id, running.deadline);
        }
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
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
            for token in &tokens {
                self.advance(now, CheckerId(*token), Event::Ready);
            }
        }
        self.tokens = tokens;
        verdicts.append(&mut self.ended);
        more
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.ended.is_empty() {
            self.deadlines.next()
        } else {
            Some(Instant::from_micros(0))
        }
    }

    /// Ends the runs whose time is up. Idempotent; early calls find nothing.
    pub fn handle_timeout(&mut self, now: Instant, verdicts: &mut Vec<(CheckerId, Verdict)>) {
        while let Some(id) = self.deadlines.due(now) {
            self.advance(now, id, Event::Timeout);
        }
        verdicts.append(&mut self.ended);
    }

    /// What is to be logged, before the verdicts that were told at the same time.
    pub fn notices(&mut self) -> Vec<(CheckerId, Notice)> {
        mem::take(&mut self.notices)
    }

    fn advance(&mut self, now: Instant, id: CheckerId, event: Event) {
        let Some(running) = self.running.get_mut(&id) else {
            return;
        };
        match running.run.step(now, event) {
            Step::Wait(waits, deadline) => {
                if waits != running.waits && self.set.change(&running.run.fd(), id.0, waits).is_ok()
                {
                    running.waits = waits;
                }
                if deadline != running.deadline {
                    self.deadlines.set(id, Some(running.deadline), deadline);
                    running.deadline = deadline;
                }
            }
            Step::End(verdict) => {
                self.deadlines.clear(id, running.deadline);
                self.running.remove(&id);
                self.ended.push((id, verdict));
            }
        }
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
