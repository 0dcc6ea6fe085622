//! The interfaces that we make: VMACs (macvlans with a virtual router's link-layer address) and ipvlans.
//!
//! ```text
//! Model ─▶ wanted ─▶ apply ─▶ make ─▶ Kernel::request (links, settings, link-local addresses)
//! news of links ─▶ attend ─▶ made again, moved to another VRF, given another link-local address
//! end, reload ─▶ unmake, settings as before          each step ─▶ News (firewall)
//! ```
//! In: the checked configuration, the interface table. Out: requests to the kernel, log lines, [`News`].
//! Answers to: keepalived 2.3.3 vrrp/vrrp_vmac.c, vrrp/vrrp_if.c, vrrp/vrrp_if_config.c; keepalived-behaviour.md section 4.8.

mod make;
mod settings;
#[cfg(test)]
mod tests;
mod wanted;

use std::net::{IpAddr, Ipv6Addr};

use conf_parsers::keepalived::model::VrrpModel;
use daemon_rt::log;
use daemon_rt::log::Priority;
use net_types::Family;
use netlink_wire::link::push_set_master;

use self::make::{carrier, give, link_local, link_local_of, vrf_of};
pub use self::settings::Before;
use self::settings::Settings;
use self::wanted::{Kind, Wanted};
use super::kernel::Kernel;

/// Something that others may have to act on, such as who keeps firewall entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// An interface was made, or one that was there is ours from now on.
    Made(Made),
    /// It is about to be removed, or (by somebody else) is gone.
    Going {
        /// Its name.
        name: Box<str>,
        /// Its number.
        index: u32,
    },
}

/// An interface that is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its name.
    pub name: Box<str>,
    /// Its number.
    pub index: u32,
    /// The number of the interface that carries its traffic.
    pub base: u32,
    /// The link-local address of that interface.
    pub base_link_local: Option<Ipv6Addr>,
    /// Family of the virtual router, or of the addresses that it is for.
    pub family: Family,
    /// A macvlan, not an ipvlan.
    pub macvlan: bool,
}

/// An interface and what we know of it.
#[derive(Clone, Debug)]
struct Entry {
    wanted: Wanted,
    /// Its number, while it exists.
    index: Option<u32>,
    /// The number of the interface that the operator named, while it exists.
    base: Option<u32>,
    /// The interface whose settings count it as a user.
    counted_on: Option<u32>,
    /// The link-local address that it has, or had, because of us.
    link_local: Option<Ipv6Addr>,
    /// The one that the interface below had when we looked last.
    base_link_local: Option<Ipv6Addr>,
    /// The VRF of the interface below when we looked last.
    vrf: Option<u32>,
    up: bool,
    /// It was not there before the present configuration.
    fresh: bool,
}

