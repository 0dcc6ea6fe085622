//! The SNMP sub-agent inside the loop: its requests are answered from the present, changes go into the core, and it hears what
//! scripts hear.

use checker_proto::{Input, Quorum, RsId};
use conf_parsers::keepalived::model::Model;
use linux_io::timer::monotonic_now;
use net_types::Instant;

use super::Child;
use super::places::{real_of, virtual_of};
use crate::agentx::{Agent, Presence, apply_options};
use crate::check::snmp::traps::{self, Trap};
use crate::check::snmp::write::{Change, test};
use crate::check::snmp::{Counters, Traffic, View, regions};
use crate::cli::Options;
use crate::mib::Pending;

/// SNMP of this process.
#[derive(Debug, Default)]
pub(super) struct Snmp {
    presence: Presence,
    pending: Pending<Change>,
    traffic: Traffic,
}

impl Snmp {
    /// What the command line says, as if it stood in the configuration.
    pub(super) fn apply(model: &mut Model, options: &Options) {
        apply_options(&mut model.global, options);
    }

    /// Starts, goes on or ends as the configuration says. Numbers mean positions in `model` from now on.
    pub(super) fn configure(&mut self, model: &Model, now: Instant) {
        let g = &model.global;
        self.traffic.forget();
        self.presence
            .configure(regions(g), g.snmp_socket.as_deref(), now);
    }

    /// Whether there may be something to do.
    pub(super) fn is_ready(&self) -> bool {
        self.presence.is_ready()
    }

    /// Whether something is to be written, which the end waits for.
    pub(super) fn busy(&self) -> bool {
        self.presence.busy()
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

    fn send(&mut self, now: Instant, (trap, objects): &Trap) {
        if let Some(agent) = self.presence.agent() {
            agent.notify(now, trap, objects);
        }
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
                let counters = Counters {
                    tables: &mut self.tables,
                    traffic: &mut self.snmp.traffic,
                };
                View::new(&self.model, &self.engine, counters, now)
                    .objects(|objects| agent.answer_from(&request, objects));
                continue;
            }
            let (model, engine) = (&self.model, &self.engine);
            let step = self
                .snmp
                .pending
                .step(&request.pdu, |object| test(object, model, engine));
            match step {
                Ok(changes) => {
                    for (rs, weight) in changes {
                        self.feed(now, Input::Weight { rs, weight });
                    }
                    agent.respond(&request, 0, 0);
                }
                Err((error, index)) => agent.respond(&request, error, index),
            }
        }
        agent.settle(now);
        self.snmp.presence.put_back(agent);
    }

    /// Tells that a real server has come or gone.
    pub(super) fn snmp_real(&mut self, now: Instant, rs: RsId, up: bool, in_service: u32) {
        let g = &self.model.global;
        if !g.enable_traps || !self.snmp.presence.is_there() {
            return;
        }
        // Whoever hears it may look at the tables.
        self.tables.flush(g, &self.model.lvs);
        if let Some((vs, rs)) = real_of(&self.model, &self.firsts, rs) {
            let router_id = g.router_id.as_deref().unwrap_or("");
            let trap = traps::real_server(vs, rs, up, in_service, router_id);
            self.snmp.send(now, &trap);
        }
    }

    /// Tells that a quorum has come or gone.
    pub(super) fn snmp_quorum(&mut self, now: Instant, quorum: &Quorum) {
        let g = &self.model.global;
        if !g.enable_traps || !self.snmp.presence.is_there() {
            return;
        }
        // Whoever hears it may look at the tables.
        self.tables.flush(g, &self.model.lvs);
        if let Some(vs) = virtual_of(&self.model, quorum.vs) {
            let trap = traps::quorum(vs, quorum, g.router_id.as_deref().unwrap_or(""));
            self.snmp.send(now, &trap);
        }
    }
}
