//! Virtual MACs: the interfaces, settings and log lines that 2.3.3 makes of the same configuration, through the same events; and
//! two routers with a host between them, which sees one router and one address whoever is master.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};

/// Elections take 3 to 4 adverts; the rest is for a busy machine.
const LIMIT: Duration = Duration::from_secs(25);

fn programs() -> Programs {
    Programs::of(env!("CARGO_BIN_EXE_keepalived"))
}

fn scratch(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let dir = dir.join(format!("vmac-{name}-{}", std::process::id()));
    // In a guest the number comes again.
    let _gone = fs::remove_dir_all(&dir);
    dir
}

/// Runs a command line without quotes.
fn sh(node: &Node, line: &str) -> String {
    let argv: Vec<&str> = line.split_whitespace().collect();
    node.check(&argv).unwrap_or_else(|e| panic!("{line}: {e}"))
}

fn until(what: &str, context: &dyn Fn() -> String, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "{what}\n{}", context());
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Router<'a> {
    node: Node,
    make: Make,
    programs: &'a Programs,
    daemon: Option<Process>,
}

impl<'a> Router<'a> {
    fn new(name: &str, dir: &Path, make: Make, programs: &'a Programs, conf: &str) -> Self {
        let node = Node::new(name, dir).unwrap();
        fs::write(node.dir().join("keepalived.conf"), conf).unwrap();
        if make == Make::Original {
            programs.enter_original(&node, dir).unwrap();
        }
        Self {
            node,
            make,
            programs,
            daemon: None,
        }
    }

    fn start(&mut self) {
        let conf = self.node.dir().join("keepalived.conf");
        let args = ["-n", "-l", "-D", "-G", "-f", conf.to_str().unwrap()];
        let argv = self.programs.argv(self.make, "keepalived", &args);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.daemon = Some(self.node.spawn("keepalived.log", &argv).unwrap());
    }

