//! Log lines as values; the daemon's `text/log.rs` knows their words.

use core::net::{IpAddr, Ipv4Addr};

use net_types::Duration;

use crate::config::{GroupId, IfId, InstanceId, Object, TrackerId};
use crate::output::NotifyState;

/// Something worth a line in the log. All are of severity `info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// About an instance: `(NAME) …`.
    Instance(InstanceId, InstanceNotice),
    /// About a group: `VRRP_Group(NAME) Syncing instances to STATE state`.
    GroupSync(GroupId, NotifyState),
    /// `VRRP_Group(NAME): Syncing MEMBER to FAULT state`, at start.
    GroupMemberFault(GroupId, InstanceId),
    /// `Netlink reports NAME up` or `down`.
    Link(IfId, bool),
    /// `Linkbeat reports NAME up` or `down`: its state is polled.
    Linkbeat(IfId, bool),
    /// `Delay timer for NAME cancelled`.
    LinkDelayCancelled(IfId),
    /// `NAME: Adding flags change from 0xF to 0xG delay by µs`: the change counts after the delay.
    LinkDelayed {
        /// Which interface.
        interface: IfId,
        /// Flags in effect.
        from: u32,
        /// Flags after the delay.
        to: u32,
        /// The delay.
        delay: Duration,
    },
    /// `Interface NAME added`.
    InterfaceAdded(IfId),
    /// `VRID conflict between N and M IPvX vrid n`: an interface has come on a link where the VRID is taken.
    VridConflict(InstanceId, InstanceId),
    /// `Interface NAME deleted`.
    InterfaceDeleted(IfId),
    /// `Assigned address A for interface NAME`. Detail.
    AddressAssigned(IfId, IpAddr),
    /// `Deassigned address A from interface NAME`. Detail.
    AddressDeassigned(IfId, IpAddr),
    /// `Netlink reflector reports IP A removed from NAME`. Detail.
    AddressRemoved(IfId, IpAddr),
    /// `Unknown VRID(n) received on interface(NAME). ignoring...`
    UnknownVrid(u8, Option<IfId>),
    /// `IPv4 VRRP packet too short - n bytes`
    TooShort {
        /// IPv6 instead of IPv4.
        v6: bool,
        /// Length of what came.
        length: usize,
    },
    /// `IPv4 VRRP packet with AH too short - n bytes`
    AhTooShort(usize),
    /// `Delaying startup for a further x seconds`
    StartupDelayFurther(Duration),
    /// `Reduced delayed start passed`
    StartupDelayReduced,
    /// `Delayed start completed`
    StartupDelayCompleted,
    /// `VRRP thread timer expired s.us seconds ago`
    TimerLate(Duration),
}

impl Notice {
    /// Whether the line appears only with `--log-detail`.
    pub const fn is_detail(&self) -> bool {
        match self {
            Self::Instance(_, n) => n.is_detail(),
            Self::AddressAssigned(..)
            | Self::AddressDeassigned(..)
            | Self::AddressRemoved(..)
            | Self::InterfaceAdded(_) => true,
            _ => false,
        }
    }
}

/// What kind of object a detail line about setting or removing names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `firewall drop rule`
    Firewall,
    /// `VIPs.`
    Addresses,
    /// `E-VIPs.`
    Excluded,
    /// `Virtual Routes`
    Routes,
    /// `Virtual Rules`
    Rules,
}

