//! The objects and notifications of the checker process, 2.3.3's and ours, asked for by net-snmp's tools through its master agent, with
//! the kernel's load balancer (User Mode Linux): the same walk of both processes, the same answers to sets, the same notifications.
#![cfg(all(feature = "lvs", feature = "snmp"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

mod snmp;

use std::fs;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};
use testkit::{need, uml};

use snmp::{Agents, difference, tool};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: &str = ".1.3.6.1.4.1.9586.100.5";
/// Rates: of the last seconds.
const RATES: [(u32, std::ops::RangeInclusive<u32>); 6] = [
    (3, 32..=36),
    (3, 41..=50),
    (3, 74..=78),
    (4, 22..=26),
    (4, 30..=39),
    (4, 58..=62),
];

const CONFIGURATION: &str = r#"global_defs {
 router_id r
 enable_snmp_vrrp
 enable_snmp_checker
 enable_traps
 snmp_socket unix:DIR/master
 snmp_vs_stats_update_interval 0.01
 snmp_rs_stats_update_interval 0.02
 lvs_timeouts tcp 900 tcpfin 60 udp 120
 lvs_sync_daemon eth0 id 5 maxlen 900 port 8850 ttl 2 group 224.0.0.83
 lvs_flush_on_stop
 script_user root
 vrrp_garp_master_delay 0
}
vrrp_instance A {
 interface eth0
 virtual_router_id 51
 priority 100
 virtual_ipaddress {
 10.9.0.100/24
 }
}
virtual_server_group G {
 10.99.1.5-7 80
 fwmark 77 inet
 10.99.1.1 81
}
virtual_server_group S {
 fd00:99::5 80
}
virtual_server 10.99.0.1 80 {
 delay_loop 1
 lb_algo wrr
 lb_kind NAT
 protocol TCP
 persistence_timeout 60
 persistence_granularity 255.255.255.0
 virtualhost www.example
 alpha
 omega
 quorum 4
 hysteresis 1
 quorum_up "DIR/note up 'a b'"
 quorum_down "DIR/note down"
 snmp_name first
 retry 1
 delay_before_retry 0.1
 warmup 0
 connect_timeout 2.5
 ha_suspend
 sorry_server 127.0.0.9 7009
 real_server 127.0.0.1 7001 {
  weight 3
  notify_up "DIR/note 1 up"
  notify_down "DIR/note 1 down"
  uthreshold 90
  lthreshold 20
  virtualhost one.example
  snmp_name one
  inhibit_on_failure
  TCP_CHECK {
  }
 }
 real_server 127.0.0.2 7002 {
  weight 2
  delay_loop 0.5
  delay_before_retry 2
  warmup 0
  connect_timeout 1
  TCP_CHECK {
  }
 }
}
virtual_server 10.99.0.2 53 {
 lb_algo rr
 lb_kind NAT
 protocol UDP
 ops
 persistence_timeout 3000
 sorry_server 127.0.0.3 5399
 real_server 127.0.0.3 5300 {
  weight 1
 }
}
virtual_server fwmark 9 {
 lb_algo lc
 lb_kind TUN
 real_server 10.9.0.31 80 {
  weight 4
  lvs_method TUN type gue port 6080 remcsum
 }
 real_server 10.9.0.32 80 {
  weight 5
  lvs_method TUN type gre csum
 }
 real_server 10.9.0.33 80 {
  lvs_method NAT
 }
}
virtual_server group G {
 lb_algo sh
 lb_kind DR
 protocol TCP
 sh-port
 sh-fallback
 smtp_alert
 real_server 10.9.0.41 80 {
  weight 1
 }
 real_server 10.9.0.42 80 {
  weight 0
 }
}
virtual_server group S {
 delay_loop 1
 warmup 0
 lb_algo mh
 lb_kind NAT
 protocol TCP
 mh-port
 real_server fd00:9::51 80 {
  weight 1
  TCP_CHECK {
   alpha
   connect_timeout 1
   retry 0
  }
 }
}
virtual_server fd00:99::6 80 {
 lb_algo wlc
 lb_kind NAT
 protocol TCP
 persistence_timeout 30
 persistence_granularity 64
 inhibit_on_failure
 weight 6
 real_server fd00:9::61 80 {
 }
}
"#;

