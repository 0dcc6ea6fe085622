//! The parent's own scripts: start, stop, and the test of a new configuration.

use std::io;

use conf_parsers::keepalived::model;
use daemon_rt::log::Priority;
use daemon_rt::script::{Command, Ended, Overdue};
use linux_io::process::Exit;
use linux_io::timer::monotonic_now;
use net_types::Duration;

use super::{Became, Parent, Phase, info};
use crate::text;

/// What a script was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Startup,
    Shutdown,
    /// Test of the new configuration before a reload (`reload_check_config`).
    ReloadCheck,
}

impl Purpose {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Startup => "startup script",
            Self::Shutdown => "shutdown script",
            Self::ReloadCheck => "config check",
        }
    }
}

/// A script of the configuration as the runner wants it.
pub(crate) fn command(script: &model::Script) -> Command {
    let first = script.args.first().map_or("", String::as_str);
    Command {
        path: script.path.as_ref().map(Into::into),
        shell: first.starts_with('<'),
        args: script.args.clone(),
        uid: script.uid,
        gid: script.gid,
    }
}

impl Parent {
    /// Starts a script of the configuration; `false` if that failed, which is logged.
    pub(super) fn run_script(
        &mut self,
        script: &model::Script,
        purpose: Purpose,
        limit: u32,
    ) -> bool {
        let limit = Duration::from_secs(u64::from(limit));
        self.run_command(&command(script), purpose, limit)
    }

    pub(super) fn run_command(
        &mut self,
        command: &Command,
        purpose: Purpose,
        limit: Duration,
    ) -> bool {
        let now = monotonic_now();
        match self.scripts.start(now, command, &[], purpose, Some(limit)) {
            Ok(_) => true,
            Err(e) => {
                say_not_started(command, &e);
                false
            }
        }
    }

    pub(super) fn script_ended(&mut self, ended: &Ended<Purpose>) -> Result<(), Became> {
        if let Some(line) = &ended.not_run {
            daemon_rt::log!(Priority::Alert, "{line}");
        }
        let words = ended.token.words();
        if ended.token != Purpose::ReloadCheck {
            match ended.exit {
                Exit::Code(0) if self.detail() => info!("{words} script succeeded"),
                Exit::Code(0) | Exit::Signal { .. } => {}
                Exit::Code(status) => info!("{words} script failed, status {status}"),
            }
        }
        match ended.token {
            Purpose::Startup => self.startup_script_over(),
            Purpose::Shutdown => {
                self.shutdown_script_over();
                Ok(())
            }
            Purpose::ReloadCheck => self.reload_checked(ended.exit),
        }
    }

    pub(super) fn startup_script_over(&mut self) -> Result<(), Became> {
        if self.phase == Phase::Starting {
            self.start_children()?;
        }
        Ok(())
    }

    pub(super) fn script_overdue(&mut self, overdue: &Overdue<Purpose>) -> Result<(), Became> {
        match overdue {
            Overdue::TimedOut { token, .. } => info!("{} timed out", token.words()),
            Overdue::Killed { .. } => {}
            Overdue::Unkillable { token, pid } => info!(
                "{} (PID {pid}) failed to terminate after kill",
                token.words(),
                pid = pid.get()
            ),
            Overdue::GivenUp { token, .. } => match token {
                Purpose::Startup => return self.startup_script_over(),
                Purpose::Shutdown => self.shutdown_script_over(),
                Purpose::ReloadCheck => {}
            },
        }
        Ok(())
    }
}

/// What is logged when a command could not be executed.
pub(crate) fn say_not_started(command: &Command, error: &io::Error) {
    let path = command.path.as_ref().map_or_else(
        || command.args.first().cloned().unwrap_or_default(),
        |p| p.to_string_lossy().into_owned(),
    );
    daemon_rt::log!(
        Priority::Alert,
        "Error exec-ing command '{path}', error {}: {}",
        error.raw_os_error().unwrap_or(0),
        text::errno::sentence(error)
    );
}
