//! Texts that people and programs read: they are those of 1.4.8, byte for byte.

pub(crate) mod log;
pub(crate) mod stats;
pub(crate) mod usage;
