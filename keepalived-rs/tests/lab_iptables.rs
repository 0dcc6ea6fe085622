//! Rules and sets by iptables and ipset, in the order of keepalived 2.3.3's sources (vrrp/vrrp_iptables.c): Debian's build of it,
//! which the other tests compare with, has no iptables. The machine must have the old iptables beside the one of nf_tables.
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
            env!("CARGO_BIN_EXE_keepalived"),
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

fn conf(global: &str, lines: &str) -> String {
    format!(
        "global_defs {{\n router_id r\n{global}\n}}\nvrrp_instance VI_1 {{\n state BACKUP\n interface eth0\n version 3\n virtual_router_id 51\n priority 150\n advert_int 0.3\n no_accept\n{lines}\n}}\n"
    )
}

const V4: &str = "virtual_ipaddress {\n 192.0.2.100/24\n}\nvirtual_ipaddress_excluded {\n 2001:db8::100/64\n fe80::100/64\n}";

#[test]
fn lab_rules_for_addresses() {
    if !ready("lab_rules_for_addresses") {
        return;
    }
    let mut lab = Lab::start("plain", true, &conf("vrrp_iptables\nvrrp_ipsets", V4));
    lab.wait(
        "-A INPUT -d 192.0.2.100/32 -j DROP
-A OUTPUT -s 192.0.2.100/32 -j DROP
-A INPUT -d 2001:db8::100/128 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT
-A INPUT -d 2001:db8::100/128 -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT
-A INPUT -d 2001:db8::100/128 -j DROP
-A INPUT -d fe80::100/128 -i eth0 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT
-A INPUT -d fe80::100/128 -i eth0 -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT
-A INPUT -d fe80::100/128 -i eth0 -j DROP
-A OUTPUT -s 2001:db8::100/128 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT
-A OUTPUT -s 2001:db8::100/128 -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT
-A OUTPUT -s 2001:db8::100/128 -j DROP
-A OUTPUT -s fe80::100/128 -o eth0 -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT
-A OUTPUT -s fe80::100/128 -o eth0 -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT
-A OUTPUT -s fe80::100/128 -o eth0 -j DROP",
    );
    lab.stop();
    lab.wait("");
}

#[test]
fn lab_sets_for_addresses_and_vmacs() {
    if !ready("lab_sets_for_addresses_and_vmacs") {
        return;
    }
    let lines = "native_ipv6\nuse_vmac\nvirtual_ipaddress {\n fe80::100/64\n 2001:db8::100/64\n}";
    let mut lab = Lab::start("sets", true, &conf("vrrp_iptables", lines));
    lab.wait(
        "-A INPUT -p ipv6-icmp -m set --match-set keepalived_if6 dst,src -m icmp6 --icmpv6-type 135 -j ACCEPT
-A INPUT -p ipv6-icmp -m set --match-set keepalived_if6 dst,src -m icmp6 --icmpv6-type 136 -j ACCEPT
-A INPUT -m set --match-set keepalived_if6 dst,src -j DROP
-A INPUT -p ipv6-icmp -m set --match-set keepalived6 dst -m icmp6 --icmpv6-type 135 -j ACCEPT
-A INPUT -p ipv6-icmp -m set --match-set keepalived6 dst -m icmp6 --icmpv6-type 136 -j ACCEPT
-A INPUT -m set --match-set keepalived6 dst -j DROP
-A OUTPUT -p ipv6-icmp -m set --match-set keepalived_mld dst,dst -m icmp6 --icmpv6-type 143 -j DROP
-A OUTPUT -p ipv6-icmp -m set --match-set keepalived_mld dst,dst -m icmp6 --icmpv6-type 131 -j DROP
-A OUTPUT -p ipv6-icmp -m set --match-set keepalived_nd src,dst -m icmp6 --icmpv6-type 136 -j DROP
-A OUTPUT -p ipv6-icmp -m set --match-set keepalived_if6 src,dst -m icmp6 --icmpv6-type 135 -j ACCEPT
-A OUTPUT -p ipv6-icmp -m set --match-set keepalived_if6 src,dst -m icmp6 --icmpv6-type 136 -j ACCEPT
-A OUTPUT -m set --match-set keepalived_if6 src,dst -j DROP
-A OUTPUT -p ipv6-icmp -m set --match-set keepalived6 src -m icmp6 --icmpv6-type 135 -j ACCEPT
-A OUTPUT -p ipv6-icmp -m set --match-set keepalived6 src -m icmp6 --icmpv6-type 136 -j ACCEPT
-A OUTPUT -m set --match-set keepalived6 src -j DROP
add keepalived6 2001:db8::100
add keepalived_if6 fe80::100,vrrp.51
add keepalived_mld ::/0,vrrp.51
add keepalived_nd fe80::a,vrrp.51
create keepalived6 hash:ip family inet6
create keepalived_if6 hash:net,iface family inet6
create keepalived_mld hash:net,iface family inet6
create keepalived_nd hash:net,iface family inet6",
    );
    lab.stop();
    lab.wait("");
}

#[test]
fn lab_a_front_end_of_nf_tables_is_not_used() {
    if !ready("lab_a_front_end_of_nf_tables_is_not_used") {
        return;
    }
    let mut lab = Lab::start("nft", false, &conf("vrrp_iptables", V4));
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
