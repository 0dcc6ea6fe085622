//! Ports: only NAT can change them, and a firewall mark has none.

use std::net::SocketAddr;

use super::{complain, is_mark};
use crate::keepalived::engine::Ctx;
use crate::keepalived::model::lvs::{
    ForwardingMethod, GroupEntry, RealServer, Trio, VirtualServer, VirtualServerGroup,
};

/// Checks the ports of all servers; those of a single address or mark are corrected.
pub(super) fn check(ctx: &mut Ctx<'_>, vs: &mut VirtualServer, group: Option<&VirtualServerGroup>) {
    match group {
        Some(group) => grouped(ctx, vs, group),
        None => single(ctx, vs),
    }
}

const NAT: Option<ForwardingMethod> = Some(ForwardingMethod::Nat);

/// The sorry server unless it uses NAT.
fn sorry(vs: &VirtualServer) -> Option<SocketAddr> {
    let sorry = vs.sorry_server.as_ref()?;
    (sorry.forwarding.method != NAT).then_some(sorry.addr)
}

fn grouped(ctx: &mut Ctx<'_>, vs: &VirtualServer, group: &VirtualServerGroup) {
    let real = || {
        vs.real_servers
            .iter()
            .filter(|rs| rs.forwarding.method != NAT && rs.addr.port() != 0)
    };
    let sorry = sorry(vs).filter(|addr| addr.port() != 0);
    if group.has_marks() {
        for rs in real() {
            complain(
                ctx,
                format!(
                    "WARNING - fwmark virtual server {vs}, real server {} has port specified - port will be ignored",
                    Trio(rs.addr, vs.protocol)
                ),
            );
        }
        if sorry.is_some() {
            complain(
                ctx,
                format!(
                    "WARNING - fwmark virtual server {vs}, sorry server has port specified - port will be ignored"
                ),
            );
        }
    }
    for entry in &group.entries {
        let GroupEntry::Addresses { first, .. } = entry else {
            continue;
        };
        for rs in real().filter(|rs| rs.addr.port() != first.port()) {
            complain(
                ctx,
                format!(
                    "virtual server {vs}:[{entry}] and real server {} ports don't match",
                    Trio(rs.addr, vs.protocol)
                ),
            );
        }
        if sorry.is_some_and(|addr| addr.port() != first.port()) {
            complain(
                ctx,
                format!(
                    "WARNING - virtual server {vs}, sorry server has port specified - port will be ignored"
                ),
            );
        }
    }
}

/// Another port for packets that are passed on. Checks go where they were meant to: to the port that was written.
fn set_port(rs: &mut RealServer, port: u16) {
    let written = rs.addr.port();
    if written != 0 {
        for connection in rs.checkers.iter_mut().filter_map(|c| c.connection.as_mut()) {
            connection.port.get_or_insert(written);
        }
    }
    rs.addr.set_port(port);
}

fn single(ctx: &mut Ctx<'_>, vs: &mut VirtualServer) {
    let mark = is_mark(vs);
    let port = vs.address().map_or(0, |addr| addr.port());
    let mut real_servers = std::mem::take(&mut vs.real_servers);
    for rs in &mut real_servers {
        let own = rs.addr.port();
        let nat = rs.forwarding.method == NAT;
        let name = Trio(rs.addr, vs.protocol);
        if mark {
            if own != 0 && !nat {
                complain(
                    ctx,
                    format!(
                        "WARNING - fwmark virtual server {vs}, real server {name} has port specified - clearing"
                    ),
                );
                set_port(rs, 0);
            }
        } else if own == 0 {
            set_port(rs, port);
        } else if own != port && !nat {
            complain(
                ctx,
                format!(
                    "WARNING - virtual server {vs} and real server {name} ports don't match - resetting"
                ),
            );
            set_port(rs, port);
        }
    }
    vs.real_servers = real_servers;
    let Some(own) = sorry(vs).map(|addr| addr.port()) else {
        return;
    };
    let new = if mark { 0 } else { port };
    if own != 0 && own != new {
        let text = if mark {
            format!("WARNING - virtual server {vs}, sorry server has port specified - clearing")
        } else {
            format!("WARNING - virtual server {vs} and sorry server ports don't match - resetting")
        };
        complain(ctx, text);
    }
    if let Some(sorry) = &mut vs.sorry_server {
        sorry.addr.set_port(new);
    }
}
