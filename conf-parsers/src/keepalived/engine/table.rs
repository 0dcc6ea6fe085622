//! Keyword tables: what stands in them, and how it is written.

use super::{Ctx, Feature, Features, Flow, Line, Part};

/// A keyword's handler.
pub type Handler = for<'a> fn(&mut Ctx<'a>, &Line) -> Flow;

/// Called at a block's end, after its `}`.
pub type EndHandler = for<'a> fn(&mut Ctx<'a>) -> Flow;

/// Guard of a block's inner keywords: they run only while the object that the block's handler made exists.
#[derive(Clone, Copy)]
pub struct Guard {
    /// True while the object exists.
    pub is_open: for<'a, 'b> fn(&'b Ctx<'a>) -> bool,
    /// Forgets the object, after the end handler.
    pub clear: for<'a> fn(&mut Ctx<'a>),
}

/// A keyword of a table.
#[derive(Clone, Copy)]
pub struct Keyword {
    /// The word.
    pub name: &'static str,
    /// What to do with its line; none for a bare container.
    pub handler: Option<Handler>,
    /// Inner keywords; `Some` makes it a block that needs `{`. Value blocks (one entry per line) have none and read their lines with
    /// [`Ctx::value_block`].
    pub block: Option<&'static Block>,
    /// The second word may be a quoted text with escapes, so that an unclosed `"` is not an error here.
    pub quoted: bool,
    /// Known only with this part of the build.
    pub feature: Option<Feature>,
}

/// The inside of a block.
pub struct Block {
    /// Keywords.
    pub keywords: &'static [Keyword],
    /// Runs at `}`.
    pub end: Option<EndHandler>,
    /// Guard of the inner keywords and of `end`.
    pub guard: Option<Guard>,
}

/// A plain keyword.
pub const fn kw(name: &'static str, handler: Handler) -> Keyword {
    Keyword {
        name,
        handler: Some(handler),
        block: None,
        quoted: false,
        feature: None,
    }
}

/// A keyword whose second word may be a script with quotes and escapes.
pub const fn kw_quoted(name: &'static str, handler: Handler) -> Keyword {
    Keyword {
        name,
        handler: Some(handler),
        block: None,
        quoted: true,
        feature: None,
    }
}

/// A block with inner keywords.
pub const fn kw_block(
    name: &'static str,
    handler: Option<Handler>,
    block: &'static Block,
) -> Keyword {
    Keyword {
        name,
        handler,
        block: Some(block),
        quoted: false,
        feature: None,
    }
}

/// Two tables one behind the other; `ALL` is the sum of their lengths.
pub const fn joined<const FIRST: usize, const SECOND: usize, const ALL: usize>(
    first: &[Keyword; FIRST],
    second: &[Keyword; SECOND],
) -> [Keyword; ALL] {
    assert!(FIRST + SECOND == ALL);
    let mut all = [first[0]; ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < FIRST {
            first[at]
        } else {
            second[at - FIRST]
        };
        at += 1;
    }
    all
}

impl Keyword {
    /// The same keyword, known only with a part of the build.
    pub const fn only_with(self, feature: Feature) -> Self {
        Self {
            feature: Some(feature),
            ..self
        }
    }
    pub(super) fn known(&self, features: Features) -> bool {
        self.feature.is_none_or(|f| features.has(f))
    }
}

/// A keyword of the top level.
pub struct Root {
    /// The keyword.
    pub keyword: Keyword,
    /// True if the part reads it (the flag: reloading); otherwise its block is skipped.
    pub active: fn(Part, bool) -> bool,
    /// Called when the keyword is met and skipped, so that the parent learns which children are needed.
    pub noted: Option<for<'a> fn(&mut Ctx<'a>)>,
}
