//! Dedicated links: their sockets and the state of their interfaces.

mod datagram;
mod framing;
mod stream;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::BorrowedFd;

use conf_parsers::conntrackd::{Link, LinkKind};
use ctsync_proto::{Engine, Input, LinkIndex};
use linux_io::ifname;
use linux_io::link_watch;
use linux_io::mcast::{self, Group};
use linux_io::udp_sock::{Receiver, Room, Sender};
use net_types::{Family, IfIndex, Instant};

use crate::lower::unspecified;
use datagram::Datagrams;
use stream::Streams;

/// An open link.
pub struct Channel {
    sockets: Sockets,
    index: IfIndex,
    /// The interface's MTU when it was opened.
    pub mtu: u32,
}

enum Sockets {
    Datagrams(Datagrams),
    Streams(Streams),
}

/// Where a link tells what happens.
pub struct Report<'a> {
    /// The engine.
    pub engine: &'a mut Engine,
    /// The time.
    pub now: Instant,
    /// Which link this is.
    pub link: LinkIndex,
}

impl Report<'_> {
    fn tell(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input);
    }

    fn received(&mut self, bytes: &[u8]) {
        let link = self.link;
        self.tell(Input::Datagram { link, bytes });
    }

    fn receive_failed(&mut self) {
        let link = self.link;
        self.tell(Input::ReceiveFailed { link });
    }

    fn sent(&mut self, bytes: usize) {
        let link = self.link;
        self.tell(Input::Sent { link, bytes });
    }

    fn send_failed(&mut self) {
        let link = self.link;
        self.tell(Input::SendFailed { link });
    }

    fn busy(&mut self, busy: bool) {
        let link = self.link;
        self.tell(Input::LinkBusy { link, busy });
    }

    fn stream(&mut self, accepted: bool, connected: bool) {
        let link = self.link;
        self.tell(Input::StreamState {
            link,
            accepted,
            connected,
        });
    }
}

impl Channel {
    /// Opens the sockets of `link`; its interface must exist. `error_queue` is how many buffers a stream keeps while it is
    /// not connected.
    pub fn open(link: &Link, error_queue: u32) -> io::Result<Self> {
        // A link without an interface fails without an error of the system, and the original says so.
        let name = link
            .interface
            .as_ref()
            .ok_or_else(|| io::Error::from_raw_os_error(0))?;
        let no_device = || io::Error::from_raw_os_error(nix::libc::ENODEV);
        let mtu = link_watch::mtu(name)?;
        let index = ifname::index_of(name).ok_or_else(no_device)?;
        let family = link
            .family
            .ok_or_else(|| io::Error::from_raw_os_error(nix::libc::EAFNOSUPPORT))?;
        // The low 16 bits, as the socket calls take them.
        let port = u16::try_from(*link.port & 0xffff).unwrap_or(0);
        let (send, receive) = (size(*link.send_buffer), size(*link.receive_buffer));
        let address = |addr: Option<IpAddr>| socket_address(addr, family, port, index);
        let local = address(link.address.map(|a| a.value));
        let peer = address(link.destination.map(|a| a.value));
        let sockets = match link.kind {
            LinkKind::Multicast => {
                let group = group(link, family, index);
                Sockets::Datagrams(Datagrams::new(
                    mcast::sender(group, port, send, *link.checksum)?,
                    mcast::receiver(group, port, receive)?,
                ))
            }
            LinkKind::Udp => Sockets::Datagrams(Datagrams::new(
                Sender::new(peer, send, *link.checksum)?,
                Receiver::bind(local, receive)?,
            )),
            LinkKind::Tcp => {
                Sockets::Streams(Streams::open(local, peer, send, receive, error_queue)?)
            }
        };
        Ok(Self {
            sockets,
            index,
            mtu,
        })
    }

    /// Begins to wait, and to connect; needs a runtime.
    pub fn start(&mut self, report: &mut Report<'_>) -> io::Result<()> {
        match &mut self.sockets {
            Sockets::Datagrams(datagrams) => datagrams.start(),
            Sockets::Streams(streams) => streams.start(report),
        }
    }

