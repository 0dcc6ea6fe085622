//! The keyword engine: walks the consolidated lines, finds each keyword in static tables and calls its handler.
//!
//! A handler gets the context and the keyword's line. Missing words end the process in the original, so reading a word is
//! fallible: `let name = line.word(ctx, 1)?;`. Everything else is reported with [`Ctx::report`] and parsing goes on.

mod table;
mod words;

pub use table::{
    Block, EndHandler, Guard, Handler, Keyword, Root, joined, kw, kw_block, kw_quoted,
};
pub use words::{Line, Word, split_words};

use super::keywords::{Scratch, roots};
use super::lines::{Entry, Lines};
use super::model::Model;
use crate::diag::{Class, Diagnostic, EXIT_CONFIG};
use crate::source::Host;
use crate::span::Span;

/// Which process parses. Each looks at its own blocks and skips the others silently.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// The parent: globals; it notes which children are needed.
    Parent,
    /// The VRRP child.
    Vrrp,
    /// The healthcheck child.
    Checker,
    /// The BFD child.
    Bfd,
}

/// How to parse.
#[derive(Clone, Debug, Default)]
pub struct ParseOptions {
    /// `-t`: bad numbers are never accepted with a warning, and nothing outside the configuration is looked for.
    pub config_test: bool,
    /// `-D`.
    pub log_detail: bool,
    /// True while re-reading after SIGHUP; children then read global_defs themselves.
    pub reload: bool,
    /// `-s NAME`, which makes `net_namespace` lines ineffective.
    pub namespace_from_command_line: Option<String>,
    /// `-u`, which makes `umask` lines ineffective.
    pub umask_from_command_line: bool,
    /// Optional parts of the build.
    pub features: Features,
}

/// A part that the original has only with a configure option; without it its keywords are unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Feature {
    /// Polling of the link state (`--enable-linkbeat`, on by default).
    Linkbeat = 1,
    /// iptables and ipset names (OpenWrt has it, Debian not).
    Iptables = 2,
    /// Process tracking (`--disable-track-process`; Debian has it, OpenWrt not).
    TrackProcess = 4,
    /// BFD (Debian has it, OpenWrt not).
    Bfd = 8,
    /// Virtual servers (`--disable-lvs`; both have it).
    Lvs = 16,
    /// SNMP (Debian has it, OpenWrt not).
    Snmp = 32,
    /// D-Bus (Debian has it, OpenWrt not).
    Dbus = 64,
    /// Regular expressions of `HTTP_GET` (`--enable-regex`; Debian has it, OpenWrt not).
    Regex = 128,
    /// SNMP of virtual servers (with [`Feature::Snmp`] and [`Feature::Lvs`]).
    SnmpChecker = 256,
}

/// A set of [`Feature`]s. The default is Debian's build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Features(u16);

impl Default for Features {
    fn default() -> Self {
        Self(0)
            .with(Feature::Linkbeat)
            .with(Feature::TrackProcess)
            .with(Feature::Bfd)
            .with(Feature::Lvs)
            .with(Feature::Snmp)
            .with(Feature::Dbus)
            .with(Feature::Regex)
            .with(Feature::SnmpChecker)
    }
}

impl Features {
    /// OpenWrt's build of the original.
    pub const fn openwrt() -> Self {
        Self(0)
            .with(Feature::Linkbeat)
            .with(Feature::Iptables)
            .with(Feature::Lvs)
    }
    /// Adds one.
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | feature as u16)
    }
    /// Removes one.
    pub const fn without(self, feature: Feature) -> Self {
        Self(self.0 & !(feature as u16))
    }
    /// Whether it is there.
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & feature as u16 != 0
    }
}

/// The process must end now with this status (a word was missing).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exit(pub u8);

/// What handlers return.
pub type Flow = Result<(), Exit>;

/// What a parse leaves.
#[derive(Debug)]
pub struct Outcome {
    /// The model; complete for the part's own blocks.
    pub model: Model,
    /// Messages in order.
    pub diagnostics: Vec<Diagnostic>,
    /// Highest class seen (`Class::Ok` if none).
    pub worst: Class,
    /// Set when the process must end at once (missing word): the status.
    pub exit: Option<u8>,
}

