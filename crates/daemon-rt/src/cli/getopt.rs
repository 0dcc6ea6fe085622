//! Options as getopt_long(3) of the GNU C library reads them.
//!
//! - Short options bundle: `-nlD`. An argument is the rest of the word or the next word: `-fX`, `-f X`.
//! - An optional argument counts only when attached: `-gX`, `--log-file=X`.
//! - A long option may be shortened as long as it stays unambiguous; a full name always wins.
//! - Words that are no options are collected wherever they stand; `--` ends the options.
//!
//! [`Getopt`] is an iterator, so that a caller can act on one option before it looks at the next, as
//! `-v` or `--signum` do.

/// Whether an option takes an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// Never; `--name=x` is an error.
    No,
    /// Always.
    Required,
    /// Only when attached to the option.
    Optional,
}

/// One row of an option table.
#[derive(Clone, Copy, Debug)]
pub struct Opt<K> {
    /// What the caller calls it.
    pub key: K,
    /// `-x`, if there is a short form.
    pub short: Option<char>,
    /// `--name`, without the dashes.
    pub long: &'static str,
    /// Argument.
    pub arg: Arg,
}

/// What the next step found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item<K> {
    /// An option of the table.
    Found {
        /// Its key.
        key: K,
        /// The long name, if it was given in that form.
        long: Option<&'static str>,
        /// Its argument. `Some("")` for `--name=`.
        value: Option<String>,
    },
    /// No such option, an ambiguous short form of one, or an argument where none belongs.
    Unknown(Culprit),
    /// The argument is missing.
    Missing(Culprit),
}

/// The option an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// The option letter, for a short option. Also set, to the letter of the option meant, for a long
    /// option with a wrong argument.
    pub letter: Option<char>,
    /// The first word not consumed before this step. For a short option inside a bundle that is the
    /// whole word; when words that are no options come first, it is the first of *them* (getopt(3) does
    /// not tell where the culprit stands, and callers print this word).
    pub word: String,
}

/// The state of reading a command line.
#[derive(Clone, Debug)]
pub struct Getopt<'a, K: 'static> {
    table: &'static [Opt<K>],
    words: &'a [String],
    /// Next word to look at.
    next: usize,
    /// Byte offset in `words[next]` of the next letter of a bundle; 0 outside.
    inside: usize,
    operands: Vec<String>,
}

impl<'a, K: Copy + PartialEq> Getopt<'a, K> {
    /// Reads `words`, which do not include the program's own name.
    pub fn new(table: &'static [Opt<K>], words: &'a [String]) -> Self {
        Self {
            table,
            words,
            next: 0,
            inside: 0,
            operands: Vec::new(),
        }
    }

    /// The words that are no options, once the iterator has ended.
    pub fn operands(&self) -> &[String] {
        &self.operands
    }

    /// The words that were not looked at yet: for an option that leaves them to another reader.
    pub fn rest(&self) -> &'a [String] {
        self.words.get(self.next..).unwrap_or_default()
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        self.words.get(at).map(String::as_str)
    }

    fn letter(&mut self, first_seen: usize) -> Option<Item<K>> {
        let word = self.word(self.next)?;
        let rest = word.get(self.inside..)?;
        let letter = rest.chars().next()?;
        let attached = rest.get(letter.len_utf8()..).unwrap_or("");
        let culprit = Culprit {
            letter: Some(letter),
            word: self.word(first_seen).unwrap_or("").to_owned(),
        };
        let found = self.table.iter().find(|o| o.short == Some(letter));
        let whole_rest = match found.map(|o| o.arg) {
            Some(Arg::Required | Arg::Optional) => true,
            Some(Arg::No) | None => attached.is_empty(),
        };
        if whole_rest {
            self.next += 1;
            self.inside = 0;
        } else {
            self.inside += letter.len_utf8();
        }
        let Some(option) = found else {
            return Some(Item::Unknown(culprit));
        };
        let value = match option.arg {
            Arg::No => None,
            Arg::Optional => (!attached.is_empty()).then(|| attached.to_owned()),
            Arg::Required if !attached.is_empty() => Some(attached.to_owned()),
            Arg::Required => match self.word(self.next) {
                Some(value) => {
                    self.next += 1;
                    Some(value.to_owned())
                }
                None => return Some(Item::Missing(culprit)),
            },
        };
        Some(Item::Found {
            key: option.key,
            long: None,
            value,
        })
    }

    fn long(&mut self, text: &str, first_seen: usize) -> Item<K> {
        self.next += 1;
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let mut culprit = Culprit {
            letter: None,
            word: self.word(first_seen).unwrap_or("").to_owned(),
        };
        let mut candidates = self.table.iter().filter(|o| o.long.starts_with(name));
        let option = match self.table.iter().find(|o| o.long == name) {
            Some(exact) => exact,
            None => match (candidates.next(), candidates.next()) {
                (Some(only), None) => only,
                _ => return Item::Unknown(culprit),
            },
        };
        let value = match (option.arg, attached) {
            (Arg::No, Some(_)) => {
                culprit.letter = option.short;
                return Item::Unknown(culprit);
            }
            (Arg::No | Arg::Optional, None) => None,
            (Arg::Optional | Arg::Required, Some(value)) => Some(value.to_owned()),
            (Arg::Required, None) => match self.word(self.next) {
                Some(value) => {
                    self.next += 1;
                    Some(value.to_owned())
                }
                None => {
                    culprit.letter = option.short;
                    return Item::Missing(culprit);
                }
            },
        };
        Item::Found {
            key: option.key,
            long: Some(option.long),
            value,
        }
    }
}

