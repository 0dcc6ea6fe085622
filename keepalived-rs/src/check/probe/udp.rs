//! `UDP_CHECK`: a datagram, then a reply, or only no news that nobody listens.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};

use checker_proto::dialogue::udp;
use checker_proto::verdict::{Failure, Obstacle, Success, UdpFailure, Verdict};
use conf_parsers::keepalived::model::check::UdpCheck;
use linux_io::check_sock::{Refused, reported};
use linux_io::epoll::Wait;
use net_types::Instant;

use super::{CheckSpec, Event, Step, number};

pub(super) struct Run {
    socket: UdpSocket,
    wanted: Box<[(u8, u8)]>,
    min: u16,
    max: u16,
    must_reply: bool,
}

impl Run {
    pub(super) fn begin(
        spec: &CheckSpec<'_>,
        check: &UdpCheck,
        until: Instant,
    ) -> Result<(Self, Step), Verdict> {
        let failed = Verdict::Down(Failure::Udp(UdpFailure::Send));
        // The original takes all that goes wrong here but the socket itself for a failure of the server.
        let socket = spec.target().udp_with_reports().map_err(|e| match e {
            Refused::Socket(e) => Verdict::NotRun(Obstacle::Socket(number(&e))),
            _ => failed,
        })?;
        let payload = if check.payload.is_empty() {
            &*udp::default_payload()
        } else {
            &*check.payload
        };
        match socket.send(payload) {
            Ok(sent) if sent == payload.len() => {}
            _ => return Err(failed),
        }
        let run = Self {
            socket,
            wanted: check.reply.as_slice().into(),
            min: check.min_reply_len,
            max: check.max_reply_len,
            must_reply: check.require_reply,
        };
        Ok((run, Step::Wait(Wait::Read, until)))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn step(&mut self, deadline: Instant, event: Event) -> Step {
        const FAILED: Failure = Failure::Udp(UdpFailure::Failed);
        if event == Event::Timeout {
            return if self.must_reply {
                Step::down(FAILED)
            } else {
                Step::up(Success::Answer)
            };
        }
        // A report also waits as an error of the socket, so it has to be asked for first.
        match reported(&self.socket) {
            Ok(true) => return Step::down(FAILED),
            // Something else on the way; no answer can be compared any more.
            Ok(false) if self.wanted.is_empty() => return Step::up(Success::Answer),
            Ok(false) => return Step::down(Failure::Udp(UdpFailure::Mismatch)),
            Err(_) => {}
        }
        let mut datagram = vec![0; usize::from(self.max).saturating_add(1)];
        match self.socket.recv(&mut datagram) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Step::Wait(Wait::Read, deadline),
            Err(_) => Step::down(FAILED),
            Ok(_) if !self.must_reply => Step::up(Success::Answer),
            Ok(length) => {
                let came = datagram.get(..length).unwrap_or(&datagram);
                if udp::reply(&self.wanted, self.min, self.max, came) {
                    Step::up(Success::Answer)
                } else {
                    Step::down(Failure::Udp(UdpFailure::Mismatch))
                }
            }
        }
    }
}
