//! Routing rules (`linux/fib_rules.h`). The fixed header has the shape of a route's, with the action in place of the type.

use alloc::boxed::Box;

use net_types::{Family, Prefix};

use crate::address::family;
use crate::framing::{Batch, F_ACK, F_CREATE, F_EXCL};
use crate::nla::{Attr, Attrs, Writer};
use crate::read;
use crate::route::TABLE_MAIN;

/// `RTM_NEWRULE`
pub const RTM_NEWRULE: u16 = 32;
/// `RTM_DELRULE`
pub const RTM_DELRULE: u16 = 33;
/// `RTM_GETRULE`
pub const RTM_GETRULE: u16 = 34;

const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IFNAME: u16 = 3;
const FRA_GOTO: u16 = 4;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FLOW: u16 = 11;
const FRA_TUN_ID: u16 = 12;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_UID_RANGE: u16 = 20;
const FRA_PROTOCOL: u16 = 21;
const FRA_IP_PROTO: u16 = 22;
const FRA_SPORT_RANGE: u16 = 23;
const FRA_DPORT_RANGE: u16 = 24;
const HEADER_LEN: usize = 12;
const FIB_RULE_INVERT: u32 = 2;

/// `FR_ACT_TO_TBL`: look the table up.
pub const ACTION_TABLE: u8 = 1;
/// `FR_ACT_GOTO`: go on at another rule.
pub const ACTION_GOTO: u8 = 2;
/// `FR_ACT_NOP`
pub const ACTION_NOP: u8 = 3;
/// `FR_ACT_BLACKHOLE`
pub const ACTION_BLACKHOLE: u8 = 6;
/// `FR_ACT_UNREACHABLE`
pub const ACTION_UNREACHABLE: u8 = 7;
/// `FR_ACT_PROHIBIT`
pub const ACTION_PROHIBIT: u8 = 8;

/// A routing rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Family of the packets.
    pub family: Family,
    /// `ACTION_…`
    pub action: u8,
    /// Table to look up; 0 with an action other than [`ACTION_TABLE`] or with `l3mdev`.
    pub table: u32,
    /// Applies to packets that do *not* match.
    pub invert: bool,
    /// Type of service.
    pub tos: u8,
    /// Source network.
    pub from: Option<Prefix>,
    /// Destination network.
    pub to: Option<Prefix>,
    /// Place in the list; the kernel chooses when not given.
    pub priority: Option<u32>,
    /// Firewall mark.
    pub mark: Option<u32>,
    /// Which bits of the mark count.
    pub mask: Option<u32>,
    /// Realms; 0 for none.
    pub realms: u32,
    /// Refuse routes whose prefix is this short or shorter.
    pub suppress_prefix_len: Option<u32>,
    /// Refuse routes over interfaces of this group.
    pub suppress_group: Option<u32>,
    /// Name of the incoming interface.
    pub incoming: Option<Box<str>>,
    /// Name of the outgoing interface.
    pub outgoing: Option<Box<str>>,
    /// Tunnel identifier; 0 for any.
    pub tunnel_id: u64,
    /// First and last user of the sending socket.
    pub users: Option<(u32, u32)>,
    /// Look up the table of the VRF that the packet belongs to.
    pub l3mdev: bool,
    /// Who added the rule.
    pub protocol: Option<u8>,
    /// IP protocol.
    pub ip_protocol: Option<u8>,
    /// First and last source port.
    pub source_ports: Option<(u16, u16)>,
    /// First and last destination port.
    pub destination_ports: Option<(u16, u16)>,
    /// Priority of the rule to go on at.
    pub goto: Option<u32>,
}

impl Rule {
    /// A rule that sends everything to the main table.
    pub const fn new(family: Family) -> Self {
        Self {
            family,
            action: ACTION_TABLE,
            table: TABLE_MAIN,
            invert: false,
            tos: 0,
            from: None,
            to: None,
            priority: None,
            mark: None,
            mask: None,
            realms: 0,
            suppress_prefix_len: None,
            suppress_group: None,
            incoming: None,
            outgoing: None,
            tunnel_id: 0,
            users: None,
            l3mdev: false,
            protocol: None,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            goto: None,
        }
    }

