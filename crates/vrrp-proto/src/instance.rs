//! One virtual router: what it remembers, and its arithmetic of time.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::{Duration, Instant};

use crate::auth::ah::Counter;
use crate::auth::trailer::Marks;
use crate::config::{Instance, Version};
use crate::notice::Check;
use crate::output::NotifyState;
use crate::reasons::Reasons;
use crate::stats::Stats;
use crate::status::State;

/// What another address owner makes us do (both have priority 255, ours is the higher address).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rogue {
    /// No one seen, or forgotten.
    #[default]
    None,
    /// Adverts of ours until it should have noticed.
    Counting(u8),
    /// The timer runs: one more advert and we step down.
    Watching,
}

/// The changing part of an instance. The other part is its [`Instance`].
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) state: State,
    /// Without the group: Backup, Master or Fault.
    pub(crate) wanted: State,
    pub(crate) effective: u8,
    pub(crate) total: i32,
    pub(crate) stats: Stats,
    pub(crate) reasons: Reasons,
    pub(crate) source: Option<IpAddr>,
    /// Sender of the last packet that got to the instance; picks among unicast instances with one VRID.
    pub(crate) last_sender: Option<IpAddr>,
    pub(crate) master: Option<IpAddr>,
    pub(crate) master_priority: u8,
    pub(crate) master_interval: Duration,
    pub(crate) down_time: Duration,
    pub(crate) last_transition: Option<Instant>,
    pub(crate) last_advert: Option<Instant>,
    pub(crate) preempt_at: Option<Instant>,
    /// Addresses, routes and rules were set.
    pub(crate) holding: bool,
    /// One flag per address, excluded ones behind the others.
    pub(crate) addresses_set: Vec<bool>,
    pub(crate) routes_set: Vec<bool>,
    pub(crate) rules_set: Vec<bool>,
    pub(crate) ip_id: u16,
    /// Sequence of the authentication header.
    pub(crate) ah: Counter,
    /// What was signed and heard with `auth_hmac`.
    pub(crate) marks: Option<Box<Marks>>,
    pub(crate) old_checksum: bool,
    /// Kinds of [`Check`] that were logged since the last change of state or master.
    pub(crate) logged: u32,
    pub(crate) rogue: Rogue,
    pub(crate) rogue_interval: Duration,
    /// The first notification since the start or a reload went out.
    pub(crate) notified: bool,
    /// The last state that was notified.
    pub(crate) told: Option<NotifyState>,
    /// Has a reason to be in FAULT of its own; follows from the facts, kept to see it change.
    pub(crate) faulty: bool,
    /// Waits for the first result of a script with weight 0.
    pub(crate) pending: bool,
    /// Was MASTER before the reload: goes on with an advert at once.
    pub(crate) reload_master: bool,
    /// Bursts waiting after lower-priority adverts; bounded, because each such advert starts one.
    pub(crate) lower_bursts: u8,
}

impl Live {
    pub(crate) fn new(config: &Instance) -> Self {
        let addresses = config.addresses.len().saturating_add(config.excluded.len());
        Self {
            state: State::Init,
            wanted: match config.wanted {
                crate::config::Wanted::Backup => State::Backup,
                crate::config::Wanted::Master => State::Master,
            },
            effective: config.priority,
            total: i32::from(config.priority),
            stats: Stats::default(),
            reasons: Reasons::default(),
            source: None,
            last_sender: None,
            master: None,
            master_priority: 0,
            master_interval: config.advert_interval,
            down_time: Duration::ZERO,
            last_transition: None,
            last_advert: None,
            preempt_at: None,
            holding: false,
            addresses_set: vec![false; addresses],
            routes_set: vec![false; config.routes.len()],
            rules_set: vec![false; config.rules.len()],
            ip_id: 0,
            ah: Counter::default(),
            marks: config.hmac.as_ref().map(|_| Box::default()),
            old_checksum: config.old_checksum == crate::config::OldChecksum::Always,
            logged: 0,
            rogue: Rogue::None,
            rogue_interval: Duration::ZERO,
            notified: false,
            told: None,
            faulty: false,
            pending: false,
            reload_master: false,
            lower_bursts: 0,
        }
    }

    /// Skew for `steps` of 1/256: version 2 counts in seconds whatever the interval (RFC 3768 section 6.1),
    /// version 3 in the master's interval (RFC 9568 section 6.1). Rounded as the reference rounds.
    fn skew_steps(&self, config: &Instance, steps: u64) -> Duration {
        match config.version {
            Version::V2 => Duration::from_micros(steps * 1_000_000 / 256),
            Version::V3 => {
                let centis = self.master_interval.as_micros() / 10_000;
                Duration::from_micros(steps.saturating_mul(centis).saturating_mul(625) / 16)
            }
        }
    }

    /// Skew time for a given effective priority.
    fn skew_at(&self, config: &Instance, priority: u8) -> Duration {
        let priority = if config.priority == 255 {
            255
        } else {
            priority
        };
        self.skew_steps(config, 256 - u64::from(priority))
    }

    /// Skew time.
    pub(crate) fn skew(&self, config: &Instance) -> Duration {
        self.skew_at(config, self.effective)
    }

    /// How much later (first) or earlier (second) the master counts as down when the priority changes from `old` to now.
    pub(crate) fn skew_shift(&self, config: &Instance, old: u8) -> (Duration, Duration) {
        let (old, new) = (self.skew_at(config, old), self.skew(config));
        (new.saturating_sub(old), old.saturating_sub(new))
    }

    /// Master-down time: `down_timer_adverts` intervals of the master, and the skew.
    pub(crate) fn master_down(&self, config: &Instance) -> Duration {
        self.master_interval
            .saturating_mul(u64::from(config.down_timer_adverts))
            .saturating_add(self.skew(config))
    }

    /// Identification of the next IPv4 packet: from 1 on, never 0 (the kernel would replace it).
    pub(crate) fn next_ip_id(&mut self) -> u16 {
        self.ip_id = match self.ip_id.wrapping_add(1) {
            0 => 1,
            id => id,
        };
        self.ip_id
    }

    /// Whether this kind of line is due; says yes once until [`Self::logged`] is cleared.
    pub(crate) fn first_of_kind(&mut self, check: &Check) -> bool {
        let bit = 1u32 << kind(check);
        let first = self.logged & bit == 0;
        self.logged |= bit;
        first
    }
}

const fn kind(check: &Check) -> u32 {
    match check {
        Check::UnexpectedAh | Check::NoAh => 0,
        Check::Length { .. } => 1,
        Check::Ttl(_) => 2,
        Check::Version { .. } => 3,
        Check::AuthType(_) => 4,
        Check::AuthMismatch { .. } => 5,
        Check::Password => 6,
        Check::IntervalV2 { .. } | Check::IntervalV3 { .. } => 7,
        Check::PacketType(_) => 8,
        Check::IpLength { .. } => 9,
        Check::Checksum { .. } => 10,
        Check::Cast { .. } => 11,
        Check::OwnerIgnores => 12,
        Check::AddressCount { .. } => 13,
        Check::AddressMissing { .. } => 14,
        Check::NotAPeer => 15,
        Check::PeerTtl { .. } => 16,
        Check::TrailerMissing => 17,
        Check::TrailerMalformed => 18,
        Check::TrailerKey(_) => 19,
        Check::TrailerDigest => 20,
        Check::TrailerStale { .. } => 21,
        Check::TrailerReplayed => 22,
        Check::TrailerSkew { .. } => 23,
    }
}
