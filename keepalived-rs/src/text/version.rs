//! The text of `--version`, and the version sentence of the log.
//!
//! Scripts read the first line (`Keepalived vA.B.C (…)`) and look for feature words in the line
//! `Config options:`. The first line therefore tells the version whose behaviour is kept, and the
//! feature words are only those of parts that work.

use std::fmt;

/// The version whose behaviour is kept, in the words of the log lines `Starting …` and `Stopped …`.
pub const VERSION: &str = "Keepalived v2.3.3 (03/30,2025)";

/// Oldest kernel this program is written for; an older one gets a warning line at start.
pub const KERNEL: (u32, u32, u32) = (5, 4, 0);

/// Words of `Config options:`. A word is added when what it promises works.
pub const CONFIG_OPTIONS: &str = if cfg!(feature = "bfd") {
    " VRRP VRRP_AUTH JSON BFD OLD_CHKSUM_COMPAT FILE_LOGGING LOG_FILE_APPEND INIT=SYSV"
} else {
    " VRRP VRRP_AUTH JSON OLD_CHKSUM_COMPAT FILE_LOGGING LOG_FILE_APPEND INIT=SYSV"
};

/// Words of `System options:`.
pub const SYSTEM_OPTIONS: &str = " MEMFD_CREATE IPV6_MULTICAST_ALL F_OFD_SETLK GLOB_BRACE";

/// What `configure options:` shows: the choices of this build in the original's spelling.
pub fn configure_options() -> String {
    format!(
        "--sysconfdir={} --runstatedir={} --enable-json{} --enable-log-file --with-init=SYSV",
        crate::paths::SYSCONFDIR,
        crate::paths::RUNSTATEDIR,
        if cfg!(feature = "bfd") {
            " --enable-bfd"
        } else {
            ""
        }
    )
}

/// The running kernel, as uname(2) tells.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// `Linux`.
    pub sysname: String,
    /// `6.12.21-amd64`.
    pub release: String,
    /// `#1 SMP …`.
    pub version: String,
    /// Node name.
    pub node: String,
}

impl Kernel {
    /// Asks the kernel.
    pub fn running() -> Self {
        let Ok(uts) = nix::sys::utsname::uname() else {
            return Self::default();
        };
        let text = |s: &std::ffi::OsStr| s.to_string_lossy().into_owned();
        Self {
            sysname: text(uts.sysname()),
            release: text(uts.release()),
            version: text(uts.version()),
            node: text(uts.nodename()),
        }
    }

    /// Release as numbers; `None` unless it begins with `A.B.C`.
    pub fn numbers(&self) -> Option<(u32, u32, u32)> {
        let mut parts = self.release.splitn(3, '.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let rest = parts.next()?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        Some((major, minor, rest.get(..digits)?.parse().ok()?))
    }

    /// `SYSNAME RELEASE VERSION`.
    pub fn line(&self) -> String {
        format!("{} {} {}", self.sysname, self.release, self.version)
    }
}

/// `PRETTY_NAME` of the text of /etc/os-release, without its quotes.
pub fn distro(os_release: &str) -> Option<&str> {
    let value = os_release
        .lines()
        .find_map(|l| l.strip_prefix("PRETTY_NAME="))?;
    let value = value.strip_prefix('"').unwrap_or(value);
    Some(value.strip_suffix('"').unwrap_or(value))
}

/// The text of `--version`.
#[derive(Clone, Debug)]
pub struct Version {
    /// The running kernel.
    pub kernel: Kernel,
    /// Name of the distribution, if known.
    pub distro: Option<String>,
}

impl Version {
    /// For this machine.
    pub fn here() -> Self {
        let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        Self {
            kernel: Kernel::running(),
            distro: distro(&text).map(str::to_owned),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (a, b, c) = KERNEL;
        // A git build of the original continues the first line after a comma, too.
        writeln!(
            f,
            "{VERSION}, keepalived-rs {}\n",
            env!("CARGO_PKG_VERSION")
        )?;
        writeln!(
            f,
            "Copyright(C) 2026 the keepalived-rs authors, GPL-2.0-or-later\n"
        )?;
        writeln!(f, "Built with kernel headers for Linux {a}.{b}.{c}")?;
        writeln!(f, "Running on {}", self.kernel.line())?;
        if let Some(distro) = &self.distro {
            writeln!(f, "Distro: {distro}")?;
        }
        writeln!(f)?;
        writeln!(f, "configure options: {}\n", configure_options())?;
        writeln!(f, "Config options: {CONFIG_OPTIONS}\n")?;
        writeln!(f, "System options: {SYSTEM_OPTIONS}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_in_the_original_s_order() {
        let golden = include_str!("../../../testdata/golden/keepalived/version-2.3.3.txt");
        let ours = Version {
            kernel: Kernel {
                sysname: "Linux".into(),
                release: "6.1.0".into(),
                version: "#1".into(),
                node: "n".into(),
            },
            distro: Some("D".into()),
        }
        .to_string();
        assert_eq!(ours.lines().count(), golden.lines().count());
        for (ours, golden) in ours.lines().zip(golden.lines()) {
            // The label: the words up to the first that holds a digit or to the colon.
            let label = |l: &str| {
                l.find([':', '('])
                    .and_then(|end| l.get(..end).map(str::to_owned))
                    .or_else(|| l.split(" Linux").next().map(str::to_owned))
            };
            assert_eq!(label(ours), label(golden));
        }
        assert!(ours.starts_with("Keepalived v2.3.3 (03/30,2025)"));
    }

    #[test]
    fn kernel_numbers() {
        let k = |release: &str| {
            Kernel {
                release: release.into(),
                ..Kernel::default()
            }
            .numbers()
        };
        assert_eq!(k("6.18.44-fc"), Some((6, 18, 44)));
        assert_eq!(k("5.4.0"), Some((5, 4, 0)));
        assert_eq!(k("6.18"), None);
        assert_eq!(k("6.18.rc1"), None);
    }

    #[test]
    fn distro_name() {
        assert_eq!(
            distro("A=1\nPRETTY_NAME=\"Debian 13\"\n"),
            Some("Debian 13")
        );
        assert_eq!(distro("PRETTY_NAME=x"), Some("x"));
        assert_eq!(distro(""), None);
    }
}
