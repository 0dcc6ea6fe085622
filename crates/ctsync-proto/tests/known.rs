//! A commit of what the kernel has already.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod node;

use ctsync_proto::wire::{CT_NEW, Codec, Header, WordOrder};
use ctsync_proto::{Config, Input, LinkIndex, Request};
use nfct::codec::EventKind;
use nfct::{Attr, Conntrack, Tuple, proto};
use node::{Node, settings};

fn flow(l4: u8) -> Conntrack {
    let (client, server) = ("10.1.0.2".parse().unwrap(), "10.2.0.2".parse().unwrap());
    let mut t = Tuple::new(client, server, l4).unwrap();
    t.set_ports(1000, 53);
    let mut ct = Conntrack::with_orig(t);
    ct.set_reply(t.mirrored());
    ct.set_status(0x18e);
    ct.set_timeout(100);
    ct
}

fn translated(to: u16) -> Conntrack {
    let mut ct = flow(proto::UDP);
    let mut reply = ct.orig.mirrored();
    reply.dport = to;
    ct.set_reply(reply);
    ct
}

/// The types and flags of the requests that a commit of `peer` makes where the kernel has `ours`.
fn commit(config: Config, ours: &Conntrack, peer: &Conntrack, stubborn: bool) -> Vec<(u8, u16)> {
    let mut n = Node::new(config);
    n.stubborn = stubborn;
    let mut message = Vec::new();
    let codec = Codec {
        timeouts: true,
        window_scales: false,
        order: WordOrder::HOST,
    };
    let header = Header {
        version: 1,
        kind: CT_NEW,
        sequence: 1,
        ..Header::default()
    };
    codec.conntrack(&mut message, header, peer).unwrap();
    n.put(Input::Datagram {
        link: LinkIndex(0),
        bytes: &message,
    });
    n.event(EventKind::New, ours.clone());
    n.drain();
    n.requests.clear();
    n.ask(Request::Commit);
    assert_eq!((n.table.len(), n.engine.cached()), (1, (1, 1)));
    let committed = n.table.values().next().unwrap();
    assert_eq!(committed.timeout(), Some(100));
    assert_eq!(committed.mark(), peer.mark());
    n.requests
        .iter()
        .map(|m| {
            let [_, _, _, _, t0, t1, f0, f1, ..] = m[..] else {
                panic!("no header: {m:?}")
            };
            // Subsystem in the upper half, the message in the lower.
            let [_, kind] = u16::from_ne_bytes([t0, t1]).to_be_bytes();
            (kind, u16::from_ne_bytes([f0, f1]) & 0x600)
        })
        .collect()
}

const CHANGE: (u8, u16) = (0, 0);
const CREATE: (u8, u16) = (0, 0x600);
const DELETE: (u8, u16) = (2, 0);

#[test]
fn what_is_alike_is_changed_with_one_request() {
    let mut ours = flow(proto::UDP);
    ours.set_timeout(5);
    let mut peer = flow(proto::UDP);
    peer.set_mark(7);
    assert_eq!(commit(settings(), &ours, &peer, false), [CHANGE]);
    assert_eq!(
        commit(settings(), &flow(proto::TCP), &flow(proto::TCP), false),
        [CHANGE]
    );
    let nat = translated(4000);
    assert_eq!(commit(settings(), &nat, &nat, false), [CHANGE]);
}

#[test]
fn what_only_a_new_entry_can_have_makes_a_new_entry() {
    let replaced = [CREATE, DELETE, CREATE];
    let plain = flow(proto::UDP);
    assert_eq!(
        commit(settings(), &plain, &translated(4000), false),
        replaced
    );
    assert_eq!(
        commit(settings(), &translated(4000), &translated(4001), false),
        replaced
    );
    let mut labelled = plain.clone();
    labelled.set_labels([1, 0, 0, 0].into());
    assert_eq!(commit(settings(), &labelled, &plain, false), replaced);
    let mut marked = plain.clone();
    marked.set_mark(7);
    marked.unset(Attr::LABELS);
    assert_eq!(commit(settings(), &marked, &plain, false), replaced);
    let mut helped = plain.clone();
    helped.set_helper("ftp".into());
    assert_eq!(commit(settings(), &helped, &plain, false), replaced);
    let tracking = Config {
        tcp_window_tracking: true,
        ..settings()
    };
    let tcp = flow(proto::TCP);
    assert_eq!(commit(tracking, &tcp, &tcp, false), replaced);
}

#[test]
fn a_change_that_the_kernel_refuses_makes_a_new_entry() {
    let plain = flow(proto::UDP);
    assert_eq!(
        commit(settings(), &plain, &plain, true),
        [CHANGE, DELETE, CREATE]
    );
}
