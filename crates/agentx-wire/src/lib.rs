//! AgentX, the protocol between an SNMP master agent and its sub-agents (layer L1, no IO): RFC 2741.
//!
//! In: bytes from the master agent, the time, objects as sorted [`Tree`]s. Out: bytes for it, [`Event`]s for the daemon.
//! Used by the daemons only; decoding is total, both byte orders are read, network order is written.
//!
//! ```text
//! value    object identifiers and values             pdu      what is sent and understood, to and from bytes
//! session  open, register, answer, notify, ping      tree     objects in walk order: get, next
//!                                                    asked    tables whose values are made when they are asked for
//! ```
#![no_std]

extern crate alloc;

pub mod asked;
pub mod pdu;
pub mod session;
pub mod tree;
pub mod value;

pub use asked::{All, Rows, Table};
pub use pdu::{DecodeError, Header, Pdu, Range};
pub use session::{Event, Region, Request, Session};
pub use tree::{Objects, Tree};
pub use value::{Oid, Value, VarBind};

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz_pdu(bytes: &[u8]) {
    let _ = pdu::decode(bytes);
}
