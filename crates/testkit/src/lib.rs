//! The test laboratory (dev only): network namespaces made by our own code, the daemons under test — ours or the
//! originals — and the scenario of the high-availability page played on them.
//!
//! In: names, addresses, commands. Out: running nodes, processes that end with their owner, measured facts.
//! Who may use it: tests and `cargo xtask`; never a shipped binary.

pub mod byte_order;
pub mod link;
pub mod log_lines;
pub mod manual;
pub mod need;
pub mod node;
pub mod pair;
pub mod session;
pub mod sut;
pub mod uml;

/// Anything that went wrong in the laboratory, as a sentence for the person who runs the test.
pub type Result<T> = std::result::Result<T, String>;
