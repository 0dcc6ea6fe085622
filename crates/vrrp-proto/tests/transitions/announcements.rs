//! Gratuitous ARP and neighbour advertisements.

use super::*;

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
