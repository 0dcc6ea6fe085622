//! How checks reach a server, and what starts and stops them: `ha_suspend`, `BFD_CHECK`, `bind_if`, `fwmark`, `connect_ip`,
//! `connect_port`, `bindto`, beside 2.3.3 in User Mode Linux: the same lines about each real server.
#![cfg(all(feature = "lvs", feature = "bfd"))]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};
use testkit::{need, uml};

const LIMIT: Duration = Duration::from_secs(120);
/// Last bytes of the servers that come, go and come again; the others stay away.
const CHANGING: [u8; 8] = [1, 2, 3, 5, 6, 7, 8, 9];

/// The last byte of a real server's address, words of its virtual server, its check.
fn servers() -> Vec<(u8, &'static str, &'static str)> {
    vec![
        (1, "ha_suspend\n", "TCP_CHECK {\n"),
        (
            2,
            "",
            "TCP_CHECK {\n connect_ip 127.0.2.2\n connect_port 7100\n bindto 127.0.3.2\n",
        ),
        (3, "", "TCP_CHECK {\n bind_if lo\n"),
        // Nothing of this machine is reached through a cable.
        (4, "", "TCP_CHECK {\n bind_if d0\n connect_timeout 1\n"),
        // Packets without the mark are prohibited.
        (5, "", "TCP_CHECK {\n fwmark 7\n"),
        (
            6,
            "",
            "TCP_CHECK {\n connect_ip 10.46.0.2\n connect_port 7000\n bind_if d0\n",
        ),
        (7, "", "BFD_CHECK {\n name B\n"),
        // A mark has no port, and direct routing can not change one; the checks go to those that are written.
        (8, "lb_kind DR\n", "TCP_CHECK {\n"),
        (9, "lb_kind DR\n", "TCP_CHECK {\n"),
    ]
}

fn configuration() -> String {
    let mut text = "global_defs {\n router_id r\n}\n\
        bfd_instance B {\n neighbor_ip 10.46.0.2\n source_ip 10.46.0.1\n min_rx 200\n min_tx 200\n}\n"
        .to_owned();
    for (at, words, check) in servers() {
        let more = if check.starts_with("TCP") {
            " retry 0\n delay_before_retry 1\n warmup 0\n"
        } else {
            ""
        };
        let name = match at {
            8 => "fwmark 8".to_owned(),
            _ => format!("10.99.0.{at} 80"),
        };
        let _ = write!(
            text,
            "virtual_server {name} {{\n delay_loop 1\n lb_algo rr\n lb_kind NAT\n protocol TCP\n {words}\
             real_server 127.0.1.{at} 7000 {{\n weight 1\n {check}{more} }}\n }}\n}}\n"
        );
    }
    text
}

const PEER: &str = "global_defs {\n router_id p\n}\n\
    bfd_instance B {\n neighbor_ip 10.46.0.1\n source_ip 10.46.0.2\n min_rx 200\n min_tx 200\n}\n";

/// The end of a life that is still to come.
struct Life<'a> {
    node: Node,
    peer: Node,
    make: Make,
    programs: &'a Programs,
}

impl Life<'_> {
    fn start(&self, node: &Node, conf: &str) -> Process {
        let file = node.dir().join("k.conf");
        fs::write(&file, conf).unwrap();
        let file = file.display().to_string();
        let argv = self
            .programs
            .argv(self.make, "keepalived", &["-n", "-l", "-D", "-f", &file]);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        node.spawn("log", &argv).unwrap()
    }

    fn listen(&self) -> Vec<TcpListener> {
        let open = |node: &Node, address: [u8; 4], port: u16| {
            let at = SocketAddr::from((Ipv4Addr::from(address), port));
            node.call(move || TcpListener::bind(at)).unwrap().unwrap()
        };
        vec![
            open(&self.node, [127, 0, 2, 2], 7100),
            open(&self.node, [127, 0, 1, 1], 7000),
            open(&self.node, [127, 0, 1, 3], 7000),
            open(&self.node, [127, 0, 1, 4], 7000),
            open(&self.node, [127, 0, 1, 5], 7000),
            open(&self.node, [127, 0, 1, 8], 7000),
            open(&self.node, [127, 0, 1, 9], 7000),
            open(&self.peer, [10, 46, 0, 2], 7000),
        ]
    }
}

