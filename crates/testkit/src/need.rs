//! What a test needs of the machine, and what happens where it is missing: skip loudly, be counted, never in CI.

use std::io::Write;
use std::path::PathBuf;

use crate::sut::ORIGINAL_ROOT;

/// The environment variable that names the file in which skipped tests are listed.
pub const SKIPPED: &str = "SKIPPED_TESTS";

/// Set where an emulator runs the tests, which has not all of the kernel: `cargo xtask cross` does it.
const EMULATED: &str = "EMULATED";

/// Whether the calling test runs on a real kernel; an emulator does not translate all of netlink. `false` after saying so.
#[must_use]
pub fn kernel(test: &str) -> bool {
    let emulated = std::env::var_os(EMULATED).is_some();
    if emulated {
        eprintln!("LEFT OUT {test}: the emulator is no kernel");
    }
    !emulated
}

/// Whether the machine's OpenSSL and PCRE2 can be loaded: not into a program for another CPU, nor into a static one. `false` after
/// saying so.
#[must_use]
pub fn libraries(test: &str) -> bool {
    let fixed = cfg!(all(target_env = "musl", target_feature = "crt-static"));
    let load = !fixed && std::env::var_os(EMULATED).is_none();
    if !load {
        eprintln!("LEFT OUT {test}: a library of the machine can not be loaded into this program");
    }
    load
}

/// Whether the calling test may go on as root, on a real kernel. `false` after saying that it is skipped.
///
/// # Panics
/// In CI, where nothing may be skipped.
#[must_use]
pub fn root(test: &str) -> bool {
    kernel(test) && (nix::unistd::geteuid().is_root() || skip(test, "it needs root"))
}

/// The root of the originals. `None` after saying that the calling test is skipped.
///
/// # Panics
/// In CI, where nothing may be skipped.
#[must_use]
pub fn originals(test: &str) -> Option<PathBuf> {
    let root = std::env::var_os(ORIGINAL_ROOT).map(PathBuf::from);
    let found = root.filter(|r| r.join("usr/sbin/keepalived").exists());
    if found.is_none() {
        skip(
            test,
            &format!("it needs the originals ({ORIGINAL_ROOT}; `cargo xtask install` makes them)"),
        );
    }
    found
}

/// Says that `test` is skipped and why. Always `false`.
///
/// # Panics
/// In CI, where nothing may be skipped.
pub fn skip(test: &str, why: &str) -> bool {
    assert!(
        std::env::var_os("CI").is_none(),
        "{test} can not run: {why}"
    );
    eprintln!("SKIPPED {test}: {why}");
    if let Some(path) = std::env::var_os(SKIPPED) {
        // A list that can not be written only makes the count smaller; the line above was printed.
        if let Ok(mut list) = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path)
        {
            drop(writeln!(list, "{test}: {why}"));
        }
    }
    false
}
