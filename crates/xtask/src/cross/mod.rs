//! Building for router CPUs and running the tests there: Debian's Rust with its std source, Debian's cross C compilers, musl, and
//! user-mode emulation. Everything lies in a folder of its own; nothing is installed into the system.
//!
//! ```text
//!   packages ─▶ compiler ─▶ C compiler ─▶ std for the target ─▶ musl for the target ─▶ emulator ─▶ cargo build, cargo test
//! ```
//! The compiler is Debian's (`rustc-web`), because std must be compiled from the source of the very version; it is also the
//! version of OpenWrt's feed.

mod cc;
mod musl;
mod packages;
mod std_lib;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::steps::{Steps, output, run as run_command};
use crate::{Result, root, size, target_dir};

/// A CPU with its C library.
#[derive(Debug)]
pub(crate) struct Target {
    /// How a person names it.
    pub(crate) name: &'static str,
    /// How Rust names it.
    pub(crate) triple: &'static str,
    /// How GNU names its tools; the Debian packages are `gcc-GNU` and the one below.
    gnu: &'static str,
    /// Debian's package of the C library's headers and objects.
    libc: &'static str,
    /// The emulator, `qemu-…-static`; empty for this machine's own CPU.
    qemu: &'static str,
    /// The ABI, where it is not the C compiler's own.
    flags: &'static [&'static str],
}

/// MIPS as OpenWrt builds it: without a floating-point unit.
const SOFT_FLOAT: &[&str] = &["-msoft-float", "-mno-odd-spreg"];

#[rustfmt::skip]
const TARGETS: &[Target] = &[
    Target { name: "musl", triple: "x86_64-unknown-linux-musl", gnu: "x86_64-linux-gnu", libc: "libc6-dev", qemu: "", flags: &[] },
    Target { name: "mips-musl", triple: "mips-unknown-linux-musl", gnu: "mips-linux-gnu", libc: "libc6-dev-mips-cross", qemu: "mips", flags: SOFT_FLOAT },
    Target { name: "mipsel-musl", triple: "mipsel-unknown-linux-musl", gnu: "mipsel-linux-gnu", libc: "libc6-dev-mipsel-cross", qemu: "mipsel", flags: SOFT_FLOAT },
    Target { name: "armv5-musl", triple: "armv5te-unknown-linux-musleabi", gnu: "arm-linux-gnueabi", libc: "libc6-dev-armel-cross", qemu: "arm", flags: &[] },
    Target { name: "armv7-musl", triple: "armv7-unknown-linux-musleabihf", gnu: "arm-linux-gnueabihf", libc: "libc6-dev-armhf-cross", qemu: "arm", flags: &[] },
    Target { name: "aarch64-musl", triple: "aarch64-unknown-linux-musl", gnu: "aarch64-linux-gnu", libc: "libc6-dev-arm64-cross", qemu: "aarch64", flags: &[] },
    Target { name: "riscv64", triple: "riscv64gc-unknown-linux-gnu", gnu: "riscv64-linux-gnu", libc: "libc6-dev-riscv64-cross", qemu: "riscv64", flags: &[] },
    Target { name: "powerpc", triple: "powerpc-unknown-linux-gnu", gnu: "powerpc-linux-gnu", libc: "libc6-dev-powerpc-cross", qemu: "ppc", flags: &[] },
    Target { name: "s390x", triple: "s390x-unknown-linux-gnu", gnu: "s390x-linux-gnu", libc: "libc6-dev-s390x-cross", qemu: "s390x", flags: &[] },
];

/// Packages whose tests need neither root nor the kernel's newer netlink families, which the emulator does not translate.
/// Of the daemons it is the unit tests, and the recorded conversations in virtual time; of the system calls the dynamic linker, which
/// loads OpenSSL on a router (not where Rust links statically by itself: x86_64, arm and aarch64 with musl).
const WHOLE: &[&str] = &[
    "net-types",
    "netlink-wire",
    "nfct",
    "vrrp-proto",
    "bfd-proto",
    "checker-proto",
    "ctsync-proto",
    "cthelper-proto",
    "agentx-wire",
    "dbus-wire",
    "conf-parsers",
];
const DAEMONS: &[&str] = &["keepalived-rs", "conntrackd-rs"];

