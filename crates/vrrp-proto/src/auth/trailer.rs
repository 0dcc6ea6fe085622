//! `auth_hmac` (keepalived 2.4.2 and later): 28 octets behind the VRRP packet, of any version and family.
//!
//! ```text
//!  0                   1                   2                   3
//! |     type 1    |    key id     |               0               |
//! |                          UTC seconds                          |
//! |      fraction of a second     |            counter            |
//! |             HMAC-SHA256, the first 16 octets                  |
//! ```
//! The digest covers a pseudo-header (family, version, VRID, source), the VRRP packet with a zero checksum, and the
//! trailer up to the digest. Time and counter together are one 64-bit sequence that only grows: an advert that was sent
//! before is told by it, per peer, or per sender among the last four that were heard on a group.
//!
//! Unlike in keepalived 2.4.3 the marks survive a reload: there a recorded advert is accepted again after SIGHUP.

use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::{Duration, Instant};

use super::Keyed;
use crate::config::{AntiReplay, Destination, Hmac, HmacKey, HmacMode, InstanceId, Version};
use crate::notice::Check;
use crate::receive::{Facts, bump32};
use crate::router::Router;

/// Octets of the whole trailer.
pub const LEN: usize = 28;
/// Octets of the digest.
pub const DIGEST_LEN: usize = 16;
/// Octets before the digest.
const HEAD_LEN: usize = LEN - DIGEST_LEN;
/// The only type: HMAC-SHA256 cut to 128 bits.
pub const TYPE_SHA256: u8 = 1;
/// Where the checksum stands in a VRRP packet.
const CHECKSUM: core::ops::Range<usize> = 6..8;
/// Senders to a group whose marks are kept.
const GROUP_SENDERS: usize = 4;

/// Seconds (32 bits), fraction (16) and counter (16): a serial number (RFC 1982).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence(pub u64);

impl Sequence {
    /// What a clock says, in time since 1970-01-01 UTC; the counter is zero.
    pub const fn of_clock(utc: Duration) -> Self {
        let seconds = utc.as_secs() & 0xffff_ffff;
        let fraction = ((utc.subsec_micros() as u64) << 16) / 1_000_000;
        Self(seconds << 32 | fraction << 16)
    }

    /// The seconds.
    pub const fn seconds(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Whether this comes after `other`.
    pub const fn is_after(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i64) > 0
    }

    /// How many seconds `clock` is ahead of this; negative when it is behind.
    const fn age(self, clock: Self) -> i32 {
        clock.seconds().wrapping_sub(self.seconds()) as i32
    }

    /// The next one to send at `clock`: the time, or one more than the last if the time has not advanced. A clock that was set
    /// back leaves the last one beyond what receivers accept; with a window the time is taken then.
    fn next(self, clock: Self, anti_replay: AntiReplay) -> Self {
        let stranded = match anti_replay {
            AntiReplay::Time { window } => clock.age(self) > i32::from(window),
            AntiReplay::Monotonic => false,
        };
        if clock.is_after(self) || stranded {
            clock
        } else {
            Self(self.0.wrapping_add(1))
        }
    }
}

/// A trailer as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// 1, but whatever came.
    pub kind: u8,
    /// Number of the key.
    pub key: u8,
    /// 0, but whatever came.
    pub reserved: u16,
    /// When it was sent.
    pub sequence: Sequence,
    /// The digest.
    pub digest: [u8; DIGEST_LEN],
}

impl Trailer {
    /// Reads a trailer.
    pub const fn decode(bytes: &[u8; LEN]) -> Self {
        let [kind, key, r0, r1, a, b, c, d, e, f, g, h, digest @ ..] = *bytes;
        Self {
            kind,
            key,
            reserved: u16::from_be_bytes([r0, r1]),
            sequence: Sequence(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
            digest,
        }
    }

    /// Appends the trailer.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head());
        out.extend_from_slice(&self.digest);
    }

