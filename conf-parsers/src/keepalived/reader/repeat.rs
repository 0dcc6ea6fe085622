//! Repetition: `~SEQ(var, start, step, end) text` and `~LST({names}, {values}…) text`.

use std::collections::VecDeque;

use crate::keepalived::number::scan;

/// A line that is to be read several times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Repeat {
    rounds: Rounds,
    /// The line's text after the closing bracket.
    pub(super) text: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Rounds {
    Sequence {
        variable: String,
        next: Option<i64>,
        step: i64,
        last: i64,
        hex: bool,
    },
    List {
        names: Vec<String>,
        sets: VecDeque<Vec<String>>,
    },
}

/// Why a specification is refused; the caller adds the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Problem {
    /// Nothing more to say than that it is invalid.
    Invalid,
    /// `Invalid ~SEQ definition`
    Definition,
    /// `~SEQ parameter strings too long`
    TooLong,
    /// `~SEQ parameter is multiline definition`
    Multiline,
    /// `Invalid ~SEQ values`
    Values,
    /// `~SEQx is only valid for positive numbers`
    NegativeHex,
    /// `~LST specification has too many values`
    TooManyValues,
}

impl Problem {
    /// The sentence before ` 'LINE'`, if there is one.
    pub(super) const fn sentence(self) -> Option<&'static str> {
        Some(match self {
            Self::Invalid => return None,
            Self::Definition => "Invalid ~SEQ definition",
            Self::TooLong => "~SEQ parameter strings too long",
            Self::Multiline => "~SEQ parameter is multiline definition",
            Self::Values => "Invalid ~SEQ values",
            Self::NegativeHex => "~SEQx is only valid for positive numbers",
            Self::TooManyValues => "~LST specification has too many values",
        })
    }
}

fn blanks(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// Text up to one of `stops` or a blank, and the rest after blanks.
fn token<'t>(text: &'t str, stops: &[char]) -> (&'t str, &'t str) {
    let end = text
        .find(|c| c == ' ' || c == '\t' || stops.contains(&c))
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    (word, blanks(rest))
}

/// Most bytes of the numbers of a ~SEQ: three 64-bit numbers with their separators.
const MAX_NUMBERS: usize = 64;

/// Reads a `~SEQ…` line. `expand` replaces definitions in the numbers; false if one was multi-line.
pub(super) fn sequence(
    line: &str,
    mut expand: impl FnMut(&mut String) -> bool,
) -> Result<Repeat, Problem> {
    let rest = line.strip_prefix("~SEQ").ok_or(Problem::Invalid)?;
    let (hex, rest) = match rest.strip_prefix('x') {
        Some(r) => (true, r),
        None => (false, rest),
    };
    let rest = blanks(blanks(rest).strip_prefix('(').ok_or(Problem::Invalid)?);
    let (variable, rest) = token(rest, &[',', ')']);
    if rest.is_empty() || rest.starts_with(')') || variable.is_empty() {
        return Err(Problem::Definition);
    }
    let mut after = rest.chars();
    after.next();
    let rest = blanks(after.as_str());
    // Without `)` the original reads beyond its buffer and says this.
    let (numbers, text) = rest.split_once(')').ok_or(Problem::TooLong)?;
    let mut numbers = format!("{numbers})");
    if numbers.len() + 1 > MAX_NUMBERS {
        return Err(Problem::TooLong);
    }
    if !expand(&mut numbers) {
        return Err(Problem::Multiline);
    }
    let mut values = Vec::with_capacity(3);
    let mut rest = numbers.as_str();
    loop {
        let number = scan(rest, 0);
        values.push(number.signed().0);
        rest = blanks(number.rest);
        if rest.starts_with(')') {
            break;
        }
        if values.len() == 3 {
            return Err(Problem::Definition);
        }
        rest = rest.strip_prefix(',').ok_or(Problem::Definition)?;
    }
    let (start, step, last) = match *values.as_slice() {
        [end] => (
            if end < 0 { -1 } else { 1 },
            if end < 1 { -1 } else { 1 },
            end,
        ),
        [start, end] => (start, if start <= end { 1 } else { -1 }, end),
        [start, step, end] => {
            if step == 0 || (start < end && step < 0) || (start > end && step > 0) {
                return Err(Problem::Values);
            }
            (start, step, end)
        }
        _ => return Err(Problem::Definition),
    };
    if hex && (start < 0 || last < 0) {
        return Err(Problem::NegativeHex);
    }
    let rounds = Rounds::Sequence {
        variable: variable.to_owned(),
        next: Some(start),
        step,
        last,
        hex,
    };
    Ok(Repeat {
        rounds,
        text: blanks(text).to_owned(),
    })
}

