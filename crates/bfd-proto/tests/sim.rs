//! Two engines on a link with delay, loss and cuts, in virtual time. The seed of a failing schedule is in the message.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bfd_proto::wire::State;
use bfd_proto::{Engine, Input, Output, Received, SessionConfig, SessionId};
use net_types::{Duration, Instant};

const SCHEDULES: u64 = 1000;

fn address(n: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, u8::try_from(n).unwrap()))
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

struct Net {
    now: Instant,
    ends: [Engine; 2],
    told: [Option<bool>; 2],
    /// Arrival, receiver, octets.
    flying: Vec<(Instant, usize, Vec<u8>)>,
    dice: Dice,
    /// Of a hundred.
    loss: u64,
    cut: [bool; 2],
}

impl Net {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut end = |n: usize| {
            let pick = |dice: &mut Dice| u32::try_from(10_000 + dice.roll(300_000)).unwrap();
            let config = SessionConfig {
                name: "S".into(),
                neighbor: address(1 - n),
                source: None,
                min_rx: pick(&mut dice),
                min_tx: pick(&mut dice),
                idle_tx: 1_000_000,
                multiplier: u8::try_from(2 + dice.roll(5)).unwrap(),
                passive: n == 1 && dice.roll(3) == 0,
                ttl: 255,
                max_hops: 0,
                multihop: false,
            };
            Engine::new(vec![config], seed ^ n as u64)
        };
        let ends = [end(0), end(1)];
        let mut net = Self {
            now: Instant::ZERO,
            ends,
            told: [None; 2],
            flying: Vec::new(),
            loss: 0,
            cut: [false; 2],
            dice,
        };
        for n in 0..2 {
            net.ends[n].handle(net.now, Input::Start);
            net.drain(n);
        }
        net
    }

    fn drain(&mut self, n: usize) {
        while let Some(output) = self.ends[n].poll_output() {
            match output {
                Output::Open(id) => self.ends[n].handle(self.now, Input::Opened(id, true)),
                Output::Transmit(_, bytes) => {
                    let lost = self.cut[n] || self.dice.roll(100) < self.loss;
                    let delay = Duration::from_micros(50 + self.dice.roll(3000));
                    if !lost {
                        self.flying.push((self.now + delay, 1 - n, bytes.to_vec()));
                    }
                }
                Output::Tell(_, up) => self.told[n] = Some(up),
                Output::Close(_) | Output::Reconfigured | Output::Notice(_) => {}
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let arrivals = self.flying.iter().map(|(at, ..)| *at);
            let timers = self.ends.iter().filter_map(Engine::next_timeout);
            let next = arrivals.chain(timers).min().unwrap_or(end);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            while let Some(at) = self.flying.iter().position(|(at, ..)| *at <= self.now) {
                let (_, n, bytes) = self.flying.remove(at);
                let received = Received {
                    bytes: &bytes,
                    source: SocketAddr::new(address(1 - n), 50_000),
                    destination: Some(address(n)),
                    hop_limit: Some(255),
                    multihop: false,
                };
                self.ends[n].handle(self.now, Input::Packet(received));
                self.drain(n);
            }
            for n in 0..2 {
                self.ends[n].handle_timeout(self.now);
                self.drain(n);
                let s = self.ends[n].session(SessionId(0)).unwrap();
                // What is told is what is, and a state that needs the other side has a deadline.
                assert_eq!(self.told[n] == Some(true), s.state == State::Up);
                assert_eq!(s.expire_at.is_some(), s.state >= State::Init);
                if s.state != State::Up {
                    assert!(s.tx >= 1_000_000, "slow start");
                }
                let silent = s.config.passive && s.state == State::Down;
                assert!(s.transmit_at.is_some() || silent);
            }
        }
    }

    fn states(&self) -> [State; 2] {
        [0, 1].map(|n: usize| self.ends[n].session(SessionId(0)).unwrap().state)
    }
}

#[test]
fn schedules() {
    for seed in 0..SCHEDULES {
        let played = std::panic::catch_unwind(|| play(seed));
        assert!(played.is_ok(), "seed {seed}");
    }
}

fn play(seed: u64) {
    let mut net = Net::new(seed);
    net.run(Duration::from_secs(8));
    assert_eq!(net.states(), [State::Up; 2], "a clean link");
    for n in 0..2 {
        let s = net.ends[n].session(SessionId(0)).unwrap();
        let t = net.ends[1 - n].session(SessionId(0)).unwrap();
        // Both know the same of each other.
        assert_eq!(s.tx, s.config.min_tx.max(t.config.min_rx));
        assert_eq!(s.remote_detection, t.detection);
        assert_eq!(s.remote_discriminator, t.discriminator);
        assert!(!s.poll, "the poll was answered");
    }
    // A cut in both directions, or in one, is noticed by both in time; the loss of single packets is survived or recovered from.
    let both = net.dice.roll(2) == 0;
    net.cut = [true, both];
    let detection = |n: usize| net.ends[n].session(SessionId(0)).unwrap().detection;
    let longest = detection(0).max(detection(1));
    net.run(Duration::from_micros(longest + 10_000));
    if both {
        assert_eq!(net.states(), [State::Down; 2]);
    } else {
        assert_eq!(net.states()[1], State::Down);
        net.run(Duration::from_secs(2));
        assert_ne!(net.states()[0], State::Up);
    }
    net.cut = [false; 2];
    net.loss = net.dice.roll(60);
    net.run(Duration::from_secs(10));
    net.loss = 0;
    net.run(Duration::from_secs(15));
    assert_eq!(net.states(), [State::Up; 2], "the link is clean again");
}
