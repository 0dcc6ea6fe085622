//! `TCP_CHECK` and `PING_CHECK`: nothing but the common keywords.

use super::checker::{self, DraftKind};
use crate::keepalived::engine::{Block, Ctx, Flow, Line};
use crate::keepalived::model::check::CheckKind;

/// Inside of both blocks.
pub(super) static BLOCK: Block = Block {
    keywords: &checker::CONNECTING,
    end: Some(end),
    guard: Some(checker::GUARD),
};

/// `TCP_CHECK`
pub(super) fn begin_tcp(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    checker::begin_connecting(ctx, line, DraftKind::Tcp);
    Ok(())
}

/// `PING_CHECK`
pub(super) fn begin_ping(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    checker::begin_connecting(ctx, line, DraftKind::Ping);
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    if let Some(draft) = checker::take_checked(ctx) {
        let kind = match draft.kind {
            DraftKind::Ping => CheckKind::Ping,
            _ => CheckKind::Tcp,
        };
        checker::add(ctx, draft.finish(kind));
    }
    Ok(())
}
