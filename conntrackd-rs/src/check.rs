//! `--test`: everything that is wrong with a configuration file, in one run.
//!
//! The reader stops at the first error, as the original does. So what it stumbled over is blanked out, with the block it
//! opens, and the file is read again, until the reader gets through or does not get on.

use std::path::Path;
use std::process::ExitCode;

use conf_parsers::conntrackd::{self as conf, Diagnostic, Severity};
use linux_io::ifname;

use crate::text::log::reason;

/// Most times that the file is read.
const MOST_ERRORS: usize = 100;

/// Reports on a file: `FILE:LINE: error: TEXT` on stderr, 1 when there are errors.
pub fn report(path: &Path) -> ExitCode {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) => {
            eprintln!("{}: error: {}", path.display(), reason(&e));
            return ExitCode::FAILURE;
        }
    };
    let mut findings = read(text, &|name| ifname::index_of(name).is_some());
    findings.sort_by_key(|finding| finding.line);
    for Finding { line, error, text } in &findings {
        let word = if *error { "error" } else { "warning" };
        match line {
            0 => eprintln!("{}: {word}: {text}", path.display()),
            line => eprintln!("{}:{line}: {word}: {text}", path.display()),
        }
    }
    if findings.iter().any(|finding| finding.error) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// From 1; 0 when it concerns no line.
    line: u32,
    error: bool,
    text: String,
}

fn read(mut text: Vec<u8>, interface_exists: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut last_error = None;
    for _ in 0..MOST_ERRORS {
        let outcome = conf::parse(&text, interface_exists);
        let mut stopped = None;
        for diagnostic in outcome.diagnostics {
            let error = diagnostic.severity == Severity::Error;
            let finding = Finding {
                line: diagnostic.span.line,
                error,
                text: diagnostic.kind.to_string().trim_end().to_owned(),
            };
            // Warnings come again with every reading.
            if !findings.contains(&finding) {
                findings.push(finding);
            }
            if error {
                stopped = Some(diagnostic);
            }
        }
        if let Some(config) = outcome.config {
            findings.extend(unusable(&config));
            return findings;
        }
        let Some(at) = stopped else { break };
        // The reader must get further each time, or the rest would be guesswork.
        if last_error.is_some_and(|last| last >= at.span.start) || !blank(&mut text, &at) {
            break;
        }
        last_error = Some(at.span.start);
    }
    findings
}

/// What the start would refuse although the file can be read.
fn unusable(config: &conf::Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    if let Some(sync) = &config.sync {
        if sync.links.is_empty() {
            findings.push(Finding {
                line: 0,
                error: true,
                text: "`Sync' has no dedicated link".to_owned(),
            });
        }
    }
    #[cfg(not(feature = "helper"))]
    if config.helper.is_some() {
        findings.push(Finding {
            line: 0,
            error: true,
            text: "Helper support is disabled, recompile conntrackd".to_owned(),
        });
    }
    findings
}

/// Blanks out the line of a token and the block that it opens; `false` at the end of the file.
fn blank(text: &mut [u8], at: &Diagnostic) -> bool {
    let Ok(start) = usize::try_from(at.span.start) else {
        return false;
    };
    let Some(&token) = text.get(start) else {
        return false;
    };
    let before = text.get(..start).unwrap_or_default();
    // A statement begins with its line, or behind a brace on it.
    let begin = |text: &[u8]| {
        text.iter()
            .rposition(|b| matches!(b, b'\n' | b'{' | b'}'))
            .map_or(0, |i| i + 1)
    };
    let mut from = begin(before);
    let mut to = start;
    if token == b'}' {
        // Something before it is not complete.
        to = before
            .iter()
            .rposition(|b| !b.is_ascii_whitespace())
            .map_or(0, |i| i + 1);
        from = begin(text.get(..to).unwrap_or_default());
    } else {
        let mut depth = 0_u32;
        let mut comment = false;
        for (i, b) in text.iter().enumerate().skip(start) {
            to = i;
            match b {
                b'\n' => comment = false,
                _ if comment => {}
                b'#' => comment = true,
                b'{' => depth = depth.saturating_add(1),
                b'}' if depth == 0 => break,
                b'}' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        to = i.saturating_add(1);
                        break;
                    }
                }
                _ => {}
            }
            if *b == b'\n' && depth == 0 {
                // A block may open on the next line.
                let next = text
                    .get(i..)
                    .and_then(|rest| rest.iter().find(|b| !b.is_ascii_whitespace()));
                if next != Some(&b'{') {
                    break;
                }
            }
        }
    }
    let mut changed = false;
    for b in text.iter_mut().take(to).skip(from) {
        if !b.is_ascii_whitespace() {
            *b = b' ';
            changed = true;
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u32, bool)> {
        read(text.as_bytes().to_vec(), &|_| true)
            .into_iter()
            .map(|f| (f.line, f.error))
            .collect()
    }

    #[test]
    fn all_errors_are_found_in_one_run() {
        let text = "Sync {\n Mode FTFW {\n  ResendQueSize 5\n  ACKWindowSize 300\n }\n UDP {\n  Port\n }\n\
                    Nonsense {\n  Port 1\n  More { }\n }\n}\nGeneral {\n Nice 5\n Backlog 3\n HashSize 4\n}\nGenral {\n}\n";
        assert_eq!(
            lines(text),
            [
                (3, true),
                (8, true),
                (9, true),
                (15, true),
                (16, true),
                (19, true)
            ]
        );
    }

    #[test]
    fn errors_behind_braces_on_a_line_do_not_hide_others() {
        let text = "Sync { Mode FTFW { ResendQueueSize abc\n }\n UDP { Port 99\n Interfac lo\n } }\n\
                    General { Nice big\n HashSize 4\n Hashsize\n UNIX { Path\n } }\n";
        assert_eq!(
            lines(text),
            [(1, true), (4, true), (6, true), (8, true), (10, true)]
        );
    }

    #[test]
    fn a_good_file_has_no_findings() {
        assert_eq!(
            lines("Sync { Mode FTFW { } UDP { Interface eth0 Port 1 } }"),
            []
        );
        assert_eq!(lines(""), []);
    }

    #[test]
    fn what_the_start_would_refuse_is_told() {
        assert_eq!(lines("Sync { Mode ALARM { } }"), [(0, true)]);
    }

    #[test]
    fn the_end_of_the_file_is_the_end() {
        assert_eq!(lines("Sync {\n Mode FTFW {\n"), [(3, true)]);
        assert_eq!(lines("}"), [(1, true)]);
        for text in [
            "{",
            "{{{{",
            "\n\n}",
            "Sync { } } }",
            "#{\n}",
            "Sync\n{\nFoo\n{\n#}\n}\n}",
        ] {
            let _ = lines(text);
        }
    }
}
