//! Without caches: events go to the peer at once, and its states into the kernel at once. And statistics mode, which has no
//! peer.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod node;

use ctsync_proto::wire::{CT_DEL, CT_NEW, CT_UPD, CTL, Codec, F_RESYNC, Frames, Header, WordOrder};
use ctsync_proto::{Config, Input, Mode, Notice, Request};
use net_types::Duration;
use nfct::codec::EventKind;
use nfct::{Attr, Conntrack, Counters, Tuple, proto};
use node::{INJECT_PORT, Node, settings};

fn flow(port: u16) -> Conntrack {
    let mut t = Tuple::new(
        "10.1.0.2".parse().unwrap(),
        "10.2.0.2".parse().unwrap(),
        proto::TCP,
    )
    .unwrap();
    t.set_ports(port, 80);
    let mut ct = Conntrack::with_orig(t);
    ct.set_reply(t.mirrored());
    ct.set_status(0x18e);
    ct.set_timeout(100);
    ct.set_protoinfo(Attr::TCP_STATE, |p| p.state = 3);
    ct
}

fn message(kind: u8, sequence: u32, ct: &Conntrack) -> Vec<u8> {
    let codec = Codec {
        timeouts: true,
        window_scales: false,
        order: WordOrder::HOST,
    };
    let mut out = Vec::new();
    let header = Header {
        version: 1,
        kind,
        sequence,
        ..Header::default()
    };
    codec.conntrack(&mut out, header, ct).unwrap();
    out
}

fn bypass() -> Node {
    Node::new(Config {
        mode: Mode::Notrack,
        disable_internal_cache: true,
        disable_external_cache: true,
        ..settings()
    })
}

/// Type and sequence number of every message sent.
fn sent(node: &mut Node) -> Vec<(u8, u32)> {
    node.drain();
    let mut seen = Vec::new();
    for datagram in std::mem::take(&mut node.sent) {
        let mut frames = Frames::new(&datagram);
        while let Some(frame) = frames.next_frame() {
            let header = frame.unwrap().header;
            seen.push((header.kind, header.sequence));
        }
    }
    seen
}

#[test]
fn events_go_straight_to_the_peer() {
    let mut n = bypass();
    assert_eq!(
        n.log,
        [
            Notice::DisablingInternalCache,
            Notice::DisablingExternalCache
        ]
    );
    n.event(EventKind::New, flow(1));
    n.event(EventKind::Update, flow(1));
    n.event(EventKind::Update, flow(1));
    n.event(EventKind::Destroy, flow(1));
    // Nothing is merged: one message per event.
    assert_eq!(
        sent(&mut n),
        [
            (CT_NEW, 1000),
            (CT_UPD, 1001),
            (CT_UPD, 1002),
            (CT_DEL, 1003)
        ]
    );
    assert_eq!(n.engine.cached(), (0, 0));
    // Our own injections are not told.
    n.put(Input::Event {
        kind: EventKind::New,
        port_id: INJECT_PORT,
        ct: flow(2),
    });
    assert_eq!(sent(&mut n), []);
    let stats = n.ask(Request::Stats);
    assert!(
        stats.starts_with(
            "internal bypass:\nconnections new:\t\t           1\nconnections updated:\t\t           2\n\
             connections destroyed:\t\t           1\n\nexternal inject:\nconnections created:\t\t           0\tfailed:"
        ),
        "{stats}"
    );
    assert_eq!(
        n.ask(Request::StatsCache),
        stats.split("traffic").next().unwrap()
    );
}

#[test]
fn many_events_share_datagrams_and_the_last_is_not_kept_back() {
    let mut n = bypass();
    for port in 0..60 {
        n.event(EventKind::New, flow(port));
    }
    n.drain();
    let sizes: Vec<usize> = n.sent.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1440, 1440, 720]);
}

