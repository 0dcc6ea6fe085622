//! The packages' Makefiles, evaluated by GNU make with stand-ins for OpenWrt's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Place, data, feed, read, same, stubs};
use crate::steps::{cargo, output, run};
use crate::{Result, root, size, target_dir};

/// The options of the original's `Config.in`; ours may have no others, so that a user's `.config` means the same.
const OPTIONS: &[&str] = &[
    "BFD",
    "SHA1",
    "LVS",
    "LVS_SYNCD",
    "LVS_64BIT_STATS",
    "FWMARK",
    "SNMP_CHECKER",
    "VRRP",
    "IPTABLES",
    "IP6TABLES",
    "NFTABLES",
    "SNMP_VRRP",
    "SNMP_RFC2",
    "SNMP_RFC3",
    "SNMP_REPLY_V3_FOR_V2",
    "DBUS",
    "VRRP_AUTH",
    "CHECKSUM_COMPAT",
    "ROUTES",
    "LINKBEAT",
];

/// Sets of options and the features of the daemon that they bring.
const SETS: &[(&[&str], &str)] = &[
    (&["LVS", "IPTABLES"], "iptables lvs"),
    (&["BFD", "LVS", "IPTABLES"], "bfd iptables lvs"),
    (&["BFD"], "bfd"),
    // OpenSSL is loaded, not linked.
    (&["LVS", "SHA1"], "lvs"),
    (&["SNMP_VRRP"], "snmp"),
    (&["LVS", "SNMP_CHECKER", "DBUS"], "dbus lvs snmp"),
    (&[], ""),
];

/// A package: its source folder, the original that it replaces, and what the package manager is told.
struct Package {
    name: &'static str,
    folder: &'static str,
    original: &'static str,
    depends: &'static str,
    conffiles: &'static [&'static str],
    /// What sysupgrade keeps because package-pack.mk puts it into `/lib/upgrade/keep.d/NAME`: conffiles that are no files.
    keep: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    Package {
        name: "keepalived-rs",
        folder: "keepalived-rs",
        original: "keepalived",
        depends: "@RUST +kmod-macvlan +KEEPALIVED_LVS:kmod-nf-ipvs +KEEPALIVED_SHA1:libopenssl",
        conffiles: &[
            "/etc/keepalived/keepalived.conf",
            "/etc/config/keepalived",
            "/etc/keepalived.user",
        ],
        keep: &[],
    },
    Package {
        name: "conntrackd-rs",
        folder: "conntrack-tools-rs",
        original: "conntrackd",
        depends: "@RUST +kmod-nf-conntrack-netlink",
        conffiles: &["/etc/conntrackd/"],
        keep: &["/etc/conntrackd/"],
    },
];

pub(super) fn check(place: &Place) -> Result<()> {
    let top = tree(place)?;
    for package in PACKAGES {
        described(&top, package)?;
        build(place, &top, package)?;
        // The last set is what the other steps look at.
        if package.original == "keepalived" {
            installed(place, &top, package, MORE, ".snmp-dbus.files")?;
        }
        installed(place, &top, package, &[], "")?;
    }
    options(&top)
}

/// A tree with the stand-ins where the Makefiles look for OpenWrt's own.
pub(super) fn tree(place: &Place) -> Result<PathBuf> {
    let top = place.scratch.join("buildroot");
    for (file, to) in [
        ("rules.mk", "rules.mk"),
        ("package.mk", "include/package.mk"),
        (
            "rust-package.mk",
            "feeds/packages/lang/rust/rust-package.mk",
        ),
    ] {
        super::write(&top.join(to), &read(&stubs().join(file))?)?;
    }
    Ok(top)
}

/// `make` on a package's Makefile with these options.
fn make(top: &Path, folder: &str, options: &[&str], words: &[String]) -> Command {
    let mut command = Command::new("make");
    command
        .args(["-s", "--no-print-directory", "-C"])
        .arg(feed().join(folder))
        .arg(format!("TOPDIR={}", top.display()))
        .args(
            options
                .iter()
                .map(|name| format!("CONFIG_KEEPALIVED_{name}=y")),
        )
        .args(words)
        .env_remove("MAKEFLAGS");
    command
}

/// Names of the packages and their folders.
pub(super) fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
    PACKAGES.iter().map(|p| (p.name, p.folder))
}

/// What a Makefile says, by package (or `-`) and field.
pub(super) type Fields = BTreeMap<(String, String), String>;

/// What the Makefile says when a package is built.
fn fields(top: &Path, folder: &str, options: &[&str]) -> Result<Fields> {
    said(&mut make(top, folder, options, &["values".to_owned()]))
}

/// What the Makefile says when OpenWrt collects all packages for its menu.
pub(super) fn collected(top: &Path, folder: &str) -> Result<Fields> {
    let words = ["DUMP=1", "values"].map(str::to_owned);
    said(&mut make(top, folder, &[], &words))
}

