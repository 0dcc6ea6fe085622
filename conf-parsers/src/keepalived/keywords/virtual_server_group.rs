//! `virtual_server_group NAME { one entry per line }`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use net_types::Family;

use super::lvs::port_word;
use crate::diag::{Class, EXIT_CONFIG};
use crate::keepalived::engine::{Ctx, Exit, Flow, Line};
use crate::keepalived::model::lvs::{GroupEntry, VirtualServerGroup};
use crate::keepalived::number::scan;
use crate::span::Spanned;

/// Reads the whole block.
pub(super) fn read(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let name = line.word(ctx, 1)?;
    let mut group = VirtualServerGroup {
        name: Spanned::new(name.into(), line.span_of(1)),
        entries: Vec::new(),
    };
    // The original has lost the keyword by now and cannot even complain of a further word.
    if line.len() > 2 {
        ctx.report(
            Class::MissingParameter,
            "*** Configuration line starting `***MISSING ***` is missing a parameter at word position 1",
        );
        return Err(Exit(EXIT_CONFIG));
    }
    // The block's head without the name.
    let mut head = line.clone();
    head.words.truncate(1);
    ctx.value_block(&head, |ctx, line| {
        if let Some(entry) = entry(ctx, name, line)? {
            group.entries.push(entry);
        }
        Ok(())
    })?;
    if group.entries.is_empty() {
        ctx.report(
            Class::GeneralError,
            format!("virtual server group {name} has no entries - removing"),
        );
    } else if group.has_family(Family::V4)
        && group.has_family(Family::V6)
        && group.has_mark_without_family()
    {
        ctx.report(
            Class::GeneralError,
            format!("virtual server group {name} cannot have IPv4, IPv6 and fwmark without family - removing"),
        );
    } else {
        ctx.model.lvs.groups.push(group);
    }
    Ok(())
}

fn entry(ctx: &mut Ctx<'_>, group: &str, line: &Line) -> Result<Option<GroupEntry>, Exit> {
    let first = line.word(ctx, 0)?;
    if first == "fwmark" {
        return mark(ctx, group, line);
    }
    let port = port_word(line.get(1));
    let Some(start) = ctx.read_sockaddr(first, port) else {
        let (what, slash) = if port.is_some() {
            ("/port", "/")
        } else {
            ("", "")
        };
        ctx.report(
            Class::GeneralError,
            format!(
                "Invalid virtual server group IP address {first} {what}{slash}{} - skipping",
                port.unwrap_or("")
            ),
        );
        return Ok(None);
    };
    let end = match first.split_once('/') {
        Some((_, mask)) => block_end(ctx, first, start, mask),
        None => range_end(ctx, first, start, port),
    };
    Ok(end.map(|end| GroupEntry::Addresses {
        first: start,
        last: SocketAddr::new(end, start.port()),
    }))
}

fn mark(ctx: &mut Ctx<'_>, group: &str, line: &Line) -> Result<Option<GroupEntry>, Exit> {
    let word = line.word(ctx, 1)?;
    let Some(mark) = ctx.read_unsigned(word, 0, u32::MAX, true) else {
        ctx.report(
            Class::GeneralError,
            format!(
                "({group}): fwmark '{word}' must be in [0, {}] - ignoring",
                u32::MAX
            ),
        );
        return Ok(None);
    };
    let family = match line.get(2) {
        None => None,
        Some("inet") => Some(Family::V4),
        Some("inet6") => Some(Family::V6),
        Some(other) => {
            ctx.report(
                Class::GeneralError,
                format!("({group}): fwmark '{mark}' family {other} unknown - ignoring"),
            );
            return Ok(None);
        }
    };
    Ok(Some(GroupEntry::Fwmark { mark, family }))
}

