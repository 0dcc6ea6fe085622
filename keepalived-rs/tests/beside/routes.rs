//! Routes and rules: each option of `virtual_routes`, `virtual_rules` and the static ones, as `ip` shows what the kernel got; and
//! what follows when somebody takes one away.

use crate::life::{Life, beside};

/// One line each: options as `ip` has them; many of one kind are tried at once where they do not exclude each other.
const ROUTES_V4: &[&str] = &[
    "192.0.2.0/28 via 10.9.0.7 dev d0",
    "src 10.9.0.1 to 192.0.2.16/28 via 10.9.0.7 dev d0 metric 17",
    "192.0.2.32/28 dev d0 scope link",
    "192.0.2.33 dev d0 scope host table 900",
    "192.0.2.48/28 gw 10.9.0.7 table 500",
    "192.0.2.48/29 via 10.9.0.7 table default",
    "192.0.2.64/28 via 10.9.0.7 tos 0x10",
    "192.0.2.65 via 10.9.0.7 dsfield AF11",
    "192.0.2.80/28 via 10.9.0.7 protocol 99 no_track",
    "192.0.2.81 via 10.9.0.7 protocol bird no_track",
    "192.0.2.96/28 via 203.0.113.9 dev d0 onlink",
    "192.0.2.112/28 via 10.9.0.7 dev d0 mtu 1400 advmss 1300 hoplimit 9 window 7000 cwnd 4 ssthresh 5 reordering 6",
    "192.0.2.113 via 10.9.0.7 dev d0 mtu lock 1401 advmss lock 1301 window 7001",
    "192.0.2.114 via 10.9.0.7 dev d0 rtt 20ms rttvar 30ms rto_min 40ms",
    "192.0.2.115 via 10.9.0.7 dev d0 rtt 2s rttvar 3s rto_min 1s",
    "192.0.2.116 via 10.9.0.7 dev d0 initcwnd 11 initrwnd 12 features ecn quickack 1",
    "192.0.2.117 via 10.9.0.7 dev d0 fastopen_no_cookie 1",
    "192.0.2.118 via 10.9.0.7 dev d0 congctl reno",
    "192.0.2.119 via 10.9.0.7 dev d0 congctl lock reno",
    "192.0.2.120 via 10.9.0.7 dev d0 cwnd lock 4 ssthresh lock 5 rtt lock 8ms",
    "192.0.2.128/28 via 10.9.0.7 dev d0 realms 3/4",
    "192.0.2.129 via 10.9.0.7 dev d0 realms cosmos",
    "blackhole 192.0.2.144/28",
    "unreachable 192.0.2.145",
    "prohibit 192.0.2.146",
    "throw 192.0.2.147 table 500",
    "local 192.0.2.148 dev d0",
    "broadcast 192.0.2.149 dev d0",
    "nat 192.0.2.150 via 10.9.0.7",
    "multicast 239.7.7.0/24 dev d0",
    "192.0.2.160/28 nexthop via 10.9.0.7 dev d0 weight 1 nexthop via 10.9.2.7 dev d1 weight 256",
    "192.0.2.161 nexthop via 203.0.113.7 dev d0 onlink nexthop via 10.9.2.7 realms 5/6",
    "192.0.2.162 metric 4 table 500 nexthop via 10.9.0.7 nexthop dev d1 weight 3",
    "192.0.2.163 via 10.9.0.7 or 10.9.2.7",
    "192.0.2.176/28 encap ip id 7 dst 10.9.0.9 src 10.9.0.1 tos 8 ttl 9 dev tun0",
    "192.0.2.177 encap mpls 200/300 via 10.9.0.7 dev d0",
    "192.0.2.178 encap ip6 id 8 dst 2001:db8::9 src 2001:db8::1 tc 4 hoplimit 5 dev tun0",
    "192.0.2.180 via 10.9.0.7 dev d0 ttl-propagate enabled encap mpls 17",
    "192.0.2.181 via 10.9.0.7 dev d0 ttl-propagate disabled encap mpls 18",
    "192.0.2.192/28 via inet6 fe80::7 dev d0",
    "append 192.0.2.208/28 via 10.9.0.7 metric 3",
    "192.0.2.208/28 via 10.9.0.8 metric 3 append",
    "192.0.2.209 via 10.9.0.7 add",
    "192.0.2.210 via 10.9.0.7 prepend",
    "192.0.2.210 via 10.9.0.8 prepend",
    "192.0.2.211 via 10.9.0.7 preference 77",
    "default via 10.9.0.7 dev d0 metric 1000",
];

