//! The kernel's load balancing tables, in User Mode Linux: what `ipvsadm` shows is what it showed with keepalived 2.3.3 and the
//! same configuration (testdata/ipvs).
#![cfg(feature = "lvs")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::process::Command;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::lvs::Service as Written;
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};
use keepalived_rs::check::wanted::{Live, entries};
use keepalived_rs::ipvs::{Change, Entry, Ipvs, Table, sync_daemon, sync_id};
use netlink_wire::ipvs::{Destination, ServiceKey, SyncState, Timeouts};
use testkit::uml;

const CONF: &str = include_str!("../testdata/ipvs/all.conf");
const SHOWN: &str = include_str!("../testdata/ipvs/all.ipvsadm.txt");

fn run(line: &str) -> String {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn model() -> Model {
    let mut host = FakeHost::with_interfaces(&["lo", "eth0"]);
    host.source = MemorySource::one("/k.conf", CONF);
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    let options = ParseOptions::default();
    let parent = parse(&lines, Part::Parent, &host, &options, None).model;
    parse(&lines, Part::Checker, &host, &options, Some(&parent.global)).model
}

fn all_entries(model: &Model) -> Vec<Vec<Entry>> {
    let lvs = &model.lvs;
    lvs.virtual_servers
        .iter()
        .map(|server| {
            let group = match &server.service {
                Written::Group { name, .. } => lvs.groups.iter().find(|g| *g.name == **name),
                _ => None,
            };
            let live = Live {
                real_servers: server.real_servers.iter().map(|r| r.weight).collect(),
                sorry_server: None,
            };
            entries(server, group, &live, None)
        })
        .collect()
}

#[test]
fn uml_the_tables_are_the_originals() {
    let modules = [uml::IPVS, &["veth"]].concat();
    if !uml::inside("uml_the_tables_are_the_originals", &modules) {
        return;
    }
    run("ip link add eth0 type veth peer name eth1");
    run("ip link set eth0 up");
    let model = model();
    let mut ipvs = Ipvs::open(None, None).unwrap();
    start_daemons(&mut ipvs, &model);
    timeouts(&mut ipvs, &model);
    let mut table = Table::new();
    let wanted = all_entries(&model);
    let mut failed = 0;
    for entries in &wanted {
        let changes = table.change(&[], entries);
        failed += ipvs.apply(&changes).len();
    }
    // An IPv6 server of an IPv4 service can not be while daemons run, for the original neither.
    assert_eq!(failed, 1);
    assert_eq!(run("ipvsadm -Sn"), SHOWN);

    meddled_tables_are_put_right(&mut ipvs, &mut table, &wanted);
    stop_daemons(&mut ipvs, &model);
    follow_vrrp(&mut ipvs, &model);
    for entries in &wanted {
        let changes = table.change(entries, &[]);
        ipvs.apply(&changes);
    }
    assert_eq!(run("ipvsadm -Sn"), "");
    many_services(&mut ipvs, &wanted);
    a_socket_that_fails(&wanted);
}

/// Datagrams that the socket is too small for, and refusals that it has no room for: in the end the tables are as they should be.
fn a_socket_that_fails(wanted: &[Vec<Entry>]) {
    let servers = |weight| {
        let mut entry = wanted[0][0].clone();
        let server = entry.destinations[0];
        let address = |n: u8| ([10, 83, 0, n], 80).into();
        entry.destinations = (1..=200)
            .map(|n| Destination {
                address: address(n),
                weight,
                ..server
            })
            .collect();
        [entry]
    };
    let with = |setting: &str, bytes: &str, weight| {
        let path = format!("/proc/sys/net/core/{setting}");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let mut ipvs = Ipvs::open(None, None).unwrap();
        std::fs::write(&path, before).unwrap();
        // Everything is there already but the first time, so every request is refused.
        assert_eq!(ipvs.apply(&Table::new().change(&[], &servers(weight))), []);
        let shown = run("ipvsadm -Sn");
        assert_eq!(
            shown.matches(&format!("-w {weight}")).count(),
            200,
            "{setting}"
        );
    };
    with("wmem_default", "4608", 11);
    with("rmem_default", "2304", 12);
    run("ipvsadm -C");
}

fn meddled_tables_are_put_right(ipvs: &mut Ipvs, table: &mut Table, wanted: &[Vec<Entry>]) {
    let before = &wanted[0];
    let mut after = before.clone();
    after[0].destinations[1].weight = 9;
    let key = before[0].service.key;
    let weights = |ipvs: &mut Ipvs| -> Vec<u32> {
        let found = ipvs.destinations(&key).unwrap();
        let mut weights: Vec<u32> = found.iter().map(|d| d.destination.weight).collect();
        weights.sort_unstable();
        weights
    };
    let changes = table.change(before, &after);
    assert!(matches!(&changes[..], [Change::SetDestination(_, d)] if d.weight == 9));
    assert_eq!(ipvs.apply(&changes), []);
    assert_eq!(weights(ipvs), [3, 9]);
    let shown = ipvs.service(&key).unwrap();
    assert_eq!(shown.service, *before[0].service);

    // Somebody takes the real server away.
    run("ipvsadm -d -t 10.81.0.100:80 -r 10.82.0.12:8080");
    assert_eq!(ipvs.apply(&table.change(&after, before)), []);
    assert_eq!(weights(ipvs), [3, 7]);
    // Or everything.
    run("ipvsadm -C");
    assert_eq!(ipvs.apply(&table.change(before, &after)), []);
    assert_eq!(weights(ipvs), [9]);
    // What is there already is changed to what it should be.
    run("ipvsadm -E -t 10.81.0.100:80 -s rr");
    table.forget();
    for entries in wanted {
        ipvs.apply(&table.change(&[], entries));
    }
    assert_eq!(ipvs.services().unwrap().len(), 8);
    assert_eq!(run("ipvsadm -Sn").lines().count(), SHOWN.lines().count());
    assert_eq!(&*ipvs.service(&key).unwrap().service.scheduler, "wlc");
    assert_eq!(weights(ipvs), [3, 7]);
}

fn start_daemons(ipvs: &mut Ipvs, model: &Model) {
    let written = &model.global.lvs_sync_daemon;
    let id = sync_id(written, None);
    for state in [SyncState::Master, SyncState::Backup] {
        ipvs.stop_daemon(state, id, true);
        let daemon = sync_daemon(written, id, state).expect("it is configured");
        ipvs.start_daemon(&daemon, false);
    }
    assert_eq!(
        run("ipvsadm -l --daemon"),
        "master sync daemon (mcast=eth0, syncid=7, maxlen=1400, group=224.0.0.99, port=8850, ttl=3)\n\
         backup sync daemon (mcast=eth0, syncid=7, maxlen=1400, group=224.0.0.99, port=8850, ttl=3)\n"
    );
    assert_eq!(ipvs.daemons().len(), 2);
}

/// A VRRP instance becomes master, backup and master again.
fn follow_vrrp(ipvs: &mut Ipvs, model: &Model) {
    let written = &model.global.lvs_sync_daemon;
    for state in [SyncState::Master, SyncState::Backup, SyncState::Master] {
        ipvs.follow(written, 7, state);
        let running: Vec<SyncState> = ipvs.daemons().iter().map(|d| d.state).collect();
        assert_eq!(running, [state]);
    }
    ipvs.stop_daemon(SyncState::Master, 7, false);
}

fn stop_daemons(ipvs: &mut Ipvs, model: &Model) {
    let id = sync_id(&model.global.lvs_sync_daemon, None);
    for state in [SyncState::Master, SyncState::Backup] {
        ipvs.stop_daemon(state, id, false);
    }
    assert_eq!(ipvs.daemons(), []);
}

fn timeouts(ipvs: &mut Ipvs, model: &Model) {
    let times = model.global.lvs_timeouts;
    let wanted = Timeouts {
        tcp: times.tcp,
        tcp_fin: times.tcp_fin,
        udp: times.udp,
    };
    let before = run("ipvsadm -l --timeout");
    ipvs.set_timeouts(wanted);
    assert_eq!(
        run("ipvsadm -l --timeout"),
        "Timeout (tcp tcpfin udp): 100 20 30\n"
    );
    ipvs.restore_timeouts();
    assert_eq!(run("ipvsadm -l --timeout"), before);
}

/// More than one datagram's worth.
fn many_services(ipvs: &mut Ipvs, wanted: &[Vec<Entry>]) {
    let model = &wanted[0][0];
    let many: Vec<Entry> = (1..=100_u16)
        .map(|number| {
            let mut entry = model.clone();
            let mut service = (*entry.service).clone();
            service.key = ServiceKey::Address {
                protocol: 6,
                address: ([10, 81, 1, 1], number).into(),
            };
            entry.service = service.into();
            let first = entry.destinations[0];
            entry.destinations = (1..=20_u8)
                .map(|host| {
                    let mut to = first;
                    to.address.set_ip([10, 82, 1, host].into());
                    to
                })
                .collect();
            entry
        })
        .collect();
    let mut table = Table::new();
    let changes = table.change(&[], &many);
    assert_eq!(changes.len(), 2100);
    assert_eq!(ipvs.apply(&changes), []);
    assert_eq!(table.change(&many, &many), []);
    assert_eq!(ipvs.services().unwrap().len(), 100);
    let key = many[99].service.key;
    assert_eq!(ipvs.destinations(&key).unwrap().len(), 20);
    ipvs.flush();
    assert_eq!(ipvs.services().unwrap().len(), 0);
}

#[test]
fn uml_a_missing_scheduler_is_named() {
    if !uml::inside("uml_a_missing_scheduler_is_named", uml::IPVS) {
        return;
    }
    let mut ipvs = Ipvs::open(None, None).unwrap();
    let wanted = all_entries(&model());
    let mut entry = wanted[0][0].clone();
    let mut service = (*entry.service).clone();
    service.scheduler = "nosuch".into();
    entry.service = service.into();
    let changes = Table::new().change(&[], &[entry]);
    let failed = ipvs.apply(&changes);
    // The service, and what belongs to it.
    assert_eq!(failed, [0, 1, 2]);
}
