//! `regex` of a url: the body is searched as it comes.

use conf_parsers::keepalived::model::check::Regex;

/// There is none.
enum Never {}

/// No pattern is ever compiled.
#[derive(Default)]
pub(super) struct Patterns {}

/// A search that is never made: this program was built without regular expressions, and does not know the keyword.
pub(super) struct Search(Never);

impl Search {
    pub(super) fn new(_patterns: &mut Patterns, _regex: &Regex) -> Result<Self, Option<String>> {
        Err(None)
    }

    pub(super) fn look(&mut self, _body: &[u8], _say: &mut dyn FnMut(String)) {
        match self.0 {}
    }

    pub(super) fn satisfied(&self) -> bool {
        match self.0 {}
    }
}
