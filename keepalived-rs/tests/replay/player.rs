//! One node of a recording, played by our core with the node's configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::{Outcome, ParseOptions, Part as ConfPart, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};
use keepalived_rs::vrrp::lower::{Switches, lower};
use keepalived_rs::vrrp::objects::Objects;
use net_types::{Family, IfIndex, Instant, MacAddr};
use vrrp_proto::config::{Config, LinkFacts};
use vrrp_proto::input::Received;
use vrrp_proto::{Input, Output, Router, SocketId};

use crate::capture::{self, Frame, Payload};
use crate::differences::{self, Differs};
use crate::events::{self, Event};
use crate::lives::{self, Life};
use crate::node::Node;
use crate::sessions::{self, Sessions};

/// Adverts and announcements of ours may be this far from the recorded ones, in microseconds: the originals' lateness adds up.
const TOLERANCE: u64 = 150_000;

/// One life of a node: it may have been killed and started again.
pub(crate) struct Part {
    name: String,
    node: char,
    life: Life,
    frames: Vec<Frame>,
    events: Vec<(u64, Event)>,
}

pub(crate) struct Played {
    pub(crate) trouble: Vec<(Differs, String)>,
}

/// Something that was sent: when, on which link, and what.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: u64,
    pub(crate) link: u8,
    pub(crate) words: String,
}

impl Part {
    /// The lives of a node.
    pub(crate) fn of(name: &str, node: char, log: &str) -> Vec<Self> {
        let lives = lives::of(name, node, log);
        let part = |life: Life| Self {
            name: name.to_owned(),
            node,
            frames: capture::frames(name)
                .into_iter()
                .filter(|f| life.has(f.at))
                .collect(),
            events: events::of(name, node)
                .into_iter()
                .filter(|(at, _)| life.has(*at))
                .collect(),
            life,
        };
        lives.into_iter().map(part).collect()
    }

    pub(crate) fn title(&self) -> String {
        match self.life.number {
            1 => format!("{} {}", self.name, self.node),
            n => format!("{} {} {n}", self.name, self.node),
        }
    }

    fn host(&self) -> u8 {
        self.node as u8 - b'a' + 1
    }

    fn ours(&self, frame: &Frame) -> bool {
        frame.sender == 0x09 + self.host()
    }

    /// What the node ran, then what it ran after each of its reloads, as far as that was recorded: what the VRRP process made of it,
    /// and what the BFD process did.
    fn models(&self) -> Vec<[Model; 2]> {
        let both = |text: &str| [ConfPart::Vrrp, ConfPart::Bfd].map(|p| self.model(text, p));
        let first = capture::file(&self.name, &format!("{}.conf", self.node)).unwrap();
        let mut models = vec![both(&first)];
        let later = |n: usize| capture::file(&self.name, &format!("{}.reload{n}.conf", self.node));
        while let Some(text) = later(models.len()) {
            models.push(both(&text));
        }
        models
    }

    fn model(&self, text: &str, part: ConfPart) -> Model {
        let mut host = FakeHost::with_interfaces(&["lo", "eth0", "eth1"]);
        host.source = MemorySource::one("/k.conf", text);
        for script in ["/etc/keepalived/notify.sh", "/etc/keepalived/chk.sh"] {
            host.source
                .files
                .insert(script.to_owned(), (0o755, Vec::new()));
        }
        host.source.put("/tmp/trackfile", "0\n");
        // Key files are not recorded, but what was in them.
        let keys = capture::file(&self.name, "keys").unwrap_or_default();
        for line in text.lines() {
            if let Some((before, path)) = line.split_once(" file:") {
                let id = before.trim().trim_start_matches("key ");
                let secret = keys.lines().find_map(|l| {
                    let mut words = l.split(' ').skip(1);
                    (words.next() == Some(id)).then(|| words.next().unwrap())
                });
                let content = format!("hex:{}", secret.unwrap());
                host.source
                    .files
                    .insert(path.trim().to_owned(), (0o600, content.into_bytes()));
            }
        }
        // As in the recordings of `vrrp_delay_after_boot`.
        host.source.put("/proc/uptime", "3.00 1.00\n");
        let lines = read(&host, "/k.conf", &ReadOptions::default());
        let options = ParseOptions::default();
        let parent = parse(&lines, ConfPart::Parent, &host, &options, None);
        let Outcome { model, .. } =
            parse(&lines, part, &host, &options, Some(&parent.model.global));
        model
    }

