//! The lines of the VRRP process: a [`Notice`] of the core in the original's words (2.3.3).
//!
//! In: what the core says, with its ids. Out: one log line, at LOG_INFO as all of these are.
//! The original writes some of them with a colon behind the instance, most without; programs match on it.

use std::fmt::{self, Display, Formatter};

use daemon_rt::log::{Priority, log};
use net_types::{Duration, Family, Quotient};
use vrrp_proto::Router;
use vrrp_proto::notice::{Check, InstanceNotice, Notice, Part};

/// Logs the notice, details only if they are wanted (`-D`).
pub fn notice(router: &Router, notice: &Notice, detail: bool) {
    if detail || !notice.is_detail() {
        log(Priority::Info, format_args!("{}", Line { router, notice }));
    }
}

/// Logs that an instance has another effective priority.
pub fn priority_changed(name: &str, old: u8, new: u8) {
    let changed = PriorityChanged(name, old, new);
    log(Priority::Info, format_args!("{changed}"));
}

/// That nothing is done for so long: said before the addresses, of which the core knows nothing.
pub struct StartupDelay(
    /// How long.
    pub Duration,
);

impl Display for StartupDelay {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let seconds = Quotient::seconds(self.0.as_micros());
        write!(f, "Delaying startup for {} seconds", seconds.general())
    }
}

/// Name, before, now.
struct PriorityChanged<'a>(&'a str, u8, u8);

impl Display for PriorityChanged<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self(name, old, new) = self;
        write!(
            f,
            "({name}) Changing effective priority from {old} to {new}"
        )
    }
}

/// A notice with the names that belong to its ids.
pub struct Line<'a> {
    /// Knows the names.
    pub router: &'a Router,
    /// What is said.
    pub notice: &'a Notice,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let r = self.router;
        match self.notice {
            Notice::Instance(id, n) => instance(f, r, r.instance_name(*id), n),
            Notice::GroupSync(id, state) => {
                write!(
                    f,
                    "VRRP_Group({}) Syncing instances to {} state",
                    r.group_name(*id),
                    state.word()
                )
            }
            Notice::GroupMemberFault(group, id) => {
                let (group, name) = (r.group_name(*group), r.instance_name(*id));
                write!(f, "VRRP_Group({group}): Syncing {name} to FAULT state")
            }
            Notice::Link(id, up) => {
                write!(
                    f,
                    "Netlink reports {} {}",
                    r.interface_name(*id),
                    if *up { "up" } else { "down" }
                )
            }
            Notice::Linkbeat(id, up) => {
                write!(
                    f,
                    "Linkbeat reports {} {}",
                    r.interface_name(*id),
                    if *up { "up" } else { "down" }
                )
            }
            Notice::LinkDelayCancelled(id) => {
                write!(f, "Delay timer for {} cancelled", r.interface_name(*id))
            }
            Notice::LinkDelayed {
                interface,
                from,
                to,
                delay,
            } => write!(
                f,
                "{}: Adding flags change from 0x{from:x} to 0x{to:x} delay by {}",
                r.interface_name(*interface),
                delay.as_micros()
            ),
            Notice::InterfaceAdded(id) => write!(f, "Interface {} added", r.interface_name(*id)),
            Notice::VridConflict(id, other) => {
                let instance = r.config().instances.get(id.index());
                let v6 = instance.is_some_and(|i| i.family == Family::V6);
                let version = if v6 { 6 } else { 4 };
                let vrid = instance.map_or(0, |i| i.vrid.get());
                let (name, other) = (r.instance_name(*id), r.instance_name(*other));
                write!(
                    f,
                    "VRID conflict between {name} and {other} IPv{version} vrid {vrid}"
                )
            }
            Notice::InterfaceDeleted(id) => {
                write!(f, "Interface {} deleted", r.interface_name(*id))
            }
            Notice::AddressAssigned(id, address) => {
                write!(
                    f,
                    "Assigned address {address} for interface {}",
                    r.interface_name(*id)
                )
            }
            Notice::AddressDeassigned(id, address) => {
                write!(
                    f,
                    "Deassigned address {address} from interface {}",
                    r.interface_name(*id)
                )
            }
            Notice::AddressRemoved(id, address) => write!(
                f,
                "Netlink reflector reports IP {address} removed from {}",
                r.interface_name(*id)
            ),
            Notice::UnknownVrid(vrid, id) => {
                let name = id.map_or("none", |i| r.interface_name(i));
                write!(
                    f,
                    "Unknown VRID({vrid}) received on interface({name}). ignoring..."
                )
            }
            Notice::TooShort { v6, length } => {
                write!(
                    f,
                    "IPv{} VRRP packet too short - {length} bytes",
                    if *v6 { 6 } else { 4 }
                )
            }
            Notice::AhTooShort(length) => {
                write!(f, "IPv4 VRRP packet with AH too short - {length} bytes")
            }
            Notice::StartupDelayFurther(delay) => {
                write!(
                    f,
                    "Delaying startup for a further {} seconds",
                    Quotient::seconds(delay.as_micros()).general()
                )
            }
            Notice::StartupDelayReduced => f.write_str("Reduced delayed start passed"),
            Notice::StartupDelayCompleted => f.write_str("Delayed start completed"),
            Notice::TimerLate(late) => write!(f, "VRRP thread timer expired {late} seconds ago"),
        }
    }
}