impl Target {
    fn is_musl(&self) -> bool {
        self.triple.contains("musl")
    }

    /// The triple as cargo and the `cc` crate spell it in variables.
    fn variable(&self) -> (String, String) {
        let lower = self.triple.replace('-', "_");
        (lower.to_uppercase(), lower)
    }
}

/// What a build for the target needs, made ready.
#[derive(Debug)]
pub(crate) struct Toolchain {
    cargo: PathBuf,
    variables: Vec<(String, String)>,
}

impl Toolchain {
    /// `cargo` for the target, in the repository, with a build folder of its own.
    pub(crate) fn cargo(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command
            .current_dir(root())
            .args(words)
            .stdin(Stdio::null())
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTFLAGS")
            .env_remove("RUSTUP_TOOLCHAIN")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn set(&mut self, name: impl Into<String>, value: impl AsRef<std::ffi::OsStr>) {
        let value = value.as_ref().to_string_lossy().into_owned();
        self.variables.push((name.into(), value));
    }
}

/// The targets by name, for the usage text.
pub(crate) fn names() -> String {
    let names: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
    names.join(" ")
}

fn find(name: &str) -> Result<&'static Target> {
    TARGETS
        .iter()
        .find(|t| t.name == name || t.triple == name)
        .ok_or_else(|| format!("no target {name}; there are {}", names()))
}

/// Builds the daemons for each of the named targets and runs the tests that an emulator can.
pub(crate) fn run(wanted: &[&str]) -> Result<()> {
    let mut steps = Steps::default();
    let result = wanted.iter().try_for_each(|name| {
        let target = find(name)?;
        let mut toolchain = None;
        steps.step(&format!("tools for {name}"), || {
            toolchain = Some(prepare(target)?);
            Ok(())
        })?;
        let toolchain = toolchain.ok_or("no tools")?;
        steps.step(&format!("build for {name}"), || build(target, &toolchain))?;
        steps.step(&format!("tests on {name}"), || test(&toolchain, target))
    });
    steps.print();
    result
}

/// The folder with both daemons for a target.
pub(crate) fn daemons(name: &str) -> Result<PathBuf> {
    Ok(made(name)?.1)
}

/// What builds for a target, and the folder with both daemons, which it has built.
pub(crate) fn made(name: &str) -> Result<(Toolchain, PathBuf)> {
    let target = find(name)?;
    let toolchain = prepare(target)?;
    build(target, &toolchain)?;
    Ok((toolchain, built(target)))
}

fn built(target: &Target) -> PathBuf {
    target_dir()
        .join("cross")
        .join(target.triple)
        .join("release")
}

/// Makes everything ready; what is there already is kept.
pub(crate) fn prepare(target: &Target) -> Result<Toolchain> {
    let place = packages::Place::open()?;
    packages::unpack(&place, &["rustc-web", "cargo-web", "rust-web-src"])?;
    for tool in ["rustc", "rustdoc", "cargo"] {
        place.wrap(tool, &place.system.join("usr/bin").join(tool))?;
    }
    let compiler = cc::prepare(&place, target)?;
    std_lib::prepare(&place, target, &compiler)?;
    let (linker, libraries) = if target.is_musl() {
        musl::prepare(&place, target, &compiler)?
    } else {
        (
            compiler.cc.clone(),
            place.system.join("usr").join(target.gnu),
        )
    };
    let (upper, lower) = target.variable();
    let mut out = Toolchain {
        cargo: place.bin.join("cargo"),
        variables: Vec::new(),
    };
    out.set("CARGO_TARGET_DIR", target_dir().join("cross"));
    out.set("CARGO_BUILD_TARGET", target.triple);
    out.set("RUSTC", place.bin.join("rustc"));
    out.set("RUSTDOC", place.bin.join("rustdoc"));
    out.set("CARGO", place.bin.join("cargo"));
    out.set(format!("CARGO_TARGET_{upper}_LINKER"), &linker);
    out.set(format!("CC_{lower}"), &linker);
    out.set(format!("AR_{lower}"), &compiler.ar);
    if target.is_musl() {
        out.set(
            format!("CARGO_TARGET_{upper}_RUSTFLAGS"),
            "-Clink-self-contained=no",
        );
    }
    if !target.qemu.is_empty() {
        let runner = emulator(&place, target, &libraries)?;
        out.set(format!("CARGO_TARGET_{upper}_RUNNER"), runner);
        out.set("QEMU_LD_PREFIX", &libraries);
        // Tests of what the emulator has not (nfnetlink, generic netlink) look at this and say that they are left out.
        out.set("EMULATED", target.triple);
        // Enough to show that the byte order makes no difference; the thousands run on the machine itself.
        out.set("VRRP_SIM_COUNT", "300");
    }
    Ok(out)
}

