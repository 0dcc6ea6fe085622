//! Notify FIFOs: named pipes that tell a reader what happened, line by line.
//!
//! The daemon never waits for the reader: a line that does not fit is lost. The pipe is opened for
//! reading too, so that it stays usable while nobody else reads (keepalived 2.3.3 lib/notify.c).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chown, mkfifo};

/// A notify FIFO.
#[derive(Debug)]
pub struct Fifo {
    path: PathBuf,
    /// Whom it is made for.
    uid: u32,
    /// We made it, so we remove it.
    created: bool,
    file: Option<File>,
}

/// A FIFO that exists but is not opened yet: the moment to start its reader.
#[derive(Debug)]
pub struct Prepared {
    /// The FIFO.
    pub fifo: Fifo,
    /// The owner could not be set; the FIFO is usable all the same.
    pub owner_refused: bool,
}

/// Why a FIFO cannot be used.
#[derive(Debug)]
pub enum Unusable {
    /// The file is no FIFO, or not one of the daemon's or of the user it is meant for.
    NotOurs,
    /// It cannot be opened.
    Io(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fifo {
    /// Makes the pipe, unless something of that name exists, with mode 0644 less the process's mask, and
    /// gives it to `uid` and `gid` where they are not the daemon's own.
    pub fn prepare(path: &Path, uid: u32, gid: u32) -> io::Result<Prepared> {
        let mode = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IROTH;
        let created = match mkfifo(path, mode) {
            Ok(()) => true,
            Err(nix::errno::Errno::EEXIST) => false,
            Err(e) => return Err(e.into()),
        };
        let own = (linux_io::users::euid(), linux_io::users::egid());
        let owner_refused = created && own != (uid, gid) && {
            let uid = (own.0 != uid).then(|| Uid::from_raw(uid));
            let gid = (own.1 != gid).then(|| Gid::from_raw(gid));
            chown(path, uid, gid).is_err()
        };
        Ok(Prepared {
            fifo: Self {
                path: path.to_path_buf(),
                uid,
                created,
                file: None,
            },
            owner_refused,
        })
    }

    /// Opens the pipe. After a failure it is useless, and removed if it was ours. What is no pipe, or belongs to somebody else,
    /// is not used: the name may be a trap (keepalived 2.4.0).
    pub fn open(&mut self) -> Result<(), Unusable> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW).bits())
            .open(&self.path);
        match opened {
            Ok(file) => {
                let facts = file.metadata()?;
                let owners = [linux_io::users::euid(), self.uid];
                if !facts.file_type().is_fifo() || !owners.contains(&facts.uid()) {
                    return Err(Unusable::NotOurs);
                }
                self.file = Some(file);
                Ok(())
            }
            Err(e) => {
                if self.created {
                    let _ = fs::remove_file(&self.path);
                    self.created = false;
                }
                Err(e.into())
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `line` and a newline, all or nothing; whether it was written. A line that is lost because nobody reads is no error.
    pub fn write_line(&self, line: &str) -> io::Result<bool> {
        let Some(mut file) = self.file.as_ref() else {
            return Ok(false);
        };
        // One write: a pipe takes up to 4096 bytes whole or not at all.
        let mut bytes = Vec::with_capacity(line.len().saturating_add(1));
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        match file.write(&bytes) {
            Ok(n) => Ok(n == bytes.len()),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(e) => Err(e),
        }
    }
}

impl Drop for Fifo {
    /// Removes the name before the pipe is closed, so that a reader that opens it again and again does not
    /// get the one that is going away.
    fn drop(&mut self) {
        if self.created {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn lines_arrive_and_the_pipe_goes() {
        let path = std::env::temp_dir().join(format!("daemon-rt-fifo-{}", std::process::id()));
        let own = (linux_io::users::euid(), linux_io::users::egid());
        let mut prepared = Fifo::prepare(&path, own.0, own.1).unwrap();
        assert!(!prepared.owner_refused);
        prepared.fifo.open().unwrap();
        let fifo = prepared.fifo;
        assert!(fifo.write_line("INSTANCE \"A\" MASTER 100").unwrap());
        let mut reader = File::open(&path).unwrap();
        let mut buf = [0u8; 64];
        let n = reader.read(&mut buf).unwrap();
        assert_eq!(buf.get(..n), Some(&b"INSTANCE \"A\" MASTER 100\n"[..]));
        // Nobody reads: sooner or later a line is lost, and nothing waits.
        let line = "x".repeat(1000);
        assert!((0..1000).any(|_| !fifo.write_line(&line).unwrap()));
        drop(fifo);
        assert!(!path.exists());
    }

    #[test]
    fn a_pipe_of_somebody_else_stays() {
        let path = std::env::temp_dir().join(format!("daemon-rt-fifo2-{}", std::process::id()));
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let mut prepared = Fifo::prepare(&path, 0, 0).unwrap();
        prepared.fifo.open().unwrap();
        drop(prepared);
        assert!(path.exists());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_or_a_link_is_no_pipe() {
        let path = std::env::temp_dir().join(format!("daemon-rt-fifo3-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        let mut prepared = Fifo::prepare(&path, 0, 0).unwrap();
        assert!(matches!(prepared.fifo.open(), Err(Unusable::NotOurs)));
        assert!(!prepared.fifo.write_line("x").unwrap());
        let link = path.with_extension("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut prepared = Fifo::prepare(&link, 0, 0).unwrap();
        assert!(matches!(prepared.fifo.open(), Err(Unusable::Io(_))));
        drop(prepared);
        fs::remove_file(&link).unwrap();
        fs::remove_file(&path).unwrap();
    }
}
