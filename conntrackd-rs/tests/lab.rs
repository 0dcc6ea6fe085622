//! Two routers with a cable between them, real kernels' events, and the original next to ours where it is installed.

mod two_routers;

use std::time::Duration;

use two_routers::{Daemon, Lab, shape, sorted, value, wait_for};

#[test]
fn lab_two_of_ours_replicate_commit_flush_and_purge() {
    if !testkit::need::root("lab_two_of_ours_replicate_commit_flush_and_purge") {
        return;
    }
    let lab = Lab::build("ours", None);
    let mut one = Daemon::start(&lab.r1, "one", None, 1, 3780);
    let mut two = Daemon::start(&lab.r2, "two", None, 2, 3780);
    let open = lab.traffic();
    one.wait_flows(&["-i"], 2);
    two.wait_flows(&["-e"], 2);
    assert!(one.flows(&["-e"]).is_empty() && two.flows(&["-i"]).is_empty());
    wait_for("the established state", || {
        two.ask(&["-e"])
            .contains("tcp      6 ESTABLISHED src=10.1.0.2 dst=10.1.0.1")
    });

    // The failover script's calls on the new primary.
    two.ask(&["-c"]);
    assert!(
        two.process.output().contains("Committed 2 new entries"),
        "{}",
        two.process.output()
    );
    two.wait_flows(&["-i"], 2);
    two.ask(&["-f"]);
    assert!(two.flows(&["-e"]).is_empty());
    two.ask(&["-R"]);
    two.ask(&["-B"]);
    one.wait_flows(&["-e"], 2);
    // Committed states are not sent back, only the bulk is.
    let stats = one.ask(&["-s"]);
    assert_eq!(
        value(&stats, "cache external:", "current active connections:"),
        2
    );
    assert_eq!(value(&stats, "message tracking:\n", ""), 0);

    // And on the new backup.
    one.ask(&["-t"]);
    one.ask(&["-n"]);
    wait_for("the scheduled flush", || one.flows(&["-i"]).is_empty());
    let log = one.process.output();
    for line in [
        "flushing conntrack table in 5 secs",
        "resync requested",
        "flushing kernel conntrack table (scheduled)",
    ] {
        assert!(log.contains(line), "{line} is missing in\n{log}");
    }
    // A flush of the kernel's table empties the cache of that node alone.
    let before = one.flows(&["-e"]).len();
    two.ask(&["-F"]);
    two.wait_flows(&["-i"], 0);
    assert_eq!(one.flows(&["-e"]).len(), before);

    one.ask(&["-k"]);
    assert_eq!(
        one.process
            .wait(Duration::from_secs(10))
            .and_then(|s| s.code()),
        Some(0)
    );
    assert_eq!(two.process.stop().and_then(|s| s.code()), Some(0));
    drop(open);
}

#[test]
fn lab_the_kernel_filters_events() {
    if !testkit::need::root("lab_the_kernel_filters_events") {
        return;
    }
    let lab = Lab::build("bpf", None);
    let one = Daemon::start_with(&lab.r1, "one", None, &udp_links(1), "Kernelspace");
    assert!(
        one.process
            .output()
            .contains("using kernel-space event filtering")
    );
    let open = lab.traffic();
    one.wait_flows(&["-i"], 2);
    // The daemon's own datagrams are flows too, and the socket's filter keeps their events away.
    let runtime = one.ask(&["-s", "runtime"]);
    assert_eq!(value(&runtime, "netlink stats:", "events filtered:"), 0);
    assert!(value(&runtime, "netlink stats:", "events received:") >= 4);
    drop(open);
}

/// Two links of the same kind, the second one only for the case that the first one fails.
fn udp_links(ours: u8) -> String {
    let peer = 3 - ours;
    let link = |head: &str, net: u8, device: &str| {
        format!(
            "UDP {head} {{\n  IPv4_address 172.16.{net}.{ours}\n  IPv4_Destination_Address 172.16.{net}.{peer}\n  \
             Port 3780\n  Interface {device}\n }}\n"
        )
    };
    link("Default", 0, "sync") + &link("", 1, "sync2")
}

fn multicast_links(ours: u8) -> String {
    let link = |head: &str, net: u8, device: &str| {
        format!(
            "Multicast {head} {{\n  IPv4_address 225.0.0.5{net}\n  Group 378{net}\n  IPv4_interface 172.16.{net}.{ours}\n  \
             Interface {device}\n }}\n"
        )
    };
    link("Default", 0, "sync") + &link("", 1, "sync2")
}

