//! The VRRP process (layer L4): reads the configuration, joins the elections, does what the core says.
//!
//! In: the parent's [`Context`], signals, packets, the kernel's news. Out: adverts, addresses, routes, rules, ARP and NA,
//! scripts, log lines, dumps.
//! Answers to: keepalived-behaviour.md sections 2, 4 and 10, keepalived 2.3.3 vrrp/vrrp_daemon.c.
//!
//! ```text
//! run      the loop: what is ready → Input → core → Output → sockets, kernel, garp, notify, text::log
//! lower    model → core configuration            objects   lines of the configuration ↔ numbers
//! sockets  adverts in and out                    kernel    addresses, routes, rules; links and who removed what
//! garp     gratuitous ARP, unsolicited NA        notify    scripts and FIFOs; alerts: mail
//! firewall packets from and to addresses that are not accepted
//! dump     what the dump files show of the present
//! snmp     what SNMP shows and changes            dbus      what D-Bus shows and does
//! sync_daemon  the load balancer's daemon that follows an instance
//! track    scripts that run periodically, numbers in files, processes, BFD sessions
//! ```

pub mod alerts;
#[cfg(feature = "dbus")]
mod dbus;
mod dump;
pub mod firewall;
pub mod garp;
mod igmp;
pub mod interfaces;
pub mod kernel;
pub mod linkbeat;
pub mod lower;
pub mod notify;
pub mod objects;
mod run;
#[cfg(feature = "snmp")]
mod snmp;
pub mod sockets;
#[cfg(feature = "lvs")]
mod sync_daemon;
pub(crate) mod track;
pub mod vmac;

use linux_io::signal::Signal;

use crate::child::{Context, Kind, life};

pub(crate) use track::process::open as open_proc_events;

/// Lives as the VRRP child until it is told to stop; the exit status.
pub fn child_main(context: &mut Context) -> u8 {
    let mut handled = vec![
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
        Signal::TERM,
        Signal::INT,
        Signal::CHLD,
        Signal::XCPU,
    ];
    handled.extend(crate::cli::json_signal());
    handled.extend(crate::cli::stats_clear_signal());
    life::live(Kind::Vrrp, context, &handled, run::live)
}
