//! What the VRRP process shows on the bus: objects, their interfaces, methods and properties, and what a call means.
//!
//! In: the model, calls. Out: [`Answer`]s; what is to be done is the loop's.
//! Answers to: keepalived 2.3.3 vrrp/vrrp_dbus.c, and GLib's gdbusconnection.c for everything that is not about VRRP: which
//! error, in which words.
//!
//! ```text
//! /org/keepalived/Vrrp1[/NAMESPACE][/INSTANCE]/Vrrp                                  org.keepalived.Vrrp1.Vrrp
//! /org/keepalived/Vrrp1[/NAMESPACE][/INSTANCE]/Instance/INTERFACE/VRID/IPv4 or IPv6  org.keepalived.Vrrp1.Instance
//! ```

pub(super) mod introspect;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use conf_parsers::keepalived::model::Model;
use conf_parsers::keepalived::model::vrrp_instance::VrrpInstance;
use dbus_wire::Message;
use dbus_wire::marshal::Writer;
use dbus_wire::name::is_path;
use net_types::Family;
use vrrp_proto::State;
use vrrp_proto::output::NotifyState;

/// The name that is owned when nobody says otherwise.
const SERVICE: &str = "org.keepalived.Vrrp1";
const ROOT: &str = "/org/keepalived/Vrrp1";
/// Stands for the interface in the path of an instance that has none, when nobody says otherwise.
const NO_INTERFACE: &str = "none";

/// Interface of the process.
pub(super) const VRRP: &str = "org.keepalived.Vrrp1.Vrrp";
/// Interface of an instance.
pub(super) const INSTANCE: &str = "org.keepalived.Vrrp1.Instance";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";

const UNKNOWN_METHOD: &str = "org.freedesktop.DBus.Error.UnknownMethod";
const INVALID_ARGS: &str = "org.freedesktop.DBus.Error.InvalidArgs";
const LIMITS_EXCEEDED: &str = "org.freedesktop.DBus.Error.LimitsExceeded";
const FAILED: &str = "org.freedesktop.DBus.Error.Failed";

/// The name to own.
pub(super) fn service_name(model: &Model) -> &str {
    model.global.dbus_service_name.as_deref().unwrap_or(SERVICE)
}

/// An instance as the bus knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Its name.
    pub(super) name: Box<str>,
    /// Its object.
    pub(super) path: Box<str>,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Object {
    Process,
    /// By its number in the configuration.
    Instance(usize),
}

/// The objects of a configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Objects {
    /// Of the process.
    pub(super) process: Box<str>,
    /// In the order of the configuration.
    pub(super) instances: Vec<Shown>,
    by_path: BTreeMap<Box<str>, Object>,
    /// Instances whose paths belong to others.
    pub(super) doubles: Vec<usize>,
}

impl Objects {
    /// Those of `model`. None, if the namespace or the name of the daemon has characters that no path may have.
    pub(super) fn new(model: &Model) -> Self {
        let g = &model.global;
        let mut root = ROOT.to_owned();
        for word in [&g.net_namespace, &g.instance].into_iter().flatten() {
            root.push('/');
            root.push_str(word);
        }
        let mut out = Self {
            process: format!("{root}/Vrrp").into(),
            ..Self::default()
        };
        let nowhere = g.dbus_no_interface_name.as_deref().unwrap_or(NO_INTERFACE);
        let shown = |i: &VrrpInstance| Shown {
            name: i.name.value.clone(),
            path: path(&root, i, nowhere).into(),
        };
        out.instances = model.vrrp.instances.iter().map(shown).collect();
        if !out.are_valid() {
            return out;
        }
        out.by_path.insert(out.process.clone(), Object::Process);
        for (n, instance) in out.instances.iter().enumerate() {
            if out.by_path.contains_key(&instance.path) {
                out.doubles.push(n);
            } else {
                out.by_path
                    .insert(instance.path.clone(), Object::Instance(n));
            }
        }
        out
    }

