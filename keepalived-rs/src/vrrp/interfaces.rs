//! The interfaces of the network namespace with their addresses, kept up to date by the kernel's news.
//!
//! In: [`Event`]s of links and addresses. Out: [`LinkFacts`] of the interfaces that the configuration names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use daemon_rt::log;
use daemon_rt::log::Priority;
use net_types::{IfIndex, SortedMap, SortedSet};
use netlink_wire::address::F_TENTATIVE;
use netlink_wire::link::{Kind, LinkAddr};
use netlink_wire::{Address, Event, Link};
use vrrp_proto::config::{IfId, LinkFacts};

use super::objects::Objects;

/// `RT_SCOPE_LINK`
const SCOPE_LINK: u8 = 253;

#[derive(Debug)]
struct Entry {
    link: Link,
    /// Addresses that are none of ours, the one in use first.
    v4: Vec<Ipv4Addr>,
    /// The same for link-local IPv6 addresses.
    v6: Vec<Ipv6Addr>,
}

#[derive(Debug)]
struct Watched {
    name: Box<str>,
    facts: LinkFacts,
}

/// All interfaces, and which of them the core wants to hear about.
#[derive(Debug, Default)]
pub struct Interfaces {
    links: SortedMap<u32, Entry>,
    /// In the order of [`IfId`].
    watched: Vec<Watched>,
    /// Names of those that we make. Theirs is their own state: what they stand on is looked at by itself.
    ours: Vec<Box<str>>,
    /// Interfaces whose state is polled: the kernel's word about it does not count. Up, if known.
    polled: SortedMap<Box<str>, bool>,
    /// Numbers of those that have come, or changed their name, since the start.
    come: SortedSet<u32>,
    /// `-D`: other link-layer addresses are logged.
    detail: bool,
}

impl Interfaces {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether details are logged.
    pub fn set_detail(&mut self, detail: bool) {
        self.detail = detail;
    }

