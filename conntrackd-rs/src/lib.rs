//! The conntrackd daemon and its client (layer L4).
//!
//! In: a command line, conntrackd.conf, kernel events, datagrams of the peer, operators' requests. Out: kernel requests,
//! datagrams, replies, log lines. All decisions are ctsync-proto's; this crate opens sockets and moves data.
//! Who may use it: the `conntrackd` binary and the tests.
//! Answers to: conntrackd 1.4.8 as described in conntrackd-behaviour.md sections 1, 3, 6, 8, 10 and 12.

pub mod channel;
pub mod check;
pub mod cli;
pub mod client;
pub mod events;
pub mod flow_log;
#[cfg(feature = "helper")]
pub mod helper;
pub mod kernel;
pub mod lower;
pub mod memory;
pub mod reload;
pub mod replication;
pub mod request;
pub mod run;
pub mod server;
pub mod start;
pub mod text;

pub use start::main;
