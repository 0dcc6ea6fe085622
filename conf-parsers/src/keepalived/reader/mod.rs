//! From files to [`Lines`]: includes, conditions, definitions, repetitions (keepalived-behaviour.md section 3).
//!
//! The original expands definitions in every process again; here it is done once, so that all processes see the same random numbers
//! and environment.

mod comment;
mod define;
mod include;
mod repeat;

use super::lines::{Entry, Lines};
use crate::diag::{Class, Diagnostic};
use crate::source::Host;
use crate::span::Span;
use define::{Definitions, MAX_LINE, Place, Replaced};
use include::{Check, FileMessage, Stack};
use repeat::Repeat;

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// Configuration identity for `@ID` lines and `${_INSTANCE}` (`-i`, else the host name up to its first dot).
    pub config_id: String,
    /// `-e`: every include must match and be readable.
    pub check_all_includes: bool,
    /// `-D`: each file that is opened is logged.
    pub log_detail: bool,
    /// Most lines that the configuration may expand to; none = [`MAX_LINES`].
    pub max_lines: Option<usize>,
}

/// Most lines that a configuration may expand to. `~SEQ` can ask for any number; memory is finite. Tens of thousands of real servers
/// with twenty lines each must fit.
pub const MAX_LINES: usize = 2_000_000;

/// Reads the configuration at `path` (a glob). The top name is checked first, as at the original's start; if that fails the result is
/// not `opened` and holds only the messages.
pub fn read(host: &dyn Host, path: &str, options: &ReadOptions) -> Lines {
    let mut reader = Reader::new(host, options);
    let (messages, good) = include::check_top(host, path, reader.stack.check);
    reader.lines.include_failed |= messages.iter().any(|m| m.class == Class::FileNotFound)
        && reader.stack.check != Check::default();
    reader.file_messages(messages);
    if !good {
        return reader.lines;
    }
    reader.read_all(path);
    reader.lines
}

struct Reader<'h> {
    host: &'h dyn Host,
    config_id: &'h str,
    stack: Stack,
    definitions: Definitions,
    repeats: Vec<Repeat>,
    /// Repetitions that were open when the innermost multi-line definition began; only newer ones run before its next line.
    repeat_floor: usize,
    /// Rests of multi-line definitions being expanded, with the floor to restore.
    multiline: Vec<(String, usize)>,
    residue: Option<String>,
    lines: Lines,
    depth: u32,
    in_globals: InGlobals,
    max_lines: usize,
    steps: usize,
}

/// Follows the lines just enough to see `include_check` in global_defs, which the reader itself must obey.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum InGlobals {
    No,
    Named,
    Inside,
}

impl<'h> Reader<'h> {
    fn new(host: &'h dyn Host, options: &'h ReadOptions) -> Self {
        let check = if options.check_all_includes {
            Check::ALL
        } else {
            Check::default()
        };
        Self {
            host,
            config_id: &options.config_id,
            stack: Stack::new(check, options.log_detail),
            definitions: Definitions::new(),
            repeats: Vec::new(),
            repeat_floor: 0,
            multiline: Vec::new(),
            residue: None,
            lines: Lines::default(),
            depth: 0,
            in_globals: InGlobals::No,
            max_lines: options.max_lines.unwrap_or(MAX_LINES),
            steps: 0,
        }
    }

    fn read_all(&mut self, path: &str) {
        let mut messages = Vec::new();
        let top = Check::READ.with(Check::MATCH).with(Check::WILDCARD);
        let opened = self.stack.open(self.host, path, top, &mut messages);
        self.file_messages(messages);
        if opened {
            self.lines.opened = true;
            self.log(format!("Configuration file {path}"));
            while let Some((span, text)) = self.next_line() {
                self.follow(&text);
                self.lines.entries.push(Entry::Line {
                    span,
                    text: text.into(),
                });
            }
        } else {
            let text = "Failed to open configuration file".to_owned();
            self.include_message(Diagnostic {
                class: Class::FileNotFound,
                span: None,
                text,
                log: false,
            });
            self.lines.include_failed = true;
        }
        self.lines.missing_end = self.depth;
        self.lines.include_failed |= self.stack.failed;
        self.lines.files = std::mem::take(&mut self.stack.files);
    }