#[test]
fn the_kernels_table_answers_for_the_cache() {
    let mut n = bypass();
    n.event(EventKind::New, flow(1));
    n.event(EventKind::New, flow(2));
    sent(&mut n);
    let listing = n.ask(Request::DumpInternal { xml: true });
    assert_eq!(listing.lines().count(), 2, "{listing}");
    assert!(
        listing.starts_with("tcp      6 100 ESTABLISHED src=10.1.0.2"),
        "{listing}"
    );
    assert!(!listing.contains("active since"));
    assert_eq!(n.ask(Request::DumpExternal { xml: false }), "");
    n.log.clear();
    n.ask(Request::AllResyncFromKernel);
    assert_eq!(n.log, vec![Notice::ResyncUnsupported; 2]);
    // Everything as new, and without a word: the counters are those of events.
    n.log.clear();
    n.ask(Request::SendBulk);
    assert_eq!(sent(&mut n), [(CT_NEW, 1002), (CT_NEW, 1003)]);
    assert_eq!(n.log, []);
    assert!(
        n.ask(Request::Stats)
            .contains("connections new:\t\t           2\n")
    );
    // The peer may ask, too.
    let mut resync = Vec::new();
    Header {
        version: 1,
        kind: CTL,
        flags: F_RESYNC,
        sequence: 5,
        ..Header::default()
    }
    .encode_control(&mut resync);
    n.receive(&resync);
    assert_eq!(sent(&mut n), [(CT_NEW, 1004), (CT_NEW, 1005)]);
    assert_eq!(n.log, [Notice::ResyncRequestedByPeer]);
    // A flush of the cache is one of the table.
    n.ask(Request::FlushInternal);
    assert!(n.table.is_empty());
    assert_eq!(sent(&mut n), []);
}

#[test]
fn listings_of_the_table_wait_for_each_other() {
    let mut n = bypass();
    n.event(EventKind::New, flow(1));
    for client in [70, 71] {
        n.put(Input::Request {
            client: ctsync_proto::ClientId(client),
            request: Request::DumpInternal { xml: false },
        });
    }
    // Each has the whole table, and a third one too.
    assert_eq!(
        n.ask(Request::DumpInternal { xml: false }).lines().count(),
        1
    );
    assert_eq!(
        [n.reply(70), n.reply(71)].map(|t| t.lines().count()),
        [1, 1]
    );
}

/// The block of `-s`, as numbers: created, failed, updated, failed, destroyed, failed.
fn injected(n: &mut Node) -> Vec<u32> {
    let stats = n.ask(Request::Stats);
    let block = stats.split("external inject:").nth(1).unwrap();
    let block = block.split("\n\n").next().unwrap();
    block
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

#[test]
fn states_go_straight_into_the_kernel() {
    let mut n = bypass();
    n.receive(&message(CT_NEW, 1, &flow(1)));
    n.drain();
    assert_eq!(n.table.len(), 1);
    // Taken: deleted and created again.
    n.receive(&message(CT_NEW, 2, &flow(1)));
    // Unknown: created instead. Known: updated.
    n.receive(&message(CT_UPD, 3, &flow(2)));
    let mut closing = flow(1);
    closing.set_protoinfo(Attr::TCP_STATE, |p| p.state = 7);
    n.receive(&message(CT_UPD, 4, &closing));
    n.drain();
    assert_eq!(n.table.len(), 2);
    assert!(n.table.values().any(|ct| ct.tcp_state() == Some(7)));
    // An update that the kernel refuses, and deletions, one of nothing.
    n.stubborn = true;
    n.receive(&message(CT_UPD, 5, &flow(1)));
    n.receive(&message(CT_DEL, 6, &flow(2)));
    n.receive(&message(CT_DEL, 7, &flow(9)));
    n.drain();
    assert_eq!(n.table.len(), 1);
    assert_eq!(n.table.values().next().unwrap().tcp_state(), Some(3));
    assert_eq!(injected(&mut n), [2, 0, 3, 0, 1, 0]);
    // Nothing of it went back to the peer.
    assert_eq!(sent(&mut n), []);
    // The commit has nothing to do and says so at once.
    n.log.clear();
    assert_eq!(n.ask(Request::AllCommit), "");
    assert_eq!(n.log, [Notice::CommittingAll]);
}

#[test]
fn what_concerns_one_flow_reaches_the_kernel_in_order() {
    let mut n = bypass();
    n.event(EventKind::New, flow(1));
    sent(&mut n);
    // The first needs a second attempt; what follows must not overtake it.
    let mut closing = flow(1);
    closing.set_protoinfo(Attr::TCP_STATE, |p| p.state = 7);
    let mut all = message(CT_NEW, 1, &flow(1));
    all.extend(message(CT_UPD, 2, &closing));
    for sequence in 3..20 {
        all.extend(message(CT_DEL, sequence, &flow(1)));
        all.extend(message(CT_NEW, sequence, &flow(1)));
    }
    all.extend(message(CT_UPD, 20, &closing));
    n.receive(&all);
    n.drain();
    assert_eq!(n.table.values().next().unwrap().tcp_state(), Some(7));
    assert_eq!(injected(&mut n), [18, 0, 2, 0, 17, 0]);
}

#[test]
fn a_refusal_is_counted_and_told() {
    let mut n = bypass();
    n.refuse = Some(12);
    n.receive(&message(CT_NEW, 1, &flow(1)));
    n.receive(&message(CT_UPD, 2, &flow(2)));
    n.drain();
    n.refuse = None;
    let told: Vec<String> = n.log.iter().skip(2).map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "could not add new ct entry: Cannot allocate memory",
            "could not update ct entry, even if creating it instead: Cannot allocate memory"
        ]
    );
    assert!(n.log.last().unwrap().flow().unwrap().contains("sport=2 "));
    assert_eq!(injected(&mut n), [0, 1, 0, 1, 0, 0]);
}

