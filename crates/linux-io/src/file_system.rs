//! What kind of file system holds a path (`statfs(2)`).

use std::io;
use std::path::Path;

use nix::sys::statfs::statfs;
use nix::sys::statvfs::{FsFlags, statvfs};

/// A file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// The kernel's number of its kind, `*_MAGIC` of linux/magic.h.
    pub magic: u32,
    /// Mounted read-only.
    pub read_only: bool,
}

/// The file system that holds `path`.
pub fn file_system(path: &Path) -> io::Result<FileSystem> {
    let kind = statfs(path)?.filesystem_type().0;
    // The C type is signed or not, and of 32 or 64 bits, as the architecture has it; the numbers have 32.
    let [a, b, c, d, ..] = (kind as u64).to_le_bytes();
    Ok(FileSystem {
        magic: u32::from_le_bytes([a, b, c, d]),
        read_only: statvfs(path)?.flags().contains(FsFlags::ST_RDONLY),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_what_it_is() {
        let proc = file_system(Path::new("/proc")).unwrap();
        assert_eq!(proc.magic, 0x9fa0);
        assert!(file_system(Path::new("/no/such/path")).is_err());
    }
}
