//! What belongs to no instance: static addresses, routes and rules, settings of interfaces.

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::sysctl;
use net_types::{Family, SortedSet};
use vrrp_proto::Object;

use super::Child;
use crate::text;
use crate::vrrp::kernel::Kernel;
use crate::vrrp::lower::Static;

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
            if !s.no_track {
                self.kernel.watch_static(s.object, s.text.clone());
            } else {
                self.kernel.forget_static(s.object);
            }
            if !self.kernel.is_set(s.object) {
                self.kernel.add(s.object);
            }
        }
        self.kernel.flush(&mut self.refused);
        self.refused.clear();
    }

    /// At a reload: takes away what is no longer wanted, in the original's order and with its lines.
    pub(super) fn remove_old_statics(&mut self, old: &[Static]) {
        let there =
            |statics: &[Static], kind: fn(&Object) -> bool| statics.iter().any(|s| kind(&s.object));
        let kinds: [fn(&Object) -> bool; 3] = [
            |o| matches!(o, Object::Rule(_)),
            |o| matches!(o, Object::Route(_)),
            |o| matches!(o, Object::Address(_)),
        ];
        let kept: SortedSet<Object> = self.statics.iter().map(|s| s.object).collect();
        let key = |kernel: &Kernel, object| match object {
            Object::Route(n) => kernel.objects.route_key(n),
            Object::Address(_) | Object::Rule(_) => None,
        };
        for (kind, name) in kinds.into_iter().zip(["Rule", "Route", ""]) {
            let emptied = !name.is_empty() && there(old, kind) && !there(&self.statics, kind);
            if emptied && (self.detail || name == "Rule") {
                log!(Priority::Info, "Removing a Virtual{name} block");
            }
            for gone in old
                .iter()
                .filter(|s| kind(&s.object) && !kept.contains(&s.object))
            {
                if !self.kernel.is_set(gone.object) {
                    self.kernel.forget_static(gone.object);
                    continue;
                }
                let own = key(&self.kernel, gone.object);
                let heir = self.statics.iter().map(|s| s.object).find(|new| {
                    own.is_some() && key(&self.kernel, *new) == own && !self.kernel.is_set(*new)
                });
                if let Some(heir) = heir {
                    self.kernel.forget_static(gone.object);
                    self.kernel.replace(gone.object, heir, &mut self.refused);
                    continue;
                }
                // The original has no name for their owner.
                if !emptied && (self.detail || matches!(gone.object, Object::Address(_))) {
                    let line = self.kernel.gone_line("(null)", gone.object);
                    log!(Priority::Info, "{line}");
                }
                self.kernel.remove_static(gone.object);
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
