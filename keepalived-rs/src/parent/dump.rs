//! The parent's own data dump (SIGUSR1).

use daemon_rt::dump_file;

use super::reload_time::{ReloadTime, shown};
use super::{Parent, info, places};
use crate::dump_name;
use crate::host::{self, System};
use crate::text;
use crate::text::dump::snapshot::ProcessNow;

impl Parent {
    /// Writes what the parent knows: the global definitions.
    pub(super) fn dump(&mut self) {
        info!(
            "Printing parent data for process({}) on signal",
            self.pid.get()
        );
        host::ask_default_account(&mut self.global, &System::new());
        let path = dump_name::data(&self.global, "_parent");
        let process = ProcessNow {
            umask: self.umask,
            reload_at: self
                .reload_time
                .as_ref()
                .and_then(ReloadTime::due)
                .map(|due| (shown(due.wall), due.dated)),
            reload_file: places::reload_marker(&self.global, self.main_pidfile.path())
                .map(|path| path.display().to_string()),
            ids: (linux_io::users::uid(), linux_io::users::gid()),
            ..ProcessNow::default()
        };
        let content = text::dump::parent_data(&self.global, &process);
        if let Err(e) = dump_file::write(path.as_ref(), self.umask, content.as_bytes()) {
            info!(
                "Can't open dump file {path} ({}: {})",
                e.raw_os_error().unwrap_or(0),
                text::errno::sentence(&e)
            );
        }
    }
}
