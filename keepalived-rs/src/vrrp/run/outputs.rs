//! What the core says is done here, in its order.

use std::net::IpAddr;

use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::timer::monotonic_now;
use linux_io::vrrp_sock::BURST;
use net_types::{IfIndex, Instant};
use vrrp_proto::config::{Config, IfId, TrackSource};
use vrrp_proto::notice::InstanceNotice;
use vrrp_proto::output::Transmit;
use vrrp_proto::{Input, InstanceId, Notice, Output, SocketId};

use super::buffers::{longest_packet, receive_buffer};
use super::{Child, Lane, OBJECTS_AT_ONCE, REPEATS_AT_ONCE};
use crate::text;
use crate::vrrp::garp::Announcer;
use crate::vrrp::interfaces::Interfaces;
use crate::vrrp::sockets::Trouble;

/// Room for outputs that is kept from turn to turn; many instances that become master at once need more for a moment.
const USUAL_OUTPUTS: usize = 256;

/// What each instance's own interface sends from.
pub(super) fn say_addresses(config: &Config, interfaces: &Interfaces) {
    // Interfaces that someone tracks already have no line.
    let mut known = vec![false; config.interfaces.len()];
    let mut meet = |id: IfId| {
        known
            .get_mut(id.index())
            .is_some_and(|known| !std::mem::replace(known, true))
    };
    for instance in &config.instances {
        let own = instance.configured_interface.filter(|own| meet(*own));
        for track in &instance.tracks {
            if let TrackSource::Interface(id) = track.source {
                meet(id);
            }
        }
        let Some(interface) = own.and_then(|own| config.interfaces.get(own.index())) else {
            continue;
        };
        let link = interfaces.facts_by_name(&interface.name);
        let v4 = link.v4.map(IpAddr::V4);
        let v6 = link.v6.map(IpAddr::V6);
        for address in v4.into_iter().chain(v6) {
            log!(
                Priority::Info,
                "Assigned address {address} for interface {}",
                interface.name
            );
        }
    }
}

