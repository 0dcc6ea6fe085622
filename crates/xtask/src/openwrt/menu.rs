//! The packages in OpenWrt's menu: no option depends on itself in a circle, and what is chosen brings the kernel modules that it
//! needs and no others.
//!
//! OpenWrt makes a Kconfig menu of all packages' `DEPENDS` and `Config.in` (scripts/package-metadata.pl). The same is made here of
//! ours and of [`OTHERS`], and asked by Debian's kconfiglib.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::{Place, feed, makefile, write};
use crate::Result;
use crate::steps::output;

/// Packages that ours touch, with their dependencies as OpenWrt's files of 2026 have them (package/kernel/linux/modules/netfilter.mk;
/// of the packages feed net/keepalived and the LuCI page, shortened to what concerns ours). The original and what depends on it come
/// last.
const OTHERS: &[(&str, &str)] = &[
    ("kmod-macvlan", ""),
    (
        "kmod-nf-ipvs",
        "@IPV6 +LINUX_6_12:kmod-lib-crc32c +kmod-ipt-conntrack +kmod-nf-conntrack +kmod-ipt-core",
    ),
    ("kmod-ipt-conntrack", "+kmod-ipt-core +kmod-nf-conntrack"),
    ("kmod-ipt-core", "+kmod-nf-reject +kmod-nf-ipt +kmod-nf-log"),
    ("kmod-nf-ipt", "+!LINUX_6_12:kmod-iptables"),
    ("kmod-iptables", "@!LINUX_6_12"),
    (
        "kmod-nf-conntrack-netlink",
        "+kmod-nf-conntrack +kmod-nfnetlink",
    ),
    ("kmod-lib-crc32c", ""),
    ("kmod-nf-conntrack", ""),
    ("kmod-nf-log", ""),
    ("kmod-nf-reject", ""),
    ("kmod-nfnetlink", ""),
    ("libopenssl", ""),
    (
        "keepalived",
        "+kmod-nf-ipvs +KEEPALIVED_VRRP:kmod-macvlan +KEEPALIVED_SHA1:libopenssl",
    ),
    ("keepalived-sync", "+keepalived"),
    ("luci-app-keepalived", "+keepalived +keepalived-sync"),
];

/// Of the original's `Config.in`.
const ORIGINAL_OPTIONS: &str = "\
menu \"Configuration\"
\tdepends on PACKAGE_keepalived
config KEEPALIVED_VRRP
\tbool \"Enable VRRP support\"
\tdefault y
config KEEPALIVED_LVS
\tbool \"Enable IPVS support\"
\tdefault y
config KEEPALIVED_SHA1
\tbool \"Enable SHA1 support in genhash\"
\tdefault y
endmenu
";

/// Reads a menu, makes choices and prints what comes of them.
const ASK: &str = "\
import sys, kconfiglib
menu = kconfiglib.Kconfig(sys.argv[1], warn=False)
for word in sys.argv[2:]:
    name, value = word.split('=')
    if not menu.syms[name].set_value(value):
        sys.exit(f'{name} can not be {value}')
for symbol in menu.unique_defined_syms:
    print(symbol.name, symbol.str_value)
";

