//! `regex` and its options in a `url` block.

use crate::diag::Class;
use crate::keepalived::engine::{Ctx, Flow, Line};
use crate::keepalived::model::check::Regex;
use crate::keepalived::number::scan;
use crate::span::Spanned;

/// Options of PCRE2 by the original's names.
const OPTIONS: &[&str] = &[
    "allow_empty_class",
    "alt_bsux",
    "auto_callout",
    "caseless",
    "dollar_endonly",
    "dotall",
    "dupnames",
    "extended",
    "firstline",
    "match_unset_backref",
    "multiline",
    "never_ucp",
    "never_utf",
    "no_auto_capture",
    "no_auto_possess",
    "no_dotstar_anchor",
    "no_start_optimize",
    "ucp",
    "ungreedy",
    "utf",
    "never_backslash_c",
    "alt_circumflex",
    "alt_verbnames",
    "use_offset_limit",
];

/// A regular expression being read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Stays from one `url` block to the next if the first has no path, as in the original.
    pattern: Option<Spanned<Box<str>>>,
    no_match: bool,
    options: Vec<&'static str>,
    min_offset: usize,
    max_offset: usize,
    stack: Option<(usize, usize)>,
}

impl Draft {
    /// Begins a `url` block.
    pub(super) fn restart(&mut self) {
        *self = Self {
            pattern: self.pattern.take(),
            ..Self::default()
        };
    }

    fn has_options(&self) -> bool {
        self.no_match
            || !self.options.is_empty()
            || self.min_offset != 0
            || self.max_offset != 0
            || self.stack.is_some()
    }
}

/// `regex "PATTERN"`
pub(super) fn pattern(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let words = ctx.split_quoted_escaped(&line.text).unwrap_or_default();
    let [_, new] = words.as_slice() else {
        ctx.report(Class::GeneralError, "regex missing or too many fields");
        return Ok(());
    };
    let new = Spanned::new(new.as_str().into(), line.span_of(1));
    if let Some(before) = ctx.scratch.lvs.http.regex.pattern.replace(new) {
        let word = line.word(ctx, 1)?;
        ctx.report(
            Class::GeneralError,
            format!(
                "Duplicate regex specified - replacing {} with {word}",
                *before
            ),
        );
    }
    Ok(())
}

/// `regex_no_match`
pub(super) fn no_match(ctx: &mut Ctx<'_>, _line: &Line) -> Flow {
    ctx.scratch.lvs.http.regex.no_match = true;
    Ok(())
}

/// `regex_options WORD…`; unknown words are passed over in silence, as in the original.
pub(super) fn options(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let options = &mut ctx.scratch.lvs.http.regex.options;
    for word in line.words.iter().skip(1) {
        if let Some(name) = OPTIONS.iter().find(|o| **o == &*word.text) {
            if !options.contains(name) {
                options.push(name);
            }
        }
    }
    Ok(())
}

fn offset(ctx: &mut Ctx<'_>, line: &Line, which: &str) -> usize {
    let (Some(word), 2) = (line.get(1), line.len()) else {
        ctx.log(format!(
            "Missing or too may options for regex_{which}_offset"
        ));
        return 0;
    };
    let number = scan(word, 10);
    if number.has_rest() {
        ctx.log(format!("Invalid regex_{which}_offset {word} specified"));
        return 0;
    }
    usize::try_from(number.magnitude).unwrap_or(usize::MAX)
}

/// `regex_min_offset N`
pub(super) fn min_offset(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.scratch.lvs.http.regex.min_offset = offset(ctx, line, "min");
    Ok(())
}

/// `regex_max_offset N`
pub(super) fn max_offset(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    ctx.scratch.lvs.http.regex.max_offset = offset(ctx, line, "max").saturating_add(1);
    Ok(())
}

/// `regex_stack START MAX`
pub(super) fn stack(ctx: &mut Ctx<'_>, line: &Line) -> Flow {
    let (Some(start), Some(max), 3) = (line.get(1), line.get(2), line.len()) else {
        ctx.log("regex_stack requires start and max values");
        return Ok(());
    };
    let number = |word: &str| {
        let n = scan(word, 10);
        (!n.has_rest()).then(|| usize::try_from(n.magnitude).unwrap_or(usize::MAX))
    };
    let Some(start) = number(start) else {
        ctx.log("regex_stack invalid start value");
        return Ok(());
    };
    let Some(max) = number(max) else {
        ctx.log("regex_stack invalid max value");
        return Ok(());
    };
    if start > max {
        ctx.log("regex stack start cannot exceed max value");
        return Ok(());
    }
    ctx.scratch.lvs.http.regex.stack = Some((start, max));
    Ok(())
}

/// The expression of the block that ends. The pattern itself is not compiled here.
pub(super) fn finish(ctx: &mut Ctx<'_>) -> Option<Regex> {
    let mut draft = std::mem::take(&mut ctx.scratch.lvs.http.regex);
    if draft.pattern.is_none() && draft.has_options() {
        ctx.log("regex parameters specified without regex");
        return None;
    }
    if draft.max_offset != 0 && draft.min_offset >= draft.max_offset {
        ctx.log(format!(
            "regex min offset {} > regex_max_offset {} - ignoring",
            draft.min_offset,
            draft.max_offset.saturating_sub(1)
        ));
        draft.min_offset = 0;
        draft.max_offset = 0;
    }
    Some(Regex {
        pattern: draft.pattern?,
        no_match: draft.no_match,
        options: draft.options,
        min_offset: draft.min_offset,
        max_offset: draft.max_offset,
        stack: draft.stack,
    })
}