    fn config(&self, model: &Model, objects: &mut Objects) -> Config {
        let mut config = lower(model, objects, Switches::default()).config;
        let vips: Vec<IpAddr> = config
            .instances
            .iter()
            .flat_map(|i| i.addresses.iter().map(|a| a.address))
            .collect();
        for interface in &mut config.interfaces {
            let second = u8::from(&*interface.name == "eth1");
            // We make it, so there is nothing left of an earlier run.
            interface.fresh = interface.ours;
            let host = self.host();
            interface.link = LinkFacts {
                index: IfIndex::new(2 + u32::from(second)),
                up: true,
                flags: 0x1_1043,
                mac: MacAddr([2, 0, 0, second, 0, 9 + host]),
                // A virtual address is nobody's own.
                v4: Some(std::net::Ipv4Addr::from([192, 0, 2 + second, host]))
                    .filter(|a| !vips.contains(&IpAddr::V4(*a))),
                v6: Some(format!("fe80::{:x}", 9 + host).parse().unwrap()),
                base: None,
                changeable: true,
            };
        }
        config
    }

    /// When the node started: so that its first advert is when it was, or just before the first one that it heard as its log
    /// tells, if that is earlier. (It may have heard and refused others.)
    fn start(&self, config: &Config) -> u64 {
        // What else happens to it depends on the time.
        if let Some(at) = self.life.first_told {
            return at;
        }
        let advert = |f: &&Frame| is_advert(f);
        let own = self.frames.iter().filter(advert).find(|f| self.ours(f));
        let news = self
            .life
            .log
            .iter()
            .find(|(_, l)| l.contains(") master set to "));
        let heard = self.frames.iter().filter(advert).find(|f| {
            !self.ours(f)
                && self.received(config, f).is_some()
                && news.is_none_or(|(at, _)| f.at >= at * 1_000_000)
        });
        let own = own.map(|own| {
            let zero = Instant::from_micros(1_000_000_000);
            let mut router = Router::new(config.clone(), zero);
            router.handle(zero, Input::Start);
            let mut first = router.next_timeout();
            // A delay of the start comes before it.
            while let Some(at) = first {
                router.handle_timeout(at);
                let sends = |o: &Output| matches!(o, Output::Transmit(_));
                if std::iter::from_fn(|| router.poll_output()).any(|o| sends(&o)) {
                    break;
                }
                first = router.next_timeout();
            }
            own.at - first.map_or(0, |t| t.since(zero).as_micros())
        });
        let heard = heard.map(|f| f.at - 10_000);
        own.into_iter().chain(heard).min().unwrap_or(0)
    }

