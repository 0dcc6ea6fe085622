//! One life, played on the original and on ours in the same laboratory: start, master, backup, master again, a dead interface,
//! a reload, stop. The lines of each process must be the same in the same order; what differs on purpose is listed here.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::link::cable;
use testkit::log_lines;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};

const LIMIT: Duration = Duration::from_secs(25);

/// Beginnings of lines that one of them does not write, each with its reason.
const ON_PURPOSE: &[&str] = &[
    // Version, build and system are the program's own.
    "Starting Keepalived",
    "Running on Linux",
    "Stopped",
    "WARNING - keepalived was built for",
    "Command line:",
    "CPU usage",
    // What an earlier run may have left is asked for once, not twice, and refusals of a batch come after its lines.
    "Netlink: error",
    "  - removing",
    // They come and go when the kernel has tried them.
    "Assigned address fe80",
    "Deassigned address fe80",
];

fn first(priority: u8) -> String {
    format!(
        "global_defs {{\n router_id r\n vrrp_garp_master_delay 0\n vrrp_garp_master_repeat 1\n}}\n\
         vrrp_instance ONE {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n version 3\n advert_int 0.5\n priority {priority}\n\
         virtual_ipaddress {{\n 10.9.0.100/24\n 10.9.0.101/24\n }}\n\
         virtual_routes {{\n 192.0.2.0/24 via 10.9.0.77 dev eth0 metric 5\n }}\n\
         virtual_rules {{\n from 10.9.0.100 lookup 100 priority 5000\n }}\n}}\n"
    )
}

/// Another name, an address less, one more, another route; no rule.
const SECOND: &str = "global_defs {\n router_id r\n vrrp_garp_master_delay 0\n vrrp_garp_master_repeat 1\n}\n\
    static_ipaddress {\n 10.7.0.1/32 dev eth0\n}\n\
    vrrp_instance RENAMED {\n state BACKUP\n interface eth0\n virtual_router_id 51\n version 3\n advert_int 0.5\n priority 100\n\
    virtual_ipaddress {\n 10.9.0.100/24\n 10.9.0.102/24\n }\n\
    virtual_routes {\n 198.51.100.0/24 via 10.9.0.77 dev eth0 metric 5\n }\n}\n";

fn write(node: &Node, text: &str) {
    fs::write(node.dir().join("new"), text).unwrap();
    fs::rename(node.dir().join("new"), node.dir().join("k.conf")).unwrap();
}

fn spawn(node: &Node, make: Make, programs: &Programs) -> Process {
    let conf = node.dir().join("k.conf").display().to_string();
    let argv = programs.argv(make, "keepalived", &["-n", "-l", "-D", "-f", &conf]);
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    node.spawn("log", &argv).unwrap()
}

fn until(process: &Process, what: &str, count: usize) {
    let end = Instant::now() + LIMIT;
    while process.output().matches(what).count() < count {
        assert!(Instant::now() < end, "{what}\n{}", process.output());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The lines of one life, without time stamps, numbers of processes, descriptors and interfaces.
fn play(make: Make, programs: &Programs, dir: &Path) -> Vec<String> {
    let node = Node::new("x", &dir.join(format!("{make:?}"))).unwrap();
    let peer = Node::new("y", &dir.join(format!("{make:?}"))).unwrap();
    if make == Make::Original {
        programs.enter_original(&node, dir).unwrap();
    }
    cable(&node, "eth0", &peer, "eth0").unwrap();
    for (node, n) in [(&node, 1), (&peer, 2)] {
        node.net(move |net| net.address("eth0", IpAddr::from([10, 9, 0, n]), 24))
            .unwrap();
    }
    write(&node, &first(100));
    write(&peer, &first(200));
    let mut x = spawn(&node, make, programs);
    until(&x, "Sending gratuitous ARP on eth0 for 10.9.0.101", 1);
    let mut y = spawn(&peer, Make::Ours, programs);
    until(&x, "Entering BACKUP STATE\n", 1);
    let _ = y.stop();
    until(&x, "Sending gratuitous ARP on eth0 for 10.9.0.101", 2);
    // The line comes before the deed.
    let end = Instant::now() + LIMIT;
    let route = ["ip", "route", "show", "192.0.2.0/24"];
    while node.check(&route).unwrap().is_empty() {
        assert!(Instant::now() < end, "no route\n{}", x.output());
    }
    node.net(|net| net.down("eth0")).unwrap();
    until(&x, "Entering FAULT STATE", 1);
    node.net(|net| net.up("eth0")).unwrap();
    until(&x, "Sending gratuitous ARP on eth0 for 10.9.0.101", 3);
    write(&node, SECOND);
    x.signal(Signal::SIGHUP).unwrap();
    until(&x, "Sending gratuitous ARP on eth0 for 10.9.0.102", 1);
    until(&x, "Reload complete", 1);
    x.stop();
    let text = x.output();
    let text = text.replace(&node.dir().display().to_string(), "DIR");
    let lines = text.lines().map(log_lines::plain);
    lines
        .filter(|l| !ON_PURPOSE.iter().any(|p| l.starts_with(p)))
        .collect()
}

#[test]
fn ref_a_life_has_the_same_lines() {
    const TEST: &str = "ref_a_life_has_the_same_lines";
    let Some(root) = need::originals(TEST).filter(|_| need::root(TEST)) else {
        return;
    };
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived")).with_originals(&root);
    let dir =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("life-{}", std::process::id()));
    let [theirs, ours] = std::thread::scope(|scope| {
        [Make::Original, Make::Ours]
            .map(|make| {
                let (programs, dir) = (&programs, &dir);
                scope.spawn(move || play(make, programs, dir))
            })
            .map(|t| t.join().unwrap())
    });
    let split = |lines: &[String]| -> (Vec<String>, Vec<String>) {
        lines.iter().cloned().partition(|l| log_lines::of_parent(l))
    };
    let ((parent, child), (our_parent, our_child)) = (split(&theirs), split(&ours));
    for (theirs, ours) in [(parent, our_parent), (child, our_child)] {
        assert!(
            theirs == ours,
            "--- 2.3.3\n{}\n--- ours\n{}",
            theirs.join("\n"),
            ours.join("\n")
        );
    }
    let _ = fs::remove_dir_all(&dir);
}
