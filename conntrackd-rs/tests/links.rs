//! Every kind of dedicated link under traffic, ours with ours and ours with the original, and what goes wrong with them.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use two_routers::{Daemon, Lab, shape, value, wait_for};

/// A kind of link as node `ours` configures it, on a port of its own so that many pairs share the cable.
struct Kind {
    name: &'static str,
    block: fn(ours: u8, port: u16) -> String,
}

const KINDS: [Kind; 7] = [
    Kind {
        name: "udp4",
        block: |ours, port| {
            let peer = 3 - ours;
            format!(
                "UDP {{\n IPv4_address 172.16.0.{ours}\n IPv4_Destination_Address 172.16.0.{peer}\n Port {port}\n \
                 Interface sync\n SndSocketBuffer 1249280\n RcvSocketBuffer 1249280\n Checksum off\n}}\n"
            )
        },
    },
    Kind {
        name: "udp6",
        block: |ours, port| {
            let peer = 3 - ours;
            format!(
                "UDP {{\n IPv6_address fd00::{ours}\n IPv6_Destination_Address fd00::{peer}\n Port {port}\n \
                 Interface sync\n Checksum on\n}}\n"
            )
        },
    },
    Kind {
        name: "udp6 link-local",
        block: |ours, port| {
            let peer = 3 - ours;
            format!(
                "UDP {{\n IPv6_address fe80::{ours}\n IPv6_Destination_Address fe80::{peer}\n Port {port}\n \
                 Interface sync\n Checksum on\n}}\n"
            )
        },
    },
    Kind {
        name: "multicast4",
        block: |ours, port| {
            format!(
                "Multicast {{\n IPv4_address 225.0.0.50\n Group {port}\n IPv4_interface 172.16.0.{ours}\n \
                 Interface sync\n Checksum on\n}}\n"
            )
        },
    },
    Kind {
        name: "multicast6",
        block: |_, port| {
            format!(
                "Multicast {{\n IPv6_address ff02::50\n Group {port}\n Interface sync\n Checksum on\n}}\n"
            )
        },
    },
    Kind {
        name: "tcp4",
        block: |ours, port| {
            let peer = 3 - ours;
            format!(
                "TCP {{\n IPv4_address 172.16.0.{ours}\n IPv4_Destination_Address 172.16.0.{peer}\n Port {port}\n \
                 Interface sync\n SndSocketBuffer 1249280\n RcvSocketBuffer 1249280\n Checksum on\n}}\n"
            )
        },
    },
    Kind {
        name: "tcp6",
        block: |ours, port| {
            let peer = 3 - ours;
            format!(
                "TCP {{\n IPv6_address fd00::{ours}\n IPv6_Destination_Address fd00::{peer}\n Port {port}\n \
                 Interface sync\n Checksum on\n}}\n"
            )
        },
    },
];

fn ftfw(links: &str) -> String {
    format!(" Mode FTFW {{\n }}\n {links}")
}

/// All kinds at once, each pair of daemons on a port of its own; what the makes of the two ends are tells `makes`.
fn every_kind(test: &str, root: Option<&Path>, makes: [bool; 2]) {
    let lab = Lab::build(test, root);
    let make = |original: bool| if original { root } else { None };
    let kinds: Vec<&Kind> = KINDS
        .iter()
        // The original has no scope for it.
        .filter(|kind| kind.name != "udp6 link-local" || makes == [false; 2])
        .collect();
    let pairs: Vec<_> = kinds
        .iter()
        .zip(3800_u16..)
        .map(|(kind, port)| {
            let start = |node, ours: u8, original| {
                let sync = ftfw(&(kind.block)(ours, port));
                let name = format!("{}{ours}", kind.name.replace(' ', "-"));
                Daemon::spawn(node, &name, make(original), &sync, "Userspace")
            };
            (
                kind,
                start(&lab.r1, 1, makes[0]),
                start(&lab.r2, 2, makes[1]),
            )
        })
        .collect();
    for (_, one, two) in &pairs {
        one.wait_started();
        two.wait_started();
    }
    let open = lab.traffic();
    for (kind, one, two) in &pairs {
        one.wait_flows(&["-i"], 2);
        two.wait_flows(&["-e"], 2);
        wait_for(&format!("the established state by {}", kind.name), || {
            two.ask(&["-e"]).contains("ESTABLISHED")
        });
    }
    drop(open);
    for (kind, one, two) in &pairs {
        // FIN and all: the state at the other end follows.
        wait_for(&format!("the end by {}", kind.name), || {
            !two.ask(&["-e"]).contains("ESTABLISHED")
        });
        for daemon in [one, two] {
            let network = daemon.ask(&["-s", "network"]);
            assert_eq!(
                value(&network, "recv:", "Malformed messages:"),
                0,
                "{}: {network}",
                kind.name
            );
            assert_eq!(
                value(&network, "recv:", "Packets lost:"),
                0,
                "{}: {network}",
                kind.name
            );
        }
        // A bulk in the other direction needs the way back as well.
        two.ask(&["-n"]);
        wait_for(&format!("the request by {}", kind.name), || {
            let log = one.process.output();
            log.contains("resync requested by other node")
        });
    }
}

