//! The loop of the checker process. It knows no rule: what happened goes into the core, what the core says is done.
//!
//! ```text
//!   timerfd ──┐                         ┌─▶ probe::Probes ─▶ verdicts ─┐
//!   probes  ──┤                         ├─▶ tables (IPVS)              │
//!   files   ──┼─▶ Input ─▶ Engine ─▶ Output ─▶ notify, text::check     │
//!   signals,──┘      ▲                  └──────────────────────────────┤
//!   SNMP             │                                                 │
//!                    └─────────────────────────────────────────────────┘
//! ```
//! One task, nothing detached, whatever the number of real servers.

mod outputs;
mod places;
mod reload;
#[cfg_attr(not(feature = "snmp"), path = "snmp_absent.rs")]
mod snmp;

use std::collections::BTreeSet;
use std::io;

use checker_proto::config::{Config, Kind as Written, VsId};
use checker_proto::{CheckerId, Engine, Input, Verdict};
use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::check::CheckKind;
use conf_parsers::keepalived::model::lvs::{LvsModel, Trio};
use daemon_rt::log;
use daemon_rt::log::Priority;
use daemon_rt::signals::Signals;
use linux_io::process::{Exit, Pid};
use linux_io::signal::Signal;
use linux_io::timer::{TimerFd, monotonic_now};
use linux_io::watch::{self, Watch};
use net_types::{Duration, Instant};

use self::places::about;
use super::addresses::Addresses;
use super::lower::{First, firsts, lower, number};
use super::notify::Notifier;
use super::probe::{Context as ProbeContext, Probes};
use super::tables::Tables;
use crate::child::life::{self, EXIT_FATAL, seed};
use crate::child::{Context, Kind};
use crate::host::{self, System};
use crate::process::{self, Scheduling};
use crate::text::check as text;
use crate::vrrp::track::file::Files;

/// How long the end waits for scripts and mails that tell of it.
const STOP_PATIENCE: Duration = Duration::from_millis(1_100);
/// BFD events in one turn.
const EVENTS_AT_ONCE: usize = 64;

/// The process.
pub(super) struct Child<'a> {
    pub(super) context: &'a mut Context,
    pub(super) detail: bool,
    pub(super) host: System,
    pub(super) model: Model,
    /// Where the core's numbers begin, for `model`.
    firsts: Vec<First>,
    pub(super) engine: Engine,
    tables: Tables,
    notifier: Notifier,
    probes: Probes,
    probes_watch: Watch,
    verdicts: Vec<(CheckerId, Verdict)>,
    files: Files,
    addresses: Addresses,
    pub(super) scheduling: Scheduling,
    /// The model and configuration that the core's numbers are about to mean.
    next: Option<Box<(Model, Config)>>,
    /// The exit status, once everything is given up.
    done: Option<u8>,
    snmp: snmp::Snmp,
    /// How long scripts and mails that tell of the stop may still take.
    patience: Option<Instant>,
    /// Dumps in `config_save_dir` so far.
    pub(super) saved: u32,
}

struct Watches {
    timer: Watch,
    signals: Watch,
    mail: Option<Watch>,
    files: Option<Watch>,
    bfd: Option<Watch>,
}

impl Watches {
    /// Whether one of them may have something.
    fn any(&self) -> bool {
        let some = [&self.mail, &self.files, &self.bfd];
        let mut all = [&self.timer, &self.signals]
            .into_iter()
            .chain(some.into_iter().flatten());
        all.any(Watch::readable)
    }
}

/// Of a start that fails: the original stops with what it has read.
fn say_shut_down(lvs: &LvsModel) {
    for vs in &lvs.virtual_servers {
        for rs in &vs.real_servers {
            let how = if rs.inhibit == Some(true) {
                "(inhibited) "
            } else {
                ""
            };
            let real = Trio(rs.addr, vs.protocol);
            log!(
                Priority::Info,
                "Shutting down {how}service {real} from VS {vs}"
            );
        }
    }
}

