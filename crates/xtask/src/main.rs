//! `cargo xtask`: what a person does with this repository, one word each.

mod again;
mod cross;
mod deb;
mod demo;
mod ftp;
mod guest_modules;
mod install;
mod lab;
mod layers;
mod openwrt;
mod pair;
mod size;
mod steps;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, String>;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo [MAKE MAKE]   two routers from the high-availability page; one fails, a session survives
                     (MAKE is ours or original, for router 1 and router 2; default ours ours)
  test               install what is needed, then run every check and test
  pair               the high-availability page with every mix of ours and the originals
  ftp [FOLDER]       FTP transfers through the pair survive a failover (FOLDER holds both daemons)
  layers             check who depends on whom
  size               build under OpenWrt's release profile and print the bytes of both daemons
  deb                build Debian packages that replace the distribution's
  deb change         and change to them and back, on a Debian system that is thrown away
  cross TARGET...    build for router CPUs, and run there what an emulator can
  lab [TARGET]       the laboratory's tests on the release build, as it is shipped; TARGET is musl for the static one
  openwrt [STEP...]  check the packages of openwrt-feed/ beside the originals', without a router
  guest-modules      build the modules for helpers in user space that the tests' guest kernel lacks
  install            only install what the tests need (Debian packages, the originals)
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["demo", makes @ ..] => demo::run(makes),
        ["test"] => test::run(),
        ["pair"] => pair::run(),
        ["ftp"] => ftp::run(None),
        ["ftp", folder] => ftp::run(Some(folder)),
        ["layers"] => layers::check(),
        ["size"] => size::print(),
        ["cross", targets @ ..] if !targets.is_empty() => cross::run(targets),
        ["lab"] => lab::run(None),
        ["lab", target] => lab::run(Some(target)),
        ["openwrt", steps @ ..] => openwrt::run(steps),
        ["deb"] => deb::build().map(drop),
        ["deb", "change"] => deb::change::play(),
        ["guest-modules"] => guest_modules::build().map(|place| {
            if let Some(place) = place {
                println!("{}", place.display());
            }
        }),
        ["install"] => install::everything().map(drop),
        _ => {
            eprint!("{USAGE}\ntargets: {}\n", cross::names());
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The top folder of the repository.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .map_or_else(|| here.clone(), PathBuf::from)
}

/// Where cargo puts what it builds.
fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
