//! Checks of the vrrp part after the last line.

use crate::keepalived::engine::{Ctx, Flow};

/// All checks, in the original's order.
pub fn after(_ctx: &mut Ctx<'_>) -> Flow {
    Ok(())
}
