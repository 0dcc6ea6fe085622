//! File name patterns of `include`: `*`, `?`, `[…]` and `{a,b}`, independent of the C library (musl's glob knows no braces).

use net_types::SortedSet;

use crate::source::Source;

/// What a pattern gave.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Matches {
    /// Names as written, a directory with `/` at its end; sorted within each brace alternative.
    pub names: Vec<String>,
    /// A name without wildcards did not exist.
    pub missing_files: bool,
    /// A directory that had to be searched did not exist.
    pub missing_directories: bool,
    /// A directory was searched.
    pub had_wildcards: bool,
}

/// True if the pattern has an unprotected `{`.
pub fn has_brace(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '{' => return true,
            _ => {}
        }
    }
    false
}

/// Most names that one pattern may expand to by braces.
const MAX_ALTERNATIVES: usize = 4096;

/// Expands a pattern. `dir` is the directory that relative names start from.
pub fn glob(source: &dyn Source, dir: &str, pattern: &str) -> Matches {
    let mut out = Matches::default();
    let mut alternatives = Vec::new();
    expand_braces(pattern, &mut alternatives);
    for one in alternatives {
        let mut names = Vec::new();
        walk(source, dir, String::new(), &one, &mut names, &mut out);
        out.names.extend(SortedSet::from_iter(names));
    }
    out
}

/// Joins a name to a directory unless it is absolute.
pub fn join(dir: &str, name: &str) -> String {
    if name.starts_with('/') || dir.is_empty() {
        name.to_owned()
    } else if dir.ends_with('/') {
        format!("{dir}{name}")
    } else {
        format!("{dir}/{name}")
    }
}

fn expand_braces(pattern: &str, out: &mut Vec<String>) {
    if out.len() >= MAX_ALTERNATIVES {
        return;
    }
    let Some((start, end, commas)) = find_braces(pattern) else {
        out.push(pattern.to_owned());
        return;
    };
    let (Some(before), Some(after)) = (pattern.get(..start), pattern.get(end + 1..)) else {
        return;
    };
    let mut from = start + 1;
    for to in commas.into_iter().chain([end]) {
        let alternative = pattern.get(from..to).unwrap_or("");
        expand_braces(&format!("{before}{alternative}{after}"), out);
        from = to + 1;
    }
}

