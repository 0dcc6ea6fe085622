//! The checker process's data dump.

use checker_proto::Engine;
use conf_parsers::keepalived::model::Model;
use net_types::Instant;

use super::global;
use super::snapshot::ProcessNow;

/// The present of the process.
#[derive(Debug)]
pub struct Now<'a> {
    /// The process.
    pub process: ProcessNow,
    /// Servers and checkers.
    pub engine: &'a Engine,
    /// Now, on the clock of the core.
    pub monotonic: Instant,
    /// Now, in microseconds since 1970.
    pub wall: u64,
}

/// The dump.
pub fn data(model: &Model, now: &Now<'_>) -> String {
    let mut out = String::with_capacity(4096);
    global::global(&mut out, &model.global, &now.process, None);
    out
}
