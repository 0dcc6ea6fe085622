//! Mail about instances and groups: who gets one of what.
//!
//! In: the model (who has `smtp_alert`), the core's [`Notify`] outputs. Out: mails for [`Mailer`].
//! A state is told once: the same state again, without another that was mailed between, is not news. A reload forgets
//! what was told.
//! Answers to: keepalived 2.3.3 vrrp/vrrp_notify.c (`vrrp_smtp_notifier`, `vrrp_sync_smtp_notifier`).

use conf_parsers::keepalived::model::Model;
use net_types::Instant;
use vrrp_proto::output::{Notify, NotifyState};

use crate::smtp::{About, Mailer};

/// Of one instance or group.
#[derive(Debug)]
struct Wish {
    on: bool,
    told: Option<NotifyState>,
}

impl Wish {
    const fn new(on: bool) -> Self {
        Self { on, told: None }
    }

    /// Whether the state is news that is wanted; it is not news a second time.
    fn take(&mut self, state: NotifyState, no_faults: bool) -> bool {
        let wanted = self.wants(state, no_faults);
        if wanted {
            self.told = Some(state);
        }
        wanted
    }

    fn wants(&self, state: NotifyState, no_faults: bool) -> bool {
        self.on && !(no_faults && state == NotifyState::Fault) && self.told != Some(state)
    }
}

/// The mail of the VRRP process.
#[derive(Debug)]
pub struct Alerts {
    /// The connections.
    pub mailer: Mailer,
    instances: Vec<Wish>,
    groups: Vec<Wish>,
    /// `no_email_faults`
    no_faults: bool,
}

impl Alerts {
    /// Nobody is told of anything before [`Self::reconfigure`].
    pub fn new(detail: bool) -> Self {
        Self {
            mailer: Mailer::new(detail),
            instances: Vec::new(),
            groups: Vec::new(),
            no_faults: false,
        }
    }

    /// From now on ids mean positions in `model`.
    pub fn reconfigure(&mut self, model: &Model) {
        self.mailer.configure(&model.global);
        self.no_faults = model.global.no_email_faults;
        let wish = |alert: Option<bool>| Wish::new(alert.unwrap_or(false));
        let vrrp = &model.vrrp;
        self.instances = vrrp.instances.iter().map(|i| wish(i.smtp_alert)).collect();
        self.groups = vrrp
            .sync_groups
            .iter()
            .map(|g| wish(g.smtp_alert))
            .collect();
    }

    /// Whether a mail follows from the event.
    pub fn tells(&self, event: &Notify) -> bool {
        let (who, state) = match *event {
            Notify::Instance { id, state, .. } => (self.instances.get(id.index()), state),
            Notify::Group { id, state } => (self.groups.get(id.index()), state),
            Notify::LowerPriority { .. }
            | Notify::Priority { .. }
            | Notify::InstanceFifo { .. }
            | Notify::GroupFifo { .. } => return false,
        };
        self.mailer.is_on() && who.is_some_and(|who| who.wants(state, self.no_faults))
    }

    /// An instance has entered a state.
    pub fn instance(&mut self, now: Instant, at: usize, name: &str, state: NotifyState) {
        let Some(wish) = self.instances.get_mut(at) else {
            return;
        };
        if wish.take(state, self.no_faults) {
            let (what, body) = instance_words(state);
            self.mailer.send(now, About::Instance(name), what, body);
        }
    }

    /// A group has entered a state.
    pub fn group(&mut self, now: Instant, at: usize, name: &str, state: NotifyState) {
        let Some(wish) = self.groups.get_mut(at) else {
            return;
        };
        let Some((what, body)) = group_words(state) else {
            return;
        };
        if wish.take(state, self.no_faults) {
            self.mailer.send(now, About::Group(name), what, body);
        }
    }
}

const fn instance_words(state: NotifyState) -> (&'static str, &'static str) {
    const GIVEN_UP: &str = "=> VRRP Instance is no longer owning VRRP VIPs <=";
    match state {
        NotifyState::Master => (
            "Entering MASTER state",
            "=> VRRP Instance is now owning VRRP VIPs <=",
        ),
        NotifyState::Backup => ("Entering BACKUP state", GIVEN_UP),
        NotifyState::Fault => ("Entering FAULT state", GIVEN_UP),
        NotifyState::Stop => ("Stopping", "=> VRRP Instance stopping <="),
        NotifyState::Deleted => ("Deleted", "=> VRRP Deleted at reload <="),
    }
}

const fn group_words(state: NotifyState) -> Option<(&'static str, &'static str)> {
    Some(match state {
        NotifyState::Master => (
            "Entering MASTER state",
            "=> All VRRP group instances are now in MASTER state <=",
        ),
        NotifyState::Backup => (
            "Entering BACKUP state",
            "=> All VRRP group instances are now in BACKUP state <=",
        ),
        NotifyState::Fault => (
            "Entering FAULT state",
            "=> All VRRP group instances are now in FAULT state <=",
        ),
        NotifyState::Stop => (
            "Stopping",
            "=> All VRRP group instances are now stopping <=",
        ),
        // Groups are not deleted with a notification.
        NotifyState::Deleted => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_news_once() {
        let mut wish = Wish::new(true);
        assert!(wish.take(NotifyState::Backup, true));
        assert!(!wish.take(NotifyState::Backup, true));
        // A fault that is not mailed is as if it had not been.
        assert!(!wish.take(NotifyState::Fault, true));
        assert!(!wish.take(NotifyState::Backup, true));
        assert!(wish.take(NotifyState::Fault, false));
        assert!(wish.take(NotifyState::Backup, false));
        assert!(!Wish::new(false).take(NotifyState::Master, false));
    }
}
