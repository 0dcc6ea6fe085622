//! `HTTP_GET` and `SSL_GET` with their `url` blocks.

use super::checker::{self, DraftKind};
use super::checker_regex;
use super::lvs::{note_duplicate, optional_bool};
use crate::diag::Class;
use crate::keepalived::engine::{
    Block, Ctx, Feature, Flow, Guard, Keyword, Line, joined, kw, kw_block,
};
use crate::keepalived::model::check::{
    CheckKind, HttpGet, HttpVersion, STATUS_MAX, STATUS_MIN, StatusCodes, Url,
};
use crate::keepalived::number::scan;
use crate::span::Spanned;

/// A `url` block being read.
#[derive(Debug, Default)]
pub(super) struct UrlDraft {
    pub(super) url: Option<Url>,
    pub(super) regex: checker_regex::Draft,
}

const COMMON: [Keyword; 18] = joined(
    &checker::CONNECTING,
    &[
        kw("nb_get_retry", old_retry),
        kw("virtualhost", virtualhost),
        kw("http_protocol", version),
        kw("enable_sni", enable_sni),
        kw("fast_recovery", fast_recovery),
    ],
);

const HTTP_KEYWORDS: [Keyword; 19] = joined(
    &COMMON,
    &[kw_block("url", Some(begin_url), &HTTP_URL_BLOCK)],
);

const SSL_KEYWORDS: [Keyword; 20] = joined(
    &COMMON,
    &[
        kw("tls_compliant", tls_compliant),
        kw_block("url", Some(begin_url), &SSL_URL_BLOCK),
    ],
);

/// Inside of `HTTP_GET`.
pub(super) static HTTP_BLOCK: Block = Block {
    keywords: &HTTP_KEYWORDS,
    end: Some(end),
    guard: Some(checker::GUARD),
};

/// Inside of `SSL_GET`.
pub(super) static SSL_BLOCK: Block = Block {
    keywords: &SSL_KEYWORDS,
    end: Some(end),
    guard: Some(checker::GUARD),
};

const URL_GUARD: Guard = Guard {
    is_open: |ctx| ctx.scratch.lvs.http.url.is_some(),
    clear: |ctx| ctx.scratch.lvs.http.url = None,
};

const URL_KEYWORDS: [Keyword; 10] = [
    kw("path", path),
    kw("digest", digest),
    kw("status_code", status_code),
    kw("virtualhost", url_virtualhost),
    kw("regex", checker_regex::pattern).only_with(Feature::Regex),
    kw("regex_no_match", checker_regex::no_match).only_with(Feature::Regex),
    kw("regex_options", checker_regex::options).only_with(Feature::Regex),
    kw("regex_min_offset", checker_regex::min_offset).only_with(Feature::Regex),
    kw("regex_max_offset", checker_regex::max_offset).only_with(Feature::Regex),
    kw("regex_stack", checker_regex::stack).only_with(Feature::Regex),
];

static HTTP_URL_BLOCK: Block = Block {
    keywords: &URL_KEYWORDS,
    end: Some(end_url),
    guard: Some(URL_GUARD),
};

const SSL_URL_KEYWORDS: [Keyword; 11] =
    joined(&URL_KEYWORDS, &[kw("tls_compliant", url_tls_compliant)]);

static SSL_URL_BLOCK: Block = Block {
    keywords: &SSL_URL_KEYWORDS,
    end: Some(end_url),
    guard: Some(URL_GUARD),
};

/// `HTTP_GET`
pub(super) fn begin_http(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    checker::begin_connecting(ctx, line, DraftKind::Http(HttpGet::default()));
    Ok(())
}

/// `SSL_GET`
pub(super) fn begin_ssl(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.model.lvs.uses_ssl = true;
    let kind = DraftKind::Http(HttpGet {
        ssl: true,
        ..HttpGet::default()
    });
    checker::begin_connecting(ctx, line, kind);
    Ok(())
}

fn http<'c>(ctx: &'c mut Ctx<'_>) -> Option<&'c mut HttpGet> {
    match &mut ctx.scratch.lvs.checker.as_mut()?.kind {
        DraftKind::Http(http) => Some(http),
        _ => None,
    }
}

fn set(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut HttpGet)) -> Flow {
    if let Some(http) = http(ctx) {
        change(http);
    }
    Ok(())
}

fn set_url(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut Url)) -> Flow {
    if let Some(url) = &mut ctx.scratch.lvs.http.url {
        change(url);
    }
    Ok(())
}

fn complain(ctx: &mut Ctx<'_>, text: impl Into<String>) -> Flow {
    ctx.report(Class::GeneralError, text);
    Ok(())
}

fn old_retry(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.report(
        Class::GeneralError,
        "nb_get_retry is deprecated - please use 'retry'",
    );
    let word = line.word(ctx, 1)?;
    match ctx.read_unsigned(word, 0, u32::MAX, true) {
        Some(retry) => checker::set_retry(ctx, retry),
        None => complain(ctx, format!("Invalid nb_get_retry value '{word}'")),
    }
}

fn virtualhost(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(name) = line.get(1) else {
        return complain(ctx, "HTTP_GET virtualhost name missing");
    };
    let before = http(ctx).and_then(|h| h.virtualhost.clone());
    note_duplicate(ctx, before.as_deref(), name, "virtualhost");
    set(ctx, |h| h.virtualhost = Some(name.into()))
}

