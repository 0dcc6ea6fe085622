//! How many bytes of flash the daemons take, by feature set, beside the originals with their libraries; and where they go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{cargo, output, run};
use crate::{Result, target_dir};

/// OpenWrt's Rust packaging sets these over any Cargo.toml.
pub(crate) const FORCED: &[(&str, &str)] = &[
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_LTO", "true"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
    ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
    ("CARGO_PROFILE_RELEASE_RPATH", "false"),
    ("CARGO_PROFILE_RELEASE_STRIP", "true"),
];

/// The profile with which the feed builds.
pub(crate) const ROUTER: &str = "router";

/// What its Makefiles add to the compiler's flags on this CPU, with either profile.
const FLAGS: &str = "-Clink-arg=-Wl,-z,pack-relative-relocs";
/// And with its own, where nothing unwinds.
const ROUTER_FLAGS: &str = "-Cforce-unwind-tables=no -Clink-arg=-Wl,-z,pack-relative-relocs";

/// A daemon with some of its features.
struct Set {
    daemon: &'static str,
    package: &'static str,
    what: &'static str,
    features: &'static str,
    /// The keywords that it knows, where they are not Debian's.
    keywords: &'static str,
    /// As the feed builds it, not with the profile that OpenWrt forces on others.
    router: bool,
    /// What it may take of a router's flash, in bytes.
    limit: Option<u64>,
}

impl Set {
    const fn keepalived(what: &'static str, features: &'static str) -> Self {
        Self {
            daemon: "keepalived",
            package: "keepalived-rs",
            what,
            features,
            keywords: "",
            router: false,
            limit: None,
        }
    }

    const fn conntrackd(what: &'static str, features: &'static str) -> Self {
        Self {
            daemon: "conntrackd",
            package: "conntrackd-rs",
            what,
            features,
            keywords: "",
            router: false,
            limit: None,
        }
    }
}

const SETS: &[Set] = &[
    Set {
        keywords: "openwrt",
        router: true,
        // What may be added to a router's flash.
        limit: Some(1_900_000),
        ..Set::keepalived("as the feed builds it: lvs, iptables", "lvs,iptables")
    },
    Set {
        keywords: "openwrt",
        limit: Some(1_900_000),
        ..Set::keepalived("OpenWrt's: lvs, iptables", "lvs,iptables")
    },
    Set::keepalived("default", "bfd,lvs,regex,snmp,dbus"),
    Set::keepalived("lvs, bfd", "lvs,bfd"),
    Set::keepalived("lvs", "lvs"),
    Set::keepalived("bfd", "bfd"),
    Set::keepalived("VRRP only", ""),
    Set {
        router: true,
        limit: Some(800_000),
        ..Set::conntrackd("as the feed builds it: without helper", "")
    },
    Set::conntrackd("default: helper", "helper"),
    Set::conntrackd("without helper", ""),
];

/// What the originals bring that a router's base image has not, in bytes: Debian trixie's and bookworm's files for amd64, stripped
/// (`ls -lL` of the libraries that `ldd` names), and keepalived 2.3.3 built with OpenWrt's options less iptables, -O2.
const ORIGINALS: &[(&str, &[(&str, u64)])] = &[
    (
        "keepalived",
        &[
            ("keepalived 2.3.3, OpenWrt's options", 565_864),
            ("genhash, a copy of it", 565_864),
            ("libmagic, liblzma, libbz2, zlib", 564_864),
            ("libkmod", 112_696),
            ("libnl-3, libnl-genl", 168_688),
            ("libnfnetlink", 34_384),
            ("libip4tc, libip6tc, libxtables, libipset", 363_248),
            ("libcrypto, libssl", 7_619_072),
        ],
    ),
    (
        "conntrackd",
        &[
            ("conntrackd 1.4.8", 225_656),
            ("libnetfilter_conntrack, libnfnetlink", 158_928),
            ("libnetfilter_queue, _cthelper, _cttimeout", 71_072),
            ("libtirpc", 195_024),
        ],
    ),
];

/// Builds every set and prints the tables.
///
/// # Errors
/// When a build fails, or one takes more than its limit.
pub(crate) fn print() -> Result<()> {
    let mut over = Vec::new();
    let mut maps = Vec::new();
    println!(
        "\n{:>10}  under OpenWrt's profile, {}",
        "bytes",
        std::env::consts::ARCH
    );
    for set in SETS {
        let binary = build(set)?;
        let size = stripped(&binary)?;
        let mut mark = String::new();
        if let Some(limit) = set.limit {
            maps.push((set, map(&binary)?));
            mark = format!(" (at most {limit})");
            if size > limit {
                over.push(format!("{} ({}): {size} > {limit}", set.daemon, set.what));
            }
        }
        println!("{size:>10}  {}, {}{mark}", set.daemon, set.what);
    }
    for (daemon, parts) in ORIGINALS {
        let sum: u64 = parts.iter().map(|(_, size)| size).sum();
        println!(
            "\n{sum:>10}  the original {daemon} and its libraries that are not in the base image:"
        );
        for (part, size) in *parts {
            println!("{size:>10}      {part}");
        }
    }
    for (set, map) in &maps {
        println!(
            "\n{:>10}  of {}, {}, by crate",
            "bytes", set.daemon, set.what
        );
        let mut rows: Vec<(&String, &u64)> = map.iter().collect();
        rows.sort_by_key(|(_, size)| std::cmp::Reverse(**size));
        for (name, size) in rows.iter().take(20) {
            println!("{size:>10}  {name}");
        }
        let rest: u64 = rows.iter().skip(20).map(|(_, size)| **size).sum();
        println!("{rest:>10}  {} others", rows.len().saturating_sub(20));
    }
    if over.is_empty() {
        Ok(())
    } else {
        Err(over.join("; "))
    }
}

