//! Mistakes in a configuration file, told in the original's words.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod stranger;

use std::fs;
use std::path::Path;

use stranger::{Target, argv};
use testkit::log_lines::as_glibc;

/// What a newcomer writes: the change to a right configuration, and what 1.4.8 says to it before it exits with 1.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    (
        "3780\n }\n}",
        "3780\n }",
        &["[ERROR] parsing config file in line (9), symbol 'General': syntax error"],
    ),
    (
        "FTFW",
        "FTFQ",
        &["[ERROR] parsing config file in line (2), symbol 'FTFQ': syntax error"],
    ),
    (
        "Port",
        "Prot",
        &["[ERROR] parsing config file in line (7), symbol 'Prot': syntax error"],
    ),
    (
        "Interface sync",
        "Interface snyc",
        &[
            "[warning] snyc is an invalid interface",
            "[ERROR] can't open channel socket: No such device",
            "[ERROR] initialization failed",
            "[ERROR] conntrackd cannot start, please review your configuration",
        ],
    ),
    (
        "IPv4_address 172.16.0.1",
        "IPv4_address 172.16.0.9",
        &[
            "[ERROR] can't open channel socket: Cannot assign requested address",
            "[ERROR] initialization failed",
            "[ERROR] conntrackd cannot start, please review your configuration",
        ],
    ),
    (
        "/run/m.ctl",
        "/run/nowhere/m.ctl",
        &[
            "[ERROR] can't open unix socket!",
            "[ERROR] conntrackd cannot start, please review your configuration",
        ],
    ),
    // The second start, and a lock file that can not be made: the same words.
    (
        "/run/m.lock",
        "/run/d.lock",
        &["[ERROR] lockfile `/run/d.lock' exists, perhaps conntrackd already running?"],
    ),
    (
        "/run/m.lock",
        "/run/nowhere/m.lock",
        &["[ERROR] lockfile `/run/nowhere/m.lock' exists, perhaps conntrackd already running?"],
    ),
];

fn mistakes(original: Option<&Path>) -> Vec<String> {
    let target = Target::start("mistakes", original, "FTFW");
    let right = "Sync {\n Mode FTFW {\n }\n UDP {\n  IPv4_address 172.16.0.1\n  IPv4_Destination_Address 172.16.0.2\n  \
                 Interface sync Port 3780\n }\n}\nGeneral {\n LockFile /run/m.lock\n UNIX { Path /run/m.ctl\n }\n}\n";
    let mut wrong = Vec::new();
    for (from, to, expected) in MISTAKES {
        let text = right.replace(from, to);
        target
            .node
            .call(move || fs::write("/run/m.conf", text))
            .expect("a node")
            .expect("a configuration");
        let argv: Vec<String> = argv(original, &[])
            .into_iter()
            .map(|word| word.replace("/run/d.conf", "/run/m.conf"))
            .collect();
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let output = target.node.run(&words).expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        let lines: Vec<String> = said
            .lines()
            .map(|line| as_glibc(line.split_once(") ").map_or(line, |(_, text)| text)))
            .collect();
        if output.status.code() != Some(1) || lines != *expected {
            wrong.push(format!("{to:?}: {:?} {lines:?}", output.status.code()));
        }
        let _ = target.node.call(|| fs::remove_file("/run/m.lock"));
    }
    target.stop();
    wrong
}

#[test]
fn lab_mistakes_of_a_newcomer_have_the_originals_words() {
    if testkit::need::root("lab_mistakes_of_a_newcomer_have_the_originals_words") {
        let wrong = mistakes(None);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn ref_mistakes_of_a_newcomer_have_these_words() {
    let name = "ref_mistakes_of_a_newcomer_have_these_words";
    if !testkit::need::root(name) {
        return;
    }
    if let Some(root) = testkit::need::originals(name) {
        let wrong = mistakes(Some(&root));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
