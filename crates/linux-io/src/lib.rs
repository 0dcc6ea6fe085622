//! System calls behind safe functions (layer L3); the only crate of the workspace that may hold unsafe code.
//!
//! In: descriptors, net-types and netlink-wire values. Out: the same, with `std::io::Error` for what the kernel refused.
//! It knows no protocol: no VRRP, no connection tracking, no log texts.
//! Who may use it: daemon-rt and the daemons; never a core. Nothing here blocks unless its documentation says so, and every
//! descriptor is close-on-exec and exposes `AsFd`, so that a [`watch`] can wait for it.
//! Answers to: the Linux manual pages named at each function, keepalived-behaviour.md (sockets: section 4.7).
#![deny(missing_docs)]

pub mod announce;
pub mod anon_fd;
pub mod check_sock;
pub mod epoll;
pub mod file_system;
pub mod genl_sock;
pub mod ifname;
pub mod inotify;
pub mod link_watch;
pub mod linkbeat;
pub mod local_time;
pub mod lock;
pub mod mcast;
pub mod netns;
pub mod nfnl;
pub mod packet_sock;
pub mod pause;
pub mod proc_events;
pub mod process;
pub mod regex;
pub mod route_sock;
pub mod sched;
pub mod signal;
pub mod spawn;
pub mod stream_sock;
pub mod sysctl;
pub mod tcp_sock;
pub mod timer;
pub mod tls;
pub mod udp_hop_sock;
pub mod udp_sock;
pub mod users;
pub mod vrrp_sock;
pub mod watch;

mod burst;
mod control;
mod shared_library;
mod sockopt;
mod syscall;

#[cfg(test)]
mod lab;
