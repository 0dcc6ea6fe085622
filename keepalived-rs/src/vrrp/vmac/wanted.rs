//! Which interfaces the configuration wants us to make.

use std::net::{IpAddr, Ipv6Addr};

use conf_parsers::keepalived::model::VrrpModel;
use conf_parsers::keepalived::model::vrrp_instance::{IpvlanKind, VrrpInstance};
use net_types::{Family, MacAddr, Prefix};
use netlink_wire::link::{IPVLAN_F_PRIVATE, IPVLAN_F_VEPA};

/// What kind of interface, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A macvlan in private mode with the virtual router's address.
    Macvlan(MacAddr),
    /// An ipvlan in layer 2 mode, with the address that adverts come from.
    Ipvlan {
        /// `IPVLAN_F_…`
        flags: u16,
        address: Option<Prefix>,
    },
}

/// An interface to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: Box<str>,
    /// The interface that the operator named.
    pub(super) base: Box<str>,
    /// Whose it is, for the log.
    pub(super) instance: Box<str>,
    pub(super) family: Family,
    pub(super) kind: Kind,
    /// `group` of the interface; else it is that of the interface below.
    pub(super) group: Option<u32>,
    /// Adverts leave by it, so for IPv6 it needs a link-local address.
    pub(super) link_local: bool,
    /// It is an instance's own and not just for addresses.
    pub(super) own: bool,
    /// The source that the operator wrote, if that is to be the link-local address.
    pub(super) source: Option<Ipv6Addr>,
    /// IPv6 is needed on it; else it is switched off there.
    pub(super) ipv6: bool,
    /// `netlink_notify_msg`
    pub(super) notify: bool,
    /// Validation found one that fits; it is taken as it is.
    pub(super) exists: bool,
}

/// The address of a virtual router (RFC 9568 section 7.3).
pub(super) const fn vrrp_mac(family: Family, vrid: u8) -> MacAddr {
    let kind = match family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    MacAddr([0, 0, 0x5e, 0, kind, vrid])
}

/// In the order in which the original makes them: an instance's own, then those for single addresses. Each name once.
pub(super) fn wanted(vrrp: &VrrpModel) -> Vec<Wanted> {
    let mut found: Vec<Wanted> = Vec::new();
    for i in &vrrp.instances {
        let all = own(i).into_iter().chain(for_addresses(i));
        for wanted in all {
            if !found.iter().any(|f| f.name == wanted.name) {
                found.push(wanted);
            }
        }
    }
    found
}

fn own(i: &VrrpInstance) -> Option<Wanted> {
    let family = i.family.unwrap_or(Family::V4);
    let (kind, group, notify, exists) = if let Some(ipvlan) = &i.ipvlan {
        let flags = match ipvlan.kind {
            IpvlanKind::Bridge => 0,
            IpvlanKind::Private => IPVLAN_F_PRIVATE,
            IpvlanKind::Vepa => IPVLAN_F_VEPA,
        };
        let address = ipvlan.address.filter(|a| a.family() == family);
        let kind = Kind::Ipvlan { flags, address };
        (kind, ipvlan.group, false, ipvlan.exists)
    } else {
        let vmac = i.vmac.as_ref()?;
        let mac = vmac.mac.unwrap_or(vrrp_mac(family, i.vrid?));
        let kind = Kind::Macvlan(mac);
        (kind, vmac.group, vmac.netlink_notify, vmac.exists)
    };
    let source = match i.source.as_ref().map(|s| s.value) {
        Some(IpAddr::V6(source)) => Some(source),
        _ => None,
    };
    Some(Wanted {
        name: i.vmac_name()?.into(),
        base: i.interface.as_ref()?.value.clone(),
        instance: i.name.value.clone(),
        family,
        link_local: family == Family::V6 && !i.vmac_xmit_base && matches!(kind, Kind::Macvlan(_)),
        kind,
        group,
        own: true,
        source,
        ipv6: family == Family::V6 || i.evip_other_family,
        notify,
        exists,
    })
}

fn for_addresses(i: &VrrpInstance) -> impl Iterator<Item = Wanted> + '_ {
    i.address_vmacs.iter().filter_map(|v| {
        let own = i.vmac.as_ref().and_then(|vmac| vmac.mac);
        Some(Wanted {
            name: v.name.clone(),
            base: v.base.clone(),
            instance: i.name.value.clone(),
            family: v.family,
            kind: Kind::Macvlan(own.unwrap_or(vrrp_mac(v.family, i.vrid?))),
            group: None,
            own: false,
            link_local: v.family == Family::V6,
            source: None,
            ipv6: v.family == Family::V6,
            notify: false,
            exists: false,
        })
    })
}
