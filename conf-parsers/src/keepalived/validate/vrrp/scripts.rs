//! Whether scripts exist, are safe, and are used.

use crate::diag::Class;
use crate::keepalived::engine::Ctx;
use crate::keepalived::model::VrrpModel;
use crate::keepalived::model::vrrp::{Notifies, Trackers};
use crate::keepalived::script::Verdict;

/// Checks every script and drops those that must not run.
pub(super) fn check(ctx: &mut Ctx<'_>, vrrp: &mut VrrpModel) {
    if vrrp.instances.is_empty() {
        return;
    }
    let mut all = Verdict::default();
    let mut insecure: Vec<Box<str>> = Vec::new();
    for track in &mut vrrp.scripts {
        let Some(script) = &mut track.script else {
            continue;
        };
        let verdict = ctx.script_verdict(script);
        all = all.with(verdict);
        let name = &track.name.value;
        if verdict.has(Verdict::INHIBIT) {
            ctx.report(
                Class::GeneralError,
                format!("Disabling track script {name} due to insecure"),
            );
        } else if verdict.has(Verdict::NOT_FOUND) {
            ctx.report(
                Class::GeneralError,
                format!("Disabling track script {name} since not found/accessible"),
            );
        } else if verdict.has(Verdict::EXECUTABLE) || verdict.has(Verdict::SYSTEM) {
            continue;
        }
        insecure.push(name.clone());
    }
    for i in &mut vrrp.instances {
        all = all.with(ctx.check_script(&mut i.notify.backup));
        all = all.with(ctx.check_script(&mut i.notify.master));
        all = all.with(ctx.check_script(&mut i.notify.fault));
        all = all.with(ctx.check_script(&mut i.notify.stop));
        all = all.with(ctx.check_script(&mut i.notify_deleted_script));
        all = all.with(ctx.check_script(&mut i.notify.any));
        all = all.with(ctx.check_script(&mut i.notify_master_rx_lower_pri));
        forget(&mut i.track, &insecure);
    }
    for group in &mut vrrp.sync_groups {
        all = all.with(notifies(ctx, &mut group.notify));
        forget(&mut group.track, &insecure);
    }
    all = all
        .with(ctx.check_global_script(|global| &mut global.notify_fifo.script))
        .with(ctx.check_global_script(|global| &mut global.vrrp_notify_fifo.script));
    ctx.report_script_security(all, "scripts");
    vrrp.scripts.retain(|s| !insecure.contains(&s.name.value));
}

fn notifies(ctx: &mut Ctx<'_>, n: &mut Notifies) -> Verdict {
    let scripts = [
        &mut n.backup,
        &mut n.master,
        &mut n.fault,
        &mut n.stop,
        &mut n.any,
    ];
    scripts.into_iter().fold(Verdict::default(), |all, script| {
        all.with(ctx.check_script(script))
    })
}

fn forget(track: &mut Trackers, insecure: &[Box<str>]) {
    track.scripts.retain(|t| !insecure.contains(&t.name.value));
}

/// Drops scripts that nobody tracks.
pub(super) fn unused(ctx: &mut Ctx<'_>, vrrp: &mut VrrpModel) {
    let instances = &vrrp.instances;
    let used = |name: &str| {
        let mut tracked = instances.iter().flat_map(|i| &i.tracked.scripts);
        tracked.any(|t| &**t.name == name)
    };
    let unused: Vec<Box<str>> = vrrp
        .scripts
        .iter()
        .filter(|s| !used(&s.name))
        .map(|s| s.name.value.clone())
        .collect();
    for name in &unused {
        ctx.report(
            Class::GeneralError,
            format!("Warning - script {name} is not used"),
        );
    }
    vrrp.scripts.retain(|s| !unused.contains(&s.name.value));
}
