//! Plain data about the present, for dumps, JSON and SNMP.

use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::{Duration, Family, Instant};

use crate::config::{Group, IfId, Instance, TrackerId};
use crate::output::NotifyState;
use crate::reasons::Reasons;
use crate::stats::Stats;

/// State of a virtual router or sync group (RFC 9568 section 6.4, plus FAULT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not started.
    Init,
    /// Listens to a master.
    Backup,
    /// Forwards for the virtual addresses.
    Master,
    /// Can not work.
    Fault,
    /// Shutting down.
    Stop,
}

impl State {
    /// The number in JSON and SNMP: INIT 0, BACKUP 1, MASTER 2, FAULT 3, STOP 98.
    pub const fn number(self) -> u8 {
        match self {
            Self::Init => 0,
            Self::Backup => 1,
            Self::Master => 2,
            Self::Fault => 3,
            Self::Stop => 98,
        }
    }

    pub(crate) const fn notify(self) -> NotifyState {
        match self {
            Self::Master => NotifyState::Master,
            Self::Backup => NotifyState::Backup,
            Self::Stop => NotifyState::Stop,
            Self::Init | Self::Fault => NotifyState::Fault,
        }
    }
}

/// Why an instance is in FAULT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultReason {
    /// Its interface, or an interface tracked without weight, is down or does not exist.
    Interface(IfId),
    /// The interface below its VMAC is down or does not exist.
    BaseInterface(IfId),
    /// A tracker without weight fails.
    Tracker(TrackerId),
    /// No address of its family to send from.
    NoSource(Family),
    /// Another instance has its VRID.
    DuplicateVrid,
    /// The configuration can not work.
    ConfigError,
}

/// One instance now.
#[derive(Clone, Debug)]
pub struct Status<'a> {
    /// Its configuration.
    pub config: &'a Instance,
    /// Its state.
    pub state: State,
    /// The state it would be in without its sync group.
    pub wanted: State,
    /// The priority in its adverts, 1 to 255.
    pub effective_priority: u8,
    /// Base priority and all weights, before clipping.
    pub total_priority: i32,
    /// Its counters.
    pub stats: &'a Stats,
    /// Why it became MASTER, and what was wrong with a packet.
    pub reasons: Reasons,
    /// Source address of its adverts, when there is one.
    pub source: Option<IpAddr>,
    /// Last master heard.
    pub master: Option<IpAddr>,
    /// Priority of the last master heard.
    pub master_priority: u8,
    /// Interval that the master-down timer counts with: the master's in VRRPv3, else ours.
    pub master_interval: Duration,
    /// Master-down time as last computed (RFC 9568 `Active_Down_Interval`).
    pub master_down: Duration,
    /// Next advert (MASTER) or end of the master-down time (BACKUP).
    pub deadline: Option<Instant>,
    /// When the state changed last.
    pub last_transition: Option<Instant>,
    /// When an advert was sent last.
    pub last_advert: Option<Instant>,
    /// Until when preemption waits (`preempt_delay`).
    pub preempt_at: Option<Instant>,
    /// Addresses, routes and rules are set.
    pub holding: bool,
    /// The old unicast checksum was detected and is used.
    pub old_checksum_detected: bool,
    /// Why the instance is in FAULT; empty when nothing is wrong with itself (its group may keep it there all the same).
    pub faults: Vec<FaultReason>,
}

/// One sync group now.
#[derive(Clone, Copy, Debug)]
pub struct GroupStatus<'a> {
    /// Its configuration.
    pub config: &'a Group,
    /// Its state.
    pub state: State,
}

/// A socket the shell must keep open: one to receive, one to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Family of the adverts.
    pub family: Family,
    /// The interface it is bound to.
    pub interface: Option<IfId>,
    /// The VRF it is bound to, without an interface.
    pub vrf: Option<IfId>,
    /// The group it joins; `None` for unicast.
    pub group: Option<IpAddr>,
    /// Packets have an authentication header (IP protocol 51) instead of plain VRRP (112).
    pub ah: bool,
    /// The address it is bound to for unicast (`unicast_src_ip` or the interface's).
    pub unicast_source: Option<IpAddr>,
}
