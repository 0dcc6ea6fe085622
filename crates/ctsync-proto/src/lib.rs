//! See Cargo.toml for what this crate is.
#![no_std]
extern crate alloc;
