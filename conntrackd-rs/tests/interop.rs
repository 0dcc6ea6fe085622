//! Ours and the original in every mode, over every kind of link, in both directions, and every kind of object: what one
//! make's cache holds, the other's shows, and either commits the same.
//!
//! All pairs run side by side between the same two routers. Their kernels' events reach every daemon, so all sources must
//! show one table, and all sinks another.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod two_routers;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::node::Node;
use two_routers::{Daemon, Lab, sorted, wait_for};

const MODES: [(&str, &str); 3] = [
    ("ftfw", "Mode FTFW {\n }"),
    ("notrack", "Mode NOTRACK {\n }"),
    (
        "alarm",
        "Mode ALARM {\n  RefreshTime 3\n  CacheTimeout 120\n }",
    ),
];
const TRANSPORTS: [&str; 6] = ["udp4", "udp6", "mcast4", "mcast6", "tcp4", "tcp6"];

fn link(transport: &str, ours: u8, port: u16) -> String {
    let peer = 3 - ours;
    let (kind, family) = transport.split_at(transport.len() - 1);
    let addresses = match (kind, family) {
        ("mcast", "4") => format!("IPv4_address 225.0.0.50\n  IPv4_interface 172.16.0.{ours}"),
        ("mcast", _) => "IPv6_address ff02::50".to_owned(),
        (_, "4") => {
            format!("IPv4_address 172.16.0.{ours}\n  IPv4_Destination_Address 172.16.0.{peer}")
        }
        _ => format!("IPv6_address fd00::{ours}\n  IPv6_Destination_Address fd00::{peer}"),
    };
    let (word, port) = match kind {
        "mcast" => ("Multicast", format!("Group {port}")),
        "tcp" => ("TCP", format!("Port {port}")),
        _ => ("UDP", format!("Port {port}")),
    };
    format!("{word} {{\n  {addresses}\n  {port}\n  Interface sync\n }}")
}

fn config(name: &str, mode: &str, link: &str) -> String {
    format!(
        "Sync {{\n {mode}\n {link}\n Options {{\n  TCPWindowTracking on\n  ExpectationSync on\n }}\n}}\n\
         General {{\n HashSize 16384\n LockFile /run/{name}.lock\n UNIX {{ Path /run/{name}.ctl\n }}\n \
         NetlinkBufferSize 2097152\n NetlinkBufferSizeMaxGrowth 8388608\n Systemd off\n \
         Filter From Userspace {{\n  Address Ignore {{ IPv4_address 127.0.0.1 IPv4_address 172.16.0.0/16 \
         IPv6_address ::1 IPv6_address fd00::/16 IPv6_address fe80::/10 }}\n }}\n}}\n"
    )
}

/// A source on r1 and its sink on r2.
struct Couple<'a> {
    name: String,
    source: Daemon<'a>,
    sink: Daemon<'a>,
}

fn couples<'a>(lab: &'a Lab, root: Option<&'a Path>) -> Vec<Couple<'a>> {
    let mut couples = Vec::new();
    let mut port = 3800;
    for (mode, clause) in MODES {
        for transport in TRANSPORTS {
            for sink_is_ours in [true, false] {
                let name = format!(
                    "{mode}-{transport}-{}",
                    if sink_is_ours { "in" } else { "out" }
                );
                let start = |node: &'a Node, number: u8, ours: bool| {
                    // A client's words are cut at dots and dashes by nobody, but a file's name should be short.
                    let name = format!("{name}{number}");
                    let text = config(&name, clause, &link(transport, number, port));
                    Daemon::spawn_with(node, &name, if ours { None } else { root }, text)
                };
                let sink = start(&lab.r2, 2, sink_is_ours);
                let source = start(&lab.r1, 1, !sink_is_ours);
                couples.push(Couple { name, source, sink });
                port += 1;
            }
        }
    }
    for couple in &couples {
        couple.source.wait_started();
        couple.sink.wait_started();
    }
    couples
}

