//! `SMTP_CHECK` with its deprecated `host` blocks: each host becomes a checker of its own.

use super::checker::{self, Draft, DraftKind};
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Guard, Keyword, Line, joined, kw, kw_block};
use crate::keepalived::model::check::{CheckKind, Checker, Connection, DEFAULT_HELO};

/// `host` blocks while their `SMTP_CHECK` is read.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// The checker around the host block being read; the host itself is the current checker meanwhile.
    around: Option<Draft>,
    /// Hosts read.
    done: Vec<Draft>,
}

const KEYWORDS: [Keyword; 15] = joined(
    &checker::CONNECTING,
    &[
        kw("helo_name", helo_name),
        kw_block("host", Some(begin_host), &HOST_BLOCK),
    ],
);

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &KEYWORDS,
    end: Some(end),
    guard: Some(checker::GUARD),
};

static HOST_BLOCK: Block = Block {
    keywords: &checker::CONNECTING,
    end: Some(end_host),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.lvs.smtp.around.is_some(),
        clear: |ctx| ctx.scratch.lvs.smtp.around = None,
    }),
};

/// `SMTP_CHECK`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.scratch.lvs.smtp = Hosts::default();
    checker::begin_connecting_anywhere(ctx, line, DraftKind::Smtp { helo: None });
    Ok(())
}

fn helo_name(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(name) = line.get(1) else {
        ctx.report(Class::GeneralError, "SMTP_CHECK helo name missing");
        return Ok(());
    };
    let mut again = false;
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        if let DraftKind::Smtp { helo } = &mut draft.kind {
            again = helo.replace(name.into()).is_some();
        }
    }
    if again {
        ctx.report(
            Class::GeneralError,
            "SMTP_CHECK helo name already specified",
        );
    }
    Ok(())
}

fn begin_host(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.scratch.lvs.smtp.around = ctx.scratch.lvs.checker.take();
    checker::begin_connecting(ctx, line, DraftKind::Smtp { helo: None });
    Ok(())
}

fn end_host(ctx: &mut Ctx<'_>) -> Flow {
    if let Some(host) = checker::take_checked(ctx) {
        ctx.scratch.lvs.smtp.done.push(host);
    }
    ctx.scratch.lvs.checker = ctx.scratch.lvs.smtp.around.take();
    Ok(())
}

/// `}`: without connection options of its own the block stands for its hosts only.
fn end(ctx: &mut Ctx<'_>) -> Flow {
    let hosts = std::mem::take(&mut ctx.scratch.lvs.smtp.done);
    if !hosts.is_empty() {
        ctx.log("The SMTP_CHECK host block is deprecated. Please define additional checkers.");
    }
    let own = ctx.scratch.lvs.checker.as_ref();
    let bare = own.is_some_and(|d| d.connection.as_ref() == Some(&Connection::default()));
    let main = if bare && !hosts.is_empty() {
        ctx.scratch.lvs.checker.take().map(|main| (main, false))
    } else {
        checker::take_checked(ctx).map(|main| (main, true))
    };
    let Some((main, keep_main)) = main else {
        return Ok(());
    };
    let helo = match &main.kind {
        DraftKind::Smtp { helo } => helo.clone(),
        _ => None,
    };
    let kind = CheckKind::Smtp {
        helo: helo.unwrap_or_else(|| DEFAULT_HELO.into()),
    };
    let main = main.finish(kind.clone());
    let rest = hosts
        .into_iter()
        .map(|host| inherit(host.finish(kind.clone()), &main))
        .collect::<Vec<_>>();
    let timeout = default_timeout(ctx);
    for mut one in keep_main.then_some(main).into_iter().chain(rest) {
        if let Some(connection) = &mut one.connection {
            connection.timeout = connection.timeout.or(timeout);
        }
        checker::add(ctx, one);
    }
    Ok(())
}

/// A host takes what it does not say from the block around it.
fn inherit(mut host: Checker, main: &Checker) -> Checker {
    host.times.retry = host.times.retry.or(main.times.retry);
    host.times.delay_loop = host.times.delay_loop.or(main.times.delay_loop);
    host.times.delay_before_retry = host
        .times
        .delay_before_retry
        .or(main.times.delay_before_retry);
    host.times.warmup = host.times.warmup.or(main.times.warmup);
    host.alpha = host.alpha.or(main.alpha);
    host.log_all_failures |= main.log_all_failures;
    host
}

/// Connection timeout of the servers as far as they have been read.
fn default_timeout(ctx: &Ctx<'_>) -> Option<u64> {
    let scratch = &ctx.scratch.lvs;
    let real = scratch
        .real_server
        .as_ref()
        .and_then(|rs| rs.connect_timeout);
    real.or_else(|| scratch.virtual_server.as_ref().map(|vs| vs.connect_timeout))
}
