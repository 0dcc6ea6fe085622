//! Two routers with a cable between them and a daemon of either make on each.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]
#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::node::{Node, Process};

/// Long enough for whatever is waited for; it only ends a test that has gone wrong.
const LIMIT: Duration = Duration::from_secs(60);

/// One daemon on a node: ours, or the original in `root`.
pub(crate) struct Daemon<'a> {
    pub(crate) node: &'a Node,
    pub(crate) original: Option<&'a Path>,
    pub(crate) config: String,
    pub(crate) process: Process,
}

impl<'a> Daemon<'a> {
    /// Starts a daemon called `name` that talks to the other node's daemon on `port`.
    pub(crate) fn start(
        node: &'a Node,
        name: &str,
        original: Option<&'a Path>,
        ours: u8,
        port: u16,
    ) -> Self {
        let peer = 3 - ours;
        let link = format!(
            "UDP {{\n  IPv4_address 172.16.0.{ours}\n  IPv4_Destination_Address 172.16.0.{peer}\n  Port {port}\n  \
             Interface sync\n  Checksum on\n }}"
        );
        Self::start_with(node, name, original, &link, "Userspace")
    }

    /// The same with links and the filter's place as given.
    pub(crate) fn start_with(
        node: &'a Node,
        name: &str,
        original: Option<&'a Path>,
        links: &str,
        place: &str,
    ) -> Self {
        let sync = format!(
            " Mode FTFW {{\n  DisableExternalCache Off\n  CommitTimeout 1800\n  PurgeTimeout 5\n }}\n {links}\n"
        );
        Self::start_sync(node, name, original, &sync, place)
    }

    /// The same with all of `Sync` as given.
    pub(crate) fn start_sync(
        node: &'a Node,
        name: &str,
        original: Option<&'a Path>,
        sync: &str,
        place: &str,
    ) -> Self {
        let daemon = Self::spawn(node, name, original, sync, place);
        daemon.wait_started();
        daemon
    }

    /// Starts it and does not wait for anything.
    pub(crate) fn spawn(
        node: &'a Node,
        name: &str,
        original: Option<&'a Path>,
        sync: &str,
        place: &str,
    ) -> Self {
        Self::spawn_general(node, name, original, sync, place, "")
    }

    /// The same with more lines in `General`.
    pub(crate) fn spawn_general(
        node: &'a Node,
        name: &str,
        original: Option<&'a Path>,
        sync: &str,
        place: &str,
        general: &str,
    ) -> Self {
        let buffer = if general.contains("NetlinkBufferSize") {
            ""
        } else {
            "NetlinkBufferSize 2097152\n NetlinkBufferSizeMaxGrowth 8388608"
        };
        let text = format!(
            "Sync {{\n{sync}}}\n\
             General {{\n {general}\n {buffer}\n HashSize 16384\n LockFile /run/{name}.lock\n \
             UNIX {{ Path /run/{name}.ctl\n }}\n \
             Filter From {place} {{\n  Protocol Accept {{ TCP UDP }}\n  \
             Address Ignore {{ IPv4_address 127.0.0.1 IPv4_address 172.16.0.0/16 IPv6_address fd00::/16 IPv6_address fe80::/10 }}\n }}\n}}\n"
        );
        Self::spawn_with(node, name, original, text)
    }

    /// The same with the whole file as given; its lock is `/run/NAME.lock`, its socket `/run/NAME.ctl`.
    pub(crate) fn spawn_with(
        node: &'a Node,
        name: &str,
        original: Option<&'a Path>,
        text: String,
    ) -> Self {
        let config = format!("/run/{name}.conf");
        let path = config.clone();
        node.call(move || {
            let _ = fs::remove_file(path.replace(".conf", ".lock"));
            fs::write(path, text)
        })
        .expect("a node")
        .expect("a configuration");
        let argv = argv(original, &config, &[]);
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let process = node
            .spawn(&format!("{name}.log"), &words)
            .expect("a daemon");
        Self {
            node,
            original,
            config,
            process,
        }
    }

