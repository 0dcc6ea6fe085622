//! `TCP_CHECK`: a connection is made and closed.

use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use checker_proto::verdict::{Failure, Success, TcpFailure, Verdict};
use linux_io::epoll::Wait;
use net_types::Instant;

use super::{CheckSpec, Connected, Event, Step, connected, refused};

pub(super) struct Run(TcpStream);

impl Run {
    pub(super) fn begin(spec: &CheckSpec<'_>, until: Instant) -> Result<(Self, Step), Verdict> {
        let target = spec.target();
        let stream = target
            .tcp()
            .map_err(|e| refused(&e, target.mark, Failure::Tcp(TcpFailure::NoRoute)))?;
        Ok((Self(stream), Step::Wait(Wait::Write, until)))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(super) fn step(&mut self, event: Event) -> Step {
        if event == Event::Timeout {
            return Step::down(Failure::Tcp(TcpFailure::Timeout));
        }
        match connected(&self.0) {
            Connected::Yes => Step::up(Success::Answer),
            Connected::Timeout => Step::down(Failure::Tcp(TcpFailure::Timeout)),
            Connected::Failed | Connected::Unknown => Step::down(Failure::Tcp(TcpFailure::Failed)),
        }
    }
}
