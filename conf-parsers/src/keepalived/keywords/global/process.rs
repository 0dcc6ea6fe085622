//! Process names, priorities, limits, umask.

use super::Field;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::global::{ProcessOptions, RT_PRIORITY};
use crate::keepalived::number::scan;

/// Longest process name the kernel keeps.
const MAX_NAME: usize = 15;

fn limited(ctx: &mut Ctx<'_>, name: &str) -> String {
    if name.len() <= MAX_NAME {
        return name.to_owned();
    }
    ctx.report(
        Class::GeneralError,
        format!("Process name {name} more than {MAX_NAME} characters, truncating"),
    );
    let end = (0..=MAX_NAME)
        .rev()
        .find(|i| name.is_char_boundary(*i))
        .unwrap_or(0);
    name.get(..end).unwrap_or("").to_owned()
}

pub(super) fn names(ctx: &mut Ctx<'_>, _: &Line) -> Flow {
    let g = &mut ctx.model.global;
    g.vrrp.name = Some("keepalived_vrrp".to_owned());
    g.checker.name = Some("keepalived_lvs".to_owned());
    g.bfd.name = Some("keepalived_bfd".to_owned());
    Ok(())
}

pub(super) fn name(ctx: &mut Ctx<'_>, line: &Line, field: Field<Option<String>>) -> Flow {
    let name = line.word(ctx, 1)?;
    let name = limited(ctx, name);
    *field(&mut ctx.model.global) = Some(name);
    Ok(())
}

pub(super) fn max_auto_priority(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let max = *RT_PRIORITY.end();
    let Some(word) = line.get(1) else {
        ctx.model.global.max_auto_priority = max;
        return Ok(());
    };
    match ctx.read_int(word, -1, max, true) {
        Some(priority) => ctx.model.global.max_auto_priority = priority,
        None => ctx.report(
            Class::GeneralError,
            format!(
                "max_auto_priority '{word}' must be in [0, {max}] (or -1 to disable) - ignoring"
            ),
        ),
    }
    Ok(())
}

pub(super) fn min_auto_priority_delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(word) = line.get(1) else {
        ctx.report(
            Class::GeneralError,
            "min_auto_priority_delay requires delay time",
        );
        return Ok(());
    };
    match ctx.read_unsigned(word, 1, 10_000_000, true) {
        Some(delay) => ctx.model.global.min_auto_priority_delay = delay,
        None => ctx.report(
            Class::GeneralError,
            format!("min_auto_priority_delay '{word}' must be in [1, 10000000] - ignoring"),
        ),
    }
    Ok(())
}

pub(super) fn nice(
    ctx: &mut Ctx<'_>,
    line: &Line,
    process: &str,
    field: Field<ProcessOptions>,
) -> Flow {
    let value = match line.get(1) {
        None => {
            ctx.report(
                Class::GeneralError,
                format!("No {process} process priority specified"),
            );
            None
        }
        Some(word) => {
            let value = ctx.read_int(word, -20, 19, true);
            if value.is_none() {
                ctx.report(
                    Class::GeneralError,
                    format!("Invalid {process} process priority specified"),
                );
            }
            value
        }
    };
    field(&mut ctx.model.global).nice = value.and_then(|v| i8::try_from(v).ok()).unwrap_or(0);
    Ok(())
}

pub(super) fn no_swap(ctx: &mut Ctx<'_>, field: Field<ProcessOptions>) -> Flow {
    field(&mut ctx.model.global).no_swap = true;
    Ok(())
}

pub(super) fn realtime_priority(
    ctx: &mut Ctx<'_>,
    line: &Line,
    process: &str,
    field: Field<ProcessOptions>,
) -> Flow {
    let Some(word) = line.get(1) else {
        ctx.report(
            Class::GeneralError,
            format!("No {process} process real-time priority specified"),
        );
        return Ok(());
    };
    let Some(value) = ctx.read_int(word, i32::MIN, i32::MAX, true) else {
        ctx.report(
            Class::GeneralError,
            format!("{process} process real-time priority '{word}' invalid"),
        );
        return Ok(());
    };
    let (min, max) = RT_PRIORITY.into_inner();
    if value < min {
        let text = format!(
            "{process} process real-time priority {value} less than minimum {min} - setting to minimum"
        );
        ctx.report(Class::GeneralError, text);
    } else if value > max {
        let text = format!(
            "{process} process real-time priority {value} greater than maximum {max} - setting to maximum"
        );
        ctx.report(Class::GeneralError, text);
    }
    field(&mut ctx.model.global).realtime_priority = value.clamp(min, max).unsigned_abs();
    Ok(())
}

