//! An engine with a kernel table and a clock around it, for tests.
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;

use ctsync_proto::{
    ClientId, Config, Engine, Filter, Input, KernelSocket, LinkConfig, LinkIndex, LinkKind, Mode,
    Notice, Output, Request, RequestId, StartState,
};
use net_types::{Duration, Instant};
use nfct::codec::{EventKind, Message, Messages};
use nfct::{Conntrack, Tuple};

/// FTFW with the page's limits and expectations on.
pub(crate) fn settings() -> Config {
    Config {
        mode: Mode::Ftfw {
            resend_queue_size: 131_072,
            ack_window_size: 300,
        },
        hash_limit: 262_144,
        hash_seed: 7,
        first_sequence: 1_000,
        commit_timeout: 0,
        purge_timeout: 60,
        tcp_window_tracking: false,
        expectation_sync: true,
        expectation_helpers: Vec::new(),
        disable_internal_cache: false,
        disable_external_cache: false,
        startup_resync: false,
        overrun_resync: Some(30),
        poll: None,
        filter: Filter::default(),
        filter_in_kernel: false,
        links: vec![LinkConfig {
            kind: LinkKind::Udp,
            device: "s0".into(),
            payload_limit: 1472,
        }],
        default_link: 0,
        error_queue_length: 128,
    }
}

/// Port id of the commit socket.
pub(crate) const COMMIT_PORT: u32 = 77;
/// Port id of the commit socket whose events are left out.
pub(crate) const UNHEARD_PORT: u32 = 76;
/// Port id of the flush socket.
pub(crate) const FLUSH_PORT: u32 = 78;
/// Port id of the socket of direct injection.
pub(crate) const INJECT_PORT: u32 = 79;

/// An engine, its kernel's table, and what it has said.
pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    /// The kernel's conntrack table by original tuple.
    pub(crate) table: BTreeMap<Vec<u8>, Conntrack>,
    /// Datagrams to the peer.
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) log: Vec<Notice>,
    /// Flows that ended, in statistics mode.
    pub(crate) flows: Vec<Conntrack>,
    /// Requests to the kernel.
    pub(crate) requests: Vec<Vec<u8>>,
    /// Creations the kernel refuses, with the error number.
    pub(crate) refuse: Option<i32>,
    /// The kernel refuses changes of existing entries (`EBUSY`).
    pub(crate) stubborn: bool,
    /// Entries that were made without an event.
    pub(crate) unheard: u32,
    /// Entries that were changed without an event.
    pub(crate) unheard_changes: u32,
    /// Batches are not sent, with this error number.
    pub(crate) batch_errno: Option<i32>,
    /// The event socket is not seen empty.
    pub(crate) events_wait: bool,
    replies: BTreeMap<u32, Vec<u8>>,
    ended: Vec<u32>,
    next_client: u32,
}

/// What makes two flows the same for the kernel.
pub(crate) fn key(ct: &Conntrack) -> Vec<u8> {
    let t: &Tuple = &ct.orig;
    let mut k = vec![t.l3, t.l4];
    k.extend(t.src);
    k.extend(t.dst);
    k.extend(t.sport.to_be_bytes());
    k.extend(t.dport.to_be_bytes());
    k.extend(ct.zone().unwrap_or_default().to_be_bytes());
    k
}

impl Node {
    /// A node whose loop runs.
    pub(crate) fn new(config: Config) -> Self {
        Self::with_table(config, BTreeMap::new())
    }

