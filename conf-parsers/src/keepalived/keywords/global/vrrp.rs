//! Defaults of VRRP instances, gratuitous ARP, receive buffers.

use super::Field;
use super::mail::MAX_SECONDS;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::global::{
    GARP_DELAY, GARP_REFRESH, GARP_REFRESH_REPEAT, GARP_REPEAT,
};
use crate::keepalived::number::check_true_false;
use std::net::IpAddr;

pub(super) fn dynamic_interfaces(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.model.global.dynamic_interfaces = true;
    match line.get(1) {
        None => {}
        Some("allow_if_changes") => ctx.model.global.allow_if_changes = true,
        Some(other) => ctx.report(
            Class::GeneralError,
            format!("Unknown dynamic_interfaces option '{other}'"),
        ),
    }
    Ok(())
}

pub(super) fn default_interface(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match line.get(1) {
        None => ctx.report(
            Class::GeneralError,
            "default_interface requires interface name",
        ),
        Some(name) => ctx.model.global.default_interface = Some(name.to_owned()),
    }
    Ok(())
}

pub(super) fn disable_local_igmp(ctx: &mut Ctx<'_>, _: &Line) -> Flow {
    let name = "net/ipv4/igmp_link_local_mcast_reports";
    if ctx.host.sysctl(name).is_none() {
        ctx.report(
            Class::GeneralError,
            format!("kernel does not support /proc/sys/{name}"),
        );
    } else {
        ctx.model.global.disable_local_igmp = true;
    }
    Ok(())
}

/// A multicast group of the wanted family.
fn group(
    ctx: &mut Ctx<'_>,
    line: &Line,
    family: &str,
) -> Result<Option<IpAddr>, crate::keepalived::Exit> {
    let word = line.word(ctx, 1)?;
    let keyword = line.keyword();
    let problem = match ctx.read_sockaddr(word, None).map(|a| a.ip()) {
        None => {
            ctx.report(
                Class::GeneralError,
                format!("Can't parse {keyword} [{word}]. Skipping"),
            );
            return Ok(None);
        }
        Some(a) if a.is_ipv4() != (family == "IPv4") => family,
        Some(a) if !a.is_multicast() => "multicast",
        Some(a) => return Ok(Some(a)),
    };
    ctx.report(
        Class::GeneralError,
        format!("{keyword} [{word}] is not {problem}. Skipping"),
    );
    Ok(None)
}

pub(super) fn mcast_group4(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(IpAddr::V4(address)) = group(ctx, line, "IPv4")? {
        ctx.model.global.vrrp_mcast_group4 = address;
    }
    Ok(())
}

pub(super) fn mcast_group6(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(IpAddr::V6(address)) = group(ctx, line, "IPv6")? {
        if address
            .segments()
            .first()
            .is_none_or(|s| s & 0xff0f != 0xff02)
        {
            let word = line.get(1).unwrap_or("");
            ctx.report(
                Class::Warning,
                format!("vrrp_mcast_group6 [{word}] should be link-local multicast."),
            );
        }
        ctx.model.global.vrrp_mcast_group6 = address;
    }
    Ok(())
}

pub(super) fn garp_master_delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, MAX_SECONDS, true) {
        Some(seconds) => ctx.model.global.vrrp_garp_master_delay = seconds,
        None => ctx.report(
            Class::GeneralError,
            format!("vrrp_garp_master_delay '{word}' invalid - ignoring"),
        ),
    }
    Ok(())
}

pub(super) fn garp_repeat(ctx: &mut Ctx<'_>, line: &Line, field: Field<u32>) -> Flow {
    let keyword = line.keyword();
    let word = line.word(ctx, 1)?;
    let Some(repeats) = ctx.read_unsigned(word, 0, u32::MAX, true) else {
        ctx.report(
            Class::GeneralError,
            format!("{keyword} '{word}' invalid - ignoring"),
        );
        return Ok(());
    };
    if repeats == 0 {
        ctx.report(
            Class::GeneralError,
            format!("{keyword} must be greater than 0, setting to 1"),
        );
    }
    *field(&mut ctx.model.global) = repeats.max(1);
    Ok(())
}

pub(super) fn garp_refresh(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let refresh = ctx.read_unsigned(word, 0, u32::MAX, true);
    if refresh.is_none() {
        ctx.report(
            Class::GeneralError,
            format!("Invalid vrrp_garp_master_refresh '{word}' - ignoring"),
        );
    }
    ctx.model.global.vrrp_garp_master_refresh = refresh.unwrap_or(0);
    Ok(())
}

pub(super) fn garp_lower_prio_delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, MAX_SECONDS, true) {
        None => ctx.report(
            Class::GeneralError,
            format!("vrrp_garp_lower_prio_delay '{word}' invalid - ignoring"),
        ),
        delay => ctx.model.global.vrrp_garp_lower_prio_delay = delay,
    }
    Ok(())
}

