//! The Linux virtual server's requests and answers (`linux/ip_vs.h`, generic netlink family `IPVS`).
//!
//! ```text
//! NEW_SERVICE  [service]          NEW_DEST  [service key][destination]        NEW_DAEMON [daemon]
//! GET_SERVICE → [service, stats]  GET_DEST [service key] → [destination, stats]
//! ```
//! Ports are in network order, everything else is in the machine's own.

mod answer;
mod stats;
#[cfg(test)]
mod tests;

pub use stats::Stats;

use alloc::boxed::Box;
use core::net::{IpAddr, SocketAddr};
use net_types::Family;

use crate::framing::{Batch, F_ACK, F_DUMP};
use crate::genl;
use crate::nla::Writer;

/// The family's name.
pub const FAMILY_NAME: &str = "IPVS";
const VERSION: u8 = 1;

/// `IPVS_CMD_…`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    NewService = 1,
    SetService = 2,
    DeleteService = 3,
    GetService = 4,
    NewDestination = 5,
    SetDestination = 6,
    DeleteDestination = 7,
    GetDestination = 8,
    NewDaemon = 9,
    DeleteDaemon = 10,
    GetDaemon = 11,
    SetConfig = 12,
    GetConfig = 13,
    GetInfo = 15,
    Flush = 17,
}

const ATTR_SERVICE: u16 = 1;
const ATTR_DESTINATION: u16 = 2;
const ATTR_DAEMON: u16 = 3;
const ATTR_TIMEOUT_TCP: u16 = 4;
const ATTR_TIMEOUT_TCP_FIN: u16 = 5;
const ATTR_TIMEOUT_UDP: u16 = 6;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;

/// `IP_VS_SVC_F_PERSISTENT`
pub const F_PERSISTENT: u32 = 0x01;
/// `IP_VS_SVC_F_HASHED`: the kernel's own business.
pub const F_HASHED: u32 = 0x02;

/// What a virtual service stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceKey {
    /// Packets of a protocol to an address and port.
    Address {
        /// TCP 6, UDP 17, SCTP 132.
        protocol: u8,
        /// Where to.
        address: SocketAddr,
    },
    /// Packets with a firewall mark.
    Mark {
        /// Which packets.
        family: Family,
        /// The mark, never 0.
        mark: u32,
    },
}

impl ServiceKey {
    /// The family of its packets.
    pub fn family(&self) -> Family {
        match self {
            Self::Address { address, .. } => Family::of(&address.ip()),
            Self::Mark { family, .. } => *family,
        }
    }
}

/// A virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// What it stands for.
    pub key: ServiceKey,
    /// Name of the scheduler.
    pub scheduler: Box<str>,
    /// `IP_VS_SVC_F_…`
    pub flags: u32,
    /// Persistence in seconds; 0 without [`F_PERSISTENT`].
    pub timeout: u32,
    /// Clients that count as one: a netmask in network order for IPv4, a prefix length for IPv6.
    pub netmask: u32,
    /// Name of the persistence engine.
    pub engine: Option<Box<str>>,
}

impl Service {
    /// Netmask of one client each.
    pub const fn whole(family: Family) -> u32 {
        match family {
            Family::V4 => u32::MAX,
            Family::V6 => 128,
        }
    }
}

/// How packets reach a real server (`IP_VS_CONN_F_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Forwarding {
    /// Addresses are rewritten.
    Masquerading,
    /// It is this machine (only in answers).
    Local,
    /// In a tunnel.
    Tunnel(Tunnel),
    /// On the same link.
    DirectRouting,
    /// Past the servers (only in answers).
    Bypass,
}

/// The tunnel to a real server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tunnel {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// Where to.
        port: u16,
        /// Its checksum.
        checksum: Checksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// Its checksum.
        checksum: Checksum,
    },
}

/// Checksum of a tunnel's header (`IP_VS_TUNNEL_ENCAP_FLAG_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checksum {
    /// None.
    None = 0,
    /// One.
    Checksum = 1,
    /// Remote checksum offload.
    Remote = 2,
}

/// A real server of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Where it is. Its family may differ from the service's with a tunnel.
    pub address: SocketAddr,
    /// How packets get there.
    pub forwarding: Forwarding,
    /// Its share; 0: no new connections.
    pub weight: u32,
    /// Connections from which on it gets none; 0: no limit.
    pub upper_threshold: u32,
    /// Connections below which it gets some again; 0: three quarters of the other.
    pub lower_threshold: u32,
}

/// A real server as the kernel tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DestinationNow {
    /// As configured.
    pub destination: Destination,
    /// Connections that are open.
    pub active: u32,
    /// Connections that are closing.
    pub inactive: u32,
    /// Clients that stay with it.
    pub persistent: u32,
    /// Its traffic.
    pub stats: Stats,
}

