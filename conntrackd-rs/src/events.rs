//! The event socket: what happens in the kernel's table.

use std::io;

use conf_parsers::conntrackd::General;
use ctsync_proto::{Engine, Filter, Input, bpf};
use daemon_rt::log::Priority;
use linux_io::nfnl::{self, BATCH, Batch, Socket};
use linux_io::watch::Watch;
use net_types::Instant;
use nfct::codec::{Message, Messages};

use crate::lower;
use crate::text;

/// Events in one turn that make a burst.
const BURST: u32 = 4;

/// The event socket.
pub struct Events {
    socket: Socket,
    batch: Batch,
    /// Receive buffer in bytes.
    pub buffer: u32,
    most: u32,
    gave_up: bool,
    /// What did not fit the buffer is told later, behind what came after it.
    may_be_late: bool,
    /// The filter's program, when it is the socket that filters.
    program: Option<Vec<bpf::BpfInstruction>>,
    /// Port id of the socket whose events are left out.
    left_out: Option<u32>,
}

/// What one turn took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// There may be more.
    pub more: bool,
    /// There were many.
    pub burst: bool,
}

/// What became of an overrun.
enum Growth {
    /// The buffer was doubled to this many bytes.
    Doubled(u32),
    /// It may not grow any more; told once.
    Limit,
    /// That was told before.
    Quiet,
}

/// Where events are filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterPlace {
    /// There is no filter.
    None,
    /// By the engine.
    User,
    /// By the socket; dumps still by the engine.
    Kernel,
}

impl Events {
    /// The event socket with its options.
    pub fn open(general: &General, expectations: bool) -> io::Result<(Self, FilterPlace)> {
        let mut events = Self::subscribe(expectations, *general.netlink_buffer_size_max_growth)?;
        if *general.netlink_events_reliable {
            // As in the original, a kernel without them is no reason to stop.
            let _ = events.socket.set_broadcast_error(true);
            let _ = events.socket.set_no_enobufs(true);
            events.may_be_late = true;
        }
        if wants_buffer(general) {
            events.resize(*general.netlink_buffer_size);
        }
        let place = match &general.filter {
            None => FilterPlace::None,
            Some(filter) if *filter.kernelspace => events.filter_in_kernel(&lower::filter(filter)),
            Some(_) => FilterPlace::User,
        };
        Ok((events, place))
    }

    /// Takes over buffer sizes and filter of a new configuration.
    pub fn reconfigure(&mut self, general: &General) -> FilterPlace {
        self.most = *general.netlink_buffer_size_max_growth;
        self.gave_up = false;
        if wants_buffer(general) && *general.netlink_buffer_size > self.buffer {
            self.resize(*general.netlink_buffer_size);
        }
        match &general.filter {
            Some(filter) if *filter.kernelspace => self.filter_in_kernel(&lower::filter(filter)),
            filter => {
                // One that is attached must not go on.
                self.pass_all();
                match filter {
                    Some(_) => FilterPlace::User,
                    None => FilterPlace::None,
                }
            }
        }
    }

    fn pass_all(&mut self) {
        if let Err(e) = self.attach(None) {
            cannot_filter(&e);
        }
    }

    fn filter_in_kernel(&mut self, filter: &Filter) -> FilterPlace {
        let attached = match bpf::compile(filter) {
            Some(program) => self.attach(Some(program)),
            None => Err(io::Error::from_raw_os_error(nix::libc::EINVAL)),
        };
        match attached {
            Ok(()) => FilterPlace::Kernel,
            Err(e) => {
                // The original goes on without any filter.
                cannot_filter(&e);
                if self.program.is_some() {
                    self.pass_all();
                }
                FilterPlace::User
            }
        }
    }

    /// Subscribes to the events of connections and, if asked, of expectations.
    fn subscribe(expectations: bool, most: u32) -> io::Result<Self> {
        let groups = if expectations { 0x3f } else { 0x07 };
        let socket = Socket::open(groups)?;
        let buffer = socket.receive_buffer()?;
        Ok(Self {
            socket,
            batch: Batch::new(),
            buffer,
            most,
            gave_up: false,
            may_be_late: false,
            program: None,
            left_out: None,
        })
    }

    /// Does not listen to what requests of the socket with this port id cause, any more. `false`, with nothing changed, when the
    /// system cannot do that, or when what is heard is not in the order in which it happened.
    pub fn leave_out(&mut self, port: u32) -> bool {
        if self.may_be_late {
            return false;
        }
        self.left_out = Some(port);
        let done = self.attach(self.program.clone()).is_ok();
        if !done {
            self.left_out = None;
        }
        done
    }

    /// Makes the socket filter by `program`, and leave out what it has to.
    fn attach(&mut self, program: Option<Vec<bpf::BpfInstruction>>) -> io::Result<()> {
        let everything = bpf::pass_all();
        let mut code = program.as_deref().unwrap_or(&everything).to_vec();
        if let Some(port) = self.left_out {
            code = bpf::leave_out(port, &code);
        }
        let code: Vec<_> = code
            .iter()
            .map(|i| nfnl::BpfInstruction {
                code: i.code,
                jt: i.jt,
                jf: i.jf,
                k: i.k,
            })
            .collect();
        self.socket.attach_filter(&code)?;
        self.program = program;
        Ok(())
    }

