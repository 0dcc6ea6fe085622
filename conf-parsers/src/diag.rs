//! Diagnostics: what is wrong, where, how bad; and the sentences as the original prints them.

use crate::source::Files;
use crate::span::Span;

/// The original's classes of configuration problems, in its order. The order is interface: the exit status of a
/// configuration test comes from the *highest* class seen, so a later, lesser class hides an earlier, worse one
/// (keepalived-behaviour.md sections 1 and 12).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// A remark; no influence.
    Ok,
    /// A file that had to exist does not.
    FileNotFound,
    /// An interface that had to exist does not.
    BadInterface,
    /// Cannot run.
    Fatal,
    /// The top name matched several files.
    MultipleFiles,
    /// Unknown keyword.
    UnknownKeyword,
    /// `{` where none belongs.
    UnexpectedBegin,
    /// `{` missing.
    MissingBegin,
    /// `}` too many.
    UnexpectedEnd,
    /// `}` missing.
    MissingEnd,
    /// A quote is not closed.
    UnmatchedQuote,
    /// A word is missing.
    MissingParameter,
    /// Not a number, or out of range.
    InvalidNumber,
    /// Anything else.
    GeneralError,
    /// Works, but is doubtful.
    Warning,
    /// Old spelling.
    Deprecated,
    /// Scripts without script security.
    Security,
}

/// Exit status of a process that met a configuration error while running (not testing).
pub const EXIT_CONFIG: u8 = 2;

impl Class {
    /// Exit status of `keepalived -t` when this is the highest class seen.
    pub const fn test_exit_status(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::FileNotFound | Self::BadInterface | Self::Fatal => 4,
            Self::Security => 6,
            _ => 5,
        }
    }
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// Class.
    pub class: Class,
    /// Place; none for messages that the original prints without a place (plain log lines, checks after the last line).
    pub span: Option<Span>,
    /// The original's sentence, without prefix and newline.
    pub text: String,
    /// A plain log line (the original's log_message): a configuration test does not print it.
    pub log: bool,
}

/// Who names the place: it decides the form of the prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PrefixStyle {
    /// The process that read the files: the name only when there was more than one file.
    Reader,
    /// A process that read the shared copy: always the name.
    Copy,
}

/// The line as the original logs it: `(Line N) text`, `(FILE: Line N) text` or `text`.
pub fn render(diagnostic: &Diagnostic, files: &Files, style: PrefixStyle) -> String {
    let Some(span) = diagnostic.span else {
        return diagnostic.text.clone();
    };
    let name = files.get(span.file);
    let line = match name {
        Some(name) if style == PrefixStyle::Reader => name.reader_line(span.line),
        _ => span.line,
    };
    match name {
        Some(name) if style == PrefixStyle::Copy || name.named => {
            format!("({}: Line {line}) {}", name.shown, diagnostic.text)
        }
        _ if line > 0 => format!("(Line {line}) {}", diagnostic.text),
        _ => diagnostic.text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::FileName;
    use crate::span::FileId;

    #[test]
    fn prefixes() {
        let mut files = Files::default();
        let top = files.add(FileName {
            shown: "/etc/k.conf".to_owned(),
            named: false,
            unended: vec![4, 6],
        });
        let inc = files.add(FileName {
            shown: "a.conf".to_owned(),
            named: true,
            unended: Vec::new(),
        });
        let d = |file, line| Diagnostic {
            class: Class::Ok,
            span: Some(Span { file, line, col: 0 }),
            text: "x".to_owned(),
            log: false,
        };
        assert_eq!(
            render(&d(top, 3), &files, PrefixStyle::Reader),
            "(Line 3) x"
        );
        assert_eq!(
            render(&d(top, 3), &files, PrefixStyle::Copy),
            "(/etc/k.conf: Line 3) x"
        );
        assert_eq!(
            render(&d(inc, 1), &files, PrefixStyle::Reader),
            "(a.conf: Line 1) x"
        );
        assert_eq!(
            render(&d(top, 7), &files, PrefixStyle::Reader),
            "(Line 5) x"
        );
        assert_eq!(
            render(&d(top, 7), &files, PrefixStyle::Copy),
            "(/etc/k.conf: Line 7) x"
        );
        assert_eq!(render(&d(FileId(9), 0), &files, PrefixStyle::Reader), "x");
        let one = files.add(FileName {
            shown: "/etc/one.conf".to_owned(),
            named: false,
            unended: vec![1],
        });
        // Nothing has a number before the first line is ended.
        assert_eq!(render(&d(one, 1), &files, PrefixStyle::Reader), "x");
    }

    #[test]
    fn status_of_a_test_comes_from_the_highest_class() {
        assert_eq!(
            Class::BadInterface.max(Class::Warning).test_exit_status(),
            5
        );
        assert_eq!(Class::Fatal.test_exit_status(), 4);
        assert_eq!(Class::Security.test_exit_status(), 6);
    }
}
