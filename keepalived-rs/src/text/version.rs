//! The text of `--version`, and the version sentence of the log.
//!
//! Scripts read the first line (`Keepalived vA.B.C (…)`) and look for feature words in the line
//! `Config options:`. The first line therefore tells the version whose behaviour is kept, and the
//! feature words are only those of parts that work: each with the feature of the build that it depends on.

use std::fmt;

/// The version whose behaviour is kept, in the words of the log lines `Starting …` and `Stopped …`.
pub const VERSION: &str = "Keepalived v2.3.3 (03/30,2025)";

/// Oldest kernel this program is written for; an older one gets a warning line at start.
pub const KERNEL: (u32, u32, u32) = (5, 4, 0);

/// A word of `Config options:` or `System options:`, and whether what it promises is in this build.
type Word = (&'static str, bool);

/// Keywords of OpenWrt's build: no tracking of processes.
const OPENWRT: bool = crate::config::OPENWRT;
/// Firewall entries by iptables and ipset.
const IPTABLES: bool = cfg!(feature = "iptables");
const LVS: bool = cfg!(feature = "lvs");
const SNMP: bool = cfg!(feature = "snmp");

/// Words of `Config options:`, in the original's order.
const CONFIG_OPTIONS: &[Word] = &[
    ("LIBIPSET", IPTABLES),
    ("NFTABLES", true),
    ("LVS", LVS),
    ("REGEX", cfg!(feature = "regex")),
    ("VRRP", true),
    ("VRRP_AUTH", true),
    ("VRRP_VMAC", true),
    ("JSON", true),
    ("BFD", cfg!(feature = "bfd")),
    ("DISABLE_TRACK_PROCESS", OPENWRT),
    ("OLD_CHKSUM_COMPAT", true),
    ("SNMP_V3_FOR_V2", SNMP),
    ("SNMP_VRRP", SNMP),
    ("SNMP_CHECKER", SNMP && LVS),
    ("SNMP_RFCV2", SNMP),
    ("SNMP_RFCV3", SNMP),
    ("DBUS", cfg!(feature = "dbus")),
    (IPROUTE_ETC, true),
    (IPROUTE_USR, true),
    ("FILE_LOGGING", true),
    ("LOG_FILE_APPEND", true),
    ("INIT=SYSV", OPENWRT),
    ("INIT=systemd", !OPENWRT),
    ("SYSTEMD_NOTIFY", true),
];
const IPROUTE_ETC: &str = "IPROUTE_ETC_DIR=/etc/iproute2";
const IPROUTE_USR: &str = "IPROUTE_USR_DIR=/usr/share/iproute2";

/// Words of `System options:`, in the original's order: what of the kernel is used. Those that tell how a C program was compiled
/// (`VSYSLOG`, `LIBNL3`, `NET_LINUX_IF_H_COLLISION`, `GLOB_ALTDIRFUNC`), or that promise nothing there either (`RTA_NEWDST`), are not ours.
const SYSTEM_OPTIONS: &[Word] = &[
    ("MEMFD_CREATE", true),
    ("IPV6_FREEBIND", true),
    ("IPV6_MULTICAST_ALL", true),
    ("IPV4_DEVCONF", true),
    ("RTA_ENCAP", true),
    ("RTA_EXPIRES", true),
    ("RTA_PREF", true),
    ("FRA_SUPPRESS_PREFIXLEN", true),
    ("FRA_SUPPRESS_IFGROUP", true),
    ("FRA_TUN_ID", true),
    ("RTAX_CC_ALGO", true),
    ("RTAX_QUICKACK", true),
    ("FRA_L3MDEV", true),
    ("FRA_UID_RANGE", true),
    ("RTAX_FASTOPEN_NO_COOKIE", true),
    ("RTA_VIA", true),
    ("FRA_PROTOCOL", true),
    ("FRA_IP_PROTO", true),
    ("FRA_SPORT_RANGE", true),
    ("FRA_DPORT_RANGE", true),
    ("RTA_TTL_PROPAGATE", true),
    ("IFA_FLAGS", true),
    ("F_OFD_SETLK", true),
    ("IFA_PROTO", true),
    ("LWTUNNEL_ENCAP_MPLS", true),
    ("LWTUNNEL_ENCAP_ILA", true),
    ("IPTABLES", IPTABLES),
    ("LIBIPVS_NETLINK", LVS),
    ("IPVS_DEST_ATTR_ADDR_FAMILY", LVS),
    ("IPVS_SYNCD_ATTRIBUTES", LVS),
    ("IPVS_64BIT_STATS", LVS),
    ("IPVS_TUN_TYPE", LVS),
    ("IPVS_TUN_CSUM", LVS),
    ("IPVS_TUN_GRE", LVS),
    ("VRRP_IPVLAN", true),
    ("IFLA_LINK_NETNSID", true),
    ("GLOB_BRACE", true),
    ("INET6_ADDR_GEN_MODE", true),
    ("VRF", true),
    ("SO_MARK", true),
];

/// The choices of `configure options:` that are features, in Debian's order.
const CONFIGURE_OPTIONS: &[Word] = &[
    ("--enable-snmp", SNMP),
    ("--enable-snmp-rfcv2", SNMP),
    ("--enable-snmp-rfcv3", SNMP),
    ("--disable-lvs", !LVS),
    ("--disable-track-process", OPENWRT),
    ("--disable-iptables", !IPTABLES),
    ("--enable-dbus", cfg!(feature = "dbus")),
    ("--enable-json", true),
    ("--enable-bfd", cfg!(feature = "bfd")),
    ("--enable-regex", cfg!(feature = "regex")),
    ("--enable-log-file", true),
    ("--with-init=SYSV", OPENWRT),
    ("--with-init=systemd", !OPENWRT),
];

/// What is built of these, each after a space.
fn built(words: &[Word]) -> String {
    let built = words.iter().filter(|(_, built)| *built);
    built.map(|(word, _)| format!(" {word}")).collect()
}

/// What `configure options:` shows: the choices of this build in the original's spelling.
pub fn configure_options() -> String {
    format!(
        "--sysconfdir={} --runstatedir={}{}",
        crate::paths::SYSCONFDIR,
        crate::paths::RUNSTATEDIR,
        built(CONFIGURE_OPTIONS)
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
        writeln!(f, "Config options: {}\n", built(CONFIG_OPTIONS))?;
        writeln!(f, "System options: {}", built(SYSTEM_OPTIONS))
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

    /// What is not in Debian's words: choices of other builds.
    const OTHER_BUILDS: &[&str] = &["LIBIPSET", "DISABLE_TRACK_PROCESS", "IPTABLES", "INIT=SYSV"];

    fn names(words: &[Word]) -> Vec<&'static str> {
        words.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn words_stand_in_the_original_s_order() {
        let golden = include_str!("../../../testdata/golden/keepalived/version-2.3.3.txt");
        for (label, words) in [
            ("Config options:", CONFIG_OPTIONS),
            ("System options:", SYSTEM_OPTIONS),
        ] {
            let line = golden.lines().find_map(|l| l.strip_prefix(label)).unwrap();
            let ours = names(words);
            let theirs: Vec<&str> = line.split_whitespace().collect();
            let both: Vec<&str> = theirs
                .iter()
                .copied()
                .filter(|w| ours.contains(w))
                .collect();
            let known = |w: &&str| !OTHER_BUILDS.contains(w);
            assert_eq!(ours.into_iter().filter(known).collect::<Vec<_>>(), both);
        }
    }

    /// A configuration that works where the word stands, and does not where the word is missing.
    fn promise(word: &str) -> Option<String> {
        let instance = |more: &str| {
            format!(
                "vrrp_instance a {{\n interface eth0\n virtual_router_id 1\n{more}\n virtual_ipaddress {{\n 10.0.0.9\n }}\n}}\n"
            )
        };
        let global = |line: &str| format!("global_defs {{\n{line}\n}}\n");
        let route = |line: &str| format!("static_routes {{\n 10.1.0.0/16 dev eth0 {line}\n}}\n");
        let rule = |line: &str| format!("static_rules {{\n from 10.1.0.0/16 table 5 {line}\n}}\n");
        let service = |line: &str| {
            format!(
                "virtual_server 10.0.0.1 80 {{\n lb_kind TUN\n protocol TCP\n real_server 10.0.0.2 80 {{\n weight 1\n{line}\n }}\n}}\n"
            )
        };
        Some(match word {
            "LIBIPSET" | "IPTABLES" => global("vrrp_iptables\n vrrp_ipsets a b c"),
            "NFTABLES" => global("nftables x"),
            "LVS" | "LIBIPVS_NETLINK" => service(""),
            "REGEX" => service("HTTP_GET {\n url {\n path /\n regex x\n }\n }"),
            "VRRP" => instance(""),
            "VRRP_AUTH" => {
                instance("version 2\n authentication {\n auth_type PASS\n auth_pass x\n }")
            }
            "VRRP_VMAC" => instance("use_vmac"),
            "VRRP_IPVLAN" => instance("use_ipvlan"),
            "JSON" => global("json_version 2"),
            "BFD" => "bfd_instance b {\n neighbor_ip 10.0.0.7\n}\n".to_owned(),
            "DISABLE_TRACK_PROCESS" => "vrrp_track_process p {\n process x\n}\n".to_owned(),
            "OLD_CHKSUM_COMPAT" => {
                instance("version 3\n unicast_peer {\n 10.0.0.3\n }\n old_unicast_checksum")
            }
            "SNMP_VRRP" => global("enable_snmp_vrrp"),
            "SNMP_CHECKER" => global("enable_snmp_checker"),
            "SNMP_RFCV2" => global("enable_snmp_rfcv2"),
            "SNMP_RFCV3" => global("enable_snmp_rfcv3"),
            "DBUS" => global("enable_dbus"),
            "RTA_ENCAP" => route("encap ip id 1 dst 10.9.0.1"),
            "LWTUNNEL_ENCAP_MPLS" => route("encap mpls 5"),
            "LWTUNNEL_ENCAP_ILA" => route("encap ila 1:2:3:4"),
            "RTA_EXPIRES" => "static_routes {\n fd00::/64 dev eth0 expires 9\n}\n".to_owned(),
            "RTA_PREF" => "static_routes {\n fd00::/64 dev eth0 pref high\n}\n".to_owned(),
            "RTAX_CC_ALGO" => route("congctl reno"),
            "RTAX_QUICKACK" => route("quickack 1"),
            "RTAX_FASTOPEN_NO_COOKIE" => route("fastopen_no_cookie 1"),
            "RTA_VIA" => route("via inet6 fe80::1"),
            "RTA_TTL_PROPAGATE" => route("ttl-propagate enabled"),
            "FRA_SUPPRESS_PREFIXLEN" => rule("suppress_prefixlength 1"),
            "FRA_SUPPRESS_IFGROUP" => rule("suppress_ifgroup 1"),
            "FRA_TUN_ID" => rule("tunnel-id 1"),
            "FRA_L3MDEV" => "static_rules {\n from 10.1.0.0/16 l3mdev priority 9\n}\n".to_owned(),
            "FRA_UID_RANGE" => rule("uidrange 1-2"),
            "FRA_PROTOCOL" => rule("protocol 9"),
            "FRA_IP_PROTO" => rule("ipproto 6"),
            "FRA_SPORT_RANGE" => rule("sport 1-2"),
            "FRA_DPORT_RANGE" => rule("dport 1-2"),
            "IPVS_TUN_TYPE" => service("lvs_method TUN type gue port 5"),
            "IPVS_TUN_CSUM" => service("lvs_method TUN type gue port 5 csum"),
            "IPVS_TUN_GRE" => service("lvs_method TUN type gre"),
            "IPVS_SYNCD_ATTRIBUTES" => {
                format!(
                    "{}{}",
                    global("lvs_sync_daemon eth0 id 1 maxlen 900"),
                    service("")
                )
            }
            "SO_MARK" => service("TCP_CHECK {\n fwmark 5\n }"),
            _ => return None,
        })
    }

    /// What a build without the word would refuse, or only part of it would know.
    #[test]
    fn words_and_what_they_promise_are_in_the_same_builds() {
        use conf_parsers::diag::{PrefixStyle, render};
        use conf_parsers::keepalived::{Part, parse, read};

        let (mut without, mut wrong) = (Vec::new(), Vec::new());
        for (word, built) in CONFIG_OPTIONS.iter().chain(SYSTEM_OPTIONS) {
            let Some(text) = promise(word) else {
                without.push(*word);
                continue;
            };
            let mut host = conf_parsers::source::FakeHost::with_interfaces(&["eth0"]);
            host.source = conf_parsers::source::MemorySource::one("/k.conf", &text);
            let lines = read(
                &host,
                "/k.conf",
                &crate::config::read_options(&crate::cli::Options::default()),
            );
            let options = crate::config::parse_options(&crate::cli::Options::default(), false);
            let mut refused = Vec::new();
            for part in [Part::Parent, Part::Checker, Part::Vrrp, Part::Bfd] {
                let outcome = parse(&lines, part, &host, &options, None);
                let told = outcome.diagnostics.iter();
                let told = told.map(|d| render(d, &lines.files, PrefixStyle::Copy));
                refused.extend(told.filter(|l| l.contains("nknown") || l.contains("nvalid")));
            }
            let runs = match *word {
                "DISABLE_TRACK_PROCESS" => !refused.is_empty(),
                _ => refused.is_empty(),
            };
            if runs != *built {
                wrong.push(format!("{word}: {refused:?}\n{text}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        // They have no keyword of their own; tests of what they name are elsewhere.
        assert_eq!(
            without,
            [
                "SNMP_V3_FOR_V2",
                IPROUTE_ETC,
                IPROUTE_USR,
                "FILE_LOGGING",
                "LOG_FILE_APPEND",
                "INIT=SYSV",
                "INIT=systemd",
                "SYSTEMD_NOTIFY",
                "MEMFD_CREATE",
                "IPV6_FREEBIND",
                "IPV6_MULTICAST_ALL",
                "IPV4_DEVCONF",
                "IFA_FLAGS",
                "F_OFD_SETLK",
                "IFA_PROTO",
                "IPVS_DEST_ATTR_ADDR_FAMILY",
                "IPVS_64BIT_STATS",
                "IFLA_LINK_NETNSID",
                "GLOB_BRACE",
                "INET6_ADDR_GEN_MODE",
                "VRF"
            ]
        );
    }

    #[test]
    fn folders_are_those_that_are_read() {
        assert_eq!(
            IPROUTE_ETC,
            format!("IPROUTE_ETC_DIR={}", crate::host::IPROUTE_ETC)
        );
        assert_eq!(
            IPROUTE_USR,
            format!("IPROUTE_USR_DIR={}", crate::host::IPROUTE_USR)
        );
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
