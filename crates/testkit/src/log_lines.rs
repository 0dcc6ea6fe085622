//! Lines of the daemons' logs, without what is another in every run, and by the process that wrote them.

use nix::errno::Errno;

/// What the system calls an error, as the originals here say it. Ours says it in its own C library's words, and these tests are
/// built for the same one: musl's words for an error at the end of a line, or before a parenthesis or full stop there, become
/// glibc's.
#[must_use]
pub fn as_glibc(line: &str) -> String {
    if !cfg!(target_env = "musl") {
        return line.to_owned();
    }
    let end = line.trim_end_matches(['.', ')']);
    let after = &line[end.len()..];
    let known = (1..=133).find_map(|number| {
        let here = std::io::Error::from_raw_os_error(number).to_string();
        let here = here.split(" (os error ").next()?;
        let before = end.strip_suffix(here)?;
        Some(format!("{before}{}{after}", Errno::from_raw(number).desc()))
    });
    known.unwrap_or_else(|| line.to_owned())
}

/// The text of a line of the console or of a log file: without its time, process ids, descriptors, interface indexes and link-local
/// addresses, which come from random link-layer addresses.
#[must_use]
pub fn plain(line: &str) -> String {
    // `Sun Nov 22 21:18:09 2026: text`, with nanoseconds behind the seconds in a file.
    let dated = line.get(13..14) == Some(":") && line.get(16..17) == Some(":");
    let text = line.split_once(": ").filter(|_| dated);
    let text = text.map_or(line, |(_, text)| text);
    let number = |c: char| c.is_ascii_digit();
    let text = match text.split_once("pid=") {
        Some((before, after)) => format!("{before}pid=N{}", after.trim_start_matches(number)),
        None => match text.strip_prefix("pid ") {
            Some(rest) => format!("pid N{}", rest.trim_start_matches(number)),
            None => text.to_owned(),
        },
    };
    let blank = |text: String, from: &str| match text.split_once(from) {
        Some((before, after)) => {
            let rest = after.find(')').map_or("", |at| &after[at..]);
            format!("{before}{from}{rest}")
        }
        None => text,
    };
    let text = ["ifindex(", "fd(", "process("]
        .iter()
        .fold(text, |text, from| blank(text, from));
    let words = text.split(' ').map(|word| {
        if word.starts_with("fe80::") {
            "fe80::N"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether a line is the parent's: its lines and those of a child reach the log in any order relative to each other.
#[must_use]
pub fn of_parent(plain: &str) -> bool {
    [
        "Configuration file",
        "Opening file",
        "Starting VRRP",
        "Starting Healthcheck",
        "Starting BFD",
        "Startup complete",
        "Reloading ...",
        "Reload complete",
        "Stopping",
        "Printing parent",
        "pid ",
        "NOTICE: setting config option",
    ]
    .iter()
    .any(|beginning| plain.starts_with(beginning))
}
