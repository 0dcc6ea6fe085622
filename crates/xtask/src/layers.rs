//! Who may depend on whom: text → model → lower → core → output → kernel, one way.

use std::process::Command;

use crate::steps::{cargo, output};
use crate::{Result, root};

/// A shipped crate, and every crate of the workspace that it may use directly or indirectly.
const MAY_USE: &[(&str, &[&str])] = &[
    ("net-types", &[]),
    ("netlink-wire", &["net-types"]),
    ("nfct", &["net-types", "netlink-wire"]),
    ("agentx-wire", &["net-types"]),
    ("dbus-wire", &[]),
    ("vrrp-proto", &["net-types"]),
    ("bfd-proto", &["net-types"]),
    ("ctsync-proto", &["net-types", "netlink-wire", "nfct"]),
    ("cthelper-proto", &["net-types", "netlink-wire", "nfct"]),
    ("conf-parsers", &["net-types"]),
    ("linux-io", &["net-types", "netlink-wire", "nfct"]),
    (
        "daemon-rt",
        &["net-types", "netlink-wire", "nfct", "linux-io"],
    ),
    (
        "keepalived-rs",
        &[
            "net-types",
            "netlink-wire",
            "nfct",
            "agentx-wire",
            "dbus-wire",
            "vrrp-proto",
            "bfd-proto",
            "conf-parsers",
            "linux-io",
            "daemon-rt",
        ],
    ),
    (
        "conntrackd-rs",
        &[
            "net-types",
            "netlink-wire",
            "nfct",
            "ctsync-proto",
            "cthelper-proto",
            "conf-parsers",
            "linux-io",
            "daemon-rt",
        ],
    ),
];

/// Crates whose protocol rules must not be able to touch an operating system.
const NO_STD: &[&str] = &[
    "net-types",
    "netlink-wire",
    "nfct",
    "agentx-wire",
    "dbus-wire",
    "vrrp-proto",
    "bfd-proto",
    "ctsync-proto",
    "cthelper-proto",
];

/// Outside crates that only the upper layers may bring in.
const SYSTEM: &[&str] = &["libc", "nix", "socket2", "rtnetlink", "netlink-sys", "mio"];

/// Outside crates that no shipped binary may hold.
const TEST_ONLY: &[&str] = &[
    "testkit",
    "tokio",
    "rtnetlink",
    "netlink-packet-route",
    "xtask",
];

/// Fails with the list of all breaches.
pub(crate) fn check() -> Result<()> {
    let workspace: Vec<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    let mut breaches = Vec::new();
    for (name, allowed) in MAY_USE {
        let tree = output(&mut cargo(&[
            "tree", "-p", name, "-e", "normal", "--prefix", "none", "--format", "{p}",
        ]))?;
        let used: Vec<&str> = tree
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        for used in used {
            let forbidden_room =
                workspace.contains(&used) && used != *name && !allowed.contains(&used);
            let pure = NO_STD.contains(name) || *name == "conf-parsers";
            if forbidden_room || TEST_ONLY.contains(&used) || (pure && SYSTEM.contains(&used)) {
                breaches.push(format!("{name} must not use {used}"));
            }
        }
    }
    for name in NO_STD {
        let lib = root().join("crates").join(name).join("src/lib.rs");
        let text = std::fs::read_to_string(&lib).map_err(|e| format!("{}: {e}", lib.display()))?;
        if !text.lines().any(|line| line.trim() == "#![no_std]") {
            breaches.push(format!("{name} must be #![no_std]"));
        }
    }
    breaches.extend(unsafe_rooms()?);
    breaches.sort();
    breaches.dedup();
    if breaches.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "layer rules are broken:\n  {}",
            breaches.join("\n  ")
        ))
    }
}

/// Packages that do not take the workspace's lints: linux-io has its own, the fuzz targets are no member.
const OWN_LINTS: [&str; 2] = ["crates/linux-io/Cargo.toml", "crates/fuzz/Cargo.toml"];

/// Every other package takes the workspace's lints, which forbid unsafe code.
fn unsafe_rooms() -> Result<Vec<String>> {
    let listed = output(
        Command::new("git")
            .current_dir(root())
            .args(["ls-files", "*Cargo.toml"]),
    )?;
    let mut breaches = Vec::new();
    for path in listed
        .lines()
        .filter(|p| *p != "Cargo.toml" && !OWN_LINTS.contains(p))
    {
        let text =
            std::fs::read_to_string(root().join(path)).map_err(|e| format!("{path}: {e}"))?;
        if !text.contains("[lints]\nworkspace = true") {
            breaches.push(format!("{path} must take the workspace's lints"));
        }
    }
    Ok(breaches)
}
