//! The second splitting that scripts and regular expressions get: shell-like quotes and, for regular expressions, escapes.

use super::number::WHITE_SPACE;

/// Why a line could not be split.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// This quote is not closed.
    OpenQuote(char),
    /// A backslash ends the text.
    EscapeAtEnd,
}

/// Splits at white space; `'…'` and `"…"` may stand anywhere in a word and are dropped. A backslash protects the next character:
/// with `escapes` the sequence is converted (`\xHH \NNN \cX \a \b \E \f \n \r \t \v`), without it both characters stay.
pub fn split(text: &str, escapes: bool) -> Result<Vec<String>, Problem> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| WHITE_SPACE.contains(c)).is_some() {}
        if chars.peek().is_none() {
            return Ok(words);
        }
        let mut word = String::new();
        let mut quote = None;
        // The original looks for the end of a quote only while there is text: one that ends with an escape may be open.
        let mut text_after = false;
        while let Some(&c) = chars.peek() {
            match (c, quote) {
                ('\\', _) => {
                    chars.next();
                    if chars.peek().is_none() {
                        return Err(Problem::EscapeAtEnd);
                    }
                    if escapes {
                        word.push(escape(&mut chars));
                    } else {
                        word.push('\\');
                        word.extend(chars.next());
                    }
                    text_after = false;
                    continue;
                }
                (c, Some(q)) if c == q => quote = None,
                ('"' | '\'', None) => {
                    quote = Some(c);
                    text_after = false;
                }
                (c, None) if WHITE_SPACE.contains(&c) => break,
                (c, _) => {
                    word.push(c);
                    text_after = true;
                }
            }
            chars.next();
        }
        if let Some(q) = quote.filter(|_| text_after) {
            return Err(Problem::OpenQuote(q));
        }
        words.push(word);
    }
}

fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> char {
    let Some(first) = chars.next() else {
        return '\\';
    };
    let number = |digits: &[u32], radix: u32| {
        let value = digits
            .iter()
            .fold(0u32, |v, d| v.wrapping_mul(radix).wrapping_add(*d))
            & 0xff;
        char::from_u32(value).unwrap_or('\u{fffd}')
    };
    match first {
        'x' => {
            let mut digits = Vec::new();
            while digits.len() < 2 {
                let Some(d) = chars.peek().and_then(|c| c.to_digit(16)) else {
                    break;
                };
                digits.push(d);
                chars.next();
            }
            if digits.is_empty() {
                'x'
            } else {
                number(&digits, 16)
            }
        }
        '0'..='7' => {
            let mut digits = vec![first.to_digit(8).unwrap_or(0)];
            while digits.len() < 3 {
                let Some(d) = chars.peek().and_then(|c| c.to_digit(8)) else {
                    break;
                };
                digits.push(d);
                chars.next();
            }
            number(&digits, 8)
        }
        'c' if chars.peek().is_some() => {
            let c = chars.next().unwrap_or('\0');
            char::from_u32(u32::from(c) & 0x1f).unwrap_or('\u{fffd}')
        }
        'a' => '\x07',
        'b' => '\x08',
        'E' => '\x1b',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts() {
        let words = split(r#"script "/bin/a 'b' c" d'e f' \x"#, false).unwrap();
        assert_eq!(words, ["script", "/bin/a 'b' c", "de f", "\\x"]);
        assert_eq!(split("a 'b", false), Err(Problem::OpenQuote('\'')));
        assert_eq!(split("a \\", false), Err(Problem::EscapeAtEnd));
        // As 2.3.3 (capture 213).
        let words = split(r#"it's 'a b' \"c d\""#, true).unwrap();
        assert_eq!(words, ["its a", "b \"c d\""]);
        assert_eq!(split(r#"a '\"b"#, true), Err(Problem::OpenQuote('\'')));
        assert_eq!(split("a '", true).unwrap(), ["a", ""]);
    }

    #[test]
    fn regexes() {
        let words = split(r#"regex "a\x41\101\n\q""#, true).unwrap();
        assert_eq!(words, ["regex", "aAA\nq"]);
    }
}
