//! A command that is to be run.

use crate::span::Span;

/// A script with its arguments and the account it runs as.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Script {
    /// Words; the first is the program, after checks with its full path.
    pub args: Vec<String>,
    /// Flags of the security check (`crate::keepalived::script` constants).
    pub flags: u32,
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Place.
    pub span: Span,
}
