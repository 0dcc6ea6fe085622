//! TCP links: a connection of ours to the peer, which we send by, and one of the peer's to us, which we receive by
//! (conntrackd-behaviour.md section 6).
//!
//! ```text
//!  sending:    IDLE ──something to send, at most once a second──▶ CONNECTING ──writable──▶ CONNECTED
//!               ▲                                                     │ refused, 3 s           │ closed, broken
//!               └─────────────────────────────────────────────────────┴────────────────────────┘
//!  waiting:    buffers that found no connection, up to ErrorQueueLength (then the engine keeps what is to be sent); they
//!              leave first, in order
//!  receiving:  a new connection replaces the old one; a stream that makes no sense is closed, so that the peer starts anew
//! ```

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd};

use linux_io::stream_sock::{Listener, Stream};
use linux_io::udp_sock::Room;
use linux_io::watch::Watch;
use net_types::{Duration, Instant};

use super::Report;
use super::framing::{Framing, cut_message};

/// Least time between two attempts to connect.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);
/// An attempt that takes longer is given up: the system would ask ever more seldom, while the peer may be back.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Reads in a row before other sockets have their turn.
const READS_AT_ONCE: u32 = 16;
/// Bytes of a header, for the counters of what was refused.
const HEADER: usize = 8;

/// One link.
pub(super) struct Streams {
    peer: SocketAddr,
    send_buffer: Option<u32>,
    listener: Listener,
    listening: Option<Watch>,
    incoming: Option<Incoming>,
    outgoing: Outgoing,
    attempted: Option<Instant>,
    /// Buffers to be sent. The first `cut` bytes of the first one have left.
    waiting: VecDeque<Vec<u8>>,
    cut: usize,
    /// Most of them while there is no connection.
    most: usize,
    /// How many found no place.
    refused: u32,
    busy: bool,
}

struct Incoming {
    stream: Stream,
    watch: Watch,
    framing: Framing,
}

enum Outgoing {
    Idle,
    Connecting(Stream, Watch, Instant),
    Connected(Stream, Watch),
}

impl Streams {
    /// Listens at `local`; the first attempt to connect is made when the loop starts.
    pub(super) fn open(
        local: SocketAddr,
        peer: SocketAddr,
        send_buffer: Option<u32>,
        receive_buffer: Option<u32>,
        most: u32,
    ) -> io::Result<Self> {
        Ok(Self {
            peer,
            send_buffer,
            listener: Listener::bind(local, receive_buffer)?,
            listening: None,
            incoming: None,
            outgoing: Outgoing::Idle,
            attempted: None,
            waiting: VecDeque::new(),
            cut: 0,
            most: usize::try_from(most).unwrap_or(usize::MAX).max(1),
            refused: 0,
            busy: false,
        })
    }

    pub(super) fn start(&mut self, report: &mut Report<'_>) -> io::Result<()> {
        self.listening = Some(Watch::reading(&self.listener)?);
        self.connect(report);
        Ok(())
    }

    /// Buffers that wait, and how many found no place.
    pub(super) fn waiting(&self) -> (usize, u32) {
        (self.waiting.len(), self.refused)
    }

