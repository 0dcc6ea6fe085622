//! What the sets hold, and for how many; our tables are made again when somebody has taken them away.
//!
//! In: what goes and what comes. Out: transactions.

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::NftTable;
use net_types::{Family, SortedMap};
use netlink_wire::Batch;
use netlink_wire::nft;

use super::nft::{Key, Tables};
use super::{Blocked, Vmac};
use crate::nf_tables::Conversation;

const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

/// Our tables in the kernel.
pub(super) struct NfTables {
    tables: Tables,
    kernel: Conversation,
    /// How many want each element.
    elements: SortedMap<Key, u32>,
    vmacs: Vec<(Family, Vmac)>,
}

impl NfTables {
    pub(super) fn new(table: &NftTable, global: &Global) -> Self {
        Self {
            tables: Tables::new(table, global),
            kernel: Conversation::new(),
            elements: SortedMap::new(),
            vmacs: Vec::new(),
        }
    }

    /// A reload: what is made from now on follows the new options. The table's name cannot change.
    pub(super) fn reconfigure(&mut self, table: &NftTable, global: &Global) {
        self.tables.reconfigure(table, global);
    }

    /// Some addresses are let through, others no longer.
    pub(super) fn change(&mut self, gone: &[Blocked], new: &[Blocked]) {
        let gone: Vec<Key> = gone
            .iter()
            .map(|b| self.tables.key(b))
            .filter(|key| {
                let Some(count) = self.elements.get_mut(key) else {
                    return false;
                };
                *count = count.saturating_sub(1);
                let last = *count == 0;
                if last {
                    self.elements.remove(key);
                }
                last
            })
            .collect();
        let new: Vec<Key> = new
            .iter()
            .map(|b| self.tables.key(b))
            .filter(|key| {
                let count = self.elements.or_default(key.clone());
                *count = count.saturating_add(1);
                *count == 1
            })
            .collect();
        if gone.is_empty() && new.is_empty() {
            return;
        }
        self.transaction(|t, batch| {
            t.push_gone(batch, &gone);
            t.push_new(batch, &new);
        });
    }

    /// A VMAC's multicast memberships are told by its base from now on. `old`: what it was before it was made again.
    pub(super) fn add_vmac(&mut self, families: &[Family], vmac: &Vmac, old: Option<&Vmac>) {
        if let Some(old) = old {
            self.vmacs.retain(|(_, v)| v.index != old.index);
        }
        self.vmacs.extend(families.iter().map(|f| (*f, *vmac)));
        self.transaction(|t, batch| {
            for family in families {
                if let Some(old) = old {
                    t.push_vmac(batch, *family, old, false);
                }
            }
            for family in families {
                t.push_vmac(batch, *family, vmac, true);
            }
        });
    }

    /// A VMAC goes.
    pub(super) fn remove_vmac(&mut self, families: &[Family], vmac: &Vmac) {
        self.vmacs.retain(|(_, v)| v.index != vmac.index);
        self.transaction(|t, batch| {
            for family in families {
                t.push_vmac(batch, *family, vmac, false);
            }
        });
    }

    /// Removes what we have made.
    pub(super) fn close(&mut self) {
        self.elements.clear();
        self.vmacs.clear();
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        self.tables.push_delete(&mut batch);
        nft::end(&mut batch);
        if batch.len() > 2 {
            self.kernel.exchange(&mut batch);
        }
        self.kernel.close();
    }

    /// Carries out what `fill` asks for. When others have taken our tables away (or filled them), they are made again as
    /// they should be.
    fn transaction(&mut self, fill: impl FnOnce(&mut Tables, &mut Batch)) {
        let fresh = self.tables.is_empty();
        if fresh {
            let leftovers = self.kernel.leftovers(self.tables.name(Family::V4).name);
            self.tables.forget(leftovers);
        }
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        fill(&mut self.tables, &mut batch);
        nft::end(&mut batch);
        let refused = self.kernel.exchange(&mut batch);
        if !fresh && matches!(refused, Some(ENOENT | EEXIST)) {
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        let leftovers = self.kernel.leftovers(self.tables.name(Family::V4).name);
        self.tables.forget(leftovers);
        let elements: Vec<Key> = self.elements.keys().cloned().collect();
        let vmacs = self.vmacs.clone();
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        for (family, vmac) in &vmacs {
            self.tables.push_vmac(&mut batch, *family, vmac, true);
        }
        self.tables.push_new(&mut batch, &elements);
        nft::end(&mut batch);
        if !elements.is_empty() || !vmacs.is_empty() {
            self.kernel.exchange(&mut batch);
        }
    }
}
