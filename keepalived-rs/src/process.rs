//! What global_defs says about a process itself: scheduling, memory, processors, its name.
//!
//! In: the options of one process, how late its deadlines are met. Out: system calls, log lines.
//! Who may use it: every child. Answers to: keepalived 2.3.3 lib/process.c, lib/scheduler.c.

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::ProcessOptions;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::sched::{self, Class, Limit, Resource};
use net_types::{Duration, Instant};

use crate::child::{Context, Kind};
use crate::text::errno::sentence;

/// The name of a process without one of its own.
const DEFAULT_NAME: &str = "keepalived";

/// The options of a child in global_defs.
pub const fn options(global: &Global, kind: Kind) -> &ProcessOptions {
    match kind {
        Kind::Checker => &global.checker,
        Kind::Vrrp => &global.vrrp,
        Kind::Bfd => &global.bfd,
    }
}

/// What a reload changes of the process: its name, and the mask of new files unless the command line gives one.
pub fn adopt(context: &mut Context, kind: Kind, before: &Global, now: &Global) {
    let name = &options(now, kind).name;
    if *name != options(before, kind).name {
        let name = name.as_deref().unwrap_or(DEFAULT_NAME);
        if linux_io::process::set_name(name).is_err() {
            log!(Priority::Info, "Failed to set process name '{name}'");
        }
    }
    if let (None, Some(mask)) = (context.options.umask, now.umask) {
        context.umask = mask;
        linux_io::process::umask(mask);
    }
}

/// What the log says at SIGXCPU: half of `rlimit_rttime` is used up.
pub fn say_too_much_time(kind: Kind) {
    let (who, prefix) = match kind {
        Kind::Checker => ("Checker", "checker"),
        Kind::Vrrp => ("VRRP", "vrrp"),
        Kind::Bfd => ("BFD", "bfd"),
    };
    log!(
        Priority::Info,
        "{who} process has used too much CPU time, {prefix}_rlimit_rttime may need to be increased"
    );
}

/// Lets the process have that many descriptors.
pub fn raise_open_files(wanted: usize, detail: bool) {
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
    // RLIM_INFINITY as a number.
    let pair = |limit: Limit| {
        let number = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        format!("{}:{}", number(limit.soft), number(limit.hard))
    };
    match sched::raise_open_files(wanted) {
        Ok(Some(limit)) if detail => {
            log!(Priority::Info, "Set open file limit to {}.", pair(limit));
        }
        Ok(_) => {}
        Err((limit, e)) => log!(
            Priority::Info,
            "Failed to set open file limit to {} failed - errno {}",
            pair(limit),
            e.raw_os_error().unwrap_or(0)
        ),
    }
}

/// The scheduling of one process, as configured and as raised since.
#[derive(Debug, Default)]
pub struct Scheduling {
    /// Present SCHED_RR priority; 0 = the ordinary class.
    realtime: u32,
    /// RLIMIT_RTTIME that is set, in µs; 0 = as inherited.
    limit: u32,
    /// RLIMIT_RTTIME for when the process is raised into SCHED_RR.
    later_limit: u32,
    inherited_limit: Option<Limit>,
    inherited_nice: Option<i32>,
    locked: bool,
    /// `max_auto_priority`; 0 = never raised.
    max: u32,
    /// `min_auto_priority_delay`
    patience: Duration,
}

impl Scheduling {
    /// Applies the options; a refusal is logged and the process goes on as it is.
    pub fn apply(&mut self, global: &Global, kind: Kind) {
        let options = options(global, kind);
        self.max = u32::try_from(global.max_auto_priority).unwrap_or(0);
        self.patience = Duration::from_micros(u64::from(global.min_auto_priority_delay));
        if options.realtime_priority > 0 {
            self.set_realtime(options.realtime_priority, options.realtime_limit);
        } else {
            if options.nice != 0 {
                self.set_nice(i32::from(options.nice));
            }
            self.later_limit = options.realtime_limit;
        }
        if options.no_swap {
            match sched::lock_memory() {
                Ok(()) => self.locked = true,
                Err(e) => log!(
                    Priority::Info,
                    "Unable to lock process in memory - {}",
                    sentence(&e)
                ),
            }
        }
        if !options.cpus.is_empty() {
            let cpus: Vec<u16> = options
                .cpus
                .iter()
                .filter_map(|c| u16::try_from(*c).ok())
                .collect();
            if let Err(e) = sched::set_affinity(&cpus) {
                log!(
                    Priority::Warning,
                    "unable to set cpu affinity to {} process ({})",
                    kind.short(),
                    sentence(&e)
                );
            }
        }
    }

