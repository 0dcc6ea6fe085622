//! Words of the top level that are no blocks, and the root of global_defs.

use super::global;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Feature, Flow, Keyword, Line, Part, Root, kw, kw_block};

/// Globals: the parent always; children inherit them at start and read them again only on reload.
fn active(part: Part, reload: bool) -> bool {
    part == Part::Parent || reload
}

const fn root(keyword: Keyword) -> Root {
    Root {
        keyword,
        active,
        noted: None,
    }
}

/// Top-level words.
pub static ROOTS: &[Root] = &[
    root(
        kw("linkbeat_use_polling", |ctx, _| {
            ctx.model.global.linkbeat_use_polling = true;
            Ok(())
        })
        .only_with(Feature::Linkbeat),
    ),
    root(kw("net_namespace", net_namespace)),
    root(kw("net_namespace_ipvs", net_namespace_ipvs)),
    root(kw("namespace_with_ipsets", |ctx, _| {
        ctx.model.global.namespace_with_ipsets = true;
        Ok(())
    })),
    root(kw("use_pid_dir", |ctx, _| {
        ctx.model.global.use_pid_dir = true;
        Ok(())
    })),
    root(kw("instance", instance)),
    root(kw("child_wait_time", child_wait_time)),
    root(kw_block("global_defs", None, &global::BLOCK)),
];

fn net_namespace(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match (line.get(1), &ctx.model.global.net_namespace) {
        (None, _) => ctx.report(Class::GeneralError, "net_namespace name missing - ignoring"),
        (Some(name), None) => {
            ctx.model.global.net_namespace = Some(name.to_owned());
            ctx.model.global.use_pid_dir = true;
        }
        (Some(name), Some(_)) => ctx.report(
            Class::GeneralError,
            format!("Duplicate net_namespace definition {name} - ignoring"),
        ),
    }
    Ok(())
}

fn net_namespace_ipvs(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if ctx.model.global.net_namespace_ipvs.is_some() {
        let name = line.word(ctx, 1)?;
        ctx.report(
            Class::GeneralError,
            format!("Duplicate net_namespace_ipvs definition {name} - ignoring"),
        );
    } else {
        ctx.model.global.net_namespace_ipvs = Some(line.get(1).unwrap_or("").to_owned());
    }
    Ok(())
}

fn instance(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match (line.get(1), &ctx.model.global.instance) {
        (None, _) => ctx.report(Class::GeneralError, "instance name missing - ignoring"),
        // The instance name cannot change while running; the daemon keeps the first one.
        (Some(_), _) if ctx.options.reload => {}
        (Some(name), None) => {
            ctx.model.global.instance = Some(name.to_owned());
            ctx.model.global.use_pid_dir = true;
        }
        (Some(name), Some(_)) => ctx.report(
            Class::GeneralError,
            format!("Duplicate instance definition {name} - ignoring"),
        ),
    }
    Ok(())
}

fn child_wait_time(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, u32::MAX, false) {
        Some(seconds) => ctx.model.global.child_wait_time = seconds,
        None => ctx.report(
            Class::GeneralError,
            format!("Invalid child_wait_time {word}"),
        ),
    }
    Ok(())
}