impl<K: Copy + PartialEq> Iterator for Getopt<'_, K> {
    type Item = Item<K>;

    fn next(&mut self) -> Option<Item<K>> {
        let first_seen = self.next;
        if self.inside > 0 {
            return self.letter(first_seen);
        }
        loop {
            let word = self.word(self.next)?;
            if word == "--" {
                self.operands
                    .extend(self.words.iter().skip(self.next + 1).cloned());
                self.next = self.words.len();
                return None;
            }
            if let Some(long) = word.strip_prefix("--") {
                return Some(self.long(long, first_seen));
            }
            if word.len() > 1 && word.starts_with('-') {
                self.inside = 1;
                return self.letter(first_seen);
            }
            self.operands.push(word.to_owned());
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: &[Opt<char>] = &[
        Opt {
            key: 'f',
            short: Some('f'),
            long: "use-file",
            arg: Arg::Required,
        },
        Opt {
            key: 'n',
            short: Some('n'),
            long: "dont-fork",
            arg: Arg::No,
        },
        Opt {
            key: 'g',
            short: Some('g'),
            long: "log-file",
            arg: Arg::Optional,
        },
        Opt {
            key: 'S',
            short: Some('S'),
            long: "log-facility",
            arg: Arg::Required,
        },
        Opt {
            key: 'a',
            short: None,
            long: "all",
            arg: Arg::No,
        },
        Opt {
            key: 'e',
            short: Some('e'),
            long: "all-config",
            arg: Arg::No,
        },
    ];

    /// One word per item: key, `=value` if any; `?letter/word` unknown, `:letter/word` missing; then operands.
    fn read(words: &[&str]) -> String {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        let mut options = Getopt::new(TABLE, &words);
        let mut out: Vec<String> = Vec::new();
        let culprit = |mark, c: &Culprit| format!("{mark}{}/{}", c.letter.unwrap_or('0'), c.word);
        for item in options.by_ref() {
            out.push(match &item {
                Item::Found {
                    key,
                    value: Some(v),
                    ..
                } => format!("{key}={v}"),
                Item::Found { key, .. } => key.to_string(),
                Item::Unknown(c) => culprit('?', c),
                Item::Missing(c) => culprit(':', c),
            });
        }
        for operand in options.operands() {
            out.push(format!("[{operand}]"));
        }
        out.join(" ")
    }

    #[test]
    fn as_the_c_library_reads_them() {
        for (words, expected) in [
            (&["-nfX", "-n"][..], "n f=X n"),
            (&["-f", "-n"], "f=-n"),
            (&["-g", "X"], "g [X]"),
            (&["-gX"], "g=X"),
            (&["--log-file=X", "--log-file"], "g=X g"),
            (&["--use-file=X", "--use-file", "Y"], "f=X f=Y"),
            (&["--use=X"], "f=X"),
            (&["--use-file="], "f="),
            // A full name wins over longer names that begin with it.
            (&["--all", "--all-c"], "a e"),
            // log-file and log-facility.
            (&["--log-f=1", "-n"], "?0/--log-f=1 n"),
            (&["--bogus"], "?0/--bogus"),
            (&["--dont-fork=1"], "?n/--dont-fork=1"),
            (&["-nZn"], "n ?Z/-nZn n"),
            (&["-f"], ":f/-f"),
            (&["-n", "--use-file"], "n :f/--use-file"),
            (&["one", "-n", "two", "-"], "n [one] [two] [-]"),
            (&["-n", "--", "-n"], "n [-n]"),
            // The word told is the first one not consumed, as getopt leaves it to the caller.
            (&["one", "--bogus"], "?0/one [one]"),
            (&["-é"], "?é/-é"),
            (&[], ""),
        ] {
            assert_eq!(read(words), expected, "{words:?}");
        }
    }
}