pub(super) fn garp_lower_prio_repeat(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, i32::MAX.unsigned_abs(), true) {
        None => ctx.report(
            Class::GeneralError,
            format!("Invalid vrrp_garp_lower_prio_repeat '{word}'"),
        ),
        repeat => ctx.model.global.vrrp_garp_lower_prio_repeat = repeat,
    }
    Ok(())
}

pub(super) fn down_timer_adverts(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 1, 100, true) {
        Some(n) => ctx.model.global.vrrp_down_timer_adverts = n,
        None => ctx.report(
            Class::GeneralError,
            format!("Invalid vrrp_down_timer_adverts [1:100] '{word}'"),
        ),
    }
    Ok(())
}

pub(super) fn send_interval(ctx: &mut Ctx<'_>, line: &Line, field: Field<u32>) -> Flow {
    let keyword = line.keyword();
    let word = line.word(ctx, 1)?;
    let value = ctx
        .read_decimal(word, 1, u64::from(u32::MAX), 6, true)
        .and_then(|v| u32::try_from(v).ok());
    match value {
        Some(interval) => *field(&mut ctx.model.global) = interval,
        None => ctx.report(
            Class::GeneralError,
            format!("{keyword} '{word}' is invalid"),
        ),
    }
    if *field(&mut ctx.model.global) >= 1_000_000 {
        ctx.log(format!("The {keyword} is very large - {word} seconds"));
    }
    Ok(())
}

pub(super) fn min_garp(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match line.get(1).map(check_true_false) {
        Some(None) => {
            ctx.report(
                Class::GeneralError,
                "Invalid value for vrrp_min_garp specified",
            );
            return Ok(());
        }
        Some(Some(false)) => return Ok(()),
        None | Some(Some(true)) => {}
    }
    // Only one message and no repeats, except where a value was set already.
    let g = &mut ctx.model.global;
    for (value, default, minimum) in [
        (&mut g.vrrp_garp_master_repeat, GARP_REPEAT, 1),
        (&mut g.vrrp_garp_master_refresh, GARP_REFRESH, 0),
        (
            &mut g.vrrp_garp_master_refresh_repeat,
            GARP_REFRESH_REPEAT,
            0,
        ),
        (&mut g.vrrp_garp_master_delay, GARP_DELAY, 0),
    ] {
        if *value == default {
            *value = minimum;
        }
    }
    Ok(())
}

pub(super) fn garp_extra_if(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let keyword = line.keyword();
    if keyword == "vrrp_vmac_garp_intvl" {
        let text =
            "Keyword \"vrrp_vmac_garp_intvl\" is deprecated - please use \"vrrp_garp_extra_if\"";
        ctx.report(Class::Deprecated, text);
    }
    let mut delay = 0;
    for word in line.words.iter().skip(1) {
        if &**word == "all" {
            ctx.model.global.vrrp_garp_extra_if_all = true;
        } else if let Some(seconds) = ctx.read_unsigned(word, 1, 86400, true) {
            delay = seconds;
        } else {
            ctx.report(
                Class::GeneralError,
                format!("{keyword} '{}' invalid - ignoring", &**word),
            );
            return Ok(());
        }
    }
    if delay == 0 {
        ctx.report(
            Class::GeneralError,
            format!("{keyword} specified without time - ignoring"),
        );
    } else {
        ctx.model.global.vrrp_garp_extra_if = delay;
    }
    Ok(())
}

pub(super) fn version(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_int(word, 2, 3, true) {
        Some(version) => ctx.model.global.vrrp_version = if version == 2 { 2 } else { 3 },
        None => ctx.report(
            Class::GeneralError,
            "VRRP Error: Version must be either 2 or 3",
        ),
    }
    Ok(())
}

pub(super) fn rx_bufs_policy(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(first) = line.get(1) else {
        ctx.report(Class::GeneralError, "vrrp_rx_bufs_policy missing");
        return Ok(());
    };
    for word in line.words.iter().skip(1) {
        if word.eq_ignore_ascii_case("MTU") {
            ctx.model.global.vrrp_rx_bufs_policy.mtu = true;
        } else if word.eq_ignore_ascii_case("ADVERT") {
            ctx.model.global.vrrp_rx_bufs_policy.advert = true;
        // The original reads the first word here, whichever word it is at.
        } else if let Some(size) = ctx.read_unsigned(first, 0, u32::MAX, false) {
            ctx.model.global.vrrp_rx_bufs_policy.size = Some(size);
        } else {
            ctx.report(
                Class::GeneralError,
                format!("Invalid vrrp_rx_bufs_policy {}", &**word),
            );
        }
    }
    let policy = &mut ctx.model.global.vrrp_rx_bufs_policy;
    if policy.size.is_some() && (policy.mtu || policy.advert) {
        (policy.mtu, policy.advert) = (false, false);
        ctx.report(
            Class::GeneralError,
            "Cannot set vrrp_rx_bufs_policy size and policy, ignoring policy",
        );
    } else if policy.mtu && policy.advert {
        policy.advert = false;
        ctx.report(
            Class::GeneralError,
            "Cannot set both vrrp_rx_bufs_policy MTU and ADVERT, ignoring ADVERT",
        );
    }
    Ok(())
}

