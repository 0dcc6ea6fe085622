//! The objects and notifications of 2.3.3 and ours, asked for by net-snmp's tools through its master agent: the same walk, the same
//! answers to sets, the same notifications. What differs on purpose is listed here, and in COMPAT.md.
#![cfg(feature = "snmp")]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

mod snmp;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::need;
use testkit::node::Node;
use testkit::sut::{Make, Programs};

use snmp::{Agents, difference, tool};

const LIMIT: Duration = Duration::from_secs(40);

/// Objects whose values are of the moment: link-layer addresses, times since the start.
const MASKED: &[&str] = &[
    ".1.3.6.1.2.1.68.1.3.1.2.",
    ".1.3.6.1.2.1.68.1.3.1.13.",
    ".1.3.6.1.2.1.207.1.1.1.1.5.",
    ".1.3.6.1.2.1.207.1.1.1.1.12.",
    // 2.3.3 says true for addresses of the first instance only.
    ".1.3.6.1.4.1.9586.100.5.2.6.1.11.",
];

/// Objects that 2.3.3 does not show: mail addresses, and all rows of RFC 2787's tables but the first (mended in 2.4).
const OURS_ALONE: &[&str] = &[".1.3.6.1.4.1.9586.100.5.1.3.5."];

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "global_defs {{\n router_id r\n notification_email {{\n a@b\n }}\n notification_email_from me@x\n smtp_server 10.9.0.2 26\n\
         smtp_connect_timeout 20\n enable_snmp_vrrp\n enable_snmp_rfc\n enable_traps\n snmp_socket unix:{dir}/master\n\
         vrrp_garp_master_delay 0\n script_user root\n}}\n\
         static_ipaddress {{\n 10.7.0.1/32 dev eth0\n}}\n\
         static_routes {{\n 192.0.3.0/24 via 10.9.0.78 dev eth0 metric 7\n}}\n\
         track_file tf {{\n file {dir}/tf\n weight 2\n init_file 1 overwrite\n}}\n\
         vrrp_track_process pr {{\n process nosuch a b\n quorum 1\n weight 3\n}}\n\
         vrrp_sync_group G {{\n group {{\n B\n C\n }}\n track_interface {{\n eth0 weight 3\n }}\n}}\n\
         vrrp_instance A {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n version 2\n priority 100\n advert_int 1\n nopreempt\n\
         authentication {{\n auth_type PASS\n auth_pass abcd\n }}\n\
         virtual_ipaddress {{\n 10.9.0.100/24 label eth0:1\n 10.9.0.99/24 brd 10.9.0.255\n 10.8.0.1 peer 10.8.0.2\n }}\n\
         virtual_ipaddress_excluded {{\n fd00::5/64\n }}\n\
         virtual_routes {{\n 192.0.2.0/24 via 10.9.0.77 dev eth0 metric 5\n\
         192.0.4.0/24 nexthop via 10.9.0.77 dev eth0 weight 2 nexthop via 10.9.0.78 dev eth0 onlink\n\
         blackhole 192.0.5.0/24 mtu lock 1400\n }}\n\
         virtual_rules {{\n from 10.9.0.100 lookup 100 priority 5000\n to 10.9.1.0/24 fwmark 3/7 blackhole priority 5001\n }}\n\
         track_file {{\n tf weight 1\n }}\n track_process {{\n pr weight 4\n }}\n track_interface {{\n eth0 weight 2\n }}\n}}\n\
         vrrp_instance B {{\n interface eth0\n virtual_router_id 52\n version 3\n advert_int 0.5\n priority 100\n\
         virtual_ipaddress {{\n 10.9.0.110/24\n }}\n}}\n\
         vrrp_instance C {{\n interface eth0\n virtual_router_id 53\n version 3\n priority 101\n\
         virtual_ipaddress {{\n fe80::53/64\n fd01::3/64\n }}\n}}\n"
    )
}

/// What was seen of one of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    walk: Vec<String>,
    sets: Vec<String>,
    traps: Vec<String>,
}

