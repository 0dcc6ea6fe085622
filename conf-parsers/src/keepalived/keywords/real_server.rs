//! `real_server` blocks.

use net_types::Family;

use super::lvs::{note_duplicate, optional_bool, port_word};
use super::virtual_server::{read_forwarding, script_again};
use super::{
    checker_bfd, checker_dns, checker_file, checker_http, checker_misc, checker_plain,
    checker_smtp, checker_udp,
};
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Feature, Flow, Guard, Line, kw, kw_block, kw_quoted};
use crate::keepalived::model::lvs::{CheckTimes, ForwardingMethod, RealServer, WEIGHT_MAX};
use crate::keepalived::sockaddr::Shown;
use crate::span::Spanned;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw("weight", weight),
        kw("lvs_method", forwarding_method),
        kw("uthreshold", upper_threshold),
        kw("lthreshold", lower_threshold),
        kw("inhibit_on_failure", inhibit),
        kw_quoted("notify_up", notify_up),
        kw_quoted("notify_down", notify_down),
        kw("alpha", alpha),
        kw("retry", retry),
        kw("delay_before_retry", delay_before_retry),
        kw("warmup", warmup),
        kw("connect_timeout", connect_timeout),
        kw("delay_loop", delay_loop),
        kw("smtp_alert", smtp_alert),
        kw("virtualhost", virtualhost),
        kw("snmp_name", snmp_name),
        kw_block(
            "MISC_CHECK",
            Some(checker_misc::begin),
            &checker_misc::BLOCK,
        ),
        kw_block(
            "SMTP_CHECK",
            Some(checker_smtp::begin),
            &checker_smtp::BLOCK,
        ),
        kw_block(
            "TCP_CHECK",
            Some(checker_plain::begin_tcp),
            &checker_plain::BLOCK,
        ),
        kw_block(
            "PING_CHECK",
            Some(checker_plain::begin_ping),
            &checker_plain::BLOCK,
        ),
        kw_block("UDP_CHECK", Some(checker_udp::begin), &checker_udp::BLOCK),
        kw_block(
            "HTTP_GET",
            Some(checker_http::begin_http),
            &checker_http::HTTP_BLOCK,
        ),
        kw_block(
            "SSL_GET",
            Some(checker_http::begin_ssl),
            &checker_http::SSL_BLOCK,
        ),
        kw_block("DNS_CHECK", Some(checker_dns::begin), &checker_dns::BLOCK),
        kw_block(
            "FILE_CHECK",
            Some(checker_file::begin),
            &checker_file::BLOCK,
        ),
        kw_block("BFD_CHECK", Some(checker_bfd::begin), &checker_bfd::BLOCK)
            .only_with(Feature::Bfd),
    ],
    end: Some(end),
    guard: Some(Guard {
        is_open: |ctx| ctx.scratch.lvs.real_server.is_some(),
        clear: |ctx| ctx.scratch.lvs.real_server = None,
    }),
};

/// `real_server ADDR [PORT]`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let port = line.get(2);
    let Some(addr) = ctx.read_sockaddr(word, port_word(port)) else {
        let port = port.unwrap_or("(null)");
        ctx.report(
            Class::GeneralError,
            format!("Invalid real server ip address/port {word}/{port} - skipping"),
        );
        ctx.skip_block(true);
        ctx.scratch.lvs.real_server = None;
        return Ok(());
    };
    let own = ctx.scratch.lvs.virtual_server.as_ref();
    let forwarding = own.map(|vs| vs.forwarding).unwrap_or_default();
    ctx.scratch.lvs.real_server = Some(RealServer {
        span: line.span,
        addr,
        weight: None,
        forwarding,
        upper_threshold: 0,
        lower_threshold: 0,
        inhibit: None,
        alpha: None,
        smtp_alert: None,
        connect_timeout: None,
        times: CheckTimes::default(),
        virtualhost: None,
        snmp_name: None,
        notify_up: None,
        notify_down: None,
        checkers: Vec::new(),
        track_files: Vec::new(),
    });
    Ok(())
}

fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut RealServer)) -> Flow {
    if let Some(rs) = &mut ctx.scratch.lvs.real_server {
        change(rs);
    }
    Ok(())
}

fn set_value<T>(
    ctx: &mut Ctx<'_>,
    line: &Line,
    read: impl FnOnce(&mut Ctx<'_>, &str) -> Option<T>,
    complaint: impl FnOnce(&str) -> String,
    change: impl FnOnce(&mut RealServer, T),
) -> Flow {
    let word = line.word(ctx, 1)?;
    match read(ctx, word) {
        Some(value) => set(ctx, |rs| change(rs, value)),
        None => {
            ctx.report(Class::GeneralError, complaint(word));
            Ok(())
        }
    }
}

fn weight(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 0, WEIGHT_MAX, true),
        |w| format!("Real server weight {w} is outside range 0-{WEIGHT_MAX}"),
        |rs, n| rs.weight = Some(n),
    )
}

