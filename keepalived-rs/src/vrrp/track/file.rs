//! Tracked files: their number, read when inotify says that somebody has finished writing.
//!
//! In: the paths, changes of their directories. Out: values.
//! Answers to: keepalived-behaviour.md section 7 "File", keepalived 2.3.3 trackers/track_file.c.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use conf_parsers::keepalived::model::vrrp::TrackFile;
use daemon_rt::dump_file;
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::inotify::{Change, FileWatch, Watch};
use nix::fcntl::OFlag;

/// Octets of a file that are looked at.
const HEAD: u64 = 127;

/// A file that is followed.
#[derive(Debug)]
struct Followed {
    path: PathBuf,
    watch: Option<Watch>,
    value: i64,
}

/// All tracked files of the process.
#[derive(Debug)]
pub(crate) struct Files {
    watch: Option<FileWatch>,
    /// `None` for one that cannot be followed.
    files: Vec<Option<Followed>>,
}

impl Files {
    /// Follows nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            watch: FileWatch::new().ok(),
            files: Vec::new(),
        }
    }

    /// Readable when there may be changes. None where the kernel has no inotify for us.
    pub(crate) fn readable(&self) -> Option<&FileWatch> {
        self.watch.as_ref()
    }

    /// From now on these files count; they are read. At the first start, those that ask for it are written before.
    /// `used` says whether anybody tracks the file at that position.
    pub(crate) fn configure(
        &mut self,
        files: &[TrackFile],
        used: impl Fn(usize) -> bool,
        reload: bool,
        umask: u32,
    ) {
        if let Some(watch) = &self.watch {
            for old in self.files.iter().flatten() {
                if let Some(old) = old.watch {
                    // Two files of one directory share a watch: the second removal finds nothing.
                    let _ = watch.remove(old);
                }
            }
        }
        self.files.clear();
        if !reload {
            for file in files {
                initialise(file, umask);
            }
        }
        let mut unwatched = false;
        for (n, file) in files.iter().enumerate() {
            let followed = file
                .path
                .as_ref()
                .filter(|_| used(n))
                .and_then(|path| resolve(&file.name, Path::new(&***path)))
                .map(|path| {
                    let dir = path.parent().unwrap_or(Path::new("/"));
                    let watch = self.watch.as_ref().and_then(|w| w.add_finished(dir).ok());
                    unwatched |= watch.is_none();
                    let value = read(&path).unwrap_or(0);
                    Followed { path, watch, value }
                });
            self.files.push(followed);
        }
        if unwatched {
            log!(Priority::Info, "Unable to monitor track files");
        }
    }

    /// Values by position; none for a file that cannot be followed.
    pub(crate) fn values(&self) -> impl Iterator<Item = Option<i64>> + '_ {
        self.files.iter().map(|f| f.as_ref().map(|f| f.value))
    }

    /// Takes the changes that wait: position and new value of each, in their order.
    pub(crate) fn changes(&mut self) -> Vec<(usize, i64)> {
        let mut changed = Vec::new();
        let Some(watch) = &self.watch else {
            return changed;
        };
        while let Ok(events) = watch.read() {
            if events.is_empty() {
                break;
            }
            for event in events {
                let lost = event.change == Change::Overrun;
                for (n, file) in self.files.iter_mut().enumerate() {
                    let Some(file) = file else { continue };
                    let here = file.watch.is_some() && file.watch == event.watch;
                    let named = event.name.as_deref() == file.path.file_name();
                    if !(lost || here && named) {
                        continue;
                    }
                    let value = match event.change {
                        Change::Gone => Some(0),
                        Change::Written | Change::Appeared | Change::Overrun => read(&file.path),
                        Change::Ended => None,
                    };
                    if let Some(value) = value.filter(|v| *v != file.value) {
                        file.value = value;
                        changed.push((n, value));
                    }
                }
            }
        }
        changed
    }
}

/// `init_file`
fn initialise(file: &TrackFile, umask: u32) {
    let (Some(path), Some(init)) = (&file.path, file.init) else {
        return;
    };
    let path = Path::new(&***path);
    if path.exists() && !init.overwrite {
        return;
    }
    let line = format!("{}\n", init.value);
    if dump_file::write(path, umask, line.as_bytes()).is_err() {
        let name = &*file.name;
        log!(Priority::Info, "Unable to initialise track file {name}");
    }
}

