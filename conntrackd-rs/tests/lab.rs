//! Two routers with a cable between them, real kernels' events, and the original next to ours where it is installed.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::node::{Node, Process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_conntrackd");

/// One daemon on a node: ours, or the original in `root`.
struct Daemon<'a> {
    node: &'a Node,
    original: Option<&'a Path>,
    config: String,
    process: Process,
}

impl<'a> Daemon<'a> {
    /// Starts a daemon called `name` that talks to the other node's daemon on `port`.
    fn start(node: &'a Node, name: &str, original: Option<&'a Path>, ours: u8, port: u16) -> Self {
        let peer = 3 - ours;
        let link = format!(
            "UDP {{\n  IPv4_address 172.16.0.{ours}\n  IPv4_Destination_Address 172.16.0.{peer}\n  Port {port}\n  \
             Interface sync\n  Checksum on\n }}"
        );
        Self::start_with(node, name, original, &link, "Userspace")
    }

    /// The same with links and the filter's place as given.
    fn start_with(
        node: &'a Node,
        name: &str,
        original: Option<&'a Path>,
        links: &str,
        place: &str,
    ) -> Self {
        let text = format!(
            "Sync {{\n Mode FTFW {{\n  DisableExternalCache Off\n  CommitTimeout 1800\n  PurgeTimeout 5\n }}\n {links}\n}}\n\
             General {{\n HashSize 16384\n LockFile /run/{name}.lock\n \
             UNIX {{ Path /run/{name}.ctl\n }}\n NetlinkBufferSize 2097152\n NetlinkBufferSizeMaxGrowth 8388608\n \
             Filter From {place} {{\n  Protocol Accept {{ TCP UDP }}\n  \
             Address Ignore {{ IPv4_address 127.0.0.1 IPv4_address 172.16.0.0/16 }}\n }}\n}}\n"
        );
        let config = format!("/run/{name}.conf");
        let path = config.clone();
        node.call(move || fs::write(path, text))
            .expect("a node")
            .expect("a configuration");
        let argv = argv(original, &config, &[]);
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let process = node
            .spawn(&format!("{name}.log"), &words)
            .expect("a daemon");
        let daemon = Self {
            node,
            original,
            config,
            process,
        };
        wait_for("the start", || {
            daemon
                .process
                .output()
                .contains("-- starting in console mode --")
        });
        daemon
    }

    /// What its own client prints.
    fn ask(&self, args: &[&str]) -> String {
        self.ask_with(self.original, args)
    }

    fn ask_with(&self, original: Option<&Path>, args: &[&str]) -> String {
        let argv = argv(original, &self.config, args);
        self.node
            .check(&argv.iter().map(String::as_str).collect::<Vec<_>>())
            .expect("an answer")
    }

    /// A cache listing without ages, in an order of its own.
    fn flows(&self, what: &[&str]) -> Vec<String> {
        sorted(&self.ask(what))
    }

    fn wait_flows(&self, what: &[&str], count: usize) {
        wait_for(
            &format!("{count} flows in {what:?} of {}", self.config),
            || self.flows(what).len() == count,
        );
    }
}

fn argv(original: Option<&Path>, config: &str, args: &[&str]) -> Vec<String> {
    let mut argv: Vec<String> = match original {
        Some(root) => [
            "chroot",
            &root.display().to_string(),
            "/usr/sbin/conntrackd",
        ]
        .map(str::to_owned)
        .into(),
        None => vec![PROGRAM.to_owned()],
    };
    argv.extend(["-C", config].map(str::to_owned));
    argv.extend(args.iter().map(|word| (*word).to_owned()));
    argv
}

fn sorted(listing: &str) -> Vec<String> {
    let mut lines: Vec<String> = listing
        .lines()
        .map(|line| {
            line.split(" [active since")
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    lines.sort();
    lines
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{what} did not happen"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Two routers joined by "sync", and a host behind the first one.
struct Lab {
    dir: PathBuf,
    r1: Node,
    r2: Node,
    host: Node,
}

impl Lab {
    fn build(name: &str, original: Option<&Path>) -> Self {
        let dir = std::env::temp_dir().join(format!("conntrackd-{name}-{}", std::process::id()));
        let node = |name| Node::new(name, &dir).expect("a node");
        let (r1, r2, host) = (node("r1"), node("r2"), node("host"));
        cable(&r1, "sync", &r2, "sync").expect("a cable");
        cable(&r1, "sync2", &r2, "sync2").expect("a cable");
        cable(&r1, "lan", &host, "eth0").expect("a cable");
        let v4 = |a, b, c, d| IpAddr::V4(Ipv4Addr::new(a, b, c, d));
        for (node, link, addr) in [
            (&r1, "sync", v4(172, 16, 0, 1)),
            (&r2, "sync", v4(172, 16, 0, 2)),
            (&r1, "sync2", v4(172, 16, 1, 1)),
            (&r2, "sync2", v4(172, 16, 1, 2)),
            (&r1, "lan", v4(10, 1, 0, 1)),
            (&host, "eth0", v4(10, 1, 0, 2)),
        ] {
            node.net(move |net| net.address(link, addr, 24))
                .expect("an address");
        }
        for node in [&r1, &r2] {
            // A rule that asks for the state is what turns connection tracking on.
            let rules = node.dir().join("rules.nft");
            fs::write(
                &rules,
                "table ip t {\n chain c {\n  type filter hook input priority 0;\n  ct state new counter\n }\n}\n",
            )
            .expect("a file");
            node.check(&["nft", "-f", &rules.display().to_string()])
                .expect("nft");
            if let Some(root) = original {
                // The original sees the node's /run at the same place.
                let inside = root.join("run").display().to_string();
                node.check(&["mount", "--bind", "/run", &inside])
                    .expect("a mount");
            }
        }
        Self { dir, r1, r2, host }
    }

    /// Opens a TCP connection and sends a datagram from the host to the first router.
    fn traffic(&self) -> (TcpListener, TcpStream) {
        let listener = self
            .r1
            .call(|| TcpListener::bind("10.1.0.1:9001"))
            .expect("a node")
            .expect("a listener");
        let stream = self
            .host
            .call(|| {
                let udp = UdpSocket::bind("10.1.0.2:20001")?;
                udp.send_to(b"x", "10.1.0.1:9002")?;
                TcpStream::connect("10.1.0.1:9001")
            })
            .expect("a node")
            .expect("a connection");
        (&stream).write_all(b"hello").expect("data");
        (listener, stream)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// The value behind a label in `-s`, in the block that begins with `block`.
fn value(stats: &str, block: &str, label: &str) -> u64 {
    let rest = stats.split_once(block).map_or("", |(_, rest)| rest);
    let number = rest.split_once(label).map_or("", |(_, rest)| rest);
    number
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .expect(label)
}

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

/// A text without its numbers.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for c in text.chars() {
        if !c.is_ascii_digit() {
            shape.push(c);
        }
    }
    // Right-aligned numbers of different length differ in blanks.
    shape
        .split([' ', '\t'])
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
