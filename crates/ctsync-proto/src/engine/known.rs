//! Which entries of a commit the kernel has already, so that a change is enough.
//!
//! The original deletes what is in the way and creates it anew. Where everything that only a new entry can be given is the
//! same already, a change leads to the same entry with a third of the requests, and its counters go on.

use nfct::{Attr, Conntrack, proto, status};

use super::Engine;
use crate::cache::State;

/// What a change can not give or take away.
const ONLY_AT_BIRTH: Attr = Attr::HELPER
    .with(Attr::SEQ_ADJ_ORIG)
    .with(Attr::SEQ_ADJ_REPL);

/// Status bits that can only be added.
const ONLY_ADDED: u32 = status::SEEN_REPLY | status::ASSURED;

/// What the internal cache says of a flow that is to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InKernel {
    /// The kernel does not have it.
    No,
    /// It is there as it would be after the commit, as far as only a new entry could be made so.
    Alike,
    /// It is there, and has to go first.
    Different,
}

impl Engine {
    /// Whether and how the kernel has this flow, as far as the internal cache knows.
    pub(super) fn in_kernel(&self, ct: &Conntrack) -> InKernel {
        let known = self
            .internal
            .find(ct)
            .and_then(|slot| self.internal.get(slot))
            .filter(|entry| entry.state != State::Dead);
        match known {
            None => InKernel::No,
            Some(known) if self.is_alike(&known.object, ct) => InKernel::Alike,
            Some(_) => InKernel::Different,
        }
    }

    fn is_alike(&self, known: &Conntrack, ct: &Conntrack) -> bool {
        match ct.orig.l4 {
            // With its windows tracked, the kernel's view of an old connection would stay.
            proto::TCP if self.config.tcp_window_tracking => return false,
            proto::TCP | proto::UDP => {}
            // What of these a translation changes is not told apart from what it does not.
            proto::ICMP | proto::ICMPV6 if !ct.attrs().any(Attr::NAT) => {}
            _ => return false,
        }
        let (bits, known_bits) = (
            ct.status().unwrap_or_default(),
            known.status().unwrap_or_default(),
        );
        // What a change would leave behind.
        let lost = known.has(Attr::LABELS) && !ct.has(Attr::LABELS)
            || known.synproxy().unwrap_or_default() != ct.synproxy().unwrap_or_default()
            || known.mark().is_some_and(|mark| mark != 0) && !ct.has(Attr::MARK)
            || known_bits & !bits & ONLY_ADDED != 0;
        let from_birth = |ct: &Conntrack| ct.is_related() || ct.attrs().any(ONLY_AT_BIRTH);
        !lost && !from_birth(ct) && !from_birth(known) && same_translation(known, ct)
    }
}

/// Whether the peer's translation attributes lead to the reply tuple that the kernel has.
fn same_translation(known: &Conntrack, ct: &Conntrack) -> bool {
    let reply = known.reply();
    let mut wanted = ct.orig.mirrored();
    if ct.attrs().any(Attr::SNAT_ADDR.with(Attr::DNAT_ADDR)) && ct.nat_l3() != ct.orig.l3 {
        return false;
    }
    wanted.dst = ct.snat_addr().unwrap_or(wanted.dst);
    wanted.src = ct.dnat_addr().unwrap_or(wanted.src);
    wanted.dport = ct.snat_port().unwrap_or(wanted.dport);
    wanted.sport = ct.dnat_port().unwrap_or(wanted.sport);
    (reply.src, reply.dst, reply.sport, reply.dport)
        == (wanted.src, wanted.dst, wanted.sport, wanted.dport)
}
