//! Reloads of a director beside 2.3.3, in User Mode Linux: the same lines, the same tables, the same scripts.
#![cfg(feature = "lvs")]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking; clippy spares only functions marked as tests"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use testkit::node::{Node, Process};
use testkit::sut::{Make, Programs};
use testkit::{need, uml};

const LIMIT: Duration = Duration::from_secs(120);

/// One daemon, and what is written down of it.
struct Life {
    node: Node,
    daemon: Process,
    seen: Vec<String>,
}

impl Life {
    fn start(name: &str, make: Make, programs: &Programs, first: &str) -> Self {
        let dir = PathBuf::from(format!("/tmp/{name}{make:?}"));
        let node = Node::new("x", &dir).unwrap();
        if make == Make::Original {
            programs.enter_original(&node, &dir).unwrap();
        }
        let note = node.dir().join("note");
        let notes = node.dir().join("notes").display().to_string();
        // A line of a file is written at once, whoever else writes.
        fs::write(&note, format!("#!/bin/sh\necho \"$*\" >>{notes}\n")).unwrap();
        fs::set_permissions(&note, fs::Permissions::from_mode(0o755)).unwrap();
        write(&node, first);
        let file = node.dir().join("k.conf").display().to_string();
        let argv = programs.argv(make, "keepalived", &["-n", "-l", "-D", "-C", "-f", &file]);
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        let daemon = node.spawn("log", &argv).unwrap();
        let seen = Vec::new();
        let mut life = Self { node, daemon, seen };
        life.until("Startup complete", 1);
        life.table("start");
        life
    }

    fn until(&self, what: &str, count: usize) {
        self.wait(what, |life| {
            life.daemon.output().matches(what).count() >= count
        });
    }

