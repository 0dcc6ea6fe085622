//! `lvs_sync_daemon`: the kernel's daemon that tells other directors of connections follows a virtual router: who is MASTER tells,
//! who is not listens.
//!
//! In: the configuration, what the core says ([`ConnectionSync`]). Out: requests to the kernel's load balancer. Where no instance
//! leads, the checker process runs both roles (`check::tables`).
//! Answers to: keepalived 2.3.3 vrrp/vrrp_daemon.c, vrrp_scheduler.c, check/ipvswrapper.c.

use std::io;

use conf_parsers::keepalived::model::global::{Global, LvsSyncDaemon};
use linux_io::route_sock::ReceiveBuffer;
use netlink_wire::ipvs::SyncState;
use vrrp_proto::output::{ConnectionSync, SyncRole};

use crate::ipvs::{Ipvs, sync_daemon, sync_id};

const ROLES: [SyncState; 2] = [SyncState::Master, SyncState::Backup];

/// The daemon, if an instance leads it.
#[derive(Default)]
pub(super) struct SyncDaemon {
    ipvs: Option<Ipvs>,
    written: LvsSyncDaemon,
    /// What runs was started with other settings.
    outdated: bool,
}

impl SyncDaemon {
    /// A configuration, at the start or at a reload. Before the core gets it.
    ///
    /// # Errors
    /// When the kernel has no load balancer; it is logged.
    pub(super) fn configure(&mut self, global: &Global, reload: bool) -> io::Result<()> {
        let written = &global.lvs_sync_daemon;
        let before = std::mem::replace(&mut self.written, written.clone());
        if written.leader().is_none() {
            if let Some(mut ipvs) = self.ipvs.take() {
                // The original leaves it running. With an interface it is the checker's now.
                if written.interface.is_none() {
                    stop_all(&mut ipvs);
                }
            }
            return Ok(());
        }
        Ipvs::say_opening(reload);
        if self.ipvs.is_none() {
            let buffer = global.lvs_netlink_cmd;
            let buffer = (buffer.size > 0).then_some(ReceiveBuffer {
                bytes: buffer.size,
                force: buffer.force,
            });
            self.ipvs = Some(Ipvs::open(global.net_namespace_ipvs.as_deref(), buffer)?);
        }
        self.outdated |= reload && parameters(&before) != parameters(written);
        Ok(())
    }

    /// The core says how it goes on.
    pub(super) fn follow(&mut self, what: ConnectionSync) {
        let Some(ipvs) = &mut self.ipvs else { return };
        let id = sync_id(&self.written, None);
        match what {
            ConnectionSync::Begin(role) => {
                let role = state(role);
                if std::mem::take(&mut self.outdated) {
                    stop_all(ipvs);
                } else {
                    ipvs.stop_daemon(other(role), id, true);
                }
                if let Some(daemon) = sync_daemon(&self.written, id, role) {
                    // One that goes on is said to run already: so does the original at each reload.
                    ipvs.start_daemon(&daemon, false);
                }
            }
            ConnectionSync::Become(role) => ipvs.follow(&self.written, id, state(role)),
            ConnectionSync::End(role) => ipvs.stop_daemon(state(role), id, false),
        }
    }
}

fn stop_all(ipvs: &mut Ipvs) {
    for role in ROLES {
        ipvs.stop_daemon(role, 0, true);
    }
}

const fn state(role: SyncRole) -> SyncState {
    match role {
        SyncRole::Master => SyncState::Master,
        SyncRole::Backup => SyncState::Backup,
    }
}

const fn other(role: SyncState) -> SyncState {
    match role {
        SyncState::Master => SyncState::Backup,
        SyncState::Backup => SyncState::Master,
    }
}

/// What the kernel's daemon is started with; who leads it is not part of it.
fn parameters(written: &LvsSyncDaemon) -> LvsSyncDaemon {
    LvsSyncDaemon {
        instance: None,
        by_instance: None,
        ..written.clone()
    }
}
