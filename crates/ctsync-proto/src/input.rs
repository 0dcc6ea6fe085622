//! Everything that happens to the engine from outside.

use nfct::codec::EventKind;
use nfct::{Conntrack, Expect};

use crate::output::KernelSocket;
use crate::request::Request;

/// Names an operator's connection to the control socket; chosen by the daemon, unique while the connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u32);

/// Index of a dedicated link in [`crate::Config::links`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LinkIndex(pub usize);

/// Names a kernel request. It is the message's netlink sequence number, so answers carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// Whose request caused a kernel event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody else: the kernel itself or another program.
    NotMe,
    /// Our commit.
    Commit,
    /// Our flush.
    Flush,
    /// Our direct injection.
    Inject,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// Initialisation is complete and the loop begins: from now on messages are sent.
    Started,
    /// The loop opened a netlink socket: events that carry this port id were caused by it.
    /// Send it once per socket of [`KernelSocket::Commit`], `Flush` and `Inject`.
    SocketOpened {
        /// Which.
        socket: KernelSocket,
        /// Its port id.
        port_id: u32,
    },
    /// A conntrack event from the event socket.
    Event {
        /// What happened to the entry.
        kind: EventKind,
        /// Port id in the message's header.
        port_id: u32,
        /// The entry.
        ct: Conntrack,
    },
    /// An expectation event from the event socket.
    ExpectEvent {
        /// What happened to the expectation.
        kind: EventKind,
        /// Port id in the message's header.
        port_id: u32,
        /// The expectation.
        exp: Expect,
    },
    /// A look at the event socket, begun after all answers so far were handed in, found nothing more. Wanted while
    /// [`Engine::awaits_events`](crate::Engine::awaits_events).
    EventsTaken,
    /// A message of another type on the event socket.
    UnknownEvent,
    /// The event socket lost messages (`ENOBUFS`).
    Overrun,
    /// Reading the event socket failed for another reason.
    EventReadFailed,
    /// A conntrack entry that answers a dump or get. `kind` is `Update` for a proper answer.
    KernelEntry {
        /// The request.
        id: RequestId,
        /// Kind by type and flags.
        kind: EventKind,
        /// The entry.
        ct: Conntrack,
    },
    /// An expectation that answers a dump or get.
    KernelExpect {
        /// The request.
        id: RequestId,
        /// Kind by type and flags.
        kind: EventKind,
        /// The expectation.
        exp: Expect,
    },
    /// A kernel request ended: the ack, the end of a dump, or the failure to send it.
    KernelDone {
        /// The request.
        id: RequestId,
        /// 0, or the positive `errno`.
        errno: i32,
    },
    /// The kernel is through with a batch: each request whose failure was not told by [`Input::KernelDone`] was done.
    KernelBatchDone {
        /// The batch's first request.
        id: RequestId,
        /// 0, or the positive `errno` with which the system refused to send it: nothing was done.
        errno: i32,
    },
    /// Bytes from the peer: one datagram, or what one read of a stream returned.
    Datagram {
        /// The link they came by.
        link: LinkIndex,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// Receiving on a link failed.
    ReceiveFailed {
        /// The link.
        link: LinkIndex,
    },
    /// A [`crate::Output::Transmit`] was handed to the system.
    Sent {
        /// The link.
        link: LinkIndex,
        /// Bytes.
        bytes: usize,
    },
    /// A [`crate::Output::Transmit`] could not be sent and is lost.
    SendFailed {
        /// The link.
        link: LinkIndex,
    },
    /// The system has no room for more on a link: until it has, messages wait in the transmit queue, where newer states
    /// replace older ones.
    LinkBusy {
        /// The link.
        link: LinkIndex,
        /// No room.
        busy: bool,
    },
    /// State of a link's interface, at start and after each change.
    LinkState {
        /// The link.
        link: LinkIndex,
        /// Administratively up.
        up: bool,
        /// Carrier.
        running: bool,
    },
    /// The TCP connections of a link changed.
    StreamState {
        /// The link.
        link: LinkIndex,
        /// The peer's connection to us stands; without it, half a message is forgotten.
        accepted: bool,
        /// Our connection to the peer stands.
        connected: bool,
    },
    /// An operator's request. Every one ends with [`crate::Output::ReplyEnd`].
    Request {
        /// Whose.
        client: ClientId,
        /// What.
        request: Request,
    },
    /// The last [`crate::Output::Reply`] of this client was written: it can take more.
    ClientReady {
        /// Who.
        client: ClientId,
    },
    /// The operator hung up.
    ClientGone {
        /// Who.
        client: ClientId,
    },
}
