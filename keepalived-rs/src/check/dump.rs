//! What the checker process writes of itself: SIGUSR1, `--dump-conf`, `config_save_dir`.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use daemon_rt::dump_file;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::timer::monotonic_now;
use linux_io::users;

use super::run::Child;
use crate::dump_name;
use crate::text::dump::check::{self, Now};
use crate::text::dump::snapshot::ProcessNow;
use crate::text::errno::sentence;

impl Child<'_> {
    fn content(&self) -> String {
        let (realtime_priority, realtime_limit) = self.scheduling.present();
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = Now {
            process: ProcessNow {
                umask: self.context.umask,
                ids: (users::uid(), users::gid()),
                realtime_priority,
                realtime_limit,
                reload_file: None,
                reload_at: None,
                fifos_open: true,
            },
            engine: &self.engine,
            files: self.engine.files(),
            monotonic: monotonic_now(),
            wall: u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX),
        };
        check::data(&self.model, &now)
    }

    /// SIGUSR1.
    pub(super) fn dump(&self) {
        let path = dump_name::data(&self.model.global, "_check");
        let content = self.content();
        if let Err(e) = dump_file::write(Path::new(&path), self.context.umask, content.as_bytes()) {
            let errno = e.raw_os_error().unwrap_or(0);
            log!(
                Priority::Info,
                "Can't open {path} ({errno}: {})",
                sentence(&e)
            );
        }
    }

    /// `--dump-conf`: to the log, at start and after each reload.
    pub(super) fn dump_configuration(&self) {
        if self.context.options.dump_conf {
            for line in self.content().lines() {
                log!(Priority::Info, "{line}");
            }
        }
    }

    /// To a file of `config_save_dir`, before and after a reload.
    pub(super) fn save(&mut self, after: bool) {
        let Some(dir) = self.model.global.config_save_dir.clone() else {
            return;
        };
        if !after {
            self.saved = self.saved.saturating_add(1);
        }
        let pid = std::process::id();
        let when = if after { "post" } else { "pre" };
        let path = format!("{dir}/keepalived_check.{pid}.{}.{when}", self.saved);
        let content = self.content();
        let written = dump_file::write(Path::new(&path), self.context.umask, content.as_bytes());
        if written.is_err() {
            log!(Priority::Info, "Failed to open config_save file {path}");
        }
    }
}
