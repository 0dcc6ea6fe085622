//! Load balancing (layer L4): the checker process, which checks real servers and keeps the kernel's tables of virtual servers.
//!
//! In: the parent's [`crate::child::Context`], signals, what servers answer, tracked files, BFD sessions, addresses. Out: requests to the kernel,
//! probes, scripts, FIFO lines, mail, log lines, dumps.
//! Answers to: keepalived-behaviour.md section 7, keepalived 2.3.3 check/.
//!
//! ```text
//! run      the loop: what is ready → Input → core → Output → probe, tables, notify, text::check
//! lower    model → core configuration            tables   real servers in service → ipvs::wanted → ipvs::table → ipvs::Ipvs
//! probe    single checks                         notify   scripts, FIFOs, mail     addresses   ha_suspend      dump
//! ```

#[cfg(feature = "lvs")]
mod addresses;
#[cfg(feature = "lvs")]
mod dump;
#[cfg(feature = "lvs")]
pub mod group_marks;
pub mod ipvs;
#[cfg(feature = "lvs")]
mod lower;
#[cfg(feature = "lvs")]
mod notify;
#[cfg(feature = "lvs")]
pub mod probe;
#[cfg(feature = "lvs")]
mod run;
#[cfg(feature = "lvs")]
mod tables;

#[cfg(feature = "lvs")]
pub use child::child_main;

/// Exit status: the process can not work here.
#[cfg(feature = "lvs")]
const EXIT_FATAL: u8 = 1;

#[cfg(feature = "lvs")]
mod child {
    use daemon_rt::log;
    use daemon_rt::log::Priority;
    use daemon_rt::signals::Signals;
    use linux_io::signal::Signal;

    use super::{EXIT_FATAL, run};
    use crate::child::Context;
    use crate::text;

    /// Lives as the checker child until it is told to stop; the exit status.
    pub fn child_main(context: &mut Context) -> u8 {
        let mut handled = vec![
            Signal::HUP,
            Signal::USR1,
            Signal::USR2,
            Signal::TERM,
            Signal::XCPU,
            Signal::CHLD,
        ];
        if !context.options.ignore_sigint {
            handled.push(Signal::INT);
        }
        let detail = context.options.log_detail > 0;
        let ended = Signals::take(&handled).and_then(|signals| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()?;
            runtime.block_on(run::live(context, &signals))
        });
        let status = ended.unwrap_or_else(|e| {
            log!(
                Priority::Err,
                "Healthcheck process cannot run - {}",
                text::errno::sentence(&e)
            );
            EXIT_FATAL
        });
        log!(Priority::Info, "{}", text::life::stopped(detail));
        status
    }
}
