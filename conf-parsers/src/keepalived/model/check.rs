//! Health checkers of real servers. Times are in microseconds.

use core::net::{IpAddr, SocketAddr};

use super::lvs::CheckTimes;
use super::script::Script;
use crate::span::{Span, Spanned};

/// First HTTP status code that can be named.
pub const STATUS_MIN: u16 = 100;
/// Last HTTP status code that can be named.
pub const STATUS_MAX: u16 = 599;
/// `helo_name` when none is given.
pub const DEFAULT_HELO: &str = "smtpchecker.keepalived.org";

/// Connection options of a checker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// `connect_ip`, else the real server's address; filled when the block ends.
    pub ip: Option<IpAddr>,
    /// `connect_port`, else the real server's port.
    pub port: Option<u16>,
    /// `bindto`
    pub bind_ip: Option<IpAddr>,
    /// `bind_port`
    pub bind_port: Option<u16>,
    /// `bind_if`, at most 15 bytes.
    pub bind_if: Option<Box<Spanned<Box<str>>>>,
    /// `connect_timeout`; inherited when absent.
    pub timeout: Option<u64>,
    /// `fwmark`
    pub fwmark: u32,
}

impl Connection {
    /// Where to connect, given the real server.
    pub fn target(&self, real_server: SocketAddr) -> SocketAddr {
        SocketAddr::new(
            self.ip.unwrap_or_else(|| real_server.ip()),
            self.port.unwrap_or_else(|| real_server.port()),
        )
    }
}

/// One checker of a real server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checker {
    /// Where the block starts.
    pub span: Span,
    /// What it does.
    pub kind: CheckKind,
    /// Connection options; `None` for `MISC_CHECK` and `BFD_CHECK`.
    pub connection: Option<Connection>,
    /// `retry`, `delay_loop`, `delay_before_retry`, `warmup`; all set after validation.
    pub times: CheckTimes,
    /// `alpha`
    pub alpha: Option<bool>,
    /// `log_all_failures`
    pub log_all_failures: bool,
}

/// The kind and its own options. What is large is boxed: most of many checkers are of a small kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// `HTTP_GET` and `SSL_GET`
    Http(Box<HttpGet>),
    /// `TCP_CHECK`
    Tcp,
    /// `SMTP_CHECK`; `host` blocks have become checkers of their own.
    Smtp {
        /// `helo_name`
        helo: Box<str>,
    },
    /// `DNS_CHECK`
    Dns {
        /// `type`
        record: DnsType,
        /// `name`, empty for the root.
        name: Box<str>,
    },
    /// `PING_CHECK`
    Ping,
    /// `UDP_CHECK`
    Udp(Box<UdpCheck>),
    /// `MISC_CHECK`
    Misc {
        /// `misc_path` with `user`
        script: Box<Script>,
        /// `misc_timeout` in microseconds; 0 is the virtual server's `delay_loop`.
        timeout: u64,
        /// `misc_dynamic`
        dynamic: bool,
    },
    /// `BFD_CHECK`
    Bfd {
        /// `name` of the `bfd_instance`.
        session: Spanned<Box<str>>,
    },
}

impl CheckKind {
    /// Retries when nothing else is said.
    pub const fn default_retry(&self) -> u32 {
        match self {
            Self::Misc { .. } => 0,
            Self::Dns { .. } => 3,
            _ => 1,
        }
    }

    /// Delay before a retry in microseconds when nothing else is said; `None` is the `delay_loop`.
    pub const fn default_delay_before_retry(&self) -> Option<u64> {
        match self {
            Self::Http(_) => Some(3_000_000),
            Self::Dns { .. } => None,
            _ => Some(1_000_000),
        }
    }

    /// Whether the checker runs by itself; `BFD_CHECK` waits for events.
    pub const fn is_active(&self) -> bool {
        !matches!(self, Self::Bfd { .. })
    }
}

/// HTTP version in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// `1.0`
    #[default]
    V1_0,
    /// `1.0C` or `1.0c`: 1.0 with `Connection: close`.
    V1_0Close,
    /// `1.1`
    V1_1,
}

