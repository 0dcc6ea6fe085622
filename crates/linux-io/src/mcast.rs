//! UDP multicast: the same sockets, with a group and an interface.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::udp_sock::{Receiver, Sender};

/// A group and the interface it is reached through.
#[derive(Clone, Copy, Debug)]
pub enum Group {
    /// IPv4: the interface is chosen by one of its addresses; unspecified: by the routing table.
    V4(Ipv4Addr, Ipv4Addr),
    /// IPv6: the interface is chosen by its index; 0: by the routing table.
    V6(Ipv6Addr, u32),
}

impl Group {
    fn address(self) -> IpAddr {
        match self {
            Self::V4(group, _) => group.into(),
            Self::V6(group, _) => group.into(),
        }
    }
}

/// A receiver that joined `group`. It is bound to the wildcard address, so it also gets unicast datagrams for `port`.
pub fn receiver(group: Group, port: u16, buffer: Option<u32>) -> io::Result<Receiver> {
    let any: IpAddr = match group {
        Group::V4(..) => Ipv4Addr::UNSPECIFIED.into(),
        Group::V6(..) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let receiver = Receiver::bind(SocketAddr::new(any, port), buffer)?;
    match group {
        Group::V4(group, interface) => receiver.socket.join_multicast_v4(&group, &interface)?,
        Group::V6(group, index) => receiver.socket.join_multicast_v6(&group, index)?,
    }
    Ok(receiver)
}

/// A sender to `group` whose datagrams are not looped back. They go one hop far, the system's default.
pub fn sender(group: Group, port: u16, buffer: Option<u32>, checksum: bool) -> io::Result<Sender> {
    let sender = Sender::new(SocketAddr::new(group.address(), port), buffer, checksum)?;
    match group {
        Group::V4(_, interface) => {
            sender.socket.set_multicast_loop_v4(false)?;
            sender.socket.set_multicast_if_v4(&interface)?;
        }
        Group::V6(_, index) => {
            sender.socket.set_multicast_loop_v6(false)?;
            sender.socket.set_multicast_if_v6(index)?;
        }
    }
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_nothing_back_and_hears_unicast_too() {
        let group = Group::V4(Ipv4Addr::new(225, 0, 0, 77), Ipv4Addr::LOCALHOST);
        let Ok(receiver) = receiver(group, 0, None) else {
            eprintln!("SKIPPED: no multicast on the loopback interface");
            return;
        };
        let sender = sender(group, 1, None, true).unwrap();
        assert!(!sender.socket.multicast_loop_v4().unwrap());
        assert_eq!(sender.socket.multicast_ttl_v4().unwrap(), 1);
        let port = receiver
            .socket
            .local_addr()
            .unwrap()
            .as_socket()
            .unwrap()
            .port();
        let unicast = Sender::new((Ipv4Addr::LOCALHOST, port).into(), None, true).unwrap();
        assert_eq!(unicast.send(b"x").unwrap(), 1);
        assert_eq!(receiver.receive(&mut [0; 4]).unwrap(), 1);
    }
}
