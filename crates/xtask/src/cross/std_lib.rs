//! Rust's standard library, compiled for the target and laid beside the compiler as if it had come with it.

use std::fs;
use std::process::Command;

use super::Target;
use super::cc::Compiler;
use super::packages::{Place, write};
use crate::Result;
use crate::steps::{output, run};

pub(super) fn prepare(place: &Place, target: &Target, compiler: &Compiler) -> Result<()> {
    let rustc = place.bin.join("rustc");
    let version = output(Command::new(&rustc).arg("-V"))?;
    let version = version.split(' ').nth(1).unwrap_or("unknown");
    let stamp = format!("std-{}-{version}", target.triple);
    if place.is_done(&stamp) {
        return Ok(());
    }
    let io = |e: std::io::Error| e.to_string();
    let libraries = place
        .system
        .join("usr/lib/rustlib")
        .join(target.triple)
        .join("lib");
    let work = place.top.join(format!("std-{}", target.triple));
    for dir in [&libraries, &work] {
        // Of an earlier version, or half made.
        let _none = fs::remove_dir_all(dir);
    }
    fs::create_dir_all(&libraries).map_err(io)?;
    fs::create_dir_all(work.join("src")).map_err(io)?;
    write(
        &work.join("Cargo.toml"),
        "[package]\nname = \"nothing\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n[profile.release]\ncodegen-units = 1\n",
    )?;
    write(&work.join("src/lib.rs"), "")?;
    // One crate of std must be compiled with the panic strategy that it implements.
    let careful = place.script(
        "rustc-std",
        &format!(
            "#!/bin/sh\ncase \" $* \" in *' --crate-name panic_abort '*) set -- \"$@\" -Cpanic=abort ;; esac\nexec {} \"$@\"\n",
            rustc.display()
        ),
    )?;
    let linker = format!("CARGO_TARGET_{}_LINKER", target.variable().0);
    let own = if target.is_musl() {
        " -Clink-self-contained=no"
    } else {
        ""
    };
    run(Command::new(place.bin.join("cargo"))
        .current_dir(&work)
        .args(["build", "-q", "--release", "--target", target.triple])
        .arg("-Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test")
        .env_remove("RUSTC_WRAPPER")
        .env("RUSTC", careful)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env(linker, &compiler.cc)
        .env(
            "RUSTFLAGS",
            format!("-Cembed-bitcode=yes -Cforce-unwind-tables=yes{own}"),
        ))?;
    let made = work.join("target").join(target.triple).join("release/deps");
    for file in fs::read_dir(made).map_err(io)? {
        let file = file.map_err(io)?;
        let name = file.file_name().to_string_lossy().into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libnothing") {
            fs::copy(file.path(), libraries.join(name)).map_err(io)?;
        }
    }
    fs::remove_dir_all(&work).map_err(io)?;
    place.set_done(&stamp)
}
