//! See Cargo.toml for what this crate is.
pub mod conntrackd;
pub mod keepalived;
