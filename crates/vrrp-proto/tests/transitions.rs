//! Every (state, event) pair, and deadlines to the microsecond.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at what it did not expect"
)]

mod support;

use std::net::{IpAddr, Ipv4Addr};

use net_types::{Duration, Family, IfIndex};
use support::*;
use vrrp_proto::config::*;
use vrrp_proto::notice::{Check, InstanceNotice, Notice};
use vrrp_proto::wire::{Header, Ipv4, Seal, encode};
use vrrp_proto::{GroupId, IfId, Input, InstanceId, Object, Output, State, TrackerId};

const PEER: [u8; 4] = [192, 0, 2, 200];
const LOW_PEER: [u8; 4] = [192, 0, 2, 1];

/// An advert of VRID 51 with the address of [`instance`].
fn advert(version: u8, priority: u8, from: [u8; 4], centis: u16) -> Vec<u8> {
    let auth = (version == 2).then_some([0; 8]);
    let source = Ipv4Addr::from(from);
    let destination = Ipv4Addr::new(224, 0, 0, 18);
    let mut bytes = vec![];
    Ipv4 {
        header_len: 20,
        total_len: if version == 2 { 40 } else { 32 },
        id: 1,
        ttl: 255,
        protocol: 112,
        source,
        destination,
    }
    .encode(&mut bytes);
    let header = Header {
        version,
        kind: 1,
        vrid: 51,
        priority,
        count: 1,
        word: if version == 2 {
            [0, 1]
        } else {
            centis.to_be_bytes()
        },
        checksum: 0,
    };
    let seal = if version == 2 {
        Seal::Plain
    } else {
        Seal::Pseudo {
            source,
            destination,
        }
    };
    let vip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100));
    encode(&header, std::iter::once(vip), auth, seal, &mut bytes);
    bytes
}

fn v2(priority: u8, from: [u8; 4]) -> Vec<u8> {
    advert(2, priority, from, 0)
}

fn down() -> LinkFacts {
    LinkFacts {
        up: false,
        ..link(9)
    }
}

/// A router with one instance of priority 100 and address .9, brought into `state`.
fn host_in(state: State) -> Host {
    let mut c = config(9, vec![instance("V", 51, 100)]);
    if state == State::Fault {
        c.interfaces[0].link.up = false;
    }
    let mut host = if state == State::Init {
        Host {
            router: vrrp_proto::Router::new(c, at(1_000_000)),
            now: at(1_000_000),
        }
    } else {
        Host::new(c).0
    };
    if state == State::Master {
        host.wait();
    }
    assert_eq!(host.state(0), state);
    host
}