fn play(make: Make, programs: &Programs, dir: &Path) -> Seen {
    let dir = dir.join(format!("{make:?}"));
    let node = Node::new("s", &dir).unwrap();
    let peer = Node::new("t", &dir).unwrap();
    if make == Make::Original {
        programs.enter_original(&node, &dir).unwrap();
    }
    cable(&node, "eth0", &peer, "eth0").unwrap();
    node.net(|net| {
        net.up("lo")?;
        net.address("eth0", IpAddr::from([10, 9, 0, 1]), 24)
    })
    .unwrap();
    let own = node.dir().to_owned();
    let file = |name: &str| own.join(name).display().to_string();
    fs::write(file("k.conf"), configuration(&own)).unwrap();
    let end = Instant::now() + LIMIT;
    let agents = Agents::start(&node, end);
    let argv = programs.argv(
        make,
        "keepalived",
        &["-n", "-l", "-D", "-f", &file("k.conf")],
    );
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut daemon = node.spawn("log", &argv).unwrap();
    for name in ["A", "B", "C"] {
        let line = format!("({name}) Entering MASTER STATE");
        while !daemon.output().contains(&line) {
            assert!(Instant::now() < end, "{line}\n{}", daemon.output());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let object = |column: &str| format!(".1.3.6.1.4.1.9586.100.5.2.3.1.{column}");
    // The last thing of a takeover.
    for instance in ["9.1", "9.2", "9.3"] {
        while !tool(&node, "snmpget", &[&object(instance)]).contains("INTEGER: 1") {
            assert!(Instant::now() < end, "{instance}: {}", daemon.output());
        }
    }
    // Ours answers from what it gathered up to half a second ago.
    std::thread::sleep(Duration::from_millis(600));
    let mut seen = Seen::default();
    for subtree in [
        ".1.3.6.1.4.1.9586.100.5",
        ".1.3.6.1.2.1.68",
        ".1.3.6.1.2.1.207",
    ] {
        let text = tool(&node, "snmpwalk", &[subtree]).replace(&file(""), "DIR/");
        seen.walk.extend(text.lines().map(str::to_owned));
    }
    for (column, value) in [
        ("7.1", "120"),
        ("13.1", "1"),
        ("27.2", "1"),
        ("28.1", "1"),
        ("7.1", "0"),
        ("13.1", "3"),
        ("7.9", "5"),
    ] {
        let text = tool(&node, "snmpset", &[&object(column), "i", value]);
        seen.sets.extend(text.lines().map(str::to_owned));
    }
    for column in ["7.1", "8.1", "13.1", "7.9", "99.1"] {
        let text = tool(&node, "snmpget", &[&object(column)]);
        seen.sets.extend(text.lines().map(str::to_owned));
    }
    daemon.stop();
    let own = [".9586.100.5.", ".68.0.", ".207.0."];
    let traps = agents.traps(&node, Instant::now() + LIMIT, &own);
    seen.traps = traps.iter().map(|l| without_link_local(l)).collect();
    seen.traps.sort();
    agents.stop();
    seen
}

/// Link-local addresses come from random link-layer addresses.
fn without_link_local(line: &str) -> String {
    match line.split_once(" FE 80 ") {
        Some((before, after)) if after.contains(" FF FE ") => {
            let rest = after.get(14 * 3..).unwrap_or("");
            format!("{before} LINK-LOCAL {rest}")
        }
        _ => line.to_owned(),
    }
}

fn comparable(walk: &[String]) -> Vec<String> {
    let shown = walk
        .iter()
        .filter(|l| !OURS_ALONE.iter().any(|o| l.starts_with(o)));
    shown
        .map(|l| match MASKED.iter().find(|m| l.starts_with(**m)) {
            Some(_) => l
                .split_once(" = ")
                .map_or(l.clone(), |(name, _)| format!("{name} = …")),
            None => without_link_local(l),
        })
        .collect()
}

#[test]
fn ref_a_walk_shows_the_same() {
    const TEST: &str = "ref_a_walk_shows_the_same";
    let Some(root) = need::originals(TEST).filter(|_| need::root(TEST)) else {
        return;
    };
    if !snmp::installed(TEST) {
        return;
    }
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived")).with_originals(&root);
    let dir =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("snmp-{}", std::process::id()));
    let [theirs, ours] = std::thread::scope(|scope| {
        [Make::Original, Make::Ours]
            .map(|make| {
                let (programs, dir) = (&programs, &dir);
                scope.spawn(move || play(make, programs, dir))
            })
            .map(|t| t.join().unwrap())
    });
    assert!(theirs.walk.len() > 300, "{theirs:?}");
    for (theirs, ours) in [
        (comparable(&theirs.walk), comparable(&ours.walk)),
        (theirs.sets, ours.sets),
        (theirs.traps, ours.traps),
    ] {
        let different = difference(&theirs, &ours);
        assert!(theirs == ours, "{different}");
    }
    let _ = fs::remove_dir_all(&dir);
}
