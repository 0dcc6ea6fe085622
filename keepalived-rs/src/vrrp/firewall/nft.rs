//! The entries as an nf_tables table of ours for each family: chains, sets and rules are made when the first entry needs them.
//!
//! ```text
//! table ip T    out: IGMP of a VMAC to its base │ from @vips drop                       in: to @vips drop
//! table ip6 T   out: NA of the base's own address, MLD, RS of a VMAC │ NS/NA accept │ link-local → out_link_local │ from @vips drop
//!               in:  NS/NA accept │ link-local → in_link_local │ to @vips drop
//! ```
//! Names, order and bytes are the original's (captures 5xx of the reference); one change is one transaction.

use std::net::{IpAddr, Ipv6Addr};

use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::NftTable;
use net_types::Family;
use netlink_wire::Batch;
use netlink_wire::nft::{
    Base, DataType, Element, Expr, Hook, MetaKey, Register, Set, Table, Verdict,
};

use super::{Blocked, Vmac};

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

/// What has been made so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Made {
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
pub(super) enum Place {
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
pub(super) type Key = (Place, Box<[u8]>);

/// The tables as far as we have made them.
pub(super) struct Tables {
    table: Box<str>,
    priority: i32,
    /// Link-local addresses go with the number of their interface, whatever else is configured.
    by_index: bool,
    counters: bool,
    made: Made,
    /// Number of the last set.
    sets: u32,
    /// Tables of an earlier run, or of somebody else by the same name, IPv4's and IPv6's: they go before ours are made.
    leftovers: (bool, bool),
}

impl Tables {
    pub(super) fn new(table: &NftTable, global: &Global) -> Self {
        Self {
            table: table.name.as_str().into(),
            priority: table.priority,
            by_index: global.nftables_ifindex,
            counters: global.nftables_counters,
            made: Made::default(),
            sets: 0,
            leftovers: (false, false),
        }
    }

    /// A reload: what is made from now on follows the new options. The table's name cannot change.
    pub(super) fn reconfigure(&mut self, table: &NftTable, global: &Global) {
        self.priority = table.priority;
        self.by_index = global.nftables_ifindex;
        self.counters = global.nftables_counters;
    }

    /// Whether no table has been made.
    pub(super) const fn is_empty(&self) -> bool {
        !self.made.v4 && !self.made.v6
    }

    /// The tables are gone, and there are others by their name.
    pub(super) fn forget(&mut self, leftovers: (bool, bool)) {
        self.made = Made::default();
        self.leftovers = leftovers;
    }

    /// Removes what was made, and what there is by our name.
    pub(super) fn push_delete(&mut self, batch: &mut Batch) {
        let made = std::mem::take(&mut self.made);
        let (v4, v6) = std::mem::take(&mut self.leftovers);
        for (family, there) in [(Family::V4, made.v4 || v4), (Family::V6, made.v6 || v6)] {
            if there {
                self.name(family).push_delete(batch);
            }
        }
    }

    pub(super) fn name(&self, family: Family) -> Table<'_> {
        Table {
            family,
            name: &self.table,
        }
    }

    /// The element that stands for an address.
    pub(super) fn key(&self, b: &Blocked) -> Key {
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

    /// Removes elements.
    pub(super) fn push_gone(&self, batch: &mut Batch, gone: &[Key]) {
        for place in Place::ALL {
            let elements = elements_of(gone, place);
            self.name(family_of(place))
                .push_delete_elements(batch, place.set(), &elements);
        }
    }

    /// Adds elements, and before them what they need.
    pub(super) fn push_new(&mut self, batch: &mut Batch, new: &[Key]) {
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
            self.push_delete(batch);
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
            ranges: None,
            counters: false,
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
            end: None,
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
        for (chain, source, link_local) in [(IN, false, IN_LINK_LOCAL), (OUT, true, OUT_LINK_LOCAL)]
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

    /// Adds or removes a VMAC.
    pub(super) fn push_vmac(&mut self, batch: &mut Batch, family: Family, vmac: &Vmac, add: bool) {
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
        let element = |key, data| Element {
            key,
            end: None,
            data,
        };
        one(VMAC_MAP, map, element(&index, data));
        if family == Family::V6 {
            let key = |key| element(key, None);
            one(VMAC_SET, set, key(&index));
            one(PARENT_LINK_LOCAL, None, key(&parent));
        }
    }
}

const fn family_of(place: Place) -> Family {
    match place {
        Place::V4 => Family::V4,
        _ => Family::V6,
    }
}

fn elements_of(keys: &[Key], place: Place) -> Vec<Element<'_>> {
    keys.iter()
        .filter(|(p, _)| *p == place)
        .map(|(_, key)| Element {
            key,
            end: None,
            data: None,
        })
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
