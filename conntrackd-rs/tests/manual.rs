//! The manual pages say what the program knows: their table of words is compared with the grammar and the help. Whoever changes
//! one of these runs this test with `UPDATE_COMPAT=1`, which writes the pages, and describes a new word in man/source/words.tsv.

use std::collections::BTreeSet;
use std::path::Path;

use conf_parsers::conntrackd::{keywords, parse};
use testkit::manual::{Table, compare_or_write};

const WORDS: &str = include_str!("../man/source/words.tsv");

/// How a block is opened.
fn opening(block: &str) -> String {
    let mut out = String::new();
    for name in block.split('/').filter(|name| *name != "(top)") {
        out += name;
        out += match name {
            // Here a list follows, no block.
            "Protocol" | "Address" | "State" => " ",
            "Type" => " ftp inet tcp { ",
            "Policy" => " ftp { ",
            _ => " { ",
        };
    }
    out
}

/// What 1.4.8's grammar takes as well, without a meaning: lines of a Type outside of it, and a Type inside.
const MEANINGLESS: [(&str, &str); 4] = [
    ("Helper", "Policy"),
    ("Helper", "QueueLen"),
    ("Helper", "QueueNum"),
    ("Helper/Type", "Type"),
];

/// Whether the grammar takes a word there: it then stumbles over the end that follows, and not over the word.
fn is_taken(block: &str, word: &str) -> bool {
    let text = opening(block) + word;
    let outcome = parse(text.as_bytes(), &|_| true);
    let symbol = format!("symbol '{word}'");
    outcome
        .diagnostics
        .last()
        .is_some_and(|error| !error.kind.to_string().contains(&symbol))
}

#[test]
fn every_keyword_is_described_where_it_belongs() {
    let table = Table::read(WORDS);
    let blocks: BTreeSet<String> = table
        .pairs()
        .into_iter()
        .map(|(block, _)| block)
        .filter(|block| block == "(top)" || !block.starts_with('('))
        .collect();
    assert!(blocks.len() > 20);
    let mut wrong = Vec::new();
    for block in &blocks {
        let taken: BTreeSet<String> = keywords()
            .filter(|word| is_taken(block, word) && !MEANINGLESS.contains(&(block, word)))
            .map(str::to_owned)
            .collect();
        let described = table.words(block);
        wrong.extend(described.symmetric_difference(&taken).map(|word| {
            let what = if taken.contains(word) {
                "not described"
            } else {
                "not taken"
            };
            format!("{block} {word}: {what}")
        }));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What is a value rather than a setting stands in a description.
    for word in keywords() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let found = WORDS.split(|c| !is_part(c)).any(|w| w == word);
        assert!(found, "{word} is in no description");
    }
}

#[test]
fn every_option_is_described() {
    let usage = conntrackd_rs::text::usage::usage("conntrackd");
    let mut options: BTreeSet<String> = usage
        .lines()
        .filter(|line| line.starts_with("  -"))
        .map(|line| line.chars().skip(2).take(2).collect())
        .collect();
    assert!(options.len() > 10);
    // Ours, which the help does not tell: it is that of 1.4.8.
    options.extend(["--test", "--json"].map(str::to_owned));
    let table = Table::read(WORDS);
    let mut described = table.words("(options)");
    described.extend(table.words("(requests)"));
    assert_eq!(described, options);
    let statistics = usage.lines().find(|line| line.starts_with("  -s"));
    let statistics = statistics.expect("-s").split(['[', ']']).nth(1);
    let described = table.words("(statistics)");
    for word in statistics.expect("words").split('|') {
        assert!(described.contains(word), "-s {word}");
    }
}

#[test]
fn described_helpers_are_those_of_the_language() {
    let words = Table::read(WORDS).words("(helpers)");
    assert_eq!(words.len(), 10);
    for name in words {
        let known = ["tcp", "udp"].iter().any(|protocol| {
            let text = format!(
                "Helper {{ Type {name} inet {protocol} {{ Policy {name} {{ ExpectMax 1 }} }} }}"
            );
            parse(text.as_bytes(), &|_| true).config.is_some()
        });
        assert!(known, "{name}");
    }
}

#[test]
fn pages_are_those_of_the_templates() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let table = Table::read(WORDS);
    let mut used = BTreeSet::new();
    for name in ["conntrackd.8", "conntrackd.conf.5"] {
        let template = folder.join("source").join(format!("{name}.in"));
        let template = std::fs::read_to_string(template).expect("a template");
        let (page, groups) = table.page(&template, &|_| None, &|_| None);
        compare_or_write(&folder.join(name), &page);
        used.extend(groups);
    }
    assert_eq!(used, table.groups(), "in no page");
}
