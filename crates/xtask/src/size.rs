//! How many bytes of flash the daemons take.

use crate::steps::{cargo, run};
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

/// Builds and prints the table.
pub(crate) fn print() -> Result<()> {
    let folder = target_dir().join("openwrt-profile");
    let mut build = cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        "keepalived-rs",
        "-p",
        "conntrackd-rs",
    ]);
    run(build
        .envs(FORCED.iter().copied())
        .env("CARGO_TARGET_DIR", &folder))?;
    println!("bytes under OpenWrt's profile, {}:", std::env::consts::ARCH);
    list(&folder.join("release"))
}

/// Prints the size of each daemon in a folder.
pub(crate) fn list(folder: &std::path::Path) -> Result<()> {
    for daemon in ["keepalived", "conntrackd"] {
        let path = folder.join(daemon);
        let size = std::fs::metadata(&path)
            .map_err(|e| format!("{}: {e}", path.display()))?
            .len();
        println!("{size:>10}  {daemon}");
    }
    Ok(())
}
