//! Kernel settings that macvlans need on themselves, on the interface below and everywhere, and how they are put back.

use std::io;

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::sysctl;
use net_types::{Family, SortedMap};
use netlink_wire::Link;
use netlink_wire::link::{Setting, push_settings};

use crate::text;
use crate::vrrp::kernel::Kernel;

/// On a VMAC of IPv4 virtual routers.
const VMAC_V4: &[(Setting, u32)] = &[
    // Answers only to its own addresses, on whatever interface packets come.
    (Setting::ArpIgnore, 1),
    // The source of adverts is the address of the interface below, which is ours.
    (Setting::AcceptLocal, 1),
    (Setting::RpFilter, 0),
    (Setting::PromoteSecondaries, 1),
];
const VMAC_V6: &[(Setting, u32)] = &[(Setting::ArpIgnore, 1)];
/// On the interface below: no answers for virtual addresses, nor twice for its own.
const BASE: [(Setting, u32); 2] = [(Setting::ArpIgnore, 1), (Setting::ArpFilter, 1)];

/// What an interface below VMACs had before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// VMACs that need the change.
    pub users: u32,
    /// `arp_ignore`
    pub arp_ignore: u32,
    /// `arp_filter`
    pub arp_filter: u32,
}

/// `rp_filter` of `all` counts for every interface, so it has to be 0; the others get its value instead.
#[derive(Debug)]
struct RpFilter {
    all: u32,
    default: Option<u32>,
    /// By the interface's number.
    links: SortedMap<u32, u32>,
}

/// What was changed.
#[derive(Debug, Default)]
pub(super) struct Settings {
    rp_filter: Option<RpFilter>,
    /// By the interface's number.
    bases: SortedMap<u32, Before>,
}

impl Settings {
    /// Sets up a new VMAC; `base` is what it stands on, if that is in our namespace. Whether the interface below now counts
    /// it as a user.
    pub(super) fn prepare(
        &mut self,
        kernel: &mut Kernel,
        vmac: &Link,
        base: Option<&Link>,
        family: Family,
    ) -> bool {
        self.clear_rp_filter(kernel);
        let own = match family {
            Family::V4 => VMAC_V4,
            Family::V6 => VMAC_V6,
        };
        if !kernel.request(None, |b| push_settings(b, vmac.index, own)) {
            log!(Priority::Info, "Unable to set parameters for {}", vmac.name);
            return false;
        }
        let (Family::V4, Some(base)) = (family, base) else {
            return false;
        };
        if let Some(before) = self.bases.get_mut(&base.index) {
            before.users = before.users.saturating_add(1);
            return true;
        }
        // The kernel does not tell when somebody writes them, so they are read now.
        let now = |key: &str, told: u32| {
            let value = sysctl::read(&sysctl::conf(Family::V4, &base.name, key));
            value.map_or(told, |v| u32::try_from(v).unwrap_or(told))
        };
        let before = Before {
            users: 1,
            arp_ignore: now("arp_ignore", base.settings.arp_ignore),
            arp_filter: now("arp_filter", base.settings.arp_filter),
        };
        if (before.arp_ignore, before.arp_filter) == (1, 1) {
            return false;
        }
        if !kernel.request(None, |b| push_settings(b, base.index, &BASE)) {
            log!(
                Priority::Info,
                "Set base flags on {} failed for VMAC {}",
                base.name,
                vmac.name
            );
            log!(Priority::Info, "Unable to set parameters for {}", vmac.name);
            return false;
        }
        self.bases.insert(base.index, before);
        true
    }

    /// A user of an interface's settings goes; with the last one they are what they were.
    pub(super) fn release(&mut self, kernel: &mut Kernel, base: u32) {
        let Some(before) = self.bases.get_mut(&base) else {
            return;
        };
        before.users = before.users.saturating_sub(1);
        if before.users > 0 {
            return;
        }
        let old = [
            (Setting::ArpIgnore, before.arp_ignore),
            (Setting::ArpFilter, before.arp_filter),
        ];
        self.bases.remove(&base);
        let Some(name) = kernel.interfaces.by_index(base).map(|l| l.name.clone()) else {
            return;
        };
        if !kernel.request(None, |b| push_settings(b, base, &old)) {
            log!(Priority::Info, "reset interface flags on {name} failed");
            log!(Priority::Info, "Unable to reset parameters for {name}");
        }
    }