    /// A node whose kernel has flows already.
    pub(crate) fn with_table(config: Config, table: BTreeMap<Vec<u8>, Conntrack>) -> Self {
        let now = Instant::from_micros(1_000_000);
        let mut node = Self {
            engine: Engine::new(config, now).unwrap(),
            now,
            table,
            sent: Vec::new(),
            log: Vec::new(),
            flows: Vec::new(),
            requests: Vec::new(),
            refuse: None,
            stubborn: false,
            unheard: 0,
            unheard_changes: 0,
            batch_errno: None,
            events_wait: false,
            replies: BTreeMap::new(),
            ended: Vec::new(),
            next_client: 1,
        };
        for (socket, port_id) in [
            (KernelSocket::Commit, COMMIT_PORT),
            (KernelSocket::CommitUnheard, UNHEARD_PORT),
            (KernelSocket::Flush, FLUSH_PORT),
            (KernelSocket::Inject, INJECT_PORT),
        ] {
            node.put(Input::SocketOpened { socket, port_id });
        }
        node.drain();
        assert_eq!(node.engine.start_state(), StartState::Ready);
        node.put(Input::Started);
        node
    }

    pub(crate) fn put(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input);
    }

    /// Does everything the engine wants.
    pub(crate) fn drain(&mut self) {
        loop {
            if self.engine.awaits_events() && !self.events_wait {
                self.put(Input::EventsTaken);
            }
            let Some(output) = self.engine.poll_output(self.now, 0) else {
                break;
            };
            match output {
                Output::Transmit { link, bytes } => {
                    self.put(Input::Sent {
                        link,
                        bytes: bytes.len(),
                    });
                    self.sent.push(bytes);
                }
                Output::Log(notice) => self.log.push(notice),
                Output::FlowEnded { flow } => self.flows.push(*flow),
                Output::Reply { client, bytes } => {
                    self.replies.entry(client.0).or_default().extend(bytes);
                    self.put(Input::ClientReady { client });
                }
                Output::ReplyEnd { client } => self.ended.push(client.0),
                Output::KernelBatch {
                    id,
                    socket,
                    count,
                    messages,
                } => self.batch(id, socket, count, &messages),
                Output::Kernel {
                    id,
                    socket,
                    message,
                } => {
                    let errno = self.kernel(id, socket, &message);
                    self.requests.push(message);
                    self.put(Input::KernelDone { id, errno });
                }
            }
        }
    }

    /// The kernel's side: takes a batch, of which it answers only what fails.
    fn batch(&mut self, id: RequestId, socket: KernelSocket, count: u32, mut messages: &[u8]) {
        let mut taken = 0;
        while let Some(head) = messages.first_chunk::<12>() {
            let len = usize::try_from(u32::from_ne_bytes(head[..4].try_into().unwrap())).unwrap();
            let flags = u16::from_ne_bytes(head[6..8].try_into().unwrap());
            let of = RequestId(u32::from_ne_bytes(head[8..].try_into().unwrap()));
            assert_eq!(flags & 4, 0, "asks for an answer");
            assert!(taken > 0 || of == id);
            let errno = match self.batch_errno {
                Some(_) => 0,
                None => self.kernel(of, socket, &messages[..len]),
            };
            self.requests.push(messages[..len].to_vec());
            if errno != 0 {
                self.put(Input::KernelDone { id: of, errno });
            }
            messages = &messages[len..];
            taken += 1;
        }
        assert_eq!(taken, count);
        let errno = self.batch_errno.unwrap_or(0);
        self.put(Input::KernelBatchDone { id, errno });
    }

    /// The kernel's side: answers a request and returns its error number.
    fn kernel(&mut self, id: RequestId, socket: KernelSocket, message: &[u8]) -> i32 {
        let kind = u16::from_ne_bytes([message[4], message[5]]);
        let flags = u16::from_ne_bytes([message[6], message[7]]);
        assert_eq!(
            u32::from_ne_bytes([message[8], message[9], message[10], message[11]]),
            id.0
        );
        if kind == 0x201 || kind == 0x202 {
            return 0;
        }
        if kind == 0x101 && flags & 0x300 == 0x300 {
            for ct in self.table.values().cloned().collect::<Vec<_>>() {
                self.put(Input::KernelEntry {
                    id,
                    kind: EventKind::Update,
                    ct,
                });
            }
            return 0;
        }
        // A get has a type that no event has: read its body as one.
        let mut copy = message.to_vec();
        if kind == 0x101 {
            copy[4..6].copy_from_slice(&0x100u16.to_ne_bytes());
        }
        let Some((_, Message::Conntrack(_, mut ct))) = Messages::new(&copy).next() else {
            return 0;
        };
        let k = key(&ct);
        let port_id = match socket {
            KernelSocket::Commit => COMMIT_PORT,
            KernelSocket::CommitUnheard => UNHEARD_PORT,
            KernelSocket::Flush => FLUSH_PORT,
            KernelSocket::Inject => INJECT_PORT,
            _ => 0,
        };
        match kind {
            0x100 => {
                if flags & 0x400 == 0 {
                    // A change.
                    let Some(entry) = self.table.get_mut(&k) else {
                        return 2;
                    };
                    if self.stubborn {
                        return 16;
                    }
                    entry.merge(ct);
                    let ct = entry.clone();
                    if port_id == UNHEARD_PORT {
                        self.unheard_changes += 1;
                        return 0;
                    }
                    self.put(Input::Event {
                        kind: EventKind::Update,
                        port_id,
                        ct,
                    });
                    return 0;
                }
                if let Some(errno) = self.refuse {
                    return errno;
                }
                if self.table.contains_key(&k) {
                    return 17;
                }
                // What the kernel shows: the reply tuple with the translation applied.
                ct.set_status(ct.status().unwrap_or_default() | 8);
                self.table.insert(k, ct.clone());
                if port_id == UNHEARD_PORT {
                    self.unheard += 1;
                } else {
                    self.put(Input::Event {
                        kind: EventKind::New,
                        port_id,
                        ct,
                    });
                }
                0
            }
            0x101 => match self.table.get(&k).cloned() {
                Some(ct) => {
                    self.put(Input::KernelEntry {
                        id,
                        kind: EventKind::Update,
                        ct,
                    });
                    0
                }
                None => 2,
            },
            0x102 => match self.table.remove(&k) {
                Some(ct) => {
                    self.put(Input::Event {
                        kind: EventKind::Destroy,
                        port_id,
                        ct,
                    });
                    0
                }
                None => 2,
            },
            _ => 95,
        }
    }

    /// A datagram from the peer, without sending what it causes.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.put(Input::Datagram {
            link: LinkIndex(0),
            bytes,
        });
    }

    /// An operator's request: the whole reply.
    pub(crate) fn ask(&mut self, request: Request) -> String {
        let client = self.next_client;
        self.next_client += 1;
        self.put(Input::Request {
            client: ClientId(client),
            request,
        });
        self.drain();
        self.advance(self.now);
        assert!(
            self.ended.contains(&client),
            "{request:?} has no end of reply"
        );
        String::from_utf8(self.replies.remove(&client).unwrap_or_default()).unwrap()
    }

    /// What a client was told so far.
    pub(crate) fn reply(&mut self, client: u32) -> String {
        String::from_utf8(self.replies.remove(&client).unwrap_or_default()).unwrap()
    }

    /// Empties the external expectation cache: `-f` is the only request that does, and takes the flows' caches with it;
    /// the internal ones are read again from the kernel.
    pub(crate) fn flush_external_expectations(&mut self) {
        self.ask(Request::AllFlushCaches);
        self.ask(Request::AllResyncFromKernel);
    }

    /// Lets time pass up to `at`, timer by timer.
    pub(crate) fn advance(&mut self, at: Instant) {
        while let Some(next) = self.engine.next_timeout().filter(|t| *t <= at) {
            self.now = self.now.max(next);
            self.engine.handle_timeout(self.now);
            self.drain();
        }
        self.now = self.now.max(at);
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.advance(self.now + time);
    }

    /// The kernel tells of a flow of its table.
    pub(crate) fn event(&mut self, kind: EventKind, ct: Conntrack) {
        if kind == EventKind::Destroy {
            self.table.remove(&key(&ct));
        } else {
            self.table.insert(key(&ct), ct.clone());
        }
        self.put(Input::Event {
            kind,
            port_id: 0,
            ct,
        });
    }
}