impl Entry {
    fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            index: None,
            base: None,
            counted_on: None,
            link_local: None,
            base_link_local: None,
            vrf: None,
            up: false,
            fresh: false,
        }
    }

    /// Whether the interface of `wanted` is this one.
    fn is(&self, wanted: &Wanted) -> bool {
        self.wanted.name == wanted.name && self.stands_for(wanted)
    }

    /// Whether both can not be there at the same time, or are the same.
    fn stands_for(&self, wanted: &Wanted) -> bool {
        let (old, new) = (&self.wanted, wanted);
        let kind = match (&old.kind, &new.kind) {
            (Kind::Macvlan(a), Kind::Macvlan(b)) => a == b,
            (Kind::Ipvlan { flags: a, .. }, Kind::Ipvlan { flags: b, .. }) => a == b,
            _ => false,
        };
        kind && (&old.base, old.family) == (&new.base, new.family)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Vmacs {
    entries: Vec<Entry>,
    /// Those of the configuration before, until its instances have let go of them.
    retired: Vec<Entry>,
    settings: Settings,
    news: Vec<News>,
    detail: bool,
}

impl Vmacs {
    /// None yet. `detail`: log what succeeds (`--log-detail`).
    pub fn new(detail: bool) -> Self {
        Self {
            detail,
            ..Self::default()
        }
    }

    /// Makes what the configuration wants and is not there. What it no longer wants stays until [`Vmacs::drop_retired`].
    pub fn apply(&mut self, vrrp: &VrrpModel, kernel: &mut Kernel) {
        let mut old = std::mem::take(&mut self.entries);
        let all = wanted::wanted(vrrp);
        for wanted in all.iter().cloned() {
            let known = old.iter().position(|e| e.is(&wanted));
            let known = known.map(|at| old.remove(at));
            // A changed one of the same name has to make room, and one with another name that the kernel would not let be up
            // beside it.
            let in_the_way = |e: &Entry| {
                let macvlan = matches!(wanted.kind, Kind::Macvlan(_)) && e.stands_for(&wanted);
                e.wanted.name == wanted.name
                    || macvlan && !all.iter().any(|w| w.name == e.wanted.name)
            };
            while let (None, Some(at)) = (&known, old.iter().position(in_the_way)) {
                let entry = old.remove(at);
                self.unmake(kernel, &entry);
                self.say_deleted(&entry);
            }
            let before = known.as_ref().map(|k| k.wanted.clone());
            let mut entry = known.unwrap_or_else(|| Entry::new(wanted.clone()));
            entry.wanted = wanted;
            let here = kernel.interfaces.by_name(&entry.wanted.name);
            entry.index = here.map(|l| l.index);
            let exists = entry.index.is_some() && (entry.wanted.exists || before.is_some());
            entry.fresh = !exists;
            let at = self.entries.len();
            self.entries.push(entry);
            if exists {
                self.adopt(kernel, at, before.as_ref());
            } else {
                self.make(kernel, at, false);
            }
            self.look(kernel, at);
        }
        self.retired = old;
        let names = self.entries.iter().map(|e| e.wanted.name.clone());
        kernel.interfaces.set_ours(names.collect());
    }

    /// Takes an interface that fits as it is; only its link-local address may have to come or go.
    fn adopt(&mut self, kernel: &mut Kernel, at: usize, before: Option<&Wanted>) {
        let Some(entry) = self.entries.get(at) else {
            return;
        };
        let wanted = entry.wanted.clone();
        let (Some(link), Some(configured)) = (
            kernel.interfaces.by_name(&wanted.name).cloned(),
            kernel.interfaces.by_name(&wanted.base).cloned(),
        ) else {
            return;
        };
        let base = carrier(&kernel.interfaces, &configured).clone();
        if before.is_none() {
            self.news.push(News::Made(Made {
                name: wanted.name.clone(),
                index: link.index,
                base: base.index,
                base_link_local: kernel.interfaces.facts_by_name(&base.name).v6,
                family: wanted.family,
                macvlan: matches!(wanted.kind, Kind::Macvlan(_)),
            }));
        }
        if let (Family::V6, Kind::Macvlan(_)) = (wanted.family, &wanted.kind) {
            let has = kernel.interfaces.facts_by_name(&wanted.name).v6;
            let now = match (wanted.link_local, has) {
                (true, None) => {
                    let chosen = self.choose_link_local(kernel, at, &wanted, &base);
                    chosen.filter(|a| give(kernel, link.index, *a))
                }
                (false, Some(has)) => {
                    kernel.drop_address(&link_local(link.index, has));
                    None
                }
                (_, has) => has,
            };
            if let Some(entry) = self.entries.get_mut(at) {
                entry.link_local = now;
            }
            kernel.catch_up();
        }
    }

    /// Removes what the configuration before wanted and the present one does not: its instances have let go by now.
    pub fn drop_retired(&mut self, kernel: &mut Kernel) {
        for entry in std::mem::take(&mut self.retired) {
            self.unmake(kernel, &entry);
            self.say_deleted(&entry);
        }
    }

    fn say_deleted(&self, entry: &Entry) {
        if self.detail && entry.index.is_some() {
            log!(Priority::Info, "Interface {} deleted", entry.wanted.name);
        }
    }

    /// The end: everything as it was before us.
    pub fn remove_all(&mut self, kernel: &mut Kernel) {
        self.settings.restore_rp_filter(kernel);
        for entry in std::mem::take(&mut self.entries) {
            self.unmake(kernel, &entry);
        }
        self.drop_retired(kernel);
    }

    /// Looks at the interfaces after news of links or addresses, and acts: one that somebody deleted is made again, as is one
    /// whose base came back. Whether something was done; then [`Kernel::told`] may have more news.
    pub fn attend(&mut self, kernel: &mut Kernel) -> bool {
        let mut acted = false;
        for at in 0..self.entries.len() {
            acted |= self.attend_one(kernel, at);
            self.look(kernel, at);
        }
        acted
    }

    /// Remembers what [`Vmacs::attend`] compares with.
    fn look(&mut self, kernel: &Kernel, at: usize) {
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        let interfaces = &kernel.interfaces;
        let own = interfaces.by_name(&entry.wanted.name);
        let base = interfaces.by_name(&entry.wanted.base);
        entry.index = own.map(|l| l.index);
        entry.up = own.is_some_and(netlink_wire::Link::is_up);
        entry.base = base.map(|l| l.index);
        entry.base_link_local = interfaces.facts_by_name(&entry.wanted.base).v6;
        entry.vrf = base.and_then(|l| vrf_of(interfaces, l));
    }

    fn attend_one(&mut self, kernel: &mut Kernel, at: usize) -> bool {
        let Some(entry) = self.entries.get(at) else {
            return false;
        };
        let own = kernel.interfaces.by_name(&entry.wanted.name).cloned();
        let base = kernel.interfaces.by_name(&entry.wanted.base).cloned();
        let base_moved = entry.base != base.as_ref().map(|b| b.index);
        let gone = entry
            .index
            .filter(|i| own.as_ref().map(|l| l.index) != Some(*i));
        let (known, entry) = (entry.index.is_some(), entry.clone());
        if let Some(index) = gone {
            self.news.push(News::Going {
                name: entry.wanted.name.clone(),
                index,
            });
        }
        match (own, base) {
            (None, Some(_)) if known || base_moved => {
                self.release_if_gone(kernel, at);
                self.make(kernel, at, true);
                true
            }
            (Some(_), None) if entry.base.is_some() => {
                // The base has another name now: what stands on it belongs to nobody.
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.counted_on = None;
                }
                self.unmake(kernel, &entry);
                true
            }
            (Some(own), Some(base)) => {
                let moved = self.follow_vrf(kernel, &entry, &own, &base);
                self.keep_link_local(kernel, at, &entry, (&own, &base), moved) || moved
            }
            _ => {
                self.release_if_gone(kernel, at);
                false
            }
        }
    }

    /// Settings of an interface that is gone need not be put back.
    fn release_if_gone(&mut self, kernel: &Kernel, at: usize) {
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        let gone = |base: &u32| kernel.interfaces.by_index(*base).is_none();
        if let Some(base) = entry.counted_on.take_if(|base| gone(base)) {
            self.settings.forget(base);
        }
    }

    /// The interface below went into another VRF, or out of one.
    fn follow_vrf(
        &mut self,
        kernel: &mut Kernel,
        entry: &Entry,
        own: &netlink_wire::Link,
        base: &netlink_wire::Link,
    ) -> bool {
        let vrf = vrf_of(&kernel.interfaces, base);
        if vrf == entry.vrf || vrf == vrf_of(&kernel.interfaces, own) {
            return false;
        }
        let (name, instance) = (&entry.wanted.name, &entry.wanted.instance);
        if !kernel.request(None, |b| push_set_master(b, own.index, vrf.unwrap_or(0))) {
            log!(
                Priority::Info,
                "vmac: Error changing VRF of VMAC interface {name} for vrrp_instance {instance}!!!"
            );
        } else if self.detail {
            log!(
                Priority::Info,
                "vmac: Success changing VRF of VMAC interface {name} for vrrp_instance {instance}"
            );
        }
        kernel.catch_up();
        true
    }

    /// A VMAC that was down or changed its VRF (`moved`) has lost its address; one that has its base's address changes with
    /// it.
    fn keep_link_local(
        &mut self,
        kernel: &mut Kernel,
        at: usize,
        entry: &Entry,
        (own, base): (&netlink_wire::Link, &netlink_wire::Link),
        moved: bool,
    ) -> bool {
        if !entry.wanted.link_local {
            return false;
        }
        let has = kernel.interfaces.facts_by_name(&entry.wanted.name).v6;
        let below = kernel.interfaces.facts_by_name(&entry.wanted.base).v6;
        let carrier = carrier(&kernel.interfaces, base).clone();
        let came_up = own.is_up() && !entry.up;
        let other = || below.or_else(|| carrier.address.mac().map(link_local_of));
        let new = if has.is_none() && came_up {
            self.choose_link_local(kernel, at, &entry.wanted, &carrier)
        } else if has.is_none() && moved && own.is_up() {
            // The kernel takes IPv6 addresses away from what changes its VRF.
            entry.wanted.source.or_else(other)
        } else if let (Some(old), Some(has), None) =
            (entry.base_link_local, has, entry.wanted.source)
        {
            let lost = entry.wanted.own && old == has && below != Some(old) && carrier.is_up();
            lost.then(other).flatten().filter(|new| *new != has)
        } else {
            None
        };
        let Some(new) = new else { return false };
        if let Some(has) = has {
            if !kernel.drop_address(&link_local(own.index, has)) {
                log!(
                    Priority::Info,
                    "Deleting link-local address from vmac failed"
                );
            }
        }
        let done = give(kernel, own.index, new);
        if !done {
            log!(Priority::Info, "Adding link-local address to vmac failed");
        }
        if let Some(entry) = self.entries.get_mut(at) {
            entry.link_local = done.then_some(new);
        }
        kernel.catch_up();
        true
    }

    /// What happened to the interfaces since the last call.
    pub fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// The interface that one of ours is to stand on, also while it is not there.
    pub fn base_of(&self, name: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|e| *e.wanted.name == *name)?;
        Some(&entry.wanted.base)
    }

    /// Names of those that exist.
    pub fn names(&self) -> Vec<Box<str>> {
        let there = self.entries.iter().filter(|e| e.index.is_some());
        there.map(|e| e.wanted.name.clone()).collect()
    }

    /// Whether the interface is one of ours.
    pub fn is_ours(&self, name: &str) -> bool {
        self.entries
            .iter()
            .any(|e| *e.wanted.name == *name && e.index.is_some())
    }

    /// Whether the interface is ours and was not there before the present configuration.
    pub fn is_fresh(&self, name: &str) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|e| *e.wanted.name == *name && e.fresh)
    }

    /// ARP settings of an interface before VMACs came on it.
    pub fn before(&self, index: u32) -> Option<Before> {
        self.settings.before(index)
    }

    /// The `rp_filter` that an interface had before it was raised.
    pub fn rp_filter(&self, index: u32) -> Option<u32> {
        self.settings.rp_filter(index)
    }

    /// Addresses that ours have, for the lines about them at start: the interface's name and the address.
    pub fn addresses<'a>(
        &'a self,
        kernel: &'a Kernel,
    ) -> impl Iterator<Item = (&'a str, IpAddr)> + 'a {
        self.entries.iter().flat_map(|e| {
            let facts = kernel.interfaces.facts_by_name(&e.wanted.name);
            let v4 = facts.v4.map(IpAddr::V4);
            let both = v4.into_iter().chain(facts.v6.map(IpAddr::V6));
            both.map(|a| (&*e.wanted.name, a)).collect::<Vec<_>>()
        })
    }
}