/// Everything that can be made without traffic: protocols, translation, marks, zones.
const FLOWS: [&str; 14] = [
    "-p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1001 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 7",
    "-p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1002 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -n 10.9.0.1:4000",
    "-p udp -s 10.1.0.2 -d 10.9.0.2 --sport 1003 --dport 5300 -g 10.7.0.7:5301",
    "-p udp -s fd01::2 -d fd02::2 --sport 1004 --dport 53",
    "-p tcp -s fd01::2 -d fd02::2 --sport 1005 --dport 80 --state SYN_SENT -n fd02::1",
    "-p icmp -s 10.1.0.2 -d 10.9.0.2 --icmp-type 8 --icmp-code 0 --icmp-id 4660",
    "-p icmpv6 -s fd01::2 -d fd02::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 17185",
    "-p sctp -s 10.1.0.2 -d 10.9.0.2 --sport 1006 --dport 9 --state ESTABLISHED --orig-vtag 10 --reply-vtag 20",
    "-p udplite -s 10.1.0.2 -d 10.9.0.3 --sport 1007 --dport 9",
    "-p gre -s 10.1.0.2 -d 10.9.0.4 --srckey 17 --dstkey 18",
    "-p 253 -s 10.1.0.2 -d 10.9.0.5",
    "-p udp -s 10.1.0.2 -d 10.9.0.6 --sport 1008 --dport 9 -w 7",
    "-p udp -s 10.1.0.2 -d 10.9.0.7 --sport 1009 --dport 9 --orig-zone 3",
    "-p udp -s 10.1.0.2 -d 10.9.0.8 --sport 1010 --dport 9",
];

/// Labels, a helper: they need rules on both routers and real traffic on the first.
const RULES: &str = "\
table ip obj {
    ct helper ftp {
        type \"ftp\" protocol tcp
    }
    chain prerouting {
        type filter hook prerouting priority -150
        tcp dport 21 ct helper set \"ftp\" ct label set 3 ct mark set 0x1234
    }
}
";

/// A control connection on which an expectation was announced.
fn announce(lab: &Lab) -> (TcpStream, TcpStream) {
    let listener = lab
        .r1
        .call(|| TcpListener::bind("10.1.0.1:21"))
        .expect("a node")
        .expect("a listener");
    let client = lab
        .host
        .call(|| TcpStream::connect("10.1.0.1:21"))
        .expect("a node")
        .expect("a connection");
    let (server, _) = listener.accept().expect("a client");
    (&server).write_all(b"220 hello\r\n").expect("a greeting");
    let mut line = String::new();
    BufReader::new(&client)
        .read_line(&mut line)
        .expect("a line");
    // The helper looks at what follows a line's end: a first line must have come.
    let mut commands = BufReader::new(&server);
    for command in ["USER a\r\n", "PORT 10,1,0,2,156,64\r\n"] {
        (&client).write_all(command.as_bytes()).expect("a command");
        commands.read_line(&mut line).expect("the command");
    }
    drop(commands);
    (client, server)
}

fn conntrack(node: &Node, words: &str) -> String {
    let mut argv = vec!["conntrack"];
    argv.extend(words.split(' '));
    node.check(&argv).expect("conntrack")
}

