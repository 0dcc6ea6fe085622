//! What instances track besides interfaces: scripts that run periodically, numbers in files, processes, BFD sessions.
//!
//! In: the model, ends of children, changes of files, news of processes and sessions, the time. Out: states for the core by
//! [`TrackerId`], log lines, processes. Scripts come first in the ids, in the order of the model; files, processes, sessions follow.
//! Answers to: keepalived-behaviour.md section 7.

mod bfd;
pub(crate) mod file;
pub(crate) mod process;
mod script;

use std::collections::VecDeque;
use std::io;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::vrrp::VrrpScript;
use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::script::Command;
use linux_io::process::{Exit, Pid};
use linux_io::signal::{Signal, killpg};
use linux_io::watch::Watch;
use net_types::{Duration, Instant};
use vrrp_proto::TrackerId;
use vrrp_proto::config::{Config, TrackSource, TrackerState};

use self::bfd::Bfds;
use self::file::Files;
use self::process::Processes;
use self::script::{Action, Activity, Init, Outcome, Scheduler, Settings};
use crate::child::Context;
use crate::parent::{command, say_not_started};
use crate::text::dump::snapshot::{ProcessTrackNow, ScriptActivity, ScriptInit, ScriptNow};

/// How long scripts of an old configuration may take to obey SIGTERM.
const RELOAD_PATIENCE: Duration = Duration::from_secs(1);

/// A script's process side.
#[derive(Debug)]
struct Runner {
    name: Box<str>,
    command: Command,
    pid: Option<Pid>,
}

/// What has news of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Files,
    Processes,
    Bfds,
}

/// Everything that one VRRP process tracks.
#[derive(Debug)]
pub(super) struct Tracking {
    scheduler: Scheduler,
    runners: Vec<Runner>,
    files: Files,
    processes: Processes,
    bfds: Bfds,
    watches: Vec<(Source, Watch)>,
    /// Runs of an earlier configuration and when they are killed.
    ending: Vec<(Pid, Instant)>,
    news: VecDeque<(TrackerId, TrackerState)>,
}

impl Tracking {
    /// Tracks nothing yet.
    pub(super) fn new() -> Self {
        Self {
            scheduler: Scheduler::default(),
            runners: Vec::new(),
            files: Files::new(),
            processes: Processes::default(),
            bfds: Bfds::default(),
            watches: Vec::new(),
            ending: Vec::new(),
            news: VecDeque::new(),
        }
    }

    /// Goes on with what `model` says, and fills in what is known of each tracker. `config` was lowered from `model`. Scripts start with
    /// [`Self::start`]. At a reload those that run are told to end.
    pub(super) fn configure(
        &mut self,
        now: Instant,
        model: &Model,
        config: &mut Config,
        reload: bool,
        context: &mut Context,
    ) {
        let detail = context.options.log_detail > 0;
        self.news.clear();
        let known: Vec<_> = std::mem::take(&mut self.runners)
            .into_iter()
            .enumerate()
            .map(|(n, runner)| {
                if let Some(pid) = runner.pid {
                    let _ = killpg(pid, Signal::TERM);
                    self.ending.push((pid, now + RELOAD_PATIENCE));
                }
                (runner, self.scheduler.keep(n))
            })
            .collect();
        self.scheduler.clear();
        for script in &model.vrrp.scripts {
            let name = script.name.value.clone();
            let command = script.script.as_ref().map(command).unwrap_or(Command {
                path: None,
                args: Vec::new(),
                uid: 0,
                gid: 0,
                shell: false,
            });
            let same = known
                .iter()
                .find(|(r, _)| r.name == name && r.command == command);
            match same.and_then(|(_, kept)| *kept) {
                Some(kept) => self.scheduler.add_known(settings(script), kept),
                None => self
                    .scheduler
                    .add(settings(script), script.init_fail, reload),
            }
            self.runners.push(Runner {
                name,
                command,
                pid: None,
            });
        }
        let first_file = self.runners.len();
        let used = |n: usize| {
            let id = id(first_file.saturating_add(n));
            let mut tracks = config.instances.iter().flat_map(|i| &i.tracks);
            tracks.any(|t| Some(t.source) == id.map(TrackSource::Tracker))
        };
        self.files
            .configure(&model.vrrp.track_files, used, reload, context.umask);
        self.processes.configure(
            now,
            &model.vrrp.track_processes,
            &model.global.process_monitor,
            &mut context.proc_events,
            detail,
        );
        self.bfds
            .configure(&model.bfd.tracked, &mut context.bfd_events, detail);
        self.watch();

        let values = self.files.values();
        let states = self.scheduler.states();
        let states = states.chain(values.map(|v| TrackerState::Value(clamp(v.unwrap_or(0)))));
        let up_or_down = self.processes.states().chain(self.bfds.states());
        let states = states.chain(up_or_down.map(up_or_down_state));
        for (tracker, state) in config.trackers.iter_mut().zip(states) {
            tracker.state = state;
        }
        // What cannot be followed does not count.
        for (n, _) in self.files.values().enumerate().filter(|(_, v)| v.is_none()) {
            let gone = id(first_file.saturating_add(n)).map(TrackSource::Tracker);
            for instance in &mut config.instances {
                instance.tracks.retain(|t| Some(t.source) != gone);
            }
        }
        self.act();
    }

