//! The netlink sockets that the engine's requests go out by and their answers come back.

use std::io;

use ctsync_proto::{Engine, Input, KernelSocket, RequestId};
use linux_io::nfnl::{BATCH, Batch, Socket};
use net_types::Instant;
use nfct::codec::{Message, Messages};

/// Requests that go out with one system call. The kernel answers each before the call returns, and all answers must fit
/// the socket's receive buffer, which holds some two hundred of them.
const REQUESTS_AT_ONCE: usize = 64;
/// Where a message's flags are, and the one that asks for an answer to a success.
const FLAGS: usize = 6;
const NLM_F_ACK: u16 = 4;

/// Every request socket, in the order of [`Kernel::sockets`].
pub const SOCKETS: [KernelSocket; 8] = [
    KernelSocket::Dump,
    KernelSocket::Resync,
    KernelSocket::Get,
    KernelSocket::Flush,
    KernelSocket::FlushDump,
    KernelSocket::Commit,
    KernelSocket::CommitUnheard,
    KernelSocket::Inject,
];

/// Requests for one socket, not sent yet.
struct Pending {
    socket: KernelSocket,
    messages: Vec<u8>,
    ids: Vec<RequestId>,
}

impl Pending {
    const fn new(socket: KernelSocket) -> Self {
        Self {
            socket,
            messages: Vec::new(),
            ids: Vec::new(),
        }
    }
}

/// The request sockets and what waits to be sent.
pub struct Kernel {
    sockets: Vec<Socket>,
    batch: Batch,
    pending: Pending,
    /// Those of [`KernelSocket::CommitUnheard`] come between others, and do not depend on them.
    unheard: Pending,
    /// Sequence numbers of the requests that failed.
    failed: Vec<u32>,
    /// Requests that changed the kernel's table, whose events are heard, since [`Kernel::take_changes`].
    changes: u32,
    /// Dumps whose end has not come.
    dumps: u32,
}

impl Kernel {
    /// Opens all request sockets.
    pub fn open() -> io::Result<Self> {
        let mut sockets = Vec::with_capacity(SOCKETS.len());
        for _ in SOCKETS {
            let socket = Socket::open(0)?;
            // Old kernels do not know it; their answers are only longer.
            let _ = socket.set_short_answers(true);
            sockets.push(socket);
        }
        Ok(Self {
            sockets,
            batch: Batch::new(),
            pending: Pending::new(KernelSocket::Get),
            unheard: Pending::new(KernelSocket::CommitUnheard),
            failed: Vec::new(),
            changes: 0,
            dumps: 0,
        })
    }

    /// The sockets with their names.
    pub fn sockets(&self) -> impl Iterator<Item = (KernelSocket, &Socket)> {
        SOCKETS.into_iter().zip(&self.sockets)
    }

    /// Whether a dump is under way.
    pub const fn dumping(&self) -> bool {
        self.dumps > 0
    }

    fn socket(&self, which: KernelSocket) -> Option<&Socket> {
        self.sockets()
            .find(|(name, _)| *name == which)
            .map(|(_, socket)| socket)
    }

    /// Takes a request over; it may wait for others until [`flush`](Self::flush).
    pub fn request(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        which: KernelSocket,
        id: RequestId,
        message: &[u8],
    ) {
        let unheard = which == KernelSocket::CommitUnheard;
        if !unheard && (which != self.pending.socket || is_dump(which)) {
            self.flush(engine, now);
            self.pending.socket = which;
        }
        let pending = if unheard {
            &mut self.unheard
        } else {
            &mut self.pending
        };
        let begin = pending.messages.len();
        pending.messages.extend_from_slice(message);
        pending.ids.push(id);
        if is_change(which) {
            // The kernel says nothing of what succeeds, which saves it, and us, a message per entry.
            if let Some(flags) = pending.messages.get_mut(begin..).and_then(flags) {
                let bits = u16::from_ne_bytes(*flags) & !NLM_F_ACK;
                *flags = bits.to_ne_bytes();
            }
        }
        if is_change(which) && !unheard {
            self.changes = self.changes.saturating_add(1);
        }
        if is_dump(which) || pending.ids.len() >= REQUESTS_AT_ONCE {
            self.flush(engine, now);
        }
    }

    /// Sends what waits. Answers to anything but a dump are there when it returns, and the engine has them.
    pub fn flush(&mut self, engine: &mut Engine, now: Instant) {
        let which = self.pending.socket;
        let pending = std::mem::replace(&mut self.pending, Pending::new(which));
        self.pending = self.send(engine, now, pending);
        let unheard =
            std::mem::replace(&mut self.unheard, Pending::new(KernelSocket::CommitUnheard));
        self.unheard = self.send(engine, now, unheard);
    }

