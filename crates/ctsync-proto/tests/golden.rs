//! Recorded traffic of conntrackd 1.4.8: every message is read and written back to the same bytes, and a node that gets
//! it lists the same external cache.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod node;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ctsync_proto::Request;
use ctsync_proto::wire::{
    CT_DEL, CT_NEW, Codec, EXP_DEL, EXP_NEW, Frames, WordOrder, decode_conntrack, decode_expect,
};
use nfct::Attr;
use node::{Node, settings};

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata")
        .join(path)
}

/// Sender and bytes of every datagram of a capture.
fn capture(path: &Path) -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .map(|line| {
            let (sender, hex) = line.split_once(' ').unwrap();
            let bytes = (0..hex.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
                .collect();
            (sender.to_owned(), bytes)
        })
        .collect()
}

#[test]
fn every_recorded_message_is_read_and_written_back() {
    let mut messages = 0;
    for file in std::fs::read_dir(testdata("wire/ctsync")).unwrap() {
        let path = file.unwrap().path();
        // A stream's reads cut messages: join what one sender sent.
        let mut joined: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (sender, bytes) in capture(&path) {
            joined.entry(sender).or_default().extend(bytes);
        }
        for bytes in joined.values() {
            let mut frames = Frames::new(bytes);
            loop {
                let before = frames.rest();
                let Some(frame) = frames.next_frame() else {
                    break;
                };
                let frame = frame.unwrap();
                let recorded = &before[..before.len() - frames.rest().len()];
                let mut written = Vec::new();
                let mut codec = Codec {
                    timeouts: true,
                    window_scales: false,
                    order: WordOrder::Little,
                };
                match frame.header.kind {
                    CT_NEW..=CT_DEL => {
                        let ct = decode_conntrack(frame.body, WordOrder::Little).unwrap();
                        codec.window_scales = ct.has(Attr::TCP_WSCALE_ORIG);
                        codec.conntrack(&mut written, frame.header, &ct).unwrap();
                    }
                    EXP_NEW..=EXP_DEL => {
                        let exp = decode_expect(frame.body).unwrap();
                        codec.expect(&mut written, frame.header, &exp).unwrap();
                    }
                    _ => frame.header.encode_control(&mut written),
                }
                assert_eq!(written, recorded, "{path:?} {frame:?}");
                messages += 1;
            }
        }
    }
    assert!(messages > 900, "{messages}");
}

/// A listing without the ages, which depend on when it was made, in any order.
fn listing(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| l.split(" [active since").next().unwrap().to_owned())
        .collect();
    lines.sort();
    lines
}

/// Feeds node b with what a sent; at some moment of the replay its listings must be the recorded ones.
fn lists_like_the_original(name: &str, label: &str) {
    if WordOrder::HOST == WordOrder::Big {
        // The recorded nodes were little-endian, which a big-endian node misreads as the original does.
        return;
    }
    let sent = capture(&testdata(&format!("wire/ctsync/{name}.hex")));
    let golden = |ext| {
        let file = testdata(&format!("golden/conntrackd/listings/{name}.{label}.{ext}"));
        listing(&std::fs::read_to_string(file).unwrap())
    };
    let (text, xml) = (golden("txt"), golden("xml.txt"));
    assert!(!text.is_empty());
    let mut b = Node::new(settings());
    // Text and XML were asked for one after the other: each has its own moment.
    let (mut text_seen, mut xml_seen) = (false, false);
    let mut last = Vec::new();
    for (_, bytes) in sent.iter().filter(|(from, _)| from == "01") {
        b.receive(bytes);
        let mut all = b.ask(Request::DumpExternal { xml: false });
        all += &b.ask(Request::ExpectDumpExternal { xml: false });
        last = listing(&all);
        text_seen |= last == text;
        // The recordings hold no external expectations as XML.
        xml_seen |= listing(&b.ask(Request::DumpExternal { xml: true })) == xml;
    }
    assert!(
        text_seen && xml_seen,
        "{name}.{label}: text {text_seen}, XML {xml_seen}; at the end {last:#?}"
    );
}

#[test]
fn external_listings_are_the_originals() {
    for (name, label) in [
        ("01-ftfw-udp-basic", "est.b"),
        ("01-ftfw-udp-basic", "mid.b"),
        ("01-ftfw-udp-basic", "end.b"),
        ("02-ftfw-udp-attrs", "all.b"),
        ("02-ftfw-udp-attrs", "exp.b"),
        ("02-ftfw-udp-attrs", "pasv.b"),
        ("02-ftfw-udp-attrs", "port.b"),
        ("03-ftfw-udp-sctp-seqadj", "seqadj.b"),
        ("10-notrack-udp", "mid.b"),
    ] {
        lists_like_the_original(name, label);
    }
}
