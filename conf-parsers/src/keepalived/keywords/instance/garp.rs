//! Gratuitous ARP and NA of an instance.

use super::{complain, set};
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Exit, Flow, Line};

/// Longest delay in seconds (what fits in 32 bits as microseconds).
const DELAY_MAX: u32 = u32::MAX / 1_000_000;

/// Seconds as microseconds.
fn seconds(ctx: &mut Ctx<'_>, line: &Line) -> Result<Option<u32>, Exit> {
    let word = line.word(ctx, 1)?;
    let delay = ctx.read_unsigned(word, 0, DELAY_MAX, true);
    if delay.is_none() {
        let keyword = line.keyword();
        complain(ctx, |n| {
            format!("({n}): {keyword} '{word}' invalid - ignoring")
        });
    }
    Ok(delay.map(|d| d.saturating_mul(1_000_000)))
}

pub(super) fn delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match seconds(ctx, line)? {
        Some(delay) => set(ctx, |i| i.garp_delay = delay),
        None => Ok(()),
    }
}

pub(super) fn refresh(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let refresh = ctx.read_unsigned(word, 0, u32::MAX, true);
    if refresh.is_none() {
        complain(ctx, |n| {
            format!("({n}): Invalid garp_master_refresh '{word}' - ignoring")
        });
    }
    set(ctx, |i| i.garp_refresh = refresh.unwrap_or(0))
}

/// A number of packets, at least 1.
fn count(ctx: &mut Ctx<'_>, line: &Line) -> Result<Option<u32>, Exit> {
    let word = line.word(ctx, 1)?;
    let keyword = line.keyword();
    let count = ctx.read_unsigned(word, 0, u32::MAX, true);
    match count {
        None => complain(ctx, |n| {
            format!("({n}): {keyword} '{word}' invalid - ignoring")
        }),
        Some(0) => complain(ctx, |n| {
            format!("({n}): {keyword} must be greater than 0, setting to 1")
        }),
        Some(_) => {}
    }
    Ok(count.map(|c| c.max(1)))
}

pub(super) fn repeat(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match count(ctx, line)? {
        Some(count) => set(ctx, |i| i.garp_repeat = count),
        None => Ok(()),
    }
}

pub(super) fn refresh_repeat(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match count(ctx, line)? {
        Some(count) => set(ctx, |i| i.garp_refresh_repeat = count),
        None => Ok(()),
    }
}

pub(super) fn lower_prio_delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match seconds(ctx, line)? {
        Some(delay) => set(ctx, |i| i.garp_lower_prio_delay = Some(delay)),
        None => Ok(()),
    }
}

pub(super) fn lower_prio_repeat(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, 0x7fff_ffff, true) {
        Some(count) => set(ctx, |i| i.garp_lower_prio_repeat = Some(count)),
        None => {
            complain(ctx, |n| {
                format!("({n}): Invalid garp_lower_prio_repeat '{word}'")
            });
            Ok(())
        }
    }
}

pub(super) fn extra_if(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let keyword = line.keyword();
    let mut delay = None;
    for word in line.words.get(1..).unwrap_or(&[]) {
        if &**word == "all" {
            set(ctx, |i| i.garp_extra_all = true)?;
            continue;
        }
        delay = ctx.read_unsigned(word, 0, 86_400, true);
        if delay.is_none() {
            complain(ctx, |n| {
                format!("({n}): {keyword} '{}' invalid - ignoring", word.text)
            });
            return Ok(());
        }
    }
    if delay.is_none() {
        complain(ctx, |n| {
            format!("({n}): {keyword} specified without time - ignoring")
        });
        return Ok(());
    }
    set(ctx, |i| i.garp_extra_if = delay)
}

pub(super) fn vmac_garp_intvl(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.report(
        Class::Deprecated,
        "Keyword \"vmac_garp_intvl\" is deprecated - please use \"garp_extra_if\"",
    );
    extra_if(ctx, line)
}