    fn stop(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        let status = daemon.stop().expect("it ends within ten seconds");
        assert!(status.success(), "{status}\n{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.node.dir().join("keepalived.log")).unwrap_or_default()
    }

    fn has(&self, address: &str) -> bool {
        let address: IpAddr = address.parse().unwrap();
        let all = self.node.net(|net| net.addresses()).unwrap();
        all.iter().any(|(_, a)| *a == address)
    }

    fn until_has(&self, address: &str, has: bool) {
        let what = format!("{:?}: {address} here: {has}", self.make);
        until(&what, &|| self.log(), || self.has(address) == has);
    }
}

/// Links, addresses and the settings that VMACs touch, one a line; without what differs from run to run.
fn look(node: &Node) -> String {
    const KEYS: [&str; 5] = [
        "arp_ignore",
        "arp_filter",
        "rp_filter",
        "accept_local",
        "promote_secondaries",
    ];
    let mut out = String::new();
    for line in sh(node, "ip -d link")
        .lines()
        .chain(sh(node, "ip addr").lines())
    {
        // The number in front, the queues behind, and the peer's number.
        let line = line.split_once(": ").map_or(line, |(number, rest)| {
            if number.parse::<u32>().is_ok() {
                rest
            } else {
                line
            }
        });
        let line = line.split(" numtxqueues ").next().unwrap();
        // How long an address has been tried.
        let line = line.replace(" tentative", "");
        let words = line.split_whitespace().filter(|w| !w.starts_with("usedbc"));
        let words: Vec<&str> = words
            .map(|w| if w.starts_with("eth0@if") { "eth0" } else { w })
            .collect();
        out += &words.join(" ");
        out.push('\n');
    }
    let settings = node.call(|| {
        let mut out = String::new();
        for (family, keys) in [
            ("ipv4", &KEYS[..]),
            ("ipv6", &["disable_ipv6", "addr_gen_mode"]),
        ] {
            let dir = format!("/proc/sys/net/{family}/conf");
            let entries = fs::read_dir(&dir).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
            names.sort();
            for name in names {
                let name = name.to_str().unwrap();
                for key in keys {
                    let value = fs::read_to_string(format!("{dir}/{name}/{key}")).unwrap();
                    out += &format!("{family}/conf/{name}/{key} {value}");
                }
            }
        }
        out
    });
    out += &settings.unwrap();
    out
}

/// Log lines from byte `from` on, sorted: both families do the same at the same time. Without time, the daemon's own numbers,
/// and what cannot agree: two programs under two names.
fn said(log: &str, from: usize) -> Vec<String> {
    const PASSING: [&str; 14] = [
        // The original's opinion of an older kernel.
        "WARNING - keepalived was built",
        "mnl_socket_recvfrom error",
        "Starting ",
        "Running on ",
        "Command line: ",
        "       ",
        "Opening file ",
        "Configuration file ",
        "VRRP sockpool: ",
        "Stopped",
        "CPU usage ",
        "Startup complete",
        // They come when the kernel has tried the address.
        "Assigned address fe80",
        // How often depends on when the kernel tells.
        "Sending ",
    ];
    let lines = log.get(from..).unwrap_or_default().lines();
    let texts = lines.filter_map(|l| l.split_once(" 20")?.1.split_once(": ").map(|(_, t)| t));
    let mut texts: Vec<String> = texts
        .filter(|t| !PASSING.iter().any(|p| t.starts_with(p)))
        .map(str::to_owned)
        .collect();
    texts.sort();
    // The original says the first of these twice when it comes to a list that it changes meanwhile.
    texts.dedup();
    texts
}

const PAIR: &str = "\
vrrp_instance V4 {
 interface eth0
 virtual_router_id 51
 version 3
 advert_int 0.2
 use_vmac
 virtual_ipaddress {
  192.0.2.100/24
  192.0.2.101
 }
 virtual_ipaddress_excluded {
  2001:db8::55/64 dev eth0 use_vmac
 }
}
vrrp_instance V6 {
 interface eth0
 virtual_router_id 52
 advert_int 0.2
 use_vmac six
 virtual_ipaddress {
  fe80::100/64
  2001:db8::101/64
 }
}
vrrp_instance BASE {
 interface eth0
 virtual_router_id 53
 version 3
 advert_int 0.2
 use_vmac base 02:11:22:33:44:55 group 7 netlink_notify_msg
 vmac_xmit_base
 virtual_ipaddress {
  192.0.2.103/24
 }
}
";

/// One router through its life: at each step what was said since the last one, and how the machine looks.
fn life(make: Make, programs: &Programs) -> Vec<(&'static str, Vec<String>, String)> {
    let dir = scratch(&format!("life-{make:?}").to_lowercase());
    let mut router = Router::new("r", &dir, make, programs, PAIR);
    let peer = Node::new("p", &dir).unwrap();
    let lay = |again: bool| {
        cable(&router.node, "eth0", &peer, "eth0").unwrap();
        for line in [
            "ip link set eth0 addrgenmode none",
            "ip link set eth0 address 02:00:00:00:00:0a",
            "ip addr add 192.0.2.1/24 dev eth0",
            "ip addr add fe80::a/64 dev eth0 nodad",
        ] {
            sh(&router.node, line);
        }
        sh(&router.node, "ip -6 addr flush dev eth0 scope link");
        sh(&router.node, "ip addr add fe80::a/64 dev eth0 nodad");
        if !again {
            sh(&router.node, "sysctl -q -w net.ipv4.conf.all.rp_filter=1");
            sh(&router.node, "sysctl -q -w net.ipv4.conf.eth0.arp_filter=0");
        }
    };
    lay(false);
    let all = [
        "192.0.2.100",
        "192.0.2.101",
        "192.0.2.103",
        "2001:db8::101",
        "2001:db8::55",
    ];
    let mut steps = Vec::new();
    let mut from = 0;
    let mut step = |router: &Router<'_>, name| {
        // The last lines of a step come after the last address.
        std::thread::sleep(Duration::from_millis(300));
        let log = router.log();
        steps.push((name, said(&log, from), look(&router.node)));
        from = log.len();
    };
    let held = |router: &Router<'_>, has| all.iter().for_each(|a| router.until_has(a, has));
    step(&router, "before");
    router.start();
    held(&router, true);
    step(&router, "master");
    sh(&router.node, "ip link set eth0 down");
    held(&router, false);
    step(&router, "base down");
    sh(&router.node, "ip link set eth0 up");
    sh(&router.node, "ip addr add fe80::a/64 dev eth0 nodad");
    held(&router, true);
    step(&router, "base up");
    sh(&router.node, "ip addr del fe80::a/64 dev eth0");
    router.until_has("fe80::ff:fe00:a", true);
    step(&router, "the base's address is gone");
    sh(&router.node, "ip addr add fe80::a/64 dev eth0 nodad");
    router.stop();
    step(&router, "after");
    steps
}