#[test]
fn every_state_and_event() {
    use State::*;
    type Event = fn(&mut Host) -> Vec<Output>;
    let events: [(&str, Event); 11] = [
        ("timer", |h| h.wait().1),
        ("higher", |h| h.hear(LOW_PEER, &v2(150, LOW_PEER))),
        ("lower", |h| h.hear(PEER, &v2(50, PEER))),
        ("equal, higher address", |h| h.hear(PEER, &v2(100, PEER))),
        ("equal, lower address", |h| {
            h.hear(LOW_PEER, &v2(100, LOW_PEER))
        }),
        ("priority 0", |h| h.hear(PEER, &v2(0, PEER))),
        ("garbage", |h| h.hear(PEER, &v2(150, PEER)[..25])),
        ("link down", |h| h.tell(Input::Link(IfId(0), down()))),
        ("link up", |h| h.tell(Input::Link(IfId(0), link(9)))),
        ("address lost", |h| {
            h.tell(Input::Removed(Object::Address(1)))
        }),
        ("shutdown", |h| h.tell(Input::Shutdown)),
    ];
    // Per state: the state after, and what is seen from outside.
    let master =
        "advert 100, entering 0 MASTER, add Address(1), announce 192.0.2.100, notify 0 MASTER 100";
    let leave = "entering 0 BACKUP, remove Address(1), notify 0 BACKUP 100";
    let lower =
        "advert 100, announce 192.0.2.100, LowerPriority { id: InstanceId(0), priority: 100 }";
    let stop = "notify 0 STOP 100, done";
    let nothing = "";
    let expected: [(State, [(State, &str); 11]); 4] = [
        (
            Init,
            [
                (Init, nothing),
                (Init, nothing),
                (Init, nothing),
                (Init, nothing),
                (Init, nothing),
                (Init, nothing),
                (Init, nothing),
                (Init, nothing),
                (Init, nothing),
                (Init, nothing),
                (Stop, stop),
            ],
        ),
        (
            Backup,
            [
                (Master, master),
                (Backup, nothing),
                (Backup, nothing),
                (Backup, nothing),
                (Backup, nothing),
                (Backup, nothing),
                (Backup, nothing),
                (Fault, "entering 0 FAULT, notify 0 FAULT 100"),
                (Backup, nothing),
                (Backup, nothing),
                (Stop, stop),
            ],
        ),
        (
            Master,
            [
                (Master, "advert 100"),
                (Backup, leave),
                (Master, lower),
                (Backup, leave),
                (Master, lower),
                (Master, "advert 100"),
                (Master, nothing),
                (
                    Fault,
                    "entering 0 FAULT, advert 0, advert 0, remove Address(1), notify 0 FAULT 100",
                ),
                (Master, nothing),
                (Backup, "entering 0 BACKUP, advert 0, notify 0 BACKUP 100"),
                (Stop, "advert 0, remove Address(1), notify 0 STOP 100, done"),
            ],
        ),
        (
            Fault,
            [
                (Fault, nothing),
                (Fault, nothing),
                (Fault, nothing),
                (Fault, nothing),
                (Fault, nothing),
                (Fault, nothing),
                (Fault, nothing),
                (Fault, nothing),
                (Backup, "entering 0 BACKUP, notify 0 BACKUP 100"),
                (Fault, nothing),
                (Stop, stop),
            ],
        ),
    ];
    for (state, row) in expected {
        for ((name, event), (after, seen)) in events.iter().zip(row) {
            let mut host = host_in(state);
            if *name == "timer" && host.router.next_timeout().is_none() {
                assert_eq!(after, state, "{state:?}: no timer");
                continue;
            }
            let out = event(&mut host);
            assert_eq!(host.state(0), after, "{state:?} + {name}");
            assert_eq!(shape(&out).join(", "), seen, "{state:?} + {name}");
        }
    }
}

#[test]
fn start_and_its_order() {
    let (host, out) = Host::new(config(9, vec![instance("V", 51, 100)]));
    assert_eq!(
        shape(&out),
        ["remove Address(1) leftover", "notify 0 BACKUP 100"]
    );
    assert_eq!(host.timer(0), Some(3_000_000 + 156 * 1_000_000 / 256));
    let removing = notices(&out)
        .iter()
        .filter(|n| matches!(n, InstanceNotice::Setting { add: false, .. }))
        .count();
    assert_eq!(removing, 2, "as the reference logs it");
}

#[test]
fn deadlines_to_the_microsecond() {
    // version, base priority, interval ms, wanted, expected first deadline
    let rows = [
        (Version::V2, 100, 1000, Wanted::Backup, 3_000_000 + 609_375),
        (Version::V2, 254, 3000, Wanted::Backup, 9_000_000 + 7_812),
        (Version::V2, 1, 1000, Wanted::Backup, 3_000_000 + 996_093),
        (Version::V2, 100, 1000, Wanted::Master, 3_000_000 + 609_375),
        (Version::V2, 255, 1000, Wanted::Master, 1),
        (Version::V2, 255, 1000, Wanted::Backup, 3_000_000 + 3_906),
        (Version::V3, 100, 1000, Wanted::Backup, 3_000_000 + 609_375),
        (Version::V3, 100, 100, Wanted::Backup, 300_000 + 60_937),
        (Version::V3, 100, 10, Wanted::Backup, 30_000 + 6_093),
        (
            Version::V3,
            150,
            40_950,
            Wanted::Backup,
            122_850_000 + 16_955_859,
        ),
        (Version::V3, 100, 500, Wanted::Master, 1_500_000 + 304_687),
    ];
    for (version, priority, millis, wanted, expected) in rows {
        let mut i = instance("V", 51, priority);
        i.version = version;
        i.advert_interval = Duration::from_millis(millis);
        i.wanted = wanted;
        let (host, _) = Host::new(config(9, vec![i]));
        assert_eq!(
            host.timer(0),
            Some(expected),
            "{version:?} {priority} {millis} {wanted:?}"
        );
    }
}

