//! Packets no honest router sends, against a running daemon: refused, counted and logged as by 2.3.3.
//!
//! The transcripts under testdata/golden/keepalived/hostile are those of the original: `ref_` tests hold the original to
//! them, `lab_` tests ours. With `BLESS=1` a `ref_` test writes them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use linux_io::packet_sock::{Frame, PacketSocket};
use net_types::IfIndex;
use nix::sys::signal::Signal;
use testkit::link::cable;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};
use vrrp_proto::auth::ah;

const LIMIT: Duration = Duration::from_secs(25);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 66);
const VIP: [u8; 4] = [10, 9, 0, 100];

struct Case {
    name: &'static str,
    version: u8,
    /// The daemon is master when the packets come, or hears them as backup.
    master: bool,
    interval: &'static str,
    lines: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "v2-pass-master",
        version: 2,
        master: true,
        interval: "1",
        lines: "priority 200\nauthentication {\n auth_type PASS\n auth_pass s3cret\n}",
    },
    // The master's interval is so long that no timer ends while the packets are judged.
    Case {
        name: "v2-pass-backup",
        version: 2,
        master: false,
        interval: "60",
        lines: "priority 100\nauthentication {\n auth_type PASS\n auth_pass s3cret\n}",
    },
    Case {
        name: "v2-none-master",
        version: 2,
        master: true,
        interval: "1",
        lines: "priority 200",
    },
    Case {
        name: "v3-master",
        version: 3,
        master: true,
        interval: "1",
        lines: "priority 200",
    },
    Case {
        name: "v3-backup",
        version: 3,
        master: false,
        interval: "40",
        lines: "priority 100",
    },
    Case {
        name: "v2-ah-master",
        version: 2,
        master: true,
        interval: "1",
        lines: "priority 200\nauthentication {\n auth_type AH\n auth_pass s3cret\n}",
    },
    Case {
        name: "v2-ah-backup",
        version: 2,
        master: false,
        interval: "60",
        lines: "priority 100\nauthentication {\n auth_type AH\n auth_pass s3cret\n}",
    },
    Case {
        name: "v2-ah-unicast-backup",
        version: 2,
        master: false,
        interval: "60",
        lines: "priority 100\nauthentication {\n auth_type AH\n auth_pass s3cret\n}\nunicast_peer {\n 10.9.0.66\n}",
    },
    Case {
        name: "v3-unicast-master",
        version: 3,
        master: true,
        interval: "1",
        lines: "priority 200\ncheck_unicast_src\nunicast_peer {\n 10.9.0.66 min_ttl 100 max_ttl 200\n 10.9.0.65\n}",
    },
    Case {
        name: "v3-unicast-backup",
        version: 3,
        master: false,
        interval: "40",
        lines: "priority 100\nunicast_peer {\n 10.9.0.66 min_ttl 100 max_ttl 200\n}",
    },
    Case {
        name: "v3-owner",
        version: 3,
        master: true,
        interval: "1",
        lines: "priority 255\nstate MASTER",
    },
    Case {
        name: "v3-owner-ignores",
        version: 3,
        master: true,
        interval: "1",
        lines: "priority 255\nstate MASTER\nowner_ignore_adverts",
    },
    Case {
        name: "v3-answers-the-higher",
        version: 3,
        master: true,
        interval: "1",
        lines: "priority 200\nhigher_prio_send_advert\nlower_prio_no_advert",
    },
    Case {
        name: "v3-skips-addresses",
        version: 3,
        master: false,
        interval: "40",
        lines: "priority 100\nskip_check_adv_addr\nnopreempt",
    },
];

/// Key of the cases with an authentication header.
const KEY: [u8; 8] = *b"s3cret\0\0";

/// An advert whose every field can be wrong.
#[derive(Clone)]
struct Advert {
    version: u8,
    kind: u8,
    vrid: u8,
    priority: u8,
    count: u8,
    auth_type: u8,
    /// Seconds in version 2, hundredths of a second in version 3.
    interval: u16,
    addresses: Vec<[u8; 4]>,
    password: Option<[u8; 8]>,
    /// Added to the right checksum.
    checksum_off: u16,
    /// What follows the packet.
    tail: usize,
    /// How much is left of the packet.
    cut: Option<usize>,
    ttl: u8,
    from: Ipv4Addr,
    to: Ipv4Addr,
    /// The authentication header, if there is one.
    ah: Option<Header>,
    /// Words of no-operation options in the IP header.
    options: u8,
}

