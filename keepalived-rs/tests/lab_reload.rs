//! A thousand reloads of a configuration that keeps changing: a master that is not touched stays master, its address never
//! leaves, its backup never moves, and the process does not grow.
//!
//! `RELOADS=n` plays another number, `RELOAD_SEED=n` another course.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::link::cable;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::ours;

/// How long one reload may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// xorshift64*.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % n
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// The `n`th configuration and the addresses that its permanent instances hold as masters.
fn generate(rng: &mut Rng, n: u64, priority: u64) -> (String, BTreeSet<IpAddr>) {
    let mut text = String::from("global_defs {\n router_id r\n");
    if rng.chance(30) {
        text.push_str(" vrrp_garp_master_repeat 2\n");
    }
    if rng.chance(20) {
        text.push_str(" vrrp_garp_interval 0.001\n");
    }
    text.push_str("}\n");
    let mut held = BTreeSet::new();
    if rng.chance(50) {
        let n = rng.below(3);
        let _ = writeln!(text, "static_ipaddress {{\n 10.7.0.{n}/32 dev eth0\n}}");
        held.insert(IpAddr::from([10, 7, 0, u8::try_from(n).unwrap()]));
    }
    if rng.chance(50) {
        let _ = writeln!(
            text,
            "static_routes {{\n 192.0.2.0/24 via 10.9.0.77 dev eth0 mtu {}\n}}\nstatic_rules {{\n from 10.7.0.0/24 lookup {} priority 4000\n}}",
            1000 + rng.below(3),
            100 + rng.below(2)
        );
    }
    if rng.chance(30) {
        text.push_str("vrrp_track_file f {\n file \"track\"\n weight 0\n}\n");
    }
    // The first never changes but for its name, notify lines and things that do not concern the election.
    let name = ["FIRST", "ANOTHER_NAME"][rng.below(2) as usize];
    let _ = writeln!(
        text,
        "vrrp_instance {name} {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n version 3\n advert_int 0.2\n priority {priority}"
    );
    if rng.chance(40) {
        text.push_str(" garp_master_refresh 1\n");
    }
    if rng.chance(30) {
        text.push_str(" debug 0\n nopreempt\n");
    }
    text.push_str(" virtual_ipaddress {\n  10.9.0.100/24\n }\n}\n");
    held.insert(IpAddr::from([10, 9, 0, 100]));
    // The second keeps its identity and changes what it carries.
    let _ = writeln!(
        text,
        "vrrp_instance SECOND {{\n state BACKUP\n interface eth0\n virtual_router_id 52\n version 3\n advert_int 0.2\n priority {priority}\n virtual_ipaddress {{"
    );
    for host in 1..6_u8 {
        if host == 1 || rng.chance(50) {
            let _ = writeln!(text, "  10.9.1.{host}/24");
            held.insert(IpAddr::from([10, 9, 1, host]));
        }
    }
    text.push_str(" }\n");
    if rng.chance(60) {
        let _ = writeln!(
            text,
            " virtual_routes {{\n  198.51.100.0/24 via 10.9.0.77 dev eth0 metric {} mtu {}\n }}",
            10 + rng.below(2),
            // Never the same again: what is no longer used must be forgotten.
            1200 + n
        );
    }
    if rng.chance(60) {
        let _ = writeln!(
            text,
            " virtual_rules {{\n  from 10.9.1.1 lookup {} priority 5000\n }}",
            200 + rng.below(3)
        );
    }
    text.push_str("}\n");
    // Others come and go.
    for vrid in 60..60 + rng.below(4) {
        let _ = writeln!(
            text,
            "vrrp_instance PASSING_{vrid} {{\n state BACKUP\n interface eth0\n virtual_router_id {vrid}\n priority {}\n advert_int {}\n virtual_ipaddress {{\n  10.9.2.{vrid}/24\n }}\n}}",
            1 + rng.below(254),
            1 + rng.below(2)
        );
    }
    (text, held)
}

struct Router {
    node: Node,
    daemon: Process,
    reloads: usize,
}

impl Router {
    fn start(node: Node, text: &str) -> Self {
        write(&node, text);
        let conf = node.dir().join("k.conf").display().to_string();
        let argv = [
            &ours(env!("CARGO_BIN_EXE_keepalived")),
            "-n",
            "-l",
            "-G",
            "-f",
            &conf,
        ];
        let daemon = node.spawn("log", &argv).unwrap();
        Self {
            node,
            daemon,
            reloads: 0,
        }
    }

    fn count(&self, line: &str) -> usize {
        self.daemon.output().matches(line).count()
    }

