//! `BFD_CHECK`

use super::checker::{self, DraftKind};
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Line, kw};
use crate::keepalived::model::bfd::NAME_MAX;
use crate::keepalived::model::check::CheckKind;
use crate::span::Spanned;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[kw("name", name), kw("alpha", checker::alpha)],
    end: Some(end),
    guard: Some(checker::GUARD),
};

/// `BFD_CHECK`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    checker::begin(ctx, line, DraftKind::Bfd { session: None });
    Ok(())
}

fn name(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let server = ctx.scratch.lvs.real_server_name();
    let word = match (line.get(1), line.len()) {
        (Some(word), 2) => word,
        _ => {
            return refuse(
                ctx,
                format!("({server}) BFD_CHECK - No or too many names specified - skipping checker"),
            );
        }
    };
    let before = match ctx.scratch.lvs.checker.as_ref().map(|d| &d.kind) {
        Some(DraftKind::Bfd { session: Some(s) }) => Some(s.to_string()),
        _ => None,
    };
    let known = ctx.model.lvs.bfd_sessions.iter().any(|s| *s.value == *word);
    let rs = ctx.scratch.lvs.real_server.as_ref();
    let monitored = rs.is_some_and(|rs| {
        rs.checkers
            .iter()
            .any(|c| matches!(&c.kind, CheckKind::Bfd { session } if *session.value == *word))
    });
    let complaint = if !known {
        format!("({server}) BFD_CHECK - BFD {word} not configured")
    } else if let Some(before) = before {
        format!("({server}) BFD_CHECK - BFD {word} already specified as {before}")
    } else if word.len() > NAME_MAX {
        format!("({server}) BFD_CHECK - BFD name {word} too long")
    } else if monitored {
        format!("({server}) BFD_CHECK - RS already monitoring {word}")
    } else {
        if let Some(draft) = &mut ctx.scratch.lvs.checker {
            draft.kind = DraftKind::Bfd {
                session: Some(Spanned::new(word.into(), line.span_of(1))),
            };
        }
        return Ok(());
    };
    refuse(ctx, complaint)
}

fn refuse(ctx: &mut Ctx<'_>, complaint: String) -> Flow {
    ctx.report(Class::GeneralError, complaint);
    checker::drop_draft(ctx);
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let Some(mut draft) = ctx.scratch.lvs.checker.take() else {
        return Ok(());
    };
    let session = match &mut draft.kind {
        DraftKind::Bfd { session } => session.take(),
        _ => None,
    };
    let Some(session) = session else {
        let server = ctx.scratch.lvs.real_server_name();
        ctx.report(
            Class::GeneralError,
            format!("({server}) No name has been specified for BFD_CHECKER - skipping"),
        );
        return Ok(());
    };
    checker::add(ctx, draft.finish(CheckKind::Bfd { session }));
    Ok(())
}