/// An authentication header whose every field can be wrong.
#[derive(Clone, Copy)]
struct Header {
    next: u8,
    length: u8,
    spi: Ipv4Addr,
    sequence: u32,
    key: [u8; 8],
}

fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

impl Advert {
    /// What a router with the daemon's configuration and the given priority would send.
    fn right(case: &Case, priority: u8) -> Self {
        let seconds: u16 = case.interval.parse().unwrap();
        let pass = case.lines.contains("PASS");
        let ah = case.lines.contains("AH");
        let unicast = case.lines.contains("unicast_peer");
        Self {
            version: case.version,
            kind: 1,
            vrid: 51,
            priority,
            count: 1,
            auth_type: if ah { 2 } else { u8::from(pass) },
            interval: if case.version == 3 {
                seconds * 100
            } else {
                seconds
            },
            addresses: vec![VIP],
            password: (case.version == 2).then_some(if pass { *b"s3cret\0\0" } else { [0; 8] }),
            checksum_off: 0,
            tail: 0,
            cut: None,
            ttl: if unicast { 150 } else { 255 },
            from: STRANGER,
            to: if unicast { TARGET } else { GROUP },
            ah: ah.then_some(Header {
                next: 112,
                length: 4,
                spi: STRANGER,
                sequence: 1,
                key: KEY,
            }),
            options: 0,
        }
    }

    fn packet(&self) -> Vec<u8> {
        let mut bytes = vec![
            self.version << 4 | self.kind,
            self.vrid,
            self.priority,
            self.count,
        ];
        if self.password.is_some() {
            bytes.extend([self.auth_type, self.interval as u8]);
        } else {
            bytes.extend(self.interval.to_be_bytes());
        }
        bytes.extend([0, 0]);
        for address in &self.addresses {
            bytes.extend(address);
        }
        bytes.extend(self.password.iter().flatten());
        let mut pseudo = Vec::new();
        if self.password.is_none() {
            pseudo.extend(self.from.octets());
            pseudo.extend(self.to.octets());
            pseudo.extend([0, 112]);
            pseudo.extend((bytes.len() as u16).to_be_bytes());
        }
        let right = sum(&[&pseudo, &bytes]).wrapping_add(self.checksum_off);
        bytes[6..8].copy_from_slice(&right.to_be_bytes());
        bytes.extend(std::iter::repeat_n(0xa5, self.tail));
        bytes.truncate(self.cut.unwrap_or(bytes.len()));
        bytes
    }

    fn frame(&self) -> Vec<u8> {
        let packet = self.packet();
        let head = 20 + usize::from(self.options) * 4;
        let before = self.ah.map_or(0, |_| 24);
        let total = (head + before + packet.len()) as u16;
        let mut ip = vec![0x40 | (head / 4) as u8, 0xc0];
        ip.extend(total.to_be_bytes());
        let protocol = self.ah.map_or(112, |_| 51);
        ip.extend([0, 1, 0, 0, self.ttl, protocol, 0, 0]);
        ip.extend(self.from.octets());
        ip.extend(self.to.octets());
        ip.resize(head, 1);
        let right = sum(&[&ip]);
        ip[10..12].copy_from_slice(&right.to_be_bytes());
        let destination: [u8; 6] = if self.to == GROUP {
            [1, 0, 0x5e, 0, 0, 0x12]
        } else {
            MAC
        };
        let mut frame = destination.to_vec();
        frame.extend([2, 0, 0, 0, 0, 0x66, 8, 0]);
        let Some(ah) = self.ah else {
            frame.extend(ip);
            frame.extend(packet);
            return frame;
        };
        ip.extend([ah.next, ah.length, 0, 0]);
        ip.extend(ah.spi.octets());
        ip.extend(ah.sequence.to_be_bytes());
        ip.extend([0; 12]);
        ip.extend(packet);
        // Without options; with them it is wrong.
        ah::seal(&ah.key, &mut ip, self.to != GROUP);
        frame.extend(ip);
        frame
    }
}

