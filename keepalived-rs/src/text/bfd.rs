//! Log lines of the BFD process.

use std::fmt;
use std::net::SocketAddr;

use bfd_proto::wire::DecodeError;
use bfd_proto::{Diagnostic, Engine, Notice, SessionId, State, Timers};
use daemon_rt::log;
use daemon_rt::log::Priority;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// What an operator must know.
    Usual,
    /// `-D`
    More,
    /// `-D -D`
    All,
}

impl Detail {
    /// By the number of `-D`.
    pub fn of(count: impl Into<u32>) -> Self {
        match count.into() {
            0 => Self::Usual,
            1 => Self::More,
            _ => Self::All,
        }
    }

    /// `-D` was given.
    pub fn on(self) -> bool {
        self >= Self::More
    }
}

/// A state as it is shown.
pub const fn state(state: State) -> &'static str {
    match state {
        State::AdminDown => "AdminDown",
        State::Down => "Down",
        State::Init => "Init",
        State::Up => "Up",
    }
}

/// A diagnostic as it is shown.
pub const fn diagnostic(diagnostic: Diagnostic) -> &'static str {
    match diagnostic {
        Diagnostic::None => "No Diagnostic",
        Diagnostic::Expired => "Control Detection Time Expired",
        Diagnostic::EchoFailed => "Echo Function Failed",
        Diagnostic::NeighborDown => "Neighbor Signaled Session Down",
        Diagnostic::ForwardingReset => "Forwarding Plane Reset",
        Diagnostic::PathDown => "Path Down",
        Diagnostic::ConcatenatedPathDown => "Concatenated Path Down",
        Diagnostic::AdminDown => "Administratively Down",
        Diagnostic::ReverseConcatenatedPathDown => "Reverse Concatenated Path Down",
    }
}

/// `[192.0.2.1]:3784`, of either family.
struct Pair(SocketAddr);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]:{}", self.0.ip(), self.0.port())
    }
}

/// Why a datagram is no packet.
struct Why(DecodeError);

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DecodeError::TooSmall(length) => write!(f, "Packet is too small: {length} bytes"),
            DecodeError::Length(field, length) => write!(
                f,
                "Packet size mismatch: length field: {field} bytes, buffer size: {length} bytes"
            ),
            DecodeError::Version(version) => {
                write!(f, "Packet is of unsupported version: {version}")
            }
            DecodeError::Multiplier => f.write_str("Packet 'detection multiplier' field is zero"),
            DecodeError::Multipoint => f.write_str("Packet has 'multipoint' flag"),
            DecodeError::MyDiscriminator => {
                f.write_str("Packet 'my discriminator' field is zero")
            }
            DecodeError::YourDiscriminator => f.write_str(
                "Packet 'your discriminator' field is zero and 'state' field is not Down or AdminDown",
            ),
            DecodeError::PollAndFinal => f.write_str("Packet has both poll and final  flags set"),
            DecodeError::Diagnostic(number) => {
                write!(f, "Packet has invalid 'diag' field: {number}")
            }
        }
    }
}

/// Says a notice, if it is to be said.
pub fn notice(engine: &Engine, notice: &Notice, detail: Detail) {
    for (priority, line) in lines(engine, notice, detail) {
        log!(priority, "{line}");
    }
}

