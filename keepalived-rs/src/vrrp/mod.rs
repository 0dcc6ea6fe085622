//! The VRRP process (layer L4): the core's effects on the kernel, the kernel's news for the core.

pub mod garp;
pub mod interfaces;
pub mod kernel;
pub mod objects;
pub mod sockets;
