//! Making and removing one interface, in the original's order of requests.

use std::net::{IpAddr, Ipv6Addr};

use daemon_rt::log;
use daemon_rt::log::Priority;
use net_types::{Family, MacAddr};
use netlink_wire::address::{F_NODAD, FOREVER, Lifetimes};
use netlink_wire::link::{
    Kind as LinkKind, MACVLAN_MODE_PRIVATE, NewMacvlan, push_delete, push_new_ipvlan,
    push_new_macvlan, push_no_link_local, push_set_group, push_set_up, push_update_macvlan,
};
use netlink_wire::route::PROTOCOL_KEEPALIVED;
use netlink_wire::{Address, Link};
use nix::errno::Errno;

use super::settings::set_ipv6;
use super::wanted::{Kind, Wanted};
use super::{Entry, News, Vmacs};
use crate::vrrp::interfaces::Interfaces;
use crate::vrrp::kernel::Kernel;

/// The interface that really carries the traffic of `link`: below a macvlan or ipvlan, if that is here; else itself.
pub(super) fn carrier<'a>(interfaces: &'a Interfaces, link: &'a Link) -> &'a Link {
    let below = link.base().filter(|_| link.kind.is_mac_or_ip_vlan());
    below
        .and_then(|index| interfaces.by_index(index))
        .unwrap_or(link)
}

/// The VRF that an interface belongs to.
pub(super) fn vrf_of(interfaces: &Interfaces, link: &Link) -> Option<u32> {
    let master = link.master.and_then(|m| interfaces.by_index(m));
    master
        .filter(|m| matches!(m.kind, LinkKind::Vrf { .. }))
        .map(|m| m.index)
}

/// The link-local address that belongs to a link-layer address (RFC 4291 appendix A).
pub(super) fn link_local_of(MacAddr([a, b, c, d, e, f]): MacAddr) -> Ipv6Addr {
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        pair(a ^ 2, b),
        pair(c, 0xff),
        pair(0xfe, d),
        pair(e, f),
    )
}

/// A link-local address for adverts: nobody else is asked about it, and nothing else is sent from it.
pub(super) fn link_local(index: u32, address: Ipv6Addr) -> Address {
    let mut line = Address::new(index, IpAddr::V6(address), 64);
    line.flags = F_NODAD;
    line.lifetimes = Some(Lifetimes {
        preferred: 0,
        valid: FOREVER,
    });
    line.protocol = Some(PROTOCOL_KEEPALIVED);
    line
}

/// Gives an interface of ours a link-local address. Whether it has it.
pub(super) fn give(kernel: &mut Kernel, index: u32, address: Ipv6Addr) -> bool {
    let done = kernel.set_address(&link_local(index, address));
    if done {
        kernel.catch_up();
        kernel.interfaces.assume(index, address);
    }
    done
}

impl Vmacs {
    /// Makes the interface of entry `at`, or makes one that is there fit. What it stands on must exist; else nothing happens.
    /// `again`: it was there before, and what it stands on may be about to go.
    pub(super) fn make(&mut self, kernel: &mut Kernel, at: usize, again: bool) {
        let Some(entry) = self.entries.get(at) else {
            return;
        };
        let wanted = entry.wanted.clone();
        let Some(configured) = kernel.interfaces.by_name(&wanted.base).cloned() else {
            return;
        };
        let base = carrier(&kernel.interfaces, &configured).clone();
        let ignored = again.then_some(Errno::ENODEV);
        let made = match &wanted.kind {
            Kind::Macvlan(mac) => {
                self.make_macvlan(kernel, &wanted, *mac, &configured, &base, ignored)
            }
            Kind::Ipvlan { flags, .. } => make_ipvlan(
                kernel,
                &wanted,
                *flags,
                (&configured, &base),
                ignored,
                self.detail,
            ),
        };
        let Some(new) = made else { return };
        let Some(link) = kernel.interfaces.by_name(&wanted.name).cloned() else {
            return;
        };
        let counted_before = self.entries.get(at).and_then(|e| e.counted_on) == Some(base.index);
        let mut counted = false;
        if let (true, Kind::Macvlan(_)) = (new, &wanted.kind) {
            let below = link.lower_netns.is_none() && !counted_before;
            let below = below.then_some(&base);
            counted = self.settings.prepare(kernel, &link, below, wanted.family);
        }
        let address = self.set_up(kernel, at, &wanted, &link, &base, new);
        if new && wanted.notify {
            kernel.request(None, |b| push_set_group(b, base.index, base.group));
        }
        kernel.catch_up();
        if let Some(entry) = self.entries.get_mut(at) {
            entry.index = Some(link.index);
            entry.counted_on = counted.then_some(base.index).or(entry.counted_on);
            entry.link_local = address;
            entry.up = kernel
                .interfaces
                .by_index(link.index)
                .is_some_and(Link::is_up);
        }
    }

