//! SIGHUP: logs are opened anew and the configuration is read again, while caches, links and clients stay. 1.4.8 dies of it.
//!
//! What can not change under way is told and stays as it was until a restart.

use std::path::{Path, PathBuf};

use conf_parsers::conntrackd::{self as conf, Config, Link, Severity, Sync};
use daemon_rt::log::Priority;
use linux_io::ifname;
use linux_io::timer::monotonic_now;

use crate::events::FilterPlace;
use crate::lower;
use crate::replication::Replication;
use crate::text;

/// Where the configuration comes from and what it says now.
pub struct Reload {
    path: PathBuf,
    config: Config,
}

impl Reload {
    /// `path` may be relative: the daemon leaves its directory later.
    pub fn new(path: &Path, config: Config) -> Self {
        Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
            config,
        }
    }

    /// Reads the file again and passes on what may change; the iteration limit is given back.
    pub fn run(&mut self, replication: Option<&mut Replication>) -> u32 {
        let old_limit = *self.config.general.event_iteration_limit;
        let Some(new) = self.read() else {
            return old_limit;
        };
        for what in needs_restart(&self.config, &new) {
            daemon_rt::log!(
                Priority::Warning,
                "a change of `{what}' needs a restart, keeping the old one"
            );
        }
        if let Err(text) = text::log::open_file(&new.general) {
            daemon_rt::log!(Priority::Err, "{text}");
        }
        if let Some(replication) = replication {
            replication.flows.reopen();
            apply(&self.config, &new, replication);
        }
        let limit = *new.general.event_iteration_limit;
        self.config = Config {
            sync: merge(self.config.sync.take(), new.sync),
            ..new
        };
        daemon_rt::log!(Priority::Notice, "configuration reloaded");
        limit
    }

    fn read(&self) -> Option<Config> {
        let Ok(text) = std::fs::read(&self.path) else {
            daemon_rt::log!(
                Priority::Err,
                "can't open config file `{}', keeping the old configuration",
                self.path.display()
            );
            return None;
        };
        let outcome = conf::parse(&text, &|name| ifname::index_of(name).is_some());
        for diagnostic in &outcome.diagnostics {
            let priority = match diagnostic.severity {
                Severity::Warning => Priority::Warning,
                Severity::Error => Priority::Err,
            };
            daemon_rt::log!(priority, "{}", diagnostic.kind);
        }
        if outcome.config.is_none() {
            daemon_rt::log!(Priority::Err, "keeping the old configuration");
        }
        outcome.config
    }
}

/// The new settings; what needs a restart stays, so that it is told again as long as it differs.
fn merge(old: Option<Sync>, new: Option<Sync>) -> Option<Sync> {
    match (old, new) {
        (Some(old), Some(new)) => Some(Sync {
            mode: old.mode,
            disable_internal_cache: old.disable_internal_cache,
            disable_external_cache: old.disable_external_cache,
            expectation_sync: old.expectation_sync,
            links: old.links,
            default_link: old.default_link,
            ..new
        }),
        (old, _) => old,
    }
}

fn apply(old: &Config, new: &Config, replication: &mut Replication) {
    let general = &new.general;
    let place = match &mut replication.events {
        Some(events) => events.reconfigure(general),
        None => FilterPlace::None,
    };
    let in_kernel = place == FilterPlace::Kernel;
    let config = match (&old.sync, &new.sync) {
        (Some(old), Some(new)) => {
            let mtus = vec![0; old.links.len()];
            lower::config(general, new, &mtus, in_kernel)
        }
        (None, None) => lower::flow_log(general, in_kernel),
        _ => return,
    };
    if let Some(events) = &replication.events {
        replication.engine.shell_counters().netlink_buffer = events.buffer;
    }
    replication.engine.reconfigure(monotonic_now(), config);
}

/// All that the file says of helpers, without its places.
fn helpers(config: &Config) -> Option<(bool, Vec<impl PartialEq + use<'_>>)> {
    let helper = config.helper.as_ref()?;
    let instances = helper.instances.iter().map(|i| {
        let numbers = (i.protocol, i.queue_num, i.queue_len);
        (&*i.name, i.family, numbers, &i.policies)
    });
    Some((*helper.setup, instances.collect()))
}