/// `HTTP_GET` and `SSL_GET`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpGet {
    /// `SSL_GET`
    pub ssl: bool,
    /// `virtualhost`
    pub virtualhost: Option<Box<str>>,
    /// `http_protocol`
    pub version: HttpVersion,
    /// `enable_sni`
    pub enable_sni: bool,
    /// `fast_recovery`
    pub fast_recovery: bool,
    /// `tls_compliant`, `SSL_GET` only.
    pub tls_compliant: bool,
    /// `url` blocks, at least one.
    pub urls: Vec<Url>,
}

/// One `url` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// `path`
    pub path: Option<Spanned<Box<str>>>,
    /// `digest`, an MD5.
    pub digest: Option<[u8; 16]>,
    /// `status_code`; 200 to 299 when the text names none.
    pub status: StatusCodes,
    /// `virtualhost`
    pub virtualhost: Option<Box<str>>,
    /// `tls_compliant`, `SSL_GET` only.
    pub tls_compliant: bool,
    /// `regex` and its options.
    pub regex: Option<Regex>,
}

/// `regex` of a `url` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regex {
    /// The pattern (PCRE2), escapes undone.
    pub pattern: Spanned<Box<str>>,
    /// `regex_no_match`
    pub no_match: bool,
    /// `regex_options`, by name, each once.
    pub options: Vec<&'static str>,
    /// `regex_min_offset`
    pub min_offset: usize,
    /// `regex_max_offset`: one past the last start; 0 for no limit.
    pub max_offset: usize,
    /// `regex_stack START MAX`
    pub stack: Option<(usize, usize)>,
}

/// A set of HTTP status codes from 100 to 599.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusCodes {
    /// Inclusive ranges as written.
    ranges: Vec<(u16, u16)>,
}

impl StatusCodes {
    /// The codes of a `url` block that names none.
    pub fn success() -> Self {
        Self {
            ranges: vec![(200, 299)],
        }
    }

    /// Adds an inclusive range.
    pub fn insert(&mut self, min: u16, max: u16) {
        self.ranges.push((min, max));
    }

    /// Whether no code is in the set.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `code` is in the set.
    pub fn contains(&self, code: u16) -> bool {
        self.ranges.iter().any(|&(a, b)| (a..=b).contains(&code))
    }
}

/// Record type of `DNS_CHECK`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u16)]
pub enum DnsType {
    /// Host address.
    A = 1,
    /// Name server.
    Ns = 2,
    /// Alias.
    Cname = 5,
    /// Start of authority, the default.
    #[default]
    Soa = 6,
    /// Mail exchange.
    Mx = 15,
    /// Text.
    Txt = 16,
    /// IPv6 address.
    Aaaa = 28,
    /// Signature.
    Rrsig = 46,
    /// Key.
    Dnskey = 48,
}

impl DnsType {
    const NAMES: [(&'static str, Self); 9] = [
        ("A", Self::A),
        ("NS", Self::Ns),
        ("CNAME", Self::Cname),
        ("SOA", Self::Soa),
        ("MX", Self::Mx),
        ("TXT", Self::Txt),
        ("AAAA", Self::Aaaa),
        ("RRSIG", Self::Rrsig),
        ("DNSKEY", Self::Dnskey),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(_, kind)| *kind == self);
        known.map_or("", |(name, _)| name)
    }

    /// By name, letters of either case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, kind)| *kind)
    }
}

/// `UDP_CHECK`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpCheck {
    /// `payload`
    pub payload: Vec<u8>,
    /// `require_reply`
    pub require_reply: bool,
    /// Octets given with `require_reply`, each with the mask of bits that do not matter.
    pub reply: Vec<(u8, u8)>,
    /// `min_reply_length`
    pub min_reply_len: u16,
    /// `max_reply_length`
    pub max_reply_len: u16,
}

impl Default for UdpCheck {
    fn default() -> Self {
        Self {
            payload: Vec::new(),
            require_reply: false,
            reply: Vec::new(),
            min_reply_len: 0,
            max_reply_len: 255,
        }
    }
}
