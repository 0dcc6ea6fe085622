//! One page, over TCP or TLS, for checkers and for `genhash`.
//!
//! ```text
//! Connecting ─▶ (Handshake) ─▶ request ─▶ Waiting ─▶ Reading ─▶ end of the connection
//! ```
//! Over TLS the time for the handshake is that of connecting, and all of the answer has one time from its first byte on; over
//! TCP each piece has its own.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use checker_proto::dialogue::http::{Answer, HEAD_MAX, Page, Piece};
use checker_proto::verdict::{Failure, Verdict, WebFailure};
use linux_io::check_sock::Target;
use linux_io::epoll::Wait;
use net_types::{Duration, Instant};

use super::tls::{self, Handshake, TlsError};
use super::{Connected, Event, Patience, connected, refused};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connecting,
    Handshake,
    Waiting,
    Reading,
}

/// How far a page has come.
pub(crate) enum Step {
    /// Not yet: wait for that, until then.
    Wait(Wait, Instant),
    /// It will not come.
    Failed(WebFailure),
    /// The connection ended, properly or (over TLS) not; `None` when the headers had not.
    End(Option<Page>, bool),
}

/// What happens on the way.
pub(crate) trait Watcher {
    /// The next bytes: whether they are looked at for the end of the headers, and what was found.
    fn piece(&mut self, in_head: bool, piece: Piece<'_>);
    /// TLS reports this.
    fn tls_error(&mut self, error: TlsError);
}

pub(crate) struct Fetch {
    stream: TcpStream,
    /// Made when the connection stands.
    session: Option<tls::Session>,
    setup: Option<tls::Setup>,
    stage: Stage,
    request: Box<[u8]>,
    answer: Answer,
    timeout: Duration,
    deadline: Instant,
    patience: Patience,
}

impl Fetch {
    /// Begins to connect.
    ///
    /// # Errors
    /// What is clear at once.
    pub(crate) fn begin(
        target: &Target<'_>,
        setup: Option<tls::Setup>,
        request: Vec<u8>,
        digest: bool,
        now: Instant,
        timeout: Duration,
    ) -> Result<(Self, Step), Verdict> {
        let stream = target
            .tcp()
            .map_err(|e| refused(&e, target.mark, Failure::Web(WebFailure::Unreachable)))?;
        let deadline = now + timeout;
        let fetch = Self {
            stream,
            session: None,
            setup,
            stage: Stage::Connecting,
            request: request.into(),
            answer: Answer::new(digest),
            timeout,
            deadline,
            patience: Patience::new(now, timeout),
        };
        Ok((fetch, Step::Wait(Wait::Write, deadline)))
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(crate) fn step(&mut self, now: Instant, event: Event, watcher: &mut dyn Watcher) -> Step {
        if event == Event::Timeout {
            if let Some(session) = &mut self.session {
                let _ = session.shutdown();
            }
            return Step::Failed(match self.stage {
                Stage::Connecting | Stage::Handshake => WebFailure::ConnectTimeout,
                Stage::Waiting => WebFailure::FirstReadTimeout,
                Stage::Reading if self.session.is_some() => WebFailure::TlsReadTimeout,
                Stage::Reading => WebFailure::ReadTimeout,
            });
        }
        match self.stage {
            Stage::Connecting => match connected(&self.stream) {
                Connected::Yes => self.connected(now),
                Connected::Timeout => Step::Failed(WebFailure::ConnectTimeout),
                Connected::Failed => Step::Failed(WebFailure::ConnectFailed),
                Connected::Unknown => Step::Failed(WebFailure::Connecting),
            },
            Stage::Handshake => self.handshake(now),
            Stage::Waiting => {
                self.stage = Stage::Reading;
                self.deadline = self.patience.until(now);
                self.read(now, watcher)
            }
            Stage::Reading => self.read(now, watcher),
        }
    }

    fn connected(&mut self, now: Instant) -> Step {
        let Some(setup) = self.setup.take() else {
            return self.send(now);
        };
        match setup.session(&self.stream) {
            Ok(session) => {
                self.session = Some(session);
                self.stage = Stage::Handshake;
                self.handshake(now)
            }
            Err(_) => Step::Failed(WebFailure::Handshake),
        }
    }

    fn handshake(&mut self, now: Instant) -> Step {
        let Some(session) = &mut self.session else {
            return self.send(now);
        };
        match session.connect() {
            Handshake::Done => self.send(now),
            Handshake::Wait(wait) => Step::Wait(wait, self.deadline),
            Handshake::Failed => Step::Failed(WebFailure::Handshake),
        }
    }

    /// The request fits the empty buffers of a new connection: all goes out at once, or there is something wrong.
    fn send(&mut self, now: Instant) -> Step {
        let sent = match &mut self.session {
            Some(session) => session.write(&self.request),
            None => self.stream.write(&self.request).is_ok(),
        };
        if !sent {
            return Step::Failed(WebFailure::Send);
        }
        self.request = Box::default();
        self.stage = Stage::Waiting;
        Step::Wait(Wait::Read, now + self.timeout)
    }

    fn read(&mut self, now: Instant, watcher: &mut dyn Watcher) -> Step {
        if self.session.is_some() {
            return self.read_tls(watcher);
        }
        let mut buffer = [0; HEAD_MAX];
        let room = self.answer.room();
        // Headers that are too long are the end, as if the server had closed.
        let read = match room {
            0 => Ok(0),
            room => self.stream.read(buffer.get_mut(..room).unwrap_or_default()),
        };
        match read {
            Ok(0) => self.end(true),
            Ok(length) => {
                self.take(buffer.get(..length).unwrap_or_default(), watcher);
                Step::Wait(Wait::Read, self.patience.until(now))
            }
            Err(e) if again(&e) => Step::Wait(Wait::Read, self.patience.until(now)),
            Err(_) => Step::Failed(WebFailure::Read),
        }
    }

    /// As long as TLS holds decrypted bytes back, as nothing would wake us for them.
    fn read_tls(&mut self, watcher: &mut dyn Watcher) -> Step {
        let mut buffer = [0; HEAD_MAX];
        loop {
            let room = self.answer.room();
            let Some(session) = self.session.as_mut().filter(|_| room > 0) else {
                return self.end(true);
            };
            let into = buffer.get_mut(..room).unwrap_or_default();
            let (end, proper) = match session.read(into) {
                tls::Read::Bytes(length) => {
                    let held_back = session.pending();
                    self.take(buffer.get(..length).unwrap_or_default(), watcher);
                    if held_back {
                        continue;
                    }
                    return Step::Wait(Wait::Read, self.deadline);
                }
                tls::Read::Wait => return Step::Wait(Wait::Read, self.deadline),
                tls::Read::Broken(errors) => {
                    for error in errors {
                        watcher.tls_error(error);
                    }
                    (false, false)
                }
                tls::Read::End(proper) => (session.shutdown(), proper),
            };
            // The original looks at how its own farewell went, but only when the server's was in order.
            if end && !self.answer.has_head() {
                return Step::Failed(WebFailure::TlsRead);
            }
            return self.end(proper);
        }
    }

    fn take(&mut self, bytes: &[u8], watcher: &mut dyn Watcher) {
        let in_head = !self.answer.has_head();
        watcher.piece(in_head, self.answer.take(bytes));
    }

    fn end(&mut self, proper: bool) -> Step {
        let answer = std::mem::replace(&mut self.answer, Answer::new(false));
        Step::End(answer.end(), proper)
    }
}

fn again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
