//! The entries as an nf_tables table of ours for each family: chains, sets and rules are made when the first entry needs them.
//!
//! ```text
//! table ip T    out: IGMP of a VMAC to its base │ from @vips drop                       in: to @vips drop
//! table ip6 T   out: NA of the base's own address, MLD, RS of a VMAC │ NS/NA accept │ link-local → out_link_local │ from @vips drop
//!               in:  NS/NA accept │ link-local → in_link_local │ to @vips drop
//! ```
//! Names, order and bytes are the original's (captures 5xx of the reference); one change is one transaction.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::NftTable;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::nfnl::Socket;
use net_types::Family;
use netlink_wire::nft::{
    self, Base, DataType, Element, Expr, Hook, MetaKey, Register, Set, Table, Verdict,
};
use netlink_wire::{Batch, Messages, Reply};

use super::{Blocked, Vmac};
use crate::text;

const VIPS: &str = "vips";
const VIPS_LINK_LOCAL: &str = "vips_link_local";
const VIPS_LINK_LOCAL_NAME: &str = "vips_link_local_name";
const NEIGHBOR_DISCOVERY: &str = "neighbor-discovery";
const PARENT_LINK_LOCAL: &str = "parent_link_local";
const MLD_REPORT: &str = "mld-report";
const VMAC_MAP: &str = "vmac_map";
const VMAC_SET: &str = "vmac_set";
const IN: &str = "in";
const OUT: &str = "out";
const IN_LINK_LOCAL: &str = "in_link_local";
const OUT_LINK_LOCAL: &str = "out_link_local";

const PROTOCOL_IGMP: u8 = 2;
const PROTOCOL_ICMPV6: u8 = 58;
const MLD_LISTENER_REPORT: u8 = 131;
const ROUTER_SOLICIT: u8 = 133;
const NEIGHBOR_SOLICIT: u8 = 135;
const NEIGHBOR_ADVERT: u8 = 136;
const MLD2_LISTENER_REPORT: u8 = 143;

/// `macvlan` as the kernel keeps names of interface kinds.
const MACVLAN: [u8; 16] = *b"macvlan\0\0\0\0\0\0\0\0\0";
/// fe80::/10
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
const LINK_LOCAL_MASK: Ipv6Addr = Ipv6Addr::new(0xffc0, 0, 0, 0, 0, 0, 0, 0);

/// Room for an answer of the kernel.
const ANSWER_LEN: usize = 4096;

/// What has been made so far.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    v4: bool,
    v4_vips: bool,
    v4_igmp: bool,
    v6: bool,
    v6_vips: bool,
    v6_mld: bool,
    link_local: bool,
    link_local_name: bool,
}

/// A set that addresses go into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    V4,
    V6,
    LinkLocal,
    LinkLocalName,
}

impl Place {
    const ALL: [Self; 4] = [Self::V4, Self::V6, Self::LinkLocal, Self::LinkLocalName];

    const fn set(self) -> &'static str {
        match self {
            Self::V4 | Self::V6 => VIPS,
            Self::LinkLocal => VIPS_LINK_LOCAL,
            Self::LinkLocalName => VIPS_LINK_LOCAL_NAME,
        }
    }
}

/// An element of one of the sets, as the kernel has it.
type Key = (Place, Box<[u8]>);

/// The tables.
pub(super) struct NfTables {
    table: Box<str>,
    priority: i32,
    /// Link-local addresses go with the number of their interface, whatever else is configured.
    by_index: bool,
    counters: bool,
    socket: Option<Socket>,
    seq: u32,
    made: Made,
    /// Number of the last set.
    sets: u32,
    /// How many want each element.
    elements: BTreeMap<Key, u32>,
    vmacs: Vec<(Family, Vmac)>,
}

