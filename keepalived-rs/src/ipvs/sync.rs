//! The daemons in the kernel that tell other directors of connections.

use conf_parsers::keepalived::model::global::LvsSyncDaemon;
use netlink_wire::Batch;
use netlink_wire::ipvs::{Daemon, SyncState};

use super::Ipvs;
use super::text::Call;

/// The number of the group of directors: as configured, else the VRRP instance's VRID, else 0.
pub fn sync_id(written: &LvsSyncDaemon, vrid: Option<u8>) -> u32 {
    written
        .sync_id
        .or(vrid.filter(|_| written.instance.is_some()).map(u32::from))
        .unwrap_or(0)
}

/// The daemon of a configuration for one side; `None`: none is configured.
pub fn sync_daemon(written: &LvsSyncDaemon, id: u32, state: SyncState) -> Option<Daemon> {
    Some(Daemon {
        state,
        interface: written.interface.as_deref()?.into(),
        id,
        max_len: written.max_length.unwrap_or(0),
        port: written.port.unwrap_or(0),
        ttl: written.ttl.unwrap_or(0),
        group: written.group,
    })
}

impl Ipvs {
    /// Starts a daemon. One that runs already is said to unless `quiet`.
    pub fn start_daemon(&mut self, daemon: &Daemon, quiet: bool) {
        let mut batch = Batch::new();
        self.requests.push_start_daemon(&mut batch, daemon);
        self.daemon_command(&mut batch, Call::StartDaemon, quiet);
    }

    /// Stops a daemon. That none runs is said unless `quiet`.
    pub fn stop_daemon(&mut self, state: SyncState, id: u32, quiet: bool) {
        let mut batch = Batch::new();
        self.requests.push_stop_daemon(&mut batch, state, id);
        self.daemon_command(&mut batch, Call::StopDaemon, quiet);
    }

    /// The VRRP instance that decides has become master, or backup: the other side's daemon stops, this one's starts. In the
    /// original the VRRP process does this.
    pub fn follow(&mut self, written: &LvsSyncDaemon, id: u32, state: SyncState) {
        let other = match state {
            SyncState::Master => SyncState::Backup,
            SyncState::Backup => SyncState::Master,
        };
        if let Some(daemon) = sync_daemon(written, id, state) {
            self.stop_daemon(other, id, false);
            self.start_daemon(&daemon, false);
        }
    }

    fn daemon_command(&mut self, batch: &mut Batch, call: Call, quiet: bool) {
        if quiet {
            // Stopping what may not run: whatever the answer, it does not.
            let _ = self.try_command(batch);
        } else {
            self.command(batch, call);
        }
    }

    /// The daemons that run.
    pub fn daemons(&mut self) -> Vec<Daemon> {
        let mut batch = Batch::new();
        self.requests.push_dump_daemons(&mut batch);
        let mut found = Vec::new();
        let asked = self
            .genl
            .query(&mut batch, |m| found.extend(Daemon::parse(m)));
        asked.map_or_else(|_| Vec::new(), |()| found)
    }
}