    /// What waits is another link's now, but a buffer that has left in part: the rest belongs to what was sent.
    pub(super) fn take_waiting(&mut self, report: &mut Report<'_>) -> VecDeque<Vec<u8>> {
        let whole = self
            .waiting
            .split_off(usize::from(self.cut > 0).min(self.waiting.len()));
        if self.cut == 0 {
            self.set_busy(report, false);
        }
        whole
    }

    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let incoming = self.incoming.as_ref().map(|i| i.stream.as_fd());
        let outgoing = match &self.outgoing {
            Outgoing::Connected(stream, _) => Some(stream.as_fd()),
            Outgoing::Idle | Outgoing::Connecting(..) => None,
        };
        [Some(self.listener.as_fd()), incoming, outgoing]
            .into_iter()
            .flatten()
    }

    pub(super) fn is_ready(&self) -> bool {
        let outgoing = match &self.outgoing {
            Outgoing::Idle => false,
            Outgoing::Connecting(_, watch, _) => watch.writable(),
            Outgoing::Connected(_, watch) => {
                watch.readable() || !self.waiting.is_empty() && watch.writable()
            }
        };
        outgoing
            || self.listening.as_ref().is_some_and(Watch::readable)
            || self.incoming.as_ref().is_some_and(|i| i.watch.readable())
    }

    /// When [`serve`](Self::serve) has something to do without any news.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match &self.outgoing {
            Outgoing::Connecting(_, _, since) => Some(*since + ATTEMPT),
            Outgoing::Idle if !self.waiting.is_empty() => {
                self.attempted.map(|at| at + BETWEEN_ATTEMPTS)
            }
            Outgoing::Idle | Outgoing::Connected(..) => None,
        }
    }

    pub(super) fn send(&mut self, report: &mut Report<'_>, bytes: Vec<u8>) {
        let connected = matches!(self.outgoing, Outgoing::Connected(..));
        if !connected && self.waiting.len() >= self.most {
            // The engine sends nothing to a busy link; this is for what was on its way here.
            self.refused = self.refused.saturating_add(1);
            self.waiting.pop_front();
            self.cut = 0;
        }
        self.waiting.push_back(bytes);
        if connected {
            self.flush(report);
            return;
        }
        if matches!(self.outgoing, Outgoing::Idle) {
            self.connect(report);
        }
        self.set_busy(report, self.waiting.len() >= self.most);
    }

    /// Takes what has come and goes on with what was begun; `true` when there may be more.
    pub(super) fn serve(&mut self, report: &mut Report<'_>, room: &mut Room) -> bool {
        // What the old connection brought counts before a new one replaces it.
        let more = self.read(report, room);
        self.accept(report);
        self.look_after_outgoing(report, room);
        more
    }

    fn connect(&mut self, report: &mut Report<'_>) {
        let now = report.now;
        if self.attempted.is_some_and(|at| now < at + BETWEEN_ATTEMPTS) {
            return;
        }
        self.attempted = Some(now);
        let begun = Stream::connect(self.peer, self.send_buffer)
            .and_then(|stream| Watch::both(&stream).map(|watch| (stream, watch)));
        match begun {
            Ok((stream, watch)) => self.outgoing = Outgoing::Connecting(stream, watch, now),
            Err(_) => report.send_failed(),
        }
    }

    fn look_after_outgoing(&mut self, report: &mut Report<'_>, room: &mut Room) {
        match std::mem::replace(&mut self.outgoing, Outgoing::Idle) {
            Outgoing::Idle => {
                if !self.waiting.is_empty() {
                    self.connect(report);
                }
            }
            Outgoing::Connecting(stream, watch, since) => {
                match watch.write(|| stream.connected()) {
                    Ok(()) => {
                        self.outgoing = Outgoing::Connected(stream, watch);
                        self.tell(report);
                        self.flush(report);
                    }
                    Err(e)
                        if e.kind() == io::ErrorKind::WouldBlock
                            && report.now < since + ATTEMPT =>
                    {
                        self.outgoing = Outgoing::Connecting(stream, watch, since);
                    }
                    Err(_) => report.send_failed(),
                }
            }
            Outgoing::Connected(stream, watch) => {
                // The peer says nothing here but that it closes.
                let ended = loop {
                    match watch.read(|| stream.read(room.as_buffer())) {
                        Ok(0) => break true,
                        Ok(_) => report.receive_failed(),
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => break false,
                        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                        Err(_) => break true,
                    }
                };
                if ended {
                    drop((stream, watch));
                    self.broken(report);
                } else {
                    self.outgoing = Outgoing::Connected(stream, watch);
                    self.flush(report);
                }
            }
        }
    }

    /// The connection to the peer is gone.
    fn broken(&mut self, report: &mut Report<'_>) {
        self.outgoing = Outgoing::Idle;
        // Half a message at the end of the old connection is nothing: the new one begins with a whole one.
        if let Some(first) = self.waiting.front_mut() {
            let cut = std::mem::take(&mut self.cut);
            let begin = cut_message(first, cut).min(first.len());
            first.drain(..begin);
        }
        report.send_failed();
        self.tell(report);
        self.set_busy(report, self.waiting.len() >= self.most);
        if !self.waiting.is_empty() {
            self.connect(report);
        }
    }

    /// Sends what waits, as far as the connection has room.
    fn flush(&mut self, report: &mut Report<'_>) {
        while let (Outgoing::Connected(stream, watch), Some(first)) =
            (&self.outgoing, self.waiting.front())
        {
            let rest = first.get(self.cut..).unwrap_or_default();
            match watch.write(|| stream.write(rest)) {
                Ok(len) if len >= rest.len() => {
                    report.sent(first.len());
                    self.waiting.pop_front();
                    self.cut = 0;
                }
                Ok(len) => self.cut = self.cut.saturating_add(len),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.set_busy(report, true);
                    return;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.broken(report);
                    return;
                }
            }
        }
        self.set_busy(report, false);
    }

    /// What is to be sent waits in the engine, where newer states replace older ones, rather than here.
    fn set_busy(&mut self, report: &mut Report<'_>, busy: bool) {
        if self.busy != busy {
            self.busy = busy;
            report.busy(busy);
        }
    }

    fn accept(&mut self, report: &mut Report<'_>) {
        let Some(listening) = &self.listening else {
            return;
        };
        let mut newest = None;
        loop {
            match listening.read(|| self.listener.accept()) {
                Ok(stream) => newest = Some(stream),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // One that left again before it was accepted.
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(_) => {
                    report.receive_failed();
                    break;
                }
            }
        }
        let Some(stream) = newest else {
            return;
        };
        if self.incoming.take().is_some() {
            self.tell(report);
        }
        match Watch::reading(&stream) {
            Ok(watch) => {
                self.incoming = Some(Incoming {
                    stream,
                    watch,
                    framing: Framing::default(),
                });
            }
            Err(_) => report.receive_failed(),
        }
        self.tell(report);
    }

    fn read(&mut self, report: &mut Report<'_>, room: &mut Room) -> bool {
        for _ in 0..READS_AT_ONCE {
            let Some(incoming) = &mut self.incoming else {
                return false;
            };
            let buffer = room.as_buffer();
            match incoming.watch.read(|| incoming.stream.read(buffer)) {
                Ok(0) => {
                    self.incoming = None;
                    self.tell(report);
                    return false;
                }
                Ok(len) => {
                    let bytes = buffer.get(..len).unwrap_or_default();
                    if let Err(at) = incoming.framing.follow(bytes) {
                        // With its header, so that what is wrong with it is counted.
                        let end = at.saturating_add(HEADER).min(len);
                        report.received(bytes.get(..end).unwrap_or_default());
                        report.receive_failed();
                        self.incoming = None;
                        self.tell(report);
                        return false;
                    }
                    report.received(bytes);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    report.receive_failed();
                    self.incoming = None;
                    self.tell(report);
                    return false;
                }
            }
        }
        true
    }

    fn tell(&self, report: &mut Report<'_>) {
        report.stream(
            self.incoming.is_some(),
            matches!(self.outgoing, Outgoing::Connected(..)),
        );
    }
}
