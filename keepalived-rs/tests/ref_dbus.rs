//! The D-Bus interface of 2.3.3 and ours, asked by dbus's own tools on a bus of our own: the same objects and their descriptions, the
//! same answers, effects, signals and lines over a takeover and a reload. And what ours does when the bus is not as it should be.
#![cfg(feature = "dbus")]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::link::cable;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};

const LIMIT: Duration = Duration::from_secs(40);
/// In the network namespace's own name space: nobody else meets it, and it is never too long.
const ADDRESS: &str = "unix:abstract=keepalived-test-bus";
const NAME: &str = "org.keepalived.Vrrp1";
const ROOT: &str = "/org/keepalived/Vrrp1";
const INTROSPECT: &str = "org.freedesktop.DBus.Introspectable.Introspect";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

fn instance(name: &str, interface: &str, vrid: u8, priority: u8, address: &str) -> String {
    format!(
        "vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n virtual_router_id {vrid}\n version 3\n priority {priority}\n\
         advert_int 0.2\n virtual_ipaddress {{\n {address}\n }}\n}}\n"
    )
}

const GLOBAL: &str =
    "global_defs {\n router_id r\n enable_dbus\n vrrp_garp_master_delay 0\n script_user root\n}\n";

/// Before the reload, and after it: A has another name, C is gone, D is new.
fn configurations() -> [String; 2] {
    let (b, v) = (
        instance("B", "eth-0.1", 52, 100, "10.9.1.101/24"),
        instance("V", "eth0", 54, 100, "fe80::54/64"),
    );
    [
        [
            GLOBAL,
            &instance("A", "eth0", 51, 100, "10.9.0.100/24"),
            &b,
            &instance("C", "eth0", 53, 100, "10.9.0.103/24"),
            &v,
        ]
        .concat(),
        [
            GLOBAL,
            &instance("A2", "eth0", 51, 100, "10.9.0.100/24"),
            &b,
            &v,
            &instance("D", "eth0", 55, 100, "10.9.0.105/24"),
        ]
        .concat(),
    ]
}

/// A router with two links and a bus.
struct Place {
    node: Node,
    dir: PathBuf,
}

impl Place {
    fn new(name: &str, dir: &Path) -> Self {
        let node = Node::new(name, dir).unwrap();
        // Link-local addresses are there at once.
        node.sysctl("net.ipv6.conf.default.accept_dad", "0")
            .unwrap();
        let dir = node.dir().to_owned();
        let policy = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n\
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig>\n<type>system</type>\n\
             <listen>{ADDRESS}</listen>\n<auth>EXTERNAL</auth>\n<policy context=\"default\">\n<allow user=\"*\"/>\n\
             <allow own=\"*\"/>\n<allow send_destination=\"*\"/>\n<allow receive_sender=\"*\"/>\n</policy>\n</busconfig>\n"
        );
        fs::write(dir.join("bus.conf"), policy).unwrap();
        Self { node, dir }
    }

    fn connect(&self, peer: &Node) {
        cable(&self.node, "eth0", peer, "eth0").unwrap();
        cable(&self.node, "eth-0.1", peer, "eth1").unwrap();
        self.node
            .net(|net| {
                net.up("lo")?;
                net.address("eth0", IpAddr::from([10, 9, 0, 1]), 24)?;
                net.address("eth-0.1", IpAddr::from([10, 9, 1, 1]), 24)
            })
            .unwrap();
        peer.net(|net| net.address("eth0", IpAddr::from([10, 9, 0, 2]), 24))
            .unwrap();
    }

    fn bus(&self) -> Process {
        let file = format!("--config-file={}", self.dir.join("bus.conf").display());
        let argv = ["dbus-daemon", &file, "--nofork", "--nopidfile"];
        let bus = self.node.spawn("bus", &argv).unwrap();
        let end = Instant::now() + LIMIT;
        let list = ["/org/freedesktop/DBus", "org.freedesktop.DBus.ListNames"];
        while !self.ask("org.freedesktop.DBus", &list).contains("array") {
            assert!(Instant::now() < end, "{}", bus.output());
            std::thread::sleep(Duration::from_millis(10));
        }
        bus
    }

    /// What a client sees; errors too.
    fn ask(&self, destination: &str, words: &[&str]) -> String {
        let (bus, to) = (format!("--bus={ADDRESS}"), format!("--dest={destination}"));
        let mut argv = vec![
            "sh",
            "-c",
            "\"$@\" 2>&1 || :",
            "sh",
            "dbus-send",
            &bus,
            &to,
            "--print-reply",
        ];
        argv.extend_from_slice(words);
        self.node.check(&argv).unwrap()
    }

    fn configure(&self, text: &str) {
        fs::write(self.dir.join("k.conf"), text).unwrap();
    }

    fn start(&self, programs: &Programs, make: Make, log: &str, address: &str) -> Process {
        let conf = self.dir.join("k.conf").display().to_string();
        // More than one may run here.
        let [pid, vrrp] = ["pid", "vrrp.pid"].map(|p| self.dir.join(format!("{log}.{p}")));
        let (pid, vrrp) = (pid.display().to_string(), vrrp.display().to_string());
        let words = ["-n", "-l", "-D", "-P", "-f", &conf, "-p", &pid, "-r", &vrrp];
        let mut argv = vec![
            "env".to_owned(),
            format!("DBUS_SYSTEM_BUS_ADDRESS={address}"),
            format!("TMPDIR={}", self.dir.display()),
        ];
        argv.extend(programs.argv(make, "keepalived", &words));
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        self.node.spawn(log, &argv).unwrap()
    }
}

