//! A command that is to be run.

use crate::span::Span;

/// A script with its arguments and the account it runs as.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Script {
    /// Words; the first is the program as shown, after the check with its full path.
    pub args: Vec<String>,
    /// What is really executed, if it differs from the first word (a link was resolved).
    pub path: Option<String>,
    /// Room for this many arguments that are added when it runs.
    pub extra_args: usize,
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
    /// Place.
    pub span: Span,
}

impl Script {
    /// The command as messages show it: every word in single quotes. The first is bare when it is a redirection.
    pub fn command_line(&self) -> String {
        let words = self.args.iter().enumerate().map(|(at, word)| {
            if at == 0 && word.starts_with(['<', '>']) {
                word.clone()
            } else {
                format!("'{word}'")
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}
