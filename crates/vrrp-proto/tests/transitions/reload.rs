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