#[test]
fn adverts_keep_their_rhythm() {
    let mut host = host_in(State::Master);
    let first = host.router.next_timeout().unwrap();
    // 300 µs late each time; the deadlines do not move.
    for n in 1..=100u64 {
        let due = first + Duration::from_secs(n - 1);
        assert_eq!(host.router.next_timeout(), Some(due));
        host.now = due + Duration::from_micros(300);
        host.router.handle_timeout(host.now);
        assert_eq!(transmits(&host.drain()).len(), 1);
    }
    // Late by more than an interval: no burst to catch up.
    host.now = host.router.next_timeout().unwrap() + Duration::from_millis(2500);
    host.router.handle_timeout(host.now);
    assert_eq!(transmits(&host.drain()).len(), 1);
    assert_eq!(host.timer(0), Some(1_000_000));
}

#[test]
fn early_and_repeated_timeouts_do_nothing() {
    let mut host = host_in(State::Master);
    host.router.handle_timeout(host.now);
    host.router.handle_timeout(host.now);
    assert!(host.drain().is_empty());
}

#[test]
fn backup_timer_rules() {
    let mut host = host_in(State::Backup);
    host.now = at(2_000_000);
    host.hear(PEER, &v2(150, PEER));
    assert_eq!(host.timer(0), Some(3_609_375));
    host.now = at(3_000_000);
    host.hear(PEER, &v2(50, PEER));
    assert_eq!(
        host.timer(0),
        Some(2_609_375),
        "a lower advert leaves the timer alone"
    );
    host.hear(PEER, &v2(0, PEER));
    assert_eq!(host.timer(0), Some(609_375), "priority 0: skew");

    let mut host = host_in(State::Master);
    host.now = host.now + Duration::from_millis(10);
    host.tell(Input::Removed(Object::Address(1)));
    assert_eq!(host.timer(0), Some(609_375), "back after the skew time");
}

#[test]
fn version_3_adopts_the_masters_interval() {
    let mut i = instance("V", 51, 100);
    i.version = Version::V3;
    let (mut host, _) = Host::new(config(9, vec![i]));
    let out = host.hear(PEER, &advert(3, 150, PEER, 20));
    assert_eq!(host.timer(0), Some(600_000 + 121_875));
    let (ms1000, ms200) = (Duration::from_millis(1000), Duration::from_millis(200));
    assert!(notices(&out).contains(&&InstanceNotice::IntervalAdopted(ms1000, ms200)));
    let (_, out) = host.wait();
    assert!(notices(&out).contains(&&InstanceNotice::IntervalRestored(ms200, ms1000)));
    assert_eq!(host.timer(0), Some(1_000_000));
}

#[test]
fn preemption() {
    let mut i = instance("V", 51, 100);
    i.nopreempt = true;
    let (mut host, _) = Host::new(config(9, vec![i.clone()]));
    host.now = at(2_000_000);
    host.hear(PEER, &v2(50, PEER));
    assert_eq!(
        host.timer(0),
        Some(3_609_375),
        "nopreempt accepts a lower master"
    );

    i.nopreempt = false;
    i.preempt_delay = Duration::from_millis(2500);
    let (mut host, _) = Host::new(config(9, vec![i]));
    for (second, timer) in [
        (2, 3_609_375),
        (3, 3_609_375),
        (4, 3_609_375),
        (5, 2_609_375),
    ] {
        host.now = at(second * 1_000_000);
        host.hear(PEER, &v2(50, PEER));
        assert_eq!(host.timer(0), Some(timer), "second {second}");
    }
    let out = host.hear(PEER, &v2(150, PEER));
    assert!(notices(&out).contains(&&InstanceNotice::PreemptDelayStop));
    let out = host.hear(PEER, &v2(50, PEER));
    assert!(
        notices(&out).contains(&&InstanceNotice::PreemptDelayStart(Duration::from_millis(
            2500
        )))
    );
}

