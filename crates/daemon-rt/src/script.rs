//! Running scripts: started, never waited for, ended when they take too long.
//!
//! In: a [`Command`] and a time limit, exits collected by the process's reaper, the time.
//! Out: [`Ended`] and [`Overdue`] values: what happened to which script.
//!
//! A script leads its own process group, so that what it starts can be ended with it; it runs as its own user,
//! has /dev/null as its standard descriptors and dies with the daemon.
//! Answers to: keepalived-behaviour.md section 5, keepalived 2.3.3 lib/notify.c and core/main.c.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use linux_io::process::{Exit, Pid};
use linux_io::sched::{self, Resource};
use linux_io::signal::{Signal, killpg};
use linux_io::spawn::{Credentials, Program};
use linux_io::users;
use net_types::{Duration, Instant};

/// How long a script may take to obey SIGTERM, and then SIGKILL.
const OBEY: Duration = Duration::from_secs(2);
/// How long to wait for one that even SIGKILL does not end (it hangs in the kernel).
const HOPELESS: Duration = Duration::from_secs(10);

/// What could make a script run as something else than it is (keepalived 2.4.0).
const NOT_FOR_SCRIPTS: &[&str] = &[
    "IFS",
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    crate::systemd::SOCKET,
];

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The file to execute, when it is not `args[0]`: the first word as the operator wrote it stays the
    /// script's own name.
    pub path: Option<PathBuf>,
    /// Words; the first is the program.
    pub args: Vec<String>,
    /// User.
    pub uid: u32,
    /// Group, the only one.
    pub gid: u32,
    /// Let /bin/sh run the words: for a redirection (`</dev/…`) in place of a program.
    pub shell: bool,
}

impl Command {
    /// The words in quotes, as log lines and dumps show a command: `'/bin/x' 'a b'`.
    pub fn quoted(&self) -> String {
        let mut out = String::new();
        for (n, word) in self.args.iter().enumerate() {
            if n > 0 {
                out.push(' ');
            }
            if n == 0 && word.starts_with(['<', '>']) {
                out.push_str(word);
            } else {
                out.push('\'');
                out.push_str(word);
                out.push('\'');
            }
        }
        out
    }

    /// The words for a shell. A quote inside a word must not end the word.
    fn shell_line(&self) -> String {
        let escaped = Self {
            args: self
                .args
                .iter()
                .map(|word| word.replace('\'', "'\\''"))
                .collect(),
            ..self.clone()
        };
        escaped.quoted()
    }

    /// Starts it with `extra` words added. Returns at once.
    pub fn start(&self, extra: &[&str]) -> io::Result<Pid> {
        let (path, argv) = if self.shell {
            let mut line = self.shell_line();
            for word in extra {
                line.push_str(" '");
                line.push_str(&word.replace('\'', "'\\''"));
                line.push('\'');
            }
            let argv = ["sh", "-c", line.as_str()].map(OsString::from).to_vec();
            (PathBuf::from("/bin/sh"), argv)
        } else {
            let first = self.args.first().map(PathBuf::from).unwrap_or_default();
            let words = self.args.iter().map(String::as_str);
            let argv = words.chain(extra.iter().copied()).map(OsString::from);
            (self.path.clone().unwrap_or(first), argv.collect())
        };
        let mut program = Program::new(path);
        program.argv = argv;
        program.without = NOT_FOR_SCRIPTS;
        program.parent_death = Some(Signal::TERM);
        // What the daemon needs for itself is not theirs.
        let limit = sched::inherited_open_files();
        program
            .limits
            .extend(limit.map(|l| (Resource::OpenFiles, l)));
        // Only the superuser may set groups and priorities; for anybody else they are what they are.
        if users::euid() == 0 {
            program.reset_priority = true;
            program.user = Some(Credentials {
                uid: self.uid,
                gid: self.gid,
                groups: vec![self.gid],
            });
        }
        program.spawn()
    }
}

/// How far the ending of an overdue script has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Terminated,
    Killed,
    GivenUp,
}

#[derive(Debug)]
struct Running<T> {
    pid: Pid,
    token: T,
    stage: Stage,
    deadline: Option<Instant>,
    shell: Option<Command>,
}

/// A script that ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended<T> {
    /// What it was started for.
    pub token: T,
    /// Its number.
    pub pid: Pid,
    /// How.
    pub exit: Exit,
    /// It had been told to end because it took too long.
    pub timed_out: bool,
    /// The shell could not run the command: the line to log at LOG_ALERT. `exit` is then 0, as the script
    /// itself never ran.
    pub not_run: Option<String>,
}

