//! A line of the consolidated configuration, split into words.

use super::{Ctx, Exit};
use crate::keepalived::number::WHITE_SPACE;
use crate::span::Span;

/// A word of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    /// Text, without quotes.
    pub text: Box<str>,
    /// Place.
    pub span: Span,
    /// It was in double quotes.
    pub quoted: bool,
}

impl std::ops::Deref for Word {
    type Target = str;
    fn deref(&self) -> &str {
        &self.text
    }
}

/// One line, split into words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Place.
    pub span: Span,
    /// The line as it stood after expansion; script and regex keywords split it again.
    pub text: Box<str>,
    /// At least one word.
    pub words: Vec<Word>,
}

impl Line {
    /// Number of words, keyword included (the original's vector size).
    pub fn len(&self) -> usize {
        self.words.len()
    }
    /// Never true for lines that the engine hands out.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
    /// The keyword, or "" on an empty line.
    pub fn keyword(&self) -> &str {
        self.get(0).unwrap_or("")
    }
    /// Word at `index` if there is one.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.words.get(index).map(|w| &*w.text)
    }
    /// Word at `index`; if it is missing, reports that and ends the process with status 2, as the original does.
    pub fn word(&self, ctx: &mut Ctx<'_>, index: usize) -> Result<&str, Exit> {
        self.full_word(ctx, index).map(|w| &*w.text)
    }
    /// As [`Self::word`], with place and quoting.
    pub fn full_word(&self, ctx: &mut Ctx<'_>, index: usize) -> Result<&Word, Exit> {
        match self.words.get(index) {
            Some(w) => Ok(w),
            None => Err(ctx.missing_parameter(self, index)),
        }
    }
    /// Place of the word at `index`, else of the line.
    pub fn span_of(&self, index: usize) -> Span {
        self.words.get(index).map_or(self.span, |w| w.span)
    }
    /// The words from `index` on, joined by single blanks.
    pub fn joined(&self, index: usize) -> String {
        self.words
            .get(index..)
            .unwrap_or(&[])
            .iter()
            .map(|w| &*w.text)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Splits at white space; `"…"` is one word without its quotes. The flag tells of an unclosed quote, at which splitting stops.
pub fn split_words(text: &str, span: Span) -> (Vec<Word>, bool) {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(WHITE_SPACE);
        if rest.is_empty() {
            return (words, false);
        }
        let column = text.len().saturating_sub(rest.len()).saturating_add(1);
        let span = span.at(column);
        if let Some(inner) = rest.strip_prefix('"') {
            let Some((word, after)) = inner.split_once('"') else {
                return (words, true);
            };
            words.push(Word {
                text: word.into(),
                span,
                quoted: true,
            });
            rest = after;
        } else {
            let end = rest
                .find(|c| c == '"' || WHITE_SPACE.contains(&c))
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            words.push(Word {
                text: word.into(),
                span,
                quoted: false,
            });
            rest = after;
        }
    }
}
