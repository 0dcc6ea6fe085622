//! Entry for fuzzing: any bytes as a configuration file, through reading, the memory file and all four parses.

use super::{Lines, ParseOptions, Part, ReadOptions, parse, read};
use crate::source::{FakeHost, MemorySource};

/// Reads and parses `data`. Must return for every input, and the memory file must give the same lines back.
pub fn fuzz_read(data: &[u8]) {
    let mut host = FakeHost::with_interfaces(&["lo", "eth0"]);
    let mut source = MemorySource::default();
    source
        .files
        .insert("/k.conf".to_owned(), (0o644, data.to_vec()));
    source.files.insert(
        "/inc.conf".to_owned(),
        (0o644, b"vrrp_instance I {\n".to_vec()),
    );
    host.source = source;
    let lines = read(
        &host,
        "/k.conf",
        &ReadOptions {
            config_id: "me".to_owned(),
            max_lines: Some(2000),
            ..ReadOptions::default()
        },
    );
    assert_eq!(Lines::from_text(&lines.to_text()).as_ref(), Some(&lines));
    for config_test in [false, true] {
        let options = ParseOptions {
            config_test,
            ..ParseOptions::default()
        };
        let mut global = None;
        for part in [Part::Parent, Part::Checker, Part::Vrrp, Part::Bfd] {
            global = Some(
                parse(&lines, part, &host, &options, global.as_ref())
                    .model
                    .global,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fuzz_read;
    use std::path::Path;

    /// Inputs that were interesting once, and mutations of the golden configurations made with a fixed generator.
    #[test]
    fn corpus_replays() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
        let mut count = 0;
        let mut state = 0x9e37_79b9_u32;
        let mut random = move |n: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as usize % n.max(1)
        };
        for sub in ["fuzz/keepalived_conf", "conf/keepalived"] {
            for entry in std::fs::read_dir(dir.join(sub)).unwrap() {
                let path = entry.unwrap().path();
                if !path.is_file()
                    || path
                        .extension()
                        .is_some_and(|e| e == "expected" || e == "md")
                {
                    continue;
                }
                let data = std::fs::read(&path).unwrap();
                fuzz_read(&data);
                count += 1;
                for _ in 0..8 {
                    let mut mutated = data.clone();
                    for _ in 0..=random(6) {
                        if mutated.is_empty() {
                            break;
                        }
                        let at = random(mutated.len());
                        match random(3) {
                            0 => mutated[at] = b"{}\"'\\$~@#! \n0-9:/\xff"[random(18)],
                            1 => {
                                mutated.remove(at);
                            }
                            _ => {
                                let end = (at + random(20)).min(mutated.len());
                                let piece: Vec<u8> = mutated[at..end].to_vec();
                                mutated.splice(at..at, piece);
                            }
                        }
                    }
                    fuzz_read(&mutated);
                }
            }
        }
        assert!(count > 30, "only {count} inputs");
    }
}
