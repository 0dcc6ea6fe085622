//! An advert comes in: the checks in the reference's order (keepalived-behaviour.md section 4.2), then the state's rule.

use core::cmp::Ordering;
use core::net::IpAddr;

use net_types::{Centis, Duration, Family, Instant};

use crate::auth::ah::Verdict;
use crate::auth::trailer;
use crate::config::{Auth, Destination, InstanceId, OldChecksum, Version};
use crate::input::Received;
use crate::instance::Rogue;
use crate::notice::{Check, InstanceNotice, Notice};
use crate::output::{Notify, Output};
use crate::reasons::{AuthError, MasterReason, ProtocolError, Refusal};
use crate::router::Router;
use crate::status::State;
use crate::timers::Timer;
use crate::wire::{AH_LEN, DecodeError, Seal, TTL, TYPE_ADVERTISEMENT, View, checksum};

/// Shortest Ethernet payload: shorter packets arrive with padding.
const SHORTEST_PAYLOAD: usize = 46;
/// Each VLAN tag on the way takes this much from the padding.
const VLAN_TAG: usize = 4;

impl Router {
    /// A packet came out of a socket.
    pub(crate) fn receive(&mut self, now: Instant, packet: &Received<'_>) {
        if !self.started || self.startup_until.is_some() {
            return;
        }
        let Some(socket) = self.sockets.get(packet.socket.index()) else {
            return;
        };
        let (family, interface) = (socket.family, socket.interface);
        let view = match View::decode(family, packet.bytes) {
            Ok(view) => view,
            Err(DecodeError::ShortAh) => {
                self.say(Notice::AhTooShort(packet.bytes.len()));
                return;
            }
            Err(DecodeError::Short | DecodeError::Body) => {
                self.say(Notice::TooShort {
                    v6: family == Family::V6,
                    length: packet.bytes.len(),
                });
                return;
            }
        };
        let Some(id) = self.find(packet, view.header.vrid) else {
            if self.config.global.log_unknown_vrids {
                self.say(Notice::UnknownVrid(view.header.vrid, interface));
            }
            return;
        };
        let live = &mut self.live[id.index()];
        if !matches!(live.state, State::Backup | State::Master) {
            return;
        }
        live.last_sender = Some(packet.source);
        let multicast = view
            .ip
            .map_or(packet.multicast, |ip| ip.destination.is_multicast());
        let unicast = matches!(
            self.config.instances[id.index()].destination,
            Destination::Unicast(_)
        );
        if family == Family::V6 && multicast == unicast {
            self.say_of(id, InstanceNotice::WrongCast { multicast });
            return;
        }
        let ttl = view.ip.map_or(packet.hop_limit, |ip| Some(ip.ttl));
        let facts = Facts {
            view,
            bytes: packet.bytes,
            source: packet.source,
            multicast,
            unicast,
            ttl,
        };
        if self.live[id.index()].state == State::Backup {
            self.backup_hears(now, id, &facts);
        } else if self.master_hears(now, id, &facts) {
            self.leave_master(now, id, false);
            self.sync_backup(now, id);
        } else {
            self.sync_master(now, id);
        }
    }

    /// The instance of a VRID on a socket; unicast instances may share one and are told apart by the sender.
    fn find(&self, packet: &Received<'_>, vrid: u8) -> Option<InstanceId> {
        let mut same = self.listeners(packet.socket, vrid);
        let others = same.clone();
        let first = same.next()?;
        if same.next().is_none() {
            return Some(first);
        }
        others
            .clone()
            .find(|id| self.live[id.index()].last_sender == Some(packet.source))
            .or_else(|| {
                others
                    .clone()
                    .find(|id| match &self.config.instances[id.index()].destination {
                        Destination::Unicast(peers) => {
                            peers.iter().any(|p| p.address == packet.source)
                        }
                        Destination::Multicast(_) => false,
                    })
            })
    }

    /// Writes a line about a packet, once per kind until state or master change.
    pub(crate) fn remark(&mut self, id: InstanceId, from: IpAddr, check: Check) {
        let why = match check {
            Check::Ttl(_) | Check::PeerTtl { .. } => Some(Refusal::Protocol(ProtocolError::Ttl)),
            Check::Version { .. } => Some(Refusal::Protocol(ProtocolError::Version)),
            Check::Checksum { .. } => Some(Refusal::Protocol(ProtocolError::Checksum)),
            Check::AuthType(_) => Some(Refusal::Auth(AuthError::InvalidType)),
            Check::AuthMismatch { .. } | Check::UnexpectedAh | Check::NoAh => {
                Some(Refusal::Auth(AuthError::TypeMismatch))
            }
            Check::Password => Some(Refusal::Auth(AuthError::Failure)),
            _ => None,
        };
        if let Some(why) = why {
            self.refused(id, from, why);
        }
        if self.live[id.index()].first_of_kind(&check) {
            self.say_of(id, InstanceNotice::Check(from, check));
        }
    }