/// The daemon's address.
const TARGET: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The daemon's hardware address.
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The shots in the order in which they are fired, each with its name in the transcript.
fn shots(case: &Case) -> Vec<(&'static str, Advert)> {
    let right = Advert::right(case, 10);
    let with = |change: fn(&mut Advert)| {
        let mut advert = right.clone();
        change(&mut advert);
        advert
    };
    let mut shots = vec![
        ("nothing behind the IP header", with(|a| a.cut = Some(0))),
        ("one byte", with(|a| a.cut = Some(1))),
        ("half a header", with(|a| a.cut = Some(4))),
        ("header alone", with(|a| a.cut = Some(8))),
        ("one byte missing", {
            let mut a = right.clone();
            a.cut = Some(a.packet().len() - 1);
            a
        }),
        ("one byte too many", with(|a| a.tail = 1)),
        ("too long", with(|a| a.tail = 300)),
        ("checksum", with(|a| a.checksum_off = 1)),
        ("ttl 254", with(|a| a.ttl = 254)),
        ("ttl 1", with(|a| a.ttl = 1)),
        ("version 0", with(|a| a.version = 0)),
        ("version 2 or 3", with(|a| a.version = 5 - a.version)),
        ("version 15", with(|a| a.version = 15)),
        ("another VRID", with(|a| a.vrid = 52)),
        ("VRID 0", with(|a| a.vrid = 0)),
        ("type 0", with(|a| a.kind = 0)),
        ("type 2", with(|a| a.kind = 2)),
        ("type 15", with(|a| a.kind = 15)),
        (
            "no address",
            with(|a| {
                a.count = 0;
                a.addresses.clear();
            }),
        ),
        ("count without addresses", with(|a| a.count = 255)),
        (
            "two addresses",
            with(|a| {
                a.count = 2;
                a.addresses.push([10, 9, 0, 101]);
            }),
        ),
        (
            "another address",
            with(|a| a.addresses = vec![[10, 9, 0, 99]]),
        ),
        ("count 0, address there", with(|a| a.count = 0)),
        ("IP options", with(|a| a.options = 2)),
    ];
    shots.push(if right.to == GROUP {
        ("unicast", with(|a| a.to = TARGET))
    } else {
        ("multicast", with(|a| a.to = GROUP))
    });
    if right.to != GROUP {
        shots.extend([
            ("ttl 100", with(|a| a.ttl = 100)),
            ("ttl 99", with(|a| a.ttl = 99)),
            ("ttl 200", with(|a| a.ttl = 200)),
            ("ttl 201", with(|a| a.ttl = 201)),
            ("not a peer", with(|a| a.from = Ipv4Addr::new(10, 9, 0, 67))),
            (
                "not a peer, priority 255",
                with(|a| {
                    a.from = Ipv4Addr::new(10, 9, 0, 67);
                    a.priority = 255;
                }),
            ),
            (
                "not a peer, priority 0",
                with(|a| {
                    a.from = Ipv4Addr::new(10, 9, 0, 67);
                    a.priority = 0;
                }),
            ),
        ]);
    }
    if case.version == 2 {
        shots.extend([
            ("auth type 0 or 1", with(|a| a.auth_type ^= 1)),
            ("auth type 2", with(|a| a.auth_type = 2)),
            ("auth type 3", with(|a| a.auth_type = 3)),
            ("auth type 255", with(|a| a.auth_type = 255)),
            ("password", with(|a| a.password = Some(*b"s3creT\0\0"))),
            ("empty password", with(|a| a.password = Some([0; 8]))),
            ("interval", with(|a| a.interval += 1)),
            ("interval 0", with(|a| a.interval = 0)),
        ]);
    } else {
        shots.extend([
            ("interval", with(|a| a.interval += 1)),
            ("interval 0", with(|a| a.interval = 0)),
            ("reserved bits", with(|a| a.interval |= 0xf000)),
        ]);
    }
    if right.ah.is_some() {
        let header = |change: fn(&mut Header)| {
            let mut advert = right.clone();
            change(advert.ah.as_mut().unwrap());
            advert
        };
        shots.extend([
            ("no authentication header", with(|a| a.ah = None)),
            ("next header", header(|h| h.next = 6)),
            ("length of the header", header(|h| h.length = 5)),
            ("index", header(|h| h.spi = Ipv4Addr::new(10, 9, 0, 67))),
            ("key", header(|h| h.key = *b"s3creT\0\0")),
            ("sequence 0", header(|h| h.sequence = 0)),
        ]);
    }
    shots.push(("lower priority", right.clone()));
    if case.master {
        shots.push(("priority 0", with(|a| a.priority = 0)));
    }
    shots.push(("priority 255", with(|a| a.priority = 255)));
    if !case.master {
        shots.push((
            "afterwards: checksum",
            with(|a| {
                a.priority = 255;
                a.checksum_off = 7;
            }),
        ));
        shots.push(("priority 254", with(|a| a.priority = 254)));
    }
    if case.lines.contains("nopreempt") {
        // Accepted, and the master is down at once: what comes before and what after that is chance.
        shots.retain(|(name, _)| *name != "interval 0");
    }
    // Each with a new number.
    for (number, (name, shot)) in (1..).zip(&mut shots) {
        if let Some(ah) = shot.ah.as_mut().filter(|_| *name != "sequence 0") {
            ah.sequence = number * 1000;
        }
    }
    if right.ah.is_some() {
        let mut last = right.clone();
        last.priority = 254;
        for (name, sequence) in [("last number", u32::MAX), ("after the last", 1_000_000)] {
            last.ah = right.ah.map(|h| Header { sequence, ..h });
            shots.push((name, last.clone()));
        }
    }
    shots
}