/// Byte positions of the first closed `{…}` with its top-level commas. `{}` alone is text.
fn find_braces(pattern: &str) -> Option<(usize, usize, Vec<usize>)> {
    let bytes = pattern.as_bytes();
    let mut start = 0;
    while let Some(offset) = bytes.get(start..)?.iter().position(|b| *b == b'{') {
        start += offset;
        let mut depth = 0u32;
        let mut commas = Vec::new();
        let mut at = start;
        while let Some(b) = bytes.get(at) {
            match b {
                b'\\' => at += 1,
                b'{' => depth += 1,
                b',' if depth == 1 => commas.push(at),
                b'}' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        if depth == 0 && at < bytes.len() && at > start + 1 {
            return Some((start, at, commas));
        }
        start += 1;
    }
    None
}

fn is_magic(component: &str) -> bool {
    component.contains(['*', '?', '['])
}

/// Adds all names that `rest` matches below `done` (text already fixed, empty or ending in `/`).
fn walk(
    source: &dyn Source,
    dir: &str,
    done: String,
    rest: &str,
    names: &mut Vec<String>,
    out: &mut Matches,
) {
    if !is_magic(rest) {
        let name = format!("{done}{}", unescape(rest));
        match source.stat(&join(dir, &name)) {
            Ok(facts) => {
                let slash =
                    facts.kind == crate::source::FileKind::Directory && !name.ends_with('/');
                names.push(if slash { format!("{name}/") } else { name });
            }
            Err(_) => out.missing_files = true,
        }
        return;
    }
    let (component, after) = match rest.split_once('/') {
        Some((c, a)) => (c, Some(a)),
        None => (rest, None),
    };
    if !is_magic(component) {
        let done = format!("{done}{}/", unescape(component));
        return walk(source, dir, done, after.unwrap_or(""), names, out);
    }
    out.had_wildcards = true;
    let searched = if done.is_empty() {
        dir.to_owned()
    } else {
        join(dir, &done)
    };
    let Ok(entries) = source.list(&searched) else {
        out.missing_directories = true;
        return;
    };
    for entry in entries {
        if (entry.starts_with('.') && !component.starts_with('.')) || !matches(component, &entry) {
            continue;
        }
        let name = format!("{done}{entry}");
        let is_dir = source
            .stat(&join(dir, &name))
            .is_ok_and(|f| f.kind == crate::source::FileKind::Directory);
        match after {
            Some(after) if is_dir => walk(source, dir, format!("{name}/"), after, names, out),
            Some(_) => {}
            None => names.push(if is_dir { format!("{name}/") } else { name }),
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' {
            chars.next().unwrap_or('\\')
        } else {
            c
        });
    }
    out
}

/// fnmatch for one path component.
fn matches(pattern: &str, name: &str) -> bool {
    let p: Vec<char> = pattern.chars().collect();
    let n: Vec<char> = name.chars().collect();
    // Iterative with one point of return, so that no pattern takes exponential time.
    let (mut pi, mut ni) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        let step = match (p.get(pi), n.get(ni)) {
            (Some('*'), _) => {
                back = Some((pi + 1, ni));
                pi += 1;
                continue;
            }
            (None, None) => return true,
            (Some('?'), Some(_)) => Some(pi + 1),
            (Some('['), Some(c)) => match bracket(&p, pi, *c) {
                Some((true, next)) => Some(next),
                Some((false, _)) => None,
                None => (*c == '[').then_some(pi + 1),
            },
            (Some('\\'), Some(c)) => p.get(pi + 1).filter(|e| *e == c).map(|_| pi + 2),
            (Some(e), Some(c)) if e == c => Some(pi + 1),
            _ => None,
        };
        if let Some(next) = step {
            pi = next;
            ni += 1;
            continue;
        }
        match back {
            Some((star, from)) if from < n.len() => {
                back = Some((star, from + 1));
                pi = star;
                ni = from + 1;
            }
            _ => return false,
        }
    }
}

/// `[…]` at `at`: whether it holds `c`, and the index after it. None if it is not closed.
fn bracket(p: &[char], at: usize, c: char) -> Option<(bool, usize)> {
    let mut i = at + 1;
    let negated = matches!(p.get(i), Some('!' | '^'));
    if negated {
        i += 1;
    }
    let first = i;
    let mut found = false;
    loop {
        let low = *p.get(i)?;
        if low == ']' && i > first {
            return Some((found != negated, i + 1));
        }
        match (p.get(i + 1), p.get(i + 2)) {
            (Some('-'), Some(&high)) if high != ']' => {
                found |= (low..=high).contains(&c);
                i += 3;
            }
            _ => {
                found |= low == c;
                i += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::MemorySource;

    #[test]
    fn patterns() {
        assert!(matches("*.conf", "a.conf"));
        assert!(matches("a*b*c", "axxbyyc"));
        assert!(!matches("a*b*c", "axxbyy"));
        assert!(matches("[a-c]?", "bz"));
        assert!(matches("[!a]", "b"));
        assert!(matches("[", "["));
    }

    #[test]
    fn braces_and_directories() {
        let mut s = MemorySource::default();
        for f in ["/d/a.conf", "/d/b.conf", "/d/sub/x.conf", "/d/.hidden.conf"] {
            s.put(f, "");
        }
        let m = glob(&s, "/d", "*.conf");
        assert_eq!(m.names, ["a.conf", "b.conf"]);
        let m = glob(&s, "/d", "{b,a,q}.conf");
        assert_eq!(m.names, ["b.conf", "a.conf"]);
        assert!(m.missing_files && !m.had_wildcards);
        assert_eq!(glob(&s, "/d", "*/x.conf").names, ["sub/x.conf"]);
        assert_eq!(glob(&s, "/", "/d/su?").names, ["/d/sub/"]);
        assert!(glob(&s, "/d", "none/*.conf").missing_directories);
    }
}
