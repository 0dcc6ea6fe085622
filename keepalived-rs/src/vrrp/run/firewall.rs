//! What the firewall is told: the addresses of an instance with their interfaces.

use vrrp_proto::InstanceId;

use super::Child;
use crate::vrrp::firewall::Blocked;

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

    /// They are let through. The instance may be one of the configuration before.
    pub(super) fn unblock(&mut self, id: InstanceId) {
        if let Some(lane) = self.lanes.get(id.index()) {
            self.firewall.unblock(&lane.name);
        }
    }
}