impl Child<'_> {
    /// Does what the core says. Adverts go ahead of what else is to be done for the few instances that follow one another, so that
    /// no old master waits for our log or for the kernel's lock; each instance still has its own order. How many those are is
    /// bounded: the first are not to wait for the last.
    pub(super) fn drain(&mut self, now: Instant) {
        self.drain_urgent(now);
        self.finish();
    }

    /// The same, but log lines and repeated announcements are left to [`Self::finish`], for what may be more urgent.
    pub(super) fn drain_urgent(&mut self, now: Instant) {
        let mut later = std::mem::take(&mut self.later);
        loop {
            let mut objects = 0_usize;
            while let Some(output) = self.router.poll_output() {
                match output {
                    Output::Transmit(advert) => {
                        if objects >= OBJECTS_AT_ONCE {
                            self.act_all(now, &mut later);
                            self.settle_first();
                            objects = 0;
                        }
                        self.queue_advert(advert);
                    }
                    // What comes after it belongs to other sockets.
                    Output::Reconfigured => {
                        self.act_all(now, &mut later);
                        self.tell(now);
                        objects = 0;
                        self.act(now, output);
                    }
                    // With nothing before it there is no reason to wait.
                    output
                        if later.is_empty()
                            && self.events.is_empty()
                            && self.sockets.queued() == 0 =>
                    {
                        self.act(now, output);
                    }
                    output => {
                        let is_object = matches!(output, Output::Add(_) | Output::Remove { .. });
                        objects = objects.saturating_add(usize::from(is_object));
                        later.push(output);
                    }
                }
            }
            self.act_all(now, &mut later);
            self.tell(now);
            self.settle_first();
            let refused = std::mem::take(&mut self.refused);
            if refused.is_empty() {
                break;
            }
            for object in refused {
                self.router.handle(now, Input::Refused(object));
            }
        }
        if later.capacity() > USUAL_OUTPUTS {
            later.shrink_to(USUAL_OUTPUTS);
            self.events.shrink_to(USUAL_OUTPUTS);
            self.untidy = true;
        }
        self.later = later;
    }

    /// What may wait until nothing urgent is left.
    pub(super) fn finish(&mut self) {
        log::let_go();
        self.settle();
    }

    /// Some of the repeated announcements.
    pub(super) fn announce_some(&mut self) {
        if let Some(announcer) = &mut self.announcer {
            announcer.flush_some(REPEATS_AT_ONCE);
        }
    }

    /// Whether [`Self::finish`] has something to send.
    pub(super) fn repeats_wait(&self) -> bool {
        self.announcer.as_ref().is_some_and(Announcer::is_waiting)
    }

    /// Adverts, then the rest in its order. Scripts and the like are told by [`Self::tell`], when the addresses of all are announced;
    /// log lines wait until somebody looks for them.
    fn act_all(&mut self, now: Instant, later: &mut Vec<Output>) {
        self.send_adverts();
        if later.is_empty() {
            return;
        }
        log::hold_back();
        for output in later.drain(..) {
            match output {
                Output::Notify(event) if self.notifier.tells(&event) => self.events.push(event),
                // What makes an instance master does not undo what was told of another.
                Output::Add(_)
                | Output::Announce { .. }
                | Output::FirewallAdd(_)
                | Output::Notice(_)
                | Output::Notify(_) => self.act(now, output),
                output => {
                    self.tell(now);
                    self.act(now, output);
                }
            }
        }
    }

    /// Tells scripts and the like what they wait for, after everything that they may look at.
    fn tell(&mut self, now: Instant) {
        if self.events.is_empty() {
            return;
        }
        self.finish();
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            self.notifier.notify(now, &event);
            self.remote_notify(now, &event);
        }
        self.events = events;
    }

    fn send_adverts(&mut self) {
        let lanes = &self.lanes;
        self.sockets
            .flush(|id| lanes.get(id.index()).map_or("", |lane| &lane.name));
    }

    /// Carries out what is queued: adverts first, so that the old master lets go, then the kernel, then the neighbours: they ask back,
    /// and the address must be there.
    pub(super) fn settle(&mut self) {
        self.settle_objects();
        self.firewall.flush_gone();
    }

    /// The same, but packets to addresses that have gone may be dropped for a while yet: it does no harm, and many instances
    /// that let go make one transaction.
    fn settle_objects(&mut self) {
        self.settle_first();
        if let Some(announcer) = &mut self.announcer {
            announcer.flush();
        }
    }

    /// The same, but each address is announced only once yet.
    fn settle_first(&mut self) {
        self.send_adverts();
        // An address that is not accepted must not be there without its entry.
        self.firewall.flush_new();
        self.kernel.flush(&mut self.refused);
        if let Some(announcer) = &mut self.announcer {
            announcer.flush_first();
        }
    }

    pub(super) fn act(&mut self, now: Instant, output: Output) {
        match output {
            Output::Transmit(advert) => self.queue_advert(advert),
            Output::Add(object) => {
                if !self.kernel.add(object) {
                    self.refused.push(object);
                }
            }
            Output::Remove { object, leftover } => {
                // Nothing is announced of an address that has gone.
                if self.repeats_wait() {
                    self.settle_objects();
                }
                self.kernel.remove(object, leftover);
            }
            Output::Replace { old, new } => {
                // It carries out what is queued.
                self.firewall.flush_new();
                self.kernel.replace(old, new, &mut self.refused);
            }
            Output::Announce { interface, address } => {
                if let (Some(announcer), Some(link)) =
                    (&mut self.announcer, self.kernel.interfaces.link(interface))
                {
                    announcer.queue(now, link, address);
                }
            }
            Output::OpenAnnouncers { arp, na } => {
                self.open_announcers(arp, na);
                if std::mem::take(&mut self.tell_parent) {
                    self.context.config_read();
                }
            }
            Output::FirewallAdd(id) => self.block(id),
            Output::FirewallRemove(id) => self.unblock(id),
            Output::Notify(event) => {
                if self.notifier.tells(&event) {
                    self.finish();
                    self.notifier.notify(now, &event);
                }
                self.remote_notify(now, &event);
            }
            #[cfg(feature = "lvs")]
            Output::ConnectionSync(what) => self.sync_daemon.follow(what),
            // Without load balancing no instance leads such a daemon.
            #[cfg(not(feature = "lvs"))]
            Output::ConnectionSync(_) => {}
            Output::Repriced(r) => {
                text::log::priority_changed(&r.name, r.old, r.new);
                if r.tell {
                    self.settle();
                    self.notifier.priority(&r.name, r.master, r.new);
                }
            }
            Output::Refused { id, from, why } => self.remote_refused(now, id, from, why),
            Output::Notice(notice) => self.say(&notice),
            Output::Reconfigured => {
                self.settle();
                self.notifier.reconfigure(&self.model);
                self.remote_learn();
                self.take_lanes();
                self.refresh_sockets();
            }
            Output::Done => {
                self.settle();
                self.remove_statics();
                self.done.get_or_insert(0);
            }
        }
    }

    fn queue_advert(&mut self, advert: Transmit) {
        let Some(lane) = self.lanes.get(advert.instance.index()) else {
            return;
        };
        let (index, up) = lane.frozen.unwrap_or_else(|| self.way_out(lane));
        if let Some(socket) = lane.socket {
            self.sockets.queue(socket, advert, index, up);
        }
    }

    /// The original has a socket for each; here one does for both, but the lines are two.
    pub(super) fn open_announcers(&mut self, arp: bool, na: bool) {
        let before = std::mem::replace(&mut self.announces, (arp, na));
        if !(arp || na) {
            self.announcer = None;
        } else if self.announcer.is_none() {
            // Without it the election still works; the failure is logged.
            self.announcer = Announcer::open(self.detail).ok();
        }
        if self.detail && self.announcer.is_some() {
            for (now, before, kind) in [(arp, before.0, "ARP"), (na, before.1, "NDISC")] {
                if now && !before {
                    log!(
                        Priority::Info,
                        "Registering gratuitous {kind} shared channel"
                    );
                }
            }
        }
    }

    /// A log line.
    pub(super) fn say(&mut self, notice: &Notice) {
        match notice {
            Notice::Instance(id, InstanceNotice::Gone(object)) => {
                if self.detail || !notice.is_detail() {
                    let owner = self.router.instance_name(*id);
                    log!(Priority::Info, "{}", self.kernel.gone_line(owner, *object));
                }
            }
            _ => text::log::notice(&self.router, notice, self.detail),
        }
    }

    pub(super) fn say_sockets(&self) {
        if !self.detail {
            return;
        }
        for n in 0..self.router.sockets().len() {
            let id = SocketId(u16::try_from(n).unwrap_or(u16::MAX));
            if let Some(line) = self.sockets.describe(id) {
                log!(Priority::Info, "{line}");
            }
        }
    }

    /// The number of the interface that adverts leave by, and whether the instance's own is up.
    fn way_out(&self, lane: &Lane) -> (Option<IfIndex>, bool) {
        let facts = lane.interface.and_then(|i| self.kernel.interfaces.facts(i));
        // Up as far as the core knows: of several changes at once it is told one after the other.
        let all = &self.router.config().interfaces;
        let own = lane.own.and_then(|own| all.get(own.index()));
        (facts.and_then(|f| f.index), own.is_some_and(|i| i.link.up))
    }

    /// The interfaces of another configuration will be known by these numbers; farewells still go the old way.
    pub(super) fn freeze_lanes(&mut self) {
        let mut lanes = std::mem::take(&mut self.lanes);
        for lane in &mut lanes {
            lane.frozen = Some(self.way_out(lane));
        }
        self.lanes = lanes;
    }

    /// From here on outputs belong to the present configuration.
    pub(super) fn take_lanes(&mut self) {
        let instances = self.router.config().instances.iter().enumerate();
        let lanes = instances.map(|(n, i)| Lane {
            name: i.name.clone(),
            socket: u16::try_from(n)
                .ok()
                .and_then(|n| self.router.socket_of(InstanceId(n))),
            interface: i.transmit_interface,
            own: i.interface,
            frozen: None,
        });
        self.lanes = lanes.collect();
        self.longest_packet = longest_packet(self.router.config());
        // Each instance hears one master; one place more tells that no packet waits.
        self.most_packets = self.lanes.len().saturating_add(1).min(BURST);
    }

    pub(super) fn refresh_sockets(&mut self) {
        let Self {
            router,
            sockets,
            kernel,
            model,
            ..
        } = self;
        let size = |id: SocketId| receive_buffer(router, &model.vrrp, &model.global, kernel, id);
        let mut unbound = Vec::new();
        sockets.refresh(
            router.sockets(),
            &kernel.interfaces,
            size,
            |Trouble::NoSource(id)| unbound.push(id),
        );
        self.unbound = Some(unbound);
    }

    /// What the sockets said when they were looked at last. Later than that: the core may be at work then.
    pub(super) fn tell_unbound(&mut self) {
        if let Some(unbound) = self.unbound.take() {
            self.feed(monotonic_now(), Input::Unbound(&unbound));
        }
    }

    /// The receive buffers follow the MTU where they are sized by it.
    pub(super) fn resize_buffers(&mut self) {
        if self.model.global.vrrp_rx_bufs_policy.mtu {
            let Self {
                router,
                sockets,
                kernel,
                model,
                ..
            } = self;
            sockets.resize(|id| receive_buffer(router, &model.vrrp, &model.global, kernel, id));
        }
    }
}
