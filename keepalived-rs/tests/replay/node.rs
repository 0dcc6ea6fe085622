//! The node that plays: our cores, what happens to them, and what they do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use conf_parsers::keepalived::model::Model;
use keepalived_rs::text::dump::stats::block;
use keepalived_rs::text::log::Line;
use net_types::{Duration, Instant};
use vrrp_proto::config::{Config, IfId, TrackerId, TrackerState};
use vrrp_proto::output::Transmit;
use vrrp_proto::{Input, InstanceId, Notify, Output, Router};

use crate::capture::Payload;
use crate::events::Event;
use crate::player::{Sent, clock, words};
use crate::sessions::{Sessions, Told};

/// The node that plays.
pub(crate) struct Node<'m> {
    pub(crate) router: Router,
    pub(crate) now: u64,
    pub(crate) sent: Vec<Sent>,
    pub(crate) log: Vec<String>,
    pub(crate) fifo: Vec<String>,
    /// The statistics as they were after each event.
    pub(crate) stats: BTreeSet<String>,
    pub(crate) model: &'m Model,
    /// What the BFD process made of the configuration.
    pub(crate) bfd: &'m Model,
    pub(crate) config: Config,
    /// What is known of scripts, files and sessions.
    pub(crate) known: BTreeMap<String, TrackerState>,
    pub(crate) sessions: Option<Sessions>,
}

impl Node<'_> {
    /// The link that an interface is.
    pub(crate) fn link(&self, id: IfId) -> u8 {
        u8::from(&*self.config.interfaces[id.index()].name == "eth1")
    }

    pub(crate) fn reload(&mut self, at: u64) {
        for tracker in &mut self.config.trackers {
            if let Some(state) = self.known.get(&*tracker.name) {
                tracker.state = *state;
            }
        }
        let config = Box::new(self.config.clone());
        self.feed(at, Input::PrepareReload);
        self.feed(at, Input::Reconfigure(config));
        if let Some(sessions) = &mut self.sessions {
            let told = sessions.reload(at, self.bfd);
            self.tell(at, told);
        }
    }

    pub(crate) fn start_sessions(&mut self, at: u64) {
        if let Some(sessions) = &mut self.sessions {
            let told = sessions.start(at, self.bfd);
            self.tell(at, told);
        }
    }

    pub(crate) fn packet(&mut self, at: u64, bytes: &[u8], ends: [SocketAddr; 2], hop_limit: u8) {
        if let Some(sessions) = &mut self.sessions {
            let told = sessions.packet(at, bytes, ends, hop_limit, self.bfd);
            self.tell(at, told);
        }
    }

    /// The VRRP process hears of sessions: it counts what has changed.
    fn tell(&mut self, at: u64, told: Told) {
        for (name, up) in told {
            let word = if up { "Up" } else { "Down" };
            self.log.push(format!(
                "Received BFD event: instance {name} is in state {word}"
            ));
            let state = if up {
                TrackerState::Up
            } else {
                TrackerState::Down
            };
            let before = self.known.insert(name.clone(), state);
            if before.unwrap_or(TrackerState::Down) != state {
                self.track(at, &name, state);
            }
        }
    }

    fn track(&mut self, at: u64, name: &str, state: TrackerState) {
        self.known.insert(name.to_owned(), state);
        let found = self.config.trackers.iter().position(|t| *t.name == *name);
        if let Some(n) = found {
            self.feed(at, Input::Tracker(TrackerId(n as u16), state));
        }
    }

    pub(crate) fn event(&mut self, at: u64, event: &Event) {
        match event {
            Event::Link { name, up } => {
                let found = self
                    .config
                    .interfaces
                    .iter()
                    .position(|i| *i.name == **name);
                let n = found.unwrap();
                let link = &mut self.config.interfaces[n].link;
                link.up = *up;
                // Without IFF_RUNNING and IFF_LOWER_UP.
                link.flags = if *up { 0x1_1043 } else { 0x1003 };
                let facts = *link;
                self.feed(at, Input::Link(IfId(n as u16), facts));
            }
            Event::Script { name, up: true } => self.track(at, name, TrackerState::Up),
            Event::Script { name, up: false } => self.track(at, name, TrackerState::Down),
            Event::Value { name, value } => self.track(at, name, TrackerState::Value(*value)),
            Event::Deaf(_) => {
                if let Some(sessions) = &mut self.sessions {
                    sessions.event(event);
                }
            }
            Event::Unseen { .. } | Event::Reload | Event::Killed => {}
        }
    }

    /// Lets the timers up to `until` run out.
    pub(crate) fn run(&mut self, until: u64) {
        let moment = |at: Instant| at.as_micros() + 1_795_305_600_000_000;
        loop {
            let session = self.sessions.as_ref().and_then(Sessions::next_timeout);
            let session = session.map(moment).filter(|at| *at <= until);
            let router = self.router.next_timeout().map(moment);
            let router = router.filter(|at| *at <= until);
            match (router, session) {
                (Some(at), other) if other.is_none_or(|o| at <= o) => {
                    self.now = at;
                    self.tell_clock();
                    self.router.handle_timeout(clock(at));
                    self.drain();
                }
                (_, Some(at)) => {
                    if let Some(sessions) = &mut self.sessions {
                        let told = sessions.handle_timeout(at, self.bfd);
                        self.tell(at, told);
                    }
                }
                _ => break,
            }
        }
        self.now = self.now.max(until);
    }

    pub(crate) fn feed(&mut self, at: u64, input: Input<'_>) {
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
                    instance,
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
                    let interface = self.config.instances[instance.index()].interface;
                    self.send(interface.map_or(0, |i| self.link(i)), &payload);
                }
                Output::Announce { address, interface } => {
                    self.send(self.link(interface), &Payload::Announce(address));
                }
                Output::Notice(notice) => {
                    let line = Line {
                        router: &self.router,
                        notice: &notice,
                    };
                    self.log.push(line.to_string());
                }
                Output::Notify(event) => self.notify(&event),
                Output::Repriced(r) if r.tell => {
                    let state = if r.master { "MASTER" } else { "BACKUP" };
                    self.fifo.push(format!(
                        "INSTANCE \"{}\" {state}_PRIORITY {}",
                        r.name, r.new
                    ));
                }
                _ => {}
            }
        }
        self.stats.insert(self.stats());
    }

    fn send(&mut self, link: u8, payload: &Payload) {
        self.sent.push(Sent {
            at: self.now,
            link,
            words: words(payload),
        });
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
            Notify::Priority {
                id,
                master,
                priority,
            } => {
                let state = if master { "MASTER" } else { "BACKUP" };
                format!("INSTANCE \"{}\" {state}_PRIORITY {priority}", name(id))
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