/// Reads a `~LST…` line.
pub(super) fn list(line: &str) -> Result<Repeat, Problem> {
    let rest = line.strip_prefix("~LST").ok_or(Problem::Invalid)?;
    let rest = blanks(blanks(rest).strip_prefix('(').ok_or(Problem::Invalid)?);
    let (names, rest) = group(rest, &[',', '}'], usize::MAX)?;
    let mut rest = blanks(rest.strip_prefix(',').ok_or(Problem::Invalid)?);
    let mut sets = VecDeque::new();
    loop {
        let (mut set, after) = group(rest, &[',', '}', ')'], names.len())?;
        set.resize(names.len(), String::new());
        sets.push_back(set);
        if let Some(text) = after.strip_prefix(')') {
            return Ok(Repeat {
                rounds: Rounds::List { names, sets },
                text: blanks(text).to_owned(),
            });
        }
        rest = blanks(after.strip_prefix(',').ok_or(Problem::Invalid)?);
    }
}

/// `a` or `{a, b}`: the words and the rest after blanks, which starts at the separator behind the group.
fn group<'t>(
    text: &'t str,
    stops: &[char],
    most: usize,
) -> Result<(Vec<String>, &'t str), Problem> {
    let inside = text.strip_prefix('{');
    let mut rest = inside.map_or(text, blanks);
    let mut words = Vec::new();
    loop {
        let (word, after) = token(rest, stops);
        words.push(word.to_owned());
        match inside {
            None if after.starts_with(',') || (after.starts_with(')') && stops.contains(&')')) => {
                return Ok((words, after));
            }
            Some(_) => {
                if let Some(after) = after.strip_prefix('}') {
                    return Ok((words, blanks(after)));
                }
            }
            None => {}
        }
        rest = blanks(after.strip_prefix(',').ok_or(Problem::Invalid)?);
        if words.len() >= most {
            return Err(Problem::TooManyValues);
        }
    }
}

impl Repeat {
    /// Variables of the next round; none when there is no round left.
    pub(super) fn advance(&mut self) -> Option<Vec<(String, String)>> {
        match &mut self.rounds {
            Rounds::Sequence {
                variable,
                next,
                step,
                last,
                hex,
            } => {
                let now = (*next)?;
                *next = now
                    .checked_add(*step)
                    .filter(|n| if *step > 0 { *n <= *last } else { *n >= *last });
                let value = if *hex {
                    format!("{now:x}")
                } else {
                    now.to_string()
                };
                Some(vec![(variable.clone(), value)])
            }
            Rounds::List { names, sets } => {
                let set = sets.pop_front()?;
                Some(names.iter().cloned().zip(set).collect())
            }
        }
    }

    /// True when no round is left.
    pub(super) fn is_done(&self) -> bool {
        match &self.rounds {
            Rounds::Sequence { next, .. } => next.is_none(),
            Rounds::List { sets, .. } => sets.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(line: &str) -> Vec<String> {
        let mut r = sequence(line, |_| true).unwrap();
        std::iter::from_fn(|| r.advance())
            .map(|v| v[0].1.clone())
            .collect()
    }

    #[test]
    fn sequences() {
        assert_eq!(values("~SEQ(i, 3) x"), ["1", "2", "3"]);
        assert_eq!(values("~SEQ(i, -2) x"), ["-1", "-2"]);
        assert_eq!(values("~SEQ ( i , 5 , 4) x"), ["5", "4"]);
        assert_eq!(values("~SEQ(i,1,4,10) x"), ["1", "5", "9"]);
        assert_eq!(values("~SEQx(i,9,11) x"), ["9", "a", "b"]);
        assert_eq!(sequence("~SEQ(i,1,-1,3) x", |_| true), Err(Problem::Values));
        assert_eq!(sequence("~SEQ(i) x", |_| true), Err(Problem::Definition));
        assert_eq!(
            sequence("~SEQx(i,-3) x", |_| true),
            Err(Problem::NegativeHex)
        );
        assert_eq!(sequence("~SEQ i", |_| true), Err(Problem::Invalid));
    }

    #[test]
    fn lists() {
        let mut r = list("~LST({a, b}, {1,2}, {3} ) t ${a}").unwrap();
        assert_eq!(r.text, "t ${a}");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(r.advance(), Some(vec![pair("a", "1"), pair("b", "2")]));
        assert_eq!(r.advance(), Some(vec![pair("a", "3"), pair("b", "")]));
        assert_eq!(r.advance(), None);
        let mut r = list("~LST(n, x, y) t").unwrap();
        assert_eq!(r.advance(), Some(vec![pair("n", "x")]));
        assert_eq!(list("~LST({a}, {1,2}) t"), Err(Problem::TooManyValues));
        assert_eq!(list("~LST(a"), Err(Problem::Invalid));
    }
}
