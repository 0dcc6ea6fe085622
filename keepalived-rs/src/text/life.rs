//! Sentences about the life of processes: command line, ends of children, time used.

use linux_io::process::{Exit, Pid};

/// Exit statuses of a child that starting it again would only repeat, with the original's word.
pub const PERMANENT: [(u8, &str); 3] = [(1, "FATAL"), (2, "CONFIG"), (4, "missing permission")];

/// Splits `text` at blanks so that, with `label` in front, no line is longer than about 100 characters; the lines after the first
/// are indented by the label.
pub fn labelled(label: &str, text: &str) -> Vec<String> {
    let width = 100usize.saturating_sub(label.len());
    let mut lines = Vec::new();
    let mut rest = text.trim_start_matches(' ');
    while !rest.is_empty() {
        let end = line_end(rest, width);
        let (line, more) = rest.split_at_checked(end).unwrap_or((rest, ""));
        lines.push(if lines.is_empty() {
            format!("{label}: {line}")
        } else {
            format!("{}{line}", " ".repeat(label.len() + 2))
        });
        rest = more.trim_start_matches(' ');
    }
    lines
}

/// Where the first line of `text` ends: all of it, or the last blank within `width`, or in the middle of a word.
fn line_end(text: &str, width: usize) -> usize {
    if text.len() <= width {
        return text.len();
    }
    let blank = text
        .char_indices()
        .take_while(|(at, _)| *at <= width)
        .filter(|(at, c)| *c == ' ' && *at > 0)
        .map(|(at, _)| at)
        .last();
    blank.unwrap_or_else(|| {
        let mut end = width.max(1);
        while !text.is_char_boundary(end) {
            end += 1;
        }
        end
    })
}

/// The words of the command line in quotes.
pub fn command_line(program: &str, words: &[String]) -> Vec<String> {
    let mut text = format!("'{program}'");
    for word in words {
        text.push_str(" '");
        text.push_str(word);
        text.push('\'');
    }
    labelled("Command line", &text)
}

/// What is logged when `name` has ended, and the status to end with if starting it again makes no sense.
pub fn child_ended(name: &str, exit: Exit, command_line: &[String]) -> (Vec<String>, Option<u8>) {
    match exit {
        Exit::Code(0) => (Vec::new(), None),
        Exit::Code(status) => match PERMANENT.iter().find(|p| p.0 == status) {
            Some((_, word)) => (
                vec![format!(
                    "{name} exited with permanent error {word}. Terminating"
                )],
                Some(status),
            ),
            None => (vec![format!("{name} exited with status {status}")], None),
        },
        Exit::Signal { signal: 11, .. } => (crash(name, command_line), None),
        Exit::Signal { signal, .. } => {
            let hint = if signal == 9 {
                " - has rlimit_rttime been exceeded?"
            } else {
                ""
            };
            (
                vec![format!(
                    "{name} exited due to signal {signal} ({}){hint}",
                    signal_words(signal)
                )],
                None,
            )
        }
    }
}

/// The block about a crash, with what a report needs.
fn crash(name: &str, command_line: &[String]) -> Vec<String> {
    let mut lines = vec![
        format!("{name} exited due to segmentation fault (SIGSEGV)."),
        "  Please report a bug to the keepalived-rs authors,".to_owned(),
        "  and include this log from when keepalived started, a description".to_owned(),
        "  of what happened before the crash, your configuration file and the details below."
            .to_owned(),
        format!(
            "  Source version keepalived-rs {}",
            env!("CARGO_PKG_VERSION")
        ),
        format!("  Running on {}", super::version::Kernel::running().line()),
    ];
    lines.extend(command_line.iter().map(|line| format!("  {line}")));
    lines
}

