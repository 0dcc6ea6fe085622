//! `DNS_CHECK`

use super::checker::{self, DraftKind};
use crate::diag::Class;
use crate::keepalived::engine::{Block, Ctx, Flow, Keyword, Line, joined, kw};
use crate::keepalived::model::check::{CheckKind, DnsType};

const KEYWORDS: [Keyword; 15] = joined(
    &checker::CONNECTING,
    &[kw("type", record_type), kw("name", name)],
);

/// Inside of the block.
pub(super) static BLOCK: Block = Block {
    keywords: &KEYWORDS,
    end: Some(end),
    guard: Some(checker::GUARD),
};

/// `DNS_CHECK`
pub(super) fn begin(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let kind = DraftKind::Dns {
        record: DnsType::default(),
        name: None,
    };
    checker::begin_connecting(ctx, line, kind);
    Ok(())
}

fn record_type(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let Some(kind) = DnsType::by_name(word) else {
        ctx.report(
            Class::GeneralError,
            format!("Unknown DNS check type {word} - ignoring"),
        );
        return Ok(());
    };
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        if let DraftKind::Dns { record, .. } = &mut draft.kind {
            *record = kind;
        }
    }
    Ok(())
}

fn name(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let draft = ctx.scratch.lvs.checker.as_ref();
    if draft.is_some_and(|d| matches!(d.kind, DraftKind::Dns { name: Some(_), .. })) {
        ctx.report(
            Class::GeneralError,
            "DNS_CHECK name already specified - ignoring",
        );
        return Ok(());
    }
    let word = line.word(ctx, 1)?;
    if has_empty_label(word) {
        ctx.report(
            Class::GeneralError,
            format!("DNS_CHECK name '{word}' has empty label - ignoring"),
        );
        return Ok(());
    }
    if let Some(draft) = &mut ctx.scratch.lvs.checker {
        if let DraftKind::Dns { name, .. } = &mut draft.kind {
            *name = Some(word.into());
        }
    }
    Ok(())
}

/// The original's test. It also refuses names whose first label has one character only (`a.example`).
fn has_empty_label(name: &str) -> bool {
    let bytes = name.as_bytes();
    (bytes.first() == Some(&b'.') && bytes.len() > 1)
        || bytes.get(1) == Some(&b'.')
        || bytes.windows(2).any(|pair| pair == b"..")
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    let Some(mut draft) = checker::take_checked(ctx) else {
        return Ok(());
    };
    if let DraftKind::Dns { record, name } = &mut draft.kind {
        let kind = CheckKind::Dns {
            record: *record,
            name: name.take().unwrap_or_default(),
        };
        checker::add(ctx, draft.finish(kind));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::has_empty_label;

    #[test]
    fn labels() {
        for good in ["", ".", "example.com", "example.com.", "localhost"] {
            assert!(!has_empty_label(good), "{good}");
        }
        for bad in [".com", "ex..com", "a.example", ".."] {
            assert!(has_empty_label(bad), "{bad}");
        }
    }
}
