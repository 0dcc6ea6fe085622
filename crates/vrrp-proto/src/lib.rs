//! VRRP as a sans-IO state machine (layer L2).
//!
//! In: a [`Config`], time as [`net_types::Instant`], and [`Input`]s: adverts, link facts, tracker results, reload, shutdown.
//! Out: [`Output`]s in the order anyone outside can observe them: adverts, addresses, routes, rules, ARP/NA, notifies, log notices.
//! Who may use it: keepalived-rs (its `vrrp::lower` makes the Config, its `vrrp::run` is the loop) and tests.
//! Answers to: RFC 9568, RFC 3768, keepalived-behaviour.md section 4 and 10 (keepalived 2.3.3).
//!
//! ```text
//! Config ─▶ Router ─▶ instance (INIT, BACKUP, MASTER, FAULT) ─▶ sync group ─▶ queue of Outputs
//!             ▲ Input(now)            ▲ timers (one table)
//! ```
#![no_std]
#![deny(missing_docs)]
extern crate alloc;

mod advert;
pub mod auth;
pub mod config;
mod facts;
mod garp;
pub mod input;
mod instance;
pub mod notice;
mod objects;
pub mod output;
pub mod reasons;
mod receive;
mod reload;
mod router;
mod start;
pub mod stats;
pub mod status;
mod sync_group;
mod table;
mod timers;
mod transition;
pub mod wire;

pub use config::{Config, GroupId, IfId, InstanceId, Object, SocketId, TrackerId};
pub use input::Input;
pub use notice::Notice;
pub use output::{Notify, Output, Repriced};
pub use router::Router;
pub use status::State;
pub use table::Table;
