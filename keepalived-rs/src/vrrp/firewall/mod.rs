//! Firewall entries: packets from and to addresses that are not accepted (`no_accept`, strict mode) are dropped, and multicast
//! reports of VMACs take the way that switches understand.
//!
//! ```text
//! FirewallAdd, FirewallRemove ─▶ what an instance holds ─▶ difference ─┬▶ kernel, nft: tables of ours in nf_tables
//! VMAC made, gone ─────────────────────────────────────────────────────┴▶ iptables: rules in the operator's chains, sets
//! ```
//! In: addresses with their interfaces, VMACs. Out: transactions with the kernel, log lines.
//! Answers to: keepalived 2.3.3 vrrp/vrrp_firewall.c, vrrp/vrrp_nftables.c; keepalived-behaviour.md section 4.9.

#[cfg(feature = "iptables")]
mod iptables;
mod kernel;
mod nft;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::NftTable;
#[cfg(not(feature = "iptables"))]
use daemon_rt::log;
#[cfg(not(feature = "iptables"))]
use daemon_rt::log::Priority;
use net_types::{Family, SortedMap};

#[cfg(feature = "iptables")]
use self::iptables::Iptables;
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

/// Our tables under the name that they have when none is configured.
fn default_tables(global: &Global) -> NfTables {
    let table = NftTable {
        name: "keepalived".to_owned(),
        priority: global.nftables_priority,
    };
    NfTables::new(&table, global)
}

/// iptables is asked for and this build has none.
#[cfg(not(feature = "iptables"))]
fn instead_of_iptables(global: &Global) -> Option<NfTables> {
    global.iptables_in_chain.as_ref()?;
    log!(
        Priority::Info,
        "Not using iptables since this build has none, using nftables - please update configuration"
    );
    Some(default_tables(global))
}

#[cfg(feature = "iptables")]
impl Choice {
    fn new(global: &Global) -> Self {
        match Iptables::new(global) {
            Some(iptables) => Self::Configured(iptables, Box::new(default_tables(global))),
            None => Self::No,
        }
    }
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

    /// Its name.
    #[cfg(feature = "iptables")]
    fn name_text(&self) -> std::borrow::Cow<'_, str> {
        let end = self.name.iter().position(|b| *b == 0);
        String::from_utf8_lossy(self.name.get(..end.unwrap_or(16)).unwrap_or_default())
    }
}

/// Whether rules go through iptables.
#[cfg(feature = "iptables")]
enum Choice {
    No,
    /// They should; the first entry shows whether they can. If not, nf_tables has them.
    Configured(Iptables, Box<NfTables>),
    Yes(Iptables),
}

/// All entries of this process.
pub struct Firewall {
    nft: Option<NfTables>,
    #[cfg(feature = "iptables")]
    iptables: Choice,
    /// What each instance holds, by its name: numbers of instances change at a reload.
    held: SortedMap<Box<str>, Vec<Blocked>>,
    vmacs: Vec<(Vec<Family>, Vmac)>,
    /// What is to be dropped from the next [`Firewall::flush_new`] on.
    new: Vec<Blocked>,
    /// What is to be let through from the next [`Firewall::flush_gone`] on.
    gone: Vec<Blocked>,
}

impl Firewall {
    /// Nothing is done before the first entry.
    pub fn new(global: &Global) -> Self {
        let nft = global.nftables.as_ref();
        let nft = nft.map(|table| NfTables::new(table, global));
        #[cfg(not(feature = "iptables"))]
        let nft = nft.or_else(|| instead_of_iptables(global));
        Self {
            nft,
            #[cfg(feature = "iptables")]
            iptables: Choice::new(global),
            held: SortedMap::new(),
            vmacs: Vec::new(),
            new: Vec::new(),
            gone: Vec::new(),
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

    /// The instance's packets from and to `wanted`, and no others, are to be dropped. Many instances that become master at once
    /// make one transaction: [`Firewall::flush_new`] before their addresses are there, [`Firewall::flush_gone`] after they have gone.
    pub fn block(&mut self, instance: &str, wanted: Vec<Blocked>) {
        let held = self.held.remove(instance).unwrap_or_default();
        let without = |all: &[Blocked], others: &[Blocked]| -> Vec<Blocked> {
            all.iter()
                .filter(|b| !others.contains(b))
                .cloned()
                .collect()
        };
        for new in without(&wanted, &held) {
            match self.gone.iter().position(|b| *b == new) {
                Some(at) => drop(self.gone.remove(at)),
                None => self.new.push(new),
            }
        }
        for gone in without(&held, &wanted) {
            match self.new.iter().position(|b| *b == gone) {
                Some(at) => drop(self.new.remove(at)),
                None => self.gone.push(gone),
            }
        }
        if !wanted.is_empty() {
            self.held.insert(instance.into(), wanted);
        }
    }

    /// Drops packets of what was told to [`Firewall::block`].
    pub fn flush_new(&mut self) {
        let new = std::mem::take(&mut self.new);
        if !new.is_empty() {
            self.change(&[], &new);
        }
    }

    /// Lets packets through that are no longer to be dropped.
    pub fn flush_gone(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        if !gone.is_empty() {
            self.change(&gone, &[]);
        }
    }

    fn change(&mut self, gone: &[Blocked], new: &[Blocked]) {
        self.choose();
        if let Some(nft) = &mut self.nft {
            nft.change(gone, new);
        }
        #[cfg(feature = "iptables")]
        if let Choice::Yes(iptables) = &mut self.iptables {
            iptables.change(gone, new);
        }
    }

    /// The instance's addresses are no longer there, or accepted.
    pub fn unblock(&mut self, instance: &str) {
        self.block(instance, Vec::new());
    }

    /// Whether packets to this address of the instance are dropped by an element of an nf_tables set.
    pub fn holds(&self, instance: &str, address: IpAddr) -> bool {
        self.nft.is_some()
            && self
                .held
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
        self.choose();
        if let Some(nft) = &mut self.nft {
            nft.add_vmac(&families, &vmac, old.as_ref());
        }
        #[cfg(feature = "iptables")]
        if let Choice::Yes(iptables) = &mut self.iptables {
            iptables.add_vmac(&families, &vmac);
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
        #[cfg(feature = "iptables")]
        if let Choice::Yes(iptables) = &mut self.iptables {
            iptables.remove_vmac(&families, &vmac);
        }
    }

    /// Takes everything away, at the end.
    pub fn close(&mut self) {
        self.held.clear();
        self.vmacs.clear();
        self.new.clear();
        self.flush_gone();
        if let Some(nft) = &mut self.nft {
            nft.close();
        }
        #[cfg(feature = "iptables")]
        if let Choice::Yes(iptables) = &mut self.iptables {
            iptables.close();
        }
    }

    /// The first entry decides who has it: iptables where it is configured and not nf_tables in disguise.
    #[cfg(feature = "iptables")]
    fn choose(&mut self) {
        self.iptables = match std::mem::replace(&mut self.iptables, Choice::No) {
            Choice::Configured(iptables, _) if iptables::is_usable() => Choice::Yes(iptables),
            Choice::Configured(_, nft) => {
                self.nft.get_or_insert(*nft);
                Choice::No
            }
            other => other,
        };
    }

    #[cfg(not(feature = "iptables"))]
    #[expect(clippy::unused_self, reason = "there is nothing to choose from")]
    const fn choose(&mut self) {}
}
