//! Notice of file changes (`inotify(7)`).

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};

/// A watched file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Watch(WatchDescriptor);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A file was closed after writing, or written to.
    Written,
    /// A file came (created or moved here).
    Appeared,
    /// A file went (deleted or moved away).
    Gone,
    /// What is watched was itself deleted, moved or unmounted: the watch is over.
    Ended,
    /// News are lost: look for yourself.
    Overrun,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEvent {
    /// Where; `None` for [`Change::Overrun`].
    pub watch: Option<Watch>,
    /// What.
    pub change: Change,
    /// The file within a watched directory.
    pub name: Option<OsString>,
}

/// Watches files. Non-blocking.
#[derive(Debug)]
pub struct FileWatch(Inotify);

impl FileWatch {
    /// Watches nothing yet.
    pub fn new() -> io::Result<Self> {
        Ok(Self(Inotify::init(
            InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC,
        )?))
    }

    /// Watches a file or a directory for everything in [`Change`].
    pub fn add(&self, path: &Path) -> io::Result<Watch> {
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        Ok(Watch(self.0.add_watch(path, what)?))
    }

    /// As [`Self::add`], without the creation of files: a new file is told of as [`Change::Written`] once somebody has finished writing it.
    pub fn add_finished(&self, path: &Path) -> io::Result<Watch> {
        let what = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        Ok(Watch(self.0.add_watch(path, what)?))
    }

    /// Ends a watch.
    pub fn remove(&self, watch: Watch) -> io::Result<()> {
        Ok(self.0.rm_watch(watch.0)?)
    }

    /// Changes that wait; empty when there are none.
    pub fn read(&self) -> io::Result<Vec<FileEvent>> {
        match self.0.read_events() {
            Ok(events) => Ok(events.into_iter().filter_map(event).collect()),
            Err(nix::errno::Errno::EAGAIN) => Ok(Vec::new()),
            Err(e) => Err(e.into()),
        }
    }
}

fn event(raw: nix::sys::inotify::InotifyEvent) -> Option<FileEvent> {
    let has = |flags| raw.mask.intersects(flags);
    let ended =
        AddWatchFlags::IN_DELETE_SELF | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_UNMOUNT;
    let change = if has(AddWatchFlags::IN_Q_OVERFLOW) {
        Change::Overrun
    } else if has(ended) {
        Change::Ended
    } else if has(AddWatchFlags::IN_DELETE | AddWatchFlags::IN_MOVED_FROM) {
        Change::Gone
    } else if has(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO) {
        Change::Appeared
    } else if has(AddWatchFlags::IN_CLOSE_WRITE) {
        Change::Written
    } else {
        return None;
    };
    Some(FileEvent {
        watch: (change != Change::Overrun).then_some(Watch(raw.wd)),
        change,
        name: raw.name,
    })
}

impl AsFd for FileWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_change_and_go() {
        let dir = std::env::temp_dir().join(format!("linux-io-inotify-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let watch = FileWatch::new().unwrap();
        let here = watch.add(&dir).unwrap();
        assert_eq!(watch.read().unwrap(), []);
        std::fs::write(dir.join("a"), "1").unwrap();
        std::fs::remove_file(dir.join("a")).unwrap();
        let events = watch.read().unwrap();
        let changes: Vec<_> = events.iter().map(|e| e.change).collect();
        assert_eq!(changes, [Change::Appeared, Change::Written, Change::Gone]);
        assert!(
            events
                .iter()
                .all(|e| e.watch == Some(here) && e.name == Some("a".into()))
        );
        std::fs::remove_dir(&dir).unwrap();
        assert_eq!(
            watch.read().unwrap().first().map(|e| e.change),
            Some(Change::Ended)
        );
    }
}
