//! What all checkers share: the draft being read, the common keywords, connection options.

use std::net::{IpAddr, SocketAddr};

use net_types::Family;

use super::lvs::optional_bool;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Guard, Keyword, Line, joined, kw};
use crate::keepalived::model::check::{CheckKind, Checker, Connection, DnsType, HttpGet, UdpCheck};
use crate::keepalived::model::lvs::CheckTimes;
use crate::keepalived::sockaddr::Shown;
use crate::span::{Span, Spanned};

/// Longest interface name.
const INTERFACE_NAME_MAX: usize = 15;

/// A checker being read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) span: Span,
    pub(super) kind: DraftKind,
    /// `None` for checkers without connection keywords.
    pub(super) connection: Option<Connection>,
    /// Family of the address to connect to, as far as it is decided.
    target_family: Option<Family>,
    pub(super) times: CheckTimes,
    pub(super) alpha: Option<bool>,
    pub(super) log_all_failures: bool,
}

/// Kinds with what may still be missing.
#[derive(Debug)]
pub(super) enum DraftKind {
    Http(HttpGet),
    Tcp,
    Ping,
    Smtp {
        helo: Option<Box<str>>,
    },
    Dns {
        record: DnsType,
        name: Option<Box<str>>,
    },
    Udp(UdpCheck),
    Misc {
        args: Option<Vec<String>>,
        account: Option<(u32, u32)>,
        timeout: u64,
        dynamic: bool,
    },
    Bfd {
        session: Option<Spanned<Box<str>>>,
    },
}

impl Draft {
    fn new(span: Span, kind: DraftKind) -> Self {
        Self {
            span,
            kind,
            connection: None,
            target_family: None,
            times: CheckTimes::default(),
            alpha: None,
            log_all_failures: false,
        }
    }

    /// The checker with its kind decided.
    pub(super) fn finish(self, kind: CheckKind) -> Checker {
        Checker {
            span: self.span,
            kind,
            connection: self.connection,
            times: self.times,
            alpha: self.alpha,
            log_all_failures: self.log_all_failures,
        }
    }
}

/// Inner keywords run while the checker exists.
pub(super) const GUARD: Guard = Guard {
    is_open: |ctx| ctx.scratch.lvs.checker.is_some(),
    clear: |ctx| ctx.scratch.lvs.checker = None,
};

/// Begins a checker without connection keywords.
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line, kind: DraftKind) {
    ctx.scratch.lvs.checker = Some(Draft::new(line.span, kind));
}

/// Begins a checker that connects to the real server unless told otherwise.
pub(super) fn begin_connecting(ctx: &mut Ctx<'_>, line: &Line, kind: DraftKind) {
    let mut draft = Draft::new(line.span, kind);
    draft.connection = Some(Connection::default());
    draft.target_family = real_server(ctx).map(|addr| Family::of(&addr.ip()));
    ctx.scratch.lvs.checker = Some(draft);
}

/// As [`begin_connecting`], but the target's family is open until `connect_ip` (SMTP_CHECK).
pub(super) fn begin_connecting_anywhere(ctx: &mut Ctx<'_>, line: &Line, kind: DraftKind) {
    begin_connecting(ctx, line, kind);
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        draft.target_family = None;
    }
}

fn real_server(ctx: &Ctx<'_>) -> Option<SocketAddr> {
    ctx.scratch.lvs.real_server.as_ref().map(|rs| rs.addr)
}

/// Hangs a finished checker into its real server.
pub(super) fn add(ctx: &mut Ctx<'_>, checker: Checker) {
    if let Some(rs) = &mut ctx.scratch.lvs.real_server {
        // Most real servers have one, and there may be tens of thousands of them.
        rs.checkers.reserve_exact(1);
        rs.checkers.push(checker);
    }
}

/// Whether the target can be reached as described; reports otherwise.
pub(super) fn check_connection(ctx: &mut Ctx<'_>, connection: &Connection) -> bool {
    let Some(server) = real_server(ctx) else {
        return true;
    };
    let IpAddr::V6(target) = connection.target(server).ip() else {
        return true;
    };
    if target.is_unicast_link_local() && connection.bind_if.is_none() {
        ctx.report(
            Class::GeneralError,
            format!(
                "Checker link local address {} requires a bind_if",
                Shown(target.into())
            ),
        );
        return false;
    }
    true
}

/// Takes the draft whose connection has been checked; none if there is none or it was refused.
pub(super) fn take_checked(ctx: &mut Ctx<'_>) -> Option<Draft> {
    let draft = ctx.scratch.lvs.checker.take()?;
    match &draft.connection {
        Some(connection) if !check_connection(ctx, connection) => None,
        _ => Some(draft),
    }
}

/// Drops the checker being read; the rest of its block is ignored.
pub(super) fn drop_draft(ctx: &mut Ctx<'_>) {
    ctx.scratch.lvs.checker = None;
}

/// Keywords of every checker that runs periodically.
pub(super) const TIMES: [Keyword; 6] = [
    kw("retry", retry),
    kw("delay_before_retry", delay_before_retry),
    kw("warmup", warmup),
    kw("delay_loop", delay_loop),
    kw("alpha", alpha),
    kw("log_all_failures", log_all_failures),
];