fn until(what: &str, process: &Process, seen: impl Fn(&str) -> bool) {
    let end = Instant::now() + LIMIT;
    while !seen(&process.output()) {
        assert!(Instant::now() < end, "{what}\n{}", process.output());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Signals of ours as a monitor shows them: object below the root, member, argument.
fn signals(monitor: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut is_ours = false;
    for line in monitor.lines() {
        let path = line.split_once(&format!("path={ROOT}/"));
        if let Some((_, rest)) = path.filter(|_| line.starts_with("signal ")) {
            is_ours = true;
            let (object, rest) = rest.split_once(';').unwrap();
            let member = rest.rsplit('=').next().unwrap();
            out.push(format!("{object} {member}"));
        } else if line.starts_with(' ') && is_ours {
            out.last_mut()
                .unwrap()
                .push_str(&line.replace("   uint32", ""));
        } else {
            is_ours = false;
        }
    }
    out
}

fn has(monitor: &str, signal: &str) -> bool {
    signals(monitor).iter().any(|s| s == signal)
}

/// An answer without what is of the moment, and names of nodes in order.
fn comparable(answer: &str) -> Vec<String> {
    let mut nodes = Vec::new();
    let mut out: Vec<String> = Vec::new();
    for line in answer.lines() {
        if line.trim_start().starts_with("<node name") {
            nodes.push(line.to_owned());
        } else if !line.starts_with("method return") && !line.starts_with("<!-- GDBus") {
            out.push(line.to_owned());
        }
    }
    nodes.sort();
    out.extend(nodes);
    out
}

/// What is asked: object below the root, method, arguments.
fn questions() -> Vec<Vec<String>> {
    let (vrrp, instance) = (format!("{NAME}.Vrrp"), format!("{NAME}.Instance"));
    let a = "/Instance/eth0/51/IPv4";
    let mut out: Vec<Vec<String>> = Vec::new();
    for path in [
        "",
        "/Vrrp",
        "/Instance",
        "/Instance/eth0",
        "/Instance/eth_0_1",
        "/Instance/eth0/51",
        a,
        "/Instance/eth0/54/IPv6",
        "/Instance/eth0/51/IPv6",
        "/Inst",
        "/nosuch",
    ] {
        out.push(vec![path.into(), INTROSPECT.into()]);
    }
    let mut ask = |path: &str, member: String, arguments: &[&str]| {
        let mut words = vec![path.to_owned(), member];
        words.extend(arguments.iter().map(|&a| a.to_owned()));
        out.push(words);
    };
    let own = format!("string:{instance}");
    for path in [
        a,
        "/Instance/eth_0_1/52/IPv4",
        "/Instance/eth0/54/IPv6",
        "/nosuch",
    ] {
        ask(path, format!("{PROPERTIES}.GetAll"), &[&own]);
    }
    for interface in [&own, "string:org.x", "string:"] {
        ask(a, format!("{PROPERTIES}.GetAll"), &[interface]);
        for property in ["string:Name", "string:State", "string:Nope", "string:"] {
            ask(a, format!("{PROPERTIES}.Get"), &[interface, property]);
            let arguments = [interface, property, "variant:string:x"];
            ask(a, format!("{PROPERTIES}.Set"), &arguments);
        }
    }
    ask(a, format!("{PROPERTIES}.Get"), &[&own]);
    ask(a, format!("{PROPERTIES}.Get"), &["uint32:1", "uint32:2"]);
    ask(a, format!("{PROPERTIES}.Nope"), &[]);
    ask(
        "/Vrrp",
        format!("{PROPERTIES}.GetAll"),
        &[&format!("string:{vrrp}")],
    );
    ask(
        "/Vrrp",
        format!("{PROPERTIES}.Get"),
        &[&format!("string:{vrrp}"), "string:Name"],
    );
    for (path, member) in [
        (a, "Ping"),
        ("/nosuch", "Ping"),
        (a, "Nope"),
        ("/nosuch", "Nope"),
    ] {
        ask(path, format!("org.freedesktop.DBus.Peer.{member}"), &[]);
    }
    ask(a, INTROSPECT.to_owned(), &["string:x"]);
    ask(a, "org.x.Nope".to_owned(), &[]);
    ask(
        "/Vrrp",
        "org.freedesktop.DBus.ObjectManager.GetManagedObjects".to_owned(),
        &[],
    );
    for (path, member) in [
        (a, format!("{vrrp}.PrintData")),
        (a, format!("{instance}.Nope")),
        ("/nosuch", format!("{instance}.SendGarp")),
        ("/Instance/eth0/510/IPv4", format!("{instance}.SendGarp")),
        ("/Vrrp", format!("{vrrp}.Nope")),
        ("/Vrrp", format!("{vrrp}.CreateInstance")),
        ("/Vrrp", format!("{vrrp}.DestroyInstance")),
        // These are done.
        ("/Instance/eth_0_1/52/IPv4", format!("{instance}.SendGarp")),
        (a, format!("{instance}.SendGarp")),
        ("/Vrrp", format!("{vrrp}.PrintData")),
        ("/Vrrp", format!("{vrrp}.PrintStats")),
    ] {
        ask(path, member, &[]);
    }
    ask(a, format!("{instance}.SendGarp"), &["string:x"]);
    ask("/Vrrp", format!("{vrrp}.PrintStats"), &["array:string:a,b"]);
    out
}

/// What was seen of one of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    answers: Vec<(String, Vec<String>)>,
    /// Of each object up to the first mastery, without repetitions: the original tells some states twice at the start.
    first: Vec<String>,
    signals: Vec<String>,
    lines: Vec<String>,
    effects: Vec<String>,
}

fn play(make: Make, programs: &Programs, dir: &Path) -> Seen {
    let dir = dir.join(format!("{make:?}"));
    let place = Place::new("r", &dir);
    let peer = Place::new("p", &dir);
    if make == Make::Original {
        programs.enter_original(&place.node, &dir).unwrap();
    }
    place.connect(&peer.node);
    let mut seen = Seen::default();
    let ask = |seen: &mut Seen, words: &[&str]| {
        let path = format!("{ROOT}{}", words[0]);
        let mut all = vec![path.as_str()];
        all.extend_from_slice(&words[1..]);
        let answer = place.ask(NAME, &all);
        seen.answers.push((words.join(" "), comparable(&answer)));
        answer
    };
    let mut bus = place.bus();
    let mut monitor = place
        .node
        .spawn("signals", &["dbus-monitor", "--address", ADDRESS])
        .unwrap();
    until("monitor", &monitor, |o| o.contains("NameAcquired"));
    let [before, after] = configurations();
    place.configure(&before);
    let mut daemon = place.start(programs, make, "log", ADDRESS);
    let objects = [
        "Instance/eth0/51/IPv4",
        "Instance/eth_0_1/52/IPv4",
        "Instance/eth0/53/IPv4",
        "Instance/eth0/54/IPv6",
    ];
    let change = |object: &str, state: u8| format!("{object} VrrpStatusChange {state}");
    for object in objects {
        until(object, &monitor, |o| has(o, &change(object, 2)));
    }
    let first = signals(&monitor.output());
    let count = first.len();
    for object in ["Vrrp"].into_iter().chain(objects) {
        let mut of_object: Vec<_> = first
            .iter()
            // INIT is of the moment between two lines of the start.
            .filter(|s| s.starts_with(object) && !s.ends_with("Change 0"))
            .cloned()
            .collect();
        of_object.dedup();
        seen.first.extend(of_object);
    }
    for words in questions() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        ask(&mut seen, &words);
    }
    let file = |name: &str| fs::read_to_string(place.dir.join(name)).unwrap_or_default();
    let effect = |name: &str, what: &str| -> Vec<String> {
        let text = file(name);
        let lines = text.lines().filter(|l| l.contains(what));
        lines.map(|l| l.trim().to_owned()).collect()
    };
    seen.effects
        .extend(effect("keepalived.data", "VRRP Instance = "));
    seen.effects
        .extend(effect("keepalived.stats", "Became master"));
    let (vrrp, state) = (format!("{NAME}.Vrrp"), format!("{PROPERTIES}.Get"));
    for member in ["PrintStatsClear", "PrintStats"] {
        ask(&mut seen, &["/Vrrp", &format!("{vrrp}.{member}")]);
        seen.effects
            .extend(effect("keepalived.stats", "Became master"));
    }

    // Somebody better comes and goes.
    peer.configure(&instance("A", "eth0", 51, 200, "10.9.0.100/24"));
    let mut better = peer.start(programs, Make::Ours, "log", ADDRESS);
    let a = objects[0];
    let since = |o: &str| signals(o).split_off(count);
    until("backup", &monitor, |o| since(o).contains(&change(a, 1)));
    let own = format!("string:{NAME}.Instance");
    let path = format!("/{a}");
    ask(&mut seen, &[&path, &state, &own, "string:State"]);
    // Nothing is announced.
    ask(&mut seen, &[&path, &format!("{NAME}.Instance.SendGarp")]);
    better.stop();
    until("master", &monitor, |o| since(o).contains(&change(a, 2)));
    until("announced", &daemon, |o| {
        o.matches("(A) Sending/queueing gratuitous ARPs").count() == 3
    });
    let announced = "Sending gratuitous ARP on eth0 for 10.9.0.100";
    let count_of = |what: &str| daemon.output().matches(what).count();
    // Two takeovers, and one request.
    let end = Instant::now() + LIMIT;
    while count_of(announced) < 11 {
        assert!(Instant::now() < end, "{}", daemon.output());
        std::thread::sleep(Duration::from_millis(10));
    }
    seen.effects
        .push(format!("{} announcements", count_of(announced)));

    place.configure(&after);
    ask(&mut seen, &["/Vrrp", &format!("{vrrp}.ReloadConfig")]);
    let d = "Instance/eth0/55/IPv4";
    until("reload", &monitor, |o| has(o, &change(d, 2)));
    ask(&mut seen, &["/Instance/eth0", INTROSPECT]);
    ask(&mut seen, &[&path, &state, &own, "string:Name"]);
    ask(
        &mut seen,
        &["/Instance/eth0/53/IPv4", &state, &own, "string:Name"],
    );
    daemon.stop();
    until("stop", &monitor, |o| has(o, "Vrrp VrrpStopped"));
    let _ = (monitor.stop(), bus.stop());
    seen.signals = since(&monitor.output());
    let words = ["DBus", "the name", "garps on", "Printing"];
    let log = daemon.output();
    let about_us = log
        .lines()
        .filter(|l| words.iter().any(|w| l.contains(w)) && !l.contains("configure options"));
    // Without the time, which `-l` puts before its fifth colon.
    seen.lines = about_us
        .map(|l| l.splitn(4, ':').last().unwrap_or(l).trim().to_owned())
        .collect();
    seen
}

