//! VMAC and ipvlan interfaces: names, reuse, contradictions.

use net_types::{Family, MacAddr, SortedMap};

use super::instance::Work;
use super::interfaces::{At, vrrp_mac};
use super::trackers::Reason;
use crate::keepalived::model::vrrp::InterfaceSettings;
use crate::keepalived::model::vrrp_instance::IpvlanKind;
use crate::source::{IPVLAN_MODE_L2, LinkKind, MACVLAN_MODE_PRIVATE};
use crate::span::{Span, Spanned};

/// Longest interface name.
const NAME_MAX: usize = 15;

/// A name that no interface and no instance has: `PREFIX.VRID`, then with a number after the prefix (6 first for IPv6).
pub(super) fn free_name(work: &Work<'_, '_>, prefix: &str, vrid: u8, family: Family) -> String {
    let mut number: u16 = 0;
    loop {
        let shown = if number == 0 {
            String::new()
        } else {
            number.to_string()
        };
        let tail = format!("{shown}.{vrid}");
        let room = NAME_MAX.saturating_sub(tail.len());
        let mut end = prefix.len().min(room);
        while !prefix.is_char_boundary(end) {
            end -= 1;
        }
        let name = format!("{}{tail}", prefix.get(..end).unwrap_or(""));
        let taken = work.vmac_names.iter().any(|n| **n == *name);
        if !taken && work.interfaces.find(&name).is_none() {
            return name;
        }
        number = match (family, number) {
            (Family::V6, 0) => 6,
            (Family::V6, 6) => 1,
            (Family::V6, 5) => 7,
            (_, n) => n.wrapping_add(1),
        };
    }
}

/// An existing interface that fits.
fn matching(work: &Work<'_, '_>, configured: At) -> Option<At> {
    let base = work.interfaces.base(configured);
    let vrid = work.i.vrid.unwrap_or(0);
    let vmac_mac = work
        .i
        .vmac
        .as_ref()
        .map(|v| v.mac.unwrap_or_else(|| vrrp_mac(work.family(), vrid)));
    work.interfaces.list.iter().position(|interface| {
        if !interface.exists() || interface.base != base {
            return false;
        }
        let facts = interface.facts.as_ref();
        let is = |kind, mode| interface.kind == kind && facts.is_some_and(|f| f.vlan_mode == mode);
        if vmac_mac.is_some()
            && is(LinkKind::Macvlan, MACVLAN_MODE_PRIVATE)
            && interface.mac == vmac_mac
        {
            return true;
        }
        let Some(ipvlan) = &work.i.ipvlan else {
            return false;
        };
        let named = ipvlan.name.as_ref();
        let addresses = facts.map(|f| &f.addresses);
        let flags = match ipvlan.kind {
            IpvlanKind::Bridge => 0,
            IpvlanKind::Private => 1,
            IpvlanKind::Vepa => 2,
        };
        let wanted = ipvlan.address.map(|p| p.addr);
        is(LinkKind::Ipvlan, IPVLAN_MODE_L2)
            && facts.is_some_and(|f| f.vlan_flags == flags)
            && (work.family() == Family::V4 || named.is_some() || wanted.is_some())
            && named.is_none_or(|n| *n.value == *interface.name)
            && wanted.is_none_or(|w| addresses.is_some_and(|a| a.iter().any(|p| p.addr == w)))
    })
}

fn set_name(work: &mut Work<'_, '_>, name: Option<&str>, exists: bool) {
    let spanned = |old: &Option<Spanned<Box<str>>>| {
        let span = old.as_ref().map_or(Span::default(), |n| n.span);
        name.map(|n| Spanned::new(n.into(), span))
    };
    if let Some(vmac) = &mut work.i.vmac {
        vmac.name = spanned(&vmac.name);
        vmac.exists = exists;
    }
    if let Some(ipvlan) = &mut work.i.ipvlan {
        ipvlan.name = spanned(&ipvlan.name);
        ipvlan.exists = exists;
    }
}

