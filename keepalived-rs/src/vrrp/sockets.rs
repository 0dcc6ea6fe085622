//! The VRRP sockets: opens what the core wants, closes what it no longer wants, opens again when an interface comes back.

use std::io;
use std::os::fd::AsRawFd;

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::epoll::ReadSet;
use linux_io::vrrp_sock::{Burst, Channel, Device, OpenError, Receiver, Route, Sender, Spec, Step};
use net_types::{Family, IfIndex};
use netlink_wire::Link;
use nix::errno::Errno;
use vrrp_proto::output::Transmit;
use vrrp_proto::status::Socket;
use vrrp_proto::{InstanceId, SocketId};

use super::interfaces::Interfaces;

/// `IPPROTO_VRRP`, or `IPPROTO_AH` with an authentication header.
const fn protocol(socket: &Socket) -> u8 {
    if socket.ah { 51 } else { 112 }
}

/// Both sockets of one entry, or why there are none.
#[derive(Debug)]
struct Pair {
    wanted: Socket,
    /// The number of the interface they are bound to; 0 without one.
    index: u32,
    /// Receive buffer that was asked for, 0 for the kernel's.
    buffer: u32,
    receiver: Option<Receiver>,
    sender: Option<Sender>,
}

/// What [`Sockets::refresh`] found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The local unicast address is not there: instances on the socket have no source.
    NoSource(SocketId),
}

/// All sockets, by [`SocketId`].
#[derive(Debug)]
pub struct Sockets {
    pairs: Vec<Pair>,
    /// Readable while a receiver is; its numbers are those of [`SocketId`].
    readable: ReadSet,
    tokens: Vec<u32>,
    /// Adverts on their way out.
    queue: Vec<Queued>,
}

#[derive(Debug)]
struct Queued {
    socket: SocketId,
    advert: Transmit,
    /// The interface it leaves by (for IPv6).
    leaving: Option<IfIndex>,
    /// That interface is up.
    up: bool,
}

