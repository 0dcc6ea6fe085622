//! The manual pages say what the program knows: their tables of words are compared with the keyword tables and
//! the help. Whoever changes one of these runs the tests with `UPDATE_COMPAT=1`, which writes the pages, and
//! describes a new word in man/source/words.tsv.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use conf_parsers::keepalived::engine::{Feature, Keyword};
use conf_parsers::keepalived::{Part, ReadOptions, keywords, read};
use testkit::manual::{Row, Table, compare_or_write, plain};

use crate::text::usage::Usage;

const WORDS: &str = include_str!("../man/source/words.tsv");

/// Block (the top level is "") and keyword, with the part of the build that it needs.
type Known = BTreeMap<(&'static str, &'static str), Option<Feature>>;

fn known() -> Known {
    fn walk(block: &'static str, keyword: &Keyword, feature: Option<Feature>, out: &mut Known) {
        let feature = keyword.feature.or(feature);
        if out.insert((block, keyword.name), feature).is_none() {
            for inner in keyword.block.iter().flat_map(|b| b.keywords) {
                walk(keyword.name, inner, feature, out);
            }
        }
    }
    let mut out = Known::new();
    for root in keywords::roots().iter().flat_map(|t| t.iter()) {
        walk("", &root.keyword, None, &mut out);
    }
    out
}

/// The table's name of a block.
fn shown(block: &str) -> &str {
    if block.is_empty() { "(top)" } else { block }
}

/// Words of the option lists: parentheses, and no keywords of the engine.
fn is_list(block: &str) -> bool {
    block.starts_with('(') && block != "(top)"
}

#[test]
fn every_keyword_is_described() {
    let described: BTreeSet<_> = Table::read(WORDS)
        .pairs()
        .into_iter()
        .filter(|(block, _)| !is_list(block))
        .collect();
    let known: BTreeSet<_> = known()
        .into_keys()
        .map(|(block, word)| (shown(block).to_owned(), word.to_owned()))
        .collect();
    let missing: Vec<_> = known.difference(&described).collect();
    let strange: Vec<_> = described.difference(&known).collect();
    assert!(missing.is_empty(), "without description: {missing:?}");
    assert!(strange.is_empty(), "no keyword: {strange:?}");
}

/// The options of a help text.
fn options(help: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for line in help.lines().filter(|l| l.trim_start().starts_with('-')) {
        let line = line.trim_start();
        let end = line.find(['=', '(', '[']).unwrap_or(line.len());
        for word in line.get(..end).unwrap_or_default().split_whitespace() {
            let word = word.trim_end_matches(',');
            if !word.starts_with('-') {
                break;
            }
            out.insert(word.to_owned());
        }
    }
    out
}

#[test]
fn every_option_is_described() {
    let help = Usage {
        program: "keepalived",
        config: "FILE",
        tmp: "/tmp",
    };
    let help = options(&help.to_string());
    assert!(help.contains("-f") && help.contains("--ignore-sigint"));
    assert_eq!(Table::read(WORDS).words("(options)"), help);
}

#[cfg(feature = "lvs")]
#[test]
fn every_option_of_genhash_is_described() {
    let usage = crate::text::genhash::usage("genhash", true);
    let options: BTreeSet<_> = usage
        .lines()
        .filter(|line| line.trim_start().starts_with("--"))
        .flat_map(|line| line.split_whitespace().take(2))
        .map(str::to_owned)
        .collect();
    assert_eq!(Table::read(WORDS).words("(genhash)"), options);
}

/// What a configuration test says about one line in a list.
fn messages(block: &str, line: &str) -> Vec<String> {
    let text = format!(
        "vrrp_instance A {{\ninterface eth0\nvirtual_router_id 1\n{block} {{\n{line}\n}}\n}}\n"
    );
    let mut host = conf_parsers::source::FakeHost::with_interfaces(&["eth0"]);
    host.source = conf_parsers::source::MemorySource::one("/k.conf", &text);
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    let options = Default::default();
    let outcome = conf_parsers::keepalived::parse(&lines, Part::Vrrp, &host, &options, None);
    outcome.diagnostics.into_iter().map(|d| d.text).collect()
}

