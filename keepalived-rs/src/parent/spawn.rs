//! Starting children, and starting them again.

use linux_io::process::{self, Exit, Fork, Pid};
use linux_io::signal::Signal;
use linux_io::timer::monotonic_now;
use net_types::{Duration, Instant};

use daemon_rt::log::Priority;

use super::{Became, BfdPipes, Parent, Phase, info, places};
use crate::child::Kind;
use crate::ipc::bfd_pipe;
use crate::text;

impl Parent {
    /// Whether there is something for a child to do.
    pub(super) fn wanted(&self, kind: Kind) -> bool {
        let configured = match kind {
            Kind::Checker => self.global.have_checker,
            Kind::Vrrp => self.global.have_vrrp,
            Kind::Bfd => self.global.have_bfd,
        };
        let allowed = self.slots.iter().any(|s| s.kind == kind && s.allowed);
        let built = match kind {
            Kind::Checker => cfg!(feature = "lvs"),
            Kind::Vrrp => true,
            Kind::Bfd => cfg!(feature = "bfd"),
        };
        built && allowed && (configured || self.options.daemons.all)
    }

    /// The first start of all children.
    pub(super) fn start_children(&mut self) -> Result<(), Became> {
        self.phase = Phase::Running;
        let mut any = false;
        match (bfd_pipe(), bfd_pipe()) {
            (Ok(vrrp), Ok(checker)) => self.bfd_pipes = Some(BfdPipes { vrrp, checker }),
            (Err(e), _) | (_, Err(e)) => daemon_rt::log!(
                Priority::Err,
                "Unable to create BFD event pipe: {}",
                text::errno::sentence(&e)
            ),
        }
        for kind in Kind::ALL {
            if self.wanted(kind) {
                any = true;
                self.announce = Some("Startup");
                self.start_child(kind)?;
            } else if let Some(slot) = self.slots.iter_mut().find(|s| s.kind == kind) {
                if let Some(pidfile) = slot.pidfile.take() {
                    pidfile.remove();
                }
            }
        }
        self.start_reload_time();
        if !any {
            info!("Warning - keepalived has no configuration to run");
        }
        Ok(())
    }

    /// Forks one child.
    pub(super) fn start_child(&mut self, kind: Kind) -> Result<(), Became> {
        let now = monotonic_now();
        let Some(slot) = self.slots.iter_mut().find(|s| s.kind == kind) else {
            return Ok(());
        };
        slot.restart_at = None;
        if slot.pidfile.is_none() {
            slot.pidfile = places::take(&slot.pid_path);
        }
        // What nobody has read is old by now.
        let receiver = self.bfd_pipes.as_ref().and_then(|pipes| match kind {
            Kind::Vrrp => Some(&pipes.vrrp.1),
            Kind::Checker => Some(&pipes.checker.1),
            Kind::Bfd => None,
        });
        while receiver.is_some_and(|r| r.receive().is_ok()) {}
        match process::fork() {
            Ok(Fork::Child) => Err(Became(kind)),
            Ok(Fork::Parent(pid)) => {
                slot.pid = Some(pid);
                slot.started = now;
                slot.loading = true;
                info!("Starting {} child process, pid={}", kind.word(), pid.get());
                if kind != Kind::Bfd {
                    // It does not know the sessions; the C program leaves it so until one of them changes.
                    self.tell(Kind::Bfd, Signal::USR2);
                }
                Ok(())
            }
            Err(e) => {
                info!(
                    "{} child process: fork error({})",
                    kind.word(),
                    text::errno::sentence(&e)
                );
                // The C program leaves it at that; a full process table is no reason to stay without VRRP.
                slot.restart_at = Some(now + Duration::from_secs(1));
                Ok(())
            }
        }
    }

    /// A child has ended.
    pub(super) fn child_ended(&mut self, at: usize, pid: Pid, exit: Exit) -> Result<(), Became> {
        let Some(slot) = self.slots.get_mut(at) else {
            return Ok(());
        };
        slot.pid = None;
        let kind = slot.kind;
        // While it stops the daemon names its children; otherwise the C program has forgotten the name already.
        let name = match self.phase {
            Phase::Stopping(_) => kind.ident().to_owned(),
            _ => format!("pid {}", pid.get()),
        };
        let (lines, permanent) = text::life::child_ended(&name, exit, &self.command_line);
        for line in lines {
            info!("{line}");
        }
        match self.phase {
            Phase::Stopping(_) => {
                if self.slots.iter().all(|slot| slot.pid.is_none()) {
                    self.children_gone();
                }
                return Ok(());
            }
            Phase::Running => {}
            Phase::Starting | Phase::Ending | Phase::Done(_) => return Ok(()),
        }
        if let Some(status) = permanent {
            self.phase = Phase::Done(status);
            return Ok(());
        }
        if self.options.dont_respawn {
            daemon_rt::log!(
                Priority::Alert,
                "{} child process({}) died: Exiting",
                kind.word(),
                pid.get()
            );
            self.stop();
            return Ok(());
        }
        let mut priority = Priority::Alert;
        for line in text::life::respawning(kind.word(), pid) {
            daemon_rt::log!(priority, "{line}");
            priority = Priority::Info;
        }
        let now = monotonic_now();
        let Some(slot) = self.slots.get_mut(at) else {
            return Ok(());
        };
        let delay = slot.backoff.after_death(slot.started, now);
        if let Some(delay) = delay {
            info!(
                "Restart of {} process delayed {delay} seconds to limit respawn rate",
                kind.word()
            );
        }
        match delay {
            None | Some(0) => self.start_child(kind),
            Some(delay) => {
                slot.restart_at = Some(now + Duration::from_secs(u64::from(delay)));
                Ok(())
            }
        }
    }

    /// Starts the children whose delay is over.
    pub(super) fn restart_due(&mut self, now: Instant) -> Result<(), Became> {
        for kind in Kind::ALL {
            let due = self
                .slots
                .iter()
                .any(|s| s.kind == kind && s.restart_at.is_some_and(|at| at <= now));
            if due {
                self.start_child(kind)?;
            }
        }
        Ok(())
    }
}
