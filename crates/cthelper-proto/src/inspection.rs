//! One packet's way through a helper.
//!
//! ```text
//!   begin ─▶ the parser finds connections ─▶ those that must stand before the packet goes on: one request each
//!                                             │ port taken: the next one (translated flows)
//!                                             │ refused: those before are taken back, the packet is dropped
//!                                             ▼
//!                                           payload rewritten ─▶ Ruling
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use nfct::{Conntrack, Expect};

use crate::flow::{Direction, Flow, follow_master};
use crate::packet::Packet;
use crate::rewrite::Rewrite;
use crate::{Helper, Kind, amanda, datagram, ftp, rpc, sane, ssdp, tns};

/// The kernel has this expectation for another flow.
const EBUSY: i32 = 16;
/// Most ports that are tried for one translated connection.
const MOST_TRIES: u16 = 128;

/// What happens to the packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    #[default]
    Accept,
    /// It is dropped, and its sender will say it again.
    Drop,
}

/// What the kernel is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// A new expectation; one that it has already is made to last anew.
    Create(&'a Expect),
    /// Take it back; nobody minds if that fails.
    Delete(&'a Expect),
}

/// What goes back to the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The packet's fate.
    pub verdict: Verdict,
    /// The packet, when it was rewritten.
    pub packet: Option<Vec<u8>>,
    /// The flow with the helper's private data and, where a helper sets it, another timeout.
    pub ct: Conntrack,
    /// An expectation that goes with the verdict: for flows that the kernel does not have in its table yet.
    pub expect: Option<Expect>,
}

/// How an expectation gets into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// With the verdict. Nobody hears whether it was taken.
    WithVerdict,
    /// Before the packet goes on.
    Before,
    /// Likewise, on a port that is free, and the payload names what others are to connect to.
    Translated(Option<Rewrite>),
}

/// A connection that a parser found.
#[derive(Clone, Debug)]
pub(crate) struct Announced {
    pub(crate) expect: Expect,
    pub(crate) how: How,
}

/// What a parser found in a packet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finding {
    pub(crate) verdict: Verdict,
    /// A new timeout of the flow in seconds.
    pub(crate) timeout: Option<u32>,
    pub(crate) announced: Vec<Announced>,
}

impl Finding {
    /// Nothing but the packet's fate.
    pub(crate) fn only(verdict: Verdict) -> Self {
        Self {
            verdict,
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, expect: Expect, how: How) {
        self.announced.push(Announced { expect, how });
    }

    /// Adds one that is translated as the flow is; `direction` as in [`follow_master`].
    pub(crate) fn add_translated(
        &mut self,
        flow: Flow<'_>,
        mut expect: Expect,
        direction: Direction,
        rewrite: Option<Rewrite>,
    ) {
        let port = expect.expected.dport;
        follow_master(&mut expect, direction, port);
        let how = if flow.is_new() {
            // The kernel takes no request for a flow that is not in its table.
            How::WithVerdict
        } else {
            How::Translated(rewrite)
        };
        self.add(expect, how);
    }
}

/// A packet under inspection.
#[derive(Debug)]
pub struct Inspection<'a> {
    packet: Packet<'a>,
    ct: Conntrack,
    finding: Finding,
    /// The expectation that is being requested.
    at: usize,
    /// Ports tried for it.
    tries: u16,
    /// How many expectations are to be taken back.
    undo: usize,
    rewritten: Option<Vec<u8>>,
    refused: bool,
}

