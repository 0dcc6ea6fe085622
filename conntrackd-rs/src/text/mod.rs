//! Texts that people and programs read: they are those of 1.4.8, byte for byte.

pub mod log;
pub mod stats;
pub mod usage;
