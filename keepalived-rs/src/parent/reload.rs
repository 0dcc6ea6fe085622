//! Reloading: a new configuration, if it is one that a running daemon can take on.
//!
//! Answers to: keepalived-behaviour.md section 10, keepalived 2.3.3 core/main.c.

use std::fs::OpenOptions;

use conf_parsers::keepalived::model::Global;
use daemon_rt::log::Priority;
use daemon_rt::script::Command;
use linux_io::process::Exit;
use linux_io::signal::Signal;
use linux_io::timer::monotonic_now;
use net_types::Duration;

use super::reload_time::ReloadTime;
use super::start::set_process_name;
use super::{Became, Parent, Phase, Purpose, info, places};
use crate::child::Kind;
use crate::config;
use crate::host::System;
use crate::not_built;

/// How long the test of a new configuration may take.
const CHECK_LIMIT: Duration = Duration::from_secs(5);

/// What cannot change while the daemon runs: one sentence part for each thing that did.
fn unsupported(old: &Global, new: &Global) -> Vec<&'static str> {
    let table = |t: &Option<conf_parsers::keepalived::model::global::NftTable>| {
        t.as_ref().map(|t| t.name.clone())
    };
    [
        (old.net_namespace != new.net_namespace, "network namespace"),
        (
            old.net_namespace_ipvs != new.net_namespace_ipvs,
            "IPVS network namespace",
        ),
        (old.instance != new.instance, "instance name"),
        (
            table(&old.nftables) != table(&new.nftables),
            "nftables table name",
        ),
        (
            table(&old.nftables_ipvs) != table(&new.nftables_ipvs),
            "IPVS nftables table name",
        ),
        (
            old.tmp_config_directory != new.tmp_config_directory,
            "config_directory",
        ),
        (
            old.disable_local_igmp != new.disable_local_igmp,
            "disable_local_igmp",
        ),
    ]
    .into_iter()
    .filter_map(|(changed, what)| changed.then_some(what))
    .collect()
}

impl Parent {
    /// SIGHUP.
    pub(super) fn reload_requested(&mut self) -> Result<(), Became> {
        let checking = self.scripts.tokens().any(|t| *t == Purpose::ReloadCheck);
        if self.loading() || checking || self.phase == Phase::Starting {
            if self.detail() {
                info!("Reload already in progress, request queued");
            }
            self.reload_queued = true;
            return Ok(());
        }
        self.reload()
    }

    /// Begins to watch `reload_time_file`, or stops to.
    pub(super) fn start_reload_time(&mut self) {
        let (file, repeat) = (&self.global.reload_time_file, self.global.reload_repeat);
        self.reload_time = file
            .as_deref()
            .and_then(|path| ReloadTime::start(path, repeat, monotonic_now()));
    }

    /// What `reload_time_file` says now, and whether its time has come.
    pub(super) fn watch_reload_time(&mut self) -> Result<(), Became> {
        let now = monotonic_now();
        let gone = self.reload_time.as_mut().is_some_and(|t| !t.changed(now));
        if gone {
            self.reload_time = None;
        }
        let due = self.reload_time.as_ref().and_then(ReloadTime::deadline);
        if due.is_none_or(|due| due > now) {
            return Ok(());
        }
        if let Some(time) = self.reload_time.take() {
            time.expire();
        }
        let result = self.reload_requested();
        // Whatever becomes of the reload: the file, if it still is there, tells of the next.
        if self.reload_time.is_none() {
            self.start_reload_time();
        }
        result
    }

    /// Tests the new configuration first, if that is wanted.
    pub(super) fn reload(&mut self) -> Result<(), Became> {
        let Some(log) = self.global.reload_check_config.clone() else {
            return self.do_reload();
        };
        if self.detail() {
            info!("validate conf before Reload");
        }
        // The log tells about this test alone. A device like /dev/null cannot be emptied and need not be.
        let _ = OpenOptions::new().write(true).truncate(true).open(&log);
        let program = std::fs::read_link("/proc/self/exe").map_or_else(
            |_| "/proc/self/exe".to_owned(),
            |path| {
                let path = path.to_string_lossy().into_owned();
                // After an upgrade the old program is gone and the new one has its name.
                path.strip_suffix(" (deleted)")
                    .map_or(path.clone(), str::to_owned)
            },
        );
        let mut args = vec![program];
        args.extend(self.words.iter().skip(1).cloned());
        args.push(format!("--config-test={log}"));
        let command = Command {
            path: None,
            args,
            uid: 0,
            gid: 0,
            shell: false,
        };
        self.mark_reload(true);
        if !self.run_command(&command, Purpose::ReloadCheck, CHECK_LIMIT) {
            info!("Could not run config-test");
            self.mark_reload(false);
        }
        Ok(())
    }

