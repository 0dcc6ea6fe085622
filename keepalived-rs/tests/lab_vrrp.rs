//! Two routers on one link, in namespaces: ours with ours, ours with the original, both ways round.
//!
//! Each case plays one life: the weaker router starts and becomes master, the stronger one takes over, stops in an
//! orderly way (the weaker takes over at once), returns, and crashes (the weaker takes over after the timer).
//! The cases are those that are written down and the matrix of versions, families, ways of sending, VMACs and authentication.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};

/// Elections take 3 to 4 adverts; the rest is for a busy machine.
const LIMIT: Duration = Duration::from_secs(25);

#[derive(Clone)]
struct Case<S = String> {
    name: S,
    /// Lines of the instance besides interface, VRID and priority; `OWN` and `PEER` are the routers' numbers.
    lines: S,
    vip: &'static str,
    life: Life,
}

/// What the stronger router does that finds the weaker one at work.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Takes over, at once or after a while.
    Preempts,
    /// Leaves it at that.
    Yields,
    /// Takes over all instances of its group together, on either link.
    Group,
    /// Takes over, and lets go when it is stopped.
    Short,
    /// Is the owner of the address: takes over, and lets go when it is stopped.
    Owner,
    /// Takes over unless something that it tracks is wrong: an interface, a script, a file, a BFD session.
    Tracks,
}

/// Versions 2 and 3, both families, multicast and unicast, with and without a VMAC, and each authentication that goes with it.
fn matrix() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in [2, 3] {
        for family in [4, 6] {
            for unicast in [false, true] {
                for vmac in [false, true] {
                    let all = ["none", "PASS", "AH"];
                    // Version 3 has none, nor has IPv6.
                    let some = if (version, family) == (2, 4) { 3 } else { 1 };
                    for auth in all.iter().take(some) {
                        cases.push(case_of(version, family, unicast, vmac, auth));
                    }
                }
            }
        }
    }
    cases
}

fn case_of(version: u8, family: u8, unicast: bool, vmac: bool, auth: &str) -> Case {
    let way = if unicast { "unicast" } else { "multicast" };
    let link = if vmac { "vmac" } else { "plain" };
    let name = format!("matrix-v{version}-ipv{family}-{way}-{link}-{auth}");
    let interval = if version == 2 { "1" } else { "0.2" };
    let mut lines = format!("version {version}\nadvert_int {interval}\n");
    let (net, vip) = if family == 4 {
        ("10.9.0.", "10.9.0.100")
    } else {
        ("2001:db8::", "2001:db8::100")
    };
    if unicast {
        lines += &format!("unicast_src_ip {net}OWN\nunicast_peer {{\n {net}PEER\n}}\n");
    }
    if vmac {
        lines += "use_vmac\nvmac_xmit_base\n";
    }
    if auth != "none" {
        lines += &format!("authentication {{\n auth_type {auth}\n auth_pass s3cret\n}}\n");
    }
    lines += &if family == 4 {
        format!("virtual_ipaddress {{\n {vip}/24\n}}")
    } else {
        format!("native_ipv6\nvirtual_ipaddress {{\n fe80::64/64\n {vip}/64\n}}")
    };
    Case {
        name,
        lines,
        vip,
        life: Life::Short,
    }
}

