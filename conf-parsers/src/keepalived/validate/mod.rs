//! Checks after the last line, and defaults that depend on several keywords.

pub mod bfd;
pub mod check;
pub mod global;
pub mod vrrp;

use super::engine::{Ctx, Flow, Part};

/// Runs the checks of the part that parses.
pub fn after(ctx: &mut Ctx<'_>) -> Flow {
    // At the start a child has the parent's globals; after a reload it has read them itself.
    if ctx.options.reload && ctx.part != Part::Parent {
        global::after(ctx)?;
    }
    match ctx.part {
        Part::Parent => global::after(ctx),
        Part::Vrrp => vrrp::after(ctx),
        Part::Checker => check::after(ctx),
        Part::Bfd => bfd::after(ctx),
    }
}
