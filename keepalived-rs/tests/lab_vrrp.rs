//! Two routers on one link, in namespaces: ours with ours, ours with the original, both ways round.
//!
//! Each case plays one life: the weaker router starts and becomes master, the stronger one takes over, stops in an
//! orderly way (the weaker takes over at once), returns, and crashes (the weaker takes over after the timer).
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

struct Case {
    name: &'static str,
    /// Lines of the instance besides interface, VRID and priority; `OWN` and `PEER` are the routers' numbers.
    lines: &'static str,
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
}

const CASES: &[Case] = &[
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
];

/// What the original does not know (it is older).
const SIGNED: &[Case] = &[
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

fn programs() -> Programs {
    Programs::new(
        Path::new(env!("CARGO_BIN_EXE_keepalived"))
            .parent()
            .unwrap(),
    )
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
    let priority = if number == 1 { 150 } else { 100 };
    let lines = case
        .lines
        .replace("OWN", &number.to_string())
        .replace("PEER", &(3 - number).to_string());
    let mut conf = format!(
        "global_defs {{\n router_id {name}\n}}\nvrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n virtual_router_id 51\n priority {priority}\n{lines}\n}}\n"
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
    if case.life == Life::Group {
        return group(case.vip, [a, b], &switch);
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
    std::thread::scope(|scope| {
        for case in CASES.iter().chain(signed) {
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
