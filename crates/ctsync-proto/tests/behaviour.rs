//! What one node does with its kernel, its operators and bad messages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod node;

use ctsync_proto::wire::{
    CT_DEL, CT_NEW, CTL, Codec, EXP_NEW, F_ACK, F_ALIVE, Frames, Header, WordOrder,
    decode_conntrack,
};
use ctsync_proto::{Input, LinkIndex, Mode, Notice, Output, Request};
use net_types::Duration;
use nfct::codec::EventKind;
use nfct::{Attr, Conntrack, ExpAttr, Expect, Tuple, proto};
use node::{COMMIT_PORT, FLUSH_PORT, Node, settings};

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

/// A related flow, as the peer tells of it.
fn related(port: u16, master: &Conntrack) -> Conntrack {
    let mut ct = flow(port);
    ct.set_status(0x18f);
    ct.set_master(master.orig);
    ct
}

fn codec() -> Codec {
    Codec {
        timeouts: true,
        window_scales: false,
        order: WordOrder::HOST,
    }
}

fn header(kind: u8, flags: u8, sequence: u32) -> Header {
    Header {
        version: 1,
        kind,
        flags,
        sequence,
        from: 0,
        to: 0,
    }
}

fn message(kind: u8, sequence: u32, ct: &Conntrack) -> Vec<u8> {
    let mut out = Vec::new();
    codec()
        .conntrack(&mut out, header(kind, 0, sequence), ct)
        .unwrap();
    out
}

/// Types of the state messages in what a node has sent.
fn sent_kinds(node: &mut Node) -> Vec<u8> {
    node.drain();
    let mut kinds = Vec::new();
    for datagram in std::mem::take(&mut node.sent) {
        let mut frames = Frames::new(&datagram);
        while let Some(frame) = frames.next_frame() {
            let kind = frame.unwrap().header.kind;
            if kind != CTL {
                kinds.push(kind);
            }
        }
    }
    kinds
}

#[test]
fn a_burst_shares_datagrams_and_coalesces() {
    let mut n = Node::new(settings());
    for port in 0..60 {
        n.event(EventKind::New, flow(port));
        n.event(EventKind::Update, flow(port));
    }
    n.drain();
    // 60 messages of 60 bytes; 24 of them are 1440 bytes, a 25th would reach the limit of 1472.
    let sizes: Vec<usize> = n.sent.iter().map(Vec::len).collect();
    assert_eq!(sizes, [1440, 1440, 720]);
    // The update before the first sending makes it one CT_UPD, as in the original.
    assert_eq!(sent_kinds(&mut n), vec![1; 60]);
}

#[test]
fn our_own_commit_and_flush_are_not_told_to_the_peer() {
    let mut n = Node::new(settings());
    for (port_id, kind) in [
        (COMMIT_PORT, EventKind::New),
        (COMMIT_PORT, EventKind::Update),
        (FLUSH_PORT, EventKind::Destroy),
    ] {
        n.put(Input::Event {
            kind,
            port_id,
            ct: flow(1),
        });
    }
    assert_eq!(sent_kinds(&mut n), []);
    assert_eq!(n.engine.cached(), (0, 0));
    // An administrator's deletion is.
    n.event(EventKind::New, flow(2));
    n.event(EventKind::Destroy, flow(2));
    assert_eq!(sent_kinds(&mut n), [CT_DEL]);
}

#[test]
fn incomplete_kernel_entries_are_refused_and_logged() {
    let mut n = Node::new(settings());
    n.put(Input::Event {
        kind: EventKind::New,
        port_id: 0,
        ct: Conntrack::with_orig(flow(1).orig),
    });
    n.drain();
    assert_eq!(n.log, [Notice::MissingIpv4]);
    assert!(
        n.ask(Request::StatsRuntime)
            .contains("events filtered:\t                   1\n")
    );
}