    fn wait(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !done(self) {
            assert!(Instant::now() < end, "{what}\n{}", self.daemon.output());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The configuration is in force, in the kernel too, when the parent says so.
    fn reload(&mut self, name: &str, conf: &str) {
        let before = self.daemon.output().matches("Reload complete").count();
        write(&self.node, conf);
        self.daemon.signal(Signal::SIGHUP).unwrap();
        self.until("Reload complete", before + 1);
        self.table(name);
    }

    fn table(&mut self, name: &str) {
        self.seen.push(format!("=== {name}"));
        let table = self.node.check(&["ipvsadm", "-Sn"]).unwrap();
        self.seen.extend(table.lines().map(|l| l.trim().to_owned()));
    }

    /// What the scripts were told so far, when there are so many lines. Scripts run side by side.
    fn told(&mut self, count: usize) {
        let file = self.node.dir().join("notes");
        let read = || fs::read_to_string(&file).unwrap_or_default();
        self.wait("told", |_| read().lines().count() >= count);
        let mut told: Vec<String> = read().lines().map(str::to_owned).collect();
        told.sort();
        self.seen.push("=== told".to_owned());
        self.seen.append(&mut told);
    }

    /// Its end, and what it has said about servers: what is gone is said in another order.
    fn end(mut self) -> Vec<String> {
        self.daemon.stop();
        let output = self.daemon.output();
        let lines = output.lines().map(|line| line.get(26..).unwrap_or(line));
        let mut lines: Vec<String> = lines
            .filter(|l| {
                ["VS", "service", "quorum", "Virtual"]
                    .iter()
                    .any(|w| l.contains(w))
            })
            // Behind a sorry server that goes, 2.3.3 adds new real servers twice.
            .filter(|l| !l.contains("Destination already exists"))
            .map(str::to_owned)
            .collect();
        lines.sort();
        self.seen.append(&mut lines);
        self.seen
    }
}

fn write(node: &Node, conf: &str) {
    let dir = node.dir();
    let conf = conf.replace("DIR", &dir.display().to_string());
    fs::write(dir.join("new"), conf).unwrap();
    fs::rename(dir.join("new"), dir.join("k.conf")).unwrap();
}

/// `(address, its check)` of each real server.
fn service(name: &str, more: &str, reals: &[(&str, &str)]) -> String {
    let mut text = format!(
        "virtual_server {name} {{\n lb_algo rr\n lb_kind NAT\n protocol TCP\n {more}\n\
         quorum_up \"DIR/note {name} up\"\n quorum_down \"DIR/note {name} down\"\n"
    );
    for (address, check) in reals {
        text += &format!(
            "real_server {address} {{\n notify_down \"DIR/note {address} down\"\n {check}\n}}\n"
        );
    }
    text + "}\n"
}

const GLOBAL: &str = "global_defs {\n router_id r\n script_user root\n enable_script_security\n}\n";
/// Not before the test is over.
const LATER: &str = "TCP_CHECK {\n warmup 100000000\n}";
/// The same, and down until then.
const ALPHA: &str = "TCP_CHECK {\n alpha\n warmup 100000000\n}";

/// Addresses and marks leave groups; two virtual servers share one. (2.3.3 crashes when some come.)
fn groups(make: Make, programs: &Programs) -> Vec<String> {
    let conf = |first: &str, second: &str| {
        let one = [("127.0.0.1 80", LATER), ("127.0.0.2 80", ALPHA)];
        let udp = service("group A", "", &one).replace("protocol TCP", "protocol UDP");
        format!(
            "{GLOBAL}virtual_server_group A {{\n{first}}}\nvirtual_server_group B {{\n{second}}}\n{}{udp}{}",
            service("group A", "", &one),
            service("group B", "inhibit_on_failure", &one),
        )
    };
    let first = " 10.99.1.5-7 80\n 10.99.1.1 81\n 10.99.1.2 81\n";
    let second = " 10.99.2.1 80\n 10.99.2.2 80\n fwmark 77 inet\n fwmark 78 inet\n";
    let mut life = Life::start("groups", make, programs, &conf(first, second));
    life.reload("the same", &conf(first, second));
    let fewer = " 10.99.1.1 81\n 10.99.1.2 81\n";
    life.reload("fewer", &conf(fewer, " 10.99.2.1 80\n fwmark 78 inet\n"));
    life.reload("one", &conf(" 10.99.1.2 81\n", " 10.99.2.1 80\n"));
    life.end()
}

/// Real servers are exchanged, and quorums with them.
fn exchanged(make: Make, programs: &Programs) -> Vec<String> {
    let conf = |quorum: &str, reals: &[(&str, &str)], sorry: &str| {
        let more = format!("quorum {quorum}\n {sorry}");
        let [one, two] = ["10.99.0.1 80", "10.99.0.2 80"].map(|n| service(n, &more, reals));
        format!("{GLOBAL}{one}{}", two.replace("sorry", "# sorry"))
    };
    let sorry = "sorry_server 127.0.0.9 80";
    let [a, b, c, d] = [
        "127.0.0.1 80",
        "127.0.0.2 80",
        "127.0.0.3 80",
        "127.0.0.4 80",
    ];
    let mut life = Life::start(
        "exchanged",
        make,
        programs,
        &conf("2", &[(a, LATER), (b, LATER)], sorry),
    );
    life.told(2);
    // Nobody is left, and who is new has to prove itself.
    life.reload(
        "alpha",
        &conf("2\n hysteresis 1", &[(c, ALPHA), (d, ALPHA)], sorry),
    );
    // Each real server, and both virtual ones twice: without their real servers, and with the new ones.
    life.told(2 + 4 + 4);
    life.reload(
        "inhibited",
        &conf(
            "1",
            &[(c, ALPHA), (a, LATER)],
            &format!("{sorry}\n inhibit_on_failure"),
        ),
    );
    life.reload("fewer", &conf("1", &[(c, ALPHA)], sorry));
    life.reload("all there", &conf("2", &[(a, LATER), (b, "")], sorry));
    life.end()
}

type Play = fn(Make, &Programs) -> Vec<String>;

#[test]
fn uml_ref_reloads_are_the_originals() {
    const TEST: &str = "uml_ref_reloads_are_the_originals";
    let Some(root) = need::originals(TEST) else {
        return;
    };
    if !uml::inside(TEST, uml::IPVS) {
        return;
    }
    let ours = Path::new(env!("CARGO_BIN_EXE_keepalived"));
    let programs = Programs::new(ours.parent().unwrap()).with_originals(&root);
    let plays: [(&str, Play); 2] = [("groups", groups), ("exchanged", exchanged)];
    let mut different = String::new();
    for (name, play) in plays {
        let [theirs, ours] = std::thread::scope(|scope| {
            let programs = &programs;
            [Make::Original, Make::Ours]
                .map(|make| scope.spawn(move || play(make, programs)))
                .map(|thread| thread.join().unwrap())
        });
        assert!(theirs.len() > 20, "{theirs:?}");
        if theirs != ours {
            let (theirs, ours) = (theirs.join("\n"), ours.join("\n"));
            different += &format!("{name}\n--- 2.3.3\n{theirs}\n--- ours\n{ours}\n");
        }
    }
    assert!(different.is_empty(), "{different}");
}
