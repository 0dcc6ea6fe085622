//! `PING_CHECK`: an echo request. The socket of a server that answers is kept, so that its requests keep their identifier.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use checker_proto::dialogue::icmp_echo;
use checker_proto::verdict::{Failure, Obstacle, PingFailure, Success, Verdict};
use linux_io::check_sock::PingSocket;
use linux_io::epoll::Wait;
use net_types::{Family, Instant};

use super::ping_range::PingRange;
use super::{Event, Notice, PingNotice, Step, number};

/// What is kept between the requests to a server.
pub(super) struct Run {
    socket: PingSocket,
    to: IpAddr,
    sequence: u16,
}

/// A socket; once the range of groups has been widened if that is what it takes.
fn open(to: IpAddr, range: &mut PingRange, notices: &mut Vec<Notice>) -> io::Result<PingSocket> {
    match PingSocket::open(to) {
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            if range.open(&mut |line| notices.push(Notice::PingRange(line))) {
                PingSocket::open(to)
            } else {
                Err(e)
            }
        }
        other => other,
    }
}

impl Run {
    /// Sends the next request, over the socket of the last if there is one and it is to the same server.
    pub(super) fn begin(
        kept: Option<Self>,
        to: IpAddr,
        range: &mut PingRange,
        until: Instant,
        notices: &mut Vec<Notice>,
    ) -> Result<(Self, Step), Verdict> {
        let family = Family::of(&to);
        let mut run = match kept.filter(|kept| kept.to == to) {
            Some(kept) => {
                kept.empty(notices);
                kept
            }
            None => Self {
                socket: open(to, range, notices)
                    .map_err(|e| Verdict::NotRun(Obstacle::Socket(number(&e))))?,
                to,
                sequence: 0,
            },
        };
        run.sequence = run.sequence.wrapping_add(1);
        let request = icmp_echo::request(family, run.sequence);
        if let Err(e) = run.socket.send(&request) {
            notices.push(Notice::Ping(family, PingNotice::NotSent(number(&e))));
            return Err(Verdict::Down(Failure::Ping(PingFailure::Send)));
        }
        Ok((run, Step::Wait(Wait::Read, until)))
    }

    /// Replies that came after their time.
    fn empty(&self, notices: &mut Vec<Notice>) {
        let mut packet = [0; icmp_echo::REPLY_MAX];
        while self.socket.receive(&mut packet).is_ok_and(|n| n > 0) {
            notices.push(Notice::Ping(Family::of(&self.to), PingNotice::Unexpected));
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn step(&mut self, event: Event, notices: &mut Vec<Notice>) -> Step {
        if event == Event::Timeout {
            return Step::down(Failure::Ping(PingFailure::Timeout));
        }
        let family = Family::of(&self.to);
        let mut packet = [0; icmp_echo::REPLY_MAX];
        let wrong = match self.socket.receive(&mut packet) {
            Err(_) => PingNotice::NotReceived,
            Ok(length) => {
                let came = packet.get(..length).unwrap_or(&packet);
                match icmp_echo::reply(family, self.sequence, came) {
                    Ok(()) => return Step::up(Success::Answer),
                    Err(wrong) => PingNotice::Wrong(self.sequence, wrong),
                }
            }
        };
        notices.push(Notice::Ping(family, wrong));
        Step::down(Failure::Ping(PingFailure::Failed))
    }
}