/// The path without links; a file need not exist, its directory must.
fn resolve(name: &str, path: &Path) -> Option<PathBuf> {
    match path.canonicalize() {
        Ok(resolved) => Some(resolved),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let dir = path
                .parent()
                .filter(|d| !d.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            let dir = dir.canonicalize().ok().filter(|d| d.is_dir());
            let resolved = dir.zip(path.file_name()).map(|(d, f)| d.join(f));
            if resolved.is_none() {
                log!(
                    Priority::Info,
                    "Track file directory for {name} does not exist - removing"
                );
            }
            resolved
        }
        Err(_) => {
            log!(
                Priority::Info,
                "track file {name} is not accessible - ignoring"
            );
            None
        }
    }
}

/// The number in the file; 0 without file or number. `None` for one that is to be ignored.
fn read(path: &Path) -> Option<i64> {
    let mut head = Vec::new();
    // A pipe must not block the process.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path);
    if let Ok(file) = opened {
        // An unreadable file is an empty one.
        let _ = file.take(HEAD).read_to_end(&mut head);
    }
    let (value, overflow) = number(&head);
    let allowed = i64::from(i32::MIN)..=i64::from(i32::MAX).saturating_add(1);
    if overflow || !allowed.contains(&value) {
        log!(
            Priority::Info,
            "Invalid number {value} read from {} - ignoring",
            path.display()
        );
        return None;
    }
    Some(value)
}

/// The number at the start of `text`, as strtol(3) reads it with base 0: white space, a sign, decimal digits, octal ones after `0`,
/// hexadecimal ones after `0x`. And whether it was too large.
fn number(text: &[u8]) -> (i64, bool) {
    let white = |b: &u8| matches!(*b, b' ' | b'\t'..=b'\r');
    let start = text.iter().position(|b| !white(b)).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or(&[]);
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (base, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            (16, rest)
        }
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let mut value = 0_i64;
    for digit in digits {
        let Some(digit) = char::from(*digit).to_digit(base) else {
            break;
        };
        let signed = i64::from(digit).saturating_mul(if negative { -1 } else { 1 });
        let next = value
            .checked_mul(i64::from(base))
            .and_then(|v| v.checked_add(signed));
        match next {
            Some(next) => value = next,
            None => return (if negative { i64::MIN } else { i64::MAX }, true),
        }
    }
    (value, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf_parsers::keepalived::model::vrrp::TrackFileInit;
    use conf_parsers::span::Spanned;

    #[test]
    fn numbers() {
        let cases: [(&str, i64); 12] = [
            ("", 0),
            ("up\n", 0),
            ("12\n", 12),
            ("  -3 and more", -3),
            ("+4", 4),
            ("0x1F", 31),
            ("0x", 0),
            ("010", 8),
            ("09", 0),
            ("-0x10", -16),
            ("--1", 0),
            ("2147483649", 2_147_483_649),
        ];
        for (text, value) in cases {
            assert_eq!(number(text.as_bytes()), (value, false), "{text}");
        }
        assert_eq!(number(b"99999999999999999999"), (i64::MAX, true));
        assert_eq!(number(b"-99999999999999999999"), (i64::MIN, true));
        assert_eq!(number(b"-9223372036854775808"), (i64::MIN, false));
    }

    #[test]
    fn a_file_is_initialised_followed_and_lost() {
        let dir = std::env::temp_dir().join(format!("keepalived-track-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("f");
        let name = |text: &str| Spanned {
            value: text.into(),
            span: conf_parsers::span::Span::default(),
        };
        let file = TrackFile {
            name: name("f"),
            path: Some(name(path.to_str().unwrap())),
            weight: 1,
            reverse: false,
            init: Some(TrackFileInit {
                value: 7,
                overwrite: false,
            }),
        };
        let mut files = Files::new();
        files.configure(std::slice::from_ref(&file), |_| true, false, 0o177);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "7\n");
        assert_eq!(files.values().collect::<Vec<_>>(), [Some(7)]);
        assert_eq!(files.changes(), []);

        std::fs::write(&path, "10\n").unwrap();
        assert_eq!(files.changes(), [(0, 10)]);
        // The same again, another file, a number beyond 32 bits.
        std::fs::write(&path, "10").unwrap();
        std::fs::write(dir.join("g"), "4").unwrap();
        std::fs::write(&path, "5000000000").unwrap();
        assert_eq!(files.changes(), []);
        std::fs::rename(dir.join("g"), &path).unwrap();
        assert_eq!(files.changes(), [(0, 4)]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(files.changes(), [(0, 0)]);

        // A reload does not write it, and nobody's file is not followed.
        files.configure(std::slice::from_ref(&file), |_| true, true, 0o177);
        assert!(!path.exists());
        std::fs::write(&path, "3").unwrap();
        assert_eq!(files.changes(), [(0, 3)]);
        files.configure(&[file], |_| false, true, 0o177);
        assert_eq!(files.values().collect::<Vec<_>>(), [None]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
