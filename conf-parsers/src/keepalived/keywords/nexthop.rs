//! `nexthop` words at the end of a route's line.

use net_types::Family;

use super::address::parse_address;
use super::encap;
use super::route::{Reader, Stop};
use crate::diag::Class;
use crate::keepalived::engine::Ctx;
use crate::keepalived::model::route::NextHop;

/// Reads all nexthops up to the end of the line. A bad one ends the reading after a report, but the route and the nexthops
/// before it stay.
pub(super) fn parse(ctx: &mut Ctx<'_>, reader: &mut Reader<'_>) -> Result<(), Stop> {
    let mut family = None;
    while reader.line.get(reader.at) == Some("nexthop") {
        reader.at = reader.at.saturating_add(1);
        match hop(ctx, reader, &mut family) {
            Ok(hop) => reader.route.nexthops.push(hop),
            Err(Stop::Drop) => return Ok(()),
            Err(exit) => return Err(exit),
        }
    }
    if let Some(word) = reader.line.get(reader.at) {
        ctx.report(
            Class::GeneralError,
            format!("Route has trailing nonsense after nexthops - {word}"),
        );
    }
    Ok(())
}

/// One nexthop. `family` is the last family word of the line: it counts for later nexthops too.
fn hop(
    ctx: &mut Ctx<'_>,
    reader: &mut Reader<'_>,
    family: &mut Option<Family>,
) -> Result<NextHop, Stop> {
    let mut hop = NextHop::default();
    while let Some(word) = reader.line.get(reader.at) {
        match word {
            "via" => gateway(ctx, reader, family, &mut hop)?,
            "dev" => hop.dev = Some(reader.device(ctx)?),
            "weight" => {
                let weight = reader.value(
                    ctx,
                    |ctx, w| ctx.read_unsigned(w, 0, 256, false),
                    |w| format!("Invalid weight {w} specified for route"),
                )?;
                if weight == 0 {
                    return Err(Stop::report(ctx, "Invalid weight 0 specified for route"));
                }
                hop.weight = u16::try_from(weight).ok();
            }
            "onlink" => hop.onlink = true,
            "encap" => {
                if let Some(encap) = encap::parse(ctx, reader.line, &mut reader.at) {
                    hop.encap = Some(encap);
                }
            }
            "realms" => {
                hop.realms = reader.value(
                    ctx,
                    |ctx, w| ctx.read_realms(w),
                    |w| format!("Invalid realms {w} for route"),
                )?;
                if *reader.family.get_or_insert(Family::V4) != Family::V4 {
                    return Err(Stop::report(ctx, "realms are only supported for IPv4"));
                }
            }
            "as" => {
                reader.next(ctx)?;
                return Err(Stop::report(ctx, "'as [to]' (nat) not supported"));
            }
            _ => break,
        }
        reader.at = reader.at.saturating_add(1);
    }
    Ok(hop)
}

fn gateway(
    ctx: &mut Ctx<'_>,
    reader: &mut Reader<'_>,
    family: &mut Option<Family>,
    hop: &mut NextHop,
) -> Result<(), Stop> {
    let mut value = reader.next(ctx)?;
    let named = match value {
        "inet" => Some(Family::V4),
        "inet6" => Some(Family::V6),
        _ => None,
    };
    if named.is_some() {
        *family = named;
        value = reader.next(ctx)?;
    }
    if let Some(family) = *family {
        if *reader.family.get_or_insert(family) != family {
            return Err(Stop::report(ctx, "IPv4/6 mismatch for nexthop"));
        }
    }
    let ip = parse_address(ctx, value)
        .ok_or_else(|| Stop::report(ctx, format!("invalid nexthop address {value}")))?;
    let own = Family::of(&ip);
    if *reader.family.get_or_insert(own) != own {
        return Err(Stop::report(ctx, "Address family mismatch for next hop"));
    }
    hop.via = Some(ip);
    Ok(())
}