    /// Waits for what there is to wait for. A source that cannot be waited for has no news.
    fn watch(&mut self) {
        let files = self.files.readable().map(Watch::reading);
        let processes = self.processes.readable().map(Watch::reading);
        let bfds = self.bfds.readable().map(Watch::reading);
        self.watches = [
            (Source::Files, files),
            (Source::Processes, processes),
            (Source::Bfds, bfds),
        ]
        .into_iter()
        .filter_map(|(source, watch)| Some((source, watch?.ok()?)))
        .collect();
    }

    /// Whether there may be news.
    pub(super) fn is_ready(&self) -> bool {
        self.watches.iter().any(|(_, watch)| watch.readable())
    }

    /// Takes the news that wait, some of each source.
    pub(super) fn take_news(&mut self, now: Instant) {
        let watches = std::mem::take(&mut self.watches);
        for (source, watch) in &watches {
            let _ = watch.read(|| {
                let more = match source {
                    Source::Files => {
                        self.files_changed();
                        false
                    }
                    Source::Processes => self.processes.take_news(now),
                    Source::Bfds => self.bfds.take_news(),
                };
                if more {
                    Ok(())
                } else {
                    Err(io::Error::from(io::ErrorKind::WouldBlock))
                }
            });
        }
        self.watches = watches;
    }

    /// The instances have started: scripts run from now on.
    pub(super) fn start(&mut self, now: Instant) {
        self.scheduler.start(now);
    }