/// What can be said about an instance; without the leading `(NAME) `.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceNotice {
    /// `Entering STATE STATE`
    Entering(NotifyState),
    /// `Entering STATE STATE (init)`
    EnteringInit(NotifyState),
    /// `entering FAULT state`, at start and reload
    FaultAtStart,
    /// `(N): entering FAULT state due to script S`
    FaultScript(TrackerId),
    /// `(N): entering FAULT state (interface I down)`
    FaultInterface(IfId),
    /// `(N): entering FAULT state (tracked file F has status n)`
    FaultFile(TrackerId, i32),
    /// `(N) entering FAULT state (tracked process P quorum not achieved)`
    FaultProcess(TrackerId),
    /// `(N) interface I is down`: the interface below the VMAC has come, but is not up yet.
    BaseDown(IfId),
    /// `(N) entering FAULT state (no IPv4 address for interface)`
    FaultNoAddress {
        /// IPv6 instead of IPv4.
        v6: bool,
    },
    /// `(N): entering FAULT state (src address not configured)`
    FaultUnbound,
    /// `(N): tracked file F now FAULT state`, `(N): tracked file F leaving FAULT state`. Detail.
    TrackedFile(TrackerId, bool),
    /// `(N) Setting effective priority to n`: a tracked file stops being a fault and counts. Detail.
    PrioritySet(u8),
    /// `VRRP_Instance(N) Tracked BFD instance B is UP|DOWN`
    TrackedBfd(TrackerId, bool),
    /// `Receive advertisement timeout`. Detail.
    AdvertTimeout,
    /// `sent 0 priority`. Detail.
    SentZero,
    /// `setting X` or `removing X`. Detail.
    Setting {
        /// Setting instead of removing.
        add: bool,
        /// What.
        part: Part,
    },
    /// An object that a reload takes away: `(N) ip address A/L dev I, no longer exist`, `Removing route D` (detail), `ip rule from A to B
    /// removed` (detail). The shell knows the object.
    Gone(Object),
    /// A reload takes all of them away: `Removing a VirtualRoute block` (detail), `Removing a VirtualRule block`.
    BlockGone(Part),
    /// `Sending/queueing gratuitous ARPs on I for A`, or unsolicited neighbour adverts. Detail.
    Announcing(IfId, IpAddr),
    /// `(N): sending gratuitous ARP for A` (colon form), for the source of a unicast instance. Detail.
    AnnouncingSource(IpAddr),
    /// `master set to A`. Detail.
    MasterSet(IpAddr),
    /// `master changed from A to B`. Detail.
    MasterChanged(IpAddr, IpAddr),
    /// `Backup received priority 0 advertisement`. Detail.
    BackupZero,
    /// `Master received priority 0 message`. Detail.
    MasterZero,
    /// `received lower priority (p) advert from A - discarding`
    LowerDiscarded(u8, IpAddr),
    /// `start preempt delay (s.us)`. Detail.
    PreemptDelayStart(Duration),
    /// `stop preempt delay`. Detail.
    PreemptDelayStop,
    /// `advertisement interval updated from xms to yms by master`. Detail.
    IntervalAdopted(Duration, Duration),
    /// `changing advert interval from xms to locally configured yms`. Detail.
    IntervalRestored(Duration, Duration),
    /// `Received advert from A with lower priority p, ours q` and, unless adverts are withheld, `, forcing new election`
    LowerReceived {
        /// Sender.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Our effective priority.
        ours: u8,
        /// An advert is sent in reply.
        election: bool,
    },
    /// `Master received advert from A with higher priority p, ours q`
    HigherReceived {
        /// Sender.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Our effective priority.
        ours: u8,
    },
    /// `Master received advert from A with same priority p but higher IP address than ours`
    SameHigherAddress(IpAddr, u8),
    /// `WARNING - equal priority advert received from remote host with our IP address.`
    OwnAddressHeard,
    /// `IPSEC-AH : invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !`
    AhDigest,
    /// `IPSEC AH : invalid IPSEC SPI value. x and expect y`, without the name
    AhSpi {
        /// Source of the packet, which the index should be.
        source: Ipv4Addr,
        /// The index, as an address.
        spi: Ipv4Addr,
    },
    /// `IPSEC-AH : sequence number x already processed. Packet dropped. Local(y)`
    AhReplayed {
        /// Number received.
        got: u32,
        /// Last number accepted or sent.
        local: u32,
    },
    /// `IPSEC-AH : Syncing seq_num - Increment seq`
    AhSyncing,
    /// `CONFIGURATION ERROR: local instance and A are both configured as address owner, please resolve`
    TwoOwners(IpAddr),
    /// `A is still advertising as address owner, please resolve - reducing our priority`
    OwnerStillThere(IpAddr),
    /// `(N): rogue address owner appears to have stopped advertising`
    OwnerStopped,
    /// `Restoring our priority to 255 since other address owner has disappeared`
    OwnerRestoredGone,
    /// `Restoring our priority to 255 since received advert with lower priority`
    OwnerRestoredLower,
    /// `Changing effective priority from a to b`
    Priority(u8, u8),
    /// `Setting unicast VRRPv3 checksum to old version`
    OldChecksum,
    /// `discarding multicast packet on unicast instance` and the reverse (IPv6). Detail.
    WrongCast {
        /// The packet was multicast.
        multicast: bool,
    },
    /// A packet was refused or is odd; once per kind until state or master change.
    Check(IpAddr, Check),
}

