//! `garp_group { … }`

use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Guard, Line, kw};
use crate::keepalived::model::vrrp::GarpGroup;
use crate::source::LinkKind;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw("garp_interval", garp_interval),
        kw("gna_interval", gna_interval),
        kw("interface", interface),
        kw("interfaces", interfaces),
    ],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.vrrp.garp_group.is_some(),
        clear: |ctx| ctx.scratch.vrrp.garp_group = None,
    }),
};

/// `garp_group`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let groups = &mut ctx.model.vrrp.garp_groups;
    ctx.scratch.vrrp.garp_group = Some(groups.len());
    groups.push(GarpGroup {
        span: line.span,
        ..GarpGroup::default()
    });
    Ok(())
}

fn current<'b>(ctx: &'b mut Ctx<'_>) -> Option<&'b mut GarpGroup> {
    let at = ctx.scratch.vrrp.garp_group?;
    ctx.model.vrrp.garp_groups.get_mut(at)
}

/// Seconds with six decimals, in microseconds.
fn interval(ctx: &mut Ctx<'_>, line: &Line) -> Result<Option<u32>, crate::keepalived::Exit> {
    let word = line.word(ctx, 1)?;
    let value = ctx.read_decimal(word, 0, u64::from(u32::MAX), 6, true);
    let Some(value) = value.and_then(|v| u32::try_from(v).ok()) else {
        ctx.report(
            Class::GeneralError,
            format!("garp_group {} '{word}' invalid", line.keyword()),
        );
        return Ok(None);
    };
    Ok(Some(value))
}

fn large(ctx: &mut Ctx<'_>, line: &Line, value: u32) {
    if value >= 1_000_000 {
        let word = line.get(1).unwrap_or("");
        ctx.log(format!(
            "The {} is very large - {word} seconds",
            line.keyword()
        ));
    }
}

fn garp_interval(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(value) = interval(ctx, line)? {
        if let Some(group) = current(ctx) {
            group.garp_interval = Some(value);
        }
        large(ctx, line, value);
    }
    Ok(())
}

fn gna_interval(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(value) = interval(ctx, line)? {
        if let Some(group) = current(ctx) {
            group.gna_interval = Some(value);
        }
        large(ctx, line, value);
    }
    Ok(())
}

/// Puts an interface into the group. `shown` is the name in the message about a second group.
fn put(ctx: &mut Ctx<'_>, name: &str, shown: &str) {
    let settings = ctx.model.vrrp.interfaces.get(name);
    if settings.is_some_and(|s| s.garp_group.is_some()) {
        ctx.report(
            Class::GeneralError,
            format!("garp_group already specified for {shown} - ignoring"),
        );
        return;
    }
    let kind = ctx.host.interface(name).map(|i| i.kind);
    if matches!(kind, Some(LinkKind::Macvlan | LinkKind::Ipvlan)) {
        ctx.report(
            Class::GeneralError,
            format!("Cannot specify garp_delay on a vmac ({name}) - ignoring"),
        );
        return;
    }
    let group = ctx.scratch.vrrp.garp_group;
    let settings = ctx.model.vrrp.interfaces.or_default(name.into());
    settings.garp_group = group;
}

fn interface(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = line.word(ctx, 1)?;
    if ctx.accept_interface(name) {
        put(ctx, name, name);
    } else {
        ctx.report(
            Class::GeneralError,
            format!("WARNING - interface {name} specified for garp_group doesn't exist"),
        );
    }
    Ok(())
}

fn interfaces(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let words = ctx.value_words(line)?;
    if words.is_empty() {
        ctx.report(
            Class::GeneralError,
            "Warning - empty garp_group interfaces block",
        );
        return Ok(());
    }
    let scratch = &mut ctx.scratch.vrrp;
    scratch.garp_aggregations = scratch.garp_aggregations.saturating_add(1);
    // The original always names the second entry of the list in this message; with one entry that would be no name at all.
    let shown = words.get(1).or(words.first()).map_or("", |w| &*w.text);
    for word in &words {
        if ctx.accept_interface(word) {
            put(ctx, word, shown);
        } else {
            ctx.report(
                Class::GeneralError,
                format!(
                    "WARNING - interface {} specified for garp_group doesn't exist",
                    word.text
                ),
            );
        }
    }
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let at = ctx.scratch.vrrp.garp_group;
    let empty = current(ctx).is_some_and(|g| g.garp_interval.is_none() && g.gna_interval.is_none());
    if empty {
        let number = ctx.scratch.vrrp.garp_aggregations;
        ctx.report(
            Class::GeneralError,
            format!("garp group {number} does not have any delay set - removing"),
        );
        ctx.model.vrrp.garp_groups.pop();
        for settings in ctx.model.vrrp.interfaces.values_mut() {
            if settings.garp_group == at {
                settings.garp_group = None;
            }
        }
    }
    Ok(())
}