    fn report(&mut self, class: Class, text: String) {
        let span = self.stack.here();
        self.lines.entries.push(Entry::Message(Diagnostic {
            class,
            span,
            text,
            log: false,
        }));
    }

    fn log(&mut self, text: String) {
        self.include_message(Diagnostic {
            class: Class::Ok,
            span: None,
            text,
            log: true,
        });
    }

    fn include_message(&mut self, d: Diagnostic) {
        self.lines.entries.push(Entry::IncludeMessage(d));
    }

    fn file_messages(&mut self, messages: Vec<FileMessage>) {
        for FileMessage {
            class,
            text,
            span,
            log,
        } in messages
        {
            self.include_message(Diagnostic {
                class,
                span,
                text,
                log,
            });
        }
    }

    /// Notes global_defs and obeys its include_check.
    fn follow(&mut self, text: &str) {
        let mut words = text.split_ascii_whitespace();
        let first = words.next().unwrap_or("");
        match (self.in_globals, first) {
            (_, "global_defs") if self.depth == 0 => self.in_globals = InGlobals::Named,
            (InGlobals::Named, "{") => self.in_globals = InGlobals::Inside,
            (InGlobals::Inside, "include_check") if self.depth == 1 => {
                self.stack.check = self.stack.check.apply(words)
            }
            (InGlobals::Inside, "}") if self.depth == 0 => self.in_globals = InGlobals::No,
            (InGlobals::Named, _) => self.in_globals = InGlobals::No,
            _ => {}
        }
    }

    /// The next line of a file that is not empty, without its comment. None at the end of all files.
    /// `defining` is the multi-line definition being read; an empty line ends it.
    fn physical_line(&mut self, defining: &mut Option<usize>) -> Option<String> {
        loop {
            let mut messages = Vec::new();
            let piece = self.stack.next_piece(self.host, &mut messages);
            self.file_messages(messages);
            let piece = piece?;
            if piece.is_empty() {
                if let Some(index) = defining.take() {
                    self.definitions.end(index);
                }
                continue;
            }
            let stripped = self.strip(&piece);
            if !stripped.is_empty() {
                return Some(stripped);
            }
        }
    }

    fn strip(&mut self, line: &str) -> String {
        let (kept, unterminated) = comment::strip(line);
        if let Some(text) = unterminated {
            self.report(Class::GeneralError, format!("Unterminated quote '{text}'"));
        }
        kept
    }

    /// Where the next text comes from: the rest after a brace, a repetition, a multi-line definition, or the files.
    fn next_text(&mut self, defining: &mut Option<usize>) -> Option<String> {
        if let Some(rest) = self.residue.take() {
            return Some(rest);
        }
        if self.repeats.len() > self.repeat_floor {
            if let Some(mut repeat) = self.repeats.pop() {
                let text = repeat.text.clone();
                for (name, value) in repeat.advance().unwrap_or_default() {
                    self.definitions.set(&name, value);
                }
                if !repeat.is_done() {
                    self.repeats.push(repeat);
                }
                return Some(text);
            }
        }
        if let Some((rest, _)) = self.multiline.last_mut() {
            if let Some((line, after)) = rest.split_once('\n') {
                let line = line.to_owned();
                *rest = after.to_owned();
                return Some(line);
            }
            let (last, floor) = self.multiline.pop().unwrap_or_default();
            self.repeat_floor = floor;
            return Some(last);
        }
        self.physical_line(defining)
    }

    /// The next line for the engine.
    fn next_line(&mut self) -> Option<(Span, String)> {
        let mut defining = None;
        loop {
            // Counted here, because a repetition of definitions makes no lines and could still go on for ever.
            self.steps = self.steps.saturating_add(1);
            if self.steps > self.max_lines {
                self.report(
                    Class::GeneralError,
                    format!("more than {} lines - ignoring the rest", self.max_lines),
                );
                return None;
            }
            let text = self.next_text(&mut defining)?;
            if let Some(index) = defining {
                if !self.definitions.extend(index, &text) {
                    defining = None;
                }
                continue;
            }
            if text.is_empty() {
                continue;
            }
            let Some(line) = self.expand(text, &mut defining) else {
                continue;
            };
            if include::is_include(&line) {
                if let Some((check, pattern)) = include::split(&line) {
                    let mut messages = Vec::new();
                    self.stack.open(self.host, pattern, check, &mut messages);
                    self.file_messages(messages);
                }
                continue;
            }
            let span = self.stack.here().unwrap_or_default();
            return Some((span, self.split_brace(line)));
        }
    }

