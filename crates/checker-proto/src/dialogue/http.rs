//! One page of `HTTP_GET` and `SSL_GET`, also of `genhash`.
//!
//! ```text
//! GET … ─▶ headers (at most HEAD_MAX with what came along) ─▶ body, counted and digested as it comes ─▶ end of the connection
//! ```
//! The original reads to the end of the connection whatever the headers say, and knows no chunks: the body is what came after
//! the headers. A server that does not close is a failure.
//! Answers to: keepalived 2.3.3 check/check_http.c, lib/html.c.

use alloc::format;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use md5::{Digest, Md5};

use super::decimal;

/// Headers that did not end within so many bytes are no headers.
pub const HEAD_MAX: usize = 4095;
/// A longer request is cut off.
pub const REQUEST_MAX: usize = 2047;

/// How the request names its version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 1.0
    #[default]
    V1_0,
    /// 1.0 with `Connection: close`
    V1_0Close,
    /// 1.1 with `Connection: close`
    V1_1,
}

/// The name of the server for `Host:` when no `virtualhost` is set.
struct Host(SocketAddr);

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SocketAddr::V4(server) => write!(f, "{}:{}", server.ip(), server.port()),
            SocketAddr::V6(server) => write!(f, "[{}]:{}", server.ip(), server.port()),
        }
    }
}

/// The request for `path`. Without a `virtualhost` the server is named by its address and port.
pub fn request(
    path: &str,
    version: Version,
    virtualhost: Option<&str>,
    server: SocketAddr,
) -> Vec<u8> {
    let minor = u8::from(version == Version::V1_1);
    let close = match version {
        Version::V1_0 => "",
        Version::V1_0Close | Version::V1_1 => "Connection: close\r\n",
    };
    let head = format!("GET {path} HTTP/1.{minor}\r\nUser-Agent: KeepAliveClient\r\n{close}Host: ");
    let mut text = match virtualhost {
        Some(host) => format!("{head}{host}\r\n\r\n"),
        None => format!("{head}{}\r\n\r\n", Host(server)),
    }
    .into_bytes();
    text.truncate(REQUEST_MAX);
    text
}

/// What one piece of the answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The headers with the empty line, when this piece ended them.
    pub head: Option<&'a [u8]>,
    /// What there was of the body.
    pub body: &'a [u8],
    /// How much of that counts, if the headers state a length.
    pub counted: usize,
}

/// An answer as it comes in.
#[derive(Clone, Debug)]
pub struct Answer {
    head: Vec<u8>,
    over: bool,
    status: u64,
    content_length: Option<u64>,
    received: u64,
    digest: Option<Md5>,
}

/// An answer that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// The status code; 0 when the first line has none.
    pub status: u16,
    /// What `Content-Length:` says.
    pub content_length: Option<u64>,
    /// Bytes of the body.
    pub received: u64,
    /// MD5 of the body, when it was asked for.
    pub digest: Option<[u8; 16]>,
}

impl Page {
    /// The stated and the received length, when they differ.
    pub fn mismatch(&self) -> Option<(u64, u64)> {
        let stated = self.content_length?;
        (stated != self.received).then_some((stated, self.received))
    }
}

impl Answer {
    /// Nothing has come yet. Whether a digest of the body is wanted.
    pub fn new(digest: bool) -> Self {
        Self {
            head: Vec::new(),
            over: false,
            status: 0,
            content_length: None,
            received: 0,
            digest: digest.then(Md5::new),
        }
    }

    /// Whether the headers have ended.
    pub const fn has_head(&self) -> bool {
        self.over
    }

    /// How much may come at once. 0: the headers are too long, which is the end.
    pub fn room(&self) -> usize {
        if self.over {
            HEAD_MAX
        } else {
            HEAD_MAX.saturating_sub(self.head.len())
        }
    }

    /// Takes a piece of at most [`Self::room`] bytes; what is more is not looked at.
    pub fn take<'a>(&'a mut self, bytes: &'a [u8]) -> Piece<'a> {
        let bytes = bytes.get(..self.room()).unwrap_or(bytes);
        if self.over {
            self.head = Vec::new();
            let counted = self.body(bytes);
            return Piece {
                head: None,
                body: bytes,
                counted,
            };
        }
        // The end may have begun in the piece before.
        let from = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(bytes);
        let new = self.head.get(from..).unwrap_or_default();
        let Some(at) = new.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Piece {
                head: None,
                body: &[],
                counted: 0,
            };
        };
        let end = from.saturating_add(at).saturating_add(4);
        self.over = true;
        self.status = status(&self.head);
        self.content_length = content_length(&self.head);
        let taken = core::mem::take(&mut self.head);
        let counted = self.body(taken.get(end..).unwrap_or_default());
        self.head = taken;
        let (head, body) = self.head.split_at_checked(end).unwrap_or_default();
        Piece {
            head: Some(head),
            body,
            counted,
        }
    }

    fn body(&mut self, bytes: &[u8]) -> usize {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let left = self
            .content_length
            .map_or(length, |stated| stated.saturating_sub(self.received));
        let counted = usize::try_from(left.min(length)).unwrap_or(bytes.len());
        if let Some(digest) = &mut self.digest {
            digest.update(bytes.get(..counted).unwrap_or(bytes));
        }
        self.received = self.received.saturating_add(length);
        counted
    }

    /// The connection has ended. `None`: the headers had not.
    pub fn end(self) -> Option<Page> {
        self.over.then(|| Page {
            status: u16::try_from(self.status).unwrap_or(0),
            content_length: self.content_length,
            received: self.received,
            digest: self.digest.map(|digest| digest.finalize().into()),
        })
    }
}