#[test]
fn lab_the_second_link_takes_over() {
    if !testkit::need::root("lab_the_second_link_takes_over") {
        return;
    }
    for (name, links) in [
        ("udp", udp_links as fn(u8) -> String),
        ("multicast", multicast_links),
    ] {
        let lab = Lab::build(name, None);
        let one = Daemon::start_with(&lab.r1, "one", None, &links(1), "Userspace");
        let two = Daemon::start_with(&lab.r2, "two", None, &links(2), "Userspace");
        lab.r1.net(|net| net.down("sync")).expect("a link");
        for daemon in [&one, &two] {
            wait_for("the change of link", || {
                daemon
                    .process
                    .output()
                    .contains("device `sync2' becomes dedicated link")
            });
        }
        let open = lab.traffic();
        two.wait_flows(&["-e"], 2);
        let links = one.ask(&["-s", "link"]);
        assert!(
            links.contains("traffic device=sync status=DOWN role=BACKUP:"),
            "{links}"
        );
        assert!(
            links.contains("traffic device=sync2 status=RUNNING role=ACTIVE:"),
            "{links}"
        );
        drop(open);
    }
}

#[test]
fn ref_ours_and_the_original_show_and_replicate_the_same() {
    let name = "ref_ours_and_the_original_show_and_replicate_the_same";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let root = Some(root.as_path());
    let lab = Lab::build("ref", root);
    // Both makes on each router, in pairs across: they see the same kernel events.
    let ours1 = Daemon::start(&lab.r1, "ours1", None, 1, 3780);
    let original2 = Daemon::start(&lab.r2, "original2", root, 2, 3780);
    let original1 = Daemon::start(&lab.r1, "original1", root, 1, 3781);
    let ours2 = Daemon::start(&lab.r2, "ours2", None, 2, 3781);
    let open = lab.traffic();
    for (daemon, cache) in [
        (&ours1, "-i"),
        (&original1, "-i"),
        (&ours2, "-e"),
        (&original2, "-e"),
    ] {
        daemon.wait_flows(&[cache], 2);
        wait_for("the established state", || {
            daemon.ask(&[cache]).contains("ESTABLISHED")
        });
    }

    // The same listings, for people and as XML.
    for words in [&["-i"][..], &["-i", "-x"]] {
        assert_eq!(ours1.flows(words), original1.flows(words), "{words:?}");
    }
    for words in [&["-e"][..], &["-e", "-x"]] {
        assert_eq!(ours2.flows(words), original2.flows(words), "{words:?}");
    }
    // The same statistics, the counters of the link and of merged updates aside.
    for (ours, original) in [(&ours1, &original1), (&ours2, &original2)] {
        let (a, b) = (ours.ask(&["-s"]), original.ask(&["-s"]));
        assert_eq!(shape(&a), shape(&b));
        for block in ["cache internal:", "cache external:"] {
            for label in [
                "current active connections:",
                "connections created:",
                "connections destroyed:",
            ] {
                assert_eq!(
                    value(&a, block, label),
                    value(&b, block, label),
                    "{block} {label}"
                );
            }
        }
        for word in [
            "network", "cache", "runtime", "link", "queue", "process", "expect",
        ] {
            assert_eq!(
                shape(&ours.ask(&["-s", word])),
                shape(&original.ask(&["-s", word])),
                "-s {word}"
            );
        }
    }
    // Either client talks to either daemon.
    assert_eq!(sorted(&ours1.ask_with(root, &["-i"])), ours1.flows(&["-i"]));
    assert_eq!(
        sorted(&original1.ask_with(None, &["-i"])),
        original1.flows(&["-i"])
    );

    // What either commits, both see.
    for (committer, count) in [
        (&ours2, "Committed 2 new entries"),
        (&original2, "Committed 2 new entries"),
    ] {
        committer.ask(&["-c"]);
        wait_for("the commit", || committer.process.output().contains(count));
        ours2.wait_flows(&["-i"], 2);
        original2.wait_flows(&["-i"], 2);
        assert_eq!(ours2.flows(&["-i"]), original2.flows(&["-i"]));
        committer.ask(&["-F"]);
        ours2.wait_flows(&["-i"], 0);
        original2.wait_flows(&["-i"], 0);
    }
    // Bulk requests in both directions.
    ours1.ask(&["-B"]);
    original1.ask(&["-B"]);
    ours2.ask(&["-n"]);
    original2.ask(&["-n"]);
    for daemon in [&ours1, &original1] {
        wait_for("the bulk request", || {
            daemon
                .process
                .output()
                .contains("resync requested by other node")
        });
        assert_eq!(value(&daemon.ask(&["-s"]), "message tracking:\n", ""), 0);
    }
    // The same lines in the same order at the start.
    let start = |daemon: &Daemon| -> Vec<String> {
        let log = daemon.process.output();
        let lines = log
            .lines()
            .filter_map(|line| line.split_once(") "))
            .map(|(_, text)| text.to_owned());
        lines.take(4).collect()
    };
    assert_eq!(start(&ours1), start(&original1));
    drop(open);
}