/// The unstripped binary of a set: its symbols say where the bytes are.
fn build(set: &Set) -> Result<PathBuf> {
    // A folder each: what one has built stays for its next set.
    let (folder, profile) = match set.router {
        true => ("router-profile", ROUTER),
        false => ("openwrt-profile", "release"),
    };
    let folder = target_dir().join(folder);
    let mut build = cargo(&[
        "build",
        "--profile",
        profile,
        "--quiet",
        "--locked",
        "--package",
        set.package,
        "--no-default-features",
        "--features",
        set.features,
    ]);
    build
        .env("CARGO_TARGET_DIR", &folder)
        .env_remove("KEEPALIVED_KEYWORDS");
    if set.router {
        build
            .env("CARGO_PROFILE_ROUTER_STRIP", "false")
            .env("RUSTFLAGS", ROUTER_FLAGS);
    } else {
        build
            .envs(FORCED.iter().copied())
            .env("RUSTFLAGS", FLAGS)
            .env("CARGO_PROFILE_RELEASE_STRIP", "false");
    }
    if !set.keywords.is_empty() {
        build.env("KEEPALIVED_KEYWORDS", set.keywords);
    }
    run(&mut build)?;
    Ok(folder.join(profile).join(set.daemon))
}

/// The size as it is installed.
fn stripped(binary: &Path) -> Result<u64> {
    let bare = binary.with_extension("stripped");
    run(Command::new("strip").arg("-o").arg(&bare).arg(binary))?;
    let meta = std::fs::metadata(&bare).map_err(|e| format!("{}: {e}", bare.display()))?;
    Ok(meta.len())
}

/// Bytes by crate, of code and data that have a name; and by section what has none.
fn map(binary: &Path) -> Result<BTreeMap<String, u64>> {
    let mut out = BTreeMap::new();
    let symbols = output(
        Command::new("nm")
            .args(["--print-size", "--demangle", "--defined-only"])
            .arg(binary),
    )?;
    for line in symbols.lines() {
        let mut words = line.splitn(4, ' ');
        let (Some(_), Some(size), Some(kind), Some(name)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        // Zeroed data takes no flash; data has its own sections below.
        if matches!(kind, "t" | "T" | "w" | "W") {
            let size = u64::from_str_radix(size, 16).map_err(|e| format!("{line}: {e}"))?;
            *out.entry(format!("code of {}", owner(name))).or_insert(0) += size;
        }
    }
    let sections = output(Command::new("size").args(["-A", "-d"]).arg(binary))?;
    for line in sections.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(Ok(size))) = (words.next(), words.next().map(str::parse::<u64>)) {
            let what = match name {
                ".rodata" => "constants and texts",
                ".eh_frame" | ".eh_frame_hdr" | ".gcc_except_table" => "tables for unwinding",
                ".data.rel.ro" | ".rela.dyn" | ".got" => "tables with addresses",
                _ => continue,
            };
            *out.entry(what.to_owned()).or_insert(0) += size;
        }
    }
    Ok(out)
}

/// The crate whose code a symbol is: its first path's. Generic code is counted where it was written, the standard library's as
/// `core` or `alloc` for whatever types.
fn owner(symbol: &str) -> &str {
    let start = symbol.trim_start_matches(['<', '&', '*', '[', '(']);
    let start = start.strip_prefix("impl ").unwrap_or(start);
    let start = start.strip_prefix("mut ").unwrap_or(start);
    match start.split_once("::") {
        Some((name, _)) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => name,
        _ => "C and others",
    }
}

/// Prints the size of each daemon in a folder.
pub(crate) fn list(folder: &Path) -> Result<()> {
    for daemon in ["keepalived", "conntrackd"] {
        let path = folder.join(daemon);
        let size = std::fs::metadata(&path)
            .map_err(|e| format!("{}: {e}", path.display()))?
            .len();
        println!("{size:>10}  {daemon}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn a_symbol_belongs_to_the_crate_of_its_first_path() {
        for (symbol, crate_name) in [
            ("keepalived_rs::parent::run", "keepalived_rs"),
            (
                "<conf_parsers::Text as core::fmt::Display>::fmt",
                "conf_parsers",
            ),
            ("<&mut nfct::Table as core::fmt::Debug>::fmt", "nfct"),
            ("<[T] as alloc::Owned>::own", "C and others"),
            ("main", "C and others"),
        ] {
            assert_eq!(owner(symbol), crate_name);
        }
    }
}
