//! Reload, configuration copies, dump files, iproute2 directories.

use super::Field;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line, Part};
use crate::source::FileKind;

pub(super) fn random_seed(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, u32::MAX, false) {
        None => ctx.report(Class::GeneralError, format!("random_seed {word} invalid")),
        seed => ctx.model.global.random_seed = seed,
    }
    Ok(())
}

pub(super) fn reload_check_config(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.model.global.reload_check_config = Some(line.get(1).unwrap_or("/dev/null").to_owned());
    Ok(())
}

pub(super) fn reload_time_file(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match line.get(1) {
        Some(path) if line.len() == 2 => ctx.model.global.reload_time_file = Some(path.to_owned()),
        _ => ctx.report(Class::GeneralError, "reload_time_file invalid"),
    }
    Ok(())
}

pub(super) fn reload_file(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.model.global.reload_file = Some(line.get(1).map(str::to_owned));
    Ok(())
}

/// The reader obeys the line while reading; here only its mistakes are reported.
pub(super) fn include_check(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    for (index, word) in line.words.iter().enumerate().skip(1) {
        let name = match word.strip_prefix(['+', '-']) {
            Some(name) => name,
            None if index > 1 => {
                let text = format!("Duplicate include_check '{}' specified - ignoring", &**word);
                ctx.report(Class::GeneralError, text);
                continue;
            }
            None => word,
        };
        if !matches!(name, "read" | "match" | "wildcard_match" | "brace_match") {
            ctx.report(
                Class::GeneralError,
                format!("Unknown include_check type '{name}' - ignoring"),
            );
        }
    }
    Ok(())
}

/// The daemon makes the directory if it is missing; only what cannot work is reported.
pub(super) fn config_save_dir(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let dir = line.word(ctx, 1)?;
    let facts = ctx.host.stat(dir);
    let text = match facts {
        Ok(f) if f.kind == FileKind::Directory => None,
        Ok(_) if ctx.part == Part::Parent => Some(format!(
            "config_save_dir {dir} exists and is not a directory"
        )),
        Ok(_) => Some(format!("config_save_dir {dir} is not a directory")),
        Err(_) if ctx.part != Part::Parent => Some(format!("Unable to find config_save_dir {dir}")),
        Err(_) => {
            let parent = dir
                .trim_end_matches('/')
                .rsplit_once('/')
                .map_or(".", |(p, _)| if p.is_empty() { "/" } else { p });
            match ctx.host.stat(parent) {
                Ok(_) => None,
                Err(errno) => Some(format!(
                    "Unable to create config_save_dir {dir} (error {errno} - No such file or directory)"
                )),
            }
        }
    };
    match text {
        Some(text) => ctx.report(Class::GeneralError, text),
        None => {
            ctx.model.global.config_save_dir = Some(dir.strip_suffix('/').unwrap_or(dir).to_owned())
        }
    }
    Ok(())
}

pub(super) fn tmp_config_directory(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let keyword = line.keyword();
    match line.get(1) {
        _ if ctx.model.global.tmp_config_directory.is_some() => {
            ctx.report(
                Class::GeneralError,
                format!("{keyword} already specified - ignoring"),
            );
        }
        Some(dir) => ctx.model.global.tmp_config_directory = Some(dir.to_owned()),
        None => ctx.report(
            Class::GeneralError,
            format!("{keyword} missing directory name"),
        ),
    }
    Ok(())
}

pub(super) fn json_version(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(word) = line.get(1) else {
        ctx.report(
            Class::GeneralError,
            format!("{} requires version", line.keyword()),
        );
        return Ok(());
    };
    match ctx.read_unsigned(word, 1, 2, true) {
        Some(version) => ctx.model.global.json_version = version,
        None => ctx.report(Class::GeneralError, "Invalid JSON version"),
    }
    Ok(())
}

pub(super) fn iproute_dir(ctx: &mut Ctx<'_>, line: &Line, field: Field<Option<String>>) -> Flow {
    match line.get(1) {
        Some(dir) if line.len() == 2 => {
            *field(&mut ctx.model.global) = Some(dir.to_owned());
            let dirs = &ctx.model.global;
            ctx.host.set_iproute_dirs(
                dirs.iproute_etc_dir.as_deref(),
                dirs.iproute_usr_dir.as_deref(),
            );
        }
        _ => ctx.report(
            Class::GeneralError,
            format!("{} requires path", line.keyword()),
        ),
    }
    Ok(())
}

pub(super) fn dump_file(ctx: &mut Ctx<'_>, line: &Line, field: Field<Option<String>>) -> Flow {
    match line.get(1) {
        Some(path) if line.len() == 2 && !path.is_empty() => {
            *field(&mut ctx.model.global) = Some(path.to_owned())
        }
        _ => ctx.report(
            Class::GeneralError,
            format!("{} requires a non-empty path", line.keyword()),
        ),
    }
    Ok(())
}