/// Flows of which a commit needs no news, and some of which it does.
const COMMITTED: [&str; 8] = [
    "-p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1001 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 7",
    "-p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1002 --dport 80 --state TIME_WAIT -u SEEN_REPLY",
    "-p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1003 --dport 80 --state SYN_SENT",
    "-p tcp -s fd01::2 -d fd02::2 --sport 1004 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED",
    "-p udp -s 10.1.0.2 -d 10.9.0.2 --sport 1005 --dport 53",
    "-p udp -s fd01::2 -d fd02::2 --sport 1006 --dport 53 -u SEEN_REPLY,ASSURED",
    "-p udp -s 10.1.0.2 -d 10.9.0.2 --sport 1007 --dport 5300 -g 10.7.0.7:5301",
    "-p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1008 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -n 10.9.0.1:4000",
];

/// The lines of a listing but for the kernel's numbers of its entries, which only its events tell.
fn without_ids(listing: &str) -> Vec<String> {
    let without = |line: String| match (line.split_once("<id>"), line.split_once("</id>")) {
        (Some((before, _)), Some((_, after))) => format!("{before}{after}"),
        _ => line,
    };
    sorted(listing).into_iter().map(without).collect()
}

#[test]
fn lab_after_a_commit_the_cache_shows_what_the_kernel_has() {
    if !testkit::need::root("lab_after_a_commit_the_cache_shows_what_the_kernel_has") {
        return;
    }
    let lab = Lab::build("unheard", None);
    let one = Daemon::start(&lab.r1, "one", None, 1, 3780);
    let two = Daemon::start(&lab.r2, "two", None, 2, 3780);
    for flow in COMMITTED {
        let mut words = vec!["conntrack", "-I", "-t", "3000"];
        words.extend(flow.split_whitespace());
        lab.r1.check(&words).expect("conntrack");
    }
    two.wait_flows(&["-e"], COMMITTED.len());
    two.ask(&["-c"]);
    two.wait_flows(&["-i"], COMMITTED.len());
    let stats = two.ask(&["-s"]);
    assert_eq!(
        value(&stats, "cache internal:", "connections created:"),
        COMMITTED.len() as u64,
        "{stats}"
    );
    // This one has it from the kernel alone.
    let three = Daemon::start(&lab.r2, "three", None, 2, 3781);
    let compare = || {
        for listing in [&["-i"][..], &["-i", "-x"]] {
            let seen = without_ids(&three.ask(listing));
            assert_eq!(without_ids(&two.ask(listing)), seen, "{listing:?}");
        }
    };
    compare();
    // What changes at the peer is changed by the next commit.
    for change in [
        "-p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1003 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 9",
        "-p udp -s fd01::2 -d fd02::2 --sport 1006 --dport 53 -m 9",
        "-p udp -s 10.1.0.2 -d 10.9.0.2 --sport 1005 --dport 53 -u SEEN_REPLY,ASSURED -m 9",
    ] {
        let mut words = vec!["conntrack", "-U"];
        words.extend(change.split_whitespace());
        lab.r1.check(&words).expect("conntrack");
    }
    let changed = |daemon: &Daemon<'_>, what: &str| daemon.ask(&[what]).matches("mark=9").count();
    wait_for("the changes", || changed(&two, "-e") == 3);
    two.ask(&["-c"]);
    wait_for("the events", || changed(&three, "-i") == 3);
    assert_eq!(changed(&two, "-i"), 3);
    compare();
    // And tells the peer the same of it.
    one.ask(&["-f"]);
    two.ask(&["-B"]);
    one.wait_flows(&["-e"], COMMITTED.len());
    let told = sorted(&one.ask(&["-e", "-x"]));
    one.ask(&["-f"]);
    two.ask(&["-f", "internal"]);
    two.ask(&["-R"]);
    two.ask(&["-B"]);
    one.wait_flows(&["-e"], COMMITTED.len());
    assert_eq!(sorted(&one.ask(&["-e", "-x"])), told);

    // The events of flows that a commit made are heard.
    lab.r2
        .check(&["conntrack", "-D", "-p", "udp", "--sport", "1005"])
        .expect("conntrack");
    two.wait_flows(&["-i"], COMMITTED.len() - 1);
}
