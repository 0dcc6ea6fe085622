//! `track_file NAME { … }` and its old name `vrrp_track_file`.

use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Guard, Line, kw};
use crate::keepalived::model::vrrp::{TrackFile, TrackFileInit};
use crate::source::FileKind;
use crate::span::Spanned;

const ENOENT: crate::source::Errno = 2;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw("file", file),
        kw("weight", weight),
        kw("init_file", init),
    ],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.vrrp.track_file.is_some(),
        clear: |ctx| ctx.scratch.vrrp.track_file = None,
    }),
};

/// `track_file NAME`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = line.word(ctx, 1)?;
    ctx.scratch.vrrp.track_file = Some(TrackFile {
        name: Spanned::new(name.into(), line.span_of(1)),
        path: None,
        weight: 1,
        reverse: false,
        init: None,
    });
    Ok(())
}

/// `vrrp_track_file NAME`
pub(super) fn begin_old(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.log("\"vrrp_track_file\" is deprecated, please use \"track_file\"");
    begin(ctx, line)
}

fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut TrackFile)) {
    if let Some(file) = &mut ctx.scratch.vrrp.track_file {
        change(file);
    }
}

fn name(ctx: &Ctx<'_>) -> String {
    let file = ctx.scratch.vrrp.track_file.as_ref();
    file.map_or_else(String::new, |f| f.name.to_string())
}

fn file(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(word) = line.get(1) else {
        ctx.report(Class::GeneralError, "track file file name missing");
        return Ok(());
    };
    let set_before = ctx.scratch.vrrp.track_file.as_ref();
    if set_before.is_some_and(|f| f.path.is_some()) {
        let text = format!(
            "File already set for track file {} - ignoring {word}",
            name(ctx)
        );
        ctx.report(Class::GeneralError, text);
        return Ok(());
    }
    let path = Spanned::new(word.into(), line.span_of(1));
    set(ctx, |f| f.path = Some(path));
    Ok(())
}

fn weight(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = name(ctx);
    let Some(word) = line.get(1) else {
        ctx.report(
            Class::GeneralError,
            format!("No weight specified for track file {name} - ignoring"),
        );
        return Ok(());
    };
    let current = ctx.scratch.vrrp.track_file.as_ref();
    if current.is_some_and(|f| f.weight != 1) {
        ctx.report(
            Class::GeneralError,
            format!("Weight already set for track file {name} - ignoring {word}"),
        );
        return Ok(());
    }
    let weight = ctx.read_int(word, -254, 254, true);
    if weight.is_none() {
        ctx.report(
            Class::GeneralError,
            format!(
                "Weight ({word}) for track_file {name} must be between [-254..254] inclusive. Ignoring..."
            ),
        );
    }
    let weight = weight.and_then(|w| i16::try_from(w).ok()).unwrap_or(1);
    set(ctx, |f| f.weight = weight);
    match line.get(2) {
        None => {}
        Some("reverse") => set(ctx, |f| f.reverse = true),
        Some(word) => ctx.report(
            Class::GeneralError,
            format!("track_file {name} unknown weight option {word}"),
        ),
    }
    Ok(())
}

fn init(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = name(ctx);
    let mut init = TrackFileInit::default();
    for word in line.words.get(1..).unwrap_or(&[]) {
        let word = word.trim_start_matches(crate::keepalived::number::WHITE_SPACE);
        if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let value = ctx.read_int(word, i32::MIN, i32::MAX, false);
            match value {
                None => ctx.report(
                    Class::GeneralError,
                    format!("Track file {name} init value {word} is invalid"),
                ),
                Some(value) if !(-254..=254).contains(&value) => ctx.report(
                    Class::GeneralError,
                    format!(
                        "Track file {name} init value {value} is outside sensible range [-254, 254]"
                    ),
                ),
                Some(_) => {}
            }
            init.value = value.unwrap_or(0);
        } else if word == "overwrite" {
            init.overwrite = true;
        } else {
            ctx.report(
                Class::GeneralError,
                format!("Unknown track file init option {word}"),
            );
        }
    }
    set(ctx, |f| f.init = Some(init));
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let Some(file) = ctx.scratch.vrrp.track_file.take() else {
        return Ok(());
    };
    let name = &file.name.value;
    let Some(path) = file.path.as_deref() else {
        let text = format!("No file set for track_file {name} - ignoring");
        ctx.report(Class::GeneralError, text);
        return Ok(());
    };
    // The directory must exist. Text before the last slash, so a file directly below the root has an empty directory, which
    // does not resolve: the original refuses /FILE.
    let dir = path.rsplit_once('/').map_or(".", |(dir, _)| dir);
    let resolved = if dir.is_empty() {
        Err(ENOENT)
    } else {
        ctx.host.canonical(dir)
    };
    if let Err(errno) = resolved {
        let why = match errno {
            ENOENT => "No such file or directory",
            13 => "Permission denied",
            20 => "Not a directory",
            36 => "File name too long",
            40 => "Too many levels of symbolic links",
            _ => "Unknown error",
        };
        let text = format!("realpath() error {errno} ({why}) for {name}");
        ctx.report(Class::GeneralError, text);
        return Ok(());
    }
    if ctx.host.is_unwatchable(dir) {
        let text =
            format!("The filesystem of {path} is read only or cannot be monitored - ignoring");
        ctx.report(Class::GeneralError, text);
        return Ok(());
    }
    if file.init.is_some_and(|i| i.overwrite) {
        let kind = ctx.host.stat(path).map(|f| f.kind);
        if kind.is_ok_and(|k| k != FileKind::Regular) {
            let text = format!("Cannot initialise track file {name} - it is not a regular file");
            ctx.report(Class::GeneralError, text);
            return Ok(());
        }
    }
    ctx.model.vrrp.track_files.push(file);
    Ok(())
}
