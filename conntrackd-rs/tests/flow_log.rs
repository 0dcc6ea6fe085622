//! Statistics mode: a line per flow that ends, next to the original's.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::fs;
use std::path::Path;

use testkit::node::Node;
use two_routers::{Daemon, Lab, wait_for};

fn start<'a>(node: &'a Node, name: &str, original: Option<&'a Path>, log: &str) -> Daemon<'a> {
    let text = format!(
        "General {{\n HashSize 1024\n LogFile /run/{name}.main\n LockFile /run/{name}.lock\n \
         UNIX {{ Path /run/{name}.ctl\n }}\n Systemd off\n Filter From Kernelspace {{\n  \
         Address Ignore {{ IPv4_address 127.0.0.1 IPv6_address ::1 IPv4_address 172.16.0.0/16 }}\n  \
         State Accept {{ ESTABLISHED CLOSED TIME_WAIT CLOSE_WAIT for TCP }}\n }}\n}}\n\
         Stats {{\n LogFile {log}\n}}\n"
    );
    let daemon = Daemon::spawn_with(node, name, original, text);
    daemon.wait_started();
    daemon
}

fn read(node: &Node, path: &str) -> String {
    let path = path.to_owned();
    node.call(move || fs::read_to_string(path))
        .expect("a node")
        .unwrap_or_default()
}

fn conntrack(node: &Node, words: &str) {
    let mut argv = vec!["conntrack"];
    argv.extend(words.split(' '));
    node.check(&argv).expect("conntrack");
}

const FLOWS: [&str; 6] = [
    "-p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1001 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED",
    "-p udp -s 10.1.0.2 -d 10.9.0.3 --sport 1003 --dport 5300 -g 10.7.0.7:5301",
    "-p udp -s fd01::2 -d fd02::2 --sport 1004 --dport 53",
    "-p icmp -s 10.1.0.2 -d 10.9.0.4 --icmp-type 8 --icmp-code 0 --icmp-id 4660",
    "-p gre -s 10.1.0.2 -d 10.9.0.5 --srckey 17 --dstkey 18",
    "-p udp -s 10.1.0.2 -d 10.9.0.6 --sport 1008 --dport 9 -w 7 -m 5",
];

