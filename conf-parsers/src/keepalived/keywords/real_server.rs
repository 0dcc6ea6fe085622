//! `real_server` blocks.

use net_types::Family;

use super::lvs::{optional_bool, port_word};
use super::server_values::{set, set_value};
use super::virtual_server::read_forwarding;
use super::{
    checker_bfd, checker_dns, checker_file, checker_http, checker_misc, checker_plain,
    checker_smtp, checker_udp, server_values,
};
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Feature, Flow, Guard, Line, kw, kw_block, kw_quoted};
use crate::keepalived::model::lvs::{CheckTimes, ForwardingMethod, RealServer, WEIGHT_MAX};
use crate::keepalived::sockaddr::Shown;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw("weight", weight),
        kw("lvs_method", forwarding_method),
        kw("uthreshold", upper_threshold),
        kw("lthreshold", lower_threshold),
        kw("inhibit_on_failure", inhibit),
        kw_quoted("notify_up", |ctx, line| {
            server_values::script(ctx, line, |rs: &mut RealServer| &mut rs.notify_up)
        }),
        kw_quoted("notify_down", |ctx, line| {
            server_values::script(ctx, line, |rs: &mut RealServer| &mut rs.notify_down)
        }),
        kw("alpha", alpha),
        kw("retry", server_values::retry::<RealServer>),
        kw(
            "delay_before_retry",
            server_values::delay_before_retry::<RealServer>,
        ),
        kw("warmup", server_values::warmup::<RealServer>),
        kw("connect_timeout", |ctx, line| {
            server_values::connect_timeout(ctx, line, |rs: &mut RealServer, t| {
                rs.connect_timeout = Some(t)
            })
        }),
        kw("delay_loop", server_values::delay_loop::<RealServer>),
        kw("smtp_alert", smtp_alert),
        kw("virtualhost", server_values::virtualhost::<RealServer>),
        kw("snmp_name", server_values::snmp_name::<RealServer>).only_with(Feature::SnmpChecker),
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

fn weight(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 0, WEIGHT_MAX, true),
        |w| format!("Real server weight {w} is outside range 0-{WEIGHT_MAX}"),
        |rs: &mut RealServer, n| rs.weight = Some(n),
    )
}

fn forwarding_method(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let own = ctx.scratch.lvs.real_server.as_ref();
    let before = own.map(|rs| rs.forwarding).unwrap_or_default();
    let forwarding = read_forwarding(ctx, line, before, "real")?;
    set(ctx, |rs: &mut RealServer| rs.forwarding = forwarding)
}

fn upper_threshold(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 0, u32::MAX, true),
        |w| format!("Invalid real_server uthreshold '{w}' - ignoring"),
        |rs: &mut RealServer, n| rs.upper_threshold = n,
    )
}

fn lower_threshold(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 0, u32::MAX, true),
        |w| format!("Invalid real_server lthreshold '{w}' - ignoring"),
        |rs: &mut RealServer, n| rs.lower_threshold = n,
    )
}

fn inhibit(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid inhibit_on_failure parameter") {
        Some(on) => set(ctx, |rs: &mut RealServer| rs.inhibit = Some(on)),
        None => Ok(()),
    }
}

fn alpha(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid alpha parameter") {
        Some(on) => set(ctx, |rs: &mut RealServer| rs.alpha = Some(on)),
        None => Ok(()),
    }
}

fn smtp_alert(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid real_server smtp_alert parameter") {
        Some(on) => {
            let lines = &mut ctx.model.lvs.smtp_alert_lines;
            *lines = lines.saturating_add(1);
            set(ctx, |rs: &mut RealServer| rs.smtp_alert = Some(on))
        }
        None => Ok(()),
    }
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
