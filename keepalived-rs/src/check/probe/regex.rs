//! `regex` of a url: the body is searched as it comes, with no more of it kept than a match may have begun in.
//!
//! As in the original, headers that came together with the beginning of the body are searched, too, and count for the offsets.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use conf_parsers::keepalived::model::check::Regex;
use linux_io::regex::{Found, Pattern, Refused, option};

/// As much as the original has room for.
const ROOM: usize = 4095;
// What the library calls its errors (pcre2.h).
const BAD_MAGIC: i32 = -31;
const BAD_OPTION: i32 = -34;
const NO_MEMORY: i32 = -48;
const NULL: i32 = -51;

/// A pattern in the text, with its options and its stack.
type Key = (Box<str>, u32, Option<(usize, usize)>);

/// Patterns, each compiled once.
#[derive(Default)]
pub(super) struct Patterns {
    compiled: BTreeMap<Key, Rc<RefCell<Pattern>>>,
    /// The library can not be loaded, which was said.
    missing: bool,
}

impl Patterns {
    /// # Errors
    /// The line about a pattern that is no good, or about a missing library, which is said once.
    fn get(&mut self, key: Key) -> Result<Rc<RefCell<Pattern>>, Option<String>> {
        if let Some(pattern) = self.compiled.get(&key) {
            return Ok(Rc::clone(pattern));
        }
        if self.missing {
            return Err(None);
        }
        let (text, bits, stack) = &key;
        let pattern = Pattern::new(text, *bits, *stack).map_err(|why| match why {
            Refused::Invalid { offset, message } => {
                format!("Invalid regex: '{text}' at offset {offset}: {message}\n")
            }
            Refused::Library(reason) => {
                self.missing = true;
                format!("Checks with regex are not run: PCRE2 can not be loaded: {reason}")
            }
        })?;
        let pattern = Rc::new(RefCell::new(pattern));
        self.compiled.insert(key, Rc::clone(&pattern));
        Ok(pattern)
    }
}

/// The search in one page.
pub(super) struct Search {
    pattern: Rc<RefCell<Pattern>>,
    no_match: bool,
    min: usize,
    /// One past the last place where a match may begin; 0: anywhere.
    max: usize,
    buffer: Vec<u8>,
    /// Where in the page the buffer begins.
    offset: usize,
    /// Where in the buffer to begin.
    start: usize,
    matched: bool,
}

impl Search {
    /// # Errors
    /// That of the pattern.
    pub(super) fn new(patterns: &mut Patterns, regex: &Regex) -> Result<Self, Option<String>> {
        let bits = regex.options.iter().filter_map(|name| option(name));
        let bits = bits.fold(0, |all, bit| all | bit);
        let key = ((&*regex.pattern.value).into(), bits, regex.stack);
        let pattern = patterns.get(key)?;
        Ok(Self {
            pattern,
            no_match: regex.no_match,
            min: regex.min_offset,
            max: regex.max_offset,
            buffer: Vec::new(),
            offset: 0,
            start: 0,
            matched: false,
        })
    }

    /// The next piece of the page.
    pub(super) fn look(&mut self, mut piece: &[u8], say: &mut dyn FnMut(String)) {
        while !piece.is_empty() && !self.matched {
            let room = ROOM.saturating_sub(self.buffer.len()).min(piece.len());
            let (now, later) = piece.split_at_checked(room).unwrap_or((piece, &[]));
            self.buffer.extend_from_slice(now);
            piece = later;
            if !self.search(say) {
                self.offset = self.offset.saturating_add(self.buffer.len());
                self.buffer.clear();
            }
        }
    }

    /// Whether the buffer is to be kept.
    fn search(&mut self, say: &mut dyn FnMut(String)) -> bool {
        let mut pattern = self.pattern.borrow_mut();
        let lookbehind = pattern.lookbehind();
        let length = self.buffer.len();
        let end = self.offset.saturating_add(length);
        if self.min != 0 && end < self.min.saturating_sub(lookbehind) {
            return false;
        }
        if self.max != 0 && self.offset.saturating_add(self.start) >= self.max {
            return false;
        }
        let begin = self.min.saturating_sub(self.offset).max(self.start);
        self.start = 0;
        match pattern.search(&self.buffer, begin) {
            Found::Partial(at) => {
                let drop = at.saturating_sub(lookbehind);
                if drop > 0 {
                    self.start = lookbehind;
                    self.buffer.drain(..drop.min(length));
                    self.offset = self.offset.saturating_add(drop);
                } else if length >= ROOM {
                    say("Regex partial match preserve too large - discarding".to_owned());
                    return false;
                }
                return true;
            }
            Found::Match(at, crowded) => {
                if crowded {
                    say("Too many substrings found".to_owned());
                }
                self.matched = self.max == 0 || self.offset.saturating_add(at) < self.max;
            }
            Found::Nothing => {}
            Found::Error(error) => say(match error {
                NULL => "Something was null in regex match".to_owned(),
                BAD_OPTION => "A bad option was passed to regex".to_owned(),
                BAD_MAGIC => "Magic number bad (compiled regex corrupt?)".to_owned(),
                NO_MEMORY => "Regex an out of memory".to_owned(),
                other => format!("Unknown regex error {other}"),
            }),
        }
        false
    }

    pub(super) fn satisfied(&self) -> bool {
        self.matched != self.no_match
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf_parsers::span::{Span, Spanned};

    fn search(pattern: &str, min: usize, max: usize, pieces: &[&[u8]]) -> bool {
        let regex = Regex {
            pattern: Spanned::new(pattern.into(), Span::default()),
            no_match: false,
            options: Vec::new(),
            min_offset: min,
            max_offset: max,
            stack: None,
        };
        let mut search = Search::new(&mut Patterns::default(), &regex).unwrap();
        for piece in pieces {
            search.look(piece, &mut |_| ());
            assert!(search.buffer.len() <= ROOM);
        }
        search.satisfied()
    }

    #[test]
    fn across_pieces_and_between_offsets() {
        if !testkit::need::libraries("across_pieces_and_between_offsets") {
            return;
        }
        assert!(search("abc", 0, 0, &[b"..a", b"b", b"c.."]));
        assert!(search("(?<=y)abc", 0, 0, &[b"..ya", b"b", b"c.."]));
        assert!(!search("abd", 0, 0, &[b"..a", b"b", b"c.."]));
        assert!(search("abc", 2, 0, &[b"..abc"]));
        assert!(!search("abc", 3, 0, &[b"..abc"]));
        assert!(search("abc", 0, 3, &[b"..abc"]));
        assert!(!search("abc", 0, 2, &[b"..abc"]));
        assert!(search("abc", 8, 0, &[b"abc", b"abc", b"..abc"]));
        let long = [b'a'; 20_000];
        assert!(!search("a+b", 0, 0, &[&long]));
    }
}
