//! VRRP-MIB (RFC 2787): instances of version 2, IPv4. VRRPV3-MIB (RFC 6527): all instances, those of version 2 too, as Debian's
//! build of the original has it. Instances without addresses are in neither.

use std::net::IpAddr;

use agentx_wire::{Oid, Tree, Value};
use conf_parsers::keepalived::model::vrrp_instance::{AuthType, Version, VrrpInstance};
use net_types::Family;
use vrrp_proto::stats::Stats;
use vrrp_proto::status::Status;
use vrrp_proto::{InstanceId, State};

use super::objects::parts;
use super::{VRRP_MIB, VRRPV3_MIB, View};
use crate::mib::octets;

struct Row<'a> {
    written: &'a VrrpInstance,
    status: Status<'a>,
    /// Interface that it stands on, 0 without one.
    index: u32,
    mac: Option<&'a [u8]>,
    primary: Option<IpAddr>,
    /// Hundredths of a second.
    up_time: u32,
}

impl Row<'_> {
    fn family(&self) -> Family {
        self.status.config.family
    }

    fn none(&self) -> IpAddr {
        match self.family() {
            Family::V4 => IpAddr::from([0; 4]),
            Family::V6 => IpAddr::from([0; 16]),
        }
    }

    fn vrid(&self) -> u32 {
        u32::from(self.status.config.vrid.get())
    }

    const fn state(&self) -> Value {
        Value::Integer(match self.status.state {
            State::Backup => 2,
            State::Master => 3,
            State::Init | State::Fault | State::Stop => 1,
        })
    }

    fn up_time(&self) -> Value {
        let runs = matches!(self.status.state, State::Backup | State::Master);
        Value::Ticks(if runs { self.up_time } else { 0 })
    }

    fn addresses(&self) -> impl Iterator<Item = Vec<u32>> {
        self.written.vips.iter().map(|v| parts(v.prefix.addr))
    }
}

fn rows<'a>(view: &'a View<'_>) -> Vec<Row<'a>> {
    let up_time = view.moment.since(view.up_since).as_micros() / 10_000;
    let up_time = u32::try_from(up_time % (1 << 32)).unwrap_or(0);
    let instances = view.model.vrrp.instances.iter().enumerate();
    let rows = instances.filter(|(_, written)| !written.vips.is_empty());
    rows.filter_map(|(n, written)| {
        let id = InstanceId(u16::try_from(n).ok()?);
        let status = view.sources.router.status(id)?;
        let base = view.base_link(n);
        let index = base.map_or(0, |l| l.index);
        let (v4, v6) = view.sources.kernel.interfaces.addresses(index);
        let first = match status.config.family {
            Family::V4 => v4.first().copied().map(IpAddr::V4),
            Family::V6 => v6.first().copied().map(IpAddr::V6),
        };
        let mut row = Row {
            written,
            status,
            index,
            mac: view.own_link(n).map(|l| l.address.as_bytes()),
            primary: None,
            up_time,
        };
        row.primary = base.map(|_| first.unwrap_or_else(|| row.none()));
        Some(row)
    })
    .collect()
}

fn counter(value: u64) -> Option<Value> {
    // Counter32 wraps (RFC 2578 section 7.1.6).
    Some(Value::Counter32(
        u32::try_from(value % (1 << 32)).unwrap_or(0),
    ))
}

