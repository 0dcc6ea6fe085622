//! Gratuitous ARP and unsolicited NA: which, when, how many (keepalived-behaviour.md section 4.7).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;

use net_types::{Duration, Instant};

use crate::config::{IfId, InstanceId, VirtualAddress};
use crate::notice::InstanceNotice;
use crate::output::Output;
use crate::router::Router;
use crate::timers::Timer;

/// Messages of one family that wait for their turn on a set of interfaces.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The next message may go at this time.
    next: Option<Instant>,
    queue: VecDeque<Waiting>,
}

/// An address in the queue; once, however many messages are due for it.
#[derive(Debug)]
struct Waiting {
    instance: InstanceId,
    interface: IfId,
    address: IpAddr,
    left: u32,
}

impl Router {
    /// `rounds` messages for each address of the instance, if it holds them.
    pub(crate) fn burst(&mut self, now: Instant, id: InstanceId, rounds: u32) {
        if !self.live[id.index()].holding {
            return;
        }
        let count = self.address_count(id);
        for round in 0..rounds {
            for position in 0..count {
                let Some(a) = self.address(id, position) else {
                    continue;
                };
                if round == 0 {
                    self.say_of(id, InstanceNotice::Announcing(a.interface, a.address));
                }
                self.announce(now, id, a.interface, a.address, rounds);
            }
        }
    }

    /// One message on each interface that carries addresses of the instance but not its adverts (`garp_extra_if`).
    pub(crate) fn extra_round(&mut self, now: Instant, id: InstanceId) {
        if !self.live[id.index()].holding {
            return;
        }
        let config = &self.config.instances[id.index()];
        let own = config.interface;
        let xmit_base = config.transmit_interface != own;
        let vmac = config.interface != config.configured_interface;
        let all = config.garp.extra_all;
        let mut done: Vec<IfId> = Vec::new();
        for position in 0..self.address_count(id) {
            let Some(a) = self.address(id, position) else {
                continue;
            };
            let on_own = Some(a.interface) == own;
            if !(all || vmac && on_own) || on_own && !xmit_base || done.contains(&a.interface) {
                continue;
            }
            done.push(a.interface);
            self.say_of(id, InstanceNotice::Announcing(a.interface, a.address));
            self.announce(now, id, a.interface, a.address, 1);
        }
    }

    /// One message, now or when its interface allows.
    fn announce(
        &mut self,
        now: Instant,
        instance: InstanceId,
        interface: IfId,
        address: IpAddr,
        most: u32,
    ) {
        let na = address.is_ipv6();
        if let Some((group, interval)) = self.pacing_of(interface, na) {
            let pace = &mut self.paces[usize::from(group)][usize::from(na)];
            if let Some(w) = pace
                .queue
                .iter_mut()
                .find(|w| w.instance == instance && w.address == address)
            {
                w.left = w.left.saturating_add(1).min(most);
                return;
            }
            if let Some(next) = pace.next.filter(|next| *next > now) {
                if pace.queue.is_empty() {
                    self.timers.set(Timer::Pace(group, na), next);
                }
                pace.queue.push_back(Waiting {
                    instance,
                    interface,
                    address,
                    left: 1,
                });
                return;
            }
            pace.next = Some(now + interval);
        }
        self.queue
            .push_back(Output::Announce { interface, address });
    }

    /// The next queued message of a pacing group goes; the address goes to the end if more are due for it.
    pub(crate) fn pace_due(&mut self, now: Instant, group: u16, na: bool) {
        let pacing = self.config.pacing[usize::from(group)];
        let interval = if na { pacing.na } else { pacing.arp };
        let pace = &mut self.paces[usize::from(group)][usize::from(na)];
        let Some(mut w) = pace.queue.pop_front() else {
            return;
        };
        self.queue.push_back(Output::Announce {
            interface: w.interface,
            address: w.address,
        });
        w.left = w.left.saturating_sub(1);
        if w.left > 0 {
            pace.queue.push_back(w);
        }
        let next = now + interval;
        pace.next = Some(next);
        if !pace.queue.is_empty() {
            self.timers.set(Timer::Pace(group, na), next);
        }
    }

    /// Messages that still wait are void when the addresses go.
    pub(crate) fn forget_announcements(&mut self, id: InstanceId) {
        for (g, pair) in self.paces.iter_mut().enumerate() {
            for (na, pace) in pair.iter_mut().enumerate() {
                let before = pace.queue.len();
                pace.queue.retain(|w| w.instance != id);
                if before > 0 && pace.queue.is_empty() {
                    if let Ok(g) = u16::try_from(g) {
                        self.timers.clear(Timer::Pace(g, na == 1));
                    }
                }
            }
        }
    }

    fn pacing_of(&self, interface: IfId, na: bool) -> Option<(u16, Duration)> {
        let group = self.config.interfaces[interface.index()].pacing?;
        let pacing = self.config.pacing[usize::from(group)];
        let interval = if na { pacing.na } else { pacing.arp };
        (!interval.is_zero()).then_some((group, interval))
    }

    pub(crate) fn address_count(&self, id: InstanceId) -> usize {
        let config = &self.config.instances[id.index()];
        config.addresses.len().saturating_add(config.excluded.len())
    }

    /// The addresses, then the excluded ones.
    pub(crate) fn address(&self, id: InstanceId, position: usize) -> Option<VirtualAddress> {
        let config = &self.config.instances[id.index()];
        config
            .addresses
            .get(position)
            .or_else(|| {
                config
                    .excluded
                    .get(position.checked_sub(config.addresses.len())?)
            })
            .copied()
    }
}