/// Lines without their date, in an order of their own, after a check of the date's form.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| {
            let (date, flow) = line.split_once('\t').expect("a date and a flow");
            assert_eq!(date.len(), 24, "{line}");
            // Both daemons see the same moment, or the next second.
            flow.to_owned()
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn ref_finished_flows_are_logged_like_the_originals() {
    let name = "ref_finished_flows_are_logged_like_the_originals";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let lab = Lab::build("stats", Some(&root));
    let node = &lab.r1;
    for (name, value) in [("acct", "1"), ("timestamp", "1")] {
        node.sysctl(&format!("net.netfilter.nf_conntrack_{name}"), value)
            .expect("a setting");
    }
    // One that is there before the daemons.
    conntrack(node, &format!("-I {} -t 3000", FLOWS[0]));
    let ours = start(node, "ours", None, "/run/ours.flows");
    let original = start(node, "original", Some(&root), "/run/original.flows");
    for flow in &FLOWS[1..] {
        conntrack(node, &format!("-I {flow} -t 3000"));
    }
    let open = lab.traffic();
    for daemon in [&ours, &original] {
        daemon.wait_flows(&["-i"], FLOWS.len() + 2);
    }
    assert_eq!(ours.flows(&["-i"]), original.flows(&["-i"]));
    assert_eq!(ours.flows(&["-i", "-x"]), original.flows(&["-i", "-x"]));
    drop(open);
    conntrack(
        node,
        "-U -p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1001 --dport 80 -m 6",
    );
    conntrack(node, "-D -p udp -s 10.1.0.2 -d 10.9.0.3");
    node.check(&["conntrack", "-F"]).expect("a flush");
    for name in ["ours", "original"] {
        wait_for("the lines", || {
            read(node, &format!("/run/{name}.flows")).lines().count() == FLOWS.len() + 2
        });
    }
    let (a, b) = (
        read(node, "/run/ours.flows"),
        read(node, "/run/original.flows"),
    );
    assert_eq!(lines(&a), lines(&b));
    assert!(a.contains("packets=") && a.contains("delta-time="), "{a}");
    // The statistics; counters of merged updates included, as both see every event.
    for words in [
        &["-s"][..],
        &["-s", "cache"],
        &["-s", "network"],
        &["-s", "link"],
        &["-s", "queue"],
        &["-s", "expect"],
        &["-e"],
        &["-c"],
        &["-f"],
        &["-B"],
        &["-n"],
    ] {
        assert_eq!(ours.ask(words), original.ask(words), "{words:?}");
    }
    // Flushes and readings.
    for daemon in [&ours, &original] {
        conntrack(node, &format!("-I {} -t 3000", FLOWS[1]));
        daemon.wait_flows(&["-i"], 1);
        daemon.ask(&["-f", "internal"]);
        daemon.wait_flows(&["-i"], 0);
        daemon.ask(&["-R"]);
        daemon.wait_flows(&["-i"], 1);
        daemon.ask(&["-F"]);
        daemon.wait_flows(&["-i"], 0);
    }
    let log = |daemon: &Daemon<'_>| -> Vec<String> {
        let log = daemon.process.output();
        let lines = log.lines().filter_map(|line| line.split_once(") "));
        lines.map(|(_, text)| text.to_owned()).collect()
    };
    assert_eq!(log(&ours), log(&original));
    let mode = |name: &str| {
        node.check(&["stat", "-c", "%a", &format!("/run/{name}.flows")])
            .expect("stat")
    };
    assert_eq!(mode("ours"), mode("original"));
}

/// A full disk costs lines, is told once, and how many are missing is told, too.
#[test]
fn lab_a_full_disk_costs_lines_and_nothing_else() {
    if !testkit::need::root("lab_a_full_disk_costs_lines_and_nothing_else") {
        return;
    }
    let lab = Lab::build("full", None);
    let node = &lab.r1;
    node.check(&["mkdir", "/run/small"]).expect("a folder");
    node.check(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "size=4k",
        "tmpfs",
        "/run/small",
    ])
    .expect("a small disk");
    let mut daemon = start(node, "d", None, "/run/small/flows");
    let burst = |from: u32| {
        for port in from..from + 60 {
            conntrack(
                node,
                &format!("-I -p udp -s 10.1.0.2 -d 10.9.0.3 --sport {port} --dport 9 -t 3000"),
            );
        }
        node.check(&["conntrack", "-F"]).expect("a flush");
        daemon.wait_flows(&["-i"], 0);
    };
    burst(1000);
    let full = "can't write logfile `/run/small/flows': No space left on device";
    wait_for("the error", || daemon.process.output().contains(full));
    burst(2000);
    assert_eq!(daemon.process.output().matches(full).count(), 1);
    // The administrator makes room.
    node.check(&["truncate", "-s", "0", "/run/small/flows"])
        .expect("room");
    let before = 120;
    conntrack(
        node,
        "-I -p udp -s 10.1.0.2 -d 10.9.0.3 --sport 7 --dport 9 -t 3000",
    );
    node.check(&["conntrack", "-F"]).expect("a flush");
    wait_for("the line", || {
        read(node, "/run/small/flows").contains("sport=7 ")
    });
    let text = read(node, "/run/small/flows");
    let last = text.lines().last().expect("a line");
    assert!(last.contains('\t') && last.contains("sport=7 "), "{text}");
    wait_for("the count", || {
        daemon.process.output().contains("takes lines again, ")
    });
    let log = daemon.process.output();
    let missing: u32 = log
        .split_once("takes lines again, ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        .expect("a number");
    assert!(missing > 60 && missing < before, "{missing}");
    assert_eq!(daemon.process.stop().and_then(|s| s.code()), Some(0));
}
