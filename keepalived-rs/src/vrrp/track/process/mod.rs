//! Tracked processes: counted from /proc at start, followed by what the kernel tells of forks, programs, names and ends.
//!
//! In: the configuration, a [`ProcEvents`] socket, the time. Out: verdicts, log lines.
//! Answers to: keepalived-behaviour.md section 7 "Process", keepalived 2.3.3 core/track_process.c.
//!
//! ```text
//! table     who counts for what, quorum and delays (no IO)        proc_fs   short names and command lines
//! ```

mod proc_fs;
mod table;

use std::collections::VecDeque;

use conf_parsers::keepalived::model::global::ReceiveBuffer as Configured;
use conf_parsers::keepalived::model::vrrp::TrackProcess;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::proc_events::{Event, OpenError, ProcEvent, ProcEvents};
use linux_io::route_sock::ReceiveBuffer;
use net_types::{Duration, Instant, SortedMap};
use nix::errno::Errno;

use self::table::{Seen, Table};
use crate::text::dump::snapshot::ProcessTrackNow;
use crate::text::errno::sentence;

/// How long the kernel may take to say that it tells of processes.
const ANSWER: Duration = Duration::from_millis(100);
/// How long things may settle before a second count.
const SETTLE: Duration = Duration::from_secs(1);
/// Events in one turn.
const AT_ONCE: usize = 256;

/// All tracked processes of this daemon.
#[derive(Debug, Default)]
pub(super) struct Processes {
    names: Vec<Box<str>>,
    table: Table,
    socket: Option<ProcEvents>,
    buffer: Configured,
    detail: bool,
    /// The kernel was asked to tell of processes.
    listening: bool,
    /// The kernel has said that it tells of processes.
    answered: bool,
    answer_until: Option<Instant>,
    /// News were lost; when to count again.
    recount_at: Option<Instant>,
    /// What a second count has to say of programs, each line before what follows from it.
    lines: VecDeque<(usize, String)>,
    /// The number of the last message of each processor.
    sequences: SortedMap<u32, u32>,
}

/// Opens the socket and says so when that fails. Must be done in the first network namespace.
pub(crate) fn open(detail: bool) -> Option<ProcEvents> {
    match ProcEvents::open() {
        Ok(socket) => return Some(socket),
        Err(OpenError::Socket(e)) if e.raw_os_error() == Some(Errno::EPROTONOSUPPORT as i32) => {
            if detail {
                log!(
                    Priority::Info,
                    "track_process not available - is CONFIG_PROC_EVENTS enabled in kernel config?"
                );
            }
        }
        Err(OpenError::Socket(e)) => say("Failed to open process monitoring socket", &e),
        Err(OpenError::Bind(e)) => say("Failed to bind to process monitoring socket", &e),
    }
    None
}

fn say(what: &str, e: &std::io::Error) {
    let number = e.raw_os_error().unwrap_or(0);
    log!(Priority::Info, "{what} - errno {number} - {}", sentence(e));
}

impl Processes {
    /// Follows these programs from now on, and counts them. `inherited` is a socket that was opened in the first network namespace.
    pub(super) fn configure(
        &mut self,
        now: Instant,
        programs: &[TrackProcess],
        buffer: &Configured,
        inherited: &mut Option<ProcEvents>,
        detail: bool,
    ) {
        self.table.configure(programs);
        self.names = programs.iter().map(|p| p.name.value.clone()).collect();
        self.recount_at = None;
        self.sequences.clear();
        self.detail = detail;
        if programs.is_empty() {
            self.stop_listening();
            return;
        }
        if self.socket.is_none() {
            self.socket = inherited.take().or_else(|| open(detail));
        }
        let changed = self.buffer.size != buffer.size || self.buffer.force != buffer.force;
        self.buffer = *buffer;
        let Some(socket) = &self.socket else { return };
        if buffer.size > 0 && (!self.listening || changed) {
            set_buffer(socket, buffer.size, buffer.force);
        }
        if !self.listening {
            if let Err(e) = socket.listen(true) {
                say("Failed to set process event listen", &e);
                self.socket = None;
                return;
            }
            self.listening = true;
            if !self.answered {
                self.answer_until = Some(now + ANSWER);
            }
        }
        self.count();
        self.table.counted();
    }

