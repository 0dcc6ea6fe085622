//! The loop of the VRRP process. It knows no rule of the protocol: what happened goes into the core, what the core says is done.
//!
//! ```text
//!   timerfd ──┐                       ┌─▶ sockets.transmit
//!   sockets ──┤                       ├─▶ kernel.add, remove ─▶ refused ─┐
//!   netlink ──┼─▶ Input ─▶ Router ─▶ Output ─▶ announcer               │
//!   signals ──┘      ▲                ├─▶ notify, log                   │
//!                    └────────────────┴─────────────────────────────────┘
//! ```
//! One thread, nothing detached. The deadline is a timerfd, because adverts are due to the microsecond and epoll's own timeout
//! knows milliseconds.
//!
//! [`outputs`] what the core says is done; [`events`] what happened goes in; [`reload`] configurations; [`statics`] what belongs
//! to no instance; [`mod@buffers`] sizes.

mod buffers;
#[cfg(feature = "dbus")]
mod dbus;
mod events;
mod firewall;
mod outputs;
mod reload;
mod remote;
#[cfg(feature = "snmp")]
mod snmp;
mod statics;

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use conf_parsers::keepalived::model::Model;
use daemon_rt::signals::Signals;
use linux_io::timer::{TimerFd, monotonic_now};
use linux_io::vrrp_sock::Burst;
use linux_io::watch::{self, Watch};
use net_types::{Duration, IfIndex, Instant};
use vrrp_proto::config::IfId;
use vrrp_proto::output::Notify;
use vrrp_proto::{Input, Object, Output, Router, SocketId};

use self::buffers::buffers;
use self::reload::prepare;
use super::firewall::Firewall;
use super::garp::Announcer;
use super::igmp::LocalIgmp;
use super::kernel::Kernel;
use super::linkbeat::Polling;
use super::lower::Static;
use super::notify::Notifier;
use super::objects::Objects;
use super::sockets::Sockets;
#[cfg(feature = "lvs")]
use super::sync_daemon::SyncDaemon;
use super::track::Tracking;
use super::vmac::Vmacs;
#[cfg(feature = "lvs")]
use crate::child::life::EXIT_FATAL;
use crate::child::{Context, Kind, life};
use crate::host::System;
use crate::process::Scheduling;

/// Addresses, routes and rules that are set together when many instances become master at once, rounded up to whole instances.
/// A batch of these needs four system calls, some microseconds, while each address takes the kernel ten: more would save little, and the
/// last address keeps the announcement of the first waiting.
const OBJECTS_AT_ONCE: usize = 16;
/// How often deadlines that are due by now go ahead of log lines and repeated announcements of one turn.
const URGENT_ROUNDS: usize = 64;
/// Repeated announcements between two looks at the deadlines.
const REPEATS_AT_ONCE: usize = 64;
/// A wait that is to end this many times the pause between the last two turns from now, or sooner, is worth setting the timer for; one
/// that is longer is worth being woken in vain once.
const PAUSES: u64 = 8;
/// Packets in one turn: the adverts of several sockets full of instances, and yet a flood does not keep ours from being sent.
const PACKETS_AT_ONCE: usize = 1024;
/// How long the end waits for scripts and mails that tell of it.
const STOP_PATIENCE: Duration = Duration::from_millis(1_100);
/// Datagrams of news in one turn.
const NEWS_AT_ONCE: usize = 64;

/// Everything that is waited for.
struct Watches {
    timer: Watch,
    signals: Watch,
    sockets: Watch,
    kernel: Watch,
    mail: Option<Watch>,
}

impl Watches {
    /// Whether one of them may have something.
    fn any(&self) -> bool {
        let always = [&self.timer, &self.signals, &self.sockets, &self.kernel];
        always.into_iter().chain(&self.mail).any(Watch::readable)
    }
}

/// An instance's way out, as the outputs that are being done see it.
struct Lane {
    name: Box<str>,
    socket: Option<SocketId>,
    interface: Option<IfId>,
    /// The one that it lives on, which may be a VMAC above.
    own: Option<IfId>,
    /// At a reload, when numbers of interfaces change their meaning: the number of `interface` and whether `own` is up.
    frozen: Option<(Option<IfIndex>, bool)>,
}

