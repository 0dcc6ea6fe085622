//! The engine: one value that owns caches, queues, mode and timers.

use alloc::collections::VecDeque;

use net_types::Instant;

use crate::config::{Config, ConfigError};
use crate::input::Input;
use crate::output::Output;
use crate::stats::ShellCounters;

/// conntrackd's replication state.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    outputs: VecDeque<Output>,
    shell: ShellCounters,
}

impl Engine {
    /// An engine at `now`. Its first outputs read the kernel's table: drain and answer them before the event socket is
    /// opened, as the original does.
    pub fn new(config: Config, now: Instant) -> Result<Self, ConfigError> {
        let _ = now;
        if config.links.is_empty() {
            return Err(ConfigError::NoLink);
        }
        Ok(Self {
            config,
            outputs: VecDeque::new(),
            shell: ShellCounters::default(),
        })
    }

    /// Something happened. Messages to the peer are collected until [`Engine::poll_output`]: hand over everything one
    /// wake-up brought, then drain, so that a burst shares datagrams.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        let _ = (now, input, &self.config);
    }

    /// When [`Engine::handle_timeout`] wants to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Time has passed. Calling it early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next thing to do; drain until `None` after every batch of inputs and every timeout. `wall` is the wall clock
    /// in seconds since 1970, which only dumps of timestamped flows show.
    pub fn poll_output(&mut self, now: Instant, wall: u64) -> Option<Output> {
        let _ = (now, wall);
        self.outputs.pop_front()
    }

    /// The loop's own counters, which `-s runtime` shows: keep them up to date here.
    pub fn shell_counters(&mut self) -> &mut ShellCounters {
        &mut self.shell
    }
}
