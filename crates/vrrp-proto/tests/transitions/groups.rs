//! Sync groups, weights, faults, links.

use super::*;

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

/// As with 2.3.3, the first news of each member after a reload is told whatever the group does.
#[test]
fn members_that_a_reload_frees_from_fault_say_so() {
    let (mut host, _) = Host::new(group_config());
    host.run_to(at(1_000_000 + 3_700_000));
    let gone = LinkFacts {
        index: IfIndex::new(3),
        ..down()
    };
    host.tell(Input::Link(IfId(1), gone));
    assert_eq!((host.state(0), host.state(1)), (State::Fault, State::Fault));
    let out = host.tell(Input::Reconfigure(Box::new(group_config())));
    let seen = shape(&out);
    for told in [
        "group 0 BACKUP",
        "notify 0 BACKUP 100",
        "notify 1 BACKUP 100",
    ] {
        assert!(seen.iter().any(|s| s == told), "{told}: {seen:?}");
    }
}
