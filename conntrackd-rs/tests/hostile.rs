//! Datagrams and requests that no honest peer or operator sends, against a running daemon next to the original.
//!
//! What is expected is what 1.4.8 counts (conntrackd-behaviour.md 4.6); `ref_` holds the original to the same lists.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::node::{Node, Process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_conntrackd");

/// One router with a daemon, and a stranger in its peer's place.
struct Target {
    dir: PathBuf,
    stranger: Node,
    node: Node,
    original: Option<PathBuf>,
    daemon: Process,
    sequence: u32,
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
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
    fn start(name: &str, original: Option<&Path>, mode: &str) -> Self {
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
            "Sync {{\n Mode {mode} {{\n }}\n UDP {{\n  IPv4_address 172.16.0.1\n  \
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

    fn ask(&self, args: &[&str]) -> String {
        let argv = argv(self.original.as_deref(), args);
        self.node
            .check(&argv.iter().map(String::as_str).collect::<Vec<_>>())
            .expect("an answer")
    }

    /// Sends datagrams one after the other from the peer's address.
    fn send(&self, datagrams: Vec<Vec<u8>>) {
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
    fn counters(&self) -> Vec<(String, u64)> {
        self.ask(&["-s", "network"])
            .lines()
            .filter_map(|line| {
                let (label, number) = line.trim().split_once(':')?;
                Some((label.to_owned(), number.trim().parse().ok()?))
            })
            .collect()
    }

    /// How many datagrams arrived.
    fn received(&self) -> u64 {
        let text = self.ask(&["-s", "network"]);
        let line = text.lines().find(|line| line.contains("Pckts recv"));
        line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok())
            .expect("a link block")
    }

    /// Sends one datagram and tells which counters it raised.
    fn raised(&self, datagram: Vec<u8>) -> Vec<String> {
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

    fn next(&mut self) -> u32 {
        self.sequence += 1;
        self.sequence
    }

    fn flow(&mut self, sport: u16) -> Vec<u8> {
        let sequence = self.next();
        message(CT_NEW, 0, sequence, &flow_attributes(sport))
    }

    /// CPU time so far, in ticks.
    fn cpu(&self) -> u64 {
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

    fn assert_idle(&self) {
        let before = self.cpu();
        std::thread::sleep(Duration::from_millis(500));
        let used = self.cpu() - before;
        assert!(used < 20, "{used} ticks of CPU in an idle half second");
    }

    fn stop(mut self) {
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

fn argv(original: Option<&Path>, args: &[&str]) -> Vec<String> {
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
    argv.extend(["-C", "/run/d.conf"].map(str::to_owned));
    argv.extend(args.iter().map(|word| (*word).to_owned()));
    argv
}

const CT_NEW: u8 = 0;
const CTL: u8 = 10;
const ACK: u8 = 0x08;
const ALIVE: u8 = 0x10;

/// A message with header and right length.
fn message(kind: u8, flags: u8, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x10 | kind, flags];
    let len = u16::try_from(8 + body.len()).expect("a short message");
    bytes.extend(len.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(body);
    bytes
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(4 + value.len()).expect("a short value");
    let mut bytes = len.to_be_bytes().to_vec();
    bytes.extend(kind.to_be_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// 10.1.0.2 to 10.2.0.2, UDP.
fn flow_attributes(sport: u16) -> Vec<u8> {
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

fn range(from: u32, to: u32) -> Vec<u8> {
    [from.to_be_bytes(), to.to_be_bytes()].concat()
}

/// Pseudo-random bytes, the same in each run.
fn noise(state: &mut u32, len: usize) -> Vec<u8> {
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        *state as u8
    };
    (0..len).map(|_| next()).collect()
}

const VERSION: &[&str] = &["Malformed messages +1", "Wrong protocol version +1"];
const HEADER: &[&str] = &["Malformed messages +1", "Malformed header +1"];
const PAYLOAD: &[&str] = &["Malformed messages +1", "Malformed payload +1"];
const TRUNCATED: &[&str] = &["Malformed messages +1", "Truncated message +1"];
const SIZE: &[&str] = &["Malformed messages +1", "Bad message size +1"];

/// Plays it all on one daemon, and gives what differs from the expectations.
fn datagrams(original: Option<&Path>) -> Vec<String> {
    let mut target = Target::start("datagrams", original, "FTFW");
    // The sequence begins, and the peer says that it is there.
    let hello = message(CTL, ALIVE | 0x20, target.next(), &[]);
    target.raised(hello);

    let mut cases: Vec<(&str, Vec<u8>, &[&str])> = Vec::new();
    let mut add = |name, bytes, raised| cases.push((name, bytes, raised));
    let s = target.next();
    let good = message(CT_NEW, 0, s, &flow_attributes(20_000));
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes.splice(at..=at, [byte]);
        bytes
    };
    add("version 0", with(0, 0), VERSION);
    add("version 2", with(0, 0x20), VERSION);
    add("type 6", with(0, 0x16), HEADER);
    add("type 7", with(0, 0x17), HEADER);
    add("type 15", with(0, 0x1f), HEADER);
    add("control without a flag", message(CTL, 0, s, &[]), HEADER);
    add("data with flag 0x01", with(1, 0x01), HEADER);
    add("data with flag 0x80", with(1, 0x80), HEADER);
    add(
        "an ACK's range is backwards",
        message(CTL, ACK, s, &range(9, 8)),
        HEADER,
    );
    let length = |len: u16| {
        let mut bytes = good.clone();
        bytes.splice(2..4, len.to_be_bytes());
        bytes
    };
    let whole = u16::try_from(good.len()).expect("short");
    add("length 0", length(0), SIZE);
    add("length 4", length(4), SIZE);
    add("length 7", length(7), SIZE);
    add("one byte more than there is", length(whole + 1), SIZE);
    add("length 65535", length(0xffff), SIZE);
    add(
        "6 bytes",
        good.get(..6).unwrap_or_default().to_vec(),
        TRUNCATED,
    );
    add("1 byte", vec![0x10], TRUNCATED);
    add("an ACK of 8 bytes", message(CTL, ACK, s, &[]), TRUNCATED);
    let payload = |bytes: Vec<u8>| message(CT_NEW, 0, s, &bytes);
    add(
        "attribute 33",
        payload([flow_attributes(20_000), attribute(33, &[0; 4])].concat()),
        PAYLOAD,
    );
    add(
        "attribute 65535",
        payload([flow_attributes(20_000), attribute(0xffff, &[0; 4])].concat()),
        PAYLOAD,
    );
    add(
        "addresses of 7 bytes",
        payload(attribute(0, &[1; 7])),
        PAYLOAD,
    );
    add(
        "a status of 8 bytes",
        payload(attribute(5, &[1; 8])),
        PAYLOAD,
    );
    add(
        "a helper's name of 12 letters",
        payload([flow_attributes(20_000), attribute(27, b"abcdefghijkl\0")].concat()),
        PAYLOAD,
    );
    add(
        "attribute of length 3",
        payload(vec![0, 3, 0, 2, 17, 0, 0, 0]),
        PAYLOAD,
    );
    add(
        "attribute of length 0",
        payload(vec![0, 0, 0, 2, 17, 0, 0, 0]),
        PAYLOAD,
    );
    add(
        "attribute longer than the message",
        payload(vec![0, 200, 0, 2, 17, 0, 0, 0]),
        PAYLOAD,
    );
    add(
        "labels of 1028 bytes",
        payload([flow_attributes(20_000), attribute(28, &[0xff; 1028])].concat()),
        PAYLOAD,
    );

    let mut wrong = Vec::new();
    for (name, bytes, expected) in cases {
        // Messages that are read so far that their number counts must be the next ones.
        let mut bytes = bytes;
        let number = target.next();
        if let Some(place) = bytes.get_mut(4..8) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        let raised: Vec<String> = target
            .raised(bytes)
            .into_iter()
            .filter(|c| !c.starts_with("Packets lost"))
            .collect();
        if raised != expected {
            wrong.push(format!("{name}: {raised:?}, not {expected:?}"));
        }
    }
    // A replay and a duplicate are old, and change nothing.
    let flow = target.flow(20_001);
    target.raised(flow.clone());
    wait_for("the flow", || target.ask(&["-e"]).contains("sport=20001"));
    for name in ["a duplicate", "a replay"] {
        let raised = target.raised(flow.clone());
        if raised != ["Packets before +1"] {
            wrong.push(format!("{name}: {raised:?}"));
        }
    }
    // The largest datagram, all of it noise, and one full of empty messages.
    let mut seed = 0x1234_5678;
    let mut oversize = noise(&mut seed, 65_507);
    oversize.splice(..1, [0x10]);
    target.raised(oversize);
    let mut many = Vec::new();
    while many.len() < 60_000 {
        many.extend(message(CTL, ALIVE, target.next(), &[]));
    }
    let raised = target.raised(many);
    if !raised.is_empty() {
        wrong.push(format!("thousands of messages: {raised:?}"));
    }
    // Noise, half of it behind a header that is right so far.
    let lot: Vec<Vec<u8>> = (0..2_000_usize)
        .map(|i| {
            let mut bytes = noise(&mut seed, i % 200);
            // Never beyond version 1's types, and far behind the sequence: read, then dropped as old.
            if i % 2 == 0 && bytes.len() >= 8 {
                bytes.splice(..1, [0x20]);
            }
            bytes
        })
        .collect();
    target.send(lot);
    target.assert_idle();

    // It still replicates: a peer that starts anew says hello.
    target.sequence = 3_000_000_000;
    let hello = message(CTL, ALIVE | 0x20, target.next(), &[]);
    target.send(vec![hello]);
    let flow = target.flow(20_002);
    target.send(vec![flow]);
    wait_for("the next flow", || {
        target.ask(&["-e"]).contains("sport=20002")
    });
    // Without addresses it is accepted; the commit of it fails alone. (A listing of it ends 1.4.8's helper process by SIGSEGV.)
    let no_address = message(CT_NEW, 0, target.next(), &attribute(5, &[0, 0, 1, 0x88]));
    let raised = target.raised(no_address);
    if !raised.is_empty() {
        wrong.push(format!("without addresses: {raised:?}"));
    }
    wait_for("its log line", || {
        let log = target.daemon.output();
        log.contains("unknown layer 3 proto in hash")
    });
    if original.is_none() {
        assert_eq!(target.ask(&["-e"]).lines().count(), 3);
    }
    // 1.4.8 gives an entry no timeout at all, which the kernel refuses, in the second in which it arrived.
    std::thread::sleep(Duration::from_millis(1_100));
    target.ask(&["-c"]);
    wait_for("the commit", || {
        let log = target.daemon.output();
        log.contains("Committed 2 new entries")
    });
    target.stop();
    wrong
}

#[test]
fn lab_datagrams_of_a_stranger_are_counted_and_harmless() {
    if !testkit::need::root("lab_datagrams_of_a_stranger_are_counted_and_harmless") {
        return;
    }
    let wrong = datagrams(None);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ref_datagrams_of_a_stranger_are_counted_by_the_original_alike() {
    let name = "ref_datagrams_of_a_stranger_are_counted_by_the_original_alike";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let wrong = datagrams(Some(&root));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lab_clients_that_misbehave_hold_nobody_up() {
    if !testkit::need::root("lab_clients_that_misbehave_hold_nobody_up") {
        return;
    }
    let mut target = Target::start("clients", None, "FTFW");
    let hello = message(CTL, ALIVE | 0x20, target.next(), &[]);
    target.raised(hello);
    // A cache whose listing does not fit into a socket's buffer.
    for block in 0..40_u16 {
        let mut datagram = Vec::new();
        for port in 0..200 {
            datagram.extend(target.flow(1_000 + block * 200 + port));
        }
        target.raised(datagram);
    }
    let connect = || {
        target
            .node
            .call(|| UnixStream::connect("/run/d.ctl").expect("a connection"))
            .expect("a node")
    };
    // Numbers that mean nothing are answered with nothing.
    for number in [-1, 2, 15, 27, 49, 1_000, i32::MIN, i32::MAX] {
        let mut client = connect();
        client
            .write_all(&i32::to_ne_bytes(number))
            .expect("a request");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer, "", "{number}");
    }
    // Some say nothing, some half of it, some too much, some never read their listing, some leave in the middle of it.
    let mut held = Vec::new();
    for i in 0..200 {
        let mut client = connect();
        let request: &[u8] = match i % 5 {
            0 => &[],
            1 => &[17, 0],
            2 => b"GET / HTTP/1.0\r\n\r\n",
            _ => &17_i32.to_ne_bytes(),
        };
        // One that the daemon has hung up on already can not be written to.
        let _ = client.write_all(request);
        if i % 5 == 4 {
            drop(client);
        } else if i % 5 != 3 || held.len() < 40 {
            held.push(client);
        }
    }
    assert_eq!(target.ask(&["-e"]).lines().count(), 8_000);
    assert!(target.ask(&["-s", "runtime"]).contains("daemon uptime"));
    target.assert_idle();
    drop(held);
    target.assert_idle();
    target.stop();
}

/// What a newcomer writes: the change to a right configuration, and what 1.4.8 says to it before it exits with 1.
const MISTAKES: &[(&str, &str, &[&str])] = &[
    (
        "3780\n }\n}",
        "3780\n }",
        &["[ERROR] parsing config file in line (9), symbol 'General': syntax error"],
    ),
    (
        "FTFW",
        "FTFQ",
        &["[ERROR] parsing config file in line (2), symbol 'FTFQ': syntax error"],
    ),
    (
        "Port",
        "Prot",
        &["[ERROR] parsing config file in line (7), symbol 'Prot': syntax error"],
    ),
    (
        "Interface sync",
        "Interface snyc",
        &[
            "[warning] snyc is an invalid interface",
            "[ERROR] can't open channel socket: No such device",
            "[ERROR] initialization failed",
            "[ERROR] conntrackd cannot start, please review your configuration",
        ],
    ),
    (
        "IPv4_address 172.16.0.1",
        "IPv4_address 172.16.0.9",
        &[
            "[ERROR] can't open channel socket: Cannot assign requested address",
            "[ERROR] initialization failed",
            "[ERROR] conntrackd cannot start, please review your configuration",
        ],
    ),
    (
        "/run/m.ctl",
        "/run/nowhere/m.ctl",
        &[
            "[ERROR] can't open unix socket!",
            "[ERROR] conntrackd cannot start, please review your configuration",
        ],
    ),
    // The second start, and a lock file that can not be made: the same words.
    (
        "/run/m.lock",
        "/run/d.lock",
        &["[ERROR] lockfile `/run/d.lock' exists, perhaps conntrackd already running?"],
    ),
    (
        "/run/m.lock",
        "/run/nowhere/m.lock",
        &["[ERROR] lockfile `/run/nowhere/m.lock' exists, perhaps conntrackd already running?"],
    ),
];

fn mistakes(original: Option<&Path>) -> Vec<String> {
    let target = Target::start("mistakes", original, "FTFW");
    let right = "Sync {\n Mode FTFW {\n }\n UDP {\n  IPv4_address 172.16.0.1\n  IPv4_Destination_Address 172.16.0.2\n  \
                 Interface sync Port 3780\n }\n}\nGeneral {\n LockFile /run/m.lock\n UNIX { Path /run/m.ctl\n }\n}\n";
    let mut wrong = Vec::new();
    for (from, to, expected) in MISTAKES {
        let text = right.replace(from, to);
        target
            .node
            .call(move || fs::write("/run/m.conf", text))
            .expect("a node")
            .expect("a configuration");
        let argv: Vec<String> = argv(original, &[])
            .into_iter()
            .map(|word| word.replace("/run/d.conf", "/run/m.conf"))
            .collect();
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let output = target.node.run(&words).expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = said
            .lines()
            .map(|line| line.split_once(") ").map_or(line, |(_, text)| text))
            .collect();
        if output.status.code() != Some(1) || lines != *expected {
            wrong.push(format!("{to:?}: {:?} {lines:?}", output.status.code()));
        }
        let _ = target.node.call(|| fs::remove_file("/run/m.lock"));
    }
    target.stop();
    wrong
}

#[test]
fn lab_mistakes_of_a_newcomer_have_the_originals_words() {
    if testkit::need::root("lab_mistakes_of_a_newcomer_have_the_originals_words") {
        let wrong = mistakes(None);
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

#[test]
fn ref_mistakes_of_a_newcomer_have_these_words() {
    let name = "ref_mistakes_of_a_newcomer_have_these_words";
    if !testkit::need::root(name) {
        return;
    }
    if let Some(root) = testkit::need::originals(name) {
        let wrong = mistakes(Some(&root));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