fn said(make: &mut Command) -> Result<Fields> {
    let text = output(make)?;
    Ok(text
        .lines()
        .filter_map(|line| {
            let mut words = line.splitn(3, ' ');
            let key = (words.next()?.to_owned(), words.next()?.to_owned());
            Some((key, words.next().unwrap_or_default().to_owned()))
        })
        .collect())
}

/// Names, dependencies, whom it replaces, configuration files.
fn described(top: &Path, package: &Package) -> Result<()> {
    let all = fields(top, package.folder, DEFAULT)?;
    let get = |of: &str, field: &str| -> Result<&str> {
        all.get(&(of.to_owned(), field.to_owned()))
            .map(String::as_str)
            .ok_or_else(|| format!("{}: no {field}", package.name))
    };
    for (of, field, wanted) in [
        ("-", "PKG_NAME", package.folder),
        ("-", "PKG_LICENSE", "GPL-2.0-or-later"),
        ("-", "PKG_BUILD_DEPENDS", "rust/host"),
        ("-", "PKG_RELEASE", "1"),
        ("-", "CARGO_PKG_PROFILE", size::ROUTER),
        (package.name, "SECTION", "net"),
        (package.name, "CATEGORY", "Network"),
        (package.name, "DEPENDS", package.depends),
        (package.name, "PROVIDES", package.original),
        (package.name, "CONFLICTS", package.original),
        (package.name, "conffiles", &package.conffiles.join(" ")),
    ] {
        same(
            &format!("{} {field}", package.name),
            get(of, field)?,
            wanted,
        )?;
    }
    let path = root().join(get("-", "MAKE_PATH")?);
    if !path.join("Cargo.toml").exists() {
        return Err(format!("MAKE_PATH {} has no Cargo.toml", path.display()));
    }
    println!(
        "{}: instead of {}, needs {}",
        package.name, package.original, package.depends
    );
    Ok(())
}

/// Where the built daemons are, in `bin`.
fn built(place: &Place) -> PathBuf {
    place.scratch.join("built")
}

/// What the feed takes of the repository.
fn source(place: &Place, package: &Package) -> PathBuf {
    place.scratch.join("source").join(package.folder)
}

/// Builds the daemon as OpenWrt would, for this machine: from the files that the feed takes, with the words of its Makefile.
fn build(place: &Place, top: &Path, package: &Package) -> Result<()> {
    let source = source(place, package);
    let words = [
        format!("PKG_BUILD_DIR={}", source.display()),
        "prepare".to_owned(),
    ];
    run(make(top, package.folder, DEFAULT, &words).stdout(Stdio::null()))?;
    let all = fields(top, package.folder, DEFAULT)?;
    let get = |field: &str| {
        let key = ("-".to_owned(), field.to_owned());
        all.get(&key).map_or("", String::as_str)
    };
    let mut install = cargo(&["install", "--quiet", "--locked", "--no-track", "--force"]);
    install
        .args(["--profile", get("CARGO_PKG_PROFILE")])
        .arg("--root")
        .arg(built(place))
        .arg("--path")
        .arg(source.join(get("MAKE_PATH")))
        .args(get("CARGO_PKG_ARGS").split_whitespace())
        .args(["--features", get("RUST_PKG_FEATURES")])
        .env("CARGO_TARGET_DIR", target_dir().join("feed"))
        .env("RUSTFLAGS", get("CARGO_RUSTFLAGS"));
    for word in get("CARGO_PKG_VARS").split_whitespace() {
        if let Some((name, value)) = word.split_once('=') {
            install.env(name, value);
        }
    }
    run(&mut install)
}

/// Options that are on by default and change the program.
const DEFAULT: &[&str] = &["LVS", "IPTABLES"];
/// Options that are not on by default and bring files.
const MORE: &[&str] = &["SNMP_VRRP", "SNMP_RFC2", "SNMP_RFC3", "DBUS"];

