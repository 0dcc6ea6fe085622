//! Every (state, event) pair, and deadlines to the microsecond.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at what it did not expect"
)]

mod announcements;
mod authentication;
mod connections;
mod groups;
mod packets;
mod reload;
#[path = "../support/mod.rs"]
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