    /// The test of the new configuration is over.
    pub(super) fn reload_checked(&mut self, exit: Exit) -> Result<(), Became> {
        self.mark_reload(false);
        if self.phase != Phase::Running {
            return Ok(());
        }
        match exit {
            Exit::Code(0) => self.do_reload(),
            Exit::Code(_) => {
                let log = self.global.reload_check_config.as_deref().unwrap_or("");
                info!("New config failed validation, see {log} for details");
                Ok(())
            }
            Exit::Signal { .. } => {
                let (lines, _) = crate::text::life::child_ended("reload_check", exit, &[]);
                for line in lines {
                    info!("{line}");
                }
                Ok(())
            }
        }
    }

    fn mark_reload(&self, on: bool) {
        let marker = places::reload_marker(&self.global, self.main_pidfile.path());
        match marker {
            Some(path) if on => places::create_marker(&path),
            Some(path) => {
                let _ = std::fs::remove_file(path);
            }
            None => {}
        }
    }

    /// Reads the files and, if the result can be used, passes it on.
    fn do_reload(&mut self) -> Result<(), Became> {
        info!("Reloading ...");
        self.mark_reload(true);
        let host = System::new();
        let loaded = config::load(&host, &self.options, true);
        self.mark_reload(false);
        let Ok(loaded) = loaded else {
            // The C program ends here, or goes on with an empty configuration. A typing error should not take the
            // addresses away.
            daemon_rt::log!(
                Priority::Err,
                "Reload failed - continuing with the present configuration"
            );
            return Ok(());
        };
        let mut global = loaded.outcome.model.global.clone();
        if let Some(name) = &self.options.namespace {
            global.net_namespace = Some(name.clone());
        }
        let refused = unsupported(&self.global, &global);
        for what in &refused {
            info!("Cannot change {what} at a reload - please restart keepalived");
        }
        if !refused.is_empty() {
            return Ok(());
        }
        if let Err(e) = self.shared.publish(&loaded.lines) {
            daemon_rt::log!(Priority::Err, "Reload failed - {e}");
            return Ok(());
        }
        if let (None, Some(mask)) = (self.options.umask, global.umask) {
            self.umask = mask;
            linux_io::process::umask(mask);
        }
        if global.process_name != self.global.process_name {
            set_process_name(Some(global.process_name.as_deref().unwrap_or("keepalived")));
        }
        for warning in not_built::warnings(&self.options, &loaded) {
            daemon_rt::log!(Priority::Warning, "{warning}");
        }
        places::save_configuration(&global, &loaded.lines, &mut self.saved, self.umask);
        drop(loaded);
        linux_io::process::trim_memory();
        self.global = global;
        self.start_reload_time();
        self.systemd.reloading();
        for kind in Kind::ALL {
            let running = self.slots.iter().any(|s| s.kind == kind && s.pid.is_some());
            if running {
                if let Some(slot) = self.slots.iter_mut().find(|s| s.kind == kind) {
                    slot.loading = true;
                }
                self.announce = Some("Reload");
                self.tell(kind, Signal::HUP);
            } else if self.wanted(kind) {
                self.announce = Some("Reload");
                self.start_child(kind)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_need_a_restart() {
        let old = Global::default();
        assert!(unsupported(&old, &old).is_empty());
        let new = Global {
            instance: Some("i".into()),
            disable_local_igmp: true,
            ..Global::default()
        };
        assert_eq!(
            unsupported(&old, &new),
            ["instance name", "disable_local_igmp"]
        );
    }
}
