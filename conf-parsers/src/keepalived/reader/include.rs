//! `include` and the files it opens.

use crate::diag::Class;
use crate::keepalived::glob::{self, has_brace};
use crate::keepalived::text;
use crate::source::{Errno, FileKind, FileName, Source};
use crate::span::{FileId, Span};

/// Longest piece of a line, in bytes; a longer line is read as several.
const MAX_PIECE: usize = 1023;
/// Deepest nesting of includes. A file that includes itself would never end (the original runs out of descriptors).
const MAX_DEPTH: usize = 64;

/// What an include insists on. A set of flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Check(u8);

impl Check {
    /// Files found must be readable, regular and not executable.
    pub(super) const READ: Self = Self(1);
    /// A name without wildcards must exist.
    pub(super) const MATCH: Self = Self(2);
    /// A pattern must match.
    pub(super) const WILDCARD: Self = Self(4);
    /// Every alternative in braces must exist.
    pub(super) const BRACE: Self = Self(8);
    /// All of them.
    pub(super) const ALL: Self = Self(15);

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Applies the words of an `include_check` line; words it does not know are left to the keyword's own messages.
    pub(super) fn apply<'w>(self, words: impl Iterator<Item = &'w str>) -> Self {
        let mut now = self;
        let mut count = 0;
        for word in words {
            count += 1;
            let (sign, name) = match word.as_bytes().first() {
                Some(sign @ (b'+' | b'-')) => (Some(*sign), word.get(1..).unwrap_or("")),
                _ if count == 1 => {
                    now = Self::default();
                    (None, word)
                }
                _ => continue,
            };
            let flag = match name {
                "read" => Self::READ,
                "match" => Self::MATCH,
                "wildcard_match" => Self::WILDCARD,
                "brace_match" => Self::BRACE,
                _ => continue,
            };
            now = match sign {
                None => Self::READ.with(flag),
                Some(b'+') => now.with(flag),
                Some(_) => now.without(flag),
            };
        }
        if count == 0 { Self::ALL } else { now }
    }
}

/// True for `include …` and `includeX …`.
pub(super) fn is_include(line: &str) -> bool {
    split(line).is_some()
}

/// The checks that an include line asks for, and its pattern.
pub(super) fn split(line: &str) -> Option<(Check, &str)> {
    let rest = line.strip_prefix("include")?;
    let space = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_whitespace() || *b == 0x0b);
    let bytes = rest.as_bytes();
    let (check, pattern) = if space(bytes.first()) {
        (Check::default(), rest.get(1..)?)
    } else if space(bytes.get(1)) {
        let check = match bytes.first()? {
            b'r' => Check::READ,
            b'm' => Check::READ.with(Check::MATCH),
            b'w' => Check::READ.with(Check::MATCH).with(Check::WILDCARD),
            b'b' => Check::READ.with(Check::BRACE),
            b'a' => Check::ALL,
            _ => return None,
        };
        (check, rest.get(2..)?)
    } else {
        return None;
    };
    Some((check, pattern.trim_start_matches([' ', '\t'])))
}

/// A file being read.
#[derive(Debug)]
struct OpenFile {
    id: FileId,
    named: bool,
    /// Directory that its own includes start from.
    dir: String,
    pieces: std::vec::IntoIter<(String, bool)>,
    /// Number of the piece, and of the next.
    line: u32,
    next: u32,
}

/// The files of one include line.
#[derive(Debug)]
struct Level {
    names: std::vec::IntoIter<String>,
    several: bool,
    dir: String,
    check: Check,
    saved: Check,
    file: Option<OpenFile>,
}

/// A message about files, with the class it has.
#[derive(Debug)]
pub(super) struct FileMessage {
    pub(super) class: Class,
    pub(super) text: String,
    pub(super) span: Option<Span>,
    pub(super) log: bool,
}

/// The stack of files being read.
#[derive(Debug, Default)]
pub(super) struct Stack {
    levels: Vec<Level>,
    /// Names of all files opened.
    pub(super) files: crate::source::Files,
    /// The `include_check` in force.
    pub(super) check: Check,
    /// An include that had to succeed failed.
    pub(super) failed: bool,
    log_opening: bool,
}

fn strerror(errno: Errno) -> String {
    match errno {
        1 => "Operation not permitted".to_owned(),
        2 => "No such file or directory".to_owned(),
        5 => "Input/output error".to_owned(),
        12 => "Cannot allocate memory".to_owned(),
        13 => "Permission denied".to_owned(),
        20 => "Not a directory".to_owned(),
        21 => "Is a directory".to_owned(),
        23 => "Too many open files in system".to_owned(),
        24 => "Too many open files".to_owned(),
        36 => "File name too long".to_owned(),
        40 => "Too many levels of symbolic links".to_owned(),
        n => format!("Unknown error {n}"),
    }
}

