//! The values that `virtual_server` and `real_server` blocks have in common.

use super::lvs::note_duplicate;
use super::virtual_server::script_again;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::Script;
use crate::keepalived::model::lvs::{CheckTimes, RealServer, VirtualServer};
use crate::span::Spanned;

/// A server being read.
pub(super) trait Server: Sized {
    /// How messages name it.
    const NAME: &'static str;
    /// How messages about repeated values name it.
    const SHORT: &'static str;
    /// How messages name `delay_before_retry`.
    const DELAY_BEFORE_RETRY: &'static str;
    /// How messages name `delay_loop`.
    const DELAY_LOOP: &'static str;
    /// What its scripts are called in messages.
    const SCRIPTS: &'static str;

    /// The one being read, if there is one.
    fn open<'c>(ctx: &'c mut Ctx<'_>) -> Option<&'c mut Self>;
    fn times(&mut self) -> &mut CheckTimes;
    fn virtualhost(&mut self) -> &mut Option<Box<Spanned<Box<str>>>>;
    fn snmp_name(&mut self) -> &mut Option<Box<str>>;
}

impl Server for VirtualServer {
    const NAME: &'static str = "virtual server";
    const SHORT: &'static str = "vs";
    const DELAY_BEFORE_RETRY: &'static str = "delay before retry";
    const DELAY_LOOP: &'static str = "delay loop";
    const SCRIPTS: &'static str = "quorum";

    fn open<'c>(ctx: &'c mut Ctx<'_>) -> Option<&'c mut Self> {
        ctx.scratch.lvs.virtual_server.as_mut()
    }
    fn times(&mut self) -> &mut CheckTimes {
        &mut self.times
    }
    fn virtualhost(&mut self) -> &mut Option<Box<Spanned<Box<str>>>> {
        &mut self.virtualhost
    }
    fn snmp_name(&mut self) -> &mut Option<Box<str>> {
        &mut self.snmp_name
    }
}

impl Server for RealServer {
    const NAME: &'static str = "real server";
    const SHORT: &'static str = "rs";
    const DELAY_BEFORE_RETRY: &'static str = "delay_before_retry";
    const DELAY_LOOP: &'static str = "delay_loop";
    const SCRIPTS: &'static str = "notify";

    fn open<'c>(ctx: &'c mut Ctx<'_>) -> Option<&'c mut Self> {
        ctx.scratch.lvs.real_server.as_mut()
    }
    fn times(&mut self) -> &mut CheckTimes {
        &mut self.times
    }
    fn virtualhost(&mut self) -> &mut Option<Box<Spanned<Box<str>>>> {
        &mut self.virtualhost
    }
    fn snmp_name(&mut self) -> &mut Option<Box<str>> {
        &mut self.snmp_name
    }
}

/// Changes the server being read.
pub(super) fn set<S: Server>(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut S)) -> Flow {
    if let Some(server) = S::open(ctx) {
        change(server);
    }
    Ok(())
}

/// A value that is stored only if `read` accepts it, else reported with `complaint`.
pub(super) fn set_value<S: Server, T>(
    ctx: &mut Ctx<'_>,
    line: &Line,
    read: impl FnOnce(&mut Ctx<'_>, &str) -> Option<T>,
    complaint: impl FnOnce(&str) -> String,
    change: impl FnOnce(&mut S, T),
) -> Flow {
    let word = line.word(ctx, 1)?;
    match read(ctx, word) {
        Some(value) => set(ctx, |server| change(server, value)),
        None => {
            ctx.report(Class::GeneralError, complaint(word));
            Ok(())
        }
    }
}

/// A time of the checks, of at least `min` µs.
fn time<S: Server>(
    ctx: &mut Ctx<'_>,
    line: &Line,
    min: u64,
    name: &str,
    slot: fn(&mut CheckTimes) -> &mut Option<u64>,
) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_timer(w, min, 0, true),
        |w| format!("{} {name} '{w}' invalid - ignoring", S::NAME),
        |server: &mut S, t| *slot(server.times()) = Some(t),
    )
}

pub(super) fn retry<S: Server>(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_unsigned(w, 1, u32::MAX, false),
        |w| format!("retry value invalid - {w}"),
        |server: &mut S, n| server.times().retry = Some(n),
    )
}

pub(super) fn delay_before_retry<S: Server>(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    time::<S>(ctx, line, 0, S::DELAY_BEFORE_RETRY, |times| {
        &mut times.delay_before_retry
    })
}

pub(super) fn warmup<S: Server>(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    time::<S>(ctx, line, 0, "warmup", |times| &mut times.warmup)
}

pub(super) fn delay_loop<S: Server>(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    time::<S>(ctx, line, 1, S::DELAY_LOOP, |times| &mut times.delay_loop)
}

/// `connect_timeout`, which the two keep in different ways.
pub(super) fn connect_timeout<S: Server>(
    ctx: &mut Ctx<'_>,
    line: &Line,
    change: fn(&mut S, u64),
) -> Flow {
    set_value(
        ctx,
        line,
        |ctx, w| ctx.read_timer(w, 1, u64::from(u32::MAX), true),
        |w| format!("{} connect_timeout {w} invalid - ignoring", S::NAME),
        change,
    )
}

pub(super) fn virtualhost<S: Server>(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(name) = line.get(1) else {
        let text = format!("{} virtualhost missing", S::NAME);
        ctx.report(Class::GeneralError, text);
        return Ok(());
    };
    let new = Box::new(Spanned::new(name.into(), line.span_of(1)));
    let before = S::open(ctx).and_then(|server| server.virtualhost().replace(new));
    let what = format!("{} virtualhost", S::SHORT);
    note_duplicate(ctx, before.as_ref().map(|n| &*n.value), name, &what);
    Ok(())
}

pub(super) fn snmp_name<S: Server>(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let (Some(name), None) = (line.get(1), line.get(2)) else {
        let text = format!("{} snmp_name missing or extra parameters", S::NAME);
        ctx.report(Class::GeneralError, text);
        return Ok(());
    };
    let before = S::open(ctx).and_then(|server| server.snmp_name().replace(name.into()));
    let what = format!("{} snmp_name", S::SHORT);
    note_duplicate(ctx, before.as_deref(), name, &what);
    Ok(())
}

/// A script, of which the first counts.
pub(super) fn script<S: Server>(
    ctx: &mut Ctx<'_>,
    line: &Line,
    slot: fn(&mut S) -> &mut Option<Box<Script>>,
) -> Flow {
    if S::open(ctx).is_some_and(|server| slot(server).is_some()) {
        return script_again(ctx, line);
    }
    let script = ctx.notify_script(line, 0, S::SCRIPTS).map(Box::new);
    set(ctx, |server| *slot(server) = script)
}
