//! Dedicated links: their sockets and the state of their interfaces.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use conf_parsers::conntrackd::{Link, LinkKind};
use linux_io::ifname;
use linux_io::link_watch;
use linux_io::mcast::{self, Group};
use linux_io::udp_sock::{Receiver, Sender};
use net_types::{Family, IfIndex};

use crate::lower::unspecified;

/// An open link.
pub struct Channel {
    sockets: Option<(Sender, Receiver)>,
    index: IfIndex,
    /// The interface's MTU when it was opened.
    pub mtu: u32,
}

impl Channel {
    /// Opens the sockets of `link`; its interface must exist.
    pub fn open(link: &Link) -> io::Result<Self> {
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
        let sockets = match link.kind {
            LinkKind::Multicast => {
                let group = group(link, family, index);
                Some((
                    mcast::sender(group, port, send, *link.checksum)?,
                    mcast::receiver(group, port, receive)?,
                ))
            }
            LinkKind::Udp => {
                let local = socket_address(link.address.map(|a| a.value), family, port, index);
                let peer = socket_address(link.destination.map(|a| a.value), family, port, index);
                Some((
                    Sender::new(peer, send, *link.checksum)?,
                    Receiver::bind(local, receive)?,
                ))
            }
            // Not implemented yet, which the start says: such a link is never connected.
            LinkKind::Tcp => None,
        };
        Ok(Self {
            sockets,
            index,
            mtu,
        })
    }

    /// Sends one datagram.
    pub fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        match &self.sockets {
            Some((sender, _)) => sender.send(datagram),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The socket that datagrams arrive at.
    pub fn receiver(&self) -> Option<&Receiver> {
        self.sockets.as_ref().map(|(_, receiver)| receiver)
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
