//! Words of the top level that are no blocks, and global_defs.

use crate::keepalived::engine::Root;

/// Top-level words.
pub static ROOTS: &[Root] = &[];
