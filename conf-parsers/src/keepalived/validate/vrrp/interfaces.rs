//! The interfaces that exist, and those that the configuration will create (VMAC, ipvlan), during validation.

use net_types::{Family, MacAddr, SortedSet};

use crate::keepalived::engine::Ctx;
use crate::keepalived::model::VrrpModel;
use crate::source::{InterfaceFacts, LinkKind};

/// Position in [`Interfaces`].
pub(super) type At = usize;

/// One interface.
#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) name: Box<str>,
    /// Facts, if it exists.
    pub(super) facts: Option<InterfaceFacts>,
    /// The interface below a macvlan or ipvlan; itself for others.
    pub(super) base: At,
    /// The configuration creates or takes it as a VMAC.
    pub(super) ours: bool,
    pub(super) kind: LinkKind,
    pub(super) mac: Option<MacAddr>,
    /// Instances that track it.
    pub(super) tracking: Vec<super::trackers::Tracking>,
}

impl Interface {
    pub(super) fn exists(&self) -> bool {
        self.facts.is_some()
    }
    /// Whether it may go and come back as something else.
    pub(super) fn is_changeable(&self) -> bool {
        self.facts.as_ref().is_some_and(|f| f.changeable)
    }
    pub(super) fn is_mac_or_ip_vlan(&self) -> bool {
        matches!(self.kind, LinkKind::Macvlan | LinkKind::Ipvlan)
    }
}

/// All interfaces that validation looks at.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    pub(super) list: Vec<Interface>,
}

impl Interfaces {
    /// The existing interfaces and those that the configuration names.
    pub(super) fn read(ctx: &Ctx<'_>, vrrp: &VrrpModel) -> Self {
        let mut all = Self::default();
        for name in &SortedSet::from_iter(ctx.host.interface_names()) {
            all.named(ctx, name);
        }
        for instance in &vrrp.instances {
            if let Some(name) = &instance.interface {
                all.named(ctx, name);
            }
        }
        all
    }

    /// The interface of that name; it is entered if it was not there.
    pub(super) fn named(&mut self, ctx: &Ctx<'_>, name: &str) -> At {
        if let Some(at) = self.find(name) {
            return at;
        }
        let facts = ctx.host.interface(name);
        let at = self.list.len();
        let kind = facts.as_ref().map_or(LinkKind::Plain, |f| f.kind);
        let mac = facts
            .as_ref()
            .and_then(|f| f.mac.as_slice().try_into().ok().map(MacAddr));
        self.list.push(Interface {
            name: name.into(),
            base: at,
            ours: false,
            kind,
            mac,
            tracking: Vec::new(),
            facts: facts.clone(),
        });
        if matches!(
            kind,
            LinkKind::Macvlan | LinkKind::Ipvlan | LinkKind::Macvtap
        ) {
            let below = facts.and_then(|f| f.base_index);
            if let Some(below) = below.and_then(|i| ctx.host.interface_by_index(i)) {
                let base = self.named(ctx, &below.name);
                if let Some(entry) = self.list.get_mut(at) {
                    entry.base = base;
                }
            }
        }
        at
    }

    /// The interface of that name, if it is known.
    pub(super) fn find(&self, name: &str) -> Option<At> {
        self.list.iter().position(|i| &*i.name == name)
    }

    pub(super) fn get(&self, at: At) -> Option<&Interface> {
        self.list.get(at)
    }

    pub(super) fn get_mut(&mut self, at: At) -> Option<&mut Interface> {
        self.list.get_mut(at)
    }

    /// Position of the interface below.
    pub(super) fn base(&self, at: At) -> At {
        self.list.get(at).map_or(at, |i| i.base)
    }

    pub(super) fn name(&self, at: At) -> &str {
        self.list.get(at).map_or("", |i| &i.name)
    }

    /// A VMAC with the address of the VRID (or `mac`) on `base`.
    pub(super) fn by_vmac(
        &self,
        vrid: u8,
        family: Family,
        base: At,
        mac: Option<MacAddr>,
    ) -> Option<At> {
        let wanted = mac.unwrap_or_else(|| vrrp_mac(family, vrid));
        self.list
            .iter()
            .position(|i| i.kind == LinkKind::Macvlan && i.base == base && i.mac == Some(wanted))
    }

    /// Adds an interface that the configuration will create.
    pub(super) fn create(
        &mut self,
        name: &str,
        base: At,
        kind: LinkKind,
        mac: Option<MacAddr>,
    ) -> At {
        let at = self.find(name).unwrap_or(self.list.len());
        let new = Interface {
            name: name.into(),
            facts: None,
            base,
            ours: kind == LinkKind::Macvlan,
            kind,
            mac,
            tracking: Vec::new(),
        };
        match self.list.get_mut(at) {
            Some(known) => {
                known.base = base;
                known.ours = known.ours || new.ours;
                known.kind = kind;
                known.mac = mac;
            }
            None => self.list.push(new),
        }
        at
    }
}

/// The MAC address of a virtual router (RFC 9568 section 7.3).
pub(super) const fn vrrp_mac(family: Family, vrid: u8) -> MacAddr {
    let kind = match family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    MacAddr([0, 0, 0x5e, 0, kind, vrid])
}
