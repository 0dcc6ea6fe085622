//! The lives of a node: one, or more if it was killed and started again.

use crate::capture;
use crate::events::{self, Event, micros};

/// From a start to an end.
pub(crate) struct Life {
    /// From 1 on.
    pub(crate) number: usize,
    pub(crate) number_of_lives: usize,
    /// Microseconds since 1970: before the start, and before the next one.
    from: u64,
    to: u64,
    pub(crate) log: Vec<(u64, String)>,
    pub(crate) fifo: Option<Vec<(u64, String)>>,
    /// When the first FIFO line was written, if something besides adverts happened to the node or it has BFD sessions.
    pub(crate) first_told: Option<u64>,
}

impl Life {
    pub(crate) fn has(&self, at: u64) -> bool {
        (self.from..self.to).contains(&at)
    }
}

/// The lives that a log tells of.
pub(crate) fn of(name: &str, node: char, log: &str) -> Vec<Life> {
    let mut logs: Vec<Vec<(u64, String)>> = Vec::new();
    for line in log.lines().map(dated) {
        if logs.is_empty() || line.1.starts_with("Starting Keepalived") {
            logs.push(Vec::new());
        }
        logs.last_mut().unwrap().push(line);
    }
    let fifo = capture::file(name, &format!("{node}.fifo.txt"));
    let events = events::of(name, node);
    let killed = events.iter().find(|(_, e)| *e == Event::Killed);
    let killed = killed.map_or(u64::MAX, |(at, _)| *at);
    let timed = events.iter().any(|(_, e)| *e != Event::Killed)
        || capture::file(name, &format!("{node}.conf")).is_some_and(|c| c.contains("bfd_instance"));
    let starts: Vec<u64> = logs.iter().map(|l| l[0].0 * 1_000_000).collect();
    let number_of_lives = logs.len();
    let life = |(n, log): (usize, Vec<(u64, String)>)| {
        let from = if n == 0 { 0 } else { starts[n] };
        let to = starts.get(n + 1).copied().unwrap_or(killed);
        let fifo: Option<Vec<(u64, String)>> = fifo.as_ref().map(|text| {
            let lines = text.lines().filter_map(|l| l.split_once(' '));
            let lines = lines.map(|(at, l)| (micros(at), l.to_owned()));
            lines.filter(|(at, _)| (from..to).contains(at)).collect()
        });
        let first = fifo.as_ref().and_then(|f| f.first()).map(|(at, _)| *at);
        Life {
            number: n + 1,
            number_of_lives,
            from,
            to,
            log,
            fifo,
            first_told: first.filter(|_| timed),
        }
    };
    logs.into_iter().enumerate().map(life).collect()
}

fn dated(line: &str) -> (u64, String) {
    let (date, text) = line.split_at(24);
    let text = text.strip_prefix(": ").unwrap();
    let time: Vec<u64> = date[11..19]
        .split(':')
        .map(|n| n.parse().unwrap())
        .collect();
    // All were made on 22 November 2026.
    let day = 1_795_305_600;
    (
        day + time[0] * 3600 + time[1] * 60 + time[2],
        text.to_owned(),
    )
}
