//! What is refused, counted and logged.

use super::*;

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