#[test]
fn lab_every_kind_of_link_replicates() {
    let test = "lab_every_kind_of_link_replicates";
    if testkit::need::root(test) {
        every_kind("kinds", None, [false, false]);
    }
}

#[test]
fn ref_every_kind_of_link_replicates_with_the_original() {
    let test = "ref_every_kind_of_link_replicates_with_the_original";
    if !testkit::need::root(test) {
        return;
    }
    let Some(root) = testkit::need::originals(test) else {
        return;
    };
    every_kind("kinds-to", Some(&root), [false, true]);
    every_kind("kinds-from", Some(&root), [true, false]);
}

fn tcp(ours: u8, net: u8, device: &str, port: u16, head: &str) -> String {
    let peer = 3 - ours;
    format!(
        "TCP {head} {{\n IPv4_address 172.16.{net}.{ours}\n IPv4_Destination_Address 172.16.{net}.{peer}\n \
         Port {port}\n Interface {device}\n}}\n"
    )
}

/// Datagrams from the host, each a flow of its own.
fn flows(lab: &Lab, ports: std::ops::Range<u16>) {
    lab.host
        .call(move || {
            for port in ports {
                let udp = UdpSocket::bind(("10.1.0.2", port)).expect("a socket");
                udp.send_to(b"x", "10.1.0.1:9002").expect("it is sent");
            }
        })
        .expect("a node");
}

#[test]
fn lab_tcp_comes_back_after_a_restart_and_what_waited_leaves_first() {
    let test = "lab_tcp_comes_back_after_a_restart_and_what_waited_leaves_first";
    if !testkit::need::root(test) {
        return;
    }
    let lab = Lab::build("tcp-restart", None);
    let sync = |ours| ftfw(&(tcp(ours, 0, "sync", 3780, "") + " Options {\n }\n"));
    let one = Daemon::start_sync(&lab.r1, "one", None, &sync(1), "Userspace");
    // Nobody there: what is sent waits, and each refusal is an error.
    flows(&lab, 20_000..20_010);
    wait_for("a queue of what could not be sent", || {
        let queue = one.ask(&["-s", "queue"]);
        value(&queue, "queue errorq:", "current elements:") > 0
    });
    assert!(
        one.ask(&["-s"])
            .contains("TCP traffic (active device=sync) server=disconnected client=disconnected:")
    );
    let mut two = Daemon::start_sync(&lab.r2, "two", None, &sync(2), "Userspace");
    two.wait_flows(&["-e"], 10);
    let queue = one.ask(&["-s", "queue"]);
    assert_eq!(value(&queue, "queue errorq:", "current elements:"), 0);
    wait_for("both connections", || {
        one.ask(&["-s"])
            .contains("TCP traffic (active device=sync) server=connected client=connected:")
    });

    // The peer crashes and comes back empty.
    two.process.crash();
    wait_for("the loss of the peer", || {
        one.ask(&["-s"]).contains("server=disconnected")
    });
    flows(&lab, 20_100..20_110);
    let two = Daemon::start_sync(&lab.r2, "two-again", None, &sync(2), "Userspace");
    two.ask(&["-n"]);
    two.wait_flows(&["-e"], 20);
}

