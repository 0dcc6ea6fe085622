//! What 2.3.3 says about an instance between its start and SIGTERM five seconds later, alone on its link: unicast without peers,
//! sources that are not there, mixed families, strict mode, versions, intervals. Ours in virtual time.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;

use conf_parsers::diag::{PrefixStyle, render};
use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};
use keepalived_rs::text::log::Line;
use keepalived_rs::vrrp::lower::{Switches, lower};
use keepalived_rs::vrrp::objects::Objects;
use net_types::{Duration, IfIndex, Instant, MacAddr};
use vrrp_proto::config::LinkFacts;
use vrrp_proto::{Input, Output, Router};

use crate::capture::directory;

const START: Instant = Instant::from_micros(1_000_000_000);

fn drain(router: &mut Router, lines: &mut Vec<String>) {
    while let Some(output) = router.poll_output() {
        if let Output::Notice(notice) = output {
            let router = &*router;
            let notice = &notice;
            lines.push(Line { router, notice }.to_string());
        }
    }
}

fn told(conf: &str) -> Vec<String> {
    let mut host = FakeHost::with_interfaces(&["lo", "eth0", "eth1"]);
    host.source = MemorySource::one("/k.conf", conf);
    host.sysctls.insert(
        "net/ipv4/igmp_link_local_mcast_reports".to_owned(),
        "1".to_owned(),
    );
    let lines = read(&host, "/k.conf", &ReadOptions::default());
    let options = ParseOptions {
        log_detail: true,
        ..ParseOptions::default()
    };
    let parent = parse(&lines, Part::Parent, &host, &options, None);
    let global = &parent.model.global;
    let child = parse(&lines, Part::Vrrp, &host, &options, Some(global));
    let mut told = Vec::new();
    for (outcome, style) in [(&parent, PrefixStyle::Reader), (&child, PrefixStyle::Copy)] {
        let texts = outcome.diagnostics.iter();
        told.extend(texts.map(|d| render(d, &lines.files, style)));
    }
    if child.exit.is_some() {
        return told;
    }
    let mut config = lower(&child.model, &mut Objects::new(), Switches::default()).config;
    for interface in &mut config.interfaces {
        let second = u32::from(&*interface.name == "eth1");
        let there = interface.name.starts_with("eth");
        interface.link = LinkFacts {
            index: IfIndex::new(2 + second).filter(|_| there),
            up: there,
            flags: 0x1_1043,
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            v4: (second == 0).then_some(Ipv4Addr::new(10, 9, 0, 1)),
            v6: Some("fe80::ff:fe00:1".parse().unwrap()),
            base: None,
            changeable: there,
        };
    }
    let mut router = Router::new(config, START);
    router.handle(START, Input::Start);
    drain(&mut router, &mut told);
    let end = START + Duration::from_millis(5_300);
    while let Some(next) = router.next_timeout().filter(|t| *t < end) {
        router.handle_timeout(next);
        drain(&mut router, &mut told);
    }
    router.handle(end, Input::Shutdown);
    drain(&mut router, &mut told);
    told
}

#[test]
fn every_start() {
    let mut report = String::new();
    let mut count = 0;
    for entry in fs::read_dir(directory().join("start")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "conf") {
            continue;
        }
        count += 1;
        let expected = fs::read_to_string(path.with_extension("lines")).unwrap();
        let mut expected: Vec<&str> = expected.lines().collect();
        let mut ours = told(&fs::read_to_string(&path).unwrap());
        ours.retain(|l| l.starts_with('(') || l.starts_with("VRRP_Group"));
        // Timers of one moment and the two processes have no order.
        expected.sort_unstable();
        ours.sort_unstable();
        if ours != expected {
            writeln!(report, "{path:?}\n{expected:#?}\nours {ours:#?}").unwrap();
        }
    }
    assert!(report.is_empty(), "{report}");
    assert!(count >= 45, "{count}");
}
