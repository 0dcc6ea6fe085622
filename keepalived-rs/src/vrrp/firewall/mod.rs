//! Firewall entries: packets from and to addresses that are not accepted (`no_accept`, strict mode) are dropped, and multicast
//! reports of VMACs take the way that switches understand.
//!
//! ```text
//! FirewallAdd, FirewallRemove ─▶ what an instance holds ─▶ difference ─┬▶ nft: tables of ours in nf_tables
//! VMAC made, gone ─────────────────────────────────────────────────────┘
//! ```
//! In: addresses with their interfaces, VMACs. Out: transactions with the kernel, log lines.
//! Answers to: keepalived 2.3.3 vrrp/vrrp_firewall.c, vrrp/vrrp_nftables.c; keepalived-behaviour.md section 4.9.

mod kernel;
mod nft;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use conf_parsers::keepalived::model::Global;
use net_types::Family;

use self::kernel::NfTables;

/// A virtual address that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The address.
    pub address: IpAddr,
    /// The name of its interface. Only link-local addresses need one.
    pub interface: Box<str>,
    /// The interface's number; 0: it is not there.
    pub index: u32,
    /// A link-local address is bound to the interface's name, not to its number: the interface may come and go.
    pub by_name: bool,
}

/// An interface with a virtual router's link-layer address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vmac {
    /// Its number.
    pub index: u32,
    /// Its name with NUL bytes behind it.
    name: [u8; 16],
    /// The number of the interface below.
    pub base_index: u32,
    /// The link-local address of that, or `::`.
    pub base_link_local: Ipv6Addr,
}

impl Vmac {
    /// `name` has at most 15 bytes.
    pub fn new(index: u32, name: &str, base_index: u32, base_link_local: Option<Ipv6Addr>) -> Self {
        Self {
            index,
            name: nft::interface_name(name),
            base_index,
            base_link_local: base_link_local.unwrap_or(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// All entries of this process.
pub struct Firewall {
    nft: Option<NfTables>,
    /// What each instance holds, by its name: numbers of instances change at a reload.
    held: BTreeMap<Box<str>, Vec<Blocked>>,
    vmacs: Vec<(Vec<Family>, Vmac)>,
}

impl Firewall {
    /// Nothing is done before the first entry.
    pub fn new(global: &Global) -> Self {
        let nft = global.nftables.as_ref();
        Self {
            nft: nft.map(|table| NfTables::new(table, global)),
            held: BTreeMap::new(),
            vmacs: Vec::new(),
        }
    }

    /// A reload has brought other options.
    pub fn reconfigure(&mut self, global: &Global) {
        match (&mut self.nft, &global.nftables) {
            (Some(nft), Some(table)) => nft.reconfigure(table, global),
            (nft @ None, Some(table)) => *nft = Some(NfTables::new(table, global)),
            // What there is is used up and removed at the end.
            (_, None) => {}
        }
    }

    /// From now on the instance's packets from and to `wanted`, and no others, are dropped.
    pub fn block(&mut self, instance: &str, wanted: Vec<Blocked>) {
        let held = self.held.remove(instance).unwrap_or_default();
        let without = |all: &[Blocked], others: &[Blocked]| -> Vec<Blocked> {
            all.iter()
                .filter(|b| !others.contains(b))
                .cloned()
                .collect()
        };
        let (gone, new) = (without(&held, &wanted), without(&wanted, &held));
        if let Some(nft) = &mut self.nft {
            nft.change(&gone, &new);
        }
        if !wanted.is_empty() {
            self.held.insert(instance.into(), wanted);
        }
    }

    /// The instance's addresses are no longer there, or accepted.
    pub fn unblock(&mut self, instance: &str) {
        self.block(instance, Vec::new());
    }

    /// Whether packets to this address of the instance are dropped by an element of an nf_tables set.
    pub fn holds(&self, instance: &str, address: IpAddr) -> bool {
        self.held
            .get(instance)
            .is_some_and(|held| held.iter().any(|b| b.address == address))
    }

    /// A VMAC was made, or made again. `families`: of the virtual router first.
    pub fn add_vmac(&mut self, families: Vec<Family>, vmac: Vmac) {
        let known = self.vmacs.iter().position(|(_, v)| v.name == vmac.name);
        let old = known.map(|at| self.vmacs.remove(at).1);
        if old == Some(vmac) {
            self.vmacs.push((families, vmac));
            return;
        }
        if let Some(nft) = &mut self.nft {
            nft.add_vmac(&families, &vmac, old.as_ref());
        }
        self.vmacs.push((families, vmac));
    }

    /// A VMAC is about to go, or gone.
    pub fn remove_vmac(&mut self, index: u32) {
        let Some(at) = self.vmacs.iter().position(|(_, v)| v.index == index) else {
            return;
        };
        let (families, vmac) = self.vmacs.remove(at);
        if let Some(nft) = &mut self.nft {
            nft.remove_vmac(&families, &vmac);
        }
    }

    /// Takes everything away, at the end.
    pub fn close(&mut self) {
        self.held.clear();
        self.vmacs.clear();
        if let Some(nft) = &mut self.nft {
            nft.close();
        }
    }
}
