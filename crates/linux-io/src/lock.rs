//! Locks on whole files, for pid files: open-file-description locks, which live as long as the descriptor does and survive
//! fork (POSIX locks vanish when any descriptor of the file is closed and do not pass to children).
#![expect(unsafe_code, reason = "fcntl is a C interface")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::syscall::check;

/// Takes the write lock of the whole file without waiting; `false` when another description holds it.
pub fn try_lock(file: &impl AsFd) -> io::Result<bool> {
    match set(file, libc::F_WRLCK as libc::c_int) {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Gives the lock back. Closing the last copy of the descriptor does the same.
pub fn unlock(file: &impl AsFd) -> io::Result<()> {
    set(file, libc::F_UNLCK as libc::c_int)
}

fn set(file: &impl AsFd, kind: libc::c_int) -> io::Result<()> {
    // SAFETY: all-zero is a valid flock: whole file from its start, no pid (which OFD locks demand).
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for the borrow, `lock` lives across the call.
    check(unsafe { libc::fcntl(fd, libc::F_OFD_SETLK, &lock) }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_description_is_refused() {
        let path = std::env::temp_dir().join(format!("linux-io-lock-{}", std::process::id()));
        let open = || {
            std::fs::File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .unwrap()
        };
        let (a, b) = (open(), open());
        assert!(try_lock(&a).unwrap());
        assert!(!try_lock(&b).unwrap());
        unlock(&a).unwrap();
        assert!(try_lock(&b).unwrap());
        std::fs::remove_file(&path).unwrap();
    }
}
