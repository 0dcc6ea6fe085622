//! `-s … --json` through the client: the numbers of the text, and what a daemon says that does not know it.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::collections::BTreeMap;

use two_routers::{Daemon, Lab, value};

/// Reads a JSON value and keeps its numbers by path; what is left of the text.
fn read<'a>(text: &'a str, path: &str, numbers: &mut BTreeMap<String, u64>) -> &'a str {
    let inner = |rest: &'a str, end: char, numbers: &mut BTreeMap<String, u64>| {
        let mut rest = rest;
        for index in 0.. {
            if let Some(after) = rest.strip_prefix(end) {
                return after;
            }
            if index > 0 {
                rest = rest.strip_prefix(',').expect("a comma");
            }
            let mut place = format!("{path}/{index}");
            if end == '}' {
                let (key, after) = string(rest);
                place = format!("{path}/{key}");
                rest = after.strip_prefix(':').expect("a colon");
            }
            rest = read(rest, &place, numbers);
        }
        rest
    };
    match text.chars().next().expect("a value") {
        '{' => inner(&text[1..], '}', numbers),
        '[' => inner(&text[1..], ']', numbers),
        '"' => string(text).1,
        '0'..='9' => {
            let end = text.find(|c: char| !c.is_ascii_digit());
            let (number, rest) = text.split_at(end.unwrap_or(text.len()));
            numbers.insert(path.to_owned(), number.parse().expect("a number"));
            rest
        }
        _ => ["true", "false", "null"]
            .iter()
            .find_map(|word| text.strip_prefix(word))
            .expect("a word"),
    }
}

/// A string without escapes, as all of ours are here.
fn string(text: &str) -> (&str, &str) {
    let text = text.strip_prefix('"').expect("a string");
    let (string, rest) = text.split_once('"').expect("its end");
    assert!(!string.contains('\\'), "{string}");
    (string, rest)
}

fn numbers(text: &str) -> BTreeMap<String, u64> {
    let mut numbers = BTreeMap::new();
    assert_eq!(read(text, "", &mut numbers), "\n", "{text}");
    numbers
}

const WORDS: [&[&str]; 9] = [
    &["-s"],
    &["-s", "network"],
    &["-s", "runtime"],
    &["-s", "link"],
    &["-s", "rsqueue"],
    &["-s", "queue"],
    &["-s", "cache"],
    &["-s", "process"],
    &["-s", "expect"],
];

#[test]
fn lab_statistics_as_json_have_the_numbers_of_the_text() {
    if !testkit::need::root("lab_statistics_as_json_have_the_numbers_of_the_text") {
        return;
    }
    let lab = Lab::build("json", None);
    let one = Daemon::start(&lab.r1, "one", None, 1, 3780);
    let two = Daemon::start(&lab.r2, "two", None, 2, 3780);
    let open = lab.traffic();
    two.wait_flows(&["-e"], 2);
    two.ask(&["-c"]);
    two.wait_flows(&["-i"], 2);
    for daemon in [&one, &two] {
        for words in WORDS {
            let json = daemon.ask(&[words, &["--json"]].concat());
            assert!(json.starts_with('{') && json.lines().count() == 1, "{json}");
            let _ = numbers(&json);
        }
        let (text, json) = (daemon.ask(&["-s"]), numbers(&daemon.ask(&["-s", "--json"])));
        for cache in ["internal", "external"] {
            for (key, label) in [
                ("active", "current active connections:"),
                ("created", "connections created:"),
                ("updated", "connections updated:"),
                ("destroyed", "connections destroyed:"),
            ] {
                let told = value(&text, &format!("cache {cache}:"), label);
                assert_eq!(
                    json.get(&format!("/{cache}/{key}")),
                    Some(&told),
                    "{cache} {key}\n{text}"
                );
            }
        }
        let (text, json) = (
            daemon.ask(&["-s", "cache"]),
            numbers(&daemon.ask(&["-s", "cache", "--json"])),
        );
        let told = value(&text, "cache:internal", "active objects:");
        assert_eq!(json.get("/internal/active"), Some(&told), "{text}");
    }
    drop(open);
}

#[test]
fn ref_a_daemon_without_json_answers_nothing() {
    let name = "ref_a_daemon_without_json_answers_nothing";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let lab = Lab::build("nojson", Some(&root));
    let original = Daemon::start(&lab.r1, "original", Some(&root), 1, 3780);
    for words in WORDS {
        let words = [words, &["--json"]].concat();
        assert_eq!(original.ask_with(None, &words), "", "{words:?}");
    }
    // It goes on.
    assert!(original.ask(&["-s"]).contains("cache internal:"));
}