fn until(process: &Process, what: &str, count: usize) {
    let end = Instant::now() + LIMIT;
    while process.output().matches(what).count() < count {
        assert!(
            Instant::now() < end,
            "not {count} x {what}\n{}",
            process.output()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn play(make: Make, programs: &Programs) -> String {
    let dir = PathBuf::from(format!("/tmp/ways{make:?}"));
    let [node, peer] = ["node", "peer"].map(|name| Node::new(name, &dir).unwrap());
    cable(&node, "d0", &peer, "d0").unwrap();
    for (n, host) in [(&node, 1), (&peer, 2)] {
        n.net(move |net| net.address("d0", Ipv4Addr::new(10, 46, 0, host).into(), 24))
            .unwrap();
        if make == Make::Original {
            programs.enter_original(n, &dir).unwrap();
        }
    }
    let ip = |words: &str| {
        let words: Vec<&str> = std::iter::once("ip").chain(words.split(' ')).collect();
        node.check(&words).unwrap()
    };
    // Before the table of what is local; the answer goes to another address.
    ip("rule add pref 100 lookup local");
    ip("rule add pref 50 to 127.0.1.5 fwmark 0/0xff prohibit");
    ip("rule del pref 0");
    ip("addr add 10.99.0.1/32 dev d0");
    let life = Life {
        node,
        peer,
        make,
        programs,
    };
    let mut peer = life.start(&life.peer, PEER);
    let listeners = life.listen();
    let unmarked = || TcpStream::connect((Ipv4Addr::new(127, 0, 1, 5), 7000)).is_err();
    assert!(life.node.call(unmarked).unwrap(), "the mark is needed");
    let daemon = life.start(&life.node, &configuration());
    let all = |what: &str, times: usize| {
        for at in CHANGING {
            until(&daemon, &format!("{what} [127.0.1.{at}]"), times);
        }
    };
    // Of BFD nothing is known at first.
    until(&daemon, "success.", CHANGING.len() - 1);
    until(&daemon, "Adding service [127.0.1.7]", 1);
    assert_eq!(
        listeners[0].accept().unwrap().1.ip(),
        Ipv4Addr::new(127, 0, 3, 2),
        "where the check comes from"
    );
    drop(listeners);
    peer.stop();
    all("Removing service", 1);
    until(&daemon, "Removing service [127.0.1.7]", 2);
    let listeners = life.listen();
    let mut peer = life.start(&life.peer, PEER);
    all("Adding service", 1);
    until(&daemon, "Adding service [127.0.1.7]", 2);
    // The virtual server's address goes elsewhere, and its server is not checked any more; then it comes back.
    let address = |verb: &str| {
        let words = ["ip", "addr", verb, "10.99.0.1/32", "dev", "d0"];
        life.node.check(&words).unwrap()
    };
    let count = |what: &str| daemon.output().matches(what).count();
    let (off, on) = (count("Suspending"), count("Activating"));
    address("del");
    until(&daemon, "Suspending", off + 1);
    address("add");
    until(&daemon, "Activating", on + 1);
    let mut daemon = daemon;
    daemon.stop();
    peer.stop();
    drop(listeners);
    daemon.output()
}

/// The lines about a server, in their order.
fn about(output: &str, at: u8) -> String {
    let (rs, vs) = (format!("127.0.1.{at}]"), format!("10.99.0.{at}]"));
    let lines = output.lines().map(|line| line.get(26..).unwrap_or(line));
    let lines = lines.filter(|line| line.contains(&rs) || line.contains(&vs));
    lines.collect::<Vec<&str>>().join("\n")
}

#[test]
fn uml_ref_ways_to_a_server() {
    const TEST: &str = "uml_ref_ways_to_a_server";
    let Some(root) = need::originals(TEST) else {
        return;
    };
    let modules = [uml::IPVS, uml::DEVICES].concat();
    if !uml::inside(TEST, &modules) {
        return;
    }
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived")).with_originals(&root);
    let [theirs, ours] = std::thread::scope(|scope| {
        let programs = &programs;
        [Make::Original, Make::Ours]
            .map(|make| scope.spawn(move || play(make, programs)))
            .map(|thread| thread.join().unwrap())
    });
    let mut different = String::new();
    for (at, _, check) in servers() {
        let (a, b) = (about(&theirs, at), about(&ours, at));
        assert!(a.contains("Removing service"), "{check}\n{a}\n{theirs}");
        assert_eq!(a.contains("Adding service"), CHANGING.contains(&at), "{a}");
        if a != b {
            let _ = write!(different, "=== {check}--- 2.3.3\n{a}\n--- ours\n{b}\n");
        }
    }
    assert!(different.is_empty(), "{different}");
}
