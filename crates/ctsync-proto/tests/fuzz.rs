//! Damaged bytes: the committed corpora, and every recorded datagram with each byte changed in a few ways.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod node;

use std::path::Path;

use ctsync_proto::Request;
use node::{Node, settings};

fn corpus(path: &str) -> Vec<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../testdata")
        .join(path);
    std::fs::read_to_string(file)
        .unwrap()
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| {
            let hex = l.rsplit(' ').next().unwrap();
            (0..hex.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap())
                .collect()
        })
        .collect()
}

/// Each byte replaced by a few values, and each length up to the whole.
fn damaged(bytes: &[u8], mut each: impl FnMut(&[u8])) {
    for at in 0..bytes.len() {
        each(&bytes[..at]);
        for value in [0, 1, 0x7f, 0xff, bytes[at] ^ 4] {
            let mut copy = bytes.to_vec();
            copy[at] = value;
            each(&copy);
        }
    }
}

#[test]
fn damaged_datagrams_do_no_harm() {
    let mut n = Node::new(settings());
    for bytes in corpus("fuzz/ctsync/mutated.hex") {
        ctsync_proto::wire::fuzz(&bytes);
        n.receive(&bytes);
    }
    for bytes in corpus("wire/ctsync/02-ftfw-udp-attrs.hex").iter().take(40) {
        damaged(bytes, |b| {
            ctsync_proto::wire::fuzz(b);
            n.receive(b);
        });
    }
    // The node goes on: it lists, commits and reports.
    n.ask(Request::DumpExternal { xml: false });
    n.ask(Request::DumpExternal { xml: true });
    n.ask(Request::AllCommit);
    assert!(n.engine.network_counters().malformed > 1000);
}

#[test]
fn damaged_kernel_messages_do_no_harm() {
    for bytes in corpus("fuzz/ctnetlink/mutated.hex") {
        nfct::codec::fuzz(&bytes);
    }
    for bytes in corpus("nl/ctnetlink/events-02.hex") {
        damaged(&bytes, nfct::codec::fuzz);
    }
}
