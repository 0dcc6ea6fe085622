//! UDP and multicast links.

use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;

use linux_io::udp_sock::{BATCH, Receiver, Room, Sender};
use linux_io::watch::Watch;

use super::Report;

/// The sockets of one link.
pub(super) struct Datagrams {
    sender: Sender,
    receiver: Receiver,
    watch: Option<Watch>,
    /// A datagram that the system had no room for, and the wait for that room.
    kept: Option<(Vec<u8>, Watch)>,
}

impl Datagrams {
    pub(super) fn new(sender: Sender, receiver: Receiver) -> Self {
        Self {
            sender,
            receiver,
            watch: None,
            kept: None,
        }
    }

    pub(super) fn start(&mut self) -> io::Result<()> {
        self.watch = Some(Watch::reading(&self.receiver)?);
        Ok(())
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.receiver.as_fd()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::readable)
            || self.kept.as_ref().is_some_and(|(_, w)| w.writable())
    }

    pub(super) fn send(&mut self, report: &mut Report<'_>, bytes: Vec<u8>) {
        match self.sender.send(&bytes) {
            Ok(len) => report.sent(len),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                // Watched only now: it would tell of every datagram that leaves.
                match Watch::both(&self.sender) {
                    Ok(watch) => {
                        self.kept = Some((bytes, watch));
                        report.busy(true);
                    }
                    Err(_) => report.send_failed(),
                }
            }
            Err(_) => report.send_failed(),
        }
    }

    /// Sends what was kept and takes what has come; `true` when there may be more.
    pub(super) fn serve(&mut self, report: &mut Report<'_>, room: &mut Room, limit: u32) -> bool {
        if let Some((bytes, watch)) = &self.kept {
            match watch.write(|| self.sender.send(bytes)) {
                Ok(len) => report.sent(len),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return self.take(report, room, limit);
                }
                Err(_) => report.send_failed(),
            }
            self.kept = None;
            report.busy(false);
        }
        self.take(report, room, limit)
    }

    fn take(&self, report: &mut Report<'_>, room: &mut Room, limit: u32) -> bool {
        let Some(watch) = &self.watch else {
            return false;
        };
        let mut left = usize::try_from(limit).unwrap_or(BATCH);
        while left > 0 {
            match watch.read(|| self.receiver.receive(room, left)) {
                Ok(count) => {
                    for bytes in room.datagrams() {
                        report.received(bytes);
                    }
                    // A batch that was not full emptied the socket: no need to hear that from the system.
                    if count < BATCH.min(left) {
                        watch.emptied();
                        return false;
                    }
                    left = left.saturating_sub(count);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    report.receive_failed();
                    return false;
                }
            }
        }
        true
    }
}
