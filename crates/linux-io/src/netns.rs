//! Network namespaces.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;

/// Where `ip netns` keeps its names.
pub const RUN_DIR: &str = "/var/run/netns";

/// The file of the namespace that `ip netns add NAME` makes.
pub fn path_of(name: &str) -> PathBuf {
    Path::new(RUN_DIR).join(name)
}

/// Opens a namespace by the path of its file, e.g. /proc/PID/ns/net.
pub fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// The namespace that the calling thread is in.
pub fn current() -> io::Result<File> {
    File::open("/proc/thread-self/ns/net")
}

/// Moves the calling thread into the namespace. Sockets made before stay where they are.
pub fn enter(namespace: &impl AsFd) -> io::Result<()> {
    Ok(nix::sched::setns(
        namespace.as_fd(),
        CloneFlags::CLONE_NEWNET,
    )?)
}

/// Moves the calling thread into a new namespace of its own, which holds nothing but a loopback that is down.
pub fn unshare() -> io::Result<()> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWNET)?)
}

/// Gives the calling process its own mount table (needed to show it another /sys after [`enter`]).
pub fn unshare_mounts() -> io::Result<()> {
    Ok(nix::sched::unshare(CloneFlags::CLONE_NEWNS)?)
}
