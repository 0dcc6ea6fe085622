//! Requests to nf_tables (`linux/netfilter/nf_tables.h`): tables, chains, sets, elements and rules.
//!
//! ```text
//! BATCH_BEGIN │ NEWTABLE │ NEWCHAIN │ NEWSET │ NEWRULE │ NEWSETELEM │ … │ BATCH_END      one datagram, one transaction
//! ```
//! Changes are carried out all together or not at all. Each request is answered by itself, the frame around them is not unless
//! the whole subsystem is missing. Numbers in attributes are in network order, what packets and registers hold is as it is there.

mod expr;

pub use expr::{Base, Expr, MetaKey, Register, Verdict};

use alloc::vec::Vec;
use net_types::Family;

use crate::framing::{Batch, F_ACK, F_APPEND, F_CREATE, F_EXCL};
use crate::nla::Writer;

/// `NFNL_SUBSYS_NFTABLES`
const SUBSYSTEM: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN`
const BATCH_BEGIN: u16 = 16;
/// `NFNL_MSG_BATCH_END`
const BATCH_END: u16 = 17;

const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const DELETE_ELEMENTS: u16 = 14;

/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;
/// `NFTA_LIST_ELEM`
const LIST_ELEM: u16 = 1;
/// `NFTA_DATA_VALUE`
const DATA_VALUE: u16 = 1;
/// Bytes of elements in one request. Their list is an attribute, whose length has 16 bits.
const ELEMENTS_ROOM: usize = 60_000;

/// A table: everything else is named within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a> {
    /// Which packets it sees.
    pub family: Family,
    /// Its name.
    pub name: &'a str,
}

/// Where a base chain sits (`NF_INET_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets that arrive, before routing.
    Prerouting = 0,
    /// Packets for this machine.
    Input = 1,
    /// Packets of this machine.
    Output = 3,
}

/// Type of what a set holds, as `nft` numbers and prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// `ipv4_addr`
    Ipv4 = 7,
    /// `ipv6_addr`
    Ipv6 = 8,
    /// `inet_service`: a port
    Port = 13,
    /// `mark`
    Mark = 19,
    /// `iface_index`
    InterfaceIndex = 20,
    /// `icmpv6_type`
    Icmpv6Type = 29,
    /// `ifname`
    InterfaceName = 41,
}

impl DataType {
    /// Bytes of a value; parts of a concatenation are padded to four.
    const fn len(self) -> u32 {
        match self {
            Self::Ipv4 | Self::Port | Self::Mark | Self::InterfaceIndex => 4,
            Self::Ipv6 | Self::InterfaceName => 16,
            Self::Icmpv6Type => 1,
        }
    }

    /// How `nft` reads it: network order is 2, the machine's 1.
    const fn byte_order(self) -> u32 {
        match self {
            Self::Ipv4 | Self::Ipv6 => 2,
            _ => 1,
        }
    }
}

/// A set, or a map when it has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// Type of the key; several are a concatenation.
    pub key: &'a [DataType],
    /// Type of a map's values.
    pub data: Option<DataType>,
    /// Its elements do not change once rules use it.
    pub constant: bool,
    /// Elements are ranges; the lengths in bytes of the key's parts, without padding.
    pub ranges: Option<&'a [u32]>,
    /// Each element counts packets and bytes.
    pub counters: bool,
    /// Its number within the transaction.
    pub id: u32,
}

/// An element of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The key's bytes, or a range's first ones.
    pub key: &'a [u8],
    /// A range's last bytes.
    pub end: Option<&'a [u8]>,
    /// A map's value.
    pub data: Option<&'a [u8]>,
}

/// Begins a transaction.
pub fn begin(batch: &mut Batch) {
    frame(batch, BATCH_BEGIN);
}

/// Ends a transaction: only now it is carried out.
pub fn end(batch: &mut Batch) {
    frame(batch, BATCH_END);
}

fn frame(batch: &mut Batch, kind: u16) {
    batch.push(kind, 0, |w| w.raw(&[0, 0, 0, SUBSYSTEM as u8]));
}

