//! Kernel settings under /proc/sys/net.

use std::fs;
use std::io;
use std::path::PathBuf;

use net_types::Family;

/// The file of a setting of one interface, or of `all` or `default`, e.g. `conf(Family::V4, "eth0", "rp_filter")`.
pub fn conf(family: Family, interface: &str, key: &str) -> PathBuf {
    PathBuf::from(format!(
        "/proc/sys/net/{}/conf/{interface}/{key}",
        word(family)
    ))
}

/// The file of a setting of the family as a whole, e.g. `ip_nonlocal_bind`.
pub fn global(family: Family, key: &str) -> PathBuf {
    PathBuf::from(format!("/proc/sys/net/{}/{key}", word(family)))
}

const fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// Reads a number.
pub fn read(path: &std::path::Path) -> io::Result<i32> {
    let text = fs::read_to_string(path)?;
    text.trim()
        .parse()
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Writes a number.
pub fn write(path: &std::path::Path, value: i32) -> io::Result<()> {
    // Never creates: a missing file means that the interface or the family is not there.
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut file, value.to_string().as_bytes())
}

/// Whether the interface forwards packets of the family; `false` when it is not there.
pub fn forwards(family: Family, interface: &str) -> bool {
    read(&conf(family, interface, "forwarding")).is_ok_and(|v| v != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found() {
        assert!(read(&conf(Family::V4, "lo", "rp_filter")).is_ok());
        assert!(write(&conf(Family::V4, "no-such-if", "rp_filter"), 0).is_err());
        assert!(!forwards(Family::V6, "no-such-if"));
    }
}
