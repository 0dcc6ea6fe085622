//! `bfd_instance` blocks. The BFD process reads the session, the VRRP process its weight, the checker process its name; what
//! is not its own a process passes over without a look at the values.

use std::net::IpAddr;

use net_types::Family;

use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Guard, Line, Part, kw};
use crate::keepalived::model::bfd::{BfdInstance, NAME_MAX, TrackedBfd};
use crate::keepalived::number::check_true_false;
use crate::keepalived::sockaddr::Shown;
use crate::span::Spanned;

/// Largest interval in milliseconds.
const INTERVAL_MAX: u32 = u32::MAX / 1000;
/// Intervals above this are remarked upon, in milliseconds.
const INTERVAL_SENSIBLE: u32 = 10_000;
/// Shortest `idle_tx` in milliseconds.
const IDLE_MIN: u32 = 1000;

/// A block being read.
#[derive(Debug, Default)]
pub struct BfdScratch {
    draft: Option<Draft>,
    /// `vrrp` was written.
    for_vrrp: bool,
    /// `checker` was written.
    for_checker: bool,
}

#[derive(Debug)]
enum Draft {
    Session(Box<BfdInstance>),
    Tracked(TrackedBfd),
    Name(Spanned<Box<str>>),
}

/// Inside of the block.
pub static BLOCK: Block = Block {
    keywords: &[
        kw("source_ip", source_ip),
        kw("neighbor_ip", neighbor_ip),
        kw("neighbour_ip", neighbor_ip),
        kw("min_rx", min_rx),
        kw("min_tx", min_tx),
        kw("idle_tx", idle_tx),
        kw("multiplier", multiplier),
        kw("passive", |ctx, _| {
            set(ctx, |bfd| bfd.passive = true);
            Ok(())
        }),
        kw("ttl", ttl),
        kw("hoplimit", ttl),
        kw("max_hops", max_hops),
        kw("multihop", multihop),
        kw("weight", weight),
        kw("vrrp", |ctx, _| {
            ctx.scratch.lvs.bfd.for_vrrp = true;
            Ok(())
        }),
        kw("checker", |ctx, _| {
            ctx.scratch.lvs.bfd.for_checker = true;
            Ok(())
        }),
    ],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.lvs.bfd.draft.is_some(),
        clear: |ctx| ctx.scratch.lvs.bfd.draft = None,
    }),
};

/// `bfd_instance NAME`
pub fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    // The original dies without a name in two of the three processes.
    let word = line.word(ctx, 1)?;
    let name = Spanned::new(word.into(), line.span_of(1));
    let too_long = word.len() > NAME_MAX;
    let taken = match ctx.part {
        Part::Bfd => ctx
            .model
            .bfd
            .instances
            .iter()
            .any(|b| *b.name.value == *word),
        Part::Vrrp => ctx.model.bfd.tracked.iter().any(|b| *b.name.value == *word),
        _ => ctx.model.lvs.bfd_sessions.iter().any(|s| *s.value == *word),
    };
    let complaint = match ctx.part {
        Part::Bfd if too_long => Some(format!(
            "Configuration error: BFD instance {word} name too long (maximum length is {NAME_MAX} characters) - ignoring"
        )),
        Part::Bfd if taken => Some(format!(
            "Configuration error: BFD instance {word} already configured - ignoring"
        )),
        Part::Vrrp if too_long => Some(format!("BFD name {word} too long")),
        _ if taken => Some(format!("BFD {word} already specified")),
        _ => None,
    };
    ctx.scratch.lvs.bfd = BfdScratch::default();
    if let Some(complaint) = complaint {
        ctx.report(Class::GeneralError, complaint);
        ctx.skip_block(true);
        return Ok(());
    }
    ctx.scratch.lvs.bfd.draft = Some(match ctx.part {
        Part::Bfd => Draft::Session(Box::new(BfdInstance::new(name, line.span))),
        Part::Vrrp => Draft::Tracked(TrackedBfd {
            name,
            weight: 0,
            reverse: false,
        }),
        _ => Draft::Name(name),
    });
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut BfdInstance)) {
    if let Some(Draft::Session(bfd)) = &mut ctx.scratch.lvs.bfd.draft {
        change(bfd);
    }
}

/// The session's name, none if this process does not read sessions.
fn session(ctx: &Ctx<'_>) -> Option<String> {
    match &ctx.scratch.lvs.bfd.draft {
        Some(Draft::Session(bfd)) => Some(bfd.name.to_string()),
        _ => None,
    }
}

