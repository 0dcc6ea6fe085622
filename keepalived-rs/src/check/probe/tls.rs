//! TLS of `SSL_GET` and `genhash -S`.

use std::net::TcpStream;
use std::rc::Rc;

use conf_parsers::keepalived::model::lvs::Ssl;
pub(crate) use linux_io::tls::Handshake;
use linux_io::tls::{self, Client, Files, Refused};

/// A line about what went wrong, and a number by which it is known again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsError {
    /// The library's number.
    pub code: u64,
    /// The line.
    pub text: String,
}

/// What all connections share.
pub(crate) struct Tls(Rc<Client>);

/// One connection that is to be made.
pub(crate) struct Setup {
    client: Rc<Client>,
    name: Option<Box<str>>,
    farewell: bool,
}

/// One connection.
pub(crate) struct Session(tls::Session<TcpStream>);

/// What was read.
pub(crate) enum Read {
    Bytes(usize),
    Wait,
    Broken(Vec<TlsError>),
    /// Whether the peer said so.
    End(bool),
}

/// Why there is no TLS.
pub(crate) enum NoTls {
    /// OpenSSL can not be loaded, for this reason.
    Library(String),
    /// The files of the `SSL` block are no good: lines to log.
    Files(Vec<String>),
}

impl Tls {
    /// Loads OpenSSL if nothing has yet, and reads the files.
    pub(crate) fn new(ssl: Option<&Ssl>) -> Result<Self, NoTls> {
        let files = ssl.map_or(Files::default(), |ssl| Files {
            certificate: ssl.certificate.as_deref(),
            key: ssl.key.as_deref(),
            password: ssl.password.as_deref(),
            ca: ssl.ca.as_deref(),
        });
        match Client::new(files) {
            Ok(client) => Ok(Self(Rc::new(client))),
            Err(refused) => Err(why(refused, files)),
        }
    }

    pub(crate) fn setup(&self, name: Option<&str>, farewell: bool) -> Setup {
        Setup {
            client: Rc::clone(&self.0),
            name: name.map(Into::into),
            farewell,
        }
    }
}

fn why(refused: Refused, files: Files<'_>) -> NoTls {
    let what = match refused {
        Refused::Library(reason) => return NoTls::Library(reason),
        Refused::Context => "SSL error: cannot create new SSL context",
        Refused::Certificate => "SSL error : Cant load certificate file...",
        Refused::Key => "SSL error : Cant load key file...",
        Refused::Ca => "SSL error : Cant load CA file...",
    };
    let or_null = |word: Option<&str>| word.unwrap_or("(null)").to_owned();
    NoTls::Files(vec![
        what.to_owned(),
        "Error Initialize SSL, ctx Instance".to_owned(),
        format!("  SSL  keyfile:{}", or_null(files.key)),
        format!("  SSL password:{}", or_null(files.password)),
        format!("  SSL   cafile:{}", or_null(files.ca)),
    ])
}

impl Setup {
    pub(crate) fn session(self, stream: &TcpStream) -> Result<Session, ()> {
        let stream = stream.try_clone().map_err(|_| ())?;
        self.client
            .session(stream, self.name.as_deref(), self.farewell)
            .map(Session)
            .map_err(|_| ())
    }
}

impl Session {
    pub(crate) fn connect(&mut self) -> Handshake {
        self.0.connect()
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write(bytes)
    }

    pub(crate) fn read(&mut self, into: &mut [u8]) -> Read {
        match self.0.read(into) {
            tls::Read::Bytes(count) => Read::Bytes(count),
            tls::Read::Wait => Read::Wait,
            tls::Read::End => Read::End(true),
            tls::Read::Broken => Read::Broken(Vec::new()),
            tls::Read::Violated(errors) => Read::Broken(errors.into_iter().map(line).collect()),
        }
    }

    pub(crate) fn pending(&self) -> bool {
        self.0.pending()
    }

    pub(crate) fn shutdown(&mut self) -> bool {
        self.0.shutdown()
    }
}

fn line(error: tls::Error) -> TlsError {
    TlsError {
        code: error.code,
        text: format!(
            "SSL error '{}' at {}:{} ({}) data '{}' flags 0x{:x}",
            error.text, error.file, error.line, error.function, error.data, error.flags
        ),
    }
}
