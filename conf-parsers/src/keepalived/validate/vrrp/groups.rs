//! Sync groups, static track groups, and the trackers that members get from their group.

use super::interfaces::Interfaces;
use super::trackers::{self, Reason};
use crate::diag::Class;
use crate::keepalived::engine::Ctx;
use crate::keepalived::model::VrrpModel;
use crate::keepalived::model::vrrp::Tracked;
use crate::keepalived::model::vrrp_instance::WantState;

/// Finds the members of the sync groups and removes groups without any.
pub(super) fn resolve(ctx: &mut Ctx<'_>, vrrp: &mut VrrpModel) {
    let mut kept = Vec::new();
    for mut group in std::mem::take(&mut vrrp.sync_groups) {
        let shown = group.name.value.clone();
        let mut members = Vec::new();
        let mut owners_only = None;
        for name in group.members.take().unwrap_or_default() {
            let mut instances = vrrp.instances.iter_mut();
            let Some(instance) = instances.find(|i| *i.name == *name) else {
                ctx.report(
                    Class::GeneralError,
                    format!(
                        "Virtual router {} specified in sync group {shown} doesn't exist - ignoring",
                        *name
                    ),
                );
                continue;
            };
            if instance.sync_group.is_some() {
                ctx.report(
                    Class::GeneralError,
                    format!(
                        "Virtual router {} cannot exist in more than one sync group; ignoring {shown}",
                        *name
                    ),
                );
                continue;
            }
            instance.sync_group = Some(kept.len());
            // Defaults of state and priority are not in force yet here, as in the original.
            if owners_only == Some(true) && instance.state == Some(WantState::Backup) {
                ctx.report(
                    Class::GeneralError,
                    format!(
                        "Sync group {shown} has some member(s) as address owner and some not as address owner. This won't work."
                    ),
                );
            }
            if owners_only != Some(false) {
                owners_only =
                    Some(instance.state == Some(WantState::Master) && instance.is_owner());
            }
            members.push(name);
        }
        if members.is_empty() {
            ctx.report(
                Class::GeneralError,
                format!(
                    "Sync group {shown}, no matching virtual router found in group declaration - removing"
                ),
            );
            continue;
        }
        if members.len() == 1 {
            ctx.report(
                Class::GeneralError,
                format!(
                    "Sync group {shown} has only 1 virtual router(s) - this probably isn't what you want"
                ),
            );
        }
        group.members = Some(members);
        group.all_owners = owners_only == Some(true);
        kept.push(group);
    }
    vrrp.sync_groups = kept;
}

/// Finds the members of the static track groups and removes groups without any. The groups' users lose their reference.
pub(super) fn static_tracks(ctx: &mut Ctx<'_>, vrrp: &mut VrrpModel) {
    let mut kept = Vec::new();
    for mut group in std::mem::take(&mut vrrp.track_groups) {
        let shown = group.name.value.clone();
        let mut members = group.members.take().unwrap_or_default();
        members.retain(|name| {
            let exists = vrrp.instance(name).is_some();
            if !exists {
                ctx.log(format!(
                    "vrrp instance {} specified in track group {shown} doesn't exist - ignoring",
                    **name
                ));
            }
            exists
        });
        if members.is_empty() {
            ctx.log(format!(
                "Static track group {shown} has no VRRP instance(s)"
            ));
            ctx.log(format!("Static track group {shown} init fails - removing"));
            continue;
        }
        group.members = Some(members);
        kept.push(group);
    }
    vrrp.track_groups = kept;
    let known: Vec<Box<str>> = vrrp
        .track_groups
        .iter()
        .map(|g| g.name.value.clone())
        .collect();
    let mut check =
        |what: &str, group: &mut Option<crate::keepalived::model::vrrp::Name>, no_track| {
            if group.as_ref().is_some_and(|g| !known.contains(&g.value)) {
                *group = None;
            }
            if group.is_some() && no_track {
                ctx.log(format!(
                    "Static {what} has both track_group and no_track set - not tracking"
                ));
                *group = None;
            }
        };
    for a in &mut vrrp.static_addresses {
        check("address", &mut a.track_group, a.no_track);
    }
    for r in &mut vrrp.static_routes {
        check("route", &mut r.track_group, r.no_track);
    }
    for r in &mut vrrp.static_rules {
        check("rule", &mut r.track_group, r.no_track);
    }
}

