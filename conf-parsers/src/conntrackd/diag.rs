//! What the reader of conntrackd.conf says, as values and as the sentences of conntrackd 1.4.8.

use std::fmt;

use super::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Told, then ignored
    Warning,
    /// Reading stops; daemon and client end with status 1
    Error,
}

/// One message about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether reading went on.
    pub severity: Severity,
    /// The token that caused it.
    pub span: Span,
    /// What is wrong. Its `Display` is the sentence of the original.
    pub kind: Kind,
}

/// Everything that can be said about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The grammar does not allow this token here. Empty at the end of the file.
    Syntax {
        /// Line of the token, from 1
        line: u32,
        /// The token as written
        symbol: String,
    },
    /// General/LogFile, Stats/LogFile or LockFile above 256 characters
    PathTooLong(&'static str),
    /// UNIX/Path above 107 characters
    SocketPathTooLong,
    /// General/Syslog with an unknown name
    UnknownFacility(String),
    /// Stats/Syslog with an unknown name; the sentence has a dot more
    UnknownStatsFacility(String),
    /// General and Stats name different facilities
    ConflictingFacility,
    /// `Backlog` has no effect any more
    Backlog,
    /// `Nice` has no effect any more
    Nice,
    /// Scheduler Type is neither RR nor FIFO
    UnknownScheduler(String),
    /// Scheduler Priority above 99
    Priority,
    /// PollSecs 0
    PollSecs,
    /// A name that is no layer-4 protocol
    UnknownProtocol(String),
    /// A prefix length that is too long: address and length
    BadNetwork(String, i32),
    /// Not an address of the family that a filter entry wants: 4 or 6
    BadFilterAddress(u8, String),
    /// The same network twice in a filter
    RepeatedNetwork(String),
    /// Not an address of the family that a link option wants: 4 or 6
    BadAddress(u8, String),
    /// A multicast group or interface address of the family (first) although the other one was set before
    MixedFamilies {
        /// 4 or 6: the family of this option
        family: u8,
        /// "address" or "interface"
        what: &'static str,
    },
    /// `IPv6_interface` has no effect any more
    Ipv6Interface,
    /// There is no such interface at the moment
    NoInterface(String),
    /// Links of different kinds
    MixedLinks(&'static str),
    /// A fifth link
    TooManyLinks,
    /// `Mode nack`
    NackRenamed,
    /// `Mode persistent`
    PersistentRenamed,
    /// Both a Stats and a Sync block
    StatsAndSync,
    /// CommitTimeout together with DisableExternalCache
    CommitTimeoutIgnored,
    /// Helper Type with neither inet nor inet6
    HelperLayer3,
    /// Helper Type with neither tcp nor udp
    HelperLayer4,
    /// No helper of that name for that protocol
    UnknownHelper(String),
    /// A policy that the helper does not have
    UnknownPolicy(String),
    /// `Policy` without anything in it
    EmptyPolicy,
    /// A policy name above 16 characters
    PolicyTooLong,
}

impl Kind {
    /// Whether it ends the reading.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Syntax { .. }
            | Self::PathTooLong(_)
            | Self::SocketPathTooLong
            | Self::UnknownScheduler(_)
            | Self::Priority
            | Self::PollSecs
            | Self::MixedLinks(_)
            | Self::TooManyLinks
            | Self::StatsAndSync
            | Self::HelperLayer3
            | Self::HelperLayer4
            | Self::UnknownHelper(_)
            | Self::UnknownPolicy(_)
            | Self::EmptyPolicy
            | Self::PolicyTooLong => Severity::Error,
            Self::UnknownFacility(_)
            | Self::UnknownStatsFacility(_)
            | Self::ConflictingFacility
            | Self::Backlog
            | Self::Nice
            | Self::UnknownProtocol(_)
            | Self::BadNetwork(..)
            | Self::BadFilterAddress(..)
            | Self::RepeatedNetwork(_)
            | Self::BadAddress(..)
            | Self::MixedFamilies { .. }
            | Self::Ipv6Interface
            | Self::NoInterface(_)
            | Self::NackRenamed
            | Self::PersistentRenamed
            | Self::CommitTimeoutIgnored => Severity::Warning,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, symbol } => {
                write!(f, "parsing config file in line ({line}), symbol '{symbol}': syntax error")
            }
            Self::PathTooLong(what) => write!(f, "{what} path is longer than 256 characters"),
            Self::SocketPathTooLong => f.write_str("Path is longer than 107 characters"),
            Self::UnknownFacility(name) => write!(f, "'{name}' is not a known syslog facility, ignoring"),
            Self::UnknownStatsFacility(name) => write!(f, "'{name}' is not a known syslog facility, ignoring."),
            Self::ConflictingFacility => f.write_str("conflicting Syslog facility values, defaulting to General"),
            Self::Backlog => f.write_str("deprecated unix backlog configuration, ignoring."),
            Self::Nice => f.write_str(
                "deprecated nice configuration, ignoring. The nice value can be set externally with nice(1) and renice(1).",
            ),
            Self::UnknownScheduler(name) => write!(f, "unknown scheduler `{name}'"),
            // The original's text ends with a newline of its own.
            Self::Priority => f.write_str("`Priority' must be [0, 99]\n"),
            Self::PollSecs => f.write_str("`PollSecs' clause must be > 0"),
            Self::UnknownProtocol(name) => {
                write!(f, "getprotobyname() cannot find protocol `{name}' in /etc/protocols")
            }
            Self::BadNetwork(addr, len) => write!(f, "{addr}/{len} is not a valid network, ignoring"),
            Self::BadFilterAddress(family, addr) => write!(f, "{addr} is not a valid IPv{family}, ignoring"),
            Self::RepeatedNetwork(addr) => write!(f, "netmask {addr} is repeated in the ignore pool"),
            Self::BadAddress(family, addr) => write!(f, "{addr} is not a valid IPv{family} address"),
            Self::MixedFamilies { family: 6, what } => write!(
                f,
                "your multicast {what} is IPv6 but is binded to an IPv4 interface? Surely this is not what you want"
            ),
            Self::MixedFamilies { what, .. } => write!(
                f,
                "your multicast {what} is IPv4 but is binded to an IPv6 interface? Surely, this is not what you want"
            ),
            Self::Ipv6Interface => f.write_str("`IPv6_interface' not required, ignoring"),
            Self::NoInterface(name) => write!(f, "{name} is an invalid interface"),
            Self::MixedLinks(kind) => write!(f, "cannot use `{kind}' with other dedicated link protocols!"),
            Self::TooManyLinks => {
                f.write_str("too many dedicated links in the configuration file (Maximum: 4)")
            }
            // The original's text ends with a newline of its own.
            Self::NackRenamed => {
                f.write_str("Now `nack' mode is called `ftfw'. Please, update your conntrackd.conf file.\n")
            }
            Self::PersistentRenamed => {
                f.write_str("Now `persistent' mode is called `alarm'. Please, update your conntrackd.conf file.")
            }
            Self::StatsAndSync => {
                f.write_str("cannot use both `Stats' and `Sync' clauses in conntrackd.conf")
            }
            Self::CommitTimeoutIgnored => f.write_str(
                "`CommitTimeout' can't be combined with `DisableExternalCache', ignoring this option. \
                 Fix your configuration file.",
            ),
            Self::HelperLayer3 => f.write_str("unknown layer 3 protocol"),
            Self::HelperLayer4 => f.write_str("unknown layer 4 protocol"),
            Self::UnknownHelper(name) => write!(f, "Unknown `{name}' helper"),
            Self::UnknownPolicy(name) => write!(f, "Unknown policy `{name}' in helper configuration"),
            Self::EmptyPolicy => {
                f.write_str("Helper policy configuration empty, fix your configuration file, please")
            }
            Self::PolicyTooLong => f.write_str("Helper Policy is longer than 16 characters"),
        }
    }
}
