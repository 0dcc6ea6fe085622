//! Every state with every state of the other side, and the rules around them, on one engine with packets made by hand.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bfd_proto::wire::{Diagnostic, Packet, State};
use bfd_proto::{Engine, Input, Notice, Output, Received, SessionConfig, SessionId};
use net_types::{Duration, Instant};

const A: SessionId = SessionId(0);
const THEIRS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const OURS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn config() -> SessionConfig {
    SessionConfig {
        name: "A".into(),
        neighbor: THEIRS,
        source: Some(OURS),
        min_rx: 200_000,
        min_tx: 300_000,
        idle_tx: 1_000_000,
        multiplier: 4,
        passive: false,
        ttl: 255,
        max_hops: 0,
        multihop: false,
    }
}

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

struct Bench {
    engine: Engine,
    now: Instant,
    out: Vec<Output>,
}

impl Bench {
    fn new(config: SessionConfig) -> Self {
        let mut bench = Self {
            engine: Engine::new(vec![config], 7),
            now: at(1000),
            out: Vec::new(),
        };
        bench.input(Input::Start);
        bench
    }

    /// Opens whatever is asked for.
    fn input(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input);
        self.drain(true);
    }

    fn drain(&mut self, open: bool) {
        self.out.clear();
        while let Some(output) = self.engine.poll_output() {
            if let Output::Open(id) = output {
                self.engine.handle(self.now, Input::Opened(id, open));
            }
            self.out.push(output);
        }
    }

    fn packet(&self, state: State) -> Packet {
        Packet {
            diagnostic: Diagnostic::None,
            state,
            poll: false,
            is_final: false,
            control_plane: false,
            authentication: false,
            demand: false,
            multiplier: 3,
            my_discriminator: 77,
            your_discriminator: self.engine.session(A).unwrap().discriminator,
            min_tx: 100_000,
            min_rx: 50_000,
            min_echo_rx: 0,
        }
    }

    fn hear(&mut self, packet: Packet) {
        self.hear_with(&packet.encode(), Some(255));
    }

    fn hear_with(&mut self, bytes: &[u8], hop_limit: Option<u8>) {
        self.input(Input::Packet(Received {
            bytes,
            source: SocketAddr::new(THEIRS, 50_000),
            destination: Some(OURS),
            hop_limit,
            multihop: false,
        }));
    }

    fn state(&self) -> State {
        self.engine.session(A).unwrap().state
    }

    fn go(config: SessionConfig, state: State) -> Self {
        let mut bench = Self::new(config);
        match state {
            State::Down => {}
            State::Init => bench.hear(bench.packet(State::Down)),
            State::Up => bench.hear(bench.packet(State::Init)),
            State::AdminDown => {
                let config = vec![config_of(&bench)];
                bench
                    .engine
                    .handle(bench.now, Input::Reconfigure(Box::new(config)));
                bench.drain(false);
            }
        }
        assert_eq!(bench.state(), state);
        bench
    }

    fn sent(&self) -> Vec<Packet> {
        let sent = |o: &Output| match o {
            Output::Transmit(_, bytes) => Some(Packet::decode(bytes).unwrap()),
            _ => None,
        };
        self.out.iter().filter_map(sent).collect()
    }

    fn told(&self) -> Vec<bool> {
        let told = |o: &Output| match o {
            Output::Tell(_, up) => Some(*up),
            _ => None,
        };
        self.out.iter().filter_map(told).collect()
    }

    /// Goes to the next deadline; how long that took.
    fn wait(&mut self) -> Duration {
        let next = self.engine.next_timeout().unwrap();
        let took = next.since(self.now);
        self.now = next;
        self.engine.handle_timeout(next);
        self.drain(true);
        took
    }
}

fn config_of(bench: &Bench) -> SessionConfig {
    bench.engine.session(A).unwrap().config.clone()
}

