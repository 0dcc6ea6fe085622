//! Persistence: clients that stay with their server.

use std::net::Ipv4Addr;

use net_types::Family;

use super::super::server_values::set;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::lvs::{
    Granularity, PERSISTENCE_TIMEOUT_DEFAULT, PERSISTENCE_TIMEOUT_MAX, VirtualServer,
};
use crate::keepalived::number::scan;

/// Longest name of a persistence engine.
const ENGINE_NAME_MAX: usize = 16;

pub(super) fn engine(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let mut end = word.len().min(ENGINE_NAME_MAX);
    if word.len() > ENGINE_NAME_MAX {
        ctx.report(
            Class::GeneralError,
            format!("persistence_name too long, truncating - {word}"),
        );
        while !word.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
    }
    let name = word.get(..end).unwrap_or("").into();
    set(ctx, |vs: &mut VirtualServer| {
        vs.persistence_engine = Some(name)
    })
}

pub(super) fn timeout(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let timeout = match line.get(1) {
        None => Some(PERSISTENCE_TIMEOUT_DEFAULT),
        Some(word) => ctx.read_unsigned(word, 1, PERSISTENCE_TIMEOUT_MAX, false),
    };
    match timeout {
        Some(timeout) => set(ctx, |vs: &mut VirtualServer| {
            vs.persistence_timeout = timeout
        }),
        None => {
            ctx.report(Class::GeneralError, "persistence_timeout invalid");
            Ok(())
        }
    }
}

pub(super) fn granularity(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let own = ctx
        .scratch
        .lvs
        .virtual_server
        .as_ref()
        .and_then(|vs| vs.family);
    let family = own.unwrap_or(if word.contains('.') {
        Family::V4
    } else {
        Family::V6
    });
    let (granularity, name) = match family {
        Family::V4 => (parse_aton(word).map(Granularity::V4), "IPv4"),
        Family::V6 => (
            ctx.read_unsigned(word, 1, 128, false)
                .and_then(|n| u8::try_from(n).ok())
                .map(Granularity::V6),
            "IPv6",
        ),
    };
    let Some(granularity) = granularity else {
        ctx.report(
            Class::GeneralError,
            format!("Invalid {name} persistence_granularity specified - {word}"),
        );
        return Ok(());
    };
    set(ctx, |vs: &mut VirtualServer| {
        vs.persistence_granularity = Some(granularity);
        vs.family = Some(family);
        if vs.persistence_timeout == 0 {
            vs.persistence_timeout = PERSISTENCE_TIMEOUT_DEFAULT;
        }
    })
}

/// An address as C's inet_aton reads it: up to four numbers of any base, the last filling what is left.
fn parse_aton(word: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = word.split('.').collect();
    let (last, firsts) = parts.split_last()?;
    if firsts.len() > 3 {
        return None;
    }
    let number = |text: &str, max: u32| -> Option<u32> {
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let n = scan(text, 0);
        u32::try_from(n.magnitude)
            .ok()
            .filter(|v| !n.has_rest() && !n.overflow && *v <= max)
    };
    let mut bits: u32 = 0;
    let mut room: u32 = 32;
    for first in firsts {
        room = room.saturating_sub(8);
        bits |= number(first, 255)? << room;
    }
    let max = u32::MAX
        .checked_shr(32u32.saturating_sub(room))
        .unwrap_or(0);
    Some(Ipv4Addr::from_bits(bits | number(last, max)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aton() {
        for (word, expected) in [
            ("255.255.255.0", Some([255, 255, 255, 0])),
            ("255.0x10", Some([255, 0, 0, 16])),
            ("10.1.256", Some([10, 1, 1, 0])),
            ("4294967295", Some([255; 4])),
            ("1.2.3.4.5", None),
            ("1.2.3.256", None),
            ("a", None),
            ("", None),
        ] {
            assert_eq!(parse_aton(word), expected.map(Ipv4Addr::from), "{word}");
        }
    }
}