fn source_ip(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(name) = session(ctx) else {
        return Ok(());
    };
    let word = line.word(ctx, 1)?;
    match ctx.read_sockaddr(word, None) {
        Some(addr) => set(ctx, |bfd| bfd.source = Some(addr.ip())),
        None => ctx.report(
            Class::GeneralError,
            format!(
                "Configuration error: BFD instance {name} has malformed source address {word}, ignoring"
            ),
        ),
    }
    Ok(())
}

fn neighbor_ip(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(name) = session(ctx) else {
        return Ok(());
    };
    let word = line.word(ctx, 1)?;
    match ctx.read_sockaddr(word, None) {
        Some(addr) => set(ctx, |bfd| bfd.neighbor = Some(addr.ip())),
        None => {
            ctx.report(
                Class::GeneralError,
                format!(
                    "Configuration error: BFD instance {name} has malformed neighbor address {word}, ignoring instance"
                ),
            );
            ctx.scratch.lvs.bfd.draft = None;
            ctx.skip_block(false);
        }
    }
    Ok(())
}

/// An interval in milliseconds with up to three decimals, in microseconds.
fn interval(
    ctx: &mut Ctx<'_>,
    line: &Line,
    min: u32,
    change: impl FnOnce(&mut BfdInstance, u32),
) -> Flow {
    let Some(name) = session(ctx) else {
        return Ok(());
    };
    let keyword = line.keyword();
    let word = line.word(ctx, 1)?;
    let micros = |millis: u32| u64::from(millis).saturating_mul(1000);
    let value = ctx.read_decimal(word, micros(min), micros(INTERVAL_MAX), 3, false);
    let Some(value) = value.and_then(|v| u32::try_from(v).ok()) else {
        ctx.report(
            Class::GeneralError,
            format!(
                "Configuration error: BFD instance {name} {keyword} value {word} is not valid (must be in range [{min}-{INTERVAL_MAX}]), ignoring"
            ),
        );
        return Ok(());
    };
    set(ctx, |bfd| change(bfd, value));
    if u64::from(value) > micros(INTERVAL_SENSIBLE) {
        ctx.log(format!(
            "Configuration warning: BFD instance {name} {keyword} value {word} is larger than max sensible ({INTERVAL_SENSIBLE})"
        ));
    }
    Ok(())
}

fn min_rx(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    interval(ctx, line, 1, |bfd, value| bfd.min_rx = value)
}

fn min_tx(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    interval(ctx, line, 1, |bfd, value| bfd.min_tx = value)
}

fn idle_tx(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    interval(ctx, line, IDLE_MIN, |bfd, value| bfd.idle_tx = value)
}

fn multiplier(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    small_number(ctx, line, "multiplier", |bfd, n| bfd.multiplier = n)
}

fn ttl(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    small_number(ctx, line, "ttl/hoplimit", |bfd, n| bfd.ttl = n)
}

/// A number from 1 to 255.
fn small_number(
    ctx: &mut Ctx<'_>,
    line: &Line,
    what: &str,
    change: impl FnOnce(&mut BfdInstance, u8),
) -> Flow {
    let Some(name) = session(ctx) else {
        return Ok(());
    };
    let word = line.word(ctx, 1)?;
    let value = ctx.read_unsigned(word, 1, 255, false);
    match value.and_then(|n| u8::try_from(n).ok()) {
        Some(n) => set(ctx, |bfd| change(bfd, n)),
        None => ctx.report(
            Class::GeneralError,
            format!(
                "Configuration error: BFD instance {name} {what} value {word} not valid (must be in range [1-255]), ignoring"
            ),
        ),
    }
    Ok(())
}

fn max_hops(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(name) = session(ctx) else {
        return Ok(());
    };
    let word = line.word(ctx, 1)?;
    let value = ctx.read_int(word, -1, 255, false);
    match value {
        // -1 is 255.
        Some(n) => set(ctx, |bfd| bfd.max_hops = u8::try_from(n).unwrap_or(255)),
        None => ctx.report(
            Class::GeneralError,
            format!(
                "Configuration error: BFD instance {name} max_hops value {word} not valid (must be in range [-1-255]), ignoring"
            ),
        ),
    }
    Ok(())
}

