//! The laboratory on what is shipped: the tests that cargo otherwise runs on programs built for development run here on a release
//! build, of this machine's C library or of musl with OpenWrt's profile. The tests themselves are built for the same C library, so
//! that those of the parts (`linux-io`, `daemon-rt`) run on it, too.

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::need::SKIPPED;
use testkit::sut::{ORIGINAL_ROOT, OURS};

use crate::cross::{self, Toolchain};
use crate::steps::{Steps, cargo, run as run_command};
use crate::{Result, install, target_dir};

/// Whose tests touch the kernel or start programs.
const PACKAGES: &[&str] = &[
    "linux-io",
    "daemon-rt",
    "testkit",
    "keepalived-rs",
    "conntrackd-rs",
];

/// Runs it for a target of [`cross`], or for this machine.
///
/// # Errors
/// When a build or a test fails.
pub(crate) fn run(target: Option<&str>) -> Result<()> {
    let mut steps = Steps::default();
    let result = all(&mut steps, target);
    steps.print();
    result
}

fn all(steps: &mut Steps, target: Option<&str>) -> Result<()> {
    let originals = install::everything()?;
    let mut built = None;
    steps.step("build", || {
        built = Some(build(target)?);
        Ok(())
    })?;
    let (toolchain, programs) = built.ok_or("no programs")?;
    let prepared = |mut command: Command| {
        command.env(OURS, &programs).env(ORIGINAL_ROOT, &originals);
        command
    };
    steps.step("tests", || {
        let mut words = vec!["test", "--locked", "--tests", "--no-fail-fast"];
        words.extend(PACKAGES.iter().flat_map(|name| ["-p", name]));
        let test = match &toolchain {
            Some(toolchain) => toolchain.cargo(&words),
            None => cargo(&words),
        };
        tests(prepared(test), &programs)
    })?;
    // These enter namespaces of their own, which the process that does so can not leave.
    for (name, word) in [("pair, every mix", "pair"), ("FTP through the pair", "ftp")] {
        steps.step(name, || {
            let again = cargo(&["run", "--quiet", "--package", "xtask", "--", word]);
            run_command(&mut prepared(again))
        })?;
    }
    Ok(())
}

/// What builds the tests, where it is not this machine's own cargo, and the folder with both daemons.
fn build(target: Option<&str>) -> Result<(Option<Toolchain>, PathBuf)> {
    if let Some(target) = target {
        let (toolchain, folder) = cross::made(target)?;
        return Ok((Some(toolchain), folder));
    }
    let words = "build --release --quiet --locked -p keepalived-rs -p conntrackd-rs";
    run_command(&mut cargo(&words.split(' ').collect::<Vec<_>>()))?;
    Ok((None, target_dir().join("release")))
}

/// Runs the tests and says how many there were.
fn tests(mut command: Command, programs: &Path) -> Result<()> {
    let list = target_dir().join("skipped-in-lab");
    // Left by an earlier run; absent at first.
    let _absent = std::fs::remove_file(&list);
    command.env(SKIPPED, &list);
    let passed = cross::counted(command)?;
    let skipped = std::fs::read_to_string(&list).unwrap_or_default();
    println!(
        "{passed} tests passed, {} of them skipped, with the programs in {}\n{skipped}",
        skipped.lines().count(),
        programs.display()
    );
    Ok(())
}