/// A service as the kernel tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceNow {
    /// As configured.
    pub service: Service,
    /// Its traffic.
    pub stats: Stats,
}

/// Which side of the synchronisation (`IP_VS_STATE_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncState {
    /// Tells of connections.
    Master = 1,
    /// Learns of them.
    Backup = 2,
}

/// A synchronisation daemon in the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    /// Which side.
    pub state: SyncState,
    /// The interface it uses.
    pub interface: Box<str>,
    /// Number of its group of directors.
    pub id: u32,
    /// Largest datagram; 0: the kernel's choice.
    pub max_len: u16,
    /// The port; 0: 8848.
    pub port: u16,
    /// Time to live; 0: 1.
    pub ttl: u8,
    /// The multicast group; none: 224.0.0.81.
    pub group: Option<IpAddr>,
}

/// Seconds that connections live without packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP.
    pub tcp: u32,
    /// TCP after FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}

/// The family's number, to write requests with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipvs(pub u16);

impl Ipvs {
    fn push(
        self,
        batch: &mut Batch,
        command: Command,
        flags: u16,
        body: impl FnOnce(&mut Writer<'_>),
    ) {
        genl::push(batch, self.0, flags, command as u8, VERSION, body);
    }

    /// Asks for version and table size: whether the module is there.
    pub fn push_get_info(self, batch: &mut Batch) {
        self.push(batch, Command::GetInfo, F_ACK, |_| {});
    }

    /// Removes all services.
    pub fn push_flush(self, batch: &mut Batch) {
        self.push(batch, Command::Flush, F_ACK, |_| {});
    }

    /// Adds a service.
    pub fn push_new_service(self, batch: &mut Batch, service: &Service) {
        self.push(batch, Command::NewService, F_ACK, |w| {
            w.nest(ATTR_SERVICE | NESTED, |w| service.write(w));
        });
    }

    /// Changes a service; its real servers and connections stay.
    pub fn push_set_service(self, batch: &mut Batch, service: &Service) {
        self.push(batch, Command::SetService, F_ACK, |w| {
            w.nest(ATTR_SERVICE | NESTED, |w| service.write(w));
        });
    }

    /// Removes a service and its real servers.
    pub fn push_delete_service(self, batch: &mut Batch, service: &Service) {
        self.push(batch, Command::DeleteService, F_ACK, |w| {
            w.nest(ATTR_SERVICE | NESTED, |w| service.write(w));
        });
    }

    /// Adds a real server. Of the service only the key matters.
    pub fn push_new_destination(self, batch: &mut Batch, service: &Service, to: &Destination) {
        self.destination(batch, Command::NewDestination, service, to);
    }

    /// Changes a real server.
    pub fn push_set_destination(self, batch: &mut Batch, service: &Service, to: &Destination) {
        self.destination(batch, Command::SetDestination, service, to);
    }

    /// Removes a real server; its connections end as they will.
    pub fn push_delete_destination(self, batch: &mut Batch, service: &Service, to: &Destination) {
        self.destination(batch, Command::DeleteDestination, service, to);
    }

    fn destination(self, batch: &mut Batch, command: Command, service: &Service, to: &Destination) {
        self.push(batch, command, F_ACK, |w| {
            w.nest(ATTR_SERVICE | NESTED, |w| service.write_bare(w));
            w.nest(ATTR_DESTINATION | NESTED, |w| to.write(w));
        });
    }

    /// Asks for all services.
    pub fn push_dump_services(self, batch: &mut Batch) {
        self.push(batch, Command::GetService, F_DUMP, |_| {});
    }

    /// Asks for one service.
    pub fn push_get_service(self, batch: &mut Batch, key: &ServiceKey) {
        self.push(batch, Command::GetService, F_ACK, |w| {
            w.nest(ATTR_SERVICE | NESTED, |w| write_key(w, key));
        });
    }

    /// Asks for a service's real servers.
    pub fn push_dump_destinations(self, batch: &mut Batch, key: &ServiceKey) {
        self.push(batch, Command::GetDestination, F_DUMP, |w| {
            w.nest(ATTR_SERVICE | NESTED, |w| write_key(w, key));
        });
    }

    /// Starts a synchronisation daemon.
    pub fn push_start_daemon(self, batch: &mut Batch, daemon: &Daemon) {
        self.push(batch, Command::NewDaemon, F_ACK, |w| {
            w.nest(ATTR_DAEMON | NESTED, |w| daemon.write(w));
        });
    }

    /// Stops one.
    pub fn push_stop_daemon(self, batch: &mut Batch, state: SyncState, id: u32) {
        self.push(batch, Command::DeleteDaemon, F_ACK, |w| {
            w.nest(ATTR_DAEMON | NESTED, |w| {
                w.u32(1, state as u32);
                w.u32(3, id);
            });
        });
    }

    /// Asks for the daemons.
    pub fn push_dump_daemons(self, batch: &mut Batch) {
        self.push(batch, Command::GetDaemon, F_DUMP, |_| {});
    }

    /// Sets all three timeouts.
    pub fn push_set_timeouts(self, batch: &mut Batch, timeouts: &Timeouts) {
        self.push(batch, Command::SetConfig, F_ACK, |w| {
            w.u32(ATTR_TIMEOUT_TCP, timeouts.tcp);
            w.u32(ATTR_TIMEOUT_TCP_FIN, timeouts.tcp_fin);
            w.u32(ATTR_TIMEOUT_UDP, timeouts.udp);
        });
    }

    /// Asks for them.
    pub fn push_get_timeouts(self, batch: &mut Batch) {
        self.push(batch, Command::GetConfig, F_ACK, |_| {});
    }
}

fn write_key(w: &mut Writer<'_>, key: &ServiceKey) {
    w.u16(1, key.family().af().into());
    match key {
        ServiceKey::Mark { mark, .. } => w.u32(5, *mark),
        ServiceKey::Address { protocol, address } => {
            w.u16(2, (*protocol).into());
            w.bytes(3, &padded(address.ip()));
            w.bytes(4, &address.port().to_be_bytes());
        }
    }
}

/// An address in the room of the longest (`union nf_inet_addr`).
fn padded(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V6(a) => a.octets(),
        IpAddr::V4(a) => {
            let mut room = [0; 16];
            for (to, from) in room.iter_mut().zip(a.octets()) {
                *to = from;
            }
            room
        }
    }
}

