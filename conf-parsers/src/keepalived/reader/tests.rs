use super::*;
use crate::source::{FakeHost, MemorySource};

fn host(text: &str) -> FakeHost {
    FakeHost {
        source: MemorySource::one("/k.conf", text),
        ..FakeHost::default()
    }
}

fn lines_of(lines: &Lines) -> Vec<&str> {
    lines
        .entries
        .iter()
        .filter_map(|e| match e {
            Entry::Line { text, .. } => Some(&**text),
            _ => None,
        })
        .collect()
}

fn messages_of(lines: &Lines) -> Vec<&str> {
    lines
        .entries
        .iter()
        .filter_map(|e| match e {
            Entry::Message(d) | Entry::IncludeMessage(d) if !d.log => Some(&*d.text),
            _ => None,
        })
        .collect()
}

fn read_text(text: &str) -> Lines {
    read(
        &host(text),
        "/k.conf",
        &ReadOptions {
            config_id: "me".to_owned(),
            ..ReadOptions::default()
        },
    )
}

#[track_caller]
fn expands(text: &str, expected: &[&str]) {
    assert_eq!(lines_of(&read_text(text)), expected);
}

#[test]
fn braces_are_lines_of_their_own() {
    expands(
        "a b { c d } e\n\"x {\" }",
        &["a b", "{", "c d", "}", "e", "\"x {\"", "}"],
    );
}

#[test]
fn conditions() {
    expands(
        "@me a\n@you b\n@^you c\n@^me d\n@me\n@me @you e",
        &["a", "c", "@you e"],
    );
}

#[test]
fn definitions() {
    expands("$A=1\nx $A ${A}2 $A/3 $B ($A)", &["x 1 12 $A/3 $B (1)"]);
    expands("$A=${B}\n$B=2\n$A", &["2"]);
    expands("$A=x\n$A=y\n$A", &["y"]);
    expands("a ${_INSTANCE} ${_RANDOM 5 9} ${_PWD}", &["a me 5 /"]);
    expands("a ${_HASH}b\na \"${_HASH}b\"", &["a", "a \"#b\""]);
}

#[test]
fn a_definition_of_itself_ends() {
    let lines = read_text("$A=${A}\nx ${A}\ny");
    assert_eq!(lines_of(&lines).last(), Some(&"y"));
}

#[test]
fn multi_line_definitions() {
    expands(
        "$A= one \\\n two \\\n three\nx $A\ny",
        &["x one", "two", "three", "y"],
    );
    expands(
        "$I= i1 \\\n i2\n$O= o1 \\\n $I \\\n o2\n$O",
        &["o1", "i1", "i2", "o2"],
    );
    expands("$A= one \\\n two\n$A tail", &["$A tail"]);
}

#[test]
fn repetitions() {
    expands(
        "~SEQ(i, 2) a ${i} { b }",
        &["a 1", "{", "b", "}", "a 2", "{", "b", "}"],
    );
    expands(
        "~SEQ(i, 2) ~SEQ(j,2) ${i}.${j}",
        &["1.1", "1.2", "2.1", "2.2"],
    );
    expands("~LST({a,b}, {1,2}, {3,4}) ${a}-${b}", &["1-2", "3-4"]);
    let lines = read_text("~SEQ(i, 1, -1, 3) a\n~LST(x");
    assert_eq!(
        messages_of(&lines),
        [
            "Invalid ~SEQ values '~SEQ(i, 1, -1, 3) a'",
            "Invalid ~SEQ specification '~SEQ(i, 1, -1, 3) a'",
            "Invalid ~LST specification '~LST(x'"
        ]
    );
}

#[test]
fn braces_are_counted() {
    let lines = read_text("}\na {\n{\n");
    assert_eq!(messages_of(&lines), ["Extra '}' found"]);
    assert_eq!(lines.missing_end, 2);
}

#[test]
fn includes_start_from_their_own_directory() {
    let mut h = host("include sub/a.conf\nend");
    h.source.put("/sub/a.conf", "in a\ninclude b.conf");
    h.source.put("/sub/b.conf", "in b");
    let lines = read(&h, "/k.conf", &ReadOptions::default());
    assert_eq!(lines_of(&lines), ["in a", "in b", "end"]);
    let names: Vec<_> = lines
        .files
        .iter()
        .map(|f| (f.shown.as_str(), f.named))
        .collect();
    assert_eq!(
        names,
        [("/k.conf", false), ("sub/a.conf", true), ("b.conf", true)]
    );
}

#[test]
fn missing_includes() {
    let lines = read_text("include none\nincludem gone\nincludew g*\ninclude h*\n");
    assert_eq!(
        messages_of(&lines),
        [
            "Config files missing 'none'.",
            "Config files missing 'gone'.",
            "No config files matched 'g*'."
        ]
    );
    assert!(lines.include_failed);
    let lines = read_text("include none");
    assert!(!lines.include_failed);
    let lines = read_text("global_defs {\ninclude_check\n}\ninclude none");
    assert!(lines.include_failed);
}

#[test]
fn a_file_that_includes_itself_ends() {
    let lines = read_text("a\ninclude k.conf");
    assert!(
        messages_of(&lines)
            .last()
            .is_some_and(|m| m.contains("Too many open files"))
    );
}

#[test]
fn repetitions_end() {
    let options = ReadOptions {
        max_lines: Some(100),
        ..ReadOptions::default()
    };
    let lines = read(&host("~SEQ(i,1,1000000000) g ${i}"), "/k.conf", &options);
    assert_eq!(lines_of(&lines).len(), 99);
    assert_eq!(
        messages_of(&lines).last(),
        Some(&"more than 100 lines - ignoring the rest")
    );
    // A director with 40,000 real servers of six lines each.
    let many = read_text("~SEQ(i,1,300000) g ${i}");
    assert_eq!(lines_of(&many).len(), 300_000);
}

#[test]
fn lines_survive_the_memory_file() {
    let lines = read_text("a \"b c\" {\n  d # x\n}\ninclude none\ne \"f\n~SEQ(i,3) g ${i}");
    assert_eq!(Lines::from_text(&lines.to_text()), Some(lines));
    assert_eq!(Lines::from_text("L 0 1 a\n"), None);
}
