//! Messages with every attribute that there is, as a peer sends them: ours and the original list the same and put the same into
//! the kernel.
#![expect(
    clippy::expect_used,
    reason = "a test ends where something is not as it must be"
)]

mod stranger;

use std::path::Path;

use ctsync_proto::wire::{CT_NEW, CT_UPD, Codec, EXP_NEW, Header, VERSION, WordOrder};
use nfct::{Attr, Conntrack, ExpAttr, Expect, NatTuple, SeqAdj, Synproxy, Tuple, proto};
use stranger::{Target, wait_for};

fn flow(l4: u8, number: u8) -> Conntrack {
    let src = format!("10.1.0.{number}").parse().expect("an address");
    let dst = "10.2.0.2".parse().expect("an address");
    let mut tuple = Tuple::new(src, dst, l4).expect("one family");
    match l4 {
        proto::ICMP => tuple.set_icmp(8, 0, 0x1234),
        _ => tuple.set_ports(1000, 80),
    }
    let mut ct = Conntrack::with_orig(tuple);
    ct.set_status(0x18e);
    ct.set_timeout(3000);
    ct
}

/// One of each, and what belongs together.
fn objects() -> Vec<Conntrack> {
    let mut all = Vec::new();
    let mut plain = flow(proto::TCP, 1);
    plain.set_protoinfo(Attr::TCP_STATE, |p| p.state = 3);
    plain.set_mark(0xdead_beef);
    plain.set_labels([1 << 3, 0, 0, 1 << 4].into());
    all.push(plain.clone());
    let mut scaled = flow(proto::TCP, 2);
    let scales = Attr::TCP_STATE
        .with(Attr::TCP_WSCALE_ORIG)
        .with(Attr::TCP_WSCALE_REPL);
    scaled.set_protoinfo(scales, |p| {
        p.state = 5;
        p.wscale = [7, 9];
    });
    all.push(scaled);
    let mut adjusted = flow(proto::TCP, 3);
    adjusted.set_protoinfo(Attr::TCP_STATE, |p| p.state = 3);
    adjusted.set_status(0x1de);
    adjusted.set_snat_addr(2, address([10, 2, 0, 1]));
    adjusted.set_snat_port(4000);
    let adj = |n| SeqAdj {
        correction_pos: n,
        offset_before: 2,
        offset_after: n + 5,
    };
    adjusted.set_seq_adj_orig(adj(100));
    adjusted.set_seq_adj_repl(adj(200));
    adjusted.set_helper("ftp".into());
    all.push(adjusted);
    let mut answered = flow(proto::TCP, 4);
    answered.set_protoinfo(Attr::TCP_STATE, |p| p.state = 3);
    answered.set_synproxy(Synproxy {
        isn: 5,
        its: 6,
        tsoff: 7,
    });
    all.push(answered);
    // Expected by the one before the last's helper.
    let mut related = flow(proto::TCP, 5);
    related.set_protoinfo(Attr::TCP_STATE, |p| p.state = 3);
    related.set_status(0x18f);
    related.set_master(plain.orig);
    all.push(related);
    let mut sctp = flow(proto::SCTP, 6);
    sctp.set_protoinfo(Attr::SCTP_STATE, |p| p.state = 4);
    sctp.set_vtag_orig(0x1122_3344);
    sctp.set_vtag_repl(0x5566_7788);
    all.push(sctp);
    let mut dccp = flow(proto::DCCP, 7);
    dccp.set_protoinfo(Attr::DCCP_STATE.with(Attr::DCCP_ROLE), |p| {
        p.state = 4;
        p.role = 1;
    });
    all.push(dccp);
    let mut translated = flow(proto::UDP, 8);
    translated.set_status(0x1ae);
    translated.set_dnat_addr(2, address([10, 7, 0, 7]));
    translated.set_dnat_port(5301);
    all.push(translated);
    all.push(flow(proto::ICMP, 9));
    all.push(flow(proto::UDPLITE, 10));
    all.push(flow(proto::GRE, 11));
    all.push(flow(253, 12));
    let mut zoned = flow(proto::UDP, 13);
    zoned.set_zone(7);
    all.push(zoned);
    all
}

fn address(v4: [u8; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&v4);
    bytes
}

