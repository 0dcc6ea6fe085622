//! Interfaces of the network namespace, as the configuration checks need them: what netlink says, as the original asks it.

use conf_parsers::source::{InterfaceFacts, LinkKind};
use linux_io::route_sock::Requests;
use net_types::{Prefix, SortedMap};
use netlink_wire::address::RTM_GETADDR;
use netlink_wire::link::{IFF_LOOPBACK, Kind, RTM_GETLINK};
use netlink_wire::{Event, Link};

/// Every interface, in the kernel's order. None if the kernel refuses to tell.
pub(super) fn all() -> Vec<InterfaceFacts> {
    let mut links: Vec<Link> = Vec::new();
    let mut addresses: SortedMap<u32, Vec<Prefix>> = SortedMap::new();
    let dump = |requests: &mut Requests, kind, each: &mut dyn FnMut(Event)| {
        // Half a list is better than none.
        let _ = requests.dump(kind, 0, each);
    };
    let Ok(mut requests) = Requests::open(None) else {
        return Vec::new();
    };
    dump(&mut requests, RTM_GETLINK, &mut |event| {
        if let Event::Link(link) = event {
            links.push(link);
        }
    });
    dump(&mut requests, RTM_GETADDR, &mut |event| {
        if let Event::Address(address) = event {
            let prefix = Prefix::new(address.local, address.prefix_len);
            addresses.or_default(address.index).extend(prefix);
        }
    });
    let vrf = |index: &u32| {
        let is = |l: &&Link| l.index == *index && matches!(l.kind, Kind::Vrf { .. });
        links.iter().any(|l| is(&l))
    };
    let mut found: Vec<InterfaceFacts> = links
        .iter()
        .map(|link| facts(link, link.master.filter(vrf)))
        .collect();
    for facts in &mut found {
        facts.addresses = addresses.remove(&facts.index).unwrap_or_default();
    }
    found
}

fn facts(link: &Link, vrf_index: Option<u32>) -> InterfaceFacts {
    let (kind, vlan_mode, vlan_flags) = match link.kind {
        Kind::Macvlan { mode } => (LinkKind::Macvlan, mode, 0),
        Kind::Macvtap { mode } => (LinkKind::Macvtap, mode, 0),
        Kind::Ipvlan { mode, flags } => (LinkKind::Ipvlan, u32::from(mode), flags),
        Kind::Vrf { .. } => (LinkKind::Vrf, 0, 0),
        _ if link.flags & IFF_LOOPBACK != 0 => (LinkKind::Loopback, 0, 0),
        _ => (LinkKind::Plain, 0, 0),
    };
    InterfaceFacts {
        name: link.name.to_string(),
        index: link.index,
        flags: link.flags,
        mtu: link.mtu,
        hardware_type: link.hw_type,
        mac: link.address.as_bytes().to_vec(),
        kind,
        vlan_mode,
        vlan_flags,
        changeable: link.kind != Kind::Physical,
        ours: false,
        base_index: link.base(),
        vrf_index,
        vrf_table: match link.kind {
            Kind::Vrf { table } => Some(table),
            _ => None,
        },
        addresses: Vec::new(),
    }
}