const CASES: &[Case<&'static str>] = &[
    Case {
        name: "v2-ipv4-pass",
        lines: "version 2\nadvert_int 1\nauthentication {\n auth_type PASS\n auth_pass s3cret\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n 10.9.0.101\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v2-ipv4-none",
        lines: "version 2\nadvert_int 1\nvirtual_ipaddress {\n 10.9.0.100/24 label eth0:1\n}\nvirtual_ipaddress_excluded {\n 10.9.0.200/32\n}",
        vip: "10.9.0.200",
        life: Life::Preempts,
    },
    Case {
        name: "v3-ipv4",
        lines: "version 3\nadvert_int 0.2\nvirtual_ipaddress {\n 10.9.0.100/24\n}\nvirtual_routes {\n src 10.9.0.100 to 192.0.2.0/24 via 10.9.0.77 dev eth0\n}\nvirtual_rules {\n from 10.9.0.100 lookup 100 priority 5000\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v3-ipv6",
        lines: "version 3\nnative_ipv6\nadvert_int 0.2\nvirtual_ipaddress {\n fe80::64/64\n 2001:db8::100/64\n}",
        vip: "2001:db8::100",
        life: Life::Preempts,
    },
    Case {
        name: "v2-ipv4-ah",
        lines: "version 2\nadvert_int 1\nauthentication {\n auth_type AH\n auth_pass s3cret\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v2-ipv4-unicast-ah",
        lines: "version 2\nadvert_int 1\nauthentication {\n auth_type AH\n auth_pass s3cret\n}\nunicast_src_ip 10.9.0.OWN\nunicast_peer {\n 10.9.0.PEER\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v2-ipv4-unicast-pass",
        lines: "version 2\nadvert_int 1\nunicast_ttl 64\nauthentication {\n auth_type PASS\n auth_pass s3cret\n}\nunicast_src_ip 10.9.0.OWN\nunicast_peer {\n 10.9.0.PEER\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v2-ipv6",
        lines: "version 2\nnative_ipv6\nadvert_int 1\nvirtual_ipaddress {\n fe80::64/64\n 2001:db8::100/64\n}",
        vip: "2001:db8::100",
        life: Life::Preempts,
    },
    Case {
        name: "v3-ipv4-unicast",
        lines: "version 3\nadvert_int 0.2\ncheck_unicast_src\nunicast_src_ip 10.9.0.OWN\nunicast_peer {\n 10.9.0.PEER\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v3-ipv4-unicast-old-checksum",
        lines: "version 3\nadvert_int 0.2\nold_unicast_checksum\nunicast_src_ip 10.9.0.OWN\nunicast_peer {\n 10.9.0.PEER\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v3-ipv6-unicast",
        lines: "version 3\nadvert_int 0.2\nunicast_ttl 64\nunicast_src_ip 2001:db8::OWN\nunicast_peer {\n 2001:db8::PEER min_ttl 60 max_ttl 255\n}\nvirtual_ipaddress {\n 2001:db8::100/64\n}",
        vip: "2001:db8::100",
        life: Life::Preempts,
    },
    Case {
        name: "v3-checksum-as-v2",
        lines: "version 3\nadvert_int 0.2\nv3_checksum_as_v2\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v3-delay",
        lines: "version 3\nadvert_int 0.2\npreempt_delay 1\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v3-nopreempt",
        lines: "version 3\nadvert_int 0.2\nnopreempt\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Yields,
    },
    Case {
        name: "v3-group",
        lines: "version 3\nadvert_int 0.2\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Group,
    },
    Case {
        name: "v2-group-pass",
        lines: "version 2\nadvert_int 1\nauthentication {\n auth_type PASS\n auth_pass s3cret\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Group,
    },
    Case {
        name: "v3-group-unicast",
        lines: "version 3\nadvert_int 0.2\nunicast_src_ip 10.9.0.OWN\nunicast_peer {\n 10.9.0.PEER\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Group,
    },
    Case {
        name: "v2-delay",
        lines: "version 2\nadvert_int 1\npreempt_delay 1\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v2-nopreempt",
        lines: "version 2\nadvert_int 1\nnopreempt\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Yields,
    },
    Case {
        name: "v3-ipv6-unicast-nopreempt",
        lines: "version 3\nadvert_int 0.2\nnopreempt\nunicast_src_ip 2001:db8::OWN\nunicast_peer {\n 2001:db8::PEER\n}\nvirtual_ipaddress {\n 2001:db8::100/64\n}",
        vip: "2001:db8::100",
        life: Life::Yields,
    },
    // Both want to be master.
    Case {
        name: "v2-masters",
        lines: "version 2\nstate MASTER\nadvert_int 1\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Short,
    },
    Case {
        name: "v3-masters",
        lines: "version 3\nstate MASTER\nadvert_int 0.2\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Short,
    },
    Case {
        name: "v2-owner",
        lines: "version 2\nstate MASTER\nadvert_int 1\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Owner,
    },
    Case {
        name: "v3-owner",
        lines: "version 3\nstate MASTER\nadvert_int 0.2\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Owner,
    },
    Case {
        name: "v3-tracks",
        lines: "version 3\nadvert_int 0.2\nTRACKS\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Tracks,
    },
];

