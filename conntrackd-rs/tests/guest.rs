//! What takes a kernel of its own: its connection table is as large as one setting says, for all namespaces.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use testkit::link::cable;
use testkit::node::Node;
use two_routers::{Daemon, shape, value};

const MODULES: [&str; 3] = ["nf_conntrack", "nf_conntrack_netlink", "veth"];

const FLOWS: usize = 40;

/// Two routers with a cable. Their entries are made by hand: nothing has to be tracked.
fn routers(dir: &Path, root: &Path) -> (Node, Node) {
    let node = |name| Node::new(name, dir).expect("a node");
    let (r1, r2) = (node("r1"), node("r2"));
    cable(&r1, "sync", &r2, "sync").expect("a cable");
    for (node, last) in [(&r1, 1), (&r2, 2)] {
        let addr = IpAddr::V4(Ipv4Addr::new(172, 16, 0, last));
        node.net(move |net| net.address("sync", addr, 24))
            .expect("an address");
        node.sysctl("net.netfilter.nf_conntrack_events", "1")
            .expect("a setting");
        let inside = root.join("run").display().to_string();
        node.check(&["mount", "--bind", "/run", &inside])
            .expect("a mount");
    }
    (r1, r2)
}

/// How many entries the kernel may have, in each namespace.
fn set_limit(entries: usize) {
    std::fs::write(
        "/proc/sys/net/netfilter/nf_conntrack_max",
        entries.to_string(),
    )
    .expect("a setting");
}

/// Commits into a table with too little room, then into one with enough: the log's lines without their numbers, once each.
fn commit(node: &Node, daemon: &Daemon<'_>) -> BTreeSet<String> {
    let in_kernel = || {
        let list = ["conntrack", "-L", "-p", "tcp"];
        node.check(&list).expect("a listing").lines().count()
    };
    let before = daemon.process.output().lines().count();
    set_limit(15);
    daemon.ask(&["-c"]);
    let committed = in_kernel();
    assert!((1..FLOWS).contains(&committed), "{committed}");
    // Those that are there are listed, and counted with the others.
    daemon.wait_flows(&["-i"], committed);
    let log = daemon.process.output();
    let (done, failed) = (
        format!("Committed {committed} new entries"),
        format!("{} entries can't be committed", FLOWS - committed),
    );
    assert!(log.contains(&done) && log.contains(&failed), "{log}");

    // There is room again: nothing has to be started anew.
    set_limit(10_000);
    daemon.ask(&["-c"]);
    assert_eq!(in_kernel(), FLOWS);
    daemon.wait_flows(&["-i"], FLOWS);
    assert_eq!(
        value(
            &daemon.ask(&["-s"]),
            "cache external:",
            "current active connections:"
        ),
        40
    );
    let log = daemon.process.output();
    assert!(
        log.contains(&format!("Committed {FLOWS} new entries")),
        "{log}"
    );

    node.check(&["conntrack", "-F"]).expect("a flush");
    daemon.wait_flows(&["-i"], 0);
    log.lines().skip(before).map(shape).collect()
}

#[test]
fn uml_ref_a_full_kernel_table_fails_some_entries_and_no_more() {
    const TEST: &str = "uml_ref_a_full_kernel_table_fails_some_entries_and_no_more";
    let Some(root) = testkit::need::originals(TEST) else {
        return;
    };
    if !testkit::uml::inside(TEST, &MODULES) {
        return;
    }
    let dir = std::env::temp_dir().join(format!("conntrackd-table-{}", std::process::id()));
    let (r1, r2) = routers(&dir, &root);
    let _one = Daemon::start(&r1, "one", None, 1, 3780);
    let _another = Daemon::start(&r1, "another", None, 1, 3781);
    let ours = Daemon::start(&r2, "ours", None, 2, 3780);
    let original = Daemon::start(&r2, "original", Some(&root), 2, 3781);
    for port in 0..FLOWS {
        let flow = format!(
            "-I -p tcp -s 10.1.0.2 -d 10.9.0.2 --sport {} --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -t 3000",
            1000 + port
        );
        let argv: Vec<&str> = ["conntrack"].into_iter().chain(flow.split(' ')).collect();
        r1.check(&argv).expect("conntrack");
    }
    for daemon in [&ours, &original] {
        daemon.wait_flows(&["-e"], FLOWS);
    }
    assert_eq!(commit(&r2, &ours), commit(&r2, &original));
    let _ = std::fs::remove_dir_all(&dir);
}