fn sum(rows: &[(Vec<u32>, &Row<'_>)], of: fn(&Stats) -> u32) -> u64 {
    let all = rows.iter().map(|(_, r)| u64::from(of(r.status.stats)));
    all.fold(0, u64::saturating_add)
}

fn interval(row: &Row<'_>) -> u64 {
    row.status.config.advert_interval.as_micros()
}

fn integer(value: u64) -> Option<Value> {
    Some(Value::Integer(i32::try_from(value).unwrap_or(i32::MAX)))
}

pub(super) fn version_2(tree: &mut Tree, view: &View<'_>) {
    let all = rows(view);
    let own = all
        .iter()
        .filter(|r| r.family() == Family::V4 && r.written.version == Some(Version::V2));
    let rows: Vec<(Vec<u32>, &Row<'_>)> = own.map(|r| (vec![r.index, r.vrid()], r)).collect();
    let oid = |more: &[u32]| Oid::new(&VRRP_MIB).with(more);
    let traps = view.model.global.enable_traps;
    tree.scalar(oid(&[1, 1]), Some(Value::Integer(2)));
    tree.scalar(oid(&[1, 2]), Some(Value::truth(traps)));
    tree.table(
        &oid(&[1, 3, 1]),
        &rows,
        &[
            (2, |r| r.mac.map(|mac| Value::Octets(mac.to_vec()))),
            (3, |r| Some(r.state())),
            (4, |_| Some(Value::Integer(1))),
            (5, |r| Some(Value::Integer(r.status.config.priority.into()))),
            (6, |r| integer(r.written.vips.len() as u64)),
            (7, |r| v4(r.status.master.unwrap_or(r.none()))),
            (8, |r| v4(r.primary?)),
            (9, |r| {
                Some(Value::Integer(match r.written.auth_type {
                    AuthType::None => 1,
                    AuthType::Pass => 2,
                    AuthType::Ah => 3,
                }))
            }),
            // The password is there and is not told.
            (10, |_| None),
            (11, |r| integer(interval(r) / 1_000_000)),
            (12, |r| Some(Value::truth(!r.status.config.nopreempt))),
            (13, |r| Some(r.up_time())),
            (14, |_| Some(Value::Integer(1))),
            (15, |_| Some(Value::Integer(1))),
        ],
    );
    let addresses: Vec<(Vec<u32>, ())> = rows
        .iter()
        .flat_map(|(index, r)| r.addresses().map(move |a| ([&**index, &a].concat(), ())))
        .collect();
    tree.table(
        &oid(&[1, 4, 1]),
        &addresses,
        &[(2, |()| Some(Value::Integer(1)))],
    );
    tree.scalar(oid(&[2, 1]), counter(sum(&rows, |s| s.chk_err)));
    tree.scalar(oid(&[2, 2]), counter(sum(&rows, |s| s.vers_err)));
    tree.scalar(oid(&[2, 3]), counter(sum(&rows, |s| s.vrid_err)));
    tree.table(
        &oid(&[2, 4, 1]),
        &rows,
        &[
            (1, |r| counter(r.status.stats.become_master.into())),
            (2, |r| counter(r.status.stats.advert_rcvd)),
            (3, |r| counter(r.status.stats.advert_interval_err)),
            (4, |r| counter(r.status.stats.auth_failure.into())),
            (5, |r| counter(r.status.stats.ip_ttl_err)),
            (6, |r| counter(r.status.stats.pri_zero_rcvd)),
            (7, |r| counter(r.status.stats.pri_zero_sent)),
            (8, |r| counter(r.status.stats.invalid_type_rcvd)),
            (9, |r| counter(r.status.stats.addr_list_err)),
            (10, |r| counter(r.status.stats.invalid_authtype.into())),
            (11, |r| counter(r.status.stats.authtype_mismatch.into())),
            (12, |r| counter(r.status.stats.packet_len_err)),
        ],
    );
}

const fn v4(address: IpAddr) -> Option<Value> {
    match address {
        IpAddr::V4(a) => Some(Value::Address(a.octets())),
        IpAddr::V6(_) => None,
    }
}

pub(super) fn version_3(tree: &mut Tree, view: &View<'_>) {
    let all = rows(view);
    let index = |r: &Row<'_>| {
        let family = match r.family() {
            Family::V4 => 1,
            Family::V6 => 2,
        };
        vec![r.index, r.vrid(), family]
    };
    let rows: Vec<(Vec<u32>, &Row<'_>)> = all.iter().map(|r| (index(r), r)).collect();
    let oid = |more: &[u32]| Oid::new(&VRRPV3_MIB).with(more);
    tree.table(
        &oid(&[1, 1, 1, 1]),
        &rows,
        &[
            (3, |r| match r.status.state {
                State::Master => r.primary.map(octets),
                _ => Some(octets(r.status.master.unwrap_or(r.none()))),
            }),
            (4, |r| r.primary.map(octets)),
            (5, |r| r.mac.map(|mac| Value::Octets(mac.to_vec()))),
            (6, |r| Some(r.state())),
            (7, |r| {
                Some(Value::Unsigned(r.status.config.priority.into()))
            }),
            (8, |r| integer(r.written.vips.len() as u64)),
            (9, |r| integer(interval(r) / 10_000)),
            (10, |r| Some(Value::truth(!r.status.config.nopreempt))),
            (11, |r| Some(Value::truth(r.written.accept == Some(true)))),
            (12, |r| Some(r.up_time())),
            (13, |_| Some(Value::Integer(1))),
        ],
    );
    let addresses: Vec<(Vec<u32>, ())> = rows
        .iter()
        .flat_map(|(index, r)| r.addresses().map(move |a| ([&**index, &a].concat(), ())))
        .collect();
    tree.table(
        &oid(&[1, 1, 2, 1]),
        &addresses,
        &[(2, |()| Some(Value::Integer(1)))],
    );
    let total = |of| Some(Value::Counter64(sum(&rows, of)));
    tree.scalar(oid(&[1, 2, 1]), total(|s| s.chk_err));
    tree.scalar(oid(&[1, 2, 2]), total(|s| s.vers_err));
    tree.scalar(oid(&[1, 2, 3]), total(|s| s.vrid_err));
    tree.scalar(oid(&[1, 2, 4]), Some(Value::Ticks(0)));
    tree.table(
        &oid(&[1, 2, 5, 1]),
        &rows,
        &[
            (1, |r| counter(r.status.stats.become_master.into())),
            (2, |r| {
                Some(Value::Integer(r.status.reasons.master.number()))
            }),
            (3, |r| Some(Value::Counter64(r.status.stats.advert_rcvd))),
            (4, |r| {
                Some(Value::Counter64(r.status.stats.advert_interval_err))
            }),
            (5, |r| Some(Value::Counter64(r.status.stats.ip_ttl_err))),
            (6, |r| Some(Value::Integer(r.status.reasons.error.number()))),
            (7, |r| Some(Value::Counter64(r.status.stats.pri_zero_rcvd))),
            (8, |r| Some(Value::Counter64(r.status.stats.pri_zero_sent))),
            (9, |r| {
                Some(Value::Counter64(r.status.stats.invalid_type_rcvd))
            }),
            (10, |r| Some(Value::Counter64(r.status.stats.addr_list_err))),
            (11, |r| {
                Some(Value::Counter64(r.status.stats.packet_len_err))
            }),
            (12, |_| Some(Value::Ticks(0))),
            (13, |r| {
                let millis = interval(r) / 10_000 * 10;
                Some(Value::Unsigned(u32::try_from(millis).unwrap_or(u32::MAX)))
            }),
        ],
    );
}