    fn head(&self) -> [u8; HEAD_LEN] {
        let [r0, r1] = self.reserved.to_be_bytes();
        let [a, b, c, d, e, f, g, h] = self.sequence.0.to_be_bytes();
        [self.kind, self.key, r0, r1, a, b, c, d, e, f, g, h]
    }

    /// Fills in the digest. `packet`: from the VRRP header to the trailer, its checksum whatever it is.
    pub fn sign(&mut self, secret: &[u8], scope: &Scope, packet: &[u8]) {
        let digest = self.keyed(secret, scope, packet).and_then(Keyed::cut);
        self.digest = digest.unwrap_or_default();
    }

    /// Whether the digest is right, in a time that does not tell where it is wrong.
    pub fn verify(&self, secret: &[u8], scope: &Scope, packet: &[u8]) -> bool {
        self.keyed(secret, scope, packet)
            .is_some_and(|mac| mac.is(&self.digest))
    }

    fn keyed(&self, secret: &[u8], scope: &Scope, packet: &[u8]) -> Option<Keyed> {
        let mut mac = Keyed::sha256(secret)?;
        let (family, mut source) = (if scope.source.is_ipv6() { 6 } else { 4 }, [0; 16]);
        match scope.source {
            IpAddr::V4(a) => {
                for (to, from) in source.iter_mut().zip(a.octets()) {
                    *to = from;
                }
            }
            IpAddr::V6(a) => source = a.octets(),
        }
        mac.update(&[family, scope.version.number(), scope.vrid, 0]);
        mac.update(&source);
        mac.update(packet.get(..CHECKSUM.start)?);
        mac.update(&[0; 2]);
        mac.update(packet.get(CHECKSUM.end..)?);
        mac.update(&self.head());
        mac.update(&[0; DIGEST_LEN]);
        Some(mac)
    }
}

/// What a digest is bound to, besides the packet: the pseudo-header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Version of the instance.
    pub version: Version,
    /// Its VRID.
    pub vrid: u8,
    /// Sender of the packet.
    pub source: IpAddr,
}

/// The changing part of `auth_hmac`.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Last sequence sent.
    sent: Sequence,
    /// Last sequence accepted, per sender; on a group the sender heard last is the last one.
    heard: Vec<(IpAddr, Sequence)>,
}

impl Marks {
    /// The trailer of the next advert; `None` when the instance sends none. `packet` as for [`Trailer::sign`].
    pub(crate) fn sign(
        &mut self,
        hmac: &Hmac,
        clock: Sequence,
        scope: &Scope,
        packet: &[u8],
    ) -> Option<Trailer> {
        let key = hmac.key(hmac.active_key)?;
        self.sent = self.sent.next(clock, hmac.anti_replay);
        let mut trailer = Trailer {
            kind: TYPE_SHA256,
            key: hmac.active_key,
            reserved: 0,
            sequence: self.sent,
            digest: [0; DIGEST_LEN],
        };
        trailer.sign(&key.secret, scope, packet);
        Some(trailer)
    }

    /// Whether `sequence` is new from a sender whose digest was right; then it is that sender's mark.
    fn is_new(
        &mut self,
        from: IpAddr,
        sequence: Sequence,
        clock: Option<(Sequence, u16)>,
        group: bool,
    ) -> bool {
        let known = self.heard.iter().position(|(a, _)| *a == from);
        let mark = match known {
            // To the end, for the order in which senders to a group are forgotten.
            Some(at) => Some(self.heard.remove(at).1),
            None => {
                if group && self.heard.len() >= GROUP_SENDERS {
                    self.heard.remove(0);
                }
                None
            }
        };
        // A mark outside the window only orders packets that the window refuses; without it a sender whose clock was set is heard.
        let mark = mark.filter(|mark| {
            clock.is_none_or(|(clock, window)| mark.age(clock).unsigned_abs() <= u32::from(window))
        });
        let new = mark.is_none_or(|mark| sequence.is_after(mark));
        let keep = if new {
            sequence
        } else {
            mark.unwrap_or(sequence)
        };
        self.heard.push((from, keep));
        new
    }

