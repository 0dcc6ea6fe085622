//! Definitions: `$NAME=value`, `$NAME`, `${NAME}`, and the built-in ones.

use crate::source::Host;

/// Longest line after replacement, in bytes.
pub(super) const MAX_LINE: usize = 1024;
/// Most replacements in one line; a definition that contains itself would never end.
const MAX_REPLACEMENTS: usize = 2048;

/// What a definition stands for.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Pwd,
    Instance,
    Random,
    Env,
}

#[derive(Clone, Debug)]
struct Definition {
    name: String,
    value: Value,
    multiline: bool,
}

/// All definitions.
#[derive(Debug)]
pub(super) struct Definitions {
    list: Vec<Definition>,
}

/// A reference found in a line.
struct Found<'t> {
    index: usize,
    /// Bytes from the `$` on that are replaced.
    length: usize,
    parameters: &'t str,
}

impl Found<'_> {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.parameters.split(' ').filter(|w| !w.is_empty())
    }
}

/// Where built-in definitions get their values.
pub(super) struct Place<'h> {
    pub(super) host: &'h dyn Host,
    pub(super) dir: &'h str,
    pub(super) instance: &'h str,
}

/// What replacing did to a line.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// At least one definition was replaced.
    pub(super) any: bool,
    /// The rests of multi-line definitions met, outermost first; the last one continues the line.
    pub(super) multiline: Vec<String>,
    /// Message about a line that would get too long.
    pub(super) too_long: Option<String>,
    /// Other messages of built-in definitions, for the log.
    pub(super) remarks: Vec<String>,
    /// What is wrong with a reference (keepalived 2.4).
    pub(super) errors: Vec<String>,
}

const fn is_name_start(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_'
}

const fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

impl Definitions {
    pub(super) fn new() -> Self {
        let builtin = |name: &str, value| Definition {
            name: name.to_owned(),
            value,
            multiline: false,
        };
        Self {
            list: vec![
                builtin("_PWD", Value::Pwd),
                builtin("_INSTANCE", Value::Instance),
                builtin("_RANDOM", Value::Random),
                builtin("_HASH", Value::Text("#".to_owned())),
                builtin("_BANG", Value::Text("!".to_owned())),
                builtin("_ENV", Value::Env),
            ],
        }
    }

    /// Sets a loop variable.
    pub(super) fn set(&mut self, name: &str, value: String) {
        let value = Value::Text(value);
        match self.list.iter_mut().find(|d| d.name == name) {
            Some(d) => d.value = value,
            None => self.list.push(Definition {
                name: name.to_owned(),
                value,
                multiline: false,
            }),
        }
    }

    /// If the line is a definition, stores it; gives its index, and whether more lines belong to it.
    pub(super) fn define(&mut self, line: &str) -> Option<(usize, bool)> {
        let (name, value) = line.strip_prefix('$')?.split_once('=')?;
        let bytes = name.as_bytes();
        if !bytes.first().copied().is_some_and(is_name_start) || !bytes.iter().copied().all(is_name)
        {
            return None;
        }
        let value = value.trim_start_matches(blank);
        let (text, multiline) = match value.strip_suffix('\\') {
            Some(first) => {
                let first = first.trim_end_matches(blank);
                (
                    if first.is_empty() {
                        String::new()
                    } else {
                        format!("{first}\n")
                    },
                    true,
                )
            }
            None => (value.to_owned(), false),
        };
        let definition = Definition {
            name: name.to_owned(),
            value: Value::Text(text),
            multiline,
        };
        let index = match self.list.iter().position(|d| d.name == name) {
            Some(i) => i,
            None => {
                self.list.push(definition.clone());
                self.list.len() - 1
            }
        };
        if let Some(d) = self.list.get_mut(index) {
            *d = definition;
        }
        Some((index, multiline))
    }

    /// Adds a line to a multi-line definition; false if it was the last.
    pub(super) fn extend(&mut self, index: usize, line: &str) -> bool {
        let more = line.ends_with('\\');
        if !more {
            self.end(index);
        }
        let body = line
            .strip_suffix('\\')
            .unwrap_or(line)
            .trim_end_matches(blank);
        let body = if more { body } else { line };
        if let Some(Definition {
            value: Value::Text(text),
            ..
        }) = self.list.get_mut(index)
        {
            if !body.is_empty() {
                text.push_str(body);
                if more {
                    text.push('\n');
                }
            }
        }
        more
    }

    /// A multi-line definition ended; without any text yet it becomes an ordinary empty one.
    pub(super) fn end(&mut self, index: usize) {
        if let Some(d) = self.list.get_mut(index) {
            if matches!(&d.value, Value::Text(t) if t.is_empty()) {
                d.multiline = false;
            }
        }
    }