    /// Decodes the body of `RTM_NEWRULE` or `RTM_DELRULE`; `None` for families other than IP.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let family = family(read::u8(body, 0)?)?;
        let mut found = Self::new(family);
        let (to_len, from_len) = (read::u8(body, 1)?, read::u8(body, 2)?);
        found.tos = read::u8(body, 3)?;
        found.table = u32::from(read::u8(body, 4)?);
        found.action = read::u8(body, 7)?;
        found.invert = read::u32(body, 8)? & FIB_RULE_INVERT != 0;
        let prefix = |attr: Attr<'_>, len| Prefix::new(attr.ip_of(family)?, len);
        let ports = |attr: Attr<'_>| Some((read::u16(attr.data, 0)?, read::u16(attr.data, 2)?));
        for attr in Attrs::after(body, HEADER_LEN) {
            match attr.kind {
                FRA_DST => found.to = prefix(attr, to_len),
                FRA_SRC => found.from = prefix(attr, from_len),
                FRA_IFNAME => found.incoming = attr.text(),
                FRA_GOTO => found.goto = attr.u32(),
                FRA_PRIORITY => found.priority = attr.u32(),
                FRA_FWMARK => found.mark = attr.u32(),
                FRA_FLOW => found.realms = attr.u32().unwrap_or(0),
                FRA_TUN_ID => found.tunnel_id = attr.u64_be().unwrap_or(0),
                // The kernel always tells both; all ones is "none".
                FRA_SUPPRESS_IFGROUP => {
                    found.suppress_group = attr.u32().filter(|v| *v != u32::MAX)
                }
                FRA_SUPPRESS_PREFIXLEN => {
                    found.suppress_prefix_len = attr.u32().filter(|v| *v != u32::MAX)
                }
                FRA_TABLE => found.table = attr.u32().unwrap_or(found.table),
                FRA_FWMASK => found.mask = attr.u32(),
                FRA_OIFNAME => found.outgoing = attr.text(),
                FRA_L3MDEV => found.l3mdev = attr.u8().is_some_and(|v| v != 0),
                FRA_UID_RANGE => found.users = read::u32(attr.data, 0).zip(read::u32(attr.data, 4)),
                FRA_PROTOCOL => found.protocol = attr.u8(),
                FRA_IP_PROTO => found.ip_protocol = attr.u8(),
                FRA_SPORT_RANGE => found.source_ports = ports(attr),
                FRA_DPORT_RANGE => found.destination_ports = ports(attr),
                _ => {}
            }
        }
        Some(found)
    }

    /// Asks the kernel to add the rule; `EEXIST` when the same one is there.
    pub fn push_add(&self, batch: &mut Batch) {
        batch.push(RTM_NEWRULE, F_ACK | F_CREATE | F_EXCL, |w| self.body(w));
    }

    /// Asks the kernel to remove the first rule that matches.
    pub fn push_delete(&self, batch: &mut Batch) {
        batch.push(RTM_DELRULE, F_ACK, |w| self.body(w));
    }

    fn body(&self, w: &mut Writer<'_>) {
        let looks_up = self.action == ACTION_TABLE && !self.l3mdev;
        let short = u8::try_from(self.table).ok();
        let table = if looks_up { short.unwrap_or(0) } else { 0 };
        let len = |p: Option<Prefix>| p.map_or(0, |p| p.len);
        w.raw(&[self.family.af(), len(self.to), len(self.from), self.tos]);
        w.raw(&[table, 0, 0, self.action]);
        w.raw(&if self.invert { FIB_RULE_INVERT } else { 0 }.to_ne_bytes());
        if looks_up && short.is_none() {
            w.u32(FRA_TABLE, self.table);
        }
        for (attr, prefix) in [(FRA_SRC, self.from), (FRA_DST, self.to)] {
            if let Some(prefix) = prefix {
                w.ip(attr, prefix.addr);
            }
        }
        let numbers = [
            (FRA_PRIORITY, self.priority),
            (FRA_FWMARK, self.mark),
            (FRA_FWMASK, self.mask),
            (FRA_FLOW, (self.realms != 0).then_some(self.realms)),
            (FRA_SUPPRESS_PREFIXLEN, self.suppress_prefix_len),
            (FRA_SUPPRESS_IFGROUP, self.suppress_group),
        ];
        put_numbers(w, &numbers);
        for (attr, name) in [(FRA_IFNAME, &self.incoming), (FRA_OIFNAME, &self.outgoing)] {
            if let Some(name) = name {
                w.text(attr, name);
            }
        }
        if self.tunnel_id != 0 {
            w.u64_be(FRA_TUN_ID, self.tunnel_id);
        }
        if let Some((first, last)) = self.users {
            let mut range = [0; 8];
            range[..4].copy_from_slice(&first.to_ne_bytes());
            range[4..].copy_from_slice(&last.to_ne_bytes());
            w.bytes(FRA_UID_RANGE, &range);
        }
        if self.l3mdev {
            w.u8(FRA_L3MDEV, 1);
        }
        for (attr, value) in [
            (FRA_PROTOCOL, self.protocol),
            (FRA_IP_PROTO, self.ip_protocol),
        ] {
            if let Some(value) = value {
                w.u8(attr, value);
            }
        }
        for (attr, ports) in [
            (FRA_SPORT_RANGE, self.source_ports),
            (FRA_DPORT_RANGE, self.destination_ports),
        ] {
            if let Some((first, last)) = ports {
                let mut range = [0; 4];
                range[..2].copy_from_slice(&first.to_ne_bytes());
                range[2..].copy_from_slice(&last.to_ne_bytes());
                w.bytes(attr, &range);
            }
        }
        put_numbers(w, &[(FRA_GOTO, self.goto)]);
    }
}

