//! Values that every layer speaks: time, identifiers, addresses (layer L0).
//!
//! In: nothing. Out: plain values with checked construction.
//! Who may use it: every crate. It depends on nothing and touches no operating system.
//! Answers to: RFC 9568 (VRID, priority, centiseconds), Linux interface indexes.
#![no_std]
#![deny(missing_docs)]

extern crate alloc;

mod addr;
mod ids;
mod quotient;
mod random;
mod sort;
mod sorted;
mod time;

pub use addr::{Family, MacAddr, Prefix};
pub use ids::{Centis, IfIndex, Priority, Vrid};
pub use quotient::{Fixed, General, Quotient};
pub use random::Random;
pub use sort::sort_by;
pub use sorted::{SortedMap, SortedSet};
pub use time::{Duration, Instant};
