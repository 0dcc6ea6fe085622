//! Everything that can happen to a set of routers, one thing after the other, and a quiet end.
//!
//! At every moment, for every router:
//! - it holds an address exactly while the instance is MASTER;
//! - a sync group is MASTER as a whole or not at all;
//! - a MASTER that is awake sends its adverts in their interval, over reloads too; a BACKUP has a deadline, a FAULT has none;
//! - deadlines lie ahead: whoever handles what is due is not due again at once;
//! - announcements are for addresses that are there; nobody is told the same state twice.
//!
//! In the quiet end: four intervals after the last disturbance at most one router is MASTER of a VRID, in the end exactly one
//! if any can be; without `nopreempt` it is the one with the highest priority and address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use net_types::{Duration, IfIndex};
use vrrp_proto::config::{
    Config, Group, IfId, InstanceId, Track, TrackSource, Tracker, TrackerId, TrackerKind,
    TrackerState, Version, VirtualAddress,
};
use vrrp_proto::input::Received;
use vrrp_proto::output::NotifyState;
use vrrp_proto::{GroupId, Input, Notify, Object, Output, Router, State};

use crate::support::*;

/// Longest quiet end.
const QUIET: u64 = 16_000_000;

type Packet = (usize, usize, u16, Vec<u8>);

#[derive(Clone)]
struct Plan {
    vrids: Vec<u8>,
    /// Interface of each VRID.
    places: Vec<u16>,
    grouped: bool,
    version: Version,
    /// All routers preempt at once.
    plain: bool,
}

struct Node {
    router: Option<Router>,
    host: u8,
    config: Config,
    /// Addresses in the kernel.
    kernel: BTreeSet<u32>,
    links: [bool; 2],
    /// Sleeps until then.
    asleep: u64,
    /// VRID by position, as the outputs that are being drained mean it.
    ids: Vec<u8>,
    /// When each master last sent, and in what interval it must send again.
    sent: BTreeMap<u8, u64>,
    told: BTreeMap<u8, NotifyState>,
}

struct World {
    seed: u64,
    rng: Rng,
    plan: Plan,
    nodes: Vec<Node>,
    /// Packets on the way: (arrival, number) → (from, to, interface, bytes).
    wire: BTreeMap<(u64, u64), Packet>,
    number: u64,
    delay: u64,
    segment: Vec<u64>,
    loss: u64,
    quiet_since: Option<u64>,
    longest: u64,
}