#[test]
fn two_owners_sort_themselves_out() {
    let owner = |host: u8| {
        let mut i = instance("V", 51, 255);
        i.wanted = Wanted::Master;
        let (mut h, _) = Host::new(config(host, vec![i]));
        let (took, _) = h.wait();
        assert_eq!((took, h.state(0)), (1, State::Master));
        h
    };
    let mut low = owner(9);
    let out = low.hear(PEER, &v2(255, PEER));
    assert!(notices(&out).contains(&&InstanceNotice::TwoOwners(IpAddr::from(PEER))));
    assert_eq!(low.state(0), State::Backup);

    let mut high = owner(9);
    high.hear(LOW_PEER, &v2(255, LOW_PEER));
    assert_eq!(high.state(0), State::Master);
    high.wait();
    high.wait();
    let out = high.hear(LOW_PEER, &v2(255, LOW_PEER));
    assert!(notices(&out).contains(&&InstanceNotice::OwnerStillThere(IpAddr::from(LOW_PEER))));
    assert_eq!(high.state(0), State::Backup);
    assert_eq!(
        high.router
            .status(InstanceId(0))
            .unwrap()
            .effective_priority,
        254
    );
    high.hear(LOW_PEER, &v2(100, LOW_PEER));
    assert_eq!(
        high.router
            .status(InstanceId(0))
            .unwrap()
            .effective_priority,
        255
    );
}

