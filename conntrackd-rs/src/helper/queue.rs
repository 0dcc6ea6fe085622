//! Packets from the queues, and the verdicts on them.

use std::io;

use conf_parsers::conntrackd::Helper as Configured;
use cthelper_proto::{Helper, Inspection, Packet, Request, Ruling, Verdict};
use linux_io::nfnl::Socket;
use linux_io::watch::Watch;
use netlink_wire::framing::{Batch, Messages, Reply};
use netlink_wire::nfqueue::{self, Queued};
use nfct::codec::{self, ExpectOp, Message};

use super::error;
use crate::text::log::reason;

/// Longest message: a packet of 64 KiB with its flow.
const ROOM: usize = 65536 + 2048;

/// The packet queues of all helpers, and what is needed to rule on their packets.
pub struct Queues {
    socket: Socket,
    /// For expectations: asked and answered one by one.
    requests: Socket,
    helpers: Vec<(u16, Helper)>,
    buffer: Vec<u8>,
    verdict: Batch,
    sequence: u32,
    /// Most packets per turn of the loop.
    limit: u32,
}

impl Queues {
    /// Makes the helpers that the file asks for, in the kernel. `None`: the reason was logged. `limit` is
    /// EventIterationLimit.
    pub fn open(configured: &Configured, limit: u32) -> Option<Self> {
        super::setup::open(configured, limit).ok()
    }

    pub(super) fn new(socket: Socket, requests: Socket, limit: u32) -> Self {
        Self {
            socket,
            requests,
            helpers: Vec::new(),
            buffer: vec![0; ROOM],
            verdict: Batch::default(),
            sequence: 0,
            limit,
        }
    }

    pub(super) fn add(&mut self, queue: u16, helper: Helper) {
        self.helpers.push((queue, helper));
    }

    /// Where packets come in.
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Rules on what waits; whether there may be more.
    pub fn take(&mut self, watch: &Watch) -> bool {
        for _ in 0..self.limit.max(1) {
            let mut buffer = std::mem::take(&mut self.buffer);
            let received = watch.read(|| self.socket.receive(&mut buffer));
            if let Ok(len) = received {
                self.datagram(buffer.get(..len).unwrap_or_default());
            }
            self.buffer = buffer;
            match received {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    error(&format_args!("failed to receive message: {}", reason(&e)));
                    return true;
                }
            }
        }
        true
    }

    fn datagram(&mut self, bytes: &[u8]) {
        for message in Messages::new(bytes) {
            match message.reply() {
                Reply::Data(message) => match nfqueue::parse(&message) {
                    Some(queued) => self.rule(&queued),
                    None => {
                        error(&"problems parsing message from kernel");
                        error(&"failed to process message");
                    }
                },
                // A setting that the kernel does not know, or a verdict on a packet that is gone.
                Reply::Ack { errno, .. } if errno != 0 => {
                    error(&"failed to process message");
                }
                _ => {}
            }
        }
    }

    fn rule(&mut self, queued: &Queued<'_>) {
        let ruling = match self.inspect(queued) {
            Ok(ruling) => ruling,
            Err(text) => {
                if let Some(text) = text {
                    error(&format_args!("{text}"));
                }
                None
            }
        };
        self.verdict.clear();
        let mut conntrack = Vec::new();
        let mut expect = Vec::new();
        if let Some(ruling) = &ruling {
            codec::entry_attributes(&mut conntrack, &ruling.ct);
            if let Some(announced) = &ruling.expect {
                codec::expect_attributes(&mut expect, announced);
            }
        }
        let ruling = nfqueue::Ruling {
            accept: ruling
                .as_ref()
                .is_none_or(|ruling| ruling.verdict == Verdict::Accept),
            payload: ruling.as_ref().and_then(|r| r.packet.as_deref()),
            conntrack: ruling.as_ref().map(|_| &*conntrack),
            expect: Some(&*expect).filter(|bytes| !bytes.is_empty()),
        };
        nfqueue::push_verdict(&mut self.verdict, queued.queue, queued.id, &ruling);
        if let Err(e) = self.socket.send(self.verdict.bytes()) {
            error(&format_args!("failed to send verdict: {}", reason(&e)));
        }
    }

    /// Lets the queue's helper read the packet. An error's text is logged, if there is one; the packet is accepted.
    fn inspect(&mut self, queued: &Queued<'_>) -> Result<Option<Ruling>, Option<String>> {
        let payload = queued.payload.ok_or("packet with no payload".to_owned())?;
        let (Some(attributes), Some(info)) = (queued.conntrack, queued.info) else {
            return Err(Some("no CT attached to this packet".to_owned()));
        };
        let packet = Packet::parse(payload, queued.hardware).map_err(|e| e.to_string())?;
        let Some((_, helper)) = self
            .helpers
            .iter()
            // Of two with one number the first in 1.4.8's order.
            .find(|(queue, _)| *queue == queued.queue)
        else {
            return Err(None);
        };
        let ct = codec::entry(queued.family, attributes);
        let mut inspection = Inspection::begin(*helper, packet, ct, info);
        while let Some(request) = inspection.next_request() {
            let errno = self.ask(request);
            inspection.answer(errno);
        }
        Ok(Some(inspection.finish()))
    }

    /// Asks the kernel for an expectation; the error's number, 0 when it is done. The kernel answers before `send` returns.
    fn ask(&mut self, request: Request<'_>) -> i32 {
        self.sequence = self.sequence.wrapping_add(1);
        let (op, expect) = match request {
            Request::Create(expect) => (ExpectOp::Ensure, expect),
            Request::Delete(expect) => (ExpectOp::Delete, expect),
        };
        let Some(bytes) = codec::request_expect(op, expect, self.sequence) else {
            return nix::libc::EINVAL;
        };
        let number = |e: io::Error| e.raw_os_error().unwrap_or(nix::libc::EIO);
        if let Err(e) = self.requests.send(&bytes) {
            return number(e);
        }
        let mut buffer = [0; 4096];
        loop {
            let len = match self.requests.receive(&mut buffer) {
                Ok(len) => len,
                Err(e) => return number(e),
            };
            for (header, message) in codec::Messages::new(buffer.get(..len).unwrap_or_default()) {
                match message {
                    Message::Ack(errno) if header.sequence == self.sequence => return errno,
                    _ => {}
                }
            }
        }
    }
}