/// Finds or names the instance's VMAC or ipvlan.
pub(super) fn complete(
    work: &mut Work<'_, '_>,
    settings: &mut SortedMap<Box<str>, InterfaceSettings>,
) {
    let n = work.name.clone();
    let wants = work.i.vmac.is_some() || work.i.ipvlan.is_some();
    let (true, Some(configured)) = (wants, work.configured) else {
        return;
    };
    let kind = if work.i.ipvlan.is_some() {
        "IPVLAN"
    } else {
        "VMAC"
    };
    let mut name: Option<Box<str>> = work.i.vmac_name().map(Into::into);
    let existing = matching(work, configured);
    // One of this process's own under another name makes room for the new one.
    let replaced = existing.filter(|at| {
        let entry = work.interfaces.get(*at);
        let ours = entry.and_then(|e| e.facts.as_ref()).is_some_and(|f| f.ours);
        ours && name
            .as_ref()
            .is_some_and(|w| **w != *work.interfaces.name(*at))
    });
    if let Some(at) = replaced {
        let found: Box<str> = work.interfaces.name(at).into();
        work.ctx
            .log(format!("({n}) Found matching interface {found}"));
        work.ctx
            .log(format!("({n}) Deleting old VMAC interface {found}"));
    }
    let existing = existing.filter(|_| replaced.is_none());
    if let Some(at) = existing {
        let found: Box<str> = work.interfaces.name(at).into();
        work.ctx
            .log(format!("({n}) Found matching interface {found}"));
        if let Some(wanted) = name.as_ref().filter(|w| **w != found) {
            work.ctx.log(format!(
                "({n}) vmac name mismatch {wanted} <=> {found}. changing to {found}."
            ));
        }
        set_name(work, Some(&found), true);
        work.own = Some(at);
        if let Some(entry) = work.interfaces.get_mut(at) {
            entry.ours = true;
        }
    } else {
        let clash = name.as_ref().and_then(|w| work.interfaces.find(w));
        let clash = clash.and_then(|at| work.interfaces.get(at));
        if let (Some(wanted), Some(other)) = (&name, clash.filter(|i| i.exists())) {
            if other.is_mac_or_ip_vlan() {
                work.ctx.log(format!(
                    "({n}) {kind} {wanted} already exists but is incompatible. It will be deleted/updated"
                ));
            } else {
                let text = format!(
                    "({n}) {kind} interface name {wanted} already exists as a non {kind} interface. ignoring configured name"
                );
                work.error(text);
                name = None;
            }
        }
        let vrid = work.i.vrid.unwrap_or(0);
        let name = match name {
            Some(name) => name.into_string(),
            None => {
                let prefix = work.ctx.model.global.vmac_prefix.clone();
                let prefix = prefix.as_deref().unwrap_or("vrrp");
                free_name(work, prefix, vrid, work.family())
            }
        };
        set_name(work, Some(&name), false);
        let (link, mac): (LinkKind, Option<MacAddr>) = match &work.i.vmac {
            Some(vmac) if work.i.ipvlan.is_none() => {
                let mac = vmac.mac.unwrap_or_else(|| vrrp_mac(work.family(), vrid));
                (LinkKind::Macvlan, Some(mac))
            }
            _ => (LinkKind::Ipvlan, None),
        };
        work.own = Some(work.interfaces.create(&name, configured, link, mac));
    }
    if work.i.vmac.is_some() && work.strict() && work.i.vmac_xmit_base {
        work.error(format!(
            "({n}) xmit_base is incompatible with strict mode - resetting"
        ));
        work.i.vmac_xmit_base = false;
    }
    if work.i.promote_secondaries {
        work.error(format!(
            "({n}) promote_secondaries is automatically set for vmacs - ignoring"
        ));
        work.i.promote_secondaries = false;
    }
    // The VMAC shares the delays of the interface below.
    if let (Some(below), Some(own)) = (
        settings.get(work.interfaces.name(configured)).cloned(),
        work.own,
    ) {
        let own = settings.or_default(work.interfaces.name(own).into());
        own.down_delay = below.down_delay;
        own.up_delay = below.up_delay;
    }
    ipvlan_address(work);
}

fn ipvlan_address(work: &mut Work<'_, '_>) {
    let Some(ipvlan) = &work.i.ipvlan else {
        return;
    };
    let n = &work.name;
    let text = match ipvlan.address {
        None if work.family() == Family::V4 => format!(
            "({n}) IPv4 ipvlan requires a source ip address to be configured. setting instance to fault state"
        ),
        Some(address) if address.family() != work.family() => format!(
            "({n}) IPv4 ipvlan address family does not match instance. setting instance to fault state"
        ),
        _ => return,
    };
    work.error(text);
    work.fault();
}

/// Where adverts leave; excluded addresses of the other family.
pub(super) fn transmit(work: &mut Work<'_, '_>) {
    if work.i.vmac_xmit_base && work.i.vmac.is_none() {
        let n = &work.name;
        let text = format!("({n}) vmac_xmit_base is only valid with a vmac");
        work.error(text);
        work.i.vmac_xmit_base = false;
    }
    if work.i.vmac.is_some() || work.i.ipvlan.is_some() {
        let family = work.i.family;
        work.i.evip_other_family = work.i.evips.iter().any(|a| Some(a.family()) != family);
        if let Some(own) = work.own {
            let weight = work.own_weight();
            work.looks_at(own, weight, false, Reason::OWN);
        }
    }
}
