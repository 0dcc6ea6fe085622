//! BFD between two machines, ours and the original in every combination, with VRRP instances that follow the sessions.
//!
//! Each case plays one life: up, the peer killed and back, the cable dead and back, a reload with other timers, the peer stopped.
//! What both machines say about it must be the same whoever runs there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};

const LIMIT: Duration = Duration::from_secs(30);

/// A machine with its daemon.
struct Machine<'a> {
    node: Node,
    make: Make,
    programs: &'a Programs,
    daemon: Option<Process>,
    /// Lines of daemons that ran before.
    past: Vec<String>,
    conf: PathBuf,
}

impl<'a> Machine<'a> {
    fn new(name: &str, make: Make, dir: &Path, programs: &'a Programs) -> Self {
        let node = Node::new(name, dir).unwrap();
        if make == Make::Original {
            programs.enter_original(&node, dir).unwrap();
        }
        let conf = node.dir().join("keepalived.conf");
        Self {
            node,
            make,
            programs,
            daemon: None,
            past: Vec::new(),
            conf,
        }
    }

    fn start(&mut self) {
        let conf = self.conf.display().to_string();
        let argv = self.programs.argv(
            self.make,
            "keepalived",
            &["-n", "-l", "-D", "-G", "-f", &conf],
        );
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.daemon = Some(self.node.spawn("keepalived.log", &argv).unwrap());
    }

    fn crash(&mut self) {
        self.past = self.lines();
        self.daemon.take().unwrap().crash();
    }

    fn stop(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        let status = daemon.stop().unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.node.dir().join("keepalived.log")).unwrap_or_default()
    }

    /// What the daemons have said about sessions and what follows from them, without times.
    fn lines(&self) -> Vec<String> {
        let wanted = |line: &&str| {
            ["BFD1", "FAULT", "BACKUP", "Reload"]
                .iter()
                .any(|word| line.contains(word))
        };
        let log = self.log();
        let messages = log.lines().filter_map(|l| Some(l.split_once(": ")?.1));
        let plain = |line: &str| {
            let line = line.split(" (delivered").next().unwrap_or_default();
            let line = line.split(" after ").next().unwrap_or_default();
            let line = line.split(" finished in ").next().unwrap_or_default();
            line.to_owned()
        };
        messages.filter(wanted).map(plain).collect()
    }

    fn count(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }

    /// What the dumps of both processes say about sessions, without what differs in every run.
    fn dump(&self) -> Vec<String> {
        let section = |file: &str, title: &str| -> Vec<String> {
            let path = self.node.dir().join(file);
            let end = Instant::now() + LIMIT;
            let text = loop {
                if let Ok(text) = fs::read_to_string(&path) {
                    if text.contains(title) && text.ends_with('\n') {
                        break text;
                    }
                }
                assert!(Instant::now() < end, "no {title:?} in {}", path.display());
                std::thread::sleep(Duration::from_millis(20));
            };
            let (_, section) = text.split_once(title).unwrap();
            let section = section.split("------<").next().unwrap();
            let chance = ["fd_out", "thread_", "discriminator", "last seen"];
            let same = |line: &&str| chance.iter().all(|word| !line.contains(word));
            section.lines().filter(same).map(str::to_owned).collect()
        };
        for file in ["dump.data", "dump_bfd.data"] {
            let _ = fs::remove_file(self.node.dir().join(file));
        }
        self.signal("-USR1");
        [
            section("dump_bfd.data", "------< BFD Topology >------"),
            section("dump.data", "------< VRRP Track BFDs >------"),
        ]
        .concat()
    }

    fn signal(&self, signal: &str) {
        let pid = self.daemon.as_ref().unwrap().pid().to_string();
        self.node.check(&["kill", signal, &pid]).unwrap();
    }
}