struct Target {
    stranger: Node,
    node: Node,
    daemon: Process,
    seen: usize,
}

impl Target {
    fn start(case: &Case, make: Make, programs: &Programs) -> Self {
        let name = format!("hostile-{}-{make:?}-{}", case.name, std::process::id()).to_lowercase();
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let node = Node::new("target", &dir).unwrap();
        let stranger = Node::new("stranger", &dir).unwrap();
        cable(&node, "eth0", &stranger, "eth0").unwrap();
        node.check(&["ip", "link", "set", "eth0", "address", "02:00:00:00:00:01"])
            .unwrap();
        node.net(|net| net.address("eth0", IpAddr::from([10, 9, 0, 1]), 24))
            .unwrap();
        // Nothing but our frames may come from the stranger, and no address may appear while the log is read.
        for node in [&node, &stranger] {
            node.sysctl("net.ipv6.conf.eth0.disable_ipv6", "1").unwrap();
        }
        let conf = node.dir().join("keepalived.conf").display().to_string();
        fs::write(
            &conf,
            format!(
                "global_defs {{\n router_id r\n vrrp_garp_master_delay 0\n log_unknown_vrids\n}}\nvrrp_instance VI_1 {{\n state BACKUP\n \
                 interface eth0\n version {}\n virtual_router_id 51\n advert_int {}\n{}\nvirtual_ipaddress {{\n \
                 10.9.0.100/24\n}}\n}}\n",
                case.version, case.interval, case.lines
            ),
        )
        .unwrap();
        if make == Make::Original {
            programs.enter_original(&node, &dir).unwrap();
        }
        let mut argv = vec!["env".to_owned(), format!("TMPDIR={}", node.dir().display())];
        argv.extend(programs.argv(make, "keepalived", &["-n", "-l", "-D", "-G", "-f", &conf]));
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let daemon = node.spawn("keepalived.log", &argv).unwrap();
        let target = Self {
            stranger,
            node,
            daemon,
            seen: 0,
        };
        let ready = if case.master {
            "Entering MASTER STATE"
        } else {
            "Entering BACKUP STATE"
        };
        target.wait(ready, || target.daemon.output().contains(ready));
        target
    }

