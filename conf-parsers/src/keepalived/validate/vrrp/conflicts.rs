//! Instances that get into each other's way: the same VRID on one link, the same VMAC.

use std::net::IpAddr;

use net_types::{Family, Prefix};

use super::addresses::ShownAddress;
use super::interfaces::{At, Interfaces};
use super::{Check, Unusable};
use crate::diag::Class;
use crate::keepalived::engine::Ctx;
use crate::keepalived::model::VrrpModel;
use crate::keepalived::model::address::Address;
use crate::keepalived::model::vrrp_instance::VrrpInstance;

fn pair(list: &[VrrpInstance], a: usize, b: usize) -> Option<(&VrrpInstance, &VrrpInstance)> {
    Some((list.get(a)?, list.get(b)?))
}

/// Whether two instances have the same family and VRID and are both unicast or both multicast.
fn comparable(a: &VrrpInstance, b: &VrrpInstance) -> bool {
    a.family == b.family && a.vrid == b.vrid && a.unicast == b.unicast
}

/// The interface an instance lives on.
fn own(interfaces: &Interfaces, i: &VrrpInstance) -> Option<At> {
    let configured = i.interface.as_ref().map(|n| &*n.value);
    let name = i.vmac_name().or(configured)?;
    interfaces.find(name)
}

/// The local address of a unicast instance, as far as it is known now.
fn local(interfaces: &Interfaces, i: &VrrpInstance) -> Option<IpAddr> {
    if i.source_configured {
        if let Some(source) = i.source {
            return Some(source.value);
        }
    }
    let facts = interfaces.get(own(interfaces, i)?)?.facts.as_ref()?;
    let fits = |p: &&Prefix| match p.addr {
        IpAddr::V4(_) => i.family == Some(Family::V4),
        IpAddr::V6(v6) => i.family == Some(Family::V6) && v6.is_unicast_link_local(),
    };
    facts.addresses.iter().find(fits).map(|p| p.addr)
}

/// No two instances may have the same VRID on the same link.
pub(super) fn vrids(ctx: &mut Ctx<'_>, vrrp: &mut VrrpModel, interfaces: &Interfaces) -> Check {
    let mut found = false;
    let count = vrrp.instances.len();
    for a in 0..count {
        for b in a.saturating_add(1)..count {
            let Some((x, y)) = pair(&vrrp.instances, a, b) else {
                continue;
            };
            if !comparable(x, y) {
                continue;
            }
            if x.unicast {
                if !same_unicast(interfaces, x, y) {
                    continue;
                }
                let peers = |i: &VrrpInstance| -> Vec<IpAddr> {
                    i.unicast_peers.iter().map(|p| p.address.value).collect()
                };
                let others = peers(y);
                if peers(x).iter().any(|p| others.contains(p)) {
                    found = true;
                    ctx.report(
                        Class::GeneralError,
                        format!(
                            "({}) duplicate VRID conflict with {} VRID {}",
                            *x.name,
                            *y.name,
                            x.vrid.unwrap_or(0)
                        ),
                    );
                }
                for at in [a, b] {
                    if let Some(i) = vrrp.instances.get_mut(at) {
                        i.unicast_duplicate_vrid = true;
                    }
                }
                continue;
            }
            match multicast(ctx, interfaces, x, y) {
                Conflict::No => {}
                Conflict::Yes => found = true,
                Conflict::ForNow { first } => {
                    let loser = if first { a } else { b };
                    if let Some(i) = vrrp.instances.get_mut(loser) {
                        i.duplicate_vrid = true;
                        i.config_faults = i.config_faults.saturating_add(1);
                    }
                }
            }
        }
    }
    if found { Err(Unusable) } else { Ok(()) }
}

fn same_unicast(interfaces: &Interfaces, x: &VrrpInstance, y: &VrrpInstance) -> bool {
    let (on_x, on_y) = (own(interfaces, x), own(interfaces, y));
    if on_x.is_some() && on_y.is_some() && on_x != on_y {
        return false;
    }
    let (Some(at_x), Some(at_y)) = (local(interfaces, x), local(interfaces, y)) else {
        return false;
    };
    at_x == at_y
}

/// What two multicast instances are to each other.
enum Conflict {
    No,
    Yes,
    /// The link may become another one: until then the first or the second does not work.
    ForNow {
        first: bool,
    },
}

