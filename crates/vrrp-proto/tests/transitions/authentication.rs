//! Signed adverts between two routers, and what a liar can do. The recorded conversations are in keepalived-rs/tests/replay.

use vrrp_proto::auth::trailer::{LEN, Sequence};

use super::*;

const SECRET: &[u8] = b"0123456789abcdefghijklmnopqrstuv";
/// 22 November 2026.
const UTC: u64 = 1_795_366_742;

fn hmac(anti_replay: AntiReplay) -> Option<Box<Hmac>> {
    Some(Box::new(Hmac {
        keys: vec![HmacKey {
            id: 1,
            secret: SECRET.into(),
        }],
        active_key: 1,
        mode: HmacMode::Enforce,
        anti_replay,
    }))
}

fn signed(host: u8, priority: u8, anti_replay: AntiReplay) -> Config {
    let mut instance = instance("V", 51, priority);
    instance.hmac = hmac(anti_replay);
    config(host, vec![instance])
}

/// A master's adverts at these seconds of its clock.
fn adverts(anti_replay: AntiReplay, seconds: &[u64]) -> Vec<Vec<u8>> {
    let (mut host, _) = Host::new(signed(1, 150, anti_replay));
    let mut out = vec![];
    for second in seconds {
        host.now = host.router.next_timeout().unwrap();
        host.tell(Input::Clock(Duration::from_secs(*second)));
        let (_, sent) = host.wait();
        out.extend(transmits(&sent).iter().map(|t| t.bytes.clone()));
    }
    assert_eq!(out.len(), seconds.len());
    out
}

fn sequence(advert: &[u8]) -> Sequence {
    let trailer = &advert[advert.len() - LEN..];
    Sequence(u64::from_be_bytes(trailer[4..12].try_into().unwrap()))
}

fn listener(anti_replay: AntiReplay) -> Host {
    let (mut host, _) = Host::new(signed(2, 100, anti_replay));
    host.tell(Input::Clock(Duration::from_secs(UTC)));
    host
}

fn checks(out: &[Output]) -> Vec<Check> {
    notices(out)
        .into_iter()
        .filter_map(|n| match n {
            InstanceNotice::Check(_, c) => Some(*c),
            _ => None,
        })
        .collect()
}

const TIME: AntiReplay = AntiReplay::Time { window: 5 };
const FROM: [u8; 4] = [192, 0, 2, 1];

#[test]
fn a_clock_set_back() {
    let back = UTC - 100;
    // Within the window, or without one, the sequence goes on by one; else it follows the clock.
    for (mode, second, restarts) in [
        (TIME, UTC - 4, false),
        (TIME, back, true),
        (AntiReplay::Monotonic, back, false),
    ] {
        let sent = adverts(mode, &[UTC, second]);
        let (first, next) = (sequence(&sent[0]), sequence(&sent[1]));
        assert_eq!(first, Sequence::of_clock(Duration::from_secs(UTC)));
        if restarts {
            assert_eq!(u64::from(next.seconds()), back);
        } else {
            assert_eq!(next.0, first.0 + 1);
        }
    }
}

#[test]
fn a_mark_outside_the_window_is_forgotten() {
    let sent = adverts(TIME, &[UTC + 4, UTC - 100]);
    let mut host = listener(TIME);
    assert_eq!(
        checks(&host.hear(FROM, &sent[0])),
        [Check::TrailerSkew {
            skew: -4,
            window: 5
        }]
    );
    // Both clocks were set back: the old mark orders nothing that could still come.
    host.tell(Input::Clock(Duration::from_secs(UTC - 100)));
    assert_eq!(checks(&host.hear(FROM, &sent[1])), []);
    assert_eq!(checks(&host.hear(FROM, &sent[1])), [Check::TrailerReplayed]);
}

