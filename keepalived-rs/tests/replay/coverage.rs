//! Every capture of the originals is played or compared by a test that is there: the table in testdata/replay/README.md.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::capture::{self, directory};
use crate::differences::{Differs, TABLE};

/// The numbers of all captures that were made.
const MADE: &[RangeInclusive<u16>] = &[
    101..=106,
    111..=126,
    131..=142,
    201..=224,
    301..=309,
    311..=318,
    321..=336,
    341..=344,
    351..=356,
    361..=364,
    371..=371,
    401..=411,
    501..=513,
];

/// The tests of each capture.
fn table() -> BTreeMap<u16, Vec<String>> {
    let text = fs::read_to_string(directory().join("../README.md")).unwrap();
    let (_, rows) = text.split_once("| capture |").unwrap();
    let mut table = BTreeMap::new();
    for row in rows.lines().skip(2) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, numbers, _, tests, _] = cells[..] else {
            panic!("{row}");
        };
        let tests: Vec<String> = tests
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert!(!tests.is_empty(), "{row}");
        for part in numbers.split(", ") {
            let (first, last) = part.split_once(" to ").unwrap_or((part, part));
            for number in first.parse().unwrap()..=last.parse().unwrap() {
                // A range names only those that were made.
                if MADE.iter().any(|made| made.contains(&number)) {
                    let twice = table.insert(number, tests.clone());
                    assert!(twice.is_none(), "{number} stands there twice");
                }
            }
        }
    }
    table
}

/// The text of all tests of this crate.
fn sources(dir: &Path, text: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|e| e == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_capture_has_a_test() {
    let table = table();
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    sources(&crate_dir.join("tests"), &mut text);
    sources(&crate_dir.join("src"), &mut text);
    for number in MADE.iter().cloned().flatten() {
        let tests = table.get(&number);
        let tests = tests.unwrap_or_else(|| panic!("capture {number} has no row"));
        for test in tests {
            let declared = text.contains(&format!("]\nfn {test}() {{"));
            assert!(declared, "{number}: there is no test {test}");
            assert!(has_data(number, test), "{number}: {test} has no data of it");
        }
    }
}

/// Whether the test's folder has something of the capture.
fn has_data(number: u16, test: &str) -> bool {
    let dir = directory();
    let here = |dir: &Path| {
        let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
        let number = number.to_string();
        let mut names = names.map(|n| n.into_string().unwrap());
        names.any(|n| n.starts_with(&number))
    };
    match test {
        // Some node of it is played.
        "every_part" => capture::names().iter().any(|name| {
            let left_out = |node: char| {
                TABLE.iter().any(|row| {
                    row.part == format!("{name} {node}")
                        && row.differs.contains(&Differs::NotPlayed)
                })
            };
            let played = |node: char| {
                capture::file(name, &format!("{node}.log")).is_some_and(|l| !l.is_empty())
                    && !left_out(node)
            };
            name.starts_with(&number.to_string()) && ['a', 'b', 'c'].into_iter().any(played)
        }),
        "all_trailers" | "every_mistake" => here(&dir),
        "recorded_configurations" | "forms_of_environment_variables" => here(&dir.join("language")),
        "recorded_dumps" => here(&dir.join("../../golden/dump")),
        "lab_rules_are_the_originals" | "lab_a_reload_changes_the_elements" => {
            here(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/nftables"))
        }
        _ => here(&dir.join("live")),
    }
}
