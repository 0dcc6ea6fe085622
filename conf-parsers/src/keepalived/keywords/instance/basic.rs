//! Identity, state, priority and timers of an instance.

use net_types::Family;

use super::{complain, get, set};
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::vrrp_instance::{Version, WantState};

/// Longest preempt_delay in seconds.
const PREEMPT_DELAY_MAX: u32 = 1000;

pub(super) fn native_ipv6(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    if get(ctx, |i| i.family) == Some(Some(Family::V4)) {
        complain(ctx, |n| {
            format!("({n}) Cannot specify native_ipv6 with IPv4 addresses")
        });
        return Ok(());
    }
    set(ctx, |i| {
        i.family = Some(Family::V6);
        i.version = Some(Version::V3);
    })
}

pub(super) fn state(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let wanted = match line.word(ctx, 1)? {
        "MASTER" => WantState::Master,
        "BACKUP" => {
            if get(ctx, |i| i.state) == Some(Some(WantState::Master)) {
                complain(ctx, |n| {
                    format!("({n}) state previously set as MASTER - ignoring BACKUP")
                });
                return Ok(());
            }
            WantState::Backup
        }
        word => {
            complain(ctx, |n| {
                format!("({n}) unknown state '{word}', defaulting to BACKUP")
            });
            WantState::Backup
        }
    };
    set(ctx, |i| i.state = Some(wanted))
}

pub(super) fn vrid(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 1, 255, false) {
        Some(vrid) => set(ctx, |i| i.vrid = u8::try_from(vrid).ok()),
        None => {
            complain(ctx, |n| {
                format!("({n}): VRID '{word}' not valid - must be between 1 & 255")
            });
            Ok(())
        }
    }
}

pub(super) fn version(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let version = match ctx.read_int(word, 2, 3, true) {
        Some(2) => Version::V2,
        Some(_) => Version::V3,
        None => {
            complain(ctx, |n| format!("({n}): Version must be either 2 or 3"));
            return Ok(());
        }
    };
    let known = get(ctx, |i| i.version).flatten();
    let family = get(ctx, |i| i.family).flatten();
    if known.is_some_and(|v| v != version) || (version == Version::V2 && family == Some(Family::V6))
    {
        let deduced = known.map_or(0, Version::number);
        complain(ctx, |n| {
            format!(
                "({n}) vrrp_version {} conflicts with configured or deduced version {deduced}; ignoring.",
                version.number()
            )
        });
        return Ok(());
    }
    set(ctx, |i| i.version = Some(version))
}

pub(super) fn priority(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let priority = ctx.read_unsigned(word, 1, 255, false);
    if priority.is_none() {
        complain(ctx, |n| {
            format!("({n}) Priority not valid! must be between 1 & 255. Using default 100")
        });
    }
    let priority = priority.and_then(|p| u8::try_from(p).ok()).unwrap_or(100);
    set(ctx, |i| i.priority = Some(priority))
}

pub(super) fn advert_int(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let interval = ctx.read_decimal(word, 10_000, 255_000_000, 6, true);
    match interval.and_then(|v| u32::try_from(v).ok()) {
        Some(interval) if interval > 0 => set(ctx, |i| i.advert_int = Some(interval)),
        _ => {
            complain(ctx, |n| {
                format!("({n}) Advert interval ({word}) not valid! Must be > 0 - ignoring")
            });
            Ok(())
        }
    }
}

pub(super) fn debug(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, 4, true) {
        Some(level) => set(ctx, |i| i.debug = u8::try_from(level).unwrap_or(0)),
        None => {
            complain(ctx, |n| {
                format!("({n}) Debug value '{word}' not valid; must be between 0-4")
            });
            Ok(())
        }
    }
}

pub(super) fn preempt_delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let max = u64::from(PREEMPT_DELAY_MAX) * 1_000_000;
    let delay = ctx.read_decimal(word, 0, max, 6, true);
    if delay.is_none() {
        complain(ctx, |n| {
            format!("({n}) Preempt_delay not valid! must be between 0-{PREEMPT_DELAY_MAX}")
        });
    }
    let delay = delay.and_then(|d| u32::try_from(d).ok()).unwrap_or(0);
    set(ctx, |i| i.preempt_delay = delay)
}

pub(super) fn down_timer_adverts(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 1, 100, true) {
        Some(n) => set(ctx, |i| i.down_timer_adverts = u8::try_from(n).unwrap_or(3)),
        None => {
            complain(ctx, |n| {
                format!("({n}): Invalid down_timer_adverts [1:100] '{word}'")
            });
            Ok(())
        }
    }
}

pub(super) fn timer_expired_backup(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    // Without a number the others are taken to be as fast as possible.
    let mut other = 254;
    if let Some(word) = line.get(1) {
        let Some(priority) = ctx.read_unsigned(word, 1, 254, false) else {
            complain(ctx, |n| {
                format!(
                    "({n}) timer_expired_backup highest_other_priority not valid! must be between 1 & 254"
                )
            });
            return Ok(());
        };
        other = priority;
    }
    set(ctx, |i| i.highest_other_priority = u8::try_from(other).ok())
}

pub(super) fn thread_timer_expired(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    complain(ctx, |n| {
        format!("({n}) thread_timer_expired - please replace with keyword 'timer_expired_backup'")
    });
    timer_expired_backup(ctx, line)
}
