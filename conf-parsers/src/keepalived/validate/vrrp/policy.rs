//! Preemption, accept mode, and what strict mode and address ownership decide.

use net_types::Family;

use super::instance::{SECOND, Work};
use crate::keepalived::model::global::NftTable;
use crate::keepalived::model::vrrp_instance::WantState;

const DOWN_TIMER_ADVERTS: u8 = 3;
/// Table for our rules when no firewall is configured.
const DEFAULT_TABLE: &str = "keepalived";

impl Work<'_, '_> {
    pub(super) fn preemption(&mut self) {
        let n = self.name.clone();
        if self.owner() && self.i.nopreempt {
            self.error(format!(
                "({n}) nopreempt is incompatible with priority 255. resetting nopreempt"
            ));
            self.i.nopreempt = false;
        }
        if self.i.state == Some(WantState::Master) {
            if self.i.nopreempt {
                self.error(format!(
                    "({n}) Warning - nopreempt will not work with initial state MASTER - clearing"
                ));
                self.i.nopreempt = false;
            }
            if self.i.preempt_delay != 0 {
                self.error(format!(
                    "({n}) Warning - preempt delay will not work with initial state MASTER - clearing"
                ));
                self.i.preempt_delay = 0;
            }
        }
        if self.i.preempt_delay != 0 {
            if self.strict() {
                self.error(format!(
                    "({n}) preempt_delay is incompatible with strict mode - resetting"
                ));
                self.i.preempt_delay = 0;
            }
            if self.i.nopreempt {
                self.error(format!(
                    "({n}) preempt_delay is incompatible with nopreempt mode - resetting"
                ));
                self.i.preempt_delay = 0;
            }
        }
        if self.i.down_timer_adverts != DOWN_TIMER_ADVERTS && self.strict() {
            self.error(format!(
                "({n}) down_timer_adverts is incompatible with strict mode - resetting"
            ));
            self.i.down_timer_adverts = DOWN_TIMER_ADVERTS;
        }
        if !self.i.nopreempt && self.i.highest_other_priority.is_some() {
            // The original's name of the keyword.
            self.error(format!(
                "({n}) expired_timer_backup requires nopreempt - resetting"
            ));
            self.i.highest_other_priority = None;
        }
    }

    pub(super) fn accept(&mut self) {
        let default = self.owner() || !self.strict();
        let accept = *self.i.accept.get_or_insert(default);
        if accept && !self.owner() && self.strict() && !self.v3() {
            let n = &self.name;
            self.error(format!(
                "({n}) warning - accept mode for VRRP version 2 does not comply with RFC3768 - resetting"
            ));
            self.i.accept = Some(false);
        }
        let needs_firewall = self.i.accept == Some(false) || self.i.vmac.is_some();
        let global = &mut self.ctx.model.global;
        if needs_firewall && global.iptables_in_chain.is_none() && global.nftables.is_none() {
            global.nftables = Some(NftTable {
                name: DEFAULT_TABLE.to_owned(),
                priority: global.nftables_priority,
            });
            self.ctx.log(
                "use_vmac or no_accept/strict specified, but no firewall configured - using nftables",
            );
        }
    }

    pub(super) fn group_address(&mut self) {
        if self.i.unicast {
            if self.i.group_address.take().is_some() {
                let n = &self.name;
                self.error(format!(
                    "({n}) multicast destination specified with unicast - ignoring"
                ));
            }
            return;
        }
        let global = &self.ctx.model.global;
        let default = match self.family() {
            Family::V4 => global.vrrp_mcast_group4.into(),
            Family::V6 => global.vrrp_mcast_group6.into(),
        };
        self.i.group_address.get_or_insert(default);
    }

    /// Keywords that strict mode fixes: gratuitous ARP and adverts about lower and higher priorities.
    pub(super) fn strict_garp(&mut self) {
        let n = self.name.clone();
        let strict = self.strict();
        let global = &self.ctx.model.global;
        let repeat = global.vrrp_garp_lower_prio_repeat.unwrap_or(0);
        let delay = global.vrrp_garp_lower_prio_delay.unwrap_or(0);
        let no_advert = global.vrrp_lower_prio_no_advert;
        let send_advert = global.vrrp_higher_prio_send_advert;
        match self.i.garp_lower_prio_repeat {
            None => self.i.garp_lower_prio_repeat = Some(if strict { 0 } else { repeat }),
            Some(count) if strict && count != 0 => {
                self.error(format!(
                    "({n}) Strict mode requires no repeat garps. resetting"
                ));
                self.i.garp_lower_prio_repeat = Some(0);
            }
            Some(_) => {}
        }
        match self.i.garp_lower_prio_delay {
            None => {
                let delay = if strict { 0 } else { delay };
                self.i.garp_lower_prio_delay = Some(delay.saturating_mul(SECOND));
            }
            Some(delay) if strict && delay != 0 => {
                self.error(format!(
                    "({n}) Strict mode requires no repeat garp delay. resetting"
                ));
                self.i.garp_lower_prio_delay = Some(0);
            }
            Some(_) => {}
        }
        match self.i.lower_prio_no_advert {
            None => self.i.lower_prio_no_advert = Some(strict || no_advert),
            Some(false) if strict => {
                self.error(format!(
                    "({n}) Strict mode requires no lower priority advert. resetting"
                ));
                self.i.lower_prio_no_advert = Some(true);
            }
            Some(_) => {}
        }
        match self.i.higher_prio_send_advert {
            None => self.i.higher_prio_send_advert = Some(!strict && send_advert),
            Some(true) if strict => {
                self.error(format!(
                    "({n}) strict mode requires higher_prio_send_advert to be clear. resetting"
                ));
                self.i.higher_prio_send_advert = Some(false);
            }
            Some(_) => {}
        }
    }

    pub(super) fn owner_ignores(&mut self) {
        let n = &self.name;
        match (self.i.owner_ignore_adverts, self.owner()) {
            (Some(true), false) => {
                self.error(format!(
                    "({n}) ignoring owner_ignore_adverts since priority is not 255"
                ));
                self.i.owner_ignore_adverts = Some(false);
            }
            (Some(false), true) => {
                // Also without strict mode, as in the original.
                self.error(format!(
                    "({n}) strict_mode with priority 255 requires owner_ignore_adverts"
                ));
                self.i.owner_ignore_adverts = Some(true);
            }
            (None, true) => {
                let global = self.ctx.model.global.vrrp_owner_ignore_adverts;
                self.i.owner_ignore_adverts = Some(self.strict() || global);
            }
            (None, false) => self.i.owner_ignore_adverts = Some(false),
            (Some(_), _) => {}
        }
    }

    pub(super) fn notifications(&mut self) {
        let global = &self.ctx.model.global;
        let mail = global.smtp_alert_vrrp.or(global.smtp_alert);
        self.i.smtp_alert.get_or_insert(mail.unwrap_or(false));
        let group = self.group.and_then(|g| g.notify_priority_changes);
        let changes = group.unwrap_or(global.vrrp_notify_priority_changes);
        self.i.notify_priority_changes.get_or_insert(changes);
    }
}