/// A listing without ages.
fn listing(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = sorted(text)
        .into_iter()
        .map(|line| {
            line.split(" [expires in")
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    lines.sort();
    lines
}

/// Waits until every couple's end shows the same, `count` lines; what it is.
fn agreed(couples: &[Couple<'_>], sink: bool, words: &[&str], count: usize) -> Vec<String> {
    let start = Instant::now();
    loop {
        let mut seen: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
        for couple in couples {
            let daemon = if sink { &couple.sink } else { &couple.source };
            seen.entry(listing(&daemon.ask(words)))
                .or_default()
                .push(&couple.name);
        }
        match seen.first_key_value() {
            Some((lines, _)) if seen.len() == 1 && lines.len() == count => return lines.clone(),
            _ => {}
        }
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "{words:?} ({count} lines) differ: {seen:#?}"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The kernel's table without timeouts and use counts.
fn table(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    for words in ["-L -o extended", "-L expect"] {
        for line in conntrack(node, words).lines() {
            // Flows of the links are not the daemons'.
            if line.contains("src=172.16.")
                || line.contains("src=fd00:")
                || line.contains("src=fe80:")
            {
                continue;
            }
            let mut number = 0;
            let mut words: Vec<&str> = Vec::new();
            for word in line.split_whitespace() {
                // The third number of a flow, the first of an expectation.
                number += usize::from(word.bytes().all(|b| b.is_ascii_digit()));
                let rest = if line.starts_with("ipv") { 3 } else { 1 };
                if number == rest && word.bytes().all(|b| b.is_ascii_digit()) {
                    continue;
                }
                if !word.starts_with("use=") {
                    words.push(word);
                }
            }
            lines.push(words.join(" "));
        }
    }
    lines.sort();
    lines
}

#[test]
fn ref_every_mode_link_and_object_with_the_original() {
    let name = "ref_every_mode_link_and_object_with_the_original";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let lab = Lab::build("interop", Some(&root));
    for node in [&lab.r1, &lab.r2] {
        let rules = node.dir().join("objects.nft");
        fs::write(&rules, RULES).expect("a file");
        node.check(&["nft", "-f", &rules.display().to_string()])
            .expect("nft");
    }
    let couples = couples(&lab, Some(&root));

    // Creates.
    for flow in FLOWS {
        conntrack(&lab.r1, &format!("-I {flow} -t 3000"));
    }
    let open = announce(&lab);
    let count = FLOWS.len() + 1;
    let internal = agreed(&couples, false, &["-i"], count);
    let external = agreed(&couples, true, &["-e"], count);
    agreed(&couples, false, &["-i", "-x"], count);
    agreed(&couples, true, &["-e", "-x"], count);
    agreed(&couples, false, &["-i", "expect"], 1);
    agreed(&couples, true, &["-e", "expect"], 1);
    agreed(&couples, false, &["-i", "expect", "-x"], 1);
    agreed(&couples, true, &["-e", "expect", "-x"], 1);
    for part in [
        "mark=7",
        "zone=7",
        "zone-orig=3",
        "helper=ftp",
        "dport=4000",
        "mark=4660",
    ] {
        assert!(
            internal.iter().any(|line| line.contains(part)),
            "{part}: {internal:#?}"
        );
    }
    for part in [
        "mark=7",
        "zone=7",
        "helper=ftp",
        "sctp     132 ESTABLISHED",
        "id=4660",
    ] {
        assert!(
            external.iter().any(|line| line.contains(part)),
            "{part}: {external:#?}"
        );
    }

    // Updates and destroys.
    conntrack(
        &lab.r1,
        "-U -p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1001 --dport 80 -m 9",
    );
    conntrack(&lab.r1, "-D -p udp -s 10.1.0.2 -d 10.9.0.8");
    let count = count - 1;
    agreed(&couples, false, &["-i"], count);
    let external = agreed(&couples, true, &["-e"], count);
    wait_for("the new mark", || {
        agreed(&couples, true, &["-e"], count)
            .iter()
            .any(|line| line.contains("sport=1001 ") && line.contains("mark=9"))
    });
    drop(external);
    // Nothing was refused on the way.
    for couple in &couples {
        for daemon in [&couple.source, &couple.sink] {
            let stats = daemon.ask(&["-s", "network"]);
            assert!(
                stats.contains("Malformed messages:\t                   0\n"),
                "{}: {stats}",
                couple.name
            );
        }
    }

    // Commits on either make put the same into the kernel.
    let mut tables: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
    for couple in &couples {
        lab.r2.check(&["conntrack", "-F"]).expect("a flush");
        couple.sink.ask(&["-c"]);
        wait_for("the commit", || {
            couple.sink.process.output().contains("new expectations")
        });
        tables.entry(table(&lab.r2)).or_default().push(&couple.name);
    }
    assert!(tables.len() == 1, "{tables:#?}");
    let committed = tables.first_key_value().map_or(0, |(lines, _)| lines.len());
    assert_eq!(committed, count + 1, "{tables:#?}");
    drop(open);
}

/// A source without internal cache and a sink without external cache, of both makes in both places: the same goes over the
/// wire into the second router's kernel, and the same is told to operators.
#[test]
fn ref_without_caches_with_the_original() {
    let name = "ref_without_caches_with_the_original";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let root = root.as_path();
    let mut seen = Vec::new();
    for (name, source_is_ours, sink_is_ours) in [
        ("oo", true, true),
        ("or", true, false),
        ("ro", false, true),
        ("rr", false, false),
    ] {
        let lab = Lab::build(&format!("nocache-{name}"), Some(root));
        let start = |node, number: u8, ours: bool| {
            let mode = "Mode NOTRACK {\n  DisableInternalCache on\n  DisableExternalCache on\n }";
            let text = config(&number.to_string(), mode, &link("udp4", number, 3780))
                .replace("ExpectationSync on", "");
            let root = if ours { None } else { Some(root) };
            let daemon = Daemon::spawn_with(node, &number.to_string(), root, text);
            daemon.wait_started();
            daemon
        };
        let sink = start(&lab.r2, 2, sink_is_ours);
        let source = start(&lab.r1, 1, source_is_ours);
        // IPv6 translation apart: the original can not update such a flow.
        let flows = FLOWS.iter().filter(|flow| !flow.contains("-n fd02::1"));
        for flow in flows {
            conntrack(&lab.r1, &format!("-I {flow} -t 3000"));
        }
        wait_for("the flows", || table(&lab.r2).len() == FLOWS.len() - 1);
        conntrack(
            &lab.r1,
            "-U -p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1001 --dport 80 -m 9",
        );
        conntrack(
            &lab.r1,
            "-U -p tcp -s 10.1.0.2 -d 10.9.0.2 --sport 1002 --dport 80 -m 10",
        );
        conntrack(&lab.r1, "-D -p udp -s 10.1.0.2 -d 10.9.0.8");
        wait_for("the changes", || {
            let lines = table(&lab.r2);
            lines.len() == FLOWS.len() - 2
                && lines.iter().any(|line| line.contains("mark=10"))
                && lines.iter().any(|line| line.contains("mark=9"))
        });
        // A commit has nothing to do, and a listing shows the kernel's table.
        sink.ask(&["-c"]);
        assert_eq!(sink.ask(&["-e"]), "");
        assert_eq!(sink.ask(&["-e", "-x"]), "");
        source.ask(&["-R"]);
        let timeless = |text: String| -> Vec<String> {
            let mut lines: Vec<String> = text
                .lines()
                .map(|line| {
                    let words = line.split(' ').filter(|word| {
                        !word
                            .parse::<u32>()
                            .is_ok_and(|n| (2800..=3000).contains(&n))
                            && !word.starts_with("use=")
                    });
                    words.collect::<Vec<_>>().join(" ")
                })
                .collect();
            lines.sort();
            lines
        };
        let told = [
            source.ask(&["-s", "cache"]),
            sink.ask(&["-s", "cache"]),
            source.ask(&["-s", "expect"]),
        ];
        let listings = [
            timeless(source.ask(&["-i"])),
            timeless(source.ask(&["-i", "-x"])),
        ];
        // A bulk finds everything there and changes nothing.
        let before = table(&lab.r2);
        source.ask(&["-B"]);
        sink.ask(&["-n"]);
        wait_for("the bulk request", || {
            source
                .process
                .output()
                .contains("resync requested by other node")
        });
        wait_for("the bulk", || {
            let created = sink.ask(&["-s", "cache"]);
            let line = created
                .lines()
                .rfind(|line| line.starts_with("connections created:"));
            line.and_then(|line| line.split_whitespace().nth(2)?.parse::<usize>().ok())
                .is_some_and(|count| count == 3 * FLOWS.len() - 5)
        });
        assert_eq!(table(&lab.r2), before);
        let log = |daemon: &Daemon<'_>| -> Vec<String> {
            let log = daemon.process.output();
            let lines = log.lines().filter_map(|line| line.split_once(") "));
            lines.map(|(_, text)| text.to_owned()).collect()
        };
        seen.push((name, before, told, listings, [log(&source), log(&sink)]));
    }
    let first = &seen[3];
    for other in &seen[..3] {
        assert_eq!(other.1, first.1, "{} against {}", other.0, first.0);
        assert_eq!(other.2, first.2, "{} against {}", other.0, first.0);
        assert_eq!(other.3, first.3, "{} against {}", other.0, first.0);
        assert_eq!(other.4, first.4, "{} against {}", other.0, first.0);
    }
}
