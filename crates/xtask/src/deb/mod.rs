//! Debian packages that replace the distribution's keepalived and conntrackd.

pub(crate) mod change;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{cargo, output, run as run_command};
use crate::{Result, root, target_dir};

/// A package: folder of the daemon in the repository, the daemon, and version of the original that it stands for.
struct Package {
    folder: &'static str,
    daemon: &'static str,
    version: &'static str,
    /// Packages of the libraries that it loads when a configuration wants them.
    loads: &'static [&'static str],
    /// Further files: from below the daemon's folder, to below the root.
    files: &'static [(&'static str, &'static str)],
    /// Files of the administrator: likewise. They are made where they are missing, and go with the package if they are as they were
    /// made by its present version.
    initial: &'static [(&'static str, &'static str)],
    /// Other names of the daemon: where, and what stands there.
    links: &'static [(&'static str, &'static str)],
}

const PACKAGES: &[Package] = &[
    Package {
        folder: "keepalived-rs",
        daemon: "keepalived",
        version: "2.4.3",
        loads: &["libssl3 | libssl3t64", "libpcre2-8-0"],
        files: &[
            (
                "debian/org.keepalived.Vrrp1.conf",
                "usr/share/dbus-1/system.d/org.keepalived.Vrrp1.conf",
            ),
            (
                "debian/org.keepalived.Vrrp1.Vrrp.xml",
                "usr/share/dbus-1/interfaces/org.keepalived.Vrrp1.Vrrp.xml",
            ),
            (
                "debian/org.keepalived.Vrrp1.Instance.xml",
                "usr/share/dbus-1/interfaces/org.keepalived.Vrrp1.Instance.xml",
            ),
            (
                "mibs/KEEPALIVED-MIB.txt",
                "usr/share/snmp/mibs/KEEPALIVED-MIB.txt",
            ),
            (
                "debian/keepalived.conf.sample",
                "usr/share/doc/keepalived-rs/keepalived.conf.sample",
            ),
            ("mibs/VRRP-MIB.txt", "usr/share/snmp/mibs/VRRP-MIB.txt"),
            ("mibs/VRRPv3-MIB.txt", "usr/share/snmp/mibs/VRRPv3-MIB.txt"),
        ],
        initial: &[("debian/default", "etc/default/keepalived")],
        links: &[("usr/bin/genhash", "../sbin/keepalived")],
    },
    Package {
        folder: "conntrackd-rs",
        daemon: "conntrackd",
        version: "1.4.9",
        loads: &[],
        files: &[],
        initial: &[
            ("debian/conntrackd.conf", "etc/conntrackd/conntrackd.conf"),
            ("debian/logrotate", "etc/logrotate.d/conntrackd"),
        ],
        links: &[],
    },
];

/// Builds both; the files.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    let mut build = cargo(&["build", "--release", "--quiet", "--locked"]);
    for package in PACKAGES {
        build.args(["-p", package.folder]);
    }
    run_command(&mut build)?;
    let packages: Result<Vec<_>> = PACKAGES.iter().map(pack).collect();
    let packages = packages?;
    for package in &packages {
        println!("{}", package.display());
    }
    Ok(packages)
}

fn pack(package: &Package) -> Result<PathBuf> {
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let architecture = architecture.trim();
    let version = format!("1:{}+rs{}-1", package.version, env!("CARGO_PKG_VERSION"));
    let folder = root().join(package.folder);
    let out = target_dir().join("debian");
    let tree = out.join(package.folder);
    // Of an earlier build.
    let _absent = fs::remove_dir_all(&tree);
    let binary = target_dir().join("release").join(package.daemon);
    install(&binary, &tree.join("usr/sbin").join(package.daemon), 0o755)?;
    let service = format!("{}.service", package.daemon);
    install(
        &folder.join("debian").join(&service),
        &tree.join("usr/lib/systemd/system").join(&service),
        0o644,
    )?;
    for (from, to) in package.files {
        install(&folder.join(from), &tree.join(to), 0o644)?;
    }
    let docs = tree.join("usr/share/doc").join(package.folder);
    for (from, to) in [("LICENSE", "copyright"), ("COMPAT.md", "COMPAT.md")] {
        install(&root().join(from), &docs.join(to), 0o644)?;
    }
    fs::create_dir_all(tree.join("etc").join(package.daemon)).map_err(|e| e.to_string())?;
    let initial = tree.join("usr/share").join(package.folder).join("initial");
    for (from, to) in package.initial {
        install(&folder.join(from), &initial.join(to), 0o644)?;
    }
    for (at, what) in package.links {
        link(what, &tree.join(at))?;
    }
    let manual = folder.join("man");
    if manual.exists() {
        pages(&manual, &tree)?;
    }
    let control = tree.join("DEBIAN");
    let mut depends = vec![libraries(&binary, &out)?];
    depends.extend(package.loads.iter().map(|name| (*name).to_owned()));
    let depends = depends.join(", ");
    let text = read(&folder.join("debian/control"))?;
    let text = text.replacen(
        "\nSection:",
        &format!(
            "\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: keepalived-rs maintainers <maintainers@localhost>\nDepends: {depends}\nSection:"
        ),
        1,
    );
    write(&control.join("control"), &text, 0o644)?;
    for script in ["postinst", "prerm", "postrm"] {
        let common = read(&root().join("crates/xtask/debian").join(script))?;
        let text = common
            .replace("@SERVICE@", &service)
            .replace("@PACKAGE@", package.folder);
        write(&control.join(script), &text, 0o755)?;
    }
    let file = out.join(format!(
        "{}_{}_{architecture}.deb",
        package.folder,
        &version[2..]
    ));
    run_command(
        Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .arg(&tree)
            .arg(&file)
            .stdout(std::process::Stdio::null()),
    )?;
    Ok(file)
}

/// Manual pages, compressed as Debian wants them.
fn pages(from: &Path, tree: &Path) -> Result<()> {
    for entry in fs::read_dir(from).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        let (Some(name), Some(section)) = (path.file_name(), path.extension()) else {
            continue;
        };
        let name = name.to_string_lossy();
        let section = section.to_string_lossy();
        let to = tree
            .join(format!("usr/share/man/man{section}"))
            .join(name.as_ref());
        install(&path, &to, 0o644)?;
        run_command(Command::new("gzip").args(["-9nf"]).arg(&to))?;
    }
    Ok(())
}

/// The packages of the libraries that a program is linked with.
fn libraries(binary: &Path, work: &Path) -> Result<String> {
    // The tool wants the files of a source package, however empty.
    write(
        &work.join("debian/control"),
        "Source: none\n\nPackage: none\nArchitecture: any\n",
        0o644,
    )?;
    let text = output(
        Command::new("dpkg-shlibdeps")
            .args(["-O", "--ignore-missing-info"])
            .arg(binary)
            .current_dir(work),
    )?;
    text.lines()
        .find_map(|line| line.strip_prefix("shlibs:Depends="))
        .map(str::to_owned)
        .ok_or_else(|| format!("{}: no libraries", binary.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let fail = |e: std::io::Error| format!("{}: {e}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    fs::write(path, text).map_err(fail)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(fail)
}

fn link(what: &str, at: &Path) -> Result<()> {
    let fail = |e: std::io::Error| format!("{}: {e}", at.display());
    if let Some(parent) = at.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    std::os::unix::fs::symlink(what, at).map_err(fail)
}

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let fail = |e: std::io::Error| format!("{} to {}: {e}", from.display(), to.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    fs::copy(from, to).map_err(fail)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(fail)
}
