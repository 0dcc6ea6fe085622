//! Command lines.

pub mod getopt;