fn expectation() -> Expect {
    let master = flow(proto::TCP, 3).orig;
    let mut expected = Tuple::new(
        "10.2.0.2".parse().expect("an address"),
        "10.2.0.1".parse().expect("an address"),
        proto::TCP,
    )
    .expect("one family");
    let mut mask = expected;
    mask.set_v4([255; 4], [255; 4]);
    mask.set_ports(0, 0xffff);
    expected.set_ports(0, 4001);
    let mut to = expected;
    to.set_v4([10, 1, 0, 3], [0; 4]);
    to.set_ports(4001, 0);
    Expect {
        set: ExpAttr::MASTER
            .with(ExpAttr::EXPECTED)
            .with(ExpAttr::MASK)
            .with(ExpAttr::FLAGS)
            .with(ExpAttr::CLASS)
            .with(ExpAttr::TIMEOUT),
        master,
        expected,
        mask,
        timeout: 300,
        nat: Some(Box::new(NatTuple { tuple: to, dir: 1 })),
        helper: Some("ftp".into()),
        function: Some("nat-follow-master".into()),
        ..Expect::default()
    }
}

fn datagrams() -> Vec<Vec<u8>> {
    let codec = Codec {
        timeouts: true,
        window_scales: true,
        order: WordOrder::HOST,
    };
    let mut sequence = 1000;
    let mut header = |kind| {
        sequence += 1;
        Header {
            version: VERSION,
            kind,
            sequence,
            ..Header::default()
        }
    };
    let mut all = Vec::new();
    for ct in objects() {
        let mut bytes = Vec::new();
        codec
            .conntrack(&mut bytes, header(CT_NEW), &ct)
            .expect("it fits");
        all.push(bytes);
    }
    let mut bytes = Vec::new();
    codec
        .expect(&mut bytes, header(EXP_NEW), &expectation())
        .expect("it fits");
    all.push(bytes);
    // An update says less: what it leaves out stays.
    let mut update = flow(proto::TCP, 1);
    update.set_protoinfo(Attr::TCP_STATE, |p| p.state = 4);
    let mut bytes = Vec::new();
    codec
        .conntrack(&mut bytes, header(CT_UPD), &update)
        .expect("it fits");
    all.push(bytes);
    all
}

/// What operators and the kernel show after these messages and a commit.
fn story(original: Option<&Path>) -> Vec<Vec<String>> {
    let target = Target::start_with(
        "attributes",
        original,
        "FTFW",
        "Options {\n  ExpectationSync on\n }",
    );
    // Labels have room only where a rule speaks of them; the helper must be known.
    let rules = "add table ip t; add chain ip t c { type filter hook prerouting priority -150; }; \
                 add ct helper ip t ftp { type \"ftp\" protocol tcp; }; \
                 add rule ip t c tcp dport 21 ct label set 3 ct helper set \"ftp\"";
    target.node.check(&["nft", rules]).expect("nft");
    target.send(datagrams());
    let count = objects().len();
    wait_for("the flows", || {
        target.ask(&["-e"]).lines().count() == count
            && target.ask(&["-e"]).contains("FIN_WAIT src=10.1.0.1 ")
    });
    let sorted = |text: String| -> Vec<String> {
        let mut lines: Vec<String> = text
            .lines()
            .map(|line| {
                let line = line.split(" [active since").next().unwrap_or_default();
                // Timeouts run.
                line.split_whitespace()
                    .filter(|word| !word.parse::<u32>().is_ok_and(|n| (280..=3000).contains(&n)))
                    .filter(|word| !word.starts_with("use="))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        lines.sort();
        lines
    };
    let mut seen = vec![
        sorted(target.ask(&["-e"])),
        sorted(target.ask(&["-e", "-x"])),
        sorted(target.ask(&["-e", "expect"])),
        sorted(target.ask(&["-e", "expect", "-x"])),
    ];
    target.ask(&["-c"]);
    wait_for("the commit", || {
        target.daemon.output().contains("new expectations")
    });
    let table = |words: &[&str]| {
        let text = target.node.check(words).expect("conntrack");
        let mut lines = sorted(text);
        lines.retain(|line| !line.contains("172.16.0."));
        lines
    };
    seen.push(table(&["conntrack", "-L", "-o", "extended"]));
    seen.push(table(&["conntrack", "-L", "expect"]));
    let log = target.daemon.output();
    let log = log
        .lines()
        .filter_map(|line| line.split_once(") "))
        .map(|(_, text)| text.to_owned())
        .filter(|text| !text.contains("commit has taken"));
    seen.push(log.collect());
    target.stop();
    seen
}

#[test]
fn ref_every_attribute_is_listed_and_committed_like_the_originals() {
    let name = "ref_every_attribute_is_listed_and_committed_like_the_originals";
    if !testkit::need::root(name) {
        return;
    }
    let Some(root) = testkit::need::originals(name) else {
        return;
    };
    let (ours, original) = (story(None), story(Some(&root)));
    for (a, b) in ours.iter().zip(&original) {
        assert_eq!(a, b);
        assert!(!a.is_empty());
    }
}
