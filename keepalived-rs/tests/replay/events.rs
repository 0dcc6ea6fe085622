//! What happened to a node besides frames: `NAME.NODE.events`, one a line, the time first (seconds since 1970).
//!
//! ```text
//! link eth1 down|up      the interface lost its carrier, and had it again
//! script chk up|down     a tracked script has a result that counts
//! value tf 10            what a tracked file says
//! bfd deaf|hears         BFD packets do not reach the node, and do again
//! unseen eth0 from|to    what the node sends there is not in the recording
//! reload                 when it was told to read its configuration again, more exactly than its log tells
//! killed                 the end; what comes later in its name is somebody else's
//! ```

use crate::capture;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Link { name: String, up: bool },
    Script { name: String, up: bool },
    Value { name: String, value: i32 },
    Deaf(bool),
    Unseen { link: u8, begins: bool },
    Reload,
    Killed,
}

/// The events of a node, with their times in microseconds.
pub(crate) fn of(name: &str, node: char) -> Vec<(u64, Event)> {
    let text = capture::file(name, &format!("{node}.events")).unwrap_or_default();
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.map(event).collect()
}

/// Microseconds since 1970 in `1795367432.78`.
pub(crate) fn micros(text: &str) -> u64 {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: u64 = format!("{fraction:0<6}").parse().unwrap();
    seconds.parse::<u64>().unwrap() * 1_000_000 + fraction
}

fn event(line: &str) -> (u64, Event) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [time, rest @ ..] = &words[..] else {
        panic!("an empty line");
    };
    let event = match *rest {
        ["link", name, how] => Event::Link {
            name: name.to_owned(),
            up: how == "up",
        },
        ["script", name, how] => Event::Script {
            name: name.to_owned(),
            up: how == "up",
        },
        ["value", name, value] => Event::Value {
            name: name.to_owned(),
            value: value.parse().unwrap(),
        },
        ["killed"] => Event::Killed,
        ["reload"] => Event::Reload,
        ["bfd", how] => Event::Deaf(how == "deaf"),
        ["unseen", link, how] => Event::Unseen {
            link: u8::from(link == "eth1"),
            begins: how == "from",
        },
        _ => panic!("{line}"),
    };
    (micros(time), event)
}
