//! What belongs to no instance: static addresses, routes and rules, settings of interfaces.

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::sysctl;
use net_types::Family;
use vrrp_proto::Object;

use super::Child;
use crate::text;

impl Child<'_> {
    /// `promote_secondaries`: removing an address leaves the others of its network in place. Put back at the end.
    pub(super) fn promote_secondaries(&mut self) {
        let instances = self
            .model
            .vrrp
            .instances
            .iter()
            .filter(|i| i.promote_secondaries);
        let wanted: Vec<Box<str>> = instances
            .filter_map(|i| Some(i.interface.as_ref()?.value.clone()))
            .collect();
        self.demote_secondaries(|name| wanted.iter().any(|w| **w == *name));
        for name in wanted {
            let setting = sysctl::conf(Family::V4, &name, "promote_secondaries");
            if !self.promoted.contains(&name) && sysctl::read(&setting).is_ok_and(|v| v == 0) {
                match sysctl::write(&setting, 1) {
                    Ok(()) => self.promoted.push(name),
                    Err(e) => {
                        let text = text::errno::sentence(&e);
                        log!(
                            Priority::Info,
                            "Cannot set promote_secondaries of {name} - {text}"
                        );
                    }
                }
            }
        }
    }

    pub(super) fn demote_secondaries(&mut self, keep: impl Fn(&str) -> bool) {
        self.promoted.retain(|name| {
            let kept = keep(name);
            if !kept {
                // The interface may be gone, and its setting with it.
                let _ = sysctl::write(&sysctl::conf(Family::V4, name, "promote_secondaries"), 0);
            }
            kept
        });
    }

    /// Static rules of an earlier run. A second address or route like one that is there does no harm, a second rule stays behind.
    pub(super) fn clear_static_leftovers(&mut self) {
        for s in &self.statics {
            if matches!(s.object, Object::Rule(_)) {
                self.kernel.remove(s.object, true);
            }
        }
        self.kernel.flush(&mut self.refused);
    }

    pub(super) fn add_statics(&mut self) {
        for s in &self.statics {
            if self.kernel.is_set(s.object) {
                continue;
            }
            if s.no_track {
                self.kernel.add(s.object);
            } else {
                self.kernel.add_static(s.object, s.text.clone());
            }
        }
        self.kernel.flush(&mut self.refused);
        self.refused.clear();
    }

    pub(super) fn remove_statics(&mut self) {
        if self.router.config().global.keep_on_exit {
            return;
        }
        for s in self.statics.iter().rev() {
            self.kernel.remove_static(s.object);
        }
        self.kernel.flush(&mut self.refused);
    }
}
