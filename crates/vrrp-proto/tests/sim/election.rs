//! Routers on a virtual link with delay, loss, duplication and partitions, from thousands of seeds.
//!
//! What must hold whatever happens:
//! - nobody holds an address without being MASTER, and a MASTER holds its addresses;
//! - on a segment without loss two masters bear each other no longer than one advert takes to arrive;
//! - on a segment without loss somebody is MASTER when the longest master-down time is over;
//! - four intervals after all faults end there is exactly one MASTER.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::support::*;
use net_types::{Duration, Instant};
use vrrp_proto::config::{Version, Wanted};
use vrrp_proto::input::Received;
use vrrp_proto::{Input, Object, Output, Router, SocketId, State};

struct Node {
    router: Router,
    address: [u8; 4],
    holds: bool,
    interval: u64,
    master_since: Option<u64>,
}

struct Phase {
    segment: Vec<u64>,
    loss: u64,
    duplication: u64,
    start: u64,
    end: u64,
}

struct World {
    seed: u64,
    rng: Rng,
    nodes: Vec<Node>,
    /// Packets on the way: (arrival, number) → (from, to, bytes).
    wire: BTreeMap<(u64, u64), (usize, usize, Vec<u8>)>,
    sent: u64,
    delay: u64,
    longest_interval: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let count = 2 + rng.below(4) as usize;
        let version = if rng.chance(50) {
            Version::V2
        } else {
            Version::V3
        };
        let mut nodes = vec![];
        let mut longest = 0;
        let mut shortest = u64::MAX;
        for n in 0..count {
            let host = u8::try_from(n + 1).unwrap();
            let mut i = instance("V", 51, u8::try_from(1 + rng.below(254)).unwrap());
            i.version = version;
            if version == Version::V3 {
                i.advert_interval = Duration::from_millis([1000, 500, 100][rng.below(3) as usize]);
            }
            i.nopreempt = rng.chance(25);
            i.lower_prio_no_advert = rng.chance(10);
            i.higher_prio_send_advert = rng.chance(10);
            if rng.chance(15) {
                i.preempt_delay = Duration::from_secs(1 + rng.below(3));
            }
            if rng.chance(30) {
                i.wanted = Wanted::Master;
            }
            let interval = i.advert_interval.as_micros();
            longest = longest.max(interval);
            shortest = shortest.min(interval);
            nodes.push(Node {
                router: Router::new(config(host, vec![i]), at(0)),
                address: [192, 0, 2, host],
                holds: false,
                interval,
                master_since: None,
            });
        }
        Self {
            seed,
            delay: 1 + rng.below(shortest / 20),
            rng,
            nodes,
            wire: BTreeMap::new(),
            sent: 0,
            longest_interval: longest,
        }
    }

    fn fail(&self, now: u64, what: &str) -> ! {
        panic!("seed {}: at {now} µs: {what}", self.seed);
    }

    fn drain(&mut self, now: u64, n: usize, phase: &Phase) {
        while let Some(output) = self.nodes[n].router.poll_output() {
            match output {
                Output::Transmit(t) => {
                    for to in (0..self.nodes.len()).filter(|to| *to != n) {
                        if phase.segment[to] != phase.segment[n] || self.rng.chance(phase.loss) {
                            continue;
                        }
                        let copies = if self.rng.chance(phase.duplication) {
                            2
                        } else {
                            1
                        };
                        for _ in 0..copies {
                            self.sent += 1;
                            let arrival = now + 1 + self.rng.below(self.delay);
                            self.wire
                                .insert((arrival, self.sent), (n, to, t.bytes.clone()));
                        }
                    }
                }
                Output::Add(Object::Address(_)) => self.nodes[n].holds = true,
                Output::Remove {
                    object: Object::Address(_),
                    ..
                } => self.nodes[n].holds = false,
                _ => {}
            }
        }
        let state = self.nodes[n]
            .router
            .status(vrrp_proto::InstanceId(0))
            .unwrap()
            .state;
        if (state == State::Master) != self.nodes[n].holds {
            self.fail(
                now,
                &format!("router {n} is {state:?} and holds: {}", self.nodes[n].holds),
            );
        }
        let since = self.nodes[n].master_since;
        self.nodes[n].master_since = (state == State::Master).then(|| since.unwrap_or(now));
    }

    fn run(&mut self, phase: &Phase) {
        loop {
            let timer = (0..self.nodes.len())
                .filter_map(|n| {
                    self.nodes[n]
                        .router
                        .next_timeout()
                        .map(|t| (t.as_micros(), n))
                })
                .min();
            let packet = self.wire.keys().next().copied();
            let due = [timer.map(|t| t.0), packet.map(|p| p.0)]
                .into_iter()
                .flatten()
                .min();
            let Some(now) = due.filter(|d| *d < phase.end) else {
                break;
            };
            self.check(now, phase);
            if let Some(key) = packet.filter(|p| p.0 == now) {
                let (from, to, bytes) = self.wire.remove(&key).unwrap();
                if phase.segment[from] == phase.segment[to] {
                    let source = IpAddr::from(self.nodes[from].address);
                    let input = Input::Advert(Received {
                        socket: SocketId(0),
                        bytes: &bytes,
                        source,
                        multicast: true,
                        hop_limit: None,
                    });
                    self.nodes[to].router.handle(at(now), input);
                    self.drain(now, to, phase);
                }
            } else if let Some((_, n)) = timer {
                self.nodes[n].router.handle_timeout(at(now));
                self.drain(now, n, phase);
            }
        }
        self.check(phase.end, phase);
    }

    fn check(&self, now: u64, phase: &Phase) {
        if phase.loss > 0 {
            return;
        }
        let slack = self.delay + 2;
        for a in 0..self.nodes.len() {
            let Some(since_a) = self.nodes[a].master_since else {
                continue;
            };
            for b in a + 1..self.nodes.len() {
                let Some(since_b) = self.nodes[b].master_since else {
                    continue;
                };
                if phase.segment[a] != phase.segment[b] {
                    continue;
                }
                // The stronger one sends at least once in its interval, and the other lets go when it arrives.
                let both = since_a.max(since_b).max(phase.start);
                let bound = self.nodes[a].interval.max(self.nodes[b].interval) + slack;
                if now.saturating_sub(both) > bound {
                    self.fail(
                        now,
                        &format!("{a} and {b} are both master for {} µs", now - both),
                    );
                }
            }
        }
        // Everybody's master-down time, plus a preemption delay that a lost master may have left behind.
        let patience = 4 * self.longest_interval + 2 * slack + 1_000_000;
        if now.saturating_sub(phase.start) > patience {
            for segment in 0..self.nodes.len() as u64 {
                let members: Vec<_> = (0..self.nodes.len())
                    .filter(|n| phase.segment[*n] == segment)
                    .collect();
                if members.is_empty() {
                    continue;
                }
                let anybody = members.iter().any(|n| {
                    // A change of master is on its way for at most a skew time.
                    self.nodes[*n].master_since.is_some()
                        || self.nodes[*n]
                            .router
                            .next_timeout()
                            .is_some_and(|t| t.since(at(now)) < patience_of(self))
                });
                if !anybody {
                    self.fail(now, &format!("nobody is master in segment {segment}"));
                }
            }
        }
    }
}

