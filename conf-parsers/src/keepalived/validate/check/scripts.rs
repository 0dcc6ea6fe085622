//! Script security of MISC_CHECK and the notify scripts.

use crate::keepalived::engine::Ctx;
use crate::keepalived::model::check::CheckKind;
use crate::keepalived::model::lvs::VirtualServer;
use crate::keepalived::model::script::Script;
use crate::keepalived::script::Verdict;

/// Checks every script; those that must not run are dropped, with their checker if it is one.
pub(super) fn check(ctx: &mut Ctx<'_>, servers: &mut [VirtualServer]) {
    let mut all = Verdict::default();
    for rs in servers.iter_mut().flat_map(|vs| &mut vs.real_servers) {
        rs.checkers.retain_mut(|checker| {
            let CheckKind::Misc { script, .. } = &mut checker.kind else {
                return true;
            };
            let verdict = ctx.script_verdict(script);
            all = all.with(verdict);
            if verdict.has(Verdict::INHIBIT) {
                ctx.log(format!(
                    "Disabling misc script {} due to insecure",
                    script.command_line()
                ));
                false
            } else if verdict.has(Verdict::NOT_FOUND) {
                ctx.log(format!(
                    "Disabling misc script {} since not found/accessible",
                    script.command_line()
                ));
                false
            } else {
                verdict.has(Verdict::EXECUTABLE) || verdict.has(Verdict::SYSTEM)
            }
        });
    }
    for vs in servers {
        all = all
            .with(boxed(ctx, &mut vs.quorum_up))
            .with(boxed(ctx, &mut vs.quorum_down));
        for rs in &mut vs.real_servers {
            all = all
                .with(boxed(ctx, &mut rs.notify_up))
                .with(boxed(ctx, &mut rs.notify_down));
        }
    }
    all = all
        .with(ctx.check_global_script(|global| &mut global.notify_fifo.script))
        .with(ctx.check_global_script(|global| &mut global.lvs_notify_fifo.script));
    ctx.report_script_security(all, "check scripts");
}

fn boxed(ctx: &mut Ctx<'_>, script: &mut Option<Box<Script>>) -> Verdict {
    let mut checked = script.take().map(|script| *script);
    let verdict = ctx.check_script(&mut checked);
    *script = checked.map(Box::new);
    verdict
}
