//! Virtual servers that stand for a group: the group must exist and fit.

use net_types::{Family, SortedMap};

use crate::keepalived::engine::Ctx;
use crate::keepalived::model::lvs::{Service, VirtualServer, VirtualServerGroup};

/// Drops virtual servers whose group does not exist or is of another family, takes the family from the group, and numbers
/// the servers of each group.
pub(super) fn link(
    ctx: &mut Ctx<'_>,
    groups: &SortedMap<&str, &VirtualServerGroup>,
    servers: &mut Vec<VirtualServer>,
) {
    servers.retain_mut(|vs| {
        let Some(name) = vs.group_name().map(str::to_owned) else {
            return true;
        };
        match groups.get(&*name) {
            Some(group) => fits(ctx, group, vs),
            None => {
                ctx.log(format!(
                    "Virtual server group {name} specified but not configured - ignoring virtual server {vs}"
                ));
                false
            }
        }
    });
    let mut next: SortedMap<&str, u16> = SortedMap::new();
    for vs in servers.iter_mut() {
        if let Service::Group { name, member } = &mut vs.service {
            if let Some(group) = groups.get(&*name.value) {
                let next = next.or_default(&group.name.value);
                *member = *next;
                *next = next.wrapping_add(1);
            }
        }
    }
}

fn fits(ctx: &mut Ctx<'_>, group: &VirtualServerGroup, vs: &mut VirtualServer) -> bool {
    let name = &*group.name.value;
    let v4 = group.has_family(Family::V4);
    let v6 = group.has_family(Family::V6);
    let family = match (v4, v6) {
        (true, false) => Some(Family::V4),
        (false, true) => Some(Family::V6),
        _ => None,
    };
    if v4 && v6 && vs.family.is_some() {
        ctx.log(format!(
            "{name}: virtual server group with IPv4 & IPv6 doesn't match virtual server {vs} - ignoring"
        ));
        return false;
    }
    match (family, vs.family) {
        (Some(group), Some(own)) if group != own => {
            ctx.log(format!(
                "{name}: address family doesn't match virtual server {vs} - ignoring"
            ));
            return false;
        }
        (Some(group), None) => vs.family = Some(group),
        (None, None) if group.has_mark_without_family() => ctx.log(format!(
            "{name}: Virtual server {vs} address family cannot be determined, defaulting to IPv4"
        )),
        _ => {}
    }
    true
}
