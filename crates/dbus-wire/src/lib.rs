//! D-Bus, as a service needs it (layer L1, no IO): the D-Bus Specification 0.43.
//!
//! In: bytes from the bus. Out: bytes for it, [`Event`]s for the daemon. No clock, no descriptors passed, no match rules.
//! Used by keepalived only; decoding is total, both byte orders are read, an answer has the order of its question.
//!
//! ```text
//! marshal     aligned values, to and from bytes        message  header and body, to and from bytes
//! connection  authenticate, say hello, own a name, calls and answers
//! name        which paths and names are valid          address  where the bus listens
//! ```
#![no_std]

extern crate alloc;

pub mod address;
pub mod connection;
pub mod marshal;
pub mod message;
pub mod name;

pub use connection::{Connection, Event, Refused};
pub use message::{Kind, Message};

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub fn fuzz_message(bytes: &[u8]) {
    let _ = message::decode(bytes);
    let mut connection = Connection::new("org.example");
    connection.connected();
    let _ = connection.receive(b"DATA\r\nOK 00\r\n");
    let _ = connection.receive(bytes);
    while connection.poll().is_some() {}
}
