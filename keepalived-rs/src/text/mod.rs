//! Every text that operators or programs read, as the original prints it.

pub mod errno;
mod global_dump;
pub mod life;
pub mod log;
pub mod usage;
pub mod version;
pub use global_dump::global_dump;
