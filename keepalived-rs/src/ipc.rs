//! How the BFD process tells the VRRP and the checker process of its sessions: a pipe each, records of a fixed size.
//!
//! In: [`BfdEvent`]. Out: the same on the other side, in order. The parent opens the pipes before the first fork and keeps both ends,
//! so that a child that is started again finds them; a record is shorter than what the kernel writes in one piece.
//! Answers to: keepalived-behaviour.md section 9, keepalived 2.3.3 bfd/bfd_event.c.
//!
//! ```text
//!   0        1      2                    34                        42
//!   version  state  name, padded with 0  time sent (µs, monotonic) end     integers in the machine's order
//! ```

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};

use conf_parsers::keepalived::model::bfd::NAME_MAX;
use net_types::Instant;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

/// Both ends come from one build, unless the file was replaced between the start and a respawn.
const VERSION: u8 = 1;
const NAME_AT: usize = 2;
const TIME_AT: usize = NAME_AT + NAME_MAX + 1;
/// Octets of a record.
const LENGTH: usize = TIME_AT + 8;

/// A session has this state now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdEvent {
    /// The `bfd_instance`.
    pub name: Box<str>,
    /// It is Up; anything else counts as Down.
    pub up: bool,
    /// When this was written.
    pub sent: Instant,
}

impl BfdEvent {
    fn encode(&self) -> [u8; LENGTH] {
        let mut record = [0; LENGTH];
        let name = self.name.bytes().take(NAME_MAX);
        let text = [VERSION, self.up.into()].into_iter().chain(name);
        for (slot, byte) in record.iter_mut().zip(text) {
            *slot = byte;
        }
        let time = self.sent.as_micros().to_ne_bytes();
        for (slot, byte) in record.iter_mut().skip(TIME_AT).zip(time) {
            *slot = byte;
        }
        record
    }

    /// `None` for a record of another version, or without a name.
    fn decode(record: &[u8; LENGTH]) -> Option<Self> {
        let [VERSION, state, ..] = *record else {
            return None;
        };
        let name = record.get(NAME_AT..TIME_AT)?;
        let name = name.split(|b| *b == 0).next().unwrap_or_default();
        let time = record.get(TIME_AT..)?.try_into().ok()?;
        Some(Self {
            name: std::str::from_utf8(name).ok()?.into(),
            up: state != 0,
            sent: Instant::from_micros(u64::from_ne_bytes(time)),
        })
    }
}

/// The end of the BFD process.
#[derive(Debug)]
pub struct BfdSender(File);

/// The end of a process that follows sessions.
#[derive(Debug)]
pub struct BfdReceiver(File);

/// A pipe. Neither end blocks.
pub fn bfd_pipe() -> io::Result<(BfdSender, BfdReceiver)> {
    let (reading, writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    Ok((BfdSender(writing.into()), BfdReceiver(reading.into())))
}

impl BfdSender {
    /// Writes a record, whole or not at all. `WouldBlock`: nobody has read for a long time.
    pub fn send(&self, event: &BfdEvent) -> io::Result<()> {
        (&self.0).write_all(&event.encode())
    }
}

impl BfdReceiver {
    /// The next event. `WouldBlock`: there is none now.
    pub fn receive(&self) -> io::Result<BfdEvent> {
        loop {
            let mut record = [0; LENGTH];
            match (&self.0).read(&mut record)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                LENGTH => {
                    if let Some(event) = BfdEvent::decode(&record) {
                        return Ok(event);
                    }
                }
                // Cannot be: see the module's first lines.
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

impl AsFd for BfdReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_arrive_in_order() {
        let (sender, receiver) = bfd_pipe().unwrap();
        let none = receiver.receive().unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        let event = |name: &str, up, at| BfdEvent {
            name: name.into(),
            up,
            sent: Instant::from_micros(at),
        };
        let all = [
            event("BFD1", true, 5),
            event("ein-Name-von-31-Octets-zum-Teste", false, u64::MAX),
            event("", true, 0),
        ];
        for event in &all {
            sender.send(event).unwrap();
        }
        assert_eq!(receiver.receive().unwrap(), all[0]);
        // One octet too long for the original as well.
        assert_eq!(
            &*receiver.receive().unwrap().name,
            "ein-Name-von-31-Octets-zum-Test"
        );
        assert_eq!(receiver.receive().unwrap(), all[2]);
    }

    #[test]
    fn a_full_pipe_is_told_of_and_a_record_of_another_version_is_passed_over() {
        let (sender, receiver) = bfd_pipe().unwrap();
        let mut record = BfdEvent {
            name: "B".into(),
            up: true,
            sent: Instant::ZERO,
        };
        let mut other = record.encode();
        other[0] = 2;
        (&sender.0).write_all(&other).unwrap();
        let mut written = 0;
        let full = loop {
            match sender.send(&record) {
                Ok(()) => written += 1,
                Err(e) => break e,
            }
            record.up = !record.up;
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let mut read = 0;
        while let Ok(event) = receiver.receive() {
            assert_eq!(event.up, read % 2 == 0);
            read += 1;
        }
        assert_eq!(read, written);
        drop(sender);
        let end = receiver.receive().unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }
}