/// What was seen of one of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    walk: Vec<String>,
    sets: Vec<String>,
    traps: Vec<String>,
}

fn until(daemon: &Process, what: &str, count: usize) {
    let end = Instant::now() + LIMIT;
    while daemon.output().matches(what).count() < count {
        assert!(Instant::now() < end, "{what}\n{}", daemon.output());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server on the node that accepts connections.
fn server(node: &Node, at: &'static str) -> TcpListener {
    node.call(move || TcpListener::bind(at)).unwrap().unwrap()
}

fn play(make: Make, programs: &Programs, dir: &Path) -> Seen {
    let node = Node::new(&format!("s{make:?}"), dir).unwrap();
    let peer = Node::new(&format!("t{make:?}"), dir).unwrap();
    if make == Make::Original {
        programs.enter_original(&node, dir).unwrap();
    }
    cable(&node, "eth0", &peer, "eth0").unwrap();
    node.net(|net| {
        net.up("lo")?;
        net.address("eth0", IpAddr::from([10, 9, 0, 1]), 24)
    })
    .unwrap();
    for address in ["10.99.0.1/32", "10.99.0.2/32"] {
        node.check(&["ip", "address", "add", address, "dev", "lo"])
            .unwrap();
    }
    let file = |name: &str| node.dir().join(name).display().to_string();
    let own = node.dir().display().to_string();
    fs::write(file("k.conf"), CONFIGURATION.replace("DIR", &own)).unwrap();
    fs::write(file("note"), "#!/bin/sh\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(file("note"), mode).unwrap();
    let agents = Agents::start(&node, Instant::now() + LIMIT);
    let mut first = Some(server(&node, "127.0.0.1:7001"));
    let second = server(&node, "127.0.0.2:7002");
    let udp = node
        .call(|| UdpSocket::bind("127.0.0.3:5300"))
        .unwrap()
        .unwrap();
    let args = ["-n", "-l", "-D", "-f", &file("k.conf")];
    let argv = programs.argv(make, "keepalived", &args);
    let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut daemon = node.spawn("log", &argv).unwrap();
    until(&daemon, "Gained quorum 4+1=5 <= 5", 1);
    until(&daemon, "(A) Entering MASTER STATE", 1);
    // The last one to be seen is down from the start, and stays so.
    until(
        &daemon,
        "TCP_CHECK on service [fd00:9::51]:tcp:80 failed",
        1,
    );
    node.call(|| {
        let client = UdpSocket::bind("10.99.0.2:0").unwrap();
        client.send_to(b"hello", "10.99.0.2:53").unwrap();
    })
    .unwrap();
    let mut buffer = [0; 16];
    udp.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(udp.recv(&mut buffer).unwrap(), 5);
    // The packet is counted and, with `ops`, soon forgotten but for the template of its persistence, which outlives the test.
    let counted = |column: &str, wanted: &str| {
        let object = format!("{MIB}.3.4.1.{column}.2.2");
        let end = Instant::now() + LIMIT;
        while !tool(&node, "snmpget", &[&object])
            .trim_end()
            .ends_with(wanted)
        {
            assert!(Instant::now() < end, "{object} is not {wanted}");
        }
    };
    for (column, wanted) in [("14", ": 1"), ("15", ": 0"), ("16", ": 0"), ("17", ": 1")] {
        counted(column, wanted);
    }
    let mut seen = Seen::default();
    let walk = tool(&node, "snmpwalk", &[MIB]).replace(&own, "DIR");
    seen.walk.extend(walk.lines().map(masked));
    let below = format!("{MIB}.3.4.");
    let reals: Vec<String> = (seen.walk.iter().filter(|l| l.starts_with(&below)))
        .cloned()
        .collect();
    let bulk = tool(
        &node,
        "snmpbulkwalk",
        &["-Cr50", below.trim_end_matches('.')],
    );
    let bulk = bulk.replace(&own, "DIR");
    let bulk: Vec<String> = bulk.lines().map(masked).collect();
    assert!(bulk == reals, "{}", difference(&reals, &bulk));
    let weight = |row: &str| format!("{MIB}.3.4.1.7.{row}");
    for (object, kind, value) in [
        (weight("1.2"), "i", "7"),
        (weight("1.2"), "s", "x"),
        (weight("1.1"), "i", "3"),
        (weight("1.9"), "i", "3"),
        (weight("9.1"), "i", "3"),
        (weight("1.3"), "i", "0"),
        (format!("{MIB}.3.4.1.6.1.2"), "i", "1"),
        (format!("{MIB}.3.3.1.22.1"), "u", "1"),
    ] {
        let text = tool(&node, "snmpset", &[&object, kind, value]);
        seen.sets.extend(text.lines().map(str::to_owned));
    }
    for object in [
        "3.4.1.7.1.1",
        "3.4.1.7.1.2",
        "3.4.1.7.1.3",
        "3.3.1.23.1",
        "3.3.1.99.1",
        "3.3.1.11.9",
    ] {
        let text = tool(&node, "snmpget", &[&format!("{MIB}.{object}")]);
        seen.sets.extend(text.lines().map(str::to_owned));
    }
    let table = node.check(&["ipvsadm", "-Sn"]).unwrap();
    let lines = table.lines().filter(|l| l.contains("127.0.0."));
    seen.sets.extend(lines.map(|l| l.trim().to_owned()));
    // One goes and comes back.
    drop(first.take());
    until(&daemon, "Disabling service [127.0.0.1]:tcp:7001", 1);
    let back = server(&node, "127.0.0.1:7001");
    until(&daemon, "Enabling service [127.0.0.1]:tcp:7001", 2);
    daemon.stop();
    seen.traps = agents.traps(&node, Instant::now() + LIMIT, &[".5.3.5.0."]);
    // What happens to one virtual server has an order; whose check is faster has none.
    seen.traps
        .sort_by_key(|trap| virtual_server(trap).to_owned());
    agents.stop();
    drop((second, back));
    seen
}

/// The objects of a notification that say which virtual server it is about.
fn virtual_server(trap: &str) -> &str {
    let from = trap.find(".3.3.1.2 = ").unwrap_or(0);
    let to = trap.find(".3.3.1.8 = ").unwrap_or(trap.len());
    trap.get(from..to).unwrap_or("")
}

/// A line without what differs from moment to moment.
fn masked(line: &str) -> String {
    let Some((name, _)) = line.split_once(" = ") else {
        return line.to_owned();
    };
    let below = name.strip_prefix(MIB).unwrap_or("");
    let parts: Vec<u32> = below.split('.').filter_map(|p| p.parse().ok()).collect();
    let rate = match *parts.as_slice() {
        [3, table, 1, column, ..] => RATES
            .iter()
            .any(|(t, columns)| *t == table && columns.contains(&column)),
        // emailTable, and whether an address is advertised: see ref_snmp.rs.
        _ => false,
    };
    if rate {
        let kind = line.split_once(": ").map_or("", |l| l.0);
        return format!("{kind}: …");
    }
    line.to_owned()
}

#[test]
fn uml_ref_a_walk_of_the_checker_shows_the_same() {
    const TEST: &str = "uml_ref_a_walk_of_the_checker_shows_the_same";
    let Some(root) = need::originals(TEST) else {
        return;
    };
    if !snmp::installed(TEST) || !uml::inside(TEST, &[uml::IPVS, &["veth", "dummy"]].concat()) {
        return;
    }
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived")).with_originals(&root);
    let [theirs, ours] = std::thread::scope(|scope| {
        [Make::Original, Make::Ours]
            .map(|make| {
                let programs = &programs;
                scope.spawn(move || {
                    let dir = PathBuf::from(format!("/tmp/{make:?}"));
                    fs::create_dir_all(&dir).unwrap();
                    play(make, programs, &dir)
                })
            })
            .map(|t| t.join().unwrap())
    });
    assert!(theirs.walk.len() > 600, "{}", theirs.walk.len());
    let mut different = String::new();
    for (what, theirs, ours) in [
        ("walk", &theirs.walk, &ours.walk),
        ("sets", &theirs.sets, &ours.sets),
        ("traps", &theirs.traps, &ours.traps),
    ] {
        if theirs != ours {
            different.push_str(&format!("=== {what}\n{}\n", difference(theirs, ours)));
        }
    }
    assert!(different.is_empty(), "{different}");
    assert!(!ours.traps.is_empty());
}
