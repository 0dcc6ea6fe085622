//! Health checks of LVS real servers, and what follows from them, as a sans-IO core (layer L2).
//!
//! In: a configuration, time as [`net_types::Instant`], what probes and tracked files say, addresses that come and go, reload, shutdown.
//! Out: probes to start, changes of the kernel's tables, notifications and log notices, in the order anyone outside can observe them.
//! Who may use it: keepalived-rs (its `check::lower` makes the configuration, its `check::run` is the loop) and tests.
//! Answers to: keepalived-behaviour.md section 7, keepalived 2.3.3 check/.
#![no_std]
#![deny(missing_docs)]
extern crate alloc;

pub mod dialogue;
pub mod verdict;

/// A checker of the configuration: its place among all checkers, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckerId(pub u32);
