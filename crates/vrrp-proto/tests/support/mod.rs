//! A small configuration to start from, and a router with the outside world's view of it.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::net::{IpAddr, Ipv4Addr};

use net_types::{Duration, Family, IfIndex, Instant, MacAddr, Vrid};
use vrrp_proto::config::*;
use vrrp_proto::input::Received;
use vrrp_proto::notice::{InstanceNotice, Notice};
use vrrp_proto::output::{NotifyState, Transmit};
use vrrp_proto::{Input, Notify, Output, Router, State};

pub fn at(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

pub fn link(host: u8) -> LinkFacts {
    LinkFacts {
        index: IfIndex::new(2),
        up: true,
        flags: 0x1_1043,
        mac: MacAddr([2, 0, 0, 0, 0, host]),
        v4: Some(Ipv4Addr::new(192, 0, 2, host)),
        v6: Some(format!("fe80::{host:x}").parse().unwrap()),
        base: None,
        changeable: true,
    }
}

pub fn interface(name: &str, host: u8) -> Interface {
    Interface {
        name: name.into(),
        link: link(host),
        up_delay: Duration::ZERO,
        down_delay: Duration::ZERO,
        pacing: None,
        ours: false,
        fresh: false,
        polled: false,
    }
}

pub fn instance(name: &str, vrid: u8, priority: u8) -> Instance {
    Instance {
        name: name.into(),
        vrid: Vrid::new(vrid).unwrap(),
        family: Family::V4,
        version: Version::V2,
        interface: Some(IfId(0)),
        configured_interface: Some(IfId(0)),
        transmit_interface: Some(IfId(0)),
        vrf: None,
        dont_track_primary: false,
        wanted: Wanted::Backup,
        priority,
        advert_interval: Duration::from_secs(1),
        down_timer_adverts: 3,
        nopreempt: false,
        preempt_delay: Duration::ZERO,
        timer_expired_backup: None,
        lower_prio_no_advert: false,
        higher_prio_send_advert: false,
        owner_ignore_adverts: false,
        accept: true,
        auth: Auth::None,
        hmac: None,
        destination: Destination::Multicast(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18))),
        source: None,
        ttl: 255,
        check_unicast_source: false,
        skip_check_adv_addr: false,
        checksum_v3_as_v2: false,
        old_checksum: OldChecksum::Detect,
        addresses: vec![VirtualAddress {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 100)),
            object: 1,
            interface: IfId(0),
            no_track: false,
        }],
        excluded: vec![],
        routes: vec![],
        rules: vec![],
        garp: Garp {
            repeat: 1,
            delay: Duration::ZERO,
            lower_prio_delay: Duration::ZERO,
            lower_prio_repeat: 1,
            ..Garp::default()
        },
        group: None,
        tracks: vec![],
        notify_deleted: false,
        notify_priority_changes: false,
        leads_connection_sync: false,
        config_error: false,
        duplicate_vrid: false,
    }
}

pub fn config(host: u8, instances: Vec<Instance>) -> Config {
    Config {
        global: Global::default(),
        interfaces: vec![interface("eth0", host)],
        instances: instances.into(),
        groups: vec![],
        trackers: vec![],
        pacing: vec![],
    }
}

/// A started router; its outputs are collected.
pub struct Host {
    pub router: Router,
    pub now: Instant,
}

impl Host {
    pub fn new(config: Config) -> (Self, Vec<Output>) {
        let now = at(1_000_000);
        let router = Router::new(config, now);
        let mut host = Self { router, now };
        let out = host.tell(Input::Start);
        (host, out)
    }

    pub fn tell(&mut self, input: Input<'_>) -> Vec<Output> {
        self.router.handle(self.now, input);
        self.drain()
    }

    pub fn hear(&mut self, from: [u8; 4], advert: &[u8]) -> Vec<Output> {
        self.tell(Input::Advert(Received {
            socket: SocketId(0),
            bytes: advert,
            source: IpAddr::from(from),
            multicast: true,
            hop_limit: Some(255),
        }))
    }

