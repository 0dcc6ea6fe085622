//! Comments, blanks and the continuation mark of one line.

/// Removes comments (`#`, `!` outside double quotes), the backslash that protects such a character, and outer blanks. A final
/// backslash stays, without the blanks before it. The flag tells of an odd number of quotes; the text then is the line as it stood
/// before the comment was cut, for the message.
pub(super) fn strip(line: &str) -> (String, Option<String>) {
    let mut kept = String::with_capacity(line.len());
    let mut comment = None;
    let mut quoted = false;
    let mut continued = false;
    let mut chars = line.trim_start_matches([' ', '\t']).chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if comment.is_none() => quoted = !quoted,
            '\\' => {
                match chars.next() {
                    None => continued = true,
                    Some(next @ ('#' | '!')) if !quoted => kept.push(next),
                    Some(next) => {
                        kept.push('\\');
                        kept.push(next);
                    }
                }
                continue;
            }
            '#' | '!' if !quoted && comment.is_none() => comment = Some(kept.len()),
            _ => {}
        }
        kept.push(c);
    }
    let unterminated = quoted.then(|| kept.clone());
    if let Some(at) = comment {
        kept.truncate(at);
    }
    kept.truncate(kept.trim_end_matches([' ', '\t']).len());
    if continued {
        kept.push('\\');
    }
    (kept, unterminated)
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn table() {
        for (input, expected) in [
            ("  a b  ", "a b"),
            ("a # b", "a"),
            ("a ! b \\", "a\\"),
            ("a \"#b\" c", "a \"#b\" c"),
            ("a \\#b", "a #b"),
            ("a \"\\#b\"", "a \"\\#b\""),
            ("a   \\", "a\\"),
            ("# it's \"odd", ""),
        ] {
            let (text, open) = strip(input);
            assert_eq!(text, expected, "{input}");
            assert_eq!(open, None, "{input}");
        }
        assert_eq!(strip("a \"b").1.as_deref(), Some("a \"b"));
    }
}