/// A script that takes too long.
#[derive(Debug, PartialEq, Eq)]
pub enum Overdue<T> {
    /// Its time is up: it got SIGTERM.
    TimedOut {
        /// What it was started for.
        token: T,
        /// Its number.
        pid: Pid,
    },
    /// It did not obey and got SIGKILL.
    Killed {
        /// What it was started for.
        token: T,
        /// Its number.
        pid: Pid,
    },
    /// Even SIGKILL did not end it.
    Unkillable {
        /// What it was started for.
        token: T,
        /// Its number.
        pid: Pid,
    },
    /// No further attempt is made; its end will still be told.
    GivenUp {
        /// What it was started for.
        token: T,
        /// Its number.
        pid: Pid,
    },
}

/// The scripts of one process that are running and whose end matters. Their number is that of the daemon's
/// script keywords: each runs at most once at a time.
#[derive(Debug)]
pub struct Scripts<T> {
    running: Vec<Running<T>>,
}

impl<T> Default for Scripts<T> {
    fn default() -> Self {
        Self {
            running: Vec::new(),
        }
    }
}

impl<T: Clone> Scripts<T> {
    /// Starts `command` and remembers it under `token`. With a `limit` it is ended when that is over.
    pub fn start(
        &mut self,
        now: Instant,
        command: &Command,
        extra: &[&str],
        token: T,
        limit: Option<Duration>,
    ) -> io::Result<Pid> {
        let pid = command.start(extra)?;
        self.running.push(Running {
            pid,
            token,
            stage: Stage::Running,
            deadline: limit.map(|limit| now + limit),
            shell: command.shell.then(|| command.clone()),
        });
        Ok(pid)
    }

    /// Whether any script is still running.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// What the running scripts were started for.
    pub fn tokens(&self) -> impl Iterator<Item = &T> {
        self.running.iter().map(|r| &r.token)
    }

