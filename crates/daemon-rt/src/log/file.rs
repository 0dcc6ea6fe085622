//! A file that log lines are appended to.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;

/// An append-only file. Each line is one `write`, so lines of several processes do not mix and
/// nothing waits in a buffer when a process dies (the C daemon's `--flush-log-file` behaviour,
/// always).
#[derive(Debug)]
pub struct LogFile {
    file: File,
}

impl LogFile {
    /// Opens `path` for appending, creating it if needed; a symbolic link is refused. The mode becomes
    /// 0666 with the bits of `umask` removed, also for a file that existed.
    pub fn append(path: &Path, umask: u32) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o666)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(path)?;
        let this = Self { file };
        this.set_umask(umask)?;
        Ok(this)
    }

    /// Sets the mode to 0666 with the bits of `umask` removed.
    pub fn set_umask(&self, umask: u32) -> io::Result<()> {
        self.file
            .set_permissions(Permissions::from_mode(0o666 & !umask))
    }

    /// Writes `bytes` as they are. A full disk is not an error of the daemon: what does not fit is lost.
    pub fn write_all(&self, bytes: &[u8]) {
        let _ = (&self.file).write_all(bytes);
    }
}

/// A file that the daemon opened by its own rules; it should be in append mode.
impl From<File> for LogFile {
    fn from(file: File) -> Self {
        Self { file }
    }
}
