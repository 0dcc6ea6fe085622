//! D-Bus inside the loop: calls are answered from the present and done at once, signals follow what scripts hear.

use std::fs;

use daemon_rt::log;
use daemon_rt::log::Priority;
use dbus_wire::name::is_well_known;
use dbus_wire::{Event, Message};
use linux_io::process::getppid;
use linux_io::signal::{Signal, kill};
use linux_io::timer::monotonic_now;
use net_types::Instant;
use vrrp_proto::output::Notify;
use vrrp_proto::{Input, InstanceId, State};

use super::Child;
use crate::dbus::Bus;
use crate::host;
use crate::text::errno::sentence;
use crate::vrrp::dbus::{
    Answer, INSTANCE, MACHINE_ID, Method, Objects, Property, VRRP, answer, no_machine_id,
    service_name, status,
};

/// D-Bus of this process.
#[derive(Debug, Default)]
pub(super) struct DBus {
    bus: Option<Bus>,
    objects: Objects,
    /// The objects are on the bus: from when it has let us in until the name is lost.
    serving: bool,
}

impl DBus {
    pub(super) fn is_ready(&self) -> bool {
        self.bus.as_ref().is_some_and(Bus::is_ready)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.bus.as_ref().and_then(Bus::next_timeout)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(bus) = &mut self.bus {
            bus.handle_timeout(now);
        }
    }

    /// Says goodbye.
    pub(super) fn close(&mut self) {
        self.say("VrrpStopped");
        self.serving = false;
        if let Some(bus) = self.bus.take() {
            bus.close();
            log!(Priority::Info, "Released DBus");
        }
    }

    /// A signal of the process.
    fn say(&mut self, member: &str) {
        if let Some(bus) = self.bus.as_mut().filter(|_| self.serving) {
            let process = &self.objects.process;
            if self.objects.are_valid() {
                bus.connection.signal(process, VRRP, member, "", |_| {});
            }
        }
    }

    /// A signal of an instance.
    fn say_status(&mut self, instance: usize, number: u32) {
        let shown = self.objects.instances.get(instance);
        if let (true, Some(bus), Some(shown)) = (self.serving, &mut self.bus, shown) {
            if self.objects.are_valid() {
                let write = |w: &mut dbus_wire::marshal::Writer| {
                    w.u32(number);
                };
                bus.connection
                    .signal(&shown.path, INSTANCE, "VrrpStatusChange", "u", write);
            }
        }
    }

    /// Instances that can not be shown because another one has their path; those of `known` were told of.
    fn say_doubles(&self, known: Option<&Objects>) {
        for instance in &self.objects.doubles {
            let Some(shown) = self.objects.instances.get(*instance) else {
                continue;
            };
            let was_told = known.is_some_and(|k| {
                let mut doubles = k.doubles.iter().filter_map(|n| k.instances.get(*n));
                doubles.any(|d| d == shown)
            });
            if !was_told {
                let path = &shown.path;
                log!(
                    Priority::Info,
                    "Registering DBus object on {path} failed: An object is already exported for the interface {INSTANCE} at {path}"
                );
            }
        }
    }
}

