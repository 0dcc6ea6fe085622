//! What the model of virtual servers, checkers and BFD sessions holds after reading and checking.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::check::{CheckKind, DnsType, HttpVersion};
use conf_parsers::keepalived::model::lvs::{
    ForwardingMethod, Granularity, GroupEntry, Protocol, Service, TunnelChecksum, TunnelKind,
};
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};

fn parsed(text: &str, part: Part) -> Model {
    let mut host = FakeHost::with_interfaces(&["lo", "eth0"]);
    host.source = MemorySource::one("/k.conf", text);
    host.source
        .files
        .insert("/bin/check".to_owned(), (0o755, Vec::new()));
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    parse(&lines, part, &host, &ParseOptions::default(), None).model
}

fn file(name: &str, part: Part) -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../testdata/conf/keepalived")
        .join(name);
    parsed(&fs::read_to_string(path).unwrap(), part)
}

#[test]
fn a_virtual_server_with_everything() {
    let lvs = file("lvs-good.conf", Part::Checker).lvs;
    assert!(lvs.uses_ssl && lvs.uses_ha_suspend);
    assert_eq!(lvs.ssl.unwrap().certificate.as_deref(), Some("/etc/cert"));
    let vs = &lvs.virtual_servers[0];
    assert_eq!(vs.to_string(), "[10.9.0.100]:tcp:80");
    assert_eq!(vs.scheduler, Some("sh"));
    assert_eq!(vs.flags.bits(), 0x18);
    assert_eq!(
        vs.persistence_granularity,
        Some(Granularity::V4([255, 255, 255, 0].into()))
    );
    assert_eq!(vs.smtp_alert, Some(false));
    assert_eq!(vs.times.delay_before_retry, Some(1_500_000));
    let sorry = vs.sorry_server.as_ref().unwrap();
    assert_eq!(sorry.forwarding.method, Some(ForwardingMethod::Tunnel));
    assert_eq!(sorry.forwarding.tunnel, TunnelKind::Gue);
    assert_eq!(sorry.forwarding.port, 5555);
    assert_eq!(sorry.forwarding.checksum, TunnelChecksum::Checksum);
    let rs = &vs.real_servers[0];
    assert_eq!(
        (rs.weight, rs.inhibit, rs.alpha),
        (Some(1), Some(false), Some(true))
    );
    let CheckKind::Http(http) = &rs.checkers[0].kind else {
        panic!("{:?}", rs.checkers[0]);
    };
    assert_eq!(http.version, HttpVersion::V1_1);
    let url = &http.urls[0];
    assert_eq!(url.path.as_ref().map(|p| &***p), Some("/"));
    assert!(url.status.contains(200) && url.status.contains(299) && !url.status.contains(300));
    assert_eq!(url.digest.unwrap()[..2], [0x9b, 0x3a]);
    let regex = url.regex.as_ref().unwrap();
    assert_eq!(&**regex.pattern, "a(b|c)");
    assert_eq!(regex.options, ["caseless", "utf"]);
    assert_eq!((regex.min_offset, regex.max_offset), (5, 11));
    let connection = rs.checkers[0].connection.as_ref().unwrap();
    assert_eq!(connection.target(rs.addr).to_string(), "10.9.0.11:8080");
    assert_eq!(connection.fwmark, 5);
    // From the real server.
    assert_eq!(connection.timeout, Some(3_000_000));
    assert_eq!(rs.checkers[0].times.delay_loop, Some(4_000_000));
    assert!(matches!(&rs.checkers[1].kind, CheckKind::Http(h) if h.ssl && h.tls_compliant));
}

