//! `disable_local_igmp`: the kernel sends no IGMP reports for link-local groups, adverts' among them, while we run.
//!
//! In: whether the operator wants it. Out: a sysctl, put back at the end. It can not change at a reload.

use std::io;
use std::path::PathBuf;

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::sysctl;
use net_types::Family;

/// The setting while it is ours.
#[derive(Debug)]
pub(super) struct LocalIgmp {
    /// It was on and is off now.
    off: bool,
}

impl LocalIgmp {
    /// Turns the reports off if that is wanted and they are on. Errors are logged.
    pub(super) fn new(disable: bool) -> Self {
        let off = disable
            && told("read", sysctl::read(&path())) == Some(1)
            && told("write", sysctl::write(&path(), 0)).is_some();
        Self { off }
    }

    /// Turns them on again if it was us who turned them off.
    pub(super) fn restore(&mut self) {
        if std::mem::take(&mut self.off) {
            told("write", sysctl::write(&path(), 1));
        }
    }
}

fn path() -> PathBuf {
    sysctl::global(Family::V4, "igmp_link_local_mcast_reports")
}

fn told<T>(what: &str, result: io::Result<T>) -> Option<T> {
    result
        .inspect_err(|e| {
            let (path, errno) = (path(), e.raw_os_error().unwrap_or(0));
            log!(
                Priority::Info,
                "Unable to {what} {} - errno {errno}",
                path.display()
            );
        })
        .ok()
}
