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
    /// What the distribution's build has beyond our defaults.
    features: &'static [&'static str],
    /// Further files: from below the daemon's folder, to below the root.
    files: &'static [(&'static str, &'static str)],
    /// Directories that are the administrator's.
    directories: &'static [&'static str],
}

const PACKAGES: &[Package] = &[
    Package {
        folder: "keepalived-rs",
        daemon: "keepalived",
        version: "2.4.3",
        features: &["keepalived-rs/dbus"],
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
        ],
        directories: &["etc/keepalived"],
    },
    Package {
        folder: "conntrackd-rs",
        daemon: "conntrackd",
        version: "1.4.9",
        features: &[],
        files: &[(
            "debian/conntrackd.conf",
            "usr/share/conntrackd/conntrackd.conf",
        )],
        directories: &["etc/conntrackd"],
    },
];

/// Builds both; the files.
pub(crate) fn build() -> Result<Vec<PathBuf>> {
    let mut build = cargo(&["build", "--release", "--quiet", "--locked"]);
    for package in PACKAGES {
        build.args(["-p", package.folder]);
        for feature in package.features {
            build.args(["--features", feature]);
        }
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
    for directory in package.directories {
        fs::create_dir_all(tree.join(directory)).map_err(|e| e.to_string())?;
    }
    let manual = folder.join("man");
    if manual.exists() {
        pages(&manual, &tree)?;
    }
    let control = tree.join("DEBIAN");
    let depends = libraries(&binary, &out)?;
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
        // What only this package does comes first, behind the line of the shell.
        let own = fs::read_to_string(folder.join("debian").join(script)).unwrap_or_default();
        let (shell, rest) = common
            .split_once('\n')
            .ok_or_else(|| format!("{script}: empty"))?;
        let text = format!("{shell}\n{own}{rest}").replace("@SERVICE@", &service);
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

fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let fail = |e: std::io::Error| format!("{} to {}: {e}", from.display(), to.display());
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(fail)?;
    }
    fs::copy(from, to).map_err(fail)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(fail)
}