/// What strsignal(3) says. The numbers differ between architectures, so names decide.
fn signal_words(number: i32) -> String {
    use nix::sys::signal::Signal as Named;
    let first = linux_io::signal::sigrtmin();
    if number >= first {
        return format!("Real-time signal {}", number - first);
    }
    let words = match Named::try_from(number) {
        Ok(Named::SIGHUP) => "Hangup",
        Ok(Named::SIGINT) => "Interrupt",
        Ok(Named::SIGQUIT) => "Quit",
        Ok(Named::SIGILL) => "Illegal instruction",
        Ok(Named::SIGTRAP) => "Trace/breakpoint trap",
        Ok(Named::SIGABRT) => "Aborted",
        Ok(Named::SIGBUS) => "Bus error",
        Ok(Named::SIGFPE) => "Floating point exception",
        Ok(Named::SIGKILL) => "Killed",
        Ok(Named::SIGUSR1) => "User defined signal 1",
        Ok(Named::SIGUSR2) => "User defined signal 2",
        Ok(Named::SIGPIPE) => "Broken pipe",
        Ok(Named::SIGALRM) => "Alarm clock",
        Ok(Named::SIGTERM) => "Terminated",
        Ok(Named::SIGXCPU) => "CPU time limit exceeded",
        Ok(Named::SIGXFSZ) => "File size limit exceeded",
        Ok(Named::SIGSYS) => "Bad system call",
        _ => return format!("Unknown signal {number}"),
    };
    words.to_owned()
}

/// What is logged when a child that should run is started again; the first line is for LOG_ALERT.
pub fn respawning(word: &str, pid: Pid) -> [String; 4] {
    [
        format!("{word} child process({}) died: Respawning", pid.get()),
        "  Please log an issue with the keepalived-rs authors,".to_owned(),
        "  and include a full copy of your keepalived configuration files, and".to_owned(),
        "  copies of the keepalived system log entries around the time this happened".to_owned(),
    ]
}

/// `seconds.micros` of a time used.
fn used(time: &nix::sys::time::TimeVal) -> String {
    format!("{}.{:06}", time.tv_sec(), time.tv_usec())
}

/// `CPU usage (self/children) user: …` of this process and the children it has collected.
pub fn cpu_usage() -> Option<String> {
    use nix::sys::resource::{UsageWho, getrusage};
    let own = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let children = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    Some(format!(
        "CPU usage (self/children) user: {}/{} system: {}/{}",
        used(&own.user_time()),
        used(&children.user_time()),
        used(&own.system_time()),
        used(&children.system_time())
    ))
}

/// What a child says last: `Stopped`, with the time used if details are wanted.
pub fn stopped(detail: bool) -> String {
    use nix::sys::resource::{UsageWho, getrusage};
    let both = getrusage(UsageWho::RUSAGE_SELF)
        .ok()
        .zip(getrusage(UsageWho::RUSAGE_CHILDREN).ok());
    match both {
        Some((own, children)) if detail => {
            let time = children.user_time();
            if time.tv_sec() != 0 || time.tv_usec() != 0 {
                format!(
                    "Stopped - used (self/children) {}/{} user time, {}/{} system time",
                    used(&own.user_time()),
                    used(&time),
                    used(&own.system_time()),
                    used(&children.system_time())
                )
            } else {
                format!(
                    "Stopped - used {} user time, {} system time",
                    used(&own.user_time()),
                    used(&own.system_time())
                )
            }
        }
        _ => "Stopped".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_command_lines_are_wrapped_at_blanks() {
        let words: Vec<String> = (0..20).map(|n| format!("word{n:02}")).collect();
        let lines = command_line("keepalived", &words);
        assert_eq!(lines.len(), 3);
        let first = lines.first().unwrap();
        assert!(first.starts_with("Command line: 'keepalived' 'word00' "));
        assert!(first.ends_with('\''), "{first}");
        for line in lines.iter().skip(1) {
            assert!(line.starts_with("              'word"), "{line}");
        }
        assert_eq!(labelled("L", "x").first().unwrap(), "L: x");
        assert_eq!(labelled("L", &"x".repeat(150)).len(), 2);
    }

    #[test]
    fn ends_of_children() {
        let say = |exit| child_ended("Keepalived_vrrp", exit, &[]);
        assert_eq!(say(Exit::Code(0)), (vec![], None));
        assert_eq!(
            say(Exit::Code(2)),
            (
                vec!["Keepalived_vrrp exited with permanent error CONFIG. Terminating".to_owned()],
                Some(2)
            )
        );
        assert_eq!(
            say(Exit::Code(70)),
            (
                vec!["Keepalived_vrrp exited with status 70".to_owned()],
                None
            )
        );
        assert_eq!(
            say(Exit::Signal {
                signal: 9,
                core_dumped: false
            })
            .0,
            ["Keepalived_vrrp exited due to signal 9 (Killed) - has rlimit_rttime been exceeded?"]
        );
        assert!(
            say(Exit::Signal {
                signal: 11,
                core_dumped: false
            })
            .0
            .len()
                > 4
        );
    }
}