/// Cuts a file into pieces as a line buffer of 1024 bytes sees them; the flag tells whether the line ended. A NUL byte hides the rest of
/// its piece.
fn pieces(content: &[u8]) -> Vec<(String, bool)> {
    let mut out = Vec::new();
    for line in content.split_inclusive(|b| *b == b'\n') {
        for piece in line.chunks(MAX_PIECE) {
            let shown = piece.split(|b| *b == 0).next().unwrap_or(piece);
            let ended = shown.last() == Some(&b'\n');
            let end = shown
                .iter()
                .rposition(|b| !matches!(b, b'\n' | b'\r'))
                .map_or(0, |p| p + 1);
            out.push((text::decode(shown.get(..end).unwrap_or(shown)), ended));
        }
    }
    out
}

impl Stack {
    /// No file yet.
    pub(super) fn new(check: Check, log_opening: bool) -> Self {
        Self {
            check,
            log_opening,
            ..Self::default()
        }
    }

    /// Place of the line being read.
    pub(super) fn here(&self) -> Option<Span> {
        let mut levels = self.levels.iter().rev();
        let mut level = levels.next()?;
        if !level.file.as_ref().is_some_and(|f| f.named) {
            if let Some(outer) = levels.next() {
                level = outer;
            }
        }
        let file = level.file.as_ref()?;
        Some(Span {
            file: file.id,
            line: file.line,
            col: 0,
        })
    }

    /// Directory of the file being read.
    pub(super) fn dir(&self) -> &str {
        self.levels
            .iter()
            .rev()
            .find_map(|l| l.file.as_ref())
            .map_or("", |f| &f.dir)
    }

    fn message(&mut self, kind: Check, text: String) -> FileMessage {
        let in_force = self
            .levels
            .last()
            .map_or(self.check, |l| self.check.with(l.check));
        let bad = in_force.has(kind);
        self.failed |= bad;
        let class = if bad { Class::FileNotFound } else { Class::Ok };
        FileMessage {
            class,
            text,
            span: self.here(),
            log: false,
        }
    }

    /// Opens the files of a pattern; the first becomes the one being read. False if there is none.
    pub(super) fn open(
        &mut self,
        source: &dyn Source,
        pattern: &str,
        check: Check,
        out: &mut Vec<FileMessage>,
    ) -> bool {
        if self.levels.len() >= MAX_DEPTH {
            let text = format!(
                "Configuration file '{pattern}' open problem ({}) - skipping",
                strerror(24)
            );
            let m = self.message(Check::READ, text);
            out.push(m);
            return false;
        }
        let dir = if self.levels.is_empty() {
            source.current_dir()
        } else {
            self.dir().to_owned()
        };
        let found = glob::glob(source, &dir, pattern);
        let several = found.names.len() > 1;
        let missing = found.missing_files || found.missing_directories;
        let empty = found.names.is_empty();
        self.levels.push(Level {
            names: found.names.into_iter(),
            several,
            dir,
            check,
            saved: self.check,
            file: None,
        });
        let in_force = self.check.with(check);
        let mut refused = empty;
        if empty && missing {
            let kind = if has_brace(pattern) {
                Check::BRACE
            } else {
                Check::MATCH
            };
            let m = self.message(kind, format!("Config files missing '{pattern}'."));
            out.push(m);
        } else if empty {
            if found.had_wildcards && in_force.has(Check::WILDCARD) {
                let m = self.message(
                    Check::WILDCARD,
                    format!("No config files matched '{pattern}'."),
                );
                out.push(m);
            }
        } else if missing {
            let m = self.message(
                Check::BRACE,
                format!("Some config files missing: \"{pattern}\"."),
            );
            out.push(m);
            refused = in_force.has(Check::BRACE);
        }
        if refused || !self.open_next(source, out) {
            self.levels.pop();
            return false;
        }
        true
    }

    /// Opens the next readable file of the innermost include.
    fn open_next(&mut self, source: &dyn Source, out: &mut Vec<FileMessage>) -> bool {
        let nested = self.levels.len() > 1;
        while let Some((name, dir, several)) = self
            .levels
            .last_mut()
            .and_then(|l| l.names.next().map(|n| (n, l.dir.clone(), l.several)))
        {
            let path = glob::join(&dir, &name);
            if let Err(text) = usable(source, &name, &path) {
                let m = self.message(Check::READ, text);
                out.push(m);
                continue;
            }
            let content = match source.read(&path) {
                Ok(c) => c,
                Err(e) => {
                    let text = format!(
                        "Configuration file '{name}' open problem ({}) - skipping",
                        strerror(e)
                    );
                    let m = self.message(Check::READ, text);
                    out.push(m);
                    continue;
                }
            };
            if self.log_opening {
                out.push(FileMessage {
                    class: Class::Ok,
                    text: format!("Opening file '{name}'."),
                    span: None,
                    log: true,
                });
            }
            let named = nested || several;
            let own_dir = match path.rsplit_once('/') {
                Some(("", _)) => "/".to_owned(),
                Some((d, _)) => d.to_owned(),
                None => dir,
            };
            let id = self.files.add(FileName {
                shown: name,
                named,
                unended: Vec::new(),
            });
            let file = OpenFile {
                id,
                named,
                dir: own_dir,
                pieces: pieces(&content).into_iter(),
                line: 0,
                next: 1,
            };
            if let Some(level) = self.levels.last_mut() {
                level.file = Some(file);
            }
            return true;
        }
        false
    }

