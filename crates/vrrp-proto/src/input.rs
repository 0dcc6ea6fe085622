//! What can happen to the core. The shell turns every event of the outside world into one of these.

use alloc::boxed::Box;
use core::net::IpAddr;

use net_types::Duration;

use crate::config::{Config, IfId, LinkFacts, Object, SocketId, TrackerId, TrackerState};

/// One thing happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Everything is set up: sockets are open, facts are known. Sent once after [`crate::Router::new`].
    Start,
    /// What the wall clock shows: time since 1970-01-01 UTC. While [`crate::Router::wants_clock`] this is told before
    /// adverts, reloads, the shutdown and deadlines, since the clock may be set.
    Clock(Duration),
    /// A packet came out of a VRRP socket.
    Advert(Received<'a>),
    /// An interface appeared, vanished, went up or down, or its addresses changed. Repeating known facts does nothing.
    Link(IfId, LinkFacts),
    /// A script, file, process or BFD session has a new state.
    Tracker(TrackerId, TrackerState),
    /// Someone else removed an address, route or rule (our own removals are not reported).
    Removed(Object),
    /// The kernel refused to add the object; it is not there.
    Refused(Object),
    /// These sockets, of those in [`crate::Router::sockets`], can not be bound to the local address; the others are.
    Unbound(&'a [SocketId]),
    /// A configuration will follow: masters send an extra advert to cover the time it takes.
    PrepareReload,
    /// SIGHUP: run on with this configuration. Its `interfaces` carry the present facts, its `trackers` the present states.
    Reconfigure(Box<Config>),
    /// SIGUSR2 with clearing: all counters to zero.
    ClearStats,
    /// The operator asks for gratuitous ARP/NA of an instance now (D-Bus `SendGarp`).
    SendGarp(crate::InstanceId),
    /// The operator sets the base priority (SNMP), 1 to 254; it holds until the next reload.
    SetPriority(crate::InstanceId, u8),
    /// The operator allows or forbids preemption (SNMP); it holds until the next reload.
    SetPreempt(crate::InstanceId, bool),
    /// SIGTERM: give up everything; [`crate::Output::Done`] follows.
    Shutdown,
}

/// A packet as a VRRP socket delivers it.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The socket it came from.
    pub socket: SocketId,
    /// IPv4: from the IP header on, as raw sockets deliver it. IPv6: from the VRRP header on.
    pub bytes: &'a [u8],
    /// Sender.
    pub source: IpAddr,
    /// IPv6: the destination is a multicast group (from `IPV6_PKTINFO`). For IPv4 the header tells; the value is ignored.
    pub multicast: bool,
    /// IPv6: hop limit, when the kernel gave it. For IPv4 the header tells.
    pub hop_limit: Option<u8>,
}
