//! What an instance tracks in the end, and with which weight.

use super::instance::Work;
use super::trackers::Reason;

impl Work<'_, '_> {
    /// Weights are not possible for an address owner, and in a sync group only on demand.
    pub(super) fn weights(&mut self) {
        let grouped = self.group.is_some_and(|g| !g.tracking_weight);
        if grouped || self.owner() {
            self.drop_weights(grouped);
        }
        let track = &self.i.track;
        let tracked = &mut self.i.tracked;
        tracked.scripts.clone_from(&track.scripts);
        tracked.files.clone_from(&track.files);
        tracked.processes.clone_from(&track.processes);
        tracked.bfds.clone_from(&track.bfds);
    }

    pub(super) fn drop_weights(&mut self, grouped: bool) {
        let n = self.name.clone();
        let why = if grouped {
            "SYNC group"
        } else {
            "address_owner"
        };
        let mut track = std::mem::take(&mut self.i.track);
        // What was noted for the interface itself stays: in spite of its message the original goes on applying the weight there
        // (seen: "Changing effective priority from 100 to 80" in a sync group).
        track.interfaces.retain_mut(|t| {
            if t.weight == 0 {
                return true;
            }
            let (weight, why) = if grouped {
                ("weight ", "SYNC group")
            } else {
                ("", "address owner")
            };
            self.error(format!(
                "({n}) ignoring {} tracked interface {weight}due to {why}",
                *t.name
            ));
            t.weight = 0;
            grouped
        });
        track.scripts.retain(|t| {
            if t.weight != 0 {
                self.error(format!(
                    "({n}) ignoring tracked script {} with weights due to {why}",
                    *t.name
                ));
            }
            t.weight == 0
        });
        track.files.retain_mut(|t| {
            // 1 is the weight of a file whose weight nobody gave.
            if t.weight == 1 {
                self.error(format!(
                    "({n}) ignoring weight from tracked file {} due to {why}. specify weight 0",
                    *t.name
                ));
                t.weight = 0;
            } else if t.weight != 0 {
                self.error(format!(
                    "({n}) ignoring tracked file {} with weight {} due to {why}",
                    *t.name, t.weight
                ));
            }
            t.weight == 0
        });
        track.bfds.retain(|t| {
            if t.weight != 0 {
                self.error(format!(
                    "({n}) ignoring tracked bfd {} with weight {} due to {why}",
                    *t.name, t.weight
                ));
            }
            t.weight == 0
        });
        self.i.track = track;
    }

    /// Interfaces that tracked routes and rules need.
    pub(super) fn needed_by_routes(&mut self) {
        let routes = self.i.routes.iter().filter(|r| !r.no_track);
        let rules = self.i.rules.iter().filter(|r| !r.no_track);
        let names = routes.filter_map(|r| r.dev.as_ref());
        let names = names.chain(rules.flat_map(|r| r.iif.iter().chain(r.oif.iter())));
        let names: Vec<Box<str>> = names.map(|n| n.value.clone()).collect();
        for name in names {
            let at = self.interfaces.named(self.ctx, &name);
            self.looks_at(at, Some(0), false, Reason::NEEDED);
        }
    }
}
