//! Start and stop scripts, FIFOs, the default account.

use super::Field;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line, Part};
use crate::keepalived::model::global::Fifo;

/// Seconds that a start or stop script may run.
const DEFAULT_TIMEOUT: u32 = 10;

const fn name(startup: bool) -> &'static str {
    if startup { "startup" } else { "shutdown" }
}

pub(super) fn life(ctx: &mut Ctx<'_>, line: &Line, startup: bool) -> Flow {
    if ctx.part != Part::Parent {
        return Ok(());
    }
    let kind = name(startup);
    let g = &ctx.model.global;
    let present = if startup {
        g.startup_script.is_some()
    } else {
        g.shutdown_script.is_some()
    };
    if present {
        ctx.report(
            Class::GeneralError,
            format!("{kind} script already specified"),
        );
        return Ok(());
    }
    if line.len() < 2 {
        ctx.report(Class::GeneralError, format!("{kind} script missing"));
        return Ok(());
    }
    let Some(script) = ctx.notify_script(line, 0, kind) else {
        ctx.report(Class::GeneralError, format!("Invalid {kind} script"));
        return Ok(());
    };
    let g = &mut ctx.model.global;
    let (slot, timeout) = if startup {
        (&mut g.startup_script, &mut g.startup_script_timeout)
    } else {
        (&mut g.shutdown_script, &mut g.shutdown_script_timeout)
    };
    *slot = Some(script);
    if *timeout == 0 {
        *timeout = DEFAULT_TIMEOUT;
    }
    Ok(())
}

pub(super) fn life_timeout(ctx: &mut Ctx<'_>, line: &Line, startup: bool) -> Flow {
    if ctx.part != Part::Parent {
        return Ok(());
    }
    let kind = name(startup);
    let Some(word) = line.get(1) else {
        ctx.report(
            Class::GeneralError,
            format!("{kind}_script_timeout requires value"),
        );
        return Ok(());
    };
    let Some(seconds) = ctx.read_unsigned(word, 1, 1000, true) else {
        ctx.report(
            Class::GeneralError,
            format!("{kind}_script_timeout '{word}' must be in [1, 1000] - ignoring"),
        );
        return Ok(());
    };
    if startup {
        ctx.model.global.startup_script_timeout = seconds;
    } else {
        ctx.model.global.shutdown_script_timeout = seconds;
    }
    Ok(())
}

pub(super) fn fifo(ctx: &mut Ctx<'_>, line: &Line, kind: &str, field: Field<Fifo>) -> Flow {
    let Some(path) = line.get(1) else {
        ctx.report(
            Class::GeneralError,
            format!("No {kind}notify_fifo name specified"),
        );
        return Ok(());
    };
    if field(&mut ctx.model.global).name.is_some() {
        ctx.report(
            Class::GeneralError,
            format!("{kind}notify_fifo already specified - ignoring {path}"),
        );
        return Ok(());
    }
    let account = if line.len() > 2 {
        let account = ctx.script_account(line, 2)?;
        if account.is_none() {
            ctx.log(format!(
                "Invalid user/group for {kind} fifo {path} - ignoring"
            ));
        }
        account
    } else {
        let account = ctx.default_script_account();
        if account.is_none() {
            ctx.log(format!(
                "Failed to set default user for {kind} fifo {path} - ignoring"
            ));
        }
        account
    };
    if let Some((uid, gid)) = account {
        let fifo = field(&mut ctx.model.global);
        (fifo.uid, fifo.gid) = (uid, gid);
        fifo.name = Some(path.to_owned());
    }
    Ok(())
}

pub(super) fn fifo_script(ctx: &mut Ctx<'_>, line: &Line, kind: &str, field: Field<Fifo>) -> Flow {
    let Some(path) = line.get(1) else {
        ctx.report(
            Class::GeneralError,
            format!("No {kind}notify_fifo_script specified"),
        );
        return Ok(());
    };
    if field(&mut ctx.model.global).script.is_some() {
        ctx.report(
            Class::GeneralError,
            format!("{kind}notify_fifo_script already specified - ignoring {path}"),
        );
        return Ok(());
    }
    let script = ctx.notify_script(line, 1, &format!("{kind}notify_fifo"));
    field(&mut ctx.model.global).script = script;
    Ok(())
}

pub(super) fn user(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(user) = line.get(1) else {
        ctx.report(Class::GeneralError, "No script username specified");
        return Ok(());
    };
    if !ctx.set_default_script_account(user, line.get(2)) {
        ctx.report(Class::GeneralError, "Error setting global script uid/gid");
    }
    Ok(())
}