fn wait(machine: &Machine<'_>, other: &Machine<'_>, text: &str, count: usize) {
    let end = Instant::now() + LIMIT;
    while machine.count(text) < count {
        assert!(
            Instant::now() < end,
            "no {count} x {text:?}\n--- {:?}\n{}\n--- the other, {:?}\n{}",
            machine.make,
            machine.log(),
            other.make,
            other.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    a: &'static str,
    b: &'static str,
    /// Lines of a's session, of b's.
    more: [&'static str; 2],
    /// Words behind `BFD1` in a's `track_bfd`.
    track: &'static str,
    /// The sync group tracks, not the instance.
    group: bool,
}

static CASES: [Case; 3] = [
    Case {
        name: "v4",
        a: "10.9.0.1",
        b: "10.9.0.2",
        more: ["", "passive\n"],
        track: "",
        group: false,
    },
    Case {
        name: "group",
        a: "10.9.0.1",
        b: "10.9.0.2",
        more: ["", ""],
        track: "",
        group: true,
    },
    Case {
        name: "v6",
        a: "2001:db8::1",
        b: "2001:db8::2",
        more: ["max_hops 2\nmultihop\n", "multihop\n"],
        track: " weight 20 reverse",
        group: false,
    },
];

fn configuration(case: &Case, first: bool, min_tx: u32, dir: &Path) -> String {
    let (us, them, more, vrid) = if first {
        (case.a, case.b, case.more[0], 1)
    } else {
        (case.b, case.a, case.more[1], 2)
    };
    let track = if first { case.track } else { "" };
    let dir = dir.display();
    let tracks = format!("track_bfd {{\n BFD1{track}\n }}\n");
    // The weight of a member of a group would not count.
    let (own, group) = if case.group {
        let group = format!("vrrp_sync_group G {{\n group {{\n VI\n }}\n{tracks}}}\n");
        (String::new(), group)
    } else {
        (tracks, String::new())
    };
    format!(
        "global_defs {{\n state_dump_file {dir}/dump.data\n}}\n\
         bfd_instance BFD1 {{\n source_ip {us}\n neighbor_ip {them}\n min_rx 200\n min_tx {min_tx}\n multiplier 5\n{more}}}\n\
         vrrp_instance VI {{\n state BACKUP\n interface eth0\n virtual_router_id {vrid}\n priority 100\n advert_int 60\n\
         {own}virtual_ipaddress {{\n 10.9.0.10{vrid}\n }}\n}}\n\
         {group}"
    )
}

/// What both have said, and what their dumps showed.
fn play(
    test: &str,
    case: &Case,
    makes: [Make; 2],
    programs: &Programs,
) -> ([Vec<String>; 2], [Vec<String>; 2]) {
    let name = format!(
        "{test}-{}-{:?}-{:?}-{}",
        case.name,
        makes[0],
        makes[1],
        std::process::id()
    );
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name.to_lowercase());
    let mut a = Machine::new("a", makes[0], &dir, programs);
    let mut b = Machine::new("b", makes[1], &dir, programs);
    cable(&a.node, "eth0", &b.node, "eth0").unwrap();
    for (machine, v4, v6) in [
        (&a, "10.9.0.1", "2001:db8::1"),
        (&b, "10.9.0.2", "2001:db8::2"),
    ] {
        machine
            .node
            .net(move |net| net.address("eth0", v4.parse::<IpAddr>().unwrap(), 24))
            .unwrap();
        let v6 = format!("{v6}/64");
        machine
            .node
            .check(&["ip", "addr", "add", &v6, "dev", "eth0", "nodad"])
            .unwrap();
    }
    fs::write(&a.conf, configuration(case, true, 200, a.node.dir())).unwrap();
    fs::write(&b.conf, configuration(case, false, 200, b.node.dir())).unwrap();
    let fault = usize::from(case.track.is_empty());

    a.start();
    wait(
        &a,
        &b,
        "Received BFD event: instance BFD1 is in state Down",
        1,
    );
    b.start();
    for (x, y) in [(&a, &b), (&b, &a)] {
        wait(x, y, "Tracked BFD instance BFD1 is UP", 1);
        wait(x, y, "Detection time is 1000000 us (was 5000000 us)", 1);
    }
    b.crash();
    wait(&a, &b, "Tracked BFD instance BFD1 is DOWN", 1);
    wait(&a, &b, "Entering FAULT STATE", fault);
    let past = b.past.clone();
    b.start();
    wait(&a, &b, "Tracked BFD instance BFD1 is UP", 2);
    wait(&b, &a, "Tracked BFD instance BFD1 is UP", 1);
    for (x, y, n) in [(&a, &b, 2), (&b, &a, 1)] {
        wait(x, y, "Detection time is 1000000 us (was ", n);
    }
    // The cable: the sessions only miss each other, as nobody tells them of the link.
    let drop_all = "table inet cut { chain in { type filter hook input priority 0 ; udp dport { 3784, 4784 } drop; }; }";
    let cut = a.node.dir().join("cut.nft");
    fs::write(&cut, drop_all).unwrap();
    let cut = cut.display().to_string();
    for machine in [&a, &b] {
        machine.node.check(&["nft", "-f", &cut]).unwrap();
    }
    wait(&a, &b, "Tracked BFD instance BFD1 is DOWN", 2);
    wait(&b, &a, "Tracked BFD instance BFD1 is DOWN", 1);
    for machine in [&a, &b] {
        machine
            .node
            .check(&["nft", "delete", "table", "inet", "cut"])
            .unwrap();
    }
    wait(&a, &b, "Tracked BFD instance BFD1 is UP", 3);
    wait(&b, &a, "Tracked BFD instance BFD1 is UP", 2);
    for (x, y, n) in [(&a, &b, 3), (&b, &a, 2)] {
        wait(x, y, "Detection time is 1000000 us (was ", n);
    }
    let dumps = [a.dump(), b.dump()];
    // Other timers without a loss.
    fs::write(&a.conf, configuration(case, true, 400, a.node.dir())).unwrap();
    a.signal("-HUP");
    wait(&b, &a, "Detection time is 2000000 us (was 1000000 us)", 1);
    wait(&a, &b, "Reload complete", 1);
    assert_eq!(
        a.count("Tracked BFD instance BFD1 is DOWN"),
        2,
        "{}",
        a.log()
    );
    assert_eq!(
        b.count("Tracked BFD instance BFD1 is DOWN"),
        1,
        "{}",
        b.log()
    );
    b.stop();
    wait(&a, &b, "Tracked BFD instance BFD1 is DOWN", 3);
    a.stop();
    ([a.lines(), [past, b.lines()].concat()], dumps)
}

/// Lines whose place among the others is chance: the two daemons and the two processes of one run side by side.
fn comparable(lines: &[String], word: &str) -> Vec<String> {
    let wanted = lines.iter().filter(|l| l.contains(word));
    let mut found: Vec<_> = wanted.cloned().collect();
    if word == "Reload" {
        found.sort();
    }
    found
}

fn play_all(test: &str, combinations: &[[Make; 2]]) {
    if !need::root(test) {
        return;
    }
    let mut programs = Programs::of(env!("CARGO_BIN_EXE_keepalived"));
    if combinations.iter().flatten().any(|m| *m == Make::Original) {
        let Some(root) = need::originals(test) else {
            return;
        };
        programs = programs.with_originals(&root);
    }
    let programs = &programs;
    let said: Vec<Vec<_>> = std::thread::scope(|scope| {
        let start = |case: &'static Case| {
            let run = |makes: &[Make; 2]| {
                let makes = *makes;
                scope.spawn(move || play(test, case, makes, programs))
            };
            combinations.iter().map(run).collect::<Vec<_>>()
        };
        let running: Vec<_> = CASES.iter().map(start).collect();
        let end = |case: Vec<std::thread::ScopedJoinHandle<'_, _>>| {
            case.into_iter().map(|r| r.join().unwrap()).collect()
        };
        running.into_iter().map(end).collect()
    });
    for (case, said) in CASES.iter().zip(&said) {
        for ((run, dumps), makes) in said.iter().zip(combinations) {
            assert_eq!(dumps, &said[0].1, "{} {makes:?}", case.name);
            for (lines, expected) in run.iter().zip(&said[0].0) {
                for word in ["(BFD1) E", "Tracked BFD", "(VI)", "is in state", "Reload"] {
                    assert_eq!(
                        comparable(lines, word),
                        comparable(expected, word),
                        "{} {makes:?}",
                        case.name
                    );
                }
            }
        }
    }
}

