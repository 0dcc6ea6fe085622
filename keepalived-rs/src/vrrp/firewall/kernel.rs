//! The conversation with nf_tables: one change is one transaction.
//!
//! In: what goes and what comes. Out: datagrams, log lines for what the kernel refuses.

use std::collections::BTreeMap;
use std::io;

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::NftTable;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::nfnl::Socket;
use net_types::Family;
use netlink_wire::nft;
use netlink_wire::{Batch, Messages, Reply};

use super::nft::{Key, Tables};
use super::{Blocked, Vmac};
use crate::text;

/// Room for an answer of the kernel.
const ANSWER_LEN: usize = 4096;
const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

/// Our tables in the kernel.
pub(super) struct NfTables {
    tables: Tables,
    socket: Option<Socket>,
    seq: u32,
    /// How many want each element.
    elements: BTreeMap<Key, u32>,
    vmacs: Vec<(Family, Vmac)>,
}

impl NfTables {
    pub(super) fn new(table: &NftTable, global: &Global) -> Self {
        let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            tables: Tables::new(table, global),
            socket: None,
            seq: (since_1970.as_secs() & u64::from(u32::MAX)) as u32,
            elements: BTreeMap::new(),
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
                let count = self.elements.entry(key.clone()).or_default();
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
            self.exchange(&mut batch);
        }
        self.socket = None;
    }

    /// Carries out what `fill` asks for. When others have taken our tables away (or filled them), they are made again as
    /// they should be.
    fn transaction(&mut self, fill: impl FnOnce(&mut Tables, &mut Batch)) {
        let fresh = self.tables.is_empty();
        if fresh {
            let leftovers = self.leftovers();
            self.tables.forget(leftovers);
        }
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        fill(&mut self.tables, &mut batch);
        nft::end(&mut batch);
        let refused = self.exchange(&mut batch);
        if !fresh && matches!(refused, Some(ENOENT | EEXIST)) {
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        let leftovers = self.leftovers();
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
            self.exchange(&mut batch);
        }
    }

    /// Tables by our name that are not ours.
    fn leftovers(&mut self) -> (bool, bool) {
        let mut there = |family| {
            let mut question = Batch::new();
            self.tables.name(family).push_get(&mut question);
            match self.ask(&mut question) {
                Ok(None) => true,
                Ok(Some((errno, _))) => {
                    if errno != ENOENT {
                        log!(Priority::Info, "mnl_socket_recvfrom single error - {errno}");
                    }
                    false
                }
                Err(()) => false,
            }
        };
        let found = (there(Family::V4), there(Family::V6));
        let name = self.tables.name(Family::V4).name;
        for (word, found) in [("ip", found.0), ("ip6", found.1)] {
            if found {
                log!(Priority::Info, "Deleting old {word} {name} table");
            }
        }
        found
    }

    /// Sends a transaction; a refusal is logged as the original does and returned.
    fn exchange(&mut self, batch: &mut Batch) -> Option<i32> {
        let (errno, len) = self.ask(batch).ok()??;
        let text = text::errno::sentence(&io::Error::from_raw_os_error(errno));
        // The answer repeats the refused request behind a header and the error number.
        let answer = len.saturating_add(20);
        log!(
            Priority::Info,
            "mnl_socket_recvfrom error ret {answer} - errno {errno} ({text}), ret_cb -1,"
        );
        Some(errno)
    }

    /// Sends requests. The first refusal: its number, and the length of the refused request. An error of the socket is logged.
    fn ask(&mut self, batch: &mut Batch) -> Result<Option<(i32, usize)>, ()> {
        batch.renumber(self.seq);
        self.seq = self.seq.wrapping_add(batch.len());
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                let opened = Socket::open(0).and_then(|s| s.set_short_answers(true).map(|()| s));
                match opened {
                    Ok(socket) => none.insert(socket),
                    Err(e) => {
                        let errno = e.raw_os_error().unwrap_or(0);
                        log!(Priority::Info, "mnl_socket_open failed - {errno}");
                        return Err(());
                    }
                }
            }
        };
        if let Err(e) = socket.send(batch.bytes()) {
            let errno = e.raw_os_error().unwrap_or(0);
            log!(Priority::Info, "mnl_socket_send error - {errno}");
            return Err(());
        }
        // The kernel has answered before `send` returned.
        let mut buffer = [0; ANSWER_LEN];
        let mut refused = None;
        while let Ok(len) = socket.receive(&mut buffer) {
            for message in Messages::new(buffer.get(..len).unwrap_or_default()) {
                if let Reply::Ack { seq, errno, .. } = message.reply() {
                    if errno != 0 && refused.is_none() {
                        refused = Some((errno, seq));
                    }
                }
            }
        }
        Ok(refused.map(|(errno, seq)| {
            let request = Messages::new(batch.bytes()).find(|m| m.header.seq == seq);
            let body = request.map_or(0, |m| m.body.len());
            (errno, netlink_wire::framing::HEADER_LEN + body)
        }))
    }
}