    /// Readable when there is news.
    pub(super) fn readable(&self) -> Option<&ProcEvents> {
        self.socket.as_ref()
    }

    /// Whether each program has the number of processes it should.
    pub(super) fn states(&self) -> impl Iterator<Item = bool> + '_ {
        self.table.view().map(|v| v.have_quorum)
    }

    /// The process stops.
    pub(super) fn stop(&mut self) {
        self.stop_listening();
        self.socket = None;
        self.table.configure(&[]);
        self.recount_at = None;
        self.answer_until = None;
    }

    fn stop_listening(&mut self) {
        if let Some(socket) = self.socket.as_ref().filter(|_| self.listening) {
            // The process is about to end or not to look any more; news that come nevertheless are passed over.
            let _ = socket.listen(false);
        }
        self.listening = false;
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let own = [
            self.answer_until,
            self.recount_at,
            self.table.next_timeout(),
        ];
        own.into_iter().flatten().min()
    }

    /// Delays that are over, and a second count that is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.answer_until.take_if(|at| *at <= now).is_some() {
            // The answer may wait where we have not looked yet.
            self.take_news(now);
            if !self.answered {
                log!(
                    Priority::Info,
                    "WARNING - the kernel does not support proc events - track_process will not work"
                );
            }
        }
        if self.recount_at.take_if(|at| *at <= now).is_some() {
            self.recount(now);
        }
        self.table.handle_timeout(now);
    }

    /// Takes news from the kernel. `false` once there is none left.
    pub(super) fn take_news(&mut self, now: Instant) -> bool {
        for _ in 0..AT_ONCE {
            let Some(socket) = &self.socket else {
                return false;
            };
            match socket.receive() {
                Ok(event) => self.event(now, event),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(e) if e.raw_os_error() == Some(Errno::ENOBUFS as i32) => {
                    self.recount_at = Some(now + SETTLE);
                }
                Err(e) => {
                    let number = e.raw_os_error().unwrap_or(0);
                    log!(
                        Priority::Info,
                        "process monitor netlink recv error {number} - {}",
                        sentence(&e)
                    );
                    return false;
                }
            }
        }
        true
    }

    fn event(&mut self, now: Instant, message: ProcEvent) {
        // The answer itself may have been lost in a full buffer.
        self.answered = true;
        // Linux 3.10 gave no number for some.
        if message.cpu != u32::MAX {
            let before = self.sequences.insert(message.cpu, message.seq);
            let gap = before.filter(|b| b.wrapping_add(1) != message.seq);
            if let Some(before) = gap.filter(|_| self.recount_at.is_none() || self.detail) {
                let missed = i64::from(message.seq) - i64::from(before) - 1;
                let cpu = message.cpu;
                log!(Priority::Info, "Missed {missed} messages on CPU {cpu}");
            }
        }
        if self.table.is_empty() {
            return;
        }
        match message.event {
            Event::Listening => {
                if self.detail {
                    log!(Priority::Info, "proc_events has confirmed it is configured");
                }
            }
            Event::Fork { parent, child } => self.table.forked(now, parent, child),
            Event::Exec(pid) => self.became(now, pid),
            Event::Comm(pid, name) => {
                let end = name.iter().position(|b| *b == 0);
                let name = name.get(..end.unwrap_or(name.len())).unwrap_or_default();
                self.table.renamed(now, pid, name);
            }
            Event::Exit(pid) => self.table.ended(now, pid),
            Event::Other => {}
        }
    }

    /// Looks at a process that runs another program. If it is gone by now, its end follows.
    fn became(&mut self, now: Instant, pid: u32) {
        let length = self.table.wants_command_line();
        let line = (length > 0).then(|| proc_fs::command_line(pid, length));
        let name = self.table.wants_names().then(|| proc_fs::name(pid));
        if line.as_ref().is_some_and(Option::is_none) || name.as_ref().is_some_and(Option::is_none)
        {
            return;
        }
        let seen = Seen {
            name: name.as_ref().and_then(|n| n.as_deref()),
            command_line: line.as_ref().and_then(|l| l.as_deref()),
        };
        self.table.became(now, pid, seen);
    }

    /// Counts all processes.
    fn count(&mut self) {
        let length = self.table.wants_command_line();
        let names = self.table.wants_names();
        for pid in proc_fs::all() {
            let line = (length > 0).then(|| proc_fs::command_line(pid, length));
            let name = names.then(|| proc_fs::name_of_living(pid));
            let (line, name) = (line.flatten(), name.flatten());
            let seen = Seen {
                name: name.as_deref(),
                command_line: line.as_deref(),
            };
            self.table.found(pid, seen);
        }
    }

    fn recount(&mut self, now: Instant) {
        let Some(socket) = &self.socket else { return };
        match socket.receive_buffer() {
            Ok(bytes) => {
                // Of what the kernel counts, which is twice what it was asked for.
                let bytes = bytes.saturating_mul(2);
                set_buffer(socket, bytes, self.buffer.force);
                log!(
                    Priority::Info,
                    "Setting global_def process_monitor_rcv_bufs to {bytes} - recommend updating configuration file"
                );
            }
            Err(e) => log!(
                Priority::Info,
                "Cannot get process monitor SO_RCVBUF option. errno={} ({})",
                e.raw_os_error().unwrap_or(0),
                sentence(&e)
            ),
        }
        self.sequences.clear();
        let before = self.table.recount();
        self.count();
        let recounted = self.table.recounted(now, &before);
        for changed in recounted {
            if !self.detail {
                continue;
            }
            let name = self.names.get(changed.program).map_or("", |n| n);
            let quorum = match changed.changed {
                None => "",
                Some(true) => ", quorum up",
                Some(false) => ", quorum down",
            };
            let line = format!(
                "Process {name}, number of current processes changed from {} to {}{quorum}",
                changed.before, changed.now
            );
            self.lines.push_back((changed.program, line));
        }
    }

    /// The next program whose quorum was gained or lost, which is said.
    pub(super) fn poll(&mut self) -> Option<(usize, bool)> {
        let next = self.table.peek();
        while let Some((n, line)) = self.lines.front() {
            if next.is_some_and(|next| *n > next) {
                break;
            }
            log!(Priority::Info, "{line}");
            self.lines.pop_front();
        }
        let verdict = self.table.poll()?;
        let name = self.names.get(verdict.program).map_or("", |n| n);
        let what = if verdict.gained { "gained" } else { "lost" };
        log!(Priority::Info, "Quorum {what} for tracked process {name}");
        Some((verdict.program, verdict.gained))
    }

    /// The programs as the dumps show them.
    pub(super) fn now(&self) -> Vec<ProcessTrackNow> {
        let now = |v: table::View| ProcessTrackNow {
            current: v.number,
            have_quorum: v.have_quorum,
            fork_timer: v.fork_timer,
            terminate_timer: v.terminate_timer,
        };
        self.table.view().map(now).collect()
    }
}

fn set_buffer(socket: &ProcEvents, bytes: u32, force: bool) {
    if let Err(e) = socket.set_receive_buffer(ReceiveBuffer { bytes, force }) {
        let kind = if force { "FORCE" } else { "" };
        let number = e.raw_os_error().unwrap_or(0);
        log!(
            Priority::Info,
            "Cannot set process monitor SO_RCVBUF{kind} option. errno={number} ({})",
            sentence(&e)
        );
    }
}