    pub(crate) fn wait_started(&self) {
        let start = Instant::now();
        let said = || self.process.output();
        while !said().contains("-- starting in console mode --") {
            let late = start.elapsed() >= LIMIT;
            assert!(!late, "{} did not start: {}", self.config, said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What its own client prints.
    pub(crate) fn ask(&self, args: &[&str]) -> String {
        self.ask_with(self.original, args)
    }

    pub(crate) fn ask_with(&self, original: Option<&Path>, args: &[&str]) -> String {
        let argv = argv(original, &self.config, args);
        self.node
            .check(&argv.iter().map(String::as_str).collect::<Vec<_>>())
            .expect("an answer")
    }

    /// A cache listing without ages, in an order of its own.
    pub(crate) fn flows(&self, what: &[&str]) -> Vec<String> {
        sorted(&self.ask(what))
    }

    pub(crate) fn wait_flows(&self, what: &[&str], count: usize) {
        let start = Instant::now();
        loop {
            let have = self.flows(what).len();
            if have == count {
                return;
            }
            assert!(
                start.elapsed() < LIMIT,
                "{have} flows instead of {count} in {what:?} of {}\n{}\n{}",
                self.config,
                self.ask(&["-s", "network"]),
                self.ask(&["-s", "link"]),
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

pub(crate) fn argv(original: Option<&Path>, config: &str, args: &[&str]) -> Vec<String> {
    let mut argv: Vec<String> = match original {
        Some(root) => [
            "chroot",
            &root.display().to_string(),
            "/usr/sbin/conntrackd",
        ]
        .map(str::to_owned)
        .into(),
        None => vec![testkit::sut::ours(env!("CARGO_BIN_EXE_conntrackd"))],
    };
    argv.extend(["-C", config].map(str::to_owned));
    argv.extend(args.iter().map(|word| (*word).to_owned()));
    argv
}

pub(crate) fn sorted(listing: &str) -> Vec<String> {
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

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Two routers joined by "sync", and a host behind the first one.
pub(crate) struct Lab {
    pub(crate) dir: PathBuf,
    pub(crate) r1: Node,
    pub(crate) r2: Node,
    pub(crate) host: Node,
}

impl Lab {
    pub(crate) fn build(name: &str, original: Option<&Path>) -> Self {
        let dir = std::env::temp_dir().join(format!("conntrackd-{name}-{}", std::process::id()));
        let node = |name| Node::new(name, &dir).expect("a node");
        let (r1, r2, host) = (node("r1"), node("r2"), node("host"));
        cable(&r1, "sync", &r2, "sync").expect("a cable");
        cable(&r1, "sync2", &r2, "sync2").expect("a cable");
        cable(&r1, "lan", &host, "eth0").expect("a cable");
        for (node, last) in [(&r1, 1), (&r2, 2)] {
            for (link, net) in [("sync", 0), ("sync2", 1)] {
                // Addresses are to be used at once.
                node.sysctl(&format!("net.ipv6.conf.{link}.accept_dad"), "0")
                    .expect("a setting");
                // They outlive a link that is down, as IPv4's do.
                node.sysctl(&format!("net.ipv6.conf.{link}.keep_addr_on_down"), "1")
                    .expect("a setting");
                node.net(move |n| {
                    n.down(link)?;
                    n.up(link)?;
                    let v6 = |a, b, c| IpAddr::V6(Ipv6Addr::new(a, 0, 0, b, 0, 0, 0, c));
                    n.address(link, v6(0xfd00, net, last), 64)?;
                    n.address(link, v6(0xfe80, 0, last), 64)
                })
                .expect("an address");
            }
        }
        // A carrier that comes and goes takes a moment to be noticed, and until then nobody can bind to them.
        for (node, last) in [(&r1, 1_u16), (&r2, 2)] {
            for net in 0..2_u16 {
                wait_for("an address that can be bound to", || {
                    let addr = Ipv6Addr::new(0xfd00, 0, 0, net, 0, 0, 0, last);
                    node.call(move || UdpSocket::bind((addr, 0)).is_ok())
                        .expect("a node")
                });
            }
        }
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
            // Else an entry that is made while nobody listens has no events for the rest of its life.
            node.sysctl("net.netfilter.nf_conntrack_events", "1")
                .expect("a setting");
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
    pub(crate) fn traffic(&self) -> (TcpListener, TcpStream) {
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
pub(crate) fn value(stats: &str, block: &str, label: &str) -> u64 {
    let rest = stats.split_once(block).map_or("", |(_, rest)| rest);
    let number = rest.split_once(label).map_or("", |(_, rest)| rest);
    number
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .expect(label)
}

/// A text without its numbers.
pub(crate) fn shape(text: &str) -> String {
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