fn version(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let version = match line.get(1) {
        None => return complain(ctx, "Missing http_protocol version"),
        Some("1.0") => HttpVersion::V1_0,
        Some("1.1") => HttpVersion::V1_1,
        Some("1.0C" | "1.0c") => HttpVersion::V1_0Close,
        Some(other) => {
            return complain(ctx, format!("Invalid http_protocol version {other}"));
        }
    };
    set(ctx, |h| h.version = version)
}

fn enable_sni(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid enable_sni parameter") {
        Some(on) => set(ctx, |h| h.enable_sni = on),
        None => Ok(()),
    }
}

fn fast_recovery(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid fast_recovery parameter") {
        Some(on) => set(ctx, |h| h.fast_recovery = on),
        None => Ok(()),
    }
}

fn tls_compliant(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid tls_compliant option") {
        Some(on) => set(ctx, |h| h.tls_compliant = on),
        None => Ok(()),
    }
}

fn begin_url(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    ctx.scratch.lvs.http.url = Some(Url::default());
    ctx.scratch.lvs.http.regex.restart();
    Ok(())
}

fn path(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let url = ctx.scratch.lvs.http.url.as_ref();
    let before = url.and_then(|u| u.path.clone());
    note_duplicate(ctx, before.as_ref().map(|p| &***p), word, "path");
    let path = Spanned::new(word.into(), line.span_of(1));
    set_url(ctx, |u| u.path = Some(path))
}

fn digest(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let word = line.word(ctx, 1)?;
    let url = ctx.scratch.lvs.http.url.as_ref();
    if url.is_some_and(|u| u.digest.is_some()) {
        return complain(ctx, format!("Digest '{word}' is a duplicate"));
    }
    if word.len() != 32 {
        return complain(
            ctx,
            format!(
                "digest '{word}' character length should be 32 rather than {}",
                word.len()
            ),
        );
    }
    let mut octets = [0; 16];
    // From the end, as the original: it has cut the text off behind the digits it complains of.
    for (at, octet) in octets.iter_mut().enumerate().rev() {
        let from = at.saturating_mul(2);
        let digits = word.get(from..from.saturating_add(2)).unwrap_or("");
        let number = scan(digits, 16);
        if digits.is_empty() || number.has_rest() {
            let shown = word.get(..from.saturating_add(2)).unwrap_or(word);
            return complain(
                ctx,
                format!(
                    "Unable to interpret hex digit in '{shown}' at offset {from}/{}",
                    from.saturating_add(1)
                ),
            );
        }
        *octet = u8::try_from(number.magnitude & 0xff).unwrap_or(0);
    }
    set_url(ctx, |u| u.digest = Some(octets))
}

fn status_code(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    for word in line.words.iter().skip(1) {
        match status_range(word) {
            Some((min, max)) => set_url(ctx, |u| u.status.insert(min, max))?,
            None => complain(ctx, format!("Invalid HTTP_GET status code '{}'", word.text))?,
        }
    }
    Ok(())
}

/// `CODE` or `CODE-CODE`
fn status_range(word: &str) -> Option<(u16, u16)> {
    let code = |text: &str| {
        let n = scan(text, 10);
        u16::try_from(n.magnitude)
            .ok()
            .filter(|c| !n.has_rest() && !n.negative && (STATUS_MIN..=STATUS_MAX).contains(c))
    };
    let (min, max) = match word.split_once('-') {
        Some((min, max)) => (code(min)?, code(max)?),
        None => (code(word)?, code(word)?),
    };
    (min <= max).then_some((min, max))
}

fn url_virtualhost(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let Some(name) = line.get(1) else {
        return complain(ctx, "Missing HTTP_GET virtualhost name");
    };
    let url = ctx.scratch.lvs.http.url.as_ref();
    let before = url.and_then(|u| u.virtualhost.clone());
    note_duplicate(ctx, before.as_deref(), name, "url virtualhost");
    set_url(ctx, |u| u.virtualhost = Some(name.into()))
}

fn url_tls_compliant(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    match optional_bool(ctx, line, "Invalid tls_compliant option") {
        Some(on) => set_url(ctx, |u| u.tls_compliant = on),
        None => Ok(()),
    }
}

fn end_url(ctx: &mut Ctx<'_>) -> Flow {
    let Some(mut url) = ctx.scratch.lvs.http.url.take() else {
        return Ok(());
    };
    if url.path.is_none() {
        return complain(ctx, "HTTP/SSL_GET checker url has no path - ignoring");
    }
    if url.status.is_empty() {
        url.status = StatusCodes::success();
    }
    url.regex = checker_regex::finish(ctx);
    set(ctx, |h| h.urls.push(url))
}

fn end(ctx: &mut Ctx<'_>) -> Flow {
    if http(ctx).is_some_and(|h| h.urls.is_empty()) {
        checker::drop_draft(ctx);
        return complain(ctx, "HTTP/SSL_GET checker has no urls specified - ignoring");
    }
    let Some(mut draft) = checker::take_checked(ctx) else {
        return Ok(());
    };
    if let DraftKind::Http(http) = &mut draft.kind {
        let kind = CheckKind::Http(Box::new(std::mem::take(http)));
        checker::add(ctx, draft.finish(kind));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::status_range;

    #[test]
    fn status_codes() {
        assert_eq!(status_range("200"), Some((200, 200)));
        assert_eq!(status_range("200-299"), Some((200, 299)));
        for bad in ["", "99", "600", "299-200", "200-", "2x", "200-300-400"] {
            assert_eq!(status_range(bad), None, "{bad}");
        }
    }
}
