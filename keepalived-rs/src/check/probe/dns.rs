//! `DNS_CHECK`: a question by UDP.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};

use checker_proto::dialogue::dns;
use checker_proto::verdict::{DnsFailure, Failure, Success, Verdict};
use conf_parsers::keepalived::model::check::DnsType;
use linux_io::epoll::Wait;
use net_types::Instant;

use super::{CheckSpec, Event, Step, number, refused};

pub(super) struct Run {
    socket: UdpSocket,
    id: u16,
    /// The question, while it could not be sent.
    unsent: Option<Vec<u8>>,
}

impl Run {
    pub(super) fn begin(
        spec: &CheckSpec<'_>,
        name: &str,
        record: DnsType,
        id: u16,
        until: Instant,
    ) -> Result<(Self, Step), Verdict> {
        let target = spec.target();
        let socket = target
            .udp()
            .map_err(|e| refused(&e, target.mark, Failure::Dns(DnsFailure::Unreachable)))?;
        let mut run = Self {
            socket,
            id,
            unsent: None,
        };
        let step = run.send(dns::question(id, name, record as u16), until);
        Ok((run, step))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn send(&mut self, question: Vec<u8>, until: Instant) -> Step {
        match self.socket.send(&question) {
            Ok(sent) if sent == question.len() => Step::Wait(Wait::Read, until),
            Ok(_) => Step::down(Failure::Dns(DnsFailure::ShortWrite)),
            Err(e) if again(&e) => {
                self.unsent = Some(question);
                Step::Wait(Wait::Write, until)
            }
            Err(_) => Step::down(Failure::Dns(DnsFailure::Write)),
        }
    }

    pub(super) fn step(&mut self, deadline: Instant, event: Event) -> Step {
        if event == Event::Timeout {
            return Step::down(Failure::Dns(if self.unsent.is_some() {
                DnsFailure::WriteTimeout
            } else {
                DnsFailure::ReadTimeout
            }));
        }
        if let Some(question) = self.unsent.take() {
            return self.send(question, deadline);
        }
        let mut datagram = [0; dns::ANSWER_MAX];
        match self.socket.recv(&mut datagram) {
            Err(e) if again(&e) => Step::Wait(Wait::Read, deadline),
            Err(e) => Step::down(Failure::Dns(DnsFailure::Read(number(&e)))),
            Ok(length) => {
                let came = datagram.get(..length).unwrap_or(&datagram);
                match dns::answer(self.id, came) {
                    dns::Answer::Other => Step::Wait(Wait::Read, deadline),
                    dns::Answer::Good => Step::up(Success::Answer),
                    dns::Answer::Code(code) => Step::down(Failure::Dns(DnsFailure::Code(code))),
                }
            }
        }
    }
}

fn again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