    /// Makes these the interfaces of the configuration, in the order of its [`IfId`]s.
    pub fn watch<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        let watched = names.into_iter().map(|name| Watched {
            name: name.into(),
            facts: self.facts_by_name(name),
        });
        self.watched = watched.collect();
    }

    /// What the kernel says about the interface of that name; all empty while there is none.
    pub fn facts_by_name(&self, name: &str) -> LinkFacts {
        let Some(entry) = self.links.values().find(|e| &*e.link.name == name) else {
            return LinkFacts::default();
        };
        LinkFacts {
            index: IfIndex::new(entry.link.index),
            up: self.is_up(&entry.link),
            flags: entry.link.flags,
            mac: entry.link.address.mac().unwrap_or_default(),
            v4: entry.v4.first().copied(),
            v6: entry.v6.first().copied(),
            base: entry
                .link
                .base()
                .filter(|_| entry.link.kind.is_mac_or_ip_vlan())
                .and_then(IfIndex::new),
            changeable: entry.link.kind != Kind::Physical,
        }
    }

    /// Makes these the names of interfaces of our own.
    pub fn set_ours(&mut self, names: Vec<Box<str>>) {
        self.ours = names;
    }

    /// A link-local address that we have given an interface. The kernel tells of it only when the device is ready, but it can
    /// be used.
    pub fn assume(&mut self, index: u32, address: Ipv6Addr) {
        if let Some(entry) = self.links.get_mut(&index) {
            if !entry.v6.contains(&address) {
                entry.v6.push(address);
            }
        }
    }

    /// Whether an interface of that name is one that we make.
    pub fn is_made_by_us(&self, name: &str) -> bool {
        self.ours.iter().any(|n| **n == *name)
    }

    /// Makes these the interfaces whose state is polled, and whether they are up.
    pub fn set_polled(&mut self, polled: SortedMap<Box<str>, bool>) {
        self.polled = polled;
    }

    /// A polled interface was looked at. Nothing happens for others.
    pub fn polled(&mut self, name: &str, up: bool) {
        if let Some(state) = self.polled.get_mut(name) {
            *state = up;
        }
    }

    /// The interface of that name.
    pub fn by_name(&self, name: &str) -> Option<&Link> {
        self.links
            .values()
            .map(|e| &e.link)
            .find(|l| &*l.name == name)
    }

    /// Whether the interface of that name is up, and what it stands on too.
    pub fn carries(&self, name: &str) -> bool {
        let Some(link) = self.by_name(name) else {
            return false;
        };
        let below = link.base().filter(|_| link.kind.is_mac_or_ip_vlan());
        let below = below.and_then(|index| self.by_index(index));
        self.is_up(link) && below.is_none_or(Link::is_up)
    }

    /// The interface of that number.
    pub fn by_index(&self, index: u32) -> Option<&Link> {
        self.links.get(&index).map(|e| &e.link)
    }

    /// All interfaces, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values().map(|e| &e.link)
    }

    /// The addresses of an interface that are none of ours: IPv4, and link-local IPv6; the one in use first.
    pub fn addresses(&self, index: u32) -> (&[Ipv4Addr], &[Ipv6Addr]) {
        let entry = self.links.get(&index);
        entry.map_or((&[], &[]), |e| (&e.v4, &e.v6))
    }

    /// A watched interface, while it exists.
    pub fn link(&self, id: IfId) -> Option<&Link> {
        let index = self.facts(id)?.index?;
        self.by_index(index.get())
    }

    /// The name of a watched interface.
    pub fn name(&self, id: IfId) -> Option<&str> {
        self.watched.get(id.index()).map(|w| &*w.name)
    }

    /// The latest facts of a watched interface that were told or asked for.
    pub fn facts(&self, id: IfId) -> Option<LinkFacts> {
        self.watched.get(id.index()).map(|w| w.facts)
    }

    /// Forgets all links, before a dump. What is watched stays.
    pub(super) fn clear(&mut self) {
        self.links.clear();
    }

    /// Before a piece of news is taken in: remembers an interface that was not there before under this name.
    pub(super) fn note_arrival(&mut self, event: &Event) {
        match event {
            Event::Link(link)
                if self
                    .by_index(link.index)
                    .is_none_or(|l| l.name != link.name) =>
            {
                self.come.insert(link.index);
            }
            Event::LinkGone(link) => {
                self.come.remove(&link.index);
            }
            _ => {}
        }
    }

    /// Whether the interface of that number has come, or changed its name, since the start.
    pub fn has_come(&self, index: u32) -> bool {
        self.come.contains(&index)
    }

    /// Takes a piece of news in; `false` when it is not about links or their own addresses.
    pub(super) fn apply(&mut self, event: &Event, objects: &Objects) -> bool {
        match event {
            // A wireless event that changes nothing.
            Event::Link(link) if link.wireless && link.change == 0 => false,
            Event::Link(link) => {
                let entry = self.links.or_insert_with(link.index, || Entry {
                    link: link.clone(),
                    v4: Vec::new(),
                    v6: Vec::new(),
                });
                if entry.link.name != link.name {
                    log!(
                        Priority::Info,
                        "Interface name has changed from {} to {}",
                        entry.link.name,
                        link.name
                    );
                }
                let (old, new) = (entry.link.address, link.address);
                let watched = || self.watched.iter().any(|w| *w.name == *link.name);
                if self.detail && old != new && watched() {
                    let name = &link.name;
                    let shown = |address: LinkAddr| match address.as_bytes() {
                        [] => "none".to_owned(),
                        _ => address.to_string(),
                    };
                    let (old, new) = (shown(old), shown(new));
                    log!(
                        Priority::Info,
                        "({name}) MAC Address changed from {old} to {new}"
                    );
                }
                entry.link.clone_from(link);
                true
            }
            Event::LinkGone(link) => self.links.remove(&link.index).is_some(),
            Event::Address(address) => self.address_came(address, objects),
            Event::AddressGone(address) => self.address_went(address),
            _ => false,
        }
    }

    fn address_came(&mut self, address: &Address, objects: &Objects) -> bool {
        if address.flags & F_TENTATIVE != 0 || self.is_ours(address, objects) {
            return false;
        }
        let Some(entry) = self.links.get_mut(&address.index) else {
            return false;
        };
        match address.local {
            IpAddr::V4(ip) if !entry.v4.contains(&ip) => entry.v4.push(ip),
            IpAddr::V6(ip) if address.scope == SCOPE_LINK && !entry.v6.contains(&ip) => {
                entry.v6.push(ip)
            }
            _ => return false,
        }
        true
    }

    fn address_went(&mut self, address: &Address) -> bool {
        let Some(entry) = self.links.get_mut(&address.index) else {
            return false;
        };
        match address.local {
            IpAddr::V4(ip) => take(&mut entry.v4, ip),
            IpAddr::V6(ip) => take(&mut entry.v6, ip),
        }
    }

    /// One of the configuration's virtual addresses, on its interface or the one under it.
    fn is_ours(&self, address: &Address, objects: &Objects) -> bool {
        objects.addresses_like(address.local).any(|(_, object)| {
            let Some(link) = self.by_name(&object.interface) else {
                return false;
            };
            link.index == address.index || link.lower == Some(address.index)
        })
    }

    /// Watched interfaces whose facts have changed since they were last told. An interface that is up only counts as up
    /// when the one under it is up too.
    pub(super) fn take_changes(&mut self, mut each: impl FnMut(IfId, LinkFacts)) {
        for at in 0..self.watched.len() {
            let Some(name) = self.watched.get(at).map(|w| w.name.clone()) else {
                return;
            };
            let facts = self.facts_by_name(&name);
            if let (Some(watched), Ok(id)) = (self.watched.get_mut(at), u16::try_from(at)) {
                if watched.facts != facts {
                    watched.facts = facts;
                    each(IfId(id), facts);
                }
            }
        }
    }

    fn is_up(&self, link: &Link) -> bool {
        if let Some(up) = self.polled.get(&link.name) {
            return *up;
        }
        let stacked = link.kind.is_mac_or_ip_vlan() || matches!(link.kind, Kind::Vlan { .. });
        let lower = link
            .base()
            .filter(|_| stacked && !self.is_made_by_us(&link.name));
        let lower = lower.and_then(|index| self.by_index(index));
        link.is_up() && lower.is_none_or(Link::is_up)
    }
}

