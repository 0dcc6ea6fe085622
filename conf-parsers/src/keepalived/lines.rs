//! The consolidated configuration: what is left after includes, conditions, definitions and repetitions.
//!
//! One value of [`Lines`] is made by the process that reads the files ([`super::reader::read`]); all processes parse the same value,
//! so that they see the same text even if the files change meanwhile. It can be written to and read from a memory file.

use crate::diag::{Class, Diagnostic};
use crate::source::{FileName, Files};
use crate::span::{FileId, Span};

/// One step of the consolidated configuration, in reading order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A line without comments and outer blanks. A brace is always a line of its own.
    Line {
        /// Place.
        span: Span,
        /// Text, never empty.
        text: Box<str>,
    },
    /// A message of the reader. It is repeated by every process, at this place among its own messages.
    Message(Diagnostic),
    /// A message about an include. Only the process that read the files reports it.
    IncludeMessage(Diagnostic),
}

/// The whole configuration after reading.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lines {
    /// Files opened.
    pub files: Files,
    /// Lines and messages in order.
    pub entries: Vec<Entry>,
    /// Number of `}` missing at the end.
    pub missing_end: u32,
    /// True when an include that had to succeed failed (the process exits 6).
    pub include_failed: bool,
    /// False when the top file could not be opened; there is nothing to parse then.
    pub opened: bool,
}

const CLASSES: [Class; 17] = [
    Class::Ok,
    Class::FileNotFound,
    Class::BadInterface,
    Class::Fatal,
    Class::MultipleFiles,
    Class::UnknownKeyword,
    Class::UnexpectedBegin,
    Class::MissingBegin,
    Class::UnexpectedEnd,
    Class::MissingEnd,
    Class::UnmatchedQuote,
    Class::MissingParameter,
    Class::InvalidNumber,
    Class::GeneralError,
    Class::Warning,
    Class::Deprecated,
    Class::Security,
];

impl Lines {
    /// Writes everything as text, one record a line: `F`ile, `U`nended piece of it, `L`ine, `M`essage, `I`nclude message, `E`nd.
    pub fn to_text(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        for f in self.files.iter() {
            let _ = writeln!(out, "F {} {}", u8::from(f.named), f.shown);
            for piece in &f.unended {
                let _ = writeln!(out, "U {piece}");
            }
        }
        for e in &self.entries {
            let _ = match e {
                Entry::Line { span, text } => {
                    writeln!(out, "L {} {} {text}", span.file.0, span.line)
                }
                Entry::Message(d) => writeln!(out, "M {}", message_text(d)),
                Entry::IncludeMessage(d) => writeln!(out, "I {}", message_text(d)),
            };
        }
        let _ = writeln!(
            out,
            "E {} {} {}",
            self.missing_end,
            u8::from(self.include_failed),
            u8::from(self.opened)
        );
        out
    }

    /// Reads back what [`Self::to_text`] wrote; `None` if the text is damaged or cut short.
    pub fn from_text(text: &str) -> Option<Self> {
        let mut lines = Self::default();
        let mut complete = false;
        for record in text.split_terminator('\n') {
            let (kind, rest) = record.split_once(' ')?;
            match kind {
                "F" => {
                    let (named, shown) = rest.split_once(' ')?;
                    lines.files.add(FileName {
                        shown: shown.to_owned(),
                        named: named == "1",
                        unended: Vec::new(),
                    });
                }
                "U" => lines.files.last_mut()?.unended.push(rest.parse().ok()?),
                "L" => {
                    let mut parts = rest.splitn(3, ' ');
                    let file = FileId(parts.next()?.parse().ok()?);
                    let line = parts.next()?.parse().ok()?;
                    let text = parts.next()?.into();
                    lines.entries.push(Entry::Line {
                        span: Span { file, line, col: 0 },
                        text,
                    });
                }
                "M" => lines.entries.push(Entry::Message(message_from(rest)?)),
                "I" => lines
                    .entries
                    .push(Entry::IncludeMessage(message_from(rest)?)),
                "E" => {
                    let mut parts = rest.split(' ');
                    lines.missing_end = parts.next()?.parse().ok()?;
                    lines.include_failed = parts.next()? == "1";
                    lines.opened = parts.next()? == "1";
                    complete = true;
                }
                _ => return None,
            }
        }
        complete.then_some(lines)
    }
}

fn message_text(d: &Diagnostic) -> String {
    let class = CLASSES.iter().position(|c| *c == d.class).unwrap_or(0);
    match d.span {
        Some(s) => format!("{class} {} {} {}", s.file.0, s.line, d.text),
        None if d.log => format!("{class} log - {}", d.text),
        None => format!("{class} - - {}", d.text),
    }
}

fn message_from(rest: &str) -> Option<Diagnostic> {
    let mut parts = rest.splitn(4, ' ');
    let class = *CLASSES.get(parts.next()?.parse::<usize>().ok()?)?;
    let (file, line) = (parts.next()?, parts.next()?);
    let span = if file == "-" || file == "log" {
        None
    } else {
        Some(Span {
            file: FileId(file.parse().ok()?),
            line: line.parse().ok()?,
            col: 0,
        })
    };
    Some(Diagnostic {
        class,
        span,
        text: parts.next()?.to_owned(),
        log: file == "log",
    })
}
