//! Load balancing (layer L4): what the checker process needs of the kernel.
//!
//! ```text
//! virtual server + who is alive ─▶ ipvs::wanted ─▶ entries ─▶ ipvs::table ─▶ changes ─▶ ipvs::Ipvs ─▶ kernel
//! ```
//! Answers to: keepalived-behaviour.md section 7, keepalived 2.3.3 check/ipvswrapper.c, check/libipvs.c.

pub mod group_marks;
pub mod ipvs;
#[cfg(feature = "lvs")]
pub mod probe;