/// A program that runs the target's programs.
fn emulator(place: &packages::Place, target: &Target, libraries: &Path) -> Result<PathBuf> {
    packages::unpack(place, &["qemu-user-static"])?;
    let name = format!("qemu-{}-static", target.qemu);
    let own = place.system.join("usr/bin").join(&name);
    let program = if own.exists() {
        own
    } else {
        packages::on_path(&name).ok_or_else(|| format!("no {name}"))?
    };
    let runner = format!("run-{}", target.triple);
    place.script(
        &runner,
        &format!(
            "#!/bin/sh\nexec {} -L {} \"$@\"\n",
            program.display(),
            libraries.display()
        ),
    )
}

fn build(target: &Target, toolchain: &Toolchain) -> Result<()> {
    let mut words = vec!["build", "--release", "--locked"];
    words.extend(DAEMONS.iter().flat_map(|daemon| ["-p", daemon]));
    let mut build = toolchain.cargo(&words);
    run_command(build.envs(size::FORCED.iter().copied()))?;
    let folder = built(target);
    println!("bytes under OpenWrt's profile, {}:", target.triple);
    size::list(&folder)
}

/// Runs what can run, and prints how many tests passed.
fn test(toolchain: &Toolchain, target: &Target) -> Result<()> {
    let present = members()?;
    let whole: Vec<&str> = WHOLE
        .iter()
        .copied()
        .filter(|name| present.iter().any(|p| p == name))
        .collect();
    let mut words = vec!["test", "--locked", "--tests", "--no-fail-fast"];
    words.extend(whole.iter().flat_map(|name| ["-p", name]));
    let mut passed = counted(toolchain.cargo(&words))?;
    let mut words = vec!["test", "--locked", "--lib", "--no-fail-fast"];
    words.extend(DAEMONS.iter().flat_map(|name| ["-p", name]));
    passed += counted(toolchain.cargo(&words))?;
    for words in [
        "test --locked -p keepalived-rs --test replay",
        "test --locked -p linux-io --lib -- shared_library proc_events",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        match counted(toolchain.cargo(&words))? {
            0 => return Err(format!("no test in `cargo {}`", words.join(" "))),
            more => passed += more,
        }
    }
    println!("{passed} tests passed on {}", target.triple);
    Ok(())
}

/// Names of the workspace's packages.
fn members() -> Result<Vec<String>> {
    let tree = output(&mut crate::steps::cargo(&[
        "tree",
        "--workspace",
        "--depth",
        "0",
        "--prefix",
        "none",
    ]))?;
    Ok(tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect())
}

/// Runs the tests and prints their lines but those of passed ones; how many passed, as the test binaries say.
pub(crate) fn counted(mut command: Command) -> Result<usize> {
    let fail = |e: std::io::Error| format!("cargo: {e}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(fail)?;
    let mut passed = 0_usize;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = line.map_err(fail)?;
            let line = String::from_utf8_lossy(&line);
            if !line.ends_with("... ok") {
                println!("{line}");
            }
            let result = line.strip_prefix("test result: ");
            let count = result.and_then(|rest| rest.split(". ").nth(1)?.split(' ').next());
            passed += count.and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
        }
    }
    let status = child.wait().map_err(fail)?;
    if !status.success() {
        return Err(format!(
            "{passed} tests passed, and others did not: {status}"
        ));
    }
    Ok(passed)
}