    /// The interface is gone, and its settings with it.
    pub(super) fn forget(&mut self, base: u32) {
        self.bases.remove(&base);
    }

    /// What an interface had before VMACs came.
    pub(super) fn before(&self, base: u32) -> Option<Before> {
        self.bases.get(&base).copied()
    }

    /// The `rp_filter` that an interface had before it was raised.
    pub(super) fn rp_filter(&self, index: u32) -> Option<u32> {
        self.rp_filter.as_ref()?.links.get(&index).copied()
    }

    fn clear_rp_filter(&mut self, kernel: &mut Kernel) {
        if self.rp_filter.is_some() {
            return;
        }
        let read = |name: &str| {
            let value = sysctl::read(&sysctl::conf(Family::V4, name, "rp_filter"));
            value.map(|v| u32::try_from(v).unwrap_or(0))
        };
        let Ok(all) = read("all") else {
            log!(
                Priority::Info,
                "Unable to read sysctl net.ipv4.conf.all.rp_filter"
            );
            return;
        };
        if all == 0 {
            return;
        }
        let default = read("default").ok().filter(|d| *d < all);
        if let Some(default) = default {
            log!(
                Priority::Info,
                "NOTICE: setting sysctl net.ipv4.conf.default.rp_filter from {default} to {all}"
            );
            write("default", all);
        }
        kernel.catch_up();
        let lower: Vec<(u32, u32)> = kernel
            .interfaces
            .iter()
            .map(|l| {
                let now = read(&l.name).unwrap_or(l.settings.rp_filter);
                (l.index, now)
            })
            .filter(|(_, now)| *now < all)
            .collect();
        for (index, _) in &lower {
            kernel.request(None, |b| {
                push_settings(b, *index, &[(Setting::RpFilter, all)])
            });
        }
        log!(
            Priority::Info,
            "NOTICE: setting sysctl net.ipv4.conf.all.rp_filter from {all} to 0"
        );
        write("all", 0);
        self.rp_filter = Some(RpFilter {
            all,
            default,
            links: lower.into_iter().collect(),
        });
    }

    /// Puts `rp_filter` back, where nobody has changed it since.
    pub(super) fn restore_rp_filter(&mut self, kernel: &mut Kernel) {
        let Some(RpFilter {
            all,
            default,
            links,
        }) = self.rp_filter.take()
        else {
            return;
        };
        let is = |name: &str, value: u32| {
            let now = sysctl::read(&sysctl::conf(Family::V4, name, "rp_filter"));
            now.is_ok_and(|now| u32::try_from(now) == Ok(value))
        };
        if is("all", 0) {
            log!(
                Priority::Info,
                "NOTICE: resetting sysctl net.ipv4.conf.all.rp_filter to {all}"
            );
            write("all", all);
        }
        if let Some(default) = default.filter(|_| is("default", all)) {
            log!(
                Priority::Info,
                "NOTICE: resetting sysctl net.ipv4.conf.default.rp_filter to {default}"
            );
            write("default", default);
        }
        for (index, before) in links {
            let name = kernel.interfaces.by_index(index).map(|l| l.name.clone());
            if name.is_some_and(|n| is(&n, all)) {
                kernel.request(None, |b| {
                    push_settings(b, index, &[(Setting::RpFilter, before)]);
                });
            }
        }
    }
}

/// Switches IPv6 of an interface on or off. A kernel without IPv6 has no such file.
pub(super) fn set_ipv6(name: &str, on: bool) {
    let path = sysctl::conf(Family::V6, name, "disable_ipv6");
    report(&path, u32::from(!on), sysctl::write(&path, i32::from(!on)));
}

fn write(name: &str, value: u32) {
    let path = sysctl::conf(Family::V4, name, "rp_filter");
    let number = i32::try_from(value).unwrap_or(0);
    report(&path, value, sysctl::write(&path, number));
}

/// As 2.4 has it; 2.3.3 is silent.
fn report(path: &std::path::Path, value: u32, done: io::Result<()>) {
    let Err(e) = done else { return };
    if e.kind() == io::ErrorKind::NotFound {
        return;
    }
    let (path, errno) = (path.display(), e.raw_os_error().unwrap_or(0));
    log!(
        Priority::Err,
        "Failed to write {value} to {path}, errno {errno} ({})",
        text::errno::sentence(&e)
    );
}
