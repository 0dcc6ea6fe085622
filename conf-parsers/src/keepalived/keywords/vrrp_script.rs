//! `vrrp_script NAME { … }`

use super::vrrp::ScriptDraft;
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Guard, Line, kw, kw_quoted};
use crate::keepalived::model::Script;
use crate::keepalived::model::vrrp::VrrpScript;
use crate::keepalived::number::scan;
use crate::span::Spanned;

/// Longest interval and timeout in whole seconds (what fits in 32 bits as microseconds).
const SECONDS_MAX: u32 = u32::MAX / 1_000_000;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw_quoted("script", script),
        kw("interval", interval),
        kw("timeout", timeout),
        kw("weight", weight),
        kw("rise", rise),
        kw("fall", fall),
        kw("user", user),
        kw("init_fail", init_fail),
    ],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.vrrp.script.is_some(),
        clear: |ctx| ctx.scratch.vrrp.script = None,
    }),
};

/// `vrrp_script NAME`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = line.word(ctx, 1)?;
    ctx.scratch.vrrp.script = Some(ScriptDraft {
        script: VrrpScript::new(Spanned::new(name.into(), line.span_of(1))),
        account: None,
        remove: false,
    });
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut VrrpScript)) {
    if let Some(draft) = &mut ctx.scratch.vrrp.script {
        change(&mut draft.script);
    }
}

fn name(ctx: &Ctx<'_>) -> String {
    let draft = ctx.scratch.vrrp.script.as_ref();
    draft.map_or_else(String::new, |d| d.script.name.to_string())
}

fn script(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    // The line is split twice: first into keyword and command, then the command into its words.
    let words = ctx.split_quoted(&line.text);
    let command = words.as_ref().and_then(|w| w.get(1));
    if let Some(args) = command.and_then(|c| ctx.split_quoted_escaped(c)) {
        let script = Script {
            args,
            span: line.span,
            ..Script::default()
        };
        set(ctx, |s| s.script = Some(script));
    }
    Ok(())
}

/// Seconds with three decimals, in milliseconds.
fn millis(ctx: &mut Ctx<'_>, word: &str) -> Option<u64> {
    ctx.read_decimal(word, 0, u64::from(SECONDS_MAX) * 1000, 3, true)
}

fn interval(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(mut interval) = millis(ctx, word) else {
        let text = format!(
            "({}): vrrp script interval '{word}' must be between 0.001 and {SECONDS_MAX} - ignoring",
            name(ctx)
        );
        ctx.report(Class::GeneralError, text);
        return Ok(());
    };
    if interval == 0 {
        let text = format!(
            "({}): vrrp script interval must be greater than 0, setting to 1",
            name(ctx)
        );
        ctx.report(Class::GeneralError, text);
        interval = 1000;
    }
    set(ctx, |s| s.interval = interval.saturating_mul(1000));
    Ok(())
}

fn timeout(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(mut timeout) = millis(ctx, word) else {
        let text = format!(
            "({}): vrrp script timeout '{word}' invalid - ignoring",
            name(ctx)
        );
        ctx.report(Class::GeneralError, text);
        return Ok(());
    };
    if timeout == 0 {
        let text = format!(
            "({}): vrrp script timeout must be greater than 0, setting to 1",
            name(ctx)
        );
        ctx.report(Class::GeneralError, text);
        timeout = 1000;
    }
    set(ctx, |s| s.timeout = timeout.saturating_mul(1000));
    Ok(())
}

fn weight(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let mut weight = ctx.read_int(word, -253, 253, true);
    if weight.is_none() {
        let text = format!(
            "vrrp_script {} weight {word} must be in [-253, 253]",
            name(ctx)
        );
        ctx.report(Class::GeneralError, text);
        // The original goes on with whatever number it had read.
        let read = scan(word, 10).signed().0.clamp(-254, 254);
        weight = i32::try_from(read).ok();
    }
    let weight = i16::try_from(weight.unwrap_or(0)).unwrap_or(0);
    set(ctx, |s| s.weight = weight);
    match line.get(2) {
        None => {}
        Some("reverse") => set(ctx, |s| s.reverse = true),
        Some(word) => {
            let text = format!("vrrp_script {} unknown weight option {word}", name(ctx));
            ctx.report(Class::GeneralError, text);
        }
    }
    Ok(())
}

/// `rise` and `fall`.
fn count(ctx: &mut Ctx<'_>, line: &Line) -> Result<u32, crate::keepalived::Exit> {
    let word = line.word(ctx, 1)?;
    let count = ctx.read_unsigned(word, 1, 0x7fff_ffff, true);
    if count.is_none() {
        let text = format!(
            "({}): vrrp script {} value '{word}' invalid, defaulting to 1",
            name(ctx),
            line.keyword()
        );
        ctx.report(Class::GeneralError, text);
    }
    Ok(count.unwrap_or(1))
}

fn rise(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let rise = count(ctx, line)?;
    set(ctx, |s| s.rise = rise);
    Ok(())
}

fn fall(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let fall = count(ctx, line)?;
    set(ctx, |s| s.fall = fall);
    Ok(())
}

fn user(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let account = ctx.script_account(line, 1)?;
    if account.is_none() {
        let draft = ctx.scratch.vrrp.script.as_ref();
        let command = draft
            .and_then(|d| d.script.script.as_ref())
            .map_or_else(String::new, Script::command_line);
        ctx.report(
            Class::GeneralError,
            format!("Unable to set uid/gid for script {command}"),
        );
    }
    if let Some(draft) = &mut ctx.scratch.vrrp.script {
        draft.remove = account.is_none();
        if account.is_some() {
            draft.account = account;
        }
    }
    Ok(())
}

fn init_fail(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    set(ctx, |s| s.init_fail = true);
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let Some(mut draft) = ctx.scratch.vrrp.script.take() else {
        return Ok(());
    };
    let name = &draft.script.name.value;
    let Some(script) = &mut draft.script.script else {
        let text = format!("No script set for vrrp_script {name} - removing");
        ctx.report(Class::GeneralError, text);
        return Ok(());
    };
    if draft.remove {
        return Ok(());
    }
    let account = match draft.account {
        Some(account) => Some(account),
        None => ctx.default_script_account(),
    };
    let Some((uid, gid)) = account else {
        let text = format!("Unable to set default user for vrrp script {name} - removing");
        ctx.report(Class::GeneralError, text);
        return Ok(());
    };
    script.uid = uid;
    script.gid = gid;
    ctx.model.vrrp.scripts.push(draft.script);
    Ok(())
}
