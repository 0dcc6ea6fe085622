//! Who may open ping sockets: `net.ipv4.ping_group_range`, which by default is nobody, not even the superuser.

use std::fs;
use std::path::Path;

const FILE: &str = "/proc/sys/net/ipv4/ping_group_range";

/// The range as it was before it was widened; that is put back when this is dropped.
#[derive(Debug, Default)]
pub(super) struct PingRange(Option<u32>);

/// What to do about a range, so that group 0 is in it.
fn widen(text: &str) -> Option<(u32, String, Option<String>)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse::<u32>);
    let (Some(Ok(first)), Some(Ok(last))) = (numbers.next(), numbers.next()) else {
        return None;
    };
    if first == 0 {
        return None;
    }
    // "1 0" is nobody.
    let warning = (first > 1 && last > 1)
        .then(|| format!("Warning: {FILE} being expanded from {first} {last} to 0 {last}"));
    Some((first, format!("0\t{last}\t\n"), warning))
}

impl PingRange {
    /// Lets group 0 open ping sockets. Whether anything changed; the line about it goes to `say`.
    pub(super) fn open(&mut self, say: &mut dyn FnMut(String)) -> bool {
        let path = Path::new(FILE);
        let Some((first, text, warning)) = fs::read_to_string(path).ok().and_then(|t| widen(&t))
        else {
            return false;
        };
        if let Some(warning) = warning {
            say(warning);
        }
        match fs::write(path, text) {
            Ok(()) => {
                self.0.get_or_insert(first);
                true
            }
            Err(e) => {
                let number = e.raw_os_error().unwrap_or(0);
                say(format!("Write {FILE} failed - errno {number}"));
                false
            }
        }
    }
}

impl Drop for PingRange {
    fn drop(&mut self) {
        let (Some(first), Ok(text)) = (self.0, fs::read_to_string(FILE)) else {
            return;
        };
        if let Some(last) = text.split_ascii_whitespace().nth(1) {
            // Who may not write any more may not put back either.
            let _ = fs::write(FILE, format!("{first}\t{last}\t\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(widen("1\t0\n"), Some((1, "0\t0\t\n".to_owned(), None)));
        assert_eq!(widen("0\t2147483647\n"), None);
        assert_eq!(widen("x"), None);
        let (first, text, warning) = widen("100\t200\n").unwrap();
        assert_eq!((first, &*text), (100, "0\t200\t\n"));
        assert_eq!(
            warning.unwrap(),
            "Warning: /proc/sys/net/ipv4/ping_group_range being expanded from 100 200 to 0 200"
        );
    }
}
