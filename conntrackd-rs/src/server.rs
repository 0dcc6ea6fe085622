//! The control socket: operators connect, send one number, and read text until the end.
//!
//! Nobody can hold the daemon up: reads and writes do not block, a client that asks nothing is hung up on, and only so many
//! are served at a time. A client that does not read its reply may take its time (a pager), until its place is needed.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use ctsync_proto::ClientId;
use net_types::{Duration, Instant};

use linux_io::watch::Watch;

/// Clients served at a time; others wait in the kernel's queue.
const MOST_CLIENTS: usize = 64;
/// How long a client may take to send its four bytes, and to read a part of its reply while others wait for a place.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the clients want.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// A request.
    Asked(ClientId, i32),
    /// A connection that ended or failed before its request was complete.
    NotRead,
    /// All of the last reply was taken.
    Ready(ClientId),
    /// The client hung up in the middle of a reply.
    Gone(ClientId),
}

/// The control socket and its clients. The socket file goes away with it.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    watch: Option<Watch>,
    clients: Vec<Client>,
    next: u32,
    /// All places are taken, and one by a client that does not read.
    evictable: bool,
}

struct Client {
    id: ClientId,
    stream: UnixStream,
    watch: Watch,
    /// When it connected, or last took a part of its reply.
    since: Instant,
    request: Vec<u8>,
    asked: bool,
    /// What it has not taken yet, from `taken` on.
    reply: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl Server {
    /// Binds `path`, replacing a file that is there. The process's umask rules who may connect.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            path: path.to_path_buf(),
            watch: None,
            clients: Vec::new(),
            next: 1,
            evictable: false,
        })
    }

    /// Begins to wait for clients; needs a runtime.
    pub fn start(&mut self) -> io::Result<()> {
        self.watch = Some(Watch::reading(&self.listener)?);
        Ok(())
    }

    /// Whether there is a client.
    pub fn is_serving(&self) -> bool {
        !self.clients.is_empty()
    }

    /// Whether there is something to do.
    pub fn is_ready(&self) -> bool {
        let one_more = (self.clients.len() < MOST_CLIENTS || self.evictable)
            && self.watch.as_ref().is_some_and(Watch::readable);
        one_more
            || self.clients.iter().any(|client| {
                if client.asked {
                    client.waits() && client.watch.writable()
                } else {
                    client.watch.readable()
                }
            })
    }

    /// When a silent client is hung up on, or one that does not read may lose its place.
    pub fn next_timeout(&self) -> Option<Instant> {
        let full = self.clients.len() >= MOST_CLIENTS && !self.evictable;
        let silent = self
            .clients
            .iter()
            .filter(|client| !client.asked || (full && client.waits()));
        silent.map(|client| client.since + PATIENCE).min()
    }

    /// Accepts, reads and writes what can be done now.
    pub fn serve(&mut self, now: Instant) -> Vec<News> {
        let mut news = Vec::new();
        self.accept(now, &mut news);
        for client in &mut self.clients {
            if !client.asked {
                client.read(now, &mut news);
            } else if client.waits() {
                let taken = client.taken;
                client.write(&mut news);
                if client.taken != taken {
                    client.since = now;
                }
            }
        }
        self.sweep();
        self.evictable = self.clients.len() >= MOST_CLIENTS && self.slowest(now).is_some();
        news
    }

    /// Appends to a client's reply; `true` when it took all of it at once.
    pub fn reply(&mut self, id: ClientId, bytes: Vec<u8>) -> News {
        let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else {
            return News::Gone(id);
        };
        client.reply.extend_from_slice(&bytes);
        let mut news = Vec::new();
        client.write(&mut news);
        match news.pop() {
            Some(news) => news,
            // It will be told by `serve`; until then the engine waits.
            None => News::NotRead,
        }
    }

    /// Nothing more will come: hang up when all was taken.
    pub fn end(&mut self, id: ClientId) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
            client.ended = true;
        }
        self.sweep();
    }

    /// The place of the client that has not read for the longest time, if that is too long.
    fn slowest(&self, now: Instant) -> Option<usize> {
        let (place, client) = self
            .clients
            .iter()
            .enumerate()
            .filter(|(_, client)| client.waits())
            .min_by_key(|(_, client)| client.since)?;
        (now >= client.since + PATIENCE).then_some(place)
    }

    fn accept(&mut self, now: Instant, news: &mut Vec<News>) {
        loop {
            let slowest = if self.clients.len() < MOST_CLIENTS {
                None
            } else {
                match self.slowest(now) {
                    Some(place) => Some(place),
                    None => return,
                }
            };
            let Some(watch) = &self.watch else {
                return;
            };
            // Out of descriptors or a client that left again: the next wake-up tries again.
            let Ok((stream, _)) = watch.read(|| self.listener.accept()) else {
                return;
            };
            let Ok(watch) = stream
                .set_nonblocking(true)
                .and_then(|()| Watch::both(&stream))
            else {
                continue;
            };
            if let Some(place) = slowest {
                news.push(News::Gone(self.clients.swap_remove(place).id));
            }
            let id = ClientId(self.next);
            self.next = self.next.wrapping_add(1);
            self.clients.push(Client {
                id,
                stream,
                watch,
                since: now,
                request: Vec::with_capacity(4),
                asked: false,
                reply: Vec::new(),
                taken: 0,
                ended: false,
            });
        }
    }

    fn sweep(&mut self) {
        self.clients
            .retain(|client| !client.ended || client.waits());
    }
}

/// Where clients connect.
impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Client {
    /// Whether there is something for it to take.
    fn waits(&self) -> bool {
        self.taken < self.reply.len()
    }

    fn read(&mut self, now: Instant, news: &mut Vec<News>) {
        let mut bytes = [0; 4];
        loop {
            let room = bytes.len().saturating_sub(self.request.len());
            let slot = bytes.get_mut(..room).unwrap_or_default();
            match self.watch.read(|| (&self.stream).read(slot)) {
                Ok(0) => break,
                Ok(len) => {
                    self.request
                        .extend_from_slice(bytes.get(..len).unwrap_or_default());
                    if let Ok(number) = <[u8; 4]>::try_from(self.request.as_slice()) {
                        self.asked = true;
                        news.push(News::Asked(self.id, i32::from_ne_bytes(number)));
                        return;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    if now < self.since + PATIENCE {
                        return;
                    }
                    break;
                }
                Err(_) => break,
            }
        }
        self.asked = true;
        self.ended = true;
        news.push(News::NotRead);
    }

    fn write(&mut self, news: &mut Vec<News>) {
        while self.waits() {
            let rest = self.reply.get(self.taken..).unwrap_or_default();
            match self.watch.write(|| (&self.stream).write(rest)) {
                Ok(len) if len > 0 => self.taken = self.taken.saturating_add(len),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => {
                    self.ended = true;
                    self.reply.clear();
                    self.taken = 0;
                    news.push(News::Gone(self.id));
                    return;
                }
            }
        }
        self.reply.clear();
        self.taken = 0;
        news.push(News::Ready(self.id));
    }
}
