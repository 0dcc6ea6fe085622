//! What the children do alike around their own loops: taking signals, reading the configuration at the start and at a
//! reload, the last line.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::{Lines, Part};
use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::signals::Signals;
use linux_io::signal::Signal;

use super::{Context, Kind};
use crate::config::parse_child;
use crate::host::System;
use crate::text::{errno::sentence, life::stopped};

/// Exit status of a child that can not work here.
pub const EXIT_FATAL: u8 = 1;

/// Lives as a child until it is told to stop; the exit status. `run` is its loop; it gets the signals of `handled`.
pub fn live(
    kind: Kind,
    context: &mut Context,
    handled: &[Signal],
    run: impl FnOnce(&mut Context, &Signals) -> io::Result<u8>,
) -> u8 {
    let detail = context.options.log_detail > 0;
    let ended = Signals::take(handled).and_then(|signals| run(context, &signals));
    let status = ended.unwrap_or_else(|e| {
        log!(
            Priority::Err,
            "{} process cannot run - {}",
            kind.word(),
            sentence(&e)
        );
        EXIT_FATAL
    });
    log!(Priority::Info, "{}", stopped(detail));
    status
}

/// The configuration at the start. `Ok(Err(status))`: it ends the process.
///
/// # Errors
/// When it can not be read.
pub fn configuration(
    kind: Kind,
    context: &Context,
    host: &System,
) -> io::Result<Result<Model, u8>> {
    let lines = context.shared.read().inspect_err(|_| {
        log!(Priority::Err, "Cannot read the configuration");
    })?;
    Ok(parse(kind, lines, context, host, false))
}

/// The lines of a new configuration. `None` after saying that the old one stays, and telling the parent that this is all.
pub fn new_lines(context: &Context) -> Option<Lines> {
    match context.shared.read() {
        Ok(lines) => Some(lines),
        Err(e) => {
            log!(
                Priority::Err,
                "Cannot read the new configuration, keeping the old one - {}",
                sentence(&e)
            );
            context.config_read();
            None
        }
    }
}

/// Parses a child's part and says what is wrong with it and what has no effect yet. Options of `global_defs` come from the
/// parent, but at a reload from the text.
///
/// # Errors
/// The exit status, when the configuration ends the process.
pub fn parse(
    kind: Kind,
    lines: Lines,
    context: &Context,
    host: &System,
    reload: bool,
) -> Result<Model, u8> {
    let part = match kind {
        Kind::Checker => Part::Checker,
        Kind::Vrrp => Part::Vrrp,
        Kind::Bfd => Part::Bfd,
    };
    let inherited = (!reload).then_some(&context.global);
    let outcome = parse_child(&lines, part, host, &context.options, reload, inherited);
    // Not needed while the process lives.
    drop(lines);
    match outcome.exit {
        Some(status) => Err(status),
        None => Ok(outcome.model),
    }
}

/// Where a child's random numbers begin: different in each run and on each machine.
pub fn seed() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let time = u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap_or(0);
    (u64::from(std::process::id()) << 32 ^ time).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
