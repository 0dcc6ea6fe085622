//! Commits whose own events nobody hears: the internal cache is the same as with them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod node;

use ctsync_proto::wire::{CT_NEW, Codec, Header, WordOrder};
use ctsync_proto::{Config, Filter, Input, LinkIndex, Policy, ProtocolSet, Request, Section};
use nfct::codec::EventKind;
use nfct::{Attr, Conntrack, Synproxy, Tuple, proto};
use node::{Node, settings};

fn flow(l4: u8, port: u16) -> Conntrack {
    let (client, server) = ("10.1.0.2".parse().unwrap(), "10.2.0.2".parse().unwrap());
    let mut t = Tuple::new(client, server, l4).unwrap();
    t.set_ports(port, 53);
    let mut ct = Conntrack::with_orig(t);
    ct.set_reply(t.mirrored());
    ct.set_status(0x18e);
    ct.set_timeout(100);
    ct.set_mark(u32::from(port));
    // Kernels with the SYN proxy say this of every flow.
    ct.set_synproxy(Synproxy::default());
    if l4 == proto::TCP {
        ct.set_protoinfo(Attr::TCP_STATE, |p| p.state = 3);
    }
    ct
}

/// Hands in what a peer says of flows, as its messages have it.
fn told(n: &mut Node, flows: &[Conntrack]) {
    let codec = Codec {
        timeouts: true,
        window_scales: false,
        order: WordOrder::HOST,
    };
    for (flow, sequence) in flows.iter().zip(1..) {
        let mut message = Vec::new();
        let header = Header {
            version: 1,
            kind: CT_NEW,
            sequence,
            ..Header::default()
        };
        codec.conntrack(&mut message, header, flow).unwrap();
        n.put(Input::Datagram {
            link: LinkIndex(0),
            bytes: &message,
        });
    }
    n.drain();
}

