//! The SNMP sub-agent inside the loop: its requests are answered from the present, changes go into the core, and it hears what
//! scripts hear.

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::vrrp_instance::{Version, WantState};
use daemon_rt::log;
use daemon_rt::log::Priority;
use linux_io::timer::monotonic_now;
use net_types::{Family, Instant};
use netlink_wire::Link;
use vrrp_proto::output::{Notify, NotifyState};
use vrrp_proto::reasons::Refusal;
use vrrp_proto::{Input, InstanceId};

use super::Child;
use crate::agentx::{Agent, Presence, apply_options};
use crate::cli::Options;
use crate::mib::Pending;
use crate::vrrp::snmp::traps::{self, Place, Trap};
use crate::vrrp::snmp::write::{Change, Present, test};
use crate::vrrp::snmp::{View, regions};

/// What notifications tell of an instance, by the ids of the configuration that outputs belong to.
#[derive(Debug)]
struct Known {
    name: Box<str>,
    initial_master: bool,
    has_addresses: bool,
}

/// SNMP of this process.
#[derive(Debug, Default)]
pub(super) struct Snmp {
    presence: Presence,
    pending: Pending<Change>,
    instances: Vec<Known>,
    groups: Vec<Box<str>>,
    /// Since when the instances run.
    up_since: Option<Instant>,
    detail: bool,
}

impl Snmp {
    /// Starts, goes on or ends as the configuration says; `-x` and `-A` are in `options`.
    pub(super) fn configure(&mut self, model: &mut Model, options: &Options, now: Instant) {
        let g = &mut model.global;
        apply_options(g, options);
        self.detail = options.log_detail > 0;
        self.up_since = Some(now);
        let checker = cfg!(feature = "lvs")
            && options.daemons.checker
            && (g.have_checker || options.daemons.all);
        let regions = regions(g, checker && g.enable_snmp_checker);
        self.presence
            .configure(regions, g.snmp_socket.as_deref(), now);
    }

    /// From now on ids mean positions in `model`.
    pub(super) fn learn(&mut self, model: &Model) {
        let known = |i: &conf_parsers::keepalived::model::vrrp_instance::VrrpInstance| Known {
            name: i.name.value.clone(),
            initial_master: i.state == Some(WantState::Master),
            has_addresses: !i.vips.is_empty(),
        };
        self.instances = model.vrrp.instances.iter().map(known).collect();
        let groups = model.vrrp.sync_groups.iter();
        self.groups = groups.map(|g| g.name.value.clone()).collect();
    }

    pub(super) fn is_ready(&self) -> bool {
        self.presence.is_ready()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.presence.next_timeout()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.presence.handle_timeout(now);
    }

    pub(super) fn close(&mut self) {
        self.presence.close();
    }
}