impl NfTables {
    pub(super) fn new(table: &NftTable, global: &Global) -> Self {
        let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            table: table.name.as_str().into(),
            priority: table.priority,
            by_index: global.nftables_ifindex,
            counters: global.nftables_counters,
            socket: None,
            seq: (since_1970.as_secs() & u64::from(u32::MAX)) as u32,
            made: Made::default(),
            sets: 0,
            elements: BTreeMap::new(),
            vmacs: Vec::new(),
        }
    }

    /// A reload: what is made from now on follows the new options. The table's name cannot change.
    pub(super) fn reconfigure(&mut self, table: &NftTable, global: &Global) {
        self.priority = table.priority;
        self.by_index = global.nftables_ifindex;
        self.counters = global.nftables_counters;
    }

    /// Some addresses are let through, others no longer.
    pub(super) fn change(&mut self, gone: &[Blocked], new: &[Blocked]) {
        let gone: Vec<Key> = gone
            .iter()
            .map(|b| self.key(b))
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
            .map(|b| self.key(b))
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
        let made = std::mem::take(&mut self.made);
        self.elements.clear();
        self.vmacs.clear();
        if !made.v4 && !made.v6 {
            return;
        }
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        for (family, there) in [(Family::V4, made.v4), (Family::V6, made.v6)] {
            if there {
                self.name(family).push_delete(&mut batch);
            }
        }
        nft::end(&mut batch);
        self.exchange(&mut batch);
        self.socket = None;
    }

    fn name(&self, family: Family) -> Table<'_> {
        Table {
            family,
            name: &self.table,
        }
    }

    fn key(&self, b: &Blocked) -> Key {
        let address = match b.address {
            IpAddr::V4(a) => return (Place::V4, Box::new(a.octets())),
            IpAddr::V6(a) => a,
        };
        if !address.is_unicast_link_local() {
            return (Place::V6, Box::new(address.octets()));
        }
        // The number of an interface is the machine's own for the kernel, and so are the bytes of a name.
        let mut bytes = address.octets().to_vec();
        if b.by_name && !self.by_index {
            bytes.extend_from_slice(&interface_name(&b.interface));
            (Place::LinkLocalName, bytes.into())
        } else {
            bytes.extend_from_slice(&b.index.to_ne_bytes());
            (Place::LinkLocal, bytes.into())
        }
    }

    /// Carries out what `fill` asks for. When others have taken our tables away (or filled them), they are made again as
    /// they should be.
    fn transaction(&mut self, fill: impl FnOnce(&mut Self, &mut Batch)) {
        let before = self.made;
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        fill(self, &mut batch);
        nft::end(&mut batch);
        let refused = self.exchange(&mut batch);
        if (before.v4 || before.v6) && matches!(refused, Some(ENOENT | EEXIST)) {
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        self.made = Made::default();
        let elements: Vec<Key> = self.elements.keys().cloned().collect();
        let vmacs = self.vmacs.clone();
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        for (family, vmac) in &vmacs {
            self.push_vmac(&mut batch, *family, vmac, true);
        }
        self.push_new(&mut batch, &elements);
        nft::end(&mut batch);
        if !elements.is_empty() || !vmacs.is_empty() {
            self.exchange(&mut batch);
        }
    }

    fn push_gone(&self, batch: &mut Batch, gone: &[Key]) {
        for place in Place::ALL {
            let elements = elements_of(gone, place);
            self.name(family_of(place))
                .push_delete_elements(batch, place.set(), &elements);
        }
    }

    fn push_new(&mut self, batch: &mut Batch, new: &[Key]) {
        for (place, _) in new {
            self.prepare(batch, *place);
        }
        for place in Place::ALL {
            let elements = elements_of(new, place);
            self.name(family_of(place))
                .push_elements(batch, place.set(), None, true, &elements);
        }
    }

    /// Makes what elements of this kind need.
    fn prepare(&mut self, batch: &mut Batch, place: Place) {
        if place == Place::V4 {
            if !self.made.v4_vips {
                self.make_v4_vips(batch);
            }
            return;
        }
        if !self.made.v6_vips {
            self.make_v6_vips(batch);
        }
        if place == Place::LinkLocal && !self.made.link_local {
            self.make_link_local(batch, place, DataType::InterfaceIndex);
            self.made.link_local = true;
        }
        if place == Place::LinkLocalName && !self.made.link_local_name {
            self.make_link_local(batch, place, DataType::InterfaceName);
            self.made.link_local_name = true;
        }
    }

    fn make_table(&mut self, batch: &mut Batch, family: Family) {
        if !self.made.v4 && !self.made.v6 {
            self.clear_leftovers(batch);
        }
        let table = self.name(family);
        table.push_new(batch);
        table.push_base_chain(batch, OUT, Hook::Output, self.priority);
        match family {
            Family::V4 => self.made.v4 = true,
            Family::V6 => {
                self.make_parent_link_local(batch);
                self.made.v6 = true;
            }
        }
    }

    /// Tables of an earlier run, or of somebody else by the same name, go in the same transaction.
    fn clear_leftovers(&mut self, batch: &mut Batch) {
        let found = [Family::V4, Family::V6].map(|family| {
            let mut question = Batch::new();
            self.name(family).push_get(&mut question);
            match self.ask(&mut question) {
                Ok(Some((errno, _))) => {
                    if errno != ENOENT {
                        log!(
                            Priority::Info,
                            "mnl_socket_recvfrom single error - {errno}"
                        );
                    }
                    false
                }
                Ok(None) => true,
                Err(()) => false,
            }
        });
        for (family, found) in [Family::V4, Family::V6].into_iter().zip(found) {
            if found {
                let six = if family == Family::V6 { "6" } else { "" };
                let name = &self.table;
                log!(Priority::Info, "Deleting old ip{six} {name} table");
                self.name(family).push_delete(batch);
            }
        }
    }

    fn new_set<'a>(
        &mut self,
        name: &'a str,
        key: &'a [DataType],
        data: Option<DataType>,
        constant: bool,
    ) -> Set<'a> {
        self.sets = self.sets.wrapping_add(1);
        Set {
            name,
            key,
            data,
            constant,
            id: self.sets,
        }
    }

    fn make_set(&mut self, batch: &mut Batch, family: Family, name: &str, key: &[DataType]) {
        let set = self.new_set(name, key, None, false);
        self.name(family).push_set(batch, &set);
    }

    /// A set of ICMPv6 types that never changes.
    fn make_types(&mut self, batch: &mut Batch, name: &str, types: [u8; 2]) {
        let set = self.new_set(name, &[DataType::Icmpv6Type], None, true);
        let table = self.name(Family::V6);
        table.push_set(batch, &set);
        let elements = types.each_ref().map(|t| Element {
            key: std::slice::from_ref(t),
            data: None,
        });
        table.push_elements(batch, name, Some(set.id), false, &elements);
    }

    /// Adds a rule: its conditions, the counter if one is wanted, its end.
    fn rule(
        &self,
        batch: &mut Batch,
        family: Family,
        chain: &str,
        conditions: &[Expr<'_>],
        verdict: Verdict<'_>,
    ) {
        let mut rule = conditions.to_vec();
        if self.counters {
            rule.push(Expr::Counter);
        }
        rule.push(Expr::Verdict(verdict));
        self.name(family).push_rule(batch, chain, &rule);
    }

    fn make_v4_vips(&mut self, batch: &mut Batch) {
        if !self.made.v4 {
            self.make_table(batch, Family::V4);
        }
        self.name(Family::V4)
            .push_base_chain(batch, IN, Hook::Input, self.priority);
        self.make_set(batch, Family::V4, VIPS, &[DataType::Ipv4]);
        self.make_drops(batch, Family::V4);
        self.made.v4_vips = true;
    }

    fn make_drops(&self, batch: &mut Batch, family: Family) {
        for (chain, source) in [(IN, false), (OUT, true)] {
            let conditions = [address(family, source), lookup(VIPS)];
            self.rule(batch, family, chain, &conditions, Verdict::Drop);
        }
    }

    fn make_v6_vips(&mut self, batch: &mut Batch) {
        if !self.made.v6 {
            self.make_table(batch, Family::V6);
        }
        let table = self.name(Family::V6);
        table.push_base_chain(batch, IN, Hook::Input, self.priority);
        table.push_chain(batch, IN_LINK_LOCAL);
        table.push_chain(batch, OUT_LINK_LOCAL);
        self.make_set(batch, Family::V6, VIPS, &[DataType::Ipv6]);
        self.make_types(
            batch,
            NEIGHBOR_DISCOVERY,
            [NEIGHBOR_SOLICIT, NEIGHBOR_ADVERT],
        );
        let (mask, value) = (LINK_LOCAL_MASK.octets(), LINK_LOCAL.octets());
        for (chain, source, link_local) in
            [(IN, false, IN_LINK_LOCAL), (OUT, true, OUT_LINK_LOCAL)]
        {
            let conditions = [
                // The next header's number, not the protocol: extension headers are not walked over here.
                Expr::Payload {
                    base: Base::Network,
                    offset: 6,
                    len: 1,
                    to: Register::R1,
                },
                equal(&[PROTOCOL_ICMPV6]),
                ICMPV6_TYPE,
                lookup(NEIGHBOR_DISCOVERY),
            ];
            self.rule(batch, Family::V6, chain, &conditions, Verdict::Accept);
            let conditions = [
                address(Family::V6, source),
                Expr::Mask {
                    register: Register::R1,
                    mask: &mask,
                },
                equal(&value),
            ];
            let verdict = Verdict::Goto(link_local);
            self.rule(batch, Family::V6, chain, &conditions, verdict);
        }
        self.make_drops(batch, Family::V6);
        self.made.v6_vips = true;
    }

    fn make_link_local(&mut self, batch: &mut Batch, place: Place, kind: DataType) {
        self.make_set(batch, Family::V6, place.set(), &[DataType::Ipv6, kind]);
        let named = kind == DataType::InterfaceName;
        let keys = if named {
            [MetaKey::InputName, MetaKey::OutputName]
        } else {
            [MetaKey::InputIndex, MetaKey::OutputIndex]
        };
        for ((chain, source), key) in [(IN_LINK_LOCAL, false), (OUT_LINK_LOCAL, true)]
            .into_iter()
            .zip(keys)
        {
            let conditions = [
                address(Family::V6, source),
                meta(key, Register::R2),
                lookup(place.set()),
            ];
            self.rule(batch, Family::V6, chain, &conditions, Verdict::Drop);
        }
    }

    /// NAs for the base's own link-local address must not leave by a VMAC that has the same address.
    fn make_parent_link_local(&mut self, batch: &mut Batch) {
        let (kind, key) = if self.by_index {
            (DataType::InterfaceIndex, MetaKey::OutputIndex)
        } else {
            (DataType::InterfaceName, MetaKey::OutputName)
        };
        let set = self.new_set(PARENT_LINK_LOCAL, &[], None, false);
        let key_types = [DataType::Ipv6, kind];
        let set = Set {
            key: &key_types,
            ..set
        };
        self.name(Family::V6).push_set(batch, &set);
        let conditions = [
            meta(MetaKey::Protocol, Register::R1),
            equal(&[PROTOCOL_ICMPV6]),
            ICMPV6_TYPE,
            equal(&[NEIGHBOR_ADVERT]),
            meta(MetaKey::OutputKind, Register::R2),
            IS_MACVLAN,
            address(Family::V6, true),
            meta(key, Register::R2),
            lookup(PARENT_LINK_LOCAL),
        ];
        self.rule(batch, Family::V6, OUT, &conditions, Verdict::Drop);
    }

    /// Multicast reports of VMACs leave by their base, so that switches learn where the group's members are.
    /// Returns the numbers of the map and of the set.
    fn make_reports(&mut self, batch: &mut Batch, family: Family) -> (Option<u32>, Option<u32>) {
        let there = match family {
            Family::V4 => self.made.v4,
            Family::V6 => self.made.v6,
        };
        if !there {
            self.make_table(batch, family);
        }
        let key = [DataType::InterfaceIndex];
        let map = self.new_set(VMAC_MAP, &key, Some(DataType::InterfaceIndex), false);
        self.name(family).push_set(batch, &map);
        let moved = [
            meta(MetaKey::OutputKind, Register::R2),
            IS_MACVLAN,
            meta(MetaKey::OutputIndex, Register::R2),
            Expr::Lookup {
                from: Register::R2,
                to: Some(Register::R2),
                set: VMAC_MAP,
                set_id: Some(1),
            },
            Expr::Duplicate {
                address: Register::R1,
                device: Register::R2,
            },
        ];
        if family == Family::V4 {
            let mut conditions = vec![
                Expr::Payload {
                    base: Base::Network,
                    offset: 9,
                    len: 1,
                    to: Register::R1,
                },
                equal(&[PROTOCOL_IGMP]),
                address(family, false),
            ];
            conditions.extend(moved);
            self.rule(batch, family, OUT, &conditions, Verdict::Drop);
            self.made.v4_igmp = true;
            return (Some(map.id), None);
        }
        let set = self.new_set(VMAC_SET, &key, None, false);
        self.name(family).push_set(batch, &set);
        self.make_types(
            batch,
            MLD_REPORT,
            [MLD2_LISTENER_REPORT, MLD_LISTENER_REPORT],
        );
        let icmpv6 = [
            meta(MetaKey::Protocol, Register::R1),
            equal(&[PROTOCOL_ICMPV6]),
            ICMPV6_TYPE,
        ];
        let mut conditions = icmpv6.to_vec();
        conditions.extend([lookup(MLD_REPORT), address(family, false)]);
        conditions.extend(moved);
        self.rule(batch, family, OUT, &conditions, Verdict::Drop);
        let mut conditions = icmpv6.to_vec();
        conditions.extend([
            equal(&[ROUTER_SOLICIT]),
            meta(MetaKey::OutputKind, Register::R2),
            IS_MACVLAN,
            meta(MetaKey::OutputIndex, Register::R2),
            Expr::Lookup {
                from: Register::R2,
                to: None,
                set: VMAC_SET,
                set_id: Some(1),
            },
        ]);
        self.rule(batch, family, OUT, &conditions, Verdict::Drop);
        self.made.v6_mld = true;
        (Some(map.id), Some(set.id))
    }

    fn push_vmac(&mut self, batch: &mut Batch, family: Family, vmac: &Vmac, add: bool) {
        let made = match family {
            Family::V4 => self.made.v4_igmp,
            Family::V6 => self.made.v6_mld,
        };
        let (map, set) = if made {
            (None, None)
        } else if add {
            self.make_reports(batch, family)
        } else {
            return;
        };
        let (index, base) = (vmac.index.to_ne_bytes(), vmac.base_index.to_ne_bytes());
        let mut parent = vmac.base_link_local.octets().to_vec();
        if self.by_index {
            parent.extend_from_slice(&index);
        } else {
            parent.extend_from_slice(&vmac.name);
        }
        let table = self.name(family);
        let mut one = |set: &str, id, element| {
            if add {
                table.push_elements(batch, set, id, false, &[element]);
            } else {
                table.push_delete_elements(batch, set, &[element]);
            }
        };
        let data = Some(&base[..]);
        one(VMAC_MAP, map, Element { key: &index, data });
        if family == Family::V6 {
            let key = |key| Element { key, data: None };
            one(VMAC_SET, set, key(&index));
            one(PARENT_LINK_LOCAL, None, key(&parent));
        }
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

const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

const fn family_of(place: Place) -> Family {
    match place {
        Place::V4 => Family::V4,
        _ => Family::V6,
    }
}

fn elements_of(keys: &[Key], place: Place) -> Vec<Element<'_>> {
    keys.iter()
        .filter(|(p, _)| *p == place)
        .map(|(_, key)| Element { key, data: None })
        .collect()
}

/// An interface's name as the kernel keeps it.
pub(super) fn interface_name(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes().take(15)) {
        *to = from;
    }
    bytes
}

const ICMPV6_TYPE: Expr<'static> = Expr::Payload {
    base: Base::Transport,
    offset: 0,
    len: 1,
    to: Register::R1,
};

const IS_MACVLAN: Expr<'static> = Expr::Equal {
    from: Register::R2,
    value: &MACVLAN,
};

/// The packet's source or destination address.
const fn address(family: Family, source: bool) -> Expr<'static> {
    let (offset, len) = match (family, source) {
        (Family::V4, true) => (12, 4),
        (Family::V4, false) => (16, 4),
        (Family::V6, true) => (8, 16),
        (Family::V6, false) => (24, 16),
    };
    Expr::Payload {
        base: Base::Network,
        offset,
        len,
        to: Register::R1,
    }
}

const fn meta(key: MetaKey, to: Register) -> Expr<'static> {
    Expr::Meta { key, to }
}

const fn equal(value: &[u8]) -> Expr<'_> {
    Expr::Equal {
        from: Register::R1,
        value,
    }
}

const fn lookup(set: &str) -> Expr<'_> {
    Expr::Lookup {
        from: Register::R1,
        to: None,
        set,
        set_id: None,
    }
}
