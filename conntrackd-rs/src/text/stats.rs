//! `-s runtime` of a daemon that neither replicates nor logs flows. A running engine prints its own.

use std::fmt::Write as _;

use net_types::Duration;

/// Counters of the loop.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loop {
    /// Requests that could not be read.
    pub local_read_failed: u32,
}

/// The text, all kernel counters being 0.
pub fn runtime(uptime: Duration, counters: Loop) -> String {
    let mut out = format!("daemon uptime: {}\n\nnetlink stats:\n", Uptime(uptime));
    for label in ["events received:\t", "events filtered:\t"] {
        let _ = writeln!(out, "\t{label}{:>20}", 0);
    }
    for label in [
        "events unknown type:\t\t",
        "catch event failed:\t\t",
        "dump unknown type:\t\t",
        "netlink overrun:\t\t",
        "flush kernel table:\t\t",
        "resync with kernel table:\t",
        "current buffer size (in bytes):\t",
    ] {
        let _ = writeln!(out, "\t{label}{:>12}", 0);
    }
    out.push_str("\nruntime stats:\n");
    for (label, value) in [
        ("child process failed:\t\t", 0),
        ("\tchild process segfault:\t", 0),
        ("\tchild process termsig:\t", 0),
        ("select failed:\t\t\t", 0),
        ("wait failed:\t\t\t", 0),
        ("local read failed:\t\t", counters.local_read_failed),
        ("local unknown request:\t\t", 0),
    ] {
        let _ = writeln!(out, "\t{label}{value:>12}");
    }
    out.push('\n');
    out
}

/// The same as JSON; without counters an empty object, for statistics that such a daemon has not.
pub fn json(uptime: Duration, read_failed: Option<u32>) -> String {
    match read_failed {
        Some(failed) => format!(
            "{{\"uptime\":{},\"local_read_failed\":{failed}}}\n",
            uptime.as_secs()
        ),
        None => "{}\n".to_owned(),
    }
}

/// `D days H h M min`, leaving out what is zero in front.
struct Uptime(Duration);

impl std::fmt::Display for Uptime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let minutes = self.0.as_secs() / 60;
        let (days, hours) = (minutes / 1440, minutes / 60 % 24);
        if days > 0 {
            write!(f, "{days} day{} ", if days == 1 { "" } else { "s" })?;
        }
        if hours > 0 {
            write!(f, "{hours} h ")?;
        }
        write!(f, "{} min", minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_leaves_out_zeros_in_front() {
        for (secs, text) in [
            (59, "0 min"),
            (3600, "1 h 0 min"),
            (86_460, "1 day 1 min"),
            (180_000, "2 days 2 h 0 min"),
        ] {
            assert_eq!(Uptime(Duration::from_secs(secs)).to_string(), text);
        }
    }

    #[test]
    fn layout() {
        let text = runtime(
            Duration::ZERO,
            Loop {
                local_read_failed: 3,
            },
        );
        assert!(text.starts_with(
            "daemon uptime: 0 min\n\nnetlink stats:\n\tevents received:\t                   0\n"
        ));
        assert!(
            text.contains("\tcurrent buffer size (in bytes):\t           0\n\nruntime stats:\n")
        );
        assert!(text.contains("\t\tchild process segfault:\t           0\n"));
        assert!(text.ends_with(
            "\tlocal read failed:\t\t           3\n\tlocal unknown request:\t\t           0\n\n"
        ));
    }
}
