//! `cargo xtask openwrt`: the packages of `openwrt-feed/`, checked without OpenWrt's build system and without a router.
//!
//! What comes in: the feed, both daemons (built for release here), the static musl build, the originals. What goes out: a list of
//! steps, all of which must hold. Stand-ins for OpenWrt's make rules and shell functions lie in `crates/xtask/openwrt/`, inputs and what
//! the original package makes of them in `testdata/openwrt/`.
//!
//! | step | shows |
//! |---|---|
//! | makefiles | what the packages are, that they build from what the feed takes, which files they bring, beside the original's |
//! | menu | the options of OpenWrt's menu depend on nothing in a circle and bring the kernel modules that are needed
//! | scripts | syntax, and the usual mistakes |
//! | init scripts | `keepalived.conf` and procd's calls for UCI inputs, byte for byte |
//! | configurations | both daemons say the same of each generated file |
//! | signals | every process lives through the JSON signal of its C library; the file is never seen half |
//! | procd | foreground, reload with a new file, start after a crash, stop in time |
//! | page | the high-availability page on machines laid out like OpenWrt, the originals replaced half-way |
//! | memory | anonymous memory beside the originals' |
//! | rpcd | plugin and hotplug script with a live daemon |

mod init;
mod live;
mod makefile;
mod memory;
mod menu;
mod page;
mod procd;
mod scripts;
mod verdicts;

use std::path::{Path, PathBuf};

use testkit::node::enter_lab;
use testkit::sut::Programs;

use crate::steps::{Steps, cargo, run as run_command};
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

/// Runs every step, or those that are named.
pub(crate) fn run(wanted: &[&str]) -> Result<()> {
    if let Some(odd) = wanted
        .iter()
        .find(|name| !STEPS.iter().any(|(step, _)| step == *name))
    {
        let names: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no step {odd}; there are {names:?}"));
    }
    install::programs(&[
        "busybox",
        "shellcheck",
        "make",
        "ip",
        "nft",
        "conntrack",
        "python3",
        "/usr/lib/python3/dist-packages/kconfiglib.py",
    ])?;
    let build = "build --release --quiet --locked -p keepalived-rs -p conntrackd-rs";
    run_command(&mut cargo(&build.split(' ').collect::<Vec<_>>()))?;
    let programs = demo::programs(true)?;
    let release = target_dir().join("release");
    enter_lab()?;
    let scratch = target_dir().join(format!("openwrt-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|e| format!("{}: {e}", scratch.display()))?;
    let place = Place {
        scratch,
        programs,
        release,
    };
    let mut steps = Steps::default();
    let result = all(&mut steps, &place, wanted);
    steps.print();
    if result.is_ok() {
        std::fs::remove_dir_all(&place.scratch).map_err(|e| e.to_string())?;
    }
    result
}

/// A step and what it does.
type Step = (&'static str, fn(&Place) -> Result<()>);

const STEPS: &[Step] = &[
    ("makefiles", makefile::check),
    ("menu", menu::check),
    ("scripts", |_| scripts::check()),
    ("init scripts", init::check),
    ("configurations", verdicts::check),
    ("signals", live::signals),
    ("rpcd", live::rpcd),
    ("procd, keepalived", procd::keepalived),
    ("procd, conntrackd", procd::conntrackd),
    ("page", page::play),
    ("memory", memory::measure),
];

/// Every step, also after one has failed.
fn all(steps: &mut Steps, place: &Place, wanted: &[&str]) -> Result<()> {
    let failures: Vec<String> = STEPS
        .iter()
        // The others install what they look at from what the first one makes.
        .filter(|(name, _)| wanted.is_empty() || *name == "makefiles" || wanted.contains(name))
        .filter_map(|(name, work)| steps.step(name, || work(place)).err())
        .collect();
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("\n"))
    }
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

/// Fails unless both are the same; tells the first lines in which they differ.
fn same(what: &str, ours: &str, wanted: &str) -> Result<()> {
    if ours == wanted {
        return Ok(());
    }
    let mut text = format!(
        "{what} differs ({} lines, should be {}):",
        ours.lines().count(),
        wanted.lines().count()
    );
    let end = std::iter::once("(the end)");
    let pairs = ours
        .lines()
        .chain(end.clone())
        .zip(wanted.lines().chain(end));
    for (number, (is, should)) in pairs.enumerate().filter(|(_, (a, b))| a != b).take(12) {
        text.push_str(&format!(
            "\n  line {}\n    is        {is}\n    should be {should}",
            number + 1
        ));
    }
    Err(text)
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