/// What handlers work on.
pub struct Ctx<'a> {
    /// Model being built.
    pub model: Model,
    /// Objects under construction, per keyword family.
    pub scratch: Scratch,
    /// The system.
    pub host: &'a dyn Host,
    /// Which process parses.
    pub part: Part,
    /// How.
    pub options: &'a ParseOptions,
    lines: &'a Lines,
    next: usize,
    here: Option<Span>,
    diagnostics: Vec<Diagnostic>,
    worst: Class,
    depth: u32,
    skip: Skip,
}

/// State of silent skipping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Skip {
    No,
    /// A `{` may follow; if it does not, nothing is skipped.
    AwaitBegin,
    /// Inside, this many braces deep.
    Depth(u32),
}

impl<'a> Ctx<'a> {
    /// A context at the first line.
    pub fn new(
        lines: &'a Lines,
        part: Part,
        host: &'a dyn Host,
        options: &'a ParseOptions,
        model: Model,
    ) -> Self {
        Self {
            model,
            scratch: Scratch::default(),
            host,
            part,
            options,
            lines,
            next: 0,
            here: None,
            diagnostics: Vec::new(),
            worst: Class::Ok,
            depth: 0,
            skip: Skip::No,
        }
    }

    /// Reports a problem at the line being read (the original's report_config_error).
    pub fn report(&mut self, class: Class, text: impl Into<String>) {
        self.worst = self.worst.max(class);
        let span = self.here;
        self.diagnostics.push(Diagnostic {
            class,
            span,
            text: text.into(),
            log: false,
        });
    }

    /// A plain log line: no place, no influence on the verdict, not printed by a configuration test (the original's log_message).
    pub fn log(&mut self, text: impl Into<String>) {
        self.diagnostics.push(Diagnostic {
            class: Class::Ok,
            span: None,
            text: text.into(),
            log: true,
        });
    }

    /// The highest class reported so far.
    pub fn worst(&self) -> Class {
        self.worst
    }

    /// Place of the line being read; none after the last line.
    pub fn here(&self) -> Option<Span> {
        self.here
    }

    /// Reports a missing word and gives the end of the process.
    pub fn missing_parameter(&mut self, line: &Line, index: usize) -> Exit {
        let first = line.keyword();
        let position = index.saturating_add(1);
        let text = match index.checked_sub(1).and_then(|i| line.get(i)) {
            Some(before) => format!(
                "*** Configuration line starting `{first}` is missing a parameter after keyword `{before}` at word position {position}"
            ),
            None => format!(
                "*** Configuration line starting `{first}` is missing a parameter at word position {position}"
            ),
        };
        self.report(Class::MissingParameter, text);
        Exit(EXIT_CONFIG)
    }

    /// Skips the rest of the block: with `need_begin` its `{` is still to come, else we are inside it.
    pub fn skip_block(&mut self, need_begin: bool) {
        self.skip = if need_begin {
            Skip::AwaitBegin
        } else {
            Skip::Depth(1)
        };
    }

    /// Next raw line, passing the reader's messages on.
    fn next_raw(&mut self) -> Option<(Span, &'a str)> {
        loop {
            let entry = self.lines.entries.get(self.next);
            let Some(entry) = entry else {
                self.here = None;
                return None;
            };
            self.next += 1;
            match entry {
                Entry::Line { span, text } => {
                    self.here = Some(*span);
                    return Some((*span, text));
                }
                Entry::IncludeMessage(_) if self.part != Part::Parent => {}
                Entry::Message(d) | Entry::IncludeMessage(d) => {
                    self.worst = self.worst.max(d.class);
                    self.diagnostics.push(d.clone());
                }
            }
        }
    }

    /// Splits a line into words. `table` is the keyword table in force, for the rule about unclosed quotes.
    fn split(&mut self, span: Span, text: &str, table: Option<&[Keyword]>) -> Option<Line> {
        let (words, unmatched) = split_words(text, span);
        if unmatched {
            let allowed = words.len() > 1
                && table
                    .and_then(|t| {
                        t.iter()
                            .find(|k| words.first().is_some_and(|w| &*w.text == k.name))
                    })
                    .is_some_and(|k| k.quoted);
            if !allowed && self.part != Part::Parent {
                self.report(Class::UnmatchedQuote, format!("Unmatched quote: '{text}'"));
            }
        }
        if words.is_empty() {
            return None;
        }
        Some(Line {
            span,
            text: text.into(),
            words,
        })
    }