#[test]
fn ref_bfd_in_every_combination() {
    play_all(
        "ref_bfd_in_every_combination",
        &[
            [Make::Original, Make::Original],
            [Make::Ours, Make::Ours],
            [Make::Ours, Make::Original],
            [Make::Original, Make::Ours],
        ],
    );
}

#[test]
fn lab_bfd() {
    play_all("lab_bfd", &[[Make::Ours, Make::Ours]]);
}

/// A VRRP process that has died knows nothing of the sessions; the BFD process tells it again.
#[test]
fn lab_a_vrrp_process_that_is_started_again_learns_the_sessions() {
    let test = "lab_a_vrrp_process_that_is_started_again_learns_the_sessions";
    if !need::root(test) {
        return;
    }
    let programs = Programs::of(env!("CARGO_BIN_EXE_keepalived"));
    let dir =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("respawn-{}", std::process::id()));
    let mut a = Machine::new("a", Make::Ours, &dir, &programs);
    let mut b = Machine::new("b", Make::Ours, &dir, &programs);
    cable(&a.node, "eth0", &b.node, "eth0").unwrap();
    for (machine, first) in [(&a, true), (&b, false)] {
        let number = if first { 1 } else { 2 };
        machine
            .node
            .net(move |net| net.address("eth0", IpAddr::from([10, 9, 0, number]), 24))
            .unwrap();
        let conf = configuration(&CASES[0], first, 200, machine.node.dir());
        fs::write(&machine.conf, conf).unwrap();
    }
    a.start();
    b.start();
    wait(&a, &b, "Tracked BFD instance BFD1 is UP", 1);
    let log = a.log();
    let (_, pid) = log.split_once("Starting VRRP child process, pid=").unwrap();
    let pid = pid.split_whitespace().next().unwrap();
    a.node.check(&["kill", "-9", pid]).unwrap();
    wait(&a, &b, "Starting VRRP child process, pid=", 2);
    wait(&a, &b, "Tracked BFD instance BFD1 is UP", 2);
    wait(&a, &b, "Entering BACKUP STATE", 2);
    a.stop();
    b.stop();
}