#[test]
fn ref_vmacs_are_made_kept_and_removed_as_by_the_original() {
    let test = "ref_vmacs_are_made_kept_and_removed_as_by_the_original";
    if !need::root(test) {
        return;
    }
    let Some(root) = need::originals(test) else {
        return;
    };
    let programs = programs().with_originals(&root);
    let both = std::thread::scope(|scope| {
        [Make::Ours, Make::Original]
            .map(|make| {
                scope.spawn({
                    let programs = &programs;
                    move || life(make, programs)
                })
            })
            .map(|t| t.join().unwrap())
    });
    let [ours, originals] = both;
    for ((name, said, look), (_, theirs, seen)) in ours.iter().zip(&originals) {
        assert_eq!(said, theirs, "{name}: log");
        // The original leaves alone an interface that the kernel has told nothing of since it started, and forgets what the
        // base had when the kernel tells of it again.
        let compared = |text: &str| {
            let odd = |l: &str| {
                l.starts_with("ipv4/conf/lo/rp_filter")
                    || *name == "after" && l.starts_with("ipv4/conf/eth0/arp_")
            };
            let lines = text.lines().filter(|l| !odd(l));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(compared(look), compared(seen), "{name}");
    }
    let [(_, _, before), .., (_, _, after)] = &ours[..] else {
        panic!("{ours:?}")
    };
    assert_eq!(before, after);
}

/// What happens to our own interfaces by other hands. 2.3.3 counts a VMAC that it has made again twice and then leaves the
/// settings of the base behind; here they are put back.
#[test]
fn lab_a_deleted_vmac_and_a_new_base() {
    if !need::root("lab_a_deleted_vmac_and_a_new_base") {
        return;
    }
    let programs = programs();
    let dir = scratch("again");
    let conf = format!("global_defs {{\n dynamic_interfaces\n}}\n{PAIR}");
    let mut router = Router::new("r", &dir, Make::Ours, &programs, &conf);
    let peer = Node::new("p", &dir).unwrap();
    let lay = |node: &Node| {
        cable(node, "eth0", &peer, "eth0").unwrap();
        for line in [
            "ip link set eth0 addrgenmode none",
            "ip -6 addr flush dev eth0 scope link",
            "ip link set eth0 address 02:00:00:00:00:0a",
            "ip addr add 192.0.2.1/24 dev eth0",
        ] {
            sh(node, line);
        }
    };
    lay(&router.node);
    let before = look(&router.node);
    router.start();
    router.until_has("192.0.2.100", true);
    router.until_has("2001:db8::101", true);
    for name in ["vrrp.51", "six"] {
        sh(&router.node, &format!("ip link del {name}"));
    }
    let log = |r: &Router<'_>| r.log();
    for name in ["vrrp.51", "six"] {
        let line = format!("Success creating VMAC interface {name}");
        until(&line, &|| log(&router), || {
            log(&router).matches(&line).count() == 2
        });
    }
    router.until_has("192.0.2.100", true);
    router.until_has("2001:db8::101", true);
    sh(&router.node, "ip link del eth0");
    router.until_has("192.0.2.100", false);
    lay(&router.node);
    router.until_has("192.0.2.100", true);
    router.until_has("192.0.2.103", true);
    router.until_has("2001:db8::101", true);
    router.stop();
    assert_eq!(look(&router.node), before, "{}", router.log());
}

struct Case {
    name: &'static str,
    lines: &'static str,
    vip: &'static str,
    mac: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "v2-ipv4",
        lines: "version 2\nadvert_int 1\nuse_vmac\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        mac: "00:00:5e:00:01:33",
    },
    Case {
        name: "v3-ipv4-base",
        lines: "version 3\nadvert_int 0.2\nuse_vmac\nvmac_xmit_base\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        mac: "00:00:5e:00:01:33",
    },
    Case {
        name: "v3-ipv6",
        lines: "advert_int 0.2\nuse_vmac\nvirtual_ipaddress {\n fe80::64/64\n 2001:db8::100/64\n}",
        vip: "2001:db8::100",
        mac: "00:00:5e:00:02:33",
    },
    Case {
        name: "v3-ipv4-unicast",
        lines: "version 3\nadvert_int 0.2\nuse_vmac\nunicast_peer {\n 10.9.0.PEER\n}\nvirtual_ipaddress {\n 10.9.0.100/24\n}",
        vip: "10.9.0.100",
        mac: "00:00:5e:00:01:33",
    },
    Case {
        name: "v3-ipv4-addr",
        lines: "version 3\nadvert_int 0.2\nuse_vmac_addr\nvirtual_ipaddress {\n 10.9.0.99/24\n 10.9.0.100/24 dev eth0 use_vmac\n}",
        vip: "10.9.0.100",
        mac: "00:00:5e:00:01:33",
    },
];