    /// The packet of a frame as our socket would deliver it.
    fn received<'f>(&self, config: &Config, frame: &'f Frame) -> Option<Received<'f>> {
        let own = |to: IpAddr| {
            to.is_multicast()
                || to == IpAddr::from([192, 0, 2, self.host()])
                || config
                    .interfaces
                    .iter()
                    .any(|i| i.link.v6.map(IpAddr::V6) == Some(to))
                || config.instances.iter().any(|i| i.source == Some(to))
        };
        let (bytes, source, destination, hop_limit): (_, IpAddr, IpAddr, _) = match &frame.payload {
            Payload::V4(bytes) => {
                let at = |n: usize| -> [u8; 4] { bytes[n..n + 4].try_into().unwrap() };
                (bytes, at(12).into(), at(16).into(), None)
            }
            Payload::V6(bytes, source, destination, limit) => {
                (bytes, (*source).into(), (*destination).into(), Some(*limit))
            }
            Payload::Announce(_) | Payload::Bfd { .. } => return None,
        };
        own(destination).then_some(Received {
            socket: SocketId(0),
            bytes,
            source,
            multicast: destination.is_multicast(),
            hop_limit,
        })
    }

    /// When the node was told to stop, if it was: when its last advert, of priority 0, was sent, else as its log says.
    fn stop(&self) -> Option<u64> {
        let last = self
            .frames
            .iter()
            .rev()
            .find(|f| self.ours(f) && is_advert(f));
        let zero = last.filter(|f| priority(&f.payload) == Some(0));
        let stopping = self.life.log.iter().find(|(_, l)| l == "Stopping");
        // Its parent was killed, and it let go.
        let killed = self.life.number_of_lives > self.life.number;
        let Some((at, _)) = stopping else {
            return zero.filter(|_| killed).map(|f| f.at);
        };
        let fifo = self.life.fifo.iter().flatten();
        let told = fifo.rev().find(|(_, l)| l.contains(" STOP "));
        let told = told.map(|(at, _)| *at);
        // Half a second off: the log knows seconds.
        let logged = at * 1_000_000 + 500_000;
        Some(zero.map_or(told.unwrap_or(logged), |f| f.at))
    }

    /// Where in the recording a log line `Reloading` stands: in the second that it names, before the first frame of the next.
    fn reloads(&self) -> Vec<u64> {
        let told = self.events.iter().filter(|(_, e)| *e == Event::Reload);
        let mut times: Vec<u64> = told.map(|(at, _)| *at).collect();
        if !times.is_empty() {
            return times;
        }
        for (at, line) in &self.life.log {
            if line == "Reloading" {
                let own = self.frames.iter().rev().find(|f| {
                    self.ours(f) && f.at / 1_000_000 <= *at && f.at / 1_000_000 + 1 >= *at
                });
                times.push(own.map_or(at * 1_000_000, |f| f.at));
            }
        }
        times
    }

    /// Everything that happened to the node from `start` on, in order.
    fn steps(&self, start: u64, end: u64) -> Vec<(u64, Step<'_>)> {
        let reloads = self.reloads().into_iter().map(|at| (at, Step::Reload));
        let events = self.events.iter().map(|(at, e)| (*at, Step::Event(e)));
        let frames = self.frames.iter().filter(|f| !self.ours(f));
        let frames = frames.map(|f| (f.at, Step::Frame(f)));
        let mut steps: Vec<_> = reloads.chain(events).chain(frames).collect();
        steps.retain(|(at, step)| match step {
            // The log knows seconds.
            Step::Reload => true,
            Step::Event(_) | Step::Frame(_) => (start..end).contains(at),
        });
        steps.sort_by_key(|(at, _)| *at);
        steps
    }

    /// Jitter is chance, and what the BFD process sends depends on it: some seed must give the recorded order.
    pub(crate) fn play(&self) -> Played {
        let mut played = self.play_with(differences::seed(&self.title()));
        for seed in 2..40 {
            let chance = |(kind, _): &(Differs, String)| *kind == Differs::Bfd;
            if !played.trouble.iter().any(chance) {
                break;
            }
            played = self.play_with(seed);
        }
        played
    }

    fn play_with(&self, seed: u64) -> Played {
        let models = self.models();
        let mut objects = Objects::new();
        let configs: Vec<Config> = models
            .iter()
            .map(|[m, _]| self.config(m, &mut objects))
            .collect();
        let mut later = models.iter().zip(&configs).skip(1);
        let start = self.start(&configs[0]);
        let sessions_start = self.sessions_start(start);
        let start = start.min(sessions_start - 500);
        let [model, bfd] = &models[0];
        let sessions = (!bfd.bfd.instances.is_empty())
            .then(|| Sessions::new(bfd, self.recorded_discriminators(), spread(seed)));
        let mut node = Node {
            router: Router::new(configs[0].clone(), clock(start)),
            now: start,
            sent: Vec::new(),
            log: Vec::new(),
            fifo: Vec::new(),
            stats: BTreeSet::new(),
            model,
            bfd,
            config: configs[0].clone(),
            known: BTreeMap::new(),
            sessions,
        };
        node.feed(start, Input::Start);
        node.run(sessions_start);
        node.start_sessions(sessions_start);
        let stop = self.stop();
        let own = self.frames.iter().rev().find(|f| self.ours(f));
        let end = stop.unwrap_or_else(|| own.map_or(u64::MAX, |f| f.at + 1));
        for (at, step) in self.steps(start, end) {
            node.run(at);
            match step {
                Step::Reload => {
                    if let Some(([model, bfd], config)) = later.next() {
                        (node.model, node.bfd, node.config) = (model, bfd, config.clone());
                    }
                    node.reload(at);
                }
                Step::Event(event) => node.event(at, event),
                Step::Frame(frame) => self.hear(&mut node, frame),
            }
        }
        if let Some(stop) = stop {
            node.run(stop - 1);
            node.feed(stop, Input::Shutdown);
        } else {
            node.run(end - 1);
        }
        self.compare(&node)
    }

    fn hear(&self, node: &mut Node<'_>, frame: &Frame) {
        if let Payload::Bfd {
            bytes,
            source,
            destination,
            hop_limit,
        } = &frame.payload
        {
            return node.packet(frame.at, bytes, [*source, *destination], *hop_limit);
        }
        let Some(packet) = self.received(&node.config, frame) else {
            return;
        };
        let family = match frame.payload {
            Payload::V4(_) => Family::V4,
            _ => Family::V6,
        };
        let ah = matches!(&frame.payload, Payload::V4(b) if b[9] == 51);
        for n in 0..node.router.sockets().len() {
            let socket = &node.router.sockets()[n];
            let there = socket.interface.is_none_or(|i| node.link(i) == frame.link);
            if socket.family == family && socket.ah == ah && there {
                let socket = SocketId(n as u16);
                node.feed(frame.at, Input::Advert(Received { socket, ..packet }));
            }
        }
    }

    /// The BFD process begins with a packet, unless it is passive.
    fn sessions_start(&self, start: u64) -> u64 {
        let own = self.frames.iter().filter(|f| self.ours(f));
        let first = own.filter(|f| matches!(f.payload, Payload::Bfd { .. }));
        let first = first.map(|f| f.at).next();
        first
            .filter(|at| at.abs_diff(start) < 300_000)
            .unwrap_or(start + 500)
    }

    /// The discriminators that the recorded node had, one after the other.
    fn recorded_discriminators(&self) -> Vec<u32> {
        let own = self.frames.iter().filter(|f| self.ours(f));
        let mut all: Vec<u32> = own
            .filter_map(|f| match &f.payload {
                Payload::Bfd { bytes, .. } => bytes[4..8].try_into().ok(),
                _ => None,
            })
            .map(u32::from_be_bytes)
            .collect();
        all.dedup();
        all
    }

    /// Whether what is sent there at that time was recorded.
    fn seen(&self, sent: &Sent) -> bool {
        let mut seen = true;
        for (at, event) in &self.events {
            if let Event::Unseen { link, begins } = event {
                if *link == sent.link && *at <= sent.at {
                    seen = !begins;
                }
            }
        }
        seen
    }

    fn compare(&self, node: &Node<'_>) -> Played {
        let mut trouble = Vec::new();
        let mut compare = |kind: Differs, difference: Option<String>| {
            trouble.extend(difference.map(|d| (kind, d)));
        };
        let recorded: Vec<Sent> = self
            .frames
            .iter()
            .filter(|f| self.ours(f) && !matches!(f.payload, Payload::Bfd { .. }))
            .map(|f| Sent {
                at: f.at,
                link: f.link,
                words: words(&f.payload),
            })
            .filter(|s| self.seen(s))
            .collect();
        let sent: Vec<Sent> = node.sent.iter().filter(|s| self.seen(s)).cloned().collect();
        let adverts = |all: &[Sent], yes: bool| -> Vec<Sent> {
            let some = all.iter().filter(|s| s.words.starts_with("advert") == yes);
            some.cloned().collect()
        };
        // Of two links either may be the first.
        for link in 0..2 {
            let on = |all: &[Sent]| -> Vec<Sent> {
                let all = adverts(all, true);
                all.into_iter().filter(|s| s.link == link).collect()
            };
            compare(Differs::Sent, sent_differs(&on(&recorded), &on(&sent)));
        }
        let (recorded, ours) = (adverts(&recorded, false), adverts(&sent, false));
        compare(Differs::Announced, announcements_differ(&recorded, &ours));

        // What is wrong with a configuration is told before anything lives.
        let about = |l: &str| {
            let of_others = [
                "(/etc",
                "auth_hmac",
                "strict mode",
                "link local",
                "VRRP_Script(",
                "VRRP sockpool",
            ];
            let told = l.starts_with(['(', 'V'])
                || ["IPSEC", "Netlink reports", "Received BFD event"]
                    .iter()
                    .any(|p| l.starts_with(p));
            told && !of_others.iter().any(|c| l.contains(c)) && !self.of_sessions(node, l)
        };
        let lines: Vec<&str> = self
            .life
            .log
            .iter()
            .map(|(_, l)| &**l)
            .filter(|l| about(l))
            .map(|l| l.split(" (delivered").next().unwrap_or_default())
            .collect();
        let ours: Vec<&str> = node.log.iter().map(|l| &**l).filter(|l| about(l)).collect();
        compare(Differs::Log, lines_differ(&lines, &ours));

        if let Some(fifo) = &self.life.fifo {
            let fifo: Vec<&str> = fifo.iter().map(|(_, l)| &**l).collect();
            let mut ours: Vec<&str> = node.fifo.iter().map(|l| &**l).collect();
            // Nobody read any more what was told at the end.
            if self.life.number < self.life.number_of_lives {
                ours.truncate(fifo.len());
            }
            compare(Differs::Fifo, lines_differ(&fifo, &ours));
        }

        if let Some(sessions) = &node.sessions {
            compare(Differs::Bfd, self.packets_differ(sessions));
            let told = self.life.log.iter().map(|(_, l)| sessions::plain(l));
            let told: Vec<String> = told.filter(|l| self.of_sessions(node, l)).collect();
            let told: Vec<&str> = told.iter().map(|l| &**l).collect();
            let ours: Vec<&str> = sessions.log.iter().map(|l| &**l).collect();
            compare(Differs::Bfd, lines_differ(&told, &ours));
            for dump in self.dumps("BFD data", capture::sessions(&self.name, self.node)) {
                let dump = sessions::topology(&dump);
                let same = sessions.dumps.contains(&dump);
                compare(
                    Differs::Dump,
                    (!same).then(|| format!("{dump}\nours {:#?}", sessions.dumps)),
                );
            }
        }

        for stats in self.dumps("VRRP stats", capture::statistics(&self.name, self.node)) {
            let stats = without_extension(&stats, node.model);
            let same = node.stats.contains(&stats);
            compare(
                Differs::Stats,
                (!same).then(|| {
                    let last = node.stats.iter().next_back().unwrap();
                    let (theirs, ours): (Vec<_>, Vec<_>) =
                        (stats.lines().collect(), last.lines().collect());
                    lines_differ(&theirs, &ours).unwrap_or_default()
                }),
            );
        }
        Played { trouble }
    }

    /// The recorded dumps, if it was this life that wrote them.
    fn dumps(&self, what: &str, all: Vec<String>) -> Vec<String> {
        let line = format!("Printing {what}");
        let wrote = self.life.log.iter().filter(|(_, l)| l.starts_with(&line));
        let wrote = wrote.count();
        if self.life.number_of_lives > 1 && wrote == 0 {
            return Vec::new();
        }
        all
    }

    /// Whether a line is one of the BFD process.
    fn of_sessions(&self, node: &Node<'_>, line: &str) -> bool {
        let named = |b: &conf_parsers::keepalived::model::bfd::BfdInstance| {
            line.starts_with(&format!("({}) ", &**b.name))
        };
        node.sessions.is_some()
            && (line.starts_with([' ', 'D'])
                || line.starts_with("Packet ")
                || self.models()[0][1].bfd.instances.iter().any(named))
    }

    /// What the BFD process sends: the same packets one after the other, at the same pace.
    fn packets_differ(&self, sessions: &Sessions) -> Option<String> {
        let own = self.frames.iter().filter(|f| self.ours(f));
        let recorded = own.filter_map(|f| match &f.payload {
            Payload::Bfd { bytes, .. } => Some((f.at, sessions::words(bytes))),
            _ => None,
        });
        let seen = |(at, _): &&(u64, String)| {
            self.seen(&Sent {
                at: *at,
                link: 0,
                words: String::new(),
            })
        };
        let recorded: Vec<_> = recorded.filter(|s| seen(&s)).collect();
        let ours: Vec<_> = sessions.sent.iter().filter(seen).cloned().collect();
        sessions::differ(&recorded, &ours)
    }
}