#[test]
fn lab_tcp_closes_what_makes_no_sense_and_goes_on() {
    let test = "lab_tcp_closes_what_makes_no_sense_and_goes_on";
    if !testkit::need::root(test) {
        return;
    }
    let lab = Lab::build("tcp-junk", None);
    let sync = |ours| ftfw(&tcp(ours, 0, "sync", 3780, ""));
    let one = Daemon::start_sync(&lab.r1, "one", None, &sync(1), "Userspace");
    let errors = || {
        let links = one.ask(&["-s", "link"]);
        let last = links.lines().rfind(|line| line.contains("Error recv"));
        let words: Vec<&str> = last.unwrap_or_default().split_whitespace().collect();
        words.get(3).and_then(|n| n.parse::<u64>().ok())
    };
    let connect = || {
        lab.r2
            .call(|| {
                let stream = TcpStream::connect("172.16.0.1:3780").expect("a connection");
                stream
                    .set_read_timeout(Some(Duration::from_secs(10)))
                    .expect("an option");
                stream
            })
            .expect("a node")
    };
    let closed = |mut stream: &TcpStream| {
        // Nothing is ever sent there: the end, or a reset, is what can come.
        !matches!(stream.read(&mut [0; 1]), Ok(1..))
    };
    let before = errors();
    for junk in [
        &b"GET / HTTP/1.0\r\n\r\n"[..],
        // An ALIVE, then one of another version.
        &[0x1a, 0x10, 0, 8, 0, 0, 0, 1, 0x3a, 0x10, 0, 8, 0, 0, 0, 2],
        // A length that can not be.
        &[0x1a, 0x10, 0, 0, 0, 0, 0, 1],
    ] {
        let stream = connect();
        (&stream).write_all(junk).expect("data");
        assert!(closed(&stream), "{junk:?}");
    }
    assert_eq!(errors(), before.map(|n| n + 3));
    let network = one.ask(&["-s", "network"]);
    // The first one's "length" is longer than what came.
    assert_eq!(value(&network, "recv:", "Wrong protocol version:"), 1);
    assert_eq!(value(&network, "recv:", "Bad message size:"), 1);

    // A half message, and then another connection: that counts, the old one and its half do not.
    let half = connect();
    (&half).write_all(&[0x10, 0, 0, 60, 0]).expect("data");
    let whole = connect();
    assert!(closed(&half));
    // Byte by byte.
    for byte in [0x1a, 0x10, 0, 8, 0, 0, 0, 9, 0x1a, 0x10, 0] {
        (&whole).write_all(&[byte]).expect("data");
    }
    let malformed = value(&network, "recv:", "Malformed messages:");
    wait_for("the message in pieces", || {
        one.ask(&["-s"]).contains("server=connected")
    });
    drop(whole);
    wait_for("the end of the connection", || {
        one.ask(&["-s"]).contains("server=disconnected")
    });
    let network = one.ask(&["-s", "network"]);
    assert_eq!(
        value(&network, "recv:", "Malformed messages:"),
        malformed,
        "{network}"
    );

    // The real peer.
    let two = Daemon::start_sync(&lab.r2, "two", None, &sync(2), "Userspace");
    flows(&lab, 20_000..20_100);
    two.wait_flows(&["-e"], 100);
}