    fn wait(&self, what: &str, mut done: impl FnMut() -> bool) {
        let end = Instant::now() + LIMIT;
        while !done() {
            assert!(
                Instant::now() < end,
                "{what} does not happen\n{}",
                self.daemon.output()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn fire(&self, frame: Vec<u8>, times: usize) {
        self.stranger
            .call(move || {
                let socket = PacketSocket::open().unwrap();
                let index = nix::net::if_::if_nametoindex("eth0").unwrap();
                let interface = IfIndex::new(index).unwrap();
                for _ in 0..times {
                    let frame = Frame {
                        interface,
                        ethertype: 0x0800,
                        bytes: &frame,
                    };
                    socket.send(frame).unwrap();
                }
            })
            .unwrap();
    }

    /// The statistics, dumped anew.
    fn stats(&self) -> String {
        let path = self.node.dir().join("keepalived.stats");
        let _ = fs::remove_file(&path);
        self.daemon.signal(Signal::SIGUSR2).unwrap();
        let mut text = String::new();
        self.wait("the statistics", || {
            text = fs::read_to_string(&path).unwrap_or_default();
            text.lines().filter(|l| l.contains("Sent:")).count() == 2
        });
        text
    }

    /// What was logged since the last call, without times, once nothing more comes.
    fn news(&mut self) -> Vec<String> {
        // The packets are in the socket before this signal is sent: its answer comes after them or soon after.
        let mut lines = self.lines();
        self.wait("an end of the log", || {
            self.stats();
            let now = self.lines();
            let same = lines == now;
            lines = now;
            same
        });
        let new = lines.split_off(self.seen.min(lines.len()));
        self.seen += new.len();
        new
    }

    /// The log without times, and without what is other tests' matter: how often neighbours are told, and the dumps.
    fn lines(&self) -> Vec<String> {
        self.daemon
            .output()
            .lines()
            .filter_map(|line| line.get(26..))
            .filter(|line| {
                !line.contains("gratuitous ARP") && !line.contains("Printing VRRP stats")
            })
            .map(str::to_owned)
            .collect()
    }
}

/// The counters that differ from zero, but not how often it advertised.
fn counters(stats: &str) -> String {
    let mut text = String::new();
    let mut block = "";
    for line in stats.lines() {
        let Some((label, value)) = line.split_once(": ") else {
            block = line.trim();
            continue;
        };
        let label = label.trim();
        if label != "Sent" && value != "0" && label != "VRRP Instance" {
            let block = if label.starts_with("Became") || label.starts_with("Released") {
                ""
            } else {
                block
            };
            writeln!(text, "  {block} {label}: {value}").unwrap();
        }
    }
    text
}

fn cpu_ticks(pid: i32) -> u64 {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let own = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = own
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let used: u64 = [11, 12]
        .iter()
        .filter_map(|&i| fields.get(i)?.parse::<u64>().ok())
        .sum();
    used + children
        .split_whitespace()
        .filter_map(|p| p.parse().ok())
        .map(cpu_ticks)
        .sum::<u64>()
}

/// Fires everything, and writes down what the daemon says and counts.
fn transcript(case: &Case, make: Make, programs: &Programs) -> String {
    let mut target = Target::start(case, make, programs);
    target.news();
    let mut text = String::new();
    for (name, advert) in shots(case) {
        target.fire(advert.frame(), 3);
        writeln!(text, "# {name}").unwrap();
        for line in target.news() {
            writeln!(text, "{line}").unwrap();
        }
        text.push_str(&counters(&target.stats()));
    }
    // A flood ends with a daemon that is idle again and answers.
    let mut flood = Advert::right(case, 254);
    flood.checksum_off = 1;
    target.fire(flood.frame(), 2000);
    target.news();
    let before = cpu_ticks(target.daemon.pid());
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu_ticks(target.daemon.pid()) - before;
    assert!(used < 30, "{used} ticks of CPU in an idle second");
    let status = target.daemon.stop();
    assert!(
        status.is_some_and(|s| s.success()),
        "{status:?}\n{}",
        target.daemon.output()
    );
    text
}

fn golden(case: &Case) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/golden/keepalived/hostile")
        .join(format!("{}.txt", case.name))
}

fn play_all(test: &str, make: Make) {
    if !need::root(test) {
        return;
    }
    let mut programs = Programs::of(env!("CARGO_BIN_EXE_keepalived"));
    if make == Make::Original {
        let Some(root) = need::originals(test) else {
            return;
        };
        programs = programs.with_originals(&root);
    }
    let bless = make == Make::Original && std::env::var_os("BLESS").is_some();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let played: Vec<_> = CASES
            .iter()
            .map(|case| (case, scope.spawn(|| transcript(case, make, &programs))))
            .collect();
        let mut wrong = Vec::new();
        for (case, played) in played {
            let text = played.join().expect("the case plays to its end");
            if bless {
                fs::write(golden(case), &text).unwrap();
            }
            let expected = fs::read_to_string(golden(case)).unwrap_or_default();
            if text != expected {
                wrong.push(format!(
                    "{}: {}\n--- whole transcript\n{text}",
                    case.name,
                    first_difference(&expected, &text)
                ));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn first_difference(expected: &str, text: &str) -> String {
    let mut shot = "";
    let mut lines = expected.lines();
    for line in text.lines() {
        let wanted = lines.next().unwrap_or("(the end)");
        if line != wanted {
            return format!("after {shot:?} expected {wanted:?}, got {line:?}");
        }
        if line.starts_with('#') {
            shot = line;
        }
    }
    "it ends early".to_owned()
}

#[test]
fn lab_hostile_packets_are_refused_counted_and_logged() {
    play_all(
        "lab_hostile_packets_are_refused_counted_and_logged",
        Make::Ours,
    );
}

#[test]
fn ref_hostile_packets_are_recorded_as_the_original_takes_them() {
    play_all(
        "ref_hostile_packets_are_recorded_as_the_original_takes_them",
        Make::Original,
    );
}