/// Whether two multicast instances share link, group and VRID; if so it is reported.
fn multicast(
    ctx: &mut Ctx<'_>,
    interfaces: &Interfaces,
    x: &VrrpInstance,
    y: &VrrpInstance,
) -> Conflict {
    let link = |i: &VrrpInstance| i.interface.as_ref().and_then(|n| interfaces.find(n));
    let (Some(on_x), Some(on_y)) = (link(x), link(y)) else {
        return Conflict::No;
    };
    let base = interfaces.base(on_x);
    if base != interfaces.base(on_y) || x.group_address != y.group_address {
        return Conflict::No;
    }
    let family = match x.family {
        Some(Family::V6) => 6,
        _ => 4,
    };
    let changeable = |at| interfaces.get(at).is_some_and(|i| i.is_changeable());
    if ctx.model.global.allow_if_changes && (changeable(on_x) || changeable(on_y)) {
        let (n, m) = (&*x.name.value, &*y.name.value);
        let vrid = x.vrid.unwrap_or(0);
        ctx.log(format!(
            "({n}) - warning, VRID {vrid} for IPv{family} is currently duplicated on {m}"
        ));
        return Conflict::ForNow {
            first: changeable(on_x),
        };
    }
    if !interfaces.get(on_x).is_some_and(|i| i.exists()) {
        return Conflict::No;
    }
    ctx.report(
        Class::GeneralError,
        format!(
            "{} and {} both use VRID {} with IPv{family} on interface {}",
            *x.name,
            *y.name,
            x.vrid.unwrap_or(0),
            interfaces.name(base)
        ),
    );
    Conflict::Yes
}

/// Instances outside one sync group must not share a VMAC.
pub(super) fn vmacs(ctx: &mut Ctx<'_>, vrrp: &mut VrrpModel) {
    for a in 0..vrrp.instances.len() {
        let mut faults = 0u32;
        for b in 0..a {
            if let Some((x, y)) = pair(&vrrp.instances, a, b) {
                faults = faults.saturating_add(shared_vmacs(ctx, x, y));
            }
        }
        if let Some(i) = vrrp.instances.get_mut(a) {
            i.config_faults = i.config_faults.saturating_add(faults);
        }
    }
}

fn shared_vmacs(ctx: &mut Ctx<'_>, x: &VrrpInstance, y: &VrrpInstance) -> u32 {
    let same_group = x.sync_group.is_some() && x.sync_group == y.sync_group;
    let same_family = x.family == y.family;
    let other_family = x.evip_other_family || y.evip_other_family;
    if x.vrid != y.vrid || same_group || (!same_family && !other_family) {
        return 0;
    }
    let mut faults = 0u32;
    let mut conflict = |text: String| {
        ctx.report(Class::GeneralError, text);
        faults = faults.saturating_add(1);
    };
    let (n, m) = (&*x.name.value, &*y.name.value);
    if x.vmac.is_some() && (same_family || y.evip_other_family) {
        let vips = if same_family { &*y.vips } else { &[] };
        for address in vips.iter().chain(&y.evips) {
            if y.address_interface(address) == x.vmac_name() {
                let shown = ShownAddress(address);
                conflict(format!(
                    "({m}) VIP/eVIP {shown} uses same VMAC as VRRP instance {n}, disabling {n}"
                ));
            }
        }
    }
    let ours = |i: &VrrpInstance, name: &str| {
        i.vmac.is_some() && i.vmac_name() == Some(name)
            || i.address_vmacs.iter().any(|v| &*v.name == name)
    };
    for (excluded_x, list_x) in [(false, &x.vips), (true, &x.evips)] {
        for (excluded_y, list_y) in [(false, &y.vips), (true, &y.evips)] {
            if !same_family {
                let possible = match (excluded_x, excluded_y) {
                    (false, false) => false,
                    (false, true) => y.evip_other_family,
                    (true, false) => x.evip_other_family,
                    (true, true) => other_family,
                };
                if !possible {
                    continue;
                }
            }
            for one in list_x {
                let Some(on) = x.address_interface(one) else {
                    continue;
                };
                let on_ours = ours(x, on) || ours(y, on);
                let sharing = |a: &&Address| on_ours && y.address_interface(a) == Some(on);
                for other in list_y.iter().filter(sharing) {
                    conflict(format!(
                        "({m}) VIP/eVIP {} uses same VMAC as VRRP instance {n} VIP/eVIP {}, disabling {n}",
                        ShownAddress(one),
                        ShownAddress(other)
                    ));
                }
            }
        }
    }
    faults
}
