//! What a reload keeps.

use super::*;

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
fn priorities_are_told_before_instances_go() {
    let mut both = config(9, vec![instance("A", 51, 120), instance("B", 52, 120)]);
    both.instances[0].notify_priority_changes = true;
    let (mut host, _) = Host::new(both.clone());
    let mut one = both;
    one.instances.pop();
    one.instances[0].priority = 120;
    one.trackers = vec![Tracker {
        name: "F".into(),
        kind: TrackerKind::File,
        state: TrackerState::Value(-30),
    }];
    one.instances[0].tracks = vec![Track {
        source: TrackSource::Tracker(TrackerId(0)),
        weight: 1,
        reverse: false,
    }];
    let out = host.tell(Input::Reconfigure(Box::new(one)));
    let shape = shape(&out);
    assert_eq!(
        shape[..3],
        ["repriced A 90 true", "notify 1 FAULT 120", "reconfigured"]
    );
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
    let (mut host, _) = Host::new(c);
    assert_eq!(host.timer(0), Some(5_000_000 + 3_609_375));
    host.hear(PEER, &v2(150, PEER));
    assert_eq!(host.timer(0), Some(5_000_000 + 3_609_375));
    let (took, out) = host.wait();
    assert_eq!(took, 5_000_000);
    assert!(out.contains(&Output::Notice(Notice::StartupDelayCompleted)));
}

#[test]
fn a_backup_goes_on_waiting_from_the_masters_last_advert() {
    let mut c = config(9, vec![instance("V", 51, 100)]);
    c.instances[0].version = Version::V3;
    let again = c.clone();
    let (mut host, _) = Host::new(c);
    // The master's interval is 2 s; ours is 1 s.
    host.hear(PEER, &advert(3, 150, PEER, 200));
    let waits = host.timer(0).unwrap();
    host.now = host.now + Duration::from_millis(700);
    host.tell(Input::Reconfigure(Box::new(again.clone())));
    assert_eq!(host.timer(0), Some(waits - 700_000));
    assert_eq!(
        host.router.status(InstanceId(0)).unwrap().master_interval,
        Duration::from_secs(2)
    );
    // Another priority is another skew: it counts from now, still in the master's interval.
    let mut other = again;
    other.instances[0].priority = 120;
    host.tell(Input::Reconfigure(Box::new(other)));
    assert_eq!(host.timer(0), Some(6_000_000 + 136 * 200 * 625 / 16));
}

#[test]
fn announcements_that_were_due_later_still_are() {
    let mut c = config(9, vec![instance("V", 51, 100)]);
    c.instances[0].garp.delay = Duration::from_secs(5);
    let again = c.clone();
    let (mut host, _) = Host::new(c);
    host.wait();
    host.now = host.now + Duration::from_secs(1);
    host.tell(Input::Reconfigure(Box::new(again)));
    let end = host.now + Duration::from_millis(4_100);
    let out = shape(&host.run_to(end));
    assert_eq!(
        out.iter().filter(|o| o.starts_with("announce")).count(),
        1,
        "{out:?}"
    );
}

#[test]
fn an_address_that_moves_between_masters_stays() {
    let both = |first: &[u32], second: &[u32]| {
        let address = |n: &u32| VirtualAddress {
            object: *n,
            address: IpAddr::V4(Ipv4Addr::from(0xc000_0264 + *n)),
            interface: IfId(0),
            no_track: false,
        };
        let mut c = config(9, vec![instance("A", 51, 100), instance("B", 52, 100)]);
        c.instances[0].addresses = first.iter().map(address).collect();
        c.instances[1].addresses = second.iter().map(address).collect();
        c
    };
    let (mut host, _) = Host::new(both(&[1, 3], &[2]));
    host.wait();
    host.wait();
    assert_eq!(
        (host.state(0), host.state(1)),
        (State::Master, State::Master)
    );
    for (first, second) in [(&[1][..], &[2, 3][..]), (&[1, 3][..], &[2][..])] {
        let out = host.tell(Input::Reconfigure(Box::new(both(first, second))));
        let seen = shape(&out);
        assert!(!seen.iter().any(|o| o.starts_with("remove")), "{seen:?}");
        assert!(seen.contains(&"add Address(3)".to_owned()), "{seen:?}");
        let gone = InstanceNotice::Gone(Object::Address(3));
        assert_eq!(notices(&out).iter().filter(|n| ***n == gone).count(), 1);
    }
}

