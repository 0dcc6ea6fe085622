//! Addresses, routes and rules in the kernel: puts them there, takes them away, notices when someone else does.
//!
//! ```text
//! Output::{Add, Remove} ─▶ add/remove ─▶ batch ─▶ flush ─▶ Requests ─▶ Refused objects
//! Monitor ─▶ receive ─▶ Interfaces, table of what is set ─▶ KernelEvent ─▶ Input::{Link, Removed}
//! ```
//! Answers to: keepalived 2.3.3 core/keepalived_netlink.c (log lines, which refusals are none, whose removals count).

mod addresses;
mod links;
mod news;
mod queue;
mod text;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::route_sock::{DATAGRAM_LEN, Group, Monitor, ReceiveBuffer, Requests};
use net_types::{IfIndex, SortedMap, SortedSet};
use netlink_wire::Batch;
use netlink_wire::address::RTM_GETADDR;
use netlink_wire::link::RTM_GETLINK;
use vrrp_proto::Object;
use vrrp_proto::config::{IfId, LinkFacts};

use super::interfaces::Interfaces;
use super::objects::Objects;

/// News for the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelEvent {
    /// An interface of the configuration has changed.
    Link(IfId, LinkFacts),
    /// The interface of that number has come up, whether of the configuration or not: what the kernel dropped in silence when it
    /// went down is to be restored.
    CameUp(u32),
    /// Someone else removed an object that we had added.
    Removed(Object),
}

/// Receive buffers of the two sockets (`vrrp_netlink_cmd_rcv_bufs`, `vrrp_netlink_monitor_rcv_bufs` and their `_force`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// The socket for requests.
    pub command: Option<ReceiveBuffer>,
    /// The socket for news.
    pub monitor: Option<ReceiveBuffer>,
}

/// A request that is in the batch.
#[derive(Clone, Copy, Debug)]
struct Pending {
    object: Object,
    add: bool,
    leftover: bool,
}

/// The kernel's tables as far as they concern us.
#[derive(Debug)]
pub struct Kernel {
    requests: Requests,
    monitor: Monitor,
    /// What the numbers of [`Object`] mean.
    pub objects: Objects,
    /// The interfaces of the namespace.
    pub interfaces: Interfaces,
    batch: Batch,
    /// Parallel to the requests in `batch`.
    pending: Vec<Pending>,
    answers: Vec<i32>,
    /// What we have added and nobody has removed, as far as we know, with the sequence number of its addition.
    set: SortedMap<Object, u32>,
    /// Removals of our own that the kernel will report without telling whose they are (IPv6 addresses).
    echoes: SortedMap<u32, u32>,
    /// Static objects, which are put back when they go, with their text for the log.
    statics: SortedMap<Object, Box<str>>,
    /// Found by [`Kernel::catch_up`], not yet told.
    held: Vec<KernelEvent>,
    /// [`Kernel::catch_up`] was called since [`Kernel::told`].
    untold: bool,
    /// Requests that were carried out since the news were last read; each makes some.
    unread: usize,
    buffer: Box<[u8]>,
    /// News of addresses are logged (`-a`); whether with the details of `-D`.
    pub address_news: Option<bool>,
}

impl Kernel {
    /// Opens both sockets and reads links and addresses. Intern the configuration's objects first, so that virtual addresses
    /// left over from an earlier run are not taken for the interfaces' own.
    pub fn open(objects: Objects, buffers: Buffers) -> io::Result<Self> {
        log!(Priority::Info, "Registering Kernel netlink reflector");
        let groups = [Group::Link, Group::V4Address, Group::V6Address];
        let monitor = Monitor::open(&groups, buffers.monitor).inspect_err(|_| {
            log!(
                Priority::Info,
                "Error while registering Kernel netlink reflector channel"
            );
        })?;
        log!(Priority::Info, "Registering Kernel netlink command channel");
        let requests = Requests::open(buffers.command).inspect_err(|_| {
            log!(
                Priority::Info,
                "Error while registering Kernel netlink cmd channel"
            );
        })?;
        let mut kernel = Self {
            requests,
            monitor,
            objects,
            interfaces: Interfaces::new(),
            batch: Batch::new(),
            pending: Vec::new(),
            answers: Vec::new(),
            set: SortedMap::new(),
            echoes: SortedMap::new(),
            statics: SortedMap::new(),
            held: Vec::new(),
            untold: false,
            unread: 0,
            buffer: vec![0; DATAGRAM_LEN].into_boxed_slice(),
            address_news: None,
        };
        kernel.watch_tables()?;
        kernel.read_interfaces()?;
        Ok(kernel)
    }

    /// Subscribes to news of routes and rules if there are any to watch. Call it after interning a new configuration.
    pub fn watch_tables(&self) -> io::Result<()> {
        let (routes, rules) = self.objects.kinds();
        let wanted = [
            (Group::V4Route, routes[0]),
            (Group::V6Route, routes[1]),
            (Group::V4Rule, rules[0]),
            (Group::V6Rule, rules[1]),
        ];
        wanted
            .into_iter()
            .try_for_each(|(group, on)| self.monitor.subscribe(group, on))
    }

    /// Reads links and addresses anew: after a reload, which changes what counts as our own address.
    pub fn read_interfaces(&mut self) -> io::Result<()> {
        self.interfaces.clear();
        for kind in [RTM_GETLINK, RTM_GETADDR] {
            self.requests.dump(kind, 0, |event| {
                self.interfaces.apply(&event, &self.objects);
            })?;
        }
        Ok(())
    }

    /// Whether the object is in the kernel because of us.
    pub fn is_set(&self, object: Object) -> bool {
        self.set.contains_key(&object)
    }

    /// Forgets objects that nobody uses any longer; `used` are those of the configuration. What is in the kernel stays known.
    pub fn forget_unused(&mut self, used: &SortedSet<Object>) {
        let Self {
            objects,
            set,
            echoes,
            statics,
            pending,
            ..
        } = self;
        objects.forget(|object| {
            let echo = matches!(object, Object::Address(n) if echoes.contains_key(&n));
            echo || used.contains(&object)
                || set.contains_key(&object)
                || statics.contains_key(&object)
                || pending.iter().any(|p| p.object == object)
        });
    }

    /// From now on a static object is put back whenever it goes. `text` describes it in `Restoring deleted static …`.
    pub fn watch_static(&mut self, object: Object, text: Box<str>) {
        self.statics.insert(object, text);
    }

    /// Nobody minds the absence of a static object any longer.
    pub fn forget_static(&mut self, object: Object) {
        self.statics.remove(&object);
    }

    /// Removes a static object and no longer minds its absence.
    pub fn remove_static(&mut self, object: Object) {
        self.statics.remove(&object);
        self.remove(object, false);
    }
}

impl AsFd for Kernel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.monitor.as_fd()
    }
}

/// The descriptor to wait for: readable when [`Kernel::receive`] has something.
impl AsRawFd for Kernel {
    fn as_raw_fd(&self) -> RawFd {
        self.monitor.as_raw_fd()
    }
}

/// The number of an interface as netlink has it.
pub fn index_of(facts: LinkFacts) -> u32 {
    facts.index.map_or(0, IfIndex::get)
}

#[cfg(test)]
mod tests;