/// The lines of a notice at this detail, none if it is not to be said.
pub fn lines(engine: &Engine, notice: &Notice, detail: Detail) -> Vec<(Priority, String)> {
    let name = |id: SessionId| engine.session(id).map_or("", |s| &*s.config.name);
    // What is said, from which detail on.
    let (from, priority, line) = match *notice {
        Notice::Bogus(source, why) => {
            if !detail.on() {
                return Vec::new();
            }
            let discarding = format!("Discarding bogus packet from {}", Pair(source));
            return vec![
                (Priority::Err, Why(why).to_string()),
                (Priority::Err, discarding),
            ];
        }
        Notice::NoSession(source, discriminator) => (
            Detail::More,
            Priority::Err,
            format!(
                "Discarding packet from {} (session is not found - your discriminator field is 0x{discriminator:08x})",
                Pair(source)
            ),
        ),
        Notice::TooManyHops(source, hops, least) => {
            let what = if source.is_ipv4() { "ttl" } else { "hop_limit" };
            let line = format!("Packet {what}({hops}) < {least} - discarding");
            (Detail::More, Priority::Err, line)
        }
        Notice::Authentication(source) => (
            Detail::More,
            Priority::Err,
            format!(
                "Discarding packet from {} (auth bit is set, but no authentication  is in use)",
                Pair(source)
            ),
        ),
        Notice::AdminDown(source) => (
            Detail::More,
            Priority::Info,
            format!(
                "Discarding packet from {} (session is in AdminDown state)",
                Pair(source)
            ),
        ),
        Notice::Timers(id, timers, changed) => {
            let wanted = if changed { Detail::More } else { Detail::All };
            if detail < wanted {
                return Vec::new();
            }
            let table = table(name(id), &timers);
            return table.map(|line| (Priority::Info, line)).into();
        }
        Notice::DetectionTime(id, is, was) => (
            Detail::Usual,
            Priority::Info,
            format!(
                "{:indent$} Detection time is {is} us (was {was} us)",
                "",
                indent = indent(name(id))
            ),
        ),
        Notice::Rising(id, to) => (
            if to == State::Up {
                Detail::Usual
            } else {
                Detail::All
            },
            Priority::Info,
            format!("({}) Entering {} state", name(id), state(to)),
        ),
        Notice::Falling(id, ours, theirs, was_up) => (
            if was_up { Detail::Usual } else { Detail::All },
            Priority::Warning,
            format!(
                "({}) Entering Down state (Local diagnostic - {}, Remote diagnostic - {})",
                name(id),
                diagnostic(ours),
                diagnostic(theirs)
            ),
        ),
        Notice::EnteringAdminDown(id) => (
            Detail::Usual,
            Priority::Warning,
            format!("({}) Entering AdminDown state", name(id)),
        ),
        Notice::Polling(id) => (
            Detail::More,
            Priority::Info,
            format!("({}) Starting poll sequence", name(id)),
        ),
        Notice::Expired(id, silence, late, was_up) => (
            if was_up { Detail::Usual } else { Detail::All },
            Priority::Warning,
            format!(
                "({}) Expired after {} ms ({late} usec overdue)",
                name(id),
                silence / 1000
            ),
        ),
    };
    if detail < from {
        return Vec::new();
    }
    vec![(priority, line)]
}

/// The name in brackets.
fn indent(name: &str) -> usize {
    name.len().saturating_add(2)
}

fn table(name: &str, t: &Timers) -> [String; 4] {
    let indent = indent(name);
    let row = |who: &str, min_tx: u32, min_rx: u32, tx: u32, multiplier: u8, detection: u64| {
        format!(
            "{:indent$} {who} {min_tx:>8} {min_rx:>7} {tx:>8} {multiplier:>5} {detection:>12}",
            ""
        )
    };
    [
        format!("({name}) ---------------< Session parameters >--------------"),
        format!(
            "{:indent$}          min_tx  min_rx  tx_intv  mult  detect_time",
            ""
        ),
        row(
            "local ",
            t.local_min_tx,
            t.local_min_rx,
            t.local_tx,
            t.local_multiplier,
            t.local_detection,
        ),
        row(
            "remote",
            t.remote_min_tx,
            t.remote_min_rx,
            t.remote_tx,
            t.remote_multiplier,
            t.remote_detection,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 2.3.3 wrote them (capture 403).
    #[test]
    fn recorded_lines() {
        let timers = Timers {
            local_min_tx: 1_000_000,
            local_min_rx: 200_000,
            local_tx: 300_000,
            local_multiplier: 4,
            local_detection: 1_200_000,
            remote_min_tx: 300_000,
            remote_min_rx: 200_000,
            remote_tx: 300_000,
            remote_multiplier: 4,
            remote_detection: 1_200_000,
        };
        assert_eq!(
            table("BFD1", &timers),
            [
                "(BFD1) ---------------< Session parameters >--------------",
                "                min_tx  min_rx  tx_intv  mult  detect_time",
                "       local   1000000  200000   300000     4      1200000",
                "       remote   300000  200000   300000     4      1200000",
            ]
        );
        let engine = Engine::new(Vec::new(), 1);
        let said = |notice: Notice, detail| {
            let lines = lines(&engine, &notice, detail);
            lines.into_iter().map(|(_, l)| l).collect::<Vec<_>>()
        };
        let from = SocketAddr::from(([192, 0, 2, 2], 50000));
        assert_eq!(
            said(Notice::NoSession(from, 0xbeef), Detail::Usual),
            [""; 0]
        );
        assert_eq!(
            said(Notice::NoSession(from, 0xbeef), Detail::More),
            [
                "Discarding packet from [192.0.2.2]:50000 (session is not found - your discriminator field is 0x0000beef)"
            ]
        );
        assert_eq!(
            said(
                Notice::Bogus(from, DecodeError::Length(3, 24)),
                Detail::More
            ),
            [
                "Packet size mismatch: length field: 3 bytes, buffer size: 24 bytes",
                "Discarding bogus packet from [192.0.2.2]:50000"
            ]
        );
        let id = SessionId(0);
        assert_eq!(
            said(Notice::DetectionTime(id, 5, 0), Detail::Usual),
            ["   Detection time is 5 us (was 0 us)"]
        );
    }
}
