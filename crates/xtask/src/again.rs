//! Tests of the laboratory get a second try, said aloud.
//!
//! They play two makes on real clocks, links and kernels. A machine that stands still for a moment in the middle of one breaks what
//! the test has arranged, the original's part as well as ours. What fails twice, the second time with the machine to itself, fails.
//! All other tests have no second try: time is an argument there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::Result;

/// So many failures at most are looked at again; more are no accident.
const LIMIT: usize = 3;

/// What starts the names of tests that need a real kernel or the originals.
const LABORATORY: [&str; 3] = ["lab_", "ref_", "uml_"];

/// Runs `cargo test --no-fail-fast` as `command` makes it, and the laboratory's tests that failed once more, one after the other.
///
/// # Errors
/// When a test fails twice, or one that has no second try fails.
pub(crate) fn tests(command: impl Fn() -> Command) -> Result<()> {
    let mut seen = Seen::default();
    let Err(why) = first(&command(), &mut seen) else {
        return Ok(());
    };
    if !seen.may_try_again() {
        return Err(why);
    }
    let names = seen.failed;
    println!("TRIED AGAIN: {} tests: {}", names.len(), names.join(", "));
    let mut again = command();
    // Filters that were given already are exact now, too, and so match nothing; other options stay.
    if !again.get_args().any(|word| word == "--") {
        again.arg("--");
    }
    let mut second = Seen::default();
    first(
        again.args(["--exact", "--test-threads=1"]).args(&names),
        &mut second,
    )?;
    // Nothing to run would be no failure either.
    if second.passed < names.len() {
        return Err(format!(
            "{why}; only {} of them were found again",
            second.passed
        ));
    }
    println!("{} tests passed the second time only", names.len());
    Ok(())
}

/// Runs the command and passes its output on. What cargo says and what the tests say come in one stream, so that each is seen in
/// its place.
fn first(command: &Command, seen: &mut Seen) -> Result<()> {
    if !command.get_args().any(|word| word == "--no-fail-fast") {
        return Err("a second try needs --no-fail-fast: all tests have to run once".to_owned());
    }
    let fail = |e: std::io::Error| format!("cargo: {e}");
    let mut merged = Command::new("sh");
    merged
        .args(["-c", "exec \"$@\" 2>&1", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if let Some(dir) = command.get_current_dir() {
        merged.current_dir(dir);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => merged.env(name, value),
            None => merged.env_remove(name),
        };
    }
    let mut child = merged.spawn().map_err(fail)?;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = String::from_utf8_lossy(&line.map_err(fail)?).into_owned();
            println!("{line}");
            seen.line(&line);
        }
    }
    let status = child.wait().map_err(fail)?;
    if status.success() {
        return Ok(());
    }
    Err(format!("tests failed: {status}"))
}

/// What the output of `cargo test` told.
#[derive(Debug, Default)]
struct Seen {
    failed: Vec<String>,
    /// Whether a test of the present program failed.
    named: bool,
    /// A program failed otherwise than by a test.
    unexplained: bool,
    /// How many tests passed, by the results of the programs.
    passed: usize,
}

impl Seen {
    fn line(&mut self, line: &str) {
        let name = line.strip_prefix("test ");
        if let Some(name) = name.and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.named = true;
            // What runs in a guest says it there, too.
            if !self.failed.iter().any(|known| known == name) {
                self.failed.push(name.to_owned());
            }
        }
        // Cargo's line behind each program that failed, and what it says of one that was killed.
        if line.starts_with("error: ") && line.contains("test failed, to rerun pass") {
            self.unexplained |= !std::mem::take(&mut self.named);
        }
        self.unexplained |= line.starts_with("Caused by:");
        let result = line.strip_prefix("test result: ok. ");
        let passed = result.and_then(|rest| rest.split(" passed").next());
        self.passed += passed.and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    }

    fn may_try_again(&self) -> bool {
        let laboratory = |name: &String| {
            let last = name.rsplit("::").next().unwrap_or(name);
            LABORATORY.iter().any(|start| last.starts_with(start))
        };
        (1..=LIMIT).contains(&self.failed.len())
            && !self.unexplained
            && self.failed.iter().all(laboratory)
    }
}

#[cfg(test)]
mod tests {
    use super::{Seen, first, tests};
    use std::process::Command;

    fn seen(lines: &[&str]) -> Seen {
        let mut seen = Seen::default();
        for line in lines {
            seen.line(line);
        }
        seen
    }

    const FAILED: &str = "error: test failed, to rerun pass `-p keepalived-rs --test beside`";

    #[test]
    fn one_test_of_the_laboratory_is_tried_again() {
        let seen = seen(&["test a::ref_one ... FAILED", "test lab_two ... ok", FAILED]);
        assert_eq!(seen.failed, ["a::ref_one"]);
        assert!(seen.may_try_again());
    }

    #[test]
    fn other_tests_are_not() {
        assert!(!seen(&["test a::lab::one ... FAILED", FAILED]).may_try_again());
    }

    #[test]
    fn a_program_that_is_killed_fails() {
        let killed = [
            "test ref_one ... FAILED",
            FAILED,
            "Caused by:",
            "  process didn't exit successfully: `x` (signal: 11, SIGSEGV: invalid memory reference)",
        ];
        assert!(!seen(&killed).may_try_again());
    }

    #[test]
    fn a_failure_without_a_test_fails() {
        assert!(!seen(&["test ref_one ... FAILED", FAILED, FAILED]).may_try_again());
    }

    #[test]
    fn many_failures_are_no_accident() {
        let lines = [0, 1, 2, 3].map(|n| format!("test lab_{n} ... FAILED"));
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        lines.push(FAILED);
        assert!(!seen(&lines).may_try_again());
    }

    #[test]
    fn a_documentation_test_that_fails_is_seen() {
        let doc = "error: doctest failed, to rerun pass `-p nfct --doc`";
        assert!(!seen(&["test ref_one ... FAILED", FAILED, doc]).may_try_again());
    }

    /// `cargo test` as a script plays it: the first time a test fails, then `then` is said.
    fn played(name: &str, then: &str) -> super::Result<()> {
        let mark = std::env::temp_dir().join(format!("again-{name}-{}", std::process::id()));
        let script = "if mkdir \"$MARK\"; then echo 'test ref_one ... FAILED'; echo \"$LINE\"; exit 101; fi; echo \"$THEN\"";
        let result = tests(|| {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh", "--no-fail-fast"]);
            command
                .env("MARK", &mark)
                .env("LINE", FAILED)
                .env("THEN", then);
            command
        });
        std::fs::remove_dir(&mark).unwrap();
        result
    }

    #[test]
    fn the_second_try_must_run_the_test() {
        let one = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.00s";
        assert_eq!(played("one", one), Ok(()));
        assert!(played("none", &one.replace("1 passed", "0 passed")).is_err());
    }

    #[test]
    fn both_streams_are_read() {
        let script = "echo 'test ref_one ... FAILED'; echo \"$LINE\" >&2; exit 101";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, "--no-fail-fast"])
            .env("LINE", FAILED);
        let mut seen = Seen::default();
        assert!(first(&command, &mut seen).is_err());
        assert!(!seen.named && seen.may_try_again());
    }
}