#[test]
fn a_group_and_its_virtual_server() {
    let lvs = file("lvs-good.conf", Part::Checker).lvs;
    let group = &lvs.groups[0];
    let shown: Vec<String> = group.entries.iter().map(GroupEntry::to_string).collect();
    assert_eq!(
        shown,
        [
            "10.9.0.1,80",
            "10.9.0.2-10.9.0.9,80",
            "10.9.1.0-10.9.1.255,80",
            "10.9.2.1-10.9.3.1,80",
            "FWM 5"
        ]
    );
    let vs = &lvs.virtual_servers[1];
    assert!(matches!(&vs.service, Service::Group { member: 0, .. }));
    assert_eq!(vs.to_string(), "[G]:0");
    assert_eq!(vs.protocol, Some(Protocol::Udp));
    let kinds = &vs.real_servers[0].checkers;
    let CheckKind::Dns { record, name } = &kinds[0].kind else {
        panic!("{:?}", kinds[0]);
    };
    assert_eq!((*record, &**name), (DnsType::Aaaa, "example.com"));
    // The kind's own defaults: three retries at the period of the check.
    assert_eq!(kinds[0].times.retry, Some(3));
    assert_eq!(kinds[0].times.delay_before_retry, Some(60_000_000));
    let CheckKind::Udp(udp) = &kinds[1].kind else {
        panic!("{:?}", kinds[1]);
    };
    assert_eq!(udp.payload, [1, 2, 3]);
    assert_eq!(udp.reply, [(0, 0x0f), (0x0a, 0xf0)]);
    assert!(matches!(kinds[2].kind, CheckKind::Ping));
    assert!(kinds[3].log_all_failures);
    assert!(matches!(&kinds[4].kind, CheckKind::Smtp { helo } if &**helo == "me"));
}

#[test]
fn smtp_hosts_become_checkers() {
    let text = "virtual_server 10.0.0.1 25 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.0.0.2 25 {\n\
        SMTP_CHECK {\n helo_name h\n retry 4\n host {\n connect_ip 10.0.0.3\n }\n host {\n connect_port 26\n retry 5\n }\n }\n }\n}\n";
    let lvs = parsed(text, Part::Checker).lvs;
    let rs = &lvs.virtual_servers[0].real_servers[0];
    let targets: Vec<(String, Option<u32>)> = rs
        .checkers
        .iter()
        .map(|c| {
            let connection = c.connection.as_ref().unwrap();
            (connection.target(rs.addr).to_string(), c.times.retry)
        })
        .collect();
    assert_eq!(
        targets,
        [
            ("10.0.0.3:25".to_owned(), Some(4)),
            ("10.0.0.2:26".to_owned(), Some(5))
        ]
    );
}

#[test]
fn checks_reduce_and_correct() {
    let lvs = file("lvs-validate.conf", Part::Checker).lvs;
    let by_name = |name: &str| {
        let found = lvs.virtual_servers.iter().find(|vs| vs.to_string() == name);
        found.unwrap_or_else(|| panic!("{name}"))
    };
    let vs = by_name("[10.9.0.2]:udp:80");
    assert_eq!((vs.quorum, vs.hysteresis), (3, 2));
    assert_eq!(vs.real_servers.len(), 3);
    assert!(vs.real_servers.iter().all(|rs| rs.addr.port() == 80));
    let sorry = vs.sorry_server.as_ref().unwrap();
    assert!(sorry.inhibit && sorry.duplicates_real_server);
    let none = by_name("[2001:db8::9]:sctp:80");
    assert_eq!((none.quorum, none.hysteresis), (0, 0));
    let mark = by_name("FWM 6");
    assert_eq!(mark.real_servers[0].addr.port(), 0);
    assert!(!mark.ha_suspend && mark.protocol.is_none());
    assert_eq!(by_name("[10.9.0.1]:tcp:0").persistence_timeout, 360);
}

#[test]
fn each_process_has_its_view_of_bfd() {
    let bfd = file("bfd-good.conf", Part::Bfd).bfd;
    let b1 = &bfd.instances[0];
    assert_eq!(
        (b1.min_rx, b1.min_tx, b1.idle_tx),
        (100_000, 100_500, 1_000_000)
    );
    assert_eq!((b1.ttl, b1.max_hops, b1.port()), (100, 5, 4784));
    assert!(b1.vrrp && b1.checker && b1.passive);
    assert_eq!((bfd.instances[1].ttl, bfd.instances[1].max_hops), (5, 5));
    assert!(bfd.instances[1].vrrp && !bfd.instances[1].checker);
    assert_eq!(bfd.instances[2].ttl, 64);

    let tracked = file("bfd-good.conf", Part::Vrrp).bfd.tracked;
    let names: Vec<&str> = tracked.iter().map(|b| &*b.name.value).collect();
    assert_eq!(names, ["b1", "b2"]);
    assert_eq!((tracked[0].weight, tracked[0].reverse), (5, true));

    let sessions = file("bfd-good.conf", Part::Checker).lvs.bfd_sessions;
    let names: Vec<&str> = sessions.iter().map(|s| &*s.value).collect();
    assert_eq!(names, ["b1", "b3"]);
}

