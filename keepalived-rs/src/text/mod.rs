//! Every text that operators or programs read, as the original prints it.

#[cfg(feature = "bfd")]
pub mod bfd;
#[cfg(feature = "lvs")]
pub mod check;
pub mod dump;
pub mod errno;
#[cfg(feature = "lvs")]
pub mod genhash;
pub mod life;
pub mod log;
#[cfg(feature = "lvs")]
pub mod probe;
pub mod usage;
pub mod version;
