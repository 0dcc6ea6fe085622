//! The keepalived daemon (layer L4).
//!
//! In: a command line, a configuration file, signals. Out: a parent that starts, watches and reloads
//! its children, one child per subsystem, log lines, pid files, dumps.
//! Who may use it: the `keepalived` binary and its tests.
//! Answers to: keepalived-behaviour.md sections 1, 2 and 10 (keepalived 2.3.3 core/main.c).

#[cfg(feature = "snmp")]
pub mod agentx;
#[cfg(feature = "bfd")]
pub mod bfd;
pub mod check;
pub mod child;
pub mod cli;
pub mod config;
#[cfg(feature = "dbus")]
pub mod dbus;
pub mod dump_name;
#[cfg(feature = "lvs")]
pub mod genhash;
pub mod host;
pub mod ipc;
pub mod ipvs;
#[cfg(test)]
mod manual;
#[cfg(feature = "snmp")]
pub mod mib;
pub mod nf_tables;
pub mod not_built;
pub mod notify_fifo;
mod parent;
pub mod paths;
pub mod process;
pub mod smtp;
pub mod text;
pub mod vrrp;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Entry point of the binary.
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().map(|w| w.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_else(|| "keepalived".to_owned());
    let words: Vec<String> = words.collect();
    // A link of that name makes the program the hash tool.
    if Path::new(&program)
        .file_name()
        .is_some_and(|name| name == "genhash")
    {
        return hash(&program, true, words.len(), &words).into();
    }
    let parsed = cli::parse(
        &program,
        &words,
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    );
    match parsed {
        cli::Parsed::Exit(status) => status.into(),
        cli::Parsed::Genhash(rest) => hash(&program, false, words.len(), &rest).into(),
        cli::Parsed::Run(options) => run(&program, &words, *options).into(),
    }
}

#[cfg(feature = "lvs")]
fn hash(program: &str, is_genhash: bool, count: usize, words: &[String]) -> u8 {
    // Only `ps` shows it.
    let _ = linux_io::process::set_name("genhash");
    let (out, err) = (&mut std::io::stdout(), &mut std::io::stderr());
    genhash::main(program, is_genhash, count, words, out, err)
}

#[cfg(not(feature = "lvs"))]
fn hash(_program: &str, _is_genhash: bool, _count: usize, _words: &[String]) -> u8 {
    let _ = writeln!(
        std::io::stderr(),
        "genhash: this program was built without load balancing"
    );
    1
}

fn run(program: &str, words: &[String], options: cli::Options) -> u8 {
    if options.config_test {
        if let Some(log) = &options.config_test_log {
            if let Err(e) = linux_io::process::output_to_file(Path::new(log)) {
                let number = e.raw_os_error().unwrap_or(0);
                let _ = writeln!(
                    std::io::stderr(),
                    "Unable to open config-test log file {log} {number} - {e}"
                );
                return 1;
            }
        }
        return config::test(&host::System::new(), &options);
    }
    parent::run(program, words, options)
}