impl<'a> Inspection<'a> {
    /// Lets `helper` read the packet of the flow `ct`, whose helper information is the private data; `info` is
    /// `enum ip_conntrack_info`.
    pub fn begin(helper: Helper, packet: Packet<'a>, mut ct: Conntrack, info: u32) -> Self {
        // A kernel object without room for private data gives none, and takes none.
        let mut data: Option<Box<[u8]>> = ct.helper_info().map(Box::from);
        let mut none = [0; 24];
        let room = data.as_deref_mut().unwrap_or(&mut none);
        let flow = Flow { ct: &ct, info };
        let finding = match helper.kind {
            Kind::Amanda => amanda::inspect(&packet, flow),
            Kind::Dhcpv6 => datagram::dhcpv6(&packet, flow),
            Kind::Ftp => ftp::inspect(&packet, flow, room),
            Kind::Multicast => datagram::multicast(flow),
            Kind::Rpc => rpc::inspect(&packet, flow, room),
            Kind::Sane => sane::inspect(&packet, flow, room),
            Kind::Ssdp => ssdp::inspect(&packet, flow),
            Kind::Tftp => datagram::tftp(&packet, flow),
            Kind::Tns => tns::inspect(&packet, flow, room),
        };
        if let Some(data) = data {
            ct.set_helper_info(data);
        }
        if let Some(seconds) = finding.timeout {
            ct.set_timeout(seconds);
        }
        Self {
            packet,
            ct,
            finding,
            at: 0,
            tries: 0,
            undo: 0,
            rewritten: None,
            refused: false,
        }
    }

    /// What the kernel is to be asked for next; [`answer`](Self::answer) tells what it said. `None`: [`finish`](Self::finish).
    pub fn next_request(&mut self) -> Option<Request<'_>> {
        if !self.refused {
            self.at = self.next(self.at);
            if self.at < self.finding.announced.len() {
                let announced = self.finding.announced.get(self.at)?;
                return Some(Request::Create(&announced.expect));
            }
            if self.rewritten.is_none() && self.rewrite().is_none() {
                self.refuse();
            }
        }
        let made = self.finding.announced.get(..self.undo)?;
        self.undo = made.iter().rposition(|a| a.how != How::WithVerdict)?;
        let announced = self.finding.announced.get(self.undo)?;
        Some(Request::Delete(&announced.expect))
    }

    /// The first expectation from `at` on that needs a request.
    fn next(&self, at: usize) -> usize {
        let rest = self.finding.announced.get(at..).unwrap_or_default();
        let skip = rest.iter().take_while(|a| a.how == How::WithVerdict);
        at.saturating_add(skip.count())
    }

    /// The kernel's answer to the last request: 0, or the error's number.
    pub fn answer(&mut self, errno: i32) {
        if self.refused {
            return;
        }
        let Some(announced) = self.finding.announced.get_mut(self.at) else {
            return;
        };
        let port = announced.expect.expected.dport;
        let other = port.checked_add(1).filter(|_| self.tries < MOST_TRIES);
        match (errno, announced.how, other) {
            (0, ..) => {
                self.at = self.at.saturating_add(1);
                self.tries = 0;
            }
            (EBUSY, How::Translated(_), Some(port)) => {
                announced.expect.expected.dport = port;
                self.tries = self.tries.saturating_add(1);
            }
            _ => self.refuse(),
        }
    }

    fn refuse(&mut self) {
        self.refused = true;
        self.undo = self.at;
        self.rewritten = None;
    }

    /// Rewrites the payload if that is needed; `None` when it can not be.
    fn rewrite(&mut self) -> Option<()> {
        let mut payload: Option<Vec<u8>> = None;
        // From the end on, so that offsets stay right.
        for announced in self.finding.announced.iter().rev() {
            if let How::Translated(Some(rewrite)) = announced.how {
                let payload = payload.get_or_insert_with(|| self.packet.payload().to_vec());
                rewrite.apply(payload, announced.expect.expected.dport)?;
            }
        }
        // The same text again needs no new packet.
        if let Some(payload) = payload.filter(|new| new != self.packet.payload()) {
            self.rewritten = Some(self.packet.with_payload(&payload)?);
        }
        Some(())
    }

    /// The result, once there are no more requests.
    pub fn finish(self) -> Ruling {
        let with_verdict = |a: &Announced| a.how == How::WithVerdict;
        Ruling {
            verdict: if self.refused {
                Verdict::Drop
            } else {
                self.finding.verdict
            },
            packet: self.rewritten,
            ct: self.ct,
            expect: self
                .finding
                .announced
                .into_iter()
                .rfind(with_verdict)
                .map(|announced| announced.expect),
        }
    }
}
