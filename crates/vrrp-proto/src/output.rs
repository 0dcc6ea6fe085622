//! What must happen. The shell does these things in the order they come out.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::config::{GroupId, IfId, InstanceId, Object};
use crate::notice::Notice;
use crate::reasons::Refusal;
use crate::status::State;

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send an advert through the instance's socket; drop it silently while that is not open.
    /// A failure is logged as `(N): send advert error …`, except for priority 0 with the network unreachable.
    Transmit(Transmit),
    /// Add the object to the kernel. A failure is logged and comes back as [`crate::Input::Refused`].
    Add(Object),
    /// Remove the object from the kernel.
    Remove {
        /// What to remove.
        object: Object,
        /// It is a leftover of an earlier run that may not be there: its absence is no error.
        leftover: bool,
    },
    /// Put the route `new` into the place of the route `old`, which has the same key, so that there is no moment without one. If the
    /// kernel refuses that, remove `old`; an [`Output::Add`] of `new` follows in any case.
    Replace {
        /// What is there.
        old: Object,
        /// What is wanted.
        new: Object,
    },
    /// Make the firewall drop packets from and to the addresses of the instance (not accepting them).
    FirewallAdd(InstanceId),
    /// Take the firewall entries of the instance away.
    FirewallRemove(InstanceId),
    /// Send one gratuitous ARP (IPv4) or unsolicited NA (IPv6) for `address` on `interface`.
    Announce {
        /// Where.
        interface: IfId,
        /// The address whose owner moved.
        address: IpAddr,
    },
    /// Have the sockets for gratuitous ARP (any IPv4 instance) and unsolicited NA (any IPv6 instance) open, or close them.
    OpenAnnouncers {
        /// Gratuitous ARP is needed.
        arp: bool,
        /// Unsolicited NA is needed.
        na: bool,
    },
    /// Tell scripts, FIFO, SNMP, D-Bus and mail.
    Notify(Notify),
    /// The load balancer's synchronisation daemon has to follow [`crate::config::Instance::leads_connection_sync`].
    ConnectionSync(ConnectionSync),
    /// Tell SNMP of a packet that was refused; only with [`crate::config::Global::tell_refusals`].
    Refused {
        /// Whose packet it would have been.
        id: InstanceId,
        /// Its sender.
        from: IpAddr,
        /// What was wrong.
        why: Refusal,
    },
    /// Write a log line. The shell knows the text and leaves out details unless asked (`-D`).
    Notice(Notice),
    /// At a reload, before those that go are let go: an instance of the coming configuration has another priority. There is no id of
    /// it yet.
    Repriced(Repriced),
    /// All ids in outputs before this one belong to the old configuration, all after it to the new one.
    Reconfigured,
    /// Shutdown is complete: nothing follows.
    Done,
}

/// A priority that a reload changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repriced {
    /// The instance's new name.
    pub name: Box<str>,
    /// The priority that it begins with.
    pub old: u8,
    /// The one that it has.
    pub new: u8,
    /// It is MASTER.
    pub master: bool,
    /// FIFO readers want to know (`notify_priority_changes`).
    pub tell: bool,
}

/// An advert to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Whose socket.
    pub instance: InstanceId,
    /// IPv4: a whole packet with its header (checksum left to the kernel). IPv6: the VRRP packet, its checksum left to the kernel.
    pub bytes: Vec<u8>,
    /// Source address for IPv6 (`IPV6_PKTINFO`); for IPv4 it stands in the header.
    pub source: Option<IpAddr>,
    /// Group or peer.
    pub destination: IpAddr,
    /// Hop limit for IPv6; for IPv4 it stands in the header.
    pub hop_limit: u8,
    /// The destination is a group: send with `MSG_DONTROUTE`.
    pub multicast: bool,
    /// The priority in the advert.
    pub priority: u8,
}

/// What the kernel's daemon that tells other directors of connections has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionSync {
    /// Start in this role. After a reload one may run already: keep it if it is as it should be.
    Begin(SyncRole),
    /// Stop the one of the other role and start this.
    Become(SyncRole),
    /// Stop the one of this role: the end.
    End(SyncRole),
}

/// Role of a synchronisation daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncRole {
    /// Tells others of its connections.
    Master,
    /// Listens.
    Backup,
}

impl SyncRole {
    /// The role of an instance in `state`: whoever is not MASTER listens.
    pub(crate) const fn of(state: State) -> Self {
        match state {
            State::Master => Self::Master,
            State::Init | State::Backup | State::Fault | State::Stop => Self::Backup,
        }
    }
}

/// Whom a notification is about and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// An instance entered a state: specific script, generic script, FIFO, D-Bus, SNMP, mail.
    Instance {
        /// Who.
        id: InstanceId,
        /// The state entered.
        state: NotifyState,
        /// Effective priority, the last argument of the generic script.
        priority: u8,
    },
    /// A group entered a state: the same ways, with priority 0.
    Group {
        /// Who.
        id: GroupId,
        /// The state entered.
        state: NotifyState,
    },
    /// A master heard a lower priority: `notify_master_rx_lower_pri` and FIFO `MASTER_RX_LOWER_PRI`.
    LowerPriority {
        /// Who.
        id: InstanceId,
        /// Effective priority.
        priority: u8,
    },
    /// The priority changed (`notify_priority_changes`): FIFO only, `MASTER_PRIORITY` or `BACKUP_PRIORITY`.
    Priority {
        /// Who.
        id: InstanceId,
        /// The instance is MASTER.
        master: bool,
        /// Effective priority.
        priority: u8,
    },
    /// The state did not change over a reload, but FIFO readers want to know it (`fifo_write_vrrp_states_on_reload`).
    InstanceFifo {
        /// Who.
        id: InstanceId,
        /// Its state.
        state: NotifyState,
        /// Effective priority.
        priority: u8,
    },
    /// The same for a group.
    GroupFifo {
        /// Who.
        id: GroupId,
        /// Its state.
        state: NotifyState,
    },
}

/// States that are notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyState {
    /// `MASTER`
    Master,
    /// `BACKUP`
    Backup,
    /// `FAULT`
    Fault,
    /// `STOP`
    Stop,
    /// `DELETED`
    Deleted,
}

impl NotifyState {
    /// The word in script arguments and FIFO lines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
        }
    }
}
