//! Rules in the kernel while a virtual router lives: those that keepalived 2.3.3 made from the same configuration
//! (testdata/nftables: recorded with `nft -n list ruleset`), nothing before, nothing after.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use conf_parsers::keepalived::model::global::NftTable;
use conf_parsers::keepalived::model::lvs::Protocol;
use keepalived_rs::check::group_marks::GroupMarks;
use testkit::link::cable;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};

/// An election takes 3 to 4 adverts of a second; the rest is for a busy machine.
const LIMIT: Duration = Duration::from_secs(25);

fn programs() -> Programs {
    Programs::of(env!("CARGO_BIN_EXE_keepalived"))
}

fn recorded(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/nftables");
    fs::read_to_string(path.join(file)).unwrap_or_default()
}

/// A router and a neighbour on one cable.
struct Lab {
    router: Node,
    peer: Node,
    daemon: Option<Process>,
}

impl Lab {
    fn new(name: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("firewall-{name}-{}", std::process::id()));
        let router = Node::new("r", &dir).unwrap();
        let peer = Node::new("p", &dir).unwrap();
        cable(&router, "eth0", &peer, "eth0").unwrap();
        for (node, number) in [(&router, 1_u8), (&peer, 2)] {
            node.net(move |net| {
                net.address("eth0", IpAddr::from([192, 0, 2, number]), 24)?;
                let v6: IpAddr = format!("2001:db8::{number}").parse().unwrap();
                net.address("eth0", v6, 64)
            })
            .unwrap();
        }
        // The link-local address of the recordings.
        for command in [
            "ip link set eth0 addrgenmode none",
            "ip -6 addr flush dev eth0 scope link",
            "ip addr add fe80::a/64 dev eth0 nodad",
        ] {
            let argv: Vec<&str> = command.split(' ').collect();
            router.check(&argv).unwrap();
        }
        Self {
            router,
            peer,
            daemon: None,
        }
    }

    fn configure(&self, conf: &str) {
        fs::write(self.router.dir().join("keepalived.conf"), conf).unwrap();
    }

    fn start(&mut self, programs: &Programs) {
        let conf = self.router.dir().join("keepalived.conf");
        let args = ["-n", "-l", "-D", "-G", "-f", conf.to_str().unwrap()];
        let argv = programs.argv(Make::Ours, "keepalived", &args);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.daemon = Some(self.router.spawn("keepalived.log", &argv).unwrap());
    }

    fn stop(&mut self) {
        let status = self.daemon.take().unwrap().stop().expect("it ends");
        assert!(status.success(), "{status}\n{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.router.dir().join("keepalived.log")).unwrap_or_default()
    }

    /// Counters count the traffic of the moment.
    fn rules(&self) -> String {
        let text = self
            .router
            .check(&["nft", "-n", "list", "ruleset"])
            .unwrap();
        without_counts(&text)
    }

    fn wait_for_rules(&self, what: &str, wanted: &str) {
        let wanted = without_counts(wanted);
        let end = Instant::now() + LIMIT;
        while self.rules() != wanted {
            assert!(
                Instant::now() < end,
                "{what}: expected\n{wanted}\nfound\n{}\n{}",
                self.rules(),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Whether the router answers a datagram to a closed port of the address; silence means that it was dropped.
    fn answers(&self, address: &str) -> bool {
        let to: IpAddr = address.parse().unwrap();
        let job = move || -> std::io::Result<bool> {
            let any: IpAddr = if to.is_ipv4() {
                [0, 0, 0, 0].into()
            } else {
                [0_u16; 8].into()
            };
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect((to, 9))?;
            socket.set_read_timeout(Some(Duration::from_millis(400)))?;
            for _ in 0..3 {
                socket.send(b"?")?;
                match socket.recv(&mut [0; 16]) {
                    Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(true),
                    _ => {}
                }
            }
            Ok(false)
        };
        self.peer.call(job).unwrap().unwrap()
    }

    /// Whether the peer has learnt the link-layer address: ARP and neighbour discovery go through.
    fn is_neighbour(&self, address: &str) -> bool {
        let shown = self.peer.check(&["ip", "neigh", "show", address]).unwrap();
        shown.contains("lladdr")
    }
}

fn without_counts(text: &str) -> String {
    let mut out = String::new();
    let mut count = false;
    for line in text.lines() {
        for (n, word) in line.split(' ').enumerate() {
            if n > 0 {
                out.push(' ');
            }
            out.push_str(if count { "N" } else { word });
            count = matches!(word, "packets" | "bytes");
        }
        out.push('\n');
    }
    out
}

/// One life: start, master, stop.
fn live(number: &str, programs: &Programs) {
    let mut lab = Lab::new(number);
    lab.configure(&recorded(&format!("{number}.conf")));
    lab.start(programs);
    let backup = recorded(&format!("{number}.backup.txt"));
    if !backup.is_empty() {
        lab.wait_for_rules("backup", &backup);
    }
    lab.wait_for_rules("master", &recorded(&format!("{number}.master.txt")));
    lab.stop();
    assert_eq!(lab.rules(), "", "{number}: something is left");
    let conf = recorded(&format!("{number}.conf"));
    let blocks = conf.contains("no_accept") || conf.contains("vrrp_strict");
    for line in ["setting firewall drop rule", "removing firewall drop rule"] {
        assert_eq!(lab.log().contains(line), blocks, "{}", lab.log());
    }
}

#[test]
fn lab_rules_are_the_originals() {
    if !need::root("lab_rules_are_the_originals") {
        return;
    }
    let programs = programs();
    std::thread::scope(|scope| {
        for number in [
            "501", "502", "503", "504", "505", "506", "507", "508", "509", "510", "513",
        ] {
            scope.spawn(|| live(number, &programs));
        }
    });
}

#[test]
fn lab_a_reload_changes_the_elements() {
    if !need::root("lab_a_reload_changes_the_elements") {
        return;
    }
    let mut lab = Lab::new("reload");
    lab.configure(&recorded("511.conf"));
    lab.start(&programs());
    lab.wait_for_rules("master", &recorded("511.master.txt"));
    lab.configure(&recorded("511.reloaded.conf"));
    lab.daemon
        .as_ref()
        .unwrap()
        .signal(nix::sys::signal::Signal::SIGHUP)
        .unwrap();
    lab.wait_for_rules("reloaded", &recorded("511.reloaded.txt"));
    lab.stop();
    assert_eq!(lab.rules(), "");
}

#[test]
fn lab_packets_are_dropped_and_neighbours_answered() {
    if !need::root("lab_packets_are_dropped_and_neighbours_answered") {
        return;
    }
    let mut lab = Lab::new("drop");
    // Somebody's table by our name, and one that is none of our business.
    lab.router
        .check(&[
            "nft",
            "add table ip keepalived; add chain ip keepalived stale",
        ])
        .unwrap();
    lab.router
        .check(&["nft", "add table inet mine; add chain inet mine c"])
        .unwrap();
    let mine = lab.router.check(&["nft", "list table inet mine"]).unwrap();
    lab.configure(&recorded("513.conf"));
    lab.start(&programs());
    let wanted = format!("{mine}{}", recorded("513.master.txt"));
    lab.wait_for_rules("master", &wanted);
    assert!(lab.log().contains("Deleting old ip keepalived table"));
    for (vip, own) in [
        ("192.0.2.100", "192.0.2.1"),
        ("2001:db8::120", "2001:db8::1"),
    ] {
        assert!(lab.answers(own), "{own} does not answer");
        assert!(!lab.answers(vip), "{vip} answers");
        assert!(lab.is_neighbour(vip), "{vip} is not found");
    }
    // An operator reloads the firewall of the machine: what we add or remove next puts things right.
    lab.router.check(&["nft", "flush ruleset"]).unwrap();
    let conf = recorded("513.conf").replace("192.0.2.100/24", "192.0.2.110/24");
    lab.configure(&conf);
    lab.daemon
        .as_ref()
        .unwrap()
        .signal(nix::sys::signal::Signal::SIGHUP)
        .unwrap();
    let wanted = recorded("513.master.txt").replace("192.0.2.100", "192.0.2.110");
    lab.wait_for_rules("after a flush", &wanted);
    lab.stop();
    assert_eq!(lab.rules(), "");
}

/// The map of `nftables_ipvs`; the machine needs no IPVS for it.
#[test]
fn lab_groups_have_marks() {
    if !need::root("lab_groups_have_marks") {
        return;
    }
    let lab = Lab::new("marks");
    let marks = lab.router.call(|| {
        let range = |first: &str, last: &str| (first.parse().unwrap(), last.parse().unwrap());
        let table = NftTable {
            name: "lbs".to_owned(),
            priority: -10,
        };
        let mut marks = GroupMarks::new(&table, 2000, false);
        let all = [
            range("10.81.0.110:8080", "10.81.0.112:8080"),
            range("10.81.0.120:8081", "10.81.0.120:8081"),
        ];
        let given = [
            marks.set("G", Protocol::Tcp, &all),
            marks.set("G", Protocol::Udp, &all[..1]),
            marks.set("G", Protocol::Tcp, &all[..1]),
        ];
        // The tables live on without the sender.
        std::mem::forget(marks);
        given
    });
    assert_eq!(marks.unwrap(), [2000, 2001, 2000]);
    assert_eq!(
        lab.rules(),
        "table ip lbs {\n\
         \tmap tcp_map {\n\
         \t\ttype ipv4_addr . inet_service : mark\n\
         \t\tflags interval\n\
         \t\telements = { 10.81.0.110-10.81.0.112 . 8080 : 0x000007d0 }\n\
         \t}\n\n\
         \tmap udp_map {\n\
         \t\ttype ipv4_addr . inet_service : mark\n\
         \t\tflags interval\n\
         \t\telements = { 10.81.0.110-10.81.0.112 . 8080 : 0x000007d1 }\n\
         \t}\n\n\
         \tchain in {\n\
         \t\ttype filter hook input priority -10; policy accept;\n\
         \t\tmeta mark set ip daddr . tcp dport map @tcp_map return\n\
         \t\tmeta mark set ip daddr . udp dport map @udp_map return\n\
         \t}\n\
         }\n"
    );
}

/// Many routers that take over together: one transaction for all of them, and one when they let go.
#[test]
fn lab_many_instances_share_transactions() {
    if !need::root("lab_many_instances_share_transactions") {
        return;
    }
    let mut lab = Lab::new("many");
    let mut conf = "global_defs {\n router_id a\n}\n".to_owned();
    for vrid in 1..=40 {
        conf += &format!(
            "vrrp_instance VI_{vrid} {{\n state BACKUP\n interface eth0\n version 3\n virtual_router_id {vrid}\n priority 150\n advert_int 0.3\n no_accept\n virtual_ipaddress {{\n 192.0.2.{}/24\n }}\n}}\n",
            100 + vrid
        );
    }
    conf += "vrrp_sync_group G {\n group {\n";
    for vrid in 1..=40 {
        conf += &format!(" VI_{vrid}\n");
    }
    conf += " }\n}\n";
    lab.configure(&conf);
    let monitor = lab
        .router
        .spawn("monitor.log", &["nft", "monitor"])
        .unwrap();
    lab.start(&programs());
    let end = Instant::now() + LIMIT;
    while !lab.rules().contains("192.0.2.140") {
        assert!(Instant::now() < end, "{}", lab.log());
        std::thread::sleep(Duration::from_millis(30));
    }
    lab.stop();
    assert_eq!(lab.rules(), "");
    drop(monitor);
    let told = fs::read_to_string(lab.router.dir().join("monitor.log")).unwrap();
    let created = told.matches("create element").count();
    let transactions = told.matches("# new generation").count();
    assert_eq!(created, 40, "{told}");
    assert!(transactions < 20, "{transactions} transactions\n{told}");
}