#[test]
fn a_script_that_must_not_run_takes_its_checker_along() {
    let text = "virtual_server 10.0.0.1 25 {\n lb_algo rr\n lb_kind NAT\n protocol TCP\n real_server 10.0.0.2 25 {\n\
        notify_up /bin/nosuch\n MISC_CHECK {\n misc_path \"/bin/check a 'b c'\"\n misc_timeout 3\n misc_dynamic\n }\n\
        MISC_CHECK {\n misc_path /bin/nosuch\n }\n }\n}\n";
    let lvs = parsed(text, Part::Checker).lvs;
    let rs = &lvs.virtual_servers[0].real_servers[0];
    assert!(rs.notify_up.is_none());
    let [only] = rs.checkers.as_slice() else {
        panic!("{:?}", rs.checkers);
    };
    let CheckKind::Misc {
        script,
        timeout,
        dynamic,
    } = &only.kind
    else {
        panic!("{only:?}");
    };
    assert_eq!(script.args, ["/bin/check", "a", "b c"]);
    assert_eq!((*timeout, *dynamic), (3_000_000, true));
    assert_eq!(only.times.retry, Some(0));
}

/// Packets to a mark have no port and direct routing keeps theirs; checks go to the port that was written.
#[test]
fn checks_go_to_the_port_that_was_written() {
    let block = |name: &str, kind: &str, port: &str, check: &str| {
        format!(
            "virtual_server {name} {{\n lb_kind {kind}\n protocol TCP\n real_server 10.9.0.1 {port} {{\n {check}\n }}\n}}\n"
        )
    };
    let tcp = "TCP_CHECK {\n }";
    let text = [
        block("fwmark 3", "DR", "8080", tcp),
        block("10.9.0.100 80", "TUN", "8080", tcp),
        block("10.9.0.101 80", "NAT", "8080", tcp),
        block(
            "10.9.0.102 80",
            "DR",
            "8080",
            "TCP_CHECK {\n connect_port 9\n }",
        ),
        block("10.9.0.103 80", "DR", "80", tcp),
    ];
    let servers = parsed(&text.concat(), Part::Checker).lvs.virtual_servers;
    let ports = servers.iter().map(|vs| {
        let rs = &vs.real_servers[0];
        let connection = rs.checkers[0].connection.as_ref().unwrap();
        (rs.addr.port(), connection.target(rs.addr).port())
    });
    let ports: Vec<_> = ports.collect();
    assert_eq!(
        ports,
        [(0, 8080), (80, 8080), (8080, 8080), (80, 9), (80, 80)]
    );
}

/// What the parent fills in at the start, a child fills in itself when it reads the globals at a reload: without a time limit no
/// mail would be sent any more.
#[test]
fn a_child_that_reloads_has_the_defaults_of_globals() {
    let text = "global_defs {\n smtp_server 10.9.0.2\n notification_email {\n a@b\n }\n\
        notify_fifo /run/f\n vrrp_notify_fifo /run/f\n lvs_notify_fifo /run/f\n}\n";
    let mut host = FakeHost::with_interfaces(&["eth0"]);
    host.source = MemorySource::one("/k.conf", text);
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    let options = ParseOptions {
        reload: true,
        ..ParseOptions::default()
    };
    for part in [Part::Vrrp, Part::Checker, Part::Bfd] {
        let global = parse(&lines, part, &host, &options, None).model.global;
        assert_eq!(global.smtp_connect_timeout, 30_000_000, "{part:?}");
        assert!(global.router_id.is_some() && global.smtp_helo_name.is_some());
        assert_eq!(global.vrrp_notify_fifo.name.is_none(), part == Part::Vrrp);
        assert_eq!(global.lvs_notify_fifo.name.is_none(), part == Part::Checker);
    }
}
