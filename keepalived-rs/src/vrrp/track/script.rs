//! When tracked scripts run, and what their results mean. No process, no clock: time comes in, actions go out.
//!
//! In: settings of the scripts, how runs ended, the time. Out: [`Action`] values in the order in which they are to happen.
//!
//! ```text
//!  result:  0 … rise-1 │ rise … rise+fall-1
//!           down       │ up
//! ```
//! A success below `rise` counts up until it gets there, then the counter jumps to the top; a failure counts down until `rise`,
//! then it drops to 0.
//! Answers to: keepalived-behaviour.md section 7 "Script" and section 10, keepalived 2.3.3 vrrp/vrrp_scheduler.c, vrrp/vrrp.c.

use std::collections::VecDeque;

use net_types::{Duration, Instant};
use vrrp_proto::config::TrackerState;

/// How long a script may take to obey SIGTERM, and then SIGKILL.
const OBEY: Duration = Duration::from_secs(2);
/// How long between attempts to end one that hangs in the kernel.
const HOPELESS: Duration = Duration::from_secs(10);

/// What the scheduler knows of a script's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Its name, for the log.
    pub(super) name: Box<str>,
    /// From start to start.
    pub(super) interval: Duration,
    /// How long a run may take.
    pub(super) timeout: Duration,
    /// Successes that bring it up, 1 and more.
    pub(super) rise: u32,
    /// Failures that bring it down, 1 and more.
    pub(super) fall: u32,
}

impl Settings {
    fn top(&self) -> u32 {
        self.rise.saturating_add(self.fall).saturating_sub(1)
    }
}

/// How far a script is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Init {
    /// Has not ended yet since the daemon started.
    First,
    /// New since a reload, and has not ended yet.
    FirstSinceReload,
    /// Has not ended yet and counts as failed.
    Failed,
    /// Has ended at least once.
    Done,
}

/// What a script does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Waits.
    Idle,
    /// Runs.
    Running,
    /// Was asked to end.
    Terminating,
    /// Was killed.
    Killing,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It exited with this status.
    Status(u8),
    /// This signal ended it.
    Signal(i32),
}

/// What is to be done. The number is the script's position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start it.
    Run(usize),
    /// Send SIGTERM to its process group.
    Terminate(usize),
    /// Send SIGKILL to its process group.
    Kill(usize),
    /// SIGKILL did not help: say so, before the next [`Action::Kill`].
    Unkillable(usize),
    /// A log line.
    Say(String),
    /// It is up or down now.
    Tell(usize, TrackerState),
}

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

#[derive(Clone, Debug)]
struct Script {
    settings: Settings,
    result: u32,
    init: Init,
    activity: Activity,
    last_status: u8,
    /// Start of the next run.
    next: Option<Instant>,
    /// When patience with the run ends.
    deadline: Option<Instant>,
}

/// What a reload keeps of a script whose command is the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    rise: u32,
    fall: u32,
    result: u32,
    init: Init,
    last_status: u8,
}

/// All scripts of the process.
#[derive(Debug, Default)]
pub(super) struct Scheduler {
    scripts: Vec<Script>,
    actions: VecDeque<Action>,
}

