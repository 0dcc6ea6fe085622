//! Gratuitous ARP and unsolicited neighbour advertisements on their way out.
//!
//! The core decides when; this builds the frames, collects those of one turn of the loop and sends them in one go: failover
//! with hundreds of addresses costs a few system calls. Of a burst, each address has its first message before any has its second:
//! neighbours learn from the first, the others are against loss.

use std::io;
use std::net::IpAddr;
use std::ops::Range;

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::announce::{self, gratuitous_arp, unsolicited_na};
use linux_io::packet_sock::{ETHERTYPE_ARP, ETHERTYPE_IPV6, Frame, PacketSocket};
use linux_io::sysctl;
use net_types::{Duration, Family, IfIndex, Instant, SortedMap};
use netlink_wire::Link;
use netlink_wire::link::IFF_NOARP;
use nix::errno::Errno;

/// How long an interface's forwarding setting is believed before it is read again.
const FORWARDING_AGE: Duration = Duration::from_secs(5);

/// Announcements, and octets of them, for which the room is kept.
const USUAL_QUEUE: usize = 64;
const USUAL_FRAMES: usize = 4096;

#[derive(Debug)]
struct Queued {
    interface: IfIndex,
    name: Box<str>,
    address: IpAddr,
    bytes: Range<usize>,
}

/// Sends announcements.
#[derive(Debug)]
pub struct Announcer {
    socket: PacketSocket,
    frames: Vec<u8>,
    queue: Vec<Queued>,
    /// How many of the queue are sent.
    sent: usize,
    /// Places in the queue by interface and address.
    places: SortedMap<(u32, IpAddr), usize>,
    /// Places in the queue that go once more, in order.
    repeats: Vec<usize>,
    /// Whether an interface forwards IPv6, and when that was read.
    forwards: SortedMap<u32, (Instant, bool)>,
    detail: bool,
}

impl Announcer {
    /// Opens the socket. `detail`: log every message (`--log-detail`).
    pub fn open(detail: bool) -> io::Result<Self> {
        let socket = PacketSocket::open().inspect_err(|e| {
            let errno = e.raw_os_error().unwrap_or(0);
            log!(
                Priority::Info,
                "Error {errno} while registering gratuitous ARP shared channel"
            );
        })?;
        Ok(Self {
            socket,
            frames: Vec::new(),
            queue: Vec::new(),
            sent: 0,
            places: SortedMap::new(),
            repeats: Vec::new(),
            forwards: SortedMap::new(),
            detail,
        })
    }

    /// Queues an announcement of `address` on an interface. Interfaces without ARP are passed over.
    pub fn queue(&mut self, now: Instant, link: &Link, address: IpAddr) {
        let Some(interface) = IfIndex::new(link.index) else {
            return;
        };
        if link.flags & IFF_NOARP != 0 || link.address.as_bytes().is_empty() {
            return;
        }
        let sender = announce::Sender {
            hw_type: link.hw_type,
            own: &link.address,
            broadcast: &link.broadcast,
        };
        if self.detail {
            let name = &link.name;
            match address {
                IpAddr::V4(_) => log!(
                    Priority::Info,
                    "Sending gratuitous ARP on {name} for {address}"
                ),
                IpAddr::V6(_) => log!(
                    Priority::Info,
                    "Sending unsolicited Neighbour Advert on {name} for {address}"
                ),
            }
        }
        if let Some(place) = self.places.get(&(link.index, address)) {
            self.repeats.push(*place);
            return;
        }
        self.places.insert((link.index, address), self.queue.len());
        let start = self.frames.len();
        match address {
            IpAddr::V4(address) => gratuitous_arp(&mut self.frames, sender, address),
            IpAddr::V6(address) => {
                let router = self.forwards(now, link);
                unsolicited_na(&mut self.frames, sender, address, router);
            }
        }
        self.queue.push(Queued {
            interface,
            name: link.name.clone(),
            address,
            bytes: start..self.frames.len(),
        });
    }

    /// Whether something is queued.
    pub fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends each announcement once. Repetitions stay in the queue: other addresses may come first.
    pub fn flush_first(&mut self) {
        let from = std::mem::replace(&mut self.sent, self.queue.len());
        let new: Vec<&Queued> = self.queue.iter().skip(from).collect();
        self.send(&new);
    }

    /// Sends what is queued, repetitions last.
    pub fn flush(&mut self) {
        self.flush_some(usize::MAX);
    }

    /// Sends each announcement once, then at most `most` repetitions; the others stay in the queue.
    pub fn flush_some(&mut self, most: usize) {
        if self.queue.is_empty() {
            return;
        }
        self.flush_first();
        let some = most.min(self.repeats.len());
        let repeats = self.repeats.iter().take(some);
        let repeats = repeats.filter_map(|at| self.queue.get(*at));
        self.send(&repeats.collect::<Vec<_>>());
        self.repeats.drain(..some);
        if self.repeats.is_empty() {
            self.sent = 0;
            self.queue.clear();
            self.frames.clear();
            // Room for a few thousand announcements is not needed all the time.
            self.queue.shrink_to(USUAL_QUEUE);
            self.repeats.shrink_to(USUAL_QUEUE);
            self.frames.shrink_to(USUAL_FRAMES);
            self.places = SortedMap::new();
        }
    }

    fn send(&self, announcements: &[&Queued]) {
        let frame = |q: &&Queued| Frame {
            interface: q.interface,
            ethertype: match q.address {
                IpAddr::V4(_) => ETHERTYPE_ARP,
                IpAddr::V6(_) => ETHERTYPE_IPV6,
            },
            bytes: self.frames.get(q.bytes.clone()).unwrap_or_default(),
        };
        let frames: Vec<Frame<'_>> = announcements.iter().map(frame).collect();
        self.socket.send_burst(&frames, |at, error| {
            if let Some(queued) = announcements.get(at) {
                report(queued, &error);
            }
        });
    }

    /// When it was last read whether the interface forwards IPv6, and what was found.
    pub fn forwarding(&self, interface: u32) -> Option<(Instant, bool)> {
        self.forwards.get(&interface).copied()
    }

    fn forwards(&mut self, now: Instant, link: &Link) -> bool {
        match self.forwards.get(&link.index) {
            Some((read, forwards)) if now.since(*read) <= FORWARDING_AGE => *forwards,
            _ => {
                let forwards = sysctl::forwards(Family::V6, &link.name);
                self.forwards.insert(link.index, (now, forwards));
                forwards
            }
        }
    }
}

fn report(queued: &Queued, error: &io::Error) {
    let Queued { name, address, .. } = queued;
    let errno = error.raw_os_error().unwrap_or(0);
    match address {
        IpAddr::V4(_) => {
            let text = Errno::from_raw(errno).desc();
            log!(
                Priority::Info,
                "Error {errno} ({text}) sending gratuitous ARP on {name} for {address}"
            );
        }
        IpAddr::V6(_) => {
            log!(
                Priority::Info,
                "Error {errno} sending ndisc unsolicited neighbour advert on {name} for {address}"
            );
        }
    }
}
