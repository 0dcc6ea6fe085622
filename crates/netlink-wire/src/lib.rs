//! Netlink framing, attributes and the route family's message bodies (layer L1): bytes only.
//!
//! In: datagrams of an `AF_NETLINK` socket, or values to send. Out: the other of the two. It opens no socket.
//! Decoding is total: unknown attributes are skipped, malformed ones end the list, nothing panics.
//! Who may use it: linux-io, the daemons, tests.
//! Answers to: Linux `netlink(7)`, `rtnetlink(7)` and the uapi headers named in each module. Numbers in netlink headers and
//! attributes are in the machine's own byte order, except where a module says that they are in network order.
#![no_std]
#![deny(missing_docs)]
extern crate alloc;

// Before those whose tests use it.
#[cfg(test)]
#[macro_use]
mod recording;

pub mod address;
pub mod cthelper;
pub mod event;
pub mod framing;
pub mod genl;
pub mod ipvs;
pub mod link;
pub mod nfqueue;
pub mod nft;
pub mod nla;
pub mod route;
pub mod rule;

mod read;

#[cfg(test)]
mod golden;

pub use address::Address;
pub use event::Event;
pub use framing::{Batch, Header, Message, Messages, Reply};
pub use link::{Link, LinkAddr};
pub use route::Route;
pub use rule::Rule;
