//! Load balancing (layer L4): the checker process, which checks real servers and keeps the kernel's tables of virtual servers.
//!
//! In: the parent's [`crate::child::Context`], signals, what servers answer, tracked files, BFD sessions, addresses. Out: requests to the kernel,
//! probes, scripts, FIFO lines, mail, log lines, dumps.
//! Answers to: keepalived-behaviour.md section 7, keepalived 2.3.3 check/.
//!
//! ```text
//! run      the loop: what is ready → Input → core → Output → probe, tables, notify, text::check
//! lower    model → core configuration            tables   real servers in service → wanted → ipvs::Table → ipvs::Ipvs
//! probe    single checks                         notify   scripts, FIFOs, mail     addresses   ha_suspend      dump
//! snmp     what SNMP shows and changes
//! ```

#[cfg(feature = "lvs")]
mod addresses;
#[cfg(feature = "lvs")]
mod dump;
#[cfg(feature = "lvs")]
mod facts;
#[cfg(feature = "lvs")]
pub mod group_marks;
#[cfg(feature = "lvs")]
mod lower;
#[cfg(feature = "lvs")]
mod notify;
#[cfg(feature = "lvs")]
pub mod probe;
#[cfg(feature = "lvs")]
mod run;
#[cfg(all(feature = "lvs", feature = "snmp"))]
mod snmp;
#[cfg(feature = "lvs")]
mod tables;
#[cfg(feature = "lvs")]
pub mod wanted;

/// Lives as the checker child until it is told to stop; the exit status.
#[cfg(feature = "lvs")]
pub fn child_main(context: &mut crate::child::Context) -> u8 {
    use linux_io::signal::Signal;

    use crate::child::{Kind, life};

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
    life::live(Kind::Checker, context, &handled, run::live)
}
