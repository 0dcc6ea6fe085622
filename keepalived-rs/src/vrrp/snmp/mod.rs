//! SNMP of the VRRP process: what of it KEEPALIVED-MIB, VRRP-MIB (RFC 2787) and VRRPV3-MIB (RFC 6527) show, what they may change,
//! and their notifications.
//!
//! In: the dump's [`Sources`], requests of the master agent. Out: objects, changes for the core.
//! Answers to: keepalived 2.3.3 vrrp/vrrp_snmp.c, keepalived-snmp-oids.tsv.
//!
//! [`instances`] groups, instances and what they track; [`objects`] addresses, routes, rules; [`rfc`] the MIBs of the RFCs;
//! [`mod@write`] changes; [`traps`] notifications. Each is a table of columns: number and accessor, whose value carries the syntax.

mod instances;
mod objects;
mod rfc;
pub(super) mod traps;
pub(super) mod write;

use std::collections::BTreeMap;

use agentx_wire::{Oid, Region, Tree};
use conf_parsers::keepalived::model::{Global, Model};
use net_types::Instant;
use netlink_wire::Link;

use super::dump::Sources;
use super::lower::Static;
use crate::mib;
use crate::text::dump::Snapshot;

/// mib-2 vrrpMIB.
const VRRP_MIB: [u32; 7] = [1, 3, 6, 1, 2, 1, 68];
/// mib-2 vrrpv3MIB.
const VRRPV3_MIB: [u32; 7] = [1, 3, 6, 1, 2, 1, 207];

/// What this process answers for; nothing: it shows nothing. The global objects belong to the checkers' process if that runs with SNMP.
pub(super) fn regions(g: &Global, checker_has_global: bool) -> Vec<Region> {
    let region = |oid: Oid, name| Region { oid, name };
    let mut out = Vec::new();
    if g.enable_snmp_vrrp {
        if !checker_has_global {
            out.push(region(mib::keepalived(&[1]), "Keepalived"));
        }
        out.push(region(mib::keepalived(&[2]), "KEEPALIVED-VRRP"));
    }
    if g.enable_snmp_rfcv2 {
        out.push(region(Oid::new(&VRRP_MIB), "VRRP"));
    }
    if g.enable_snmp_rfcv3 {
        out.push(region(Oid::new(&VRRPV3_MIB), "VRRPV3"));
    }
    out
}

/// Everything that the objects are made from.
pub(super) struct View<'a> {
    sources: &'a Sources<'a>,
    statics: &'a [Static],
    model: &'a Model,
    now: Snapshot,
    /// Since when the instances run.
    up_since: Instant,
    moment: Instant,
    links: BTreeMap<&'a str, &'a Link>,
}

impl<'a> View<'a> {
    /// The present.
    pub(super) fn new(
        sources: &'a Sources<'a>,
        statics: &'a [Static],
        up_since: Instant,
        moment: Instant,
    ) -> Self {
        let links = sources.kernel.interfaces.iter();
        Self {
            sources,
            statics,
            model: sources.model,
            now: sources.snapshot(),
            up_since,
            moment,
            links: links.map(|l| (&*l.name, l)).collect(),
        }
    }

    /// All objects of this process.
    pub(super) fn tree(&self) -> Tree {
        let mut tree = Tree::default();
        let g = &self.model.global;
        if g.enable_snmp_vrrp {
            mib::global(&mut tree, g);
            instances::groups(&mut tree, self);
            instances::instances(&mut tree, self);
            instances::tracked(&mut tree, self);
            instances::trackers(&mut tree, self);
            objects::addresses(&mut tree, self);
            objects::routes(&mut tree, self);
            objects::rules(&mut tree, self);
        }
        if g.enable_snmp_rfcv2 {
            rfc::version_2(&mut tree, self);
        }
        if g.enable_snmp_rfcv3 {
            rfc::version_3(&mut tree, self);
        }
        tree
    }

    fn link(&self, name: &str) -> Option<&'a Link> {
        self.links.get(name).copied()
    }

    /// The interface that an instance lives on.
    fn own_link(&self, instance: usize) -> Option<&'a Link> {
        let config = self.sources.router.config().instances.get(instance)?;
        self.sources.kernel.interfaces.link(config.interface?)
    }

    /// The same, or what it stands on when it is a macvlan or ipvlan.
    fn base_link(&self, instance: usize) -> Option<&'a Link> {
        let own = self.own_link(instance)?;
        let below = own.base().filter(|_| own.kind.is_mac_or_ip_vlan());
        match below {
            Some(index) => self.sources.kernel.interfaces.by_index(index),
            None => Some(own),
        }
    }
}