    /// The next piece of text, going on to the next file as needed. None at the very end.
    pub(super) fn next_piece(
        &mut self,
        source: &dyn Source,
        out: &mut Vec<FileMessage>,
    ) -> Option<String> {
        loop {
            let level = self.levels.last_mut()?;
            if let Some(file) = &mut level.file {
                if let Some((text, ended)) = file.pieces.next() {
                    file.line = file.next;
                    file.next = file.next.saturating_add(1);
                    // A piece that fills the buffer has its line end in a piece of its own when the copy is read.
                    let full = !ended && super::comment::strip(&text).0.len() == MAX_PIECE;
                    if full {
                        file.line = file.line.saturating_sub(1);
                    }
                    if !ended {
                        let number = file.line.saturating_add(u32::from(full));
                        self.files.unended(file.id, number);
                    }
                    return Some(text);
                }
            }
            self.check = level.saved;
            if !self.open_next(source, out) {
                self.levels.pop();
            }
        }
    }
}

/// Whether a name found is a file to read; else the message.
fn usable(source: &dyn Source, name: &str, path: &str) -> Result<(), String> {
    if name.ends_with('/') {
        return Err(format!(
            "Configuration file '{name}' is a directory - skipping"
        ));
    }
    match source.stat(path) {
        Ok(f) if f.kind == FileKind::Regular && !f.any_exec() => Ok(()),
        _ => Err(format!(
            "Configuration file '{name}' is not a regular non-executable file - skipping"
        )),
    }
}

/// What the check of the top name before reading says (the original's check_conf_file): messages, and whether to go on.
pub(super) fn check_top(
    source: &dyn Source,
    pattern: &str,
    check: Check,
) -> (Vec<FileMessage>, bool) {
    let mut stack = Stack::new(check, false);
    let mut out = Vec::new();
    let found = glob::glob(source, &source.current_dir(), pattern);
    let missing = found.missing_files || found.missing_directories;
    if found.names.is_empty() {
        if missing {
            let kind = if has_brace(pattern) {
                Check::BRACE
            } else {
                Check::MATCH
            };
            out.push(stack.message(kind, format!("Config files missing '{pattern}'.")));
        } else if found.had_wildcards && check.has(Check::WILDCARD) {
            out.push(stack.message(
                Check::WILDCARD,
                format!("No config files matched '{pattern}'."),
            ));
        }
        return (out, false);
    }
    if missing {
        out.push(stack.message(
            Check::BRACE,
            format!("Some config files missing: \"{pattern}\"."),
        ));
        if check.has(Check::BRACE) {
            return (out, false);
        }
    }
    let mut good = true;
    for name in &found.names {
        let path = glob::join(&source.current_dir(), name);
        if let Err(text) = usable(source, name, &path) {
            out.push(stack.message(Check::READ, text));
            good = false;
        } else if source.read(&path).is_err() {
            let text = format!("Unable to read configuration file {name}");
            out.push(FileMessage {
                class: Class::FileNotFound,
                text,
                span: None,
                log: false,
            });
            good = false;
            break;
        }
    }
    if let (true, true, Some(first)) = (good, found.names.len() > 1, found.names.first()) {
        let text = format!(
            "WARNING, multiple configuration file matches of {pattern}, starting with {first}"
        );
        out.push(FileMessage {
            class: Class::MultipleFiles,
            text,
            span: None,
            log: false,
        });
    }
    (out, good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn include_lines() {
        assert_eq!(split("include a b"), Some((Check::default(), "a b")));
        assert_eq!(
            split("includew\tx*"),
            Some((Check::READ.with(Check::MATCH).with(Check::WILDCARD), "x*"))
        );
        assert_eq!(split("includes x"), None);
        assert_eq!(split("include"), None);
    }

    #[test]
    fn include_check_words() {
        let apply = |words: &[&str]| Check::MATCH.apply(words.iter().copied());
        assert_eq!(apply(&[]), Check::ALL);
        assert_eq!(apply(&["match"]), Check::READ.with(Check::MATCH));
        assert_eq!(apply(&["+brace_match"]), Check::MATCH.with(Check::BRACE));
        assert_eq!(apply(&["read", "-read"]), Check::default());
    }

    #[test]
    fn long_lines_are_cut() {
        let mut line = vec![b'a'; 1500];
        line.push(b'\n');
        let p = pieces(&line);
        assert_eq!(
            (p[0].0.len(), p[0].1, p[1].0.len(), p[1].1),
            (1023, false, 477, true)
        );
        assert_eq!(
            pieces(b"a\r\n\nb"),
            [
                ("a".into(), true),
                (String::new(), true),
                ("b".into(), false)
            ]
        );
    }
}