/// Keywords of every checker that connects.
pub(super) const CONNECTING: [Keyword; 13] = joined(
    &[
        kw("connect_ip", connect_ip),
        kw("connect_port", connect_port),
        kw("bindto", bind_to),
        kw("bind_port", bind_port),
        kw("bind_if", bind_if),
        kw("connect_timeout", connect_timeout),
        kw("fwmark", fwmark),
    ],
    &TIMES,
);

fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut Draft)) -> Flow {
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        change(draft);
    }
    Ok(())
}

fn set_connection(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut Connection)) -> Flow {
    set(ctx, |draft| {
        if let Some(connection) = &mut draft.connection {
            change(connection);
        }
    })
}

fn complain(ctx: &mut Ctx<'_>, text: String) -> Flow {
    ctx.report(Class::GeneralError, text);
    Ok(())
}

fn connect_ip(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(addr) = ctx.read_sockaddr(word, None) else {
        set(ctx, |draft| draft.target_family = None)?;
        return complain(ctx, format!("Invalid connect_ip address {word} - ignoring"));
    };
    let own = Family::of(&addr.ip());
    let connection = ctx
        .scratch
        .lvs
        .checker
        .as_ref()
        .and_then(|d| d.connection.as_ref());
    let source = connection.and_then(|c| c.bind_ip);
    if source.is_some_and(|ip| Family::of(&ip) != own) {
        set(ctx, |draft| draft.target_family = None)?;
        return complain(
            ctx,
            format!("connect_ip address {word} does not match address family of bindto - skipping"),
        );
    }
    set(ctx, |draft| draft.target_family = Some(own))?;
    set_connection(ctx, |c| c.ip = Some(addr.ip()))
}

fn connect_port(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 1, 65_535, true) {
        Some(port) => set_connection(ctx, |c| c.port = u16::try_from(port).ok()),
        None => complain(ctx, format!("Invalid checker connect_port '{word}'")),
    }
}

fn bind_to(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(addr) = ctx.read_sockaddr(word, None) else {
        set_connection(ctx, |c| c.bind_ip = None)?;
        return complain(ctx, format!("Invalid bindto address {word} - ignoring"));
    };
    let own = Family::of(&addr.ip());
    let target = ctx
        .scratch
        .lvs
        .checker
        .as_ref()
        .and_then(|d| d.target_family);
    if target.is_some_and(|family| family != own) {
        set_connection(ctx, |c| c.bind_ip = None)?;
        return complain(
            ctx,
            format!("bindto address {word} does not match address family of connect_ip - skipping"),
        );
    }
    set_connection(ctx, |c| c.bind_ip = Some(addr.ip()))
}

fn bind_port(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 1, 65_535, true) {
        Some(port) => set_connection(ctx, |c| c.bind_port = u16::try_from(port).ok()),
        None => complain(ctx, format!("Invalid checker bind_port '{word}'")),
    }
}

fn bind_if(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    if word.len() > INTERFACE_NAME_MAX {
        return complain(ctx, format!("Interface name {word} is too long - ignoring"));
    }
    // An empty name, `""`, is none.
    let name = (!word.is_empty()).then(|| Box::new(Spanned::new(word.into(), line.span_of(1))));
    set_connection(ctx, |c| c.bind_if = name)
}

fn connect_timeout(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_timer(word, 1, u64::from(u32::MAX), true) {
        Some(time) => set_connection(ctx, |c| c.timeout = Some(time)),
        None => complain(ctx, format!("connect_timeout {word} invalid - ignoring")),
    }
}

fn fwmark(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, u32::MAX, true) {
        Some(mark) => set_connection(ctx, |c| c.fwmark = mark),
        None => complain(ctx, format!("Invalid fwmark connection value '{word}'")),
    }
}

fn retry(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, u32::MAX, true) {
        Some(retry) => set_retry(ctx, retry),
        None => complain(ctx, format!("Invalid retry connection value '{word}'")),
    }
}

/// Stores `retry`.
pub(super) fn set_retry(ctx: &mut Ctx<'_>, retry: u32) -> Flow {
    set(ctx, |d| d.times.retry = Some(retry))
}

fn delay_before_retry(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_timer(word, 0, 0, true) {
        Some(time) => set(ctx, |d| d.times.delay_before_retry = Some(time)),
        None => complain(
            ctx,
            format!("Invalid delay_before_retry connection value '{word}'"),
        ),
    }
}

fn warmup(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_timer(word, 0, 0, true) {
        Some(time) => set(ctx, |d| d.times.warmup = Some(time)),
        None => complain(ctx, format!("Invalid warmup connection value '{word}'")),
    }
}

fn delay_loop(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_timer(word, 1, 0, true) {
        Some(time) => set(ctx, |d| d.times.delay_loop = Some(time)),
        None => complain(ctx, format!("delay_loop '{word}' is invalid - ignoring")),
    }
}

pub(super) fn alpha(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid alpha parameter") {
        Some(on) => set(ctx, |d| d.alpha = Some(on)),
        None => Ok(()),
    }
}

fn log_all_failures(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid log_all_failures parameter") {
        Some(on) => set(ctx, |d| d.log_all_failures = on),
        None => Ok(()),
    }
}
