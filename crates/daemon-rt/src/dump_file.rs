//! Files that a daemon writes on request: dumps, statistics, JSON.
//!
//! They lie in directories where anybody may write, so the name may be a trap: a symbolic link, or a file
//! somebody holds open to read what the next dump says. A new file is therefore made under another
//! name and moved over the wanted one (keepalived 2.3.3 lib/utils.c fopen_safe).

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes `content` as the file at `path`, with mode 0666 less the bits of `umask`. Readers see the whole
/// file or the one before, never a part.
pub fn write(path: &Path, umask: u32, content: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = create_beside(path)?;
    let done = file
        .set_permissions(Permissions::from_mode(0o666 & !umask))
        .and_then(|()| file.write_all(content))
        .and_then(|()| fs::rename(&temporary, path));
    if done.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&temporary);
    }
    done
}

/// A new file, readable by nobody else, whose name begins with that of `path`.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    for attempt in 0..100u32 {
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.subsec_nanos());
        let mut name = OsString::from(path);
        name.push(format!(
            "{:06x}",
            (nanos ^ std::process::id()).wrapping_add(attempt) & 0xff_ffff
        ));
        let opened = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&name);
        match opened {
            Ok(file) => return Ok((name.into(), file)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_replaced_not_followed() {
        let dir = std::env::temp_dir().join(format!("daemon-rt-dump-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (victim, dump) = (dir.join("victim"), dir.join("dump"));
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &dump).unwrap();
        write(&dump, 0o177, b"one").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(fs::read_to_string(&dump).unwrap(), "one");
        let mode = fs::symlink_metadata(&dump).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        write(&dump, 0o022, b"two").unwrap();
        let mode = fs::metadata(&dump).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        fs::remove_dir_all(&dir).unwrap();
        assert!(write(&dump, 0, b"x").is_err());
    }
}
