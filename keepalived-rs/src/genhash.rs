//! `genhash`: fetches one page as `HTTP_GET` and `SSL_GET` do and prints the digest of its body.
//!
//! In: a command line, a page. Out: the digest, with `-v` all that came, too.
//! Answers to: keepalived 2.3.3 check/check_genhash.c, check/check_http.c.

use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;

use checker_proto::dialogue::http::{Piece, Version, request};
use checker_proto::verdict::{Obstacle, Verdict, WebFailure};
use conf_parsers::keepalived::sockaddr::parse_ip;
use daemon_rt::cli::getopt::{Arg, Getopt, Item, Opt};
use linux_io::check_sock::Target;
use linux_io::epoll::Wait;
use linux_io::signal::{SigSet, Signal, SignalFd, block};
use linux_io::timer::monotonic_now;
use net_types::{Duration, Instant};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::check::probe::Event;
use crate::check::probe::fetch::{Fetch, Step, Watcher};
use crate::check::probe::tls::{NoTls, Tls, TlsError};
use crate::text::genhash::{Dump, HASH, HASH_FINAL, HEAD_ASCII, HEAD_HEX, HTML, usage};
use crate::text::probe::web;

/// MD5 of nothing.
const EMPTY: [u8; 16] = [
    0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04, 0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e,
];
/// Patience without `-t`, in microseconds.
const PATIENCE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Help,
    Verbose,
    Ssl,
    Sni,
    Server,
    Virtualhost,
    Port,
    Url,
    Mark,
    Protocol,
    Timeout,
}

const fn opt(key: Key, short: char, long: &'static str, arg: Arg) -> Opt<Key> {
    Opt {
        key,
        short: Some(short),
        long,
        arg,
    }
}

const TABLE: &[Opt<Key>] = &[
    opt(Key::Help, 'h', "help", Arg::No),
    opt(Key::Verbose, 'v', "verbose", Arg::No),
    opt(Key::Ssl, 'S', "use-ssl", Arg::No),
    opt(Key::Sni, 'I', "use-sni", Arg::No),
    opt(Key::Server, 's', "server", Arg::Required),
    opt(Key::Virtualhost, 'V', "use-virtualhost", Arg::Required),
    opt(Key::Port, 'p', "port", Arg::Required),
    opt(Key::Url, 'u', "url", Arg::Required),
    opt(Key::Mark, 'm', "fwmark", Arg::Required),
    opt(Key::Protocol, 'P', "protocol", Arg::Required),
    opt(Key::Timeout, 't', "timeout", Arg::Required),
];

/// What to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Options {
    server: SocketAddr,
    path: String,
    virtualhost: Option<String>,
    version: Version,
    ssl: bool,
    sni: bool,
    verbose: bool,
    mark: u32,
    timeout: Duration,
}

