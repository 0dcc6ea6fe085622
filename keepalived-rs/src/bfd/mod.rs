//! The BFD process (layer L4): reads the configuration, keeps the sessions, tells those who follow them.
//!
//! In: the parent's [`Context`], signals, packets. Out: packets, events for the VRRP and the checker process, log lines, dumps.
//! Answers to: keepalived-behaviour.md sections 2 and 9, keepalived 2.3.3 bfd/bfd_daemon.c, bfd/bfd_scheduler.c.
//!
//! ```text
//! run      the loop: what is ready → Input → core → Output → sockets, pipes, text::bfd
//! lower    model → core configuration            sockets   packets in and out
//! ```

mod lower;
mod run;
mod sockets;

use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::signals::Signals;
use linux_io::signal::Signal;

use crate::child::Context;
use crate::text;

/// Exit status: the process can not work here.
const EXIT_FATAL: u8 = 1;

/// Lives as the BFD child until it is told to stop; the exit status.
pub fn child_main(context: &mut Context) -> u8 {
    let mut handled = vec![
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
        Signal::TERM,
        Signal::XCPU,
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
            "BFD process cannot run - {}",
            text::errno::sentence(&e)
        );
        EXIT_FATAL
    });
    log!(Priority::Info, "{}", text::life::stopped(detail));
    status
}
