//! What happens.

use alloc::boxed::Box;

use crate::config::{CheckerId, Config, RsId, VsId};
use crate::verdict::Verdict;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The process begins. Once, first.
    Start,
    /// A probe has ended.
    ProbeDone {
        /// Whose.
        checker: CheckerId,
        /// How.
        verdict: Verdict,
    },
    /// A tracked file has another number; a file that is gone has 0.
    File {
        /// Place in `Config::files`.
        file: u32,
        /// Its number.
        value: i64,
    },
    /// The BFD session of a checker.
    Bfd {
        /// Whose.
        checker: CheckerId,
        /// It is up.
        up: bool,
    },
    /// The address of a virtual server with `ha_suspend` came to this machine or went. The same one may be on several interfaces.
    Address {
        /// Whose.
        vs: VsId,
        /// It came.
        present: bool,
    },
    /// Somebody gives a real server another weight (SNMP).
    Weight {
        /// Which.
        rs: RsId,
        /// Its weight, whatever checkers have added.
        weight: u32,
    },
    /// A new configuration. All probes are to be given up first.
    Reconfigure(Box<Config>),
    /// The end. `keep`: the kernel's tables stay as they are (`--dont-release-ipvs`).
    Shutdown {
        /// They stay.
        keep: bool,
    },
}
