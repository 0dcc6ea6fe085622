//! Keyword tables and handlers, one file per block.
//!
//! A family of blocks contributes a `pub static ROOTS: &[Root]`; [`roots`] lists the families in the original's order.

pub mod address;
pub mod bfd;
mod checker;
mod checker_bfd;
mod checker_dns;
mod checker_file;
mod checker_http;
mod checker_misc;
mod checker_plain;
mod checker_regex;
mod checker_smtp;
mod checker_udp;
mod encap;
mod garp_group;
pub mod global;
mod instance;
mod interface_blocks;
pub mod lvs;
mod nexthop;
mod real_server;
pub mod route;
mod route_metric;
pub mod rule;
mod server_values;
mod ssl;
mod static_objects;
mod sync_group;
pub mod top;
mod track_file;
mod track_group;
mod track_process;
mod trackers;
mod virtual_server;
mod virtual_server_group;
pub mod vrrp;
mod vrrp_script;

use super::engine::Root;

/// Top-level keywords of all families.
pub fn roots() -> [&'static [Root]; 3] {
    [top::ROOTS, vrrp::ROOTS, lvs::ROOTS]
}

/// Objects under construction, one field per family.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Of the VRRP blocks.
    pub vrrp: vrrp::VrrpScratch,
    /// Of the LVS, checker and BFD blocks.
    pub lvs: lvs::LvsScratch,
    /// Interfaces that the text names and the system lacks.
    pub interfaces: super::interfaces::MissingInterfaces,
    /// Names of the `track_group` blocks read so far; static addresses, routes and rules refer to them.
    pub static_track_groups: net_types::SortedSet<Box<str>>,
    /// Preferences for rules without one.
    pub rule_preferences: rule::NextPreference,
}

#[cfg(test)]
mod tests;
