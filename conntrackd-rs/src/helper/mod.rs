//! Helpers in user space: their kernel objects, their packet queues and the packets that come by these.
//!
//! ```text
//!   start: Socket ─▶ queues of the family ─▶ per helper: kernel object, queue bound, whole packets with their flows
//!   then:  packet ─▶ cthelper-proto ─▶ requests for expectations, answered at once ─▶ verdict
//! ```
//! Whatever goes wrong with a packet, it is accepted: a firewall decides, not this.

mod queue;
mod setup;

pub use queue::Queues;

use std::fmt::Display;

use daemon_rt::log::Priority;

/// Logs a notice. One place for all keeps the program small.
fn notice(text: &dyn Display) {
    daemon_rt::log!(Priority::Notice, "{text}");
}

/// Logs an error.
fn error(text: &dyn Display) {
    daemon_rt::log!(Priority::Err, "{text}");
}