#[test]
fn a_route_of_the_same_key_is_replaced() {
    let route = |object, key| VirtualRoute {
        object,
        key,
        interface: None,
        no_track: false,
    };
    let with = |routes: Vec<VirtualRoute>| {
        let mut c = config(9, vec![instance("V", 51, 100)]);
        c.instances[0].routes = routes;
        c
    };
    let (mut host, _) = Host::new(with(vec![route(1, 1), route(2, 2)]));
    host.wait();
    let out = host.tell(Input::Reconfigure(Box::new(with(vec![route(3, 1)]))));
    assert_eq!(
        shape(&out),
        [
            "reconfigured",
            "replace Route(1) Route(3)",
            "remove Route(2)",
            "add Route(3)"
        ]
    );
    assert!(notices(&out).contains(&&InstanceNotice::Gone(Object::Route(2))));
    let out = host.tell(Input::Reconfigure(Box::new(with(vec![]))));
    assert_eq!(shape(&out), ["reconfigured", "remove Route(3)"]);
    let block = InstanceNotice::BlockGone(vrrp_proto::notice::Part::Routes);
    assert!(notices(&out).contains(&&block));
}

#[test]
fn a_delayed_link_change_goes_on_waiting() {
    let mut c = config(9, vec![instance("V", 51, 100)]);
    c.interfaces[0].down_delay = Duration::from_secs(2);
    let mut again = c.clone();
    again.interfaces[0].link = down();
    let (mut host, _) = Host::new(c);
    host.wait();
    host.tell(Input::Link(IfId(0), down()));
    host.now = host.now + Duration::from_millis(500);
    host.tell(Input::Reconfigure(Box::new(again)));
    assert_eq!(host.state(0), State::Master);
    let end = host.now + Duration::from_millis(1_499);
    host.run_to(end);
    assert_eq!(host.state(0), State::Master);
    let end = host.now + Duration::from_millis(2);
    host.run_to(end);
    assert_eq!(host.state(0), State::Fault);
}

#[test]
fn a_delay_from_boot_on_ends_when_it_is_due() {
    let mut c = config(9, vec![instance("V", 51, 100)]);
    c.global.startup_delay = Duration::from_secs(5);
    c.global.startup_delay_after_boot = true;
    let (mut host, _) = Host::new(c.clone());
    let start = host.now;
    host.run_to(start + Duration::from_secs(2));
    // What is left when it is read again.
    c.global.startup_delay = Duration::from_secs(3);
    host.tell(Input::Reconfigure(Box::new(c)));
    let completed = |out: &[Output]| {
        out.iter()
            .any(|o| matches!(o, Output::Notice(Notice::StartupDelayCompleted)))
    };
    assert!(!completed(
        &host.run_to(start + Duration::from_millis(4_999))
    ));
    assert!(completed(
        &host.run_to(start + Duration::from_millis(5_001))
    ));
}

#[test]
fn a_socket_without_its_address_is_a_fault_until_it_has_it() {
    let (mut host, _) = Host::new(config(9, vec![instance("V", 51, 100)]));
    let out = host.tell(Input::Unbound(&[SocketId(0)]));
    let said = |n: &InstanceNotice| {
        out.iter()
            .any(|o| matches!(o, Output::Notice(Notice::Instance(_, m)) if m == n))
    };
    assert!(said(&InstanceNotice::FaultUnbound));
    assert_eq!(host.state(0), State::Fault);
    assert!(host.tell(Input::Unbound(&[SocketId(0)])).is_empty());
    host.tell(Input::Unbound(&[]));
    assert_eq!(host.state(0), State::Backup);
}