/// What the original does not know (it is older).
const SIGNED: &[Case<&'static str>] = &[
    Case {
        name: "v2-signed",
        lines: "version 2\nadvert_int 1\nauth_hmac {\n key 1 0123456789abcdefghijklmnopqrstuv\n key 7 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n active_key 1\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    // Each signs with another key.
    Case {
        name: "v3-signed-monotonic",
        lines: "version 3\nadvert_int 0.2\nauth_hmac {\n key 1 0123456789abcdefghijklmnopqrstuv\n key 7 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n active_key OWN\n key 2 abcdefghijklmnopqrstuvwxyz012345\n anti_replay monotonic\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        life: Life::Preempts,
    },
    Case {
        name: "v3-ipv6-unicast-signed",
        lines: "version 3\nadvert_int 0.2\nauth_hmac {\n key 1 0123456789abcdefghijklmnopqrstuv\n key 7 hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n active_key 7\n time_window 2\n}\nunicast_src_ip 2001:db8::OWN\nunicast_peer {\n 2001:db8::PEER\n}\nvirtual_ipaddress {\n 2001:db8::100/64\n}",
        vip: "2001:db8::100",
        life: Life::Preempts,
    },
];

struct Router<'a> {
    node: Node,
    make: Make,
    programs: &'a Programs,
    daemon: Option<Process>,
}

impl Router<'_> {
    fn start(&mut self) {
        let conf = self
            .node
            .dir()
            .join("keepalived.conf")
            .display()
            .to_string();
        let argv = self.programs.argv(
            self.make,
            "keepalived",
            &["-n", "-l", "-D", "-G", "-f", &conf],
        );
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.daemon = Some(self.node.spawn("keepalived.log", &argv).unwrap());
    }

    fn stop(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        let status = daemon.stop().expect("it ends within ten seconds");
        assert!(
            status.success(),
            "{:?} ended with {status}\n{}",
            self.make,
            self.log()
        );
    }

    fn crash(&mut self) {
        self.daemon.take().expect("it runs").crash();
    }

    fn has(&self, vip: &str) -> bool {
        let vip: IpAddr = vip.parse().unwrap();
        self.node
            .net(|net| net.addresses())
            .unwrap()
            .iter()
            .any(|(_, a)| *a == vip)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.node.dir().join("keepalived.log")).unwrap_or_default()
    }
}

/// What the stronger router tracks; any of them is enough to make it the weaker one.
const TRACKED: &str = "track_interface {\n eth1 weight -60\n}\ntrack_script {\n S weight -60\n}\n\
    track_file {\n F weight 1\n}\ntrack_bfd {\n BFD1 weight -60\n}\n";

fn programs() -> Programs {
    Programs::of(env!("CARGO_BIN_EXE_keepalived"))
}

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()))
}

fn router<'a>(
    name: &str,
    number: u8,
    make: Make,
    case: &Case,
    dir: &Path,
    programs: &'a Programs,
) -> Router<'a> {
    let node = Node::new(name, dir).unwrap();
    let priority = match (number, case.life) {
        (1, Life::Owner) => 255,
        (1, _) => 150,
        _ => 100,
    };
    let tracks = case.life == Life::Tracks && number == 1;
    let lines = case
        .lines
        .replace("TRACKS", if tracks { TRACKED } else { "" })
        .replace("OWN", &number.to_string())
        .replace("PEER", &(3 - number).to_string());
    let mut tracked = String::new();
    if case.life == Life::Tracks {
        tracked += &format!(
            "bfd_instance BFD1 {{\n source_ip 10.9.0.{number}\n neighbor_ip 10.9.0.{}\n min_rx 50\n min_tx 50\n multiplier 3\n}}\n",
            3 - number
        );
    }
    if tracks {
        let dir = node.dir().display();
        tracked += &format!(
            "vrrp_script S {{\n script \"/usr/bin/test ! -e {dir}/bad\"\n user root\n interval 1\n rise 1\n fall 1\n}}\n\
             track_file F {{\n file {dir}/number\n}}\n"
        );
        fs::write(node.dir().join("number"), "0\n").unwrap();
    }
    let mut conf = format!(
        "global_defs {{\n router_id {name}\n}}\n{tracked}vrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n{lines}\n}}\n"
    );
    if case.life == Life::Group {
        let second = lines.replace("10.9.0.100", "10.9.0.101");
        conf += &format!(
            "vrrp_instance VI_2 {{\n state BACKUP\n interface eth0\n virtual_router_id 52\n priority {priority}\n\
             track_interface {{\n eth1\n}}\n{second}\n}}\nvrrp_sync_group G {{\n group {{\n VI_1\n VI_2\n }}\n}}\n"
        );
    }
    fs::write(node.dir().join("keepalived.conf"), conf).unwrap();
    if make == Make::Original {
        programs.enter_original(&node, dir).unwrap();
    }
    Router {
        node,
        make,
        programs,
        daemon: None,
    }
}

