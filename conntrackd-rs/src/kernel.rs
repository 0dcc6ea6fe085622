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

/// The request sockets and what waits to be sent.
pub struct Kernel {
    sockets: Vec<Socket>,
    batch: Batch,
    /// Requests for one socket, not sent yet.
    pending: Vec<u8>,
    pending_ids: Vec<RequestId>,
    pending_for: KernelSocket,
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
            pending: Vec::new(),
            pending_ids: Vec::new(),
            pending_for: KernelSocket::Get,
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
        if which != self.pending_for || is_dump(which) {
            self.flush(engine, now);
        }
        self.pending_for = which;
        let begin = self.pending.len();
        self.pending.extend_from_slice(message);
        self.pending_ids.push(id);
        if is_change(which) {
            // The kernel says nothing of what succeeds, which saves it, and us, a message per entry.
            if let Some(flags) = self.pending.get_mut(begin..).and_then(flags) {
                let bits = u16::from_ne_bytes(*flags) & !NLM_F_ACK;
                *flags = bits.to_ne_bytes();
            }
            self.changes = self.changes.saturating_add(1);
        }
        if is_dump(which) || self.pending_ids.len() >= REQUESTS_AT_ONCE {
            self.flush(engine, now);
        }
    }

    /// Sends requests together, of which only errors are answered. The engine has these, and knows that the kernel is through,
    /// when it returns.
    pub fn batch(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        which: KernelSocket,
        id: RequestId,
        messages: &[u8],
    ) {
        let sent = match self.socket(which) {
            Some(socket) => socket.send(messages),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        let errno = match sent {
            Ok(()) => {
                self.errors(engine, now, which);
                0
            }
            Err(error) => error.raw_os_error().unwrap_or(nix::libc::EIO),
        };
        engine.handle(now, Input::KernelBatchDone { id, errno });
    }

    /// Sends what waits. Answers to anything but a dump are there when it returns, and the engine has them.
    pub fn flush(&mut self, engine: &mut Engine, now: Instant) {
        if self.pending_ids.is_empty() {
            return;
        }
        let which = self.pending_for;
        let sent = match self.socket(which) {
            Some(socket) => socket.send(&self.pending),
            None => Ok(()),
        };
        self.pending.clear();
        match sent {
            Ok(()) => {
                let ids = std::mem::take(&mut self.pending_ids);
                if is_dump(which) {
                    self.dumps = self.dumps.saturating_add(1);
                } else if is_change(which) {
                    self.refused(engine, now, which, &ids);
                } else {
                    while self.receive(engine, now, which).is_ok() {}
                }
                // Its room is used again.
                self.pending_ids = ids;
                self.pending_ids.clear();
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(nix::libc::EIO);
                for id in self.pending_ids.drain(..) {
                    engine.handle(now, Input::KernelDone { id, errno });
                }
            }
        }
    }

    /// Tells the engine which of the requests `ids` failed; all others were done.
    fn refused(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        which: KernelSocket,
        ids: &[RequestId],
    ) {
        self.errors(engine, now, which);
        for id in ids {
            if self.failed.is_empty() || !self.failed.contains(&id.0) {
                engine.handle(now, Input::KernelDone { id: *id, errno: 0 });
            }
        }
    }

    /// Hands the errors that a socket has to the engine, and keeps in mind which requests they answer.
    fn errors(&mut self, engine: &mut Engine, now: Instant, which: KernelSocket) {
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
    }

    /// How many changes whose events are heard were made to the kernel's table since the last call: so many events, or twice as
    /// many, are on their way to the event socket.
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
        KernelSocket::Commit | KernelSocket::Flush | KernelSocket::Inject
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