    /// Looks at the text after a `$`.
    fn find<'t>(&self, after: &'t str) -> Option<Found<'t>> {
        let braces = after.starts_with('{');
        let text = if braces { after.get(1..)? } else { after };
        let bytes = text.as_bytes();
        if !bytes.first().copied().is_some_and(is_name_start) {
            return None;
        }
        let length = bytes
            .iter()
            .position(|b| !is_name(*b))
            .unwrap_or(bytes.len());
        let name = text.get(..length)?;
        let rest = text.get(length..)?;
        let (parameters, consumed, last) = if braces {
            let (inside, _) = rest.split_once('}')?;
            let parameters = inside.trim_start_matches(' ');
            let env = name == "_ENV";
            if env {
                let form = |b: u8| is_name(b) || b == b' ';
                if !parameters.bytes().all(form) || parameters.ends_with(' ') {
                    return None;
                }
            } else if !inside.bytes().all(|b| b == b' ' || b.is_ascii_digit())
                || (!parameters.is_empty() && parameters.ends_with(' '))
            {
                return None;
            }
            (
                parameters,
                length + inside.len() + 3,
                inside.is_empty() && rest.len() == 1,
            )
        } else {
            if !matches!(
                rest.as_bytes().first(),
                None | Some(b' ' | b'\t' | b',' | b')')
            ) {
                return None;
            }
            ("", length + 1, rest.is_empty())
        };
        let index = self
            .list
            .iter()
            .position(|d| d.name == name && (last || !d.multiline))?;
        let takes_parameters = matches!(self.list.get(index)?.value, Value::Random | Value::Env);
        if !parameters.is_empty() && !takes_parameters {
            return None;
        }
        Some(Found {
            index,
            length: consumed,
            parameters,
        })
    }

    fn value(
        &self,
        found: &Found<'_>,
        place: &Place<'_>,
        replaced: &mut Replaced,
    ) -> Option<(String, bool)> {
        let d = self.list.get(found.index)?;
        let text = match &d.value {
            Value::Text(t) => t.clone(),
            Value::Pwd => place.dir.to_owned(),
            Value::Instance => place.instance.to_owned(),
            Value::Env if found.words().count() != 1 => {
                let count = found.words().count();
                replaced.errors.push(format!(
                    "Definition _ENV requires between 1 and 1 parameters, {count} specified."
                ));
                return None;
            }
            Value::Env => place.host.env(found.parameters).unwrap_or_default(),
            Value::Random => {
                let mut words = found.words();
                let mut number = |default| {
                    words
                        .next()
                        .map_or(default, |w| w.parse::<u64>().unwrap_or(u64::MAX))
                };
                let (min, max) = (number(0), number(32767));
                if words.next().is_some() {
                    replaced.remarks.push(format!(
                        "Too many parameters or extra text for ${{_RANDOM {}}}",
                        found.parameters
                    ));
                }
                if min > max {
                    replaced.errors.push(format!(
                        "${{_RANDOM}}: min {min} exceeds max {max}, using {min}"
                    ));
                }
                place.host.random(min, max.max(min)).to_string()
            }
        };
        Some((text, d.multiline))
    }

    /// Replaces all references in a line of at most `limit` bytes.
    pub(super) fn replace(&self, line: &mut String, limit: usize, place: &Place<'_>) -> Replaced {
        let mut out = Replaced::default();
        let mut from = 0;
        for _ in 0..MAX_REPLACEMENTS {
            let Some(at) = line.get(from..).and_then(|t| t.find('$')).map(|o| from + o) else {
                return out;
            };
            let Some(after) = line.get(at + 1..).filter(|a| !a.is_empty()) else {
                return out;
            };
            let value = self.find(after).and_then(|found| {
                self.value(&found, place, &mut out)
                    .map(|v| (found.length, v))
            });
            let Some((length, (value, multiline))) = value else {
                from = at + 1;
                continue;
            };
            out.any = true;
            let first = if multiline {
                let (first, rest) = value.split_once('\n').unwrap_or((&value, ""));
                out.multiline.push(rest.to_owned());
                first
            } else {
                &value
            };
            if (line.len() + first.len()).saturating_sub(length) >= limit {
                break;
            }
            line.replace_range(at..(at + length).min(line.len()), first);
            if value.trim_start_matches(blank).starts_with('~') {
                return out;
            }
            from = at;
        }
        out.too_long = Some(format!(
            "Parameter substitution on line '{line}' would exceed maximum line length"
        ));
        out.any = false;
        out
    }
}
