//! What a packet has to pass, in the reference's order (keepalived-behaviour.md section 4.2).

use net_types::{Centis, Duration, Family, Instant};

use super::Facts;
use crate::auth::ah::Verdict;
use crate::auth::trailer;
use crate::config::{Auth, Destination, InstanceId, OldChecksum, Version};
use crate::notice::{Check, InstanceNotice};
use crate::router::Router;
use crate::wire::{AH_LEN, Seal, TTL, TYPE_ADVERTISEMENT, checksum};

/// Shortest Ethernet payload: shorter packets arrive with padding.
const SHORTEST_PAYLOAD: usize = 46;
/// Each VLAN tag on the way takes this much from the padding.
const VLAN_TAG: usize = 4;

impl Router {
    /// Whether the packet passes; counts and logs when not, and logs what is odd.
    pub(super) fn check(
        &mut self,
        now: Instant,
        id: InstanceId,
        facts: &Facts<'_>,
        check_addresses: bool,
    ) -> bool {
        let i = id.index();
        let from = facts.source;
        let view = &facts.view;
        let header = view.header;
        let (family, version) = (
            self.config.instances[i].family,
            self.config.instances[i].version,
        );
        let unicast = facts.unicast;

        // 3
        let wants_ah = matches!(self.config.instances[i].auth, Auth::Ah(_));
        if family == Family::V4 && view.ah.is_some() != wants_ah {
            let odd = if wants_ah {
                Check::NoAh
            } else {
                Check::UnexpectedAh
            };
            self.remark(id, from, odd);
            bump32(&mut self.live[i].stats.authtype_mismatch);
            return false;
        }
        // 4: the length is that of the announced addresses, or padded up to the shortest Ethernet payload.
        let ah = if wants_ah { AH_LEN } else { 0 };
        let before = view.ip.map_or(0, |ip| ip.header_len).saturating_add(ah);
        let mut expected = before.saturating_add(header.packet_len(family));
        let mut signed = None;
        if self.config.instances[i].hmac.is_some()
            && view.received == expected.saturating_add(trailer::LEN)
        {
            signed = view.vrrp.last_chunk();
            expected = view.received;
        }
        if view.received != expected
            && !(expected < SHORTEST_PAYLOAD && is_padding(view.received, expected))
        {
            let got = view.received;
            self.remark(id, from, Check::Length { got, expected });
            bump64(&mut self.live[i].stats.packet_len_err);
            return false;
        }
        // 5
        if let Some(ttl) = facts.ttl.filter(|ttl| !unicast && *ttl != TTL) {
            self.remark(id, from, Check::Ttl(ttl));
            bump64(&mut self.live[i].stats.ip_ttl_err);
            return false;
        }
        // 6
        if header.version != version.number() {
            let (got, expected) = (header.version, version.number());
            self.remark(id, from, Check::Version { got, expected });
            bump32(&mut self.live[i].stats.vers_err);
            return false;
        }
        if !self.check_trailer(now, id, facts, signed) {
            return false;
        }
        if version == Version::V2 && !self.check_v2(id, facts) {
            return false;
        }
        // 9
        if header.kind != TYPE_ADVERTISEMENT {
            self.remark(id, from, Check::PacketType(header.kind));
            bump64(&mut self.live[i].stats.invalid_type_rcvd);
            return false;
        }
        // 10
        if let Some(ip) = view.ip {
            let announced = usize::from(ip.total_len);
            let padded = view.received <= SHORTEST_PAYLOAD && is_padding(view.received, announced);
            if announced != view.received && !padded {
                let (header, got) = (ip.total_len, view.received);
                self.remark(id, from, Check::IpLength { header, got });
                bump64(&mut self.live[i].stats.packet_len_err);
                return false;
            }
        }
        // 11: SHOULD match, RFC 9568 section 7.1; accepted.
        let ours = self.config.instances[i].advert_interval;
        if version == Version::V3 && ours != Centis(header.centis()).duration() {
            let ours = u32::try_from(ours.as_micros() / 10_000).unwrap_or(u32::MAX);
            let got = header.centis();
            self.remark(id, from, Check::IntervalV3 { got, ours });
        }
        // 12: the kernel does it for IPv6.
        if family == Family::V4 && !self.checksum_right(id, facts) {
            let version = version.number();
            self.remark(id, from, Check::Checksum { version });
            bump32(&mut self.live[i].stats.chk_err);
            return false;
        }
        // 13
        if facts.multicast == unicast {
            let multicast = facts.multicast;
            self.remark(id, from, Check::Cast { multicast });
            bump64(&mut self.live[i].stats.addr_list_err);
            return false;
        }
        // 14
        if self.config.instances[i].owner_ignore_adverts && self.live[i].effective == 255 {
            self.remark(id, from, Check::OwnerIgnores);
            return false;
        }
        bump64(&mut self.live[i].stats.advert_rcvd);
        self.check_list(id, facts, check_addresses);
        // 16
        if unicast && self.config.instances[i].check_unicast_source && !self.check_peer(id, facts) {
            return false;
        }
        if header.priority == 0 {
            bump64(&mut self.live[i].stats.pri_zero_rcvd);
        }
        true
    }

