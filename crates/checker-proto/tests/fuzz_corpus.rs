//! The committed fuzz inputs of the dialogues.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use checker_proto::dialogue::fuzz;

/// Reads one input to its end.
type Target = fn(&[u8]);

#[test]
fn fuzz_corpora_are_survived() {
    let targets: [(&str, Target); 5] = [
        ("check_http", fuzz::http),
        ("check_smtp", fuzz::smtp),
        ("check_dns", fuzz::dns),
        ("check_icmp_echo", fuzz::icmp_echo),
        ("check_udp", fuzz::udp),
    ];
    for (name, target) in targets {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz");
        let mut count = 0;
        for entry in fs::read_dir(dir.join(name)).unwrap() {
            target(&fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count >= 5, "{name}: {count} inputs");
    }
}
