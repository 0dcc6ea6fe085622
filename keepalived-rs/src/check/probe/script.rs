//! `MISC_CHECK`: scripts whose end is the verdict.

use checker_proto::CheckerId;
use checker_proto::verdict::{Failure, Obstacle, ScriptFailure, Success, Verdict};
use conf_parsers::keepalived::model::script::Script;
use daemon_rt::script::Command;
use linux_io::process::{Exit, Pid};
use linux_io::signal::Signal;
use net_types::{Duration, Instant};

use super::{Notice, Probes, number};

/// No process can be had now.
const EAGAIN: i32 = 11;

impl Probes {
    /// Begins a run. What can not be executed is not the server's fault.
    pub(super) fn start_script(
        &mut self,
        now: Instant,
        id: CheckerId,
        script: &Script,
        limit: Duration,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Verdict> {
        match self
            .scripts
            .start(now, &command(script), &[], id, Some(limit))
        {
            Ok(_) => Ok(()),
            Err(e) if number(&e) == EAGAIN => Err(Verdict::NotRun(Obstacle::Script(number(&e)))),
            Err(e) => {
                let path = script.path.as_ref().or(script.args.first());
                let path = path.cloned().unwrap_or_default();
                notices.push(Notice::NotExecuted(path, number(&e)));
                Err(Verdict::Up(Success::Script(0)))
            }
        }
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
}

/// Whether a signal is one that ends scripts that take too long.
fn ends(signal: i32) -> bool {
    [Signal::TERM, Signal::KILL]
        .iter()
        .any(|ends| ends.number() == signal)
}

/// The script as it is started.
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