/// conntrackd-behaviour.md 4.6: the counter of each refusal, measured with 1.4.8.
#[test]
fn refusals_are_counted_like_the_original_does() {
    let whole = message(CT_NEW, 1, &flow(1));
    let mut wrong_version = whole.clone();
    wrong_version[0] = 0x20;
    let mut unknown_type = whole.clone();
    unknown_type[0] = 0x17;
    let mut flag = whole.clone();
    flag[1] = 0x80;
    let mut unknown_attribute = whole.clone();
    unknown_attribute[11] = 33;
    let mut wrong_size = whole.clone();
    wrong_size[9] = 11;
    let mut overlong = whole.clone();
    overlong[3] += 4;
    let mut ack = Vec::new();
    let reversed = Header {
        from: 5,
        to: 4,
        ..header(CTL, F_ACK, 1)
    };
    reversed.encode_control(&mut ack);
    for (bytes, label) in [
        (&wrong_version[..], "Wrong protocol version:"),
        (&unknown_type[..], "Malformed header:"),
        (&flag[..], "Malformed header:"),
        (&ack[..], "Malformed header:"),
        (&unknown_attribute[..], "Malformed payload:"),
        (&wrong_size[..], "Malformed payload:"),
        (&overlong[..], "Bad message size:"),
        (&whole[..6], "Truncated message:"),
        (&ack[..8], "Bad message size:"),
    ] {
        let mut n = Node::new(settings());
        n.receive(bytes);
        let text = n.ask(Request::StatsNetwork);
        for line in text.lines().skip(2).take(7) {
            let counted = line.contains(label) || line.contains("Malformed messages:");
            let number: u64 = line.rsplit('\t').next().unwrap().trim().parse().unwrap();
            assert_eq!(number, u64::from(counted), "{label}: {line}");
        }
    }
}

#[test]
fn a_cut_stream_is_put_together() {
    let mut config = settings();
    config.links[0].kind = ctsync_proto::LinkKind::Tcp;
    let mut n = Node::new(config);
    let mut stream = message(CT_NEW, 1, &flow(1));
    stream.extend(message(CT_NEW, 2, &flow(2)));
    for piece in stream.chunks(7) {
        n.receive(piece);
    }
    assert_eq!(n.engine.cached(), (0, 2));
    assert_eq!(n.engine.network_counters().malformed, 0);
}

#[test]
fn commit_puts_masters_first_and_waits_for_the_end() {
    let mut n = Node::new(settings());
    let master = flow(21);
    // The related flow arrives first.
    n.receive(&message(CT_NEW, 1, &related(5000, &master)));
    n.receive(&message(CT_NEW, 2, &master));
    n.receive(&message(CT_NEW, 3, &flow(22)));
    // One of the flows is in the kernel already: it is replaced.
    n.event(EventKind::New, flow(22));
    n.pass(Duration::from_secs(40));
    n.sent.clear();
    n.log.clear();
    n.ask(Request::AllCommit);
    assert_eq!(n.table.len(), 3);
    let committed = n.table.values().find(|c| c.orig.sport == 21).unwrap();
    assert_eq!(committed.timeout(), Some(60), "40 of 100 seconds are over");
    assert_eq!(committed.reply().dport, 21);
    assert_eq!(committed.protoinfo().flags_orig, [8, 8]);
    assert_eq!(n.engine.cached(), (3, 3), "committed flows are cached");
    assert_eq!(
        n.log,
        [
            Notice::CommittingAll,
            Notice::Committed {
                entries: 3,
                expectations: false
            },
            Notice::CommitTime { micros: 0 },
            Notice::Committed {
                entries: 0,
                expectations: true
            },
            Notice::CommitTime { micros: 0 },
        ]
    );
    // Neither the committed nor the replaced flow is told to the peer.
    assert_eq!(sent_kinds(&mut n), []);
    // Flushing works afterwards (the original refuses it with a small hash).
    n.ask(Request::AllFlushCaches);
    assert_eq!(n.engine.cached(), (0, 0));
}

#[test]
fn refused_commits_are_logged_and_counted() {
    let mut n = Node::new(settings());
    n.receive(&message(CT_NEW, 1, &flow(1)));
    n.receive(&message(CT_NEW, 2, &Conntrack::default()));
    n.refuse = Some(22);
    // What the second message said on arrival is not the commit's.
    n.drain();
    n.log.clear();
    n.ask(Request::Commit);
    let text: Vec<String> = n.log.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "committing conntrack cache",
            "commit-create: Invalid argument",
            "commit-create: Invalid argument",
            "Committed 0 new entries",
            "2 entries can't be committed",
            "commit has taken 0.000000 seconds",
        ]
    );
    assert!(n.log.iter().any(|l| {
        l.flow()
            .is_some_and(|f| f.starts_with("tcp      6 100 ESTABLISHED src=10.1.0.2"))
    }));
}

#[test]
fn a_commit_of_many_flows_keeps_few_requests_under_way() {
    let mut n = Node::new(settings());
    for port in 0..1000u16 {
        n.receive(&message(CT_NEW, u32::from(port) + 1, &flow(port)));
    }
    n.drain();
    n.put(Input::Request {
        client: ctsync_proto::ClientId(900),
        request: Request::Commit,
    });
    let mut under_way = 0;
    while let Some(output) = n.engine.poll_output(n.now, 0) {
        if let Output::Kernel { .. } | Output::KernelBatch { .. } = &output {
            under_way += output.weight();
        }
    }
    assert_eq!(under_way, 128);
    // Somebody else's commit has to wait; a flush is refused.
    n.log.clear();
    n.ask(Request::Commit);
    n.ask(Request::FlushExternal);
    assert_eq!(
        n.log,
        [
            Notice::Committing,
            Notice::CommitInProgress,
            Notice::FlushIgnored
        ]
    );
}