/// Starts, lives, stops. The exit status.
pub(super) fn live(context: &mut Context, signals: &Signals) -> io::Result<u8> {
    let host = System::new();
    let mut model = match life::configuration(Kind::Checker, context, &host)? {
        Ok(model) => model,
        Err(status) => return Ok(status),
    };
    snmp::Snmp::apply(&mut model, &context.options);
    let detail = context.options.log_detail > 0;
    let now = monotonic_now();
    let mut tables = Tables::new(&model.lvs);
    if tables.open(&model.global, &model.lvs, false).is_err() {
        say_shut_down(&model.lvs);
        return Ok(EXIT_FATAL);
    }
    tables.start_daemons(&model.global, None);
    process::raise_open_files(descriptors(&model), detail);
    let mut notifier = Notifier::new(&model.global, detail);
    notifier.open_fifos(&model.global, now);
    let mut files = Files::new();
    configure_files(&mut files, &model, false, context.umask);
    let addresses = Addresses::new(&model);
    let config = lower(&model, values(&files), None, |vs| addresses.count(vs));
    let engine = Engine::new(&config, seed());
    drop(config);
    let probes = Probes::new(probe_context(&model))?;
    if !say_tls_problem(&probes) {
        return Ok(EXIT_FATAL);
    }
    let mut child = Child {
        detail,
        context,
        host,
        firsts: firsts(&model.lvs),
        engine,
        tables,
        notifier,
        probes_watch: Watch::reading(&probes.readable())?,
        probes,
        verdicts: Vec::new(),
        files,
        addresses,
        scheduling: Scheduling::default(),
        model,
        next: None,
        done: None,
        snmp: snmp::Snmp::default(),
        patience: None,
        saved: 0,
    };
    child.snmp.configure(&child.model, now);
    child.feed(now, Input::Start);
    child.say_bfd();
    child.context.config_read();
    child.dump_configuration();
    child.scheduling.apply(&child.model.global, Kind::Checker);
    linux_io::process::trim_memory();

    let timer = TimerFd::new()?;
    let watches = Watches {
        timer: Watch::reading(&timer)?,
        signals: Watch::reading(signals)?,
        mail: child
            .notifier
            .mail_readable()
            .map(Watch::reading)
            .transpose()?,
        files: child.files.readable().map(Watch::reading).transpose()?,
        bfd: child
            .context
            .bfd_events
            .as_ref()
            .map(Watch::reading)
            .transpose()?,
    };
    let mut armed = None;
    loop {
        if let Some(status) = child.finished() {
            return Ok(status);
        }
        let next = child.next_timeout();
        if next != armed {
            timer.set(next)?;
            armed = next;
        }
        if child.is_ready() || watches.any() {
            watch::look()?;
        } else {
            watch::wait()?;
        }
        if let Ok(fired) = watches.timer.read(|| timer.expired()) {
            watches.timer.emptied();
            if fired {
                if let Some(due) = armed.take() {
                    child.scheduling.met(due, monotonic_now());
                }
            }
        }
        // What has arrived first: it must not count as late because we look late.
        child.probes_ready();
        child.timeout(monotonic_now());
        child.news(&watches);
        child.snmp_requests();
        child.signals(&watches.signals, signals);
    }
}

/// Whether there is none that ends the process.
fn say_tls_problem(probes: &Probes) -> bool {
    say_no_library(probes);
    let problem = probes.tls_problem();
    for line in problem {
        log!(Priority::Info, "{line}");
    }
    if !problem.is_empty() {
        log!(Priority::Info, "Terminate...");
    }
    problem.is_empty()
}

/// Why checks over TLS are not run, if OpenSSL is what is missing.
fn say_no_library(probes: &Probes) {
    if let Some(reason) = probes.without_tls() {
        log!(
            Priority::Err,
            "SSL_GET is not run: OpenSSL can not be loaded: {reason}"
        );
    }
}

fn probe_context(model: &Model) -> ProbeContext {
    ProbeContext {
        uses_ssl: model.lvs.uses_ssl,
        ssl: model.lvs.ssl.clone(),
        seed: seed(),
    }
}