/// Whether somebody at the address tells that nobody listens.
fn answers(host: &Node, address: &str) -> bool {
    let place = SocketAddr::new(address.parse().unwrap(), 9);
    host.call(move || {
        let error = TcpStream::connect_timeout(&place, Duration::from_millis(500)).err();
        error.is_some_and(|e| e.kind() == ErrorKind::ConnectionRefused)
    })
    .unwrap()
}

/// Two routers and a host on one switch. The host knows the virtual address by its link-layer address alone; that holds whoever
/// is master.
fn takeover(case: &Case, makes: [Make; 2], programs: &Programs) {
    let name = format!("{}-{:?}-{:?}", case.name, makes[0], makes[1]).to_lowercase();
    let dir = scratch(&name);
    let switch = Node::new("switch", &dir).unwrap();
    switch.net(|net| net.bridge("lan")).unwrap();
    let host = Node::new("host", &dir).unwrap();
    cable(&switch, "h", &host, "eth0").unwrap();
    switch.net(|net| net.enslave("h", "lan")).unwrap();
    let addresses = |node: &Node, number: u8| {
        node.net(move |net| {
            net.address("eth0", IpAddr::from([10, 9, 0, number]), 24)?;
            let v6: IpAddr = format!("2001:db8::{number}").parse().unwrap();
            net.address("eth0", v6, 64)
        })
        .unwrap();
    };
    addresses(&host, 9);
    let mut routers = [(1_u8, 150, makes[0]), (2, 100, makes[1])].map(|(number, priority, make)| {
        let lines = case.lines.replace("PEER", &(3 - number).to_string());
        let conf = format!(
            "vrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n priority {priority}\n{lines}\n}}\n"
        );
        let router = Router::new(&format!("r{number}"), &dir, make, programs, &conf);
        let port = if number == 1 { "r1" } else { "r2" };
        cable(&switch, port, &router.node, "eth0").unwrap();
        switch.net(move |net| net.enslave(port, "lan")).unwrap();
        addresses(&router.node, number);
        router
    });
    // What the routers ask with is none of the host's business: a question of theirs would teach it their own addresses.
    let link = sh(&host, "ip -o link show eth0");
    let mut words = link.split_whitespace().skip_while(|w| *w != "link/ether");
    let mac = words.nth(1).unwrap();
    for router in &routers {
        for address in ["10.9.0.9", "2001:db8::9"] {
            let known = format!("ip neigh replace {address} lladdr {mac} dev eth0 nud permanent");
            sh(&router.node, &known);
        }
    }
    let reachable = |what: &str, routers: &[Router<'_>; 2]| {
        let context = || {
            let logs = routers.iter().map(Router::log).collect::<Vec<_>>();
            format!(
                "{name}\n{}\n{}",
                logs.join("\n---\n"),
                sh(&host, "ip neigh")
            )
        };
        until(what, &context, || answers(&host, case.vip));
        let known = sh(&host, &format!("ip neigh show {}", case.vip));
        assert!(known.contains(case.mac), "{what}: {known}\n{}", context());
    };
    routers[1].start();
    routers[1].until_has(case.vip, true);
    reachable("b alone", &routers);
    // From here on nobody can teach the host another one.
    let fixed = format!(
        "ip neigh replace {} lladdr {} dev eth0 nud permanent",
        case.vip, case.mac
    );
    sh(&host, &fixed);
    routers[0].start();
    routers[0].until_has(case.vip, true);
    routers[1].until_has(case.vip, false);
    reachable("a preempted", &routers);
    routers[0].stop();
    routers[1].until_has(case.vip, true);
    reachable("b took over", &routers);
    routers[1].stop();
}