    /// `Some(true)`: made or changed. `Some(false)`: one that fits was there. `None`: impossible.
    fn make_macvlan(
        &mut self,
        kernel: &mut Kernel,
        wanted: &Wanted,
        mac: MacAddr,
        configured: &Link,
        base: &Link,
        ignored: Option<Errno>,
    ) -> Option<bool> {
        let Wanted { name, instance, .. } = wanted;
        let mut update = None;
        if let Some(old) = kernel.interfaces.by_name(name).cloned() {
            if !matches!(old.kind, LinkKind::Macvlan { .. }) {
                log!(
                    Priority::Info,
                    "VMAC {name} conflicts with existing interface"
                );
                return None;
            }
            if old.base() != Some(base.index) {
                log!(
                    Priority::Info,
                    "({instance}) Removing old VMAC interface {name} due to conflicting interface"
                );
                if !kernel.request(None, |b| push_delete(b, old.index)) {
                    log!(
                        Priority::Info,
                        "({instance}) Error removing VMAC interface {name}"
                    );
                    return None;
                }
                kernel.catch_up();
            } else if old.address.mac() != Some(mac)
                || (old.kind
                    != LinkKind::Macvlan {
                        mode: MACVLAN_MODE_PRIVATE,
                    })
            {
                log!(
                    Priority::Info,
                    "({instance}) Update old VMAC interface {name} due to wrong MAC/mode"
                );
                update = Some(old.index);
            } else {
                return Some(false);
            }
        }
        let new = NewMacvlan {
            mac,
            group: wanted.group.unwrap_or(base.group),
            master: vrf_of(&kernel.interfaces, configured),
        };
        let done = kernel.request(ignored, |b| match update {
            Some(index) => push_update_macvlan(b, index, &new),
            None => push_new_macvlan(b, name, configured.index, &new),
        });
        if !done {
            log!(
                Priority::Info,
                "({instance}): Unable to create VMAC interface {name}"
            );
            return None;
        }
        if self.detail {
            let word = if update.is_some() { "updat" } else { "creat" };
            log!(
                Priority::Info,
                "({instance}): Success {word}ing VMAC interface {name}"
            );
        }
        kernel.catch_up();
        Some(true)
    }