fn instance(f: &mut Formatter<'_>, r: &Router, name: &str, n: &InstanceNotice) -> fmt::Result {
    match n {
        InstanceNotice::Entering(state) => write!(f, "({name}) Entering {} STATE", state.word()),
        InstanceNotice::EnteringInit(state) => {
            write!(f, "({name}) Entering {} STATE (init)", state.word())
        }
        InstanceNotice::FaultAtStart => write!(f, "({name}) entering FAULT state"),
        InstanceNotice::FaultScript(t) => {
            write!(
                f,
                "({name}): entering FAULT state due to script {}",
                r.tracker_name(*t)
            )
        }
        InstanceNotice::FaultInterface(i) => {
            write!(
                f,
                "({name}): entering FAULT state (interface {} down)",
                r.interface_name(*i)
            )
        }
        InstanceNotice::FaultFile(t, status) => write!(
            f,
            "({name}): entering FAULT state (tracked file {} has status {status})",
            r.tracker_name(*t)
        ),
        InstanceNotice::FaultProcess(t) => write!(
            f,
            "({name}) entering FAULT state (tracked process {} quorum not achieved)",
            r.tracker_name(*t)
        ),
        InstanceNotice::FaultUnbound => write!(
            f,
            "({name}): entering FAULT state (src address not configured)"
        ),
        InstanceNotice::BaseDown(i) => {
            write!(f, "({name}) interface {} is down", r.interface_name(*i))
        }
        InstanceNotice::FaultNoAddress { v6 } => write!(
            f,
            "({name}) entering FAULT state (no IPv{} address for interface)",
            if *v6 { 6 } else { 4 }
        ),
        InstanceNotice::TrackedFile(t, fault) => write!(
            f,
            "({name}): tracked file {} {} FAULT state",
            r.tracker_name(*t),
            if *fault { "now" } else { "leaving" }
        ),
        InstanceNotice::PrioritySet(priority) => {
            write!(f, "({name}) Setting effective priority to {priority}")
        }
        InstanceNotice::TrackedBfd(t, up) => write!(
            f,
            "VRRP_Instance({name}) Tracked BFD instance {} is {}",
            r.tracker_name(*t),
            if *up { "UP" } else { "DOWN" }
        ),
        // Who knows the objects has better words for it.
        InstanceNotice::Gone(object) => write!(f, "({name}) {object:?} no longer exist"),
        InstanceNotice::BlockGone(part) => {
            let kind = if *part == Part::Rules {
                "Rule"
            } else {
                "Route"
            };
            write!(f, "Removing a Virtual{kind} block")
        }
        InstanceNotice::AdvertTimeout => write!(f, "({name}) Receive advertisement timeout"),
        InstanceNotice::SentZero => write!(f, "({name}) sent 0 priority"),
        InstanceNotice::Setting { add, part } => {
            let what = match part {
                Part::Firewall => "firewall drop rule",
                Part::Addresses => "VIPs.",
                Part::Excluded => "E-VIPs.",
                Part::Routes => "Virtual Routes",
                Part::Rules => "Virtual Rules",
            };
            write!(
                f,
                "({name}) {} {what}",
                if *add { "setting" } else { "removing" }
            )
        }
        InstanceNotice::Announcing(i, address) => {
            let what = if address.is_ipv4() {
                "gratuitous ARPs"
            } else {
                "Unsolicited Neighbour Adverts"
            };
            let on = r.interface_name(*i);
            write!(f, "({name}) Sending/queueing {what} on {on} for {address}")
        }
        InstanceNotice::AnnouncingSource(address) => write!(
            f,
            "{name}: sending gratuitous {} for {address}",
            if address.is_ipv4() { "ARP" } else { "NA" }
        ),
        InstanceNotice::MasterSet(a) => write!(f, "({name}) master set to {a}"),
        InstanceNotice::MasterChanged(old, new) => {
            write!(f, "({name}) master changed from {old} to {new}")
        }
        InstanceNotice::BackupZero => {
            write!(f, "({name}) Backup received priority 0 advertisement")
        }
        InstanceNotice::MasterZero => write!(f, "({name}) Master received priority 0 message"),
        InstanceNotice::LowerDiscarded(priority, from) => write!(
            f,
            "({name}) received lower priority ({priority}) advert from {from} - discarding"
        ),
        InstanceNotice::PreemptDelayStart(delay) => {
            write!(f, "({name}) start preempt delay ({delay})")
        }
        InstanceNotice::PreemptDelayStop => write!(f, "({name}) stop preempt delay"),
        InstanceNotice::IntervalAdopted(old, new) => write!(
            f,
            "({name}) advertisement interval updated from {}ms to {}ms by master",
            old.as_millis(),
            new.as_millis()
        ),
        InstanceNotice::IntervalRestored(old, new) => write!(
            f,
            "({name}) changing advert interval from {}ms to locally configured {}ms",
            old.as_millis(),
            new.as_millis()
        ),
        InstanceNotice::LowerReceived {
            from,
            theirs,
            ours,
            election,
        } => write!(
            f,
            "({name}) Received advert from {from} with lower priority {theirs}, ours {ours}{}",
            if *election {
                ", forcing new election"
            } else {
                ""
            }
        ),
        InstanceNotice::HigherReceived { from, theirs, ours } => write!(
            f,
            "({name}) Master received advert from {from} with higher priority {theirs}, ours {ours}"
        ),
        InstanceNotice::SameHigherAddress(from, priority) => write!(
            f,
            "({name}) Master received advert from {from} with same priority {priority} but higher IP address than ours"
        ),
        InstanceNotice::OwnAddressHeard => write!(
            f,
            "({name}) WARNING - equal priority advert received from remote host with our IP address."
        ),
        InstanceNotice::TwoOwners(from) => write!(
            f,
            "({name}) CONFIGURATION ERROR: local instance and {from} are both configured as address owner, please resolve"
        ),
        InstanceNotice::OwnerStillThere(from) => write!(
            f,
            "({name}) {from} is still advertising as address owner, please resolve - reducing our priority"
        ),
        InstanceNotice::OwnerStopped => {
            write!(
                f,
                "({name}): rogue address owner appears to have stopped advertising"
            )
        }
        InstanceNotice::OwnerRestoredGone => write!(
            f,
            "({name}) Restoring our priority to 255 since other address owner has disappeared"
        ),
        InstanceNotice::OwnerRestoredLower => write!(
            f,
            "({name}) Restoring our priority to 255 since received advert with lower priority"
        ),
        InstanceNotice::Priority(old, new) => PriorityChanged(name, *old, *new).fmt(f),
        InstanceNotice::AhDigest => write!(
            f,
            "({name}) IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !"
        ),
        InstanceNotice::AhSpi { source, spi } => {
            // The numbers are printed as they lie in memory.
            let [source, spi] = [source, spi].map(|a| u32::from_ne_bytes(a.octets()));
            write!(
                f,
                "IPSEC AH : invalid IPSEC SPI value. {source} and expect {spi}"
            )
        }
        InstanceNotice::AhReplayed { got, local } => write!(
            f,
            "({name}) IPSEC-AH : sequence number {got} already processed. Packet dropped. Local({local})"
        ),
        InstanceNotice::AhSyncing => {
            write!(f, "({name}) IPSEC-AH : Syncing seq_num - Increment seq")
        }
        InstanceNotice::OldChecksum => {
            write!(f, "({name}) Setting unicast VRRPv3 checksum to old version")
        }
        InstanceNotice::WrongCast { multicast } => {
            let (got, ours) = casts(*multicast);
            write!(
                f,
                "({name}) discarding {got}icast packet on {ours}icast instance"
            )
        }
        InstanceNotice::Check(from, c) => check(f, name, from, c),
    }
}