/// How many descriptors the process may need at once: what it always has, and one for each checker and each mail.
fn descriptors(model: &Model) -> usize {
    /// The original's numbers: its own ones, and spare ones.
    const ALWAYS: usize = 17 + 10;
    let servers = model.lvs.virtual_servers.iter();
    let checkers = servers
        .flat_map(|vs| &vs.real_servers)
        .flat_map(|rs| &rs.checkers);
    let with_socket =
        |kind: &CheckKind| !matches!(kind, CheckKind::Misc { .. } | CheckKind::Bfd { .. });
    let sockets = checkers.filter(|c| with_socket(&c.kind)).count();
    let mails = usize::try_from(model.lvs.smtp_alert_lines).unwrap_or(0);
    ALWAYS + sockets + mails
}

fn configure_files(files: &mut Files, model: &Model, reload: bool, umask: u32) {
    let written = &model.vrrp.track_files;
    let servers = model.lvs.virtual_servers.iter();
    let checks = servers
        .flat_map(|vs| &vs.real_servers)
        .flat_map(|rs| &rs.track_files);
    let names: BTreeSet<&str> = checks.map(|c| &*c.file.value).collect();
    let used = |n: usize| {
        written
            .get(n)
            .is_some_and(|f| names.contains(&*f.name.value))
    };
    files.configure(written, used, reload, umask);
}

fn values(files: &Files) -> Vec<i64> {
    files.values().map(|v| v.unwrap_or(0)).collect()
}