#[test]
fn the_purge_timer_empties_the_kernel_and_a_commit_stops_it() {
    let mut n = Node::new(settings());
    n.event(EventKind::New, flow(1));
    n.drain();
    n.ask(Request::ArmPurge);
    n.ask(Request::ArmPurge);
    assert_eq!(n.log, [Notice::PurgeArmed { seconds: 60 }]);
    n.ask(Request::Commit);
    n.pass(Duration::from_secs(61));
    assert_eq!(n.table.len(), 1);
    n.ask(Request::ArmPurge);
    n.pass(Duration::from_secs(60));
    assert_eq!(n.table.len(), 0);
    assert_eq!(n.engine.cached(), (0, 0));
    assert!(n.log.contains(&Notice::FlushingScheduled));
}

#[test]
fn lost_events_are_made_good_by_a_dump() {
    let mut n = Node::new(settings());
    for port in 1..=3 {
        n.event(EventKind::New, flow(port));
    }
    sent_kinds(&mut n);
    // While nobody listened, one flow went, one came, one changed.
    n.table.retain(|_, c| c.orig.sport != 1);
    n.table.insert(node::key(&flow(4)), flow(4));
    n.put(Input::Overrun);
    n.pass(Duration::from_secs(20));
    n.put(Input::Overrun);
    n.pass(Duration::from_secs(29));
    assert_eq!(sent_kinds(&mut n), [], "each overrun pushes the dump back");
    n.pass(Duration::from_secs(2));
    let mut kinds = sent_kinds(&mut n);
    kinds.sort_unstable();
    assert_eq!(kinds, [0, 1, 1, 2]);
    assert_eq!(n.engine.cached(), (3, 0));
    let text = n.ask(Request::StatsRuntime);
    assert!(
        text.contains("netlink overrun:\t\t           2\n"),
        "{text}"
    );
}

#[test]
fn reading_the_kernel_again_tells_nobody_and_ends_with_the_dump() {
    let mut n = Node::new(settings());
    n.table.insert(node::key(&flow(4)), flow(4));
    n.ask(Request::AllResyncFromKernel);
    assert_eq!(n.engine.cached(), (1, 0));
    assert_eq!(sent_kinds(&mut n), []);
    n.ask(Request::SendBulk);
    assert_eq!(sent_kinds(&mut n), [CT_NEW]);
}

#[test]
fn a_long_listing_waits_for_its_reader() {
    let mut n = Node::new(settings());
    for port in 0..2000 {
        n.event(EventKind::New, flow(port));
    }
    n.drain();
    n.put(Input::Request {
        client: ctsync_proto::ClientId(7),
        request: Request::DumpInternal { xml: false },
    });
    let mut replies = 0;
    while let Some(output) = n.engine.poll_output(n.now, 0) {
        replies += u32::from(matches!(output, Output::Reply { .. }));
    }
    assert_eq!(replies, 1);
    let text = n.ask(Request::DumpInternal { xml: false });
    assert_eq!(text.lines().count(), 2000);
    assert_eq!(
        text.lines().next().unwrap(),
        "tcp      6 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=0 dport=80 src=10.2.0.2 dst=10.1.0.2 sport=80 dport=0 \
         [ASSURED] [active since 0s]"
    );
}

#[test]
fn links_change_over_when_the_device_fails_or_the_peer_does() {
    let mut config = settings();
    let mut second = config.links[0].clone();
    second.device = "s1".into();
    config.links.push(second);
    let mut n = Node::new(config);
    for link in 0..2 {
        n.put(Input::LinkState {
            link: LinkIndex(link),
            up: true,
            running: true,
        });
    }
    n.put(Input::LinkState {
        link: LinkIndex(0),
        up: true,
        running: false,
    });
    n.drain();
    assert_eq!(
        n.log.last().unwrap().to_string(),
        "device `s1' becomes dedicated link"
    );
    let text = n.ask(Request::StatsLink);
    assert!(text.contains("UDP traffic device=s0 status=NO-CARRIER role=BACKUP:\n"));
    assert!(text.contains("UDP traffic device=s1 status=RUNNING role=ACTIVE:\n"));
    // A message on the first link makes it the active one again.
    let mut alive = Vec::new();
    header(CTL, F_ALIVE, 1).encode_control(&mut alive);
    n.receive(&alive);
    assert!(n.ask(Request::Stats).contains("(active device=s0):\n"));
}

