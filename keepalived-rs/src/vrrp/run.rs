//! The loop of the VRRP process. It knows no rule of the protocol: what happened goes into the core, what the core says is done.
//!
//! ```text
//!   timerfd ──┐                       ┌─▶ sockets.transmit
//!   sockets ──┤                       ├─▶ kernel.add, remove ─▶ refused ─┐
//!   netlink ──┼─▶ Input ─▶ Router ─▶ Output ─▶ announcer               │
//!   signals ──┘      ▲                ├─▶ notify, log                   │
//!                    └────────────────┴─────────────────────────────────┘
//! ```
//! One task, nothing detached. The deadline is a timerfd, because adverts are due to the microsecond and the runtime's own
//! timers know milliseconds.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::task::Poll;

use conf_parsers::keepalived::Part;
use conf_parsers::keepalived::model::{Global, Model, VrrpModel};
use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::signals::Signals;
use linux_io::route_sock::ReceiveBuffer;
use linux_io::signal::Signal;
use linux_io::sysctl;
use linux_io::timer::{TimerFd, monotonic_now};
use linux_io::watch::Watch;
use net_types::{Duration, Family, Instant};
use vrrp_proto::config::{Config, IfId, TrackSource};
use vrrp_proto::input::Received;
use vrrp_proto::{Input, InstanceId, Notice, Object, Output, Router, SocketId};

use super::dump::Sources;
use super::garp::Announcer;
use super::kernel::{Buffers, Kernel, KernelEvent};
use super::lower::{Lowered, Static, Switches, lower};
use super::notify::Notifier;
use super::objects::Objects;
use super::process;
use super::sockets::Sockets;
use super::track::Tracking;
use crate::child::Context;
use crate::config::parse_child;
use crate::host::{self, System};
use crate::not_implemented;
use crate::text;

/// Largest packet that is taken: 255 IPv6 addresses and the header fit, and so does any IPv4 header.
const PACKET_LEN: usize = 8192;
/// Addresses, routes and rules that are set together when many instances become master at once: enough to make a batch worth
/// it, few enough that the first instances do not wait for the last.
const OBJECTS_AT_ONCE: usize = 32;
/// Packets of one socket in one turn: the others, and the adverts that are due, wait no longer than these take.
const PACKETS_AT_ONCE: usize = 16;
/// How long the end waits for scripts that tell of it.
const STOP_PATIENCE: Duration = Duration::from_millis(1_100);
/// Datagrams of news in one turn.
const NEWS_AT_ONCE: usize = 64;

/// Everything that is waited for.
struct Watches {
    timer: Watch,
    signals: Watch,
    sockets: Watch,
    kernel: Watch,
    files: Option<Watch>,
}