fn put_numbers(w: &mut Writer<'_>, numbers: &[(u16, Option<u32>)]) {
    for (attr, value) in numbers {
        if let Some(value) = value {
            w.u32(*attr, *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Messages;

    fn full() -> Rule {
        let mut rule = Rule::new(Family::V4);
        rule.table = 1000;
        rule.invert = true;
        rule.tos = 4;
        rule.from = Prefix::new("10.0.0.0".parse().unwrap(), 8);
        rule.to = Prefix::new("192.168.0.0".parse().unwrap(), 16);
        rule.priority = Some(100);
        rule.mark = Some(7);
        rule.mask = Some(0xff);
        rule.realms = 0x0003_0004;
        rule.suppress_prefix_len = Some(0);
        rule.suppress_group = Some(2);
        rule.incoming = Some("eth0".into());
        rule.outgoing = Some("eth1".into());
        rule.tunnel_id = 0x0102_0304_0506_0708;
        rule.users = Some((0, 1000));
        rule.protocol = Some(18);
        rule.ip_protocol = Some(6);
        rule.source_ports = Some((1, 1024));
        rule.destination_ports = Some((80, 80));
        rule
    }

    #[test]
    fn everything_reads_back_and_cuts_are_survived() {
        let mut batch = Batch::new();
        full().push_add(&mut batch);
        let body = Messages::new(batch.bytes()).next().unwrap().body;
        assert_eq!(Rule::parse(body), Some(full()));
        for cut in 0..body.len() {
            assert_eq!(Rule::parse(&body[..cut]).is_some(), cut >= HEADER_LEN);
        }
    }

    #[test]
    fn other_actions_name_no_table() {
        let mut rule = Rule::new(Family::V6);
        rule.action = ACTION_PROHIBIT;
        let mut batch = Batch::new();
        rule.push_delete(&mut batch);
        let message = Messages::new(batch.bytes()).next().unwrap();
        assert_eq!(message.body, [10, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0]);
    }
}
