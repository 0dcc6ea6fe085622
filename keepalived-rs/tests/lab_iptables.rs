//! Rules and sets by iptables and ipset: those that keepalived 2.3.3 made from the same configuration when it was built with
//! iptables (testdata/iptables: rules of `iptables-save` and `ip6tables-save`, then `ipset save`, sorted and without sizes).
//! The machine must have the old iptables beside the one of nf_tables.
#![cfg(feature = "iptables")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testkit::link::cable;
use testkit::need;
use testkit::node::{Node, Process};
use testkit::sut::ours;

const LIMIT: Duration = Duration::from_secs(25);
const LEGACY: [&str; 4] = [
    "iptables",
    "iptables-restore",
    "ip6tables",
    "ip6tables-restore",
];

struct Lab {
    router: Node,
    _peer: Node,
    programs: PathBuf,
    daemon: Option<Process>,
}

impl Lab {
    /// `legacy`: which iptables the daemon finds.
    fn start(name: &str, legacy: bool, conf: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("iptables-{name}-{}", std::process::id()));
        let router = Node::new("r", &dir).unwrap();
        let peer = Node::new("p", &dir).unwrap();
        cable(&router, "eth0", &peer, "eth0").unwrap();
        router
            .net(|net| net.address("eth0", IpAddr::from([192, 0, 2, 1]), 24))
            .unwrap();
        for command in [
            "ip link set eth0 addrgenmode none",
            "ip -6 addr flush dev eth0 scope link",
            "ip addr add fe80::a/64 dev eth0 nodad",
            // The tables are there once they have been looked at.
            "iptables-legacy -w -n -L INPUT",
            "ip6tables-legacy -w -n -L INPUT",
        ] {
            let argv: Vec<&str> = command.split(' ').collect();
            router.check(&argv).unwrap();
        }
        let programs = router.dir().join("programs");
        fs::create_dir_all(&programs).unwrap();
        for program in LEGACY {
            let (stem, tail) = program.split_once('-').unwrap_or((program, ""));
            let tail = if tail.is_empty() { "" } else { "-restore" };
            let kind = if legacy { "legacy" } else { "nft" };
            let to = format!("/usr/sbin/{stem}-{kind}{tail}");
            let _ = symlink(to, programs.join(program));
        }
        fs::write(router.dir().join("keepalived.conf"), conf).unwrap();
        let mut lab = Self {
            router,
            _peer: peer,
            programs,
            daemon: None,
        };
        lab.spawn();
        lab
    }

    fn spawn(&mut self) {
        let conf = self.router.dir().join("keepalived.conf");
        let path = format!(
            "PATH={}:/usr/sbin:/usr/bin:/sbin:/bin",
            self.programs.display()
        );
        let argv = [
            "env",
            &path,
            &ours(env!("CARGO_BIN_EXE_keepalived")),
            "-n",
            "-l",
            "-D",
            "-G",
            "-f",
            conf.to_str().unwrap(),
        ];
        self.daemon = Some(self.router.spawn("keepalived.log", &argv).unwrap());
    }

    fn stop(&mut self) {
        let status = self.daemon.take().unwrap().stop().expect("it ends");
        assert!(status.success(), "{status}\n{}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.router.dir().join("keepalived.log")).unwrap_or_default()
    }

    /// Rules of both families, then members of sets.
    fn shown(&self) -> Vec<String> {
        let mut all = Vec::new();
        for command in ["iptables-legacy-save", "ip6tables-legacy-save"] {
            let text = self.router.check(&[command, "-t", "filter"]).unwrap();
            all.extend(
                text.lines()
                    .filter(|l| l.starts_with("-A"))
                    .map(str::to_owned),
            );
        }
        let text = self.router.check(&["ipset", "save"]).unwrap();
        let mut sets: Vec<String> = text
            .lines()
            .map(|l| l.split(" hashsize").next().unwrap_or(l).to_owned())
            .collect();
        sets.sort();
        all.extend(sets);
        all
    }

    fn wait(&self, wanted: &str) {
        let wanted: Vec<&str> = wanted.lines().collect();
        let end = Instant::now() + LIMIT;
        while self.shown() != wanted {
            assert!(
                Instant::now() < end,
                "expected\n{}\nfound\n{}\n{}",
                wanted.join("\n"),
                self.shown().join("\n"),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn ready(test: &str) -> bool {
    need::root(test)
        && (Path::new("/usr/sbin/iptables-legacy").exists()
            && Path::new("/usr/sbin/ipset").exists()
            || need::skip(test, "it needs iptables-legacy and ipset"))
}

fn recorded(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/iptables");
    fs::read_to_string(path.join(file)).unwrap()
}

#[test]
fn lab_rules_and_sets_are_the_originals() {
    if !ready("lab_rules_and_sets_are_the_originals") {
        return;
    }
    let cases = ["addresses", "sets-vmac6", "vmac4", "sets-vmac4", "vmac6"];
    std::thread::scope(|scope| {
        for name in cases {
            scope.spawn(move || {
                let mut lab = Lab::start(name, true, &recorded(&format!("{name}.conf")));
                lab.wait(&recorded(&format!("{name}.txt")));
                lab.stop();
                lab.wait("");
            });
        }
    });
}

#[test]
fn lab_a_front_end_of_nf_tables_is_not_used() {
    if !ready("lab_a_front_end_of_nf_tables_is_not_used") {
        return;
    }
    let mut lab = Lab::start("nft", false, &recorded("sets-vmac4.conf"));
    let end = Instant::now() + LIMIT;
    while !lab
        .router
        .check(&["nft", "list", "ruleset"])
        .unwrap()
        .contains("192.0.2.100")
    {
        assert!(Instant::now() < end, "{}", lab.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(lab.log().contains(
        "Not using iptables since iptables uses nf_tables - please update configuration"
    ));
    assert_eq!(lab.shown(), [""; 0]);
    lab.stop();
}
