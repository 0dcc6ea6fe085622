//! Telling others what happened: scripts of instances and groups, notify FIFOs, mail.
//!
//! In: the model (who has which scripts), the core's [`Notify`] outputs, ends of children, the time.
//! Out: processes, FIFO lines, log lines.
//!
//! Order of one notification: the script of the state, the general script with `INSTANCE|GROUP NAME STATE PRIORITY`, the
//! FIFOs, mail. Scripts are started, not waited for, so their own order is not guaranteed; only at the stop of the daemon are they given
//! a second to end.
//! Answers to: keepalived-behaviour.md section 5, keepalived 2.3.3 vrrp/vrrp_notify.c, lib/notify.c.

use std::io;
use std::rc::Rc;

use conf_parsers::keepalived::model::vrrp::Notifies;
use conf_parsers::keepalived::model::{Global, Model, Script};
use daemon_rt::fifo::Fifo;
use daemon_rt::log::Priority;
use daemon_rt::script::{Command, Overdue, Scripts};
use linux_io::epoll::ReadSet;
use linux_io::process::{Exit, Pid};
use linux_io::signal::Signal;
use net_types::{Duration, Instant};
use vrrp_proto::output::{Notify, NotifyState};

use super::alerts::Alerts;
use crate::notify_fifo;
use crate::parent::{command, say_not_started};

/// How long scripts may take when the daemon stops.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// The commands of one instance or group.
#[derive(Debug, Default, PartialEq, Eq)]
struct Commands {
    master: Option<Command>,
    backup: Option<Command>,
    fault: Option<Command>,
    stop: Option<Command>,
    deleted: Option<Command>,
    lower_priority: Option<Command>,
    any: Option<Command>,
}

impl From<&Notifies> for Commands {
    fn from(written: &Notifies) -> Self {
        Self {
            master: optional(&written.master),
            backup: optional(&written.backup),
            fault: optional(&written.fault),
            stop: optional(&written.stop),
            any: optional(&written.any),
            ..Self::default()
        }
    }
}

fn optional(script: &Option<Script>) -> Option<Command> {
    script.as_ref().map(command)
}

impl Commands {
    const fn of(&self, state: NotifyState) -> Option<&Command> {
        match state {
            NotifyState::Master => self.master.as_ref(),
            NotifyState::Backup => self.backup.as_ref(),
            NotifyState::Fault => self.fault.as_ref(),
            NotifyState::Stop => self.stop.as_ref(),
            NotifyState::Deleted => self.deleted.as_ref(),
        }
    }
}

/// An instance or group, and who is told of it. Those of which no script is told share one empty list.
#[derive(Clone, Debug)]
struct Told {
    name: Rc<str>,
    commands: Rc<Commands>,
}

/// What a script that is watched was started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To tell of the stop.
    Stop,
    /// To read a FIFO.
    FifoReader,
}

/// Notifies for one VRRP process.
#[derive(Debug)]
pub struct Notifier {
    instances: Vec<Told>,
    groups: Vec<Told>,
    /// `notify_fifo`, then `vrrp_notify_fifo`.
    fifos: Vec<(&'static str, Fifo)>,
    watched: Scripts<Purpose>,
    alerts: Alerts,
}

impl Notifier {
    /// The scripts of `model`; positions are those of the core's ids. FIFOs are opened by [`Self::open_fifos`]. `detail`: log lines
    /// of `-D`.
    pub fn new(model: &Model, detail: bool) -> Self {
        let mut this = Self {
            instances: Vec::new(),
            groups: Vec::new(),
            fifos: Vec::new(),
            watched: Scripts::default(),
            alerts: Alerts::new(detail),
        };
        this.reconfigure(model);
        this
    }