pub(super) fn rx_bufs_multiplier(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(word) = line.get(1).filter(|_| line.len() == 2) else {
        ctx.report(Class::GeneralError, "Invalid vrrp_rx_bufs_multiplier");
        return Ok(());
    };
    match ctx.read_unsigned(word, 1, u32::MAX, false) {
        Some(n) => ctx.model.global.vrrp_rx_bufs_multiplier = n,
        None => ctx.report(
            Class::GeneralError,
            format!("Invalid vrrp_rx_bufs_multiplier {word}"),
        ),
    }
    Ok(())
}

pub(super) fn startup_delay(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let value = ctx
        .read_decimal(word, 1000, u64::from(u32::MAX), 6, true)
        .and_then(|v| u32::try_from(v).ok());
    let Some(delay) = value else {
        ctx.report(
            Class::GeneralError,
            format!("vrrp_startup_delay '{word}' is invalid"),
        );
        return Ok(());
    };
    take_delay(ctx, delay, false, |_| {
        format!("The vrrp_startup_delay is very large - {word} seconds")
    });
    Ok(())
}

/// 2.4.0: this long from boot on. What is left of it is a start-up delay.
pub(super) fn delay_after_boot(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let value = ctx.read_timer(word, 1000, u64::from(u32::MAX), true);
    let Some(delay) = value.and_then(|v| u32::try_from(v).ok()) else {
        ctx.report(
            Class::GeneralError,
            format!("vrrp_delay_after_boot '{word}' is invalid"),
        );
        return Ok(());
    };
    let uptime = match ctx.host.read("/proc/uptime") {
        Err(_) => Err("open"),
        Ok(text) => uptime_micros(&text).ok_or("read"),
    };
    match uptime {
        Ok(passed) => {
            let left = u32::try_from(u64::from(delay).saturating_sub(passed)).unwrap_or(delay);
            take_delay(ctx, left, true, |delay| {
                let seconds = delay / 1_000_000;
                format!("The vrrp_wait_after_boot is very large - {seconds} seconds")
            });
        }
        Err(what) => ctx.report(
            Class::Warning,
            format!("Unable to {what} /proc/uptime for vrrp_delay_after_boot - ignoring"),
        ),
    }
    Ok(())
}

/// The longer of two delays counts (2.4.0; in 2.3.3 the later).
fn take_delay(
    ctx: &mut Ctx<'_>,
    delay: u32,
    after_boot: bool,
    very_large: impl FnOnce(u32) -> String,
) {
    if delay <= ctx.model.global.vrrp_startup_delay {
        return;
    }
    ctx.model.global.vrrp_startup_delay = delay;
    ctx.model.global.vrrp_startup_delay_after_boot = after_boot;
    if delay >= 60_000_000 {
        ctx.log(very_large(delay));
    }
}

/// Microseconds since boot: `12345.67 …`.
fn uptime_micros(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_ascii_whitespace().next()?.split_once('.')?;
    let digits = u32::try_from(fraction.len()).ok().filter(|n| *n <= 6)?;
    let fraction: u64 = fraction.parse().ok()?;
    let seconds: u64 = seconds.parse().ok()?;
    let micros = fraction.checked_mul(10_u64.pow(6_u32.saturating_sub(digits)))?;
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}

pub(super) fn owner_ignore_adverts(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match line.get(1).map(|w| (w, check_true_false(w))) {
        None => ctx.model.global.vrrp_owner_ignore_adverts = true,
        Some((_, Some(value))) => ctx.model.global.vrrp_owner_ignore_adverts = value,
        // The original has keyword and value the wrong way round.
        Some((word, None)) => {
            let text = format!(
                "Invalid value '{}' for global {word} specified",
                line.keyword()
            );
            ctx.report(Class::GeneralError, text);
        }
    }
    Ok(())
}

pub(super) fn vmac_prefix(
    ctx: &mut Ctx<'_>,
    line: &Line,
    shown: &str,
    field: Field<Option<String>>,
) -> Flow {
    let word = line.word(ctx, 1)?;
    if field(&mut ctx.model.global).is_some() {
        ctx.report(
            Class::GeneralError,
            format!("{shown} prefix has already been specified - ignoring {word}"),
        );
    } else {
        *field(&mut ctx.model.global) = Some(word.to_owned());
    }
    Ok(())
}