impl Child<'_> {
    /// Requests of the master agent.
    pub(super) fn snmp_requests(&mut self) {
        let Some(mut agent) = self.snmp.presence.take() else {
            return;
        };
        let now = monotonic_now();
        agent.turn(now);
        while let Some(request) = agent.poll() {
            if Agent::reads(&request) {
                let since = self.snmp.up_since.unwrap_or(now);
                agent.answer(now, &request, || {
                    let mut tree = agentx_wire::Tree::default();
                    self.dumps(|sources| {
                        tree = View::new(sources, &self.statics, since, now).tree();
                    });
                    tree
                });
                continue;
            }
            let mut pending = std::mem::take(&mut self.snmp.pending);
            let step = pending.step(&request.pdu, |object| test(object, |n| self.present(n)));
            self.snmp.pending = pending;
            match step {
                Ok(changes) => {
                    for change in changes {
                        self.change(now, change);
                    }
                    agent.respond(&request, 0, 0);
                }
                Err((error, index)) => agent.respond(&request, error, index),
            }
        }
        agent.settle(now);
        self.snmp.presence.put_back(agent);
    }

    fn present(&self, instance: usize) -> Option<Present> {
        let config = self.router.config().instances.get(instance)?;
        let written = self.model.vrrp.instances.get(instance)?;
        Some(Present {
            priority: config.priority,
            preempt: !config.nopreempt,
            version_3: written.version == Some(Version::V3),
        })
    }

    fn change(&mut self, now: Instant, change: Change) {
        let (Change::Priority(id, _) | Change::Preempt(id, _)) = change;
        let name = self.router.instance_name(id).to_owned();
        let before = self.present(id.index()).map_or(0, |p| p.priority);
        match change {
            Change::Priority(id, priority) => {
                log!(
                    Priority::Info,
                    "({name}) base priority changed from {before} to {priority} via SNMP."
                );
                self.feed(now, Input::SetPriority(id, priority));
            }
            Change::Preempt(id, preempt) => {
                let word = if preempt { "enabled" } else { "disabled" };
                log!(Priority::Info, "({name}) preemption {word} with SNMP");
                self.feed(now, Input::SetPreempt(id, preempt));
            }
        }
    }

    /// Tells of a change of state.
    pub(super) fn snmp_notify(&mut self, now: Instant, event: &Notify) {
        if !self.snmp.presence.is_there() || !self.model.global.enable_traps {
            return;
        }
        match *event {
            Notify::Instance { id, state, .. } => {
                self.snmp_instance(now, id, state);
                if state == NotifyState::Master {
                    self.snmp_new_master(now, id);
                }
            }
            Notify::Group { id, state } if self.model.global.enable_snmp_vrrp => {
                let router_id = self.model.global.router_id.as_deref().unwrap_or("");
                let Some(name) = self.snmp.groups.get(id.index()) else {
                    return;
                };
                let trap = traps::group(name, state, router_id);
                let line = format!("VRRP_Group({name}): Sending SNMP notification");
                self.snmp_send(now, &line, &trap);
            }
            _ => {}
        }
    }

    fn snmp_send(&mut self, now: Instant, line: &str, (trap, objects): &Trap) {
        if let Some(agent) = self.snmp.presence.agent() {
            if self.snmp.detail {
                log!(Priority::Info, "{line}");
            }
            agent.notify(now, trap, objects);
        }
    }

    fn snmp_instance(&mut self, now: Instant, id: InstanceId, state: NotifyState) {
        if !self.model.global.enable_snmp_vrrp {
            return;
        }
        let router_id = self.model.global.router_id.as_deref().unwrap_or("");
        let Some(known) = self.snmp.instances.get(id.index()) else {
            return;
        };
        let trap = traps::instance(&known.name, state, known.initial_master, router_id);
        let line = format!("({}) Sending SNMP notification", known.name);
        self.snmp_send(now, &line, &trap);
    }

    /// Where the RFCs' MIBs have the instance: with the interface that it stands on (`base`), or its own.
    fn place(&self, id: InstanceId, base: bool) -> Option<Place> {
        let config = self.router.config().instances.get(id.index())?;
        let interfaces = &self.kernel.interfaces;
        let own = config.interface.and_then(|i| interfaces.link(i));
        let below = |l: &Link| l.base().filter(|_| base && l.kind.is_mac_or_ip_vlan());
        Some(Place {
            interface: own.map_or(0, |l| below(l).unwrap_or(l.index)),
            vrid: config.vrid.get(),
            v6: config.family == Family::V6,
        })
    }

    /// Whether the instance is in VRRP-MIB.
    fn is_in_version_2(&self, id: InstanceId) -> bool {
        let config = self.router.config().instances.get(id.index());
        config
            .is_some_and(|c| c.version == vrrp_proto::config::Version::V2 && c.family == Family::V4)
    }

    fn snmp_new_master(&mut self, now: Instant, id: InstanceId) {
        let has_addresses = |k: &Known| k.has_addresses;
        if !self
            .snmp
            .instances
            .get(id.index())
            .is_some_and(has_addresses)
        {
            return;
        }
        let (Some(place), Some(status)) = (self.place(id, true), self.router.status(id)) else {
            return;
        };
        let (reason, name) = (status.reasons.master, status.config.name.clone());
        let unspecified = match status.config.family {
            Family::V4 => std::net::IpAddr::from([0; 4]),
            Family::V6 => std::net::IpAddr::from([0; 16]),
        };
        let source = status.source.unwrap_or(unspecified);
        if self.model.global.enable_snmp_rfcv2 && self.is_in_version_2(id) {
            let line = format!("({name}) Sending SNMP notification vrrpTrapNewMaster");
            self.snmp_send(now, &line, &traps::new_master(place, source));
        }
        if self.model.global.enable_snmp_rfcv3 {
            let number = reason.number();
            let line = format!(
                "({name}) Sending SNMP notification vrrpv3NotifyNewMaster, reason {number}"
            );
            self.snmp_send(now, &line, &traps::new_master_v3(place, source, reason));
        }
    }

    /// Tells of a packet that was refused.
    pub(super) fn snmp_refused(
        &mut self,
        now: Instant,
        id: InstanceId,
        from: std::net::IpAddr,
        why: Refusal,
    ) {
        let known = self.snmp.instances.get(id.index());
        let Some(known) = known.filter(|k| k.has_addresses) else {
            return;
        };
        let name = known.name.clone();
        let Some(place) = self.place(id, false) else {
            return;
        };
        let g = &self.model.global;
        match why {
            Refusal::Auth(error) if g.enable_snmp_rfcv2 && self.is_in_version_2(id) => {
                let line = format!("({name}) Sending SNMP notification vrrpTrapAuthFailure");
                self.snmp_send(now, &line, &traps::auth_failure(place, from, error));
            }
            Refusal::Protocol(error) if g.enable_snmp_rfcv3 => {
                let line = format!("({name}) Sending SNMP notification vrrpTrapProtoError");
                self.snmp_send(now, &line, &traps::protocol_error(place, error));
            }
            _ => {}
        }
    }
}