#[test]
fn expectations_need_their_master_and_a_listed_helper() {
    let mut config = settings();
    config.expectation_helpers = vec!["SIP".into()];
    let mut n = Node::new(config);
    let mut exp = Expect {
        set: ExpAttr::MASTER.with(ExpAttr::EXPECTED).with(ExpAttr::MASK),
        master: flow(1).orig,
        expected: flow(2).orig,
        mask: flow(3).orig,
        helper: Some("sip-5060".into()),
        ..Expect::default()
    };
    let event = |exp: &Expect| Input::ExpectEvent {
        kind: EventKind::New,
        port_id: 0,
        exp: exp.clone(),
    };
    n.put(event(&exp));
    assert_eq!(sent_kinds(&mut n), []);
    n.event(EventKind::New, flow(1));
    n.put(event(&exp));
    assert_eq!(sent_kinds(&mut n), [CT_NEW, EXP_NEW]);
    exp.helper = Some("ftp".into());
    n.put(event(&exp));
    assert_eq!(sent_kinds(&mut n), []);
}

#[test]
fn zones_and_translation_reach_the_peer() {
    let mut a = Node::new(settings());
    let mut b = Node::new(settings());
    let mut ct = flow(1);
    ct.set_zone(7);
    let mut reply = ct.orig.mirrored();
    reply.set_v4([10, 2, 0, 2], [192, 0, 2, 1]);
    reply.dport = 40010;
    ct.set_reply(reply);
    a.event(EventKind::New, ct.clone());
    a.drain();
    for bytes in a.sent.clone() {
        b.receive(&bytes);
    }
    let mut frames = Frames::new(&a.sent[0]);
    let body = frames.next_frame().unwrap().unwrap().body;
    let got = decode_conntrack(body, WordOrder::HOST).unwrap();
    assert_eq!((got.snat_port(), got.dnat_port()), (Some(40010), None));
    assert_eq!(got.zone(), Some(7));
    // The same flow in another zone is another flow.
    b.receive(&message(CT_NEW, 5000, &flow(1)));
    assert_eq!(b.engine.cached(), (0, 2));
}

#[test]
fn alarm_refreshes_and_forgets() {
    let mut config = settings();
    config.mode = Mode::Alarm {
        refresh: 3,
        cache_timeout: 8,
    };
    let mut a = Node::new(config.clone());
    let mut b = Node::new(config);
    a.event(EventKind::New, flow(1));
    a.drain();
    a.pass(Duration::from_secs(20));
    // Between 1.2 and 4 seconds from one refresh to the next; never updated, so always new.
    let kinds = sent_kinds(&mut a);
    assert!((6..=17).contains(&kinds.len()), "{}", kinds.len());
    assert!(kinds.iter().all(|k| *k == CT_NEW));
    a.event(EventKind::Destroy, flow(1));
    assert_eq!(sent_kinds(&mut a), [CT_DEL]);
    a.pass(Duration::from_secs(20));
    assert_eq!(sent_kinds(&mut a), [], "silent when idle");

    b.receive(&message(CT_NEW, 1, &flow(1)));
    b.pass(Duration::from_secs(5));
    assert_eq!(
        b.ask(Request::DumpExternal { xml: false }),
        "tcp      6 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=1 dport=80 [ASSURED] [expires in 3s] [active since 5s]\n"
    );
    b.receive(&message(CT_NEW + 1, 1, &flow(1)));
    b.pass(Duration::from_secs(5));
    assert_eq!(b.engine.cached(), (0, 1));
    b.pass(Duration::from_secs(4));
    assert_eq!(b.engine.cached(), (0, 0));
    // Other modes' messages are ignored, requests for everything have no effect.
    let mut greeted = message(CT_NEW, 9, &flow(2));
    greeted[1] = ctsync_proto::wire::F_HELLO;
    b.receive(&greeted);
    b.log.clear();
    b.ask(Request::SendBulk);
    b.ask(Request::RequestBulk);
    assert_eq!(
        (b.engine.cached(), b.log.len(), b.sent.len()),
        ((0, 0), 0, 0)
    );
}

#[test]
fn without_a_link_there_is_no_replication() {
    let mut c = settings();
    c.links.clear();
    let e = ctsync_proto::Engine::new(c, net_types::Instant::from_micros(0)).err();
    assert_eq!(
        e.map(|e| e.to_string()).as_deref(),
        Some("no dedicated link")
    );
}
