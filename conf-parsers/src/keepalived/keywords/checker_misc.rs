//! `MISC_CHECK`

use super::checker::{self, DraftKind};
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Keyword, Line, joined, kw, kw_quoted};
use crate::keepalived::model::Script;
use crate::keepalived::model::check::CheckKind;

/// Longest `misc_timeout` in seconds.
const TIMEOUT_MAX: u32 = u32::MAX / 1_000_000;

const KEYWORDS: [Keyword; 10] = joined(
    &checker::TIMES,
    &[
        kw_quoted("misc_path", path),
        kw("misc_timeout", timeout),
        kw("misc_dynamic", dynamic),
        kw("user", user),
    ],
);

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &KEYWORDS,
    end: Some(end),
    guard: Some(checker::GUARD),
};

/// `MISC_CHECK`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let kind = DraftKind::Misc {
        args: None,
        account: None,
        timeout: 0,
        dynamic: false,
    };
    checker::begin(ctx, line, kind);
    Ok(())
}

fn path(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let words = ctx.split_quoted(&line.text);
    let command = words.as_ref().and_then(|w| w.get(1));
    let new = command.and_then(|c| ctx.split_quoted_escaped(c));
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        if let (DraftKind::Misc { args, .. }, Some(new)) = (&mut draft.kind, new) {
            *args = Some(new);
        }
    }
    Ok(())
}

fn timeout(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(seconds) = ctx.read_unsigned(word, 0, TIMEOUT_MAX, true) else {
        ctx.report(
            Class::GeneralError,
            format!("Invalid misc_timeout value '{word}'"),
        );
        return Ok(());
    };
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        if let DraftKind::Misc { timeout, .. } = &mut draft.kind {
            *timeout = u64::from(seconds).saturating_mul(1_000_000);
        }
    }
    Ok(())
}

fn dynamic(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        if let DraftKind::Misc { dynamic, .. } = &mut draft.kind {
            *dynamic = true;
        }
    }
    Ok(())
}

/// The command as messages show it; nothing before `misc_path`.
fn shown(args: Option<&[String]>) -> String {
    let script = Script {
        args: args.unwrap_or(&[]).to_vec(),
        ..Script::default()
    };
    script.command_line()
}

fn command(ctx: &Ctx<'_>) -> String {
    match ctx.scratch.lvs.checker.as_ref().map(|d| &d.kind) {
        Some(DraftKind::Misc { args, .. }) => shown(args.as_deref()),
        _ => String::new(),
    }
}

fn user(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if line.len() < 2 {
        let text = format!("No user specified for misc checker script {}", command(ctx));
        ctx.report(Class::GeneralError, text);
        return Ok(());
    }
    let Some(new) = ctx.script_account(line, 1)? else {
        let text = format!(
            "Failed to set uid/gid for misc checker script {} - removing",
            command(ctx)
        );
        ctx.report(Class::GeneralError, text);
        checker::drop_draft(ctx);
        return Ok(());
    };
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        if let DraftKind::Misc { account, .. } = &mut draft.kind {
            *account = Some(new);
        }
    }
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let Some(mut draft) = ctx.scratch.lvs.checker.take() else {
        return Ok(());
    };
    let DraftKind::Misc {
        args,
        account,
        timeout,
        dynamic,
    } = &mut draft.kind
    else {
        return Ok(());
    };
    let (timeout, dynamic) = (*timeout, *dynamic);
    let Some(args) = args.take() else {
        ctx.report(
            Class::GeneralError,
            "No script path has been specified for MISC_CHECKER - skipping",
        );
        return Ok(());
    };
    let Some((uid, gid)) = account.or_else(|| ctx.default_script_account()) else {
        ctx.report(
            Class::GeneralError,
            format!(
                "Unable to set default user for misc script {} - removing",
                shown(Some(&args))
            ),
        );
        return Ok(());
    };
    let script = Script {
        args,
        uid,
        gid,
        span: draft.span,
        ..Script::default()
    };
    let kind = CheckKind::Misc {
        script: Box::new(script),
        timeout,
        dynamic,
    };
    checker::add(ctx, draft.finish(kind));
    Ok(())
}
