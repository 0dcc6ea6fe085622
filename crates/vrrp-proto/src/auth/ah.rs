//! `auth_type AH`: a VRRPv2 packet behind an authentication header (RFC 2402) with HMAC-MD5-96 (RFC 2403).
//!
//! ```text
//! | IPv4 header | next 112, length 4, 0 | SPI = source | sequence | digest, 12 octets | VRRPv2 packet |
//! ```
//! The digest covers all of it: of the IPv4 header without type of service, fragment bits and checksum, and for unicast
//! without TTL; the digest itself counts as zeroes. One counter serves for sending and for hearing: a router goes on
//! where the master stopped.

use core::net::Ipv4Addr;

use super::Keyed;
use crate::config::InstanceId;
use crate::notice::InstanceNotice;
use crate::reasons::{AuthError, Refusal};
use crate::receive::{Facts, bump32};
use crate::router::Router;
use crate::wire::{AH_LEN, Ah, IPV4_LEN, PROTO_VRRP};

/// Key of an instance: `auth_pass`, filled up with zeroes.
pub type Key = [u8; 8];
/// Octets of the digest in the header.
pub const DIGEST_LEN: usize = 12;
/// Where the digest stands in the authentication header.
const DIGEST_AT: usize = AH_LEN - DIGEST_LEN;
/// No number beyond this is sent: the router whose turn is next shall find one left.
const LAST: u32 = 0xffff_fffe;

/// The sequence number of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    /// Last number sent or heard.
    pub(crate) sequence: u32,
    /// All numbers are used up; the next term as master starts again.
    pub(crate) cycled: bool,
}

impl Counter {
    /// The number of the next advert.
    pub(crate) fn next(&mut self) -> u32 {
        if self.sequence >= LAST {
            self.cycled = true;
        } else {
            self.sequence = self.sequence.saturating_add(1);
        }
        self.sequence
    }

    /// The instance becomes master: nobody has used a number after ours.
    pub(crate) fn become_master(&mut self) {
        if self.cycled {
            *self = Self::default();
        }
    }
}

/// Appends the header; [`seal`] fills in its digest.
pub(crate) fn encode(source: Ipv4Addr, sequence: u32, out: &mut alloc::vec::Vec<u8>) {
    Ah {
        next: PROTO_VRRP,
        spi: u32::from(source),
        sequence,
        digest: [0; DIGEST_LEN],
    }
    .encode(out);
}

/// Puts the digest into a packet of ours, whose IPv4 header has no options.
pub fn seal(key: &Key, packet: &mut [u8], unicast: bool) {
    let digest = keyed(key, packet, IPV4_LEN, unicast).and_then(Keyed::cut);
    let place = packet.get_mut(IPV4_LEN + DIGEST_AT..IPV4_LEN + AH_LEN);
    if let (Some(digest), Some(place)) = (digest, place) {
        let digest: [u8; DIGEST_LEN] = digest;
        place.copy_from_slice(&digest);
    }
}

/// Whether the digest in a packet is right. `header_len`: of the IPv4 header with its options.
pub fn verify(key: &Key, packet: &[u8], header_len: usize, unicast: bool) -> bool {
    let theirs = packet
        .get(header_len..)
        .and_then(|ah| ah.get(DIGEST_AT..AH_LEN));
    match (theirs, keyed(key, packet, header_len, unicast)) {
        (Some(theirs), Some(mac)) => mac.is(theirs),
        _ => false,
    }
}

/// All that is covered, with zeroes for what may change on the way.
fn keyed(key: &Key, packet: &[u8], header_len: usize, unicast: bool) -> Option<Keyed> {
    let header = packet.get(..header_len)?;
    let (ah, body) = packet.get(header_len..)?.split_at_checked(AH_LEN)?;
    let (fixed, options) = header.split_at_checked(IPV4_LEN)?;
    let mut fixed: [u8; IPV4_LEN] = fixed.try_into().ok()?;
    let [_, tos, _, _, _, _, f0, f1, ttl, _, c0, c1, ..] = &mut fixed;
    for zero in [tos, f0, f1, c0, c1] {
        *zero = 0;
    }
    if unicast {
        *ttl = 0;
    }
    let mut mac = Keyed::md5(key)?;
    mac.update(&fixed);
    mac.update(options);
    mac.update(ah.get(..DIGEST_AT)?);
    mac.update(&[0; DIGEST_LEN]);
    mac.update(body);
    Some(mac)
}

/// What [`Router::check_ah`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on.
    Right,
    /// Refused, counted and logged.
    Wrong,
    /// Something else than VRRP is behind the header: none of our business.
    Foreign,
}

impl Router {
    /// Judges the authentication header of an advert; its sequence number is ours from then on. Wrong ones are logged each.
    pub(crate) fn check_ah(&mut self, id: InstanceId, key: &Key, facts: &Facts<'_>) -> Verdict {
        let i = id.index();
        let (Some(ip), Some(ah)) = (facts.view.ip, facts.view.ah) else {
            return Verdict::Foreign;
        };
        if ah.next != PROTO_VRRP {
            return Verdict::Foreign;
        }
        let local = self.live[i].ah.sequence;
        let trouble = if !verify(key, facts.bytes, ip.header_len, facts.unicast) {
            InstanceNotice::AhDigest
        } else if ah.spi != u32::from(ip.source) {
            InstanceNotice::AhSpi {
                source: ip.source,
                spi: Ipv4Addr::from(ah.spi),
            }
        } else if ah.sequence <= local {
            let got = ah.sequence;
            InstanceNotice::AhReplayed { got, local }
        } else {
            self.live[i].ah.sequence = ah.sequence;
            if self.live[i].state == crate::State::Backup {
                self.live[i].ah.cycled = false;
            }
            return Verdict::Right;
        };
        self.say_of(id, trouble);
        bump32(&mut self.live[i].stats.auth_failure);
        self.refused(id, facts.source, Refusal::Auth(AuthError::Failure));
        Verdict::Wrong
    }

    /// A master with AH heard a weaker one: it goes on behind that one's number.
    pub(crate) fn follow_ah(&mut self, id: InstanceId, facts: &Facts<'_>) {
        if let Some(ah) = facts.view.ah {
            self.say_of(id, InstanceNotice::AhSyncing);
            self.live[id.index()].ah = Counter {
                sequence: ah.sequence.wrapping_add(1),
                cycled: false,
            };
        }
    }
}