    /// From now on ids mean positions in `model`. To be called when the core says that they do.
    pub fn reconfigure(&mut self, model: &Model) {
        self.alerts.reconfigure(model);
        let none = Rc::new(Commands::default());
        let told = |name: &str, commands: Commands| Told {
            name: name.into(),
            commands: if commands == *none {
                Rc::clone(&none)
            } else {
                Rc::new(commands)
            },
        };
        self.instances = model
            .vrrp
            .instances
            .iter()
            .map(|i| {
                let commands = Commands {
                    deleted: optional(&i.notify_deleted_script),
                    lower_priority: optional(&i.notify_master_rx_lower_pri),
                    ..Commands::from(&*i.notify)
                };
                told(&i.name, commands)
            })
            .collect();
        self.groups = model
            .vrrp
            .sync_groups
            .iter()
            .map(|g| told(&g.name, Commands::from(&g.notify)))
            .collect();
    }

    /// Opens the FIFOs of `global` and starts their readers. What was open before is closed first, and its readers are told to end:
    /// this is for the start and for a reload.
    pub fn open_fifos(&mut self, global: &Global, now: Instant) {
        self.close_fifos(now);
        for (fifo, kind) in [
            (&global.notify_fifo, ""),
            (&global.vrrp_notify_fifo, "vrrp_"),
        ] {
            let watched = &mut self.watched;
            let opened = notify_fifo::open(fifo, kind, |command, name| {
                let started = watched.start(now, command, &[name], Purpose::FifoReader, None);
                if let Err(e) = started {
                    say_not_started(command, &e);
                }
            });
            self.fifos.extend(opened.map(|fifo| (kind, fifo)));
        }
    }

    /// Closes the FIFOs, removing those we made, and tells their readers to end.
    pub fn close_fifos(&mut self, now: Instant) {
        if self.fifos.is_empty() {
            return;
        }
        self.fifos.clear();
        self.watched.end_all(Signal::TERM, now + STOP_LIMIT);
    }

    /// Whether anybody is told of the event. When not, what is queued for the kernel need not be carried out first.
    pub fn tells(&self, event: &Notify) -> bool {
        let any_of = |who: Option<&Told>, state| {
            who.is_some_and(|who| who.commands.of(state).is_some() || who.commands.any.is_some())
        };
        !self.fifos.is_empty()
            || self.alerts.tells(event)
            || match *event {
                Notify::Instance { id, state, .. } => any_of(self.instances.get(id.index()), state),
                Notify::Group { id, state } => any_of(self.groups.get(id.index()), state),
                Notify::LowerPriority { id, .. } => self
                    .instances
                    .get(id.index())
                    .is_some_and(|who| who.commands.lower_priority.is_some()),
                Notify::Priority { .. }
                | Notify::InstanceFifo { .. }
                | Notify::GroupFifo { .. } => false,
            }
    }

    /// Tells of one event. Unknown ids are ignored: they cannot come from a core that was configured with the same model.
    pub fn notify(&mut self, now: Instant, event: &Notify) {
        match *event {
            Notify::Instance {
                id,
                state,
                priority,
            } => {
                let Some(who) = self.instances.get(id.index()).cloned() else {
                    return;
                };
                let priority = priority.to_string();
                let watch = state == NotifyState::Stop;
                self.run(now, who.commands.of(state), &[], watch);
                let words = ["INSTANCE", &who.name, state.word(), &priority];
                self.run(now, who.commands.any.as_ref(), &words, watch);
                self.line("INSTANCE", &who.name, state.word(), &priority);
                self.alerts.instance(now, id.index(), &who.name, state);
            }
            Notify::Group { id, state } => {
                let Some(who) = self.groups.get(id.index()).cloned() else {
                    return;
                };
                self.run(now, who.commands.of(state), &[], false);
                let words = ["GROUP", &who.name, state.word(), "0"];
                self.run(
                    now,
                    who.commands.any.as_ref(),
                    &words,
                    state == NotifyState::Stop,
                );
                self.line("GROUP", &who.name, state.word(), "0");
                self.alerts.group(now, id.index(), &who.name, state);
            }
            Notify::LowerPriority { id, priority } => {
                let Some(who) = self.instances.get(id.index()).cloned() else {
                    return;
                };
                self.run(now, who.commands.lower_priority.as_ref(), &[], false);
                let priority = priority.to_string();
                self.line("INSTANCE", &who.name, "MASTER_RX_LOWER_PRI", &priority);
            }
            Notify::Priority {
                id,
                master,
                priority,
            } => {
                if let Some(who) = self.instances.get(id.index()) {
                    self.priority(&who.name, master, priority);
                }
            }
            Notify::InstanceFifo {
                id,
                state,
                priority,
            } => {
                if let Some(who) = self.instances.get(id.index()) {
                    self.line("INSTANCE", &who.name, state.word(), &priority.to_string());
                }
            }
            Notify::GroupFifo { id, state } => {
                if let Some(who) = self.groups.get(id.index()) {
                    self.line("GROUP", &who.name, state.word(), "0");
                }
            }
        }
    }