#[test]
fn marks_and_counters_survive_a_reload() {
    for mode in [TIME, AntiReplay::Monotonic] {
        let sent = adverts(mode, &[UTC]);
        let mut host = listener(mode);
        assert_eq!(checks(&host.hear(FROM, &sent[0])), []);
        assert_eq!(checks(&host.hear(FROM, &sent[0])), [Check::TrailerReplayed]);
        host.tell(Input::PrepareReload);
        host.tell(Input::Reconfigure(Box::new(signed(2, 100, mode))));
        // Told again, because a reload starts the lines anew; refused as before.
        assert_eq!(checks(&host.hear(FROM, &sent[0])), [Check::TrailerReplayed]);
        let stats = host.router.status(InstanceId(0)).unwrap().stats;
        assert_eq!((stats.auth_ext_replay, stats.advert_rcvd), (2, 1));
    }
}

#[test]
fn a_liar_gets_one_line_of_each_kind() {
    let sent = adverts(TIME, &[UTC]);
    let mut host = listener(TIME);
    let mut lines = vec![];
    for round in 0..50_u8 {
        for at in [40, 41, 42, 45, 59] {
            let mut forged = sent[0].clone();
            let at = at + forged.len() - 68;
            forged[at] ^= round | 1;
            // Another sender each time: a new master to hear of, but none to believe.
            lines.extend(checks(&host.hear([192, 0, 2, 100 + round], &forged)));
        }
    }
    lines.dedup();
    assert!(lines.len() <= 8, "{lines:?}");
    let status = host.router.status(InstanceId(0)).unwrap();
    assert_eq!((status.stats.advert_rcvd, status.master), (0, None));
    // All of that has moved no mark.
    assert_eq!(checks(&host.hear(FROM, &sent[0])), []);
}

#[test]
fn the_sequence_of_authentication_headers() {
    let ah = |host: u8, priority: u8| {
        let mut instance = instance("V", 51, priority);
        instance.auth = Auth::Ah(*b"secret12");
        config(host, vec![instance])
    };
    let number = |advert: &[u8]| u32::from_be_bytes(advert[28..32].try_into().unwrap());
    let (mut a, _) = Host::new(ah(1, 150));
    let (mut b, _) = Host::new(ah(2, 100));
    let (_, sent) = a.wait();
    let first = transmits(&sent)[0].bytes.clone();
    assert_eq!(number(&first), 1);
    b.hear(FROM, &first);
    // The same number again.
    let out = b.hear(FROM, &first);
    assert_eq!(
        notices(&out),
        [&InstanceNotice::AhReplayed { got: 1, local: 1 }]
    );
    // b goes on where a stopped, and a, who hears it, behind b.
    let (_, sent) = b.wait();
    let theirs = transmits(&sent)[0].bytes.clone();
    assert_eq!(number(&theirs), 2);
    let out = a.hear([192, 0, 2, 2], &theirs);
    assert!(notices(&out).contains(&&InstanceNotice::AhSyncing));
    assert_eq!(number(&transmits(&out)[0].bytes), 4);
    assert_eq!(
        b.router.status(InstanceId(0)).unwrap().stats.auth_failure,
        1
    );

    // A reload keeps it.
    b.tell(Input::Reconfigure(Box::new(ah(2, 100))));
    let (_, sent) = b.wait();
    assert_eq!(number(&transmits(&sent)[0].bytes), 3);
}

#[test]
fn whatever_comes_is_judged() {
    let mut rng = Rng::new(7);
    let samples = [
        adverts(TIME, &[UTC]).remove(0),
        adverts(AntiReplay::Monotonic, &[UTC]).remove(0),
    ];
    let mut ah = instance("A", 52, 100);
    ah.auth = Auth::Ah(*b"secret12");
    let mut both = signed(2, 100, TIME);
    both.instances.push(ah);
    let (mut host, _) = Host::new(both);
    host.tell(Input::Clock(Duration::from_secs(UTC)));
    for _ in 0..20_000 {
        let mut bytes = samples[rng.below(2) as usize].clone();
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            bytes[at] = rng.next() as u8;
        }
        if rng.chance(20) {
            bytes[9] = 51;
        }
        if rng.chance(20) {
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
        }
        for socket in [0, 1] {
            host.tell(Input::Advert(vrrp_proto::input::Received {
                socket: SocketId(socket),
                bytes: &bytes,
                source: IpAddr::from(FROM),
                multicast: true,
                hop_limit: None,
            }));
        }
    }
}