    /// Reads a value block (`virtual_ipaddress { one entry per line }`) and gives each line to `each`.
    /// `head` is the keyword's line.
    pub fn value_block(
        &mut self,
        head: &Line,
        mut each: impl FnMut(&mut Self, &Line) -> Flow,
    ) -> Flow {
        self.lines_of_block(head, &mut each)
    }

    /// The one reader for whatever is done with the lines.
    fn lines_of_block(
        &mut self,
        head: &Line,
        each: &mut dyn FnMut(&mut Self, &Line) -> Flow,
    ) -> Flow {
        if let Some(extra) = head.get(1) {
            let text = format!("Block {} has extra parameters {extra} ...", head.keyword());
            self.report(Class::GeneralError, text);
        }
        let mut need_begin = true;
        while let Some((span, text)) = self.next_raw() {
            let Some(mut line) = self.split(span, text, None) else {
                continue;
            };
            if need_begin {
                need_begin = false;
                if line.keyword() == "{" {
                    if line.len() == 1 {
                        continue;
                    }
                    line.words.remove(0);
                } else {
                    self.log(format!(
                        "'{{' missing from beginning of block {}",
                        head.keyword()
                    ));
                }
            }
            let ends = line.words.last().is_some_and(|w| &*w.text == "}");
            if ends {
                line.words.pop();
            }
            if !line.is_empty() {
                each(self, &line)?;
            }
            if ends {
                break;
            }
        }
        Ok(())
    }

    /// Reads a value block in which every word is an entry (`group { A B }`).
    pub fn value_words(&mut self, head: &Line) -> Result<Vec<Word>, Exit> {
        let mut words = Vec::new();
        self.value_block(head, |_, line| {
            words.extend(line.words.iter().cloned());
            Ok(())
        })?;
        Ok(words)
    }

    /// Splits the line of a script keyword again, with `'…'`, `"…"` and backslash pairs kept (the original's alloc_strvec_quoted).
    /// None, after a report, if a quote is open; also none if there is no word.
    pub fn split_quoted(&mut self, text: &str) -> Option<Vec<String>> {
        self.split_requoted(text, false)
    }

    /// As [`Self::split_quoted`], with escape sequences converted (regular expressions).
    pub fn split_quoted_escaped(&mut self, text: &str) -> Option<Vec<String>> {
        self.split_requoted(text, true)
    }

    fn split_requoted(&mut self, text: &str, escapes: bool) -> Option<Vec<String>> {
        match super::requote::split(text, escapes) {
            Ok(words) if words.is_empty() => None,
            Ok(words) => Some(words),
            Err(super::requote::Problem::OpenQuote(quote)) => {
                self.report(
                    Class::UnmatchedQuote,
                    format!("String '{text}': missing terminating {quote}"),
                );
                None
            }
            Err(super::requote::Problem::EscapeAtEnd) => {
                self.log(format!("Missing escape char at end: '{text}'"));
                None
            }
        }
    }

    /// Walks everything. After it the messages have no place any more.
    pub fn run(&mut self) -> Flow {
        let result = self.walk_roots();
        self.here = None;
        result?;
        if self.lines.missing_end > 0 {
            let n = self.lines.missing_end;
            self.report(
                Class::MissingEnd,
                format!("There are {n} missing '}}'s or extra '{{'s"),
            );
        }
        Ok(())
    }

    /// Ends the parse.
    pub fn finish(self, exit: Option<u8>) -> Outcome {
        Outcome {
            model: self.model,
            diagnostics: self.diagnostics,
            worst: self.worst,
            exit,
        }
    }

