//! Notifications: what they are called and what they tell.
//! Answers to: keepalived 2.3.3 check/check_snmp.c (`check_snmp_rs_trap`).

use agentx_wire::{Oid, Value, VarBind};
use checker_proto::Quorum;
use conf_parsers::keepalived::model::lvs::{Protocol, RealServer, Service, VirtualServer};

use super::services::{address, kind};
use crate::mib::{address_type, keepalived, octets};

/// A notification and its objects.
pub(in crate::check) type Trap = (Oid, Vec<VarBind>);

fn service(column: u32, value: Value) -> VarBind {
    let name = keepalived(&[3, 3, 1, column]);
    VarBind { name, value }
}

fn real(column: u32, value: Value) -> VarBind {
    let name = keepalived(&[3, 4, 1, column]);
    VarBind { name, value }
}

/// Which virtual server it is about.
fn about(vs: &VirtualServer) -> Vec<VarBind> {
    let mut objects = vec![service(2, kind(vs))];
    match (&vs.service, address(vs)) {
        (Service::Group { name, .. }, _) => objects.push(service(3, Value::text(&name.value))),
        (_, Some((address, port))) => objects.extend([
            service(5, address_type(address)),
            service(6, octets(address)),
            service(7, Value::Unsigned(port.into())),
        ]),
        (Service::Fwmark(mark), None) => objects.push(service(4, Value::Unsigned(*mark))),
        (Service::Address(_), None) => {}
    }
    // As the original: tcp(1), and anything else is udp(2).
    objects.push(service(8, Value::truth(vs.protocol == Some(Protocol::Tcp))));
    objects
}

fn end(vs: &VirtualServer, in_service: u32, router_id: &str) -> [VarBind; 3] {
    let total = u32::try_from(vs.real_servers.len()).unwrap_or(u32::MAX);
    [
        service(21, Value::Unsigned(in_service)),
        service(20, Value::Unsigned(total)),
        VarBind {
            name: keepalived(&[1, 2, 0]),
            value: Value::text(router_id),
        },
    ]
}

/// realServerStateChange. `in_service`: how many of the virtual server's are.
pub(in crate::check) fn real_server(
    vs: &VirtualServer,
    rs: &RealServer,
    up: bool,
    in_service: u32,
    router_id: &str,
) -> Trap {
    let mut objects = vec![
        real(3, address_type(rs.addr.ip())),
        real(4, octets(rs.addr.ip())),
        real(5, Value::Unsigned(rs.addr.port().into())),
        real(6, Value::truth(up)),
    ];
    objects.extend(about(vs));
    objects.extend(end(vs, in_service, router_id));
    (keepalived(&[3, 5, 0, 1]), objects)
}

/// virtualServerQuorumStateChange
pub(in crate::check) fn quorum(vs: &VirtualServer, quorum: &Quorum, router_id: &str) -> Trap {
    let mut objects = about(vs);
    let state = match (quorum.stopping, quorum.up) {
        (true, _) => 3,
        (false, true) => 1,
        (false, false) => 2,
    };
    objects.push(service(23, Value::Integer(state)));
    objects.push(service(22, Value::Unsigned(vs.quorum)));
    objects.extend(end(vs, quorum.in_service, router_id));
    (keepalived(&[3, 5, 0, 2]), objects)
}