/// The three digits between blanks in the first line; 0 when there are none. As in the original, a code at the end of the line
/// counts for nothing, as a blank has to follow.
fn status(answer: &[u8]) -> u64 {
    let Some(at) = answer.iter().position(|c| matches!(c, b' ' | b'\r')) else {
        return 0;
    };
    if answer.get(at) != Some(&b' ') {
        return 0;
    }
    let rest = answer.get(at.saturating_add(1)..).unwrap_or_default();
    if rest.first() == Some(&b' ') || rest.get(3) != Some(&b' ') {
        return 0;
    }
    match decimal(rest) {
        (code, 3) => code,
        _ => 0,
    }
}

/// What the first `Content-Length:` says, in these letters, anywhere in what came with the headers.
fn content_length(answer: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"Content-Length:";
    let text = answer.split(|c| *c == 0).next().unwrap_or_default();
    let at = text.windows(NAME.len()).position(|name| name == NAME)?;
    let value = text.get(at.saturating_add(NAME.len())..)?;
    let (length, used) = decimal(value);
    match value.get(used) {
        None | Some(b'\r' | b'\n') => Some(length),
        Some(_) => None,
    }
    // The original's own mark for "not stated".
    .filter(|length| *length != u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;

    fn server(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn requests_as_the_original_sends_them() {
        let v4 = server("192.0.2.1:80");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(request("/", Version::V1_0, None, v4)),
            "GET / HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: 192.0.2.1:80\r\n\r\n"
        );
        assert_eq!(
            text(request("/x?y", Version::V1_0Close, Some("www"), v4)),
            "GET /x?y HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: www\r\n\r\n"
        );
        assert_eq!(
            text(request(
                "/",
                Version::V1_1,
                None,
                server("[2001:db8::1]:8080")
            )),
            "GET / HTTP/1.1\r\nUser-Agent: KeepAliveClient\r\nConnection: close\r\nHost: [2001:db8::1]:8080\r\n\r\n"
        );
        let long = request(&"x".repeat(5000), Version::V1_0, None, v4);
        assert_eq!(long.len(), REQUEST_MAX);
    }

    /// The answer in pieces of `size` bytes.
    fn read(answer: &[u8], size: usize, digest: bool) -> Option<Page> {
        let mut reader = Answer::new(digest);
        for piece in answer.chunks(size) {
            let mut rest = piece;
            while !rest.is_empty() && reader.room() > 0 {
                let now = rest.len().min(reader.room());
                let _ = reader.take(&rest[..now]);
                rest = &rest[now..];
            }
        }
        reader.end()
    }

    #[test]
    fn a_page_in_pieces_of_any_size() {
        let answer = b"HTTP/1.0 200 OK\r\nServer: x\r\nContent-Length: 3\r\n\r\nabcdef";
        for size in 1..answer.len() {
            let page = read(answer, size, true).unwrap();
            assert_eq!(page.status, 200);
            assert_eq!(page.received, 6);
            // All may come in one piece, in which the header is looked for.
            assert_eq!(page.mismatch(), Some((3, 6)));
            // md5 of "abc"
            let digest = page.digest.unwrap();
            assert_eq!(digest[..4], [0x90, 0x01, 0x50, 0x98]);
        }
    }

    #[test]
    fn status_lines() {
        for (line, code) in [
            ("HTTP/1.1 404 Not Found\r\n", 404),
            ("HTTP/1.1 200 \r\n", 200),
            ("HTTP/1.1 200\r\n", 0),
            ("HTTP/1.1  200 OK\r\n", 0),
            ("HTTP/1.1\r\n 200 OK\r\n", 0),
            ("x 999 y", 999),
            ("200 OK\r\n", 0),
            ("HTTP/1.1 2000 OK\r\n", 0),
            ("HTTP/1.1 20x OK\r\n", 0),
            ("", 0),
            ("\r\n", 0),
        ] {
            assert_eq!(status(line.as_bytes()), code, "{line:?}");
        }
    }

    #[test]
    fn lengths() {
        for (text, length) in [
            ("Content-Length: 12\r\n", Some(12)),
            ("Content-Length:12", Some(12)),
            ("content-length: 12\r\n", None),
            ("Content-Length: 12 \r\n", None),
            ("Content-Length: \r\n", None),
            ("\0Content-Length: 12\r\n", None),
            ("Content-Length: 99999999999999999999\r\n", None),
        ] {
            // "\r\n" after nothing: the C library reads on past the line, to nothing.
            assert_eq!(content_length(text.as_bytes()), length, "{text:?}");
        }
    }

    #[test]
    fn headers_without_end_are_given_up() {
        let mut reader = Answer::new(true);
        let junk = vec![b'a'; 1000];
        let mut taken = 0;
        while reader.room() > 0 {
            let now = reader.room().min(junk.len());
            let _ = reader.take(&junk[..now]);
            taken += now;
        }
        assert_eq!(taken, HEAD_MAX);
        assert_eq!(reader.end(), None);
    }
}
