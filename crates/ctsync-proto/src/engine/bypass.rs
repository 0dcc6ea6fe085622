//! `DisableInternalCache`: events go to the peer as they come, and the kernel's table is the only one there is
//! (conntrackd-behaviour.md section 7).

use alloc::string::String;
use core::fmt::{self, Write as _};

use nfct::codec::EventKind;
use nfct::{Conntrack, Expect, print};

use super::Engine;
use super::kernel::Job;
use crate::input::ClientId;
use crate::notice::Notice;
use crate::output::{KernelSocket, Output};
use crate::wire::{CT_DEL, CT_NEW, CT_UPD, EXP_DEL, EXP_NEW, EXP_UPD, Header, VERSION};

/// Bytes after which a piece of a listing is sent.
const PIECE: usize = 16 * 1024;

/// Events that were told to the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BypassCounters {
    new: u32,
    updated: u32,
    destroyed: u32,
}

impl BypassCounters {
    /// The block of `-s`.
    pub(super) fn report(&self, out: &mut String) -> fmt::Result {
        write!(
            out,
            "internal bypass:\n\
             connections new:\t\t{:12}\n\
             connections updated:\t\t{:12}\n\
             connections destroyed:\t\t{:12}\n\n",
            self.new, self.updated, self.destroyed
        )
    }

    /// The same numbers by name.
    pub(super) const fn values(&self) -> [(&'static str, u32); 3] {
        [
            ("new", self.new),
            ("updated", self.updated),
            ("destroyed", self.destroyed),
        ]
    }

    fn count(&mut self, kind: EventKind) {
        let place = match kind {
            EventKind::New => &mut self.new,
            EventKind::Update => &mut self.updated,
            EventKind::Destroy => &mut self.destroyed,
        };
        *place = place.wrapping_add(1);
    }
}

/// Counters of both kinds of objects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bypass {
    pub(super) conntracks: BypassCounters,
    pub(super) expectations: BypassCounters,
}

/// A listing of the kernel's table for an operator.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) client: Option<ClientId>,
    text: String,
}

impl Engine {
    /// An event of a flow; `told` when the peer is to hear of it.
    pub(super) fn bypass_event(&mut self, kind: EventKind, ct: &Conntrack, told: bool) {
        if told {
            self.bypass.conntracks.count(kind);
            self.tell_conntrack(kind, ct);
        }
        if kind == EventKind::Destroy {
            self.traffic(ct);
        }
    }

    /// An event of an expectation.
    pub(super) fn bypass_expect_event(&mut self, kind: EventKind, exp: &Expect, told: bool) {
        if !told {
            return;
        }
        self.bypass.expectations.count(kind);
        let kind = match kind {
            EventKind::New => EXP_NEW,
            EventKind::Update => EXP_UPD,
            EventKind::Destroy => EXP_DEL,
        };
        let header = self.next_header(kind);
        self.message.clear();
        let built = self.codec.expect(&mut self.message, header, exp);
        self.append_built(built);
    }

    /// Writes a flow's message into the datagram that is being filled.
    pub(super) fn tell_conntrack(&mut self, kind: EventKind, ct: &Conntrack) {
        let kind = match kind {
            EventKind::New => CT_NEW,
            EventKind::Update => CT_UPD,
            EventKind::Destroy => CT_DEL,
        };
        let header = self.next_header(kind);
        self.message.clear();
        let built = self.codec.conntrack(&mut self.message, header, ct);
        self.append_built(built);
    }

    fn next_header(&mut self, kind: u8) -> Header {
        Header {
            version: VERSION,
            kind,
            flags: self.mode.greet(),
            sequence: self.next_sequence,
            ..Header::default()
        }
    }

    fn append_built(&mut self, built: Result<(), usize>) {
        let limit = self.payload_limit();
        if built.is_err() || self.message.len() >= limit {
            let bytes = built.err().unwrap_or(self.message.len());
            self.network.send_malformed = self.network.send_malformed.wrapping_add(1);
            self.log(Notice::MessageTooLong { bytes });
            return;
        }
        self.next_sequence = self.next_sequence.wrapping_add(1);
        if let Some(full) = self.append_message(limit) {
            self.outputs.push_back(full);
        }
    }

    /// Everything in the kernel's table to the peer, as new; expectations are not, as in the original.
    pub(super) fn bulk_from_kernel(&mut self) {
        self.dump(KernelSocket::Dump, false, Job::Bulk);
    }

    /// Shows the kernel's table to an operator. As in the original there is no XML of it.
    pub(super) fn list_kernel(&mut self, client: ClientId, expect: bool) {
        let listing = Listing {
            client: Some(client),
            text: String::new(),
        };
        self.dump(KernelSocket::Dump, expect, Job::List(listing));
    }

    /// An entry of the table that is being listed.
    pub(super) fn list_conntrack(&mut self, listing: &mut Listing, ct: &Conntrack) {
        print::conntrack_text(&mut listing.text, ct, 0);
        self.list_line(listing);
    }

    /// An expectation of the table that is being listed.
    pub(super) fn list_expect(&mut self, listing: &mut Listing, exp: &Expect) {
        print::expect_text(&mut listing.text, exp);
        self.list_line(listing);
    }

    fn list_line(&mut self, listing: &mut Listing) {
        listing.text.push('\n');
        if listing.text.len() >= PIECE {
            self.list_piece(listing);
        }
    }

    fn list_piece(&mut self, listing: &mut Listing) {
        let text = core::mem::take(&mut listing.text);
        if let (Some(client), false) = (listing.client, text.is_empty()) {
            self.outputs.push_back(Output::Reply {
                client,
                bytes: text.into_bytes(),
            });
        }
    }

    /// The table was read.
    pub(super) fn list_ended(&mut self, mut listing: Listing) {
        self.list_piece(&mut listing);
        if let Some(client) = listing.client {
            self.reply_end(client);
        }
    }
}
