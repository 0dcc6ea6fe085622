//! The owner of all instances and groups; the public face of the core.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use net_types::Instant;

use crate::config::{Config, GroupId, IfId, InstanceId, Object, SocketId};
use crate::input::Input;
use crate::output::Output;
use crate::status::{GroupStatus, Socket, Status};

/// All virtual routers of a process.
#[derive(Debug)]
pub struct Router {
    config: Config,
    sockets: Vec<Socket>,
    queue: VecDeque<Output>,
}

impl Router {
    /// A router in INIT; nothing happens before [`Input::Start`].
    pub fn new(config: Config, _now: Instant) -> Self {
        Self {
            config,
            sockets: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    /// One thing happened at `now`. Drain [`Self::poll_output`] afterwards.
    pub fn handle(&mut self, _now: Instant, _input: Input<'_>) {}

    /// When [`Self::handle_timeout`] must be called next, if ever. May change with every other call.
    pub fn next_timeout(&self) -> Option<Instant> {
        None
    }

    /// Does what is due at `now`; early calls do nothing.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// The next thing to do; `None` when there is nothing left.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// The sockets to keep open, [`SocketId`] by position; changes only with [`Output::Reconfigured`].
    pub fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    /// The socket of an instance.
    pub fn socket_of(&self, _instance: InstanceId) -> Option<SocketId> {
        None
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// One instance now; `None` for an id that does not exist.
    pub fn status(&self, _instance: InstanceId) -> Option<Status<'_>> {
        None
    }

    /// One group now; `None` for an id that does not exist.
    pub fn group_status(&self, _group: GroupId) -> Option<GroupStatus<'_>> {
        None
    }

    /// Whether the instance has this address, route or rule set.
    pub fn is_set(&self, _instance: InstanceId, _object: Object) -> bool {
        false
    }

    /// Name of an instance, by the id of an output just polled (across a reload, too).
    pub fn instance_name(&self, _instance: InstanceId) -> &str {
        ""
    }

    /// Name of a group, by the id of an output just polled.
    pub fn group_name(&self, _group: GroupId) -> &str {
        ""
    }

    /// Name of an interface, by the id of an output just polled.
    pub fn interface_name(&self, _interface: IfId) -> &str {
        ""
    }
}
