//! `vrrp_track_process NAME { … }`

use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Guard, Line, kw};
use crate::keepalived::model::vrrp::{ParamMatch, TrackProcess};
use crate::span::Spanned;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw("process", process),
        kw("param_match", param_match),
        kw("weight", weight),
        kw("quorum", quorum),
        kw("quorum_max", quorum_max),
        kw("delay", delay),
        kw("terminate_delay", terminate_delay),
        kw("fork_delay", fork_delay),
        kw("full_command", full_command),
    ],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.vrrp.process.is_some(),
        clear: |ctx| ctx.scratch.vrrp.process = None,
    }),
};

/// `vrrp_track_process NAME`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = line.word(ctx, 1)?;
    let name = Spanned::new(name.into(), line.span_of(1));
    ctx.scratch.vrrp.process = Some(TrackProcess::new(name));
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut TrackProcess)) {
    if let Some(process) = &mut ctx.scratch.vrrp.process {
        change(process);
    }
}

/// Reports a sentence made with the process under construction.
fn complain(ctx: &mut Ctx<'_>, text: impl FnOnce(&TrackProcess) -> String) {
    if let Some(process) = &ctx.scratch.vrrp.process {
        let text = text(process);
        ctx.report(Class::GeneralError, text);
    }
}

fn has(ctx: &Ctx<'_>, test: impl FnOnce(&TrackProcess) -> bool) -> bool {
    ctx.scratch.vrrp.process.as_ref().is_some_and(test)
}

fn process(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    if has(ctx, |p| p.path.is_some()) {
        complain(ctx, |p| {
            format!(
                "Process already set for track process {} - ignoring {word}",
                *p.name
            )
        });
        return Ok(());
    }
    let span = line.span_of(1);
    let params = line.words.get(2..).unwrap_or(&[]);
    set(ctx, |p| {
        p.path = Some(Spanned::new(word.into(), span));
        if !params.is_empty() {
            p.params = params.iter().map(|w| w.text.clone()).collect();
            if p.param_match == ParamMatch::None {
                p.param_match = ParamMatch::Exact;
            }
            p.full_command = true;
        }
    });
    Ok(())
}

fn param_match(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let kind = match line.get(1) {
        None => ParamMatch::Exact,
        Some("initial") => ParamMatch::Initial,
        Some("partial") => ParamMatch::Partial,
        Some(word) => {
            let text = format!("Invalid param_match type {word} - ignoring");
            ctx.report(Class::GeneralError, text);
            return Ok(());
        }
    };
    set(ctx, |p| {
        p.param_match = kind;
        p.full_command = true;
    });
    Ok(())
}

fn weight(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(word) = line.get(1) else {
        complain(ctx, |p| {
            format!(
                "No weight specified for track process {} - ignoring",
                *p.name
            )
        });
        return Ok(());
    };
    if has(ctx, |p| p.weight != 0) {
        complain(ctx, |p| {
            format!(
                "Weight already set for track process {} - ignoring {word}",
                *p.name
            )
        });
        return Ok(());
    }
    let weight = ctx.read_int(word, -254, 254, true);
    let Some(weight) = weight.and_then(|w| i16::try_from(w).ok()) else {
        complain(ctx, |p| {
            format!(
                "Weight ({word}) for vrrp_track_process {} must be between [-254..254] inclusive. Ignoring...",
                *p.name
            )
        });
        return Ok(());
    };
    match line.get(2) {
        None => {}
        Some("reverse") => set(ctx, |p| p.reverse = true),
        Some(word) => complain(ctx, |p| {
            format!(
                "vrrp_track_process {} unknown weight option {word}",
                *p.name
            )
        }),
    }
    set(ctx, |p| p.weight = weight);
    Ok(())
}

fn quorum(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(quorum) = ctx.read_unsigned(word, 1, 65_535, true) else {
        complain(ctx, |p| {
            format!(
                "Quorum ({word}) for vrrp_track_process {} must be between [1..65535] inclusive. Ignoring...",
                *p.name
            )
        });
        return Ok(());
    };
    if has(ctx, |p| quorum > p.quorum_max) {
        ctx.report(
            Class::GeneralError,
            "Quorum is greater than quorum_max - ignoring",
        );
        return Ok(());
    }
    set(ctx, |p| p.quorum = quorum);
    Ok(())
}

fn quorum_max(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(max) = ctx.read_unsigned(word, 0, 65_535, true) else {
        complain(ctx, |p| {
            format!(
                "quorum_max ({word}) for vrrp_track_process {} must be between [0..65535] inclusive. Ignoring...",
                *p.name
            )
        });
        return Ok(());
    };
    // 0 is allowed while no quorum was given.
    if has(ctx, |p| (max != 0 || p.quorum > 1) && max < p.quorum) {
        ctx.report(
            Class::GeneralError,
            "quorum_max is less than quorum - ignoring",
        );
        return Ok(());
    }
    set(ctx, |p| {
        p.quorum_max = max;
        if max == 0 {
            p.quorum = 0;
        } else if p.quorum == 0 {
            p.quorum = 1;
        }
    });
    Ok(())
}

/// Microseconds of a delay keyword.
fn micros(ctx: &mut Ctx<'_>, line: &Line) -> Result<Option<u32>, crate::keepalived::Exit> {
    let word = line.word(ctx, 1)?;
    let value = ctx.read_decimal(word, 1, 3_600_000_000, 6, true);
    let value = value.and_then(|v| u32::try_from(v).ok());
    if value.is_none() {
        let keyword = line.keyword();
        complain(ctx, |p| {
            format!(
                "{keyword} ({word}) for vrrp_track_process {} must be between [0.000001..3600] inclusive. Ignoring...",
                *p.name
            )
        });
    }
    Ok(value)
}

fn delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(delay) = micros(ctx, line)? {
        set(ctx, |p| {
            p.terminate_delay = delay;
            p.fork_delay = delay;
        });
    }
    Ok(())
}

fn terminate_delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(delay) = micros(ctx, line)? {
        set(ctx, |p| p.terminate_delay = delay);
    }
    Ok(())
}

fn fork_delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(delay) = micros(ctx, line)? {
        set(ctx, |p| p.fork_delay = delay);
    }
    Ok(())
}

fn full_command(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    set(ctx, |p| p.full_command = true);
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    if let Some(process) = ctx.scratch.vrrp.process.take() {
        if process.path.is_some() {
            ctx.model.vrrp.track_processes.push(process);
        } else {
            let text = format!(
                "track process '{}' process name not specified",
                *process.name
            );
            ctx.report(Class::GeneralError, text);
        }
    }
    Ok(())
}