    /// Goes to the next deadline; returns how long that took in microseconds.
    pub fn wait(&mut self) -> (u64, Vec<Output>) {
        let next = self.router.next_timeout().expect("a deadline");
        let took = next.since(self.now).as_micros();
        self.now = next.max(self.now);
        self.router.handle_timeout(self.now);
        (took, self.drain())
    }

    /// Runs to `until`, collecting everything.
    pub fn run_to(&mut self, until: Instant) -> Vec<Output> {
        let mut all = vec![];
        while let Some(next) = self.router.next_timeout().filter(|n| *n <= until) {
            self.now = next.max(self.now);
            self.router.handle_timeout(self.now);
            all.extend(self.drain());
        }
        self.now = until;
        all
    }

    pub fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.router.poll_output()).collect()
    }

    pub fn state(&self, n: u16) -> State {
        self.router.status(InstanceId(n)).unwrap().state
    }

    /// Microseconds until the instance's advert timer.
    pub fn timer(&self, n: u16) -> Option<u64> {
        let status = self.router.status(InstanceId(n)).unwrap();
        status.deadline.map(|d| d.since(self.now).as_micros())
    }
}

/// The outputs in short: what anybody outside can see, in order.
pub fn shape(out: &[Output]) -> Vec<String> {
    out.iter()
        .filter_map(|o| {
            Some(match o {
                Output::Transmit(t) => format!("advert {}", t.priority),
                Output::Add(o) => format!("add {o:?}"),
                Output::Remove { object, leftover } => {
                    format!(
                        "remove {object:?}{}",
                        if *leftover { " leftover" } else { "" }
                    )
                }
                Output::Replace { old, new } => format!("replace {old:?} {new:?}"),
                Output::FirewallAdd(_) => "firewall".into(),
                Output::FirewallRemove(_) => "no firewall".into(),
                Output::Announce { address, .. } => format!("announce {address}"),
                Output::Notify(Notify::Instance {
                    id,
                    state,
                    priority,
                }) => {
                    format!("notify {} {} {priority}", id.0, state.word())
                }
                Output::Notify(Notify::Group { id, state }) => {
                    format!("group {} {}", id.0, state.word())
                }
                Output::Notify(n) => format!("{n:?}"),
                Output::Notice(Notice::Instance(id, InstanceNotice::Entering(s))) => {
                    format!("entering {} {}", id.0, s.word())
                }
                Output::Notice(Notice::GroupSync(_, s)) => format!("sync {}", s.word()),
                Output::Notice(_) | Output::OpenAnnouncers { .. } => return None,
                Output::Reconfigured => "reconfigured".into(),
                Output::ConnectionSync(what) => format!("connections {what:?}"),
                Output::Repriced(r) => format!("repriced {} {} {}", r.name, r.new, r.tell),
                Output::Refused { id, why, .. } => format!("refused {} {why:?}", id.0),
                Output::Done => "done".into(),
            })
        })
        .collect()
}

pub fn transmits(out: &[Output]) -> Vec<&Transmit> {
    out.iter()
        .filter_map(|o| match o {
            Output::Transmit(t) => Some(t),
            _ => None,
        })
        .collect()
}

pub fn states(out: &[Output]) -> Vec<NotifyState> {
    out.iter()
        .filter_map(|o| match o {
            Output::Notify(Notify::Instance { state, .. }) => Some(*state),
            _ => None,
        })
        .collect()
}

pub fn notices(out: &[Output]) -> Vec<&InstanceNotice> {
    out.iter()
        .filter_map(|o| match o {
            Output::Notice(Notice::Instance(_, n)) => Some(n),
            _ => None,
        })
        .collect()
}

/// xorshift64*: the same everywhere for one seed.
pub struct Rng(pub u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