pub(super) fn cpus(
    ctx: &mut Ctx<'_>,
    line: &Line,
    process: &str,
    field: Field<ProcessOptions>,
) -> Flow {
    if line.len() < 2 {
        ctx.report(
            Class::GeneralError,
            format!("No {process} cpu_id set specified"),
        );
        return Ok(());
    }
    field(&mut ctx.model.global).cpus.clear();
    let last = i32::try_from(ctx.host.cpu_count())
        .unwrap_or(i32::MAX)
        .saturating_sub(1);
    for word in line.words.iter().skip(1) {
        let Some(cpu) = ctx.read_int(word, 0, last, true) else {
            let number = scan(word, 10).signed().0;
            ctx.report(
                Class::GeneralError,
                format!("Invalid cpu_id:{number} specified for {process} process"),
            );
            field(&mut ctx.model.global).cpus.clear();
            return Ok(());
        };
        field(&mut ctx.model.global).cpus.insert(cpu.unsigned_abs());
    }
    Ok(())
}

pub(super) fn realtime_limit(
    ctx: &mut Ctx<'_>,
    line: &Line,
    process: &str,
    field: Field<ProcessOptions>,
) -> Flow {
    let keyword = line.keyword();
    if let Some(stem) = keyword.strip_suffix("_rtime") {
        ctx.log(format!(
            "Keyword '{keyword}' is deprecated - please use '{stem}_rttime'"
        ));
    }
    let word = line.word(ctx, 1)?;
    let value = ctx.read_unsigned(word, 1, u32::MAX, true);
    if value.is_none() {
        ctx.report(
            Class::GeneralError,
            format!("Invalid {process} real-time limit - {word}"),
        );
    }
    // The soft limit is half of it and must not be 0.
    field(&mut ctx.model.global).realtime_limit = value.map_or(0, |v| v.max(2));
    Ok(())
}

/// Names of mode bits, as in `<sys/stat.h>` without `S_`.
const MODE_BITS: &[(&str, u32)] = &[
    ("IRUSR", 0o400),
    ("IWUSR", 0o200),
    ("IXUSR", 0o100),
    ("IRWXU", 0o700),
    ("IRGRP", 0o040),
    ("IWGRP", 0o020),
    ("IXGRP", 0o010),
    ("IRWXG", 0o070),
    ("IROTH", 0o004),
    ("IWOTH", 0o002),
    ("IXOTH", 0o001),
    ("IRWXO", 0o007),
];

pub(super) fn umask(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let mask = line.word(ctx, 1)?;
    if ctx.options.umask_from_command_line {
        ctx.log("umask command line option specified, ignoring config option");
        return Ok(());
    }
    let bits = if mask.starts_with(|c: char| c.is_ascii_digit()) {
        if line.len() != 2 {
            ctx.report(Class::GeneralError, "Extra parameter(s) to umask option");
            return Ok(());
        }
        let number = scan(mask, 0);
        if number.has_rest() || number.magnitude & !0o777 != 0 {
            ctx.report(Class::GeneralError, format!("invalid umask value {mask}"));
            return Ok(());
        }
        u32::try_from(number.magnitude).unwrap_or(0)
    } else {
        match symbolic_umask(line) {
            Ok(bits) => bits,
            Err(text) => {
                ctx.report(Class::GeneralError, text);
                return Ok(());
            }
        }
    };
    ctx.model.global.umask = Some(bits);
    Ok(())
}

/// `IRUSR|IWUSR | IXUSR`.
fn symbolic_umask(line: &Line) -> Result<u32, String> {
    let mut bits = 0;
    let mut need_or = false;
    for word in line.words.iter().skip(1) {
        let mut rest: &str = word;
        while !rest.is_empty() {
            if need_or {
                rest = rest
                    .strip_prefix('|')
                    .ok_or_else(|| format!("Invalid umask syntax {}", &**word))?;
                need_or = false;
                continue;
            }
            let known = MODE_BITS
                .iter()
                .find_map(|(name, bit)| rest.strip_prefix(name).map(|r| (r, bit)));
            let (after, bit) = known.ok_or_else(|| format!("Unknown umask bit {rest}"))?;
            bits |= bit;
            rest = after;
            need_or = true;
        }
    }
    if need_or {
        Ok(bits)
    } else {
        Err("umask missing bit value".to_owned())
    }
}