#[test]
fn refused_packets_are_counted_and_logged_once() {
    type Case = (&'static str, fn(&mut Vec<u8>), fn(&Check) -> bool);
    let cases: [Case; 8] = [
        ("ttl", |b| b[8] = 254, |c| matches!(c, Check::Ttl(254))),
        (
            "version",
            |b| b[20] = 0x31,
            |c| matches!(c, Check::Length { .. }),
        ),
        (
            "auth type",
            |b| b[24] = 9,
            |c| matches!(c, Check::AuthType(9)),
        ),
        (
            "auth",
            |b| b[24] = 1,
            |c| {
                matches!(
                    c,
                    Check::AuthMismatch {
                        got: 1,
                        expected: 0
                    }
                )
            },
        ),
        (
            "interval",
            |b| b[25] = 3,
            |c| matches!(c, Check::IntervalV2 { got: 3, ours: 1 }),
        ),
        (
            "checksum",
            |b| b[27] ^= 1,
            |c| matches!(c, Check::Checksum { version: 2 }),
        ),
        (
            "type",
            |b| b[20] = 0x22,
            |c| matches!(c, Check::PacketType(2)),
        ),
        (
            "long",
            |b| b.extend([0; 60]),
            |c| {
                matches!(
                    c,
                    Check::Length {
                        got: 100,
                        expected: 40
                    }
                )
            },
        ),
    ];
    for (name, damage, expected) in cases {
        let mut host = host_in(State::Backup);
        let mut bytes = v2(150, PEER);
        damage(&mut bytes);
        let before = host.timer(0);
        // The first packet of a new master clears what was logged; a refused one does not make it the master.
        let out = host.hear(PEER, &bytes);
        let checks: Vec<_> = notices(&out)
            .into_iter()
            .filter_map(|n| {
                if let InstanceNotice::Check(_, c) = n {
                    Some(c)
                } else {
                    None
                }
            })
            .collect();
        assert!(
            checks.len() == 1 && expected(checks[0]),
            "{name}: {checks:?}"
        );
        assert_eq!(host.timer(0), before, "{name}");
        assert_eq!(
            host.router.status(InstanceId(0)).unwrap().stats.advert_rcvd,
            0,
            "{name}"
        );
    }
    let mut host = host_in(State::Master);
    let mut bytes = v2(150, PEER);
    bytes[8] = 1;
    let said = |out: Vec<Output>| notices(&out).len();
    assert_eq!(said(host.hear(PEER, &bytes)), 1);
    assert_eq!(said(host.hear(PEER, &bytes)), 0);
    assert_eq!(
        host.router.status(InstanceId(0)).unwrap().stats.ip_ttl_err,
        2
    );
}

#[test]
fn padding_of_short_frames_is_allowed() {
    let mut host = host_in(State::Backup);
    let mut bytes = v2(150, PEER);
    bytes.extend([0; 6]);
    host.hear(PEER, &bytes);
    assert_eq!(
        host.router.status(InstanceId(0)).unwrap().stats.advert_rcvd,
        1
    );
}

fn group_config() -> Config {
    let mut c = config(9, vec![instance("A", 51, 100), instance("B", 52, 100)]);
    c.interfaces.push(Interface {
        link: LinkFacts {
            index: IfIndex::new(3),
            ..link(9)
        },
        ..interface("eth1", 9)
    });
    let b = &mut c.instances[1];
    b.interface = Some(IfId(1));
    b.configured_interface = Some(IfId(1));
    b.transmit_interface = Some(IfId(1));
    b.addresses[0].object = 2;
    b.addresses[0].interface = IfId(1);
    c.groups = vec![Group {
        name: "G".into(),
        members: vec![InstanceId(0), InstanceId(1)],
    }];
    c
}

#[test]
fn a_group_moves_as_one() {
    let (mut host, out) = Host::new(group_config());
    assert!(shape(&out).contains(&"group 0 BACKUP".to_owned()));
    // The first member waits for the second, which takes both along.
    let out = host.run_to(at(1_000_000 + 3_700_000));
    assert_eq!(
        (host.state(0), host.state(1)),
        (State::Master, State::Master)
    );
    let seen = shape(&out);
    let sync = seen.iter().position(|s| s == "sync MASTER").unwrap();
    assert_eq!(seen[sync - 1], "notify 1 MASTER 100");
    assert_eq!(seen.last().unwrap(), "group 0 MASTER");

    // One member leaves, all leave.
    let out = host.hear(PEER, &v2(150, PEER));
    assert_eq!(
        (host.state(0), host.state(1)),
        (State::Backup, State::Backup)
    );
    assert!(shape(&out).contains(&"sync BACKUP".to_owned()));

    // One member faults, all fault; it recovers, all recover.
    let out = host.tell(Input::Link(
        IfId(1),
        LinkFacts {
            index: IfIndex::new(3),
            ..down()
        },
    ));
    assert_eq!((host.state(0), host.state(1)), (State::Fault, State::Fault));
    assert_eq!(shape(&out).last().unwrap(), "group 0 FAULT");
    let out = host.tell(Input::Link(
        IfId(1),
        LinkFacts {
            index: IfIndex::new(3),
            ..link(9)
        },
    ));
    assert_eq!(
        (host.state(0), host.state(1)),
        (State::Backup, State::Backup)
    );
    assert_eq!(shape(&out).last().unwrap(), "group 0 BACKUP");
    assert_eq!(
        host.router.group_status(GroupId(0)).unwrap().state,
        State::Backup
    );
}

#[test]
fn weights_faults_and_pending_scripts() {
    let mut c = config(9, vec![instance("V", 51, 100)]);
    let tracker = |name: &str, kind, state| Tracker {
        name: name.into(),
        kind,
        state,
    };
    c.trackers = vec![
        tracker("w", TrackerKind::Script, TrackerState::Pending),
        tracker("z", TrackerKind::Script, TrackerState::Pending),
        tracker("f", TrackerKind::File, TrackerState::Value(0)),
    ];
    let track = |n, weight| Track {
        source: TrackSource::Tracker(TrackerId(n)),
        weight,
        reverse: false,
    };
    c.instances[0].tracks = vec![track(0, -60), track(1, 0), track(2, 2)];
    let (mut host, out) = Host::new(c);
    assert_eq!(host.state(0), State::Fault);
    assert!(states(&out).is_empty(), "waiting for a script is not told");
    let prio = |h: &Host| h.router.status(InstanceId(0)).unwrap().effective_priority;
    host.tell(Input::Tracker(TrackerId(1), TrackerState::Up));
    assert_eq!(host.state(0), State::Backup);
    assert_eq!(host.timer(0), Some(3_609_375));
    host.tell(Input::Tracker(TrackerId(0), TrackerState::Down));
    assert_eq!((prio(&host), host.timer(0)), (40, Some(3_843_750)));
    host.tell(Input::Tracker(TrackerId(0), TrackerState::Up));
    assert_eq!((prio(&host), host.timer(0)), (100, Some(3_609_375)));
    for (value, expected) in [(10, 120), (-10, 80), (100, 254), (-40, 20), (-120, 1)] {
        host.tell(Input::Tracker(TrackerId(2), TrackerState::Value(value)));
        assert_eq!(prio(&host), expected, "{value}");
        assert_eq!(host.state(0), State::Backup);
    }
    host.tell(Input::Tracker(TrackerId(2), TrackerState::Value(-127)));
    assert_eq!(host.state(0), State::Fault);
    host.tell(Input::Tracker(TrackerId(1), TrackerState::Down));
    host.tell(Input::Tracker(TrackerId(2), TrackerState::Value(0)));
    assert_eq!(host.state(0), State::Fault, "another reason is left");
    assert_eq!(host.router.status(InstanceId(0)).unwrap().faults.len(), 1);
    host.tell(Input::Tracker(TrackerId(1), TrackerState::Up));
    assert_eq!(host.state(0), State::Backup);
}

#[test]
fn link_delays() {
    let mut c = config(9, vec![instance("V", 51, 100)]);
    c.interfaces[0].down_delay = Duration::from_millis(300);
    let (mut host, _) = Host::new(c);
    host.tell(Input::Link(IfId(0), down()));
    assert_eq!(host.state(0), State::Backup);
    let out = host.tell(Input::Link(IfId(0), link(9)));
    assert!(out.contains(&Output::Notice(Notice::LinkDelayCancelled(IfId(0)))));
    host.tell(Input::Link(IfId(0), down()));
    let (took, out) = host.wait();
    assert_eq!((took, host.state(0)), (300_000, State::Fault));
    assert!(out.contains(&Output::Notice(Notice::Link(IfId(0), false))));
}

#[test]
fn an_interface_that_goes_and_comes_back() {
    let mut host = host_in(State::Master);
    host.tell(Input::Link(IfId(0), LinkFacts::default()));
    assert_eq!(host.state(0), State::Fault);
    let new = LinkFacts {
        index: IfIndex::new(7),
        ..link(9)
    };
    host.tell(Input::Link(IfId(0), LinkFacts { v4: None, ..new }));
    assert_eq!(host.state(0), State::Fault, "no address yet");
    host.tell(Input::Link(IfId(0), new));
    assert_eq!(host.state(0), State::Backup);
}

#[test]
fn announcements_follow_the_schedule() {
    let mut i = instance("V", 51, 100);
    i.garp = Garp {
        repeat: 3,
        delay: Duration::from_secs(2),
        refresh: Duration::from_secs(3),
        refresh_repeat: 2,
        ..Garp::default()
    };
    let (mut host, _) = Host::new(config(9, vec![i]));
    let (_, out) = host.wait();
    let count = |out: &[Output]| {
        out.iter()
            .filter(|o| matches!(o, Output::Announce { .. }))
            .count()
    };
    assert_eq!(count(&out), 3);
    let start = host.now;
    for (millis, expected) in [
        (1_990, 0),
        (2_010, 3),
        (4_990, 0),
        (5_010, 2),
        (7_990, 0),
        (8_010, 2),
    ] {
        let out = host.run_to(start + Duration::from_millis(millis));
        assert_eq!(count(&out), expected, "{millis} ms");
    }
}

#[test]
fn paced_announcements_queue() {
    let mut i = instance("V", 51, 100);
    i.garp.repeat = 2;
    i.addresses.push(VirtualAddress {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 101)),
        object: 2,
        ..i.addresses[0]
    });
    let mut c = config(9, vec![i]);
    c.pacing = vec![Pacing {
        arp: Duration::from_millis(100),
        na: Duration::ZERO,
    }];
    c.interfaces[0].pacing = Some(0);
    let (mut host, _) = Host::new(c);
    let (_, out) = host.wait();
    let start = host.now;
    let who = |out: &[Output]| {
        let all = out.iter().filter_map(|o| {
            if let Output::Announce { address, .. } = o {
                Some(address.to_string())
            } else {
                None
            }
        });
        all.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(who(&out), "192.0.2.100");
    let rest: Vec<_> = (1..5)
        .map(|n| who(&host.run_to(start + Duration::from_millis(100 * n))))
        .collect();
    assert_eq!(rest, ["192.0.2.101", "192.0.2.100", "192.0.2.101", ""]);
}