fn facts(node: &Node, interface: u16) -> vrrp_proto::config::LinkFacts {
    vrrp_proto::config::LinkFacts {
        index: IfIndex::new(u32::from(interface) + 2),
        up: node.links[usize::from(interface)],
        v4: Some(Ipv4Addr::new(192, 0, 2, node.host)),
        ..link(node.host)
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5eed);
        let count = 2 + rng.below(3) as usize;
        let number = 1 + rng.below(3) as usize;
        let plain = rng.chance(60);
        let plan = Plan {
            vrids: (51..).take(number).collect(),
            places: (0..number)
                .map(|_| u16::try_from(rng.below(2)).unwrap())
                .collect(),
            grouped: number > 1 && rng.chance(50),
            version: if rng.chance(40) {
                Version::V2
            } else {
                Version::V3
            },
            plain,
        };
        let mut nodes = vec![];
        let mut longest = 0;
        let shared = [1000, 500, 100][rng.below(3) as usize];
        for n in 0..count {
            let host = u8::try_from(n + 1).unwrap();
            let config = first_config(&plan, host, shared, &mut rng);
            longest = longest.max(config.instances[0].advert_interval.as_micros());
            nodes.push(Node {
                router: None,
                host,
                config,
                kernel: BTreeSet::new(),
                links: [true; 2],
                asleep: 0,
                ids: vec![],
                sent: BTreeMap::new(),
                told: BTreeMap::new(),
            });
        }
        Self {
            seed,
            delay: 1 + rng.below(longest / 20),
            rng,
            plan,
            segment: vec![0; nodes.len()],
            nodes,
            wire: BTreeMap::new(),
            number: 0,
            loss: 0,
            quiet_since: None,
            longest,
        }
    }

    fn fail(&self, now: u64, what: &str) -> ! {
        panic!("VRRP_SIM_SEED={}: at {now} µs: {what}", self.seed);
    }

    fn start(&mut self, now: u64, n: usize) {
        let node = &mut self.nodes[n];
        for interface in 0..2 {
            node.config.interfaces[usize::from(interface)].link = facts(node, interface);
        }
        node.router = Some(Router::new(node.config.clone(), at(now)));
        node.ids = vrids(&node.config);
        node.told.clear();
        self.tell(now, n, Input::Start);
    }

    fn tell(&mut self, now: u64, n: usize, input: Input<'_>) {
        if let Some(router) = &mut self.nodes[n].router {
            router.handle(at(now), input);
            self.drain(now, n);
        }
    }

    fn drain(&mut self, now: u64, n: usize) {
        let mut said = vec![];
        loop {
            let Some(router) = &mut self.nodes[n].router else {
                return;
            };
            let Some(output) = router.poll_output() else {
                break;
            };
            match output {
                Output::Transmit(t) => {
                    let vrid = self.nodes[n].ids[t.instance.index()];
                    if t.priority > 0 {
                        self.nodes[n].sent.insert(vrid, now);
                    }
                    let place = self.plan.vrids.iter().position(|v| *v == vrid).unwrap();
                    let interface = self.plan.places[place];
                    if !self.nodes[n].links[usize::from(interface)] {
                        continue;
                    }
                    for to in (0..self.nodes.len()).filter(|to| *to != n) {
                        if self.segment[to] != self.segment[n] || self.rng.chance(self.loss) {
                            continue;
                        }
                        self.number += 1;
                        let arrival = now + 1 + self.rng.below(self.delay);
                        let packet = (n, to, interface, t.bytes.clone());
                        self.wire.insert((arrival, self.number), packet);
                    }
                }
                Output::Add(Object::Address(a)) => {
                    self.nodes[n].kernel.insert(a);
                }
                Output::Remove {
                    object: Object::Address(a),
                    ..
                } => {
                    self.nodes[n].kernel.remove(&a);
                }
                Output::Announce { address, .. } => {
                    let IpAddr::V4(v4) = address else { continue };
                    if !self.nodes[n].kernel.contains(&u32::from(v4)) {
                        self.fail(now, &format!("router {n} announces {address}, not its own"));
                    }
                }
                Output::Notify(Notify::Instance { id, state, .. }) => {
                    let vrid = self.nodes[n].ids[id.index()];
                    said.push((vrid, state));
                    if self.nodes[n].told.insert(vrid, state) == Some(state) {
                        self.fail(now, &format!("router {n} tells {state:?} of {vrid} again"));
                    }
                }
                Output::Reconfigured => {
                    let node = &mut self.nodes[n];
                    node.ids = vrids(&node.config);
                }
                Output::Done => self.nodes[n].router = None,
                _ => {}
            }
        }
        self.check_node(now, n);
    }

    fn check_node(&mut self, now: u64, n: usize) {
        let node = &self.nodes[n];
        let Some(router) = &node.router else { return };
        let mut due = vec![];
        let mut held = BTreeSet::new();
        for (i, config) in router.config().instances.iter().enumerate() {
            let id = InstanceId(u16::try_from(i).unwrap());
            let status = router.status(id).unwrap();
            let objects = config.addresses.iter().map(|a| a.object);
            match status.state {
                State::Master => {
                    held.extend(objects);
                    due.push((config.vrid.get(), config.advert_interval.as_micros()));
                    if status.deadline.is_none() {
                        self.fail(now, &format!("router {n}: a master without deadline"));
                    }
                }
                State::Backup if status.deadline.is_none() => {
                    self.fail(now, &format!("router {n}: a backup without deadline"));
                }
                State::Fault if status.deadline.is_some() => {
                    self.fail(now, &format!("router {n}: FAULT with a deadline"));
                }
                _ => {}
            }
        }
        if held != node.kernel {
            self.fail(
                now,
                &format!(
                    "router {n} holds {:?} and should hold {held:?}",
                    node.kernel
                ),
            );
        }
        if self.plan.grouped {
            let masters = due.len();
            if masters != 0 && masters != router.config().instances.len() {
                self.fail(now, &format!("router {n}: {masters} masters in a group"));
            }
        }
        let awake = node.asleep <= now;
        let vrids: BTreeSet<u8> = due.iter().map(|d| d.0).collect();
        for (vrid, interval) in due {
            let since = node.sent.get(&vrid).copied().unwrap_or(now);
            if awake && now.saturating_sub(since.max(node.asleep)) > interval {
                self.fail(
                    now,
                    &format!("router {n} is silent about {vrid} for too long"),
                );
            }
        }
        self.nodes[n].sent.retain(|vrid, _| vrids.contains(vrid));
    }

    /// Everything up to `end`.
    fn run(&mut self, start: u64, end: u64) {
        let mut last = (start, 0_u32);
        loop {
            let timer = self.nodes.iter().enumerate().filter_map(|(n, node)| {
                let at = node.router.as_ref()?.next_timeout()?.as_micros();
                Some((at.max(node.asleep).max(start), n))
            });
            let timer = timer.min();
            let packet = self.wire.keys().next().copied();
            let due = [timer.map(|t| t.0), packet.map(|p| p.0)];
            let Some(now) = due.into_iter().flatten().min().filter(|d| *d < end) else {
                break;
            };
            last = if last.0 == now {
                (now, last.1 + 1)
            } else {
                (now, 0)
            };
            if last.1 > 10_000 {
                self.fail(now, "time stands still");
            }
            self.check_masters(now);
            if let Some(key) = packet.filter(|p| p.0 == now) {
                let (from, to, interface, bytes) = self.wire.remove(&key).unwrap();
                self.deliver(now, key.1, (from, to, interface, bytes));
            } else if let Some((_, n)) = timer {
                if let Some(router) = &mut self.nodes[n].router {
                    router.handle_timeout(at(now));
                }
                self.drain(now, n);
                let next = self.nodes[n].router.as_ref().and_then(Router::next_timeout);
                if next.is_some_and(|t| t.as_micros() <= now) {
                    self.fail(now, &format!("router {n} is due again at once"));
                }
            }
        }
        self.check_masters(end);
    }

    fn deliver(&mut self, now: u64, number: u64, packet: Packet) {
        let (from, to, interface, bytes) = packet;
        let node = &self.nodes[to];
        if node.asleep > now {
            // It waits in the socket.
            self.wire
                .insert((node.asleep, number), (from, to, interface, bytes));
            return;
        }
        if self.segment[from] != self.segment[to] || !node.links[usize::from(interface)] {
            return;
        }
        let source = IpAddr::from([192, 0, 2, self.nodes[from].host]);
        let Some(router) = &node.router else { return };
        let socket = router
            .sockets()
            .iter()
            .position(|s| s.interface == Some(IfId(interface)));
        let Some(socket) = socket.and_then(|s| u16::try_from(s).ok()) else {
            return;
        };
        self.tell(
            now,
            to,
            Input::Advert(Received {
                socket: vrrp_proto::SocketId(socket),
                bytes: &bytes,
                source,
                multicast: true,
                hop_limit: None,
            }),
        );
    }

    fn masters(&self, vrid: u8) -> Vec<usize> {
        let is_master = |n: &usize| {
            let Some(router) = &self.nodes[*n].router else {
                return false;
            };
            let at = router
                .config()
                .instances
                .iter()
                .position(|i| i.vrid.get() == vrid);
            at.and_then(|i| router.status(InstanceId(u16::try_from(i).ok()?)))
                .is_some_and(|s| s.state == State::Master)
        };
        (0..self.nodes.len()).filter(is_master).collect()
    }

    fn check_masters(&self, now: u64) {
        let Some(since) = self.quiet_since else {
            return;
        };
        if now.saturating_sub(since) <= 4 * self.longest + 4 * self.delay {
            return;
        }
        for vrid in &self.plan.vrids {
            let masters = self.masters(*vrid);
            // A stronger router that takes over is heard by the weaker one a moment later.
            let fresh = masters
                .iter()
                .any(|n| self.wire.values().any(|(from, ..)| from == n));
            if masters.len() > 1 && !fresh {
                self.fail(now, &format!("{masters:?} are all master of {vrid}"));
            }
        }
    }

    /// Something happens to somebody.
    fn disturb(&mut self, now: u64) {
        let n = self.rng.below(self.nodes.len() as u64) as usize;
        let awake = self.nodes[n].asleep <= now;
        match self.rng.below(12) {
            0 => self.segment = self.nodes.iter().map(|_| self.rng.below(2)).collect(),
            1 => self.segment.fill(0),
            2 => self.loss = self.rng.below(60),
            3 => self.loss = 0,
            4 | 5 if awake => {
                let interface = u16::try_from(self.rng.below(2)).unwrap();
                let up = &mut self.nodes[n].links[usize::from(interface)];
                *up = !*up;
                let facts = facts(&self.nodes[n], interface);
                self.tell(now, n, Input::Link(IfId(interface), facts));
            }
            6 | 7 if awake => {
                let state = if self.rng.chance(50) {
                    TrackerState::Up
                } else {
                    TrackerState::Down
                };
                self.nodes[n].config.trackers[0].state = state;
                self.tell(now, n, Input::Tracker(TrackerId(0), state));
            }
            8 => {
                // The clock jumps for it: everything it had to do is late.
                self.nodes[n].asleep = now + self.rng.below(6_000_000);
            }
            9 | 10 if awake && self.nodes[n].router.is_some() => {
                self.nodes[n].config = self.changed_config(n);
                self.tell(now, n, Input::PrepareReload);
                let config = Box::new(self.nodes[n].config.clone());
                self.tell(now, n, Input::Reconfigure(config));
            }
            11 if awake => {
                if self.nodes[n].router.is_none() {
                    self.start(now, n);
                } else if self.rng.chance(50) {
                    self.tell(now, n, Input::Shutdown);
                    let left = &self.nodes[n].kernel;
                    if !left.is_empty() {
                        self.fail(now, &format!("router {n} has stopped and leaves {left:?}"));
                    }
                } else {
                    // A crash: its addresses stay until it starts again.
                    self.nodes[n].router = None;
                }
            }
            _ => {}
        }
    }

    /// Other priorities, names, order, addresses; the same identity.
    fn changed_config(&mut self, n: usize) -> Config {
        let mut config = self.nodes[n].config.clone();
        let rng = &mut self.rng;
        let priority = u8::try_from(1 + rng.below(254)).unwrap();
        for i in &mut config.instances {
            if rng.chance(30) {
                i.name = format!("N{}", rng.below(100)).into();
            }
            if rng.chance(30) {
                i.garp.refresh = Duration::from_secs(rng.below(3));
            }
        }
        if rng.chance(40) {
            for i in &mut config.instances {
                i.priority = priority;
            }
        }
        let at = rng.below(config.instances.len() as u64) as usize;
        if rng.chance(50) {
            let i = &mut config.instances[at];
            let vrid = i.vrid.get();
            i.addresses.truncate(1);
            for k in 0..u8::try_from(rng.below(3)).unwrap() {
                i.addresses.push(address(
                    [192, 0, 2, 100 + vrid - 51 + 10 * (k + 1)],
                    i.interface,
                ));
            }
        }
        if rng.chance(30) {
            config.instances.reverse();
        }
        for interface in 0..2 {
            config.interfaces[usize::from(interface)].link = facts(&self.nodes[n], interface);
        }
        config
    }

    /// No more disturbances; who is left must agree.
    fn quieten(&mut self, now: u64) {
        self.segment.fill(0);
        self.loss = 0;
        for n in 0..self.nodes.len() {
            self.nodes[n].asleep = self.nodes[n].asleep.min(now);
            if !self.nodes[n].links.iter().all(|up| *up) {
                self.nodes[n].links = [true; 2];
                for interface in 0..2 {
                    let facts = facts(&self.nodes[n], interface);
                    self.tell(now, n, Input::Link(IfId(interface), facts));
                }
            }
            if self.nodes[n].router.is_none() && (n == 0 || self.rng.chance(70)) {
                self.start(now, n);
            }
        }
        // Packets to those that slept.
        let waiting: Vec<_> = self
            .wire
            .keys()
            .filter(|k| k.0 > now + self.delay)
            .copied()
            .collect();
        for key in waiting {
            let packet = self.wire.remove(&key).unwrap();
            self.wire.insert((now + 1, key.1), packet);
        }
        self.quiet_since = Some(now);
    }

    fn check_end(&self, now: u64) {
        for vrid in &self.plan.vrids {
            let mut candidates = vec![];
            for (n, node) in self.nodes.iter().enumerate() {
                let Some(router) = &node.router else { continue };
                let instances = &router.config().instances;
                let i = instances
                    .iter()
                    .position(|i| i.vrid.get() == *vrid)
                    .unwrap();
                let status = router
                    .status(InstanceId(u16::try_from(i).unwrap()))
                    .unwrap();
                if !matches!(status.state, State::Fault) {
                    candidates.push((status.effective_priority, node.host, n));
                }
            }
            let masters = self.masters(*vrid);
            let expected = usize::from(!candidates.is_empty());
            if masters.len() != expected {
                self.fail(
                    now,
                    &format!("{masters:?} are master of {vrid} in the end, can be: {candidates:?}"),
                );
            }
            // An address alone does not preempt: among equals whoever was there stays.
            let best = candidates.iter().map(|c| c.0).max();
            let plain = self.plan.plain && !self.plan.grouped;
            let master = masters
                .first()
                .and_then(|m| candidates.iter().find(|c| c.2 == *m));
            if plain && master.map(|c| c.0) != best {
                self.fail(
                    now,
                    &format!("{masters:?} is master of {vrid}, not the best of {candidates:?}"),
                );
            }
        }
    }
}

