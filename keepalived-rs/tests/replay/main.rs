//! Recorded adverts of the originals, played again: ours takes the part of one node, in virtual time, and must send the same
//! adverts and announcements, log the same lines, notify the same and count the same.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod capture;
mod config_errors;
mod coverage;
mod differences;
mod events;
mod language;
mod lives;
mod node;
mod player;
mod sessions;
mod starts;
mod vectors;

use std::fmt::Write as _;

use player::{Part, Played};

/// The parts that can be played: one per life of a node of which there is a log.
fn parts() -> Vec<Part> {
    let mut parts = Vec::new();
    for name in capture::names() {
        for node in ['a', 'b', 'c'] {
            let log = capture::file(&name, &format!("{node}.log"));
            let Some(log) = log.filter(|l| !l.is_empty()) else {
                continue;
            };
            parts.extend(Part::of(&name, node, &log));
        }
    }
    parts
}

#[test]
fn every_part() {
    let mut report = String::new();
    let (mut played, mut unused): (usize, Vec<&str>) =
        (0, differences::TABLE.iter().map(|d| d.part).collect());
    for part in parts() {
        let title = part.title();
        let row = differences::TABLE.iter().find(|d| d.part == title);
        unused.retain(|t| *t != title);
        let expected = row.map_or(differences::NOTHING, |r| r.differs);
        if expected.contains(&differences::Differs::NotPlayed) {
            continue;
        }
        played += 1;
        let Played { trouble } = part.play();
        for (kind, text) in &trouble {
            if !expected.contains(kind) {
                writeln!(report, "== {title} {kind:?}\n{text}").unwrap();
            }
        }
        for kind in expected {
            if !trouble.iter().any(|(k, _)| k == kind) {
                writeln!(report, "== {title}: {kind:?} does not differ").unwrap();
            }
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(unused.is_empty(), "rows without a part: {unused:?}");
    assert!(played >= 120, "only {played} parts were played");
}
