//! What the tests and the demo need from Debian: programs, and the originals in a tree of their own.

use std::path::PathBuf;
use std::process::Command;

use testkit::sut::ORIGINAL_ROOT;

use crate::Result;
use crate::steps::{has, run};

/// Program and the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("debootstrap", "debootstrap"),
    // The guest kernel of the tests.
    ("linux.uml", "user-mode-linux"),
    ("modprobe", "kmod"),
    ("ipvsadm", "ipvsadm"),
    ("iptables", "iptables"),
    ("ipset", "ipset"),
    // Packages.
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("shellcheck", "shellcheck"),
    ("busybox", "busybox"),
    ("make", "make"),
    (
        "/usr/lib/python3/dist-packages/kconfiglib.py",
        "python3-kconfiglib",
    ),
    ("unshare", "util-linux"),
    // What else kernel modules are built with.
    ("gcc", "gcc"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("xz", "xz-utils"),
    // Servers that are checked, and that take mail.
    ("python3", "python3"),
    ("openssl", "openssl"),
    // A master agent and who asks it.
    ("snmpd", "snmpd"),
    ("snmpwalk", "snmp"),
    ("snmptrapd", "snmptrapd"),
    // A bus, who asks on it and who listens to it.
    ("dbus-daemon", "dbus-daemon"),
    ("dbus-send", "dbus-bin"),
    ("dbus-monitor", "dbus-bin"),
    ("dnsmasq", "dnsmasq-base"),
    ("aiosmtpd", "python3-aiosmtpd"),
];

/// The release whose packages are the yardstick: keepalived 2.3.3 and conntrackd 1.4.8.
const RELEASE: &str = "trixie";
const ORIGINALS: &str = "keepalived,conntrackd,conntrack,iproute2,nftables,netbase";

/// A program of the search path, or a file.
fn is_here(program: &str) -> bool {
    if program.starts_with('/') {
        return std::path::Path::new(program).exists();
    }
    has(program)
}

/// Installs the named programs where they are missing.
///
/// # Errors
/// When one is missing and can not be installed.
pub(crate) fn programs(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&(&str, &str)> = PROGRAMS
        .iter()
        .filter(|(program, _)| wanted.contains(program) && !is_here(program))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    if !nix::unistd::geteuid().is_root() || !has("apt-get") {
        return Err(format!(
            "please install these packages first: {}",
            packages.join(" ")
        ));
    }
    println!("installing {}", packages.join(" "));
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages))
}

/// Where things are kept that take long to make.
///
/// # Errors
/// When the environment names no home.
pub(crate) fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("keepalived-rs"))
}

/// The directory tree with the originals, made first if it is missing.
///
/// # Errors
/// When it is missing and can not be made.
pub(crate) fn originals() -> Result<PathBuf> {
    if let Some(root) = std::env::var_os(ORIGINAL_ROOT) {
        return Ok(root.into());
    }
    let root = cache()?.join(RELEASE);
    let complete = root.join(".complete");
    if complete.exists() {
        return Ok(root);
    }
    if !nix::unistd::geteuid().is_root() {
        return Err("the originals can only be installed by root".to_owned());
    }
    println!("installing the originals into {}", root.display());
    let fail = |e: std::io::Error| format!("{}: {e}", root.display());
    if root.exists() {
        // Half of an earlier attempt.
        std::fs::remove_dir_all(&root).map_err(fail)?;
    }
    std::fs::create_dir_all(&root).map_err(fail)?;
    run(Command::new("debootstrap")
        .args([
            "--variant=minbase",
            &format!("--include={ORIGINALS}"),
            RELEASE,
        ])
        .arg(&root)
        .stdout(std::process::Stdio::null()))?;
    // Without its own name in the hosts file keepalived waits ten seconds at start.
    let host = nix::unistd::gethostname().map_err(|e| e.to_string())?;
    std::fs::write(
        root.join("etc/hosts"),
        format!(
            "127.0.0.1 localhost {}\n::1 localhost\n",
            host.to_string_lossy()
        ),
    )
    .map_err(fail)?;
    std::fs::write(complete, "").map_err(fail)?;
    Ok(root)
}

/// All that [`crate::test`] needs; gives the root of the originals.
pub(crate) fn everything() -> Result<PathBuf> {
    let all: Vec<&str> = PROGRAMS.iter().map(|(program, _)| *program).collect();
    programs(&all)?;
    originals()
}
