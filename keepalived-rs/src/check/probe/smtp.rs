//! `SMTP_CHECK`: a connection and a short conversation.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use checker_proto::dialogue::smtp::{Dialogue, LINE_MAX, Next};
use checker_proto::verdict::{Failure, SmtpFailure, Success, Verdict};
use linux_io::epoll::Wait;
use net_types::{Duration, Instant};

use super::{CheckSpec, Connected, Event, Notice, Patience, Step, connected, refused};

enum Stage {
    Connecting,
    Reading,
    Writing(Vec<u8>),
}

pub(super) struct Run {
    stream: TcpStream,
    stage: Stage,
    dialogue: Dialogue,
    patience: Patience,
}

impl Run {
    pub(super) fn begin(
        spec: &CheckSpec<'_>,
        helo: &str,
        now: Instant,
        timeout: Duration,
    ) -> Result<(Self, Step), Verdict> {
        let target = spec.target();
        let stream = target
            .tcp()
            .map_err(|e| refused(&e, target.mark, Failure::Smtp(SmtpFailure::Unreachable)))?;
        let run = Self {
            stream,
            stage: Stage::Connecting,
            dialogue: Dialogue::new(helo),
            patience: Patience::new(now, timeout),
        };
        Ok((run, Step::Wait(Wait::Write, now + timeout)))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn step(&mut self, now: Instant, event: Event, notices: &mut Vec<Notice>) -> Step {
        let down = |why| Step::down(Failure::Smtp(why));
        if event == Event::Timeout {
            return down(match self.stage {
                Stage::Connecting => SmtpFailure::ConnectTimeout,
                Stage::Reading => SmtpFailure::ReadTimeout,
                Stage::Writing(_) => SmtpFailure::WriteTimeout,
            });
        }
        match &self.stage {
            Stage::Connecting => match connected(&self.stream) {
                Connected::Yes => {
                    self.stage = Stage::Reading;
                    Step::Wait(Wait::Read, self.patience.until(now))
                }
                Connected::Timeout => down(SmtpFailure::ConnectTimeout),
                Connected::Failed => down(SmtpFailure::ConnectFailed),
                Connected::Unknown => down(SmtpFailure::Connecting),
            },
            Stage::Reading => self.read(now, notices),
            Stage::Writing(line) => {
                let line = line.clone();
                self.write(now, line)
            }
        }
    }

    fn read(&mut self, now: Instant, notices: &mut Vec<Notice>) -> Step {
        let mut piece = [0; LINE_MAX];
        let (room, full) = self.dialogue.room();
        if full {
            notices.push(Notice::SmtpOverflow);
        }
        let into = piece.get_mut(..room).unwrap_or_default();
        match self.stream.read(into) {
            Err(e) if again(&e) => Step::Wait(Wait::Read, self.patience.until(now)),
            Err(_) | Ok(0) => Step::down(Failure::Smtp(SmtpFailure::Read)),
            Ok(length) => match self.dialogue.take(piece.get(..length).unwrap_or_default()) {
                Next::Read => Step::Wait(Wait::Read, self.patience.until(now)),
                Next::Send(line) => self.write(now, line),
                Next::Up => Step::up(Success::Answer),
                Next::Down(why) => Step::down(Failure::Smtp(why)),
            },
        }
    }

    fn write(&mut self, now: Instant, line: Vec<u8>) -> Step {
        match self.stream.write(&line) {
            Err(e) if again(&e) => {
                self.stage = Stage::Writing(line);
                Step::Wait(Wait::Write, self.patience.until(now))
            }
            Err(_) | Ok(0) => Step::down(Failure::Smtp(SmtpFailure::Write)),
            Ok(sent) if sent < line.len() => {
                self.stage = Stage::Writing(line.get(sent..).unwrap_or_default().to_vec());
                Step::Wait(Wait::Write, self.patience.until(now))
            }
            Ok(_) => {
                self.stage = Stage::Reading;
                Step::Wait(Wait::Read, self.patience.until(now))
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
