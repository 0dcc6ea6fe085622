//! Connection tracking entries and expectations as the kernel's ctnetlink speaks of them (layer L1).
//!
//! In: netlink datagrams of subsystems 1 (conntrack) and 2 (expectation), or values set by a caller.
//! Out: [`Conntrack`] and [`Expect`] values, request messages for the kernel, and their text and XML lines.
//! Who may use it: ctsync-proto (caches, replication) and the daemons. No operating system call is made here.
//! Answers to: linux/netfilter/nfnetlink_conntrack.h, libnetfilter_conntrack 1.1 (message contents and printed lines),
//! conntrackd-behaviour.md sections 2, 7 and 8.
#![no_std]
#![deny(missing_docs)]
extern crate alloc;

mod attr;
pub mod codec;
mod expect;
mod extra;
mod nla;
mod object;
pub mod print;
mod tuple;

pub use attr::Attr;
pub use expect::{ExpAttr, Expect, NatTuple};
pub use object::{Conntrack, Counters, Protoinfo, SeqAdj, Synproxy};
pub use tuple::{Known, Tuple, proto, status};