const ROUTES_V6: &[&str] = &[
    "2001:db8:1::/64 via 2001:db8::7 dev d0",
    "inet6 2001:db8:2::/64 dev d0 metric 44",
    "src 2001:db8::1 to 2001:db8:3::/64 via 2001:db8::7",
    "2001:db8:4::/64 from 2001:db8::/64 via 2001:db8::7 dev d0",
    "2001:db8:5::/64 via fe80::7 dev d0 pref high",
    "2001:db8:6::/64 via fe80::7 dev d0 pref low",
    "2001:db8:7::/64 via fe80::7 dev d0 pref medium",
    "2001:db8:8::/64 via fe80::7 dev d0 expires 3000",
    "2001:db8:9::/64 nexthop via 2001:db8::7 dev d0 nexthop via fe80::8 dev d1 weight 4",
    "blackhole 2001:db8:a::/64",
    "unreachable 2001:db8:b::/64 table 500",
    "2001:db8:c::/64 via 2001:db8::7 mtu 1300 hoplimit 3 advmss 1200 metric 3",
    "2001:db8:d::/64 encap ip6 id 8 dst 2001:db8::9 tc 4 hoplimit 5 dev tun0",
    "2001:db8:e::/64 encap ila 1:2:3:4 via 2001:db8::7 dev d0",
    "2001:db8:f::/64 encap mpls 100 via 2001:db8::7 dev d0",
    "default6 via fe80::7 dev d0 table 500",
];

const RULES: &[&str] = &[
    "from 10.1.0.0/16 table 500 priority 2000",
    "to 10.2.0.0/16 lookup local preference 2001",
    "not from 10.3.0.0/16 table 500 priority 2002",
    "from 10.4.0.1 to 10.4.0.2 tos 0x10 table 500 priority 2003",
    "fwmark 7 table 500 priority 2004",
    "fwmark 7/0xff table 500 priority 2005",
    "from 10.5.0.0/16 realms 3/4 table 500 priority 2006",
    "from 10.6.0.0/16 table main suppress_prefixlength 0 priority 2007",
    "from 10.6.1.0/24 table main sup_group 4 priority 2008",
    "iif d0 table 500 priority 2009",
    "oif d1 table 500 priority 2010",
    "dev d0 oif d1 table 500 order 2011",
    "tunnel-id 77 table 500 priority 2012",
    "uidrange 100-200 table 500 priority 2013",
    "l3mdev priority 2014",
    "from 10.7.0.0/16 table 500 protocol 99 no_track priority 2015",
    "ipproto tcp sport 80 table 500 priority 2016",
    "ipproto 17 dport 1000-2000 sport 5-6 table 500 priority 2017",
    "from 10.8.0.0/16 goto 2020 priority 2018",
    "from 10.8.1.0/24 nop priority 2019",
    "from 10.8.2.0/24 blackhole priority 2020",
    "from 10.8.3.0/24 unreachable priority 2021",
    "from 10.8.4.0/24 type prohibit priority 2022",
    "inet6 from 2001:db8:1::/64 table 500 priority 2030",
    "to 2001:db8:2::/64 table default priority 2031",
    "inet6 fwmark 9 table 500 priority 2032",
    "inet6 iif d0 table 500 priority 2033",
    "inet6 ipproto udp dport 53 table 500 priority 2034",
    "inet6 uidrange 5-6 table 500 priority 2035",
];

fn block(name: &str, lines: &[&[&str]]) -> String {
    let lines: Vec<&str> = lines.iter().flat_map(|l| l.iter().copied()).collect();
    format!("{name} {{\n {}\n}}\n", lines.join("\n "))
}

fn instance(more: &str) -> String {
    format!(
        "vrrp_instance A {{\n interface d0\n virtual_router_id 51\n advert_int 0.2\n version 3\n priority 200\n\
         virtual_ipaddress {{\n 10.9.0.100/24\n }}\n{more}}}\n"
    )
}

const GLOBALS: &str = "global_defs {\n vrrp_garp_master_delay 0\n vrrp_garp_master_repeat 1\n}\n";

fn links(life: &Life<'_>) {
    for (name, peer, n) in [("d0", "p0", 0), ("d1", "p1", 2)] {
        life.sh(&format!("ip link add {name} type veth peer name {peer}"));
        life.sh(&format!("ip link set {name} up"));
        life.sh(&format!("ip link set {peer} up"));
        life.sh(&format!("ip addr add 10.9.{n}.1/24 dev {name}"));
        if n == 0 {
            life.sh(&format!("ip addr add 2001:db8::1/64 dev {name} nodad"));
        }
    }
    // What carries tunnel metadata, where the kernel has it.
    let _missing = life
        .node
        .run(&["ip", "link", "add", "tun0", "type", "vxlan", "external"]);
    let _missing = life.node.run(&["ip", "link", "set", "tun0", "up"]);
}

/// What the kernel has of ours.
fn shown(life: &Life<'_>) -> Vec<String> {
    let mut out = Vec::new();
    for line in [
        "ip -4 -d -N route show table all",
        "ip -6 -d -N route show table all",
        "ip -4 -d -N rule",
        "ip -6 -d -N rule",
    ] {
        let text = life.sh(line);
        let lines = text
            .lines()
            .filter(|l| !l.contains("proto 2 ") && !l.contains("fe80::/64"));
        let lines = lines.map(|l| {
            // Link-local addresses are those of the links; times run.
            let words = l.split_whitespace().map(|w| match w.strip_suffix("sec") {
                Some(n) if n.parse::<u32>().is_ok() => "Nsec",
                _ => w,
            });
            words.collect::<Vec<_>>().join(" ")
        });
        out.extend(lines);
        out.push(String::new());
    }
    out
}