/// Runs it. `count` is the number of words of the whole command line but the program's name; the exit status.
pub fn main(
    program: &str,
    is_genhash: bool,
    count: usize,
    words: &[String],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> u8 {
    let options = (count >= 2).then(|| parse(words, err)).flatten();
    let Some(options) = options else {
        // What cannot be written to a closed stderr has no other way to be told.
        let _ = write!(err, "{}", usage(program, is_genhash));
        return 1;
    };
    run(&options, out, err)
}

fn parse(words: &[String], err: &mut dyn Write) -> Option<Options> {
    let mut reading = Getopt::new(TABLE, words);
    let (mut ip, mut port, mut path) = (None, None, None);
    let mut bad = false;
    let mut options = Options {
        server: SocketAddr::from(([0, 0, 0, 0], 0)),
        path: String::new(),
        virtualhost: None,
        version: Version::V1_0,
        ssl: false,
        sni: false,
        verbose: false,
        mark: 0,
        timeout: Duration::from_micros(PATIENCE.into()),
    };
    let mut refuse = |text: fmt::Arguments<'_>| {
        let _ = writeln!(err, "{text}");
    };
    for item in reading.by_ref() {
        match item {
            Item::Unknown(culprit) => {
                match culprit.letter.filter(|_| !culprit.word.starts_with("--")) {
                    Some(letter) => refuse(format_args!("Unknown option -{letter}")),
                    None => refuse(format_args!("Unknown option {}", culprit.word)),
                }
                bad = true;
            }
            Item::Missing(culprit) => {
                match culprit.letter.filter(|_| !culprit.word.starts_with("--")) {
                    Some(letter) => refuse(format_args!("Missing parameter for option -{letter}")),
                    // The original has lost the name by now.
                    None => refuse(format_args!("Missing parameter for option --")),
                }
                bad = true;
            }
            Item::Found { key, value, .. } => {
                let value = value.unwrap_or_default();
                match key {
                    Key::Help => bad = true,
                    Key::Verbose => options.verbose = true,
                    Key::Ssl => options.ssl = true,
                    Key::Sni => options.sni = true,
                    Key::Server => {
                        let end = value.find('-').or_else(|| value.find('/'));
                        let word = value.get(..end.unwrap_or(value.len())).unwrap_or_default();
                        ip = parse_ip(word);
                        if ip.is_none() {
                            refuse(format_args!("server should be an IP, not {value}"));
                            return None;
                        }
                    }
                    Key::Virtualhost => options.virtualhost = Some(value),
                    Key::Port => {
                        port = signed(&value).and_then(|port| u16::try_from(port).ok());
                        if port.is_none_or(|port| port == 0) {
                            refuse(format_args!("invalid port number '{value}'"));
                            return None;
                        }
                    }
                    // The last one counts.
                    Key::Url => path = Some(value),
                    Key::Mark => match unsigned(&value) {
                        Some(mark) => options.mark = mark,
                        None => {
                            refuse(format_args!("invalid fwmark '{value}'"));
                            return None;
                        }
                    },
                    Key::Protocol => match &*value {
                        "1.0" => options.version = Version::V1_0,
                        "1.0c" | "1.0C" => options.version = Version::V1_0Close,
                        "1.1" => options.version = Version::V1_1,
                        _ => {
                            refuse(format_args!("invalid HTTP protocol version '{value}'"));
                            return None;
                        }
                    },
                    Key::Timeout => match unsigned(&value).filter(|_| !value.is_empty()) {
                        // 32 bits of microseconds, as in the original.
                        Some(secs) => {
                            let micros = secs.wrapping_mul(1_000_000);
                            options.timeout = Duration::from_micros(micros.into());
                        }
                        None => {
                            refuse(format_args!("invalid timeout '{value}'"));
                            return None;
                        }
                    },
                }
            }
        }
    }
    if bad {
        return None;
    }
    if !reading.operands().is_empty() {
        refuse(format_args!(
            "Unexpected argument(s): {}",
            reading.operands().join(" ")
        ));
        return None;
    }
    options.server = SocketAddr::new(ip?, port?);
    options.path = path?;
    Some(options)
}

/// A whole word as `strtol` reads it.
fn signed(word: &str) -> Option<i64> {
    word.trim_start().parse().ok()
}

/// A whole word as `strtoul` reads it, cut to 32 bits, without a minus sign.
fn unsigned(word: &str) -> Option<u32> {
    let word = word.trim_start();
    if word.is_empty() {
        return Some(0);
    }
    let digits = word.strip_prefix('+').unwrap_or(word);
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse::<u64>().unwrap_or(u64::MAX) as u32)
}

/// Prints what comes, if that is wanted.
struct Printer {
    verbose: bool,
    text: Vec<u8>,
}

impl Watcher for Printer {
    fn piece(&mut self, in_head: bool, piece: Piece<'_>) {
        if !self.verbose {
            return;
        }
        let counted = piece.body.get(..piece.counted).unwrap_or_default();
        if in_head {
            self.text.extend_from_slice(HEAD_HEX.as_bytes());
        }
        if let Some(head) = piece.head {
            let _ = write!(self.text, "{}{HEAD_ASCII}", Dump(head));
            let shown = head.split(|c| *c == 0).next().unwrap_or_default();
            self.text.extend_from_slice(shown);
            self.text.push(b'\n');
            if !counted.is_empty() {
                self.text.extend_from_slice(HTML.as_bytes());
            }
        }
        let _ = write!(self.text, "{}", Dump(counted));
    }

    fn tls_error(&mut self, _error: TlsError) {}
}

/// The end of the work.
enum End {
    Failed(WebFailure),
    Obstacle(Obstacle),
    /// The digest of what came, whether there were headers, and whether the connection ended properly.
    Digest([u8; 16], bool, bool),
    /// SIGINT or SIGTERM.
    Told,
}