impl Scheduler {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.scripts.clear();
        self.actions.clear();
    }

    /// Adds a script that was not there before; it does not run before [`Self::start`].
    pub(super) fn add(&mut self, settings: Settings, init_fail: bool, reload: bool) {
        let init = if init_fail {
            Init::Failed
        } else if reload {
            Init::FirstSinceReload
        } else {
            Init::First
        };
        self.push(settings, 0, init, 0);
    }

    /// Adds a script with what an earlier configuration knew of it; a line says what is thought of it now.
    pub(super) fn add_known(&mut self, settings: Settings, kept: Kept) {
        let name = &settings.name;
        match kept.init {
            // The original forgets `init_fail` of a script that waits for its first end.
            Init::First | Init::FirstSinceReload => self.push(settings, 0, kept.init, 0),
            Init::Failed | Init::Done => {
                let result = if kept.result < kept.rise {
                    self.say(format!(
                        "VRRP_Script({name}) considered unsuccessful on reload"
                    ));
                    let missing = kept.rise.saturating_sub(kept.result);
                    if kept.result == 0 {
                        0
                    } else {
                        settings.rise.saturating_sub(missing)
                    }
                } else {
                    self.say(format!(
                        "VRRP_Script({name}) considered successful on reload"
                    ));
                    if kept.result >= kept.rise.saturating_add(kept.fall).saturating_sub(1) {
                        settings.top()
                    } else {
                        let above = kept.result.saturating_sub(kept.rise);
                        settings.rise.saturating_add(above).min(settings.top())
                    }
                };
                self.push(settings, result, Init::Done, kept.last_status);
            }
        }
    }

    fn push(&mut self, settings: Settings, result: u32, init: Init, last_status: u8) {
        let result = match init {
            // One success is enough.
            Init::First | Init::FirstSinceReload => settings.rise.saturating_sub(1),
            Init::Failed => 0,
            Init::Done => result,
        };
        self.scripts.push(Script {
            settings,
            result,
            init,
            activity: Activity::Idle,
            last_status,
            next: None,
            deadline: None,
        });
    }

    /// What a reload may want to keep.
    pub(super) fn keep(&self, n: usize) -> Option<Kept> {
        self.scripts.get(n).map(|s| Kept {
            rise: s.settings.rise,
            fall: s.settings.fall,
            result: s.result,
            init: s.init,
            last_status: s.last_status,
        })
    }

    /// From now on they run.
    pub(super) fn start(&mut self, now: Instant) {
        for script in &mut self.scripts {
            script.next = Some(now);
        }
    }

    /// No further run starts.
    pub(super) fn stop(&mut self) {
        for script in &mut self.scripts {
            script.next = None;
            script.deadline = None;
        }
        self.actions.clear();
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.scripts
            .iter()
            .flat_map(|s| [s.next, s.deadline])
            .flatten()
            .min()
    }

    /// Starts what is due, ends what is overdue.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Self { scripts, actions } = self;
        for (n, script) in scripts.iter_mut().enumerate() {
            // A run that ends its patience with the interval is told of first: the original's timers fire in this order.
            if script.next.is_some_and(|at| at <= now) {
                script.next = Some(now + script.settings.interval);
                let doing = match script.activity {
                    Activity::Idle => {
                        script.activity = Activity::Running;
                        script.deadline = Some(now + script.settings.timeout);
                        actions.push_back(Action::Run(n));
                        continue;
                    }
                    Activity::Running => "already running",
                    Activity::Terminating | Activity::Killing => "being timed out",
                };
                let name = &script.settings.name;
                actions.push_back(Action::Say(format!(
                    "Track script {name} is {doing}, expect idle - skipping run"
                )));
            }
            if script.deadline.is_some_and(|at| at <= now) {
                let wait = match script.activity {
                    Activity::Running => {
                        script.activity = Activity::Terminating;
                        actions.push_back(Action::Terminate(n));
                        Some(OBEY)
                    }
                    Activity::Terminating => {
                        script.activity = Activity::Killing;
                        actions.push_back(Action::Kill(n));
                        Some(OBEY)
                    }
                    Activity::Killing => {
                        actions.push_back(Action::Unkillable(n));
                        actions.push_back(Action::Kill(n));
                        Some(HOPELESS)
                    }
                    Activity::Idle => None,
                };
                script.deadline = wait.map(|wait| now + wait);
            }
        }
    }

    /// The run ended.
    pub(super) fn ended(&mut self, n: usize, outcome: Outcome) {
        let Self { scripts, actions } = self;
        let Some(script) = scripts.get_mut(n) else {
            return;
        };
        let name = &script.settings.name;
        let (good, how) = match outcome {
            Outcome::Status(status) => {
                if std::mem::replace(&mut script.last_status, status) != status {
                    actions.push_back(Action::Say(format!(
                        "Script `{name}` now returning {status}"
                    )));
                }
                if status == 0 {
                    (true, "succeeded".to_owned())
                } else {
                    (false, format!("failed (exited with status {status})"))
                }
            }
            Outcome::Signal(signal) => {
                if script.activity == Activity::Terminating && signal == SIGTERM {
                    // What it started may not have obeyed.
                    actions.push_back(Action::Kill(n));
                }
                let ours = match script.activity {
                    Activity::Terminating => signal == SIGTERM,
                    Activity::Killing => signal == SIGKILL || signal == SIGTERM,
                    Activity::Idle | Activity::Running => false,
                };
                if ours {
                    (false, "timed_out".to_owned())
                } else {
                    (false, format!("failed (due to signal {signal})"))
                }
            }
        };
        let rise = script.settings.rise;
        let first = matches!(script.init, Init::First | Init::FirstSinceReload);
        let mut tell = |state| {
            actions.push_back(Action::Say(format!("VRRP_Script({name}) {how}")));
            actions.push_back(Action::Tell(n, state));
        };
        if good {
            if script.result.saturating_add(1) < rise {
                script.result = script.result.saturating_add(1);
            } else {
                if script.result < rise {
                    tell(TrackerState::Up);
                }
                script.result = script.settings.top();
            }
        } else if script.result > rise {
            script.result = script.result.saturating_sub(1);
        } else {
            if script.result == rise || first {
                tell(TrackerState::Down);
            }
            script.result = 0;
        }
        script.activity = Activity::Idle;
        script.init = Init::Done;
        script.deadline = None;
    }

    /// The run could not be started, or its process is gone without a trace: nothing is known from it.
    pub(super) fn lost(&mut self, n: usize) {
        if let Some(script) = self.scripts.get_mut(n) {
            script.activity = Activity::Idle;
            script.deadline = None;
        }
    }

    /// What is to be done next.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn say(&mut self, line: String) {
        self.actions.push_back(Action::Say(line));
    }

    /// What the core is to know of each script now, in their order.
    pub(super) fn states(&self) -> impl Iterator<Item = TrackerState> + '_ {
        self.scripts.iter().map(|s| match s.init {
            Init::First => TrackerState::Pending,
            Init::FirstSinceReload => TrackerState::Unknown,
            Init::Failed => TrackerState::Down,
            Init::Done if s.result >= s.settings.rise => TrackerState::Up,
            Init::Done => TrackerState::Down,
        })
    }

    /// Counter, progress, activity of each, in their order: for the dumps.
    pub(super) fn view(&self) -> impl Iterator<Item = (u32, Init, Activity)> + '_ {
        self.scripts.iter().map(|s| (s.result, s.init, s.activity))
    }

    /// The name of a script.
    pub(super) fn name(&self, n: usize) -> &str {
        self.scripts.get(n).map_or("", |s| &s.settings.name)
    }
}

#[cfg(test)]
mod tests;