    /// Whether there is something to do.
    pub fn is_ready(&self) -> bool {
        match &self.sockets {
            Sockets::Datagrams(datagrams) => datagrams.is_ready(),
            Sockets::Streams(streams) => streams.is_ready(),
        }
    }

    /// When [`serve`](Self::serve) has something to do without any news.
    pub fn next_timeout(&self) -> Option<Instant> {
        match &self.sockets {
            Sockets::Datagrams(_) => None,
            Sockets::Streams(streams) => streams.next_timeout(),
        }
    }

    /// Descriptors that news come by.
    pub fn fds<'a>(&'a self, fds: &mut Vec<BorrowedFd<'a>>) {
        match &self.sockets {
            Sockets::Datagrams(datagrams) => fds.push(datagrams.fd()),
            Sockets::Streams(streams) => fds.extend(streams.fds()),
        }
    }

    /// Sends one buffer of whole messages, now or, if it can be, later; the report tells.
    pub fn send(&mut self, report: &mut Report<'_>, bytes: Vec<u8>) {
        match &mut self.sockets {
            Sockets::Datagrams(datagrams) => datagrams.send(report, bytes),
            Sockets::Streams(streams) => streams.send(report, bytes),
        }
    }

    /// Takes what has come, at most `limit` datagrams, and goes on with what was begun; `true` when there may be more.
    pub fn serve(&mut self, report: &mut Report<'_>, room: &mut Room, limit: u32) -> bool {
        match &mut self.sockets {
            Sockets::Datagrams(datagrams) => datagrams.serve(report, room, limit),
            Sockets::Streams(streams) => streams.serve(report, room),
        }
    }

    /// Buffers that wait for a connection, and how many of them found no place; `None` where links have no connections.
    pub fn waiting(&self) -> Option<(usize, u32)> {
        match &self.sockets {
            Sockets::Datagrams(_) => None,
            Sockets::Streams(streams) => Some(streams.waiting()),
        }
    }

    /// Takes the buffers that wait for a connection, for another link.
    pub fn take_waiting(
        &mut self,
        report: &mut Report<'_>,
    ) -> impl Iterator<Item = Vec<u8>> + use<> {
        let waiting = match &mut self.sockets {
            Sockets::Datagrams(_) => None,
            Sockets::Streams(streams) => Some(streams.take_waiting(report)),
        };
        waiting.into_iter().flatten()
    }

    /// Whether the interface is up and has a carrier; a missing one has neither.
    pub fn state(&self) -> link_watch::State {
        link_watch::state(self.index).unwrap_or_default()
    }
}

/// 0 stands for the system's default.
fn size(bytes: u32) -> Option<u32> {
    (bytes > 0).then_some(bytes)
}

fn group(link: &Link, family: Family, index: IfIndex) -> Group {
    let group = link.address.map(|a| a.value);
    match family {
        Family::V4 => {
            let v4 = |addr: Option<IpAddr>| match addr {
                Some(IpAddr::V4(a)) => a,
                _ => Ipv4Addr::UNSPECIFIED,
            };
            Group::V4(v4(group), v4(link.interface_address.map(|a| a.value)))
        }
        Family::V6 => {
            let group = match group {
                Some(IpAddr::V6(a)) => a,
                _ => Ipv6Addr::UNSPECIFIED,
            };
            Group::V6(group, index.get())
        }
    }
}

/// An address of the link's family; one of the other family counts as missing.
fn socket_address(addr: Option<IpAddr>, family: Family, port: u16, index: IfIndex) -> SocketAddr {
    let addr = addr
        .filter(|a| Family::of(a) == family)
        .unwrap_or_else(|| unspecified(family));
    match addr {
        IpAddr::V4(_) => SocketAddr::new(addr, port),
        IpAddr::V6(a) => SocketAddrV6::new(a, port, 0, index.get()).into(),
    }
}