impl Sockets {
    /// No socket yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            pairs: Vec::new(),
            readable: ReadSet::new()?,
            tokens: Vec::new(),
            queue: Vec::new(),
        })
    }

    /// Makes the sockets those that the core wants ([`vrrp_proto::Router::sockets`]), on the interfaces as they are now.
    /// Call it at start, after a reload and after every change of a link. Sockets that fit stay open.
    pub fn refresh(
        &mut self,
        wanted: &[Socket],
        interfaces: &Interfaces,
        receive_buffer: impl Fn(SocketId) -> u32,
        mut trouble: impl FnMut(Trouble),
    ) {
        let mut old = std::mem::take(&mut self.pairs);
        for (at, want) in wanted.iter().enumerate() {
            let id = SocketId(u16::try_from(at).unwrap_or(u16::MAX));
            let link = want.interface.or(want.vrf);
            let link = link.and_then(|i| interfaces.link(i));
            let index = link.map_or(0, |l| l.index);
            // Without its interface a socket is of no use.
            let needs = want.interface.or(want.vrf);
            let possible = needs.is_none() || link.is_some();
            let fits = |p: &Pair| p.wanted == *want && p.index == index && p.receiver.is_some();
            let kept = old.iter().position(fits).filter(|_| possible);
            let pair = match kept {
                Some(at) => {
                    let pair = old.swap_remove(at);
                    // Its number may be another one now.
                    if let Some(receiver) = &pair.receiver {
                        let _ = self.readable.remove(receiver);
                    }
                    pair
                }
                None if possible => open(want, link, interfaces, receive_buffer(id), || {
                    trouble(Trouble::NoSource(id));
                }),
                None => closed(want),
            };
            if let Some(receiver) = &pair.receiver {
                if let Err(e) = self.readable.add(receiver, u32::from(id.0)) {
                    log!(Priority::Info, "cannot watch VRRP socket - {e}");
                }
            }
            self.pairs.push(pair);
        }
    }

    /// Gives open sockets other receive buffers.
    pub fn resize(&mut self, receive_buffer: impl Fn(SocketId) -> u32) {
        for (id, pair) in (0_u16..).map(SocketId).zip(&mut self.pairs) {
            let Some(receiver) = &pair.receiver else {
                continue;
            };
            let wanted = receive_buffer(id);
            if wanted == pair.buffer || wanted == 0 {
                continue;
            }
            pair.buffer = wanted;
            if let Err(e) = receiver.set_receive_buffer(wanted) {
                let errno = e.raw_os_error().unwrap_or(0);
                log!(
                    Priority::Info,
                    "vrrp update receive socket buffer size error {errno}"
                );
            }
        }
    }

    /// The descriptor to wait for.
    pub const fn readable(&self) -> &ReadSet {
        &self.readable
    }

    /// Sockets that have packets now, or may have: a single one is not asked first. Whether there may be more than these.
    pub fn ready(&mut self) -> io::Result<(Vec<SocketId>, bool)> {
        let mut open = (0_u16..)
            .zip(&self.pairs)
            .filter(|(_, p)| p.receiver.is_some());
        if let (Some((only, _)), None) = (open.next(), open.next()) {
            return Ok((vec![SocketId(only)], false));
        }
        let more = self.readable.ready(&mut self.tokens)?;
        let ids = self.tokens.iter().filter_map(|t| u16::try_from(*t).ok());
        Ok((ids.map(SocketId).collect(), more))
    }

    /// Takes packets that wait on a socket; whether more may wait.
    pub fn receive(&self, id: SocketId, burst: &mut Burst) -> bool {
        let receiver = self.pairs.get(id.index()).and_then(|p| p.receiver.as_ref());
        let Some(receiver) = receiver else {
            burst.clear();
            return false;
        };
        match receiver.receive(burst) {
            Ok(got) => got == burst.most(),
            Err(e) => {
                let errno = e.raw_os_error().unwrap_or(0);
                let text = Errno::from_raw(errno).desc();
                log!(
                    Priority::Info,
                    "recvmsg({}) returned {errno} ({text})",
                    receiver.as_raw_fd()
                );
                false
            }
        }
    }

    /// Both descriptors of a socket as the dumps show them; −1 for what is not open.
    pub fn descriptors(&self, id: SocketId) -> (i32, i32) {
        let pair = self.pairs.get(id.index());
        let receiver = pair
            .and_then(|p| p.receiver.as_ref())
            .map_or(-1, AsRawFd::as_raw_fd);
        let sender = pair
            .and_then(|p| p.sender.as_ref())
            .map_or(-1, AsRawFd::as_raw_fd);
        (receiver, sender)
    }

    /// The number of the interface a socket is bound to, 0 for none.
    pub fn interface_index(&self, id: SocketId) -> u32 {
        self.pairs.get(id.index()).map_or(0, |p| p.index)
    }

    /// `VRRP sockpool: […]`, the line that is logged for each socket at start.
    pub fn describe(&self, id: SocketId) -> Option<String> {
        let pair = self.pairs.get(id.index())?;
        let (receiver, sender) = self.descriptors(id);
        let family = match pair.wanted.family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        let (kind, address) = match (pair.wanted.unicast_source, pair.wanted.group) {
            (Some(source), _) => (", un", source.to_string()),
            (None, group) => ("mult", group.map_or_else(String::new, |g| g.to_string())),
        };
        Some(format!(
            "VRRP sockpool: [ifindex({:3}), family({family}), proto({}), fd({receiver},{sender}) {kind}icast, address({address})]",
            pair.index,
            protocol(&pair.wanted)
        ))
    }

    /// Queues an advert of an instance whose socket is `id` and which leaves by the interface `leaving` (for IPv6). `up`: whether that
    /// interface is up. [`Self::flush`] sends it.
    pub fn queue(&mut self, id: SocketId, advert: Transmit, leaving: Option<IfIndex>, up: bool) {
        self.queue.push(Queued {
            socket: id,
            advert,
            leaving,
            up,
        });
    }

    /// Number of adverts that are queued.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Sends what is queued, in order; adverts of sockets that are not open are dropped. `name` knows the instances.
    pub fn flush<'n>(&mut self, name: impl Fn(InstanceId) -> &'n str) {
        if self.queue.is_empty() {
            return;
        }
        for run in self.queue.chunk_by(|a, b| a.socket == b.socket) {
            let pair = run.first().and_then(|q| self.pairs.get(q.socket.index()));
            let Some(sender) = pair.and_then(|p| p.sender.as_ref()) else {
                continue;
            };
            let packets: Vec<(&[u8], Route)> = run.iter().map(packet).collect();
            sender.send_burst(&packets, |at, error| {
                if let Some(queued) = run.get(at) {
                    report_unsent(name(queued.advert.instance), queued, &error);
                }
            });
        }
        self.queue.clear();
    }
}

fn packet(queued: &Queued) -> (&[u8], Route) {
    let advert = &queued.advert;
    let route = Route {
        destination: advert.destination,
        source: match advert.source {
            Some(std::net::IpAddr::V6(source)) => Some(source),
            _ => None,
        },
        interface: queued.leaving,
        hop_limit: (!advert.multicast).then_some(advert.hop_limit),
        direct: advert.multicast,
    };
    (&advert.bytes, route)
}