/// The process.
struct Child<'a> {
    context: &'a mut Context,
    detail: bool,
    host: System,
    kernel: Kernel,
    sockets: Sockets,
    announcer: Option<Announcer>,
    /// For ARP, for NA.
    announces: (bool, bool),
    router: Router,
    lanes: Vec<Lane>,
    /// Room for a packet.
    longest_packet: usize,
    /// Packets that may come at once, as far as it is worth to take them at once.
    most_packets: usize,
    model: Model,
    notifier: Notifier,
    tracking: Tracking,
    statics: Vec<Static>,
    vmacs: Vmacs,
    polling: Polling,
    /// Interfaces whose `promote_secondaries` we have set.
    promoted: Vec<Box<str>>,
    /// Much memory was used for a moment, and may go back to the system.
    untidy: bool,
    /// Interfaces have changed since those that we make were last attended to.
    unsettled: bool,
    /// Objects that the kernel would not take, until the core knows.
    refused: Vec<Object>,
    /// Sockets without their local address, until the core knows.
    unbound: Option<Vec<SocketId>>,
    /// Outputs that wait until adverts are sent; empty between turns, as is `events`.
    later: Vec<Output>,
    /// Events that scripts are told of when their addresses are announced.
    events: Vec<Notify>,
    /// The exit status, once everything is given up.
    done: Option<u8>,
    /// How long scripts that tell of the stop may still take.
    patience: Option<Instant>,
    /// The configuration was read and the parent does not know yet.
    tell_parent: bool,
    firewall: Firewall,
    igmp: LocalIgmp,
    scheduling: Scheduling,
    #[cfg(feature = "lvs")]
    sync_daemon: SyncDaemon,
    #[cfg(feature = "snmp")]
    snmp: snmp::Snmp,
    #[cfg(feature = "dbus")]
    dbus: dbus::DBus,
    /// Dumps in `config_save_dir` so far.
    saved: u32,
}

/// Starts, lives, stops. The exit status.
pub(super) fn live(context: &mut Context, signals: &Signals) -> io::Result<u8> {
    let host = System::new();
    let mut kernel = Kernel::open(Objects::new(), buffers(&context.global))?;
    let model = match life::configuration(Kind::Vrrp, context, &host)? {
        Ok(model) => model,
        Err(status) => return Ok(status),
    };
    #[cfg(feature = "lvs")]
    let mut sync_daemon = SyncDaemon::default();
    #[cfg(feature = "lvs")]
    if sync_daemon.configure(&model.global, false).is_err() {
        return Ok(EXIT_FATAL);
    }
    let mut tracking = Tracking::new();
    let mut vmacs = Vmacs::new(context.options.log_detail > 0);
    let mut polling = Polling::default();
    let (config, statics) = prepare(
        &model,
        &mut kernel,
        context,
        &mut tracking,
        (&mut vmacs, &mut polling),
        false,
    )?;
    let mut scheduling = Scheduling::default();
    scheduling.apply(&model.global, Kind::Vrrp);
    let now = monotonic_now();
    let detail = context.options.log_detail > 0;
    let firewall = Firewall::new(&model.global);
    let disable_igmp = model.global.disable_local_igmp;
    let mut child = Child {
        detail,
        context,
        host,
        kernel,
        sockets: Sockets::new()?,
        announcer: None,
        announces: (false, false),
        router: Router::new(config, now),
        lanes: Vec::new(),
        longest_packet: 0,
        most_packets: 1,
        notifier: Notifier::new(&model, detail),
        tracking,
        model,
        statics,
        vmacs,
        polling,
        promoted: Vec::new(),
        untidy: false,
        unsettled: true,
        refused: Vec::new(),
        unbound: None,
        later: Vec::new(),
        events: Vec::new(),
        done: None,
        patience: None,
        tell_parent: true,
        firewall,
        igmp: LocalIgmp::new(disable_igmp),
        scheduling,
        #[cfg(feature = "lvs")]
        sync_daemon,
        #[cfg(feature = "snmp")]
        snmp: snmp::Snmp::default(),
        #[cfg(feature = "dbus")]
        dbus: dbus::DBus::default(),
        saved: 0,
    };
    child.remote_configure(now);
    child.remote_learn();
    child.take_lanes();
    child.dump_configuration();
    child.refresh_sockets();
    child.firewall_of_vmacs();
    child.promote_secondaries();
    child.clear_static_leftovers();
    child.notifier.open_fifos(&child.model.global, now);
    child.feed(now, Input::Start);
    child.tracking.start(now);
    child.add_statics();
    child.say_sockets();
    linux_io::process::trim_memory();

    let timer = TimerFd::new()?;
    let watches = Watches {
        timer: Watch::reading(&timer)?,
        signals: Watch::reading(signals)?,
        sockets: Watch::reading(child.sockets.readable())?,
        kernel: Watch::reading(&child.kernel)?,
        mail: child
            .notifier
            .mail_readable()
            .map(Watch::reading)
            .transpose()?,
    };
    let mut armed = None;
    let mut burst = child.burst();
    // The last turn and the one before.
    let mut turns = [monotonic_now(); 2];
    loop {
        child.tell_unbound();
        if let Some(status) = child.finished() {
            return Ok(status);
        }
        let next = child.next_timeout();
        // A deadline that moves away, as each advert moves a backup's, is looked at when the old one is there. Where little happens it
        // is the other way round: to be woken for nothing costs more than to set the timer after each advert.
        let [last, before] = turns;
        let worth = |next: Instant, armed: Instant| {
            next < armed
                || next > armed && next.since(last) <= last.since(before).saturating_mul(PAUSES)
        };
        if next.is_some_and(|next| armed.is_none_or(|armed| worth(next, armed))) {
            timer.set(next)?;
            armed = next;
        }
        if watches.any() || child.tracking.is_ready() || child.remote_ready() {
            watch::look()?;
        } else {
            if std::mem::take(&mut child.untidy) {
                linux_io::process::trim_memory();
            }
            watch::wait()?;
        }
        // It rings once for each deadline, so nothing has to be read; the next deadline is set even if it is the same.
        if watches.timer.readable() {
            watches.timer.emptied();
            let now = monotonic_now();
            if let Some(due) = armed.take_if(|due| *due <= now) {
                child.scheduling.met(due, now);
            }
        }
        if (burst.longest(), burst.most()) != child.burst_size() {
            burst = child.burst();
        }
        // Packets first: an advert that has arrived must not be late because others were due at the same time.
        child.packets(&watches.sockets, &mut burst);
        let now = monotonic_now();
        turns = [now, last];
        child.timeout(now);
        child.news(&watches.kernel);
        child.followed();
        child.mail(watches.mail.as_ref());
        child.remote_requests();
        child.signals(&watches.signals, signals);
    }
}

