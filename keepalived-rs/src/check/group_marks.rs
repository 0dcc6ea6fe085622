//! `nftables_ipvs`: one firewall mark stands for all addresses of a virtual server group, so that the kernel has one service
//! instead of many. A table of ours gives the mark to packets that come for the group.
//!
//! ```text
//! table ip T   map tcp_map { address . port ranges : mark }
//!              in: tcp: mark set by the map, return
//! ```
//! In: the ranges of groups. Out: marks, transactions with the kernel.
//! Answers to: keepalived 2.3.3 check/check_nftables.c.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use conf_parsers::keepalived::model::global::NftTable;
use conf_parsers::keepalived::model::lvs::Protocol;
use net_types::{Family, SortedMap};
use netlink_wire::Batch;
use netlink_wire::nft::{
    self, Base, DataType, Element, Expr, Hook, MetaKey, Register, Set, Table, Verdict,
};

use crate::nf_tables::Conversation;

const IN: &str = "in";
/// The first mark when the configuration names none.
const START_MARK: u32 = 1000;

/// From the first address to the last one, both with the same port.
pub type Range = (SocketAddr, SocketAddr);

/// What a map's elements are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marked {
    pub(crate) range: Range,
    pub(crate) protocol: Protocol,
    pub(crate) mark: u32,
}

/// The tables as far as we have made them.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    table: Box<str>,
    priority: i32,
    counters: bool,
    /// Per family: the table is there, and the maps of TCP, UDP, SCTP.
    made: [(bool, [bool; 3]); 2],
    sets: u32,
    leftovers: (bool, bool),
}

const fn family_index(family: Family) -> usize {
    match family {
        Family::V4 => 0,
        Family::V6 => 1,
    }
}

const fn protocol_index(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::Sctp => 2,
    }
}

const fn map_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp_map",
        Protocol::Udp => "udp_map",
        Protocol::Sctp => "sctp_map",
    }
}

impl Tables {
    pub(crate) fn new(table: &NftTable, counters: bool) -> Self {
        Self {
            table: table.name.as_str().into(),
            priority: table.priority,
            counters,
            made: [(false, [false; 3]); 2],
            sets: 0,
            leftovers: (false, false),
        }
    }

    fn name(&self, family: Family) -> Table<'_> {
        Table {
            family,
            name: &self.table,
        }
    }

    fn is_empty(&self) -> bool {
        !self.made.iter().any(|(there, _)| *there)
    }

    /// Adds a range, and before it what it needs.
    pub(crate) fn push_new(&mut self, batch: &mut Batch, marked: Marked) {
        let family = Family::of(&marked.range.0.ip());
        let id = self.prepare(batch, family, marked.protocol);
        let (first, last) = keys(marked.range);
        let mark = marked.mark.to_ne_bytes();
        let element = element(&first, &last, &mark);
        let name = map_name(marked.protocol);
        self.name(family)
            .push_elements(batch, name, id, false, &[element]);
    }

    /// Removes a range.
    pub(crate) fn push_gone(&self, batch: &mut Batch, marked: Marked) {
        let family = Family::of(&marked.range.0.ip());
        let (first, last) = keys(marked.range);
        let mark = marked.mark.to_ne_bytes();
        let element = element(&first, &last, &mark);
        self.name(family)
            .push_delete_elements(batch, map_name(marked.protocol), &[element]);
    }

    /// Removes what was made, and what there is by our name.
    pub(crate) fn push_delete(&mut self, batch: &mut Batch) {
        let (v4, v6) = std::mem::take(&mut self.leftovers);
        for (family, left) in [(Family::V4, v4), (Family::V6, v6)] {
            let made = self.made.get_mut(family_index(family));
            let made = made.is_some_and(|m| std::mem::take(m).0);
            if made || left {
                self.name(family).push_delete(batch);
            }
        }
    }

    /// The number of the map if it is made here.
    fn prepare(&mut self, batch: &mut Batch, family: Family, protocol: Protocol) -> Option<u32> {
        if self.is_empty() {
            self.push_delete(batch);
        }
        let priority = self.priority;
        let table = Table {
            family,
            name: &self.table,
        };
        let (there, maps) = self.made.get_mut(family_index(family))?;
        if !std::mem::replace(there, true) {
            table.push_new(batch);
            table.push_base_chain(batch, IN, Hook::Input, priority);
        }
        let map = maps.get_mut(protocol_index(protocol))?;
        if std::mem::replace(map, true) {
            return None;
        }
        self.sets = self.sets.wrapping_add(1);
        let (address, len) = match family {
            Family::V4 => (DataType::Ipv4, 4),
            Family::V6 => (DataType::Ipv6, 16),
        };
        table.push_set(
            batch,
            &Set {
                name: map_name(protocol),
                key: &[address, DataType::Port],
                data: Some(DataType::Mark),
                constant: false,
                ranges: Some(&[len, 2]),
                counters: self.counters,
                id: self.sets,
            },
        );
        let number = [protocol.number()];
        let mut rule = vec![
            Expr::Meta {
                key: MetaKey::Protocol,
                to: Register::R1,
            },
            Expr::Equal {
                from: Register::R1,
                value: &number,
            },
            Expr::Payload {
                base: Base::Network,
                offset: if family == Family::V4 { 16 } else { 24 },
                len,
                to: Register::R1,
            },
            // The port goes right behind the address.
            Expr::Payload {
                base: Base::Transport,
                offset: 2,
                len: 2,
                to: match family {
                    Family::V4 => Register::R1Second,
                    Family::V6 => Register::R2,
                },
            },
            Expr::Lookup {
                from: Register::R1,
                to: Some(Register::R1),
                set: map_name(protocol),
                set_id: Some(1),
            },
            Expr::SetMeta {
                key: MetaKey::Mark,
                from: Register::R1,
            },
        ];
        if self.counters {
            rule.push(Expr::Counter);
        }
        rule.push(Expr::Verdict(Verdict::Return));
        table.push_rule(batch, IN, &rule);
        Some(self.sets)
    }
}

