//! `static_ipaddress`, `static_routes`, `static_rules`.

use super::vrrp::needs_vrrp;
use super::{address, route, rule};
use crate::keepalived::engine::{Ctx, Flow, Line};

/// `static_ipaddress { … }`
pub(super) fn addresses(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    needs_vrrp(ctx);
    ctx.value_block(line, |ctx, line| {
        if let Some(address) = address::parse(ctx, line, true)? {
            ctx.model.vrrp.static_addresses.push(address);
        }
        Ok(())
    })
}

/// `static_routes { … }`
pub(super) fn routes(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    needs_vrrp(ctx);
    ctx.value_block(line, |ctx, line| {
        if let Some(route) = route::parse(ctx, line, true)? {
            ctx.model.vrrp.static_routes.push(route);
        }
        Ok(())
    })
}

/// `static_rules { … }`
pub(super) fn rules(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    needs_vrrp(ctx);
    ctx.value_block(line, |ctx, line| {
        if let Some(rule) = rule::parse(ctx, line, true)? {
            ctx.model.vrrp.static_rules.push(rule);
        }
        Ok(())
    })
}
