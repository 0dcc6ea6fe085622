//! What the engine has to say to the log, with the original's wording.

use alloc::boxed::Box;
use core::fmt;

/// How grave a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For the curious.
    Info,
    /// Normal but worth a line.
    Notice,
    /// Something may be wrong.
    Warning,
    /// Something is wrong.
    Error,
}

/// Which attempt of direct injection failed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is a part of a sentence")]
pub enum InjectFailure {
    Add,
    AddAfterDelete,
    Update,
    UpdateByCreate,
    UpdateAfterDelete,
    Destroy,
}

/// A log line. Its `Display` is the original's text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the sentence it displays")]
pub enum Notice {
    DisablingInternalCache,
    DisablingExternalCache,
    PollingMode,
    FlushingKernel,
    FlushingKernelExpect,
    FlushingScheduled,
    ResyncFromKernel,
    ResyncFromKernelExpect,
    ResyncUnsupported,
    Committing,
    CommittingExpect,
    CommittingAll,
    CommitInProgress,
    FlushIgnored,
    PurgeArmed {
        seconds: u32,
    },
    FlushingCaches,
    FlushingInternal,
    FlushingExternal,
    ResyncRequested,
    ResyncRequestedByPeer,
    SendingBulk,
    Committed {
        entries: u32,
        expectations: bool,
    },
    CommitFailures {
        entries: u32,
        expectations: bool,
    },
    CommitTime {
        micros: u64,
    },
    /// A creation failed; the flow's line goes to the log file.
    CommitCreate {
        errno: i32,
        flow: Box<str>,
    },
    /// A deletion before a second creation failed.
    CommitDestroy {
        errno: i32,
        flow: Box<str>,
    },
    /// The kernel did not take what the peer said; the flow's line goes to the log file.
    NotInjected {
        failure: InjectFailure,
        expect: bool,
        errno: i32,
        flow: Box<str>,
    },
    MissingLayer3,
    /// A state from the peer has no addresses.
    UnknownLayer3,
    MissingIpv4,
    MissingIpv6,
    NoMasterTuple,
    LinkActive {
        device: Box<str>,
    },
    NoLinkAvailable,
    KernelDumpFailed {
        errno: i32,
    },
    MessageTooLong {
        bytes: usize,
    },
}

impl Notice {
    /// How grave.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::FlushIgnored
            | Self::CommitCreate { .. }
            | Self::CommitDestroy { .. }
            | Self::MissingLayer3
            | Self::UnknownLayer3
            | Self::MissingIpv4
            | Self::MissingIpv6
            | Self::NoMasterTuple
            | Self::NoLinkAvailable
            | Self::KernelDumpFailed { .. }
            | Self::MessageTooLong { .. } => Severity::Error,
            Self::NotInjected { .. } => Severity::Warning,
            _ => Severity::Notice,
        }
    }

    /// The flow that the notice concerns, as a plain line: the original writes it to the log file, after the date.
    pub fn flow(&self) -> Option<&str> {
        match self {
            Self::CommitCreate { flow, .. }
            | Self::CommitDestroy { flow, .. }
            | Self::NotInjected { flow, .. } => Some(flow),
            _ => None,
        }
    }
}