#[test]
fn every_state_with_every_state() {
    use State::{AdminDown, Down, Init, Up};
    // Ours; ours after a packet with AdminDown, Down, Init, Up. From AdminDown a packet opens the socket.
    let table = [
        (AdminDown, [Down, Init, Up, Down]),
        (Down, [Down, Init, Up, Down]),
        (Init, [Down, Init, Up, Up]),
        (Up, [Down, Down, Up, Up]),
    ];
    for (ours, after) in table {
        for (theirs, expected) in State::ALL.into_iter().zip(after) {
            let mut bench = Bench::go(config(), ours);
            bench.hear(bench.packet(theirs));
            assert_eq!(bench.state(), expected, "{ours:?} hears {theirs:?}");
            let told: &[bool] = match (ours, expected) {
                (Up, Up) => &[],
                (_, Up) => &[true],
                // That the other side is switched off is no failure.
                (Up, Down) if theirs == Down => &[false],
                _ => &[],
            };
            assert_eq!(bench.told(), told, "{ours:?} hears {theirs:?}");
            let fell = ours != Down && ours != AdminDown && expected == Down;
            let diagnostic = if fell {
                Diagnostic::NeighborDown
            } else {
                Diagnostic::None
            };
            let now = bench.engine.session(A).unwrap();
            if ours != AdminDown {
                assert_eq!(now.diagnostic, diagnostic, "{ours:?} hears {theirs:?}");
            }
            assert_eq!(now.remote_state, theirs);
        }
    }
}

#[test]
fn slow_start_and_jitter() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.sent().len(), 1);
    assert_eq!(bench.sent()[0].min_tx, 1_000_000);
    let (mut least, mut most) = (u64::MAX, 0);
    for _ in 0..2000 {
        let took = bench.wait().as_micros();
        assert_eq!(bench.sent().len(), 1);
        (least, most) = (least.min(took), most.max(took));
    }
    // A quarter to a tenth less than a second.
    assert!((750_000..755_000).contains(&least), "{least}");
    assert!((895_000..=900_000).contains(&most), "{most}");
}

#[test]
fn what_is_negotiated() {
    let mut bench = Bench::go(config(), State::Up);
    let polling = bench.engine.session(A).unwrap();
    // Not negotiated before both know that it is Up.
    assert_eq!((polling.tx, polling.poll), (1_000_000, true));
    assert_eq!((polling.remote_tx, polling.detection), (200_000, 600_000));
    let mut answer = bench.packet(State::Up);
    answer.is_final = true;
    answer.min_rx = 400_000;
    bench.hear(answer);
    let s = bench.engine.session(A).unwrap();
    assert_eq!((s.tx, s.poll), (400_000, false));
    assert_eq!((s.detection, s.remote_detection), (600_000, 1_600_000));
    assert!(
        bench
            .out
            .contains(&Output::Notice(Notice::Timers(A, s.timers(), true)))
    );
    // Without poll or final nothing is negotiated, but the multiplier counts at once.
    let mut other = bench.packet(State::Up);
    (other.multiplier, other.min_tx, other.min_rx) = (5, 900_000, 1);
    bench.hear(other);
    let s = bench.engine.session(A).unwrap();
    assert_eq!((s.tx, s.detection), (400_000, 1_000_000));
    assert!(bench.out.contains(&Output::Notice(Notice::DetectionTime(
        A, 1_000_000, 600_000
    ))));
    // A poll is answered at once, and what they poll for holds.
    other.poll = true;
    bench.hear(other);
    let s = bench.engine.session(A).unwrap();
    assert_eq!((s.tx, s.detection), (300_000, 4_500_000));
    let sent = bench.sent();
    assert_eq!(
        (sent.len(), sent[0].is_final, sent[0].poll),
        (1, true, false)
    );
    assert!(!bench.engine.session(A).unwrap().answer);
}

#[test]
fn silence_is_noticed_and_forgotten() {
    let mut bench = Bench::go(config(), State::Up);
    let ours = bench.engine.session(A).unwrap().discriminator;
    let start = bench.now;
    let mut told = Vec::new();
    while bench.state() == State::Up {
        bench.wait();
        told.extend(bench.told());
    }
    assert_eq!(bench.now.since(start), Duration::from_micros(600_000));
    assert_eq!(told, [false]);
    let s = bench.engine.session(A).unwrap();
    assert_eq!(s.diagnostic, Diagnostic::Expired);
    assert_eq!(s.remote_discriminator, 0);
    assert_ne!(s.discriminator, ours);
    assert!(
        bench
            .out
            .contains(&Output::Notice(Notice::Expired(A, 600_000, 0, true)))
    );
    // The other side's state is forgotten after another detection time, its timers are not.
    let down = bench.now;
    while bench.engine.session(A).unwrap().reset_at.is_some() {
        bench.wait();
    }
    assert_eq!(bench.now.since(down), Duration::from_micros(600_000));
    assert_eq!(bench.engine.session(A).unwrap().remote_min_rx, 50_000);
}

