//! LVS: timeouts, flushing, sync daemon.

use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::global::FlushOnStop;

/// 31 days, in seconds.
const MAX_TIMEOUT: u32 = 86_400 * 31;
/// Bytes of an interface name in the IPVS interface, with the final NUL.
const MAX_INTERFACE: usize = 16;

pub(super) fn timeouts(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if line.len() < 3 {
        ctx.report(
            Class::GeneralError,
            "lvs_timeouts requires at least one option",
        );
        return Ok(());
    }
    let mut index = 1;
    while let Some(option) = line.get(index) {
        index += 1;
        if !matches!(option, "tcp" | "tcpfin" | "udp") {
            ctx.report(
                Class::GeneralError,
                format!("Unknown option {option} specified for lvs_timeouts"),
            );
            continue;
        }
        let Some(word) = line.get(index) else {
            ctx.report(
                Class::GeneralError,
                format!("No value specified for lvs_timeout {option} - ignoring"),
            );
            continue;
        };
        index += 1;
        let value = ctx.read_unsigned(word, 0, MAX_TIMEOUT, false);
        let timeouts = &mut ctx.model.global.lvs_timeouts;
        match (value, option) {
            (None, _) => ctx.report(
                Class::GeneralError,
                format!("Invalid lvs_timeout {option} ({word}) - ignoring"),
            ),
            (Some(v), "tcp") => timeouts.tcp = v,
            (Some(v), "tcpfin") => timeouts.tcp_fin = v,
            (Some(v), _) => timeouts.udp = v,
        }
    }
    Ok(())
}

pub(super) fn flush_on_stop(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match line.get(1) {
        None => ctx.model.global.lvs_flush_on_stop = FlushOnStop::Full,
        Some("VS") => ctx.model.global.lvs_flush_on_stop = FlushOnStop::VirtualServers,
        Some(other) => ctx.report(
            Class::GeneralError,
            format!("Unknown lvs_flush_on_stop type {other}"),
        ),
    }
    Ok(())
}

pub(super) fn sync_daemon(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let daemon = &ctx.model.global.lvs_sync_daemon;
    if let Some(interface) = &daemon.interface {
        let instance = daemon.instance.as_deref().unwrap_or("");
        let text = format!(
            "lvs_sync_daemon has already been specified as {interface} {instance} - ignoring"
        );
        ctx.report(Class::GeneralError, text);
        return Ok(());
    }
    let Some(interface) = line.get(1) else {
        ctx.report(Class::GeneralError, "lvs_sync_daemon requires interface");
        return Ok(());
    };
    if interface.len() >= MAX_INTERFACE {
        ctx.report(
            Class::GeneralError,
            format!("lvs_sync_daemon interface name '{interface}' too long - ignoring"),
        );
        return Ok(());
    }
    ctx.model.global.lvs_sync_daemon.interface = Some(interface.to_owned());
    let mut index = 2;
    while let Some(option) = line.get(index) {
        index += sync_option(ctx, line, option, index)?;
    }
    Ok(())
}

/// One option of lvs_sync_daemon; gives the number of words it took.
fn sync_option(
    ctx: &mut Ctx<'_>,
    line: &Line,
    option: &str,
    index: usize,
) -> Result<usize, crate::keepalived::Exit> {
    let value = line.get(index + 1);
    match (option, value) {
        ("inst", _) => {
            if let Some(old) = &ctx.model.global.lvs_sync_daemon.instance {
                let text = format!(
                    "lvs_sync_daemon vrrp instance has already been specified as {old} - ignoring"
                );
                ctx.report(Class::GeneralError, text);
            } else {
                let name = line.word(ctx, index + 1)?.to_owned();
                ctx.model.global.lvs_sync_daemon.instance = Some(name);
            }
        }
        ("id", None) => {
            ctx.report(
                Class::GeneralError,
                "No value specified for lvs_sync_daemon id, defaulting to vrid",
            );
            return Ok(1);
        }
        ("maxlen" | "port" | "ttl" | "group", None) => {
            let text = format!("No value specified for lvs_sync_daemon {option} - ignoring");
            ctx.report(Class::GeneralError, text);
            return Ok(1);
        }
        ("id", Some(word)) => sync_id(ctx, word),
        ("maxlen" | "port" | "ttl", Some(word)) => {
            let max = match option {
                "maxlen" => 65535 - 20 - 8,
                "port" => 65535,
                _ => 255,
            };
            let Some(number) = ctx.read_unsigned(word, 1, max, false) else {
                ctx.report(
                    Class::GeneralError,
                    format!("Invalid lvs_sync_daemon {option} ({word}) - ignoring"),
                );
                return Ok(2);
            };
            let daemon = &mut ctx.model.global.lvs_sync_daemon;
            match option {
                "maxlen" => daemon.max_length = u16::try_from(number).ok(),
                "port" => daemon.port = u16::try_from(number).ok(),
                _ => daemon.ttl = u8::try_from(number).ok(),
            }
        }
        ("group", Some(word)) => {
            let address = ctx.read_sockaddr(word, None).map(|a| a.ip());
            if address.is_none() {
                ctx.report(
                    Class::GeneralError,
                    format!("Invalid lvs_sync_daemon group ({word}) - ignoring"),
                );
            }
            let multicast = address.is_none_or(|a| a.is_multicast());
            if !multicast {
                ctx.report(
                    Class::GeneralError,
                    format!("lvs_sync_daemon group address {word} is not multicast - ignoring"),
                );
            }
            ctx.model.global.lvs_sync_daemon.group = address.filter(|_| multicast);
        }
        // The old form: interface, instance, id.
        (name, _) if index == 2 => {
            ctx.model.global.lvs_sync_daemon.instance = Some(name.to_owned());
            return Ok(1);
        }
        (word, _) if index == 3 => {
            let before = ctx.model.global.lvs_sync_daemon.sync_id;
            sync_id(ctx, word);
            if ctx.model.global.lvs_sync_daemon.sync_id != before {
                ctx.report(
                    Class::GeneralError,
                    "Please use keyword \"id\" before lvs_sync_daemon SYNCID",
                );
            }
            return Ok(1);
        }
        _ => {
            ctx.report(
                Class::GeneralError,
                format!("Unknown option {option} specified for lvs_sync_daemon"),
            );
            return Ok(1);
        }
    }
    Ok(2)
}

fn sync_id(ctx: &mut Ctx<'_>, word: &str) {
    match ctx.read_unsigned(word, 0, 255, false) {
        None => ctx.report(
            Class::GeneralError,
            format!("Invalid syncid ({word}) - defaulting to vrid"),
        ),
        id => ctx.model.global.lvs_sync_daemon.sync_id = id,
    }
}
