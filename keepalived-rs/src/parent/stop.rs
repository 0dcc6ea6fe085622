//! Stopping: children first, then the shutdown script.

use linux_io::signal::{Signal, kill};
use linux_io::timer::monotonic_now;
use net_types::Duration;

use super::{Parent, Phase, Purpose, info};

impl Parent {
    /// Tells the children to stop.
    pub(super) fn stop(&mut self) {
        info!("Stopping");
        self.systemd.stopping();
        self.reload_time = None;
        // From here on nothing but the end of children counts.
        let _ = self.signals.only(&[Signal::CHLD]);
        for slot in &mut self.slots {
            slot.restart_at = None;
            if let Some(pid) = slot.pid {
                if kill(pid, Signal::TERM).is_err() {
                    slot.pid = None;
                }
            }
        }
        let wait = Duration::from_secs(u64::from(self.global.child_wait_time));
        self.phase = Phase::Stopping(monotonic_now() + wait);
        if self.slots.iter().all(|slot| slot.pid.is_none()) {
            self.children_gone();
        }
    }

    /// The children's time is up.
    pub(super) fn force_children(&mut self) {
        for slot in &mut self.slots {
            if let Some(pid) = slot.pid.take() {
                info!(
                    "{} process failed to die - forcing termination",
                    slot.kind.short()
                );
                let _ = kill(pid, Signal::KILL);
            }
        }
        self.children_gone();
    }

    /// No child is left.
    pub(super) fn children_gone(&mut self) {
        self.phase = Phase::Ending;
        let Some(script) = self.global.shutdown_script.clone() else {
            self.phase = Phase::Done(0);
            return;
        };
        if self.detail() {
            info!(
                "Running shutdown script {}",
                script.args.first().map_or("", String::as_str)
            );
        }
        let limit = self.global.shutdown_script_timeout;
        if !self.run_script(&script, Purpose::Shutdown, limit) {
            self.phase = Phase::Done(0);
        }
    }

    /// The shutdown script has ended or is given up.
    pub(super) fn shutdown_script_over(&mut self) {
        if self.phase == Phase::Ending {
            self.phase = Phase::Done(0);
        }
    }
}