#[test]
fn a_passive_side_waits_to_be_asked() {
    let passive = SessionConfig {
        passive: true,
        ..config()
    };
    let mut bench = Bench::new(passive);
    assert!(bench.sent().is_empty());
    assert_eq!(bench.engine.next_timeout(), None);
    let mut first = bench.packet(State::Down);
    (first.your_discriminator, first.min_tx) = (0, 1_000_000);
    bench.hear(first);
    assert_eq!(bench.state(), State::Init);
    bench.wait();
    assert_eq!(bench.sent().len(), 1);
}

#[test]
fn demand_ends_the_packets_while_up() {
    let mut bench = Bench::go(config(), State::Up);
    let mut demand = bench.packet(State::Up);
    demand.demand = true;
    bench.hear(demand);
    assert_eq!(bench.engine.session(A).unwrap().transmit_at, None);
    demand.demand = false;
    bench.hear(demand);
    assert!(bench.engine.session(A).unwrap().transmit_at.is_some());
}

#[test]
fn what_is_not_for_us() {
    let cases: [(u8, Option<u8>, bool); 7] = [
        (0, Some(255), true),
        (0, Some(254), false),
        (3, Some(252), true),
        (3, Some(251), false),
        (255, Some(1), true),
        // The kernel says nothing, or nonsense.
        (0, None, true),
        (0, Some(0), true),
    ];
    for (max_hops, hop_limit, taken) in cases {
        let mut bench = Bench::new(SessionConfig {
            max_hops,
            ..config()
        });
        let bytes = bench.packet(State::Down).encode();
        bench.hear_with(&bytes, hop_limit);
        assert_eq!(
            bench.state() == State::Init,
            taken,
            "{max_hops} {hop_limit:?}"
        );
    }
    let mut bench = Bench::new(config());
    let mut stranger = bench.packet(State::Down);
    stranger.your_discriminator ^= 1;
    bench.hear(stranger);
    let from = SocketAddr::new(THEIRS, 50_000);
    let expected = Notice::NoSession(from, stranger.your_discriminator);
    assert_eq!(bench.out, [Output::Notice(expected)]);
    let mut signed = bench.packet(State::Down).encode().to_vec();
    signed[1] |= 4;
    bench.hear_with(&signed, Some(255));
    assert_eq!(bench.out, [Output::Notice(Notice::Authentication(from))]);
    // Without a discriminator addresses and port decide.
    let mut first = bench.packet(State::Down);
    first.your_discriminator = 0;
    for (destination, multihop, taken) in [
        (THEIRS, false, false),
        (OURS, true, false),
        (OURS, false, true),
    ] {
        bench.input(Input::Packet(Received {
            bytes: &first.encode(),
            source: from,
            destination: Some(destination),
            hop_limit: Some(255),
            multihop,
        }));
        assert_eq!(bench.state() == State::Init, taken);
    }
}

#[test]
fn a_reload_keeps_sessions() {
    let mut bench = Bench::go(config(), State::Up);
    let mut answer = bench.packet(State::Up);
    answer.is_final = true;
    bench.hear(answer);
    let before = bench.engine.session(A).unwrap().clone();
    assert!(!before.poll);
    let other = SessionConfig {
        name: "B".into(),
        neighbor: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)),
        ..config()
    };
    let faster = SessionConfig {
        min_tx: 100_000,
        ..config()
    };
    let new = vec![other.clone(), faster];
    bench.input(Input::Reconfigure(Box::new(new)));
    let (b, a) = (SessionId(0), SessionId(1));
    let after = bench.engine.session(a).unwrap();
    assert_eq!(after.state, State::Up);
    assert_eq!(after.discriminator, before.discriminator);
    assert_eq!(
        (after.expire_at, after.transmit_at),
        (before.expire_at, before.transmit_at)
    );
    assert!(after.poll);
    assert_eq!(bench.told(), [false, true]);
    assert_eq!(bench.engine.session(b).unwrap().state, State::Down);
    // Gone.
    bench.input(Input::Reconfigure(Box::new(vec![other])));
    assert_eq!(bench.out.first(), Some(&Output::Close(a)));
    assert_eq!(bench.engine.sessions().count(), 1);
    bench.input(Input::Repeat);
    assert_eq!(bench.told(), [false]);
}

#[test]
fn without_a_socket_it_is_tried_every_minute() {
    let mut bench = Bench::go(config(), State::AdminDown);
    assert!(
        bench
            .out
            .contains(&Output::Notice(Notice::EnteringAdminDown(A)))
    );
    assert_eq!(bench.wait(), Duration::from_secs(60));
    assert_eq!(bench.state(), State::Down);
    bench.wait();
    assert_eq!(bench.sent().len(), 1);
}