fn patience_of(world: &World) -> Duration {
    Duration::from_micros(world.longest_interval + world.delay)
}

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    let count = world.nodes.len();
    let whole = vec![0; count];
    let mut now = 0;
    let phases = 1 + world.rng.below(4);
    for k in 0..=phases {
        let last = k == phases;
        let segment = if last || world.rng.chance(40) {
            whole.clone()
        } else {
            (0..count).map(|_| world.rng.below(2)).collect()
        };
        let length = if last {
            20_000_000
        } else {
            500_000 + world.rng.below(12_000_000)
        };
        let phase = Phase {
            segment,
            loss: if last || world.rng.chance(40) {
                0
            } else {
                world.rng.below(60)
            },
            duplication: world.rng.below(20),
            start: now,
            end: now + length,
        };
        if k == 0 {
            for n in 0..count {
                world.nodes[n].router.handle(Instant::ZERO, Input::Start);
                world.drain(0, n, &phase);
            }
        }
        world.run(&phase);
        now = phase.end;
    }
    let masters = world
        .nodes
        .iter()
        .filter(|n| n.master_since.is_some())
        .count();
    if masters != 1 {
        world.fail(now, &format!("{masters} masters at the end"));
    }
}

#[test]
fn masters_agree_whatever_the_link_does() {
    crate::seeds(5_000, simulate);
}
