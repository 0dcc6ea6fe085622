//! `track_group NAME { group { … } }`

use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Guard, Line, kw};
use crate::keepalived::model::vrrp::TrackGroup;
use crate::span::Spanned;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[kw("group", group)],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.vrrp.track_group.is_some(),
        clear: |ctx| ctx.scratch.vrrp.track_group = None,
    }),
};

/// `track_group NAME`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if line.len() != 2 {
        ctx.report(
            Class::GeneralError,
            "track_group must have a name - skipping",
        );
        ctx.skip_block(true);
        return Ok(());
    }
    let name = line.word(ctx, 1)?;
    let known = |g: &TrackGroup| &**g.name == name;
    if ctx.model.vrrp.track_groups.iter().any(known) {
        ctx.report(
            Class::GeneralError,
            format!("track_group {name} already defined"),
        );
        ctx.skip_block(true);
        return Ok(());
    }
    ctx.scratch.vrrp.track_group = Some(TrackGroup {
        name: Spanned::new(name.into(), line.span_of(1)),
        members: None,
    });
    Ok(())
}

fn group(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(group) = &ctx.scratch.vrrp.track_group else {
        return Ok(());
    };
    let name = group.name.clone();
    if group.members.is_some() {
        // The original says "sync group" here too.
        ctx.report(
            Class::GeneralError,
            format!("Group list already specified for sync group {}", *name),
        );
        ctx.skip_block(true);
        return Ok(());
    }
    let words = ctx.value_words(line)?;
    if words.is_empty() {
        ctx.report(
            Class::GeneralError,
            format!("Warning - track group {} has empty group block", *name),
        );
    } else if let Some(group) = &mut ctx.scratch.vrrp.track_group {
        let names = words.into_iter().map(|w| Spanned::new(w.text, w.span));
        group.members = Some(names.collect());
    }
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    if let Some(group) = ctx.scratch.vrrp.track_group.take() {
        if group.members.is_some() {
            let known = &mut ctx.scratch.static_track_groups;
            known.insert(group.name.value.clone());
            ctx.model.vrrp.track_groups.push(group);
        } else {
            ctx.report(
                Class::GeneralError,
                format!(
                    "Static track group {} has no members - removing",
                    *group.name
                ),
            );
        }
    }
    Ok(())
}