impl Child<'_> {
    /// One thing happened: into the core with it, and everything that follows from it is done.
    fn feed(&mut self, now: Instant, input: Input) {
        self.engine.handle(now, input);
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.engine.poll_output() {
            self.output(now, output);
        }
        if !self.tables.is_clean() {
            self.tables.flush(&self.model.global, &self.model.lvs);
        }
    }

    /// Whether what changes with the configuration may have something.
    fn is_ready(&self) -> bool {
        self.probes_watch.readable() || self.addresses.is_ready() || self.snmp.is_ready()
    }

    fn next_timeout(&self) -> Option<Instant> {
        let own = [
            self.engine.next_timeout(),
            self.probes.next_timeout(),
            self.notifier.next_timeout(),
            self.snmp.next_timeout(),
            self.patience,
        ];
        own.into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Instant) {
        let mut verdicts = std::mem::take(&mut self.verdicts);
        self.probes.handle_timeout(now, &mut verdicts);
        self.judged(now, &mut verdicts);
        self.verdicts = verdicts;
        self.engine.handle_timeout(now);
        self.drain(now);
        self.notifier.handle_timeout(now);
        self.snmp.handle_timeout(now);
    }

    /// Servers that have something to say.
    fn probes_ready(&mut self) {
        let now = monotonic_now();
        let mut verdicts = std::mem::take(&mut self.verdicts);
        let _ = self.probes_watch.read(|| {
            if self.probes.ready(now, &mut verdicts) {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        });
        self.judged(now, &mut verdicts);
        self.verdicts = verdicts;
    }

    fn judged(&mut self, now: Instant, verdicts: &mut Vec<(CheckerId, Verdict)>) {
        for (checker, notice) in self.probes.notices() {
            let about = about(&self.model, self.place_of(checker));
            if let Some((priority, line)) = text::of_probe(&notice, &about) {
                log!(priority, "{line}");
            }
        }
        for (checker, verdict) in verdicts.drain(..) {
            self.feed(now, Input::ProbeDone { checker, verdict });
        }
    }

    /// Tracked files, BFD sessions, addresses, mail servers.
    fn news(&mut self, watches: &Watches) {
        let now = monotonic_now();
        if let Some(watch) = &watches.files {
            let mut changes = Vec::new();
            let _ = watch.read(|| {
                changes = self.files.changes();
                Err::<(), _>(io::ErrorKind::WouldBlock.into())
            });
            for (file, value) in changes {
                let file = number(file);
                self.feed(now, Input::File { file, value });
            }
        }
        if let Some(watch) = &watches.bfd {
            for _ in 0..EVENTS_AT_ONCE {
                let event = watch.read(|| match &self.context.bfd_events {
                    Some(events) => events.receive(),
                    None => Err(io::ErrorKind::WouldBlock.into()),
                });
                let Ok(event) = event else { break };
                self.bfd_event(now, &event);
            }
        }
        for (address, present) in self.addresses.news() {
            self.address(now, address, present);
        }
        if let Some(watch) = &watches.mail {
            let _ = watch.read(|| self.notifier.mail_ready(now));
        }
    }

    fn address(&mut self, now: Instant, address: std::net::IpAddr, present: bool) {
        let servers = self.model.lvs.virtual_servers.iter().enumerate();
        let mine = servers.filter(|(_, vs)| vs.ha_suspend && Addresses::is_of(vs, address));
        let mine: Vec<_> = mine.map(|(n, _)| VsId(number(n))).collect();
        if mine.is_empty() {
            return;
        }
        if self.detail {
            let what = if present { "added" } else { "removed" };
            log!(
                Priority::Info,
                "Netlink reflector reports IP {address} {what}"
            );
        }
        for vs in mine {
            self.feed(now, Input::Address { vs, present });
        }
    }

    fn say_bfd(&self) {
        if cfg!(feature = "bfd") {
            log!(Priority::Info, "Activating BFD healthchecker");
        }
    }

    fn bfd_event(&mut self, now: Instant, event: &crate::ipc::BfdEvent) {
        if self.detail {
            let state = if event.up { "Up" } else { "Down" };
            let took = now.since(event.sent).as_micros();
            log!(
                Priority::Info,
                "Received BFD event: instance {} is in state {state} (delivered in {took} usec)",
                event.name
            );
        }
        let mut found = Vec::new();
        for (vs, first) in self.model.lvs.virtual_servers.iter().zip(&self.firsts) {
            let mut next = first.checker;
            for rs in &vs.real_servers {
                for (n, checker) in rs.checkers.iter().enumerate() {
                    if matches!(&checker.kind, CheckKind::Bfd { session } if *session.value == *event.name)
                    {
                        found.push(CheckerId(next.saturating_add(number(n))));
                    }
                }
                next = next.saturating_add(super::lower::checkers(rs));
            }
        }
        for checker in found {
            let up = event.up;
            self.feed(now, Input::Bfd { checker, up });
        }
    }

    fn signals(&mut self, watch: &Watch, signals: &Signals) {
        loop {
            let next = watch.read(|| {
                let next = signals.next()?;
                next.ok_or_else(|| io::ErrorKind::WouldBlock.into())
            });
            let Ok(signal) = next else { return };
            match signal {
                Signal::TERM | Signal::INT => self.shut_down(),
                Signal::HUP => self.reload(),
                Signal::XCPU => process::say_too_much_time(Kind::Checker),
                Signal::USR1 => {
                    let pid = std::process::id();
                    log!(
                        Priority::Info,
                        "Printing checker data for process({pid}) on signal"
                    );
                    host::ask_default_account(&mut self.model.global, &self.host);
                    self.dump();
                }
                Signal::CHLD => {
                    while let Ok(Some((pid, exit))) = linux_io::process::reap_any() {
                        if !self.notifier.exited(pid, exit) {
                            self.script_ended(pid, exit);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn script_ended(&mut self, pid: Pid, exit: Exit) {
        let mut verdicts = std::mem::take(&mut self.verdicts);
        let engine = &self.engine;
        self.probes.script_ended(pid, exit, &mut verdicts, |id| {
            let kind = engine.checker(id).map(|c| c.written.kind);
            matches!(kind, Some(Written::Misc { dynamic: true }))
        });
        self.judged(monotonic_now(), &mut verdicts);
        self.verdicts = verdicts;
    }

    fn shut_down(&mut self) {
        if self.done.is_some() {
            return;
        }
        let now = monotonic_now();
        self.probes.cancel_all();
        self.probes.end_scripts(Signal::TERM, now + STOP_PATIENCE);
        self.notifier.stopping(now);
        let keep = self.context.options.dont_release_ipvs;
        self.feed(now, Input::Shutdown { keep });
    }

    /// The exit status, when nothing is left to do or to wait for.
    fn finished(&mut self) -> Option<u8> {
        let status = self.done?;
        let now = monotonic_now();
        let patience = *self.patience.get_or_insert(now + STOP_PATIENCE);
        if (self.notifier.busy() || self.snmp.busy()) && now < patience {
            return None;
        }
        self.notifier.close_fifos(now);
        self.notifier.kill_all(now);
        self.snmp.close();
        self.tables.close();
        Some(status)
    }
}
