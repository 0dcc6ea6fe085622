//! What must happen, and what the log says.

use crate::config::{CheckerId, RsId, VsId};
use crate::verdict::{Failure, Obstacle, Verdict, WebProof};

/// One thing to do, in the order in which others may see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Start a probe; its end is to be told with `Input::ProbeDone`. `url`: which page, for `HTTP_GET`.
    Probe {
        /// Of this checker.
        checker: CheckerId,
        /// The page.
        url: u16,
    },
    /// Change the kernel's tables. It may wait until something else can be seen, and the end of all outputs.
    Ipvs(Ipvs),
    /// Tell of a real server: script, FIFOs, SNMP. `up` is its state, also when it is not new.
    RealServer {
        /// Which.
        rs: RsId,
        /// It is in service.
        up: bool,
        /// The daemon stops: scripts are waited for.
        stopping: bool,
        /// Only SNMP: `omega` is not set.
        quiet: bool,
        /// How many of its virtual server's are in service now; 0 unless `Config::count_in_service`.
        in_service: u32,
    },
    /// Tell of a virtual server: script, FIFOs, mail, SNMP.
    Quorum(Quorum),
    /// Mail about a checker.
    CheckerMail {
        /// Which.
        checker: CheckerId,
        /// What it found; none for a BFD session.
        verdict: Option<Verdict>,
        /// It is up now.
        up: bool,
    },
    /// Mail about a real server that is taken out.
    GoneMail {
        /// Which.
        rs: RsId,
        /// The daemon stops.
        stopping: bool,
    },
    /// A line for the log.
    Notice(Notice),
    /// From here on all numbers are those of the new configuration.
    Reconfigured,
    /// The end: nothing follows.
    Done,
}

/// A change of the kernel's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipvs {
    /// A virtual server is to be there, or not.
    Service(VsId, bool),
    /// A real server is to be there with this weight, or not.
    Real(RsId, Option<u32>),
    /// The sorry server is to be there with this weight, or not.
    Sorry(VsId, Option<u32>),
    /// Everything goes.
    Flush,
}

/// The quorum of a virtual server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Which.
    pub vs: VsId,
    /// There is a quorum.
    pub up: bool,
    /// It is so from the start.
    pub init: bool,
    /// The weight that was needed.
    pub threshold: i64,
    /// The weight in service.
    pub weight: i64,
    /// The daemon stops.
    pub stopping: bool,
    /// Only SNMP: `omega` is not set.
    pub quiet: bool,
    /// How many real servers are in service now; 0 unless `Config::count_in_service`.
    pub in_service: u32,
}

/// What the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A checker begins, or would if the address were here.
    Activating {
        /// Which.
        checker: CheckerId,
        /// It checks.
        enabled: bool,
    },
    /// The address came or went while it ran.
    Suspending {
        /// Which.
        checker: CheckerId,
        /// It checks from now on.
        enabled: bool,
    },
    /// A checker has succeeded, and that is news.
    Succeeded(CheckerId),
    /// A checker has failed for good; after so many retries, if it had any.
    Failed {
        /// Which.
        checker: CheckerId,
        /// Retries.
        retries: Option<u32>,
    },
    /// One attempt has failed.
    Attempt {
        /// Which.
        checker: CheckerId,
        /// Why.
        failure: Failure,
        /// It was the last retry of so many.
        retries: Option<u32>,
    },
    /// A page of a web server that is down is right.
    Page {
        /// Which checker.
        checker: CheckerId,
        /// Which page.
        url: u16,
        /// What showed it.
        proof: WebProof,
    },
    /// The script of a `MISC_CHECK` has ended, and that is news.
    Script {
        /// Which.
        checker: CheckerId,
        /// How it failed; none for success.
        failure: Option<crate::verdict::ScriptFailure>,
        /// Attempts after the first one that are over or under way; 0: it was the last.
        attempt: u32,
    },
    /// It could not check.
    NotRun(CheckerId, Obstacle),
    /// The BFD session of a checker.
    Bfd {
        /// Which checker.
        checker: CheckerId,
        /// The session is up.
        up: bool,
    },
    /// A tracked file counts as a failure, or does not any more.
    FileFault {
        /// Which checker.
        checker: CheckerId,
        /// It does.
        fault: bool,
    },
    /// A real server goes into service, or out of it.
    Service {
        /// Which.
        rs: RsId,
        /// Into.
        up: bool,
    },
    /// A real server is taken out because it is not configured any more, or the daemon stops.
    Removing {
        /// Which.
        rs: RsId,
        /// The daemon stops.
        stopping: bool,
        /// It was down, with weight 0.
        inhibited: bool,
    },
    /// At a reload: a real server is gone.
    NoLonger(RsId),
    /// At a reload: a virtual server is gone.
    RemovingVirtualServer(VsId),
    /// A weight has changed.
    Weight {
        /// Of which.
        rs: RsId,
        /// Before.
        from: u32,
        /// Now.
        to: u32,
        /// It is in service.
        active: bool,
    },
    /// The quorum came.
    Gained(Quorum),
    /// The quorum went; `init`: it is not there from the start.
    Lost(Quorum),
    /// The sorry server goes into the table or out.
    Sorry(VsId, bool),
    /// At a reload: the sorry server is taken out.
    SorryGone(VsId),
    /// The real servers in service go into the table or out.
    Pool(VsId, bool),
}
