//! `UDP_CHECK`

use super::checker::{self, DraftKind};
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Keyword, Line, joined, kw};
use crate::keepalived::model::check::{CheckKind, UdpCheck};

const KEYWORDS: [Keyword; 17] = joined(
    &checker::CONNECTING,
    &[
        kw("payload", payload),
        kw("require_reply", require_reply),
        kw("min_reply_length", min_length),
        kw("max_reply_length", max_length),
    ],
);

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &KEYWORDS,
    end: Some(end),
    guard: Some(checker::GUARD),
};

/// `UDP_CHECK`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    checker::begin_connecting(ctx, line, DraftKind::Udp(UdpCheck::default()));
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut UdpCheck)) -> Flow {
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        if let DraftKind::Udp(udp) = &mut draft.kind {
            change(udp);
        }
    }
    Ok(())
}

fn payload(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if line.len() == 1 {
        ctx.report(Class::GeneralError, "UDP_CHECK payload requires a payload");
        return Ok(());
    }
    match parse_hex(&line.joined(1), false) {
        Some(octets) => set(ctx, |udp| {
            udp.payload = octets.into_iter().map(|(octet, _)| octet).collect();
        }),
        None => {
            ctx.report(
                Class::GeneralError,
                "Invalid hex string for UDP_CHECK payload",
            );
            Ok(())
        }
    }
}

fn require_reply(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set(ctx, |udp| udp.require_reply = true)?;
    if line.len() == 1 {
        return Ok(());
    }
    match parse_hex(&line.joined(1), true) {
        Some(octets) => set(ctx, |udp| udp.reply = octets),
        None => {
            ctx.report(
                Class::GeneralError,
                "Invalid hex string for UDP_CHECK reply",
            );
            Ok(())
        }
    }
}

/// Octets in hexadecimal, blanks between octets allowed; an octet may have one digit. With `wildcards` the digit `x` stands
/// for any, and shows in the second number of the pair as bits that do not matter.
fn parse_hex(text: &str, wildcards: bool) -> Option<Vec<(u8, u8)>> {
    let digit = |c: u8| -> Option<(u8, u8)> {
        match char::from(c) {
            'x' | 'X' if wildcards => Some((0, 0x0f)),
            c => c
                .to_digit(16)
                .and_then(|d| u8::try_from(d).ok())
                .map(|d| (d, 0)),
        }
    };
    let mut octets = Vec::new();
    let mut rest = text.as_bytes().iter().copied().peekable();
    loop {
        while rest.next_if(|c| matches!(c, b' ' | b'\t')).is_some() {}
        let Some(first) = rest.next() else { break };
        let (mut octet, mut any) = digit(first)?;
        if let Some(second) = rest.next_if(|c| *c != b' ') {
            let (low, low_any) = digit(second)?;
            octet = octet << 4 | low;
            any = any << 4 | low_any;
        }
        octets.push((octet, any));
    }
    Some(octets).filter(|o| !o.is_empty())
}

fn min_length(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match length(ctx, line, "min")? {
        Some(len) => set(ctx, |udp| udp.min_reply_len = len),
        None => Ok(()),
    }
}

fn max_length(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match length(ctx, line, "max")? {
        Some(len) => set(ctx, |udp| udp.max_reply_len = len),
        None => Ok(()),
    }
}

fn length(
    ctx: &mut Ctx<'_>,
    line: &Line,
    which: &str,
) -> Result<Option<u16>, crate::keepalived::engine::Exit> {
    let word = line.word(ctx, 1)?;
    let len = ctx.read_unsigned(word, 0, 65_535, false);
    if len.is_none() {
        ctx.report(
            Class::GeneralError,
            format!("UDP_CHECK {which} length {word} not valid - must be between 0 & 65535"),
        );
    }
    Ok(len.and_then(|n| u16::try_from(n).ok()))
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let Some(mut draft) = checker::take_checked(ctx) else {
        return Ok(());
    };
    let DraftKind::Udp(udp) = std::mem::replace(&mut draft.kind, DraftKind::Tcp) else {
        return Ok(());
    };
    let (min, max) = (udp.min_reply_len, udp.max_reply_len);
    if min > max {
        ctx.report(
            Class::GeneralError,
            format!("UDP_CHECK min_reply length {min} > max_reply_length {max} - will always fail"),
        );
    }
    checker::add(ctx, draft.finish(CheckKind::Udp(Box::new(udp))));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_hex;

    #[test]
    fn hex() {
        assert_eq!(
            parse_hex("0a 1 ff", false),
            Some(vec![(10, 0), (1, 0), (255, 0)])
        );
        assert_eq!(parse_hex("xA b", true), Some(vec![(10, 0xf0), (11, 0)]));
        for bad in ["", "g", "x", "1 \t"] {
            let expected = (bad == "1 \t").then(|| vec![(1, 0)]);
            assert_eq!(parse_hex(bad, false), expected, "{bad}");
        }
    }
}