/// A choice, and what must come of it.
const CASES: &[(&str, &str)] = &[
    (
        "PACKAGE_keepalived-rs=y",
        "KEEPALIVED_LVS=y KEEPALIVED_BFD=n KEEPALIVED_IPTABLES=y KEEPALIVED_SNMP_VRRP=n KEEPALIVED_DBUS=n PACKAGE_kmod-nf-ipvs=y PACKAGE_kmod-macvlan=y PACKAGE_kmod-iptables=y PACKAGE_libopenssl=y",
    ),
    (
        "PACKAGE_keepalived-rs=y KEEPALIVED_LVS=n",
        "PACKAGE_kmod-nf-ipvs=n PACKAGE_kmod-nf-conntrack=n PACKAGE_kmod-iptables=n PACKAGE_kmod-macvlan=y PACKAGE_libopenssl=n",
    ),
    (
        "PACKAGE_keepalived-rs=y KEEPALIVED_SHA1=n KEEPALIVED_SNMP_RFC3=y",
        "PACKAGE_libopenssl=n PACKAGE_kmod-nf-ipvs=y KEEPALIVED_SNMP_RFC3=y",
    ),
    (
        "PACKAGE_keepalived-rs=m",
        "KEEPALIVED_LVS=y PACKAGE_kmod-nf-ipvs=m PACKAGE_kmod-macvlan=m",
    ),
    (
        "PACKAGE_keepalived-rs=n",
        "PACKAGE_kmod-nf-ipvs=n PACKAGE_kmod-macvlan=n KEEPALIVED_BFD=n KEEPALIVED_IPTABLES=n",
    ),
    // A kernel without IPv6 has no IPVS, as OpenWrt builds it.
    ("IPV6=n PACKAGE_keepalived-rs=y", "PACKAGE_keepalived-rs=n"),
    (
        "IPV6=n KEEPALIVED_LVS=n PACKAGE_keepalived-rs=y",
        "PACKAGE_keepalived-rs=y PACKAGE_kmod-nf-ipvs=n",
    ),
    (
        "PACKAGE_conntrackd-rs=y",
        "PACKAGE_kmod-nf-conntrack-netlink=y PACKAGE_kmod-nf-conntrack=y PACKAGE_kmod-nf-ipvs=n",
    ),
];

/// The same beside the original and the LuCI page, which depends on `keepalived` by name. The page is built as a package for an
/// image with ours, whose package manager knows that ours is a `keepalived`.
const BESIDE: &[(&str, &str)] = &[
    (
        "PACKAGE_keepalived-rs=y PACKAGE_luci-app-keepalived=m",
        "PACKAGE_keepalived-rs=y PACKAGE_keepalived=m PACKAGE_keepalived-sync=m PACKAGE_kmod-nf-ipvs=y",
    ),
    (
        "PACKAGE_keepalived=y KEEPALIVED_LVS=n",
        "PACKAGE_libopenssl=y PACKAGE_kmod-nf-ipvs=y",
    ),
    (
        "PACKAGE_keepalived=y",
        "PACKAGE_keepalived-rs=n PACKAGE_kmod-nf-ipvs=y KEEPALIVED_LVS=y PACKAGE_libopenssl=y",
    ),
];

pub(super) fn check(place: &Place) -> Result<()> {
    let top = makefile::tree(place)?;
    let mut ours = Vec::new();
    for (name, folder) in makefile::names() {
        let all = makefile::collected(&top, folder)?;
        let field = |field: &str| {
            let key = (name.to_owned(), field.to_owned());
            all.get(&key).cloned().unwrap_or_default()
        };
        ours.push(Package {
            name: name.to_owned(),
            depends: field("DEPENDS"),
            provides: field("PROVIDES"),
            conflicts: field("CONFLICTS"),
        });
    }
    let others = OTHERS.iter().map(|(name, depends)| Package {
        name: (*name).to_owned(),
        depends: (*depends).to_owned(),
        provides: String::new(),
        conflicts: String::new(),
    });
    let others: Vec<Package> = others.collect();
    let count = others.iter().take_while(|p| p.name != "keepalived").count();
    let (modules, _) = others.split_at(count);
    let mut asked = 0_usize;
    // Whose definition is read first depends on the names of the feeds.
    for (name, packages, more) in [
        ("alone", [&ours[..], modules], &[][..]),
        ("before the original", [&ours, &others], BESIDE),
        ("after the original", [&others, &ours], BESIDE),
    ] {
        let file = place.scratch.join("menu").join(name.replace(' ', "-"));
        let packages = packages.concat();
        write(
            &file,
            &Menu {
                packages: &packages,
            }
            .text(),
        )?;
        for (choices, wanted) in CASES.iter().chain(more) {
            ask(&file, choices, wanted).map_err(|why| format!("ours {name}: {why}"))?;
            asked += 1;
        }
    }
    println!("{asked} choices bring what they should, in three menus without a circle");
    Ok(())
}