fn report_unsent(name: &str, queued: &Queued, error: &io::Error) {
    let advert = &queued.advert;
    let errno = error.raw_os_error().unwrap_or(0);
    // Giving up over a dead interface is no news.
    if advert.priority == 0 && errno == Errno::ENETUNREACH as i32 && !queued.up {
        return;
    }
    let text = Errno::from_raw(errno).desc();
    if advert.multicast {
        log!(
            Priority::Info,
            "({name}): send advert error {errno} ({text})"
        );
    } else {
        log!(
            Priority::Info,
            "({name}) Cant send advert to {} ({text})",
            advert.destination
        );
    }
}

fn closed(wanted: &Socket) -> Pair {
    Pair {
        wanted: wanted.clone(),
        index: 0,
        buffer: 0,
        receiver: None,
        sender: None,
    }
}

fn open(
    want: &Socket,
    link: Option<&Link>,
    interfaces: &Interfaces,
    buffer: u32,
    no_source: impl FnOnce(),
) -> Pair {
    let mut pair = closed(want);
    let channel = match (want.unicast_source, want.group) {
        (Some(source), _) => Channel::Unicast(source),
        (None, Some(group)) => Channel::Multicast(group),
        // The source of a unicast instance is not known yet.
        (None, None) => return pair,
    };
    // Without an interface the link is the VRF itself.
    let own = link.filter(|_| want.interface.is_some());
    let device = own.and_then(device_of);
    let master = own
        .and_then(|l| l.master)
        .and_then(|m| interfaces.by_index(m));
    let vrf = match want.interface {
        Some(_) => master.filter(|m| matches!(m.kind, netlink_wire::link::Kind::Vrf { .. })),
        None => link,
    };
    let spec = Spec {
        protocol: protocol(want),
        channel,
        device,
        vrf: vrf.and_then(device_of),
        receive_buffer: buffer,
    };
    pair.index = link.map_or(0, |l| l.index);
    pair.buffer = buffer;
    match Receiver::open(&spec, |e| report(&spec, &e)) {
        Ok(receiver) => pair.receiver = Some(receiver),
        Err(e) => {
            report(&spec, &e);
            if matches!(e.step, Step::BindSource | Step::Vrf) {
                no_source();
            }
            return pair;
        }
    }
    match Sender::open(&spec, |e| report(&spec, &e)) {
        Ok(sender) => pair.sender = Some(sender),
        Err(e) => report(&spec, &e),
    }
    pair
}

fn device_of(link: &Link) -> Option<Device<'_>> {
    Some(Device {
        name: &link.name,
        index: IfIndex::new(link.index)?,
    })
}

/// The original's line for each step that can fail.
fn report(spec: &Spec<'_>, failed: &OpenError) {
    let errno = failed.error.raw_os_error().unwrap_or(0);
    let text = Errno::from_raw(errno).desc();
    let version = match spec.channel.family() {
        Family::V4 => "",
        Family::V6 => "V6",
    };
    let name = spec.device.map_or("", |d| d.name);
    match (failed.step, spec.channel) {
        (Step::Open, _) => log!(Priority::Info, "cant open raw socket. errno={errno}"),
        (Step::Option("RCVBUF"), _) => {
            log!(
                Priority::Info,
                "vrrp set receive socket buffer size error {errno}"
            );
        }
        (Step::Option("HDRINCL"), _) => {
            log!(
                Priority::Info,
                "cant set HDRINCL IP option. errno={errno} ({text})"
            );
        }
        (Step::Option("FREEBIND"), _) => {
            log!(
                Priority::Info,
                "IP{version}_FREEBIND failed {errno} - {text}"
            );
        }
        (Step::Option(option @ ("RECVHOPLIMIT" | "RECVPKTINFO")), _) => {
            log!(Priority::Info, "set IPV6_{option} error {errno} ({text})");
        }
        (Step::Option(option), _) => {
            log!(
                Priority::Info,
                "cant set IP{version}_{option} IP option. errno={errno} ({text})"
            );
        }
        (Step::Join, Channel::Multicast(group) | Channel::Unicast(group)) => {
            let version = version.to_lowercase();
            log!(
                Priority::Info,
                "({name}) cant do IP{version}_ADD_MEMBERSHIP {group} errno={text} ({errno})"
            );
        }
        (Step::Device, _) => {
            log!(
                Priority::Info,
                "can't bind to device {name}. errno={errno}. (try to run it as root)"
            );
        }
        (Step::Vrf, _) => {
            let vrf = spec.vrf.map_or("", |d| d.name);
            log!(Priority::Info, "bind to VRF {vrf} failed {errno} - {text}");
        }
        (Step::BindGroup, _) => log!(Priority::Info, "bind for multicast failed {errno} - {text}"),
        (Step::BindSource, Channel::Multicast(source) | Channel::Unicast(source)) => {
            log!(
                Priority::Info,
                "bind unicast_src {source} failed {errno} - {text}"
            );
        }
    }
}

#[cfg(test)]
mod tests;
