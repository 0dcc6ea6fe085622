//! The C library's error convention as `io::Result`, and its seconds.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Seconds as the C library takes them. The libc crate will give them musl's 64 bits on 32-bit machines, too, and says so to whoever
/// names the type.
#[cfg_attr(
    target_env = "musl",
    expect(deprecated, reason = "there is no other name")
)]
pub(crate) type Seconds = libc::time_t;

/// Turns `-1` into the thread's `errno`.
pub(crate) fn check(ret: libc::c_int) -> io::Result<libc::c_int> {
    if ret == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ret)
    }
}

/// The same for calls that return a byte count.
pub(crate) fn check_len(ret: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(ret).map_err(|_| io::Error::last_os_error())
}

/// The same for `syscall(2)`, whose results fit an `int` for every call made here.
pub(crate) fn check_long(ret: libc::c_long) -> io::Result<libc::c_int> {
    if ret == -1 {
        Err(io::Error::last_os_error())
    } else {
        libc::c_int::try_from(ret).map_err(|_| io::Error::from_raw_os_error(libc::EOVERFLOW))
    }
}

/// Takes ownership of a descriptor that a call just returned.
#[expect(unsafe_code, reason = "descriptors come from the kernel as integers")]
pub(crate) fn own(ret: libc::c_int) -> io::Result<OwnedFd> {
    let fd: RawFd = check(ret)?;
    // SAFETY: the kernel has just created `fd` for this caller; nobody else knows the number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