fn run(options: &Options, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let tls = if options.ssl {
        match Tls::new(None) {
            Ok(tls) => Some(tls),
            Err(NoTls::Library(reason)) => {
                let _ = writeln!(
                    err,
                    "genhash: -S needs OpenSSL, which can not be loaded: {reason}"
                );
                return 1;
            }
            Err(NoTls::Files(lines)) => {
                let _ = writeln!(err, "{}\nTerminate...", lines.join("\n"));
                let _ = writeln!(err, "Cannot initialize SSL context.");
                return 1;
            }
        }
    } else {
        None
    };
    let begin = monotonic_now();
    let end = fetch(options, tls.as_ref(), begin, out);
    match end {
        End::Told => {}
        End::Failed(why) => {
            let _ = writeln!(out, "{}", web(why));
        }
        End::Obstacle(obstacle) => {
            let _ = writeln!(err, "genhash: {}", Because(obstacle));
            return 1;
        }
        End::Digest(digest, has_head, proper) => {
            if proper && options.verbose {
                let _ = write!(out, "\n{HASH}{}{HASH_FINAL}", Dump(&digest));
            }
            if has_head {
                let _ = writeln!(out, "{:032x}", u128::from_be_bytes(digest));
            } else {
                let _ = writeln!(err, "no data received from remote webserver");
            }
        }
    }
    if options.verbose {
        let took = monotonic_now().since(begin).as_micros();
        let _ = writeln!(
            out,
            "\nGlobal response time for [{}] = {took} usecs",
            options.path
        );
    }
    0
}

fn fetch(options: &Options, tls: Option<&Tls>, begin: Instant, out: &mut dyn Write) -> End {
    let target = Target {
        to: options.server,
        from: None,
        device: None,
        mark: options.mark,
    };
    let host = options.virtualhost.as_deref();
    let text = request(&options.path, options.version, host, options.server);
    let setup = tls.map(|tls| tls.setup(host.filter(|_| options.sni), false));
    let ends = SigSet::empty().with(Signal::INT).with(Signal::TERM);
    let signals = block(&ends).and_then(|_| SignalFd::new(&ends)).ok();
    let begun = Fetch::begin(&target, setup, text, true, begin, options.timeout);
    let (mut fetch, mut step) = match begun {
        Ok(begun) => begun,
        Err(Verdict::NotRun(obstacle)) => return End::Obstacle(obstacle),
        Err(_) => return End::Failed(WebFailure::Unreachable),
    };
    let mut printer = Printer {
        verbose: options.verbose,
        text: Vec::new(),
    };
    loop {
        let (waits, until) = match step {
            Step::Wait(waits, until) => (waits, until),
            Step::Failed(why) => return End::Failed(why),
            Step::End(page, proper) => {
                let digest = page.and_then(|page| page.digest);
                return End::Digest(digest.unwrap_or(EMPTY), page.is_some(), proper);
            }
        };
        let flags = match waits {
            Wait::Read => PollFlags::POLLIN,
            Wait::Write => PollFlags::POLLOUT,
        };
        let left = until.since(monotonic_now());
        // Rounded up, so that the time is over when nothing came.
        let millis = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let ready = {
            let mut fds = vec![PollFd::new(fetch.as_fd(), flags)];
            fds.extend(
                signals
                    .as_ref()
                    .map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)),
            );
            let _ = poll(
                &mut fds,
                PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX),
            );
            let ready = |at: usize| fds.get(at).is_some_and(|fd| fd.any().unwrap_or(false));
            if ready(1) {
                return End::Told;
            }
            ready(0)
        };
        let now = monotonic_now();
        step = match (ready, now >= until) {
            (true, _) => fetch.step(now, Event::Ready, &mut printer),
            (false, true) => fetch.step(now, Event::Timeout, &mut printer),
            (false, false) => Step::Wait(waits, until),
        };
        let _ = out.write_all(&std::mem::take(&mut printer.text));
    }
}

/// Why nothing could be fetched. The original tries again and again without a word.
struct Because(Obstacle);

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, number) = match self.0 {
            Obstacle::Socket(number) => ("no socket", number),
            Obstacle::Mark(_, number) => ("the mark can not be set", number),
            Obstacle::Device(number)
            | Obstacle::Bind(number)
            | Obstacle::Connect(number)
            | Obstacle::Script(number) => ("no connection", number),
            Obstacle::NoTls | Obstacle::BadRegex => return f.write_str("a library is missing"),
        };
        write!(f, "{what}: {}", std::io::Error::from_raw_os_error(number))
    }
}
