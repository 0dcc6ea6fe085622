//! The BFD process of a node: our engine with the node's sessions, and what it sends, says and shows.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use bfd_proto::{Engine, Input, Output, Packet, Received, SessionConfig, SessionId};
use conf_parsers::keepalived::model::Model;
use keepalived_rs::text::bfd::{Detail, lines};
use keepalived_rs::text::dump::bfd::{Now, SessionNow, data};
use keepalived_rs::text::dump::snapshot::{ProcessNow, WallTime};
use net_types::Instant;

use crate::events::Event;

/// One packet sent: when, and what is not chance about it.
pub(crate) type Sent = (u64, String);

pub(crate) struct Sessions {
    engine: Engine,
    /// Discriminators of the recorded node, one after the other, which its neighbour repeats; and ours.
    recorded: Vec<u32>,
    own: Vec<u32>,
    deaf: bool,
    pub(crate) sent: Vec<Sent>,
    pub(crate) log: Vec<String>,
    /// The part of the dump about sessions, after each event.
    pub(crate) dumps: BTreeSet<String>,
}

/// What the sessions told the other processes.
pub(crate) type Told = Vec<(String, bool)>;

fn configuration(model: &Model) -> Vec<SessionConfig> {
    keepalived_rs::bfd::lower(&model.bfd)
}

impl Sessions {
    /// `seed` is for jitter: the core's chance.
    pub(crate) fn new(model: &Model, recorded: Vec<u32>, seed: u64) -> Self {
        Self {
            engine: Engine::new(configuration(model), seed),
            recorded,
            own: Vec::new(),
            deaf: false,
            sent: Vec::new(),
            log: Vec::new(),
            dumps: BTreeSet::new(),
        }
    }

    pub(crate) fn start(&mut self, at: u64, model: &Model) -> Told {
        self.engine.handle(clock(at), Input::Start);
        self.drain(at, model)
    }

    pub(crate) fn reload(&mut self, at: u64, model: &Model) -> Told {
        let config = Box::new(configuration(model));
        self.engine.handle(clock(at), Input::Reconfigure(config));
        self.drain(at, model)
    }

    pub(crate) fn event(&mut self, event: &Event) {
        if let Event::Deaf(deaf) = event {
            self.deaf = *deaf;
        }
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.engine.next_timeout()
    }

    pub(crate) fn handle_timeout(&mut self, at: u64, model: &Model) -> Told {
        self.engine.handle_timeout(clock(at));
        self.drain(at, model)
    }

    pub(crate) fn packet(
        &mut self,
        at: u64,
        bytes: &[u8],
        [source, destination]: [SocketAddr; 2],
        hop_limit: u8,
        model: &Model,
    ) -> Told {
        // Without a session nobody listens.
        if self.deaf || self.engine.sessions().next().is_none() {
            return Told::new();
        }
        let mut bytes = bytes.to_vec();
        let word: [u8; 4] = bytes[8..12].try_into().unwrap();
        let number = self.recorded.iter().position(|d| d.to_be_bytes() == word);
        if let Some(own) = number.and_then(|n| self.own.get(n)) {
            bytes[8..12].copy_from_slice(&own.to_be_bytes());
        }
        let received = Received {
            bytes: &bytes,
            source,
            destination: Some(destination.ip()),
            hop_limit: Some(hop_limit),
            multihop: destination.port() == 4784,
        };
        self.engine.handle(clock(at), Input::Packet(received));
        self.drain(at, model)
    }