fn check(f: &mut Formatter<'_>, name: &str, from: &dyn Display, check: &Check) -> fmt::Result {
    match check {
        Check::UnexpectedAh => write!(
            f,
            "({name}) Received AH header but auth type not AH from {from}"
        ),
        Check::NoAh => write!(f, "({name}) No AH header but auth type is AH from {from}"),
        Check::TrailerMissing => {
            write!(f, "({name}) missing authentication trailer from {from}")
        }
        Check::TrailerMalformed => {
            write!(f, "({name}) malformed authentication trailer from {from}")
        }
        Check::TrailerKey(id) => {
            write!(f, "({name}) unknown authentication key id {id} from {from}")
        }
        Check::TrailerDigest => write!(f, "({name}) invalid authentication HMAC from {from}"),
        Check::TrailerStale { skew, window } => write!(
            f,
            "({name}) stale authentication trailer from {from}, clock skew {skew} sec exceeds window {window} sec"
        ),
        Check::TrailerReplayed => {
            write!(f, "({name}) replayed authentication trailer from {from}")
        }
        Check::TrailerSkew { skew, window } => write!(
            f,
            "({name}) authentication clock skew {skew} sec from {from} approaching window {window} sec"
        ),
        Check::Length { got, expected } => write!(
            f,
            "({name}) vrrp packet from {from} too {}, length {got} and expect {expected}",
            if got > expected { "long" } else { "short" }
        ),
        Check::Ttl(ttl) => write!(
            f,
            "({name}) invalid TTL/HL from {from}. Received {ttl} and expect 255"
        ),
        Check::Version { got, expected } => write!(
            f,
            "({name}) wrong VRRP version from {from}. Received {got} and expect {expected}"
        ),
        Check::AuthType(got) => write!(f, "({name}) Invalid auth type from {from}: {got}"),
        Check::AuthMismatch { got, expected } => {
            write!(
                f,
                "({name}) received a {got} auth from {from}, expecting {expected}!"
            )
        }
        Check::Password => write!(f, "({name}) received an invalid passwd from {from}!"),
        Check::IntervalV2 { got, ours } => write!(
            f,
            "({name}) advertisement interval mismatch with {from} mine={ours} sec rcv'd={got} sec"
        ),
        Check::PacketType(got) => write!(
            f,
            "({name}) Invalid packet type from {from}. {got} and expect 1"
        ),
        Check::IpLength { header, got } => write!(
            f,
            "({name}) ip_tot_len mismatch against received length from {from}. {header} and received {got}"
        ),
        Check::IntervalV3 { got, ours } => write!(
            f,
            "({name}) advertisement interval mismatch ours = {ours} centi-sec rcv'd={got} centi-sec"
        ),
        Check::Checksum { version } => {
            write!(f, "({name}) Invalid VRRPv{version} checksum from {from}")
        }
        Check::Cast { multicast } => {
            let (got, ours) = casts(*multicast);
            write!(
                f,
                "({name}) Expected {ours}icast packet but received {got}icast packet from {from}"
            )
        }
        Check::OwnerIgnores => {
            write!(
                f,
                "({name}) Dropping packet(s) from {from} since we are address owner"
            )
        }
        Check::AddressCount { got, expected } => {
            write!(f, "({name}) expected {expected} VIPs but received {got}")
        }
        Check::AddressMissing { vrid, address } => write!(
            f,
            "({name}) ip address associated with VRID {vrid} not present in advert from {from}: {address}"
        ),
        Check::NotAPeer => write!(
            f,
            "({name}) unicast source address {from} not a unicast peer"
        ),
        Check::PeerTtl { got, min, max } => {
            write!(
                f,
                "({name}) TTL/HL {got} from {from} not in range [{min}, {max}]"
            )
        }
    }
}

/// How the packet travelled and how ours do, to be put in front of `icast`.
const fn casts(multicast: bool) -> (&'static str, &'static str) {
    if multicast {
        ("mult", "un")
    } else {
        ("un", "mult")
    }
}
