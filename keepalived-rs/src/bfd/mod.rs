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

pub use self::lower::lower;

use linux_io::signal::Signal;

use crate::child::{Context, Kind, life};

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
    life::live(Kind::Bfd, context, &handled, run::live)
}