    fn run(&mut self, now: Instant, command: Option<&Command>, words: &[&str], watch: bool) {
        let Some(command) = command else {
            return;
        };
        let started = if watch {
            let limit = Some(STOP_LIMIT);
            self.watched
                .start(now, command, words, Purpose::Stop, limit)
        } else {
            command.start(words)
        };
        if let Err(e) = started {
            say_not_started(command, &e);
        }
    }

    /// Tells FIFO readers that the priority of an instance, MASTER or not, is this now.
    pub fn priority(&self, name: &str, master: bool, priority: u8) {
        let state = if master {
            "MASTER_PRIORITY"
        } else {
            "BACKUP_PRIORITY"
        };
        self.line("INSTANCE", name, state, &priority.to_string());
    }

    /// `INSTANCE "name" STATE priority` to every FIFO. A line that does not fit is lost.
    fn line(&self, kind: &str, name: &str, state: &str, priority: &str) {
        if self.fifos.is_empty() {
            return;
        }
        let line = format!("{kind} \"{name}\" {state} {priority}");
        notify_fifo::write(&self.fifos, &line);
    }

    /// A child of this process has ended; `true` if it was one that is watched here. Other notify scripts are nobody's concern once
    /// they are collected.
    pub fn exited(&mut self, pid: Pid, exit: Exit) -> bool {
        let Some(ended) = self.watched.exited(pid, exit) else {
            return false;
        };
        if let Some(line) = &ended.not_run {
            daemon_rt::log!(Priority::Alert, "{line}");
        }
        if ended.token == Purpose::FifoReader {
            daemon_rt::log!(Priority::Info, "vrrp notify fifo script terminated");
        }
        true
    }

    /// The daemon stops: readers of FIFOs are told to end. To be called before the core's stop notifications.
    pub fn stopping(&mut self, now: Instant) {
        self.watched.end_all(Signal::TERM, now + STOP_LIMIT);
    }

    /// The process ends: what has not obeyed by now is killed, so that nothing outlives the daemon.
    pub fn kill_all(&mut self, now: Instant) {
        self.watched.end_all(Signal::KILL, now);
    }

    /// Whether a script is still running, or a mail on its way, that the stop of the daemon should wait for.
    pub fn busy(&self) -> bool {
        !self.watched.is_empty() || self.alerts.mailer.busy()
    }

    /// The connections to the mail server, to be watched for reading.
    pub const fn mail_readable(&self) -> Option<&ReadSet> {
        self.alerts.mailer.readable()
    }