    fn set_realtime(&mut self, priority: u32, limit: u32) {
        let class = Class::RoundRobin(i32::try_from(priority).unwrap_or(i32::MAX));
        // Scripts are ordinary processes.
        if sched::set_class(class, true).is_err() {
            log!(Priority::Warning, "child process: cannot raise priority");
            return;
        }
        self.realtime = priority;
        if limit == 0 {
            return;
        }
        if self.inherited_limit.is_none() {
            self.inherited_limit = sched::limit(Resource::RealTimeRun).ok();
        }
        // SIGXCPU at half of it: a warning before the kernel ends the process.
        let wanted = Limit {
            soft: Some(u64::from(limit / 2)),
            hard: Some(u64::from(limit)),
        };
        if sched::set_limit(Resource::RealTimeRun, wanted).is_err() {
            log!(
                Priority::Warning,
                "child process cannot set realtime rlimit"
            );
        } else {
            self.limit = limit;
        }
    }

    fn set_nice(&mut self, nice: i32) {
        if self.inherited_nice.is_none() {
            self.inherited_nice = sched::nice().ok();
        }
        if let Err(e) = sched::set_nice(nice) {
            log!(
                Priority::Info,
                "Unable to set process priority to {nice} - {}",
                sentence(&e)
            );
        }
    }

    /// An ordinary process again: while a new configuration is read.
    pub fn reset(&mut self) {
        if self.realtime > 0 {
            if sched::set_class(Class::Other, false).is_err() {
                log!(
                    Priority::Warning,
                    "child process: cannot reset realtime scheduling"
                );
            } else {
                self.realtime = 0;
                if let (true, Some(limit)) = (self.limit > 0, self.inherited_limit) {
                    if sched::set_limit(Resource::RealTimeRun, limit).is_err() {
                        log!(
                            Priority::Warning,
                            "child process cannot reset realtime rlimit"
                        );
                    } else {
                        self.limit = 0;
                    }
                }
            }
        }
        if let Some(nice) = self.inherited_nice.take() {
            if let Err(e) = sched::set_nice(nice) {
                log!(
                    Priority::Info,
                    "Unable to reset process priority - {}",
                    sentence(&e)
                );
            }
        }
        if std::mem::take(&mut self.locked) {
            let _ = sched::unlock_memory();
        }
    }

    /// The deadline `due` is met only at `now`. Too late, and the process is raised: into SCHED_RR, then step by step up to
    /// `max_auto_priority`.
    pub fn met(&mut self, due: Instant, now: Instant) {
        let late = now.since(due);
        if self.patience == Duration::ZERO || late <= self.patience {
            return;
        }
        let micros = late.as_micros();
        log!(
            Priority::Info,
            "A thread timer expired {}.{:06} seconds ago",
            micros / 1_000_000,
            micros % 1_000_000
        );
        let Some(next) = raised(self.realtime, self.max) else {
            return;
        };
        let limit = if self.limit > 0 { 0 } else { self.later_limit };
        self.set_realtime(next, limit);
        log!(Priority::Info, "Set realtime priority {next}");
    }

    /// Present SCHED_RR priority and RLIMIT_RTTIME in µs, for dumps; 0 = none.
    pub const fn present(&self) -> (u32, u32) {
        (self.realtime, self.limit)
    }
}

/// The next higher priority, if there is room.
fn raised(realtime: u32, max: u32) -> Option<u32> {
    if max == 0 || realtime >= max {
        return None;
    }
    let lowest = u32::try_from(sched::realtime_priorities().0).unwrap_or(1);
    Some(if realtime == 0 {
        lowest
    } else {
        realtime.saturating_add(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_rise_to_the_maximum() {
        assert_eq!(raised(0, 0), None);
        assert_eq!(raised(0, 3), Some(1));
        assert_eq!(raised(2, 3), Some(3));
        assert_eq!(raised(3, 3), None);
        assert_eq!(raised(10, 3), None);
    }

    #[test]
    fn a_deadline_met_in_time_changes_nothing() {
        let mut scheduling = Scheduling {
            patience: Duration::from_secs(1),
            ..Scheduling::default()
        };
        let due = Instant::from_micros(5);
        scheduling.met(due, due + Duration::from_secs(1));
        scheduling.met(due, due + Duration::from_secs(2));
        // Nothing is to be raised without a maximum.
        assert_eq!(scheduling.present(), (0, 0));
    }
}
