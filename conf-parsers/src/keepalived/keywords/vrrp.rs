//! Roots of the VRRP blocks: vrrp_instance, vrrp_sync_group, vrrp_script, track groups, static addresses, routes and rules.

use crate::keepalived::engine::Root;

/// VRRP blocks.
pub static ROOTS: &[Root] = &[];

/// VRRP objects under construction.
#[derive(Debug, Default)]
pub struct VrrpScratch {}
