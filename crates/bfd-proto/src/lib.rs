//! BFD as a sans-IO state machine (layer L2): asynchronous mode, without authentication and echo.
//!
//! In: a list of [`SessionConfig`], time as [`net_types::Instant`], and [`Input`]s: packets, sockets that were opened, a new configuration.
//! Out: [`Output`]s in the order anyone outside can observe them: sockets to open, packets, states of sessions, log notices.
//! Who may use it: keepalived-rs (its `bfd::lower` makes the configuration, its `bfd::run` is the loop) and tests.
//! Answers to: RFC 5880, RFC 5881, RFC 5883, keepalived-behaviour.md section 9 (keepalived 2.3.3 bfd/).
//!
//! ```text
//!                        ┌──────── Down, AdminDown, expired ────────┐
//!                        ▼                                          │
//!   AdminDown ──open──▶ Down ──Down──▶ Init ──Init, Up──▶ Up ───────┘
//!        (no socket)     └───────────Init────────────────▶
//! ```
#![no_std]
#![deny(missing_docs)]
extern crate alloc;

pub mod config;
mod engine;
mod input;
mod notice;
mod output;
pub mod session;
mod transition;
pub mod wire;

pub use config::{SessionConfig, SessionId};
pub use engine::Engine;
pub use input::{Input, Received};
pub use notice::{Notice, Timers};
pub use output::Output;
pub use session::Session;
pub use wire::{Diagnostic, Packet, State};
