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
