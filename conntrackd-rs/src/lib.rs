//! The conntrackd daemon and its client (layer L4).
//!
//! In: a command line, conntrackd.conf, kernel events, datagrams of the peer, operators' requests. Out: kernel requests,
//! datagrams, replies, log lines. All decisions are ctsync-proto's; this crate opens sockets and moves data.
//! Who may use it: the `conntrackd` binary and the tests.
//! Answers to: conntrackd 1.4.8 as described in conntrackd-behaviour.md sections 1, 3, 6, 8, 10 and 12.

mod channel;
mod cli;
mod client;
mod kernel;
mod lower;
mod request;
mod run;
mod server;
mod start;
mod systemd;
mod text;
mod watch;

pub use start::main;
