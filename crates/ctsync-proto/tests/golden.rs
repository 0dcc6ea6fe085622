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

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
        .collect()
}

/// Sender and bytes of every datagram of a capture.
fn capture(path: &Path) -> Vec<(String, Vec<u8>)> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .map(|line| {
            let (sender, hex) = line.split_once(' ').unwrap();
            (sender.to_owned(), bytes_of(hex))
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

/// A recording of netlink in this machine's byte order.
fn netlink(name: &str) -> Vec<Vec<u8>> {
    let order = if cfg!(target_endian = "big") {
        ".be"
    } else {
        ""
    };
    let path = testdata(&format!("nl/ctnetlink/{name}{order}.hex"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .map(bytes_of)
        .collect()
}

/// What the recorded peer said: it was little-endian, and a big-endian node misreads it as the original does.
#[cfg(target_endian = "little")]
mod little_endian_peer {
    use super::*;

    /// Feeds node b with what a sent; at some moment of the replay its listings must be the recorded ones.
    fn lists_like_the_original(name: &str, label: &str) {
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

    /// The part of nfnetlink that a message is for: 1 connections, 2 expectations.
    fn subsystem(message: &[u8]) -> u16 {
        u16::from_ne_bytes([message[4], message[5]]) >> 8
    }

    /// A request without its sequence number and the timeout, which depends on how long the flow was cached.
    fn timeless(mut message: Vec<u8>) -> Vec<u8> {
        message[8..12].fill(0);
        let kind = if subsystem(&message) == 1 { 7u16 } else { 4 };
        let mut at = 20;
        while at + 4 <= message.len() {
            let len = usize::from(u16::from_ne_bytes([message[at], message[at + 1]]));
            if u16::from_ne_bytes([message[at + 2], message[at + 3]]) == kind {
                message[at + 4..at + 8].fill(0);
            }
            at += len.next_multiple_of(4);
        }
        message
    }

    /// A creation of an expectation without class, translation and function, which only ours has: they stand at its end.
    fn without_translation(mut message: Vec<u8>) -> Vec<u8> {
        let mut at = 20;
        while subsystem(&message) == 2 && at + 4 <= message.len() {
            let len = usize::from(u16::from_ne_bytes([message[at], message[at + 1]]));
            let kind = u16::from_ne_bytes([message[at + 2], message[at + 3]]) & 0x7fff;
            if matches!(kind, 9..=11) {
                message.truncate(at);
                let len = u32::try_from(at).unwrap();
                message[..4].copy_from_slice(&len.to_ne_bytes());
                break;
            }
            at += len.next_multiple_of(4);
        }
        message
    }

    /// A request without SYN proxy numbers of 0, which only the original sends: they stand at its end.
    fn without_idle_synproxy(mut message: Vec<u8>) -> Vec<u8> {
        // CTA_SYNPROXY with its three numbers.
        const IDLE: [u16; 14] = [28, 24 | 0x8000, 8, 1, 0, 0, 8, 2, 0, 0, 8, 3, 0, 0];
        let idle = IDLE.map(u16::to_ne_bytes).concat();
        if message.ends_with(&idle) {
            message.truncate(message.len() - idle.len());
            let len = u32::try_from(message.len()).unwrap();
            message[..4].copy_from_slice(&len.to_ne_bytes());
        }
        message
    }

    #[test]
    fn a_commit_sends_the_kernel_the_originals_bytes() {
        let mut b = Node::new(settings());
        for (_, bytes) in capture(&testdata("wire/ctsync/02-ftfw-udp-attrs.hex"))
            .iter()
            .filter(|(from, _)| from == "01")
        {
            b.receive(bytes);
        }
        b.requests.clear();
        b.ask(Request::AllCommit);
        let sorted = |messages: Vec<Vec<u8>>| {
            let mut m: Vec<String> = messages
                .into_iter()
                .map(|m| timeless(m).iter().map(|b| format!("{b:02x}")).collect())
                .collect();
            m.sort();
            m
        };
        let ours = std::mem::take(&mut b.requests);
        // Ours ask for no answer to a success where several go together.
        let acknowledged = |mut message: Vec<u8>| {
            let flags = u16::from_ne_bytes([message[6], message[7]]) | 4;
            message[6..8].copy_from_slice(&flags.to_ne_bytes());
            message
        };
        let ours = ours.into_iter().map(without_translation);
        let ours = sorted(ours.map(acknowledged).collect());
        let theirs = netlink("commit-02");
        let theirs = sorted(theirs.into_iter().map(without_idle_synproxy).collect());
        assert_eq!(ours.len(), theirs.len());
        for (o, t) in ours.iter().zip(&theirs) {
            assert_eq!(o, t);
        }
    }
}

#[test]
fn kernel_events_are_listed_like_the_original_does() {
    use ctsync_proto::Input;
    use nfct::codec::{Message, Messages};

    let mut n = Node::new(settings());
    for datagram in netlink("events-02") {
        for (header, message) in Messages::new(&datagram) {
            let port_id = header.port_id;
            match message {
                Message::Conntrack(kind, ct) => n.put(Input::Event { kind, port_id, ct }),
                Message::Expect(kind, exp) => n.put(Input::ExpectEvent { kind, port_id, exp }),
                other => panic!("{other:?}"),
            }
        }
    }
    for (xml, ext) in [(false, "txt"), (true, "xml.txt")] {
        let golden = testdata(&format!("golden/conntrackd/listings/events-02.{ext}"));
        assert_eq!(
            listing(&n.ask(Request::DumpInternal { xml })),
            listing(&std::fs::read_to_string(golden).unwrap())
        );
    }
}

#[test]
fn table_dumps_are_asked_for_like_the_original_does() {
    use nfct::codec::{SUBSYS_CONNTRACK, SUBSYS_EXPECT, dump_request};

    let theirs = netlink("requests");
    for (subsystem, mut request) in [SUBSYS_CONNTRACK, SUBSYS_EXPECT].into_iter().zip(theirs) {
        request[8..12].fill(0);
        assert_eq!(dump_request(subsystem, 0), request);
    }
}
