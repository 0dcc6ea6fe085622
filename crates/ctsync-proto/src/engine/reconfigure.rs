//! A new configuration for a running engine: the caches stay.

use net_types::Instant;

use super::Engine;
use crate::config::{Config, Mode};
use crate::mode::ModeState;

impl Engine {
    /// Takes over what may change while the engine runs: timeouts, limits, windows, filters, and which expectations are
    /// replicated. What may not (mode, links, caches, whether expectations are replicated, whether the kernel is polled)
    /// stays as it was.
    ///
    /// After a change of the filter the kernel's table is compared with the internal cache: what passes now is told to the
    /// peer, and what does not is withdrawn.
    pub fn reconfigure(&mut self, now: Instant, new: Config) {
        let refiltered = new.filter != self.config.filter;
        let old = core::mem::replace(&mut self.config, new);
        let config = &mut self.config;
        config.links = old.links;
        config.default_link = old.default_link;
        config.hash_seed = old.hash_seed;
        config.disable_internal_cache = old.disable_internal_cache;
        config.disable_external_cache = old.disable_external_cache;
        config.expectation_sync = old.expectation_sync;
        if config.poll.is_some() != old.poll.is_some() {
            config.poll = old.poll;
        }
        match (&mut self.mode, config.mode) {
            (
                ModeState::Ftfw(ftfw),
                Mode::Ftfw {
                    resend_queue_size,
                    ack_window_size,
                },
            ) => {
                ftfw.resize_window(ack_window_size);
                self.queues.resend_max = resend_queue_size;
            }
            (ModeState::Alarm(alarm), Mode::Alarm { refresh, .. }) => alarm.set_refresh(refresh),
            (ModeState::Notrack(_), Mode::Notrack) | (ModeState::Stats, Mode::Stats) => {}
            _ => config.mode = old.mode,
        }
        self.codec.timeouts = config.commit_timeout == 0;
        self.codec.window_scales = config.tcp_window_tracking;
        let limit = config.hash_limit;
        self.internal.set_limit(limit);
        self.external.set_limit(limit);
        self.internal_exp.set_limit(limit);
        self.external_exp.set_limit(limit);
        self.arm_poll(now);
        if refiltered {
            self.resync_tables();
        }
    }
}