fn wait(what: &str, routers: [&Router<'_>; 2], vip: &str, expect: [bool; 2]) {
    let end = Instant::now() + LIMIT;
    loop {
        let holds = routers.map(|r| r.has(vip));
        if holds == expect {
            return;
        }
        assert!(
            Instant::now() < end,
            "{what}: the address is held {holds:?}, expected {expect:?}\n--- a ({:?})\n{}\n--- b ({:?})\n{}",
            routers[0].make,
            routers[0].log(),
            routers[1].make,
            routers[1].log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn play(case: &Case, makes: [Make; 2], programs: &Programs) {
    let name = format!("{}-{:?}-{:?}", case.name, makes[0], makes[1]).to_lowercase();
    let dir = scratch(&name);
    let mut a = router("a", 1, makes[0], case, &dir, programs);
    let mut b = router("b", 2, makes[1], case, &dir, programs);
    let switch = Node::new("switch", &dir).unwrap();
    // Addresses of IPv6 are there at once.
    for node in [&a.node, &b.node] {
        node.sysctl("net.ipv6.conf.default.accept_dad", "0")
            .unwrap();
    }
    switch.net(|net| net.bridge("lan")).unwrap();
    for (port, router) in [("a", &a), ("b", &b)] {
        cable(&switch, port, &router.node, "eth0").unwrap();
        switch.net(move |net| net.enslave(port, "lan")).unwrap();
    }
    for (router, number) in [(&a, 1u8), (&b, 2u8)] {
        router
            .node
            .net(move |net| {
                net.address("eth0", IpAddr::from([10, 9, 0, number]), 24)?;
                net.address(
                    "eth0",
                    format!("2001:db8::{number}").parse::<IpAddr>().unwrap(),
                    64,
                )
            })
            .unwrap();
    }
    // Their own link-local addresses, not the kernel's: those are tentative again whenever a cable's other end comes up, and the
    // original stays in FAULT for ever if that is when it starts.
    for (router, number) in [(&a, 1u8), (&b, 2u8)] {
        let (own, node) = (format!("fe80::{number}/64"), &router.node);
        node.check(&["ip", "-6", "address", "add", &own, "dev", "eth0", "nodad"])
            .unwrap();
    }
    match case.life {
        Life::Group => return group(case.vip, [a, b], &switch),
        Life::Tracks => return tracks(case.vip, [a, b], &switch),
        Life::Preempts | Life::Yields | Life::Short | Life::Owner => {}
    }
    b.start();
    wait("b alone", [&a, &b], case.vip, [false, true]);
    a.start();
    if case.life == Life::Yields {
        return yields(case.vip, [a, b]);
    }
    wait("a preempts", [&a, &b], case.vip, [true, false]);
    a.stop();
    wait("a stopped", [&a, &b], case.vip, [false, true]);
    if matches!(case.life, Life::Short | Life::Owner) {
        b.stop();
        wait("b stopped", [&a, &b], case.vip, [false, false]);
        for router in [&a, &b] {
            let log = router.log();
            assert!(!log.contains("authentication"), "{log}");
            assert!(!log.contains("not implemented"), "{log}");
        }
        return;
    }
    a.start();
    wait("a is back", [&a, &b], case.vip, [true, false]);
    a.crash();
    // A crashed router keeps its addresses; a dead one is also silent.
    switch.net(|net| net.down("a")).unwrap();
    wait("a crashed", [&a, &b], case.vip, [true, true]);
    b.stop();
    wait("b stopped", [&a, &b], case.vip, [true, false]);
    for router in [&a, &b] {
        let log = router.log();
        assert!(!log.contains("authentication"), "{log}");
        assert!(!log.contains("not implemented"), "{log}");
    }
}

/// The stronger one has just started; it takes what the weaker one gives up, and gives it back no more.
fn yields(vip: &str, [mut a, mut b]: [Router<'_>; 2]) {
    let settled = |r: &Router<'_>| r.log().contains("master set to");
    let end = Instant::now() + LIMIT;
    while !settled(&a) {
        assert!(Instant::now() < end, "a hears nothing\n{}", a.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(1));
    wait("a yields", [&a, &b], vip, [false, true]);
    b.stop();
    wait("b stopped", [&a, &b], vip, [true, false]);
    b.start();
    wait("b is back", [&a, &b], vip, [true, false]);
    a.stop();
    wait("a stopped", [&a, &b], vip, [false, true]);
    b.stop();
}

/// Two instances of a group, the second of which needs another link.
fn group(vip: &str, [mut a, mut b]: [Router<'_>; 2], switch: &Node) {
    for (port, router) in [("a1", &a), ("b1", &b)] {
        cable(switch, port, &router.node, "eth1").unwrap();
    }
    let second = "10.9.0.101";
    b.start();
    wait("b alone", [&a, &b], second, [false, true]);
    a.start();
    wait("a preempts", [&a, &b], vip, [true, false]);
    wait("a preempts", [&a, &b], second, [true, false]);
    switch.net(|net| net.down("a1")).unwrap();
    wait("a lost its link", [&a, &b], vip, [false, true]);
    wait("a lost its link", [&a, &b], second, [false, true]);
    switch.net(|net| net.up("a1")).unwrap();
    wait("the link is back", [&a, &b], second, [true, false]);
    wait("the link is back", [&a, &b], vip, [true, false]);
    a.stop();
    wait("a stopped", [&a, &b], vip, [false, true]);
    b.stop();
}

/// What the stronger one tracks goes wrong, one after the other, and is put right again.
fn tracks(vip: &str, [mut a, mut b]: [Router<'_>; 2], switch: &Node) {
    cable(switch, "a1", &a.node, "eth1").unwrap();
    b.start();
    wait("b alone", [&a, &b], vip, [false, true]);
    a.start();
    wait("a preempts", [&a, &b], vip, [true, false]);
    let change = |wrong: bool, what: &str, a: &Router<'_>| match what {
        "interface" if wrong => switch.net(|net| net.down("a1")).unwrap(),
        "interface" => switch.net(|net| net.up("a1")).unwrap(),
        "script" if wrong => fs::write(a.node.dir().join("bad"), "").unwrap(),
        "script" => fs::remove_file(a.node.dir().join("bad")).unwrap(),
        "file" => {
            let value = if wrong { "-60\n" } else { "0\n" };
            fs::write(a.node.dir().join("number"), value).unwrap();
        }
        _ => {
            let line = if wrong {
                "add table ip cut; add chain ip cut in { type filter hook input priority 0; }; add rule ip cut in udp dport 3784 drop"
            } else {
                "delete table ip cut"
            };
            a.node.check(&["nft", line]).unwrap();
        }
    };
    for what in ["interface", "script", "file", "BFD"] {
        change(true, what, &a);
        wait(&format!("{what} is wrong"), [&a, &b], vip, [false, true]);
        change(false, what, &a);
        wait(&format!("{what} is right"), [&a, &b], vip, [true, false]);
    }
    a.stop();
    wait("a stopped", [&a, &b], vip, [false, true]);
    b.stop();
}

fn play_all(test: &str, makes: [Make; 2]) {
    if !need::root(test) {
        return;
    }
    let mut programs = programs();
    if makes.contains(&Make::Original) {
        let Some(root) = need::originals(test) else {
            return;
        };
        programs = programs.with_originals(&root);
    }
    let signed = if makes.contains(&Make::Original) {
        &[][..]
    } else {
        SIGNED
    };
    let written = CASES.iter().chain(signed).map(|case| Case {
        name: case.name.to_owned(),
        lines: case.lines.to_owned(),
        vip: case.vip,
        life: case.life,
    });
    let all: Vec<Case> = written.chain(matrix()).collect();
    std::thread::scope(|scope| {
        for case in &all {
            scope.spawn(|| play(case, makes, &programs));
        }
    });
}

#[test]
fn lab_ours_with_ours() {
    play_all("lab_ours_with_ours", [Make::Ours, Make::Ours]);
}

#[test]
fn ref_ours_above_the_original() {
    play_all("ref_ours_above_the_original", [Make::Ours, Make::Original]);
}

#[test]
fn ref_the_original_above_ours() {
    play_all("ref_the_original_above_ours", [Make::Original, Make::Ours]);
}
