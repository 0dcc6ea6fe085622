//! `cargo xtask openwrt`: the packages of `openwrt-feed/`, checked without OpenWrt's build system and without a router.
//!
//! What comes in: the feed, both daemons built for release, the static musl build, the originals. What goes out: a list of steps,
//! all of which must hold. Stand-ins for OpenWrt's make rules and shell functions lie in `crates/xtask/openwrt/`, inputs and what
//! the original package makes of them in `testdata/openwrt/`.
//!
//! | step | shows |
//! |---|---|
//! | makefiles | what the packages are and which files they bring, beside the original's |
//! | scripts | syntax, and the usual mistakes |
//! | init scripts | `keepalived.conf` and procd's calls for UCI inputs, byte for byte |
//! | configurations | both daemons say the same of each generated file |

mod init;
mod makefile;
mod scripts;
mod verdicts;

use std::path::{Path, PathBuf};

use testkit::node::enter_lab;
use testkit::sut::Programs;

use crate::steps::Steps;
use crate::{Result, demo, install, root, target_dir};

/// What the steps work with.
#[derive(Debug)]
pub(crate) struct Place {
    /// A folder of this run, removed at its end.
    scratch: PathBuf,
    /// Our daemons with glibc, as the originals here have it.
    programs: Programs,
    /// The folder with the former.
    release: PathBuf,
}

/// Runs every step.
pub(crate) fn run() -> Result<()> {
    install::programs(&["busybox", "shellcheck", "ip"])?;
    let programs = demo::programs(true)?;
    let release = target_dir().join("release");
    for daemon in ["keepalived", "conntrackd"] {
        if !release.join(daemon).exists() {
            return Err(format!("{daemon} is not built: cargo build --release"));
        }
    }
    enter_lab()?;
    let scratch = target_dir().join(format!("openwrt-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let place = Place {
        scratch,
        programs,
        release,
    };
    let mut steps = Steps::default();
    let result = all(&mut steps, &place);
    steps.print();
    if result.is_ok() {
        std::fs::remove_dir_all(&place.scratch).map_err(|e| e.to_string())?;
    }
    result
}

fn all(steps: &mut Steps, place: &Place) -> Result<()> {
    steps.step("makefiles", || makefile::check(place))?;
    steps.step("scripts", scripts::check)?;
    steps.step("init scripts", || init::check(place))?;
    steps.step("configurations", || verdicts::check(place))
}

/// The folder of the feed's packages.
fn feed() -> PathBuf {
    root().join("openwrt-feed/net")
}

/// The folder of the stand-ins.
fn stubs() -> PathBuf {
    root().join("crates/xtask/openwrt")
}

/// A file below `testdata/openwrt/`.
fn data(name: &str) -> PathBuf {
    root().join("testdata/openwrt").join(name)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Fails unless both are the same; tells the first line in which they differ.
fn same(what: &str, ours: &str, wanted: &str) -> Result<()> {
    if ours == wanted {
        return Ok(());
    }
    let pairs = ours.lines().zip(wanted.lines());
    let at = pairs.take_while(|(a, b)| a == b).count();
    let line = |text: &str| text.lines().nth(at).unwrap_or("(the end)").to_owned();
    Err(format!(
        "{what} differs in line {}:\n  is        {}\n  should be {}",
        at + 1,
        line(ours),
        line(wanted)
    ))
}

/// Names of the UCI inputs, without `.uci`.
fn inputs() -> Result<Vec<String>> {
    let dir = data("");
    let mut out: Vec<String> = std::fs::read_dir(&dir)
        .map_err(|e| format!("{}: {e}", dir.display()))?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().to_string_lossy().into_owned();
            Some(name.strip_suffix(".uci")?.to_owned())
        })
        .collect();
    out.sort();
    if out.is_empty() {
        return Err("no UCI inputs".to_owned());
    }
    Ok(out)
}