    /// Conditions, definitions, repetitions and references of one line. None if nothing is left of it.
    fn expand(&mut self, mut line: String, defining: &mut Option<usize>) -> Option<String> {
        loop {
            if line.starts_with('@') {
                line = condition(&line, self.config_id)?.to_owned();
            }
            if let Some((index, more)) = self.definitions.define(&line) {
                if more {
                    *defining = Some(index);
                }
                return None;
            }
            if line.starts_with("~SEQ") || line.starts_with("~LST") {
                self.repeat(&line);
                return None;
            }
            if line.starts_with('~') || !line.contains('$') {
                break;
            }
            if !self.replace(&mut line) {
                break;
            }
            line = self.strip(&line);
            // A replacement that made a repetition without further references is left as text, as by the original.
            if !line.starts_with('@') && !line.contains('$') {
                break;
            }
        }
        Some(line).filter(|l| !l.is_empty())
    }

    /// Replaces references; true if something changed.
    fn replace(&mut self, line: &mut String) -> bool {
        let before = self.repeats.len();
        let place = Place {
            host: self.host,
            dir: self.stack.dir(),
            instance: self.config_id,
        };
        let Replaced {
            any,
            multiline,
            too_long,
            remarks,
            errors,
        } = self.definitions.replace(line, MAX_LINE, &place);
        for text in too_long.into_iter().chain(remarks) {
            self.log(text);
        }
        for text in errors {
            self.report(Class::GeneralError, text);
        }
        if any {
            for rest in multiline {
                self.multiline.push((rest, self.repeat_floor));
                self.repeat_floor = before;
            }
        }
        any
    }

    fn repeat(&mut self, line: &str) {
        let place = Place {
            host: self.host,
            dir: self.stack.dir(),
            instance: self.config_id,
        };
        let definitions = &self.definitions;
        let is_sequence = line.starts_with("~SEQ");
        let result = if is_sequence {
            repeat::sequence(line, |numbers| {
                definitions
                    .replace(numbers, 64, &place)
                    .multiline
                    .is_empty()
            })
        } else {
            repeat::list(line)
        };
        match result {
            Ok(r) => self.repeats.push(r),
            Err(problem) => {
                if let Some(sentence) = problem.sentence() {
                    self.report(Class::GeneralError, format!("{sentence} '{line}'"));
                }
                let word = if is_sequence { "~SEQ" } else { "~LST" };
                self.report(
                    Class::GeneralError,
                    format!("Invalid {word} specification '{line}'"),
                );
            }
        }
    }

    /// Cuts the line at its first brace outside quotes: a brace is always a line of its own.
    fn split_brace(&mut self, mut line: String) -> String {
        let at = if line.starts_with(['{', '}']) {
            Some(0)
        } else {
            first_brace(&line)
        };
        if let Some(at) = at {
            let cut = if at == 0 { 1 } else { at };
            let rest = line.get(cut..).unwrap_or("").trim_matches([' ', '\t']);
            if !rest.is_empty() {
                self.residue = Some(rest.to_owned());
            }
            line.truncate(cut);
        }
        line.truncate(line.trim_end_matches([' ', '\t']).len());
        match line.as_str() {
            "{" => self.depth = self.depth.saturating_add(1),
            "}" if self.depth == 0 => {
                self.report(Class::UnexpectedEnd, "Extra '}' found".to_owned())
            }
            "}" => self.depth -= 1,
            _ => {}
        }
        line
    }
}

/// The text of an `@ID` line if the condition holds.
fn condition<'l>(line: &'l str, config_id: &str) -> Option<&'l str> {
    let body = line.strip_prefix('@')?;
    let (negated, body) = match body.strip_prefix('^') {
        Some(b) => (true, b),
        None => (false, body),
    };
    let (id, rest) = body.split_once([' ', '\t'])?;
    ((id == config_id) != negated).then(|| rest.trim_start_matches([' ', '\t']))
}

fn first_brace(line: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + line.get(from..)?.find(['{', '}', '"'])?;
        if line.as_bytes().get(at) != Some(&b'"') {
            return Some(at);
        }
        from = at + 1 + line.get(at + 1..)?.find('"')? + 1;
    }
}

#[cfg(test)]
mod tests;
