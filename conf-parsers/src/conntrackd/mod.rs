//! conntrackd.conf: text to a typed model, with the warnings and errors of conntrackd 1.4.8.
//!
//! In: the bytes of one file (there is no include) and a way to look up interface names, which the language checks while it reads.
//! Out: [`Outcome`]: the model with every default filled in, and the diagnostics in the order in which 1.4.8 prints them.
//! Who may use it: the daemon and its client, both of which read the file. Answers to: conntrackd-keywords.tsv, section 13 of the behaviour notes.

mod diag;
mod grammar;
mod helper_table;
mod model;
mod protocols;
mod tokens;

pub use diag::{Diagnostic, Kind, Severity};
pub use model::{
    Config, Facility, Filter, FilterAddress, FilterList, FilterPolicy, General, Helper,
    HelperInstance, HelperPolicy, Link, LinkKind, Mode, SchedPolicy, Scheduler, Set, Span, Stats,
    Sync, TcpState,
};

/// What reading a file gave.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The configuration; `None` after an error, which then is the last diagnostic.
    pub config: Option<Config>,
    /// Everything to be told to the operator, in order.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a configuration file.
///
/// `interface_exists` answers whether a network interface of that name is there now; a missing one is only a warning.
pub fn parse(text: &[u8], interface_exists: &dyn Fn(&str) -> bool) -> Outcome {
    grammar::parse(text, interface_exists)
}

/// Every reserved word of the language but on, off and the modes, old names included.
pub fn keywords() -> impl Iterator<Item = &'static str> {
    tokens::keywords()
}

#[cfg(test)]
mod tests;
