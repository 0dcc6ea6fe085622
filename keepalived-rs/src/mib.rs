//! What the children's parts of KEEPALIVED-MIB share: the objects that tell of the whole daemon, global(1), for which one child
//! answers; forms of values; steps of a set.
//! Answers to: keepalived 2.3.3 core/snmp.c, keepalived-snmp-oids.tsv.

use std::net::IpAddr;

use agentx_wire::pdu::Pdu;
use agentx_wire::{Oid, Tree, Value, VarBind};
use conf_parsers::keepalived::model::global::FlushOnStop;
use conf_parsers::keepalived::model::{Global, Script};

use crate::text::version::VERSION;

/// enterprises.debian.project.keepalived.
pub const KEEPALIVED: [u32; 9] = [1, 3, 6, 1, 4, 1, 9586, 100, 5];

/// Below KEEPALIVED-MIB.
pub fn keepalived(more: &[u32]) -> Oid {
    Oid::new(&KEEPALIVED).with(more)
}

/// The octets of an address.
pub fn octets(address: IpAddr) -> Value {
    Value::Octets(match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    })
}

/// InetAddressType: ipv4(1), ipv6(2).
pub const fn address_type(address: IpAddr) -> Value {
    Value::Integer(match address {
        IpAddr::V4(_) => 1,
        IpAddr::V6(_) => 2,
    })
}

/// InetScopeType of a kernel's scope.
pub const fn scope(scope: u8) -> Value {
    Value::Integer(match scope {
        0 => 14,
        254 => 1,
        253 => 2,
        200 => 5,
        _ => 0,
    })
}

/// A command with its words in quotes.
pub fn command(script: Option<&Script>) -> Option<Value> {
    script.map(|s| Value::text(&crate::text::dump::command(s, &[])))
}

/// What is executed for a command.
pub fn command_path(script: Option<&Script>) -> Option<Value> {
    let script = script?;
    let first = script.args.first().map(String::as_str);
    script.path.as_deref().or(first).map(Value::text)
}

/// The first row behind `index` of a table that is numbered from 1 to `count`; with `include` an equal one, too.
pub fn next_of_one(index: &[u32], include: bool, count: usize) -> Option<Vec<u32>> {
    let first = match *index {
        [] => 1,
        [n] if include => n.max(1),
        [n, ..] => n.checked_add(1)?,
    };
    let there = usize::try_from(first).is_ok_and(|n| n <= count);
    there.then(|| vec![first])
}

/// The same for a table with two numbers; `inner` tells how many rows there are with a first number.
pub fn next_of_two(
    index: &[u32],
    include: bool,
    count: usize,
    inner: impl Fn(usize) -> usize,
) -> Option<Vec<u32>> {
    let (mut outer, mut place) = match *index {
        [] => (1, 1),
        [n] => (n, 1),
        [n, m] if include => (n, m),
        [n, m, ..] => (n, m.saturating_add(1)),
    };
    if outer == 0 {
        (outer, place) = (1, 1);
    }
    place = place.max(1);
    loop {
        let number = usize::try_from(outer).ok().filter(|n| *n <= count)?;
        if usize::try_from(place).is_ok_and(|p| p <= inner(number)) {
            return Some(vec![outer, place]);
        }
        (outer, place) = (outer.checked_add(1)?, 1);
    }
}

/// What stands at a number from 1 on.
pub fn at<T>(of: &[T], number: u32) -> Option<&T> {
    of.get(usize::try_from(number).ok()?.checked_sub(1)?)
}

/// Indices from 1 on.
pub fn numbered<T>(rows: impl IntoIterator<Item = T>) -> Vec<(Vec<u32>, T)> {
    (1..).map(|n| vec![n]).zip(rows).collect()
}

/// Errors of RFC 2741 section 6.2.16, named as in RFC 3416.
pub mod error {
    pub const NO_ACCESS: u16 = 6;
    pub const WRONG_TYPE: u16 = 7;
    pub const WRONG_VALUE: u16 = 10;
    pub const NOT_WRITABLE: u16 = 17;
}

/// A set in progress: what is to be done, and what undoes it.
#[derive(Debug)]
pub struct Pending<C>(Vec<(C, C)>);

impl<C> Default for Pending<C> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<C: Copy> Pending<C> {
    /// The step of a set that `pdu` is: what to do now, or error and number of the object. `test` finds the change that an object
    /// asks for, and its undoing.
    pub fn step(
        &mut self,
        pdu: &Pdu,
        test: impl Fn(&VarBind) -> Result<(C, C), u16>,
    ) -> Result<Vec<C>, (u16, u16)> {
        match pdu {
            Pdu::TestSet(objects) => {
                self.0.clear();
                for (number, object) in (1..).zip(objects) {
                    let change = test(object).map_err(|error| (error, number))?;
                    self.0.push(change);
                }
                Ok(Vec::new())
            }
            Pdu::CommitSet => Ok(self.0.iter().map(|(change, _)| *change).collect()),
            Pdu::UndoSet => Ok(self.0.drain(..).rev().map(|(_, undo)| undo).collect()),
            _ => {
                self.0.clear();
                Ok(Vec::new())
            }
        }
    }
}

