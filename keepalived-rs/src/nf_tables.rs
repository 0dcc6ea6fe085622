//! The conversation with nf_tables: one change is one transaction.
//!
//! In: requests. Out: datagrams, log lines in the original's words for what the kernel refuses.

use std::io;

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::nfnl::Socket;
use net_types::Family;
use netlink_wire::nft::Table;
use netlink_wire::{Batch, Messages, Reply};

use crate::text;

/// Room for an answer of the kernel.
const ANSWER_LEN: usize = 4096;
const ENOENT: i32 = 2;

/// A way to the kernel, opened when it is needed.
pub struct Conversation {
    socket: Option<Socket>,
    seq: u32,
}

impl Default for Conversation {
    fn default() -> Self {
        Self::new()
    }
}

impl Conversation {
    /// Nothing is opened yet.
    pub fn new() -> Self {
        // As the original: numbers of different runs differ.
        let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            socket: None,
            seq: (since_1970.as_secs() & u64::from(u32::MAX)) as u32,
        }
    }

    /// Ends it; the next request begins another.
    pub fn close(&mut self) {
        self.socket = None;
    }

    /// Tables of both families by a name that should be ours alone: of an earlier run, or somebody else's. They are told to go.
    pub fn leftovers(&mut self, name: &str) -> (bool, bool) {
        let mut there = |family| {
            let mut question = Batch::new();
            Table { family, name }.push_get(&mut question);
            match self.ask(&mut question) {
                Ok(None) => true,
                Ok(Some((errno, _))) => {
                    if errno != ENOENT {
                        log!(Priority::Info, "mnl_socket_recvfrom single error - {errno}");
                    }
                    false
                }
                Err(()) => false,
            }
        };
        let found = (there(Family::V4), there(Family::V6));
        for (word, found) in [("ip", found.0), ("ip6", found.1)] {
            if found {
                log!(Priority::Info, "Deleting old {word} {name} table");
            }
        }
        found
    }

    /// Sends a transaction; a refusal is logged as the original does and returned.
    pub fn exchange(&mut self, batch: &mut Batch) -> Option<i32> {
        let (errno, len) = self.ask(batch).ok()??;
        let text = text::errno::sentence(&io::Error::from_raw_os_error(errno));
        // The answer repeats the refused request behind a header and the error number.
        let answer = len.saturating_add(20);
        log!(
            Priority::Info,
            "mnl_socket_recvfrom error ret {answer} - errno {errno} ({text}), ret_cb -1,"
        );
        Some(errno)
    }

    /// Sends requests. The first refusal: its number, and the length of the refused request. An error of the socket is logged.
    fn ask(&mut self, batch: &mut Batch) -> Result<Option<(i32, usize)>, ()> {
        batch.renumber(self.seq);
        self.seq = self.seq.wrapping_add(batch.len());
        let socket = match &mut self.socket {
            Some(socket) => socket,
            none => {
                let opened = Socket::open(0).and_then(|s| s.set_short_answers(true).map(|()| s));
                match opened {
                    Ok(socket) => none.insert(socket),
                    Err(e) => {
                        let errno = e.raw_os_error().unwrap_or(0);
                        log!(Priority::Info, "mnl_socket_open failed - {errno}");
                        return Err(());
                    }
                }
            }
        };
        if let Err(e) = socket.send(batch.bytes()) {
            let errno = e.raw_os_error().unwrap_or(0);
            log!(Priority::Info, "mnl_socket_send error - {errno}");
            return Err(());
        }
        // The kernel has answered before `send` returned.
        let mut buffer = [0; ANSWER_LEN];
        let mut refused = None;
        while let Ok(len) = socket.receive(&mut buffer) {
            for message in Messages::new(buffer.get(..len).unwrap_or_default()) {
                if let Reply::Ack { seq, errno, .. } = message.reply() {
                    if errno != 0 && refused.is_none() {
                        refused = Some((errno, seq));
                    }
                }
            }
        }
        Ok(refused.map(|(errno, seq)| {
            let request = Messages::new(batch.bytes()).find(|m| m.header.seq == seq);
            let body = request.map_or(0, |m| m.body.len());
            (errno, netlink_wire::framing::HEADER_LEN + body)
        }))
    }
}
