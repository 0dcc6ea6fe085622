//! One node of a recording, played by our core with the node's configuration.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::{Outcome, ParseOptions, Part as ConfPart, ReadOptions, parse, read};
use conf_parsers::source::{FakeHost, MemorySource};
use keepalived_rs::text::dump::stats::block;
use keepalived_rs::text::log::Line;
use keepalived_rs::vrrp::lower::{Switches, lower};
use keepalived_rs::vrrp::objects::Objects;
use net_types::{Duration, Family, IfIndex, Instant, MacAddr};
use vrrp_proto::config::{Config, LinkFacts};
use vrrp_proto::input::Received;
use vrrp_proto::output::Transmit;
use vrrp_proto::{Input, InstanceId, Notify, Output, Router, SocketId};

use crate::capture::{self, Frame, Payload};
use crate::differences::Differs;

/// Adverts and announcements of ours may be this far from the recorded ones, in microseconds: the originals' lateness adds up.
const TOLERANCE: u64 = 150_000;

pub(crate) struct Part {
    name: String,
    node: char,
    log: Vec<(u64, String)>,
    frames: Vec<Frame>,
}

pub(crate) struct Played {
    pub(crate) trouble: Vec<(Differs, String)>,
}

/// Something that was sent: when, and what.
type Sent = (u64, String);

