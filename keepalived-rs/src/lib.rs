//! The keepalived daemon (layer L4).
//!
//! In: a command line, a configuration file, signals. Out: a parent that starts, watches and reloads
//! its children, one child per subsystem, log lines, pid files, dumps.
//! Who may use it: the `keepalived` binary and its tests.
//! Answers to: keepalived-behaviour.md sections 1, 2 and 10 (keepalived 2.3.3 core/main.c).

pub mod cli;
pub mod host;
pub mod paths;
pub mod text;

/// Entry point of the binary.
pub fn main() -> std::process::ExitCode {
    let mut words = std::env::args_os().map(|w| w.to_string_lossy().into_owned());
    let program = words.next().unwrap_or_else(|| "keepalived".to_owned());
    let words: Vec<String> = words.collect();
    match cli::parse(
        &program,
        &words,
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    ) {
        cli::Parsed::Exit(status) => status.into(),
        cli::Parsed::Run(_) => std::process::ExitCode::FAILURE,
    }
}
