//! One router with a daemon, and a stranger in its peer's place who builds messages by hand.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]
#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::node::{Node, Process};

/// One router with a daemon, and a stranger in its peer's place.
pub(crate) struct Target {
    pub(crate) dir: PathBuf,
    pub(crate) stranger: Node,
    pub(crate) node: Node,
    pub(crate) original: Option<PathBuf>,
    pub(crate) daemon: Process,
    pub(crate) sequence: u32,
}

pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{what} did not happen"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Target {
    pub(crate) fn start(name: &str, original: Option<&Path>, mode: &str) -> Self {
        Self::start_with(name, original, mode, "")
    }

    /// The same with more in `Sync`.
    pub(crate) fn start_with(name: &str, original: Option<&Path>, mode: &str, more: &str) -> Self {
        let dir = std::env::temp_dir().join(format!(
            "conntrackd-{name}-{}-{}",
            original.is_some(),
            std::process::id()
        ));
        let node = Node::new("target", &dir).expect("a node");
        let stranger = Node::new("stranger", &dir).expect("a node");
        cable(&node, "sync", &stranger, "sync").expect("a cable");
        for (node, last) in [(&node, 1), (&stranger, 2)] {
            node.net(move |net| {
                net.address("sync", IpAddr::V4(Ipv4Addr::new(172, 16, 0, last)), 24)
            })
            .expect("an address");
        }
        let text = format!(
            "Sync {{\n Mode {mode} {{\n }}\n {more}\n UDP {{\n  IPv4_address 172.16.0.1\n  \
             IPv4_Destination_Address 172.16.0.2\n  Port 3780\n  Interface sync\n  Checksum on\n }}\n}}\n\
             General {{\n HashSize 16384\n LockFile /run/d.lock\n UNIX {{ Path /run/d.ctl\n }}\n \
             Filter From Userspace {{\n  Protocol Accept {{ TCP UDP }}\n  \
             Address Ignore {{ IPv4_address 127.0.0.1 IPv4_address 172.16.0.0/16 }}\n }}\n}}\n"
        );
        node.call(move || fs::write("/run/d.conf", text))
            .expect("a node")
            .expect("a configuration");
        if let Some(root) = original {
            let inside = root.join("run").display().to_string();
            node.check(&["mount", "--bind", "/run", &inside])
                .expect("a mount");
        }
        let argv = argv(original, &[]);
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let daemon = node.spawn("d.log", &words).expect("a daemon");
        wait_for("the start", || {
            daemon.output().contains("-- starting in console mode --")
        });
        Self {
            dir,
            stranger,
            node,
            original: original.map(Path::to_owned),
            daemon,
            sequence: 1_000,
        }
    }

    pub(crate) fn ask(&self, args: &[&str]) -> String {
        let argv = argv(self.original.as_deref(), args);
        self.node
            .check(&argv.iter().map(String::as_str).collect::<Vec<_>>())
            .expect("an answer")
    }

    /// Sends datagrams one after the other from the peer's address.
    pub(crate) fn send(&self, datagrams: Vec<Vec<u8>>) {
        self.stranger
            .call(move || {
                let socket = UdpSocket::bind("172.16.0.2:0").expect("a socket");
                for datagram in datagrams {
                    socket
                        .send_to(&datagram, "172.16.0.1:3780")
                        .expect("it is sent");
                }
            })
            .expect("a node");
    }

    /// The counters of `-s network` above the link's own block.
    pub(crate) fn counters(&self) -> Vec<(String, u64)> {
        self.ask(&["-s", "network"])
            .lines()
            .filter_map(|line| {
                let (label, number) = line.trim().split_once(':')?;
                Some((label.to_owned(), number.trim().parse().ok()?))
            })
            .collect()
    }

    /// How many datagrams arrived.
    pub(crate) fn received(&self) -> u64 {
        let text = self.ask(&["-s", "network"]);
        let line = text.lines().find(|line| line.contains("Pckts recv"));
        line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
            .expect("a link block")
    }

    /// Sends one datagram and tells which counters it raised.
    pub(crate) fn raised(&self, datagram: Vec<u8>) -> Vec<String> {
        let (before, arrived) = (self.counters(), self.received());
        self.send(vec![datagram]);
        wait_for("the arrival", || self.received() > arrived);
        let after = self.counters();
        let changes = before.iter().zip(&after);
        changes
            .filter(|(a, b)| a.1 != b.1)
            .map(|(a, b)| format!("{} +{}", b.0, b.1.wrapping_sub(a.1)))
            .collect()
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    pub(crate) fn flow(&mut self, sport: u16) -> Vec<u8> {
        let sequence = self.next();
        message(CT_NEW, 0, sequence, &flow_attributes(sport))
    }

    /// CPU time so far, in ticks.
    pub(crate) fn cpu(&self) -> u64 {
        // The daemon is the process itself: chroot execs it.
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.daemon.pid())).expect("it runs");
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        [11, 12]
            .iter()
            .filter_map(|&i| fields.get(i)?.parse::<u64>().ok())
            .sum()
    }

    pub(crate) fn assert_idle(&self) {
        let before = self.cpu();
        std::thread::sleep(Duration::from_millis(500));
        let used = self.cpu() - before;
        assert!(used < 20, "{used} ticks of CPU in an idle half second");
    }

    pub(crate) fn stop(mut self) {
        let status = self.daemon.stop();
        assert_eq!(
            status.and_then(|s| s.code()),
            Some(0),
            "{}",
            self.daemon.output()
        );
        let _ = fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn argv(original: Option<&Path>, args: &[&str]) -> Vec<String> {
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
    argv.extend(["-C", "/run/d.conf"].map(str::to_owned));
    argv.extend(args.iter().map(|word| (*word).to_owned()));
    argv
}

pub(crate) const CT_NEW: u8 = 0;
pub(crate) const CTL: u8 = 10;
pub(crate) const ACK: u8 = 0x08;
pub(crate) const ALIVE: u8 = 0x10;

/// A message with header and right length.
pub(crate) fn message(kind: u8, flags: u8, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x10 | kind, flags];
    let len = u16::try_from(8 + body.len()).expect("a short message");
    bytes.extend(len.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(body);
    bytes
}

pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + value.len()).expect("a short value");
    let mut bytes = len.to_be_bytes().to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// 10.1.0.2 to 10.2.0.2, UDP.
pub(crate) fn flow_attributes(sport: u16) -> Vec<u8> {
    let mut ports = sport.to_be_bytes().to_vec();
    ports.extend(7007_u16.to_be_bytes());
    [
        attribute(0, &[10, 1, 0, 2, 10, 2, 0, 2]),
        attribute(5, &[0, 0, 1, 0x88]),
        attribute(2, &[17]),
        attribute(3, &ports),
    ]
    .concat()
}

pub(crate) fn range(from: u32, to: u32) -> Vec<u8> {
    [from.to_be_bytes(), to.to_be_bytes()].concat()
}

/// Pseudo-random bytes, the same in each run.
pub(crate) fn noise(state: &mut u32, len: usize) -> Vec<u8> {
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        *state as u8
    };
    (0..len).map(|_| next()).collect()
}