#[test]
fn lab_tcp_waits_for_a_peer_that_does_not_read() {
    let test = "lab_tcp_waits_for_a_peer_that_does_not_read";
    if !testkit::need::root(test) {
        return;
    }
    let lab = Lab::build("tcp-slow", None);
    let small = |ours, port| {
        let block = tcp(ours, 0, "sync", port, "");
        ftfw(&block.replace(
            " Interface",
            " SndSocketBuffer 4096\n RcvSocketBuffer 4096\n Interface",
        ))
    };
    // A peer that accepts and never reads.
    let listener = lab
        .r2
        .call(|| TcpListener::bind("172.16.0.2:3780"))
        .expect("a node")
        .expect("a listener");
    let one = Daemon::start_sync(&lab.r1, "one", None, &small(1, 3780), "Userspace");
    let (held, _) = listener.accept().expect("a connection");
    flows(&lab, 20_000..24_000);
    one.wait_flows(&["-i"], 4_000);
    wait_for("a full connection", || {
        let queue = one.ask(&["-s", "queue"]);
        value(&queue, "queue txqueue:", "current elements:") > 500
    });
    // It answers as ever meanwhile, and nothing was dropped.
    let queue = one.ask(&["-s", "queue"]);
    assert_eq!(
        value(&queue, "queue errorq:", "not enough space errors:"),
        0
    );
    drop((held, listener));
    // A child that another test has just started may hold it until it is its own program.
    wait_for("a free port", || {
        let listeners = lab.r2.check(&["ss", "-Hltn"]).expect("a list");
        !listeners.contains(":3780 ")
    });
    let two = Daemon::start_sync(&lab.r2, "two", None, &small(2, 3780), "Userspace");
    two.ask(&["-n"]);
    two.wait_flows(&["-e"], 4_000);
}

/// Every kind over two cables, the first of which is pulled in the middle of traffic.
#[test]
fn lab_the_second_link_takes_over_in_the_middle_of_traffic() {
    let test = "lab_the_second_link_takes_over_in_the_middle_of_traffic";
    if !testkit::need::root(test) {
        return;
    }
    let lab = Lab::build("second", None);
    let udp6 = |ours: u8, net: u8, device: &str, head: &str| {
        let peer = 3 - ours;
        format!(
            "UDP {head} {{\n IPv6_address fd00:0:0:{net}::{ours}\n IPv6_Destination_Address fd00:0:0:{net}::{peer}\n \
             Port 3781\n Interface {device}\n}}\n"
        )
    };
    // The same group and port on both: each datagram counts once.
    let multicast = |ours: u8, net: u8, device: &str, head: &str| {
        format!(
            "Multicast {head} {{\n IPv4_address 225.0.0.50\n Group 3782\n IPv4_interface 172.16.{net}.{ours}\n \
             Interface {device}\n}}\n"
        )
    };
    let sync = |kind: usize, ours| {
        ftfw(&match kind {
            0 => tcp(ours, 0, "sync", 3780, "Default") + &tcp(ours, 1, "sync2", 3780, ""),
            1 => udp6(ours, 1, "sync2", "") + &udp6(ours, 0, "sync", "Default"),
            _ => multicast(ours, 0, "sync", "Default") + &multicast(ours, 1, "sync2", ""),
        })
    };
    let pairs: Vec<_> = (0..3)
        .map(|kind| {
            let start = |node, ours| {
                Daemon::spawn(
                    node,
                    &format!("kind{kind}-{ours}"),
                    None,
                    &sync(kind, ours),
                    "Userspace",
                )
            };
            (start(&lab.r1, 1), start(&lab.r2, 2))
        })
        .collect();
    for (one, two) in &pairs {
        one.wait_started();
        two.wait_started();
    }
    // What is lost before the two have greeted each other is nobody's to miss.
    flows(&lab, 20_000..21_000);
    for (_, two) in &pairs {
        two.wait_flows(&["-e"], 1_000);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| flows(&lab, 21_000..24_000));
        std::thread::sleep(Duration::from_millis(20));
        lab.r1.net(|net| net.down("sync")).expect("a link");
    });
    for (one, two) in &pairs {
        two.wait_flows(&["-e"], 4_000);
        for daemon in [one, two] {
            let links = daemon.ask(&["-s", "link"]);
            let active = links.split("\n\n").find(|b| b.contains("role=ACTIVE"));
            assert!(
                active.is_some_and(|b| b.contains("device=sync2 status=RUNNING")),
                "{links}"
            );
        }
    }
    // It returns, and nothing changes by itself; then the second one fails.
    lab.r1.net(|net| net.up("sync")).expect("a link");
    for (one, _) in &pairs {
        wait_for("the first link's return", || {
            one.ask(&["-s", "link"])
                .contains("device=sync status=RUNNING role=BACKUP")
        });
    }
    lab.r2.net(|net| net.down("sync2")).expect("a link");
    flows(&lab, 24_000..24_100);
    for (_, two) in &pairs {
        two.wait_flows(&["-e"], 4_100);
    }
}