#[test]
fn reload_keeps_what_is_the_same() {
    let mut host = host_in(State::Master);
    let mut i = instance("RENAMED", 51, 120);
    i.addresses = vec![VirtualAddress {
        object: 2,
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 101)),
        ..i.addresses[0]
    }];
    let out = host.tell(Input::Reconfigure(Box::new(config(9, vec![i]))));
    assert_eq!(host.state(0), State::Master);
    assert_eq!(
        shape(&out),
        [
            "reconfigured",
            "remove Address(1)",
            "add Address(2)",
            "announce 192.0.2.101"
        ]
    );
    let (took, out) = host.wait();
    assert_eq!((took, shape(&out)), (0, vec!["advert 120".to_owned()]));

    let out = host.tell(Input::Reconfigure(Box::new(config(
        9,
        vec![instance("OTHER", 52, 100)],
    ))));
    assert_eq!(
        shape(&out)[..4],
        [
            "advert 0",
            "remove Address(2)",
            "notify 0 FAULT 120",
            "reconfigured"
        ]
    );
    assert_eq!(host.state(0), State::Backup);
}

#[test]
fn reload_of_an_unchanged_backup_is_silent() {
    let mut host = host_in(State::Backup);
    let out = host.tell(Input::Reconfigure(Box::new(config(
        9,
        vec![instance("V", 51, 100)],
    ))));
    assert!(states(&out).is_empty());
    assert_eq!(host.state(0), State::Backup);
}

