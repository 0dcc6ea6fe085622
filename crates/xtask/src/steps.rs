//! Running commands as named steps, with the seconds each took.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::{Result, root};

/// `cargo` as it runs this program, in the repository.
pub(crate) fn cargo(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(words).stdin(Stdio::null());
    command
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
    if status.success() {
        return Ok(());
    }
    let words: Vec<_> = command
        .get_args()
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    Err(format!(
        "`{} {}` ended with {status}",
        command.get_program().to_string_lossy(),
        words.join(" ")
    ))
}

/// Runs a command quietly and gives what it wrote to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let out = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("{}: {e}", command.get_program().to_string_lossy()))?;
    if out.status.success() {
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    } else {
        Err(format!(
            "`{}` ended with {}",
            command.get_program().to_string_lossy(),
            out.status
        ))
    }
}

/// Whether a program can be found.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|dir| dir.join(program).exists())
}

/// A list of steps, each printed with its seconds; the first failure ends it.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, f64)>,
}

impl Steps {
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("== {name}");
        let start = Instant::now();
        let result = work();
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "== {name}: {} after {seconds:.1} s",
            if result.is_ok() { "ok" } else { "FAILED" }
        );
        self.done.push((name.to_owned(), seconds));
        result.map_err(|why| format!("{name}: {why}"))
    }

    /// The table of all steps.
    pub(crate) fn print(&self) {
        println!("\nseconds  step");
        for (name, seconds) in &self.done {
            println!("{seconds:7.1}  {name}");
        }
        println!(
            "{:7.1}  together",
            self.done.iter().map(|(_, s)| s).sum::<f64>()
        );
    }
}