impl InstanceNotice {
    /// Whether the line appears only with `--log-detail`.
    pub const fn is_detail(&self) -> bool {
        matches!(
            self,
            Self::TrackedFile(..)
                | Self::PrioritySet(_)
                | Self::AdvertTimeout
                | Self::SentZero
                | Self::Setting { .. }
                | Self::Gone(Object::Route(_) | Object::Rule(_))
                | Self::BlockGone(Part::Routes)
                | Self::Announcing(..)
                | Self::AnnouncingSource(_)
                | Self::MasterSet(_)
                | Self::MasterChanged(..)
                | Self::BackupZero
                | Self::MasterZero
                | Self::PreemptDelayStart(_)
                | Self::PreemptDelayStop
                | Self::IntervalAdopted(..)
                | Self::IntervalRestored(..)
                | Self::WrongCast { .. }
        )
    }
}

/// What is wrong or odd about a received packet, with the numbers of its log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// `Received AH header but auth type not AH from A`
    UnexpectedAh,
    /// `No AH header but auth type is AH from A`
    NoAh,
    /// `missing authentication trailer from A`
    TrailerMissing,
    /// `malformed authentication trailer from A`
    TrailerMalformed,
    /// `unknown authentication key id k from A`
    TrailerKey(u8),
    /// `invalid authentication HMAC from A`
    TrailerDigest,
    /// `stale authentication trailer from A, clock skew s sec exceeds window w sec`
    TrailerStale {
        /// Seconds that the sender is behind us.
        skew: i32,
        /// The window.
        window: u16,
    },
    /// `replayed authentication trailer from A`
    TrailerReplayed,
    /// `authentication clock skew s sec from A approaching window w sec`; the advert is accepted.
    TrailerSkew {
        /// Seconds that the sender is behind us.
        skew: i32,
        /// The window.
        window: u16,
    },
    /// `vrrp packet from A too long|short, length x and expect y`
    Length {
        /// Length received.
        got: usize,
        /// Length expected.
        expected: usize,
    },
    /// `invalid TTL/HL from A. Received x and expect 255`
    Ttl(u8),
    /// `wrong VRRP version from A. Received x and expect y`
    Version {
        /// Version received.
        got: u8,
        /// Our version.
        expected: u8,
    },
    /// `Invalid auth type from A: x`
    AuthType(u8),
    /// `received a x auth from A, expecting y!`
    AuthMismatch {
        /// Type received.
        got: u8,
        /// Our type.
        expected: u8,
    },
    /// `received an invalid passwd from A!`
    Password,
    /// `advertisement interval mismatch with A mine=x sec rcv'd=y sec`
    IntervalV2 {
        /// Seconds received.
        got: u8,
        /// Our seconds.
        ours: u32,
    },
    /// `Invalid packet type from A. x and expect 1`
    PacketType(u8),
    /// `ip_tot_len mismatch against received length from A. x and received y`
    IpLength {
        /// In the header.
        header: u16,
        /// Received.
        got: usize,
    },
    /// `advertisement interval mismatch ours = x centi-sec rcv'd=y centi-sec`; the advert is accepted.
    IntervalV3 {
        /// Centiseconds received.
        got: u16,
        /// Our centiseconds.
        ours: u32,
    },
    /// `Invalid VRRPv3 checksum from A`, or `VRRPv2`
    Checksum {
        /// 2 or 3.
        version: u8,
    },
    /// `Expected unicast packet but received multicast packet from A` and the reverse
    Cast {
        /// The packet was multicast.
        multicast: bool,
    },
    /// `Dropping packet(s) from A since we are address owner`
    OwnerIgnores,
    /// `expected x VIPs but received y`; the advert is accepted.
    AddressCount {
        /// Addresses in the advert.
        got: u8,
        /// Our addresses.
        expected: u8,
    },
    /// `ip address associated with VRID n not present in advert from A: V`; the advert is accepted.
    AddressMissing {
        /// Our VRID.
        vrid: u8,
        /// The address the advert lacks.
        address: IpAddr,
    },
    /// `unicast source address A not a unicast peer`
    NotAPeer,
    /// `TTL/HL x from A not in range [a, b]`
    PeerTtl {
        /// TTL received.
        got: u8,
        /// `min_ttl`
        min: u8,
        /// `max_ttl`
        max: u8,
    },
}