    /// Addresses and state; the link-local address that it has now because of us.
    fn set_up(
        &mut self,
        kernel: &mut Kernel,
        at: usize,
        wanted: &Wanted,
        link: &Link,
        base: &Link,
        new: bool,
    ) -> Option<Ipv6Addr> {
        let Wanted { name, instance, .. } = wanted;
        self.news.push(News::Made(super::Made {
            name: name.clone(),
            index: link.index,
            base: base.index,
            base_link_local: kernel.interfaces.facts_by_name(&base.name).v6,
            family: wanted.family,
            macvlan: matches!(wanted.kind, Kind::Macvlan(_)),
        }));
        set_ipv6(name, wanted.ipv6);
        if let Kind::Ipvlan { address, .. } = wanted.kind {
            if !new && link.flags & netlink_wire::link::IFF_UP == 0 {
                kernel.request(None, |b| push_set_up(b, link.index, true));
            }
            let address = address?;
            let mut line = Address::new(link.index, address.addr, address.len);
            line.protocol = Some(PROTOCOL_KEEPALIVED);
            if address.family() == Family::V6 {
                line.flags = F_NODAD;
            }
            if !kernel.set_address(&line) {
                log!(
                    Priority::Info,
                    "{instance}: Failed to add interface address to {name}"
                );
            }
            return None;
        }
        if !kernel.request(None, |b| push_no_link_local(b, link.index)) {
            log!(
                Priority::Info,
                "({instance}) Error setting ADDR_GEN_MODE to NONE on {name}"
            );
        }
        kernel.request(None, |b| push_set_up(b, link.index, true));
        if !wanted.link_local {
            return None;
        }
        let address = self.choose_link_local(kernel, at, wanted, base)?;
        if give(kernel, link.index, address) {
            return Some(address);
        }
        log!(Priority::Info, "Adding link-local address to vmac failed");
        if new {
            log!(
                Priority::Info,
                "({instance}) adding link-local address to {name} failed"
            );
        }
        None
    }

    /// What the operator wrote, what it had before, that of the interface below, or one made of that interface's link-layer
    /// address. Never one of the VMAC's own address: adverts come from an address that tells the routers apart.
    pub(super) fn choose_link_local(
        &self,
        kernel: &Kernel,
        at: usize,
        wanted: &Wanted,
        base: &Link,
    ) -> Option<Ipv6Addr> {
        let before = self.entries.get(at).and_then(|e| e.link_local);
        let below = || kernel.interfaces.facts_by_name(&wanted.base).v6;
        wanted
            .source
            .or(before)
            .or_else(below)
            .or_else(|| base.address.mac().map(link_local_of))
    }

    /// Removes the interface of an entry, and puts back what it needed of the one below.
    pub(super) fn unmake(&mut self, kernel: &mut Kernel, entry: &Entry) {
        if let Some(base) = entry.counted_on {
            self.settings.release(kernel, base);
        }
        let Wanted { name, instance, .. } = &entry.wanted;
        let Some(link) = kernel.interfaces.by_name(name).cloned() else {
            return;
        };
        // While its number still means something.
        self.news.push(News::Going {
            name: name.clone(),
            index: link.index,
        });
        if !kernel.request(None, |b| push_delete(b, link.index)) {
            log!(
                Priority::Info,
                "({instance}) Error removing VMAC interface {name}"
            );
            return;
        }
        let base = kernel.interfaces.by_name(&entry.wanted.base);
        let base = base.map(|c| carrier(&kernel.interfaces, c));
        if let Some((index, group)) = base
            .filter(|_| entry.wanted.notify)
            .map(|b| (b.index, b.group))
        {
            kernel.request(None, |b| push_set_group(b, index, group));
        }
        if self.detail {
            log!(
                Priority::Info,
                "({instance}) Success removing VMAC interface {name}"
            );
        }
        kernel.catch_up();
    }
}

fn make_ipvlan(
    kernel: &mut Kernel,
    wanted: &Wanted,
    flags: u16,
    (configured, base): (&Link, &Link),
    ignored: Option<Errno>,
    detail: bool,
) -> Option<bool> {
    let Wanted { name, instance, .. } = wanted;
    if kernel.interfaces.by_name(name).is_some() {
        return Some(false);
    }
    let master = vrf_of(&kernel.interfaces, configured);
    let group = wanted.group.unwrap_or(base.group);
    let done = kernel.request(ignored, |b| {
        push_new_ipvlan(b, name, configured.index, group, flags, master);
    });
    if !done {
        log!(
            Priority::Info,
            "({instance}): Unable to create ipvlan interface {name}"
        );
        return None;
    }
    if detail {
        log!(
            Priority::Info,
            "({instance}): Success creating ipvlan interface {name}"
        );
    }
    kernel.catch_up();
    Some(true)
}
