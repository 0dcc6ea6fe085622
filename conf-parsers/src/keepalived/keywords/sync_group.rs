//! `vrrp_sync_group NAME { … }`

use super::trackers::{self, Kind, Owner};
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Feature, Flow, Guard, Line, kw, kw_quoted};
use crate::keepalived::model::Script;
use crate::keepalived::model::vrrp::SyncGroup;
use crate::keepalived::number::check_true_false;
use crate::span::Spanned;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw("group", group),
        kw("track_interface", |c, l| {
            trackers::block(c, l, Owner::Group, Kind::Interface)
        }),
        kw("track_script", |c, l| {
            trackers::block(c, l, Owner::Group, Kind::Script)
        }),
        kw("track_file", |c, l| {
            trackers::block(c, l, Owner::Group, Kind::File)
        }),
        kw("track_process", |c, l| {
            trackers::block(c, l, Owner::Group, Kind::Process)
        })
        .only_with(Feature::TrackProcess),
        kw("track_bfd", |c, l| {
            trackers::block(c, l, Owner::Group, Kind::Bfd)
        })
        .only_with(Feature::Bfd),
        kw_quoted("notify_backup", |c, l| {
            notify(c, l, 0, |g| &mut g.notify.backup)
        }),
        kw_quoted("notify_master", |c, l| {
            notify(c, l, 0, |g| &mut g.notify.master)
        }),
        kw_quoted("notify_fault", |c, l| {
            notify(c, l, 0, |g| &mut g.notify.fault)
        }),
        kw_quoted("notify_stop", |c, l| {
            notify(c, l, 0, |g| &mut g.notify.stop)
        }),
        kw_quoted("notify", |c, l| notify(c, l, 4, |g| &mut g.notify.any)),
        kw("smtp_alert", smtp_alert),
        kw("global_tracking", global_tracking),
        kw("sync_group_tracking_weight", tracking_weight),
        kw("notify_priority_changes", notify_priority_changes),
    ],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.vrrp.sync_group.is_some(),
        clear: |ctx| ctx.scratch.vrrp.sync_group = None,
    }),
};

/// `vrrp_sync_group NAME`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if line.len() != 2 {
        ctx.report(
            Class::GeneralError,
            "vrrp_sync_group must have a name - skipping",
        );
        ctx.skip_block(true);
        return Ok(());
    }
    let name = line.word(ctx, 1)?;
    let known = |g: &SyncGroup| &**g.name == name;
    if ctx.model.vrrp.sync_groups.iter().any(known) {
        ctx.report(
            Class::GeneralError,
            format!("vrrp sync group {name} already defined"),
        );
        ctx.skip_block(true);
        return Ok(());
    }
    let name = Spanned::new(name.into(), line.span_of(1));
    ctx.scratch.vrrp.sync_group = Some(SyncGroup::new(name));
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut SyncGroup)) {
    if let Some(group) = &mut ctx.scratch.vrrp.sync_group {
        change(group);
    }
}

/// Reports a sentence made with the group's name.
fn complain(ctx: &mut Ctx<'_>, text: impl FnOnce(&str) -> String) {
    if let Some(group) = &ctx.scratch.vrrp.sync_group {
        let text = text(&group.name);
        ctx.report(Class::GeneralError, text);
    }
}

fn group(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let group = ctx.scratch.vrrp.sync_group.as_ref();
    if group.is_some_and(|g| g.members.is_some()) {
        complain(ctx, |name| {
            format!("Group list already specified for sync group {name}")
        });
        ctx.skip_block(true);
        return Ok(());
    }
    let words = ctx.value_words(line)?;
    if words.is_empty() {
        complain(ctx, |name| {
            format!("Warning - sync group {name} has empty group block")
        });
    } else {
        let names = words.into_iter().map(|w| Spanned::new(w.text, w.span));
        set(ctx, |g| g.members = Some(names.collect()));
    }
    Ok(())
}

fn notify(
    ctx: &mut Ctx<'_>,
    line: &Line,
    extra: usize,
    slot: fn(&mut SyncGroup) -> &mut Option<Script>,
) -> Flow {
    let group = ctx.scratch.vrrp.sync_group.as_mut();
    if group.is_some_and(|g| slot(g).is_some()) {
        let word = line.word(ctx, 1)?;
        let keyword = line.keyword();
        complain(ctx, |name| {
            format!("vrrp group {name}: {keyword} script already specified - ignoring {word}")
        });
        return Ok(());
    }
    let script = ctx.notify_script(line, extra, "notify");
    set(ctx, |g| {
        *slot(g) = script;
        g.notify_exec = true;
    });
    Ok(())
}

fn smtp_alert(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let value = line.get(1).map_or(Some(true), check_true_false);
    if value.is_none() {
        let word = line.get(1).unwrap_or("");
        ctx.report(
            Class::GeneralError,
            format!("Invalid vrrp_group smtp_alert parameter {word}"),
        );
    } else {
        set(ctx, |g| g.smtp_alert = value);
    }
    Ok(())
}

fn global_tracking(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    complain(ctx, |name| {
        format!(
            "({name}) global_tracking is deprecated. Use track_interface/script/file on the sync group"
        )
    });
    tracking_weight(ctx, line)
}

fn tracking_weight(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    set(ctx, |g| g.tracking_weight = true);
    Ok(())
}

fn notify_priority_changes(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let value = line.get(1).map_or(Some(true), check_true_false);
    if value.is_none() {
        let word = line.get(1).unwrap_or("");
        complain(ctx, |name| {
            format!(
                "({name}) Invalid value '{word}' for sync group notify_priority_changes specified"
            )
        });
    } else {
        set(ctx, |g| g.notify_priority_changes = value);
    }
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    if let Some(group) = ctx.scratch.vrrp.sync_group.take() {
        if group.members.is_some() {
            ctx.model.vrrp.sync_groups.push(group);
        } else {
            ctx.report(
                Class::GeneralError,
                format!("Sync group {} has no members - removing", *group.name),
            );
        }
    }
    Ok(())
}