/// Removes an address. As in the original, the *last* of the others takes the place of the one in use.
fn take<T: PartialEq + Copy>(list: &mut Vec<T>, gone: T) -> bool {
    let Some(at) = list.iter().position(|a| *a == gone) else {
        return false;
    };
    if at == 0 {
        list.swap_remove(0);
    } else {
        list.remove(at);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrrp::objects::AddressObject;
    use netlink_wire::LinkAddr;
    use netlink_wire::link::{DevConf, IFF_RUNNING, IFF_UP};

    fn link(index: u32, name: &str, flags: u32) -> Link {
        Link {
            index,
            name: name.into(),
            flags,
            change: u32::MAX,
            hw_type: 1,
            address: LinkAddr::new(&[2, 0, 0, 0, 0, 1]).unwrap(),
            broadcast: LinkAddr::new(&[0xff; 6]).unwrap(),
            mtu: 1500,
            lower: None,
            lower_netns: None,
            settings: DevConf::default(),
            master: None,
            kind: Kind::Physical,
            operstate: 6,
            carrier: Some(true),
            group: 0,
            wireless: false,
        }
    }

    fn changes(interfaces: &mut Interfaces) -> Vec<(u16, LinkFacts)> {
        let mut found = Vec::new();
        interfaces.take_changes(|id, facts| found.push((id.0, facts)));
        found
    }

    const UP: u32 = IFF_UP | IFF_RUNNING;

    #[test]
    fn facts_follow_the_news() {
        let objects = Objects::new();
        let mut table = Interfaces::new();
        table.watch(["eth1", "eth0"]);
        table.apply(&Event::Link(link(2, "eth0", UP)), &objects);
        table.apply(
            &Event::Address(Address::new(2, "10.0.0.2".parse().unwrap(), 24)),
            &objects,
        );
        table.apply(
            &Event::Address(Address::new(2, "10.0.0.3".parse().unwrap(), 24)),
            &objects,
        );
        table.apply(
            &Event::Address(Address::new(2, "10.0.0.4".parse().unwrap(), 24)),
            &objects,
        );
        let told = changes(&mut table);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].0, told[0].1.index), (1, IfIndex::new(2)));
        assert!(told[0].1.up);
        assert_eq!(told[0].1.v4, Some(Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(changes(&mut table), []);
        table.apply(
            &Event::AddressGone(Address::new(2, "10.0.0.2".parse().unwrap(), 24)),
            &objects,
        );
        assert_eq!(
            changes(&mut table)[0].1.v4,
            Some(Ipv4Addr::new(10, 0, 0, 4))
        );
        table.apply(&Event::Link(link(2, "wan", UP)), &objects);
        assert_eq!(changes(&mut table)[0].1, LinkFacts::default());
        assert_eq!(
            table.facts_by_name("wan").v4,
            Some(Ipv4Addr::new(10, 0, 0, 4))
        );
    }

    #[test]
    fn a_vlan_is_up_only_over_an_interface_that_is() {
        let objects = Objects::new();
        let mut table = Interfaces::new();
        let mut vlan = link(3, "eth0.2", UP);
        vlan.kind = Kind::Vlan { id: 2 };
        vlan.lower = Some(2);
        table.apply(&Event::Link(vlan), &objects);
        table.apply(&Event::Link(link(2, "eth0", IFF_UP)), &objects);
        table.watch(["eth0.2"]);
        assert!(!table.facts(IfId(0)).unwrap().up);
        table.apply(&Event::Link(link(2, "eth0", UP)), &objects);
        assert!(changes(&mut table)[0].1.up);
    }

    #[test]
    fn our_own_addresses_are_no_source() {
        let mut objects = Objects::new();
        let address = Address::new(2, "10.0.0.100".parse().unwrap(), 24);
        objects.intern_address(AddressObject {
            interface: "eth0".into(),
            address: address.clone(),
        });
        let mut table = Interfaces::new();
        table.apply(&Event::Link(link(2, "eth0", UP)), &objects);
        table.apply(&Event::Link(link(3, "eth1", UP)), &objects);
        assert!(!table.apply(&Event::Address(address.clone()), &objects));
        let elsewhere = Address {
            index: 3,
            ..address
        };
        assert!(table.apply(&Event::Address(elsewhere), &objects));
        // Global and tentative IPv6 addresses are no sources either.
        let mut v6 = Address::new(2, "fe80::1".parse().unwrap(), 64);
        assert!(!table.apply(&Event::Address(v6.clone()), &objects));
        v6.scope = SCOPE_LINK;
        v6.flags = F_TENTATIVE;
        assert!(!table.apply(&Event::Address(v6.clone()), &objects));
        v6.flags = 0;
        assert!(table.apply(&Event::Address(v6), &objects));
        assert_eq!(table.facts_by_name("eth0").v4, None);
    }
}
