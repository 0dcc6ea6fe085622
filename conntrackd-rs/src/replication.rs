//! Replication: the engine with its sockets, without the loop around them.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use ctsync_proto::{Engine, Input, KernelSocket, LinkIndex, Notice, Output, Severity};
use daemon_rt::log::Priority;
use linux_io::link_watch::LinkWatch;
use linux_io::timer::monotonic_now;
use linux_io::udp_sock::Room;
use linux_io::watch::Watch;
use net_types::Instant;

use crate::channel::{Channel, Report};
use crate::events::Events;
use crate::flow_log::FlowLog;
use crate::kernel::Kernel;
use crate::memory::Trim;
use crate::server::{News, Server};
use crate::text;

/// Outputs done in a row before the sockets are looked at again: a few milliseconds of sending.
const OUTPUTS_AT_ONCE: u32 = 512;
/// Changes to the kernel's table made in a row before their events are taken: a commit must not overrun our own event socket.
const CHANGES_AT_ONCE: u32 = 128;
/// Parts of a dump taken in a row before the other sockets are looked at again.
const DUMP_PARTS_AT_ONCE: u32 = 8;

/// The engine with its sockets.
pub struct Replication {
    /// Decides everything.
    pub engine: Engine,
    /// Request sockets.
    pub kernel: Kernel,
    /// Event socket; `None` when polling.
    pub events: Option<Events>,
    /// Dedicated links.
    pub channels: Vec<Channel>,
    /// Tells of link changes; `None` when there are no links.
    pub links: Option<LinkWatch>,
    /// Where finished flows go, when they are logged instead of replicated.
    pub flows: FlowLog,
    /// Gives memory back.
    pub trim: Trim,
}

impl Replication {
    /// Begins to wait for the links' sockets; needs a runtime.
    pub fn start(&mut self) -> io::Result<()> {
        let now = monotonic_now();
        for (index, channel) in self.channels.iter_mut().enumerate() {
            let link = LinkIndex(index);
            let engine = &mut self.engine;
            channel.start(&mut Report { engine, now, link })?;
        }
        self.engine.handle(now, Input::Started);
        Ok(())
    }

    /// Does what the engine wants, until it wants nothing more or other sockets should have their turn; `true` then.
    pub fn pump(&mut self, server: &mut Server) -> bool {
        let wall = wall_clock();
        let mut left = OUTPUTS_AT_ONCE;
        while left > 0 {
            let now = monotonic_now();
            let Some(output) = self.engine.poll_output(now, wall) else {
                self.kernel.flush(&mut self.engine, now);
                match self.engine.poll_output(now, wall) {
                    Some(output) => {
                        left = left.saturating_sub(output.weight());
                        self.perform(now, output, server);
                    }
                    None => {
                        self.flows.write();
                        return false;
                    }
                }
                continue;
            };
            left = left.saturating_sub(output.weight());
            self.perform(now, output, server);
            if self.kernel.changes() >= CHANGES_AT_ONCE {
                break;
            }
        }
        self.kernel.flush(&mut self.engine, monotonic_now());
        self.flows.write();
        true
    }

    fn perform(&mut self, now: Instant, output: Output, server: &mut Server) {
        match output {
            Output::Transmit { link, bytes } => self.transmit(now, link, bytes),
            Output::Kernel {
                id,
                socket,
                message,
            } => {
                self.kernel
                    .request(&mut self.engine, now, socket, id, &message);
            }
            Output::KernelBatch {
                id,
                socket,
                messages,
                ..
            } => {
                // What was asked for before comes before.
                self.kernel.flush(&mut self.engine, now);
                self.kernel
                    .batch(&mut self.engine, now, socket, id, &messages);
            }
            Output::Reply { client, bytes } => {
                let news = server.reply(client, bytes);
                self.tell(now, news);
            }
            Output::ReplyEnd { client } => server.end(client),
            Output::FlowEnded { flow } => self.flows.ended(&flow),
            Output::Log(notice) => log_notice(&notice),
        }
    }

    fn transmit(&mut self, now: Instant, link: LinkIndex, bytes: Vec<u8>) {
        let engine = &mut self.engine;
        // What found no connection on a link that is no longer in use leaves first, on the one that is.
        let mut left_behind: Vec<Vec<u8>> = Vec::new();
        for (index, channel) in self.channels.iter_mut().enumerate() {
            if index != link.0 && channel.waiting().is_some_and(|(buffers, _)| buffers > 0) {
                let link = LinkIndex(index);
                left_behind.extend(channel.take_waiting(&mut Report { engine, now, link }));
            }
        }
        let Some(channel) = self.channels.get_mut(link.0) else {
            return;
        };
        let mut report = Report { engine, now, link };
        for bytes in left_behind {
            channel.send(&mut report, bytes);
        }
        channel.send(&mut report, bytes);
        self.count_waiting();
    }