impl Watches {
    /// Waits until one of them may have something.
    async fn any(&self) {
        poll_fn(|cx| {
            let mut ready = false;
            let always = [&self.timer, &self.signals, &self.sockets, &self.kernel];
            for watch in always.into_iter().chain(&self.files) {
                ready |= watch.poll_read(cx);
            }
            if ready {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

/// An instance's way out, as the outputs that are being done see it.
struct Lane {
    name: Box<str>,
    socket: Option<SocketId>,
    interface: Option<IfId>,
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
    model: Model,
    notifier: Notifier,
    tracking: Tracking,
    statics: Vec<Static>,
    /// Interfaces whose `promote_secondaries` we have set.
    promoted: Vec<Box<str>>,
    /// Objects that the kernel would not take, until the core knows.
    refused: Vec<Object>,
    /// The exit status, once everything is given up.
    done: Option<u8>,
    /// How long scripts that tell of the stop may still take.
    patience: Option<Instant>,
    /// The configuration was read and the parent does not know yet.
    tell_parent: bool,
    firewall_missed: bool,
}

/// Starts, lives, stops. The exit status.
pub(super) async fn live(context: &mut Context, signals: &Signals) -> io::Result<u8> {
    let host = System::new();
    let mut kernel = Kernel::open(Objects::new(), buffers(&context.global))?;
    let lines = context.shared.read().inspect_err(|_| {
        log!(Priority::Err, "Cannot read the configuration");
    })?;
    let outcome = parse_child(
        &lines,
        Part::Vrrp,
        &host,
        &context.options,
        false,
        Some(&context.global),
    );
    drop(lines);
    for line in not_implemented::of_outcome(&outcome, Part::Vrrp) {
        log!(Priority::Warning, "{line}");
    }
    if let Some(status) = outcome.exit {
        return Ok(status);
    }
    let model = outcome.model;
    let mut tracking = Tracking::new();
    let (config, statics) = prepare(&model, &mut kernel, context, &mut tracking, false)?;
    process::apply(&model.global.vrrp);
    let now = monotonic_now();
    let mut child = Child {
        detail: context.options.log_detail > 0,
        context,
        host,
        kernel,
        sockets: Sockets::new()?,
        announcer: None,
        announces: (false, false),
        router: Router::new(config, now),
        lanes: Vec::new(),
        notifier: Notifier::new(&model),
        tracking,
        model,
        statics,
        promoted: Vec::new(),
        refused: Vec::new(),
        done: None,
        patience: None,
        tell_parent: true,
        firewall_missed: false,
    };
    child.say_addresses(child.router.config());
    child.take_lanes();
    child.dump_configuration();
    child.refresh_sockets();
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
        files: child
            .tracking
            .files_readable()
            .map(Watch::reading)
            .transpose()?,
    };
    let mut armed = None;
    let mut buffer = vec![0; PACKET_LEN];
    loop {
        if let Some(status) = child.finished() {
            return Ok(status);
        }
        let next = child.next_timeout();
        if next != armed {
            timer.set(next)?;
            armed = next;
        }
        watches.any().await;
        if let Ok(fired) = watches.timer.read(|| timer.expired()) {
            // One look empties it: without this there would be a second turn and a second look after each deadline.
            watches.timer.emptied();
            if fired {
                // It fires once; the next deadline is set even if it is the same.
                armed = None;
            }
        }
        // Packets first: an advert that has arrived must not be late because others were due at the same time.
        child.packets(&watches.sockets, &mut buffer);
        child.timeout(monotonic_now());
        child.news(&watches.kernel);
        child.files(watches.files.as_ref());
        child.signals(&watches.signals, signals);
    }
}

/// Turns "there was nothing" into the error that ends a watch's readiness.
fn none_is_wait<T>(something: impl Fn(&T) -> bool) -> impl Fn(T) -> io::Result<T> {
    move |value| {
        if something(&value) {
            Ok(value)
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
}

/// Receive buffers of the netlink sockets, as configured.
fn buffers(global: &Global) -> Buffers {
    let buffer = |b: &conf_parsers::keepalived::model::global::ReceiveBuffer| {
        (b.size > 0).then_some(ReceiveBuffer {
            bytes: b.size,
            force: b.force,
        })
    };
    Buffers {
        command: buffer(&global.vrrp_netlink_cmd),
        monitor: buffer(&global.vrrp_netlink_monitor),
    }
}

/// Lowers the model and fills in what the kernel says.
fn prepare(
    model: &Model,
    kernel: &mut Kernel,
    context: &Context,
    tracking: &mut Tracking,
    reload: bool,
) -> io::Result<(Config, Vec<Static>)> {
    let switches = Switches {
        release_vips: context.options.release_vips,
        dont_release: context.options.dont_release_vrrp,
    };
    let Lowered {
        mut config,
        statics,
        warnings,
    } = lower(model, &mut kernel.objects, switches);
    for line in warnings {
        log!(Priority::Warning, "{line}");
    }
    kernel.watch_tables()?;
    kernel.read_interfaces()?;
    kernel
        .interfaces
        .watch(config.interfaces.iter().map(|i| &*i.name));
    for interface in &mut config.interfaces {
        interface.link = kernel.interfaces.facts_by_name(&interface.name);
    }
    tracking.configure(monotonic_now(), model, &mut config, reload, context.umask);
    Ok((config, statics))
}

impl Child<'_> {
    /// One thing happened: into the core with it, and everything that follows from it is done.
    fn feed(&mut self, now: Instant, input: Input<'_>) {
        self.router.handle(now, input);
        self.drain(now);
    }

    fn next_timeout(&self) -> Option<Instant> {
        let own = [
            self.router.next_timeout(),
            self.notifier.next_timeout(),
            self.tracking.next_timeout(),
            self.patience,
        ];
        own.into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Instant) {
        self.router.handle_timeout(now);
        self.drain(now);
        self.notifier.handle_timeout(now);
        self.tracking.handle_timeout(now);
        self.tracked(now);
    }

    /// The exit status, when nothing is left to do or to wait for.
    fn finished(&mut self) -> Option<u8> {
        let status = self.done?;
        let now = monotonic_now();
        let patience = *self.patience.get_or_insert(now + STOP_PATIENCE);
        if self.notifier.busy() && now < patience {
            return None;
        }
        self.notifier.close_fifos(now);
        self.demote_secondaries(|_| false);
        Some(status)
    }

    fn shut_down(&mut self) {
        let now = monotonic_now();
        self.tracking.stop();
        self.notifier.stopping(now);
        self.feed(now, Input::Shutdown);
    }

    /// Does what the core says, in its order.
    fn drain(&mut self, now: Instant) {
        loop {
            while let Some(output) = self.router.poll_output() {
                self.act(now, output);
            }
            self.settle();
            let refused = std::mem::take(&mut self.refused);
            if refused.is_empty() {
                return;
            }
            for object in refused {
                self.router.handle(now, Input::Refused(object));
            }
        }
    }

    /// Carries out what is queued for the kernel, then for the neighbours: they ask back, and the address must be there.
    fn settle(&mut self) {
        self.kernel.flush(&mut self.refused);
        if let Some(announcer) = &mut self.announcer {
            announcer.flush();
        }
    }

    fn act(&mut self, now: Instant, output: Output) {
        match output {
            Output::Transmit(advert) => {
                // In one turn an instance's advert comes before its addresses, so what is queued belongs to others and can
                // go in one batch; but who gives up for good does so after its addresses are gone.
                if advert.priority == 0 || self.kernel.queued() >= OBJECTS_AT_ONCE {
                    self.settle();
                }
                let Some(lane) = self.lanes.get(advert.instance.index()) else {
                    return;
                };
                let facts = lane.interface.and_then(|i| self.kernel.interfaces.facts(i));
                let index = facts.and_then(|f| f.index);
                let up = facts.is_none_or(|f| f.up);
                if let Some(socket) = lane.socket {
                    self.sockets
                        .transmit(socket, &lane.name, &advert, index, up);
                }
            }
            Output::Add(object) => {
                if !self.kernel.add(object) {
                    self.refused.push(object);
                }
            }
            Output::Remove { object, leftover } => self.kernel.remove(object, leftover),
            Output::Announce { interface, address } => {
                if let (Some(announcer), Some(link)) =
                    (&mut self.announcer, self.kernel.interfaces.link(interface))
                {
                    announcer.queue(now, link, address);
                }
            }
            Output::OpenAnnouncers { arp, na } => {
                self.open_announcers(arp, na);
                if std::mem::take(&mut self.tell_parent) {
                    self.context.config_read();
                }
            }
            Output::FirewallAdd(_) | Output::FirewallRemove(_) => {
                if !std::mem::replace(&mut self.firewall_missed, true) {
                    log!(
                        Priority::Warning,
                        "WARNING - no_accept and strict mode: firewall entries are not implemented yet"
                    );
                }
            }
            Output::Notify(event) => {
                if self.notifier.tells(&event) {
                    self.settle();
                    self.notifier.notify(now, &event);
                }
            }
            Output::Notice(notice) => self.say(&notice),
            Output::Reconfigured => {
                self.settle();
                self.notifier.reconfigure(&self.model);
                self.take_lanes();
                self.refresh_sockets();
            }
            Output::Done => {
                self.settle();
                self.remove_statics();
                self.done.get_or_insert(0);
            }
        }
    }

    /// The original has a socket for each; here one does for both, but the lines are two.
    fn open_announcers(&mut self, arp: bool, na: bool) {
        let before = std::mem::replace(&mut self.announces, (arp, na));
        if !(arp || na) {
            self.announcer = None;
        } else if self.announcer.is_none() {
            // Without it the election still works; the failure is logged.
            self.announcer = Announcer::open(self.detail).ok();
        }
        if self.detail && self.announcer.is_some() {
            for (now, before, kind) in [(arp, before.0, "ARP"), (na, before.1, "NDISC")] {
                if now && !before {
                    log!(
                        Priority::Info,
                        "Registering gratuitous {kind} shared channel"
                    );
                }
            }
        }
    }

    /// A log line. With details, what was queued before it has lines of its own that come first.
    fn say(&mut self, notice: &Notice) {
        if self.detail {
            self.settle();
        }
        text::log::notice(&self.router, notice, self.detail);
    }

    /// What each instance's own interface sends from.
    fn say_addresses(&self, config: &Config) {
        if !self.detail {
            return;
        }
        // Interfaces that someone tracks already have no line.
        let mut known = vec![false; config.interfaces.len()];
        let mut meet = |id: IfId| {
            known
                .get_mut(id.index())
                .is_some_and(|known| !std::mem::replace(known, true))
        };
        for instance in &config.instances {
            let own = instance.configured_interface.filter(|own| meet(*own));
            for track in &instance.tracks {
                if let TrackSource::Interface(id) = track.source {
                    meet(id);
                }
            }
            let Some(interface) = own.and_then(|own| config.interfaces.get(own.index())) else {
                continue;
            };
            let v4 = interface.link.v4.map(IpAddr::V4);
            let v6 = interface.link.v6.map(IpAddr::V6);
            for address in v4.into_iter().chain(v6) {
                log!(
                    Priority::Info,
                    "Assigned address {address} for interface {}",
                    interface.name
                );
            }
        }
    }

    fn say_sockets(&self) {
        if !self.detail {
            return;
        }
        for n in 0..self.router.sockets().len() {
            let id = SocketId(u16::try_from(n).unwrap_or(u16::MAX));
            if let Some(line) = self.sockets.describe(id) {
                log!(Priority::Info, "{line}");
            }
        }
    }

    /// From here on outputs belong to the present configuration.
    fn take_lanes(&mut self) {
        let instances = self.router.config().instances.iter().enumerate();
        let lanes = instances.map(|(n, i)| Lane {
            name: i.name.clone(),
            socket: u16::try_from(n)
                .ok()
                .and_then(|n| self.router.socket_of(InstanceId(n))),
            interface: i.transmit_interface,
        });
        self.lanes = lanes.collect();
    }

    fn refresh_sockets(&mut self) {
        let Self {
            router,
            sockets,
            kernel,
            model,
            ..
        } = self;
        let size = |id: SocketId| receive_buffer(router, &model.vrrp, &model.global, kernel, id);
        sockets.refresh(router.sockets(), &kernel.interfaces, size, |_| {});
    }

    /// Packets that wait, a few of each socket.
    fn packets(&mut self, watch: &Watch, buffer: &mut [u8]) {
        let ready = watch.read(|| {
            let ids: Vec<_> = self.sockets.ready()?.collect();
            none_is_wait(|v: &Vec<_>| !v.is_empty())(ids)
        });
        for id in ready.unwrap_or_default() {
            for _ in 0..PACKETS_AT_ONCE {
                let Some(packet) = self.sockets.receive(id, buffer) else {
                    break;
                };
                if packet.cut {
                    let (fd, _) = self.sockets.descriptors(id);
                    log!(
                        Priority::Info,
                        "recvmsg({fd}) message truncated to {} bytes",
                        packet.len
                    );
                    continue;
                }
                let input = Input::Advert(Received {
                    socket: id,
                    bytes: buffer.get(..packet.len).unwrap_or_default(),
                    source: packet.source,
                    multicast: packet.is_multicast(),
                    hop_limit: packet.hop_limit,
                });
                self.feed(monotonic_now(), input);
            }
        }
    }

    /// What the kernel has to tell.
    fn news(&mut self, watch: &Watch) {
        let mut events = Vec::new();
        for _ in 0..NEWS_AT_ONCE {
            let got = watch.read(|| {
                self.kernel
                    .receive(&mut events)
                    .and_then(none_is_wait(|m| *m))
            });
            match got {
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => {
                    let text = text::errno::sentence(&e);
                    log!(
                        Priority::Info,
                        "Netlink: recvmsg error on monitor socket - {text}"
                    );
                    break;
                }
            }
        }
        let now = monotonic_now();
        for event in events {
            match event {
                KernelEvent::Link(id, facts) => {
                    let before = self
                        .router
                        .config()
                        .interfaces
                        .get(id.index())
                        .map(|i| i.link);
                    let moved = before.is_none_or(|b| {
                        b.index != facts.index || b.v4 != facts.v4 || b.v6 != facts.v6
                    });
                    // A farewell needs the old sockets, a greeting the new ones.
                    if moved && facts.index.is_some() {
                        self.refresh_sockets();
                    }
                    self.feed(now, Input::Link(id, facts));
                    if moved {
                        self.refresh_sockets();
                    }
                }
                KernelEvent::Removed(object) => self.feed(now, Input::Removed(object)),
            }
        }
    }

    /// Tracked files that have changed.
    fn files(&mut self, watch: Option<&Watch>) {
        let Some(watch) = watch else { return };
        let changed = watch.read(|| {
            // Read until nothing is left.
            self.tracking.files_changed();
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
        if changed.is_err() {
            self.tracked(monotonic_now());
        }
    }

    /// What scripts and files have to tell goes to the core, one after the other.
    fn tracked(&mut self, now: Instant) {
        while let Some((id, state)) = self.tracking.poll() {
            self.feed(now, Input::Tracker(id, state));
        }
    }

    fn signals(&mut self, watch: &Watch, signals: &Signals) {
        loop {
            let next = watch.read(|| signals.next().and_then(none_is_wait(Option::is_some)));
            let Ok(Some(signal)) = next else { return };
            match signal {
                Signal::TERM | Signal::INT => self.shut_down(),
                Signal::HUP => self.reload(),
                Signal::USR1 => {
                    let pid = std::process::id();
                    log!(
                        Priority::Info,
                        "Printing VRRP data for process({pid}) on signal"
                    );
                    host::ask_default_account(&mut self.model.global, &self.host);
                    self.dumps(|d| d.data());
                }
                Signal::USR2 => {
                    let pid = std::process::id();
                    log!(
                        Priority::Info,
                        "Printing VRRP stats for process({pid}) on signal"
                    );
                    self.dumps(|d| d.stats());
                }
                Signal::CHLD => {
                    while let Ok(Some((pid, exit))) = linux_io::process::reap_any() {
                        if !self.notifier.exited(pid, exit) && self.tracking.exited(pid, exit) {
                            self.tracked(monotonic_now());
                        }
                    }
                }
                other if Some(other) == crate::cli::json_signal() => {
                    self.dumps(|d| d.json());
                }
                other if Some(other) == crate::cli::stats_clear_signal() => {
                    let pid = std::process::id();
                    log!(
                        Priority::Info,
                        "Printing and clearing VRRP stats for process({pid}) on signal"
                    );
                    self.dumps(|d| d.stats());
                    self.feed(monotonic_now(), Input::ClearStats);
                }
                _ => {}
            }
        }
    }

    fn dumps(&self, write: impl FnOnce(&Sources<'_>)) {
        let (router, model, kernel) = (&self.router, &self.model, &self.kernel);
        write(&Sources {
            context: self.context,
            model,
            router,
            sockets: &self.sockets,
            kernel,
            tracking: &self.tracking,
            announcer: self.announcer.as_ref(),
            receive_buffer: &|id| receive_buffer(router, &model.vrrp, &model.global, kernel, id),
        });
    }

    /// `--dump-conf`: to the log, at start and after each reload.
    fn dump_configuration(&self) {
        if self.context.options.dump_conf {
            self.dumps(|d| d.log());
        }
    }

    /// SIGHUP: the parent has put a new configuration where we read it.
    fn reload(&mut self) {
        log!(Priority::Info, "Reloading");
        self.feed(monotonic_now(), Input::PrepareReload);
        let lines = match self.context.shared.read() {
            Ok(lines) => lines,
            Err(e) => {
                let text = text::errno::sentence(&e);
                log!(
                    Priority::Err,
                    "Cannot read the new configuration, keeping the old one - {text}"
                );
                self.context.config_read();
                return;
            }
        };
        let outcome = parse_child(
            &lines,
            Part::Vrrp,
            &self.host,
            &self.context.options,
            true,
            None,
        );
        drop(lines);
        for line in not_implemented::of_outcome(&outcome, Part::Vrrp) {
            log!(Priority::Warning, "{line}");
        }
        if let Some(status) = outcome.exit {
            self.done = Some(status);
            self.shut_down();
            return;
        }
        let (config, statics) = match prepare(
            &outcome.model,
            &mut self.kernel,
            self.context,
            &mut self.tracking,
            true,
        ) {
            Ok(prepared) => prepared,
            Err(e) => {
                let text = text::errno::sentence(&e);
                log!(Priority::Err, "Cannot read the kernel's tables - {text}");
                self.done = Some(super::EXIT_FATAL);
                self.shut_down();
                return;
            }
        };
        let before = std::mem::replace(&mut self.model, outcome.model);
        process::adopt(self.context, &before.global, &self.model.global);
        let old = std::mem::replace(&mut self.statics, statics);
        for gone in old
            .iter()
            .filter(|o| !self.statics.iter().any(|s| s.object == o.object))
        {
            self.kernel.remove_static(gone.object);
        }
        self.promote_secondaries();
        self.tell_parent = true;
        self.say_addresses(&config);
        self.notifier
            .open_fifos(&self.model.global, monotonic_now());
        self.feed(monotonic_now(), Input::Reconfigure(Box::new(config)));
        self.tracking.start(monotonic_now());
        self.add_statics();
        self.dump_configuration();
        self.say_sockets();
        process::apply(&self.model.global.vrrp);
        linux_io::process::trim_memory();
    }

    /// `promote_secondaries`: removing an address leaves the others of its network in place. Put back at the end.
    fn promote_secondaries(&mut self) {
        let instances = self
            .model
            .vrrp
            .instances
            .iter()
            .filter(|i| i.promote_secondaries);
        let wanted: Vec<Box<str>> = instances
            .filter_map(|i| Some(i.interface.as_ref()?.value.clone()))
            .collect();
        self.demote_secondaries(|name| wanted.iter().any(|w| **w == *name));
        for name in wanted {
            let setting = sysctl::conf(Family::V4, &name, "promote_secondaries");
            if !self.promoted.contains(&name) && sysctl::read(&setting).is_ok_and(|v| v == 0) {
                match sysctl::write(&setting, 1) {
                    Ok(()) => self.promoted.push(name),
                    Err(e) => {
                        let text = text::errno::sentence(&e);
                        log!(
                            Priority::Info,
                            "Cannot set promote_secondaries of {name} - {text}"
                        );
                    }
                }
            }
        }
    }

    fn demote_secondaries(&mut self, keep: impl Fn(&str) -> bool) {
        self.promoted.retain(|name| {
            let kept = keep(name);
            if !kept {
                // The interface may be gone, and its setting with it.
                let _ = sysctl::write(&sysctl::conf(Family::V4, name, "promote_secondaries"), 0);
            }
            kept
        });
    }

    /// Static rules of an earlier run. A second address or route like one that is there does no harm, a second rule stays behind.
    fn clear_static_leftovers(&mut self) {
        for s in &self.statics {
            if matches!(s.object, Object::Rule(_)) {
                self.kernel.remove(s.object, true);
            }
        }
        self.kernel.flush(&mut self.refused);
    }

    fn add_statics(&mut self) {
        for s in &self.statics {
            if self.kernel.is_set(s.object) {
                continue;
            }
            if s.no_track {
                self.kernel.add(s.object);
            } else {
                self.kernel.add_static(s.object, s.text.clone());
            }
        }
        self.kernel.flush(&mut self.refused);
        self.refused.clear();
    }

    fn remove_statics(&mut self) {
        if self.router.config().global.keep_on_exit {
            return;
        }
        for s in self.statics.iter().rev() {
            self.kernel.remove_static(s.object);
        }
        self.kernel.flush(&mut self.refused);
    }
}

/// Receive buffer of a socket in bytes: what its instances ask for, or the global policy; 0 leaves the kernel's.
fn receive_buffer(
    router: &Router,
    vrrp: &VrrpModel,
    global: &Global,
    kernel: &Kernel,
    id: SocketId,
) -> u32 {
    let mut total = 0_u32;
    for (n, (model, core)) in vrrp
        .instances
        .iter()
        .zip(&router.config().instances)
        .enumerate()
    {
        let instance = u16::try_from(n).ok().map(InstanceId);
        if instance.and_then(|i| router.socket_of(i)) != Some(id) {
            continue;
        }
        let policy = &global.vrrp_rx_bufs_policy;
        let own = if model.kernel_rx_buf_size > 0 {
            model.kernel_rx_buf_size
        } else if let Some(size) = policy.size {
            size
        } else if policy.advert {
            let header = if core.family == Family::V4 {
                20 + 8 + 8
            } else {
                8
            };
            let each = u32::from(core.family.bits() / 8);
            let addresses = u32::try_from(core.addresses.len()).unwrap_or(0);
            global
                .vrrp_rx_bufs_multiplier
                .saturating_mul(header + addresses.saturating_mul(each))
        } else if policy.mtu {
            let link = core.interface.and_then(|i| kernel.interfaces.link(i));
            global
                .vrrp_rx_bufs_multiplier
                .saturating_mul(link.map_or(0, |l| l.mtu))
        } else {
            0
        };
        total = total.saturating_add(own);
    }
    total
}
