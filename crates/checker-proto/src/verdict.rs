//! How one run of a checker ended, in so far as anybody can tell the difference: log lines, mails, weights.
//!
//! Times and counts are the checker's business (`schedule`); this says only what the server did.
//! Answers to: keepalived 2.3.3 check/check_{tcp,http,ssl,smtp,dns,ping,udp,misc}.c.

/// The end of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server does what it should.
    Up(Success),
    /// It does not.
    Down(Failure),
    /// Nothing was learnt, as something is wrong on our side: try again after `delay_loop`.
    NotRun(Obstacle),
}

/// What showed that the server works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// `TCP_CHECK`, `SMTP_CHECK`, `DNS_CHECK`, `UDP_CHECK`, `PING_CHECK`: it answered.
    Answer,
    /// One url of `HTTP_GET` or `SSL_GET`.
    Web(WebProof),
    /// The exit status of a `MISC_CHECK` script: 0, or 2 to 255 with `misc_dynamic`.
    Script(u8),
}

/// What decided that a page is right; the last of those that were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebProof {
    /// Its status code.
    Status,
    /// Its digest.
    Digest,
    /// Its text, by a regular expression.
    Regex,
}

/// What is wrong with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `TCP_CHECK`
    Tcp(TcpFailure),
    /// `HTTP_GET` and `SSL_GET`
    Web(WebFailure),
    /// `SMTP_CHECK`
    Smtp(SmtpFailure),
    /// `DNS_CHECK`
    Dns(DnsFailure),
    /// `UDP_CHECK`
    Udp(UdpFailure),
    /// `PING_CHECK`
    Ping(PingFailure),
    /// `MISC_CHECK`
    Script(ScriptFailure),
}

/// Why a TCP connection is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpFailure {
    /// Nobody answered.
    Timeout,
    /// It was refused, reset or found no way.
    Failed,
    /// There is no way at all: known before a packet was sent. Nothing is said of it when every failure is logged.
    NoRoute,
}

/// Why a page is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebFailure {
    /// There is no way to the server: known before a packet was sent.
    Unreachable,
    /// Whether there is a connection can not be found out.
    Connecting,
    /// Nobody answered the connection, or the server is too slow at agreeing on keys.
    ConnectTimeout,
    /// The connection was refused or reset.
    ConnectFailed,
    /// No agreement on keys.
    Handshake,
    /// The request can not be sent.
    Send,
    /// No answer began in time.
    FirstReadTimeout,
    /// The answer did not go on.
    ReadTimeout,
    /// The same, over TLS.
    TlsReadTimeout,
    /// The connection broke.
    Read,
    /// The TLS connection ended before the headers did.
    TlsRead,
    /// The headers did not end: too long, or the connection ended.
    NoData,
    /// A status code that is not wanted, or none.
    Status,
    /// Another digest.
    Digest,
    /// The regular expression matched, or did not, as it should not.
    Regex,
}

/// Why a mail server is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpFailure {
    /// There is no way to the server: known before a packet was sent.
    Unreachable,
    /// Whether there is a connection can not be found out.
    Connecting,
    /// Nobody answered the connection.
    ConnectTimeout,
    /// The connection was refused or reset.
    ConnectFailed,
    /// No line came in time.
    ReadTimeout,
    /// The connection ended or broke.
    Read,
    /// Nothing can be sent in time.
    WriteTimeout,
    /// Nothing can be sent.
    Write,
    /// The greeting is no `220 `.
    Banner,
    /// The answer to HELO is no `250 `.
    Helo,
}

/// Why a name server is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsFailure {
    /// There is no way to the server: known before a packet was sent.
    Unreachable,
    /// Nothing could be sent in time.
    WriteTimeout,
    /// Nothing could be sent.
    Write,
    /// Not all of the question could be sent.
    ShortWrite,
    /// No answer in time.
    ReadTimeout,
    /// The system's error number: the server's machine says that nobody listens, and the like.
    Read(i32),
    /// The answer's code, 1 to 15.
    Code(u8),
}

/// Why a datagram was in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdpFailure {
    /// Nothing could be sent; never said, unlike the rest.
    Send,
    /// No answer, where one is wanted, or the news that nobody listens.
    Failed,
    /// An answer that is not the one that is wanted.
    Mismatch,
}

/// Why there is no echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingFailure {
    /// Nothing could be sent; never said, unlike the rest.
    Send,
    /// None came in time.
    Timeout,
    /// Something else came.
    Failed,
}

/// How a script failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScriptFailure {
    /// Its exit status.
    Exited(u8),
    /// The signal that ended it.
    Signal(i32),
    /// It took too long and was ended.
    TimedOut,
    /// It is gone without a trace: no conclusion, but the next run may begin.
    Lost,
}

/// What keeps us from checking. The number is the system's error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// No socket.
    Socket(i32),
    /// `fwmark` can not be set (the mark first).
    Mark(u32, i32),
    /// `bind_if` can not be used.
    Device(i32),
    /// `bindto` is not ours, or the port is taken.
    Bind(i32),
    /// Anything else before the first packet.
    Connect(i32),
    /// The script can not be started.
    Script(i32),
    /// `SSL_GET` where there is no library for TLS.
    NoTls,
    /// A `regex` that the library does not take, or no such library.
    BadRegex,
}
