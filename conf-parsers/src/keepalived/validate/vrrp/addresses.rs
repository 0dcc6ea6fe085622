//! Which interface each address of an instance goes to.

use std::fmt;

use crate::keepalived::model::address::Address;
use crate::keepalived::model::vrrp_instance::AddressVmac;
use crate::keepalived::sockaddr::Shown;
use crate::source::LinkKind;

use super::instance::Work;
use super::interfaces::{At, vrrp_mac};
use super::trackers::Reason;
use super::vmac::free_name;

/// An address as the original shows it: the length only if it is not a host's.
pub(super) struct ShownAddress<'a>(pub(super) &'a Address);

impl fmt::Display for ShownAddress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = self.0.prefix;
        Shown(prefix.addr).fmt(f)?;
        if prefix.len != prefix.family().bits() {
            write!(f, "/{}", prefix.len)?;
        }
        Ok(())
    }
}

/// Places VIPs and excluded VIPs; those without any interface are removed.
pub(super) fn place(work: &mut Work<'_, '_>) {
    let mut extra_interface = false;
    let mut extra_vmac = false;
    for excluded in [false, true] {
        let list = if excluded {
            &mut work.i.evips
        } else {
            &mut work.i.vips
        };
        let mut kept = Vec::with_capacity(list.len());
        for mut address in std::mem::take(list) {
            let Some(at) = place_one(work, &mut address) else {
                let n = &work.name;
                let e = if excluded { "e" } else { "" };
                let text = format!(
                    "({n}): no interface for {e}vip {} - removing",
                    ShownAddress(&address)
                );
                work.error(text);
                continue;
            };
            if Some(at) != work.own {
                if work.interfaces.get(at).is_some_and(|i| i.ours) {
                    extra_vmac = true;
                } else {
                    extra_interface = true;
                }
            }
            let own_base = work.own.map(|own| work.interfaces.base(own));
            let elsewhere = Some(at) != work.own && Some(at) != own_base;
            if !address.no_track && (!work.i.dont_track_primary || elsewhere) {
                work.looks_at(at, Some(0), false, Reason::NEEDED);
            }
            kept.push(address);
        }
        if excluded {
            work.i.evips = kept;
        } else {
            work.i.vips = kept;
        }
    }
    if work.i.garp_extra_if.is_none() {
        let global = &work.ctx.model.global;
        work.i.garp_extra_if = Some(global.vrrp_garp_extra_if);
        work.i.garp_extra_all |= global.vrrp_garp_extra_if_all;
    }
    let needed = extra_vmac || (extra_interface && work.i.garp_extra_all);
    if !needed {
        work.i.garp_extra_if = Some(0);
    }
}

/// The interface of one address; makes a VMAC for it if that is asked for.
fn place_one(work: &mut Work<'_, '_>, address: &mut Address) -> Option<At> {
    let written = match &address.dev {
        Some(name) => Some(work.interfaces.named(work.ctx, name)),
        None => None,
    };
    let on_own = written.is_none() || written == work.configured;
    let same_family = Some(address.family()) == work.i.family;
    if address.use_vmac {
        let n = &work.name;
        let shown = ShownAddress(address);
        if on_own && work.i.vmac.is_some() && same_family {
            let text = format!("({n}) use_vmac specified for VIP/eVIP {shown} and vrrp instance");
            work.error(text);
            address.use_vmac = false;
        } else if (!on_own || !same_family) && work.i.vmac_addr {
            let text = format!(
                "({n}) use_vmac_addr specified and use_vmac specified for VIP/eVIP {shown}"
            );
            work.error(text);
            address.use_vmac = false;
        }
    }
    let (base, wants_vmac) = if on_own {
        if work.i.vmac.is_some() && same_family {
            return work.own;
        }
        let wants = address.use_vmac || (work.i.vmac_addr && !same_family);
        (work.configured?, wants)
    } else {
        (written?, address.use_vmac || work.i.vmac_addr)
    };
    if !wants_vmac {
        return Some(base);
    }
    let family = address.family();
    let vrid = work.i.vrid.unwrap_or(0);
    let mac = work.i.vmac.as_ref().and_then(|v| v.mac);
    let at = match work.interfaces.by_vmac(vrid, family, base, mac) {
        Some(at) => at,
        None => {
            let global = &work.ctx.model.global;
            let prefix = global.vmac_addr_prefix.as_ref();
            let prefix = prefix.or(global.vmac_prefix.as_ref());
            let prefix = prefix.map_or("vrrp", String::as_str).to_owned();
            let name = free_name(work, &prefix, vrid, family);
            let mac = mac.unwrap_or(vrrp_mac(family, vrid));
            work.interfaces
                .create(&name, base, LinkKind::Macvlan, Some(mac))
        }
    };
    if let Some(entry) = work.interfaces.get_mut(at) {
        entry.ours = true;
    }
    let vmac = AddressVmac {
        name: work.interfaces.name(at).into(),
        base: work.interfaces.name(base).into(),
        family,
    };
    if !work.i.address_vmacs.contains(&vmac) {
        work.i.address_vmacs.push(vmac);
    }
    Some(at)
}
