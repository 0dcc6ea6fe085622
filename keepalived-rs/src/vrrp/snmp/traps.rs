//! Notifications: what they are called and what they tell.
//! Answers to: keepalived 2.3.3 vrrp/vrrp_snmp.c (vrrp_snmp_instance_trap and the following).

use std::net::IpAddr;

use agentx_wire::{Oid, Value, VarBind};
use vrrp_proto::output::NotifyState;
use vrrp_proto::reasons::{AuthError, MasterReason, ProtocolError};

use super::{VRRP_MIB, VRRPV3_MIB};
use crate::mib::{keepalived, octets};

/// A notification and its objects.
pub(in crate::vrrp) type Trap = (Oid, Vec<VarBind>);

fn bind(name: Oid, value: Value) -> VarBind {
    VarBind { name, value }
}

/// VrrpState as notifications tell it.
const fn state(state: NotifyState) -> Value {
    Value::Integer(match state {
        NotifyState::Backup => 1,
        NotifyState::Master => 2,
        NotifyState::Fault => 3,
        NotifyState::Stop => 5,
        NotifyState::Deleted => 6,
    })
}

/// vrrpInstanceStateChange. `initial`: the configured state is MASTER.
pub(in crate::vrrp) fn instance(
    name: &str,
    now: NotifyState,
    initial: bool,
    router_id: &str,
) -> Trap {
    let objects = vec![
        bind(keepalived(&[2, 3, 1, 2]), Value::text(name)),
        bind(keepalived(&[2, 3, 1, 4]), state(now)),
        bind(
            keepalived(&[2, 3, 1, 5]),
            Value::Integer(if initial { 2 } else { 1 }),
        ),
        bind(keepalived(&[1, 2, 0]), Value::text(router_id)),
    ];
    (keepalived(&[2, 10, 0, 2]), objects)
}

/// vrrpSyncGroupStateChange.
pub(in crate::vrrp) fn group(name: &str, now: NotifyState, router_id: &str) -> Trap {
    let objects = vec![
        bind(keepalived(&[2, 1, 1, 2]), Value::text(name)),
        bind(keepalived(&[2, 1, 1, 3]), state(now)),
        bind(keepalived(&[1, 2, 0]), Value::text(router_id)),
    ];
    (keepalived(&[2, 10, 0, 1]), objects)
}

/// An instance as the MIBs of the RFCs index it.
#[derive(Clone, Copy, Debug)]
pub(in crate::vrrp) struct Place {
    /// Number of the interface, 0 without one.
    pub(in crate::vrrp) interface: u32,
    /// VRID.
    pub(in crate::vrrp) vrid: u8,
    /// It is of IPv6.
    pub(in crate::vrrp) v6: bool,
}

impl Place {
    fn under(self, mib: &[u32], object: &[u32]) -> Oid {
        let index = [self.interface, u32::from(self.vrid)];
        Oid::new(mib).with(object).with(&index)
    }

    fn under_v3(self, object: &[u32]) -> Oid {
        self.under(&VRRPV3_MIB, object)
            .with(&[if self.v6 { 2 } else { 1 }])
    }
}

const fn address(address: IpAddr) -> Value {
    match address {
        IpAddr::V4(a) => Value::Address(a.octets()),
        // The MIB knows IPv4 only, and so do the callers.
        IpAddr::V6(_) => Value::Address([0; 4]),
    }
}

/// vrrpTrapNewMaster of RFC 2787.
pub(in crate::vrrp) fn new_master(place: Place, source: IpAddr) -> Trap {
    let name = place.under(&VRRP_MIB, &[1, 3, 1, 7]);
    (
        Oid::new(&VRRP_MIB).with(&[0, 1]),
        vec![bind(name, address(source))],
    )
}

/// vrrpTrapAuthFailure of RFC 2787.
pub(in crate::vrrp) fn auth_failure(place: Place, from: IpAddr, why: AuthError) -> Trap {
    let objects = vec![
        bind(place.under(&VRRP_MIB, &[1, 5]), address(from)),
        bind(
            place.under(&VRRP_MIB, &[1, 6]),
            Value::Integer(why.number()),
        ),
    ];
    (Oid::new(&VRRP_MIB).with(&[0, 2]), objects)
}

/// vrrpv3NewMaster of RFC 6527.
pub(in crate::vrrp) fn new_master_v3(place: Place, source: IpAddr, why: MasterReason) -> Trap {
    let objects = vec![
        bind(place.under_v3(&[1, 1, 1, 1, 3]), octets(source)),
        bind(
            place.under_v3(&[1, 2, 5, 1, 2]),
            Value::Integer(why.number()),
        ),
    ];
    (Oid::new(&VRRPV3_MIB).with(&[0, 1]), objects)
}

/// vrrpv3ProtoError of RFC 6527.
pub(in crate::vrrp) fn protocol_error(place: Place, why: ProtocolError) -> Trap {
    let name = place.under_v3(&[1, 2, 5, 1, 6]);
    (
        Oid::new(&VRRPV3_MIB).with(&[0, 2]),
        vec![bind(name, Value::Integer(why.number()))],
    )
}