    /// Tells the statistics how many buffers wait for a connection.
    fn count_waiting(&mut self) {
        let (mut waiting, mut refused) = (0_u32, 0_u32);
        for (buffers, full) in self.channels.iter().filter_map(Channel::waiting) {
            waiting = waiting.saturating_add(u32::try_from(buffers).unwrap_or(u32::MAX));
            refused = refused.saturating_add(full);
        }
        let counters = self.engine.shell_counters();
        counters.error_queue = waiting;
        counters.error_queue_full = refused;
    }

    /// Tells the engine what a client of the control socket did.
    pub fn tell(&mut self, now: Instant, news: News) {
        match news {
            News::Ready(client) => self.engine.handle(now, Input::ClientReady { client }),
            News::Gone(client) => self.engine.handle(now, Input::ClientGone { client }),
            News::Asked(..) | News::NotRead => {}
        }
    }

    /// Tells the engine what the links' interfaces are like.
    pub fn report_links(&mut self) {
        let now = monotonic_now();
        for (index, channel) in self.channels.iter().enumerate() {
            let state = channel.state();
            self.engine.handle(
                now,
                Input::LinkState {
                    link: LinkIndex(index),
                    up: state.up,
                    running: state.running,
                },
            );
        }
    }

    /// Reads the kernel's tables into the internal cache, as the engine asked for at its birth, and waits for their end.
    pub fn populate(&mut self, server: &mut Server) -> io::Result<()> {
        self.pump(server);
        while self.kernel.dumping() {
            match self
                .kernel
                .receive(&mut self.engine, monotonic_now(), KernelSocket::Dump)
            {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            self.pump(server);
        }
        Ok(())
    }

    /// Takes what came by the links; `true` when there may be more.
    pub fn serve_channels(&mut self, room: &mut Room, limit: u32) -> bool {
        let now = monotonic_now();
        let mut more = false;
        for (index, channel) in self.channels.iter_mut().enumerate() {
            let link = LinkIndex(index);
            let engine = &mut self.engine;
            more |= channel.serve(&mut Report { engine, now, link }, room, limit);
        }
        self.count_waiting();
        more
    }

    /// Takes answers of the kernel; `true` when there may be more.
    pub fn take_answers(&mut self, which: KernelSocket, watch: &Watch) -> bool {
        for _ in 0..DUMP_PARTS_AT_ONCE {
            match watch.read(|| {
                self.kernel
                    .receive(&mut self.engine, monotonic_now(), which)
            }) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Takes news of the links' interfaces; whether there were any.
    pub fn take_link_news(&mut self, watch: &Watch) -> bool {
        let news = || {
            if self.links.as_ref().is_some_and(LinkWatch::drain) {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        };
        if watch.read(news).is_err() {
            return false;
        }
        self.report_links();
        true
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.engine.next_timeout().is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now);
        }
        let (internal, external) = self.engine.cached();
        self.trim.look(now, internal.saturating_add(external));
    }

    /// When the engine or a link has something to do without any news.
    pub fn next_timeout(&self) -> Option<Instant> {
        let links = self.channels.iter().filter_map(Channel::next_timeout);
        links
            .chain(self.engine.next_timeout())
            .chain(self.trim.next_timeout())
            .min()
    }

    /// Descriptors that news come by, the event socket's aside.
    pub fn fds<'a>(&'a self, fds: &mut Vec<BorrowedFd<'a>>) {
        for channel in &self.channels {
            channel.fds(fds);
        }
        fds.extend(self.kernel.sockets().map(|(_, socket)| socket.as_fd()));
        fds.extend(self.links.as_ref().map(|links| links.as_fd()));
    }
}

fn wall_clock() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_secs())
}

fn log_notice(notice: &Notice) {
    let priority = match notice.severity() {
        Severity::Info => Priority::Info,
        Severity::Notice => Priority::Notice,
        Severity::Warning => Priority::Warning,
        Severity::Error => Priority::Err,
    };
    daemon_rt::log!(priority, "{notice}");
    if let Some(flow) = notice.flow() {
        text::log::flow(flow);
    }
}