/// What has changed and only a restart can apply.
fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let mut what = Vec::new();
    let (a, b) = (&old.general, &new.general);
    for (name, same) in [
        ("Sync", old.sync.is_some() == new.sync.is_some()),
        ("Stats", old.stats.is_some() == new.stats.is_some()),
        ("Helper", helpers(old) == helpers(new)),
        ("LockFile", *a.lock_file == *b.lock_file),
        ("UNIX", *a.unix_path == *b.unix_path),
        ("PollSecs", a.poll_secs.is_some() == b.poll_secs.is_some()),
        (
            "NetlinkEventsReliable",
            *a.netlink_events_reliable == *b.netlink_events_reliable,
        ),
        ("Systemd", *a.systemd == *b.systemd),
        (
            "Scheduler",
            a.scheduler.policy.map(|p| p.value) == b.scheduler.policy.map(|p| p.value)
                && *a.scheduler.priority == *b.scheduler.priority,
        ),
    ] {
        if !same {
            what.push(name);
        }
    }
    let path = |config: &Config| {
        let stats = config.stats.as_ref();
        stats.and_then(|stats| stats.log_file.as_ref().map(|path| path.value.clone()))
    };
    if path(old) != path(new) && old.stats.is_some() == new.stats.is_some() {
        what.push("Stats LogFile");
    }
    if let (Some(a), Some(b)) = (&old.sync, &new.sync) {
        for (name, same) in [
            ("Mode", a.mode.map(|m| m.value) == b.mode.map(|m| m.value)),
            (
                "DisableInternalCache",
                *a.disable_internal_cache == *b.disable_internal_cache,
            ),
            (
                "DisableExternalCache",
                *a.disable_external_cache == *b.disable_external_cache,
            ),
            (
                "ExpectationSync",
                *a.expectation_sync == *b.expectation_sync,
            ),
        ] {
            if !same {
                what.push(name);
            }
        }
        let same_links = a.links.len() == b.links.len()
            && a.default_link == b.default_link
            && a.links.iter().zip(&b.links).all(|(a, b)| same_link(a, b));
        if !same_links {
            what.push(b.links.first().map_or("Sync", |link| link.kind.keyword()));
        }
    }
    what
}

fn same_link(a: &Link, b: &Link) -> bool {
    let key = |l: &Link| {
        (
            l.kind,
            l.family,
            l.address.map(|a| a.value),
            l.destination.map(|a| a.value),
            l.interface_address.map(|a| a.value),
            l.interface.as_ref().map(|name| name.value.clone()),
            *l.port,
            [*l.send_buffer, *l.receive_buffer],
            *l.checksum,
        )
    };
    key(a) == key(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        conf::parse(text.as_bytes(), &|_| true)
            .config
            .expect("a valid file")
    }

    #[test]
    fn what_needs_a_restart_is_told() {
        let old = read(
            "Sync { Mode FTFW { } UDP { Interface eth0 Port 1 } } General { UNIX { Path /a } }",
        );
        let moved = read(
            "# somewhere else\n\n General { UNIX { Path /a } }\nSync { UDP { Interface eth0 Port 1 } Mode FTFW { ACKWindowSize 9 } }",
        );
        assert!(needs_restart(&old, &moved).is_empty());
        let other = read(
            "General { UNIX { Path /b } PollSecs 3 } Sync { UDP { Interface eth0 Port 2 } Mode NOTRACK { } }",
        );
        assert_eq!(
            needs_restart(&old, &other),
            ["UNIX", "PollSecs", "Mode", "UDP"]
        );
        let stats = read("Stats { LogFile /x }");
        assert_eq!(needs_restart(&old, &stats), ["Sync", "Stats", "UNIX"]);
        assert_eq!(
            needs_restart(&stats, &read("Stats { LogFile /y }")),
            ["Stats LogFile"]
        );
    }
}
