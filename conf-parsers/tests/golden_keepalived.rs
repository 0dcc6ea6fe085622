//! Every file of testdata/conf/keepalived gives the messages and the exit status that lie beside it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use conf_parsers::diag::{Class, PrefixStyle, render};
use conf_parsers::keepalived::lines::Entry;
use conf_parsers::keepalived::text::{decode, encode};
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource, UserFacts};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/conf/keepalived")
}

fn collect(dir: &Path, shown: &str, files: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{shown}/{}", path.file_name().unwrap().to_str().unwrap());
        let meta = fs::metadata(&path).unwrap();
        if meta.is_dir() {
            collect(&path, &name, files);
        } else {
            files.insert(
                name,
                (meta.permissions().mode() & 0o7777, fs::read(&path).unwrap()),
            );
        }
    }
}

/// The system that the expectations were made on.
fn host() -> FakeHost {
    let mut host = FakeHost::with_interfaces(&[
        "lo", "eth0", "eth1", "eth2", "eth3", "eth4", "eth5", "eth0.2", "bond0", "bond0.2", "wan",
        "lan1", "ens3", "ens160", "ens192", "enp0s3", "wlan0", "br-lan", "br0",
    ]);
    host.cpus = 2;
    if let Some(lo) = host.interfaces.first_mut() {
        lo.hardware_type = 772;
    }
    let mut files = BTreeMap::new();
    collect(&data(), "/case", &mut files);
    for script in [
        "/etc/keepalived/check.sh",
        "/etc/keepalived/notify.sh",
        "/usr/local/bin/check.sh",
        "/usr/local/bin/notify.sh",
    ] {
        files.insert(script.to_owned(), (0o755, Vec::new()));
    }
    for file in ["/etc/passwd", "/etc/group", "/tmp/x"] {
        files.insert(file.to_owned(), (0o644, Vec::new()));
    }
    host.source = MemorySource { files };
    for (name, id) in [
        ("daemon", 1),
        ("www-data", 33),
        ("haproxy", 101),
        ("user1", 1000),
        ("nobody", 65534),
    ] {
        host.users
            .insert(name.to_owned(), UserFacts { uid: id, gid: id });
        host.groups.insert(name.to_owned(), id);
    }
    for (name, port) in [
        ("ftp", 21),
        ("ssh", 22),
        ("smtp", 25),
        ("domain", 53),
        ("http", 80),
        ("https", 443),
    ] {
        host.services.insert(name.to_owned(), port);
    }
    for (name, number) in [
        ("icmp", 1),
        ("tcp", 6),
        ("udp", 17),
        ("ipv6-icmp", 58),
        ("vrrp", 112),
        ("sctp", 132),
        ("gre", 47),
    ] {
        host.protocols.insert(name.to_owned(), number);
    }
    host
}

/// What `-t` prints, and its exit status.
fn test_run(host: &FakeHost, file: &str, id: &str) -> Vec<u8> {
    let lines = read(
        host,
        file,
        &ReadOptions {
            config_id: id.to_owned(),
            ..ReadOptions::default()
        },
    );
    let options = ParseOptions {
        config_test: true,
        ..ParseOptions::default()
    };
    let mut printed = String::new();
    let mut tell = |diagnostics: &[conf_parsers::diag::Diagnostic], style| {
        for d in diagnostics.iter().filter(|d| !d.log) {
            printed.push_str(&render(d, &lines.files, style));
            printed.push('\n');
        }
    };
    let mut worst = Class::Ok;
    let mut status = None;
    let mut global = None;
    for (part, style) in [
        (Part::Parent, PrefixStyle::Reader),
        (Part::Checker, PrefixStyle::Copy),
        (Part::Vrrp, PrefixStyle::Copy),
        (Part::Bfd, PrefixStyle::Copy),
    ] {
        if !lines.opened {
            let all: Vec<_> = lines
                .entries
                .iter()
                .filter_map(|e| match e {
                    Entry::IncludeMessage(d) | Entry::Message(d) => Some(d.clone()),
                    Entry::Line { .. } => None,
                })
                .collect();
            tell(&all, style);
            worst = all.iter().map(|d| d.class).max().unwrap_or(Class::Ok);
            break;
        }
        let outcome = parse(&lines, part, host, &options, global.as_ref());
        tell(&outcome.diagnostics, style);
        worst = worst.max(outcome.worst);
        status = outcome
            .exit
            .or((part == Part::Parent && lines.include_failed).then_some(6));
        if status.is_some() {
            break;
        }
        global = Some(outcome.model.global);
    }
    let mut out = format!("exit {}\n", status.unwrap_or(worst.test_exit_status())).into_bytes();
    out.extend(encode(&printed));
    out
}

#[test]
fn messages_and_exit_status() {
    let host = host();
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(data()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(case) = name.strip_suffix(".expected") else {
            continue;
        };
        let (file, id) = case.split_once('@').unwrap_or((case, "router1"));
        let got = test_run(&host, &format!("/case/{file}.conf"), id);
        count += 1;
        if got != fs::read(&path).unwrap() {
            eprintln!("--- {case}, ours:\n{}", decode(&got));
            wrong.push(case.to_owned());
        }
    }
    assert!(count >= 30, "only {count} cases found");
    assert!(wrong.is_empty(), "{wrong:?} differ");
}
