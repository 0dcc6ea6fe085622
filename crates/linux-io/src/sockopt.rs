//! Socket options that socket2 has no name for.
#![expect(unsafe_code, reason = "setsockopt is a C interface")]

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd};

use crate::syscall::check;

/// Size of the receive buffer in bytes, as the kernel counts it.
pub(crate) fn receive_buffer(socket: &impl AsFd) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    let mut len = mem::size_of_val(&bytes) as libc::socklen_t;
    // SAFETY: the value is an int and given with its size; both live across the call.
    check(unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw mut bytes).cast(),
            &raw mut len,
        )
    })?;
    Ok(u32::try_from(bytes).unwrap_or(0))
}

/// `SO_RCVBUFFORCE`: a receive buffer beyond the system's limit (needs CAP_NET_ADMIN). The kernel doubles `bytes`.
pub(crate) fn set_receive_buffer_force(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    set(socket, libc::SO_RCVBUFFORCE, size(bytes))
}

/// A receive buffer beyond the system's limit, or up to that limit where the process may not go beyond it.
pub(crate) fn set_receive_buffer(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    forced_or_limited(socket, libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, bytes)
}

/// The same for sending.
pub(crate) fn set_send_buffer(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    forced_or_limited(socket, libc::SO_SNDBUFFORCE, libc::SO_SNDBUF, bytes)
}

fn forced_or_limited(
    socket: &impl AsFd,
    forced: libc::c_int,
    limited: libc::c_int,
    bytes: u32,
) -> io::Result<()> {
    match set(socket, forced, size(bytes)) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => set(socket, limited, size(bytes)),
        other => other,
    }
}

/// `SO_NO_CHECK`: send UDP datagrams over IPv4 without a checksum.
pub(crate) fn set_no_check(socket: &impl AsFd, on: bool) -> io::Result<()> {
    set(socket, libc::SO_NO_CHECK, on.into())
}

fn size(bytes: u32) -> libc::c_int {
    libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX)
}

fn set(socket: &impl AsFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    set_int(socket, libc::SOL_SOCKET, option, value)
}

/// An option of any level whose value is an int.
pub(crate) fn set_int(
    socket: &impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the value is a c_int and given with its size.
    check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            mem::size_of_val(&value) as libc::socklen_t,
        )
    })
    .map(drop)
}