    /// Whether there can be objects at these paths.
    pub(super) fn are_valid(&self) -> bool {
        is_path(&self.process)
    }

    /// Whether an instance is at this path.
    pub(super) fn has(&self, path: &str) -> bool {
        matches!(self.by_path.get(path), Some(Object::Instance(_)))
    }
}

fn path(root: &str, instance: &VrrpInstance, nowhere: &str) -> String {
    let interface = instance.interface.as_ref();
    let interface: String = interface
        .map_or(nowhere, |i| &*i.value)
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() {
                b.into()
            } else {
                '_'
            }
        })
        .collect();
    let family = match instance.family {
        Some(Family::V4) => "IPv4",
        Some(Family::V6) => "IPv6",
        None => "None",
    };
    let vrid = instance.vrid.unwrap_or(0);
    format!("{root}/Instance/{interface}/{vrid}/{family}")
}

/// What a call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Do it, then an empty answer.
    Do(Method),
    /// The text of the introspection.
    Introspection(String),
    /// The machine's number, or why it is not known.
    MachineId,
    /// One property of an instance.
    Property(Property, usize),
    /// All properties of an instance, or of the process, which has none.
    Properties(Option<usize>),
    /// An error: its name, a sentence.
    Error(&'static str, String),
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Nothing: a sign of life.
    Ping,
    /// The data dump.
    PrintData,
    /// The statistics.
    PrintStats,
    /// The statistics, which then begin anew.
    PrintStatsClear,
    /// Reload.
    ReloadConfig,
    /// Announce the addresses of this instance.
    SendGarp(usize),
}

/// What an instance tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Property {
    /// `(s)`
    Name,
    /// `(us)`
    State,
}

impl Property {
    /// All.
    pub(super) const ALL: [Self; 2] = [Self::Name, Self::State];

    const fn name(self) -> &'static str {
        match self {
            Self::Name => "Name",
            Self::State => "State",
        }
    }

    /// The value as a variant, of the instance with this name and state.
    pub(super) fn write(self, w: &mut Writer, name: &str, state: State) {
        match self {
            Self::Name => w.signature("(s)").align(8).string(name),
            Self::State => {
                w.signature("(us)").align(8).u32(state.number().into());
                w.string(state_word(state))
            }
        };
    }

    /// Name and value, an entry of the answer to `GetAll`.
    pub(super) fn write_entry(self, w: &mut Writer, name: &str, state: State) {
        w.align(8).string(self.name());
        self.write(w, name, state);
    }
}

const fn state_word(state: State) -> &'static str {
    match state {
        State::Init => "Init",
        State::Backup => "Backup",
        State::Master => "Master",
        State::Fault => "Fault",
        State::Stop => "Stop",
    }
}

/// The argument of `VrrpStatusChange`.
pub(super) const fn status(state: NotifyState) -> u32 {
    match state {
        NotifyState::Backup => 1,
        NotifyState::Master => 2,
        NotifyState::Fault => 3,
        NotifyState::Deleted => 97,
        NotifyState::Stop => 98,
    }
}

fn error(name: &'static str, text: impl Into<String>) -> Answer {
    Answer::Error(name, text.into())
}

/// What `call` means; `objects` are those that are shown now.
pub(super) fn answer(objects: Option<&Objects>, call: &Message) -> Answer {
    if call.cut {
        return error(LIMITS_EXCEEDED, "Message is too long");
    }
    match (&*call.interface, &*call.member, &*call.signature) {
        // These are everywhere, even where nothing is.
        (INTROSPECTABLE, "Introspect", "") => {
            return Answer::Introspection(introspection(objects, &call.path));
        }
        (PEER, "Ping", "") => return Answer::Do(Method::Ping),
        (PEER, "GetMachineId", "") => return Answer::MachineId,
        _ => {}
    }
    let object = objects.and_then(|o| o.by_path.get(&call.path).copied());
    let Some(object) = object.filter(|_| !call.interface.is_empty()) else {
        return error(
            UNKNOWN_METHOD,
            format!("Object does not exist at path “{}”", call.path),
        );
    };
    match (object, &*call.interface) {
        (Object::Process, VRRP) => method(
            call,
            match &*call.member {
                "PrintData" => Some(Method::PrintData),
                "PrintStats" => Some(Method::PrintStats),
                "PrintStatsClear" => Some(Method::PrintStatsClear),
                "ReloadConfig" => Some(Method::ReloadConfig),
                _ => None,
            },
        ),
        (Object::Instance(n), INSTANCE) => method(
            call,
            (&*call.member == "SendGarp").then_some(Method::SendGarp(n)),
        ),
        (_, PROPERTIES) => properties(object, call).unwrap_or_else(|| no_interface(call)),
        _ => no_interface(call),
    }
}