    /// Sends requests; their room comes back empty, to be used again.
    fn send(&mut self, engine: &mut Engine, now: Instant, mut pending: Pending) -> Pending {
        if pending.ids.is_empty() {
            return pending;
        }
        let which = pending.socket;
        let sent = match self.socket(which) {
            Some(socket) => socket.send(&pending.messages),
            None => Ok(()),
        };
        pending.messages.clear();
        match sent {
            Ok(()) if is_dump(which) => self.dumps = self.dumps.saturating_add(1),
            Ok(()) if is_change(which) => self.refused(engine, now, which, &pending.ids),
            Ok(()) => while self.receive(engine, now, which).is_ok() {},
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(nix::libc::EIO);
                for id in &pending.ids {
                    engine.handle(now, Input::KernelDone { id: *id, errno });
                }
            }
        }
        pending.ids.clear();
        pending
    }

    /// Tells the engine which of the requests `ids` failed; all others were done.
    fn refused(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        which: KernelSocket,
        ids: &[RequestId],
    ) {
        self.failed.clear();
        let Some(socket) = position(which).and_then(|at| self.sockets.get(at)) else {
            return;
        };
        while socket.receive_batch(&mut self.batch, BATCH).is_ok() {
            for datagram in self.batch.datagrams().flatten() {
                for (header, message) in Messages::new(datagram) {
                    if let Message::Ack(errno) = message {
                        self.failed.push(header.sequence);
                        let id = RequestId(header.sequence);
                        engine.handle(now, Input::KernelDone { id, errno });
                    }
                }
            }
        }
        for id in ids {
            if self.failed.is_empty() || !self.failed.contains(&id.0) {
                engine.handle(now, Input::KernelDone { id: *id, errno: 0 });
            }
        }
    }

    /// How many changes whose events are heard were made to the kernel's table since the last call: so many events, or twice as many, are on their way
    /// to the event socket.
    pub const fn take_changes(&mut self) -> u32 {
        std::mem::replace(&mut self.changes, 0)
    }

    /// How many that are by now.
    pub const fn changes(&self) -> u32 {
        self.changes
    }

    /// Takes one batch of answers from a socket; `WouldBlock` when there is none.
    pub fn receive(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        which: KernelSocket,
    ) -> io::Result<()> {
        let Some(socket) = position(which).and_then(|at| self.sockets.get(at)) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        if is_dump(which) {
            // Parts of a dump are as long as the buffer allows.
            let buffer = self.batch.as_buffer();
            let len = socket.receive(buffer)?;
            let datagram = buffer.get(..len).unwrap_or_default();
            self.dumps = self.dumps.saturating_sub(answers(engine, now, datagram));
            return Ok(());
        }
        socket.receive_batch(&mut self.batch, BATCH)?;
        for datagram in self.batch.datagrams().flatten() {
            answers(engine, now, datagram);
        }
        Ok(())
    }
}

/// Whether answers come in many parts, over time.
const fn is_dump(which: KernelSocket) -> bool {
    matches!(
        which,
        KernelSocket::Dump | KernelSocket::Resync | KernelSocket::FlushDump
    )
}

/// Whether requests change the table and nobody needs an answer but to a failure.
const fn is_change(which: KernelSocket) -> bool {
    matches!(
        which,
        KernelSocket::Commit
            | KernelSocket::CommitUnheard
            | KernelSocket::Flush
            | KernelSocket::Inject
    )
}

fn position(which: KernelSocket) -> Option<usize> {
    SOCKETS.iter().position(|name| *name == which)
}

fn flags(message: &mut [u8]) -> Option<&mut [u8; 2]> {
    message.get_mut(FLAGS..)?.first_chunk_mut()
}

/// Hands a datagram of answers to the engine; how many requests ended.
fn answers(engine: &mut Engine, now: Instant, datagram: &[u8]) -> u32 {
    let mut ended = 0_u32;
    for (header, message) in Messages::new(datagram) {
        let id = RequestId(header.sequence);
        let input = match message {
            Message::Conntrack(kind, ct) => Input::KernelEntry { id, kind, ct },
            Message::Expect(kind, exp) => Input::KernelExpect { id, kind, exp },
            Message::Ack(errno) | Message::Done(errno) => {
                ended = ended.saturating_add(1);
                Input::KernelDone { id, errno }
            }
            Message::Overrun | Message::Other => continue,
        };
        engine.handle(now, input);
    }
    ended
}