/// Runs the install section with the built daemon and compares modes and paths with those of the original's package; with `more`
/// options on there are also the files of the list with that ending.
fn installed(
    place: &Place,
    top: &Path,
    package: &Package,
    more: &[&str],
    list_of_more: &str,
) -> Result<()> {
    let target = package_root(place, package.name);
    // Of an earlier step.
    let _none = fs::remove_dir_all(&target);
    let words = [
        format!("PKG_BUILD_DIR={}", source(place, package).display()),
        format!("PKG_INSTALL_DIR={}", built(place).display()),
        format!("ROOT={}", target.display()),
        format!("install-{}", package.name),
    ];
    let options = [DEFAULT, more].concat();
    run(make(top, package.folder, &options, &words).stdout(Stdio::null()))?;
    let mut found = BTreeMap::new();
    list(&target, &target, &mut found)?;
    let mut wanted = read(&data(&format!("{}.files", package.original)))?;
    if !list_of_more.is_empty() {
        wanted += &read(&data(&format!("{}{list_of_more}", package.original)))?;
    }
    let wanted: BTreeMap<String, u32> = wanted
        .lines()
        .filter_map(|line| {
            let (mode, path) = line.split_once(' ')?;
            Some((path.to_owned(), u32::from_str_radix(mode, 8).ok()?))
        })
        .collect();
    // genhash is the daemon by another name.
    let genhash = "/usr/bin/genhash";
    if wanted.contains_key(genhash) {
        let link = fs::read_link(target.join(&genhash[1..]))
            .map_err(|e| format!("{genhash} is no link: {e}"))?;
        same(genhash, &link.to_string_lossy(), "../sbin/keepalived")?;
        found.insert(genhash.to_owned(), 0o755);
    }
    if found != wanted {
        let only = |a: &BTreeMap<String, u32>, b: &BTreeMap<String, u32>| -> String {
            let differing = a.iter().filter(|(path, mode)| b.get(*path) != Some(*mode));
            differing
                .map(|(path, mode)| format!("\n  {mode:04o} {path}"))
                .collect()
        };
        return Err(format!(
            "{} installs what the original does not:{}\nthe original installs:{}",
            package.name,
            only(&found, &wanted),
            only(&wanted, &found)
        ));
    }
    let (files, keep): (Vec<&str>, Vec<&str>) = package
        .conffiles
        .iter()
        .partition(|path| target.join(&path[1..]).is_file());
    if keep != package.keep {
        return Err(format!("{}: keep.d would get {keep:?}", package.name));
    }
    println!(
        "{}: {} files and empty folders as the original's; conffiles {files:?}, keep.d {keep:?}",
        package.name,
        wanted.len()
    );
    Ok(())
}

/// Where a package's install section has put its files.
pub(super) fn package_root(place: &Place, name: &str) -> PathBuf {
    place.scratch.join("root").join(name)
}

/// Files and empty folders with their modes.
fn list(top: &Path, dir: &Path, out: &mut BTreeMap<String, u32>) -> Result<()> {
    let io = |e: std::io::Error| format!("{}: {e}", dir.display());
    let entries: Vec<_> = fs::read_dir(dir).map_err(io)?.flatten().collect();
    let name = |path: &Path| {
        let rest = path.strip_prefix(top).unwrap_or(path);
        format!("/{}", rest.display())
    };
    if entries.is_empty() {
        let mode = fs::metadata(dir).map_err(io)?.permissions().mode() & 0o7777;
        out.insert(format!("{}/", name(dir)), mode);
    }
    for entry in entries {
        let path = entry.path();
        let meta = fs::symlink_metadata(&path).map_err(io)?;
        if meta.is_dir() {
            list(top, &path, out)?;
        } else {
            out.insert(name(&path), meta.permissions().mode() & 0o7777);
        }
    }
    Ok(())
}

/// `Config.in` and the Makefile know the same options, and the daemon builds with the features that they bring.
fn options(top: &Path) -> Result<()> {
    let menu = read(&feed().join("keepalived-rs/Config.in"))?;
    let offered: BTreeSet<&str> = menu
        .lines()
        .filter_map(|line| line.strip_prefix("config KEEPALIVED_"))
        .collect();
    if let Some(odd) = offered.iter().find(|name| !OPTIONS.contains(name)) {
        return Err(format!("Config.in: the original has no KEEPALIVED_{odd}"));
    }
    for (set, wanted) in SETS {
        let all = fields(top, "keepalived-rs", set)?;
        let get = |field: &str| {
            let key = ("-".to_owned(), field.to_owned());
            all.get(&key).map_or("", String::as_str)
        };
        same(
            &format!("features with {set:?}"),
            get("RUST_PKG_FEATURES"),
            wanted,
        )?;
        let mut check = cargo(&["check", "--quiet", "--locked", "-p", "keepalived-rs"]);
        check.args(["--no-default-features", "--features", wanted]);
        run(check.env("KEEPALIVED_KEYWORDS", "openwrt"))?;
        if !get("CARGO_PKG_ARGS").contains("--no-default-features") {
            return Err("cargo would add the default features".to_owned());
        }
        if !get("CARGO_PKG_VARS").contains("KEEPALIVED_KEYWORDS=openwrt") {
            return Err("the build is not told whose keywords it knows".to_owned());
        }
        let rebuild: BTreeSet<&str> = get("PKG_CONFIG_DEPENDS")
            .split(' ')
            .filter_map(|word| word.strip_prefix("CONFIG_KEEPALIVED_"))
            .collect();
        if rebuild != offered {
            return Err(format!(
                "Config.in offers {offered:?}, PKG_CONFIG_DEPENDS has {rebuild:?}"
            ));
        }
    }
    println!(
        "options {offered:?} of the original's; {} sets of features build",
        SETS.len()
    );
    Ok(())
}
