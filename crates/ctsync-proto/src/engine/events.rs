//! What the kernel says by itself: events of flows and expectations.

use alloc::boxed::Box;

use net_types::{Duration, Instant};
use nfct::codec::{ConntrackOp, EventKind, request};
use nfct::{Attr, Conntrack, ExpAttr, Expect, Known, Tuple, status};

use super::Engine;
use super::kernel::Job;
use crate::cache::State;
use crate::filter::{Missing, missing};
use crate::input::{Origin, RequestId};
use crate::notice::Notice;
use crate::output::{KernelSocket, Output};

impl Engine {
    pub(super) fn overrun(&mut self, now: Instant) {
        self.kernel.catch_failed = self.kernel.catch_failed.wrapping_add(1);
        self.kernel.overrun = self.kernel.overrun.wrapping_add(1);
        // Without a cache there is nothing to compare the table with.
        let resync = self.config.overrun_resync;
        if let Some(secs) = resync.filter(|_| !self.config.disable_internal_cache) {
            self.timers.overrun = Some(now + Duration::from_secs(u64::from(secs)));
        }
    }

    fn origin(&self, port_id: u32) -> Origin {
        let kinds = [Origin::Commit, Origin::Flush, Origin::Inject];
        self.origins
            .iter()
            .zip(kinds)
            .find(|(id, _)| **id == Some(port_id))
            .map_or(Origin::NotMe, |(_, kind)| kind)
    }

    /// Whether an entry from the kernel is complete and replicated.
    pub(super) fn wanted(&mut self, ct: &Conntrack, filter: bool) -> bool {
        if let Some(what) = missing(ct) {
            self.log_missing(what);
            return false;
        }
        !filter || self.config.filter.passes(ct)
    }

    fn log_missing(&mut self, what: Missing) {
        self.log(match what {
            Missing::Layer3 => Notice::MissingLayer3,
            Missing::Ipv4 => Notice::MissingIpv4,
            Missing::Ipv6 => Notice::MissingIpv6,
        });
    }

    pub(super) fn event(&mut self, now: Instant, kind: EventKind, port_id: u32, mut ct: Conntrack) {
        self.kernel.events = self.kernel.events.wrapping_add(1);
        if !self.wanted(&ct, !self.config.filter_in_kernel) {
            self.kernel.filtered = self.kernel.filtered.wrapping_add(1);
            return;
        }
        if self.mode.counts_flows() {
            self.flow_event(now, kind, ct);
            return;
        }
        let origin = self.origin(port_id);
        let told = origin == Origin::NotMe;
        if self.config.disable_internal_cache {
            self.bypass_event(kind, &ct, told);
            return;
        }
        if origin == Origin::Inject {
            return;
        }
        let (round, seconds) = (self.round, self.seconds(now));
        let unsettled = self.unheard.is_unsettled() && self.unheard.has(self.internal.find(&ct));
        if unsettled {
            let ended = kind == EventKind::Destroy;
            self.ask_about(&ct, ended, told);
            if ended {
                self.traffic(&ct);
                return;
            }
        }
        let queues = &mut self.queues;
        let slot = match kind {
            EventKind::New => {
                ct.unset(Attr::COUNTERS);
                self.internal.replace(queues, ct, seconds, round)
            }
            EventKind::Update => self.internal.update_or_add(queues, ct, seconds, round),
            EventKind::Destroy => {
                if let Some(slot) = self.internal.find(&ct) {
                    self.internal.destroyed(queues, slot, told);
                    self.traffic(&ct);
                }
                return;
            }
        };
        if unsettled {
            self.unheard.doubt(slot);
        }
        self.changed(now, slot, told);
    }

    /// An internal entry was added or changed, unless the cache is full.
    pub(super) fn changed(&mut self, now: Instant, slot: Option<u32>, told: bool) {
        let Some(slot) = slot else { return };
        self.arm_refresh(now, false, slot);
        if told {
            self.internal.enqueue(&mut self.queues, slot);
        }
    }

    /// The same for an expectation.
    pub(super) fn changed_expect(&mut self, now: Instant, slot: Option<u32>, told: bool) {
        let Some(slot) = slot else { return };
        self.arm_refresh(now, true, slot);
        if told {
            self.internal_exp.enqueue(&mut self.queues, slot);
        }
    }

    /// Flow logging: the cache knows the live flows, and one that ends is told with what the kernel says last.
    fn flow_event(&mut self, now: Instant, kind: EventKind, mut ct: Conntrack) {
        ct.unset(Attr::TIMEOUT);
        let (round, seconds) = (self.round, self.seconds(now));
        match (kind, self.internal.find(&ct)) {
            // A flow that is known stays as it is.
            (EventKind::New, Some(_)) | (EventKind::Destroy, None) => {}
            (EventKind::New, None) => {
                self.internal.add(ct, seconds, round);
            }
            (EventKind::Update, _) => {
                self.internal
                    .update_or_add(&mut self.queues, ct, seconds, round);
            }
            (EventKind::Destroy, Some(slot)) => {
                self.internal.remove(slot);
                self.traffic(&ct);
                self.flow_ended(ct);
            }
        }
    }

