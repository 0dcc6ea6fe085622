//! The ways in which an attempt to reach a server ends.

use std::io;

use checker_proto::verdict::{Failure, Obstacle, Verdict};
use linux_io::check_sock::Refused;

use super::number;

/// A check that could not begin; `unreachable` is the failure when that is the server's fault.
pub(super) fn refused(refused: &Refused, mark: u32, unreachable: Failure) -> Verdict {
    if refused.is_unreachable() {
        return Verdict::Down(unreachable);
    }
    Verdict::NotRun(match refused {
        Refused::Socket(e) => Obstacle::Socket(number(e)),
        Refused::Mark(e) => Obstacle::Mark(mark, number(e)),
        Refused::Device(e) => Obstacle::Device(number(e)),
        Refused::Bind(e) => Obstacle::Bind(number(e)),
        Refused::Connect(e) => Obstacle::Connect(number(e)),
    })
}

/// How an attempt to connect ended, once its socket is writable.
pub(super) enum Connected {
    /// It stands.
    Yes,
    /// Nobody answered.
    Timeout,
    /// It was refused, reset or found no way.
    Failed,
    /// It can not be found out.
    Unknown,
}

/// How the attempt of this socket ended.
pub(super) fn connected(stream: &std::net::TcpStream) -> Connected {
    match stream.take_error() {
        Ok(None) => Connected::Yes,
        Ok(Some(e)) if e.kind() == io::ErrorKind::TimedOut => Connected::Timeout,
        Ok(Some(_)) => Connected::Failed,
        Err(_) => Connected::Unknown,
    }
}