    fn reload(&mut self, text: &str) {
        write(&self.node, text);
        self.daemon.signal(Signal::SIGHUP).unwrap();
        self.reloads += 1;
        self.until("the reload", |r| r.count("Reload complete") == r.reloads);
    }

    fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !holds(self) {
            assert!(Instant::now() < end, "{what}\n{}", self.daemon.output());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Addresses of ours that are there.
    fn addresses(&self) -> BTreeSet<IpAddr> {
        let all = self.node.net(|net| net.addresses()).unwrap();
        let ours = |a: &IpAddr| match a {
            IpAddr::V4(a) => matches!(a.octets(), [10, 7, ..] | [10, 9, 1, _] | [10, 9, 0, 100]),
            IpAddr::V6(_) => false,
        };
        all.into_iter().map(|(_, a)| a).filter(ours).collect()
    }

    /// Private memory of the VRRP process in kB.
    fn memory(&self) -> u64 {
        let pid = self.daemon.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let child = children.split_whitespace().next().unwrap();
        let text = fs::read_to_string(format!("/proc/{child}/smaps_rollup")).unwrap();
        let line = text.lines().find(|l| l.starts_with("Pss_Anon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

fn write(node: &Node, text: &str) {
    let text = text.replace("\"track\"", &node.dir().join("track").display().to_string());
    fs::write(node.dir().join("new"), text).unwrap();
    fs::rename(node.dir().join("new"), node.dir().join("k.conf")).unwrap();
}

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

fn number(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn lab_a_thousand_reloads() {
    if !need::root("lab_a_thousand_reloads") {
        return;
    }
    let (total, seed) = (number("RELOADS", 1000), number("RELOAD_SEED", 1));
    let dir = scratch("reloads");
    let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let (a, b) = (Node::new("a", &dir).unwrap(), Node::new("b", &dir).unwrap());
    cable(&a, "eth0", &b, "eth0").unwrap();
    for (node, n) in [(&a, 1), (&b, 2)] {
        fs::write(node.dir().join("track"), "0\n").unwrap();
        node.net(move |net| net.address("eth0", IpAddr::from([10, 9, 0, n]), 24))
            .unwrap();
    }
    let mut monitor = a
        .spawn("monitor", &["ip", "-o", "monitor", "address"])
        .unwrap();
    let (text, held) = generate(&mut rng, 0, 200);
    let mut a = Router::start(a, &text);
    a.until("a becomes master", |r| r.addresses() == held);
    let mut b = Router::start(b, &generate(&mut rng, 0, 100).0);
    b.until("b starts", |r| r.count("Startup complete") == 1);

    let mut measured = vec![];
    for n in 1..=total {
        let (text, held) = generate(&mut rng, n, 200);
        a.reload(&text);
        a.until(&format!("seed {seed}, reload {n}: {held:?}\n{text}"), |r| {
            r.addresses() == held
        });
        if n % 5 == 0 {
            b.reload(&generate(&mut rng, n, 100).0);
        }
        if n == total / 5 || n == total {
            // Compared with the same configuration in force.
            let (text, held) = generate(&mut Rng(seed | 1), 0, 200);
            a.reload(&text);
            a.until("the first configuration again", |r| r.addresses() == held);
            measured.push(a.memory());
        }
    }
    let [warm, end] = measured[..] else {
        panic!("{measured:?}")
    };
    let grown = end.saturating_sub(warm);
    assert!(
        grown <= 192,
        "seed {seed}: {warm} kB have grown by {grown} kB"
    );

    let entering = |r: &Router, state: &str| {
        let names = ["FIRST", "ANOTHER_NAME", "SECOND"];
        names.map(|n| r.count(&format!("({n}) Entering {state} STATE\n")))
    };
    let [first, renamed, second] = entering(&a, "MASTER");
    assert_eq!(
        (first + renamed, second),
        (1, 1),
        "seed {seed}: {}",
        a.daemon.output()
    );
    assert_eq!(entering(&a, "BACKUP"), [0; 3], "seed {seed}");
    assert_eq!(
        entering(&b, "MASTER"),
        [0; 3],
        "seed {seed}: {}",
        b.daemon.output()
    );
    let seen = monitor.output();
    assert!(seen.contains("10.9.0.100/24") && seen.contains("Deleted"));
    let lost = |l: &&str| l.starts_with("Deleted") && l.contains("10.9.0.100/24");
    assert_eq!(seen.lines().find(lost), None, "seed {seed}");
    for router in [&mut a, &mut b] {
        assert!(router.daemon.stop().is_some_and(|s| s.success()));
    }
    assert!(a.addresses().is_empty());
    let _ = monitor.stop();
    let _ = fs::remove_dir_all(&dir);
}