    /// Their process numbers.
    pub fn pids(&self) -> impl Iterator<Item = Pid> + '_ {
        self.running.iter().map(|r| r.pid)
    }

    /// The process's reaper collected `pid`. `None` when that was no script of ours.
    pub fn exited(&mut self, pid: Pid, exit: Exit) -> Option<Ended<T>> {
        let at = self.running.iter().position(|r| r.pid == pid)?;
        let ended = self.running.swap_remove(at);
        let timed_out = ended.stage != Stage::Running;
        let by_term =
            matches!(exit, Exit::Signal { signal, .. } if signal == Signal::TERM.number());
        if timed_out && by_term {
            // What it started may not have obeyed.
            let _ = killpg(pid, Signal::KILL);
        }
        let not_run = match (&ended.shell, exit) {
            (Some(command), Exit::Code(127)) => {
                Some(format!("Couldn't find command: {}", command.quoted()))
            }
            (Some(command), Exit::Code(126)) => {
                Some(format!("Couldn't execute command: {}", command.quoted()))
            }
            _ => None,
        };
        Some(Ended {
            token: ended.token,
            pid,
            exit: if not_run.is_some() {
                Exit::Code(0)
            } else {
                exit
            },
            timed_out,
            not_run,
        })
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.running.iter().filter_map(|r| r.deadline).min()
    }

    /// Ends scripts whose time is up, step by step.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Overdue<T>> {
        let mut overdue = Vec::new();
        for script in &mut self.running {
            if script.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            let (token, pid) = (script.token.clone(), script.pid);
            let (signal, next, wait) = match script.stage {
                Stage::Running => {
                    overdue.push(Overdue::TimedOut { token, pid });
                    (Signal::TERM, Stage::Terminated, Some(OBEY))
                }
                Stage::Terminated => {
                    overdue.push(Overdue::Killed { token, pid });
                    (Signal::KILL, Stage::Killed, Some(OBEY))
                }
                Stage::Killed => {
                    overdue.push(Overdue::Unkillable { token, pid });
                    (Signal::KILL, Stage::GivenUp, Some(HOPELESS))
                }
                Stage::GivenUp => {
                    overdue.push(Overdue::GivenUp { token, pid });
                    script.deadline = None;
                    continue;
                }
            };
            // It may have ended this instant; then the reaper is about to say so.
            let _ = killpg(pid, signal);
            script.stage = next;
            script.deadline = wait.map(|wait| now + wait);
        }
        overdue
    }

    /// Signals the scripts that were started for that, and forgets them: their end will be told to nobody.
    pub fn forget(&mut self, which: impl Fn(&T) -> bool, signal: Signal) {
        self.running.retain(|script| {
            let forget = which(&script.token);
            if forget {
                let _ = killpg(script.pid, signal);
            }
            !forget
        });
    }

    /// Tells every script to end, and sets what is left of their time: for a daemon that stops.
    pub fn end_all(&mut self, signal: Signal, until: Instant) {
        for script in &mut self.running {
            let _ = killpg(script.pid, signal);
            script.stage = Stage::Terminated;
            script.deadline = Some(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linux_io::process::wait_for;

    fn sh(script: &str) -> Command {
        Command {
            path: None,
            args: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            uid: users::euid(),
            gid: users::egid(),
            shell: false,
        }
    }

    const T0: Instant = Instant::from_micros(0);

    #[test]
    fn an_end_is_told_with_its_token() {
        let mut scripts = Scripts::default();
        let command = sh("[ \"$1\" = x ] && exit 3");
        // `sh -c text name x`
        let pid = scripts
            .start(T0, &command, &["name", "x"], "t", None)
            .unwrap();
        assert_eq!(scripts.next_timeout(), None);
        let exit = wait_for(pid).unwrap();
        let ended = scripts.exited(pid, exit).unwrap();
        assert_eq!((ended.token, ended.exit), ("t", Exit::Code(3)));
        assert!(!ended.timed_out);
        assert!(scripts.is_empty());
        assert_eq!(scripts.exited(pid, exit), None);
    }

    #[test]
    fn an_overdue_script_is_terminated_then_killed() {
        let mut scripts = Scripts::default();
        let obeys = sh("while :; do sleep 10; done");
        let pid = scripts
            .start(T0, &obeys, &[], 1, Some(Duration::from_secs(5)))
            .unwrap();
        assert!(scripts.handle_timeout(T0).is_empty());
        let at = scripts.next_timeout().unwrap();
        assert_eq!(
            scripts.handle_timeout(at),
            [Overdue::TimedOut { token: 1, pid }]
        );
        let exit = wait_for(pid).unwrap();
        assert!(matches!(exit, Exit::Signal { signal: 15, .. }), "{exit:?}");
        assert!(scripts.exited(pid, exit).unwrap().timed_out);

        let refuses = Command {
            args: ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 10; done"]
                .map(str::to_owned)
                .to_vec(),
            ..obeys
        };
        let pid = scripts
            .start(T0, &refuses, &[], 2, Some(Duration::ZERO))
            .unwrap();
        // Wait until the trap stands, or TERM would end it.
        let status = format!("/proc/{}/status", pid.get());
        while !std::fs::read_to_string(&status)
            .unwrap()
            .lines()
            .any(|l| l.starts_with("SigIgn:") && l.ends_with("4000"))
        {
            std::thread::yield_now();
        }
        assert_eq!(
            scripts.handle_timeout(T0),
            [Overdue::TimedOut { token: 2, pid }]
        );
        let later = T0 + Duration::from_secs(2);
        assert_eq!(
            scripts.handle_timeout(later),
            [Overdue::Killed { token: 2, pid }]
        );
        let exit = wait_for(pid).unwrap();
        assert!(matches!(exit, Exit::Signal { signal: 9, .. }), "{exit:?}");
        assert!(scripts.exited(pid, exit).unwrap().timed_out);
    }

    #[test]
    fn a_missing_program_is_an_error_at_once() {
        let mut command = sh("");
        command.args = vec!["/no/such/script".to_owned()];
        let error = command.start(&[]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_redirection_is_run_by_the_shell() {
        let mut scripts = Scripts::default();
        let command = Command {
            args: vec!["</dev/null".to_owned()],
            shell: true,
            ..sh("")
        };
        let pid = scripts.start(T0, &command, &[], (), None).unwrap();
        let exit = wait_for(pid).unwrap();
        assert_eq!(exit, Exit::Code(0));
        let command = Command {
            args: vec!["no-such-command".to_owned(), "it's".to_owned()],
            shell: true,
            ..sh("")
        };
        let pid = scripts.start(T0, &command, &[], (), None).unwrap();
        let exit = wait_for(pid).unwrap();
        let ended = scripts.exited(pid, exit).unwrap();
        assert_eq!(ended.exit, Exit::Code(0));
        assert_eq!(
            ended.not_run.as_deref(),
            Some("Couldn't find command: 'no-such-command' 'it's'")
        );
    }
}