fn ask(file: &Path, choices: &str, wanted: &str) -> Result<()> {
    // Another python3 of the search path may not see Debian's packages.
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", ASK]).arg(file).args(choices.split(' '));
    let text = output(&mut python)?;
    let values: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    for pair in wanted.split(' ') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let found = values.get(name).copied().unwrap_or("unknown");
        if found != value {
            return Err(format!("{choices}: {name} is {found}, not {value}"));
        }
    }
    Ok(())
}

/// What the menu is told of a package.
#[derive(Clone, Debug)]
struct Package {
    name: String,
    depends: String,
    /// The name that it can stand for; empty for none.
    provides: String,
    /// Who can not be in an image with it; empty for nobody.
    conflicts: String,
}

/// A menu of packages.
struct Menu<'a> {
    packages: &'a [Package],
}

impl<'a> Menu<'a> {
    /// Who can stand for a name, the first of whom is chosen where nobody is.
    fn providers(&self, name: &str) -> impl Iterator<Item = &'a Package> {
        self.packages
            .iter()
            .filter(move |p| p.name == name || p.provides == name)
    }

    fn text(&self) -> String {
        let mut out =
            String::from("mainmenu \"OpenWrt\"\nconfig MODULES\n\toption modules\n\tdef_bool y\n");
        for (symbol, value) in [("IPV6", "y"), ("LINUX_6_12", "n"), ("RUST", "y")] {
            out += &format!("config {symbol}\n\tbool \"{symbol}\"\n\tdefault {value}\n");
        }
        for package in self.packages {
            let name = &package.name;
            out += &format!("config PACKAGE_{name}\n\ttristate \"{name}\"\n");
            let mut lines = Vec::new();
            self.lines(
                name,
                &package.depends,
                "",
                true,
                &mut BTreeSet::new(),
                &mut lines,
            );
            if self.packages.iter().any(|p| p.name == package.conflicts) {
                lines.push(format!(
                    "depends on m || (PACKAGE_{} != y)",
                    package.conflicts
                ));
            }
            for line in lines {
                out += &format!("\t{line}\n");
            }
            if name == "keepalived" {
                out += ORIGINAL_OPTIONS;
            }
            let options = feed().join(name).join("Config.in");
            if options.exists() {
                out += &format!("source \"{}\"\n", options.display());
            }
        }
        out
    }

    /// `@X` is a dependency, `+P` selects, `+C:P` does so under a condition. Kconfig does not look at the dependencies of what is
    /// selected, so they are also dependencies of who selects it.
    fn lines(
        &self,
        package: &str,
        depends: &str,
        condition: &str,
        selects: bool,
        seen: &mut BTreeSet<(String, String)>,
        out: &mut Vec<String>,
    ) {
        let both = |a: &str, b: &str| match (a, b) {
            ("", one) | (one, "") => one.to_owned(),
            _ => format!("{a} && {b}"),
        };
        for word in depends.split_whitespace() {
            if let Some(symbol) = word.strip_prefix('@') {
                out.push(match condition {
                    "" => format!("depends on {symbol}"),
                    _ => format!("depends on !({condition}) || {symbol}"),
                });
                continue;
            }
            let word = word.trim_start_matches('+');
            let (own, wanted) = word.split_once(':').unwrap_or(("", word));
            let mut condition = both(condition, own);
            if !seen.insert((condition.clone(), wanted.to_owned())) {
                continue;
            }
            let mut providers = self.providers(wanted);
            let Some(chosen) = providers.next() else {
                continue;
            };
            for other in providers.filter(|other| other.name != package) {
                let less = format!("PACKAGE_{}<PACKAGE_{package}", other.name);
                condition = both(&condition, &less);
            }
            let condition = condition.as_str();
            // What is selected selects the rest itself.
            if selects {
                out.push(match condition {
                    "" => format!("select PACKAGE_{}", chosen.name),
                    _ => format!("select PACKAGE_{} if {condition}", chosen.name),
                });
            }
            self.lines(package, &chosen.depends, condition, false, seen, out);
        }
    }
}