fn vrids(config: &Config) -> Vec<u8> {
    config.instances.iter().map(|i| i.vrid.get()).collect()
}

/// The number of an address in the kernel's table is the address.
fn address(octets: [u8; 4], interface: Option<IfId>) -> VirtualAddress {
    let v4 = Ipv4Addr::from(octets);
    VirtualAddress {
        address: IpAddr::V4(v4),
        object: u32::from(v4),
        interface: interface.unwrap(),
        no_track: false,
    }
}

fn first_config(plan: &Plan, host: u8, shared: u64, rng: &mut Rng) -> Config {
    let priority = u8::try_from(1 + rng.below(254)).unwrap();
    let weight = [0, 0, -60, 60, -253][rng.below(5) as usize];
    let mut c = config(host, vec![]);
    c.interfaces.push(interface("eth1", host));
    c.trackers = vec![Tracker {
        name: "t".into(),
        kind: TrackerKind::Script,
        state: TrackerState::Up,
    }];
    for (vrid, place) in plan.vrids.iter().zip(&plan.places) {
        let own = u8::try_from(1 + rng.below(254)).unwrap();
        let mut i = instance(
            &format!("V{vrid}"),
            *vrid,
            if plan.grouped { priority } else { own },
        );
        i.version = plan.version;
        i.interface = Some(IfId(*place));
        i.configured_interface = i.interface;
        i.transmit_interface = i.interface;
        i.addresses = vec![address([192, 0, 2, 100 + vrid - 51], i.interface)];
        if plan.version == Version::V3 {
            i.advert_interval = Duration::from_millis(shared);
        }
        if !plan.plain {
            i.nopreempt = rng.chance(30);
            i.lower_prio_no_advert = rng.chance(10);
            i.higher_prio_send_advert = rng.chance(10);
            if rng.chance(20) {
                i.preempt_delay = Duration::from_secs(1 + rng.below(3));
            }
        }
        if rng.chance(60) || plan.grouped {
            i.tracks = vec![Track {
                source: TrackSource::Tracker(TrackerId(0)),
                weight,
                reverse: false,
            }];
        }
        if plan.grouped {
            i.group = Some(GroupId(0));
        }

        c.instances.push(i);
    }
    if plan.grouped {
        c.groups = vec![Group {
            name: "G".into(),
            members: (0..plan.vrids.len())
                .map(|m| InstanceId(u16::try_from(m).unwrap()))
                .collect(),
        }];
    }
    c
}

fn simulate(seed: u64) {
    let mut world = World::new(seed);
    let mut now = 0;
    for n in 0..world.nodes.len() {
        world.start(0, n);
    }
    for _ in 0..2 + world.rng.below(14) {
        let end = now + 1 + world.rng.below(2_000_000);
        world.run(now, end);
        now = end;
        world.disturb(now);
    }
    world.quieten(now);
    let end = now + QUIET;
    world.run(now, end);
    world.check_end(end);
}

#[test]
fn whatever_happens_to_them() {
    crate::seeds(10_000, simulate);
}
