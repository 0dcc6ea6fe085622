//! `FILE_CHECK`

use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Guard, Line, kw};
use crate::keepalived::model::lvs::{FileCheck, WEIGHT_MAX};
use crate::span::Spanned;

/// A check being read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    file: Option<Spanned<Box<str>>>,
    /// Weight and `reverse`.
    weight: Option<(i32, bool)>,
}

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[kw("track_file", track_file), kw("weight", weight)],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.lvs.file_check.is_some(),
        clear: |ctx| ctx.scratch.lvs.file_check = None,
    }),
};

/// `FILE_CHECK`
pub(super) fn begin(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    ctx.scratch.lvs.file_check = Some(Draft::default());
    Ok(())
}

/// Weight and `reverse` of a `track_file` block; none if there is no such block.
fn file_weight(ctx: &Ctx<'_>, name: &str) -> Option<(i32, bool)> {
    let files = &ctx.model.vrrp.track_files;
    let file = files.iter().find(|f| *f.name.value == *name)?;
    Some((i32::from(file.weight), file.reverse))
}

fn track_file(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = line.word(ctx, 1)?;
    if file_weight(ctx, name).is_none() {
        ctx.report(Class::GeneralError, format!("track_file {name} not found"));
        return Ok(());
    }
    if let Some(draft) = &mut ctx.scratch.lvs.file_check {
        draft.file = Some(Spanned::new(name.into(), line.span_of(1)));
    }
    Ok(())
}

fn weight(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(word) = line.get(1) else {
        ctx.report(Class::GeneralError, "track file weight missing");
        return Ok(());
    };
    let max = i32::try_from(WEIGHT_MAX).unwrap_or(i32::MAX);
    let Some(weight) = ctx.read_int(word, -max, max, true) else {
        ctx.report(
            Class::GeneralError,
            format!("weight for track file must be in [-{max}..{max}] inclusive. Ignoring..."),
        );
        return Ok(());
    };
    let reverse = match line.get(2) {
        None | Some("noreverse") => false,
        Some("reverse") => true,
        Some(other) => {
            ctx.report(
                Class::GeneralError,
                format!("unknown track file weight option {other} - ignoring"),
            );
            return Ok(());
        }
    };
    if let Some(draft) = &mut ctx.scratch.lvs.file_check {
        draft.weight = Some((weight, reverse));
    }
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let Some(draft) = ctx.scratch.lvs.file_check.take() else {
        return Ok(());
    };
    let Some(file) = draft.file else {
        ctx.report(
            Class::GeneralError,
            "FILE_CHECK has no track_file specified - ignoring",
        );
        return Ok(());
    };
    let own = draft.weight.or_else(|| file_weight(ctx, &file));
    let (weight, reverse) = own.unwrap_or((1, false));
    if let Some(rs) = &mut ctx.scratch.lvs.real_server {
        rs.track_files.push(FileCheck {
            file,
            weight,
            reverse,
        });
    }
    Ok(())
}
