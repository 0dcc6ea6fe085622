//! The recordings for big-endian machines are the little-endian ones, turned.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::fmt::Write as _;
use std::path::Path;

use testkit::byte_order::{Family, Turner};

/// Recordings, below the repository and without `.hex`; the others are beside them with `.be.hex`.
const RECORDINGS: &[(Family, &str)] = &[
    (
        Family::Route,
        "crates/netlink-wire/testdata/keepalived-2.3.3-requests",
    ),
    (
        Family::Route,
        "crates/netlink-wire/testdata/keepalived-2.3.3-link-requests",
    ),
    (
        Family::Route,
        "crates/netlink-wire/testdata/linux-6.18-news",
    ),
    (
        Family::Ipvs,
        "crates/netlink-wire/testdata/keepalived-2.3.3-ipvs",
    ),
    (
        Family::Netfilter,
        "keepalived-rs/testdata/nftables/keepalived-2.3.3",
    ),
    (Family::Netfilter, "testdata/nl/ctnetlink/events-02"),
    (Family::Netfilter, "testdata/nl/ctnetlink/requests"),
];

/// Comments stay; of the other lines the last word is a datagram.
fn turned(family: Family, text: &str) -> String {
    let mut turner = Turner::new(family);
    let mut out = String::from(
        "# Turned for big-endian machines from the file without .be in its name; see testkit's byte_order.\n",
    );
    for line in text.lines() {
        if line.starts_with('#') {
            writeln!(out, "{line}").unwrap();
            continue;
        }
        let (word, hex) = line.split_at(line.rfind(' ').map_or(0, |at| at + 1));
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        out += word;
        for byte in turner.turn(&bytes) {
            write!(out, "{byte:02x}").unwrap();
        }
        out.push('\n');
    }
    out
}

/// Whoever adds to a recording runs this with `UPDATE_BIG_ENDIAN=1` in the environment, which writes the others.
#[test]
fn big_endian_recordings_are_the_others_turned() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (family, name) in RECORDINGS {
        let text = std::fs::read_to_string(root.join(format!("{name}.hex"))).unwrap();
        let wanted = turned(*family, &text);
        let other = root.join(format!("{name}.be.hex"));
        if std::env::var_os("UPDATE_BIG_ENDIAN").is_some() {
            std::fs::write(&other, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(&other).unwrap();
        assert!(
            found == wanted,
            "{name}.be.hex is not what {name}.hex turns to"
        );
    }
}