    /// Handles skipping; true if the line was consumed. The second value is true at the end of a block that had its own keywords.
    fn skipped(&mut self, line: &Line, need_begin: &mut bool) -> (bool, bool) {
        if self.skip == Skip::AwaitBegin {
            if line.keyword() == "{" {
                self.skip = Skip::Depth(1);
                *need_begin = false;
                return (true, false);
            }
            self.skip = Skip::No;
        }
        let Skip::Depth(mut depth) = self.skip else {
            return (false, false);
        };
        let mut closed = false;
        for word in &line.words {
            closed = false;
            match &*word.text {
                "{" => depth = depth.saturating_add(1),
                "}" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        closed = true;
                        break;
                    }
                }
                _ => {}
            }
        }
        self.skip = if depth == 0 {
            Skip::No
        } else {
            Skip::Depth(depth)
        };
        (true, closed && self.depth > 0)
    }

    /// Checks braces at a block's head; true if the line was one and is done with.
    fn brace(&mut self, line: &Line, need_begin: &mut bool) -> bool {
        let is_begin = line.keyword() == "{";
        if *need_begin {
            *need_begin = false;
            if is_begin && self.depth > 0 {
                return true;
            }
            self.report(
                Class::MissingBegin,
                "Missing '{' at beginning of configuration block",
            );
        } else if is_begin {
            self.report(Class::UnexpectedBegin, "Unexpected '{' - ignoring");
            return true;
        }
        false
    }

    fn walk_roots(&mut self) -> Flow {
        let mut need_begin = false;
        let roots = roots();
        while let Some((span, text)) = self.next_raw() {
            let Some(line) = self.split(span, text, None) else {
                continue;
            };
            if self.skipped(&line, &mut need_begin).0 || self.brace(&line, &mut need_begin) {
                continue;
            }
            let root = roots.iter().flat_map(|t| t.iter()).find(|r| {
                r.keyword.name == line.keyword()
                    && r.keyword.known(self.options.features)
                    && self.present(r)
            });
            match root {
                None => self.unknown(&line),
                Some(root) if (root.active)(self.part, self.options.reload) => {
                    self.enter(&root.keyword, None, &line)?
                }
                Some(root) => {
                    self.skip = Skip::AwaitBegin;
                    if let Some(noted) = root.noted {
                        noted(self);
                    }
                }
            }
        }
        Ok(())
    }

    /// A keyword may have several roots, one per part; the active one wins, else the first.
    fn present(&self, root: &Root) -> bool {
        let active = |r: &Root| (r.active)(self.part, self.options.reload);
        active(root)
            || !roots()
                .iter()
                .flat_map(|t| t.iter())
                .any(|r| r.keyword.name == root.keyword.name && active(r))
    }

    fn unknown(&mut self, line: &Line) {
        self.report(
            Class::UnknownKeyword,
            format!("Unknown keyword '{}'", line.keyword()),
        );
    }

    /// Runs a keyword's handler and, for a block, its inside. `guard` is the enclosing block's.
    fn enter(&mut self, keyword: &'static Keyword, guard: Option<Guard>, line: &Line) -> Flow {
        if let Some(handler) = keyword.handler {
            if guard.is_none_or(|g| (g.is_open)(self)) {
                handler(self, line)?;
            }
        }
        let Some(block) = keyword.block else {
            return Ok(());
        };
        self.depth = self.depth.saturating_add(1);
        let skipped = self.walk_block(block, guard);
        self.depth = self.depth.saturating_sub(1);
        if skipped? {
            return Ok(());
        }
        let inner = block.guard.or(guard);
        if let Some(end) = block.end {
            if inner.is_none_or(|g| (g.is_open)(self)) {
                end(self)?;
            }
            if let Some(g) = block.guard {
                (g.clear)(self);
            }
        }
        Ok(())
    }

    /// Walks the inside of a block; true if the block was skipped by its handler.
    fn walk_block(&mut self, block: &'static Block, outer: Option<Guard>) -> Result<bool, Exit> {
        let guard = block.guard.or(outer);
        let mut need_begin = true;
        while let Some((span, text)) = self.next_raw() {
            let Some(line) = self.split(span, text, Some(block.keywords)) else {
                continue;
            };
            let (consumed, ended) = self.skipped(&line, &mut need_begin);
            if ended {
                return Ok(true);
            }
            if consumed || self.brace(&line, &mut need_begin) {
                continue;
            }
            if line.keyword() == "}" {
                break;
            }
            match block
                .keywords
                .iter()
                .find(|k| k.name == line.keyword() && k.known(self.options.features))
            {
                None => self.unknown(&line),
                Some(k) => self.enter(k, guard, &line)?,
            }
        }
        Ok(false)
    }
}