#[test]
fn ref_a_burst_by_tcp_is_complete_in_either_direction() {
    let test = "ref_a_burst_by_tcp_is_complete_in_either_direction";
    if !testkit::need::root(test) {
        return;
    }
    let Some(root) = testkit::need::originals(test) else {
        return;
    };
    let root = Some(root.as_path());
    let lab = Lab::build("tcp-burst", root);
    let sync = |ours, port| {
        let block = tcp(ours, 0, "sync", port, "");
        // Small buffers: the original loses what does not fit, in the middle of a message.
        ftfw(&block.replace(
            " Interface",
            " SndSocketBuffer 4096\n RcvSocketBuffer 4096\n Interface",
        ))
    };
    let start = |node, name, make, ours, port| {
        Daemon::start_sync(node, name, make, &sync(ours, port), "Userspace")
    };
    let pairs = [
        (
            start(&lab.r1, "ours1", None, 1, 3780),
            start(&lab.r2, "original2", root, 2, 3780),
        ),
        (
            start(&lab.r1, "original1", root, 1, 3781),
            start(&lab.r2, "ours2", None, 2, 3781),
        ),
    ];
    flows(&lab, 20_000..20_010);
    for (_, two) in &pairs {
        two.wait_flows(&["-e"], 10);
    }
    flows(&lab, 20_010..25_000);
    for (one, two) in &pairs {
        one.wait_flows(&["-i"], 5_000);
        two.wait_flows(&["-e"], 5_000);
        // All of it again, as fast as it goes.
        one.ask(&["-B"]);
    }
    for (one, two) in &pairs {
        wait_for("the bulk", || {
            one.process.output().contains("sending bulk update")
        });
        two.wait_flows(&["-e"], 5_000);
    }
}

#[test]
fn ref_the_counters_of_a_link_are_the_originals() {
    let test = "ref_the_counters_of_a_link_are_the_originals";
    if !testkit::need::root(test) {
        return;
    }
    let Some(root) = testkit::need::originals(test) else {
        return;
    };
    let root = Some(root.as_path());
    let lab = Lab::build("counters", root);
    let sync = |ours, port| ftfw(&tcp(ours, 0, "sync", port, ""));
    let start = |node, name, make, ours, port| {
        Daemon::start_sync(node, name, make, &sync(ours, port), "Userspace")
    };
    let ours = [
        start(&lab.r1, "ours1", None, 1, 3780),
        start(&lab.r2, "ours2", None, 2, 3780),
    ];
    let originals = [
        start(&lab.r1, "original1", root, 1, 3781),
        start(&lab.r2, "original2", root, 2, 3781),
    ];
    flows(&lab, 20_000..20_050);
    for pair in [&ours, &originals] {
        pair[1].wait_flows(&["-e"], 50);
    }
    for (a, b) in ours.iter().zip(&originals) {
        for words in [
            &["-s"][..],
            &["-s", "network"],
            &["-s", "link"],
            &["-s", "queue"],
            &["-s", "rsqueue"],
        ] {
            let (ours, original) = (a.ask(words), b.ask(words));
            if words != ["-s", "rsqueue"] {
                assert_eq!(shape(&ours), shape(&original), "{words:?}");
            }
            for label in [
                "Malformed messages:",
                "Packets lost:",
                "maximum elements:",
                "not enough space errors:",
            ] {
                let numbers = |text: &str| -> Vec<String> {
                    let with = |line: &&str| line.contains(label);
                    text.lines().filter(with).map(str::to_owned).collect()
                };
                assert_eq!(numbers(&ours), numbers(&original), "{words:?}");
            }
        }
    }
    // What is not acknowledged yet is listed alike, be it more or less of it.
    let listed = |daemon: &Daemon| {
        let text = daemon.ask(&["-s", "rsqueue"]);
        let lines: Vec<String> = text.lines().map(shape).collect();
        lines
    };
    let known = [
        "resent queue (len=)",
        "object -> seq:",
        "control -> seq: flags:",
    ];
    for daemon in ours.iter().chain(&originals) {
        for line in listed(daemon) {
            assert!(known.contains(&line.as_str()), "{line}");
        }
    }
}
