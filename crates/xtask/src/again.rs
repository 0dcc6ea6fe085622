//! Tests of the laboratory get a second try, said aloud.
//!
//! They play two makes on real clocks, links and kernels. A machine that stands still for a moment in the middle of one breaks what
//! the test has arranged, the original's part as well as ours. What fails twice, the second time with the machine to itself, fails.
//! All other tests have no second try: time is an argument there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::Result;
use crate::steps::run;

/// So many failures at most are looked at again; more are no accident.
const LIMIT: usize = 3;

/// What starts the names of tests that need a real kernel or the originals.
const LABORATORY: [&str; 3] = ["lab_", "ref_", "uml_"];

/// Runs `cargo test` as `command` makes it, and the laboratory's tests that failed once more, one after the other.
///
/// # Errors
/// When a test fails twice, or one that has no second try fails.
pub(crate) fn tests(command: impl Fn() -> Command) -> Result<()> {
    let mut seen = Seen::default();
    let result = first(command(), &mut seen);
    let Some(why) = result.err() else {
        return Ok(());
    };
    if !seen.may_try_again() {
        return Err(why);
    }
    let names = seen.failed;
    println!("TRIED AGAIN: {} tests: {}", names.len(), names.join(", "));
    let mut again = command();
    // A filter that was given still stands: exact names only narrow it.
    if !again.get_args().any(|word| word == "--") {
        again.arg("--");
    }
    run(again.args(["--exact", "--test-threads=1"]).args(&names))?;
    println!("{} tests passed the second time only", names.len());
    Ok(())
}

/// Runs the command and passes its output on.
fn first(mut command: Command, seen: &mut Seen) -> Result<()> {
    let fail = |e: std::io::Error| format!("cargo: {e}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(fail)?;
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
    /// Programs that began less those that told a result: one that is killed tells none.
    unfinished: usize,
    /// Failures by the results' count.
    counted: usize,
}

impl Seen {
    fn line(&mut self, line: &str) {
        if line.starts_with("running ") && line.contains(" test") {
            self.unfinished += 1;
        }
        let name = line.strip_prefix("test ");
        if let Some(name) = name.and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failed.push(name.to_owned());
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            self.unfinished = self.unfinished.saturating_sub(1);
            let count = result
                .split("; ")
                .find_map(|part| part.strip_suffix(" failed"));
            self.counted += count.and_then(|n| n.parse().ok()).unwrap_or(0);
        }
    }

    fn may_try_again(&self) -> bool {
        let laboratory = |name: &String| {
            let last = name.rsplit("::").next().unwrap_or(name);
            LABORATORY.iter().any(|start| last.starts_with(start))
        };
        (1..=LIMIT).contains(&self.failed.len())
            && self.failed.len() == self.counted
            && self.unfinished == 0
            && self.failed.iter().all(laboratory)
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    fn seen(text: &str) -> Seen {
        let mut seen = Seen::default();
        for line in text.lines() {
            seen.line(line);
        }
        seen
    }

    const RESULT: &str = "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.31s";

    #[test]
    fn one_test_of_the_laboratory_is_tried_again() {
        let text =
            format!("running 2 tests\ntest a::ref_one ... FAILED\ntest lab_two ... ok\n{RESULT}");
        let seen = seen(&text);
        assert_eq!(seen.failed, ["a::ref_one"]);
        assert!(seen.may_try_again());
    }

    #[test]
    fn other_tests_are_not() {
        let text = format!("running 2 tests\ntest a::lab::one ... FAILED\n{RESULT}");
        assert!(!seen(&text).may_try_again());
    }

    #[test]
    fn a_program_that_ended_without_a_result_fails() {
        let text = format!(
            "running 2 tests\ntest ref_one ... FAILED\n{RESULT}\n\nrunning 3 tests\ntest x ... ok\n"
        );
        assert!(!seen(&text).may_try_again());
    }

    #[test]
    fn a_failure_without_a_line_of_its_own_fails() {
        let text = format!("running 1 test\ntest ref_one ... FAILED\n{RESULT}\n");
        assert!(!seen(&format!("{text}running 1 test\n{RESULT}\n")).may_try_again());
    }

    #[test]
    fn many_failures_are_no_accident() {
        let lines: String = (0..4)
            .map(|n| format!("test lab_{n} ... FAILED\n"))
            .collect();
        let result = RESULT.replace("1 failed", "4 failed");
        assert!(!seen(&format!("running 4 tests\n{lines}{result}\n")).may_try_again());
    }
}