    /// What the MIBs tell of a refused packet.
    pub(crate) fn refused(&mut self, id: InstanceId, from: IpAddr, why: Refusal) {
        if let Refusal::Protocol(error) = why {
            self.live[id.index()].reasons.error = error;
        }
        if self.config.global.tell_refusals {
            self.queue.push_back(Output::Refused { id, from, why });
        }
    }

    /// Whether the packet passes; counts and logs when not, and logs what is odd.
    fn check(
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

    /// BACKUP (RFC 9568 section 6.4.2).
    fn backup_hears(&mut self, now: Instant, id: InstanceId, facts: &Facts<'_>) {
        let i = id.index();
        let from = facts.source;
        let old_master = self.live[i].master;
        let master_change = old_master != Some(from);
        // With `auth_hmac`, only an advert that is accepted makes a new master to complain about: a forged one would switch
        // the lines on again each time. So does 2.4 for every instance, but 2.3.3 logs at once.
        let trusting = self.config.instances[i].hmac.is_none();
        if master_change {
            if trusting {
                self.live[i].logged = 0;
            }
            match old_master {
                None => self.say_of(id, InstanceNotice::MasterSet(from)),
                Some(old) => self.say_of(id, InstanceNotice::MasterChanged(old, from)),
            }
        }
        let check_addresses = master_change || !self.config.instances[i].skip_check_adv_addr;
        if !self.check(now, id, facts, check_addresses) {
            return;
        }
        if master_change && !trusting {
            self.live[i].logged = 0;
        }
        let config = &self.config.instances[i];
        let theirs = facts.view.header.priority;
        if config.priority == 255
            && self.live[i].effective == 254
            && (master_change || theirs != 255)
        {
            self.live[i].effective = 255;
            self.live[i].total = 255;
            self.say_of(id, InstanceNotice::OwnerRestoredLower);
        }
        let config = &self.config.instances[i];
        let live = &mut self.live[i];
        if theirs == 0 {
            live.reasons.next = MasterReason::Priority;
            live.down_time = live.skew(config);
            self.say_of(id, InstanceNotice::BackupZero);
            self.arm(now, id);
            return;
        }
        let delaying = !config.preempt_delay.is_zero() && live.preempt_at.is_none_or(|at| at > now);
        if !(config.nopreempt || theirs >= live.effective || delaying) {
            // Ours is higher and may preempt: the timer runs on.
            live.master = Some(from);
            live.reasons.next = MasterReason::Preempted;
            self.say_of(id, InstanceNotice::LowerDiscarded(theirs, from));
            return;
        }
        self.adopt_interval(id, facts);
        let config = &self.config.instances[i];
        let live = &mut self.live[i];
        live.down_time = live.master_down(config);
        live.reasons.next = MasterReason::NoResponse;
        live.master = Some(from);
        live.master_priority = theirs;
        live.wanted = State::Backup;
        if !config.preempt_delay.is_zero() {
            if theirs >= live.effective {
                if live.preempt_at.take().is_some() {
                    self.say_of(id, InstanceNotice::PreemptDelayStop);
                }
            } else if live.preempt_at.is_none() {
                let delay = config.preempt_delay;
                live.preempt_at = Some(now + delay);
                self.say_of(id, InstanceNotice::PreemptDelayStart(delay));
            }
        }
        self.arm(now, id);
    }

    /// Version 3: the master's interval decides (RFC 9568 section 6.4.2).
    fn adopt_interval(&mut self, id: InstanceId, facts: &Facts<'_>) {
        if self.config.instances[id.index()].version != Version::V3 {
            return;
        }
        let new = Centis(facts.view.header.centis()).duration();
        let live = &mut self.live[id.index()];
        if live.master_interval != new {
            let old = core::mem::replace(&mut live.master_interval, new);
            self.say_of(id, InstanceNotice::IntervalAdopted(old, new));
        }
    }

    /// MASTER (RFC 9568 section 6.4.3); true to leave it.
    fn master_hears(&mut self, now: Instant, id: InstanceId, facts: &Facts<'_>) -> bool {
        let i = id.index();
        if !self.check(now, id, facts, true) {
            return false;
        }
        let from = facts.source;
        let theirs = facts.view.header.priority;
        let ours = self.live[i].effective;
        let address = compare(from, self.own_address(id));
        let stronger = theirs > ours || theirs == ours && address == Ordering::Greater;

        if theirs == 0 {
            self.transmit(now, id, None);
            self.arm(now, id);
            self.say_of(id, InstanceNotice::MasterZero);
            return false;
        }
        if stronger && self.config.instances[i].higher_prio_send_advert {
            self.transmit(now, id, None);
        }
        if theirs == ours {
            if address == Ordering::Equal {
                self.say_of(id, InstanceNotice::OwnAddressHeard);
                return false;
            }
            if ours == 255 {
                self.two_owners(id, facts, address);
            }
        }
        // Stepping down from 255 above makes the other one stronger.
        let ours = self.live[i].effective;
        if theirs < ours || theirs == ours && address == Ordering::Less {
            self.lower_heard(now, id, facts);
            return false;
        }
        if theirs > ours && self.config.instances[i].priority != 255 {
            self.say_of(id, InstanceNotice::HigherReceived { from, theirs, ours });
        } else {
            self.say_of(id, InstanceNotice::SameHigherAddress(from, theirs));
        }
        self.live[i].ah.cycled = false;
        self.adopt_interval(id, facts);
        let config = &self.config.instances[i];
        let live = &mut self.live[i];
        live.down_time = live.master_down(config);
        live.master = Some(from);
        live.master_priority = theirs;
        live.wanted = State::Backup;
        live.state = State::Backup;
        true
    }

    /// Two routers say they own the addresses. The lower address steps down; the higher one watches whether it does.
    fn two_owners(&mut self, id: InstanceId, facts: &Facts<'_>, address: Ordering) {
        let i = id.index();
        let from = facts.source;
        if address == Ordering::Greater {
            self.say_of(id, InstanceNotice::TwoOwners(from));
            return;
        }
        match self.live[i].rogue {
            Rogue::Watching => {
                self.timers.clear(Timer::Rogue(id));
                let live = &mut self.live[i];
                live.rogue = Rogue::None;
                live.effective = 254;
                live.total = 254;
                self.say_of(id, InstanceNotice::OwnerStillThere(from));
            }
            state => {
                self.live[i].rogue_interval = match self.config.instances[i].version {
                    Version::V2 => Duration::from_secs(u64::from(facts.view.header.seconds())),
                    Version::V3 => Centis(facts.view.header.centis()).duration(),
                };
                if state == Rogue::None {
                    self.live[i].rogue = Rogue::Counting(2);
                    self.say_of(id, InstanceNotice::TwoOwners(from));
                }
            }
        }
    }

    /// A weaker master shows itself: answer it, and tell the neighbours again where the addresses are.
    fn lower_heard(&mut self, now: Instant, id: InstanceId, facts: &Facts<'_>) {
        let i = id.index();
        let (from, theirs) = (facts.source, facts.view.header.priority);
        let ours = self.live[i].effective;
        let election = !self.config.instances[i].lower_prio_no_advert;
        self.say_of(
            id,
            InstanceNotice::LowerReceived {
                from,
                theirs,
                ours,
                election,
            },
        );
        if matches!(self.config.instances[i].auth, Auth::Ah(_)) {
            self.follow_ah(id, facts);
        }
        if election {
            self.transmit(now, id, None);
            self.arm(now, id);
        }
        self.lower_burst(now, id);
        // The weaker router drops all members of its group on our advert; we shall not hear theirs.
        if let Some(g) = self.group_of(id) {
            for k in 0..self.config.groups[g.index()].members.len() {
                let member = self.config.groups[g.index()].members[k];
                if member != id {
                    self.lower_burst(now, member);
                }
            }
        }
        let priority = self.live[i].effective;
        self.queue
            .push_back(Output::Notify(Notify::LowerPriority { id, priority }));
    }

    fn lower_burst(&mut self, now: Instant, id: InstanceId) {
        /// More bursts than this at once tell the neighbours nothing new.
        const MOST_WAITING: u8 = 16;
        let garp = self.config.instances[id.index()].garp;
        if garp.lower_prio_repeat == 0 {
            return;
        }
        self.burst(now, id, garp.lower_prio_repeat);
        let live = &mut self.live[id.index()];
        if !garp.lower_prio_delay.is_zero() && live.lower_bursts < MOST_WAITING {
            live.lower_bursts = live.lower_bursts.saturating_add(1);
            self.timers
                .add(Timer::LowerBurst(id), now + garp.lower_prio_delay);
        }
    }
}

/// A received packet and what came with it.
pub(crate) struct Facts<'a> {
    pub(crate) view: View<'a>,
    /// All of it, as the socket delivered it.
    pub(crate) bytes: &'a [u8],
    pub(crate) source: IpAddr,
    /// The packet was sent to a group.
    pub(crate) multicast: bool,
    /// The instance has peers.
    pub(crate) unicast: bool,
    pub(crate) ttl: Option<u8>,
}

/// Whether what is beyond `wanted` can be Ethernet padding: its length modulo a VLAN tag fits.
fn is_padding(received: usize, wanted: usize) -> bool {
    let residue = (VLAN_TAG - SHORTEST_PAYLOAD % VLAN_TAG) % VLAN_TAG;
    received > wanted && (received - wanted) % VLAN_TAG == residue
}

/// Addresses compared as the numbers on the wire; of different families as equal, like the reference.
fn compare(a: IpAddr, b: IpAddr) -> Ordering {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets().cmp(&b.octets()),
        (IpAddr::V6(a), IpAddr::V6(b)) => a.octets().cmp(&b.octets()),
        _ => Ordering::Equal,
    }
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