    fn drain(&mut self, at: u64, model: &Model) -> Told {
        let mut told = Told::new();
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Open(id) => self.engine.handle(clock(at), Input::Opened(id, true)),
                Output::Transmit(_, bytes) => self.sent.push((at, words(&bytes))),
                Output::Tell(id, up) => {
                    let SessionId(n) = id;
                    let session = self.engine.session(SessionId(n)).unwrap();
                    told.push((session.config.name.to_string(), up));
                }
                Output::Notice(notice) => {
                    let said = lines(&self.engine, &notice, Detail::More);
                    self.log.extend(said.into_iter().map(|(_, l)| plain(&l)));
                }
                Output::Close(_) | Output::Reconfigured => {}
            }
        }
        let own = self.engine.sessions().next().map(|s| s.discriminator);
        if let Some(own) = own.filter(|own| self.own.last() != Some(own)) {
            self.own.push(own);
        }
        self.dumps.insert(self.dump(model));
        told
    }

    fn dump(&self, model: &Model) -> String {
        let session = |session| SessionNow {
            session,
            fd: 0,
            failing: false,
            last_seen: session.last_seen.map(|_| WallTime(0)),
        };
        let now = Now {
            process: ProcessNow::default(),
            ports: (None, None),
            sessions: self.engine.sessions().map(session).collect(),
            configuration_only: false,
        };
        topology(&data(model, &now))
    }
}

fn clock(at: u64) -> Instant {
    Instant::from_micros(at - 1_795_305_600_000_000)
}

/// What a packet says, without discriminators.
pub(crate) fn words(bytes: &[u8]) -> String {
    let packet = Packet::decode(bytes).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[4..12].fill(0);
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{:?} {hex}", packet.state)
}

/// A line without what is measured.
pub(crate) fn plain(line: &str) -> String {
    let line = line.split(" (delivered").next().unwrap_or_default();
    line.split(" usec overdue")
        .next()
        .and_then(|l| l.rsplit_once(" ms (").map(|(l, _)| format!("{l} ms")))
        .unwrap_or_else(|| line.to_owned())
}

/// The part of a dump about sessions, without descriptors, addresses of memory, discriminators and times.
pub(crate) fn topology(dump: &str) -> String {
    let (_, sessions) = dump
        .split_once("------< BFD Topology >------\n")
        .unwrap_or_default();
    let mut out = String::new();
    for line in sessions.lines() {
        let there = |l: &str| !l.contains("nil");
        let line = line.trim_end();
        let short = if line.contains("thread_") {
            let (name, _) = line.rsplit_once(' ').unwrap();
            format!("{name} {}", there(line))
        } else if ["fd_out", "discriminator", "last seen"]
            .iter()
            .any(|w| line.contains(w))
        {
            line.split([' ', '='])
                .find(|w| !w.is_empty())
                .unwrap()
                .to_owned()
        } else {
            line.to_owned()
        };
        out += &short;
        out.push('\n');
    }
    out
}

/// In what two sequences of packets differ. How many are alike one after the other is chance, and so are single gaps; the pace is not.
pub(crate) fn differ(recorded: &[Sent], ours: &[Sent]) -> Option<String> {
    let (recorded, ours) = (runs(recorded), runs(ours));
    for n in 0..recorded.len().max(ours.len()) {
        let (r, o) = (recorded.get(n), ours.get(n));
        let same = match (r, o) {
            (Some(r), Some(o)) => {
                let paced = r.gaps < 8 || o.gaps < 8 || r.pace().abs_diff(o.pace()) < r.pace() / 10;
                r.words == o.words && paced
            }
            _ => false,
        };
        if !same {
            return Some(format!("run {n}: recorded {r:?}\n     ours {o:?}"));
        }
    }
    None
}

/// Packets that are alike, one after the other.
#[derive(Debug)]
struct Run {
    words: String,
    gaps: u64,
    /// From the first to the last, in microseconds.
    time: u64,
    last: u64,
}

impl Run {
    fn pace(&self) -> u64 {
        self.time / self.gaps
    }
}

fn runs(sent: &[Sent]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, words) in sent {
        match runs.last_mut() {
            Some(run) if run.words == *words => {
                run.gaps += 1;
                run.time += at - run.last;
                run.last = *at;
            }
            _ => runs.push(Run {
                words: words.clone(),
                gaps: 0,
                time: 0,
                last: *at,
            }),
        }
    }
    runs
}