/// The last address of `ADDR/MASK`, whose host bits must be 0.
fn block_end(ctx: &mut Ctx<'_>, word: &str, start: SocketAddr, mask: &str) -> Option<IpAddr> {
    let number = scan(mask, 10);
    let bits = Family::of(&start.ip()).bits();
    let len = u8::try_from(number.magnitude)
        .ok()
        .filter(|n| !number.has_rest() && !number.negative && (1..=bits).contains(n));
    let Some(len) = len else {
        ctx.report(
            Class::GeneralError,
            format!("Invalid netmask - {word} - skipping"),
        );
        return None;
    };
    let end = match start.ip() {
        IpAddr::V4(ip) => {
            let host = u32::MAX.checked_shr(u32::from(len)).unwrap_or(0);
            (ip.to_bits() & host == 0).then(|| Ipv4Addr::from_bits(ip.to_bits() | host).into())
        }
        IpAddr::V6(ip) => {
            let host = u128::MAX.checked_shr(u32::from(len)).unwrap_or(0);
            (ip.to_bits() & host == 0).then(|| Ipv6Addr::from_bits(ip.to_bits() | host).into())
        }
    };
    if end.is_none() {
        ctx.report(
            Class::GeneralError,
            format!("Address mask bits not empty - {word} - skipping"),
        );
    }
    end
}

/// The last address of `ADDR`, `ADDR-ADDR` or `ADDR-N`, N being the last octet (decimal) or group (hexadecimal).
fn range_end(
    ctx: &mut Ctx<'_>,
    word: &str,
    start: SocketAddr,
    port: Option<&str>,
) -> Option<IpAddr> {
    let Some((_, end)) = word.split_once('-') else {
        return Some(start.ip());
    };
    let separator = if start.is_ipv4() { '.' } else { ':' };
    if end.contains(separator) {
        return full_end(ctx, word, start, end, port);
    }
    let last = last_part(ctx, word, start.is_ipv6(), end)?;
    let (end, grows) = match start.ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            let last = last.to_be_bytes()[1];
            (IpAddr::from([a, b, c, last]), d < last)
        }
        IpAddr::V6(ip) => {
            let mut groups = ip.segments();
            let [.., own] = &mut groups;
            let grows = *own < last;
            *own = last;
            (IpAddr::from(groups), grows)
        }
    };
    if grows {
        return Some(end);
    }
    ctx.report(
        Class::GeneralError,
        format!("Address range end is not greater than address range start - {word} - skipping"),
    );
    None
}

fn full_end(
    ctx: &mut Ctx<'_>,
    word: &str,
    start: SocketAddr,
    end: &str,
    port: Option<&str>,
) -> Option<IpAddr> {
    let complaint = match ctx.read_sockaddr(end, port) {
        None => format!("Invalid range end {word} - skipping"),
        Some(end) if end.is_ipv4() != start.is_ipv4() => {
            format!("Range address families do not match {word} - skipping")
        }
        Some(end) if end.ip() < start.ip() => {
            format!("Address range end is less than address range start - {word} - skipping")
        }
        Some(end) => return Some(end.ip()),
    };
    ctx.report(Class::GeneralError, complaint);
    None
}

fn last_part(ctx: &mut Ctx<'_>, word: &str, hexadecimal: bool, end: &str) -> Option<u16> {
    let (base, max) = if hexadecimal { (16, 0xffff) } else { (10, 255) };
    let number = scan(end, base);
    let value = u16::try_from(number.magnitude)
        .ok()
        .filter(|n| *n <= max && !number.negative && !number.overflow);
    if number.has_rest() {
        let test = ctx.options.config_test;
        let warn = if test { "" } else { "WARNING - " };
        ctx.report(
            Class::InvalidNumber,
            format!(
                "{warn}Virtual server group range '{word}' has extra characters at end '{}'",
                number.rest
            ),
        );
        return value.filter(|_| !test);
    }
    if value.is_none() {
        ctx.report(
            Class::InvalidNumber,
            format!("Virtual server group range '{word}' end '{end}' too large"),
        );
    }
    value
}