fn takeovers(test: &str, makes: [Make; 2]) {
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
    std::thread::scope(|scope| {
        for case in CASES {
            scope.spawn(|| takeover(case, makes, &programs));
        }
    });
}

#[test]
fn lab_ours_takes_over_from_ours() {
    takeovers("lab_ours_takes_over_from_ours", [Make::Ours, Make::Ours]);
}

#[test]
fn ref_ours_takes_over_from_the_original() {
    let makes = [Make::Ours, Make::Original];
    takeovers("ref_ours_takes_over_from_the_original", makes);
}

#[test]
fn ref_the_original_takes_over_from_ours() {
    let makes = [Make::Original, Make::Ours];
    takeovers("ref_the_original_takes_over_from_ours", makes);
}

const VRF: &str = "\
vrrp_instance RED4 {
 interface eth0
 virtual_router_id 51
 version 3
 advert_int 0.3
 use_vmac
 virtual_ipaddress {
  192.0.2.100/24
 }
 virtual_routes {
  203.0.113.0/24 via 192.0.2.2 vrf red
 }
}
vrrp_instance RED6 {
 interface eth0
 virtual_router_id 52
 advert_int 0.3
 use_vmac six
 virtual_ipaddress {
  fe80::100/64
  2001:db8::101/64
 }
}
vrrp_instance BRIDGED {
 interface eth1
 virtual_router_id 53
 version 3
 advert_int 0.3
 use_ipvlan ipv 198.51.100.9/24 group 5
 virtual_ipaddress {
  198.51.100.100/24
 }
}
vrrp_instance UNICAST {
 vrf red
 virtual_router_id 54
 version 3
 advert_int 0.3
 unicast_src_ip 192.0.2.1
 unicast_peer {
  192.0.2.2
 }
 virtual_ipaddress {
  192.0.2.104/24 dev eth0
 }
}
";