/// A described word is not taken for something else: what is said about it differs from what is said about nonsense.
#[test]
fn words_of_lists_are_known_to_the_parser() {
    for (list, block, start) in [
        ("(address)", "virtual_ipaddress", "192.0.2.1"),
        ("(route)", "virtual_routes", "192.0.2.0/24"),
        ("(rule)", "virtual_rules", "from 192.0.2.1"),
    ] {
        let nonsense = messages(block, &format!("{start} nonsense 1"));
        assert!(!nonsense.is_empty(), "{list}");
        for word in Table::read(WORDS).words(list) {
            if word == "track_group" {
                continue; // Of static objects.
            }
            let said = messages(block, &format!("{start} {word} 1"));
            let as_nonsense: Vec<_> = nonsense
                .iter()
                .map(|text| text.replace("nonsense", &word))
                .collect();
            assert_ne!(said, as_nonsense, "{word} of {list}");
        }
    }
}

fn part(feature: Feature) -> &'static str {
    match feature {
        Feature::Linkbeat => "link polling",
        Feature::Iptables => "iptables",
        Feature::TrackProcess => "process tracking",
        Feature::Bfd => "BFD",
        Feature::Lvs => "LVS",
        Feature::Snmp => "SNMP",
        Feature::Dbus => "D-Bus",
        Feature::Regex => "regular expressions",
        Feature::SnmpChecker => "SNMP and LVS",
    }
}

/// The part of the build that a keyword needs.
fn feature(block: &str, word: &str, known: &Known) -> Option<Feature> {
    let block = if block == "(top)" { "" } else { block };
    known.get(&(block, word)).copied().flatten()
}

/// The part of the build without which another is not either.
fn base(feature: Feature) -> Feature {
    match feature {
        Feature::Regex | Feature::SnmpChecker => Feature::Lvs,
        other => other,
    }
}

/// The part of the build that a whole block needs.
fn feature_of_block(block: &str, known: &Known) -> Option<Feature> {
    let features = known.iter().filter(|((b, _), _)| *b == block);
    let mut features = features.map(|(_, feature)| feature.map(base));
    let first = features.next()?;
    features.all(|f| f == first).then_some(first)?
}

/// What is said behind a description.
fn note(row: &Row, known: &Known) -> Option<String> {
    let mut out = Vec::new();
    for block in row.blocks() {
        for word in &row.words {
            match feature(block, word, known) {
                Some(feature) if feature_of_block(block, known) != Some(feature) => {
                    let only = part(feature);
                    out.push(match row.words.len() {
                        1 => format!("Only in builds with {only}."),
                        _ => format!("{} only in builds with {only}.", plain(word)),
                    });
                }
                _ => {}
            }
        }
    }
    out.dedup();
    (!out.is_empty()).then(|| out.join("\n"))
}

/// What is said before the descriptions of a group: whether its block is there.
fn group_note(group: &str, known: &Known) -> Option<String> {
    let block = group.split(',').next().unwrap_or_default();
    let feature = feature_of_block(block, known)?;
    Some(format!("Only in builds with {}.", part(feature)))
}

#[test]
fn pages_mark_what_not_all_builds_have_and_are_those_of_the_templates() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let table = Table::read(WORDS);
    let known = known();
    let mut used = BTreeSet::new();
    for name in ["keepalived.8", "keepalived.conf.5", "genhash.1"] {
        let template = folder.join("source").join(format!("{name}.in"));
        let template = std::fs::read_to_string(template).unwrap();
        let before = |group: &str| group_note(group, &known);
        let (page, groups) = table.page(&template, &before, &|row| note(row, &known));
        compare_or_write(&folder.join(name), &page);
        used.extend(groups);
    }
    let unused: Vec<_> = table.groups().difference(&used).cloned().collect();
    assert!(unused.is_empty(), "in no page: {unused:?}");
}
