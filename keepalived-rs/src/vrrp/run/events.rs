//! What has happened goes into the core: packets, news of the kernel, results of trackers, signals.

use std::io;

use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::signals::Signals;
use linux_io::signal::Signal;
use linux_io::timer::monotonic_now;
use linux_io::vrrp_sock::Burst;
use linux_io::watch::Watch;
use net_types::Instant;
use vrrp_proto::input::Received;
use vrrp_proto::{Input, SocketId};

use super::buffers::receive_buffer;
use super::{Child, NEWS_AT_ONCE, PACKETS_AT_ONCE};
use crate::child::Kind;
use crate::host;
use crate::process;
use crate::text;
use crate::vrrp::dump::Sources;
use crate::vrrp::kernel::KernelEvent;

/// Turns "there was nothing" into the error that ends a watch's readiness.
pub(super) fn none_is_wait<T>(something: impl Fn(&T) -> bool) -> impl Fn(T) -> io::Result<T> {
    move |value| {
        if something(&value) {
            Ok(value)
        } else {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }
}

/// How often one round of news may lead to another: making an interface takes one.
const ATTEND_AT_ONCE: usize = 8;

impl Child<'_> {
    /// Packets that wait: all of them, so that nobody is taken for dead whose advert has arrived; a flood has its limit.
    pub(super) fn packets(&mut self, watch: &Watch, burst: &mut Burst) {
        let mut left = PACKETS_AT_ONCE;
        let _ = watch.read(|| {
            loop {
                let (ready, mut more) = self.sockets.ready()?;
                for id in ready {
                    loop {
                        let full = self.sockets.receive(id, burst);
                        left = left.saturating_sub(burst.packets().count());
                        self.take(id, burst);
                        if !full {
                            break;
                        }
                        if left == 0 {
                            more = true;
                            break;
                        }
                    }
                }
                if !more {
                    // Nothing is left: what comes from now on is news.
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                if left == 0 {
                    return Ok(());
                }
            }
        });
    }

    fn take(&mut self, id: SocketId, burst: &Burst) {
        for (packet, bytes) in burst.packets() {
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
                bytes,
                source: packet.source,
                multicast: packet.is_multicast(),
                hop_limit: packet.hop_limit,
            });
            self.feed(monotonic_now(), input);
        }
    }

    /// What the kernel has to tell.
    pub(super) fn news(&mut self, watch: &Watch) {
        let unsettled = std::mem::take(&mut self.unsettled);
        if !(unsettled || watch.readable() || self.kernel.is_untold()) {
            return;
        }
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
        self.kernel_events(now, events);
        self.attend_links(now);
        self.resize_buffers();
    }

    /// Interfaces that we make may need something after news; that makes more news.
    pub(super) fn attend_links(&mut self, now: Instant) {
        for _ in 0..ATTEND_AT_ONCE {
            self.vmacs.attend(&mut self.kernel);
            let events = self.kernel.told();
            if events.is_empty() {
                break;
            }
            self.kernel_events(now, events);
        }
        self.firewall_of_vmacs();
    }

    pub(super) fn kernel_events(&mut self, now: Instant, events: Vec<KernelEvent>) {
        self.unsettled |= !events.is_empty();
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
                KernelEvent::CameUp(index) => self.kernel.restore_statics(index),
                KernelEvent::Removed(object) => self.feed(now, Input::Removed(object)),
            }
        }
    }

    /// News of tracked files, processes and BFD sessions.
    pub(super) fn followed(&mut self) {
        let now = monotonic_now();
        self.tracking.take_news(now);
        self.tracked(now);
    }

    /// Mail servers that have answered.
    pub(super) fn mail(&mut self, watch: Option<&Watch>) {
        if let Some(watch) = watch {
            let now = monotonic_now();
            // One look a turn: adverts do not wait for a talkative server. `WouldBlock` ends the readiness; any other error is the
            // set's own, and then the deadlines end what is open.
            let _ = watch.read(|| self.notifier.mail(now));
        }
    }

    /// What trackers have to tell goes to the core, one after the other.
    pub(super) fn tracked(&mut self, now: Instant) {
        while let Some((id, state)) = self.tracking.poll() {
            self.feed(now, Input::Tracker(id, state));
        }
    }

    pub(super) fn signals(&mut self, watch: &Watch, signals: &Signals) {
        loop {
            let next = watch.read(|| signals.next().and_then(none_is_wait(Option::is_some)));
            let Ok(Some(signal)) = next else { return };
            match signal {
                Signal::TERM | Signal::INT => self.shut_down(),
                Signal::HUP => self.reload(),
                Signal::XCPU => process::say_too_much_time(Kind::Vrrp),
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

    pub(super) fn dumps(&self, write: impl FnOnce(&Sources<'_>)) {
        let (router, model, kernel) = (&self.router, &self.model, &self.kernel);
        write(&Sources {
            context: self.context,
            model,
            router,
            sockets: &self.sockets,
            kernel,
            tracking: &self.tracking,
            vmacs: &self.vmacs,
            firewall: &self.firewall,
            polling: &self.polling,
            promoted: &self.promoted,
            scheduling: self.scheduling.present(),
            announcer: self.announcer.as_ref(),
            receive_buffer: &|id| receive_buffer(router, &model.vrrp, &model.global, kernel, id),
        });
    }

    /// `--dump-conf`: to the log, at start and after each reload.
    pub(super) fn dump_configuration(&self) {
        if self.context.options.dump_conf {
            self.dumps(|d| d.log());
        }
    }
}
