//! UDP multicast: the same sockets, with a group and an interface.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::sockopt;
use crate::udp_sock::{Receiver, Sender};

/// `IPV6_MULTICAST_ALL` of linux/in6.h, which libc has no name for on every target.
const IPV6_MULTICAST_ALL: libc::c_int = 29;

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

/// A receiver that joined `group`. It gets what is sent to the group and comes by its interface, nothing else: no unicast, and
/// nothing that another program (or another link of ours) joined the group for on another interface.
pub fn receiver(group: Group, port: u16, buffer: Option<u32>) -> io::Result<Receiver> {
    // The interface is part of the address only where the group belongs to one link.
    let local = match group {
        Group::V4(group, _) => SocketAddr::new(group.into(), port),
        Group::V6(group, index) => SocketAddrV6::new(group, port, 0, index).into(),
    };
    let receiver = Receiver::bind(local, buffer)?;
    match group {
        Group::V4(group, interface) => {
            sockopt::set_int(
                &receiver.socket,
                libc::IPPROTO_IP,
                libc::IP_MULTICAST_ALL,
                0,
            )?;
            receiver.socket.join_multicast_v4(&group, &interface)?;
        }
        Group::V6(group, index) => {
            // Kernels before 4.20 do not know it: there, the group's address alone decides.
            let level = libc::IPPROTO_IPV6;
            let _ = sockopt::set_int(&receiver.socket, level, IPV6_MULTICAST_ALL, 0);
            receiver.socket.join_multicast_v6(&group, index)?;
        }
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
    use crate::udp_sock::Room;

    #[test]
    fn hears_the_group_on_its_interface_and_nothing_else() {
        let group = Ipv4Addr::new(225, 0, 0, 77);
        let on_loopback = Group::V4(group, Ipv4Addr::LOCALHOST);
        let Ok(receiver) = receiver(on_loopback, 0, None) else {
            eprintln!("SKIPPED: no multicast on the loopback interface");
            return;
        };
        let port = receiver
            .socket
            .local_addr()
            .unwrap()
            .as_socket()
            .unwrap()
            .port();
        let sender = sender(on_loopback, port, None, true).unwrap();
        assert!(!sender.socket.multicast_loop_v4().unwrap());
        assert_eq!(sender.socket.multicast_ttl_v4().unwrap(), 1);
        let unicast = Sender::new((Ipv4Addr::LOCALHOST, port).into(), None, true).unwrap();
        // Nobody listens there, which may or may not be an error by now.
        let _ = unicast.send(b"x");
        let mut room = Room::new();
        assert_eq!(
            receiver.receive(&mut room, 1).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        // Its own datagrams are not looped back, so another socket speaks.
        let other = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if other.send_to(b"xyz", (group, port)).is_ok() {
            for _ in 0..1000 {
                match receiver.receive(&mut room, 1) {
                    Ok(_) => break,
                    Err(_) => std::thread::sleep(std::time::Duration::from_millis(1)),
                }
            }
            assert_eq!(room.datagrams().next(), Some(&b"xyz"[..]));
        }
    }
}