    /// 7 and 8: authentication and interval of version 2.
    fn check_v2(&mut self, id: InstanceId, facts: &Facts<'_>) -> bool {
        let i = id.index();
        let (from, header) = (facts.source, facts.view.header);
        let got = header.auth_type();
        if got > 2 {
            self.remark(id, from, Check::AuthType(got));
            bump32(&mut self.live[i].stats.invalid_authtype);
            return false;
        }
        let auth = self.config.instances[i].auth;
        if got != auth.number() {
            let expected = auth.number();
            self.remark(id, from, Check::AuthMismatch { got, expected });
            bump32(&mut self.live[i].stats.authtype_mismatch);
            return false;
        }
        if let Auth::Pass(ours) = auth {
            if !facts
                .view
                .auth_data()
                .is_some_and(|theirs| same_bytes(&theirs, &ours))
            {
                self.remark(id, from, Check::Password);
                bump32(&mut self.live[i].stats.auth_failure);
                return false;
            }
        }
        if let Auth::Ah(key) = auth {
            if self.check_ah(id, &key, facts) != Verdict::Right {
                return false;
            }
        }
        let interval = self.config.instances[i].advert_interval;
        if interval != Duration::from_secs(u64::from(header.seconds())) {
            let ours = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
            let got = header.seconds();
            self.remark(id, from, Check::IntervalV2 { got, ours });
            return false;
        }
        true
    }

    fn checksum_right(&mut self, id: InstanceId, facts: &Facts<'_>) -> bool {
        let i = id.index();
        let Some(packet) = facts.view.packet(Family::V4) else {
            return false;
        };
        let config = &self.config.instances[i];
        let Some(ip) = facts.view.ip else {
            return false;
        };
        if config.version == Version::V2 {
            return checksum(Seal::Plain, packet) == 0;
        }
        if config.checksum_v3_as_v2 {
            // The reference computes it and does not care.
            return true;
        }
        let group = self.config.global.mcast_group4;
        let old_form = Seal::Pseudo {
            source: ip.source,
            destination: group,
        };
        let new_form = Seal::Pseudo {
            source: ip.source,
            destination: ip.destination,
        };
        if self.live[i].old_checksum && config.old_checksum != OldChecksum::Never {
            return checksum(old_form, packet) == 0;
        }
        if checksum(new_form, packet) == 0 {
            return true;
        }
        let unicast = matches!(config.destination, Destination::Unicast(_));
        let detect =
            unicast && config.old_checksum == OldChecksum::Detect && ip.destination != group;
        if detect && checksum(old_form, packet) == 0 {
            self.live[i].old_checksum = true;
            self.say_of(id, InstanceNotice::OldChecksum);
            return true;
        }
        false
    }

    /// 15: the addresses should be ours; accepted all the same.
    fn check_list(&mut self, id: InstanceId, facts: &Facts<'_>, check_addresses: bool) {
        let i = id.index();
        let config = &self.config.instances[i];
        let got = facts.view.header.count;
        let expected = u8::try_from(config.addresses.len()).unwrap_or(u8::MAX);
        let odd = if got != expected {
            Some(Check::AddressCount { got, expected })
        } else if check_addresses {
            let missing = config
                .addresses
                .iter()
                .find(|a| !facts.view.contains(&a.address));
            missing.map(|a| Check::AddressMissing {
                vrid: config.vrid.get(),
                address: a.address,
            })
        } else {
            None
        };
        if let Some(check) = odd {
            self.remark(id, facts.source, check);
            bump64(&mut self.live[i].stats.addr_list_err);
        }
    }

    /// The sender is a peer and its TTL is in the peer's range.
    fn check_peer(&mut self, id: InstanceId, facts: &Facts<'_>) -> bool {
        let i = id.index();
        let peer = match &self.config.instances[i].destination {
            Destination::Unicast(peers) => {
                peers.iter().find(|p| p.address == facts.source).copied()
            }
            Destination::Multicast(_) => None,
        };
        let Some(peer) = peer else {
            self.remark(id, facts.source, Check::NotAPeer);
            return false;
        };
        if let Some(got) = facts.ttl.filter(|t| *t < peer.min_ttl || *t > peer.max_ttl) {
            let (min, max) = (peer.min_ttl, peer.max_ttl);
            self.remark(id, facts.source, Check::PeerTtl { got, min, max });
            bump64(&mut self.live[i].stats.ip_ttl_err);
            return false;
        }
        true
    }
}

/// Whether what is beyond `wanted` can be Ethernet padding: its length modulo a VLAN tag fits.
fn is_padding(received: usize, wanted: usize) -> bool {
    let residue = (VLAN_TAG - SHORTEST_PAYLOAD % VLAN_TAG) % VLAN_TAG;
    received > wanted && (received - wanted) % VLAN_TAG == residue
}

/// Equality in a time that does not tell where the difference is.
fn same_bytes(a: &[u8; 8], b: &[u8; 8]) -> bool {
    a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
}

pub(crate) fn bump32(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}

fn bump64(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}
