//! The C compiler of a target: it links, and it compiles musl.

use std::fs;
use std::path::PathBuf;

use super::Target;
use super::packages::{Place, on_path, unpack, write};
use crate::Result;

/// Where the tools are.
#[derive(Debug)]
pub(super) struct Compiler {
    pub(super) cc: PathBuf,
    pub(super) ar: PathBuf,
    pub(super) objcopy: PathBuf,
}

pub(super) fn prepare(place: &Place, target: &Target) -> Result<Compiler> {
    let native = target.qemu.is_empty();
    if !native {
        unpack(place, &[&format!("gcc-{}", target.gnu), target.libc])?;
        relative_linker_scripts(place, target)?;
    }
    let tool = |name: &str| {
        let plain = if native {
            name.to_owned()
        } else {
            format!("{}-{name}", target.gnu)
        };
        let own = place.system.join("usr/bin").join(&plain);
        if !native && own.exists() {
            place.wrap(&plain, &own)
        } else {
            on_path(&plain).ok_or_else(|| format!("no {plain}; please install gcc and binutils"))
        }
    };
    // The compiler looks for these itself, beside the unpacked one.
    Ok(Compiler {
        cc: tool("gcc")?,
        ar: tool("ar")?,
        objcopy: tool("objcopy")?,
    })
}

/// The C library's linker scripts hold absolute paths, which lead nowhere here.
fn relative_linker_scripts(place: &Place, target: &Target) -> Result<()> {
    let dir = place.system.join("usr").join(target.gnu).join("lib");
    let Ok(files) = fs::read_dir(&dir) else {
        // The system's own C library is used.
        return Ok(());
    };
    for file in files {
        let path = file.map_err(|e| e.to_string())?.path();
        if path.extension().is_none_or(|e| e != "so") {
            continue;
        }
        // Real libraries are not text.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let prefix = format!("/usr/{}/lib/", target.gnu);
        if text.contains(&prefix) {
            write(&path, &text.replace(&prefix, ""))?;
        }
    }
    Ok(())
}
