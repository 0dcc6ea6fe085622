//! What /proc tells of processes.

use std::fs::{self, File};
use std::io::Read;

/// Octets of a short name (`TASK_COMM_LEN`), its line feed included.
const NAME_LEN: u64 = 16;
/// Enough of `stat` for number, name and state.
const STAT_LEN: u64 = 128;

/// The numbers of all processes.
pub(super) fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// The start of a process's command line: words, each with a zero octet behind it. Reading it may bring in pages of the process that
/// were swapped out, so it is not done without need.
pub(super) fn command_line(pid: u32, length: usize) -> Option<Vec<u8>> {
    start_of(pid, "cmdline", u64::try_from(length).unwrap_or(u64::MAX))
}

/// A process's short name.
pub(super) fn name(pid: u32) -> Option<Vec<u8>> {
    let mut name = start_of(pid, "comm", NAME_LEN)?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    Some(name)
}

/// A process's short name, if it has not ended already (a zombie).
pub(super) fn name_of_living(pid: u32) -> Option<Vec<u8>> {
    let stat = start_of(pid, "stat", STAT_LEN)?;
    from_stat(&stat).map(<[u8]>::to_vec)
}

/// `123 (name) S …`; the name itself may hold brackets.
fn from_stat(stat: &[u8]) -> Option<&[u8]> {
    let open = stat.iter().position(|b| *b == b'(')?;
    let close = stat.iter().rposition(|b| *b == b')')?;
    let name = stat.get(open.checked_add(1)?..close)?;
    (stat.get(close.checked_add(2)?) != Some(&b'Z')).then_some(name)
}

fn start_of(pid: u32, file: &str, length: u64) -> Option<Vec<u8>> {
    let file = File::open(format!("/proc/{pid}/{file}")).ok()?;
    let mut start = Vec::new();
    file.take(length).read_to_end(&mut start).ok()?;
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_stat() {
        let cases: [(&str, Option<&str>); 5] = [
            ("1 (init) S 0", Some("init")),
            ("12 (a) b (c)) R 1", Some("a) b (c)")),
            ("12 (gone) Z 1", None),
            ("12 (", None),
            ("", None),
        ];
        for (stat, name) in cases {
            assert_eq!(
                from_stat(stat.as_bytes()),
                name.map(str::as_bytes),
                "{stat}"
            );
        }
    }

    #[test]
    fn we_are_there() {
        if !testkit::need::kernel("we_are_there") {
            return;
        }
        let own = std::process::id();
        assert!(all().any(|pid| pid == own));
        assert_eq!(name(own), name_of_living(own));
        let words = command_line(own, 4096).unwrap();
        let program = std::env::args().next().unwrap();
        assert!(words.starts_with(program.as_bytes()));
        assert_eq!(command_line(own, 3).map(|w| w.len()), Some(3));
    }
}