fn no_interface(call: &Message) -> Answer {
    error(
        UNKNOWN_METHOD,
        format!(
            "No such interface “{}” on object at path {}",
            call.interface, call.path
        ),
    )
}

fn method(call: &Message, method: Option<Method>) -> Answer {
    match method {
        None => error(UNKNOWN_METHOD, format!("No such method “{}”", call.member)),
        Some(_) if !call.signature.is_empty() => error(
            INVALID_ARGS,
            format!(
                "Type of message, “({})”, does not match expected type “()”",
                call.signature
            ),
        ),
        Some(method) => Answer::Do(method),
    }
}

/// `None`: no such method with such arguments.
fn properties(object: Object, call: &Message) -> Option<Answer> {
    let own = match object {
        Object::Process => VRRP,
        Object::Instance(_) => INSTANCE,
    };
    let mut arguments = call.reader();
    let is_all = match (&*call.member, &*call.signature) {
        ("Get", "ss") | ("Set", "ssv") => false,
        ("GetAll", "s") => true,
        _ => return None,
    };
    let interface = arguments.string()?;
    if interface != own {
        return Some(error(
            INVALID_ARGS,
            format!("No such interface “{interface}”"),
        ));
    }
    let instance = match object {
        Object::Process => None,
        Object::Instance(n) => Some(n),
    };
    if is_all {
        return Some(Answer::Properties(instance));
    }
    let name = arguments.string()?;
    let property = Property::ALL.into_iter().find(|p| p.name() == name);
    Some(match (property, instance) {
        (Some(property), Some(_)) if &*call.member == "Set" => error(
            INVALID_ARGS,
            format!("Property “{}” is not writable", property.name()),
        ),
        (Some(property), Some(n)) => Answer::Property(property, n),
        _ => error(INVALID_ARGS, format!("No such property “{name}”")),
    })
}

/// What stands at `path`, and the names one step below it.
fn introspection(objects: Option<&Objects>, path: &str) -> String {
    let Some(objects) = objects else {
        return introspect::node(None, &[]);
    };
    let below = if path == "/" {
        "/".to_owned()
    } else {
        format!("{path}/")
    };
    let mut children: Vec<&str> = Vec::new();
    for other in objects.by_path.keys() {
        let rest = other.strip_prefix(below.as_str());
        if let Some(child) = rest.and_then(|rest| rest.split('/').next()) {
            // Paths with the same start are not always neighbours.
            if !children.contains(&child) {
                children.push(child);
            }
        }
    }
    let interface = objects.by_path.get(path).map(|object| match object {
        Object::Process => introspect::VRRP,
        Object::Instance(_) => introspect::INSTANCE,
    });
    introspect::node(interface, &children)
}

/// Where the machine's number may be.
pub(super) const MACHINE_ID: [&str; 2] = ["/var/lib/dbus/machine-id", "/etc/machine-id"];

/// The answer of a machine without a number: why the first of the files can not be read.
pub(super) fn no_machine_id(why: &str) -> (&'static str, String) {
    let [first, second] = MACHINE_ID;
    (
        FAILED,
        format!("Unable to load {first} or {second}: Failed to open file “{first}”: {why}"),
    )
}