impl Part {
    pub(crate) fn new(name: &str, node: char, log: &str) -> Self {
        Self {
            name: name.to_owned(),
            node,
            log: log.lines().map(dated).collect(),
            frames: capture::frames(name),
        }
    }

    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.name, self.node)
    }

    fn host(&self) -> u8 {
        self.node as u8 - b'a' + 1
    }

    fn ours(&self, frame: &Frame) -> bool {
        frame.sender == 0x09 + self.host()
    }

    /// What the node ran, then what it ran after each of its reloads, as far as that was recorded.
    fn models(&self) -> Vec<Model> {
        let first = capture::file(&self.name, &format!("{}.conf", self.node)).unwrap();
        let mut models = vec![self.model(&first)];
        let later = |n: usize| capture::file(&self.name, &format!("{}.reload{n}.conf", self.node));
        while let Some(text) = later(models.len()) {
            models.push(self.model(&text));
        }
        models
    }

    fn model(&self, text: &str) -> Model {
        let mut host = FakeHost::with_interfaces(&["lo", "eth0", "eth1"]);
        for script in ["/etc/keepalived/notify.sh", "/etc/keepalived/chk.sh"] {
            host.source
                .files
                .insert(script.to_owned(), (0o755, Vec::new()));
        }
        host.source = MemorySource::one("/k.conf", text);
        host.source
            .files
            .insert("/etc/keepalived/notify.sh".to_owned(), (0o755, Vec::new()));
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
        let Outcome { model, .. } = parse(
            &lines,
            ConfPart::Vrrp,
            &host,
            &options,
            Some(&parent.model.global),
        );
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
        let advert = |f: &&Frame| !matches!(f.payload, Payload::Announce(_));
        let own = self.frames.iter().filter(advert).find(|f| self.ours(f));
        let news = self
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
            Payload::Announce(_) => return None,
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
        let (at, _) = self.log.iter().find(|(_, l)| l == "Stopping")?;
        let advert = |f: &&Frame| self.ours(f) && !matches!(f.payload, Payload::Announce(_));
        let last = self.frames.iter().rev().find(advert);
        let zero = last.filter(|f| priority(&f.payload) == Some(0));
        // Half a second off: the log knows seconds.
        Some(zero.map_or(at * 1_000_000 + 500_000, |f| f.at))
    }

    /// Where in the recording a log line `Reloading` stands: in the second that it names, before the first frame of the next.
    fn reloads(&self) -> Vec<u64> {
        let mut times = Vec::new();
        for (at, line) in &self.log {
            if line == "Reloading" {
                let own = self.frames.iter().rev().find(|f| {
                    self.ours(f) && f.at / 1_000_000 <= *at && f.at / 1_000_000 + 1 >= *at
                });
                times.push(own.map_or(at * 1_000_000, |f| f.at));
            }
        }
        times
    }

    pub(crate) fn play(&self) -> Played {
        let models = self.models();
        let mut objects = Objects::new();
        let configs: Vec<Config> = models
            .iter()
            .map(|m| self.config(m, &mut objects))
            .collect();
        let (mut later, mut config) = (models.iter().zip(&configs).skip(1), &configs[0]);
        let start = self.start(config);
        let mut node = Node {
            router: Router::new(config.clone(), clock(start)),
            now: start,
            sent: Vec::new(),
            log: Vec::new(),
            fifo: Vec::new(),
            stats: BTreeSet::new(),
            model: &models[0],
        };
        node.feed(start, Input::Start);
        let stop = self.stop();
        let mut reloads = self.reloads();
        let own = self.frames.iter().rev().find(|f| self.ours(f));
        let killed = own.map_or(u64::MAX, |f| f.at);
        for frame in &self.frames {
            if stop.is_some_and(|s| frame.at >= s) || stop.is_none() && frame.at > killed {
                break;
            }
            if frame.at < start {
                continue;
            }
            if reloads.first().is_some_and(|r| *r <= frame.at) {
                let at = reloads.remove(0);
                node.run(at);
                if let Some((model, new)) = later.next() {
                    (node.model, config) = (model, new);
                }
                node.reload(at, config);
            }
            if self.ours(frame) {
                continue;
            }
            if let Some(packet) = self.received(config, frame) {
                node.run(frame.at);
                let family = match frame.payload {
                    Payload::V4(_) => Family::V4,
                    _ => Family::V6,
                };
                let ah = matches!(&frame.payload, Payload::V4(b) if b[9] == 51);
                for n in 0..node.router.sockets().len() {
                    let socket = &node.router.sockets()[n];
                    if socket.family == family && socket.ah == ah {
                        let socket = SocketId(n as u16);
                        node.feed(frame.at, Input::Advert(Received { socket, ..packet }));
                    }
                }
            }
        }
        for at in reloads {
            node.run(at);
            if let Some((model, new)) = later.next() {
                (node.model, config) = (model, new);
            }
            node.reload(at, config);
        }
        if let Some(stop) = stop {
            node.run(stop - 1);
            node.feed(stop, Input::Shutdown);
        } else {
            node.run(killed);
        }
        self.compare(&node)
    }

    fn compare(&self, node: &Node<'_>) -> Played {
        let mut trouble = Vec::new();
        let mut compare = |kind: Differs, difference: Option<String>| {
            trouble.extend(difference.map(|d| (kind, d)));
        };
        let recorded: Vec<Sent> = self
            .frames
            .iter()
            .filter(|f| self.ours(f))
            .map(|f| (f.at, words(&f.payload)))
            .collect();
        let adverts = |all: &[Sent], yes: bool| -> Vec<Sent> {
            let some = all.iter().filter(|(_, w)| w.starts_with("advert") == yes);
            some.cloned().collect()
        };
        compare(
            Differs::Sent,
            sent_differs(&adverts(&recorded, true), &adverts(&node.sent, true)),
        );
        let (recorded, ours) = (adverts(&recorded, false), adverts(&node.sent, false));
        compare(Differs::Announced, announcements_differ(&recorded, &ours));

        // What is wrong with a configuration is told before anything lives.
        let about = |l: &str| {
            let of_configuration = ["(/etc", "auth_hmac", "strict mode", "link local"];
            let told = l.starts_with(['(', 'V']) || l.starts_with("IPSEC");
            told && !of_configuration.iter().any(|c| l.contains(c))
        };
        let lines: Vec<&str> = self
            .log
            .iter()
            .map(|(_, l)| &**l)
            .filter(|l| about(l))
            .collect();
        let ours: Vec<&str> = node.log.iter().map(|l| &**l).filter(|l| about(l)).collect();
        compare(Differs::Log, lines_differ(&lines, &ours));

        if let Some(fifo) = capture::file(&self.name, &format!("{}.fifo.txt", self.node)) {
            let fifo: Vec<&str> = fifo
                .lines()
                .filter_map(|l| Some(l.split_once(' ')?.1))
                .collect();
            let ours: Vec<&str> = node.fifo.iter().map(|l| &**l).collect();
            compare(Differs::Fifo, lines_differ(&fifo, &ours));
        }

        for stats in capture::statistics(&self.name, self.node) {
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

fn dated(line: &str) -> (u64, String) {
    let (date, text) = line.split_at(24);
    let text = text.strip_prefix(": ").unwrap();
    let time: Vec<u64> = date[11..19]
        .split(':')
        .map(|n| n.parse().unwrap())
        .collect();
    // All were made on 22 November 2026.
    let day = 1_795_305_600;
    (
        day + time[0] * 3600 + time[1] * 60 + time[2],
        text.to_owned(),
    )
}

fn clock(at: u64) -> Instant {
    // The monotonic clock of the node began with the day.
    Instant::from_micros(at - 1_795_305_600_000_000)
}

fn priority(payload: &Payload) -> Option<u8> {
    match payload {
        Payload::V4(b) if b[9] == 51 => b.get(46).copied(),
        Payload::V4(b) => b.get(22).copied(),
        Payload::V6(b, ..) => b.get(2).copied(),
        Payload::Announce(_) => None,
    }
}

/// Hexadecimal, without what the kernel fills in and without what depends on the microsecond.
fn words(payload: &Payload) -> String {
    let (mut bytes, at) = match payload {
        Payload::Announce(address) => return format!("announce {address}"),
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

fn sent_differs(recorded: &[Sent], ours: &[Sent]) -> Option<String> {
    let shown = |s: Option<&Sent>| {
        s.map_or("(nothing)".to_owned(), |(at, w)| {
            format!("{}.{:06} {w}", at / 1_000_000 % 1000, at % 1_000_000)
        })
    };
    for n in 0..recorded.len().max(ours.len()) {
        let (r, o) = (recorded.get(n), ours.get(n));
        let same = match (r, o) {
            (Some((ra, rw)), Some((oa, ow))) => rw == ow && ra.abs_diff(*oa) < TOLERANCE,
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
    for (at, words) in recorded {
        if !left.any(|(oa, ow)| ow == words && oa.abs_diff(*at) < TOLERANCE) {
            return Some(format!("{words} at {at} is missing or elsewhere"));
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

struct Node<'m> {
    router: Router,
    now: u64,
    sent: Vec<Sent>,
    log: Vec<String>,
    fifo: Vec<String>,
    /// The statistics as they were after each event.
    stats: BTreeSet<String>,
    model: &'m Model,
}

impl Node<'_> {
    fn reload(&mut self, at: u64, config: &Config) {
        self.feed(at, Input::PrepareReload);
        self.feed(at, Input::Reconfigure(Box::new(config.clone())));
    }

    /// Lets the timers up to `until` run out.
    fn run(&mut self, until: u64) {
        while let Some(next) = self.router.next_timeout() {
            let next = next.as_micros() + 1_795_305_600_000_000;
            if next > until {
                break;
            }
            self.now = next;
            self.tell_clock();
            self.router.handle_timeout(clock(next));
            self.drain();
        }
        self.now = self.now.max(until);
    }

    fn feed(&mut self, at: u64, input: Input<'_>) {
        self.now = at;
        self.tell_clock();
        self.router.handle(clock(at), input);
        self.drain();
    }

    fn tell_clock(&mut self) {
        if self.router.wants_clock() {
            let utc = Input::Clock(Duration::from_micros(self.now));
            self.router.handle(clock(self.now), utc);
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Transmit(Transmit {
                    bytes,
                    source,
                    destination,
                    hop_limit,
                    ..
                }) => {
                    let payload = match (source, destination) {
                        (Some(IpAddr::V6(source)), IpAddr::V6(destination)) => {
                            Payload::V6(bytes, source, destination, hop_limit)
                        }
                        _ => Payload::V4(bytes),
                    };
                    self.sent.push((self.now, words(&payload)));
                }
                Output::Announce { address, .. } => {
                    self.sent
                        .push((self.now, words(&Payload::Announce(address))));
                }
                Output::Notice(notice) => {
                    let line = Line {
                        router: &self.router,
                        notice: &notice,
                    };
                    self.log.push(line.to_string());
                }
                Output::Notify(event) => self.notify(&event),
                _ => {}
            }
        }
        self.stats.insert(self.stats());
    }

    fn notify(&mut self, event: &Notify) {
        let name = |id: InstanceId| self.router.instance_name(id);
        self.fifo.push(match *event {
            Notify::Instance {
                id,
                state,
                priority,
            } => format!("INSTANCE \"{}\" {} {priority}", name(id), state.word()),
            Notify::Group { id, state } => {
                format!(
                    "GROUP \"{}\" {} 0",
                    self.router.group_name(id),
                    state.word()
                )
            }
            Notify::LowerPriority { id, priority } => {
                format!("INSTANCE \"{}\" MASTER_RX_LOWER_PRI {priority}", name(id))
            }
            _ => return,
        });
    }

    fn stats(&self) -> String {
        let mut out = String::new();
        for (n, instance) in self.model.vrrp.instances.iter().enumerate() {
            let status = self.router.status(InstanceId(n as u16)).unwrap();
            block(&mut out, instance, status.stats);
        }
        out
    }
}
