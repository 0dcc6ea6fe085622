//! Every check and test, cheap ones first.

use testkit::need::SKIPPED;
use testkit::sut::ORIGINAL_ROOT;

use crate::steps::{Steps, cargo, run as run_command};
use crate::{Result, again, guest_modules, install, layers, size, target_dir};

pub(crate) fn run() -> Result<()> {
    let mut steps = Steps::default();
    let result = all(&mut steps);
    steps.print();
    result
}

fn all(steps: &mut Steps) -> Result<()> {
    let mut originals = None;
    steps.step("install", || {
        originals = Some(install::everything()?);
        Ok(())
    })?;
    let originals = originals.ok_or("no originals")?;
    steps.step("format", || {
        run_command(&mut cargo(&["fmt", "--all", "--check"]))
    })?;
    steps.step("layers", layers::check)?;
    steps.step("lint", || {
        run_command(&mut cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]))
    })?;
    steps.step("documentation", || {
        let mut doc = cargo(&[
            "doc",
            "--quiet",
            "--workspace",
            "--no-deps",
            "--document-private-items",
            "--locked",
        ]);
        run_command(doc.env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    steps.step("tests", || {
        let skipped = target_dir().join("skipped-tests");
        // Left by an earlier run; absent at first.
        let _absent = std::fs::remove_file(&skipped);
        let result = again::tests(|| {
            let mut test = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
            test.env(ORIGINAL_ROOT, &originals).env(SKIPPED, &skipped);
            test
        });
        let list = std::fs::read_to_string(&skipped).unwrap_or_default();
        println!("{} tests skipped\n{list}", list.lines().count());
        result
    })?;
    steps.step("tests of OpenWrt's features and keywords", || {
        let words = "test --locked --no-fail-fast -p keepalived-rs --no-default-features --features lvs,iptables \
                     --lib --test lab_iptables --test process";
        again::tests(|| {
            let mut test = cargo(&words.split(' ').collect::<Vec<_>>());
            test.env("KEEPALIVED_KEYWORDS", "openwrt");
            test
        })
    })?;
    steps.step("helpers in a guest with their modules", || {
        let Some(modules) = guest_modules::build()? else {
            println!("SKIPPED: the two tests of conntrackd's helpers that need them");
            return Ok(());
        };
        let words = "test --locked --no-fail-fast -p conntrackd-rs --test helpers -- --ignored";
        again::tests(|| {
            let mut test = cargo(&words.split(' ').collect::<Vec<_>>());
            test.env(ORIGINAL_ROOT, &originals)
                .env("CTHELPER_MODULES", &modules);
            test
        })
    })?;
    steps.step("release build", || {
        run_command(&mut cargo(&[
            "build",
            "--release",
            "--quiet",
            "--locked",
            "-p",
            "keepalived-rs",
            "-p",
            "conntrackd-rs",
        ]))
    })?;
    // These enter namespaces of their own, which the process that does so can not leave.
    for (name, words) in [
        ("pair, every mix", &["pair"][..]),
        ("FTP through the pair", &["ftp"][..]),
        ("demo", &["demo"][..]),
        ("Debian packages", &["deb", "change"][..]),
        (
            "mips-musl and static x86_64",
            &["cross", "mips-musl", "musl"][..],
        ),
        ("OpenWrt's packages", &["openwrt"][..]),
    ] {
        steps.step(name, || {
            let mut again = cargo(&["run", "--quiet", "--package", "xtask", "--"]);
            run_command(again.args(words).env(ORIGINAL_ROOT, &originals))
        })?;
    }
    steps.step("size", size::print)
}