    /// The process stops: no script runs any longer.
    pub(super) fn stop(&mut self) {
        self.scheduler.stop();
        self.processes.stop();
        self.bfds.stop();
        self.news.clear();
        for runner in &self.runners {
            if let Some(pid) = runner.pid {
                let _ = killpg(pid, Signal::TERM);
            }
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let ending = self.ending.iter().map(|(_, at)| *at);
        let own = [self.scheduler.next_timeout(), self.processes.next_timeout()];
        ending.chain(own.into_iter().flatten()).min()
    }

    /// Starts scripts that are due and ends those that take too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.ending.retain(|(pid, at)| {
            let over = *at <= now;
            if over {
                let _ = killpg(*pid, Signal::KILL);
            }
            !over
        });
        self.processes.handle_timeout(now);
        self.scheduler.handle_timeout(now);
        self.act();
    }

    /// A child of this process has ended; `true` if it was a tracked script.
    pub(super) fn exited(&mut self, pid: Pid, exit: Exit) -> bool {
        if let Some(at) = self.ending.iter().position(|(p, _)| *p == pid) {
            self.ending.swap_remove(at);
            return true;
        }
        let Some((n, runner)) = self
            .runners
            .iter_mut()
            .enumerate()
            .find(|(_, r)| r.pid == Some(pid))
        else {
            return false;
        };
        let outcome = match exit {
            // As in the original a script that the shell cannot run is no failure of the script.
            Exit::Code(code @ (126 | 127)) if runner.command.shell => {
                let words = runner.command.quoted();
                let what = if code == 127 { "find" } else { "execute" };
                log!(Priority::Alert, "Couldn't {what} command: {words}");
                Outcome::Status(0)
            }
            Exit::Code(code) => Outcome::Status(code),
            Exit::Signal { signal, .. } => Outcome::Signal(signal),
        };
        self.scheduler.ended(n, outcome);
        self.act();
        if let Some(runner) = self.runners.get_mut(n) {
            runner.pid = None;
        }
        true
    }

    fn files_changed(&mut self) {
        let first = self.runners.len();
        for (n, value) in self.files.changes() {
            if let Some(id) = id(first.saturating_add(n)) {
                self.news.push_back((id, TrackerState::Value(clamp(value))));
            }
        }
    }

    /// The next news for the core. Its log lines are written when the one before has been taken, so that what follows from a
    /// result stands below it: take them one by one and act on each.
    pub(super) fn poll(&mut self) -> Option<(TrackerId, TrackerState)> {
        if let Some(news) = self.news.pop_front() {
            return Some(news);
        }
        self.act();
        if let Some(news) = self.news.pop_front() {
            return Some(news);
        }
        let processes = self.first_process();
        if let Some((n, up)) = self.processes.poll() {
            return Some((id(processes.saturating_add(n))?, up_or_down_state(up)));
        }
        let bfds = processes.saturating_add(self.processes.states().count());
        let (n, up) = self.bfds.poll()?;
        Some((id(bfds.saturating_add(n))?, up_or_down_state(up)))
    }

    /// Position of the first process among the trackers.
    fn first_process(&self) -> usize {
        let files = self.files.values().count();
        self.runners.len().saturating_add(files)
    }

    /// Does what the scheduler says until there is news for the core.
    fn act(&mut self) {
        while self.news.is_empty() {
            let Some(action) = self.scheduler.poll_action() else {
                return;
            };
            match action {
                Action::Run(n) => self.run(n),
                Action::Terminate(n) => self.signal(n, Signal::TERM),
                Action::Kill(n) => self.signal(n, Signal::KILL),
                Action::Unkillable(n) => {
                    let pid = self.runners.get(n).and_then(|r| r.pid).map_or(0, Pid::get);
                    let name = self.scheduler.name(n);
                    log!(
                        Priority::Info,
                        "Script {name} child (PID {pid}) failed to terminate after kill"
                    );
                }
                Action::Say(line) => log!(Priority::Info, "{line}"),
                Action::Tell(n, state) => {
                    if let Some(id) = id(n) {
                        self.news.push_back((id, state));
                    }
                }
            }
        }
    }

    fn run(&mut self, n: usize) {
        let Some(runner) = self.runners.get_mut(n) else {
            return;
        };
        match runner.command.start(&[]) {
            Ok(pid) => runner.pid = Some(pid),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory
                ) =>
            {
                log!(Priority::Info, "Failed fork process");
                self.scheduler.lost(n);
            }
            Err(e) => {
                // The original's child exits with 0 when it cannot become the script.
                say_not_started(&runner.command, &e);
                self.scheduler.ended(n, Outcome::Status(0));
            }
        }
    }

    /// It may have ended this instant; then the reaper is about to say so.
    fn signal(&self, n: usize, signal: Signal) {
        if let Some(pid) = self.runners.get(n).and_then(|r| r.pid) {
            let _ = killpg(pid, signal);
        }
    }

    /// The scripts as the dumps show them.
    pub(super) fn scripts_now(&self) -> Vec<ScriptNow> {
        let now = |(result, init, activity)| ScriptNow {
            result: i32::try_from(result).unwrap_or(i32::MAX),
            insecure: false,
            init: match init {
                Init::First => ScriptInit::Init,
                Init::FirstSinceReload => ScriptInit::InitReload,
                Init::Failed => ScriptInit::Failed,
                Init::Done => ScriptInit::Done,
            },
            activity: match activity {
                Activity::Idle => ScriptActivity::Idle,
                Activity::Running => ScriptActivity::Running,
                Activity::Terminating => ScriptActivity::Terminating,
                Activity::Killing => ScriptActivity::Killing,
            },
        };
        self.scheduler.view().map(now).collect()
    }

    /// The processes as the dumps show them.
    pub(super) fn processes_now(&self) -> Vec<ProcessTrackNow> {
        self.processes.now()
    }

    /// Which BFD sessions are up.
    pub(super) fn bfds_now(&self) -> Vec<bool> {
        self.bfds.states().collect()
    }

    /// The files' numbers as the dumps show them.
    pub(super) fn files_now(&self) -> Vec<i64> {
        self.files.values().map(|v| v.unwrap_or(0)).collect()
    }
}

fn settings(script: &VrrpScript) -> Settings {
    let timeout = if script.timeout == 0 {
        script.interval
    } else {
        script.timeout
    };
    Settings {
        name: script.name.value.clone(),
        interval: Duration::from_micros(script.interval),
        timeout: Duration::from_micros(timeout),
        rise: script.rise.max(1),
        fall: script.fall.max(1),
    }
}

fn up_or_down_state(up: bool) -> TrackerState {
    if up {
        TrackerState::Up
    } else {
        TrackerState::Down
    }
}

fn id(n: usize) -> Option<TrackerId> {
    u16::try_from(n).ok().map(TrackerId)
}

/// Weights reach ±254, so beyond 32 bits nothing changes.
fn clamp(value: i64) -> i32 {
    i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
}