fn forwarding_method(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let own = ctx.scratch.lvs.real_server.as_ref();
    let before = own.map(|rs| rs.forwarding).unwrap_or_default();
    let forwarding = read_forwarding(ctx, line, before, "real")?;
    set(ctx, |rs| rs.forwarding = forwarding)
}

fn upper_threshold(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 0, u32::MAX, true),
        |w| format!("Invalid real_server uthreshold '{w}' - ignoring"),
        |rs, n| rs.upper_threshold = n,
    )
}

fn lower_threshold(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 0, u32::MAX, true),
        |w| format!("Invalid real_server lthreshold '{w}' - ignoring"),
        |rs, n| rs.lower_threshold = n,
    )
}

fn retry(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 1, u32::MAX, false),
        |w| format!("retry value invalid - {w}"),
        |rs, n| rs.times.retry = Some(n),
    )
}

fn delay_before_retry(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_timer(w, 0, 0, true),
        |w| format!("real server delay_before_retry '{w}' invalid - ignoring"),
        |rs, t| rs.times.delay_before_retry = Some(t),
    )
}

fn warmup(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_timer(w, 0, 0, true),
        |w| format!("real server warmup '{w}' invalid - ignoring"),
        |rs, t| rs.times.warmup = Some(t),
    )
}

fn connect_timeout(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_timer(w, 1, u64::from(u32::MAX), true),
        |w| format!("real server connect_timeout {w} invalid - ignoring"),
        |rs, t| rs.connect_timeout = Some(t),
    )
}

fn delay_loop(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_timer(w, 1, 0, true),
        |w| format!("real server delay_loop '{w}' invalid - ignoring"),
        |rs, t| rs.times.delay_loop = Some(t),
    )
}

fn inhibit(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid inhibit_on_failure parameter") {
        Some(on) => set(ctx, |rs| rs.inhibit = Some(on)),
        None => Ok(()),
    }
}

fn alpha(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid alpha parameter") {
        Some(on) => set(ctx, |rs| rs.alpha = Some(on)),
        None => Ok(()),
    }
}

fn smtp_alert(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid real_server smtp_alert parameter") {
        Some(on) => set(ctx, |rs| rs.smtp_alert = Some(on)),
        None => Ok(()),
    }
}

fn virtualhost(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(name) = line.get(1) else {
        ctx.report(Class::GeneralError, "real server virtualhost missing");
        return Ok(());
    };
    let own = ctx.scratch.lvs.real_server.as_ref();
    let before = own.and_then(|rs| rs.virtualhost.clone());
    note_duplicate(ctx, before.as_ref().map(|n| &***n), name, "rs virtualhost");
    let name = Spanned::new(name.into(), line.span_of(1));
    set(ctx, |rs| rs.virtualhost = Some(name))
}

fn snmp_name(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let (Some(name), None) = (line.get(1), line.get(2)) else {
        ctx.report(
            Class::GeneralError,
            "real server snmp_name missing or extra parameters",
        );
        return Ok(());
    };
    let own = ctx.scratch.lvs.real_server.as_ref();
    let before = own.and_then(|rs| rs.snmp_name.clone());
    note_duplicate(ctx, before.as_deref(), name, "rs snmp_name");
    set(ctx, |rs| rs.snmp_name = Some(name.into()))
}

fn notify_up(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let own = ctx.scratch.lvs.real_server.as_ref();
    if own.is_some_and(|rs| rs.notify_up.is_some()) {
        return script_again(ctx, line, "notify_up");
    }
    let script = ctx.notify_script(line, 0, "notify");
    set(ctx, |rs| rs.notify_up = script)
}

fn notify_down(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let own = ctx.scratch.lvs.real_server.as_ref();
    if own.is_some_and(|rs| rs.notify_down.is_some()) {
        return script_again(ctx, line, "notify_down");
    }
    let script = ctx.notify_script(line, 0, "notify");
    set(ctx, |rs| rs.notify_down = script)
}

/// `}`: unless tunnelled, the server must be of the virtual server's family.
fn end(ctx: &mut Ctx<'_>) -> Flow {
    let scratch = &mut ctx.scratch.lvs;
    let (Some(rs), Some(vs)) = (scratch.real_server.take(), scratch.virtual_server.as_mut()) else {
        return Ok(());
    };
    let own = Family::of(&rs.addr.ip());
    if rs.forwarding.method != Some(ForwardingMethod::Tunnel)
        && *vs.family.get_or_insert(own) != own
    {
        ctx.report(
            Class::GeneralError,
            format!(
                "Address family of virtual server and real server {} don't match - skipping real server.",
                Shown(rs.addr.ip())
            ),
        );
        return Ok(());
    }
    vs.real_servers.push(rs);
    Ok(())
}
