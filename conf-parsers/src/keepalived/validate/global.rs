//! global_defs after the last line: defaults that need the system, conflicts between FIFOs.

use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Part};
use crate::keepalived::script::Verdict;

/// Default of smtp_connect_timeout, µs.
const SMTP_TIMEOUT: u64 = 30_000_000;
/// What stands for the local name if it cannot be found.
const UNKNOWN: &str = "[unknown]";

/// Fills in what depends on several keywords or on the system (the original's init_global_data).
pub fn after(ctx: &mut Ctx<'_>) -> Flow {
    let g = &ctx.model.global;
    let mails = g.smtp_server.is_some();
    let needs_name = g.router_id.is_none()
        || (mails && (g.smtp_helo_name.is_none() || g.notification_email_from.is_none()));
    if g.local_name.is_none() && needs_name {
        let name = ctx
            .host
            .canonical_host_name()
            .unwrap_or_else(|| UNKNOWN.to_owned());
        ctx.model.global.local_name = Some(name);
    }
    let user = if mails {
        ctx.host.own_user_name()
    } else {
        None
    };
    let g = &mut ctx.model.global;
    if g.router_id.is_none() {
        g.router_id.clone_from(&g.local_name);
    }
    if mails {
        if g.smtp_connect_timeout == 0 {
            g.smtp_connect_timeout = SMTP_TIMEOUT;
        }
        if let Some(name) = g.local_name.clone().filter(|n| n != UNKNOWN) {
            if let (None, Some(user)) = (&g.notification_email_from, user) {
                g.notification_email_from = Some(format!("{user}@{name}"));
            }
            g.smtp_helo_name.get_or_insert(name);
        }
    }
    if g.snmp_rs_stats_update_interval == 0 {
        g.snmp_rs_stats_update_interval = g.snmp_vs_stats_update_interval;
    }
    fifo_conflicts(ctx);
    if ctx.part == Part::Parent {
        life_scripts(ctx);
    }
    Ok(())
}

/// Checks the start and stop scripts; they are dropped if they must not run.
fn life_scripts(ctx: &mut Ctx<'_>) {
    let mut startup = ctx.model.global.startup_script.take();
    let mut shutdown = ctx.model.global.shutdown_script.take();
    let verdict = ctx
        .check_script(&mut startup)
        .with(ctx.check_script(&mut shutdown));
    ctx.model.global.startup_script = startup;
    ctx.model.global.shutdown_script = shutdown;
    if !ctx.model.global.script_security && verdict.has(Verdict::IS_SCRIPT) {
        let more = if verdict.has(Verdict::INSECURE) {
            " There are insecure scripts."
        } else {
            ""
        };
        ctx.report(
            Class::Security,
            format!("SECURITY VIOLATION - start/shutdown scripts are being executed but script_security not enabled.{more}"),
        );
    }
}

/// The same FIFO for two purposes would get every line twice.
fn fifo_conflicts(ctx: &mut Ctx<'_>) {
    let g = &mut ctx.model.global;
    let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
    let mut text = None;
    if ctx.part == Part::Vrrp && same(&g.notify_fifo.name, &g.vrrp_notify_fifo.name) {
        if let Some(name) = g.vrrp_notify_fifo.name.take() {
            text = Some(format!(
                "notify FIFO {name} has been specified for global and vrrp FIFO - ignoring vrrp FIFO"
            ));
        }
        g.vrrp_notify_fifo.script = None;
    }
    if ctx.part == Part::Checker {
        if same(&g.notify_fifo.name, &g.lvs_notify_fifo.name) {
            if let Some(name) = g.lvs_notify_fifo.name.take() {
                text = Some(format!(
                    "notify FIFO {name} has been specified for global and LVS FIFO - ignoring LVS FIFO"
                ));
            }
            g.lvs_notify_fifo.script = None;
        }
        if same(&g.lvs_notify_fifo.name, &g.vrrp_notify_fifo.name)
            && g.lvs_notify_fifo.script.is_some()
            && g.vrrp_notify_fifo.script.is_some()
        {
            text = Some("LVS notify FIFO and vrrp FIFO are the same both with scripts - ignoring LVS FIFO script".to_owned());
            g.lvs_notify_fifo.script = None;
        }
    }
    if let Some(text) = text {
        ctx.log(text);
    }
}
