//! Capture 141: what `-t` of 2.4.3 says to mistakes in `auth_hmac`, and its status.

use std::fmt::Write as _;

use conf_parsers::diag::{PrefixStyle, render};
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::FakeHost;

use crate::capture;

const PATH: &str = "/etc/keepalived/keepalived.conf";
const HEAD: &str = "global_defs {\n router_id a\n}\nvrrp_instance VI_1 {\n state BACKUP\n interface eth0\n VERSION\n \
    virtual_router_id 51\n priority 150\n advert_int 1\n";

fn host(conf: &str) -> FakeHost {
    let mut host = FakeHost::with_interfaces(&["lo", "eth0"]);
    host.source.put(PATH, conf);
    for (name, mode, length) in [
        ("open", 0o644, 32),
        ("good", 0o600, 32),
        ("ro", 0o400, 32),
        ("link", 0o600, 32),
        ("b129", 0o600, 129),
        ("big", 0o600, 4096),
        ("empty", 0o600, 0),
    ] {
        host.source.files.insert(
            format!("/etc/keepalived/{name}"),
            (mode, vec![b'x'; length]),
        );
    }
    host
}

fn test(conf: &str) -> (u8, Vec<String>) {
    let host = host(conf);
    let lines = read(&host, PATH, &ReadOptions::default());
    let options = ParseOptions {
        config_test: true,
        ..ParseOptions::default()
    };
    let parent = parse(&lines, Part::Parent, &host, &options, None);
    let global = &parent.model.global;
    let child = parse(&lines, Part::Vrrp, &host, &options, Some(global));
    let mut told = Vec::new();
    for (outcome, style) in [(&parent, PrefixStyle::Reader), (&child, PrefixStyle::Copy)] {
        let problems = outcome.diagnostics.iter().filter(|d| !d.log);
        told.extend(problems.map(|d| render(d, &lines.files, style)));
    }
    (parent.worst.max(child.worst).test_exit_status(), told)
}

#[test]
fn every_mistake() {
    let text = capture::file("141-hmac-config-errors", "config-test.txt").unwrap();
    let mut report = String::new();
    let mut count = 0;
    for block in text.split("== ").filter(|b| !b.trim().is_empty()) {
        let (title, rest) = block.split_once('\n').unwrap();
        let (title, status) = title.rsplit_once(": exit status ").unwrap();
        let inner = |l: &&str| l.starts_with("    ");
        let conf: Vec<&str> = rest.lines().filter(inner).collect();
        let expected: Vec<&str> = rest
            .lines()
            .filter(|l| !inner(l) && !l.is_empty())
            .collect();
        let version = if title.contains("version 2") { 2 } else { 3 };
        let head = HEAD.replace("VERSION", &format!("version {version}"));
        let conf = format!(
            "{head}{}\n virtual_ipaddress {{\n 192.0.2.100/24\n }}\n}}\n",
            conf.join("\n")
        );
        let (ours, told) = test(&conf);
        if ours.to_string() != status || told != expected {
            writeln!(
                report,
                "{title}: {status} {expected:#?}\nours {ours} {told:#?}"
            )
            .unwrap();
        }
        count += 1;
    }
    assert!(report.is_empty(), "{report}");
    assert!(count >= 30, "{count}");
}
