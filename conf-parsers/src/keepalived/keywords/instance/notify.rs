//! Notification of an instance's state changes.

use super::{complain, set};
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::Script;
use crate::keepalived::model::vrrp_instance::VrrpInstance;
use crate::keepalived::number::check_true_false;

/// A script keyword; `extra` arguments are added when it runs.
fn script(
    ctx: &mut Ctx<'_>,
    line: &Line,
    extra: usize,
    slot: fn(&mut VrrpInstance) -> &mut Option<Script>,
) -> Flow {
    let instance = ctx.scratch.vrrp.instance.as_mut();
    if instance.is_some_and(|i| slot(i).is_some()) {
        let word = line.word(ctx, 1)?;
        let keyword = line.keyword();
        complain(ctx, |n| {
            format!("({n}) {keyword} script already specified - ignoring {word}")
        });
        return Ok(());
    }
    let script = ctx.notify_script(line, extra, "notify");
    set(ctx, |i| {
        *slot(i) = script;
        i.notify_exec = true;
    })
}

pub(super) fn backup(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    script(ctx, line, 0, |i| &mut i.notify.backup)
}

pub(super) fn master(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    script(ctx, line, 0, |i| &mut i.notify.master)
}

pub(super) fn fault(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    script(ctx, line, 0, |i| &mut i.notify.fault)
}

pub(super) fn stop(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    script(ctx, line, 0, |i| &mut i.notify.stop)
}

pub(super) fn any(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    script(ctx, line, 4, |i| &mut i.notify.any)
}

pub(super) fn master_rx_lower_pri(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    script(ctx, line, 0, |i| &mut i.notify_master_rx_lower_pri)
}

pub(super) fn deleted(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if super::get(ctx, |i| i.notify_deleted) == Some(true) {
        let word = line.get(1).unwrap_or("");
        complain(ctx, |n| {
            format!("({n}) notify_deleted already specified - ignoring {word}")
        });
        return Ok(());
    }
    if line.len() > 1 {
        script(ctx, line, 0, |i| &mut i.notify_deleted_script)?;
    }
    set(ctx, |i| i.notify_deleted = true)
}

pub(super) fn smtp_alert(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let value = line.get(1).map_or(Some(true), check_true_false);
    if value.is_some() {
        return set(ctx, |i| i.smtp_alert = value);
    }
    let word = line.get(1).unwrap_or("");
    ctx.report(
        Class::GeneralError,
        format!("Invalid vrrp_instance smtp_alert parameter {word}"),
    );
    Ok(())
}

pub(super) fn priority_changes(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let value = line.get(1).map_or(Some(true), check_true_false);
    if value.is_some() {
        return set(ctx, |i| i.notify_priority_changes = value);
    }
    let word = line.get(1).unwrap_or("");
    complain(ctx, |n| {
        format!("({n}) Invalid value '{word}' for notify_priority_changes specified")
    });
    Ok(())
}