    /// Says how it was set up.
    pub fn announce(&self, general: &General, filter: FilterPlace) {
        if *general.netlink_events_reliable {
            daemon_rt::log!(
                Priority::Notice,
                "reliable ctnetlink event delivery is ENABLED."
            );
        }
        match filter {
            FilterPlace::None => {}
            FilterPlace::User => {
                daemon_rt::log!(Priority::Notice, "using user-space event filtering")
            }
            FilterPlace::Kernel => {
                daemon_rt::log!(Priority::Notice, "using kernel-space event filtering")
            }
        }
        if !wants_buffer(general) {
            daemon_rt::log!(
                Priority::Notice,
                "NetlinkBufferSize is either not set or is greater than NetlinkBufferSizeMaxGrowth. Using current system \
                 buffer size"
            );
        }
        daemon_rt::log!(
            Priority::Notice,
            "netlink event socket buffer size has been set to {} bytes",
            self.buffer
        );
    }

    /// The socket.
    pub const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Sets the receive buffer to `bytes` as the kernel counts them.
    fn resize(&mut self, bytes: u32) {
        if let Ok(size) = self.socket.set_receive_buffer(bytes / 2) {
            self.buffer = size;
        }
    }

    /// Doubles the receive buffer after an overrun, up to the configured size.
    fn grow(&mut self) -> Growth {
        if self.gave_up {
            return Growth::Quiet;
        }
        let doubled = self.buffer.saturating_mul(2);
        if doubled > self.most {
            self.gave_up = true;
            return Growth::Limit;
        }
        self.resize(doubled);
        Growth::Doubled(self.buffer)
    }

    /// Takes what the socket has, at most `limit` datagrams.
    pub fn take(&mut self, engine: &mut Engine, now: Instant, watch: &Watch, limit: u32) -> Taken {
        let mut left = limit;
        let taken = |left: u32, more| Taken {
            burst: limit.saturating_sub(left) >= BURST,
            more,
        };
        while left > 0 {
            // What the system says about readiness is as old as its last word: an engine that wants to know for certain is
            // told by the socket itself.
            let certain = engine.awaits_events();
            let received = if certain {
                self.receive(engine, now, left)
            } else {
                watch.read(|| self.receive(engine, now, left))
            };
            match received {
                Ok(count) => {
                    left = left.saturating_sub(count);
                    // A batch that was not full emptied the socket: no need to hear that from the system.
                    if usize::try_from(count).is_ok_and(|n| n < BATCH) && left > 0 {
                        if certain {
                            engine.handle(now, Input::EventsTaken);
                        } else {
                            watch.emptied();
                        }
                        return taken(left, false);
                    }
                }
                Err(e) => match e.raw_os_error() {
                    Some(nix::libc::ENOBUFS) => {
                        announce_growth(&self.grow());
                        engine.shell_counters().netlink_buffer = self.buffer;
                        engine.handle(now, Input::Overrun);
                        return taken(left, true);
                    }
                    _ if e.kind() == io::ErrorKind::WouldBlock => {
                        if certain {
                            engine.handle(now, Input::EventsTaken);
                        }
                        return taken(left, false);
                    }
                    _ if e.kind() == io::ErrorKind::Interrupted => {}
                    _ => {
                        engine.handle(now, Input::EventReadFailed);
                        return taken(left, false);
                    }
                },
            }
        }
        taken(left, true)
    }

    /// Takes up to `limit` events and hands them to the engine; how many datagrams came.
    fn receive(&mut self, engine: &mut Engine, now: Instant, limit: u32) -> io::Result<u32> {
        let limit = usize::try_from(limit).unwrap_or(BATCH);
        let count = self.socket.receive_batch(&mut self.batch, limit)?;
        for datagram in self.batch.datagrams() {
            // An event too long for its slot is lost like one that did not fit the socket's buffer.
            let Some(datagram) = datagram else {
                engine.handle(now, Input::Overrun);
                continue;
            };
            for (header, message) in Messages::new(datagram) {
                let port_id = header.port_id;
                engine.handle(
                    now,
                    match message {
                        Message::Conntrack(kind, ct) => Input::Event { kind, port_id, ct },
                        Message::Expect(kind, exp) => Input::ExpectEvent { kind, port_id, exp },
                        Message::Overrun => Input::Overrun,
                        Message::Ack(_) | Message::Done(_) | Message::Other => Input::UnknownEvent,
                    },
                );
            }
        }
        Ok(u32::try_from(count).unwrap_or(0))
    }
}

fn cannot_filter(e: &io::Error) {
    daemon_rt::log!(
        Priority::Err,
        "cannot set event filtering: {}",
        text::log::reason(e)
    );
}

fn wants_buffer(general: &General) -> bool {
    let wanted = *general.netlink_buffer_size;
    wanted > 0 && wanted <= *general.netlink_buffer_size_max_growth
}

fn announce_growth(growth: &Growth) {
    match growth {
        Growth::Doubled(bytes) => daemon_rt::log!(
            Priority::Notice,
            "netlink event socket buffer size has been doubled to {bytes} bytes"
        ),
        Growth::Limit => daemon_rt::log!(
            Priority::Warning,
            "netlink event socket buffer size cannot be doubled further since it will exceed \
             NetlinkBufferSizeMaxGrowth. We are likely to be losing events, this may lead to unsynchronized replicas. \
             Please, consider increasing netlink socket buffer size via NetlinkBufferSize and NetlinkBufferSizeMaxGrowth \
             clauses in conntrackd.conf"
        ),
        Growth::Quiet => {}
    }
}