fn internal(n: &mut Node) -> Vec<String> {
    let listing = n.ask(Request::DumpInternal { xml: false });
    let mut lines: Vec<String> = listing.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn what_can_come_out_in_one_way_only_is_not_listened_for() {
    let mut translated = flow(proto::UDP, 1);
    let mut reply = translated.orig.mirrored();
    reply.dst = [192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    translated.set_reply(reply);
    let mut helped = flow(proto::TCP, 2);
    helped.set_helper("ftp".into());
    let mut labelled = flow(proto::UDP, 3);
    labelled.set_labels([1, 0, 0, 0].into());
    let mut zoned = flow(proto::UDP, 4);
    zoned.set_zone(7);
    let mut dying = flow(proto::UDP, 5);
    dying.set_status(0x400e);
    let mut proxied = flow(proto::TCP, 7);
    proxied.set_synproxy(Synproxy {
        isn: 1,
        its: 2,
        tsoff: 3,
    });
    let heard = [
        translated,
        helped,
        labelled,
        zoned,
        dying,
        proxied,
        flow(proto::SCTP, 6),
    ];
    let plain = [flow(proto::UDP, 10), flow(proto::TCP, 11)];

    let mut n = Node::new(settings());
    told(&mut n, &heard);
    n.ask(Request::Commit);
    assert_eq!((n.unheard, n.engine.cached()), (0, (7, 7)));

    let mut n = Node::new(settings());
    told(&mut n, &plain);
    n.ask(Request::Commit);
    assert_eq!((n.unheard, n.engine.cached()), (2, (2, 2)));
    assert_eq!(
        internal(&mut n),
        [
            "tcp      6 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=11 dport=53 src=10.2.0.2 dst=10.1.0.2 sport=53 \
             dport=11 [ASSURED] mark=11 [active since 0s]",
            "udp      17 src=10.1.0.2 dst=10.2.0.2 sport=10 dport=53 src=10.2.0.2 dst=10.1.0.2 sport=53 dport=10 \
             [ASSURED] mark=10 [active since 0s]",
        ]
    );
    // The peer is not told of its own flows.
    assert!(n.sent.iter().all(|datagram| datagram.len() <= 16));
    // What is in the kernel now is changed by the next commit, as little heard.
    n.requests.clear();
    n.ask(Request::Commit);
    assert_eq!((n.unheard, n.requests.len()), (2, 2));
    assert_eq!((n.unheard_changes, n.engine.cached()), (2, (2, 2)));
    // And the kernel's news of it are those of an entry that is known.
    n.event(EventKind::Destroy, flow(proto::UDP, 10));
    assert_eq!(n.engine.cached(), (1, 2));

    let tracking = Config {
        tcp_window_tracking: true,
        ..settings()
    };
    let mut n = Node::new(tracking);
    told(&mut n, &plain);
    n.ask(Request::Commit);
    assert_eq!((n.unheard, n.engine.cached()), (1, (2, 2)));
}

#[test]
fn an_entry_in_the_way_is_heard_of() {
    let mut n = Node::new(settings());
    let plain = flow(proto::UDP, 10);
    told(&mut n, std::slice::from_ref(&plain));
    // The kernel has it, and the cache does not know yet.
    n.table.insert(node::key(&plain), plain);
    n.ask(Request::Commit);
    assert_eq!((n.unheard, n.engine.cached()), (0, (1, 1)));
    let kind = |m: &Vec<u8>| u16::from_ne_bytes([m[4], m[5]]) & 0xff;
    let kinds: Vec<u16> = n.requests.iter().skip(2).map(kind).collect();
    assert_eq!(kinds, [0, 2, 0], "create, delete, create again");
}

#[test]
fn filters_and_limits_hold() {
    let mut only_tcp = ProtocolSet::default();
    only_tcp.insert(proto::TCP);
    let plain = [flow(proto::UDP, 10), flow(proto::TCP, 11)];
    for filter_in_kernel in [false, true] {
        let mut n = Node::new(Config {
            filter: Filter {
                protocols: Some((Policy::Accept, only_tcp)),
                ..Filter::default()
            },
            filter_in_kernel,
            ..settings()
        });
        told(&mut n, &plain);
        n.ask(Request::Commit);
        assert_eq!((n.unheard, n.table.len()), (2, 2));
        assert_eq!(n.engine.cached(), (1, 2));
        let runtime = n.ask(Request::Json(Section::Runtime));
        // What the kernel leaves out is not counted.
        let (events, filtered) = if filter_in_kernel { (1, 0) } else { (2, 1) };
        assert!(
            runtime.contains(&format!("\"events\":{events},"))
                && runtime.contains(&format!("\"events_filtered\":{filtered},")),
            "{runtime}"
        );
    }
    let mut n = Node::new(Config {
        hash_limit: 2,
        ..settings()
    });
    n.event(EventKind::New, flow(proto::UDP, 1));
    told(&mut n, &plain);
    n.ask(Request::Commit);
    assert_eq!((n.table.len(), n.engine.cached()), (3, (2, 2)));
    assert!(
        n.ask(Request::Stats)
            .contains("created:\t\t           2\tfailed:\t           1")
    );
}

/// What the event socket still holds of an earlier flow when a commit makes one with the same tuple.
const EARLIER: [&[EventKind]; 4] = [
    &[EventKind::Destroy],
    &[EventKind::Update, EventKind::Destroy],
    &[EventKind::New, EventKind::Destroy],
    &[
        EventKind::New,
        EventKind::Destroy,
        EventKind::New,
        EventKind::Update,
        EventKind::Destroy,
    ],
];

#[test]
fn the_end_of_an_earlier_flow_does_not_end_the_committed_one() {
    for earlier in EARLIER {
        for answered_between in [false, true] {
            let mut n = Node::new(settings());
            n.events_wait = true;
            let plain = flow(proto::UDP, 10);
            told(&mut n, std::slice::from_ref(&plain));
            n.ask(Request::Commit);
            assert_eq!((n.unheard, n.engine.cached()), (1, (1, 1)));
            let as_committed = internal(&mut n);

            let mut old = flow(proto::UDP, 10);
            old.set_mark(999);
            old.set_helper("old".into());
            for kind in earlier {
                n.put(Input::Event {
                    kind: *kind,
                    port_id: 0,
                    ct: old.clone(),
                });
                if answered_between {
                    n.drain();
                }
            }
            n.drain();
            assert_eq!(n.engine.cached(), (1, 1), "{earlier:?}");
            assert_eq!(internal(&mut n), as_committed, "{earlier:?}");
            assert!(n.engine.awaits_events());

            // The committed one ends, too, while the socket is not empty: the kernel confirms that.
            n.requests.clear();
            n.event(EventKind::Destroy, plain.clone());
            n.drain();
            assert_eq!((n.requests.len(), n.engine.cached()), (1, (0, 1)));
        }
    }
}

#[test]
fn once_the_socket_was_empty_the_end_of_a_flow_is_not_in_doubt() {
    let mut n = Node::new(settings());
    n.events_wait = true;
    let plain = flow(proto::UDP, 10);
    told(&mut n, std::slice::from_ref(&plain));
    n.ask(Request::Commit);
    assert!(n.engine.awaits_events());
    n.put(Input::EventsTaken);
    assert!(!n.engine.awaits_events());
    n.requests.clear();
    n.event(EventKind::Destroy, plain);
    n.drain();
    assert_eq!((n.requests.len(), n.engine.cached()), (0, (0, 1)));
}

#[test]
fn a_commit_beside_a_busy_event_socket_is_heard_beyond_a_bound() {
    let mut n = Node::new(settings());
    n.events_wait = true;
    let flows: Vec<_> = (0..1500).map(|port| flow(proto::UDP, port)).collect();
    told(&mut n, &flows);
    n.ask(Request::Commit);
    assert_eq!(n.engine.cached(), (1500, 1500));
    assert!((1000..1500).contains(&n.unheard), "{}", n.unheard);
}

#[test]
fn a_batch_that_is_not_sent_and_one_that_is_refused_fail_entry_by_entry() {
    let flows: Vec<_> = (0..300).map(|port| flow(proto::UDP, port)).collect();
    for (refuse, batch_errno) in [(Some(12), None), (None, Some(105))] {
        let mut n = Node::new(settings());
        n.refuse = refuse;
        n.batch_errno = batch_errno;
        told(&mut n, &flows);
        n.ask(Request::Commit);
        assert_eq!(
            (n.unheard, n.table.len(), n.engine.cached()),
            (0, 0, (0, 300))
        );
        let lines: Vec<String> = n.log.iter().map(ToString::to_string).collect();
        assert!(
            lines.contains(&"Committed 0 new entries".to_owned()),
            "{lines:?}"
        );
        assert!(lines.contains(&"300 entries can't be committed".to_owned()));
    }
}

#[test]
fn a_change_that_is_not_heard_leaves_the_cache_as_the_kernel_has_it() {
    let mut n = Node::new(settings());
    // The kernel knows the flow from its packets, a little behind the peer.
    let mut ours = flow(proto::TCP, 11);
    ours.set_status(0x18a);
    ours.set_mark(0);
    ours.set_id(77);
    ours.set_protoinfo(Attr::TCP_STATE, |p| p.state = 2);
    n.event(EventKind::New, ours);
    told(&mut n, &[flow(proto::TCP, 11)]);
    n.sent.clear();
    n.ask(Request::Commit);
    assert_eq!((n.unheard, n.unheard_changes), (0, 1));
    let in_kernel = n.table.values().next().unwrap();
    assert_eq!(
        (in_kernel.mark(), in_kernel.tcp_state()),
        (Some(11), Some(3))
    );
    let as_committed = internal(&mut n);
    assert!(
        as_committed[0].starts_with("tcp      6 ESTABLISHED")
            && as_committed[0].contains("[ASSURED] mark=11"),
        "{as_committed:?}"
    );
    assert!(
        n.ask(Request::DumpInternal { xml: true })
            .contains("<id>77</id>")
    );
    // The same as what the kernel would tell.
    n.ask(Request::FlushInternal);
    n.ask(Request::ResyncFromKernel);
    assert_eq!(internal(&mut n), as_committed);
    // The peer is not told of its own states.
    assert!(n.sent.iter().all(|datagram| datagram.len() <= 16));
}

#[test]
fn an_event_from_before_a_change_does_not_undo_it() {
    for kind in [EventKind::Update, EventKind::New] {
        let mut n = Node::new(settings());
        n.events_wait = true;
        let before = flow(proto::UDP, 0);
        n.event(EventKind::New, before.clone());
        let mut peers = before.clone();
        peers.set_mark(5);
        told(&mut n, &[peers]);
        n.ask(Request::Commit);
        assert_eq!(n.unheard_changes, 1);
        assert!(internal(&mut n)[0].contains("mark=5"));
        n.put(Input::Event {
            kind,
            port_id: 0,
            ct: before,
        });
        n.drain();
        assert!(internal(&mut n)[0].contains("mark=5"));
    }
}