/// As [`life`], with a VRF and an ipvlan.
fn vrf_life(make: Make, programs: &Programs) -> Vec<(&'static str, Vec<String>, String)> {
    let dir = scratch(&format!("vrf-{make:?}").to_lowercase());
    let mut router = Router::new("r", &dir, make, programs, VRF);
    let peer = Node::new("p", &dir).unwrap();
    sh(&router.node, "ip link add red type vrf table 100");
    sh(&router.node, "ip link set red address 02:00:00:00:00:0c up");
    for (name, mac, address, v6) in [
        ("eth0", "02:00:00:00:00:0a", "192.0.2.1/24", "fe80::a/64"),
        ("eth1", "02:00:00:00:00:0b", "198.51.100.1/24", "fe80::b/64"),
    ] {
        cable(&router.node, name, &peer, name).unwrap();
        for line in [
            format!("ip link set {name} addrgenmode none"),
            format!("ip -6 addr flush dev {name} scope link"),
            format!("ip link set {name} address {mac}"),
            format!("ip addr add {address} dev {name}"),
        ] {
            sh(&router.node, &line);
        }
        if name == "eth0" {
            sh(&router.node, "ip link set eth0 master red");
        }
        sh(&router.node, &format!("ip addr add {v6} dev {name} nodad"));
    }
    let mut steps = Vec::new();
    let mut from = 0;
    let mut step = |router: &Router<'_>, name| {
        std::thread::sleep(Duration::from_millis(700));
        let log = router.log();
        let mut all = look(&router.node);
        for table in ["100", "main"] {
            for line in sh(&router.node, &format!("ip route show table {table}")).lines() {
                all += &format!("{table}: {}\n", line.trim());
            }
        }
        steps.push((name, said(&log, from), all));
        from = log.len();
    };
    let held = |router: &Router<'_>| {
        // What the kernel takes away comes back after an election.
        std::thread::sleep(Duration::from_secs(1));
        for address in [
            "192.0.2.100",
            "2001:db8::101",
            "198.51.100.100",
            "192.0.2.104",
        ] {
            router.until_has(address, true);
        }
        until("the route", &|| router.log(), || {
            sh(&router.node, "ip route show table 100").contains("203.0.113.0/24")
        });
    };
    router.start();
    held(&router);
    step(&router, "master");
    // The original does not get the IPv6 addresses back that the kernel takes away from what changes its VRF.
    if make == Make::Ours {
        let slaves = |router: &Router<'_>| {
            let links = sh(&router.node, "ip -o -d link show type macvlan");
            links.matches("master red").count()
        };
        sh(&router.node, "ip link set eth0 nomaster");
        until("out of the VRF", &|| router.log(), || slaves(&router) == 0);
        held(&router);
        sh(&router.node, "ip link set eth0 master red");
        until("in again", &|| router.log(), || slaves(&router) == 2);
        held(&router);
    }
    router.stop();
    steps
}

#[test]
fn uml_vrfs_and_ipvlans_as_by_the_original() {
    let test = "uml_vrfs_and_ipvlans_as_by_the_original";
    let modules = [testkit::uml::DEVICES, &["nf_tables"]].concat();
    if !testkit::uml::inside(test, &modules) {
        return;
    }
    let mut programs = programs();
    let ours = vrf_life(Make::Ours, &programs);
    let (_, log, look) = &ours[0];
    for part in [
        "vrf_slave table 100",
        "ipvlan mode l2 bridge",
        "100: 203.0.113.0/24 via 192.0.2.2",
    ] {
        assert!(look.contains(part), "{part}\n{look}\n{log:?}");
    }
    let Some(root) = need::originals(test) else {
        return;
    };
    programs = programs.with_originals(&root);
    let originals = vrf_life(Make::Original, &programs);
    for ((name, said, look), (_, theirs, seen)) in ours.iter().zip(&originals) {
        let look: Vec<_> = look.lines().collect();
        let seen: Vec<_> = seen.lines().collect();
        assert_eq!(look, seen, "{name}");
        assert_eq!(said, theirs, "{name}: log");
    }
}