/// One thing that happened to the node.
enum Step<'p> {
    Reload,
    Event(&'p Event),
    Frame(&'p Frame),
}

/// Seeds that have nothing in common.
fn spread(seed: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn is_advert(frame: &Frame) -> bool {
    matches!(frame.payload, Payload::V4(_) | Payload::V6(..))
}

/// 2.4 has the section for every instance.
fn without_extension(stats: &str, model: &Model) -> String {
    if model.vrrp.instances.iter().any(|i| i.auth_hmac.is_some()) {
        return stats.to_owned();
    }
    let mut out = String::new();
    let mut skip = 0;
    for line in stats.lines() {
        if line == "  Authentication Extension Errors:" {
            skip = 7;
        }
        if skip > 0 {
            skip -= 1;
            continue;
        }
        writeln!(out, "{line}").unwrap();
    }
    out
}

pub(crate) fn clock(at: u64) -> Instant {
    // The monotonic clock of the node began with the day.
    Instant::from_micros(at - 1_795_305_600_000_000)
}

fn priority(payload: &Payload) -> Option<u8> {
    match payload {
        Payload::V4(b) if b[9] == 51 => b.get(46).copied(),
        Payload::V4(b) => b.get(22).copied(),
        Payload::V6(b, ..) => b.get(2).copied(),
        Payload::Announce(_) | Payload::Bfd { .. } => None,
    }
}

/// Hexadecimal, without what the kernel fills in and without what depends on the microsecond.
pub(crate) fn words(payload: &Payload) -> String {
    let (mut bytes, at) = match payload {
        Payload::Announce(address) => return format!("announce {address}"),
        Payload::Bfd { .. } => return "BFD".to_owned(),
        Payload::V4(bytes) => {
            let mut bytes = bytes.clone();
            bytes[10..12].fill(0);
            (bytes, if payload_is_ah(payload) { 44 } else { 20 })
        }
        Payload::V6(bytes, ..) => {
            let mut bytes = bytes.clone();
            bytes[6..8].fill(0);
            (bytes, 0)
        }
    };
    let v4 = at > 0;
    let (version, count) = (bytes[at] >> 4, usize::from(bytes[at + 3]));
    let length = at + 8 + count * if v4 { 4 } else { 16 } + if v4 && version == 2 { 8 } else { 0 };
    if bytes.len() == length + 28 {
        bytes[length + 4..].fill(0);
    }
    let mut out = "advert ".to_owned();
    for byte in bytes {
        write!(out, "{byte:02x}").unwrap();
    }
    out
}

fn payload_is_ah(payload: &Payload) -> bool {
    matches!(payload, Payload::V4(b) if b[9] == 51)
}

fn same(a: &Sent, b: &Sent) -> bool {
    a.words == b.words && a.link == b.link && a.at.abs_diff(b.at) < TOLERANCE
}

fn sent_differs(recorded: &[Sent], ours: &[Sent]) -> Option<String> {
    let shown = |s: Option<&Sent>| {
        s.map_or("(nothing)".to_owned(), |s| {
            let (seconds, rest) = (s.at / 1_000_000 % 1000, s.at % 1_000_000);
            format!("{seconds}.{rest:06} eth{} {}", s.link, s.words)
        })
    };
    for n in 0..recorded.len().max(ours.len()) {
        let (r, o) = (recorded.get(n), ours.get(n));
        let same = match (r, o) {
            (Some(r), Some(o)) => same(r, o),
            _ => false,
        };
        if !same {
            return Some(format!(
                "number {n}: recorded {}\n     ours {}",
                shown(r),
                shown(o)
            ));
        }
    }
    None
}

/// Some recordings have no announcements at all, and some lost a part of a burst; what is there, ours has in the same order.
fn announcements_differ(recorded: &[Sent], ours: &[Sent]) -> Option<String> {
    let mut left = ours.iter();
    for sent in recorded {
        if !left.any(|ours| same(sent, ours)) {
            return Some(format!("{sent:?} is missing or elsewhere"));
        }
    }
    let lossy = recorded.is_empty() || recorded.len() > 40;
    (!lossy && recorded.len() != ours.len())
        .then(|| format!("{} instead of {}", ours.len(), recorded.len()))
}

fn lines_differ(recorded: &[&str], ours: &[&str]) -> Option<String> {
    for n in 0..recorded.len().max(ours.len()) {
        let (r, o) = (recorded.get(n), ours.get(n));
        if r != o {
            return Some(format!(
                "line {n}: recorded {:?}\n     ours {:?}",
                r.unwrap_or(&"(end)"),
                o.unwrap_or(&"(end)")
            ));
        }
    }
    None
}
