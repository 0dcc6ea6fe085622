//! Pid files: held with a lock as long as the daemon runs.
//!
//! The lock belongs to the open file description, so it survives fork: whoever keeps the descriptor keeps
//! the lock. A child must therefore drop the pid files of the other processes
//! (keepalived-behaviour.md section 2, keepalived 2.3.3 core/pidfile.c).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use linux_io::{lock, process};
use nix::fcntl::OFlag;

/// Why a pid file is not ours.
#[derive(Debug)]
pub enum Refused {
    /// Another process holds its lock: the daemon is already running.
    Locked,
    /// The system refuses.
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A pid file we hold. Dropping it gives up the lock and leaves the file.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Creates or takes over the file, locks it and empties it. A symbolic link is refused.
    pub fn take(path: impl Into<PathBuf>) -> Result<Self, Refused> {
        let path = path.into();
        loop {
            let file = open(&path)?;
            if !lock::try_lock(&file)? {
                return Err(Refused::Locked);
            }
            // The file may have been removed or replaced between open and lock; then the lock is on
            // something nobody else will ever look at.
            if same_file(&path, &file)? {
                file.set_len(0)?;
                return Ok(Self { path, file });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes this process's number, alone on a line.
    pub fn write_own(&self) -> io::Result<()> {
        let mut file = &self.file;
        file.rewind()?;
        file.set_len(0)?;
        writeln!(file, "{}", process::getpid().get())
    }

    /// The same for a child started again: if somebody removed or replaced the file meanwhile, a new one is
    /// taken first.
    pub fn refresh_own(&mut self) -> io::Result<()> {
        if !same_file(&self.path, &self.file).unwrap_or(false) {
            match Self::take(self.path.clone()) {
                Ok(new) => *self = new,
                Err(Refused::Io(e)) => return Err(e),
                Err(Refused::Locked) => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        self.write_own()
    }

    /// Removes the file and gives up the lock. A file that is gone already is no error.
    pub fn remove(self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Readable for all, whatever mask the daemon uses for its dumps.
    let mask = process::umask(0o022);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path);
    process::umask(mask);
    file
}

/// Whether `path` still names the open file.
fn same_file(path: &Path, file: &File) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok(named.dev() == held.dev() && named.ino() == held.ino()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn place(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("daemon-rt-pid-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir.join(name)
    }

    #[test]
    fn one_holder_at_a_time() {
        let path = place("one.pid");
        fs::write(&path, "stale text longer than a number\n").unwrap();
        let held = PidFile::take(&path).unwrap();
        assert!(matches!(PidFile::take(&path), Err(Refused::Locked)));
        held.write_own().unwrap();
        let expected = format!("{}\n", std::process::id());
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        held.write_own().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        drop(held);
        let again = PidFile::take(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        again.remove();
        assert!(!path.exists());
    }

    #[test]
    fn the_file_is_readable_and_no_link_is_followed() {
        let path = place("mode.pid");
        let held = PidFile::take(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
        let link = place("link.pid");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(PidFile::take(&link), Err(Refused::Io(_))));
        held.remove();
        fs::remove_file(&link).unwrap();
    }

    #[test]
    fn a_removed_file_comes_back() {
        let path = place("gone.pid");
        let mut held = PidFile::take(&path).unwrap();
        fs::remove_file(&path).unwrap();
        held.refresh_own().unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        held.remove();
    }
}