fn multihop(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(name) = session(ctx) else {
        return Ok(());
    };
    let word = line.get(1).unwrap_or("true");
    match check_true_false(word) {
        Some(on) => set(ctx, |bfd| bfd.multihop = on),
        None => ctx.report(
            Class::GeneralError,
            format!("Configuration error: BFD instance {name} multihop setting not valid - {word}"),
        ),
    }
    Ok(())
}

fn weight(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = match &ctx.scratch.lvs.bfd.draft {
        Some(Draft::Tracked(bfd)) => bfd.name.to_string(),
        _ => return Ok(()),
    };
    let word = line.word(ctx, 1)?;
    let value = ctx.read_int(word, -253, 253, true);
    if value.is_none() {
        ctx.report(
            Class::GeneralError,
            format!(
                "Configuration error: BFD instance {name} weight value {word} not valid (must be in range [-253-253]), ignoring"
            ),
        );
    }
    let option = line.get(2);
    if let Some(option) = option.filter(|o| *o != "reverse") {
        ctx.report(
            Class::GeneralError,
            format!("Configuration error: BFD instance {name} unknown weight option {option}"),
        );
    }
    if let Some(Draft::Tracked(bfd)) = &mut ctx.scratch.lvs.bfd.draft {
        if let Some(value) = value.and_then(|n| i16::try_from(n).ok()) {
            bfd.weight = value;
        }
        bfd.reverse |= option == Some("reverse");
    }
    Ok(())
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let scratch = &mut ctx.scratch.lvs.bfd;
    let both = !scratch.for_vrrp && !scratch.for_checker;
    let (vrrp, checker) = (both || scratch.for_vrrp, both || scratch.for_checker);
    match scratch.draft.take() {
        Some(Draft::Name(name)) if checker => ctx.model.lvs.bfd_sessions.push(name),
        Some(Draft::Tracked(bfd)) if vrrp => ctx.model.bfd.tracked.push(bfd),
        None | Some(Draft::Name(_) | Draft::Tracked(_)) => {}
        Some(Draft::Session(mut bfd)) => {
            bfd.vrrp = vrrp;
            bfd.checker = checker;
            end_session(ctx, *bfd);
        }
    }
    Ok(())
}

/// Checks between keywords, and defaults that depend on the family.
fn end_session(ctx: &mut Ctx<'_>, mut bfd: BfdInstance) {
    let complain = |ctx: &mut Ctx<'_>, text: String| {
        ctx.report(
            Class::GeneralError,
            format!("Configuration error: BFD instance {text}"),
        );
    };
    let name = bfd.name.to_string();
    let Some(neighbor) = bfd.neighbor else {
        complain(
            ctx,
            format!("{name} has no neighbor address set, disabling instance"),
        );
        return;
    };
    let neighbor_text = Shown(neighbor);
    if let Some(source) = bfd.source {
        if Family::of(&source) != Family::of(&neighbor) {
            // The original prints both addresses from one buffer, so that the source shows twice.
            complain(
                ctx,
                format!(
                    "{name} source address {} and neighbor address {neighbor_text} are not of the same family, disabling instance",
                    Shown(source)
                ),
            );
            return;
        }
    }
    if is_duplicate(ctx, &bfd) {
        let text = match bfd.source {
            Some(source) => format!(
                "{name} has duplicate source/neighbor address {}/{neighbor_text}, ignoring instance",
                Shown(source)
            ),
            None => {
                format!("{name} has duplicate neighbor address {neighbor_text}, ignoring instance")
            }
        };
        complain(ctx, text);
        return;
    }
    if bfd.ttl == 0 {
        bfd.ttl = match neighbor {
            IpAddr::V4(_) => 255,
            IpAddr::V6(_) => 64,
        };
    }
    if bfd.max_hops > bfd.ttl {
        ctx.report(
            Class::GeneralError,
            format!("BFD instance {name}: max_hops exceeds ttl/hoplimit - setting to ttl/hoplimit"),
        );
        bfd.max_hops = bfd.ttl;
    }
    ctx.model.bfd.instances.push(bfd);
}

/// Whether there is a session of the same kind with the same neighbour, and sources that are the same or left open.
fn is_duplicate(ctx: &Ctx<'_>, bfd: &BfdInstance) -> bool {
    ctx.model.bfd.instances.iter().any(|other| {
        other.neighbor == bfd.neighbor
            && other.multihop == bfd.multihop
            && (other.source.is_none() || bfd.source.is_none() || other.source == bfd.source)
    })
}
