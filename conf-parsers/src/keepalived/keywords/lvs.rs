//! Roots of the LVS, checker, SSL and BFD blocks.

use crate::keepalived::engine::Root;

/// LVS, checker and BFD blocks.
pub static ROOTS: &[Root] = &[];

/// LVS, checker and BFD objects under construction.
#[derive(Debug, Default)]
pub struct LvsScratch {}