#[test]
fn flows_are_told_when_they_end() {
    let mut n = Node::new(Config {
        mode: Mode::Stats,
        links: Vec::new(),
        expectation_sync: false,
        ..settings()
    });
    n.event(EventKind::New, flow(1));
    n.event(EventKind::New, flow(2));
    n.event(EventKind::Update, flow(2));
    let listing = n.ask(Request::DumpInternal { xml: false });
    assert_eq!(listing.lines().count(), 2);
    let mut last = flow(1);
    let counters = Counters {
        packets: 2,
        bytes: 300,
    };
    last.set_counters_orig(counters);
    n.event(EventKind::Destroy, last);
    n.event(EventKind::Destroy, flow(3));
    n.drain();
    // Only what was known, with what the kernel said last.
    assert_eq!(n.flows.len(), 1);
    assert_eq!(n.flows[0].counters_orig(), Some(counters));
    let stats = n.ask(Request::Stats);
    assert!(
        stats.starts_with("cache stats:\ncurrent active connections:\t           1\n"),
        "{stats}"
    );
    assert!(
        stats.ends_with(
            "traffic processed:\n                 300 Bytes                         2 Pckts\n\n"
        ),
        "{stats}"
    );
    assert!(
        n.ask(Request::StatsCache)
            .starts_with("cache:stats\tactive objects:\t\t           1\n")
    );
    // Lost events: the comparison with the table finds what is gone.
    n.table.clear();
    n.put(Input::Overrun);
    n.pass(Duration::from_secs(31));
    assert_eq!(n.flows.len(), 2);
    for request in [
        Request::StatsLink,
        Request::StatsQueue,
        Request::SendBulk,
        Request::AllCommit,
        Request::AllFlushCaches,
        Request::ArmPurge,
    ] {
        assert_eq!(n.ask(request), "", "{request:?}");
    }
    n.event(EventKind::New, flow(1));
    n.log.clear();
    n.ask(Request::FlushInternal);
    assert_eq!(n.log, [Notice::FlushingCaches]);
    assert_eq!(n.engine.cached().0, 0);
    n.drain();
    assert!(n.sent.is_empty());
}

#[test]
fn statistics_as_json_are_one_object_each() {
    use ctsync_proto::{JSON, Section};

    let mut reliable = Node::new(settings());
    reliable.event(EventKind::New, flow(1));
    reliable.drain();
    let mut stats = Node::new(Config {
        mode: Mode::Stats,
        links: Vec::new(),
        ..settings()
    });
    for n in [&mut reliable, &mut bypass(), &mut stats] {
        for number in [21, 28, 29, 30, 31, 32, 35, 36, 37] {
            let request = Request::from_number(JSON + number).unwrap();
            let text = n.ask(request);
            assert!(
                text.starts_with('{') && text.ends_with("}\n") && text.lines().count() == 1,
                "{request:?}: {text}"
            );
            let count = |c| text.matches(c).count();
            assert_eq!((count('{'), count('[')), (count('}'), count(']')), "{text}");
            assert!(!text.contains(",,") && !text.contains("{,") && !text.contains(",}"));
        }
    }
    let main = reliable.ask(Request::Json(Section::Main));
    assert!(
        main.starts_with("{\"mode\":\"ftfw\",\"internal\":{\"active\":1,\"created\":1,"),
        "{main}"
    );
    let queue = reliable.ask(Request::Json(Section::ResendQueue));
    assert_eq!(queue, "{\"resend_queue\":[{\"sequence\":1000}]}\n");
    assert_eq!(Request::from_number(JSON + 16), None);
    assert_eq!(Request::from_number(JSON + 20), None);
}
