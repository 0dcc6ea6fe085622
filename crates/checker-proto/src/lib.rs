//! Health checks of LVS real servers, and what follows from them, as a sans-IO core (layer L2).
//!
//! In: a [`Config`], time as [`net_types::Instant`], [`Input`]s: what probes and tracked files say, addresses that come and go, reload,
//! shutdown. Out: [`Output`]s in the order anyone outside can observe them: probes to start, changes of the kernel's tables,
//! notifications and log notices.
//! Who may use it: keepalived-rs (its `check::lower` makes the configuration, its `check::run` is the loop) and tests.
//! Answers to: keepalived-behaviour.md section 7, keepalived 2.3.3 check/.
//!
//! ```text
//!   probe ─▶ verdict ─▶ schedule (one checker: retries, delays) ─▶ service (real server in or out, quorum, sorry server) ─▶ Output
//! ```
#![no_std]
#![deny(missing_docs)]
extern crate alloc;

pub mod config;
pub mod dialogue;
mod engine;
mod input;
mod output;
mod reload;
pub mod schedule;
pub mod service;
#[cfg(test)]
mod tests;
pub mod verdict;

pub use config::{CheckerId, Config, RsId, VsId};
pub use engine::Engine;
pub use input::Input;
pub use output::{Ipvs, Notice, Output, Quorum};
pub use verdict::Verdict;