fn push(
    batch: &mut Batch,
    kind: u16,
    flags: u16,
    family: Family,
    body: impl FnOnce(&mut Writer<'_>),
) {
    batch.push(SUBSYSTEM << 8 | kind, flags | F_ACK, |w| {
        // NFPROTO_IPV4 and NFPROTO_IPV6 are the address families' numbers.
        w.raw(&[family.af(), 0, 0, 0]);
        body(w);
    });
}

impl Table<'_> {
    /// Asks for the table; refused with ENOENT when there is none. Not part of a transaction.
    pub fn push_get(&self, batch: &mut Batch) {
        push(batch, GET_TABLE, 0, self.family, |w| w.text(1, self.name));
    }

    /// Makes the table.
    pub fn push_new(&self, batch: &mut Batch) {
        push(batch, NEW_TABLE, F_CREATE, self.family, |w| {
            w.text(1, self.name);
        });
    }

    /// Removes the table and all that is in it.
    pub fn push_delete(&self, batch: &mut Batch) {
        push(batch, DELETE_TABLE, 0, self.family, |w| {
            w.text(1, self.name)
        });
    }

    /// Makes a chain that rules go to.
    pub fn push_chain(&self, batch: &mut Batch, name: &str) {
        push(batch, NEW_CHAIN, F_CREATE, self.family, |w| {
            w.text(1, self.name);
            w.text(3, name);
        });
    }

    /// Makes a filter chain that packets go through; what reaches its end is accepted.
    pub fn push_base_chain(&self, batch: &mut Batch, name: &str, hook: Hook, priority: i32) {
        const ACCEPT: u32 = 1;
        push(batch, NEW_CHAIN, F_CREATE, self.family, |w| {
            w.text(1, self.name);
            w.text(3, name);
            w.nest(4 | NESTED, |w| {
                be32(w, 1, hook as u32);
                w.bytes(2, &priority.to_be_bytes());
            });
            be32(w, 5, ACCEPT);
            w.text(7, "filter");
        });
    }

    /// Makes a set.
    pub fn push_set(&self, batch: &mut Batch, set: &Set<'_>) {
        const CONSTANT: u32 = 2;
        const INTERVAL: u32 = 4;
        const MAP: u32 = 8;
        const CONCATENATION: u32 = 0x80;
        // A concatenation's type has six bits for each of its parts.
        let kind = set.key.iter().fold(0, |t, k| t << 6 | *k as u32);
        let len: u32 = set.key.iter().map(|k| k.len()).sum();
        let constant = if set.constant { CONSTANT } else { 0 };
        let ranges = set.ranges.map_or(0, |_| INTERVAL | CONCATENATION);
        let flags = constant | ranges | if set.data.is_some() { MAP } else { 0 };
        let order = match set.key {
            [one] => one.byte_order(),
            _ => 1,
        };
        push(batch, NEW_SET, F_CREATE, self.family, |w| {
            w.text(1, self.name);
            w.text(2, set.name);
            if flags != 0 {
                be32(w, 3, flags);
            }
            be32(w, 4, kind);
            be32(w, 5, len);
            if let Some(data) = set.data {
                be32(w, 6, data as u32);
                be32(w, 7, data.len());
            }
            be32(w, 10, set.id);
            if let Some(parts) = set.ranges {
                w.nest(9 | NESTED, |w| {
                    w.nest(2 | NESTED, |w| {
                        for part in parts {
                            w.nest(LIST_ELEM | NESTED, |w| be32(w, 1, *part));
                        }
                    });
                });
            }
            // What `nft` keeps there for itself: type, length, byte order.
            let mut user = Vec::with_capacity(12);
            user.extend_from_slice(&[0, 4]);
            user.extend_from_slice(&order.to_ne_bytes());
            if set.data.is_some() {
                user.extend_from_slice(&[1, 4]);
                user.extend_from_slice(&1_u32.to_ne_bytes());
            }
            w.bytes(13, &user);
            if set.counters {
                w.nest(17 | NESTED, |w| Expr::Counter.write(w));
            }
        });
    }

    /// Adds elements. `set_id`: the number of a set made in this transaction. `exclusive`: refuse what is there already.
    pub fn push_elements(
        &self,
        batch: &mut Batch,
        set: &str,
        set_id: Option<u32>,
        exclusive: bool,
        elements: &[Element<'_>],
    ) {
        let flags = F_CREATE | if exclusive { F_EXCL } else { 0 };
        self.elements(batch, NEW_ELEMENTS, flags, set, set_id, elements);
    }

    /// Removes elements.
    pub fn push_delete_elements(&self, batch: &mut Batch, set: &str, elements: &[Element<'_>]) {
        self.elements(batch, DELETE_ELEMENTS, 0, set, None, elements);
    }

    fn elements(
        &self,
        batch: &mut Batch,
        kind: u16,
        flags: u16,
        set: &str,
        set_id: Option<u32>,
        elements: &[Element<'_>],
    ) {
        let mut rest = elements;
        while !rest.is_empty() {
            let mut room = ELEMENTS_ROOM;
            let fit = rest.iter().take_while(|e| {
                let more = |d: &[u8]| d.len().saturating_add(16);
                let len =
                    e.key.len().saturating_add(24) + e.data.map_or(0, more) + e.end.map_or(0, more);
                room = room.saturating_sub(len);
                room > 0
            });
            let (now, later) = rest.split_at(fit.count().max(1));
            rest = later;
            push(batch, kind, flags, self.family, |w| {
                w.text(2, set);
                if let Some(id) = set_id {
                    be32(w, 4, id);
                }
                w.text(1, self.name);
                w.nest(3 | NESTED, |w| {
                    for (number, element) in (1..).zip(now) {
                        w.nest(number | NESTED, |w| {
                            value(w, 1, element.key);
                            if let Some(end) = element.end {
                                value(w, 10, end);
                            }
                            if let Some(data) = element.data {
                                value(w, 2, data);
                            }
                        });
                    }
                });
            });
        }
    }

    /// Adds a rule at the end of a chain.
    pub fn push_rule(&self, batch: &mut Batch, chain: &str, expressions: &[Expr<'_>]) {
        push(batch, NEW_RULE, F_CREATE | F_APPEND, self.family, |w| {
            w.text(1, self.name);
            w.text(2, chain);
            w.nest(4 | NESTED, |w| {
                for expression in expressions {
                    w.nest(LIST_ELEM | NESTED, |w| expression.write(w));
                }
            });
        });
    }
}

fn be32(w: &mut Writer<'_>, kind: u16, value: u32) {
    w.bytes(kind, &value.to_be_bytes());
}

/// `NFTA_DATA_VALUE` within an attribute.
fn value(w: &mut Writer<'_>, kind: u16, bytes: &[u8]) {
    w.nest(kind | NESTED, |w| w.bytes(DATA_VALUE, bytes));
}