/// The programs, if everything is here that the test needs.
fn programs(test: &str, with_original: bool) -> Option<(Programs, PathBuf)> {
    if !need::root(test) {
        return None;
    }
    let missing = |program: &&&str| !Path::new("/usr/bin").join(program).exists();
    let tools = ["dbus-daemon", "dbus-send", "dbus-monitor"];
    if let Some(absent) = tools.iter().find(missing) {
        need::skip(test, &format!("it needs {absent}"));
        return None;
    }
    let mut programs = Programs::of(env!("CARGO_BIN_EXE_keepalived"));
    if with_original {
        programs = programs.with_originals(&need::originals(test)?);
    }
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("dbus-{test}-{}", std::process::id()));
    Some((programs, dir))
}

#[test]
fn ref_the_bus_sees_the_same() {
    let Some((programs, dir)) = programs("ref_the_bus_sees_the_same", true) else {
        return;
    };
    let [theirs, ours] = std::thread::scope(|scope| {
        [Make::Original, Make::Ours]
            .map(|make| {
                let (programs, dir) = (&programs, &dir);
                scope.spawn(move || play(make, programs, dir))
            })
            .map(|t| t.join().unwrap())
    });
    assert_eq!(theirs.answers.len(), ours.answers.len());
    for (theirs, ours) in theirs.answers.iter().zip(&ours.answers) {
        assert_eq!(theirs, ours);
    }
    assert_eq!(theirs.first, ours.first);
    assert_eq!(theirs.signals, ours.signals);
    assert_eq!(theirs.effects, ours.effects);
    assert_eq!(theirs.lines, ours.lines);
    // It was not nothing that was the same.
    assert!(theirs.answers.len() > 60, "{}", theirs.answers.len());
    assert!(theirs.first.len() > 8, "{:?}", theirs.first);
    assert!(theirs.signals.len() > 8, "{:?}", theirs.signals);
    assert!(theirs.lines.len() > 8, "{:?}", theirs.lines);
    assert!(theirs.effects.contains(&"11 announcements".to_owned()));
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn lab_the_bus_may_be_away() {
    let Some((programs, dir)) = programs("lab_the_bus_may_be_away", false) else {
        return;
    };
    let place = Place::new("away", &dir);
    let peer = Node::new("away-peer", &dir).unwrap();
    place.connect(&peer);
    place.configure(&[GLOBAL, &instance("A", "eth0", 51, 100, "10.9.0.100/24")].concat());
    let mut daemon = place.start(&programs, Make::Ours, "log", ADDRESS);
    let lost = format!("Lost the name {NAME} on the session bus");
    let acquired = format!("Acquired the name {NAME} on the session bus");
    until("no bus", &daemon, |o| {
        o.contains(&lost) && o.contains("(A) Entering MASTER STATE")
    });
    let state = || {
        let words = [
            &format!("{ROOT}/Instance/eth0/51/IPv4"),
            &format!("{PROPERTIES}.Get"),
            &format!("string:{NAME}.Instance"),
            "string:State",
        ];
        place.ask(NAME, &words.map(|w: &str| w))
    };
    for times in [1, 2] {
        let mut bus = place.bus();
        until("found", &daemon, |o| o.matches(&acquired).count() == times);
        assert!(state().contains("\"Master\""), "{}", state());
        bus.stop();
        until("lost", &daemon, |o| o.matches(&lost).count() == times + 1);
    }
    let log = daemon.output();
    assert_eq!(log.matches("Entering").count(), 2, "{log}");
    daemon.stop();
    assert!(daemon.output().contains("Released DBus"));
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn lab_the_name_may_be_taken() {
    let Some((programs, dir)) = programs("lab_the_name_may_be_taken", false) else {
        return;
    };
    let place = Place::new("taken", &dir);
    let peer = Node::new("taken-peer", &dir).unwrap();
    place.connect(&peer);
    let mut bus = place.bus();
    let acquired = format!("Acquired the name {NAME} on the session bus");
    let mut both = ["A", "B"].into_iter().zip([51, 52]).map(|(name, vrid)| {
        let address = format!("10.9.0.{}/24", 100 + u16::from(vrid));
        place.configure(&[GLOBAL, &instance(name, "eth0", vrid, 100, &address)].concat());
        let daemon = place.start(&programs, Make::Ours, name, ADDRESS);
        until("bus", &daemon, |o| o.contains("on the session bus"));
        daemon
    });
    let (mut first, mut second) = (both.next().unwrap(), both.next().unwrap());
    let lost = format!("Lost the name {NAME} on the session bus");
    assert!(first.output().contains(&acquired), "{}", first.output());
    assert!(second.output().contains(&lost), "{}", second.output());
    let objects = || place.ask(NAME, &[&format!("{ROOT}/Instance/eth0"), INTROSPECT]);
    assert!(objects().contains("\"51\"") && !objects().contains("\"52\""));
    first.stop();
    until("queue", &second, |o| o.contains(&acquired));
    assert!(objects().contains("\"52\""), "{}", objects());
    // D-Bus off and on again by reloads, with another name.
    let b = instance("B", "eth0", 52, 100, "10.9.0.152/24");
    place.configure(&b);
    second.signal(Signal::SIGHUP).unwrap();
    until("off", &second, |o| o.contains("Released DBus"));
    place.configure(
        &[
            &GLOBAL.replace("enable_dbus", "enable_dbus\n dbus_service_name org.other"),
            &*b,
        ]
        .concat(),
    );
    second.signal(Signal::SIGHUP).unwrap();
    until("on", &second, |o| {
        o.contains("Acquired the name org.other on the session bus")
    });
    assert!(
        place
            .ask("org.other", &[ROOT, INTROSPECT])
            .contains("Instance")
    );
    assert!(
        place
            .ask(NAME, &[ROOT, INTROSPECT])
            .contains("ServiceUnknown")
    );
    // Names that no bus takes, paths that can not be.
    place.configure(
        &[
            &GLOBAL.replace("enable_dbus", "enable_dbus\n dbus_service_name nodots"),
            &*b,
        ]
        .concat(),
    );
    second.signal(Signal::SIGHUP).unwrap();
    until("bad name", &second, |o| {
        o.contains("DBus service name 'nodots' is not valid - DBus is off")
    });
    assert!(!second.output().contains("Entering FAULT"));
    let _ = (second.stop(), bus.stop());
    place.configure(&["instance in-1\n", GLOBAL, &b].concat());
    let mut bus = place.bus();
    let mut third = place.start(&programs, Make::Ours, "third", ADDRESS);
    until("bad path", &third, |o| o.contains(&acquired));
    assert!(third.output().contains("is not valid as a DBus path"));
    assert!(!objects().contains("node name"), "{}", objects());
    let _ = (third.stop(), bus.stop());
    let _ = fs::remove_dir_all(&dir);
}

#[test]
fn lab_what_is_no_bus() {
    let Some((programs, dir)) = programs("lab_what_is_no_bus", false) else {
        return;
    };
    let place = Place::new("none", &dir);
    let peer = Node::new("none-peer", &dir).unwrap();
    place.connect(&peer);
    place.configure(&[GLOBAL, &instance("A", "eth0", 51, 100, "10.9.0.100/24")].concat());
    for (n, (says, told)) in [
        (&b"REJECTED EXTERNAL\r\n"[..], "we are not let in"),
        (b"220 mail.example ESMTP\r\n", "we are not let in"),
        (
            b"OK 00\r\nHTTP/1.1 400 Bad Request\r\n",
            "it does not speak D-Bus",
        ),
        (
            b"OK 00\r\nl\x02\x01\x01\xff\xff\xff\x7f\x01\0\0\0\xff\xff\xff\x7f",
            "it does not speak D-Bus",
        ),
        (b"", "closed by the bus"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("no-bus-{n}");
        let listener = {
            let name = name.clone();
            place
                .node
                .call(move || {
                    let address = SocketAddr::from_abstract_name(name)?;
                    UnixListener::bind_addr(&address)
                })
                .unwrap()
                .unwrap()
        };
        let address = format!("unix:abstract={name}");
        let mut daemon = place.start(&programs, Make::Ours, &name, &address);
        let (mut stream, _) = listener.accept().unwrap();
        let mut greeting = [0; 16];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"\0AUTH EXTERNAL\r\n");
        stream.write_all(says).unwrap();
        if says.is_empty() {
            drop(stream);
        }
        until(told, &daemon, |o| {
            o.contains(told) && o.contains("(A) Entering MASTER STATE")
        });
        daemon.stop();
        assert!(
            daemon.output().contains("Stopped Keepalived"),
            "{}",
            daemon.output()
        );
    }
    let _ = fs::remove_dir_all(&dir);
}