    /// After a reload: senders that are no longer peers are forgotten.
    pub(crate) fn keep_senders(&mut self, destination: &Destination) {
        match destination {
            Destination::Unicast(peers) => self
                .heard
                .retain(|(a, _)| peers.iter().any(|p| p.address == *a)),
            Destination::Multicast(_) => {
                let more = self.heard.len().saturating_sub(GROUP_SENDERS);
                self.heard.drain(..more);
            }
        }
    }
}

impl Hmac {
    /// The key of a number.
    pub fn key(&self, id: u8) -> Option<&HmacKey> {
        self.keys.iter().find(|k| k.id == id)
    }
}

impl Router {
    /// UTC at `now` by the last [`crate::Input::Clock`], in time since 1970.
    fn utc(&self, now: Instant) -> Duration {
        Duration::from_micros(now.as_micros().wrapping_add(self.utc_ahead))
    }

    /// The clock as a sequence.
    pub(crate) fn clock(&self, now: Instant) -> Sequence {
        Sequence::of_clock(self.utc(now))
    }

    /// Judges the trailer of an advert, or that there is none; counts and logs what is wrong. True without `auth_hmac`.
    pub(crate) fn check_trailer(
        &mut self,
        now: Instant,
        id: InstanceId,
        facts: &Facts<'_>,
        trailer: Option<&[u8; LEN]>,
    ) -> bool {
        let i = id.index();
        let clock = self.clock(now);
        let (config, live) = (&self.config.instances[i], &mut self.live[i]);
        let (Some(hmac), Some(marks)) = (&config.hmac, &mut live.marks) else {
            return true;
        };
        let stats = &mut live.stats;
        let Some(trailer) = trailer.map(Trailer::decode) else {
            if hmac.mode != HmacMode::Enforce {
                return true;
            }
            bump32(&mut stats.auth_ext_missing);
            self.remark(id, facts.source, Check::TrailerMissing);
            return false;
        };
        if let Destination::Unicast(peers) = &config.destination {
            if !peers.iter().any(|p| p.address == facts.source) {
                self.remark(id, facts.source, Check::NotAPeer);
                return false;
            }
        }
        let window = match hmac.anti_replay {
            AntiReplay::Time { window } => Some(window),
            AntiReplay::Monotonic => None,
        };
        let skew = trailer.sequence.age(clock);
        let packet = facts.view.packet(config.family).unwrap_or_default();
        let scope = Scope {
            version: config.version,
            vrid: config.vrid.get(),
            source: facts.source,
        };
        // Time before digest: a flood of old adverts shall cost little. Marks last: nothing forged may move them.
        let trouble = if trailer.kind != TYPE_SHA256 || trailer.reserved != 0 {
            bump32(&mut stats.auth_ext_malformed);
            Some(Check::TrailerMalformed)
        } else if let Some(window) = window.filter(|w| skew.unsigned_abs() > u32::from(*w)) {
            bump32(&mut stats.auth_ext_stale);
            Some(Check::TrailerStale { skew, window })
        } else if let Some(key) = hmac.key(trailer.key) {
            if !trailer.verify(&key.secret, &scope, packet) {
                bump32(&mut stats.auth_ext_invalid_hmac);
                Some(Check::TrailerDigest)
            } else if !marks.is_new(
                facts.source,
                trailer.sequence,
                window.map(|w| (clock, w)),
                !facts.unicast,
            ) {
                bump32(&mut stats.auth_ext_replay);
                Some(Check::TrailerReplayed)
            } else {
                None
            }
        } else {
            bump32(&mut stats.auth_ext_unknown_key);
            Some(Check::TrailerKey(trailer.key))
        };
        if let Some(trouble) = trouble {
            self.remark(id, facts.source, trouble);
            return false;
        }
        if let Some(window) = window.filter(|w| skew.unsigned_abs() > u32::from(*w / 2)) {
            self.remark(id, facts.source, Check::TrailerSkew { skew, window });
        }
        true
    }
}
