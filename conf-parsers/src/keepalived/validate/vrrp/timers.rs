//! The advertisement interval, and what must be shorter than it.

use net_types::{Quotient, SortedMap};

use super::instance::{SECOND, Work};
use crate::keepalived::model::vrrp::{InterfaceSettings, Linkbeat};

const CENTISECOND: u32 = 10_000;

impl Work<'_, '_> {
    /// The advertisement interval must fit the version's field.
    pub(super) fn interval(&mut self) {
        let n = self.name.clone();
        let us = *self.i.advert_int.get_or_insert(SECOND);
        let seconds = |places| Quotient::seconds(us.into()).fixed(places);
        let rounded = |unit: u32| {
            let us = us.saturating_add(unit / 2);
            (us - us % unit).max(unit)
        };
        let fitting = if self.v3() {
            if us >= 4096 * CENTISECOND {
                self.error(format!(
                    "({n}) VRRPv3 advertisement interval {}s is out of range. Must be less than 40.96s. Setting to 40.95s",
                    seconds(2)
                ));
                4095 * CENTISECOND
            } else if us % CENTISECOND != 0 {
                self.error(format!(
                    "({n}) VRRPv3 advertisement interval {}s must be in units of 10ms - rounding",
                    seconds(6)
                ));
                rounded(CENTISECOND).min(4095 * CENTISECOND)
            } else {
                us
            }
        } else if us >= 256 * SECOND {
            self.error(format!(
                "({n}) VRRPv2 advertisement interval {}s is out of range. Must be less than 256s. Setting to 255s",
                seconds(2)
            ));
            255 * SECOND
        } else if us % SECOND != 0 {
            self.error(format!(
                "({n}) VRRPv2 advertisement interval {}s must be an integer. rounding",
                seconds(6)
            ));
            rounded(SECOND)
        } else {
            us
        };
        self.i.advert_int = Some(fitting);
    }

    /// Link polling; delays of link changes must be shorter than the time after which others take over.
    pub(super) fn link_settings(&mut self, settings: &mut SortedMap<Box<str>, InterfaceSettings>) {
        let Some(configured) = self.configured else {
            self.i.track_source &= self.i.source_configured;
            return;
        };
        let shown = self.interfaces.name(configured).to_owned();
        if self.i.linkbeat || self.ctx.model.global.linkbeat_use_polling {
            let own = settings.or_default(shown.as_str().into());
            own.linkbeat.get_or_insert(Linkbeat::Automatic);
        }
        let n = &self.name;
        let adverts = u32::from(self.i.down_timer_adverts).saturating_sub(1);
        let interval = self.i.advert_int.unwrap_or(SECOND);
        let base = self.interfaces.base(configured);
        let below = self.interfaces.name(base).to_owned();
        if adverts == 0 {
            let used = |s: &InterfaceSettings| s.up_delay != 0 || s.down_delay != 0;
            if settings.get(&*below).is_some_and(used) {
                self.ctx.log(format!(
                    "{n}: cannot use debounce timers with down_timer_adverts = 1 - resetting"
                ));
                for name in [&below, &shown] {
                    if let Some(s) = settings.get_mut(&**name) {
                        s.up_delay = 0;
                        s.down_delay = 0;
                    }
                }
            }
        } else {
            let max = interval.saturating_mul(adverts) - interval / 256;
            let mut changed = false;
            for name in [&below, &shown] {
                if let Some(s) = settings.get_mut(&**name).filter(|s| s.down_delay > max) {
                    if s.up_delay == s.down_delay {
                        s.up_delay = max;
                    }
                    s.down_delay = max;
                    changed = true;
                }
            }
            if changed {
                self.ctx.log(format!(
                    "{n}: interface {shown} debounce timer(s) not less that {adverts} * advert_int - resetting"
                ));
            }
        }
        self.i.track_source &= self.i.source_configured;
    }
}
