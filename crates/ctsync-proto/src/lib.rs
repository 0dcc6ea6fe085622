//! conntrackd's replication between firewalls as a state machine without a socket or a clock (layer L2).
//!
//! In: [`Input`]s: kernel events and answers, datagrams from the peer, operators' requests, link changes; and time.
//! Out: [`Output`]s: datagrams to send, kernel requests, reply bytes for operators, typed log notices.
//! Who may use it: conntrackd's loop and simulations. It uses nfct for objects, and no operating system.
//! Answers to: conntrackd 1.4.8 as described in conntrackd-behaviour.md sections 2 to 9 and 15.
//!
//! ```text
//!  kernel events ─▶ filter ─▶ internal cache ─▶ queue ─▶ mode (sequence, resend window) ─▶ wire ─▶ Transmit
//!  Datagram ─▶ wire ─▶ mode (order, acks) ─▶ external cache ─▶ commit ─▶ Kernel
//! ```
#![no_std]
#![deny(missing_docs)]
extern crate alloc;

pub mod bpf;
mod cache;
mod config;
mod deadlines;
mod engine;
mod filter;
mod input;
mod mode;
mod notice;
mod output;
mod queue;
mod request;
mod stats;
pub mod wire;

pub use config::{Config, ConfigError, LinkConfig, LinkKind, Mode};
pub use engine::{Engine, StartState};
pub use filter::{AddressFilter, Filter, Policy, ProtocolSet};
pub use input::{ClientId, Input, LinkIndex, Origin, RequestId};
pub use notice::{InjectFailure, Notice, Severity};
pub use output::{KernelSocket, Output};
pub use request::{JSON, Request, Section};
pub use stats::{CacheCounters, LinkCounters, NetworkCounters, ShellCounters};