const fn element<'a>(first: &'a [u8], last: &'a [u8], mark: &'a [u8]) -> Element<'a> {
    Element {
        key: first,
        end: Some(last),
        data: Some(mark),
    }
}

/// Address and port, padded to four bytes.
fn keys((first, last): Range) -> (Vec<u8>, Vec<u8>) {
    let key = |ip: IpAddr, port: u16| {
        let mut bytes = match ip {
            IpAddr::V4(a) => a.octets().to_vec(),
            IpAddr::V6(a) => a.octets().to_vec(),
        };
        bytes.extend_from_slice(&port.to_be_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes
    };
    (key(first.ip(), first.port()), key(last.ip(), first.port()))
}

/// A group's mark for one protocol, and the ranges that have it.
#[derive(Clone, Debug)]
struct Group {
    mark: u32,
    ranges: Vec<Range>,
}

/// Marks of all groups.
pub struct GroupMarks {
    tables: Tables,
    kernel: Conversation,
    next: u32,
    groups: SortedMap<(Box<str>, u8), Group>,
}

impl GroupMarks {
    /// Nothing is done before the first group. `start`: the first mark to give out; 0: 1000.
    pub fn new(table: &NftTable, start: u32, counters: bool) -> Self {
        Self {
            tables: Tables::new(table, counters),
            kernel: Conversation::new(),
            next: if start > 0 { start } else { START_MARK },
            groups: SortedMap::new(),
        }
    }

    /// The mark of a group for a protocol, if it has one.
    pub fn mark(&self, group: &str, protocol: Protocol) -> Option<u32> {
        let key = (group.into(), protocol.number());
        self.groups.get(&key).map(|g| g.mark)
    }

    /// From now on packets of this protocol to `ranges`, and no others, have the group's mark, which is returned.
    pub fn set(&mut self, group: &str, protocol: Protocol, ranges: &[Range]) -> u32 {
        let next = &mut self.next;
        let known = self
            .groups
            .or_insert_with((group.into(), protocol.number()), || {
                let mark = *next;
                *next = next.wrapping_add(1).max(1);
                Group {
                    mark,
                    ranges: Vec::new(),
                }
            });
        let mark = known.mark;
        let before = std::mem::replace(&mut known.ranges, ranges.to_vec());
        let marked = |range: &Range| Marked {
            range: *range,
            protocol,
            mark,
        };
        for gone in before.iter().filter(|r| !ranges.contains(r)) {
            self.transaction(|t, b| t.push_gone(b, marked(gone)));
        }
        for new in ranges.iter().filter(|r| !before.contains(r)) {
            if self.tables.is_empty() {
                self.tables.leftovers = self.kernel.leftovers(&self.tables.table);
            }
            self.transaction(|t, b| t.push_new(b, marked(new)));
        }
        mark
    }

    /// Packets to the group have no mark any more; the mark is kept for it.
    pub fn clear(&mut self, group: &str, protocol: Protocol) {
        if self.mark(group, protocol).is_some() {
            self.set(group, protocol, &[]);
        }
    }

    /// Takes the tables away, at the end.
    pub fn close(&mut self) {
        self.groups.clear();
        if !self.tables.is_empty() {
            self.transaction(Tables::push_delete);
        }
        self.kernel.close();
    }

    fn transaction(&mut self, fill: impl FnOnce(&mut Tables, &mut Batch)) {
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        fill(&mut self.tables, &mut batch);
        nft::end(&mut batch);
        let _ = self.kernel.exchange(&mut batch);
    }
}
