//! SNMP and D-Bus.

use super::Field;
use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};

/// Longest path name.
const PATH_MAX: usize = 4096;

pub(super) fn socket(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let text = match (line.get(1), &ctx.model.global.snmp_socket) {
        _ if line.len() > 2 => {
            "Too many parameters specified for snmp_socket - ignoring".to_owned()
        }
        (None, _) => "SNMP error : snmp socket name missing".to_owned(),
        (Some(name), _) if name.len() > PATH_MAX - 1 => {
            "SNMP error : snmp socket name too long - ignored".to_owned()
        }
        (Some(_), Some(old)) => format!("SNMP socket already set to {old} - ignoring"),
        (Some(name), None) => {
            ctx.model.global.snmp_socket = Some(name.to_owned());
            return Ok(());
        }
    };
    ctx.report(Class::GeneralError, text);
    Ok(())
}

pub(super) fn interval(ctx: &mut Ctx<'_>, line: &Line, field: Field<u64>) -> Flow {
    let word = line.word(ctx, 1)?;
    match ctx.read_timer(word, 1000, 30_000_000, true) {
        Some(interval) => *field(&mut ctx.model.global) = interval,
        None => ctx.report(
            Class::GeneralError,
            format!("snmp stats vs update interval '{word}' invalid - ignoring"),
        ),
    }
    Ok(())
}

pub(super) fn dbus_name(ctx: &mut Ctx<'_>, line: &Line, field: Field<Option<String>>) -> Flow {
    match line.get(1) {
        None => ctx.report(
            Class::GeneralError,
            format!("{} missing - ignoring", line.keyword()),
        ),
        Some(name) => *field(&mut ctx.model.global) = Some(name.to_owned()),
    }
    Ok(())
}