impl Child<'_> {
    /// A configuration is in force: start, go on or end.
    pub(super) fn dbus_learn(&mut self) {
        let now = monotonic_now();
        let name = service_name(&self.model);
        let same_name = |bus: &Bus| self.model.global.enable_dbus && bus.connection.name() == name;
        let goes_on = self.dbus.bus.as_ref().is_some_and(same_name);
        if !goes_on {
            self.dbus.close();
        }
        let before = std::mem::replace(&mut self.dbus.objects, Objects::new(&self.model));
        if !self.model.global.enable_dbus {
            return;
        }
        if goes_on {
            if self.dbus.serving {
                for gone in before.instances.iter().filter(|i| before.has(&i.path)) {
                    if !self.dbus.objects.has(&gone.path) {
                        let name = &gone.name;
                        log!(Priority::Info, "Deleted DBus object for instance {name}");
                    }
                }
                self.dbus.say_doubles(Some(&before));
                self.dbus.say("VrrpReloaded");
            }
            return;
        }
        if !is_well_known(name) {
            log!(
                Priority::Err,
                "DBus service name '{name}' is not valid - DBus is off"
            );
            return;
        }
        if !self.dbus.objects.are_valid() {
            let process = &self.dbus.objects.process;
            log!(
                Priority::Err,
                "{process} is not valid as a DBus path, which has letters, digits and '_' only - there will be no objects"
            );
        }
        self.dbus.bus = Some(Bus::start(name, now));
    }

    /// What the bus has to tell.
    pub(super) fn dbus_requests(&mut self) {
        let now = monotonic_now();
        let Some(bus) = &mut self.dbus.bus else {
            return;
        };
        bus.turn(now);
        while let Some(event) = self.dbus.bus.as_mut().and_then(Bus::poll) {
            let name = service_name(&self.model);
            match event {
                Event::Up => {
                    log!(Priority::Info, "Acquired DBus bus {name}");
                    self.dbus_greet();
                    if let Some(bus) = &mut self.dbus.bus {
                        bus.connection.request_name();
                    }
                }
                Event::Acquired => {
                    log!(
                        Priority::Info,
                        "Acquired the name {name} on the session bus"
                    );
                    if !self.dbus.serving {
                        self.dbus_greet();
                    }
                }
                Event::Lost => {
                    log!(Priority::Info, "Lost the name {name} on the session bus");
                    self.dbus.serving = false;
                }
                Event::Call(call) => self.dbus_call(now, &call),
            }
        }
        if let Some(bus) = &mut self.dbus.bus {
            bus.settle(now);
        }
    }

    /// The objects are there: everybody is told, and how all instances are.
    fn dbus_greet(&mut self) {
        self.dbus.serving = true;
        self.dbus.say_doubles(None);
        if !self.dbus.objects.instances.is_empty() {
            self.dbus.say("VrrpStarted");
        }
        for n in 0..self.dbus.objects.instances.len() {
            let state = self.dbus_state(n);
            self.dbus.say_status(n, state.number().into());
        }
    }

    fn dbus_state(&self, instance: usize) -> State {
        let id = u16::try_from(instance).ok().map(InstanceId);
        let status = id.and_then(|id| self.router.status(id));
        status.map_or(State::Init, |s| s.state)
    }

    /// Tells of a change of state; it is written at the end of the turn, with others.
    pub(super) fn dbus_notify(&mut self, event: &Notify) {
        if let Notify::Instance { id, state, .. } = *event {
            // At a reload that ends it the last changes are not told any more.
            if self.model.global.enable_dbus {
                self.dbus.say_status(id.index(), status(state));
            }
        }
    }

    fn dbus_call(&mut self, now: Instant, call: &Message) {
        let objects = Some(&self.dbus.objects).filter(|_| self.dbus.serving);
        let answer = answer(objects, call);
        if let Answer::Do(method) = answer {
            self.dbus_do(now, method);
        }
        let states = |n: usize| (self.dbus_state(n), n);
        let (state, instance) = match &answer {
            Answer::Property(_, n) | Answer::Properties(Some(n)) => states(*n),
            _ => (State::Init, 0),
        };
        let shown = self.dbus.objects.instances.get(instance);
        let name = shown.map_or("", |i| &*i.name);
        let Some(bus) = &mut self.dbus.bus else {
            return;
        };
        let connection = &mut bus.connection;
        match answer {
            Answer::Do(method) => {
                connection.reply(call, "", |_| {});
                if method == Method::ReloadConfig {
                    bus.settle(now);
                    if let Some(parent) = getppid() {
                        // A parent that is gone takes us with it.
                        let _ = kill(parent, Signal::HUP);
                    }
                }
            }
            Answer::Introspection(text) => connection.reply(call, "s", |w| {
                w.string(&text);
            }),
            Answer::MachineId => match machine_id() {
                Ok(id) => connection.reply(call, "s", |w| {
                    w.string(&id);
                }),
                Err(why) => {
                    let (error, text) = no_machine_id(&why);
                    connection.error(call, error, &text);
                }
            },
            Answer::Property(property, _) => {
                connection.reply(call, "v", |w| property.write(w, name, state));
            }
            Answer::Properties(instance) => connection.reply(call, "a{sv}", |w| {
                w.array(8, |w| {
                    for property in Property::ALL.iter().filter(|_| instance.is_some()) {
                        property.write_entry(w, name, state);
                    }
                });
            }),
            Answer::Error(error, text) => connection.error(call, error, &text),
        }
    }

    fn dbus_do(&mut self, now: Instant, method: Method) {
        match method {
            Method::Ping | Method::ReloadConfig => {}
            Method::PrintData => {
                log!(Priority::Info, "Printing VRRP data on DBus request");
                host::ask_default_account(&mut self.model.global, &self.host);
                self.dumps(|d| d.data());
            }
            Method::PrintStats => {
                log!(Priority::Info, "Printing VRRP stats on DBus request");
                self.dumps(|d| d.stats());
            }
            Method::PrintStatsClear => {
                log!(
                    Priority::Info,
                    "Printing and clearing VRRP stats on DBus request"
                );
                self.dumps(|d| d.stats());
                self.feed(now, Input::ClearStats);
            }
            Method::SendGarp(instance) => {
                let Ok(id) = u16::try_from(instance).map(InstanceId) else {
                    return;
                };
                let name = self.router.instance_name(id);
                log!(Priority::Info, "Sending garps on {name} on DBus request");
                self.feed(now, Input::SendGarp(id));
            }
        }
    }
}

/// The machine's number, or why the first of the files can not be read.
fn machine_id() -> Result<String, String> {
    let read = MACHINE_ID.map(fs::read_to_string);
    let [first, second] = read.map(|r| r.map(|text| text.trim().to_owned()));
    first.or_else(|e| second.map_err(|_| sentence(&e)))
}
