//! The part of KEEPALIVED-MIB that tells of the whole daemon: global(1). One child answers for it.
//! Answers to: keepalived 2.3.3 core/snmp.c, keepalived-snmp-oids.tsv.

use std::net::IpAddr;

use agentx_wire::{Oid, Tree, Value};
use conf_parsers::keepalived::model::Global;
use conf_parsers::keepalived::model::global::FlushOnStop;

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
