//! Requests to a family of generic netlink.
//!
//! Answers to: `netlink(7)`; `linux/genetlink.h`.

use std::io;

use netlink_wire::{Batch, Message, genl};

use crate::route_sock::{ReceiveBuffer, Requests};

/// A socket, and the number that the kernel gave to the family.
#[derive(Debug)]
pub struct Genl {
    requests: Requests,
    family: u16,
}

impl Genl {
    /// Opens the socket in the present network namespace and asks for the family, which makes the kernel load its module where
    /// it knows it. `NotFound` when there is no such family.
    pub fn open(family: &str, buffer: Option<ReceiveBuffer>) -> io::Result<Self> {
        let mut requests = Requests::of(libc::NETLINK_GENERIC, buffer)?;
        let mut number = None;
        let mut batch = Batch::new();
        genl::push_get_family(&mut batch, family);
        requests.query(&mut batch, |m| number = genl::family_id(m).or(number))?;
        let family = number.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { requests, family })
    }

    /// The family's number: the message type of its requests.
    pub const fn family(&self) -> u16 {
        self.family
    }

    /// Carries requests out, in order; a refused one does not stop the others. `refused` gets place and error number of each
    /// refusal. The demand for answers in the requests is changed: one for many is enough. The error is one of the socket itself.
    pub fn execute(&mut self, batch: &mut Batch, refused: &mut Vec<(u32, i32)>) -> io::Result<()> {
        self.requests.execute_many(batch, refused)
    }

    /// Sends one request that is answered with data. A refusal is returned as an error.
    pub fn query(&mut self, batch: &mut Batch, each: impl FnMut(&Message<'_>)) -> io::Result<()> {
        self.requests.query(batch, each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_family_of_families_is_there() {
        let Ok(genl) = Genl::open("nlctrl", None) else {
            eprintln!("SKIPPED: no generic netlink here");
            return;
        };
        assert_eq!(genl.family(), genl::CONTROL);
        let error = Genl::open("no-such-family", None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn refusals_are_told_by_place() {
        let Ok(mut genl) = Genl::open("nlctrl", None) else {
            eprintln!("SKIPPED: no generic netlink here");
            return;
        };
        let mut batch = Batch::new();
        for number in 0..150_u8 {
            // Every fiftieth command does not exist; the others are asked for a family and answer with data.
            let command = if number % 50 == 7 { 200 } else { 3 };
            genl::push(&mut batch, genl::CONTROL, 0, command, 1, |w| w.u16(1, 16));
        }
        let mut refused = Vec::new();
        genl.execute(&mut batch, &mut refused).unwrap();
        let places: Vec<u32> = refused.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [7, 57, 107]);
        assert!(refused.iter().all(|(_, errno)| *errno == libc::EOPNOTSUPP));
    }
}