    /// A mail server may have something to say. `WouldBlock` when none has.
    pub fn mail(&mut self, now: Instant) -> io::Result<()> {
        self.alerts.mailer.ready(now)
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Instant> {
        let mail = self.alerts.mailer.next_timeout();
        self.watched.next_timeout().into_iter().chain(mail).min()
    }

    /// Ends scripts and mails that take too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.alerts.mailer.handle_timeout(now);
        for overdue in self.watched.handle_timeout(now) {
            if let Overdue::Unkillable { pid, .. } = overdue {
                daemon_rt::log!(
                    Priority::Info,
                    "notify script (PID {}) failed to terminate after kill",
                    pid.get()
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use conf_parsers::keepalived::{ParseOptions, Part, ReadOptions, parse, read};
    use conf_parsers::source::{FakeHost, MemorySource};
    use linux_io::process::wait_for;
    use linux_io::users;
    use vrrp_proto::config::{GroupId, InstanceId};

    const T0: Instant = Instant::ZERO;

    fn script(text: &str) -> Option<Script> {
        Some(Script {
            args: ["/bin/sh", "-c", text, "name"].map(str::to_owned).to_vec(),
            uid: users::euid(),
            gid: users::egid(),
            ..Script::default()
        })
    }

    fn model() -> Model {
        let mut host = FakeHost::with_interfaces(&["eth0"]);
        host.source = MemorySource::one(
            "/k.conf",
            "vrrp_instance A {\n interface eth0\n virtual_router_id 1\n virtual_ipaddress {\n 192.0.2.1\n }\n}\n\
             vrrp_sync_group G {\n group {\n A\n }\n}\n",
        );
        let lines = read(&host, "/k.conf", &ReadOptions::default());
        let options = ParseOptions::default();
        parse(&lines, Part::Vrrp, &host, &options, None).model
    }

    #[test]
    fn scripts_and_fifo_lines_of_a_stop() {
        let dir = std::env::temp_dir().join(format!("keepalived-notify-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        let mut model = model();
        assert_eq!(model.vrrp.instances.len(), 1);
        assert_eq!(model.vrrp.sync_groups.len(), 1);
        let instance = model.vrrp.instances.first_mut().unwrap();
        *instance.notify = Notifies {
            stop: script(&format!("echo stop $# > {}", path("stop"))),
            any: script(&format!("echo \"$@\" > {}", path("any"))),
            ..Notifies::default()
        };
        let group = model.vrrp.sync_groups.first_mut().unwrap();
        group.notify.any = script(&format!("echo \"$@\" > {}", path("group")));
        model.global.vrrp_notify_fifo = conf_parsers::keepalived::model::global::Fifo {
            name: Some(path("fifo")),
            uid: users::euid(),
            gid: users::egid(),
            script: script(&format!("head -n 3 < \"$1\" > {}", path("lines"))),
        };
        let mut notifier = Notifier::new(&model, false);
        notifier.open_fifos(&model.global, T0);
        let (a, g) = (InstanceId(0), GroupId(0));
        notifier.notify(
            T0,
            &Notify::Priority {
                id: a,
                master: true,
                priority: 90,
            },
        );
        notifier.notify(
            T0,
            &Notify::Instance {
                id: a,
                state: NotifyState::Stop,
                priority: 90,
            },
        );
        notifier.notify(
            T0,
            &Notify::Group {
                id: g,
                state: NotifyState::Stop,
            },
        );
        // Ids that nobody has are no reason to fail.
        notifier.notify(
            T0,
            &Notify::GroupFifo {
                id: GroupId(9),
                state: NotifyState::Stop,
            },
        );
        assert!(notifier.busy());
        let pids: Vec<Pid> = notifier.watched.pids().collect();
        assert_eq!(pids.len(), 4);
        for pid in pids {
            let exit = wait_for(pid).unwrap();
            assert_eq!(exit, Exit::Code(0));
            assert!(notifier.exited(pid, exit));
        }
        assert!(!notifier.busy());
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        assert_eq!(read("stop"), "stop 0\n");
        assert_eq!(read("any"), "INSTANCE A STOP 90\n");
        assert_eq!(read("group"), "GROUP G STOP 0\n");
        assert_eq!(
            read("lines"),
            "INSTANCE \"A\" MASTER_PRIORITY 90\nINSTANCE \"A\" STOP 90\nGROUP \"G\" STOP 0\n"
        );
        notifier.close_fifos(T0);
        assert!(!dir.join("fifo").exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