    /// Flow logging: a flow that the kernel does not have any more.
    pub(super) fn flow_missing(&mut self, slot: u32) {
        if let Some(entry) = self.internal.remove(slot) {
            if entry.state != State::Dead {
                self.flow_ended(entry.object);
            }
        }
    }

    fn flow_ended(&mut self, ct: Conntrack) {
        self.outputs
            .push_back(Output::FlowEnded { flow: Box::new(ct) });
    }

    /// A destroyed flow's traffic: the low 32 bits of each counter, as the original adds them.
    pub(super) fn traffic(&mut self, ct: &Conntrack) {
        for c in [ct.counters_orig(), ct.counters_repl()]
            .into_iter()
            .flatten()
        {
            self.kernel.bytes = self.kernel.bytes.wrapping_add(c.bytes & 0xffff_ffff);
            self.kernel.packets = self.kernel.packets.wrapping_add(c.packets & 0xffff_ffff);
        }
    }

    pub(super) fn expect_event(
        &mut self,
        now: Instant,
        kind: EventKind,
        port_id: u32,
        exp: Expect,
    ) {
        self.kernel.events = self.kernel.events.wrapping_add(1);
        if !self.config.expectation_sync || !self.helper_wanted(&exp) {
            self.kernel.filtered = self.kernel.filtered.wrapping_add(1);
            return;
        }
        if !self.master_known(&exp) {
            return;
        }
        let origin = self.origin(port_id);
        let told = origin == Origin::NotMe;
        if self.config.disable_internal_cache {
            self.bypass_expect_event(kind, &exp, told);
            return;
        }
        if origin == Origin::Inject {
            return;
        }
        if told && kind != EventKind::Update {
            self.ask_for_master(&exp);
        }
        let (round, seconds) = (self.round, self.seconds(now));
        let queues = &mut self.queues;
        let slot = match kind {
            EventKind::New => self.internal_exp.replace(queues, exp, seconds, round),
            EventKind::Update => self.internal_exp.update_or_add(queues, exp, seconds, round),
            EventKind::Destroy => {
                if let Some(slot) = self.internal_exp.find(&exp) {
                    self.internal_exp.destroyed(queues, slot, told);
                }
                return;
            }
        };
        self.changed_expect(now, slot, told);
    }

    /// Whether the expectation's helper is on the list: an entry "sip" matches "sip-5060", in any case.
    pub(super) fn helper_wanted(&self, exp: &Expect) -> bool {
        let list = &self.config.expectation_helpers;
        list.is_empty()
            || exp.helper.as_deref().is_some_and(|name| {
                list.iter().any(|want| {
                    name.as_bytes()
                        .get(..want.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(want.as_bytes()))
                })
            })
    }

    /// Whether the flow that the expectation belongs to is replicated.
    pub(super) fn master_known(&mut self, exp: &Expect) -> bool {
        let problem = if !exp.set.has(ExpAttr::MASTER) {
            Some(Notice::NoMasterTuple)
        } else if !exp.master.known.has(Known::L3) {
            Some(Notice::MissingLayer3)
        } else if exp.master.known.has(Known::ADDRS) {
            None
        } else if exp.master.l3 == 10 {
            Some(Notice::MissingIpv6)
        } else {
            Some(Notice::MissingIpv4)
        };
        if let Some(notice) = problem {
            self.log(notice);
            return false;
        }
        if self.config.disable_internal_cache {
            // Only the kernel knows, and it ends an expectation with its master. (The original asks it and takes the answer
            // the wrong way round: behaviour 15.)
            return true;
        }
        let mut master = Conntrack::with_orig(Tuple { ..exp.master });
        if exp.set.has(ExpAttr::ZONE) {
            master.set_zone(exp.zone);
        }
        self.internal.find(&master).is_some()
    }

    /// A helper that announces a flow over a translated one changes lengths in it, and the kernel has no event for the
    /// sequence adjustment: ask for it, or the master ends at the failover.
    fn ask_for_master(&mut self, exp: &Expect) {
        let mut master = Conntrack::with_orig(exp.master);
        if exp.set.has(ExpAttr::ZONE) {
            master.set_zone(exp.zone);
        }
        let cached = self
            .internal
            .find(&master)
            .and_then(|slot| self.internal.get(slot));
        let bits = cached
            .and_then(|entry| entry.object.status())
            .unwrap_or_default();
        if bits & (status::SRC_NAT | status::DST_NAT) == 0 {
            return;
        }
        let id = RequestId(self.next_request);
        if let Some(message) = request(ConntrackOp::Get, &master, id.0) {
            let id = self.request_id();
            self.jobs.insert(id, Job::Master);
            self.kernel_send(id, KernelSocket::Get, message);
        }
    }
}
