//! See Cargo.toml for what this crate is.

pub mod local_time;
