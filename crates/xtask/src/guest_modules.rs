//! Kernel modules that the guest of the tests lacks: those of helpers in user space. Debian's User Mode Linux is built without
//! them, but from a source that Debian has too; three files of it are compiled for exactly that kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::install::{cache, programs};
use crate::steps::{output, run};

/// The modules: two are built anew because the kernel's own lack the glue to the third.
const MODULES: [&str; 3] = [
    "nf_conntrack_netlink",
    "nfnetlink_queue",
    "nfnetlink_cthelper",
];

/// The options that Debian's build has not set, for [`MODULES`] alone.
const OPTIONS: &str = "-DCONFIG_NETFILTER_NETLINK_GLUE_CT=1 -DCONFIG_NF_CT_NETLINK_HELPER_MODULE=1";

/// Parts of the source that nothing here reads; half of the time is unpacking.
const UNREAD: [&str; 7] = [
    "drivers/*.c",
    "drivers/gpu/*.h",
    "sound/*.c",
    "fs/*.c",
    "tools/testing/*",
    "Documentation/*.rst",
    "Documentation/*.yaml",
];

/// The folder with the modules, made first if it is missing; `None` when Debian does not have the guest kernel's source (any
/// more).
///
/// # Errors
/// When the source is there and can not be built.
pub(crate) fn build() -> Result<Option<PathBuf>> {
    programs(&["linux.uml", "make", "gcc", "flex", "bison", "bc", "xz"])?;
    let version = output(Command::new("linux.uml").arg("--version"))?;
    let version = version.trim();
    let place = cache()?.join(format!("guest-modules-{version}"));
    let file = |name: &str| place.join(format!("{name}.ko"));
    if MODULES.iter().all(|name| file(name).exists()) {
        return Ok(Some(place));
    }
    let series: Vec<&str> = version.split('.').take(2).collect();
    let package = format!("linux-source-{}", series.join("."));
    let Some(revision) = revision(&package, version)? else {
        println!("there is no {package} of version {version}");
        return Ok(None);
    };
    println!("building modules of {package} {revision}");
    let work = place.join("work");
    let fail = |e: std::io::Error| format!("{}: {e}", place.display());
    if work.exists() {
        // Half of an earlier attempt.
        std::fs::remove_dir_all(&work).map_err(fail)?;
    }
    std::fs::create_dir_all(&work).map_err(fail)?;
    let tree = unpack(&work, &package, &revision)?;
    let config = output(Command::new("linux.uml").arg("--showconfig"))?;
    std::fs::write(tree.join(".config"), config).map_err(fail)?;
    make(&tree, &["modules_prepare"])?;
    compile(&tree, &work.join("modules"))?;
    for name in MODULES {
        std::fs::copy(work.join(format!("modules/{name}.ko")), file(name)).map_err(fail)?;
    }
    std::fs::remove_dir_all(&work).map_err(fail)?;
    Ok(Some(place))
}

/// Debian's revision of the source of `version`, as far as it is known here.
fn revision(package: &str, version: &str) -> Result<Option<String>> {
    let wanted = format!("{version}-");
    for attempt in 0..2 {
        if attempt == 1 {
            run(Command::new("apt-get").args(["update", "-qq"]))?;
        }
        let known = output(Command::new("apt-cache").args(["madison", package]))?;
        let found = known
            .lines()
            .filter_map(|line| line.split('|').nth(1))
            .map(str::trim)
            .find(|revision| revision.starts_with(&wanted));
        if let Some(found) = found {
            return Ok(Some(found.to_owned()));
        }
    }
    Ok(None)
}

/// The source tree, without what is not read.
fn unpack(work: &Path, package: &str, revision: &str) -> Result<PathBuf> {
    run(Command::new("apt-get")
        .args(["download", "-qq", &format!("{package}={revision}")])
        .current_dir(work))?;
    let archive = std::fs::read_dir(work)
        .map_err(|e| format!("{}: {e}", work.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "deb"))
        .ok_or("apt-get has downloaded nothing")?;
    run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(work))?;
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(work);
    for part in UNREAD {
        tar.arg(format!("--exclude={package}/{part}"));
    }
    run(tar
        .arg("-xJf")
        .arg(work.join(format!("usr/src/{package}.tar.xz"))))?;
    Ok(work.join(package))
}

fn make(tree: &Path, words: &[&str]) -> Result<()> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    run(Command::new("make")
        .arg("-C")
        .arg(tree)
        .args(["-s", "ARCH=um", &format!("-j{jobs}")])
        .args(words)
        // Warnings about symbols: they are the kernel's own, whose list is not there.
        .stderr(std::process::Stdio::null()))
}

fn compile(tree: &Path, place: &Path) -> Result<()> {
    let fail = |e: std::io::Error| format!("{}: {e}", place.display());
    let sources = tree.join("net/netfilter");
    std::fs::create_dir_all(place).map_err(fail)?;
    let mut objects = String::new();
    for name in MODULES {
        std::fs::copy(
            sources.join(format!("{name}.c")),
            place.join(format!("{name}.c")),
        )
        .map_err(fail)?;
        objects.push_str(&format!(" {name}.o"));
    }
    let rules = format!(
        "obj-m :={objects}\nccflags-y := {OPTIONS} -I{}\n",
        sources.display()
    );
    std::fs::write(place.join("Makefile"), rules).map_err(fail)?;
    let of = format!("M={}", place.display());
    make(tree, &[&of, "KBUILD_MODPOST_WARN=1", "modules"])
}
