//! What global_defs says about the process itself: scheduling, memory, processors.
//! Answers to: keepalived 2.3.3 lib/process.c.

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::ProcessOptions;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::sched::{self, Class, Limit, Resource};

use crate::child::Context;
use crate::text::errno::sentence;

/// What a reload changes of the process: its name, and the mask of new files unless the command line gives one.
pub(super) fn adopt(context: &mut Context, before: &Global, now: &Global) {
    if now.vrrp.name != before.vrrp.name {
        let name = now.vrrp.name.as_deref().unwrap_or("keepalived");
        if linux_io::process::set_name(name).is_err() {
            log!(Priority::Info, "Failed to set process name '{name}'");
        }
    }
    if let (None, Some(mask)) = (context.options.umask, now.umask) {
        context.umask = mask;
        linux_io::process::umask(mask);
    }
}

/// Applies the options; a refusal is logged and the process goes on as it is.
pub(super) fn apply(options: &ProcessOptions) {
    if options.realtime_priority > 0 {
        let priority = i32::try_from(options.realtime_priority).unwrap_or(i32::MAX);
        // Scripts are ordinary processes.
        if let Err(e) = sched::set_class(Class::RoundRobin(priority), true) {
            log!(
                Priority::Info,
                "child process: cannot raise priority - {}",
                sentence(&e)
            );
        } else if options.realtime_limit > 0 {
            let limit = u64::from(options.realtime_limit);
            let limit = Limit {
                soft: Some(limit),
                hard: Some(limit),
            };
            if let Err(e) = sched::set_limit(Resource::RealTimeRun, limit) {
                log!(
                    Priority::Info,
                    "child process cannot set realtime rlimit - {}",
                    sentence(&e)
                );
            }
        }
    } else if options.nice != 0 {
        if let Err(e) = sched::set_nice(i32::from(options.nice)) {
            log!(
                Priority::Info,
                "child process: cannot set priority - {}",
                sentence(&e)
            );
        }
    }
    if options.no_swap {
        if let Err(e) = sched::lock_memory() {
            log!(
                Priority::Info,
                "Unable to lock process in memory - {}",
                sentence(&e)
            );
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
                Priority::Info,
                "Unable to set cpu affinity - {}",
                sentence(&e)
            );
        }
    }
}
