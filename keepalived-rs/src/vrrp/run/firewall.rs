//! What the firewall is told: the addresses of an instance with their interfaces.

use net_types::Family;
use vrrp_proto::InstanceId;

use super::Child;
use crate::vrrp::firewall::{Blocked, Vmac};
use crate::vrrp::vmac::{Made, News};

impl Child<'_> {
    /// Packets from and to the instance's addresses are dropped.
    pub(super) fn block(&mut self, id: InstanceId) {
        let Some(instance) = self.router.config().instances.get(id.index()) else {
            return;
        };
        let interfaces = &self.kernel.interfaces;
        let addresses = instance.addresses.iter().chain(&instance.excluded);
        let wanted = addresses.map(|a| Blocked {
            address: a.address,
            interface: interfaces.name(a.interface).unwrap_or_default().into(),
            index: interfaces.link(a.interface).map_or(0, |l| l.index),
            by_name: instance.dont_track_primary
                && (Some(a.interface) == instance.interface || a.no_track),
        });
        self.firewall.block(&instance.name, wanted.collect());
    }

    /// VMACs that were made or are gone: their multicast reports.
    pub(super) fn firewall_of_vmacs(&mut self) {
        for news in self.vmacs.take_news() {
            match news {
                News::Made(made) => {
                    let igmp = !self.model.global.disable_local_igmp;
                    if made.macvlan && (made.family == Family::V6 || igmp) {
                        let vmac =
                            Vmac::new(made.index, &made.name, made.base, made.base_link_local);
                        self.firewall.add_vmac(self.families_of(&made), vmac);
                    }
                }
                News::Going { index, .. } => self.firewall.remove_vmac(index),
            }
        }
    }

    /// The virtual router's family, and the other one when it has addresses of both.
    fn families_of(&self, made: &Made) -> Vec<Family> {
        let interfaces = &self.kernel.interfaces;
        let other = self.router.config().instances.iter().any(|i| {
            i.interface.and_then(|n| interfaces.name(n)) == Some(&made.name)
                && i.excluded
                    .iter()
                    .any(|a| Family::of(&a.address) != made.family)
        });
        let mut families = vec![made.family];
        if other {
            families.push(match made.family {
                Family::V4 => Family::V6,
                Family::V6 => Family::V4,
            });
        }
        families
    }

    /// They are let through. The instance may be one of the configuration before.
    pub(super) fn unblock(&mut self, id: InstanceId) {
        if let Some(lane) = self.lanes.get(id.index()) {
            self.firewall.unblock(&lane.name);
        }
    }
}