/// The global objects.
pub fn global(tree: &mut Tree, g: &Global) {
    let text = |text: &Option<String>| text.as_deref().map(Value::text);
    let switch = |switch: Option<bool>| {
        Some(Value::Integer(match switch {
            Some(true) => 1,
            Some(false) => 2,
            None => 3,
        }))
    };
    let truth = |value| Some(Value::truth(value));
    let server = g.smtp_server;
    // Without a server the original has a socket address of zeros, which counts as IPv6 in one object and as IPv4 in the other.
    let none = Value::Octets(vec![0; 4]);
    let rows: [(&[u32], Option<Value>); 20] = [
        (&[1], Some(Value::text(VERSION))),
        (&[2], text(&g.router_id)),
        (
            &[3, 1],
            Some(server.map_or(Value::Integer(2), |s| address_type(s.ip()))),
        ),
        (&[3, 2], Some(server.map_or(none, |s| octets(s.ip())))),
        (
            &[3, 3],
            Some(Value::Unsigned(
                u32::try_from(g.smtp_connect_timeout / 1_000_000).unwrap_or(u32::MAX),
            )),
        ),
        (&[3, 4], text(&g.notification_email_from)),
        (
            &[3, 6],
            Some(Value::Unsigned(server.map_or(0, |s| u32::from(s.port())))),
        ),
        (&[3, 7], truth(!g.no_email_faults)),
        (&[3, 8], switch(g.smtp_alert)),
        (&[3, 9], switch(g.smtp_alert_vrrp)),
        (&[3, 10], switch(g.smtp_alert_checker)),
        (&[4], truth(g.enable_traps)),
        (
            &[5],
            Some(Value::Integer(if g.linkbeat_use_polling { 2 } else { 1 })),
        ),
        (&[6], truth(g.lvs_flush)),
        (&[7], truth(true)),
        (
            &[8],
            Some(Value::text(g.net_namespace.as_deref().unwrap_or(""))),
        ),
        (&[9], truth(g.enable_dbus)),
        (&[10], truth(g.dynamic_interfaces)),
        (
            &[11],
            Some(Value::Integer(match g.lvs_flush_on_stop {
                FlushOnStop::Full => 1,
                FlushOnStop::No => 2,
                FlushOnStop::VirtualServers => 3,
            })),
        ),
        (&[12], truth(g.v3_checksum_as_v2)),
    ];
    for (number, value) in rows {
        tree.scalar(keepalived(&[1]).with(number), value);
    }
    let mails: Vec<(Vec<u32>, &String)> =
        (1..).map(|n| vec![n]).zip(&g.notification_email).collect();
    tree.table(
        &keepalived(&[1, 3, 5, 1]),
        &mails,
        &[(2, |m| Some(Value::text(m)))],
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_behind_an_index() {
        assert_eq!(next_of_one(&[], true, 2), Some(vec![1]));
        assert_eq!(next_of_one(&[0], true, 2), Some(vec![1]));
        assert_eq!(next_of_one(&[1], true, 2), Some(vec![1]));
        assert_eq!(next_of_one(&[1], false, 2), Some(vec![2]));
        assert_eq!(next_of_one(&[1, 7], true, 2), Some(vec![2]));
        assert_eq!(next_of_one(&[2], false, 2), None);
        assert_eq!(next_of_one(&[u32::MAX], false, 2), None);
        // Two rows, none, one.
        let two = |index: &[u32], include| {
            next_of_two(index, include, 3, |n| {
                [2, 0, 1].get(n - 1).copied().unwrap_or(0)
            })
        };
        assert_eq!(two(&[], true), Some(vec![1, 1]));
        assert_eq!(two(&[0, 9], false), Some(vec![1, 1]));
        assert_eq!(two(&[1], false), Some(vec![1, 1]));
        assert_eq!(two(&[1, 1], true), Some(vec![1, 1]));
        assert_eq!(two(&[1, 1], false), Some(vec![1, 2]));
        assert_eq!(two(&[1, 2], false), Some(vec![3, 1]));
        assert_eq!(two(&[2], true), Some(vec![3, 1]));
        assert_eq!(two(&[3, 1, 5], true), None);
        assert_eq!(two(&[3, u32::MAX], false), None);
    }
}