#[test]
fn startup_delay_discards_and_shifts() {
    let mut c = config(9, vec![instance("V", 51, 100)]);
    c.global.startup_delay = Duration::from_secs(5);
    let (mut host, out) = Host::new(c);
    assert!(
        out.contains(&Output::Notice(Notice::StartupDelay(Duration::from_secs(
            5
        ))))
    );
    assert_eq!(host.timer(0), Some(5_000_000 + 3_609_375));
    host.hear(PEER, &v2(150, PEER));
    assert_eq!(host.timer(0), Some(5_000_000 + 3_609_375));
    let (took, out) = host.wait();
    assert_eq!(took, 5_000_000);
    assert!(out.contains(&Output::Notice(Notice::StartupDelayCompleted)));
}

#[test]
fn timer_expired_backup() {
    let mut i = instance("V", 51, 100);
    i.timer_expired_backup = Some(200);
    let (mut host, _) = Host::new(config(9, vec![i]));
    host.wait();
    host.now = host.now + Duration::from_micros(3_218_749);
    host.router.handle_timeout(host.now);
    assert_eq!(host.state(0), State::Master);
    host.drain();
    host.now = host.now + Duration::from_micros(3_218_750);
    host.router.handle_timeout(host.now);
    assert_eq!(host.state(0), State::Backup);
}

#[test]
fn ipv6_and_its_farewell() {
    let mut i = instance("V", 51, 100);
    i.family = Family::V6;
    i.version = Version::V3;
    i.destination = Destination::Multicast("ff02::12".parse().unwrap());
    i.addresses[0].address = "2001:db8::1".parse().unwrap();
    let (mut host, _) = Host::new(config(9, vec![i]));
    let (_, out) = host.wait();
    let sent = transmits(&out)[0];
    assert_eq!(sent.source, Some("fe80::9".parse().unwrap()));
    assert_eq!(sent.bytes.len(), 24);
    let out = host.tell(Input::Link(
        IfId(0),
        LinkFacts {
            v6: None,
            ..link(9)
        },
    ));
    assert_eq!(host.state(0), State::Fault);
    assert!(
        transmits(&out).is_empty(),
        "there is no address to send from"
    );
}
