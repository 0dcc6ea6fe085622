//! Everything the engine wants done.

use alloc::boxed::Box;
use alloc::vec::Vec;

use nfct::Conntrack;

use crate::input::{ClientId, LinkIndex, RequestId};
use crate::notice::Notice;

/// The netlink socket that a kernel request goes by. One each, all of family `NETLINK_NETFILTER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelSocket {
    /// Table dumps at start and on request, into the internal cache.
    Dump,
    /// Table dump after lost events or when polling.
    Resync,
    /// Questions whether an entry exists.
    Get,
    /// Deletions of a flush; registered as origin.
    Flush,
    /// The dump that tells a flush what there is.
    FlushDump,
    /// Creations and deletions of a commit; registered as origin.
    Commit,
    /// Creations of a commit whose outcome is certain. Registered only if the event socket leaves out the events that it
    /// causes (see [`crate::bpf::compile`]): the engine makes its entries itself, without them.
    CommitUnheard,
    /// Direct injection; registered as origin.
    Inject,
}

/// One thing to do. The order of outputs is part of the protocol: do them in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Send `bytes` as one datagram (or append them to the stream) on `link`, then report
    /// [`crate::Input::Sent`] or [`crate::Input::SendFailed`].
    Transmit {
        /// The link.
        link: LinkIndex,
        /// The datagram.
        bytes: Vec<u8>,
    },
    /// Send `message` (a complete netlink message whose sequence number is `id`) on `socket`; report what comes back as
    /// [`crate::Input::KernelEntry`], [`crate::Input::KernelExpect`] and one [`crate::Input::KernelDone`].
    Kernel {
        /// The request's name.
        id: RequestId,
        /// Which socket.
        socket: KernelSocket,
        /// The bytes.
        message: Vec<u8>,
    },
    /// Send `messages` (complete netlink messages with sequence numbers of their own, which ask for no acknowledgement) on
    /// `socket` at once; report each error as [`crate::Input::KernelDone`], and then [`crate::Input::KernelBatchDone`].
    KernelBatch {
        /// The first request's name.
        id: RequestId,
        /// Which socket.
        socket: KernelSocket,
        /// How many there are.
        count: u32,
        /// The bytes.
        messages: Vec<u8>,
    },
    /// Write `bytes` to an operator, then report [`crate::Input::ClientReady`] (or `ClientGone`).
    Reply {
        /// Who.
        client: ClientId,
        /// Text.
        bytes: Vec<u8>,
    },
    /// The reply is complete: close the connection when all was written.
    ReplyEnd {
        /// Who.
        client: ClientId,
    },
    /// A flow has ended: write it to the flow log. Only in [`crate::Mode::Stats`].
    FlowEnded {
        /// What the kernel said last.
        flow: Box<Conntrack>,
    },
    /// Log it.
    Log(Notice),
}

impl Output {
    /// For how many outputs this one counts, when the loop looks how long it has been at it.
    pub const fn weight(&self) -> u32 {
        match self {
            Self::KernelBatch { count, .. } => *count,
            Self::Transmit { .. }
            | Self::Kernel { .. }
            | Self::Reply { .. }
            | Self::ReplyEnd { .. }
            | Self::FlowEnded { .. }
            | Self::Log(_) => 1,
        }
    }
}