impl Service {
    fn write(&self, w: &mut Writer<'_>) {
        let engine = self.engine.as_deref();
        self.write_with(w, engine, self.flags, self.timeout, self.netmask);
    }

    /// In front of a real server: persistence is left out, as the original does. The kernel looks at the key only.
    fn write_bare(&self, w: &mut Writer<'_>) {
        let whole = Self::whole(self.key.family());
        self.write_with(w, None, self.flags & !F_PERSISTENT, 0, whole);
    }

    fn write_with(
        &self,
        w: &mut Writer<'_>,
        engine: Option<&str>,
        flags: u32,
        timeout: u32,
        netmask: u32,
    ) {
        write_key(w, &self.key);
        w.text(6, &self.scheduler);
        if let Some(engine) = engine {
            w.text(11, engine);
        }
        // Flags, and a mask of those that are meant.
        let mut both = [0xff; 8];
        for (to, from) in both.iter_mut().zip(flags.to_ne_bytes()) {
            *to = from;
        }
        w.bytes(7, &both);
        w.u32(8, timeout);
        w.u32(9, netmask);
    }
}

impl Destination {
    fn write(&self, w: &mut Writer<'_>) {
        w.u16(11, Family::of(&self.address.ip()).af().into());
        w.bytes(1, &padded(self.address.ip()));
        w.bytes(2, &self.address.port().to_be_bytes());
        w.u32(3, self.forwarding.number());
        w.u32(4, self.weight);
        if let Forwarding::Tunnel(tunnel) = self.forwarding {
            match tunnel {
                Tunnel::Ipip => w.u8(13, 0),
                Tunnel::Gue { port, checksum } => {
                    w.u8(13, 1);
                    w.bytes(14, &port.to_be_bytes());
                    w.u16(15, checksum as u16);
                }
                Tunnel::Gre { checksum } => {
                    w.u8(13, 2);
                    w.u16(15, checksum as u16);
                }
            }
        }
        w.u32(5, self.upper_threshold);
        w.u32(6, self.lower_threshold);
    }
}

impl Forwarding {
    const fn number(self) -> u32 {
        match self {
            Self::Masquerading => 0,
            Self::Local => 1,
            Self::Tunnel(_) => 2,
            Self::DirectRouting => 3,
            Self::Bypass => 4,
        }
    }
}

impl Daemon {
    fn write(&self, w: &mut Writer<'_>) {
        w.u32(1, self.state as u32);
        w.text(2, &self.interface);
        w.u32(3, self.id);
        if self.max_len > 0 {
            w.u16(4, self.max_len);
        }
        if self.port > 0 {
            w.u16(7, self.port);
        }
        if self.ttl > 0 {
            w.u8(8, self.ttl);
        }
        match self.group {
            Some(IpAddr::V4(a)) => w.bytes(5, &a.octets()),
            Some(IpAddr::V6(a)) => w.bytes(6, &a.octets()),
            None => {}
        }
    }
}
