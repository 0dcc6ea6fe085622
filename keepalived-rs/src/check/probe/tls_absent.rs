//! TLS that is not there: this program was built without it.

use std::net::TcpStream;

use conf_parsers::keepalived::model::lvs::Ssl;
use linux_io::epoll::Wait;

/// A line about what went wrong, and a number by which it is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// The library's number.
    pub code: u64,
    /// The line.
    pub text: String,
}

/// There is none.
enum Never {}

/// What all connections share.
pub(crate) struct Tls(Never);

/// One connection that is to be made.
pub(crate) struct Setup(Never);

/// One connection.
pub(crate) struct Session(Never);

/// How far the handshake is.
#[expect(dead_code, reason = "there is none")]
pub(crate) enum Handshake {
    Done,
    Wait(Wait),
    Failed,
}

/// What was read.
#[expect(dead_code, reason = "nothing is")]
pub(crate) enum Read {
    Bytes(usize),
    Wait,
    Broken(Vec<TlsError>),
    End(bool),
}

impl Tls {
    pub(crate) fn new(_ssl: Option<&Ssl>) -> Result<Option<Self>, Vec<String>> {
        Ok(None)
    }

    pub(crate) fn setup(&self, _name: Option<&str>, _farewell: bool) -> Setup {
        match self.0 {}
    }
}

impl Setup {
    pub(crate) fn session(self, _stream: &TcpStream) -> Result<Session, ()> {
        match self.0 {}
    }
}

impl Session {
    pub(crate) fn connect(&mut self) -> Handshake {
        match self.0 {}
    }

    pub(crate) fn write(&mut self, _bytes: &[u8]) -> bool {
        match self.0 {}
    }

    pub(crate) fn read(&mut self, _into: &mut [u8]) -> Read {
        match self.0 {}
    }

    pub(crate) fn pending(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn shutdown(&mut self) -> bool {
        match self.0 {}
    }
}
