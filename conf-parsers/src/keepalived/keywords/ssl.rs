//! The top-level `SSL` block.

use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Guard, Line, kw};
use crate::keepalived::model::lvs::Ssl;

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &[
        kw("password", |ctx, line| {
            let Some((value, ssl)) = file(ctx, line, "password") else {
                return Ok(());
            };
            ssl.password = Some(value);
            Ok(())
        }),
        kw("ca", |ctx, line| {
            let Some((value, ssl)) = file(ctx, line, "cafile") else {
                return Ok(());
            };
            ssl.ca = Some(value);
            Ok(())
        }),
        kw("certificate", |ctx, line| {
            let Some((value, ssl)) = file(ctx, line, "certfile") else {
                return Ok(());
            };
            ssl.certificate = Some(value);
            Ok(())
        }),
        kw("key", |ctx, line| {
            let Some((value, ssl)) = file(ctx, line, "keyfile") else {
                return Ok(());
            };
            ssl.key = Some(value);
            Ok(())
        }),
    ],
    end: None,
    guard: Some(Guard {
        is_open: |ctx| ctx.model.lvs.ssl.is_some(),
        clear: |_| {},
    }),
};

/// `SSL`
pub(super) fn begin(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    if ctx.model.lvs.ssl.is_some() {
        ctx.report(
            Class::GeneralError,
            "SSL context already specified - replacing",
        );
    }
    ctx.model.lvs.ssl = Some(Ssl::default());
    Ok(())
}

/// The value of a line and the block; none after a report.
fn file<'c>(ctx: &'c mut Ctx<'_>, line: &Line, kind: &str) -> Option<(Box<str>, &'c mut Ssl)> {
    let Some(value) = line.get(1) else {
        ctx.report(Class::GeneralError, format!("SSL {kind} missing"));
        return None;
    };
    let before = ctx.model.lvs.ssl.as_ref().and_then(|ssl| {
        match kind {
            "password" => &ssl.password,
            "cafile" => &ssl.ca,
            "certfile" => &ssl.certificate,
            _ => &ssl.key,
        }
        .clone()
    });
    super::lvs::note_duplicate(ctx, before.as_deref(), value, "SSL");
    ctx.model.lvs.ssl.as_mut().map(|ssl| (value.into(), ssl))
}
