//! Every shell script of the feed, and the stand-ins: shellcheck, and the shell that a router has.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{read, stubs};
use crate::steps::run;
use crate::{Result, root};

/// Left out, because of what surrounds the scripts on a router:
/// other files are sourced there (1090, 1091), and rc.common reads variables that the init script only sets (2034).
const EXCLUDED: &str = "SC1090,SC1091,SC2034";

pub(super) fn check() -> Result<()> {
    let mut scripts = Vec::new();
    find(&root().join("openwrt-feed"), &mut scripts)?;
    let own = scripts.len();
    find(&stubs(), &mut scripts)?;
    if own == 0 {
        return Err("no scripts found".to_owned());
    }
    // busybox ash has the `local` of dash, and nothing of bash.
    run(Command::new("shellcheck")
        .args(["--shell=dash", "--exclude", EXCLUDED])
        .args(&scripts))?;
    for script in &scripts {
        run(Command::new("busybox").args(["ash", "-n"]).arg(script))?;
    }
    println!(
        "{own} scripts of the feed, {} stand-ins",
        scripts.len().saturating_sub(own)
    );
    Ok(())
}

/// Shell scripts below a folder: by their first line or their name.
fn find(dir: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            find(&path, out)?;
        } else if path.extension().is_some_and(|e| e == "sh")
            || read(&path)?.starts_with("#!/bin/sh")
        {
            out.push(path);
        }
    }
    Ok(())
}
