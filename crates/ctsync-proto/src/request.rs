//! Requests of the control socket (conntrackd-behaviour.md section 3).

/// What an operator asks for. Kill (20) is the daemon's own business and not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// 0: empty the kernel's conntrack table.
    FlushKernel,
    /// 1: read the kernel's conntrack table into the internal cache.
    ResyncFromKernel,
    /// 16, 24: dump the internal cache.
    DumpInternal {
        /// As XML.
        xml: bool,
    },
    /// 17, 25: dump the external cache.
    DumpExternal {
        /// As XML.
        xml: bool,
    },
    /// 18: commit the external cache.
    Commit,
    /// 19: flush both caches.
    FlushCaches,
    /// 21: statistics.
    Stats,
    /// 22: send everything to the peer.
    SendBulk,
    /// 23: ask the peer to send everything.
    RequestBulk,
    /// 26: arm the purge timer.
    ArmPurge,
    /// 28
    StatsNetwork,
    /// 29
    StatsCache,
    /// 30
    StatsRuntime,
    /// 31
    StatsLink,
    /// 32
    StatsResendQueue,
    /// 33: flush the internal cache.
    FlushInternal,
    /// 34: flush the external cache.
    FlushExternal,
    /// 35
    StatsProcess,
    /// 36
    StatsQueue,
    /// 37: statistics of expectations.
    ExpectStats,
    /// 38: empty the kernel's expectation table.
    ExpectFlushKernel,
    /// 39: read the kernel's expectations.
    ExpectResyncFromKernel,
    /// 40, 47: dump the internal expectation cache.
    ExpectDumpInternal {
        /// As XML.
        xml: bool,
    },
    /// 41, 48: dump the external expectation cache.
    ExpectDumpExternal {
        /// As XML.
        xml: bool,
    },
    /// 42: commit the external expectation cache.
    ExpectCommit,
    /// 43: empty both kernel tables.
    AllFlushKernel,
    /// 44: read both kernel tables.
    AllResyncFromKernel,
    /// 45: flush all caches.
    AllFlushCaches,
    /// 46: commit both external caches.
    AllCommit,
    /// [`JSON`] plus the number of a statistics request: the same as JSON. 1.4.8 does not know these numbers.
    Json(Section),
}

/// Added to a statistics request's number to ask for JSON.
pub const JSON: u32 = 256;

/// A part of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `-s`
    Main,
    /// `-s network`
    Network,
    /// `-s cache`
    Cache,
    /// `-s runtime`
    Runtime,
    /// `-s link`
    Link,
    /// `-s rsqueue`
    ResendQueue,
    /// `-s process`
    Process,
    /// `-s queue`
    Queue,
    /// `-s expect`
    Expect,
}

impl Section {
    const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            21 => Self::Main,
            28 => Self::Network,
            29 => Self::Cache,
            30 => Self::Runtime,
            31 => Self::Link,
            32 => Self::ResendQueue,
            35 => Self::Process,
            36 => Self::Queue,
            37 => Self::Expect,
            _ => return None,
        })
    }
}

impl Request {
    /// The request of a number on the control socket. `None` for kill (20) and for unknown numbers, which are answered
    /// with an empty reply.
    pub const fn from_number(number: u32) -> Option<Self> {
        if let Some(Some(section)) = match number.checked_sub(JSON) {
            Some(number) => Some(Section::from_number(number)),
            None => None,
        } {
            return Some(Self::Json(section));
        }
        Some(match number {
            0 => Self::FlushKernel,
            1 => Self::ResyncFromKernel,
            16 => Self::DumpInternal { xml: false },
            24 => Self::DumpInternal { xml: true },
            17 => Self::DumpExternal { xml: false },
            25 => Self::DumpExternal { xml: true },
            18 => Self::Commit,
            19 => Self::FlushCaches,
            21 => Self::Stats,
            22 => Self::SendBulk,
            23 => Self::RequestBulk,
            26 => Self::ArmPurge,
            28 => Self::StatsNetwork,
            29 => Self::StatsCache,
            30 => Self::StatsRuntime,
            31 => Self::StatsLink,
            32 => Self::StatsResendQueue,
            33 => Self::FlushInternal,
            34 => Self::FlushExternal,
            35 => Self::StatsProcess,
            36 => Self::StatsQueue,
            37 => Self::ExpectStats,
            38 => Self::ExpectFlushKernel,
            39 => Self::ExpectResyncFromKernel,
            40 => Self::ExpectDumpInternal { xml: false },
            47 => Self::ExpectDumpInternal { xml: true },
            41 => Self::ExpectDumpExternal { xml: false },
            48 => Self::ExpectDumpExternal { xml: true },
            42 => Self::ExpectCommit,
            43 => Self::AllFlushKernel,
            44 => Self::AllResyncFromKernel,
            45 => Self::AllFlushCaches,
            46 => Self::AllCommit,
            _ => return None,
        })
    }
}