/// Time since 1970-01-01 UTC.
fn wall_clock() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Duration::from_micros(u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX))
}

impl Child<'_> {
    /// One thing happened: into the core with it, and everything that follows from it is done.
    fn feed(&mut self, now: Instant, input: Input<'_>) {
        self.tell_clock(now);
        self.router.handle(now, input);
        self.drain(now);
    }

    /// Signed adverts carry the time of day.
    fn tell_clock(&mut self, now: Instant) {
        if self.router.wants_clock() {
            self.router.handle(now, Input::Clock(wall_clock()));
        }
    }

    fn burst_size(&self) -> (usize, usize) {
        (self.longest_packet, self.most_packets)
    }

    fn burst(&self) -> Burst {
        Burst::new(self.longest_packet, self.most_packets)
    }

    fn next_timeout(&self) -> Option<Instant> {
        let own = [
            self.router.next_timeout(),
            self.notifier.next_timeout(),
            self.tracking.next_timeout(),
            self.polling.next_timeout(),
            self.patience,
            self.remote_timeout(),
        ];
        own.into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Instant) {
        let mut round = now;
        for _ in 0..URGENT_ROUNDS {
            self.tell_clock(round);
            self.router.handle_timeout(round);
            self.drain_urgent(round);
            if !self.repeats_wait() {
                break;
            }
            // Whose turn comes meanwhile is not to wait for all repetitions.
            self.announce_some();
            round = monotonic_now();
        }
        self.finish();
        self.notifier.handle_timeout(now);
        self.tracking.handle_timeout(now);
        self.tracked(now);
        self.remote_handle_timeout(now);
        if self
            .polling
            .handle_timeout(now, &mut self.kernel.interfaces)
        {
            let events = self.kernel.told();
            self.kernel_events(now, events);
        }
    }

    /// The exit status, when nothing is left to do or to wait for.
    fn finished(&mut self) -> Option<u8> {
        let status = self.done?;
        let now = monotonic_now();
        let patience = *self.patience.get_or_insert(now + STOP_PATIENCE);
        if self.notifier.busy() && now < patience {
            return None;
        }
        self.remote_close();
        self.notifier.close_fifos(now);
        self.notifier.kill_all(now);
        self.demote_secondaries(|_| false);
        if !self.router.config().global.keep_on_exit {
            self.vmacs.remove_all(&mut self.kernel);
            self.firewall_of_vmacs();
        }
        self.firewall.close();
        self.igmp.restore();
        Some(status)
    }

    fn shut_down(&mut self) {
        let now = monotonic_now();
        self.tracking.stop();
        self.notifier.stopping(now);
        self.feed(now, Input::Shutdown);
    }
}