/// Words of the error numbers that ctnetlink returns, as glibc has them.
struct Errno(i32);

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            0 => "Success",
            1 => "Operation not permitted",
            2 => "No such file or directory",
            4 => "Interrupted system call",
            5 => "Input/output error",
            11 => "Resource temporarily unavailable",
            12 => "Cannot allocate memory",
            13 => "Permission denied",
            16 => "Device or resource busy",
            17 => "File exists",
            22 => "Invalid argument",
            28 => "No space left on device",
            33 => "Numerical argument out of domain",
            34 => "Numerical result out of range",
            71 => "Protocol error",
            90 => "Message too long",
            95 => "Operation not supported",
            97 => "Address family not supported by protocol",
            105 => "No buffer space available",
            111 => "Connection refused",
            n => return write!(f, "Unknown error {n}"),
        })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DisablingInternalCache => "disabling internal cache",
            Self::DisablingExternalCache => "disabling external cache",
            Self::PollingMode => "running in polling mode",
            Self::FlushingKernel => "flushing kernel conntrack table",
            Self::FlushingKernelExpect => "flushing kernel expect table",
            Self::FlushingScheduled => "flushing kernel conntrack table (scheduled)",
            Self::ResyncFromKernel => "resync with master conntrack table",
            Self::ResyncFromKernelExpect => "resync with master expect table",
            Self::ResyncUnsupported => "resync is unsupported in this mode",
            Self::Committing => "committing conntrack cache",
            Self::CommittingExpect => "committing expectation cache",
            Self::CommittingAll => "committing all external caches",
            Self::CommitInProgress => "commit already in progress, skipping",
            Self::FlushIgnored => "ignoring flush command, commit still in progress",
            Self::PurgeArmed { seconds } => {
                return write!(f, "flushing conntrack table in {seconds} secs");
            }
            Self::FlushingCaches => "flushing caches",
            Self::FlushingInternal => "flushing internal cache",
            Self::FlushingExternal => "flushing external cache",
            Self::ResyncRequested => "resync requested",
            Self::ResyncRequestedByPeer => "resync requested by other node",
            Self::SendingBulk => "sending bulk update",
            Self::Committed {
                entries,
                expectations,
            } => {
                let what = if *expectations {
                    "expectations"
                } else {
                    "entries"
                };
                return write!(f, "Committed {entries} new {what}");
            }
            Self::CommitFailures {
                entries,
                expectations,
            } => {
                let what = if *expectations {
                    "expectations"
                } else {
                    "entries"
                };
                return write!(f, "{entries} {what} can't be committed");
            }
            Self::CommitTime { micros } => {
                return write!(
                    f,
                    "commit has taken {}.{:06} seconds",
                    micros / 1_000_000,
                    micros % 1_000_000
                );
            }
            Self::CommitCreate { errno, .. } => {
                return write!(f, "commit-create: {}", Errno(*errno));
            }
            Self::CommitDestroy { errno, .. } => {
                return write!(f, "commit-destroy: {}", Errno(*errno));
            }
            Self::NotInjected {
                failure,
                expect,
                errno,
                ..
            } => {
                let entry = if *expect { "exp entry" } else { "ct entry" };
                let errno = Errno(*errno);
                return match failure {
                    InjectFailure::Add => write!(f, "could not add new {entry}: {errno}"),
                    InjectFailure::AddAfterDelete => write!(
                        f,
                        "could not add new {entry}, even when deleting it first: {errno}"
                    ),
                    InjectFailure::Update => write!(f, "could not update {entry}: {errno}"),
                    InjectFailure::UpdateByCreate => write!(
                        f,
                        "could not update {entry}, even if creating it instead: {errno}"
                    ),
                    InjectFailure::UpdateAfterDelete => write!(
                        f,
                        "could not update {entry}, even when deleting it first: {errno}"
                    ),
                    // Two words for the same.
                    InjectFailure::Destroy if *expect => {
                        write!(f, "could not delete {entry}: {errno}")
                    }
                    InjectFailure::Destroy => write!(f, "could not destroy {entry}: {errno}"),
                };
            }
            Self::MissingLayer3 => "missing layer 3 protocol",
            Self::UnknownLayer3 => "unknown layer 3 proto in hash",
            Self::MissingIpv4 => "missing IPv4 address. You forgot to load nf_conntrack_ipv4?",
            Self::MissingIpv6 => "missing IPv6 address. You forgot to load nf_conntrack_ipv6?",
            Self::NoMasterTuple => "no master tuple in expectation",
            Self::LinkActive { device } => {
                return write!(f, "device `{device}' becomes dedicated link");
            }
            Self::NoLinkAvailable => "no dedicated links available!",
            Self::KernelDumpFailed { errno } => {
                return write!(f, "can't dump kernel table: {}", Errno(*errno));
            }
            Self::MessageTooLong { bytes } => {
                return write!(
                    f,
                    "state message of {bytes} bytes does not fit the dedicated link, skipping"
                );
            }
        })
    }
}