/// Gives the members what their group tracks, and the groups their defaults.
pub(super) fn trackers(ctx: &mut Ctx<'_>, vrrp: &mut VrrpModel, interfaces: &mut Interfaces) {
    let global = &ctx.model.global;
    let smtp_default = global
        .smtp_alert_vrrp
        .or(global.smtp_alert)
        .unwrap_or(false);
    for at in 0..vrrp.sync_groups.len() {
        let Some(group) = vrrp.sync_groups.get_mut(at) else {
            continue;
        };
        group.smtp_alert.get_or_insert(smtp_default);
        let mut members = vrrp.instances.iter().filter(|i| i.sync_group == Some(at));
        let owner = members.any(|i| i.is_owner());
        let shown = group.name.value.clone();
        let clear = |ctx: &mut Ctx<'_>, list: &mut [Tracked], kind: &str, end: &str| {
            for t in list.iter_mut().filter(|t| owner && t.weight != 0) {
                t.weight = 0;
                ctx.report(
                    Class::GeneralError,
                    format!(
                        "({shown}) Cannot have weighted track {kind} '{}' with member having priority 255 - {end}",
                        *t.name
                    ),
                );
            }
        };
        let track = &mut group.track;
        // The original goes through one object after the other; each gives its own message before its members'.
        let kinds = [
            (&mut track.scripts, "script", "clearing weight"),
            (&mut track.files, "file", "setting weight 0"),
            (&mut track.processes, "process", "setting weight 0"),
            (&mut track.bfds, "bfd", "setting weight 0"),
        ];
        for (kind, (list, word, end)) in kinds.into_iter().enumerate() {
            for one in list.iter_mut() {
                clear(ctx, std::slice::from_mut(one), word, end);
                for i in vrrp.instances.iter_mut() {
                    if i.sync_group != Some(at) {
                        continue;
                    }
                    let lists = &mut i.tracked;
                    let tracked = match kind {
                        0 => &mut lists.scripts,
                        1 => &mut lists.files,
                        2 => &mut lists.processes,
                        _ => &mut lists.bfds,
                    };
                    join(ctx, tracked, one, &i.name, word);
                }
            }
        }
        for one in &mut track.interfaces {
            clear(
                ctx,
                std::slice::from_mut(one),
                "interface",
                "clearing weight",
            );
            let interface = interfaces.named(ctx, &one.name);
            for (index, i) in vrrp.instances.iter().enumerate() {
                if i.sync_group == Some(at) {
                    let who = (index, &**i.name);
                    let weight = (Some(one.weight), one.reverse);
                    trackers::add(ctx, interfaces, interface, who, weight, Reason::GROUP);
                }
            }
        }
    }
    for (index, instance) in vrrp.instances.iter_mut().enumerate() {
        instance.tracked.interfaces = trackers::of_instance(interfaces, index);
    }
}

/// Adds an object of the group to a member's list. If the member has it already, the group's weight wins unless the member's is 0.
fn join(ctx: &mut Ctx<'_>, list: &mut Vec<Tracked>, one: &Tracked, member: &str, kind: &str) {
    let Some(known) = list.iter_mut().find(|t| *t.name == *one.name) else {
        list.push(one.clone());
        return;
    };
    ctx.log(format!(
        "({member}) track_{kind} {} is configured on VRRP instance and sync group. Remove vrrp instance config",
        *one.name
    ));
    if known.weight != 0 {
        known.weight = one.weight;
        known.reverse = one.reverse;
    }
}
