//! Router name and mail.

use std::net::SocketAddr;

use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};

pub(super) fn router_id(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match line.get(1) {
        None => ctx.report(Class::GeneralError, "routerid name missing - ignoring"),
        Some(name) => ctx.model.global.router_id = Some(name.to_owned()),
    }
    Ok(())
}

pub(super) fn email_from(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(address) = line.get(1) else {
        ctx.report(Class::GeneralError, "emailfrom missing - ignoring");
        return Ok(());
    };
    if let Some(extra) = line.get(2) {
        ctx.report(
            Class::GeneralError,
            format!("emailfrom - ignoring extra entries '{extra}' ..."),
        );
    }
    let formatted = format_address(ctx, address);
    ctx.model.global.notification_email_from = Some(formatted);
    Ok(())
}

/// Puts a display name into quotes if it has characters that need it (RFC 5322 section 3.2.3).
fn format_address(ctx: &mut Ctx<'_>, address: &str) -> String {
    if !address.ends_with('>') {
        return address.to_owned();
    }
    let Some(open) = address.rfind('<') else {
        ctx.log(format!("email address '{address}' invalid"));
        return address.to_owned();
    };
    let (before, mailbox) = address.split_at(open);
    let name = before.trim_end_matches([' ', '\t']);
    if !name.contains(['(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '.']) {
        return address.to_owned();
    }
    let blanks = before.get(name.len()..).unwrap_or("");
    let escaped: String = name
        .chars()
        .flat_map(|c| {
            matches!(c, '"' | '\\')
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect();
    format!("\"{escaped}\"{blanks}{mailbox}")
}

pub(super) fn server(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let port = line.get(2).unwrap_or("25");
    let name = line.word(ctx, 1)?;
    let mut address = None;
    if !name.contains(['-', '/']) {
        address = ctx.read_sockaddr(name, Some(port));
    }
    if address.is_none() {
        address = resolve(ctx, name, port);
    }
    if address.is_none() {
        ctx.report(
            Class::GeneralError,
            format!("Invalid smtp server {name} {port}"),
        );
    }
    ctx.model.global.smtp_server = address;
    Ok(())
}

/// First address of a host name. The original reads the port a second time here, so a bad one is reported twice.
fn resolve(ctx: &mut Ctx<'_>, name: &str, port: &str) -> Option<SocketAddr> {
    let port = u16::try_from(ctx.read_unsigned(port, 1, 65535, true)?).ok()?;
    let address = ctx.host.resolve(name, "").ok()?.first()?.ip();
    Some(SocketAddr::new(address, port))
}

pub(super) fn helo_name(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    if let Some(name) = line.get(1) {
        ctx.model.global.smtp_helo_name = Some(name.to_owned());
    }
    Ok(())
}

/// Seconds that fit as microseconds in 32 bits.
pub(super) const MAX_SECONDS: u32 = 4294;

pub(super) fn connect_timeout(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(mut seconds) = ctx.read_unsigned(word, 0, MAX_SECONDS, true) else {
        let text =
            format!("smtp_connect_timeout '{word}' must be in [0, {MAX_SECONDS}] - ignoring");
        ctx.report(Class::GeneralError, text);
        return Ok(());
    };
    if seconds == 0 {
        ctx.report(
            Class::GeneralError,
            "smtp_conect_timeout must be greater than 0, setting to 1",
        );
        seconds = 1;
    }
    ctx.model.global.smtp_connect_timeout = u64::from(seconds).saturating_mul(1_000_000);
    Ok(())
}

pub(super) fn email(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let words = ctx.value_words(line)?;
    if words.is_empty() {
        ctx.report(
            Class::GeneralError,
            "Warning - empty notification_email block",
        );
    }
    for word in words {
        let address = format_address(ctx, &word);
        ctx.model.global.notification_email.push(address);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keepalived::{Lines, ParseOptions, Part};
    use crate::source::FakeHost;

    #[test]
    fn display_names() {
        let (lines, host, options) = (
            Lines::default(),
            FakeHost::default(),
            ParseOptions::default(),
        );
        let mut ctx = Ctx::new(&lines, Part::Parent, &host, &options, Default::default());
        for (given, expected) in [
            ("a@b", "a@b"),
            ("A B <a@b>", "A B <a@b>"),
            ("A. B <a@b>", "\"A. B\" <a@b>"),
            ("A.\\ <a@b>", "\"A.\\\\\" <a@b>"),
        ] {
            assert_eq!(format_address(&mut ctx, given), expected);
        }
    }
}