/// Until nothing changes any more.
fn settled(life: &Life<'_>) -> Vec<String> {
    let mut last = shown(life);
    let mut same = 0;
    life.wait("tables at rest", || {
        std::thread::sleep(std::time::Duration::from_millis(60));
        let now = shown(life);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same == 3
    });
    last
}

/// The tables while it runs and what is left afterwards; lines of complaints.
fn live(life: &mut Life<'_>, conf: &str) -> Vec<String> {
    let before = settled(life);
    life.start(conf);
    life.until("(A) Entering MASTER STATE", 1);
    let mut seen = settled(life);
    life.stop();
    // The original leaves routes that it did not recognise in the kernel's news.
    if life.is_ours() {
        assert_eq!(settled(life), before);
    }
    let complaints = [
        "oute",
        "ule",
        "rror",
        "nvalid",
        "WARNING",
        "not found",
        "realms",
        "metric",
    ];
    let mut lines = life.lines(&complaints);
    // What the kernel refuses shows in the tables.
    lines.retain(|l| !l.starts_with("Netlink: error") && !l.starts_with("  - "));
    lines.retain(|l| l.contains(": Line ") || !l.contains("/k.conf"));
    lines.retain(|l| !l.contains("keepalived was built"));
    let dir = life.node.dir().display().to_string();
    seen.extend(lines.into_iter().map(|l| l.replace(&dir, "DIR")));
    seen
}

#[test]
fn ref_each_option_of_virtual_routes_and_rules() {
    beside("ref_each_option_of_virtual_routes_and_rules", |life| {
        links(life);
        let routes = block("virtual_routes", &[ROUTES_V4, ROUTES_V6]);
        let rules = block("virtual_rules", &[RULES]);
        live(
            life,
            &format!("{GLOBALS}{}", instance(&format!("{routes}{rules}"))),
        )
    });
}

#[test]
fn ref_each_option_of_static_routes_and_rules() {
    beside("ref_each_option_of_static_routes_and_rules", |life| {
        links(life);
        let routes = block("static_routes", &[ROUTES_V4, ROUTES_V6]);
        let rules = block("static_rules", &[RULES]);
        live(life, &format!("{GLOBALS}{routes}{rules}{}", instance("")))
    });
}

/// Routes and rules of an instance: without them it is no master; static ones come back; `no_track` is left alone.
#[test]
fn ref_somebody_removes_routes_and_rules() {
    beside("ref_somebody_removes_routes_and_rules", |life| {
        links(life);
        let conf = format!(
            "{GLOBALS}static_routes {{\n 192.0.2.1 via 10.9.0.7 dev d0\n 192.0.2.2 via 10.9.0.7 dev d0 no_track\n}}\n\
             static_rules {{\n from 10.1.0.1 table 500 priority 3000\n from 10.1.0.2 table 500 priority 3001 no_track\n}}\n{}",
            instance(
                "virtual_routes {\n 192.0.2.3 via 10.9.0.7 dev d0\n 192.0.2.4 via 10.9.0.7 dev d0 no_track\n}\n\
                 virtual_rules {\n from 10.1.0.3 table 500 priority 3002\n from 10.1.0.4 table 500 priority 3003 no_track\n}\n"
            )
        );
        life.start(&conf);
        life.until("(A) Entering MASTER STATE", 1);
        let mut seen = settled(life);
        for n in [2, 4] {
            life.sh(&format!("ip route del 192.0.2.{n}"));
            life.sh(&format!("ip rule del from 10.1.0.{n} table 500"));
        }
        seen.extend(settled(life));
        life.sh("ip route del 192.0.2.1");
        life.until("Restoring deleted static route", 1);
        life.sh("ip rule del from 10.1.0.1 table 500");
        life.until("Restoring deleted static rule", 1);
        seen.extend(settled(life));
        life.sh("ip route del 192.0.2.3");
        life.until("(A) Entering MASTER STATE", 2);
        seen.extend(settled(life));
        life.sh("ip rule del from 10.1.0.3 table 500");
        life.until("(A) Entering MASTER STATE", 3);
        seen.extend(settled(life));
        // A route goes with its interface and comes back with it.
        life.sh("ip link set d0 down");
        life.until("(A) Entering FAULT STATE", 1);
        life.sh("ip link set d0 up");
        life.until("(A) Entering MASTER STATE", 4);
        seen.extend(settled(life));
        life.stop();
        seen.extend(settled(life));
        seen.extend(life.lines(&["(A) ", "Restoring", "static"]));
        seen
    });
}
